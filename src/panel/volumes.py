"""The list of volumes: check box, picture, threshold, enclosed volume, flag."""

from __future__ import annotations

from typing import Any

from Qt.QtCore import QModelIndex, QSize, Qt, Signal
from Qt.QtGui import QImage, QKeyEvent, QPalette, QPixmap, QResizeEvent
from Qt.QtWidgets import QAbstractItemView, QHeaderView, QWidget

from .find import FoundRows
from .state import PanelState
from .volume_list import SORT, VolumeList, VolumeListModel
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


class VolumesModel(VolumeListModel):
    """The volumes of the panel's state as a Qt model."""

    HEADINGS, TIPS, LEFT = HEADINGS, TIPS, (NAME, FLAG)

    def __init__(self, state: PanelState, parent: QWidget):
        super().__init__(state, parent)
        self.box_clicked = False  # the last click was on a check box
        self._pictures: dict[str, QPixmap] = {}
        state.ensemble_changed.connect(self._reset)
        state.previews_changed.connect(self._looked)
        for signal in (state.levels_changed, state.flags_changed, state.selection_changed):
            signal.connect(self.refresh)

    def words(self, row: int) -> str:
        """What a search looks at."""
        unticked = " unticked" if self._names[row] in self.state.excluded else ""
        return super().words(row) + unticked

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
            return self._alignment(column)
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
        self._list_names()
        self._pictures = {}
        self.endResetModel()

    def _looked(self, names: list[str]) -> None:
        rows = [self._row[n] for n in names if n in self._row]
        if rows:
            self.refresh_rows(min(rows), max(rows))


class VolumesTable(VolumeList):
    """The list: sorted by clicking a heading, with multiple selection.

    Space ticks and unticks the selected rows, Delete unticks them, and Shift+Space plays.
    """

    LEAST = QSize(200, 110)  # three rows

    toggle_wanted = Signal()
    untick_wanted = Signal()
    play_wanted = Signal()
    row_hidden = Signal()  # a row to go to is not among those looked for

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.volumes = VolumesModel(state, self)
        self._set_up(
            self.volumes,
            FoundRows(self.volumes.words, self),
            QAbstractItemView.SelectionMode.ExtendedSelection,
            ICON + 4,
        )
        self.setIconSize(QSize(ICON, ICON))
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setResizeContentsPrecision(20)  # rows; measuring 500 each time is too slow
        # long flags are in the tooltip; the name must stay readable
        header.setSectionResizeMode(FLAG, QHeaderView.ResizeMode.Interactive)
        header.resizeSection(FLAG, 76)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Override for Qt: names need the room of the enclosed volume, which the tooltip tells."""
        self.setColumnHidden(VOLUME, self.viewport().width() < NARROW)
        super().resizeEvent(event)

    def selected(self) -> list[str]:
        """Names of the selected volumes."""
        return [
            name
            for index in self.selectionModel().selectedRows()
            if (name := self.name_at(index)) is not None
        ]

    def go_to(self, name: str) -> None:
        """Make a volume the current row, also if a search has left it out."""
        row = self.volumes.row_of(name)
        if row is None:
            return
        if not self.rows.mapFromSource(self.volumes.index(row, 0)).isValid():
            self.row_hidden.emit()
        self.setCurrentIndex(self.rows.mapFromSource(self.volumes.index(row, 0)))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Override for Qt, where space acts on the current cell alone."""
        if event.key() == Qt.Key.Key_Space:
            shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            (self.play_wanted if shift else self.toggle_wanted).emit()
        elif event.key() == Qt.Key.Key_Delete:
            self.untick_wanted.emit()
        else:
            super().keyPressEvent(event)
