"""The SIREn panel: ChimeraX's ToolInstance and its layout; the pages are in :mod:`.panel`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chimerax.core.commands import run
from chimerax.core.tools import ToolInstance, get_singleton
from Qt.QtWidgets import QFileDialog, QTabWidget, QToolButton, QVBoxLayout, QWidget

from .core.common.files import RECORD
from .panel.ensemble import EnsemblePage
from .panel.header import Header
from .panel.run import RunPage
from .panel.runbar import RunBar
from .panel.screening import ScreeningBar
from .panel.state import PanelState
from .panel.widgets import MARGIN, MessageStrip, plain_layout
from .session.jobs import JobEnd
from .session.log import path_text

NAME = "SIREn"
HELP = "help:user/tools/siren.html"
EXAMPLE = Path("~/siren-example/volumes")  # as in the help page
STATE_VERSION = 1


class SirenTool(ToolInstance):
    """The panel. Runs belong to the session: they continue when the panel is closed."""

    SESSION_ENDURING = False
    SESSION_SAVE = True
    help = HELP

    def __init__(self, session: Any, tool_name: str = NAME, restored: bool = False):
        # chimerax.ui is missing without windows, where a session may still be opened
        from chimerax.ui import MainToolWindow

        super().__init__(session, tool_name)
        self.display_name = NAME
        self.tool_window = MainToolWindow(self)
        area = self.tool_window.ui_area
        self.state = PanelState(session, area)
        self._build(area)
        self._example: Path | None = None
        self.state.said.connect(self.message.say)
        self.state.run_changed.connect(self._run_changed)
        self.state.job_ended.connect(self._job_ended)
        self.state.levels_changed.connect(self._levels_changed)
        self.tool_window.manage("side")
        if not restored:
            self._begin()

    @classmethod
    def get_singleton(cls, session: Any) -> SirenTool:
        """The session's panel, created if there is none yet."""
        tool: SirenTool = get_singleton(session, cls, NAME, create=True)
        return tool

    def _build(self, area: QWidget) -> None:
        state = self.state
        self.header = Header(state, area)
        self.header.example_wanted.connect(self.try_example)
        self.message = MessageStrip(area)
        self.tabs = QTabWidget(area)
        self.tabs.setDocumentMode(True)
        self.ensemble, self.run_page = EnsemblePage(state, self.tabs), RunPage(state, self.tabs)
        self.blocks, self.plots = _result_pages(self.session, state.execute, self.tabs)
        self.pages = {
            "ensemble": self.ensemble,
            "run": self.run_page,
            "blocks": self.blocks,
            "plots": self.plots,
        }
        for name, page in self.pages.items():
            if page is not None:
                self.tabs.addTab(page, name.capitalize())
        help_button = QToolButton(area)
        help_button.setText("?")
        help_button.setAutoRaise(True)
        help_button.setToolTip("Help for this page")
        help_button.clicked.connect(self.show_help)
        self.tabs.setCornerWidget(help_button)
        self.run_bar = RunBar(state, self.run_page.run_all, area)
        self.run_bar.busy_changed.connect(lambda _: self.run_page.refresh())
        self.screening = ScreeningBar(state, area)
        layout = QVBoxLayout(area)
        plain_layout(layout, MARGIN)
        for widget in (self.header, self.message):
            layout.addWidget(widget)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.screening)
        layout.addWidget(self.run_bar)
        for page in (self.blocks, self.plots):
            if page is not None:
                page.volume_requested.connect(self.show_volume)
        if self.blocks is not None:
            self.blocks.run_changed.connect(state.set_run)

    def _begin(self) -> None:
        """Start with the choices and volumes of last time."""
        self.state.set_choices(self.state.settings.choices)
        recent = self.state.settings.recent
        if recent and Path(recent[0]).expanduser().is_dir():
            self.state.set_volumes(recent[0])
        self.state.show_open_blocks()

    def delete(self) -> None:
        """Close the panel; a run in progress continues."""
        self.screening.give_up()
        self.state.close()
        super().delete()

    # --- requests from the pages

    def show_volume(self, name: str) -> None:
        """Show a volume at its contour level and make it the current row of the list."""
        self.ensemble.table.go_to(name)
        self.ensemble.show_volume(name)

    def show_help(self) -> None:
        """Open the help for the current page."""
        name = next(n for n, page in self.pages.items() if page is self.tabs.currentWidget())
        self.state.execute(f"help {HELP}#{name}")

    def try_example(self) -> None:
        """Make the example, or use the one made earlier."""
        folder = EXAMPLE.expanduser()
        if (folder / "truth.json").is_file():
            self.state.set_volumes(str(folder))
            return
        self._example = folder
        self.state.execute(f"siren example {path_text(folder)}")

    def _job_ended(self, end: JobEnd) -> None:
        if end.name == "siren example" and self._example is not None:
            folder, self._example = self._example, None
            if end.error is None:
                self.state.set_volumes(str(folder))

    def _run_changed(self) -> None:
        folder = self.state.run_folder
        self.blocks.set_run(folder, self.state.run)
        self.plots.set_run(folder)

    def _levels_changed(self) -> None:
        if self.plots is not None:
            self.plots.set_thresholds(self.state.threshold_table)

    # --- sessions

    def take_snapshot(self, session: Any, flags: int) -> dict[str, Any]:
        """The state of the panel as plain values."""
        state = self.state
        return {
            "version": STATE_VERSION,
            "shown": self.tool_window.shown,
            "volumes": state.volumes,
            "excluded": sorted(state.excluded),
            "choices": state.choices(),
            "run": str(state.run_folder or ""),
            "page": self.tabs.currentIndex(),
        }

    @classmethod
    def restore_snapshot(cls, session: Any, data: dict[str, Any]) -> SirenTool | None:
        """Restore the panel; a message names what has gone missing. None without windows."""
        if not session.ui.is_gui:
            return None
        tool = cls(session, NAME, restored=True)
        tool.state.set_choices(data["choices"])
        tool.state.set_volumes(data["volumes"], set(data["excluded"]))
        if data["run"]:
            folder = Path(data["run"])
            if (folder / RECORD).is_file():
                tool.state.set_run(folder)
            else:
                tool.state.said.emit(
                    f"{folder} no longer exists. The open blocks were restored from the "
                    "session, but their table and plots need that folder.",
                    True,
                )
        tool.tabs.setCurrentIndex(data["page"])
        tool.tool_window.shown = data["shown"]
        return tool


def _result_pages(session: Any, execute: Any, parent: QWidget) -> tuple[Any, Any]:
    from .panel.blocks import BlocksPage
    from .panel.plots import PlotsPage

    return BlocksPage(session, execute, parent), PlotsPage(session, execute, parent)


def run_toolbar_button(session: Any, name: str) -> None:
    """Carry out a toolbar button: ``panel``, ``open`` or ``stop``."""
    if name == "panel":
        run(session, "ui tool show SIREn")
    elif name == "stop":
        run(session, "siren stop")
    elif name == "open":
        folder = QFileDialog.getExistingDirectory(
            None, "Folder of a sketch or expansion (00_sketch, 02_expand)"
        )
        if folder:
            run(session, f"siren open {path_text(Path(folder))}")
