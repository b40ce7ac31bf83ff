"""The histogram of one map's values, with its contour level as a line that can be dragged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from Qt.QtCore import QPointF, QRectF, QSize, Qt, Signal
from Qt.QtGui import (
    QColor,
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QPolygonF,
)
from Qt.QtWidgets import QSizePolicy, QWidget

from .widgets import faint, single_shot

HEIGHT, LEAST_HEIGHT = 116, 48  # pixels
EDGE = 8  # pixels left and right
TOP = 16  # pixels above the bars, for the level
BARS = 160  # at most, 2 pixels wide
STEP, FINE = 0.01, 0.001  # of the range of values, for one press of an arrow key, and with Shift
REST = 500  # ms without another press, until the level counts as set
TIP = (
    "<p>Values of the voxels of the map shown; tall bars count on a logarithmic scale. Drag the "
    "line, or press ← and → (with Shift: finely), and the surface follows; Escape takes the level "
    "back while you drag.</p><p>Dashed: the level that a run takes. Triangle: your label, with its "
    "bounds shaded.</p>"
)


class MapHistogram(QWidget):
    """Values of a map, and its contour level.

    Attributes
    ----------
    level : where the line is, None without one
    """

    dragged = Signal(float)  # the level, while it is dragged
    released = Signal(float)  # the level at which it is left

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.level: float | None = None
        self._low, self._high = 0.0, 0.0
        self._counts: NDArray[np.int64] = np.empty(0, np.int64)
        self._usual: float | None = None
        self._label: tuple[float, float | None, float | None] | None = None
        self._low_page = False
        self._before: float | None = None  # the level before it was dragged
        self._rest = single_shot(self, REST, self._leave)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setMaximumHeight(HEIGHT)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        self.setToolTip(TIP)

    def sizeHint(self) -> QSize:
        """Override for Qt."""
        return QSize(300, LEAST_HEIGHT if self._low_page else HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Override for Qt."""
        return QSize(120, LEAST_HEIGHT)

    def fit(self, low_page: bool) -> None:
        """Ask for less height where the page is low; it takes what is left."""
        if low_page != self._low_page:
            self._low_page = low_page
            self.updateGeometry()

    # --- what is shown

    def set_values(self, low: float, high: float, counts: NDArray[np.integer]) -> None:
        """Show how many voxels (n,) have values in n even parts from ``low`` to ``high``."""
        self._low, self._high = low, high
        self._counts = np.asarray(counts, np.int64)
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self.level, self._label, self._usual, self._before = None, None, None, None
        self._rest.stop()
        self.set_values(0.0, 0.0, np.empty(0, np.int64))

    def set_level(self, level: float | None) -> None:
        """Move the line, unless it is being dragged."""
        if self._before is None and level != self.level:
            self.level = level
            self.update()

    def set_marks(
        self, usual: float | None, label: tuple[float, float | None, float | None] | None
    ) -> None:
        """Mark the level that a run takes; and the label, with its lower and upper bound."""
        if (usual, label) != (self._usual, self._label):
            self._usual, self._label = usual, label
            self.update()

    @property
    def dragging(self) -> bool:
        """Whether the line is being dragged, or moved with keys."""
        return self._before is not None

    def place(self, level: float) -> float:
        """Pixels from the left of a level."""
        area = self._area()
        share = (level - self._low) / (self._high - self._low)
        return float(area.left() + min(1.0, max(0.0, share)) * area.width())

    def _area(self) -> QRectF:
        line = self.fontMetrics().height()
        return QRectF(EDGE, TOP, self.width() - 2 * EDGE, self.height() - TOP - line - 4)

    # --- dragging

    def _movable(self) -> bool:
        return len(self._counts) > 0 and self.level is not None

    def _move(self, level: float) -> None:
        if self._before is None:
            self._before = self.level
        margin = 1e-3 * (self._high - self._low)
        self.level = min(self._high - margin, max(self._low + margin, level))
        self.update()
        self.dragged.emit(self.level)

    def _leave(self) -> None:
        """The level is set where it is now."""
        self._rest.stop()
        before, self._before = self._before, None
        if before is not None and self.level is not None and self.level != before:
            self.released.emit(self.level)

    def _take_back(self) -> None:
        self._rest.stop()
        before, self._before = self._before, None
        if before is not None:
            self.level = before
            self.update()
            self.dragged.emit(before)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Override for Qt."""
        if event.button() == Qt.MouseButton.LeftButton and self._movable():
            self._leave()
            self._move(self._level_at(event))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Override for Qt."""
        if event.buttons() & Qt.MouseButton.LeftButton and self.dragging:
            self._move(self._level_at(event))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Override for Qt."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._leave()

    def _level_at(self, event: QMouseEvent) -> float:
        area = self._area()
        share = (event.position().x() - area.left()) / area.width()
        return self._low + share * (self._high - self._low)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Override for Qt."""
        sides = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() in sides and self._movable():
            shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            share = sides[event.key()] * (FINE if shift else STEP)
            self._move(float(self.level or 0.0) + share * (self._high - self._low))
            self._rest.start()
        elif event.key() == Qt.Key.Key_Escape and self.dragging:
            self._take_back()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.dragging:
            self._leave()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Override for Qt: a level left is set."""
        self._leave()
        super().focusOutEvent(event)
        self.update()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Override for Qt."""
        super().focusInEvent(event)
        self.update()

    # --- drawing

    def paintEvent(self, event: QPaintEvent) -> None:
        """Override for Qt."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette, area = self.palette(), self._area()
        painter.setPen(faint(palette))
        if not len(self._counts) or self._high <= self._low:
            words = "Click a volume: its values appear here, and its level can be dragged."
            centered = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()), centered, words)
            painter.end()
            return
        highlight = palette.color(QPalette.ColorRole.Highlight)
        self._paint_bounds(painter, area, highlight)
        self._paint_bars(painter, area, palette)
        self._paint_label(painter, area, highlight)
        painter.setPen(QPen(faint(palette), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        font = self.font()
        font.setPointSizeF(max(7.0, 0.85 * font.pointSizeF()))
        painter.setFont(font)
        below = QRectF(EDGE, area.bottom() + 2, area.width(), painter.fontMetrics().height())
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, f"{self._low:#.3g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"{self._high:#.3g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, "value of the voxels")
        if self._usual is not None:
            painter.setPen(QPen(faint(palette), 1.5, Qt.PenStyle.DashLine))
            x = self.place(self._usual)
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        if self.level is not None:
            self._paint_level(painter, area, palette, self.level)
        if self.hasFocus():
            painter.setPen(QPen(highlight, 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        painter.end()

    def _paint_level(
        self, painter: QPainter, area: QRectF, palette: QPalette, level: float
    ) -> None:
        x = self.place(level)
        painter.setPen(QPen(palette.color(QPalette.ColorRole.WindowText), 2))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        text = f"{level:.4g}"
        width = painter.fontMetrics().horizontalAdvance(text) + 4
        left = min(max(x - width / 2, 0.0), self.width() - width)
        painter.drawText(QRectF(left, 0, width, TOP), Qt.AlignmentFlag.AlignCenter, text)

    def _paint_bounds(self, painter: QPainter, area: QRectF, color: QColor) -> None:
        level, lower, upper = self._label or (0.0, None, None)
        if lower is not None or upper is not None:
            left = self.place(level if lower is None else lower)
            right = self.place(level if upper is None else upper)
            shade = QColor(color)
            shade.setAlpha(50)
            painter.fillRect(QRectF(left, area.top(), right - left, area.height()), shade)

    def _paint_label(self, painter: QPainter, area: QRectF, color: QColor) -> None:
        if self._label is not None:
            x, y = self.place(self._label[0]), area.bottom()
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            corners = [QPointF(x, y - 10), QPointF(x - 5, y), QPointF(x + 5, y)]
            painter.drawPolygon(QPolygonF(corners))

    def _paint_bars(self, painter: QPainter, area: QRectF, palette: QPalette) -> None:
        bars = int(min(BARS, max(20, area.width() // 2), len(self._counts)))
        edges = np.linspace(0, len(self._counts), bars + 1).astype(int)
        counts = np.add.reduceat(self._counts, edges[:-1])
        tall = np.log1p(counts) / max(1.0, float(np.log1p(counts.max())))
        width = area.width() / bars
        color = palette.color(QPalette.ColorRole.WindowText)
        color.setAlpha(70)
        above = QColor(palette.color(QPalette.ColorRole.Highlight))
        above.setAlpha(170)
        for bar, share in enumerate(tall.tolist()):
            if share:
                value = self._low + (bar + 0.5) / bars * (self._high - self._low)
                inside = self.level is not None and value >= self.level
                height = max(1.0, area.height() * share)
                painter.fillRect(
                    QRectF(area.left() + bar * width, area.bottom() - height, width, height),
                    above if inside else color,
                )
