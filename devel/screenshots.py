"""Pictures of the panel's pages, taken while it runs the example: ``make screenshots``.

The panel is the real one, with real Qt widgets; only the window around it is missing (see
cxheadless/ui_shim.py).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["QT_SCALE_FACTOR"] = "2"  # sharp on any screen; read when Qt starts
os.environ["QT_LOGGING_RULES"] = "qt.qpa.*=false"

from cxheadless import boot, ui_shim

SIZE = (430, 720)  # pixels of a panel at the side of ChimeraX's window
LABELS = 6
PAUSE = 1.5  # s for widgets that are drawn with a delay


def main(folder: Path) -> None:
    """Run the example in the panel and take a picture of each page."""
    session = boot.start(offscreen=True)
    ui_shim.install(session)
    session.ui.defer_threads = True
    with ui_shim.gui(session):
        session.toolshed.find_bundle("ChimeraX-SIREn", session.logger).start_tool(session, "SIREn")
        take(session, session.tools.list()[0], folder)


def take(session: Any, tool: Any, folder: Path) -> None:
    """Take the pictures, one after the other."""
    from Qt.QtCore import Qt

    from chimerax.siren.session.jobs import current_job

    area = tool.tool_window.ui_area
    area.resize(*SIZE)

    def wait(until: Callable[[], bool], seconds: float = 900.0) -> None:
        if not ui_shim.events(session, until, seconds):
            raise TimeoutError("the panel did not finish")

    def grab(name: str, page: str = "") -> None:
        if page:
            tool.tabs.setCurrentWidget(tool.pages[page])
        end = time.monotonic() + PAUSE
        wait(lambda: time.monotonic() > end)
        area.grab().save(str(folder / f"panel_{name}.png"))
        print(folder / f"panel_{name}.png", flush=True)

    grab("first")
    tool.header.hint.linkActivated.emit("example")
    wait(lambda: bool(tool.state.names) and not tool.state.reader.busy)
    tool.run_bar.run_all.click()
    tool.tabs.setCurrentWidget(tool.run_page)
    wait(
        lambda: (
            (job := current_job(session)) is not None
            and job.name == "siren predict"
            and job.status.fraction > 0.5
        )
    )
    grab("run")
    wait(
        lambda: (
            current_job(session) is None
            and tool.state.run_folder is not None
            and tool.state.run_folder.name == "02_expand"
        )
    )
    wait(lambda: not tool.state.reader.busy)
    tool.ensemble.table.sortByColumn(3, Qt.SortOrder.AscendingOrder)  # flagged volumes first
    tool.ensemble.table.selectRow(2)
    grab("ensemble", "ensemble")
    label(tool, wait, lambda: current_job(session) is None)
    grab("levels", "levels")
    tool.blocks.edits.all()  # levels are judged without blocks around the map
    tool.blocks.view.selectRow(2)
    grab("blocks", "blocks")
    tool.plots.choice.setCurrentIndex(1)
    grab("plots", "plots")
    tool.plots.choice.setCurrentIndex(4)
    tool.ensemble.table.clearSelection()
    grab("scatter", "plots")
    tool.tabs.setCurrentWidget(tool.pages["relations"])
    wait(lambda: tool.relations.save_button.isEnabled())
    grab("relations", "relations")
    tool.plots.choice.setCurrentIndex(1)
    tool.screening.start()
    wait(lambda: tool.screening.alive and tool.screening.settled)
    tool.screening.slider.setValue(30)
    wait(lambda: tool.screening.settled)
    grab("screening", "blocks")
    session.ui.app.setPalette(dark_palette())
    tool.ensemble.table.selectRow(2)
    grab("dark", "ensemble")
    grab("dark_plots", "plots")


def label(tool: Any, wait: Callable[..., None], idle: Callable[[], bool]) -> None:
    """Label some of the proposed volumes a little off their levels, and evaluate these."""
    from Qt.QtCore import Qt

    page = tool.levels
    tool.tabs.setCurrentWidget(page)
    page.learning.count.setValue(LABELS)
    page.learning.propose.click()
    wait(idle)
    for n in range(LABELS - 2):
        wait(lambda: page.shown is not None and page.shown.name not in page.table.levels.labels)
        page.set_by_hand(page.histogram.level * (0.95 + 0.03 * n))
        page.label_button.click()
        page.next_button.click()
    page.learning.evaluate.click()
    wait(idle)
    page.which.setCurrentIndex(0)
    page.table.sortByColumn(2, Qt.SortOrder.AscendingOrder)
    labeled = next(iter(page.table.levels.labels))
    page.request(labeled)
    wait(lambda: page.shown is not None and page.shown.name == labeled)


def dark_palette() -> Any:
    """The colors of a desktop with a dark theme."""
    from Qt.QtGui import QColor, QPalette

    palette = QPalette(QColor(50, 50, 50))
    palette.setColor(QPalette.ColorRole.Base, QColor(30, 30, 30))
    palette.setColor(QPalette.ColorRole.AlternateBase, QColor(38, 38, 38))
    palette.setColor(QPalette.ColorRole.Highlight, QColor(60, 125, 190))
    palette.setColor(QPalette.ColorRole.PlaceholderText, QColor(160, 160, 160))
    for role in (
        QPalette.ColorRole.ButtonText,
        QPalette.ColorRole.WindowText,
        QPalette.ColorRole.Text,
    ):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(120, 120, 120))
    palette.setColor(QPalette.ColorRole.Link, QColor(110, 170, 240))
    return palette


if __name__ == "__main__":
    target = Path(sys.argv[1]).absolute()
    target.mkdir(parents=True, exist_ok=True)
    main(target)
