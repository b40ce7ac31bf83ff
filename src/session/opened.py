"""Open blocks, for the panel: whether there are any, and when a run is opened; quick to import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.runs.steps import Run

# triggers of the session
RUN_OPENED = "siren run opened"  # with a Run
FOLDERS_MOVED = "siren folders moved"  # with pairs of folders: where they were, and are now


def blocks_are_open(session: Any) -> bool:
    """Whether any blocks are open, without importing what draws them."""
    return any(hasattr(m, "siren_block") for m in session.models.list())


def run_opened(session: Any, run: Run) -> None:
    """Notify the panel that a run was opened."""
    _trigger(session, RUN_OPENED).activate_trigger(RUN_OPENED, run)


def when_run_opened(session: Any, call: Callable[[Run], Any]) -> Any:
    """Have a function called whenever a run is opened.

    Returns
    -------
    The handler; ``handler.remove()`` stops the calls.
    """
    return _trigger(session, RUN_OPENED).add_handler(RUN_OPENED, lambda _, run: call(run))


def folders_moved(session: Any, moves: Sequence[tuple[Path, Path]]) -> None:
    """Notify the panel that folders were found in another place."""
    _trigger(session, FOLDERS_MOVED).activate_trigger(FOLDERS_MOVED, moves)


def when_folders_moved(session: Any, call: Callable[[Sequence[tuple[Path, Path]]], Any]) -> Any:
    """Have a function called whenever folders were found in another place; see
    :func:`when_run_opened`.
    """
    return _trigger(session, FOLDERS_MOVED).add_handler(FOLDERS_MOVED, lambda _, moves: call(moves))


def _trigger(session: Any, name: str) -> Any:
    """The session's triggers, with this one among them."""
    if not session.triggers.has_trigger(name):
        session.triggers.add_trigger(name)
    return session.triggers
