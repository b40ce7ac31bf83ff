"""The histogram of contour levels, with the band that ``filter true`` keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from Qt.QtCore import QPointF, QRectF, QSize, Qt
from Qt.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen
from Qt.QtWidgets import QSizePolicy, QWidget

from .widgets import faint

MOST_BARS = 40
HEIGHT = 92  # pixels
EDGE = 8  # pixels left and right


class LevelHistogram(QWidget):
    """Contour levels of the ticked volumes over those of all, with the band of mean +- 2 SD and a
    line for the volume shown.
    """

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._levels = np.empty(0)
        self._chosen = np.empty(0, bool)
        self._marked: float | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Contour levels of the volumes. Shaded: mean ± 2 SD; volumes outside are flagged as "
            "outliers.\nPale bars: unticked volumes. Line: the volume shown."
        )

    def sizeHint(self) -> QSize:
        """Override for Qt."""
        return QSize(300, HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Override for Qt."""
        return QSize(120, HEIGHT)

    def set_levels(self, levels: Mapping[str, float], excluded: Collection[str]) -> None:
        """Show these contour levels, by name of the volume."""
        self._levels = np.array(list(levels.values()), np.float64)
        self._chosen = np.array([name not in excluded for name in levels], bool)
        self.setVisible(len(self._levels) > 1)
        self.update()

    def mark(self, level: float | None) -> None:
        """Mark the contour level of the volume shown."""
        self._marked = level
        self.update()

    @property
    def band(self) -> tuple[float, float]:
        """Mean - 2 SD and mean + 2 SD of all contour levels."""
        mean, spread = float(self._levels.mean()), 2 * float(self._levels.std())
        return mean - spread, mean + spread

    def paintEvent(self, event: QPaintEvent) -> None:
        """Override for Qt."""
        if len(self._levels) < 2:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        font = self.font()
        font.setPointSizeF(max(7.0, 0.85 * font.pointSizeF()))
        painter.setFont(font)
        text_height = painter.fontMetrics().height()
        low, high = min(self._levels.min(), self.band[0]), max(self._levels.max(), self.band[1])
        if high - low <= 1e-6 * max(abs(low), abs(high)):  # equal but for rounding: no bars fit in
            low, high = low - 0.5 * abs(low) - 1e-6, high + 0.5 * abs(high) + 1e-6
        area = QRectF(EDGE, 4, self.width() - 2 * EDGE, self.height() - text_height - 8)

        def across(level: float) -> float:
            return float(area.left() + (level - low) / (high - low) * area.width())

        highlight = palette.color(QPalette.ColorRole.Highlight)
        self._paint_band(painter, area, across(self.band[0]), across(self.band[1]), highlight)
        self._paint_bars(painter, area, low, high, highlight)
        painter.setPen(QPen(faint(palette), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        if self._marked is not None:
            painter.setPen(QPen(palette.color(QPalette.ColorRole.WindowText), 1.5))
            painter.drawLine(
                QPointF(across(self._marked), area.top()),
                QPointF(across(self._marked), area.bottom()),
            )
        painter.setPen(faint(palette))
        labels = QRectF(EDGE, area.bottom() + 2, area.width(), text_height)
        for text, side in (
            (f"{low:#.3g}", Qt.AlignmentFlag.AlignLeft),
            (f"{high:#.3g}", Qt.AlignmentFlag.AlignRight),
            (
                f"contour level, {self.band[0]:#.3g} to {self.band[1]:#.3g} within 2 SD",
                Qt.AlignmentFlag.AlignHCenter,
            ),
        ):
            painter.drawText(labels, side, text)
        painter.end()

    def _paint_band(
        self, painter: QPainter, area: QRectF, left: float, right: float, color: QColor
    ) -> None:
        shade = QColor(color)
        shade.setAlpha(40)
        painter.fillRect(QRectF(left, area.top(), right - left, area.height()), shade)

    def _paint_bars(
        self, painter: QPainter, area: QRectF, low: float, high: float, color: QColor
    ) -> None:
        bars = int(np.clip(2 * np.sqrt(len(self._levels)), 5, MOST_BARS))
        total, _ = np.histogram(self._levels, bars, (low, high))
        chosen, _ = np.histogram(self._levels[self._chosen], bars, (low, high))
        width = area.width() / bars
        pale = QColor(color)
        pale.setAlpha(110)
        for counts, fill in ((total, pale), (chosen, color)):
            for bar, count in enumerate(counts.tolist()):
                if count:
                    tall = max(2.0, area.height() * count / total.max())
                    painter.fillRect(
                        QRectF(
                            area.left() + bar * width + 0.5,
                            area.bottom() - tall,
                            max(1.0, width - 1),
                            tall,
                        ),
                        fill,
                    )
