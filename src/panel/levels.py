"""The Levels page: contour levels set by hand, by looking, and labeled."""

from __future__ import annotations

from itertools import pairwise
from math import isclose
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from chimerax.core.models import MODEL_DISPLAY_CHANGED, REMOVE_MODELS
from Qt.QtCore import QEvent, QModelIndex, Qt, Signal
from Qt.QtGui import QResizeEvent
from Qt.QtWidgets import (
    QBoxLayout,
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from ..core.common.errors import SirenError
from ..session.log import log_hidden_blocks, log_uncovered
from ..session.scene import blocks_of, sets_of_blocks
from ..session.shown_map import EnsembleMap, contour_quickly, draw_whole, shown_map, uncover
from . import steps
from .fields import NumberField
from .find import FindField
from .learning import LearningBar, small_button
from .levels_table import ALL, LABELED, SHOWN, TO_LABEL, LevelsTable
from .map_histogram import MapHistogram
from .state import PanelState
from .widgets import MARGIN, Note, Page, plain_layout, single_shot, while_alive

WIDE, TALL = 480, 340  # pixels: where the list and the histogram fit beside, and below each other
FRAME = 15  # ms between moving the line and contouring at its level
MOST_SAMPLED = 300_000  # voxels for the histogram of a map that was not read with the others
BINS = 1024
Taken = tuple[str, str, float | None]  # an action to undo: its kind, the volume, what was before
LEVEL, LABEL = "level", "label"


class LevelsPage(Page):
    """The list of levels, the histogram of the map shown, and buttons for labels."""

    volume_requested = Signal(str, object)  # name, and the level or None

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.state = state
        self._done: list[Taken] = []
        self._name: str | None = None  # of the volume in the histogram
        self._hidden: list[Any] = []  # the sets of blocks that were seen until a row was clicked
        self._following = False  # while the current row changes without a person's doing
        self._watched: WeakKeyDictionary[EnsembleMap, bool] = WeakKeyDictionary()
        self._map_changed = while_alive(self, self._on_map_changed)
        self._build()
        self._contour_soon = single_shot(self, FRAME, self._contour)
        self._follow_soon = single_shot(self, 0, self._follow_map)
        self._connect()
        self.refresh()

    # --- widgets

    def _build(self) -> None:
        state = self.state
        self.table = LevelsTable(state, self)
        self.find = FindField(self.table.rows, self.table, self)
        self.which = QComboBox(self)
        for word in SHOWN:
            self.which.addItem(word)
        self.which.setToolTip("Which volumes are listed")
        self.histogram = MapHistogram(self)
        self.facts = Note(parent=self)
        self.facts.setMinimumHeight(2 * self.facts.fontMetrics().lineSpacing())
        self.facts.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.hidden_line = Note(
            'Blocks are hidden while levels are set: <a href="show">show</a>', self
        )
        self.hidden_line.hide()
        self.level, self.lower, self.upper = (
            NumberField(hint, parent=self) for hint in ("level", "lower", "upper")
        )
        self.level.setToolTip("Contour level of the map shown; type one and press Enter")
        for field, which in ((self.lower, "Lower"), (self.upper, "Upper")):
            field.setToolTip(
                f"{which} bound: any level within the bounds would do as well; may be left empty"
            )
        self.label_button = small_button(
            self, "Label", "Record the level that is seen as set by eye (siren label)", "Alt+L"
        )
        self.next_button = small_button(
            self, "Next", "Show the next volume that has no label; proposed ones first", "Alt+N"
        )
        self.undo_button = small_button(
            self, "Undo", "Undo the last level or label set here", "Alt+U"
        )
        self.learning = LearningBar(state, self.table.levels, self)
        listed, shown = QVBoxLayout(), QVBoxLayout()
        self._halves = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        layout = QVBoxLayout(self.content)
        plain_layout(layout, MARGIN // 2, 4)
        for part in (listed, shown, self._halves):
            plain_layout(part, spacing=4)
        self._halves.addLayout(listed, 1)
        self._halves.addLayout(shown)
        layout.addLayout(self._halves, 1)
        listed.addLayout(self._row(self.which, self.find))
        listed.addWidget(self.table, 1)
        shown.addWidget(self.histogram, 1)
        shown.addWidget(self.facts)
        shown.addWidget(self.hidden_line)
        fields = (self.level, QLabel("bounds", self), self.lower, QLabel("–", self), self.upper)
        row = self._row(QLabel("Level", self), *fields)
        row.addStretch(1)
        shown.addLayout(row)
        shown.addLayout(self._row(self.label_button, self.next_button, self.undo_button))
        line = QFrame(self)
        line.setFrameShape(QFrame.Shape.HLine)
        line.setFrameShadow(QFrame.Shadow.Sunken)
        layout.addWidget(line)
        layout.addWidget(self.learning)

    def _row(self, *items: QWidget) -> QHBoxLayout:
        row = QHBoxLayout()
        plain_layout(row, spacing=4)
        for item in items:
            row.addWidget(item, 3 if item is self.find or isinstance(item, NumberField) else 0)
        return row

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Override for Qt: where the page is low and wide, as docked on a laptop, the histogram is
        beside the list, so that Label and Next are seen without scrolling.
        """
        super().resizeEvent(event)
        low = self.height() < TALL
        beside = low and self.width() >= WIDE
        self.histogram.fit(low)
        direction = QBoxLayout.Direction
        self._halves.setDirection(direction.LeftToRight if beside else direction.TopToBottom)
        self._halves.setStretch(1, 1 if beside else 0)

    def _connect(self) -> None:
        state = self.state
        self.which.currentIndexChanged.connect(self._choose_rows)
        self.table.selectionModel().currentRowChanged.connect(self._current_changed)
        self.table.clicked.connect(self._clicked)
        self.histogram.dragged.connect(self._dragged)
        self.histogram.released.connect(self.set_by_hand)
        self.level.changed.connect(self._typed)
        for button, call in (
            (self.label_button, self.label),
            (self.next_button, self.go_on),
            (self.undo_button, self.undo),
        ):
            button.clicked.connect(call)
        for before, after in pairwise((self.which, self.find, self.table, self.histogram)):
            self.setTabOrder(before, after)
        self.setFocusProxy(self.table)  # the keys of the page act there
        state.ensemble_changed.connect(self._other_volumes)
        state.levels_changed.connect(self.refresh)
        state.executed.connect(self._read_again)
        state.job_ended.connect(self._read_again)
        self.learning.proposed.connect(self._proposed)
        self.hidden_line.linkActivated.connect(self.show_blocks)
        for trigger in (MODEL_DISPLAY_CHANGED, REMOVE_MODELS):
            state.session.triggers.add_handler(trigger, while_alive(self, self._say_hidden))
        state.previews_changed.connect(self._previewed)

    def begin(self) -> None:
        """Take up the volume that is in the scene, if it is one of those listed."""
        shown = shown_map(self.state.session)
        source = None if shown is None else self.state.source_of(shown.name)
        if shown is not None and source is not None:
            place = "" if source.path is None else str(source.path)
            if shown.siren_place == place:
                self.volume_shown(shown.name)

    # --- the state of the page

    @property
    def shown(self) -> EnsembleMap | None:
        """The map in the scene, if it is that of the histogram and has a surface."""
        shown = shown_map(self.state.session)
        same = shown is not None and shown.name == self._name and len(shown.surfaces) == 1
        return shown if same else None

    def refresh(self) -> None:
        """Show the state."""
        model, state = self.table.levels, self.state
        counts = {
            ALL: len(state.names),
            TO_LABEL: len(model.to_label),
            LABELED: len(model.labels),
        }
        for place, word in enumerate(SHOWN):
            count = counts.get(word, sum(n in state.flags for n in state.names))
            self.which.setItemText(place, f"{word} ({count:,})")
        self.next_button.setEnabled(bool(state.names))
        self.undo_button.setEnabled(bool(self._done))
        name = self._name
        label = model.labels.get(name) if name else None
        self.histogram.set_marks(
            state.levels.get(name) if name else None,
            None if label is None else (label.level, label.lower, label.upper),
        )
        shown = self.shown
        for widget in (self.label_button, self.level, self.lower, self.upper):
            widget.setEnabled(shown is not None)
        self.learning.refresh()
        self._say_hidden()
        self._say_level(shown.surfaces[0].level if shown is not None else None)

    def _say_level(self, level: float | None) -> None:
        """Write about the level seen; cheap, as it follows a drag."""
        if level is not None and not self.level.hasFocus():
            self.level.value = float(f"{level:.4g}")
        name, state = self._name, self.state
        if name is None or level is None:
            self.facts.setText(
                "" if state.names else "Choose volumes above: their levels are set here."
            )
            return
        parts = [name]
        preview = state.previews.get(name)
        if preview is not None:
            parts.append(f"{float(f'{preview.enclosed_volume(level):.3g}'):,.0f} Å³ enclosed")
        usual, label = state.levels.get(name), self.table.levels.labels.get(name)
        if usual is not None:
            parts.append(f"in runs {usual:.4g}")
        if label is None or not isclose(label.level, level, rel_tol=1e-5):
            parts.append("not labeled" if label is None else f"labeled {label.level:.4g}")
        else:
            parts.append("labeled")
        self.facts.setText("; ".join(parts))

    def _read_again(self, _: object = None) -> None:
        """After a command: the table of labels may have changed."""
        if self.table.levels.read():
            self._rows_changed()
        self.refresh()

    def _rows_changed(self) -> None:
        """Apply what is listed to labels that have changed, but keep the current row."""
        self._following = True  # the row of a volume just labeled may go; the volume stays
        self.table.rows.invalidateFilter()
        self._following = False
        self._select(self._name)

    def _other_volumes(self) -> None:
        if self._name not in self.state.names:
            self._name, self._done = None, []
            self.histogram.clear()
        self.refresh()

    def _previewed(self, names: list[str]) -> None:
        if self._name in names:
            self._fill_histogram()

    def _choose_rows(self, place: int) -> None:
        self.table.rows.show_only(SHOWN[place])

    # --- showing a volume

    def _current_changed(self, index: QModelIndex, _: QModelIndex | None = None) -> None:
        name = self.table.name_at(index)
        if name is not None and name != self._name and not self._following:
            self.request(name)

    def _clicked(self, index: QModelIndex) -> None:
        """Show the volume of a row, also the current one if it was hidden or closed since."""
        name, shown = self.table.name_at(index), self.shown
        if name is not None and (name != self._name or shown is None or not shown.visible):
            self.request(name)

    def request(self, name: str) -> None:
        """Have a volume shown at its level set by hand, or else at that of runs. Blocks are
        hidden: a level cannot be judged under them.
        """
        session = self.state.session
        if seen := [g for g in sets_of_blocks(session) if g.display]:
            self._hidden = seen
            self.state.execute(f"hide {_spec(seen)} models")
            log_hidden_blocks(session, seen, "the map")
        self.volume_requested.emit(name, self.table.levels.level_of(name))

    @property
    def hidden(self) -> list[Any]:
        """The sets of blocks hidden here that still are."""
        return [g for g in self._hidden if not g.deleted and not g.display]

    def show_blocks(self, *_: Any) -> None:
        """Show the blocks again that were hidden here, through the map."""
        session, hidden = self.state.session, self.hidden
        if hidden:
            self.state.execute(f"show {_spec(hidden)} models")
            blocks = [b for group in hidden for b in blocks_of(group)]
            log_uncovered(session, *uncover(session, blocks))
        self.refresh()

    def _say_hidden(self, *_: Any) -> None:
        hidden = self.hidden
        self.hidden_line.setVisible(bool(hidden))
        if hidden:
            self.hidden_line.setToolTip(f"show {_spec(hidden)} models")

    def volume_shown(self, name: str) -> None:
        """Show the histogram of the volume that is now in the scene."""
        if name not in self.state.names:
            return
        self._name = name
        self._select(name)
        shown = shown_map(self.state.session)
        if shown is not None:
            draw_whole(shown)
        if shown is not None and shown not in self._watched:
            shown.add_volume_change_callback(self._map_changed)
            self._watched[shown] = True
        self._fill_bounds()
        self._fill_histogram()
        self._follow_map()

    def _select(self, name: str | None) -> None:
        """Make a volume's row the current one, without showing it again; none if it has no row."""
        if self.table.current != name:
            self._following = True
            self.table.go_to(name or "")
            self._following = False

    def _fill_bounds(self) -> None:
        label = self.table.levels.labels.get(self._name or "")
        self.lower.value = None if label is None else label.lower
        self.upper.value = None if label is None else label.upper

    def _fill_histogram(self) -> None:
        preview = self.state.previews.get(self._name or "")
        if preview is not None:
            self.histogram.set_values(preview.low, preview.high, -np.diff(preview.above))
            return
        shown = self.shown
        if shown is None:
            self.histogram.clear()
            return
        values = shown.full_matrix().ravel()
        values = values[:: max(1, values.size // MOST_SAMPLED)]
        low, high = float(values.min()), float(values.max())
        if high > low:
            # NumPy 2 refuses bins narrower than what numbers of this type can tell apart
            counts, _ = np.histogram(values.astype(np.float64), BINS, (low, high))
            self.histogram.set_values(low, high, counts)

    def _on_map_changed(self, _: Any, change: str) -> None:
        if not self.histogram.dragging:
            self._follow_soon.start()

    def _follow_map(self) -> None:
        """Show the level of the map in the scene, whoever has set it."""
        shown = self.shown
        self.histogram.set_level(None if shown is None else float(shown.surfaces[0].level))
        self.refresh()

    # --- setting a level

    def _dragged(self, level: float) -> None:
        self._contour_soon.start()
        self._say_level(level)

    def _contour(self) -> None:
        """Contour the map at the level of the line."""
        shown, level = self.shown, self.histogram.level
        if shown is not None and level is not None:
            contour_quickly(shown, level)
            if not self.histogram.dragging:  # it was taken back
                draw_whole(shown)

    def _typed(self) -> None:
        try:
            level = self.level.value
        except SirenError as error:
            self.state.tell(str(error), True)
            self._follow_map()
            return
        shown = self.shown
        if shown is None or level is None:
            self._follow_map()
        elif not isclose(level, float(f"{shown.surfaces[0].level:.4g}"), rel_tol=1e-9):
            self.set_by_hand(float(level))

    def set_by_hand(self, level: float) -> None:
        """Contour the map shown at a level set by hand; the log gets the command."""
        self._contour_soon.stop()
        shown, name, model = self.shown, self._name, self.table.levels
        if shown is None or name is None:
            return
        draw_whole(shown)
        level = float(f"{level:.6g}")
        self._done.append((LEVEL, name, model.set_by_hand.get(name)))
        model.set_by_hand[name] = level
        self.histogram.set_level(level)
        self.state.execute(f"volume #{shown.id_string} level {level:g}")
        model.refresh()

    def label(self) -> None:
        """Record the level that is seen."""
        shown, name, model = self.shown, self._name, self.table.levels
        if shown is None or name is None:
            return
        try:
            lower, upper = self.lower.value, self.upper.value
        except SirenError as error:
            self.state.tell(str(error), True)
            return
        self.state.tell("")
        line = steps.label_command(self.state, f"#{shown.id_string}", lower, upper)
        if self.state.execute(line) is None:
            return
        self._done.append((LABEL, name, model.set_by_hand.pop(name, None)))
        self._read_again()

    def undo(self) -> None:
        """Take the last level or label back."""
        if not self._done:
            return
        kind, name, before = self._done.pop()
        model = self.table.levels
        if kind == LABEL and self.state.execute("siren label undo") is None:
            self.refresh()
            return
        if before is None:
            model.set_by_hand.pop(name, None)
        else:
            model.set_by_hand[name] = before
        if kind == LABEL:
            self._read_again()
            self._fill_bounds()
        level, shown = model.level_of(name), self.shown
        if name != self._name or shown is None:
            self.request(name)
        elif level is not None and not isclose(level, shown.surfaces[0].level, rel_tol=1e-6):
            self.state.execute(f"volume #{shown.id_string} level {level:.6g}")
        model.refresh()
        self.refresh()

    def go_on(self) -> None:
        """Show the next volume without a label: a proposed one, as long as there are any."""
        model, names = self.table.levels, list(self.state.names)
        if not names:
            return
        start = names.index(self._name) + 1 if self._name in names else 0
        order = names[start:] + names[:start]
        for left in (model.to_label, [n for n in order if n not in model.labels]):
            following = next((n for n in order if n in set(left) and n != self._name), None)
            if following is not None:
                self.request(following)
                return
        self.state.tell("All volumes are labeled.")

    def _proposed(self, reasons: dict[str, str]) -> None:
        """List the volumes that are worth labeling, and begin with the first."""
        self.table.levels.reasons.update(reasons)
        self._read_again()
        self.which.setCurrentIndex(SHOWN.index(TO_LABEL))
        self.go_on()

    def event(self, event: QEvent) -> bool:
        """Override for Qt."""
        if event.type() == QEvent.Type.DeferredDelete:
            self.leave()
        return bool(super().event(event))

    def leave(self) -> None:
        """Listen to the map shown no more, before the page is deleted."""
        for model in list(self._watched):
            if not model.deleted:
                model.remove_volume_change_callback(self._map_changed)
        self._watched.clear()


def _spec(groups: list[Any]) -> str:
    return " ".join(f"#!{g.id_string}" for g in groups)
