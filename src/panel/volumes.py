"""The list of volumes: check box, picture, blocks, threshold, enclosed volume, flag."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from Qt.QtCore import (
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QSize,
    Qt,
    Signal,
)
from Qt.QtGui import QImage, QKeyEvent, QPalette, QPixmap, QResizeEvent
from Qt.QtWidgets import QAbstractItemView, QHeaderView, QWidget

from ..core.analysis.selection import Selection
from ..core.common.errors import SirenError
from .block_cells import BlockCells, cells_width
from .find import FoundRows
from .state import PanelState
from .volume_list import VolumeList, VolumeListModel
from .widgets import faint

NAME, THRESHOLD, VOLUME, FLAG, BLOCKS = range(5)
HEADINGS = ("volume", "threshold", "Å³", "flag", "blocks")
TIPS = (
    "File name of the map; ticked maps take part. The picture is the mean of the map along z.",
    "Contour level: predicted, from a table, or one for all (see the Run page)",
    "Volume enclosed at the contour level, Å³",
    "outlier: contour level beyond mean ± 2 SD; junk: unlike all other volumes; empty: nothing "
    "above the contour level;\n"
    "mirrored, shifted: against most others; other grid: only Predict can use it;\n"
    "half map, mask ...: no state of the ensemble, used if ticked; "
    "unusable: cannot be read",
    "The blocks in each volume, in their colors; the height of a bar is the share of the block's "
    "voxels that is occupied. Sorted by how many there are",
)
UNFINISHED = re.compile(r"(?<!\S)(with|has|have|without|lacks|lack)\s*$", re.IGNORECASE)
ICON = 32  # pixels
NARROW = 380  # pixels; a narrower list has no enclosed volume
FLAG_WIDTH, FLAG_LEAST = 76, 60  # pixels


class VolumesModel(VolumeListModel):
    """The volumes of the panel's state as a Qt model."""

    HEADINGS, TIPS, LEFT = HEADINGS, TIPS, (NAME, FLAG, BLOCKS)

    def __init__(self, state: PanelState, parent: QWidget):
        super().__init__(state, parent)
        self.box_clicked = False  # the last click was on a check box
        self._pictures: dict[str, QPixmap] = {}
        state.ensemble_changed.connect(self._reset)
        state.previews_changed.connect(self._looked)
        for signal in (state.levels_changed, state.flags_changed, state.selection_changed):
            signal.connect(self.refresh)
        state.states_changed.connect(self.refresh)

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
        name = self._names[row]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._text(name, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return self._alignment(column)
        if role == Qt.ItemDataRole.ForegroundRole and name in self.state.excluded:
            return faint(self._parent.palette())
        if role == Qt.ItemDataRole.ToolTipRole and column == BLOCKS:
            known = self.state.known
            return f"{name}\n{known.words(name)}" if known is not None else name
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

    def _blocks_text(self, name: str) -> str:
        known = self.state.known
        if known is None or name not in known.columns:
            return ""
        return ", ".join(map(str, known.blocks_of(name))) or "none"

    def _text(self, name: str, column: int) -> str:
        if column == BLOCKS:
            return self._blocks_text(name)
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
        if column == BLOCKS:
            known = self.state.known
            place = known.columns.get(name) if known is not None else None
            return -1 if known is None or place is None else int(known.ranks[place])
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


class VolumeRows(FoundRows):
    """The rows looked for, by words and by blocks: ``with 3 without 5``.

    Attributes
    ----------
    selection : the blocks that are asked for
    problem : why they cannot be, or ""
    """

    def __init__(self, model: VolumesModel, parent: QWidget):
        super().__init__(model.words, parent)
        self._model = model
        self.selection, self.problem = Selection(), ""
        self._fitting: frozenset[str] | None = None

    def find(self, pattern: str) -> None:
        """Show the rows that match, "" for all; blocks are words like others until their states
        are known.
        """
        known = self._model.state.known
        self.selection, self.problem, self._fitting = Selection(), "", None
        if known is not None:
            try:
                self.selection, pattern = Selection.parse(UNFINISHED.sub("", pattern))
                if self.selection != Selection():
                    self._fitting = known.fitting(self.selection)
            except SirenError as error:
                self.problem, self._fitting, pattern = str(error), frozenset(), ""
        super().find(pattern)

    @property
    def searching(self) -> bool:
        """Whether not all rows are looked for."""
        return bool(self.pattern) or self._fitting is not None

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Override for Qt."""
        fits = self._fitting is None or self._model.name(row) in self._fitting
        return fits and super().filterAcceptsRow(row, parent)


class VolumesTable(VolumeList):
    """The list: sorted by clicking a heading, with multiple selection.

    Space ticks and unticks the selected rows, Delete unticks them, and Shift+Space plays.
    """

    LEAST = QSize(200, 110)  # three rows

    toggle_wanted = Signal()
    untick_wanted = Signal()
    play_wanted = Signal()
    row_hidden = Signal()  # a row to go to is not among those looked for

    rows: VolumeRows

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.volumes = VolumesModel(state, self)
        self._set_up(
            self.volumes,
            VolumeRows(self.volumes, self),
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
        header.resizeSection(FLAG, FLAG_WIDTH)
        header.moveSection(header.visualIndex(BLOCKS), 1)
        header.setSectionResizeMode(BLOCKS, QHeaderView.ResizeMode.Interactive)
        self.cells = BlockCells(self)
        self.setItemDelegateForColumn(BLOCKS, self.cells)
        state.states_changed.connect(self._fit_blocks)
        self._fitted: tuple[int, bool] | None = None  # what the columns are fitted to
        self._fit_blocks()

    def _fit_blocks(self) -> None:
        """Give the blocks their column once they are known; names need room in a narrow list. A
        width that the user gave stays until either changes.
        """
        known = self.volumes.state.known
        count = len(known.numbers) if known is not None and known.columns else 0
        # with all columns, the blocks take from the name what they need
        narrow = self.viewport().width() < NARROW + (cells_width(count) if count else 0)
        if (count, narrow) == self._fitted:
            return
        self._fitted = count, narrow
        self.setColumnHidden(VOLUME, narrow)
        self.setColumnHidden(BLOCKS, not count)
        header, text = self.horizontalHeader(), self.fontMetrics().horizontalAdvance
        heading = text(HEADINGS[BLOCKS]) + 12
        header.resizeSection(BLOCKS, heading if narrow else max(heading, cells_width(count)))
        header.resizeSection(FLAG, FLAG_LEAST if narrow and count else FLAG_WIDTH)
        fixed = narrow and count
        mode = QHeaderView.ResizeMode
        header.setSectionResizeMode(THRESHOLD, mode.Interactive if fixed else mode.ResizeToContents)
        if fixed:
            header.resizeSection(THRESHOLD, text(HEADINGS[THRESHOLD]) + 12)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Override for Qt: names need the room of the enclosed volume, which the tooltip tells."""
        self._fit_blocks()
        super().resizeEvent(event)

    def selected(self) -> list[str]:
        """Names of the selected volumes."""
        return [
            name
            for part in self.selectionModel().selection()
            for row in range(part.top(), part.bottom() + 1)
            if (name := self.name_at(self.rows.index(row, 0))) is not None
        ]

    def select(self, names: Collection[str]) -> int:
        """Select these volumes, also if a search has left them out, and say how many are listed.
        The current row stays.
        """
        rows = [row for name in names if (row := self.volumes.row_of(name)) is not None]
        shown = sorted(self._shown(row).row() for row in rows)
        if shown and shown[0] < 0:
            self.row_hidden.emit()
            shown = sorted(self._shown(row).row() for row in rows)
        last, selection = len(HEADINGS) - 1, QItemSelection()
        for first, end in _runs(shown):
            selection.append(
                QItemSelection(self.rows.index(first, 0), self.rows.index(end, last))[0]
            )
        self.selectionModel().select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        if shown:
            self.scrollTo(self.rows.index(shown[0], 0))
        return len(rows)

    def _shown(self, row: int) -> QModelIndex:
        """The index in the view of a row of the model."""
        return self.rows.mapFromSource(self.volumes.index(row, 0))

    def go_to(self, name: str) -> None:
        """Make a volume the current row, also if a search has left it out."""
        row = self.volumes.row_of(name)
        if row is None:
            return
        if not self._shown(row).isValid():
            self.row_hidden.emit()
        self.make_current(self._shown(row))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Override for Qt, where space acts on the current cell alone."""
        if event.key() == Qt.Key.Key_Space:
            shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            (self.play_wanted if shift else self.toggle_wanted).emit()
        elif event.key() == Qt.Key.Key_Delete:
            self.untick_wanted.emit()
        else:
            super().keyPressEvent(event)


def _runs(rows: list[int]) -> list[tuple[int, int]]:
    """Rising numbers as first and last of each run of neighbors."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        if runs and row == runs[-1][1] + 1:
            runs[-1] = runs[-1][0], row
        else:
            runs.append((row, row))
    return runs
