"""The Plots page: contour levels, blocks by volumes, blocks by blocks; a click shows the volume."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from chimerax.core.models import ADD_MODELS, MODEL_NAME_CHANGED, REMOVE_MODELS
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from Qt.QtCore import QEvent, QSize, Qt, Signal
from Qt.QtGui import QPalette
from Qt.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from ..core.common.errors import Cancelled, SirenError
from ..core.common.progress import Progress
from ..core.figures.colors import folder_colors
from ..core.figures.draw import Content, draw
from ..core.figures.theme import Drawn, Labels, Pick, Theme
from ..core.runs.record import read_record
from ..core.runs.steps import open_run, run_states
from ..core.thresholds.tables import table_levels
from ..session.scene import blocks_of, set_of
from ..session.surfaces import own_color
from ..session.words import path_text
from .widgets import Page, single_shot, while_alive

CHOICES = (
    ("thresholds", "Contour levels"),
    ("states", "Blocks in volumes"),
    ("correlation", "Correlation of blocks"),
    ("conditional", "Blocks given other blocks"),
    ("graph", "What depends on what"),
)
FORMATS = "PNG picture (*.png);;PDF document (*.pdf);;SVG drawing (*.svg)"
SMALLEST = QSize(220, 240)  # pixels
RESIZED = 120  # ms without a change of size until writing is fitted to it


class _Canvas(FigureCanvasQTAgg):
    """A canvas that takes what is left of the panel: matplotlib's would ask for 640 by 480."""

    def sizeHint(self) -> QSize:
        """Override for Qt."""
        return SMALLEST

    def minimumSizeHint(self) -> QSize:
        """Override for Qt."""
        return SMALLEST


