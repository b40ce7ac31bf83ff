"""Finding volumes by name or flag in a list of them."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from Qt.QtCore import QEvent, QModelIndex, QObject, QSortFilterProxyModel, Qt, Signal
from Qt.QtGui import QKeyEvent, QKeySequence
from Qt.QtWidgets import QLineEdit, QWidget

from .widgets import key_text

KEY = "Ctrl+F"
TIP = (
    "Show only volumes with these words in their name or flag; * and ? stand for other characters. "
    "flagged and unticked are words, too"
)


def matches(pattern: str, text: str) -> bool:
    """Whether a text has all words of a pattern, in any order, whatever their case; ``*`` and ``?``
    stand for other characters.
    """
    text = text.lower()
    return all(fnmatchcase(text, f"*{_literal(word)}*") for word in pattern.lower().split())


def _literal(word: str) -> str:
    """A word with brackets taken as they are: they are in file names rather than in wishes."""
    return word.replace("[", "[[]")


class FoundRows(QSortFilterProxyModel):
    """Leaves out rows that are not looked for. The source model sorts: Qt would ask it for the
    values of two rows at each comparison, which takes long with thousands of rows.

    Parameters
    ----------
    text_of : what is known of a row of the source model, for the search
    """

    def __init__(self, text_of: Callable[[int], str], parent: QObject):
        super().__init__(parent)
        self._text_of = text_of
        self.pattern = ""
        self.setDynamicSortFilter(False)  # rows must not jump while the user looks at them

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Override for Qt."""
        self.sourceModel().sort(column, order)

    def find(self, pattern: str) -> None:
        """Show the rows that match, "" for all."""
        self.pattern = pattern.strip()
        self.invalidateFilter()

    def filterAcceptsRow(self, row: int, parent: QModelIndex) -> bool:
        """Override for Qt."""
        return not self.pattern or matches(self.pattern, self._text_of(row))


class FindKey(QObject):
    """Has KEY begin a search as long as the focus is inside a widget.

    ChimeraX fetches files by the same key: with a QShortcut for it, its dialog would open.
    """

    def __init__(self, scope: QWidget, begin: Callable[[], None]):
        super().__init__(scope)
        self._begin = begin
        scope.installEventFilter(self)

    def eventFilter(self, scope: QObject, event: QEvent) -> bool:
        """Override for Qt."""
        if (
            event.type() in (QEvent.Type.ShortcutOverride, QEvent.Type.KeyPress)
            and isinstance(event, QKeyEvent)
            and QKeySequence(event.keyCombination()) == QKeySequence(KEY)
        ):
            if event.type() == QEvent.Type.KeyPress:
                self._begin()
            event.accept()  # of the shortcut: it comes as a key then
            return True
        return False


class FindField(QLineEdit):
    """The field for a search. Enter and the arrow down go to the list, Escape shows all again."""

    found = Signal()  # other rows are shown

    def __init__(self, rows: FoundRows, view: QWidget, parent: QWidget | None = None):
        super().__init__(parent)
        self._rows, self._view = rows, view
        self.setPlaceholderText("find by name or flag")
        self.setToolTip(f"{TIP} ({key_text(KEY)})")
        self.setClearButtonEnabled(True)
        self.textChanged.connect(self._find)

    def begin(self) -> None:
        """Begin a search: what is typed next replaces the words here."""
        self.setFocus()
        self.selectAll()

    def _find(self, text: str) -> None:
        self._rows.find(text)
        self.found.emit()

    def again(self) -> None:
        """Search again, after what is known of the rows has changed."""
        if self.text().strip():
            self._find(self.text())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Override for Qt."""
        key = event.key()
        if key == Qt.Key.Key_Escape and self.text():
            self.clear()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Down):
            self._to_list()
        else:
            super().keyPressEvent(event)

    def _to_list(self) -> None:
        view: Any = self._view
        view.setFocus()
        if not view.currentIndex().isValid() and self._rows.rowCount():
            view.make_current(self._rows.index(0, 0))
