"""Undo and redo of one kind of action among all that ChimeraX's own undo knows."""

from __future__ import annotations

from typing import Any

from chimerax.core.errors import UserError
from chimerax.core.undo import UndoAction


def name_of_last(stack: list[Any], kind: type[UndoAction]) -> str:
    """The name of the last action of a kind, "" if there is none."""
    return next((str(a.name) for a in reversed(stack) if isinstance(a, kind)), "")


def step(session: Any, kind: type[UndoAction], word: str, what: str) -> Any:
    """``undo`` or ``redo`` the last action of a kind, whatever else was done since.

    Parameters
    ----------
    what : the kind in words, such as ``edit of blocks``

    Returns
    -------
    the action

    Raises
    ------
    UserError
        If there is none.
    """
    stacks = (session.undo.undo_stack, session.undo.redo_stack)
    source, target = stacks if word == "undo" else stacks[::-1]
    action = next((a for a in reversed(source) if isinstance(a, kind)), None)
    if action is None:
        kept = session.undo.max_depth
        limit = f" (ChimeraX keeps the last {kept} steps)" if kept > 0 else ""
        raise UserError(f"There is no {what} to {word}{limit}.")
    source.remove(action)
    getattr(action, word)()
    target.append(action)
    if session.ui.is_gui:
        session.ui.update_undo(session.undo)
    return action
