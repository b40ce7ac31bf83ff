"""Levels set by eye: labels of open maps, written to their table such that they can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chimerax.core.errors import UserError
from chimerax.core.undo import UndoAction

from ..core.thresholds.labels import Label, label_row, put_label_row, set_labels
from .inputs import user_errors
from .undo import step

Rows = list[dict[str, str] | None]


class LabelAction(UndoAction):
    """The rows of a table of labels before and after ``siren label``."""

    def __init__(self, name: str, path: Path, labels: Sequence[Label], before: Rows, after: Rows):
        super().__init__(name)
        self.path, self.labels = path, list(labels)
        self._before, self._after = before, after

    def undo(self) -> None:
        """Put the rows back as they were."""
        self._put(self._after, self._before)

    def redo(self) -> None:
        """Write the labels again."""
        self._put(self._before, self._after)

    def _put(self, now: Rows, then: Rows) -> None:
        """Replace rows that are as expected; others have been changed by someone else since."""
        found = user_errors(_rows, self.path, self.labels)
        for label, row, expected in zip(self.labels, found, now, strict=True):
            if _filled(row) != _filled(expected):
                raise UserError(
                    f"The label of {label.file} in {self.path.name} was changed since: nothing was "
                    "done. Label the map again."
                )
        for label, row in zip(self.labels, then, strict=True):
            user_errors(put_label_row, self.path, label, row)


def write_labels(session: Any, path: Path, labels: Sequence[Label]) -> list[bool]:
    """Write labels into a table, such that "siren label undo" and ChimeraX's own undo can take
    them back.

    Returns
    -------
    Whether each map had a label before.
    """
    before = user_errors(_rows, path, labels)
    again: list[bool] = user_errors(set_labels, path, labels)
    names = ", ".join(label.file for label in labels[:3]) + " ..." * (len(labels) > 3)
    after = user_errors(_rows, path, labels)
    session.undo.register(LabelAction(f"label {names}", path, labels, before, after))
    return again


def undo_labels(session: Any, word: str) -> LabelAction:
    """``undo`` or ``redo`` the last ``siren label``.

    Raises
    ------
    UserError
        If there is none, or its rows have been changed since.
    """
    action: LabelAction = step(session, LabelAction, word, "label")
    return action


def _rows(path: Path, labels: Sequence[Label]) -> Rows:
    return [label_row(path, label) for label in labels]


def _filled(row: dict[str, str] | None) -> dict[str, str] | None:
    """The cells of a row that are not empty: a label may have brought a column along."""
    return None if row is None else {column: cell for column, cell in row.items() if cell}
