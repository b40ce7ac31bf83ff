"""The table of blocks: number, name, size, occupancy, stability, verdict, color, visibility."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from Qt.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QSize,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from Qt.QtGui import QColor, QIcon, QKeyEvent, QPainter, QPen, QPixmap
from Qt.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTableView, QWidget

from ..core.blocks.verdicts import DOUBTFUL, GRADED, MOVING, SOLID
from ..core.runs.steps import Run
from ..session.edits import surface_color
from ..session.surfaces import BlockMap, verdict_text
from .widgets import faint

SHOWN, COLOR, NUMBER, NAME, VOXELS, VOLUME, OCCUPANCY, STABILITY, VERDICT = range(9)
HEADERS = ("", "", "#", "Name", "Voxels", "Å³", "Occup.", "Stab.", "Verdict")
TIPS = (
    "show or hide",
    "color: click to change it",
    "block number",
    "name: double-click to edit it",
    "voxels in the block",
    "volume in Å³",
    "occupancy: share of the volumes in which a voxel of the block is occupied, averaged over its "
    "voxels",
    "stability: how reliably the block is found again in random halves of the volumes, 0 to 1",
    "verdict: what the density says of the block; rest the pointer on it for the reason",
)
MEANINGS = {
    SOLID: "a part that comes and goes",
    GRADED: "a part that is never quite gone, or that is not resolved",
    MOVING: "its surroundings lose as much density as it gains",
}
RANKS = (SOLID, GRADED, MOVING, DOUBTFUL, "")
SWATCH = 14  # pixels
LEAST = QSize(200, 96)  # pixels of the table, three rows
PADDING = 8  # pixels in a column, beside its text
WIDEST = {
    SHOWN: "0",
    COLOR: "0",
    NUMBER: "00",
    VOXELS: "00,000",
    VOLUME: "0,000,000",
    OCCUPANCY: "Occup.",
    STABILITY: "Stab.",
    VERDICT: DOUBTFUL,
}
MOST_LINES = 6  # of a long name, such as one of 60 characters in a docked panel
NARROW = 420  # pixels of the table; below this it has one column less
NOTHING = QModelIndex()


@dataclass(frozen=True)
class Row:
    """A row of the table; ``model`` is None if the blocks are not open.

    Attributes
    ----------
    volume : A^3
    occupancy, stability, contrast, solidity : NaN if unknown, as after an edit
    verdict : with the reason; "" if unknown
    color : r, g, b, a, 0 to 1
    """

    number: int
    name: str
    voxels: int
    volume: float
    occupancy: float
    stability: float
    color: tuple[float, ...] | None = None
    shown: bool = False
    model: BlockMap | None = None
    verdict: str = ""
    contrast: float = nan
    solidity: float = nan

    @property
    def verdict_word(self) -> str:
        """The verdict without the reason."""
        return self.verdict.partition(":")[0]

    @property
    def doubtful(self) -> bool:
        """Whether the block is probably not a part that comes and goes."""
        return self.verdict_word == DOUBTFUL

    @property
    def reason(self) -> str:
        """The verdict with its reason, and the numbers behind it, in two lines."""
        meaning = MEANINGS.get(self.verdict_word)
        numbers = ", ".join(
            f"{word} {value:.2f}"
            for word, value in (("contrast", self.contrast), ("solidity", self.solidity))
            if np.isfinite(value)
        )
        words = f"{self.verdict}: {meaning}" if meaning else self.verdict
        return f"{words}\n{numbers}" if numbers else words


def rows_of_models(models: Sequence[BlockMap]) -> list[Row]:
    """Rows of open blocks; values of blocks.csv count as long as the voxels are the same."""
    rows = []
    for m in models:
        count = len(m.voxels)
        values = m.siren_values if m.siren_values.get("voxels") == count else {}
        rows.append(
            Row(
                m.siren_block,
                m.given_name,
                count,
                count * float(np.prod(m.data.step)),
                values.get("mean_occupancy", nan),
                values.get("stability", nan),
                surface_color(m),
                bool(m.visible),  # not if its group is hidden, as while a slider screens
                m,
                values.get("verdict", ""),
                values.get("contrast", nan),
                values.get("solidity", nan),
            )
        )
    return rows


def rows_of_run(run: Run) -> list[Row]:
    """Rows of a run whose blocks are not open."""
    rows = []
    for (number, voxels), (_, line) in zip(run.blocks, run.table.iterrows(), strict=True):
        rows.append(
            Row(
                number,
                run.blocks.names.get(number, ""),
                len(voxels),
                len(voxels) * run.blocks.grid.voxel_volume,
                float(line.get("mean_occupancy", nan)),
                float(line.get("stability", nan)),
                verdict=verdict_text(line.get("verdict")),
                contrast=float(line.get("contrast", nan)),
                solidity=float(line.get("solidity", nan)),
            )
        )
    return rows


class BlocksModel(QAbstractTableModel):
    """The rows as a Qt model.

    Parameters
    ----------
    show : called when the user clicks a check box, with the block and whether to show it
    rename : called when the user edits a name, with the block and its new name
    """

    def __init__(
        self,
        show: Callable[[BlockMap, bool], None],
        rename: Callable[[BlockMap, str], None],
        parent: Any = None,
    ):
        super().__init__(parent)
        self.rows: list[Row] = []
        self._show, self._rename = show, rename

    def set_rows(self, rows: list[Row]) -> None:
        """Replace the rows; if only values differ, the view keeps selection and position."""
        if [(r.number, r.model) for r in rows] == [(r.number, r.model) for r in self.rows]:
            changed = [
                k for k, (old, new) in enumerate(zip(self.rows, rows, strict=True)) if old != new
            ]
            self.rows = rows
            for k in changed:
                self.dataChanged.emit(self.index(k, 0), self.index(k, len(HEADERS) - 1))
            return
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def rowCount(self, parent: Any = NOTHING) -> int:
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Any = NOTHING) -> int:
        return 0 if parent.isValid() else len(HEADERS)

    def headerData(
        self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return HEADERS[section]
        if role == Qt.ItemDataRole.ToolTipRole:
            return TIPS[section]
        return None

    def flags(self, index: Any) -> Any:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if self.rows[index.row()].model is None:
            return flags
        more = {SHOWN: Qt.ItemFlag.ItemIsUserCheckable, NAME: Qt.ItemFlag.ItemIsEditable}
        return flags | more.get(index.column(), Qt.ItemFlag.NoItemFlags)

    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = self.rows[index.row()], index.column()
        if role == Qt.ItemDataRole.UserRole:  # sort key
            return (
                row.shown,
                _hue(row.color),
                row.number,
                row.name.lower() or "\uffff",
                row.voxels,
                row.volume,
                _last(row.occupancy),
                _last(row.stability),
                _rank(row.verdict_word),
            )[column]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return (
                row.name
                if role == Qt.ItemDataRole.EditRole and column == NAME
                else _text(row, column)
            )
        if role == Qt.ItemDataRole.CheckStateRole and column == SHOWN and row.model is not None:
            return Qt.CheckState.Checked if row.shown else Qt.CheckState.Unchecked
        if role == Qt.ItemDataRole.DecorationRole and column == COLOR and row.color:
            return swatch(row.color)
        if role == Qt.ItemDataRole.TextAlignmentRole and column not in (
            NAME,
            SHOWN,
            COLOR,
            VERDICT,
        ):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ForegroundRole and row.doubtful:
            return faint(QApplication.palette())
        if role == Qt.ItemDataRole.ToolTipRole:
            if column == NAME and row.name:
                return row.name
            if column == VERDICT and row.verdict:
                return row.reason
            unknown = column in (OCCUPANCY, STABILITY, VERDICT) and _text(row, column) == "-"
            return (
                "unknown: save or expand the edited set to measure it"
                if unknown and row.model is not None
                else TIPS[column]
            )
        return None

    def setData(self, index: Any, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        row = self.rows[index.row()]
        if row.model is None:
            return False
        if role == Qt.ItemDataRole.CheckStateRole and index.column() == SHOWN:
            self._show(row.model, Qt.CheckState(value) == Qt.CheckState.Checked)
            return True
        if role == Qt.ItemDataRole.EditRole and index.column() == NAME:
            if " ".join(str(value).split()) != row.name:
                self._rename(row.model, str(value))
            return True
        return False


class SortedBlocks(QSortFilterProxyModel):
    """Sorts by value rather than by text; doubtful blocks stay last in either order."""

    def __init__(self, parent: Any = None):
        super().__init__(parent)
        self.setSortRole(Qt.ItemDataRole.UserRole)

    def lessThan(self, left: Any, right: Any) -> bool:
        """Override for Qt, which turns the answer around for a descending order."""
        rows = self.sourceModel().rows
        first, second = rows[left.row()].doubtful, rows[right.row()].doubtful
        if first == second:
            return bool(super().lessThan(left, right))
        return second if self.sortOrder() == Qt.SortOrder.AscendingOrder else first


def swatch(color: Sequence[float]) -> QIcon:
    """A filled square with a thin edge, visible on any background."""
    pixmap = QPixmap(SWATCH, SWATCH)
    pixmap.fill(QColor.fromRgbF(*(min(1.0, max(0.0, c)) for c in color[:3])))
    painter = QPainter(pixmap)
    painter.setPen(QPen(QColor(128, 128, 128)))
    painter.drawRect(0, 0, SWATCH - 1, SWATCH - 1)
    painter.end()
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)  # else Qt tints it where its row is selected
    return icon


def _text(row: Row, column: int) -> str:
    if column in (SHOWN, COLOR):
        return ""
    value: Any = (
        None,
        None,
        row.number,
        row.name,
        row.voxels,
        row.volume,
        row.occupancy,
        row.stability,
        row.verdict_word or "-",
    )[column]
    if column in (NUMBER, NAME, VERDICT):
        return str(value)
    if column in (VOXELS, VOLUME):
        return f"{value:,.0f}"
    return f"{value:.2f}" if np.isfinite(value) else "-"


def _hue(color: Sequence[float] | None) -> float:
    """Sort key that groups similar colors."""
    return float(QColor.fromRgbF(*color[:3]).hueF()) if color else -1.0


def _rank(word: str) -> int:
    """Sort key of a verdict: solid first, unknown last."""
    return RANKS.index(word) if word in RANKS else len(RANKS)


def _last(value: float) -> float:
    """Sort key that puts unknown values below all others."""
    return value if np.isfinite(value) else -1.0


class ShortTable(QTableView):
    """A table that takes what is left of the panel, however little."""

    toggle_wanted = Signal()  # the selected blocks: space
    only_wanted = Signal()  # Enter
    all_wanted = Signal()  # Enter with the shift key

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Override for Qt, where space acts on the current row alone."""
        if self.state() == QAbstractItemView.State.EditingState:
            super().keyPressEvent(event)  # the Enter that ends a name
        elif event.key() == Qt.Key.Key_Space:
            self.toggle_wanted.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            (self.all_wanted if shift else self.only_wanted).emit()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QSize:
        """Override for Qt."""
        return LEAST

    def minimumSizeHint(self) -> QSize:
        """Override for Qt."""
        return LEAST

    def resizeEvent(self, event: Any) -> None:
        """Override for Qt: names need the room of the volume, which the voxels tell as well."""
        self.setColumnHidden(VOLUME, self.viewport().width() < NARROW)
        super().resizeEvent(event)
        self.fit_rows()

    def fit_rows(self) -> None:
        """Make the rows of long names as high as the names need, within bounds."""
        self.resizeRowsToContents()


def table_view(parent: QWidget, model: Any) -> ShortTable:
    """A view of the blocks that selects whole rows; the name column takes the spare width."""
    view = ShortTable(parent)
    view.setModel(model)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
    view.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
    view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
    view.setSortingEnabled(True)
    view.sortByColumn(NUMBER, Qt.SortOrder.AscendingOrder)
    view.setTabKeyNavigation(False)  # Tab goes on to the buttons
    view.setShowGrid(False)
    view.setAlternatingRowColors(True)
    view.verticalHeader().hide()
    rows, line = view.verticalHeader(), view.fontMetrics().height()
    rows.setDefaultSectionSize(line + 7)
    rows.setMinimumSectionSize(line + 7)
    rows.setMaximumSectionSize(MOST_LINES * line + 7)
    header = view.horizontalHeader()
    header.setHighlightSections(False)
    header.setMinimumSectionSize(24)
    text = view.fontMetrics().horizontalAdvance
    for column, widest in WIDEST.items():
        header.resizeSection(column, text(widest) + PADDING)
    header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
    for column in (SHOWN, COLOR):
        header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
    return view
