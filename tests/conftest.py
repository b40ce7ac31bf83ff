"""Fixtures that every test can use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def _chimerax() -> Any:
    """The one ChimeraX session of this process, with offscreen pictures; in a running application,
    its own.
    """
    from cxheadless import boot

    return boot.given or boot.start(offscreen=True)


@pytest.fixture
def session(_chimerax: Any) -> Iterator[Any]:
    """A ChimeraX session without models; what a test opens is closed after it."""
    from chimerax.core.commands import run

    yield _chimerax
    run(_chimerax, "close", log=False)
    # After labels and other overlays were closed, ChimeraX goes on counting: the next test's first
    # model is #1 again
    _chimerax.models._reset_next_id()


@pytest.fixture
def run(session: Any) -> Callable[[str], Any]:
    """Run a ChimeraX command as a user types it, and draw a frame, which makes the surfaces of
    maps.
    """
    from chimerax.core.commands import run

    def run_and_draw(command: str) -> Any:
        result = run(session, command)
        session.update_loop.draw_new_frame()
        return result

    return run_and_draw
