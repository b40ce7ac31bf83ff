"""The Plots page: contour levels, blocks by volumes, blocks by blocks, volumes as points; a click
shows the volume.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from chimerax.core.models import ADD_MODELS, MODEL_NAME_CHANGED, REMOVE_MODELS
from matplotlib.figure import Figure
from Qt.QtCore import Signal
from Qt.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ..core.analysis.landscape import Landscape
from ..core.common.progress import Progress
from ..core.figures.colors import folder_colors
from ..core.figures.draw import Content, draw
from ..core.figures.theme import Drawn, Labels, Pick, Theme
from ..core.runs.record import read_record
from ..core.runs.steps import open_run, run_states
from ..core.thresholds.tables import table_levels
from ..session.landscape import known_landscape
from ..session.scene import open_labels
from ..session.words import path_text
from .background import Background
from .figure import SMALLEST, FigureView
from .widgets import Page, plain_layout, while_alive

CHOICES = (
    ("thresholds", "Contour levels"),
    ("states", "Blocks in volumes"),
    ("correlation", "Correlation of blocks"),
    ("conditional", "Blocks given other blocks"),
    ("scatter", "Volumes as points"),
)
# pixels of height around the rows of blocks, and of each row: their names are not on each other
AROUND, ROW = {"states": 85, "correlation": 50, "conditional": 50}, 11
FORMATS = "PNG picture (*.png);;PDF document (*.pdf);;SVG drawing (*.svg)"
ANY_COUNT = "number of blocks"


class PlotsPage(Page):
    """Figures of a run.

    Parameters
    ----------
    session : ChimeraX session
    execute : runs a command and logs it
    """

    volume_requested = Signal(str)
    volumes_chosen = Signal(list)  # names of the volumes that were encircled
    run_changed = Signal(object)  # never emitted here; the tool connects all pages alike

    def __init__(self, session: Any, execute: Callable[[str], Any], parent: QWidget | None = None):
        super().__init__(parent)
        self.session, self._execute = session, execute
        self._folder: Path | None = None
        self._table: Path | None = None
        self._content: Content | None = None
        self._latent: Landscape | None = None
        self._labels = Labels()
        self._reader = Background(self)
        self._reader.done.connect(self._has_read)
        self._reader.said.connect(self._redraw)
        self._build()
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
        self.choice.currentIndexChanged.connect(self._kind_changed)
        self.save_button = QPushButton("Save...", self, clicked=self._save)
        self.save_button.setToolTip("Save the figure as PNG, PDF or SVG (siren plot)")
        self.table_button = QPushButton("Table...", self, clicked=self._save_table)
        self.table_button.setToolTip(
            "Save the occupied share of each block in each volume as a table (siren states)"
        )
        self.view = FigureView(self)
        self.setFocusProxy(self.view)  # the keys of the page act there
        self.figure, self.canvas, self.caption = (
            self.view.figure,
            self.view.canvas,
            self.view.caption,
        )
        self.view.clicked.connect(self._click)
        self.view.outlined.connect(self._outlined)
        self.block = QComboBox(self)
        self.block.setToolTip("Choose a block here or by clicking in the figure")
        self.pair_button = QPushButton("Volumes with and without", self, clicked=self._pair)
        self.pair_button.setToolTip(
            "Open two volumes side by side that differ in this block and as little as possible in "
            "all others (siren representatives)"
        )
        self.color = QComboBox(self)
        self.color.setToolTip(
            "What colors the volumes: how many blocks each has, or the occupied share of a block"
        )
        self.color.currentIndexChanged.connect(self._color_changed)
        self.places = QComboBox(self)
        self.places.addItem("placed by states", False)
        self.places.addItem("placed by latent", True)
        self.places.setToolTip(
            "What places the volumes: the shares of their blocks, or their coordinates in latent "
            "space, which were found beside them"
        )
        self.places.hide()
        self.places.currentIndexChanged.connect(self._color_changed)
        self._below = QStackedWidget(self)
        for words, *widgets in (
            ("Block", self.block, self.pair_button),
            ("Color", self.color, self.places),
        ):
            row = QWidget(self)
            line = QHBoxLayout(row)
            plain_layout(line)
            line.addWidget(QLabel(words, row))
            for widget in widgets:
                line.addWidget(widget, 0 if widget in (self.pair_button, self.places) else 1)
            self._below.addWidget(row)
        above = QHBoxLayout()
        for widget in (self.choice, self.table_button, self.save_button):
            above.addWidget(widget, 1 if widget is self.choice else 0)
        layout = QVBoxLayout(self.content)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(4)
        layout.addLayout(above)
        layout.addWidget(self.view, 1)
        layout.addWidget(self._below)

    # --- reading, in a thread

    def _start(self) -> None:
        """Read the run or the table, and cancel any earlier reading."""
        self._reader.cancel()
        self._content, self._latent, self._labels = None, None, Labels()
        folder, table = self._folder, self._table
        self._fill_blocks()
        if folder is None and table is None:
            self._redraw("No run yet: predict contour levels, or run a sketch.")
            return
        self._redraw("Reading ...")
        self._reader.start("siren plots", partial(read_content, folder, table))

    @property
    def _reading(self) -> Progress | None:
        return self._reader.token

    def _has_read(self, result: tuple[Content, Landscape | None, Labels]) -> None:
        self._content, self._latent, self._labels = result
        self._fill_blocks()
        self._follow_models()
        if self._content.states is None and self.kind != "thresholds":
            self.choice.setCurrentIndex(0)
        self._redraw()

    def _fill_blocks(self) -> None:
        states = self._content.states if self._content else None
        for combo in (self.block, self.color):
            chosen = combo.currentData()
            combo.blockSignals(True)
            combo.clear()
            if combo is self.color:
                combo.addItem(ANY_COUNT, None)
            for number in states.numbers if states else ():
                word = "block " if combo is self.color else ""
                combo.addItem(f"{word}{self._labels.text(number)}", number)
            combo.setCurrentIndex(max(0, combo.findData(chosen)) if chosen is not None else 0)
            combo.blockSignals(False)
        self.places.setVisible(self._latent is not None)
        for widget in (self.block, self.color, self.pair_button, self.table_button):
            widget.setEnabled(states is not None)

    def _follow_models(self) -> None:
        """Give blocks the colors and names of their open surfaces."""
        now = open_labels(self.session, self._folder, self._labels)
        if now != self._labels:
            renamed = now.names != self._labels.names
            self._labels = now
            if renamed:
                self._fill_blocks()
            self._redraw()

    # --- drawing

    def _kind_changed(self, _: int) -> None:
        self._below.setCurrentIndex(1 if self.kind == "scatter" else 0)
        if self._content is not None:
            self._redraw()

    def _color_changed(self, _: int) -> None:
        self._redraw()

    def _redraw(self, message: str = "") -> None:
        if message or self._content is None:
            self.view.show_figure(None, message)
        else:
            states, around = self._content.states, AROUND.get(self.kind)
            rows = 0 if states is None or around is None else len(states.numbers)
            self.view.canvas.setMinimumHeight(max(SMALLEST.height(), (around or 0) + ROW * rows))
            self.view.show_figure(self._fill)
        self.save_button.setEnabled(self._content is not None)

    def _fill(self, figure: Figure, theme: Theme) -> Drawn:
        content = self._content
        assert content is not None
        if self._by_latent:
            content = replace(content, landscape=self._latent)
        return draw(figure, self.kind, content, self._labels, theme, self.color.currentData())

    @property
    def _by_latent(self) -> bool:
        """Whether the points are in latent space."""
        return self._latent is not None and bool(self.places.currentData())

    def mark(self, names: Collection[str]) -> None:
        """Mark these volumes where they are points."""
        self.view.mark(names)

    def _click(self, pick: Pick) -> None:
        if pick.block is not None:
            self.block.setCurrentIndex(self.block.findData(pick.block))
        if pick.volume:
            self.volume_requested.emit(pick.volume)

    def _outlined(self, names: list[str]) -> None:
        count = len(names)
        if count:
            word = "volume" if count == 1 else "volumes"
            self.view.say(f"{count:,} {word} selected in the list on the Ensemble page.")
        self.volumes_chosen.emit(names)

    # --- buttons

    def _source(self) -> str:
        """The run or table shown, as text for a command."""
        return path_text(self._folder or self._table or Path())

    def _save(self) -> None:
        path = self._ask_path("Save the figure", f"{self.kind}.png", FORMATS)
        if path:
            more = ""
            if self.kind == "scatter":
                block = self.color.currentData()
                more = "" if block is None else f"block {block} "
                more += "latent true " if self._by_latent else ""
            self._execute(
                f"siren plot {self._source()} {self.kind} {more}saveFile {path_text(Path(path))}"
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
) -> tuple[Content, Landscape | None, Labels]:
    """The data for the figures of a run, or of a table of thresholds, and its volumes in latent
    space if that is known.

    Raises
    ------
    SirenError
        If it cannot be read.
    Cancelled
        If another reading has started.
    """
    if folder is None:
        assert table is not None
        return Content.of(*table_levels(table)), None, Labels()
    record = read_record(folder)
    run = open_run(folder)
    labels = Labels(run.blocks.names, dict(folder_colors(folder, run.blocks)))
    states = run_states(folder, progress=progress) if len(run.blocks) else None
    latent = known_landscape(states.names, record.paths(states.names)) if states else None
    return Content.of(*record.known_levels, states), latent, labels
