"""Small widgets for the pages; colors come from the palette, for light and dark themes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chimerax.core.triggerset import DEREGISTER
from Qt import qt_object_is_deleted
from Qt.QtCore import QEvent, QObject, QSize, Qt, QTimer, Signal
from Qt.QtGui import (
    QColor,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QPalette,
    QResizeEvent,
    QShortcut,
)
from Qt.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProxyStyle,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOption,
    QTabBar,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

SPACING = 6  # pixels
MARGIN = 8
PAGE_HINT = QSize(356, 380)  # with the panel's margins, a panel 380 wide
HEADING = 120  # pixels that a heading is cut to if need be
TAB_SPACE = 10  # pixels beside the words of a tab
MOVES = (  # keys that go about in a list
    *(Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Left, Qt.Key.Key_Right),
    *(Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown),
)
MOVED = (QEvent.Type.Resize, QEvent.Type.Move, QEvent.Type.Show, QEvent.Type.Hide)
SQUEEZED = 64  # pixels of height of the panel, for a moment
PAGE_LEAST = 72  # pixels of height; a page scrolls where there is no more


def plain_layout(
    layout: QVBoxLayout | QHBoxLayout, margin: int = 0, spacing: int = SPACING
) -> None:
    """Set the panel's usual margins and spacing."""
    layout.setContentsMargins(margin, margin, margin, margin)
    layout.setSpacing(spacing)


def faint(palette: QPalette) -> QColor:
    """The color of secondary text: between text and background, in either theme."""
    return mixed(
        palette.color(QPalette.ColorRole.WindowText), palette.color(QPalette.ColorRole.Window), 0.4
    )


def mixed(a: QColor, b: QColor, share: float) -> QColor:
    """Mix two colors, with this share of ``b``."""
    return QColor(
        *(
            round((1 - share) * p + share * q)
            for p, q in zip(a.getRgb()[:3], b.getRgb()[:3], strict=True)
        )
    )


def while_alive(owner: QObject, call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, made only as long as Qt has not deleted its owner: for whatever may outlive a
    closed panel, such as triggers of the session and results of threads. A trigger's handler is
    removed then. (A slot on ``destroyed`` would not do: Python may have cleared it by that time.)
    """

    def guarded(*args: Any, **keywords: Any) -> Any:
        return DEREGISTER if qt_object_is_deleted(owner) else call(*args, **keywords)

    return guarded


def single_shot(parent: QObject, milliseconds: int, call: Callable[[], Any]) -> QTimer:
    """A timer of the parent that fires once, a while after its last start."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(call)
    return timer


def ask_folder(parent: QWidget, title: str, start: str = "") -> str:
    """Ask for a folder, beginning with the nearest that is there; "" if none is chosen."""
    path = Path(start).expanduser()
    place = next((p for p in (path, *path.parents) if start and p.is_dir()), Path.home())
    return str(QFileDialog.getExistingDirectory(parent, title, str(place)))


@contextmanager
def busy_cursor() -> Iterator[None]:
    """Show the mouse pointer of a program that is at work, while the main thread waits."""
    QApplication.setOverrideCursor(Qt.CursorShape.BusyCursor)
    try:
        yield
    finally:
        QApplication.restoreOverrideCursor()


def emphasize(widget: QWidget, bold: bool) -> None:
    """Use bold type, or plain."""
    font = widget.font()
    if font.bold() != bold:
        font.setBold(bold)
        widget.setFont(font)


def key_text(keys: str | QKeySequence) -> str:
    """A key for a tooltip, as this computer writes it."""
    return str(QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText))


def add_key(scope: QWidget, keys: str, button: QAbstractButton) -> None:
    """Have a key click a button as long as the focus is inside a widget, and say so in the button's
    tooltip. (Mnemonics would take keys from ChimeraX's own menus, wherever the focus is.)
    """
    shortcut = QShortcut(QKeySequence(keys), scope)
    shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    shortcut.activated.connect(button.click)
    button.setToolTip(f"{button.toolTip()} ({key_text(keys)})")


class PageKey(QShortcut):
    """Alt and a number, which turn to a page from anywhere in the panel."""

    def __init__(self, tabs: QTabWidget, number: int):
        super().__init__(QKeySequence(f"Alt+{number}"), tabs.parentWidget())
        self._tabs, self._number = tabs, number
        self.text = self.tip(number)
        self.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.activated.connect(self._turn)

    @staticmethod
    def tip(number: int) -> str:
        """For the tooltip of the page's tab."""
        return key_text(f"Alt+{number}")

    def _turn(self) -> None:
        self._tabs.setCurrentIndex(self._number - 1)
        self._tabs.currentWidget().setFocus()


