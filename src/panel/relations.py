"""The Relations page: what depends on what, which combinations of blocks there are, and in which
order blocks come.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from chimerax.core.models import (
    ADD_MODELS,
    MODEL_NAME_CHANGED,
    MODEL_SELECTION_CHANGED,
    REMOVE_MODELS,
)
from matplotlib.figure import Figure
from Qt.QtCore import QModelIndex, Qt, Signal
from Qt.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ..core.analysis.relate import Related, relate
from ..core.analysis.selection import Selection
from ..core.common.errors import SirenError
from ..core.common.progress import Progress
from ..core.figures.colors import folder_colors
from ..core.figures.graph import draw_graph, graph_size
from ..core.figures.theme import Drawn, Labels, Pick, Theme
from ..core.runs.steps import open_run, run_states
from ..session.scene import blocks_of, open_labels, set_of
from ..session.surfaces import BlockMap, block_spec
from ..session.words import path_text
from .background import Background
from .combinations_table import CombinationsTable
from .figure import FigureView
from .widgets import Line, Page, plain_layout, single_shot, while_alive

FOLLOW = 60  # ms; changes of the selection in quick succession are followed together
BESIDE = 20  # pixels beside the text of a button
FORMATS = "PNG picture (*.png);;PDF document (*.pdf);;SVG drawing (*.svg)"
NONE_YET = "No blocks yet: run a sketch, or open blocks found earlier."
KEYS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier


class RelationsPage(Page):
    """The graph of a run's blocks, whose boxes select blocks, and the table of combinations, whose
    rows filter the list of volumes.

    Parameters
    ----------
    session : ChimeraX session
    execute : runs a command and logs it
    """

    volume_requested = Signal(str)
    blocks_asked = Signal(object)  # Selection of volumes
    run_changed = Signal(object)  # never emitted here; the tool connects all pages alike

    def __init__(self, session: Any, execute: Callable[[str], Any], parent: QWidget | None = None):
        super().__init__(parent)
        self.session, self._execute = session, execute
        self._folder: Path | None = None
        self._found: Related | None = None
        self._labels = Labels()
        self._stale = False  # the run has not been read yet
        self._reader = Background(self)
        self._reader.done.connect(self._has_read)
        self._reader.said.connect(self._say)
        self._build()
        self._follow_soon = single_shot(self, FOLLOW, self._follow)
        follow = while_alive(self, self._models_changed)
        for name in (ADD_MODELS, REMOVE_MODELS, MODEL_NAME_CHANGED, MODEL_SELECTION_CHANGED):
            session.triggers.add_handler(name, follow)
        self.set_run(None)

    def _build(self) -> None:
        self.title = Line(self)
        self.files_button = QPushButton("Files...", self)
        self.files_button.setToolTip(
            "Write the graph, and tables of pairs, states and order, into a folder (siren relate)"
        )
        self.files_button.clicked.connect(self._write)
        self.save_button = QPushButton("Save...", self)
        self.save_button.setToolTip("Save the graph as PNG, PDF or SVG (siren plot)")
        self.save_button.clicked.connect(self._save)
        self.view = FigureView(self)
        self.setFocusProxy(self.view)  # the keys of the page act there
        self.view.clicked.connect(self._clicked)
        self.order = Line(self)
        self.table = CombinationsTable(self)
        self.table.setToolTip(
            "Click: list these volumes on the Ensemble page. Double-click or Enter: show one"
        )
        self.table.selectionModel().currentRowChanged.connect(self._row_changed)
        self.table.activated.connect(self._activated)
        for button in (self.files_button, self.save_button):
            # styles ask for wider buttons than a narrow panel has room for
            width = button.fontMetrics().horizontalAdvance(button.text()) + BESIDE
            button.setMaximumWidth(width)
        above = QHBoxLayout()
        plain_layout(above)
        above.addWidget(self.title, 1)
        above.addWidget(self.files_button)
        above.addWidget(self.save_button)
        layout = QVBoxLayout(self.content)
        plain_layout(layout, 4, 4)
        layout.addLayout(above)
        layout.addWidget(self.view, 3)
        layout.addWidget(self.order)
        layout.addWidget(self.table, 1)
        self.setTabOrder(self.files_button, self.save_button)
        self.setTabOrder(self.save_button, self.view.canvas)
        self.setTabOrder(self.view.canvas, self.table)

    # --- reading

    def set_run(self, folder: Path | None) -> None:
        """Show a finished run; None empties the page. It is read once the page is seen."""
        self._reader.cancel()
        self._folder, self._found, self._stale = folder, None, folder is not None
        self._empty(NONE_YET if folder is None else "Reading ...")
        if self.isVisible():
            self._read()

    def showEvent(self, event: Any) -> None:
        """Override for Qt."""
        super().showEvent(event)
        self._read()

    def _read(self) -> None:
        if self._stale and self._folder is not None:
            self._stale = False
            self._reader.start("siren relations", partial(read_relations, self._folder))

    def _has_read(self, result: tuple[Related, Labels]) -> None:
        self._found, labels = result
        self._labels = open_labels(self.session, self._folder, labels)
        found = self._found
        blocks, volumes = len(found.states.numbers), len(found.states.names)
        worth = round(found.relations.effective)
        counted = f" (worth {worth:,})" if worth < volumes else ""
        self.title.say(
            f"{blocks} block{'s' * (blocks > 1)}, {volumes:,} volumes{counted}",
            found.relations.counted_as(),
        )
        self.order.say(found.order.text())
        self.table.combinations.show(
            found.combinations, volumes, found.states.numbers, self._labels
        )
        self._enable()
        self.view.make_room(*graph_size(found.graph, found.relations, self._labels))
        self.view.show_figure(self._fill)
        self._follow()

    def _say(self, words: str) -> None:
        """How far the reading is, or why it failed."""
        self._empty(words)

    def _empty(self, words: str) -> None:
        self.title.say("")
        self.order.say("")
        self.table.combinations.show((), 0, (), Labels())
        self.view.show_figure(None, words)
        self._enable()

    def _enable(self) -> None:
        for button in (self.files_button, self.save_button):
            button.setEnabled(self._found is not None)

    def _fill(self, figure: Figure, theme: Theme) -> Drawn:
        assert self._found is not None
        return draw_graph(figure, self._found.graph, self._found.relations, self._labels, theme)

    # --- the blocks of the session

    def _models_changed(self, *_: Any) -> None:
        self._follow_soon.start()

    def follow_blocks(self) -> None:
        """Follow names, colors and selection of the open blocks."""
        self._follow_soon.start()

    def _open_blocks(self) -> list[BlockMap]:
        group = None if self._folder is None else set_of(self.session, self._folder)
        return [] if group is None else blocks_of(group)

    def _follow(self) -> None:
        if self._found is None:
            return
        labels = open_labels(self.session, self._folder, self._labels)
        if labels != self._labels:
            self._labels = labels
            self.table.combinations.recolor(labels)
            self.view.redraw()
        chosen = [m for m in self._open_blocks() if m.get_selected(include_children=True)]
        self.view.frame([m.siren_block for m in chosen])

    def _clicked(self, pick: Pick) -> None:
        """Select a block; with Ctrl or Shift together with those selected, or no longer."""
        models = [m for m in self._open_blocks() if m.siren_block == pick.block]
        if not models:
            self.view.say(
                f"{pick.text} To select blocks, open them as surfaces: siren open, or the Blocks "
                "page."
            )
            return
        more = bool(QApplication.keyboardModifiers() & KEYS)
        word = ("subtract " if models[0].get_selected(include_children=True) else "add ") * more
        self._execute(f"select {word}{block_spec(models)}")

    # --- combinations

    def _row_changed(self, index: QModelIndex, _: QModelIndex | None = None) -> None:
        if not index.isValid() or self._found is None:
            return
        row = self._found.combinations[index.row()]
        absent = tuple(n for n in self._found.states.numbers if n not in row.blocks)
        asked = Selection(row.blocks, absent)
        self.view.say(f"{row.count:,} volumes, listed on the Ensemble page: {asked.words}.")
        self.blocks_asked.emit(asked)

    def _activated(self, index: QModelIndex) -> None:
        if self._found is not None:
            self.volume_requested.emit(self._found.combinations[index.row()].volume)

    # --- buttons

    def _write(self) -> None:
        folder = str(QFileDialog.getExistingDirectory(self, "Folder for the folder of relations"))
        if folder and self._folder is not None:
            self._execute(
                f"siren relate {path_text(self._folder)} outputDir {path_text(Path(folder))}"
            )

    def _save(self) -> None:
        path, chosen = QFileDialog.getSaveFileName(self, "Save the graph", "graph.png", FORMATS)
        if path and self._folder is not None:
            suffix = chosen.rpartition("*")[2].rstrip(")")
            path = path if Path(path).suffix else path + suffix
            self._execute(
                f"siren plot {path_text(self._folder)} graph saveFile {path_text(Path(path))}"
            )


def read_relations(folder: Path, progress: Progress) -> tuple[Related, Labels]:
    """How the blocks of a run depend on each other, with their names and colors.

    Raises
    ------
    SirenError
        If the run cannot be read, or has no blocks.
    Cancelled
        If another run has been chosen.
    """
    run = open_run(folder)
    if not len(run.blocks):
        raise SirenError(f"{folder.name} has no blocks: the sketch found none.")
    labels = Labels(run.blocks.names, dict(folder_colors(folder, run.blocks)))
    return relate(run_states(folder, progress=progress), progress=progress), labels
