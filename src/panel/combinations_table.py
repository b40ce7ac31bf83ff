"""The table of the Relations page: which combinations of blocks are seen, in how many volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from Qt.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt
from Qt.QtGui import QPainter
from Qt.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from .block_cells import AROUND, cells_width, paint_bars
from .widgets import faint

if TYPE_CHECKING:
    from ..core.analysis.combinations import Combination
    from ..core.figures.theme import Labels

BLOCKS, NAMES, VOLUMES, CHANCE, ERRORS = range(5)
HEADINGS = ("", "blocks", "volumes", "by chance", "errors")
TIPS = (
    "The blocks in these volumes, in their colors",
    "Numbers of the blocks in these volumes; all others are absent",
    "Volumes that have exactly these blocks",
    "Volumes expected if no block depended on another",
    "Volumes expected from the other combinations by wrong calls of presence. Gray: no more "
    "volumes than that",
)
EDGE = 4  # pixels above and below the bars
LEAST = QSize(200, 88)  # pixels, three rows
NOTHING = QModelIndex()


class CombinationsModel(QAbstractTableModel):
    """The combinations as a Qt model.

    Attributes
    ----------
    rows, volumes, numbers, labels : combinations, the number of all volumes, all blocks
    """

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self._parent = parent
        self.rows: Sequence[Combination] = ()
        self.volumes = 0
        self.numbers: tuple[int, ...] = ()
        self.labels: Labels | None = None

    def show(
        self, rows: Sequence[Combination], volumes: int, numbers: tuple[int, ...], labels: Labels
    ) -> None:
        """Show these."""
        self.beginResetModel()
        self.rows, self.volumes, self.numbers, self.labels = rows, volumes, numbers, labels
        self.endResetModel()

    def recolor(self, labels: Labels) -> None:
        """Show blocks in other colors or under other names."""
        self.labels = labels
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, NAMES))

    def rowCount(self, parent: QModelIndex = NOTHING) -> int:
        """Override for Qt."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = NOTHING) -> int:
        """Override for Qt."""
        return len(HEADINGS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Override for Qt."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        known = {Qt.ItemDataRole.DisplayRole: HEADINGS, Qt.ItemDataRole.ToolTipRole: TIPS}
        return known[role][section] if role in known else None

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Override for Qt."""
        row, column = self.rows[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return (
                "",
                ", ".join(map(str, row.blocks)) or "none",
                f"{row.count:,}",
                f"{row.if_independent:.1f}",
                f"{row.by_errors:.1f}",
            )[column]
        if role == Qt.ItemDataRole.TextAlignmentRole and column > NAMES:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ForegroundRole and not row.sure:
            return faint(self._parent.palette())
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(row)
        return None

    def _tip(self, row: Combination) -> str:
        words = self.labels.words if self.labels is not None else str
        blocks = ", ".join(words(n) for n in row.blocks)
        share = f"{100 * row.low:.0f} to {100 * row.high:.0f} % of all, at 95 % confidence each"
        lines = [
            f"{'Only blocks ' + blocks if blocks else 'None of the blocks'}: "
            f"{row.count:,} of {self.volumes:,} volumes ({share})",
            f"{row.volume} shows it most clearly",
        ]
        return "\n".join(lines if row.sure else [*lines, "These may be wrong calls of others"])


class CombinationsTable(QTableView):
    """The table; the columns of the numbers are as narrow as can be."""

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self.combinations = CombinationsModel(self)
        self.setModel(self.combinations)
        self.setItemDelegateForColumn(BLOCKS, _Bars(self))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 7)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(24)
        text = self.fontMetrics().horizontalAdvance
        for column in (VOLUMES, CHANCE, ERRORS):
            header.resizeSection(column, text(HEADINGS[column]) + 12)
        header.setSectionResizeMode(NAMES, QHeaderView.ResizeMode.Stretch)
        self.combinations.modelReset.connect(self._fit)

    def _fit(self) -> None:
        self.horizontalHeader().resizeSection(
            BLOCKS, cells_width(len(self.combinations.numbers)) if self.combinations.rows else 24
        )

    def sizeHint(self) -> QSize:
        """Override for Qt."""
        return LEAST

    def minimumSizeHint(self) -> QSize:
        """Override for Qt."""
        return LEAST


class _Bars(QStyledItemDelegate):
    """Paints the blocks of a combination in their colors."""

    def __init__(self, table: CombinationsTable):
        super().__init__(table)
        self._table = table

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Override for Qt."""
        model = self._table.combinations
        own: Any = QStyleOptionViewItem(option)
        self.initStyleOption(own, index)
        self._table.style().drawControl(
            QStyle.ControlElement.CE_ItemViewItem, own, painter, self._table
        )
        here = set(model.rows[index.row()].blocks)
        present = [n in here for n in model.numbers]
        if model.labels is not None and present:
            area = own.rect.adjusted(AROUND, EDGE, -AROUND, -EDGE)
            palette = self._table.palette()
            paint_bars(painter, area, model.numbers, present, present, model.labels, palette)
