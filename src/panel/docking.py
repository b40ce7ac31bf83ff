"""The panel's place beside ChimeraX's other tools."""

from __future__ import annotations

from Qt.QtCore import Qt
from Qt.QtWidgets import QDockWidget, QMainWindow, QWidget

SHARE = 0.5  # of the main window's height
LOG = 160  # pixels that the neighbor keeps: the Log stays readable on a laptop


def dock_of(area: QWidget) -> QDockWidget | None:
    """The dock around a tool's area, None if it is in a window of its own."""
    widget: QWidget | None = area
    while widget is not None and not isinstance(widget, QDockWidget):
        widget = widget.parentWidget()
    return None if widget is None or widget.isFloating() else widget


def take_height(area: QWidget) -> None:
    """Give a docked tool the height that it asks for, as far as the main window has it, from the
    tallest of its neighbors: Qt shares a side evenly between its tools, which leaves a list two
    rows.
    """
    dock = dock_of(area)
    main = dock.parentWidget() if dock is not None else None
    if dock is None or not isinstance(main, QMainWindow):
        return
    wanted = min(area.sizeHint().height(), round(SHARE * main.height()))
    more = wanted - dock.height()
    neighbors = [d for d in main.findChildren(QDockWidget) if _above_or_below(d, dock)]
    if more <= 0 or not neighbors:
        return
    heights = {d: d.height() for d in neighbors}
    tallest = max(heights, key=lambda d: heights[d])
    more = min(more, heights[tallest] - LOG)
    if more <= 0:
        return
    heights[tallest] -= more
    heights[dock] = dock.height() + more
    main.resizeDocks(list(heights), list(heights.values()), Qt.Orientation.Vertical)


def _above_or_below(one: QDockWidget, dock: QDockWidget) -> bool:
    """Whether a dock shares a column with another."""
    if one is dock or one.isFloating() or not one.isVisible():
        return False
    a, b = one.geometry(), dock.geometry()
    return bool(a.left() < b.right() and b.left() < a.right() and a.top() != b.top())
