"""Blocks as small bars in a cell of the list of volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from Qt.QtCore import QModelIndex, QRect, QSize
from Qt.QtGui import QColor, QPainter, QPalette
from Qt.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from .widgets import faint, mixed

if TYPE_CHECKING:
    from ..core.figures.theme import Labels
    from .volumes import VolumesTable

WIDEST, MOST = 9, 108  # pixels of a bar with the gap beside it, and of all
AROUND = 4  # pixels left and right
EDGE = 5  # pixels above and below
LEAST = 3  # pixels of a bar of a block that is there
GRAY = (0.6, 0.6, 0.6)


def cells_width(blocks: int) -> int:
    """The width in pixels that so many blocks ask for."""
    return min(WIDEST * blocks, MOST) + 2 * AROUND


class BlockCells(QStyledItemDelegate):
    """Paints the share of each block in a volume as a bar, in the color of the block where that is
    present, and gray where it is not.
    """

    def __init__(self, table: VolumesTable):
        super().__init__(table)
        self._table = table

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Override for Qt."""
        known = self._table.volumes.state.known
        return QSize(cells_width(len(known.numbers) if known is not None else 0), 2 * EDGE)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        """Override for Qt."""
        known, name = self._table.volumes.state.known, self._table.name_at(index)
        own: Any = QStyleOptionViewItem(option)
        self.initStyleOption(own, index)
        own.text = ""
        style = self._table.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, own, painter, self._table)
        column = known.columns.get(name) if known is not None and name is not None else None
        if known is None or column is None:
            return
        paint_bars(
            painter,
            own.rect.adjusted(AROUND, EDGE, -AROUND, -EDGE),
            known.numbers,
            known.states.share[:, column],
            known.states.present[:, column],
            known.labels,
            self._table.palette(),
        )


def paint_bars(
    painter: QPainter,
    area: QRect,
    numbers: Sequence[int],
    shares: Any,
    present: Any,
    labels: Labels,
    palette: QPalette,
) -> None:
    """A bar for each block: as high as its share, in its color where it is present."""
    gray = mixed(faint(palette), palette.color(QPalette.ColorRole.Base), 0.5)
    step = min(float(WIDEST), area.width() / len(numbers))
    gap = 1 if step >= 4 else 0
    for k, number in enumerate(numbers):
        left, right = round(k * step), max(round((k + 1) * step) - gap, round(k * step) + 1)
        tall = max(LEAST if present[k] else 1, round(float(shares[k]) * area.height()))
        bar = QRect(area.left() + left, area.bottom() + 1 - tall, right - left, tall)
        color = QColor.fromRgbF(*labels.colors.get(number, GRAY)[:3])
        painter.fillRect(bar, color if present[k] else gray)
