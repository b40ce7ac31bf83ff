"""The SIREn panel: ChimeraX's ToolInstance and its layout; the pages are in :mod:`.panel`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimerax.core.commands import run
from chimerax.core.tools import ToolInstance, get_singleton
from Qt.QtCore import QTimer
from Qt.QtWidgets import QFileDialog, QTabWidget, QToolButton, QVBoxLayout, QWidget

from .core.common.files import RECORD
from .panel.docking import KeptHeight
from .panel.ensemble import EnsemblePage
from .panel.find import FindKey
from .panel.header import Header
from .panel.run import RunPage
from .panel.runbar import RunBar
from .panel.screening import ScreeningBar
from .panel.state import PanelState
from .panel.widgets import (
    MessageStrip,
    NarrowTabs,
    Page,
    PageKey,
    Squeezed,
    WheelGuard,
    add_key,
    ask_folder,
    busy_cursor,
    plain_layout,
)
from .session import libraries
from .session.jobs import JobEnd
from .session.words import path_text

if TYPE_CHECKING:
    from .panel.blocks import BlocksPage
    from .panel.levels import LevelsPage
    from .panel.plots import PlotsPage
    from .panel.relations import RelationsPage

NAME = "SIREn"
HELP = "help:user/tools/siren.html"
EXAMPLE = Path("~/siren-example/volumes")  # as in the help page
STATE_VERSION = 2
PAGES_OF_1 = ("ensemble", "run", "blocks", "plots")  # of sessions of version 1, by their number
WITH_FIGURES = ("plots", "relations")
PAGES = ("ensemble", "levels", "run", "blocks", "plots", "relations")  # in the order of their tabs
LOW = 380  # pixels of height, as docked on a laptop
LOWEST = 290  # the same beside Volume Viewer
SPACING = 4  # pixels between the parts of the panel: a laptop's screen is low
LOOK = 30  # ms between looks at whether the libraries are there


class SirenTool(ToolInstance):
    """The panel. Runs belong to the session: they continue when the panel is closed."""

    SESSION_ENDURING = False
    SESSION_SAVE = True
    help = HELP

    def __init__(self, session: Any, tool_name: str = NAME, restored: bool = False):
        # chimerax.ui is missing without windows, where a session may still be opened
        from chimerax.ui import MainToolWindow

        super().__init__(session, tool_name)
        libraries.shown_waiting[:] = [busy_cursor]
        self.display_name = NAME
        self.tool_window = MainToolWindow(self)
        area = self.tool_window.ui_area
        self.state = PanelState(session, area)
        self._levels: LevelsPage | None = None
        self._blocks: BlocksPage | None = None
        self._relations: RelationsPage | None = None
        self._plots: PlotsPage | None = None
        self._wheel = WheelGuard(area)
        self._page_waits = QTimer(area)
        self._page_waits.setInterval(LOOK)
        self._build(area)
        self._example: Path | None = None
        self._libraries = QTimer(area)
        self._page_waits.timeout.connect(self._show_page)
        self.state.said.connect(self.message.say)
        self.state.offered.connect(self.message.offer)
        self.message.button.clicked.connect(self.state.accept_offer)
        self.state.locating.connect(self.locate)
        self.state.run_changed.connect(self._run_changed)
        self.state.job_ended.connect(self._job_ended)
        self.state.levels_changed.connect(self._levels_changed)
        self.tool_window.manage("side")
        KeptHeight(area)
        if not restored:
            self._begin()

    @classmethod
    def get_singleton(cls, session: Any) -> SirenTool:
        """The session's panel, created if there is none yet."""
        tool: SirenTool = get_singleton(session, cls, NAME, create=True)
        return tool

    def _build(self, area: QWidget) -> None:
        state = self.state
        panel = Squeezed(area)
        plain_layout(around := QVBoxLayout(area))
        around.addWidget(panel)
        body = panel.content
        panel.resized.connect(self._make_room)
        self.header = Header(state, body)
        self.header.example_wanted.connect(self.try_example)
        self.tabs = QTabWidget(body)
        self.tabs.setTabBar(NarrowTabs(self.tabs))
        self.tabs.setDocumentMode(True)
        self.ensemble, self.run_page = EnsemblePage(state, self.tabs), RunPage(state, self.tabs)
        # the others are slow to import: an empty page waits in the place of each
        for number, name in enumerate(PAGES, 1):
            page = {"ensemble": self.ensemble, "run": self.run_page}.get(name)
            self.tabs.addTab(page or Page(self.tabs), name.capitalize())
            self.tabs.setTabToolTip(number - 1, PageKey(self.tabs, number).text)
        self.tabs.currentChanged.connect(self._page_shown)
        self.run_page.changed.connect(self._mark_run_page)
        help_button = QToolButton(body)
        help_button.setText("?")
        help_button.setAutoRaise(True)
        help_button.setToolTip("Help for this page")
        help_button.clicked.connect(self.show_help)
        add_key(body, "F1", help_button)
        self.tabs.setCornerWidget(help_button)
        self.run_bar = RunBar(state, self.run_page.run_all, body)
        self.run_bar.busy_changed.connect(lambda _: self.run_page.refresh())
        self.screening = ScreeningBar(state, body)
        self.run_bar.busy_changed.connect(lambda _: self.screening.refresh())
        self.message = MessageStrip(self.run_bar, self.screening, body)
        layout = QVBoxLayout(body)
        plain_layout(layout, SPACING, SPACING)
        layout.addWidget(self.header)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.screening)
        layout.addWidget(self.run_bar)
        # from the pages down to the last row, as they are seen
        after = (self.screening.keep, self.run_bar.run_all, self.run_bar.stop)
        for before, then in pairwise(after):
            QWidget.setTabOrder(before, then)
        self._wheel.protect(area)
        FindKey(area, self.find_volumes)

    # --- pages that are made when they are first needed

    @property
    def levels(self) -> LevelsPage:
        """The Levels page."""
        if self._levels is None:
            libraries.wait_for(libraries.NUMBERS)
            from .panel.levels import LevelsPage

            self._levels = LevelsPage(self.state, self.tabs)
            self.ensemble.shown.connect(self._levels.volume_shown)
            self._place("levels", self._levels)
            self._levels.begin()
        return self._levels

    @property
    def blocks(self) -> BlocksPage:
        """The Blocks page."""
        if self._blocks is None:
            libraries.wait_for(libraries.NUMBERS)
            from .panel.blocks import BlocksPage

            self._blocks = BlocksPage(self.session, self.state.execute, self.tabs)
            self._blocks.run_changed.connect(self.state.set_run)
            self._blocks.lines_wanted.connect(self.state.execute_in_turn)
            self._blocks.refreshed.connect(self.state.follow_blocks)
            self._place("blocks", self._blocks)
            self._show_run(self._blocks)
        return self._blocks

    @property
    def relations(self) -> RelationsPage:
        """The Relations page."""
        if self._relations is None:
            libraries.wait_for(libraries.FIGURES)
            from .panel.relations import RelationsPage

            self._relations = RelationsPage(self.session, self.state.execute, self.tabs)
            self._relations.blocks_asked.connect(self.ensemble.ask_blocks)
            self.state.states_changed.connect(self._relations.follow_blocks)
            self._place("relations", self._relations)
            self._relations.set_run(self.state.run_folder)
        return self._relations

    @property
    def plots(self) -> PlotsPage:
        """The Plots page."""
        if self._plots is None:
            libraries.wait_for(libraries.FIGURES)
            from .panel.plots import PlotsPage

            self._plots = PlotsPage(self.session, self.state.execute, self.tabs)
            self._place("plots", self._plots)
            self._plots.volumes_chosen.connect(self.ensemble.select)
            self.ensemble.selected.connect(self._plots.mark)
            self._plots.mark(self.ensemble.table.selected())
            self._plots.set_thresholds(self.state.threshold_table)
            self._plots.set_run(self.state.run_folder)
        return self._plots

    @property
    def pages(self) -> dict[str, Page]:
        """All pages by name."""
        first = (self.ensemble, self.levels, self.run_page)
        pages = (*first, self.blocks, self.plots, self.relations)
        return dict(zip(PAGES, pages, strict=True))

    def _place(self, name: str, page: LevelsPage | BlocksPage | RelationsPage | PlotsPage) -> None:
        """Put a page in the place of the empty one."""
        page.volume_requested.connect(self.show_volume)
        self._wheel.protect(page)
        index, current = PAGES.index(name), self.tabs.currentIndex()
        self.tabs.blockSignals(True)
        empty = self.tabs.widget(index)
        self.tabs.removeTab(index)
        self.tabs.insertTab(index, page, name.capitalize())
        self.tabs.setTabToolTip(index, PageKey.tip(index + 1))
        self.tabs.setCurrentIndex(current)
        self.tabs.blockSignals(False)
        empty.deleteLater()

    def _page_shown(self, index: int) -> None:
        """Make a page when it is first shown, once the libraries that it needs are there."""
        self._make_room()
        self._page_waits.stop()
        name = PAGES[index]
        if self.state.closed or name in ("ensemble", "run"):
            return
        group = libraries.FIGURES if name in WITH_FIGURES else libraries.NUMBERS
        if libraries.load().ready(group):
            getattr(self, name)
        else:
            self._page_waits.start()

    def _make_room(self) -> None:
        """Leave a figure, or the table of blocks, the room of the screening bar where the panel is
        low, unless blocks are being screened.
        """
        if self.state.closed:
            return
        page = PAGES[self.tabs.currentIndex()]
        low = {"blocks": LOWEST, **dict.fromkeys(WITH_FIGURES, LOW)}.get(page, 0)
        height = self.tool_window.ui_area.height()
        self.screening.setVisible(height >= low or self.screening.alive)

    def _show_page(self) -> None:
        if not self.state.closed:
            self._page_shown(self.tabs.currentIndex())

    def _mark_run_page(self, changes: str) -> None:
        """Show at its tab that parameters differ from their defaults."""
        run = PAGES.index("run")
        self.tabs.setTabText(run, "Run •" if changes else "Run")
        tip = PageKey.tip(run + 1)
        self.tabs.setTabToolTip(run, f"Not the defaults: {changes} ({tip})" if changes else tip)

    def _begin(self) -> None:
        """Start with the volumes of last time and the open blocks, once the libraries to read them
        are there.
        """
        self._libraries.timeout.connect(self._look_for_libraries)
        self._libraries.start(LOOK)
        libraries.load().ready(libraries.NUMBERS, 0.01)  # at once if they have been there before
        self._look_for_libraries()

    def _look_for_libraries(self) -> None:
        if self.state.closed:  # the window may have gone first
            return
        if not libraries.load().ready(libraries.NUMBERS):
            return
        self._libraries.stop()
        if self.state.volumes:
            return
        recent = self.state.settings.recent
        if self.header.typing:
            recent = []  # others are being typed
        if recent and Path(recent[0]).expanduser().is_dir():
            self.state.set_volumes(recent[0])
        self.state.show_open_blocks()

    def delete(self) -> None:
        """Close the panel; a run in progress continues."""
        if self.state.closed:  # the window may have gone first
            self.screening.put_back()
        else:
            self._libraries.stop()
            self._page_waits.stop()
            self.run_bar.close_down()
            self.screening.give_up()
            for page in (self._levels, self._blocks):
                if page is not None:
                    page.leave()
            self.ensemble.player.pause()
        self.state.close()
        super().delete()

    # --- requests from the pages

    def show_volume(self, name: str, level: float | None = None) -> None:
        """Show a volume at its contour level, or another, and make it the current row of the
        list.
        """
        self.ensemble.table.go_to(name)
        self.ensemble.show_volume(name, level)

    def find_volumes(self) -> None:
        """Begin a search in the list of volumes that is shown, or else of the Ensemble page."""
        levels = self._levels
        if levels is None or self.tabs.currentWidget() is not levels:
            self.tabs.setCurrentWidget(self.ensemble)
            self.ensemble.find.begin()
        else:
            levels.find.begin()

    def show_help(self) -> None:
        """Open the help for the current page."""
        name = PAGES[self.tabs.currentIndex()]
        self.state.execute(f"help {HELP}#{name}")

    def locate(self) -> None:
        """Ask where the volumes and results shown are now."""
        state = self.state
        gone = state.volumes if state.lost else str(state.run_folder or "")
        folder = ask_folder(self.tool_window.ui_area, "Where the volumes or results are now", gone)
        if folder:
            state.locate(Path(folder))

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
        # with a run there is something to follow: names, edits, a set that is saved elsewhere
        if self._blocks is not None:
            self._show_run(self._blocks)
        elif folder is not None:
            _ = self.blocks
        for page in (self._relations, self._plots):
            if page is not None:
                page.set_run(folder)

    def _show_run(self, page: BlocksPage) -> None:
        state = self.state
        page.set_run(state.run_folder, state.run, state.reader.reads_run)

    def _levels_changed(self) -> None:
        if self._plots is not None:
            self._plots.set_thresholds(self.state.threshold_table)

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
            "page": PAGES[self.tabs.currentIndex()],
        }

    @classmethod
    def restore_snapshot(cls, session: Any, data: dict[str, Any]) -> SirenTool | None:
        """Restore the panel; a message names what has gone missing. None without windows."""
        if not session.ui.is_gui:
            return None
        tool = cls(session, NAME, restored=True)
        tool.state.set_volumes(data["volumes"], set(data["excluded"]), data["choices"])
        if data["run"]:
            folder = Path(data["run"])
            tool.state.show_folder(folder)
            if not (folder / RECORD).is_file():
                tool.state.tell_gone(folder)
        page = data["page"]
        tool.tabs.setCurrentIndex(PAGES.index(PAGES_OF_1[page] if isinstance(page, int) else page))
        tool.tool_window.shown = data["shown"]
        libraries.load()
        return tool


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
