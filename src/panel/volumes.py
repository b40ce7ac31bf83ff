"""The list of volumes: check box, picture, threshold, enclosed volume, flag."""

from __future__ import annotations

from typing import Any

from Qt.QtCore import QAbstractTableModel, QModelIndex, QSize, Qt, Signal
from Qt.QtGui import QImage, QKeyEvent, QPalette, QPixmap, QResizeEvent
from Qt.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from .find import FoundRows
from .state import PanelState
from .widgets import faint

NAME, THRESHOLD, VOLUME, FLAG = range(4)
HEADINGS = ("volume", "threshold", "Å³", "flag")
TIPS = (
    "File name of the map; ticked maps take part. The picture is the mean of the map along z.",
    "Contour level: predicted, from a table, or one for all (see the Run page)",
    "Volume enclosed at the contour level, Å³",
    "outlier: contour level beyond mean ± 2 SD; junk: unlike all other volumes; empty: nothing "
    "above the contour level;\n"
    "mirrored, shifted: against most others; other grid: only Predict can use it;\n"
    "half map, mask ...: no state of the ensemble, used if ticked; "
    "unusable: cannot be read",
)
ICON = 32  # pixels
NARROW = 380  # pixels; a narrower list has no enclosed volume
LEAST = QSize(200, 110)  # pixels of the list, three rows
SORT = Qt.ItemDataRole.UserRole


class VolumesModel(QAbstractTableModel):
    """The volumes of the panel's state as a Qt model."""

    def __init__(self, state: PanelState, parent: QWidget):
        super().__init__(parent)
        self.state = state
        self._parent = parent
        self.box_clicked = False  # the last click was on a check box
        self._names: tuple[str, ...] = ()
        self._row: dict[str, int] = {}
        self._pictures: dict[str, QPixmap] = {}
        state.ensemble_changed.connect(self._reset)
        state.previews_changed.connect(self._looked)
        for signal in (state.levels_changed, state.flags_changed, state.selection_changed):
            signal.connect(self._refresh)

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
        words = [name, *(["flagged", flag.kind, flag.reason] if flag else [])]
        return " ".join([*words, *(["unticked"] if name in self.state.excluded else [])])

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Override for Qt."""
        return 0 if parent is not None and parent.isValid() else len(self._names)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Override for Qt."""
        return len(HEADINGS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Override for Qt."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        return {Qt.ItemDataRole.DisplayRole: HEADINGS, Qt.ItemDataRole.ToolTipRole: TIPS}.get(
            role, (None,) * 4
        )[section]

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Override for Qt."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return flags | Qt.ItemFlag.ItemIsUserCheckable if index.column() == NAME else flags

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Override for Qt."""
        row, column = index.row(), index.column()
        if role == SORT and column == NAME:  # fast path: called thousands of times per sort
            return row
        name = self._names[row]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(name, column)
        if role == SORT:
            return self._sort_key(name, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(column)
        if role == Qt.ItemDataRole.ForegroundRole and name in self.state.excluded:
            return faint(self._parent.palette())
        if role == Qt.ItemDataRole.ToolTipRole:
            flag, volume = self.state.flags.get(name), self._text(name, VOLUME)
            enclosed = f"\n{volume} Å³ enclosed" if volume != "–" else ""
            return (f"{name}: {flag.reason}" if flag else name) + enclosed
        if column == NAME and role == Qt.ItemDataRole.CheckStateRole:
            return Qt.CheckState.Unchecked if name in self.state.excluded else Qt.CheckState.Checked
        if column == NAME and role == Qt.ItemDataRole.DecorationRole:
            return self._picture(name)
        return None

    def setData(self, index: QModelIndex, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Override for Qt: a check box was clicked."""
        if role != Qt.ItemDataRole.CheckStateRole:
            return False
        self.box_clicked = True
        ticked = Qt.CheckState(value) == Qt.CheckState.Checked
        name = {self._names[index.row()]}
        self.state.set_excluded(
            self.state.excluded - name if ticked else self.state.excluded | name
        )
        return True

    def _text(self, name: str, column: int) -> str:
        level, preview, flag = (
            self.state.levels.get(name),
            self.state.previews.get(name),
            self.state.flags.get(name),
        )
        if column == THRESHOLD:
            return f"{level:#.3g}" if level is not None else "–"
        if column == VOLUME:
            return (
                f"{float(f'{preview.enclosed_volume(level):.3g}'):,.0f}"
                if preview and level is not None
                else "–"
            )
        if column == FLAG:
            return flag.kind if flag else ""
        return name

    def _sort_key(self, name: str, column: int) -> Any:
        level, preview, flag = (
            self.state.levels.get(name),
            self.state.previews.get(name),
            self.state.flags.get(name),
        )
        if column == THRESHOLD:
            return level if level is not None else -1e300
        if column == VOLUME:
            return preview.enclosed_volume(level) if preview and level is not None else -1.0
        return flag.kind if flag else "~"

    def _picture(self, name: str) -> QPixmap:
        if name not in self._pictures:
            preview = self.state.previews.get(name)
            if preview is None:
                blank = QPixmap(ICON, ICON)
                blank.fill(self._parent.palette().color(QPalette.ColorRole.AlternateBase))
                return blank
            rows, columns = preview.thumbnail.shape
            image = QImage(
                preview.thumbnail.tobytes(), columns, rows, columns, QImage.Format.Format_Grayscale8
            )
            self._pictures[name] = QPixmap.fromImage(
                image.scaled(
                    ICON,
                    ICON,
                    Qt.AspectRatioMode.KeepAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )
            )
        return self._pictures[name]

    def _reset(self) -> None:
        self.beginResetModel()
        self._names = self.state.names
        self._row = {name: row for row, name in enumerate(self._names)}
        self._pictures = {}
        self.endResetModel()

    def _looked(self, names: list[str]) -> None:
        rows = [self._row[n] for n in names if n in self._row]
        if rows:
            self.dataChanged.emit(self.index(min(rows), 0), self.index(max(rows), FLAG))

    def _refresh(self) -> None:
        if self._names:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._names) - 1, FLAG))


