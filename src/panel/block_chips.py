"""Chips that ask for volumes by their blocks: with, without, or either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from Qt.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from Qt.QtGui import QColor, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPalette, QPen
from Qt.QtWidgets import QSizePolicy, QToolTip, QWidget

from ..core.analysis.selection import Selection
from .block_cells import GRAY
from .widgets import faint, mixed

if TYPE_CHECKING:
    from .known_states import KnownStates

HEIGHT = 20  # pixels
NARROWEST, WIDEST = 17, 30  # pixels of a chip with the gap beside it
NONE_YET = "No blocks yet; later, choose volumes by them"
EITHER, WITH, WITHOUT = range(3)
NEXT = {EITHER: WITH, WITH: WITHOUT, WITHOUT: EITHER}
WORDS = {EITHER: "with or without it", WITH: "only volumes with it", WITHOUT: "only without it"}
KEYS = {Qt.Key.Key_Plus: WITH, Qt.Key.Key_Minus: WITHOUT}


class BlockChips(QWidget):
    """A row of chips, one a block, in its color; a click goes from either to with to without.

    With the keyboard: the arrow keys go along the chips, Space is a click, + and - ask for with and
    without, Delete for all volumes again. Where there are more blocks than fit, the row follows the
    arrow keys, and its ends are arrows to click.
    """

    asked = Signal(object)  # Selection

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._known: KnownStates | None = None
        self._selection = Selection()
        self._current = self._first = 0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Volumes by their blocks")

    def show_blocks(self, known: KnownStates | None) -> None:
        """Have a chip for each block."""
        self._known = known if known is not None and known.columns else None
        self._current = min(self._current, max(0, len(self._numbers) - 1))
        self.setEnabled(self._known is not None)
        self._scroll()
        self.update()

    def show_selection(self, selection: Selection) -> None:
        """Show what is asked for."""
        self._selection = selection
        self.update()

    def sizeHint(self) -> QSize:
        """Override for Qt."""
        return QSize(160, HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Override for Qt."""
        return QSize(80, HEIGHT)

    # --- the chips

    @property
    def _numbers(self) -> tuple[int, ...]:
        return self._known.numbers if self._known is not None else ()

    def _fitting(self) -> int:
        """How many chips there is room for, besides the arrows at the ends if not for all."""
        room = self.width() // NARROWEST
        return len(self._numbers) if room >= len(self._numbers) else max(1, room - 2)

    def chip(self, position: int) -> QRect:
        """Where a chip is."""
        shown = self._fitting()
        arrows = 0 if shown == len(self._numbers) else NARROWEST
        width = min(WIDEST, (self.width() - 2 * arrows) / max(1, shown))
        left = arrows + (position - self._first) * width
        return QRect(round(left), 0, round(left + width) - round(left) - 2, HEIGHT)

    def _scroll(self) -> None:
        """Have the current chip in view."""
        shown = self._fitting()
        last = max(0, len(self._numbers) - shown)
        self._first = min(max(self._first, self._current - shown + 1), self._current, last)

    def _at(self, place: QPoint) -> int | None:
        for k in range(self._first, min(self._first + self._fitting(), len(self._numbers))):
            if self.chip(k).adjusted(0, 0, 2, 0).contains(place):
                return k
        return None

    def asked_of(self, number: int) -> int:
        """What is asked of a block: EITHER, WITH or WITHOUT."""
        if number in self._selection.having:
            return WITH
        return WITHOUT if number in self._selection.lacking else EITHER

    def ask(self, number: int, wanted: int) -> None:
        """Ask for volumes with or without a block, or either."""
        having = [n for n in self._selection.having if n != number]
        lacking = [n for n in self._selection.lacking if n != number]
        {WITH: having, WITHOUT: lacking}.get(wanted, []).append(number)
        self.asked.emit(Selection(tuple(sorted(having)), tuple(sorted(lacking))))

    def _turn(self, position: int) -> None:
        number = self._numbers[position]
        self.ask(number, NEXT[self.asked_of(number)])

    # --- for Qt

    def resizeEvent(self, event: Any) -> None:
        """Override for Qt."""
        super().resizeEvent(event)
        self._scroll()

    def paintEvent(self, event: Any) -> None:
        """Override for Qt."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        if self._known is None:
            palette.setCurrentColorGroup(QPalette.ColorGroup.Active)  # it is to be read
            painter.setPen(faint(palette))
            text = self.fontMetrics().elidedText(
                NONE_YET, Qt.TextElideMode.ElideRight, self.width()
            )
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter, text)
            painter.end()
            return
        font = self.font()
        font.setPointSizeF(max(7.0, 0.85 * font.pointSizeF()))
        shown = self._fitting()
        for k in range(self._first, min(self._first + shown, len(self._numbers))):
            self._paint_chip(painter, k, font)
        if shown < len(self._numbers):
            painter.setPen(palette.color(QPalette.ColorRole.WindowText))
            if self._first > 0:
                painter.drawText(QRect(0, 0, NARROWEST, HEIGHT), Qt.AlignmentFlag.AlignCenter, "‹")
            if self._first + shown < len(self._numbers):
                painter.drawText(self._right_arrow(), Qt.AlignmentFlag.AlignCenter, "›")
        painter.end()

    def _right_arrow(self) -> QRect:
        return QRect(self.width() - NARROWEST, 0, NARROWEST, HEIGHT)

    def _paint_chip(self, painter: QPainter, position: int, font: Any) -> None:
        """Pale for either, filled for with, crossed out for without."""
        assert self._known is not None
        palette, number = self.palette(), self._numbers[position]
        window = palette.color(QPalette.ColorRole.Window)
        text = palette.color(QPalette.ColorRole.WindowText)
        color = QColor.fromRgbF(*self._known.labels.colors.get(number, GRAY)[:3])
        wanted = self.asked_of(number)
        area = QRectF(self.chip(position)).adjusted(1, 1, -1, -1)
        fill = {EITHER: mixed(color, window, 0.65), WITH: color, WITHOUT: window}[wanted]
        painter.setBrush(fill)
        focus = self.hasFocus() and position == self._current
        strong = wanted != EITHER
        painter.setPen(
            QPen(text, 2) if focus else QPen(text if strong else mixed(color, text, 0.35), 1)
        )
        painter.drawRoundedRect(area, 4, 4)
        font.setBold(wanted == WITH)
        painter.setFont(font)
        painter.setPen(QColor("black" if _brightness(fill) > 125 else "white"))
        painter.drawText(area, Qt.AlignmentFlag.AlignCenter, str(number))
        if wanted == WITHOUT:
            seen = abs(_brightness(color) - _brightness(fill)) > 60
            painter.setPen(QPen(color if seen else text, 2))
            painter.drawLine(area.bottomLeft(), area.topRight())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Override for Qt."""
        if event.button() != Qt.MouseButton.LeftButton or self._known is None:
            return
        place = event.position().toPoint()
        found = self._at(place)
        if found is not None:
            self._current = found
            self._turn(found)
        elif self._fitting() < len(self._numbers):
            self._go(self._fitting() if self._right_arrow().contains(place) else -self._fitting())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Override for Qt."""
        key = event.key()
        if self._known is None:
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._go(1 if key == Qt.Key.Key_Right else -1)
        elif key in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._turn(self._current)
        elif key in KEYS:
            self.ask(self._numbers[self._current], KEYS[key])
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace, Qt.Key.Key_Escape):
            self.asked.emit(Selection())
        else:
            super().keyPressEvent(event)

    def _go(self, steps: int) -> None:
        self._current = min(max(0, self._current + steps), len(self._numbers) - 1)
        self._scroll()
        self.update()

    def focusInEvent(self, event: Any) -> None:
        """Override for Qt."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: Any) -> None:
        """Override for Qt."""
        super().focusOutEvent(event)
        self.update()

    def event(self, event: QEvent) -> bool:
        """Override for Qt: a tooltip for each chip."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            found = self._at(event.pos())
            QToolTip.showText(event.globalPos(), self.tip(found), self)
            return True
        return bool(super().event(event))

    def tip(self, position: int | None) -> str:
        """What a chip is for."""
        known = self._known
        if known is None:
            return "Chips for the blocks appear here once their volumes are known (states.csv)"
        if position is None:
            return "Show only volumes with or without these blocks"
        number = self._numbers[position]
        row = known.numbers.index(number)
        here = list(known.columns.values())
        count = int(known.states.present[row, here].sum())
        wanted = self.asked_of(number)
        return (
            f"Block {known.labels.words(number)}, in {count:,} of {len(here):,} volumes. "
            f"Now: {WORDS[wanted]}. Click: {WORDS[NEXT[wanted]]}"
        )


def _brightness(color: QColor) -> float:
    """How bright a color looks, 0 to 255 (Rec. 601)."""
    return float(0.299 * color.red() + 0.587 * color.green() + 0.114 * color.blue())
