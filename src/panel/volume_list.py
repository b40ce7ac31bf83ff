"""What the lists of volumes have in common: a row a volume, sorted, searched."""

from __future__ import annotations

from typing import Any, ClassVar

from Qt.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt
from Qt.QtWidgets import QAbstractItemView, QTableView, QWidget

from .find import FoundRows
from .state import PanelState

SORT = Qt.ItemDataRole.UserRole  # the role of values to sort by


class VolumeListModel(QAbstractTableModel):
    """The listed volumes as a Qt model; what the columns show is a subclass's.

    Attributes
    ----------
    HEADINGS, TIPS : by column
    LEFT : columns of text, aligned to the left
    """

    HEADINGS: ClassVar[tuple[str, ...]]
    TIPS: ClassVar[tuple[str, ...]]
    LEFT: ClassVar[tuple[int, ...]]

    def __init__(self, state: PanelState, parent: QWidget):
        super().__init__(parent)
        self.state = state
        self._parent = parent
        self._names: tuple[str, ...] = ()
        self._row: dict[str, int] = {}

    def name(self, row: int) -> str:
        """The name of the volume in a row."""
        return self._names[row]

    def row_of(self, name: str) -> int | None:
        """The row of a volume."""
        return self._row.get(name)

    def words(self, row: int) -> str:
        """What a search looks at."""
        name = self._names[row]
        flag = self.state.flags.get(name)
        return " ".join([name, *(["flagged", flag.kind, flag.reason] if flag else [])])

    def refresh(self) -> None:
        """Show the volumes as they are now."""
        self.refresh_rows(0, len(self._names) - 1)

    def refresh_rows(self, first: int, last: int) -> None:
        """Show some rows as they are now."""
        if self._names:
            last_column = len(self.HEADINGS) - 1
            self.dataChanged.emit(self.index(first, 0), self.index(last, last_column))

    def _list_names(self) -> None:
        """Take the listed volumes as rows; between beginResetModel and endResetModel."""
        self._names = self.state.names
        self._row = {name: row for row, name in enumerate(self._names)}

    # --- for Qt

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Override for Qt."""
        return 0 if parent is not None and parent.isValid() else len(self._names)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Override for Qt."""
        return len(self.HEADINGS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Override for Qt."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(section)
        known = {Qt.ItemDataRole.DisplayRole: self.HEADINGS, Qt.ItemDataRole.ToolTipRole: self.TIPS}
        return known[role][section] if role in known else None

    def _alignment(self, column: int) -> Qt.AlignmentFlag:
        left = column in self.LEFT
        side = Qt.AlignmentFlag.AlignLeft if left else Qt.AlignmentFlag.AlignRight
        return side | Qt.AlignmentFlag.AlignVCenter


class VolumeList(QTableView):
    """A list: sorted by clicking a heading, at first by the first column.

    Attributes
    ----------
    rows : the rows as they are shown: sorted, and those looked for
    """

    LEAST: ClassVar[QSize]  # pixels

    rows: FoundRows
    _model: VolumeListModel

    def _set_up(
        self,
        model: VolumeListModel,
        rows: FoundRows,
        selection: QAbstractItemView.SelectionMode,
        height: int,
    ) -> None:
        """Show the rows of a model, each so many pixels high."""
        self._model, self.rows = model, rows
        rows.setSourceModel(model)
        rows.setSortRole(SORT)
        self.setModel(rows)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(selection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(height)
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setMinimumSectionSize(48)

    def sizeHint(self) -> QSize:
        """Override for Qt: as small as can be used; the list takes what is left of the panel."""
        return self.LEAST

    def minimumSizeHint(self) -> QSize:
        """Override for Qt."""
        return self.LEAST

    def name_at(self, index: QModelIndex) -> str | None:
        """The name of the volume at an index of the view."""
        return self._model.name(self.rows.mapToSource(index).row()) if index.isValid() else None
