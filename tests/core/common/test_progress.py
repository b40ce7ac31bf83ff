"""Progress: waits for functions that return late or never can be canceled."""

from __future__ import annotations

import threading

import pytest

from chimerax.siren.core.common import progress as progress_module
from chimerax.siren.core.common.errors import Cancelled
from chimerax.siren.core.common.progress import Progress, run_cancellable
from waiting import DEADLINE, until


def test_run_cancellable_returns_or_raises_as_the_function_does() -> None:
    assert run_cancellable(lambda: 7, "sleeping", Progress()) == 7
    with pytest.raises(TimeoutError, match="its own"):
        run_cancellable(
            lambda: (_ for _ in ()).throw(TimeoutError("its own")), "sleeping", Progress()
        )


def test_cancel_ends_a_wait_at_the_next_look_and_what_comes_later_is_disposed_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release, disposed = threading.Event(), threading.Event()
    late: list[str] = []
    looks: list[float] = []
    progress = Progress()

    def slow() -> str:
        assert release.wait(DEADLINE)
        return "late"

    def dispose(result: str) -> None:
        late.append(result)
        disposed.set()

    def look(futures: list, seconds: float) -> object:
        looks.append(seconds)
        if len(looks) == 3:
            progress.cancel()
        return plain(futures, seconds)

    plain = progress_module.wait
    monkeypatch.setattr(progress_module, "wait", look)
    with pytest.raises(Cancelled):
        run_cancellable(slow, "sleeping", progress, dispose=dispose)
    # the third look was on its way: no other one follows, and a look is well below half a second
    assert len(looks) == 3 and max(looks) <= 0.1 and not late
    release.set()
    assert disposed.wait(DEADLINE) and late == ["late"]


def test_a_wait_reports_its_phase_and_progress() -> None:
    reports: list[tuple[str, float]] = []
    run_cancellable(
        lambda: until(lambda: len(reports) >= 2, "the second report"),
        "sleeping",
        Progress(lambda *r: reports.append(r), interval=0),
        0.4,
    )
    assert len(reports) >= 2 and set(reports) == {("sleeping", 0.4)}
