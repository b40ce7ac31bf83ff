"""Small widgets for the pages; colors come from the palette, for light and dark themes."""

from __future__ import annotations

from html import escape

from Qt.QtCore import QSize, Qt, Signal
from Qt.QtGui import QColor, QPalette
from Qt.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QStyle,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

SPACING = 6  # pixels
MARGIN = 8


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
        self._button = QToolButton(self)
        self._button.setText(title)
        self._button.setAutoRaise(True)
        self._button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
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

    def _fold(self, unfolded: bool) -> None:
        self._unfolded = unfolded
        self._button.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)
        self.body.setVisible(unfolded)
        self.toggled.emit(unfolded)


class MessageStrip(QFrame):
    """A message for the user, with a button to dismiss it."""

    def __init__(self, parent: QWidget | None = None):
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._icon = QLabel(self)
        self._text = QLabel(self)
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        close = QToolButton(self)
        close.setAutoRaise(True)
        close.setIcon(self.style().standardIcon(QStyle.StandardPixmap.SP_TitleBarCloseButton))
        close.setIconSize(QSize(12, 12))
        close.setToolTip("Dismiss this message; it stays in the log")
        close.clicked.connect(self.hide)
        layout = QHBoxLayout(self)
        plain_layout(layout, 4)
        layout.addWidget(self._icon, 0, Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self._text, 1)
        layout.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
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
        self._text.setText(escape(sentence, quote=False))
        self.show()
