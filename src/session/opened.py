"""Open blocks, for the panel: whether there are any, and when a run is opened; quick to import."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..core.runs.steps import Run

RUN_OPENED = "siren run opened"  # trigger of the session, with a Run


def blocks_are_open(session: Any) -> bool:
    """Whether any blocks are open, without importing what draws them."""
    return any(hasattr(m, "siren_block") for m in session.models.list())


def run_opened(session: Any, run: Run) -> None:
    """Notify the panel that a run was opened."""
    _add_trigger(session)
    session.triggers.activate_trigger(RUN_OPENED, run)


def when_run_opened(session: Any, call: Callable[[Run], Any]) -> Any:
    """Have a function called whenever a run is opened.

    Returns
    -------
    The handler; ``handler.remove()`` stops the calls.
    """
    _add_trigger(session)
    return session.triggers.add_handler(RUN_OPENED, lambda _, run: call(run))


def _add_trigger(session: Any) -> None:
    if not session.triggers.has_trigger(RUN_OPENED):
        session.triggers.add_trigger(RUN_OPENED)
