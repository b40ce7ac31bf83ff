"""The panel's place beside ChimeraX's other tools."""

from __future__ import annotations

from Qt.QtCore import QEvent, QObject, Qt
from Qt.QtWidgets import QApplication, QDockWidget, QMainWindow, QWidget

from .widgets import single_shot

SHARE = 0.5  # of the main window's height
LOG = 160  # pixels that a neighbor keeps: the Log stays readable on a laptop
LIST = {"Models": 90}  # likewise, of those that can be read with less, by their titles
READABLE = 64  # pixels of the lowest neighbor: the last two lines of the Log
LEAST = 116  # pixels that the tallest keeps of what it gives others: a histogram of Volume Viewer
SETTLED = 100  # ms without another height, until the main window has placed its tools
TRIES = 20  # a window that still arranges itself does not always obey


class KeptHeight(QObject):
    """Has a docked tool take its height when it opens, and again whenever another one takes of it,
    as Volume Viewer does with each map: that would leave it no row. A height given by hand stays.
    """

    def __init__(self, area: QWidget):
        super().__init__(area)
        self._area = area
        self._known: set[QDockWidget] = set()
        self._given: int | None = None  # pixels, by hand
        self._tries = TRIES
        self._settled = single_shot(self, SETTLED, self._look)
        area.installEventFilter(self)
        self._settled.start()

    def eventFilter(self, area: QObject, event: QEvent) -> bool:
        """Override for Qt."""
        if event.type() == QEvent.Type.Resize:
            if QApplication.mouseButtons() & Qt.MouseButton.LeftButton:
                self._given = self._area.height()
            self._tries = TRIES
            self._settled.start()
        return False

    def _look(self) -> None:
        dock = dock_of(self._area)
        around = {dock, *_neighbors(dock)} if dock is not None else set()
        if around - self._known:
            self._given = None
        self._known = around
        self._tries -= 1
        if take_height(self._area, self._given) and self._tries > 0:
            self._settled.start()


def dock_of(area: QWidget) -> QDockWidget | None:
    """The dock around a tool's area, None if it is in a window of its own."""
    widget: QWidget | None = area
    while widget is not None and not isinstance(widget, QDockWidget):
        widget = widget.parentWidget()
    return None if widget is None or widget.isFloating() else widget


def take_height(area: QWidget, most: int | None = None) -> bool:
    """Give a docked tool the height that it asks for, as far as the main window has it, from its
    neighbors, the tallest first, at most ``most`` pixels: Qt shares a side evenly between its
    tools, which leaves a list two rows. Unless the height was given by hand, a neighbor that has no
    line left, as the Log under Volume Viewer, gets a few of the tallest, too. Returns whether there
    was something to give.
    """
    dock = dock_of(area)
    neighbors = _neighbors(dock) if dock is not None else []
    if dock is None or not neighbors:
        return False
    main = dock.parentWidget()
    frame = dock.height() - area.height()
    wanted = min(area.sizeHint().height(), round(SHARE * main.height()))
    more = min(wanted, wanted if most is None else most + frame) - dock.height()
    before = {d: d.height() for d in neighbors}
    heights = dict(before)
    given = 0
    for other in sorted(heights, key=lambda d: -heights[d]):
        spare = heights[other] - LIST.get(other.windowTitle(), LOG)
        part = max(0, min(more - given, spare))
        heights[other] -= part
        given += part
    tallest = max(heights, key=lambda d: heights[d])
    for other in heights if most is None else ():
        lines = min(READABLE - heights[other], heights[tallest] - LEAST)
        if other is not tallest and lines > 0:
            heights[other] += lines
            heights[tallest] -= lines
    if heights == before:
        return False
    heights[dock] = dock.height() + given
    main.resizeDocks(list(heights), list(heights.values()), Qt.Orientation.Vertical)
    return True


def _neighbors(dock: QDockWidget) -> list[QDockWidget]:
    """The docks in the same column of a main window."""
    main = dock.parentWidget()
    docks = main.findChildren(QDockWidget) if isinstance(main, QMainWindow) else []
    return [d for d in docks if _above_or_below(d, dock)]


def _above_or_below(one: QDockWidget, dock: QDockWidget) -> bool:
    """Whether a dock shares a column with another."""
    if one is dock or one.isFloating() or not one.isVisible():
        return False
    a, b = one.geometry(), dock.geometry()
    return bool(a.left() < b.right() and b.left() < a.right() and a.top() != b.top())
