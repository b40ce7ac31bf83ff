"""Run long work: in a thread with progress and cancel, or blocking in scripts and without
windows.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from inspect import isgenerator
from typing import Any, TypeVar
from weakref import WeakSet

from chimerax.core.commands import run
from chimerax.core.errors import CancelOperation, NotABug, UserError
from chimerax.core.state import StateManager
from chimerax.core.tasks import Task, TaskState
from chimerax.core.triggerset import DEREGISTER

from ..core.common.errors import Cancelled, SirenError, StoppedLate, known_error
from ..core.common.progress import Progress
from .answers import is_awaited
from .words import say_in

T = TypeVar("T")
LINE_SECONDS = 3.0  # between two progress lines of a run without windows
# between two updates of the status line: the window draws each one at once, which takes 50 ms
STATUS_SECONDS = 1.0
PAUSE = 0.005  # s between two pieces of a result being shown
INTERRUPTED = 130  # exit status after Ctrl-C, as shells have it
JOB_ENDED = "siren job ended"  # trigger of the session, on the main thread, with a JobEnd
_PLACES: WeakSet[Any] = WeakSet()  # where errors of jobs are read
JOBS = "siren jobs"  # name of the session's state manager that ends jobs with their session


class SessionClosed(Cancelled):
    """A job was stopped because its session was closed, or replaced by another."""


@dataclass(frozen=True)
class JobEnd:
    """How a command ended.

    Attributes
    ----------
    name : the command, such as ``siren sketch``
    result : of the command, or None
    error : the exception that ended it, or None
    seconds : elapsed
    """

    name: str
    result: Any
    error: BaseException | None
    seconds: float


def when_job_ends(session: Any, call: Callable[[JobEnd], Any]) -> Any:
    """Have a function called on the main thread whenever a siren command ends, in the background or
    not, successfully or not.

    Returns
    -------
    The handler; ``handler.remove()`` stops the calls.
    """
    return _trigger(session).add_handler(JOB_ENDED, lambda _, end: call(end))


def _trigger(session: Any) -> Any:
    if not session.triggers.has_trigger(JOB_ENDED):
        session.triggers.add_trigger(JOB_ENDED)
    return session.triggers


def run_in_turn(
    session: Any, commands: Sequence[str], go_on: Callable[[Any], bool] = lambda result: True
) -> None:
    """Run siren commands one after the other; the first that fails drops the rest.

    They belong to the session: they continue when the panel that started them is closed, and end
    when the session is closed.

    Parameters
    ----------
    go_on : whether the result of a command leaves the next one something to do; if not, the rest
        is dropped

    Raises
    ------
    UserError
        If the first one cannot start.
    """
    waiting = list(commands)

    def next_one(_: str, end: JobEnd) -> Any:
        if end.error is not None or not waiting or not go_on(end.result):
            waiting.clear()
            return DEREGISTER
        command = waiting.pop(0)
        try:
            run(session, command)
        except NotABug as error:  # it did not even start
            waiting.clear()
            _log_error(session, str(error))
            _trigger(session).activate_trigger(JOB_ENDED, JobEnd(command, None, error, 0.0))
        return None if waiting else DEREGISTER

    first = waiting.pop(0)
    handler = _trigger(session).add_handler(JOB_ENDED, next_one) if waiting else None
    try:
        run(session, first)
    except BaseException:
        waiting.clear()
        if handler is not None:
            handler.remove()
        raise


def run_job(
    session: Any, name: str, work: Callable[[Progress], T], show: Callable[[T], Any]
) -> Any:
    """Do ``work`` in a thread, then ``show`` its result on the main thread.

    With windows this returns the :class:`SirenJob` at once; without windows, in a script, or for a
    program that waits for an answer as JSON, it blocks and returns what ``show`` returns.

    Parameters
    ----------
    session : ChimeraX session
    name : the command, for messages, such as ``siren sketch``
    work : called with a Progress, in a thread if there are windows; touches no model, log or Qt
    show : called with the result of ``work``, on the main thread. It may be a generator: with
        windows, events are handled whenever it yields, so that ChimeraX stays responsive while
        many surfaces are made; its return value is the result.

    Raises
    ------
    UserError
        If another job is running; when blocking, also if the work fails for a reason that the
        user can fix.
    """
    running = current_job(session)
    if running:
        raise UserError(
            f'"{running.name}" is still running: wait for it, or stop it with "siren stop".'
        )
    if session.in_script or not session.ui.is_gui or is_awaited():
        return _run_here(session, name, work, show)
    try:
        session.get_state_manager(JOBS)
    except KeyError:
        session.add_state_manager(JOBS, _EndWithSession())
    job = SirenJob(session, name, work, show)
    job.start()
    return job


def _run_here(
    session: Any, name: str, work: Callable[[Progress], T], show: Callable[[T], Any]
) -> Any:
    began = time.monotonic()
    progress = Progress(
        _Lines(session, name) if not session.ui.is_gui else _Status(session, name),
        say=lambda sentence: say_in(session.logger.info, session, sentence),
    )
    result: Any = None
    ended_by: BaseException | None = None
    pressed = threading.Event()  # Ctrl-C
    try:
        with _stopped_by_ctrl_c(session, progress, pressed):
            result = at_once(show(work(progress)))
    except (SirenError, OSError, ModuleNotFoundError) as error:
        known = error if isinstance(error, SirenError) else known_error(error)
        ended_by = known or error
        if known is None:
            raise
        raise UserError(str(known)) from None  # one sentence, no chained traceback
    except Cancelled as error:
        ended_by = error
        if pressed.is_set():
            # ChimeraX would end with status 0, and what follows in a shell script would go on
            session.logger.info(stopped_text(error))
            raise SystemExit(INTERRUPTED) from None
        raise CancelOperation(stopped_text(error)) from None
    except KeyboardInterrupt as error:
        ended_by = error
        if session.ui.is_gui:
            raise
        session.logger.info("Interrupted.")
        raise SystemExit(INTERRUPTED) from None
    except BaseException as error:
        ended_by = error
        raise
    finally:
        _trigger(session).activate_trigger(
            JOB_ENDED, JobEnd(name, result, ended_by, time.monotonic() - began)
        )
    if pressed.is_set():  # too late to stop it: it has ended whole
        raise SystemExit(INTERRUPTED)
    return result


@contextmanager
def _stopped_by_ctrl_c(
    session: Any, progress: Progress, pressed: threading.Event
) -> Iterator[None]:
    """Without windows, let Ctrl-C ask the work to stop at its next step, and a second Ctrl-C
    interrupt it.

    Python's own handler raises KeyboardInterrupt wherever the main thread is: in a finalizer it
    is lost and the work goes on, and while a file is put in its place it comes at a bad time.
    """
    before = signal.getsignal(signal.SIGINT)
    own = before is signal.default_int_handler  # not ignored, and no other program's
    if session.ui.is_gui or not own or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()
        progress.cancel()

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def at_once(outcome: Any) -> Any:
    """The result of a call; a generator is run to its end for its return value."""
    if not isgenerator(outcome):
        return outcome
    try:
        while True:
            next(outcome)
    except StopIteration as end:
        return end.value


def current_job(session: Any) -> SirenJob | None:
    """The job that is running in this session, or None."""
    return next(
        (t for t in session.tasks.list() if isinstance(t, SirenJob) and not t.terminated()), None
    )


def shows_errors(place: Any) -> None:
    """Register a place, such as the panel, where errors of jobs are read: its ``session``, and
    ``shows_errors()`` whether it is seen now.
    """
    _PLACES.add(place)


def _log_error(session: Any, sentence: str) -> None:
    """Log an error: as one where nobody reads it else, for which ChimeraX opens a dialog."""
    read = any(place.session is session and place.shows_errors() for place in list(_PLACES))
    say_in(session.logger.warning if read else session.logger.error, session, sentence)


def stopped_text(error: BaseException | None = None) -> str:
    """The message after a stop, which may have come too late."""
    if isinstance(error, StoppedLate):
        return str(error)
    return "Stopped. Nothing was written; earlier results are unchanged."


class _EndWithSession(StateManager):
    """Ends the running job when the session is closed or replaced: its result belongs to neither
    the empty session nor the new one.
    """

    def include_state(self) -> bool:
        """Override for ChimeraX: nothing is saved."""
        return False

    def reset_state(self, session: Any) -> None:
        """Override for ChimeraX."""
        job = current_job(session)
        if job is not None:
            job.leave_session()

    def take_snapshot(self, session: Any, flags: int) -> dict[str, Any]:
        """Override for ChimeraX; not called, as nothing is saved."""
        return {"version": 1}

    @classmethod
    def restore_snapshot(cls, session: Any, data: dict[str, Any]) -> _EndWithSession:
        """Override for ChimeraX; not called, as nothing is saved."""
        return cls()


class SirenJob(Task):
    """Work in a thread, as an entry of ChimeraX's task list.

    ``Task.start`` is not used: it leaves a task running forever if its work raises, and fires the
    end trigger on the worker thread. Here everything but ``work`` happens on the main thread.

    Attributes
    ----------
    name : of the command
    progress : Progress given to ``work``
    status : the progress last reported to the main thread
    result : of ``show``, once the job has succeeded
    error : the exception that ended it, or None
    """

    SESSION_SAVE = False
    SESSION_ENDURING = True  # keep track of a running thread when a session is closed or opened

    def __init__(
        self, session: Any, name: str, work: Callable[[Progress], Any], show: Callable[[Any], Any]
    ):
        super().__init__(session)
        self.name = name
        self.result: Any = None
        self.error: BaseException | None = None
        self._work, self._show = work, show
        self._showing: Any = None
        self._left_session = False
        self.status = _Status(session, name)
        self._status_shown = -STATUS_SECONDS
        self.progress = Progress(
            self._report, say=lambda sentence: session.ui.thread_safe(self._say, sentence)
        )

    def start(self) -> None:
        """Start the thread."""
        self.start_time = datetime.now()
        self.state = TaskState.RUNNING
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def terminate(self) -> None:
        """Ask the work to stop; the job ends at its next progress step."""
        self.progress.cancel()

    def leave_session(self) -> None:
        """End without showing a result, however far the work is: its session has been closed."""
        self._left_session = True
        self.terminate()

    def _report(self, phase: str, fraction: float) -> None:
        """Note the progress, in the worker thread; only the main thread may touch the status
        line.
        """
        text, now = self.status.text(phase, fraction), time.monotonic()
        if now - self._status_shown >= STATUS_SECONDS:
            self._status_shown = now
            self.session.ui.thread_safe(self.session.logger.status, text)

    def _say(self, sentence: str) -> None:
        if not self._left_session:
            say_in(self.session.logger.info, self.session, sentence)

    def _run(self) -> None:
        outcome: Any = None
        error: BaseException | None = None
        try:
            outcome = self._work(self.progress)
        except BaseException as caught:  # the main thread reports it, whatever it is
            error = caught
        ended = threading.Event()
        # the main thread shows one piece at a time and handles events in between
        while not ended.is_set():
            shown = threading.Event()
            self.session.ui.thread_safe(self._show_piece, outcome, error, shown, ended)
            shown.wait()
            time.sleep(PAUSE)

    def _show_piece(
        self,
        outcome: Any,
        error: BaseException | None,
        shown: threading.Event,
        ended: threading.Event,
    ) -> None:
        """Show the next piece of the result; after the last, or an error, the job ends."""
        try:
            if self._left_session:
                if isgenerator(self._showing):
                    self._showing.close()
                error = SessionClosed("Its session was closed.")
            if error is None:
                if self._showing is None:
                    self._showing = self._show(outcome)
                if isgenerator(self._showing):
                    next(self._showing)
                    shown.set()
                    return
                self.result = self._showing
        except StopIteration as end:
            self.result = end.value
        except BaseException as caught:
            error = caught
        ended.set()
        try:
            self._finish(error)
        finally:
            shown.set()

    def _finish(self, error: BaseException | None) -> None:
        session, log = self.session, self.session.logger
        self.end_time = datetime.now()
        log.status("")
        try:
            if error is not None:
                raise known_error(error) or error
        except (SirenError, UserError) as caught:
            self.error = caught
            _log_error(session, str(caught))
        except SessionClosed as caught:
            self.error = caught
            log.info(f"{self.name} was stopped: its session was closed.")
        except (Cancelled, CancelOperation) as caught:
            self.error = caught
            log.info(stopped_text(caught))
        except BaseException as caught:
            self.error = caught
            log.report_exception(preface=f"Error in {self.name}", exc_info=sys.exc_info())
        finally:
            # these hold maps: free the memory
            self._work = self._show = self._showing = None  # type: ignore[assignment]
            session.tasks.remove(self)
            self.state = TaskState.TERMINATED if self.error else TaskState.FINISHED
        seconds = (self.end_time - self.start_time).total_seconds()
        _trigger(session).activate_trigger(
            JOB_ENDED, JobEnd(self.name, self.result, self.error, seconds)
        )

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def restore_snapshot(session: Any, data: Any) -> None:
        return None


class _Status:
    """Progress in the status line, with the time left in the current phase.

    Attributes
    ----------
    phase, fraction : as last reported; fraction from 0 to 1
    line : both in words, with the time left
    """

    def __init__(self, session: Any, name: str):
        self.session, self.name = session, name
        self.phase, self.fraction, self._start, self._first = "", 0.0, 0.0, 0.0
        self.line = "starting"

    def text(self, phase: str, fraction: float) -> str:
        """The progress in words, with the name of the command."""
        now = time.monotonic()
        if phase != self.phase:
            # what was done before, as in a prediction that goes on, took none of this time
            self.phase, self._start, self._first = phase, now, fraction
        self.fraction = fraction
        self.line = phase
        if fraction > 0:
            self.line += f" {100 * fraction:.0f} %"
        done, took = fraction - self._first, now - self._start
        if (done > 0.05 and took > 0.5) or (done > 0.005 and took > 5):
            self.line += f", {seconds_text(took * (1 - fraction) / done)} left"
        return f"{self.name}: {self.line}"

    def __call__(self, phase: str, fraction: float) -> None:
        self.session.logger.status(self.text(phase, fraction))


class _Lines(_Status):
    """Progress as log lines with the time of day, every few seconds, for runs without windows."""

    def __init__(self, session: Any, name: str):
        super().__init__(session, name)
        self._last = time.monotonic()

    def __call__(self, phase: str, fraction: float) -> None:
        text = self.text(phase, fraction)
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS:
            self._last = now
            self.session.logger.info(f"{datetime.now():%H:%M:%S} {text}")


def seconds_text(seconds: float) -> str:
    """A duration in words."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
