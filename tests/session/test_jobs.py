"""Background work: off the main thread, with progress, stop, and errors that are reported."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chimerax.core.errors import CancelOperation, UserError
from chimerax.core.logger import PlainTextLog

from chimerax.siren.core.common import progress as progress_module
from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.last_reading import forget
from chimerax.siren.session import jobs
from chimerax.siren.session.jobs import current_job, run_job
from ensembles import LEVEL, write_planted
from waiting import DEADLINE, until


class Heard(PlainTextLog):
    """Records log messages and the threads that logged them."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, str]] = []
        self.threads: set[int] = set()

    def log(self, level: int, msg: str) -> bool:
        self.said.append((level, msg))
        self.threads.add(threading.get_ident())
        return True

    def status(self, msg: str, color: Any, secondary: bool) -> bool:
        self.said.append(("status", msg))
        self.threads.add(threading.get_ident())
        return True

    def text(self, level: Any) -> str:
        return "\n".join(m for kind, m in self.said if kind == level)


@pytest.fixture
def heard(session: Any) -> Iterator[Heard]:
    log = Heard()
    session.logger.add_log(log)
    yield log
    session.logger.remove_log(log)


@pytest.fixture
def windows(session: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A session that behaves like one with windows: calls from threads wait for the main thread
    (``pump``).
    """
    monkeypatch.setattr(session.ui, "is_gui", True)
    monkeypatch.setattr(session.ui, "defer_threads", True)
    return session


def wait(session: Any, job: Any) -> None:
    assert session.ui.pump(until=job.terminated, timeout=DEADLINE)


def test_with_windows_work_runs_in_a_thread_and_its_result_is_shown_on_the_main_thread(
    windows: Any,
) -> None:
    threads: dict[str, int] = {}

    def work(progress: Any) -> int:
        threads["work"] = threading.get_ident()
        return 42

    def show(result: int) -> int:
        threads["show"] = threading.get_ident()
        return result + 1

    job = run_job(windows, "siren test", work, show)
    assert "show" not in threads  # it returned at once
    wait(windows, job)
    assert job.result == 43
    assert threads["show"] == threading.get_ident() != threads["work"]
    assert current_job(windows) is None
    assert job not in windows.tasks.list()


def test_without_windows_work_blocks_and_gives_the_result(session: Any) -> None:
    assert run_job(session, "siren test", lambda progress: 1, lambda r: r + 1) == 2


def test_progress_reaches_the_status_line_from_the_main_thread_with_time_left(
    windows: Any, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]  # the test's own: a step takes a quarter of a second of it
    for module in (jobs, progress_module):
        monkeypatch.setattr(
            module, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=time.sleep)
        )

    def lines() -> list[str]:
        return [m for kind, m in heard.said if kind == "status" and "counting" in m]

    known: list[str] = []  # what a panel can read at any time

    def work(progress: Any) -> None:
        for k in range(9):
            progress.step("counting pairs", k / 9)
            known.append(current_job(windows).status.line)
            until(lambda k=k: len(lines()) > k // 4, "the status line")
            clock[0] += 0.25

    wait(windows, run_job(windows, "siren test", work, lambda r: r))
    assert known == [
        f"counting pairs{text}"
        for text in (
            "",
            " 11 %",
            " 22 %",
            " 33 %, 2 s left",
            " 44 %, 1 s left",
            " 56 %, 1 s left",
            " 67 %, 1 s left",
            " 78 %, 1 s left",
            " 89 %, 1 s left",
        )
    ]
    # the window draws the status line at once, on the main thread: once a second is enough
    assert lines() == [f"siren test: {known[k]}" for k in (0, 4, 8)]
    assert heard.threads == {threading.get_ident()}


@pytest.fixture
def ctrl_c() -> Iterator[Any]:
    """Python's handler of SIGINT, also where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


class _PressedInItsEnd:
    """Ctrl-C comes while this is being deleted, where Python loses an exception."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_without_windows_is_not_lost_wherever_it_comes(
    session: Any, heard: Heard, ctrl_c: Any
) -> None:
    def work(progress: Progress) -> str:
        _PressedInItsEnd()
        for i in range(3):
            progress.step("working", i / 3)
        return "went on"

    with pytest.raises(SystemExit) as ended:
        run_job(session, "siren sketch", work, lambda result: result)
    assert ended.value.code == 130
    assert "Stopped. Nothing was written" in heard.text(0)
    assert signal.getsignal(signal.SIGINT) is ctrl_c


def test_a_second_ctrl_c_interrupts_work_that_takes_no_step(session: Any, ctrl_c: Any) -> None:
    def work(_: Progress) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("went on")

    with pytest.raises(SystemExit) as ended:
        run_job(session, "siren sketch", work, lambda result: result)
    assert ended.value.code == 130


def test_work_that_ctrl_c_comes_too_late_for_is_shown_and_stops_what_follows(
    session: Any, ctrl_c: Any
) -> None:
    shown = []
    with pytest.raises(SystemExit) as ended:
        run_job(session, "siren sketch", lambda _: signal.raise_signal(signal.SIGINT), shown.append)
    assert ended.value.code == 130 and shown == [None]


def test_ctrl_c_that_is_ignored_stays_ignored(session: Any) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run_job(session, "siren sketch", lambda _: signal.raise_signal(signal.SIGINT), print)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    "error", [SirenError("vol_1.mrc is bad: leave it out."), ValueError("a bug")]
)
def test_a_failing_job_is_reported_and_does_not_stay_running(
    windows: Any, heard: Heard, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[str] = []
    monkeypatch.setattr(
        windows.logger, "report_exception", lambda **kw: reported.append(str(kw["exc_info"][1]))
    )

    def work(progress: Any) -> None:
        raise error

    job = run_job(windows, "siren test", work, lambda r: pytest.fail("shown"))
    wait(windows, job)
    assert job.error is error
    assert current_job(windows) is None
    if isinstance(error, SirenError):
        assert heard.text(2).strip() == str(error)  # level 2: error
        assert not reported
    else:
        assert reported == ["a bug"]


def test_an_error_while_showing_ends_the_job_too(windows: Any, heard: Heard) -> None:
    def show(result: Any) -> None:
        raise UserError("the models are gone")

    job = run_job(windows, "siren test", lambda progress: 1, show)
    wait(windows, job)
    assert "the models are gone" in heard.text(2)
    assert current_job(windows) is None


def test_stop_ends_a_job_at_its_next_step(windows: Any, heard: Heard) -> None:
    from chimerax.core.commands import run

    started, stopped = threading.Event(), threading.Event()
    steps: list[str] = []

    def work(progress: Any) -> None:
        while True:
            progress.step("working", 0.5)
            steps.append("done")
            started.set()
            assert stopped.wait(DEADLINE)

    job = run_job(windows, "siren test", work, lambda r: pytest.fail("shown"))
    assert started.wait(DEADLINE)
    run(windows, "siren stop")
    stopped.set()
    wait(windows, job)
    assert steps == ["done"]
    assert isinstance(job.error, Cancelled)
    assert "Stopped. Nothing was written; earlier results are unchanged." in heard.text(0)


def test_one_job_at_a_time(windows: Any) -> None:
    release = threading.Event()
    job = run_job(windows, "siren first", lambda progress: release.wait(DEADLINE), lambda r: r)
    with pytest.raises(UserError, match=r"siren first.*siren stop"):
        run_job(windows, "siren second", lambda progress: 1, lambda r: r)
    release.set()
    wait(windows, job)


def test_blocking_work_that_is_stopped_or_wrong_raises_what_commands_raise(session: Any) -> None:
    def stopped(progress: Any) -> None:
        progress.cancel()
        progress.step("working")

    def wrong(progress: Any) -> None:
        raise SirenError("one sentence")

    with pytest.raises(CancelOperation, match="Nothing was written"):
        run_job(session, "siren test", stopped, lambda r: r)
    with pytest.raises(UserError, match="one sentence"):
        run_job(session, "siren test", wrong, lambda r: r)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_stopped_sketch_leaves_nothing_and_spares_earlier_results(
    windows: Any, tmp_path: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after a share of the steps that the whole sketch took."""
    from chimerax.core.commands import run

    planted = write_planted(tmp_path / "volumes", 60)
    out = tmp_path / "out"
    command = (
        f"siren sketch '{planted.folder}' level {LEVEL} statistic exact subsample 1 "
        f"outputDir '{out}' open false"
    )
    reached, stopped = threading.Event(), threading.Event()
    steps, moment = itertools.count(1), 0

    def step(progress: Progress, phase: str, fraction: float = 0.0) -> None:
        if next(steps) == moment:
            reached.set()
            assert stopped.wait(DEADLINE)
        plain(progress, phase, fraction)

    plain = Progress.step
    monkeypatch.setattr(Progress, "step", step)
    with windows.in_script:
        run(windows, command)
    before = {p.name: p.read_bytes() for p in (out / "00_sketch").iterdir()}
    forget()  # or the second sketch would have fewer steps
    moment, steps = round(share * next(steps)), itertools.count(1)
    assert moment > 5
    job = run(windows, command)
    assert reached.wait(DEADLINE)
    run(windows, "siren stop")
    stopped.set()
    wait(windows, job)
    assert isinstance(job.error, Cancelled)
    assert {p.name: p.read_bytes() for p in (out / "00_sketch").iterdir()} == before
    assert [p.name for p in out.iterdir()] == ["00_sketch"]


def test_models_closed_during_a_run_do_no_harm(
    windows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chimerax.core.commands import run

    planted = write_planted(tmp_path / "volumes", 150)
    # ChimeraX's own volume panel is not there to open
    with monkeypatch.context() as without_windows:
        without_windows.setattr(windows.ui, "is_gui", False)
        run(windows, f"open '{planted.folder}/vol_*.mrc'")
    job = run(windows, f"siren sketch #1 level {LEVEL} statistic exact outputDir '{tmp_path}/out'")
    run(windows, "close")
    wait(windows, job)
    assert job.error is None
    assert len(job.result.blocks) == 2


def test_a_job_ends_with_its_session_and_shows_nothing_in_the_next(
    windows: Any, heard: Heard
) -> None:
    from chimerax.core.commands import run

    closed, shown = threading.Event(), []

    def work(progress: Any) -> int:
        assert closed.wait(DEADLINE)  # it takes no step: it ends as if nothing had been asked
        return 42

    job = run_job(windows, "siren test", work, shown.append)
    run(windows, "close session", log=False)
    assert current_job(windows) is job  # another has to wait for its thread
    closed.set()
    wait(windows, job)
    assert shown == [] and isinstance(job.error, jobs.SessionClosed)
    assert any("its session was closed" in said for _, said in heard.said)


def test_a_session_closed_between_two_pieces_of_a_result_gets_no_more_of_them(
    windows: Any, heard: Heard
) -> None:
    from chimerax.core.commands import run

    pieces: list[str] = []

    def show(_: int) -> Any:
        try:
            for name in "abc":
                pieces.append(name)
                if name == "b":
                    run(windows, "close session", log=False)
                yield
        finally:
            pieces.append("tidied up")

    job = run_job(windows, "siren test", lambda progress: 1, show)
    wait(windows, job)
    assert pieces == ["a", "b", "tidied up"] and isinstance(job.error, jobs.SessionClosed)


def test_the_commands_that_wait_are_dropped_with_the_session(
    windows: Any, heard: Heard, tmp_path: Path
) -> None:
    from chimerax.core.commands import run

    ends: list[str] = []
    handler = jobs.when_job_ends(windows, lambda end: ends.append(end.name))
    folder = tmp_path / "volumes"
    jobs.run_in_turn(
        windows, [f"siren example '{folder}' volumes 5 box 16 voxelSize 16", "siren stop"]
    )
    job = current_job(windows)
    run(windows, "close session", log=False)
    wait(windows, job)
    windows.ui.pump(until=lambda: bool(ends), timeout=DEADLINE)
    handler.remove()
    assert ends == ["siren example"] and not any("Nothing is running" in m for _, m in heard.said)


def test_a_result_that_leaves_nothing_to_do_ends_the_row(windows: Any, tmp_path: Path) -> None:
    asked: list[Any] = []
    jobs.run_in_turn(
        windows,
        [f"siren example '{tmp_path}/volumes' volumes 5 box 16 voxelSize 16", "siren nonsense"],
        lambda result: bool(asked.append(result)),
    )
    job = current_job(windows)
    wait(windows, job)
    assert len(asked) == 1 and asked[0] is job.result  # and the nonsense was never run


def test_the_time_left_of_work_that_goes_on_counts_only_what_was_done_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=lambda: now[0]))
    status = jobs._Status(None, "siren predict")
    assert "left" not in status.text("predicting", 0.5)  # half was done before
    now[0] += 10
    # a tenth in 10 s: 40 s for the four that are left
    assert status.text("predicting", 0.6).endswith("60 %, 40 s left")
    now[0] += 1
    assert "left" not in status.text("another phase", 0.0)
