"""Fixtures that every test can use, and what the whole run took."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

BEGAN = time.monotonic()
# torch's threads sleep while they wait for each other. By default they run on: where others use the
# processors too, that takes most of the CPU time, and many times as long
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Elapsed and CPU time, as the last line but one."""
    used = os.times()
    own, others = used.user + used.system, used.children_user + used.children_system
    terminalreporter.write_line(
        f"{time.monotonic() - BEGAN:.0f} s elapsed, {own + others:.0f} s of CPU time "
        f"({others:.0f} s of it in processes that tests started)"
    )


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
