"""Undo and redo of one kind of action among all that ChimeraX's own undo knows."""

from __future__ import annotations

from typing import Any

from chimerax.core.errors import UserError
from chimerax.core.undo import UndoAction


def name_of_last(stack: list[Any], kind: type[UndoAction]) -> str:
    """The name of the last action of a kind, "" if there is none."""
    action = _last(stack, kind)
    return "" if action is None else str(action.name)


def _last(stack: list[Any], kind: type[UndoAction]) -> Any:
    """The last action of a kind that is still possible, None if there is none."""
    return next(
        (a for a in reversed(stack) if isinstance(a, kind) and getattr(a, "possible", True)), None
    )


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
    # one that is no longer possible says why
    action = _last(source, kind) or next((a for a in source if isinstance(a, kind)), None)
    if action is None:
        kept = session.undo.max_depth
        limit = f" (ChimeraX keeps the last {kept} steps)" if kept > 0 else ""
        raise UserError(f"There is no {what} to {word}{limit}.")
    getattr(action, word)()
    source.remove(action)
    target.append(action)
    if session.ui.is_gui:
        session.ui.update_undo(session.undo)
    return action
