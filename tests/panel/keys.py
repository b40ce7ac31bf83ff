"""Keys and a mouse for widgets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from Qt.QtCore import QEvent, QPointF, Qt
from Qt.QtGui import QKeyEvent, QKeySequence, QMouseEvent, QShortcut
from Qt.QtWidgets import QApplication

PRESS_KEY, RELEASE_KEY = QEvent.Type.KeyPress, QEvent.Type.KeyRelease
PRESS = QEvent.Type.MouseButtonPress
MOVE = QEvent.Type.MouseMove
RELEASE = QEvent.Type.MouseButtonRelease
NONE, SHIFT = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier
CTRL = Qt.KeyboardModifier.ControlModifier


def press(widget: Any, code: Qt.Key, modifiers: Qt.KeyboardModifier = NONE, text: str = "") -> None:
    """Press and release a key where the focus is in a widget."""
    for kind in (PRESS_KEY, RELEASE_KEY):
        QApplication.sendEvent(widget, QKeyEvent(kind, code, modifiers, text))
    if modifiers != NONE:
        _hold(widget, NONE)


@contextmanager
def holding(widget: Any, modifiers: Qt.KeyboardModifier) -> Iterator[None]:
    """Hold modifier keys."""
    _hold(widget, modifiers)
    yield
    _hold(widget, NONE)


def _hold(widget: Any, modifiers: Qt.KeyboardModifier) -> None:
    """Qt takes the modifiers of the last key pressed for held, and rows selected later for more."""
    QApplication.sendEvent(widget, QKeyEvent(PRESS_KEY, Qt.Key.Key_unknown, modifiers))


def mouse(widget: Any, kind: QEvent.Type, x: float, y: float = 40.0) -> None:
    """Press, move or release the left button at a place of a widget."""
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    place = QPointF(x, y)
    button = none if kind == MOVE else left
    held = none if kind == RELEASE else left
    event = QMouseEvent(kind, place, QPointF(widget.mapToGlobal(place)), button, held, NONE)
    QApplication.sendEvent(widget, event)


def shortcut(scope: Any, keys: str) -> None:
    """Have a shortcut of a widget act, as its keys do where windows have the focus."""
    (found,) = [
        s
        for s in scope.findChildren(QShortcut, options=Qt.FindChildOption.FindDirectChildrenOnly)
        if s.key() == QKeySequence(keys)
    ]
    found.activated.emit()
