"""The list of the Levels page: each volume's level in a run, and the one set by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from Qt.QtCore import QModelIndex, QSize, Qt
from Qt.QtGui import QFont, QResizeEvent
from Qt.QtWidgets import QAbstractItemView, QHeaderView, QWidget

from ..core.common.errors import SirenError
from ..core.thresholds.labels import labels_by_name
from .find import FoundRows
from .listed import file_stamp
from .state import PanelState
from .volume_list import VolumeList, VolumeListModel
from .widgets import faint

if TYPE_CHECKING:
    from ..core.thresholds.labels import Label

NAME, USUAL, BY_HAND, DIFFERENCE = range(4)
HEADINGS = ("volume", "level", "by hand", "difference")
TIPS = (
    "File name of the map",
    "Contour level that a run takes: predicted, from a table, or one for all (see the Run page)",
    "Level set by hand. Bold: labeled, which Evaluate and Fine-tune use. With ?: set, but not "
    "labeled yet. to label: proposed as worth labeling",
    "How far the level is from that set by hand, in percent of the latter",
)
NARROW = 330  # pixels
ALL, TO_LABEL, LABELED, FLAGGED = "all volumes", "to label", "labeled", "flagged"
SHOWN = (ALL, TO_LABEL, LABELED, FLAGGED)


class LevelsModel(VolumeListModel):
    """The levels of the listed volumes, and the labels in their table.

    Attributes
    ----------
    labels : by name of the volume
    to_label : names of the volumes with an empty row in the table of labels
    reasons : why a volume was proposed, by name, if it was during this session
    set_by_hand : levels set and not labeled yet, by name
    """

    HEADINGS, TIPS, LEFT = HEADINGS, TIPS, (NAME,)

    def __init__(self, state: PanelState, parent: QWidget):
        super().__init__(state, parent)
        self.labels: dict[str, Label] = {}
        self.to_label: list[str] = []
        self.reasons: dict[str, str] = {}
        self.set_by_hand: dict[str, float] = {}
        self._read: Any = None
        self._listed = ""
        state.ensemble_changed.connect(self.reset)
        state.levels_changed.connect(self.refresh)
        state.flags_changed.connect(self.refresh)
        self.reset()

    def reset(self) -> None:
        """Show the listed volumes."""
        self.beginResetModel()
        if self.state.volumes != self._listed:
            self._listed, self.set_by_hand, self.reasons = self.state.volumes, {}, {}
        self._list_names()
        self._read = None
        self.read()
        self._order()  # by the labels as they are now
        self.endResetModel()

    def read(self) -> bool:
        """Read the table of labels if it has changed; whether it has."""
        table = self.state.labels_table
        stamp = (table, file_stamp(table), len(self._names))
        if stamp == self._read:
            return False
        self._read = stamp
        self.labels, self.to_label = {}, []
        if table is not None and self._names:
            try:
                self.labels, self.to_label = labels_by_name(table, self._names)
            except SirenError as error:
                self.state.tell(str(error), True)
        self.refresh()
        return True

    # --- what is known of a volume

    def level_by_hand(self, name: str) -> float | None:
        """The level set by hand, labeled or not."""
        label = self.labels.get(name)
        return self.set_by_hand.get(name, None if label is None else label.level)

    def level_of(self, name: str) -> float | None:
        """The level at which a volume is shown here: set by hand, or as a run takes it."""
        by_hand = self.level_by_hand(name)
        return self.state.levels.get(name) if by_hand is None else by_hand

    def is_in(self, row: int, which: str) -> bool:
        """Whether a volume is one of SHOWN."""
        name = self._names[row]
        return {
            ALL: True,
            TO_LABEL: name in self.to_label,
            LABELED: name in self.labels,
            FLAGGED: name in self.state.flags,
        }[which]

    def words(self, row: int) -> str:
        """What a search looks at."""
        return super().words(row) + (" labeled" if self._names[row] in self.labels else "")

    def difference(self, name: str) -> float | None:
        """Level of a run less that by hand, as a share of the latter."""
        usual, by_hand = self.state.levels.get(name), self.level_by_hand(name)
        return None if usual is None or not by_hand else (usual - by_hand) / abs(by_hand)

    # --- for Qt

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Override for Qt."""
        name, column = self._names[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(name, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(column)
        if role == Qt.ItemDataRole.FontRole and column == BY_HAND:
            return self._font(name)
        if role == Qt.ItemDataRole.ForegroundRole and self._is_faint(name, column):
            return faint(self._parent.palette())
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(name)
        return None

    def _text(self, name: str, column: int) -> str:
        if column == USUAL:
            return _number(self.state.levels.get(name))
        if column == BY_HAND:
            if name in self.set_by_hand:
                return f"{_number(self.set_by_hand[name])} ?"
            if name in self.labels:
                return _number(self.labels[name].level)
            return TO_LABEL if name in self.to_label else ""
        if column == DIFFERENCE:
            difference = self.difference(name)
            percent = round(100 * (difference or 0.0))
            return "" if difference is None else f"{percent:+d} %" if percent else "0 %"
        return name

    def _sort_key(self, name: str, column: int) -> Any:
        if column == USUAL:
            return self.state.levels.get(name, -1e300)
        if column == BY_HAND:
            by_hand = self.level_by_hand(name)
            return (1e299 if name in self.to_label else 1e300) if by_hand is None else by_hand
        difference = self.difference(name)
        return -1.0 if difference is None else abs(difference)

    def _font(self, name: str) -> QFont | None:
        font = QFont(self._parent.font())
        if name in self.set_by_hand:
            font.setItalic(True)
        elif name in self.labels:
            font.setBold(True)
        else:
            return None
        return font

    def _is_faint(self, name: str, column: int) -> bool:
        """Whether a cell counts less than its neighbor."""
        by_hand = self.level_by_hand(name) is not None
        return (column == USUAL and by_hand) or (column == BY_HAND and not by_hand)

    def _tip(self, name: str) -> str:
        flag, label = self.state.flags.get(name), self.labels.get(name)
        lines = [f"{name}: {flag.reason}" if flag else name]
        if label is not None:
            low, high = (_number(v) for v in (label.lower, label.upper))
            bounds = f", bounds {low} to {high}" if label.lower or label.upper else ""
            lines.append(f"labeled: {_number(label.level)}{bounds}")
        if name in self.set_by_hand:
            lines.append("set by hand, not labeled yet")
        if name in self.reasons:
            lines.append(f"worth labeling: {self.reasons[name]}")
        return "\n".join(lines)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:#.3g}"


class LevelRows(FoundRows):
    """The rows of the volumes looked for, of one of SHOWN."""

    def __init__(self, model: LevelsModel, parent: QWidget):
        super().__init__(model.words, parent)
        self._model, self.which = model, ALL

    def show_only(self, which: str) -> None:
        """Show one of SHOWN."""
        self.which = which
        self.invalidateFilter()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Override for Qt."""
        return self._model.is_in(row, self.which) and super().filterAcceptsRow(row, parent)


class LevelsTable(VolumeList):
    """The list; a click or an arrow key shows a volume."""

    LEAST = QSize(200, 92)  # three rows

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.levels = LevelsModel(state, self)
        self._set_up(
            self.levels,
            LevelRows(self.levels, self),
            QAbstractItemView.SelectionMode.SingleSelection,
            self.fontMetrics().height() + 7,
        )
        header = self.horizontalHeader()
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column, widest in ((USUAL, "0.00000"), (BY_HAND, "0.0000 ? "), (DIFFERENCE, "")):
            text = max((widest, HEADINGS[column]), key=len)
            header.resizeSection(column, self.fontMetrics().horizontalAdvance(text) + 22)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Override for Qt: names need the room of the difference."""
        self.setColumnHidden(DIFFERENCE, self.viewport().width() < NARROW)
        super().resizeEvent(event)

    @property
    def current(self) -> str | None:
        """The name of the volume in the current row."""
        return self.name_at(self.currentIndex())

    def go_to(self, name: str) -> None:
        """Make a volume the current row; no row if it is not among those shown."""
        row = self.levels.row_of(name)
        index = QModelIndex() if row is None else self.rows.mapFromSource(self.levels.index(row, 0))
        self.make_current(index)
        if not index.isValid():
            self.clearSelection()
