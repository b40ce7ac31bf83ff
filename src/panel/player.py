"""Going through a list of volumes by itself: play, pause, step, speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from Qt.QtCore import QEvent, QObject, QPointF, QSize, Qt, QTimer, Signal
from Qt.QtGui import QColor, QIcon, QKeyEvent, QPainter, QPalette, QPixmap, QPolygonF
from Qt.QtWidgets import QComboBox, QHBoxLayout, QToolButton, QWidget

from .volume_list import VolumeList
from .widgets import key_text, plain_layout

SPEEDS = (1, 2, 5, 10)  # volumes a second
USUAL = 5
ICON, SHARP = 14, 2  # pixels, and as many more for sharp screens
Shape = Sequence[tuple[float, float]]
PLAY: Sequence[Shape] = [[(0.2, 0.1), (0.9, 0.5), (0.2, 0.9)]]
PAUSE: Sequence[Shape] = [
    [(0.2, 0.1), (0.4, 0.1), (0.4, 0.9), (0.2, 0.9)],
    [(0.6, 0.1), (0.8, 0.1), (0.8, 0.9), (0.6, 0.9)],
]
FORWARD: Sequence[Shape] = [
    [(0.15, 0.15), (0.7, 0.5), (0.15, 0.85)],
    [(0.7, 0.15), (0.85, 0.15), (0.85, 0.85), (0.7, 0.85)],
]
BACK: Sequence[Shape] = [[(1 - x, y) for x, y in shape] for shape in FORWARD]
KEY = "Shift+Space"


class Player(QWidget):
    """Buttons that make one row of a list after the other the current one.

    Parameters
    ----------
    view : the list
    ready : whether the row before has been shown: a slow one is waited for
    """

    playing_changed = Signal(bool)

    def __init__(self, view: VolumeList, ready: Callable[[], bool], parent: QWidget | None = None):
        super().__init__(parent)
        self._view, self._ready = view, ready
        self.back = self._button("Previous volume (←)")
        self.play = self._button("")
        self.forward = self._button("Next volume (→)")
        self.back.clicked.connect(self._go_back)
        self.play.clicked.connect(self.toggle)
        self.forward.clicked.connect(self._go_forward)
        self.speed = QComboBox(self)
        for speed in SPEEDS:
            self.speed.addItem(f"{speed}/s", speed)
        self.speed.setCurrentIndex(SPEEDS.index(USUAL))
        self.speed.setToolTip("Volumes shown in a second, as far as the computer can")
        self.speed.currentIndexChanged.connect(self._set_speed)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._next)
        row = QHBoxLayout(self)
        plain_layout(row, 0, 2)
        self.fields = (self.back, self.play, self.forward, self.speed)
        for widget in self.fields:
            row.addWidget(widget)
        self._set_speed()
        self._show_state()

    def _button(self, tip: str) -> QToolButton:
        button = QToolButton(self)
        button.setIconSize(QSize(ICON, ICON))
        button.setToolTip(tip)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.installEventFilter(self)
        return button

    @property
    def playing(self) -> bool:
        """Whether it goes on by itself."""
        return bool(self._timer.isActive())

    def toggle(self) -> None:
        """Play, or pause."""
        if self.playing:
            self.pause()
        elif self._view.model().rowCount() > 1:
            self._timer.start()
            self._show_state()
            self.step(1)

    def pause(self) -> None:
        """Stay at the current row."""
        if self.playing:
            self._timer.stop()
            self._show_state()

    def step(self, by: int) -> None:
        """Make another row the current one; after the last comes the first."""
        rows = self._view.model().rowCount()
        if rows:
            index = self._view.currentIndex()
            start = index.row() if index.isValid() else (-1 if by > 0 else 0)
            column = max(index.column(), 0)
            self._view.make_current(self._view.model().index((start + by) % rows, column))

    def eventFilter(self, button: QObject, event: QEvent) -> bool:
        """Override for Qt: arrows step, where Qt would move the focus."""
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return False
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() in steps:
            self._step_by_hand(steps[event.key()])
            return True
        if event.key() == Qt.Key.Key_Space and not event.isAutoRepeat():
            self.toggle()
            return True
        return False

    def hideEvent(self, event: QEvent) -> None:
        """Override for Qt: what is not seen does not play."""
        self.pause()
        super().hideEvent(event)

    def _go_back(self) -> None:
        self._step_by_hand(-1)

    def _go_forward(self) -> None:
        self._step_by_hand(1)

    def _step_by_hand(self, by: int) -> None:
        self.pause()
        self.step(by)

    def _next(self) -> None:
        if self._ready():
            self.step(1)

    def _set_speed(self) -> None:
        self._timer.setInterval(round(1000 / float(self.speed.currentData())))

    def _show_state(self) -> None:
        self._draw_icons()
        what = "Pause" if self.playing else "Show one volume of the list after the other"
        self.play.setToolTip(f"{what} ({key_text(KEY)} in the list; Space here)")
        self.playing_changed.emit(self.playing)

    def changeEvent(self, event: QEvent) -> None:
        """Override for Qt: the icons are drawn in the colors of the theme."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.EnabledChange):
            self._draw_icons()

    def _draw_icons(self) -> None:
        color = self.palette().color(QPalette.ColorRole.ButtonText)
        self.back.setIcon(icon_of(BACK, color))
        self.play.setIcon(icon_of(PAUSE if self.playing else PLAY, color))
        self.forward.setIcon(icon_of(FORWARD, color))


def icon_of(shapes: Sequence[Shape], color: QColor) -> QIcon:
    """An icon of filled shapes; those of Qt's styles are black on any theme.

    Parameters
    ----------
    shapes : corners (x, y) of each, as shares of the icon's width and height
    """
    pixmap = QPixmap(SHARP * ICON, SHARP * ICON)
    pixmap.fill(Qt.GlobalColor.transparent)
    pixmap.setDevicePixelRatio(SHARP)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    for shape in shapes:
        painter.drawPolygon(QPolygonF([QPointF(ICON * x, ICON * y) for x, y in shape]))
    painter.end()
    return QIcon(pixmap)
