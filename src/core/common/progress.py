"""Progress reports and stop requests, passed to every long function of core as one argument."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TypeVar

from .errors import Cancelled

T = TypeVar("T")
POLL_SECONDS = 0.1  # between checks whether a wait has ended or was canceled


class Progress:
    """Reports the progress of a job and stops it on request.

    A job calls :meth:`step` in each of its loops; :meth:`cancel` may be called from any thread.

    Parameters
    ----------
    report : callable, optional
        Called as ``report(phase, fraction)`` in the working thread, at most once per ``interval``
        for a phase. ``fraction`` runs from 0 to 1.
    interval : float
        Seconds between two reports of one phase.
    say : callable, optional
        Called in the working thread with a sentence that the user should read at once.

    Attributes
    ----------
    seconds : dict of float
        Time spent in each phase, see :meth:`timed`.
    """

    def __init__(
        self,
        report: Callable[[str, float], None] | None = None,
        interval: float = 0.2,
        say: Callable[[str], None] | None = None,
    ):
        self._report = report
        self._say = say
        self._interval = interval
        self._cancelled = threading.Event()
        self._phase = ""
        self._last = 0.0
        self.seconds: dict[str, float] = {}

    def cancel(self) -> None:
        """Ask the job to stop at its next step."""
        self._cancelled.set()

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._cancelled.is_set()

    def step(self, phase: str, fraction: float = 0.0) -> None:
        """Report that ``phase`` is done to ``fraction`` (0 to 1).

        Raises
        ------
        Cancelled
            If the job was asked to stop.
        """
        if self._cancelled.is_set():
            raise Cancelled("Stopped.")
        self.report(phase, fraction)

    def report(self, phase: str, fraction: float = 0.0) -> None:
        """Report as :meth:`step` does, where a job cannot be stopped."""
        now = time.monotonic()
        if self._report and (phase != self._phase or now - self._last >= self._interval):
            self._phase, self._last = phase, now
            self._report(phase, min(1.0, fraction))

    def say(self, sentence: str) -> None:
        """Tell the user something now rather than with the result."""
        if self._say:
            self._say(sentence)

    def each(self, items: Iterable[T], phase: str, total: int) -> Iterator[T]:
        """Iterate over ``items``, of which there are ``total``, with a step before each."""
        for done, item in enumerate(items):
            self.step(phase, done / max(1, total))
            yield item

    def quiet(self) -> Progress:
        """A Progress for work within a phase: it reports nothing but stops with this one."""
        return _Quiet(self)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the seconds spent in the ``with`` block to ``seconds[name]``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


class _Quiet(Progress):
    def __init__(self, outer: Progress):
        super().__init__()
        self._cancelled = outer._cancelled


def run_cancellable(
    function: Callable[[], T],
    phase: str,
    progress: Progress,
    fraction: float = 0.0,
    dispose: Callable[[T], object] | None = None,
) -> T:
    """Run a function in another thread, so that the user can cancel while it blocks.

    Parameters
    ----------
    function : callable
        May block for long, or forever.
    phase, fraction : str, float
        As in :meth:`Progress.step`.
    dispose : callable, optional
        Called with a result that arrives after cancellation, for instance to close it.

    Returns
    -------
    The result of ``function``; its exceptions are raised here.

    Raises
    ------
    Cancelled
        If ``progress`` was asked to stop.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # raised again in the waiting thread
            outcome.set_exception(error)

    threading.Thread(target=run, name=phase, daemon=True).start()
    try:
        progress.step(phase, fraction)
        while not wait([outcome], POLL_SECONDS).done:
            progress.step(phase, fraction)
    except Cancelled:
        if dispose is not None:
            outcome.add_done_callback(
                lambda late: None if late.exception() else dispose(late.result())
            )
        raise
    return outcome.result()
