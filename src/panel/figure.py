"""A figure of core in the panel: drawn in portions, with what is under the pointer in words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from textwrap import fill as wrapped
from typing import Any

import numpy as np
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from Qt.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from Qt.QtGui import QColor, QKeyEvent, QPainter, QPalette, QPen, QPolygonF
from Qt.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from ..core.common.errors import SirenError
from ..core.figures.theme import Drawn, Pick, Theme
from .widgets import plain_layout, single_shot

SMALLEST = QSize(220, 132)  # pixels: seen whole where the panel is docked on a laptop
HIGHEST = 330  # pixels that a figure may ask for: the page is scrolled where it has no room
RESIZED = 120  # ms without a change of size until writing is fitted to it
DRAG = 4  # pixels that a click may move
RING = 4.5  # pixels, the radius of the mark around a chosen volume
HAIR = 0.01  # pixels
ROUND = 5  # pixels, of the corners of the frame around a chosen block
MANY_RINGS = 500  # more are drawn without smooth edges, which take long
LINES = 3  # of text below the figure
ARROWS = {
    Qt.Key.Key_Left: (-1.0, 0.0),
    Qt.Key.Key_Right: (1.0, 0.0),
    Qt.Key.Key_Up: (0.0, 1.0),
    Qt.Key.Key_Down: (0.0, -1.0),
}

CLICKS = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space)

REASON_SIZE, LETTER = 9.0, 0.65  # points; width of a letter as a part of that, with margins

Fill = Callable[[Figure, Theme], Drawn]


class _Canvas(FigureCanvasQTAgg):
    """A canvas that takes what is left of the panel (matplotlib's would ask for 640 by 480), and
    shows marks and an outline on top of the figure without drawing that anew.
    """

    def __init__(self, figure: Figure):
        super().__init__(figure)
        self.rings: NDArray[np.float64] = np.empty((0, 2))  # in the figure's pixels
        self.frames: NDArray[np.float64] = np.empty((0, 4))  # left, upper, right, lower edge
        self.outline: list[tuple[float, float]] = []

    def sizeHint(self) -> QSize:
        """Override for Qt."""
        return SMALLEST

    def minimumSizeHint(self) -> QSize:
        """Override for Qt."""
        return SMALLEST

    def resizeEvent(self, event: Any) -> None:
        """Override for Qt: matplotlib's size in inches may come out a hair below a whole pixel, and
        the last column of the picture would be whatever was in the memory.
        """
        super().resizeEvent(event)
        width, height = self.figure.get_size_inches() + HAIR / self.figure.dpi
        self.figure.set_size_inches(width, height, forward=False)

    def paintEvent(self, event: Any) -> None:
        """Override for Qt."""
        super().paintEvent(event)
        if not len(self.rings) and not len(self.frames) and len(self.outline) < 2:
            return
        painter = QPainter(self)
        palette = self.parentWidget().palette()  # matplotlib gives the canvas one of its own
        color = palette.color(QPalette.ColorRole.WindowText)
        if len(self.rings):
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, len(self.rings) <= MANY_RINGS)
            painter.setPen(QPen(color, 1.4))
            for x, y in self.rings.tolist():
                painter.drawEllipse(self._place(x, y), RING, RING)
        if len(self.frames):
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(palette.color(QPalette.ColorRole.Highlight), 2.5))
            for left, top, right, bottom in self.frames.tolist():
                corners = self._place(left, top), self._place(right, bottom)
                painter.drawRoundedRect(QRectF(*corners), ROUND, ROUND)
        if len(self.outline) > 1:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(color, 1.2, Qt.PenStyle.DashLine))
            shade = QColor(palette.color(QPalette.ColorRole.Highlight))
            shade.setAlpha(40)
            painter.setBrush(shade)
            painter.drawPolygon(QPolygonF([self._place(x, y) for x, y in self.outline]))
        painter.end()

    def _place(self, x: float, y: float) -> QPointF:
        """Where a pixel of the figure, counted from below, is on the widget."""
        ratio = self.device_pixel_ratio
        return QPointF(x / ratio, self.height() - y / ratio)


class FigureView(QWidget):
    """A figure that follows the theme and the size of the panel, with a caption below it. The
    caption says what is under the pointer.

    It is filled, laid out and rendered one after the other, so that the window stays responsive;
    only while it can be seen.

    Attributes
    ----------
    figure, canvas, caption
    drawn : what is shown
    stale : whether it is still to be drawn
    """

    clicked = Signal(object)  # Pick
    outlined = Signal(list)  # names of the volumes that were encircled

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self._fill: Fill | None = None
        self._marked: frozenset[str] = frozenset()
        self._framed: frozenset[int] = frozenset()
        self._drag: tuple[float, float] | None = None
        self._at: int | None = None  # volume that the arrow keys have come to
        self._drawn_size: Any = None
        self.drawn, self.stale = Drawn(""), True
        self.figure = Figure(layout="constrained")
        self.canvas = _Canvas(self.figure)
        self.canvas.setParent(self)
        self.canvas.setMinimumSize(SMALLEST)
        self.canvas.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.canvas.installEventFilter(self)
        self.caption = QLabel(self)
        self.caption.setWordWrap(True)
        # keep the figure from jumping when the text changes; a longer one is in the tooltip
        self.caption.setFixedHeight(LINES * self.caption.fontMetrics().lineSpacing() + 2)
        self.caption.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.caption.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        plain_layout(layout, 0, 4)
        layout.addWidget(self.canvas, 1)
        layout.addWidget(self.caption)
        self._draw_soon = single_shot(self, 0, self._draw)
        self._lay_out_soon = single_shot(self, 0, self._lay_out)
        self._render_soon = single_shot(self, 0, self._render)
        self._fit_soon = single_shot(self, RESIZED, self._fit)
        for name, call in (
            ("motion_notify_event", self._hover),
            ("axes_leave_event", self._leave),
            ("button_press_event", self._press),
            ("button_release_event", self._release),
            ("resize_event", self._resized),
        ):
            self.canvas.mpl_connect(name, call)

    def show_figure(self, fill: Fill | None, message: str = "") -> None:
        """Draw what this function fills a figure with; None: nothing, for the reason given."""
        self._fill = fill
        if fill is None:
            self.drawn = Drawn(message)
            self.figure.clear()
        self.redraw()

    def make_room(self, width: float, height: float) -> None:
        """Be high enough for a figure of this size in inches, as far as the width allows."""
        dpi = self.figure.dpi / self.canvas.device_pixel_ratio
        scale = min(1.0, self.canvas.width() / (dpi * max(width, HAIR)))
        wanted = round(min(dpi * height * scale, HIGHEST))
        self.canvas.setMinimumHeight(max(SMALLEST.height(), wanted))

    def redraw(self) -> None:
        """Draw anew."""
        self.stale = True
        for timer in (self._lay_out_soon, self._render_soon):
            timer.stop()
        self._draw_soon.start(0)

    def say(self, text: str) -> None:
        """Show a text below the figure until the pointer moves on."""
        self.caption.setText(text)
        self.caption.setToolTip(text)

    def mark(self, names: Collection[str]) -> None:
        """Mark these volumes, where the figure has volumes as points."""
        self._marked = frozenset(names)
        self._place_rings()

    def frame(self, numbers: Collection[int]) -> None:
        """Frame these blocks, where the figure has blocks as areas."""
        self._framed = frozenset(numbers)
        self._place_rings()

    # --- drawing

    def _draw(self) -> None:
        """Draw now if it is visible, otherwise once it is shown."""
        if not self.stale or not self.isVisible():
            return
        self.stale, self._drawn_size, self._at = False, self.canvas.size(), None
        theme = theme_of(self.palette())
        self.figure.set_facecolor(theme.background)
        self.figure.set_layout_engine("constrained")
        if self._fill is not None:
            try:
                self.drawn = self._fill(self.figure, theme)
            except SirenError as error:
                self.figure.clear()
                self.drawn = Drawn(str(error))
        self.say(self._usual)
        if not self.figure.axes:
            self._write_reason(theme)
        self._lay_out_soon.start(0)

    @property
    def _usual(self) -> str:
        """The caption while nothing is under the pointer; why there is no figure is said in its
        place.
        """
        return self.drawn.caption if self.figure.axes else ""

    def _write_reason(self, theme: Theme) -> None:
        """Say why there is no figure where it would be: a message may cover the caption."""
        self.figure.clear()
        letters = round(72 * self.figure.get_size_inches()[0] / REASON_SIZE / LETTER)
        self.figure.text(
            0.5,
            0.5,
            wrapped(self.drawn.caption, max(letters, 12)),
            ha="center",
            va="center",
            color=theme.faint,
            fontsize=REASON_SIZE,
            parse_math=False,
        )

    def _lay_out(self) -> None:
        engine = self.figure.get_layout_engine()
        if engine is not None and self.figure.axes:
            engine.execute(self.figure)
        self.figure.set_layout_engine("none")
        self._render_soon.start(0)

    def _render(self) -> None:
        self.canvas.draw()
        self._place_rings()

    def _place_rings(self) -> None:
        points = self.drawn.points
        self.canvas.rings = np.empty((0, 2))
        if points is not None and points.axes.figure is self.figure and self._marked:
            chosen = [k for k, name in enumerate(points.names) if name in self._marked]
            self.canvas.rings = points.axes.transData.transform(points.places[chosen])
        areas = self.drawn.areas
        self.canvas.frames = np.empty((0, 4))
        if areas is not None and areas.axes.figure is self.figure and self._framed:
            boxes = [box for number, box in areas.boxes.items() if number in self._framed]
            corners = np.array(boxes, np.float64).reshape(-1, 2)
            self.canvas.frames = areas.axes.transData.transform(corners).reshape(-1, 4)
        self.canvas.update()

    def _resized(self, _: Any) -> None:
        self._fit_soon.start()

    def _fit(self) -> None:
        """Draw again for another size: what is written in small cells depends on it."""
        if self.canvas.size() != self._drawn_size:
            self.redraw()

    def showEvent(self, event: Any) -> None:
        """Override for Qt."""
        super().showEvent(event)
        self._draw_soon.start(0)

    def changeEvent(self, event: Any) -> None:
        """Override for Qt."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "_draw_soon"):
            self.redraw()

    # --- pointer

    def _under(self, event: Any) -> Pick | None:
        return (
            self.drawn.pick(event.inaxes, event.xdata, event.ydata)
            if event.inaxes is not None
            else None
        )

    def _hover(self, event: Any) -> None:
        if self._drag is not None and self.drawn.points is not None:
            self.canvas.outline.append((event.x, event.y))
            self.canvas.update()
            return
        pick = self._under(event)
        self.say(pick.text if pick else self._usual)
        self.canvas.setCursor(
            Qt.CursorShape.PointingHandCursor
            if pick and (pick.volume or pick.block is not None)
            else Qt.CursorShape.ArrowCursor
        )

    def _leave(self, _: Any) -> None:
        if self._drag is None:
            self.say(self._usual)

    def _press(self, event: Any) -> None:
        if event.button == 1:
            self._drag, self.canvas.outline = (event.x, event.y), [(event.x, event.y)]

    def _release(self, event: Any) -> None:
        start, self._drag = self._drag, None
        outline, self.canvas.outline = self.canvas.outline, []
        self.canvas.update()
        if start is None or event.button != 1:
            return
        far = max((max(abs(x - start[0]), abs(y - start[1])) for x, y in outline), default=0.0)
        points = self.drawn.points
        if points is not None and far > DRAG * self.canvas.device_pixel_ratio:
            self.outlined.emit(points.inside(self._in_data(outline)))
        elif (pick := self._under(event)) is not None:
            self.clicked.emit(pick)

    def _in_data(self, outline: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
        assert self.drawn.points is not None
        back = self.drawn.points.axes.transData.inverted()
        return np.asarray(back.transform(np.array(outline)))

    # --- keys

    def eventFilter(self, canvas: Any, event: QEvent) -> bool:
        """Override for Qt: arrow keys go from point to point, Enter and Space are a click."""
        return event.type() == QEvent.Type.KeyPress and self._key(event)

    def _key(self, event: QKeyEvent) -> bool:
        stops, places = self._stops()
        if not stops:
            return False
        if event.key() in ARROWS:
            self._step(stops, places, np.array(ARROWS[event.key()]))
        elif event.key() in CLICKS and self._at is not None:
            self.clicked.emit(stops[self._at])
        else:
            return False
        return True

    def _stops(self) -> tuple[list[Pick], NDArray[np.float64]]:
        """Where the arrow keys go, and where that is in the figure's pixels: the volumes that are
        points, or the blocks that are areas.
        """
        points, areas = self.drawn.points, self.drawn.areas
        if points is not None:
            at = points.axes.transData.transform(points.places)
            return [Pick(name, name) for name in points.names], np.asarray(at)
        if areas is None or not areas.boxes:
            return [], np.empty((0, 2))
        corners = np.array(list(areas.boxes.values()), np.float64)
        at = areas.axes.transData.transform((corners[:, :2] + corners[:, 2:]) / 2)
        return [Pick(f"Block {n}.", None, n) for n in areas.boxes], np.asarray(at)

    def _step(
        self, stops: list[Pick], places: NDArray[np.float64], direction: NDArray[np.float64]
    ) -> None:
        """Go to the nearest stop in a direction; at first to the nearest to the middle."""
        if self._at is None:
            self._at = int(np.hypot(*(places - np.median(places, axis=0)).T).argmin())
        else:
            step = places - places[self._at]
            along, across = step @ direction, np.abs(step @ direction[::-1])
            cost = np.where(along > 0.5, along + 2 * across, np.inf)
            if np.isfinite(cost).any():
                self._at = int(cost.argmin())
        stop, place = stops[self._at], places[[self._at]]
        which = self.drawn.points or self.drawn.areas
        assert which is not None
        pick = self.drawn.pick(which.axes, *which.axes.transData.inverted().transform(place)[0])
        same = pick is not None and (pick.volume, pick.block) == (stop.volume, stop.block)
        self.say(pick.text if pick is not None and same else stop.text)
        self.canvas.rings = place
        self.canvas.update()


def theme_of(palette: QPalette) -> Theme:
    """The figure theme that matches a window's palette."""
    return Theme.on(
        palette.color(QPalette.ColorRole.Window).name(),
        palette.color(QPalette.ColorRole.WindowText).name(),
    )