def _alignment(column: int) -> Qt.AlignmentFlag:
    side = (
        Qt.AlignmentFlag.AlignRight if column in (THRESHOLD, VOLUME) else Qt.AlignmentFlag.AlignLeft
    )
    return side | Qt.AlignmentFlag.AlignVCenter


class VolumesTable(QTableView):
    """The list: sorted by clicking a heading, with multiple selection.

    Space ticks and unticks the selected rows, Delete unticks them, and Shift+Space plays.
    """

    toggle_wanted = Signal()
    untick_wanted = Signal()
    play_wanted = Signal()
    row_hidden = Signal()  # a row to go to is not among those looked for

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.volumes = VolumesModel(state, self)
        self._sorted = FoundRows(self.volumes.words, self)
        self._sorted.setSourceModel(self.volumes)
        self._sorted.setSortRole(SORT)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        self.sortByColumn(NAME, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setIconSize(QSize(ICON, ICON))
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ICON + 4)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setResizeContentsPrecision(20)  # rows; measuring 500 each time is too slow
        header.setMinimumSectionSize(48)
        # long flags are in the tooltip; the name must stay readable
        header.setSectionResizeMode(FLAG, QHeaderView.ResizeMode.Interactive)
        header.resizeSection(FLAG, 76)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Override for Qt: names need the room of the enclosed volume, which the tooltip tells."""
        self.setColumnHidden(VOLUME, self.viewport().width() < NARROW)
        super().resizeEvent(event)

    def sizeHint(self) -> QSize:
        """Override for Qt: as small as can be used; the list takes what is left of the panel."""
        return LEAST

    def minimumSizeHint(self) -> QSize:
        """Override for Qt."""
        return LEAST

    def name_at(self, index: QModelIndex) -> str | None:
        """The name of the volume at an index of the view."""
        return self.volumes.name(self._sorted.mapToSource(index).row()) if index.isValid() else None

    def selected(self) -> list[str]:
        """Names of the selected volumes."""
        return [
            name
            for index in self.selectionModel().selectedRows()
            if (name := self.name_at(index)) is not None
        ]

    @property
    def rows(self) -> FoundRows:
        """The rows as they are shown: sorted, and those looked for."""
        return self._sorted

    def go_to(self, name: str) -> None:
        """Make a volume the current row, also if a search has left it out."""
        row = self.volumes.row_of(name)
        if row is None:
            return
        if not self._sorted.mapFromSource(self.volumes.index(row, 0)).isValid():
            self.row_hidden.emit()
        self.setCurrentIndex(self._sorted.mapFromSource(self.volumes.index(row, 0)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Override for Qt, where space acts on the current cell alone."""
        if event.key() == Qt.Key.Key_Space:
            shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            (self.play_wanted if shift else self.toggle_wanted).emit()
        elif event.key() == Qt.Key.Key_Delete:
            self.untick_wanted.emit()
        else:
            super().keyPressEvent(event)
