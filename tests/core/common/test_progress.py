"""Progress: waits for functions that return late or never can be canceled."""

from __future__ import annotations

import threading
import time

import pytest

from chimerax.siren.core.common.errors import Cancelled
from chimerax.siren.core.common.progress import Progress, run_cancellable


def test_run_cancellable_returns_or_raises_as_the_function_does() -> None:
    assert run_cancellable(lambda: 7, "sleeping", Progress()) == 7
    with pytest.raises(TimeoutError, match="its own"):
        run_cancellable(
            lambda: (_ for _ in ()).throw(TimeoutError("its own")), "sleeping", Progress()
        )


def test_cancel_ends_a_wait_and_a_late_result_is_disposed_of() -> None:
    release, disposed = threading.Event(), threading.Event()
    late: list[str] = []

    def slow() -> str:
        release.wait(20)
        return "late"

    def dispose(result: str) -> None:
        late.append(result)
        disposed.set()

    progress = Progress()
    asked: list[float] = []
    threading.Timer(0.2, lambda: (asked.append(time.monotonic()), progress.cancel())).start()
    with pytest.raises(Cancelled):
        run_cancellable(slow, "sleeping", progress, dispose=dispose)
    assert time.monotonic() - asked[0] < 0.5 and not late
    release.set()
    assert disposed.wait(5) and late == ["late"]


def test_a_wait_reports_its_phase_and_progress() -> None:
    reports: list[tuple[str, float]] = []
    run_cancellable(
        lambda: time.sleep(0.25),
        "sleeping",
        Progress(lambda *r: reports.append(r), interval=0),
        0.4,
    )
    assert len(reports) >= 2 and set(reports) == {("sleeping", 0.4)}