class PlotsPage(Page):
    """Figures of a run.

    Parameters
    ----------
    session : ChimeraX session
    execute : runs a command and logs it
    """

    volume_requested = Signal(str)
    run_changed = Signal(object)  # never emitted here; the tool connects all pages alike
    # from the thread: its Progress, and (Content, Labels), progress in words, or an error message
    _read = Signal(object, object)

    def __init__(self, session: Any, execute: Callable[[str], Any], parent: QWidget | None = None):
        super().__init__(parent)
        self.session, self._execute = session, execute
        self._folder: Path | None = None
        self._table: Path | None = None
        self._content: Content | None = None
        self._labels = Labels()
        self._drawn = Drawn("")
        self._stale = True
        self._reading: Progress | None = None
        self._build()
        self._read.connect(self._has_read)
        self._draw_soon = single_shot(self, 0, self._draw)
        self._drawn_size: Any = None
        self._fit_soon = single_shot(self, RESIZED, self._fit)
        self.canvas.mpl_connect("resize_event", lambda _: self._fit_soon.start())
        follow = while_alive(self, lambda *_: self._follow_models())
        for name in (ADD_MODELS, REMOVE_MODELS, MODEL_NAME_CHANGED):
            session.triggers.add_handler(name, follow)
        self._start()

    def set_run(self, folder: Path | None) -> None:
        """Show a finished run; None empties the page."""
        self._folder = folder
        self._start()

    def set_thresholds(self, table_csv: Path | None) -> None:
        """Show the contour levels of a table of predictions while there is no run to show."""
        self._table = table_csv
        if self._folder is None:
            self._start()

    @property
    def kind(self) -> str:
        """The kind of figure shown, as in ``siren plot``."""
        return str(self.choice.currentData())

    # --- widgets

    def _build(self) -> None:
        self.choice = QComboBox(self)
        for kind, text in CHOICES:
            self.choice.addItem(text, kind)
        self.choice.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.choice.setMinimumContentsLength(12)
        self.choice.currentIndexChanged.connect(lambda *_: self._redraw())
        self.save_button = QPushButton("Save...", self, clicked=self._save)
        self.save_button.setToolTip("Save the figure as PNG, PDF or SVG (siren plot)")
        self.table_button = QPushButton("Table...", self, clicked=self._save_table)
        self.table_button.setToolTip(
            "Save the occupied share of each block in each volume as a table (siren states)"
        )
        self.figure = Figure(layout="constrained")
        self.canvas = _Canvas(self.figure)
        self.canvas.setParent(self)
        self.canvas.setMinimumSize(SMALLEST)
        self.canvas.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.canvas.mpl_connect("motion_notify_event", self._hover)
        self.canvas.mpl_connect("axes_leave_event", lambda _: self._say(self._drawn.caption))
        self.canvas.mpl_connect("button_press_event", self._click)
        self.caption = QLabel(self)
        self.caption.setWordWrap(True)
        # keep the figure from jumping when the text changes
        self.caption.setMinimumHeight(3 * self.caption.fontMetrics().lineSpacing())
        self.caption.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.caption.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.block = QComboBox(self)
        self.block.setToolTip("Choose a block here or by clicking in the figure")
        self.pair_button = QPushButton("Volumes with and without", self, clicked=self._pair)
        self.pair_button.setToolTip(
            "Open two volumes side by side that differ in this block and as little as possible in "
            "all others (siren representatives)"
        )
        layout = QVBoxLayout(self.content)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        for row, stretch in (
            ([self.choice, self.table_button, self.save_button], 0),
            ([self.canvas], 1),
            ([self.caption], 0),
            ([QLabel("Block", self), self.block, self.pair_button], 0),
        ):
            line = QHBoxLayout()
            for widget in row:
                line.addWidget(
                    widget,
                    1 if widget in (self.choice, self.canvas, self.caption, self.block) else 0,
                )
            layout.addLayout(line, stretch)

    # --- reading, in a thread

    def _start(self) -> None:
        """Read the run or the table, and cancel any earlier reading."""
        if self._reading is not None:
            self._reading.cancel()
        self._content, self._labels, self._drawn = None, Labels(), Drawn("")
        folder, table = self._folder, self._table
        self._fill_blocks()
        if folder is None and table is None:
            self._reading = None
            self._redraw("No run yet: predict contour levels, or run a sketch.")
            return
        self._redraw("Reading ...")
        mine = Progress(
            lambda phase, fraction: self._tell(
                mine, f"{phase[:1].upper()}{phase[1:]}: {100 * fraction:.0f} %"
            )
        )
        self._reading = mine
        threading.Thread(
            target=self._work, args=(mine, folder, table), name="siren plots", daemon=True
        ).start()

    def _work(self, mine: Progress, folder: Path | None, table: Path | None) -> None:
        try:
            result: Any = read_content(folder, table, mine)
        except Cancelled:
            return
        except SirenError as error:
            result = str(error)
        self._tell(mine, result)

    def _tell(self, mine: Progress, result: Any) -> None:
        with suppress(RuntimeError):  # the page has been closed
            self._read.emit(mine, result)

    def _has_read(self, mine: Progress, result: Any) -> None:
        if mine is not self._reading:
            return
        if isinstance(result, str):
            self._redraw(result)
            return
        self._content, self._labels = result
        self._reading = None
        self._fill_blocks()
        self._follow_models()
        if self._content.states is None and self.kind != "thresholds":
            self.choice.setCurrentIndex(0)
        self._redraw()

    def _fill_blocks(self) -> None:
        states = self._content.states if self._content else None
        self.block.clear()
        for number in states.numbers if states else ():
            self.block.addItem(f"{self._labels.text(number)}", number)
        for widget in (self.block, self.pair_button, self.table_button):
            widget.setEnabled(states is not None)

    def _follow_models(self) -> None:
        """Give blocks the colors and names of their open surfaces."""
        group = None if self._folder is None else set_of(self.session, self._folder)
        models = [] if group is None else blocks_of(group)
        colors = {m.siren_block: own_color(m) for m in models}
        names = {m.siren_block: m.given_name for m in models}
        now = Labels({**self._labels.names, **names}, {**self._labels.colors, **colors})
        if now != self._labels:
            renamed = now.names != self._labels.names
            self._labels = now
            if renamed:
                chosen = self.block.currentData()
                self._fill_blocks()
                self.block.setCurrentIndex(max(0, self.block.findData(chosen)))
            self._redraw()

    def _fit(self) -> None:
        """Draw again for another size: what is written in small cells depends on it."""
        if self.canvas.size() != self._drawn_size:
            self._redraw()

    # --- drawing

    def _redraw(self, message: str = "") -> None:
        if message:
            self._drawn = Drawn(message)
            self.figure.clear()
        self._stale = True
        self._draw_soon.start(0)

    def _draw(self) -> None:
        """Draw now if the page is visible, otherwise once it is shown."""
        if not self._stale or not self.isVisible():
            return
        self._stale, self._drawn_size = False, self.canvas.size()
        theme = theme_of(self.palette())
        self.figure.set_facecolor(theme.background)
        if self._content is not None:
            try:
                self._drawn = draw(self.figure, self.kind, self._content, self._labels, theme)
            except SirenError as error:
                self.figure.clear()
                self._drawn = Drawn(str(error))
        self.save_button.setEnabled(self._content is not None and bool(self.figure.axes))
        self._say(self._drawn.caption)
        self.canvas.draw_idle()

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._draw_soon.start(0)

    def changeEvent(self, event: Any) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_draw_soon"):
            self._stale = True
            self._draw_soon.start(0)

    def _say(self, text: str) -> None:
        self.caption.setText(text)

    def _under(self, event: Any) -> Pick | None:
        return (
            self._drawn.pick(event.inaxes, event.xdata, event.ydata)
            if event.inaxes is not None
            else None
        )

    def _hover(self, event: Any) -> None:
        pick = self._under(event)
        self._say(pick.text if pick else self._drawn.caption)
        self.canvas.setCursor(
            Qt.CursorShape.PointingHandCursor
            if pick and pick.volume
            else Qt.CursorShape.ArrowCursor
        )

    def _click(self, event: Any) -> None:
        pick = self._under(event)
        if pick is None:
            return
        if pick.block is not None:
            self.block.setCurrentIndex(self.block.findData(pick.block))
        if pick.volume:
            self.volume_requested.emit(pick.volume)

    # --- buttons

    def _source(self) -> str:
        """The run or table shown, as text for a command."""
        return path_text(self._folder or self._table or Path())

    def _save(self) -> None:
        path = self._ask_path("Save the figure", f"{self.kind}.png", FORMATS)
        if path:
            self._execute(
                f"siren plot {self._source()} {self.kind} saveFile {path_text(Path(path))}"
            )

    def _save_table(self) -> None:
        path = self._ask_path("Save the table", "states.csv", "Table (*.csv)")
        if path:
            self._execute(f"siren states {self._source()} saveFile {path_text(Path(path))}")

    def _ask_path(self, title: str, name: str, formats: str) -> str:
        path, chosen = QFileDialog.getSaveFileName(self, title, name, formats)
        suffix = chosen.rpartition("*")[2].rstrip(")")
        return path + suffix if path and suffix and not Path(path).suffix else path

    def _pair(self) -> None:
        self._execute(f"siren representatives {self._source()} block {self.block.currentData()}")


def read_content(
    folder: Path | None, table: Path | None, progress: Progress
) -> tuple[Content, Labels]:
    """The data for the figures of a run, or of a table of thresholds.

    Raises
    ------
    SirenError
        If it cannot be read.
    Cancelled
        If another reading has started.
    """
    if folder is None:
        assert table is not None
        return Content.of(*table_levels(table)), Labels()
    levels = read_record(folder).known_levels
    run = open_run(folder)
    labels = Labels(run.blocks.names, dict(folder_colors(folder, run.blocks)))
    return Content.of(
        *levels, run_states(folder, progress=progress) if len(run.blocks) else None
    ), labels


def theme_of(palette: QPalette) -> Theme:
    """The figure theme that matches a window's palette."""
    return Theme.on(
        palette.color(QPalette.ColorRole.Window).name(),
        palette.color(QPalette.ColorRole.WindowText).name(),
    )