class _TightStyle(QProxyStyle):
    """The application's style, with little beside the words of a tab."""

    def pixelMetric(
        self,
        metric: QStyle.PixelMetric,
        option: QStyleOption | None = None,
        widget: QWidget | None = None,
    ) -> int:
        """Override for Qt."""
        if metric == QStyle.PixelMetric.PM_TabBarTabHSpace:
            return TAB_SPACE
        return int(super().pixelMetric(metric, option, widget))


class NarrowTabs(QTabBar):
    """Tabs with little beside their words: a narrow panel has one for each page."""

    def __init__(self, parent: QWidget):
        super().__init__(parent)
        self._tight = _TightStyle()  # a widget does not own its style
        self._tight.setParent(self)
        self.setStyle(self._tight)


class WheelGuard(QObject):
    """Keeps the mouse wheel from changing fields: it scrolls the page instead. A slider follows the
    wheel once it has been clicked.
    """

    def protect(self, root: QWidget) -> None:
        """Protect all fields inside a widget."""
        for field in root.findChildren(QWidget):
            if isinstance(field, (QComboBox, QAbstractSpinBox, QSlider)):
                # Qt's default lets the wheel move the focus as well
                field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                field.installEventFilter(self)

    def eventFilter(self, field: QObject, event: QEvent) -> bool:
        """Override for Qt."""
        if event.type() != QEvent.Type.Wheel or not isinstance(field, QWidget):
            return False
        if isinstance(field, QSlider) and field.hasFocus():
            return False
        around = field.parentWidget()
        while around is not None and not isinstance(around, QAbstractScrollArea):
            around = around.parentWidget()
        if around is not None:
            QApplication.sendEvent(around.viewport(), event.clone())
        return True


class Scrolled(QScrollArea):
    """A part of the panel, with its widgets in ``content``, that scrolls up and down."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.content = QWidget(self)
        self.setWidget(self.content)
        for widget in (self.content, self.viewport()):
            widget.setAutoFillBackground(False)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Override for Qt: Return clicks the button with the focus. ChimeraX takes what no one
        wants to its command line, where Return would run the last command once more.
        """
        super().keyPressEvent(event)
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers():
            focus = self.focusWidget()
            if not event.isAccepted() and isinstance(focus, QAbstractButton):
                focus.click()
            event.accept()


class Page(Scrolled):
    """A page of the panel. It scrolls where the panel is short, so that no page makes the panel
    taller than a laptop's screen.
    """

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setWidgetResizable(True)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Override for Qt: ChimeraX takes what no one wants to its command line, and the focus with
        it, as with the arrow up in the first row of a list.
        """
        super().keyPressEvent(event)
        if event.key() in MOVES:
            event.accept()

    def sizeHint(self) -> QSize:
        """Override for Qt: the same for all pages, whatever is on them."""
        return PAGE_HINT

    def minimumSizeHint(self) -> QSize:
        """Override for Qt."""
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        return QSize(self.content.minimumSizeHint().width() + bar, PAGE_LEAST)


class Squeezed(Scrolled):
    """The panel. It scrolls as a whole where it has not even its least height: Volume Viewer takes
    half of a laptop's screen for a moment when it opens, and a main window whose tools do not fit
    on the screen grows beyond it.
    """

    resized = Signal()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Override for Qt."""
        super().resizeEvent(event)
        self._fit()
        self.resized.emit()

    def eventFilter(self, widget: QObject, event: QEvent) -> bool:
        """Override for Qt: another least height."""
        handled = bool(super().eventFilter(widget, event))
        if event.type() == QEvent.Type.LayoutRequest and widget is self.widget():
            self._fit()
        return handled

    def _fit(self) -> None:
        """Unlike Qt, which would take the height that lines of text would like to have."""
        size, least = self.viewport().size(), self.content.minimumSizeHint().height()
        self.content.resize(size.width(), max(size.height(), least))

    def sizeHint(self) -> QSize:
        """Override for Qt."""
        return self.content.sizeHint()

    def minimumSizeHint(self) -> QSize:
        """Override for Qt."""
        return QSize(self.content.minimumSizeHint().width(), SQUEEZED)


