"""What the lists of volumes have in common: a row a volume, sorted, searched."""

from __future__ import annotations

from typing import Any, ClassVar

from Qt.QtCore import QAbstractTableModel, QItemSelectionModel, QModelIndex, QSize, Qt
from Qt.QtWidgets import QAbstractItemView, QTableView, QWidget

from .find import FoundRows
from .state import PanelState


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
        self._listing: dict[str, int] = {}  # position in the list as it was read
        self._sorted_by, self._backward = 0, False

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
        self._listing = {name: place for place, name in enumerate(self.state.names)}
        self._order()

    def _order(self) -> None:
        """Put the rows in order; those of equal value stay as they are listed."""
        names = list(self._listing)
        if self._sorted_by == 0:
            names = names[::-1] if self._backward else names
        else:
            keys = {name: self._sort_key(name, self._sorted_by) for name in names}
            names.sort(key=keys.__getitem__, reverse=self._backward)
        self._names = tuple(names)
        self._row = {name: row for row, name in enumerate(names)}

    def _sort_key(self, name: str, column: int) -> Any:
        """The value by which a column but the first is sorted."""
        raise NotImplementedError

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Override for Qt."""
        self._sorted_by, self._backward = column, order == Qt.SortOrder.DescendingOrder
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        names = [self._names[index.row()] for index in before]
        self._order()
        after = [
            self.index(self._row[name], index.column())
            for name, index in zip(names, before, strict=True)
        ]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

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

    def make_current(self, index: QModelIndex) -> None:
        """Make a row the current one and the only one selected. Qt's setCurrentIndex would keep
        the others while Ctrl is held, as it is to pick a block in the scene.
        """
        flags = QItemSelectionModel.SelectionFlag
        self.selectionModel().setCurrentIndex(index, flags.ClearAndSelect | flags.Rows)

    def name_at(self, index: QModelIndex) -> str | None:
        """The name of the volume at an index of the view."""
        return self._model.name(self.rows.mapToSource(index).row()) if index.isValid() else None
