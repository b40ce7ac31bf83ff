"""Fixtures that every test can use, and what the whole run took."""

from __future__ import annotations

import locale
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

BEGAN = time.monotonic()
# Arrays of tests are small. Several threads of torch or OpenBLAS would mostly wait for each other,
# and by running on: where others use the processors too, that takes many times as long
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Fixtures that start other programs, for a second or more each time
STARTING = {"chimerax", "cluster", "installed"}
CASES = 2  # of one test that a quick run takes


def pytest_addoption(parser: pytest.Parser) -> None:
    """What ``make test-quick`` gives."""
    parser.addoption(
        "--quick",
        action="store_true",
        help="leave out what is slow, starts other programs, or is a third case of a test",
    )
    parser.addoption(
        "--without-chimerax",
        action="store_true",
        help="leave out what needs a session of ChimeraX, for devel/versions.py",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests that start other programs; leave out what is not for a quick run."""
    for item in items:
        if STARTING & set(getattr(item, "fixturenames", ())):
            item.add_marker("processes")
    if config.getoption("without_chimerax"):
        needs = [i for i in items if "_chimerax" in getattr(i, "fixturenames", ())]
        config.hook.pytest_deselected(items=needs)
        items[:] = [i for i in items if i not in needs]
    if not config.getoption("quick"):
        return
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    cases: Counter[str] = Counter()
    for item in items:
        test = item.nodeid.split("[")[0]
        long = any(item.get_closest_marker(name) for name in ("slow", "processes"))
        cases[test] += not long
        (left_out if long or cases[test] > CASES else kept).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


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

    spoken = locale.setlocale(locale.LC_ALL)
    yield _chimerax
    run(_chimerax, "close", log=False)
    # opening a PDB file sets that of the whole process to C, in which text of programs is ASCII
    locale.setlocale(locale.LC_ALL, spoken)
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