class Line(QLabel):
    """One line of text that never needs room: what does not fit is cut off and in the tooltip."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.setMinimumHeight(self.fontMetrics().lineSpacing() + 2)

    def say(self, text: str, tip: str = "") -> None:
        """Show a text; its tooltip is the text itself unless another is given."""
        if text != self.text():
            self.setText(text)
        self.setToolTip(tip or text)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Override for Qt."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter, text)
        painter.end()


class Note(QLabel):
    """A line of secondary text that wraps."""

    def __init__(self, text: str = "", parent: QWidget | None = None):
        super().__init__(text, parent)
        self.setWordWrap(True)
        self.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)


class Section(QWidget):
    """A heading with an arrow that folds the content below it."""

    toggled = Signal(bool)

    def __init__(self, title: str, unfolded: bool = True, parent: QWidget | None = None):
        super().__init__(parent)
        self._unfolded = unfolded
        self._title = title
        self._button = QToolButton(self)
        self._button.setText(title)
        self._button.setAutoRaise(True)
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._button.setMinimumWidth(HEADING)
        self._button.clicked.connect(lambda: self._fold(not self._unfolded))
        self.body = QWidget(self)
        layout = QVBoxLayout(self)
        plain_layout(layout, 0, 2)
        layout.addWidget(self._button)
        layout.addWidget(self.body)
        self._fold(unfolded)

    @property
    def unfolded(self) -> bool:
        """Whether the content is shown."""
        return self._unfolded

    @unfolded.setter
    def unfolded(self, unfolded: bool) -> None:
        self._fold(unfolded)

    def make_bold(self) -> None:
        """Use bold type, for the heading of a step."""
        font = self._button.font()
        font.setBold(True)
        self._button.setFont(font)

    def mark(self, words: str) -> None:
        """Add words to the heading, "" for none."""
        self._button.setText(f"{self._title} {words}" if words else self._title)

    def _fold(self, unfolded: bool) -> None:
        self._unfolded = unfolded
        self._button.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)
        self.body.setVisible(unfolded)
        self.toggled.emit(unfolded)


class MessageStrip(QFrame):
    """A message for the user, with a button to dismiss it, and one to act on it where there is
    something to do. It lies over the panel rather than in its layout, so that no widget moves when
    it comes and goes.

    Parameters
    ----------
    above : the widget that it stays above, at the bottom of the panel
    over : the one before it, which it covers wholly rather than in part
    """

    def __init__(self, above: QWidget, over: QWidget, parent: QWidget):
        super().__init__(parent)
        self._above, self._over = above, over
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAutoFillBackground(True)
        self._icon = QLabel(self)
        self._text = QLabel(self)
        self._text.setObjectName("text")
        self._text.setWordWrap(True)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        close = QToolButton(self)
        close.setAutoRaise(True)
        close.setIcon(self.style().standardIcon(QStyle.StandardPixmap.SP_TitleBarCloseButton))
        close.setIconSize(QSize(12, 12))
        close.setToolTip("Dismiss this message; it stays in the log")
        close.clicked.connect(self.hide)
        self.button = QPushButton(self)
        self.button.hide()
        layout = QHBoxLayout(self)
        plain_layout(layout, 4)
        layout.addWidget(self._icon)
        layout.addWidget(self._text, 1)
        layout.addWidget(self.button)
        layout.addWidget(close)
        parent.installEventFilter(self)
        for widget in (above, over):
            widget.installEventFilter(self)
        self.hide()

    @property
    def text(self) -> str:
        """The message shown, "" if there is none."""
        return "" if self.isHidden() else str(self._text.text())

    def say(self, sentence: str, is_error: bool = False) -> None:
        """Show a message; "" hides the strip."""
        if not sentence:
            self.hide()
            return
        kind = (
            QStyle.StandardPixmap.SP_MessageBoxWarning
            if is_error
            else QStyle.StandardPixmap.SP_MessageBoxInformation
        )
        self._icon.setPixmap(self.style().standardIcon(kind).pixmap(16, 16))
        self._text.setText(sentence)
        self.button.hide()
        self._place()
        self.show()
        self.raise_()

    def offer(self, sentence: str, words: str) -> None:
        """Show a message with what can be done about it as the words on a button."""
        self.say(sentence)
        self.button.setText(words)
        self.button.show()
        self._place()

    def eventFilter(self, widget: QObject, event: QEvent) -> bool:
        """Override for Qt: follow the panel's size."""
        if event.type() in MOVED and not self.isHidden():
            self._place()
        return False

    def _place(self) -> None:
        width = max(self.parentWidget().width() - MARGIN, 100)
        bottom = self._above.geometry().top() - 2
        height = self.heightForWidth(width)  # with its frame
        if self._over.isVisibleTo(self.parentWidget()):
            height = max(height, bottom - self._over.geometry().top())
        height = min(height, max(bottom, 24))
        self.setGeometry(MARGIN // 2, bottom - height, width, height)
