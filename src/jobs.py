"""One way to run long work: in a thread with progress and cancel, or blocking where nobody waits at a window."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from chimerax.core.errors import CancelOperation, UserError
from chimerax.core.tasks import Task, TaskState

from .core.errors import Cancelled, SirenError
from .core.progress import Progress

T = TypeVar("T")
LINE_SECONDS = 3.0  # between two progress lines of a run without windows


def run_job(session: Any, name: str, work: Callable[[Progress], T], show: Callable[[T], Any]) -> Any:
    """Do ``work`` off the main thread and then ``show`` its result on it.

    Without windows, or in a script, this blocks and gives what ``show`` returns; with windows it gives the
    :class:`SirenJob` at once.

    Parameters
    ----------
    session : ChimeraX session
    name : the command, for messages: ``siren sketch``
    work : called with a Progress, in a thread where there are windows. Touches no model, no log, no Qt.
    show : called with work's result on the main thread.

    Raises
    ------
    UserError
        If a job is running already; when blocking, also if the work fails for a reason the user can mend.
    """
    running = current_job(session)
    if running:
        raise UserError(f'"{running.name}" is still running: wait for it, or stop it with "siren stop".')
    if session.in_script or not session.ui.is_gui:
        progress = Progress(_Lines(session, name) if not session.ui.is_gui else _Status(session, name), say=session.logger.info)
        try:
            return show(work(progress))
        except SirenError as error:
            raise UserError(str(error)) from None  # one sentence, not a chain of tracebacks
        except Cancelled:
            raise CancelOperation(stopped_text()) from None
    job = SirenJob(session, name, work, show)
    job.start()
    return job


def current_job(session: Any) -> SirenJob | None:
    """The job that is running in this session, or None."""
    return next((t for t in session.tasks.list() if isinstance(t, SirenJob) and not t.terminated()), None)


def stopped_text() -> str:
    return "Stopped. Nothing was written; earlier results are as they were."


class SirenJob(Task):
    """A piece of work in a thread, seen by ChimeraX's task list.

    ``Task.start`` is not used: it leaves a task running for ever when its work raises, and activates the end trigger on
    the worker's thread. Here everything but ``work`` happens on the main thread.

    Attributes
    ----------
    name : str
    progress : Progress
    result : what ``show`` gave, once the job has ended well
    error : the exception that ended it, or None
    """

    SESSION_SAVE = False
    SESSION_ENDURING = True  # a closed or opened session must not lose sight of a running thread

    def __init__(self, session: Any, name: str, work: Callable[[Progress], Any], show: Callable[[Any], Any]):
        super().__init__(session)
        self.name = name
        self.result: Any = None
        self.error: BaseException | None = None
        self._work, self._show = work, show
        # reports come from the worker: only the main thread may touch the status line
        status = _Status(session, name)
        self.progress = Progress(lambda phase, fraction: session.ui.thread_safe(status, phase, fraction),
                                 say=lambda sentence: session.ui.thread_safe(session.logger.info, sentence))

    def start(self) -> None:
        """Start the thread."""
        self.start_time = datetime.now()
        self.state = TaskState.RUNNING
        threading.Thread(target=self._run, name=self.name, daemon=True).start()

    def terminate(self) -> None:
        """Ask the work to stop; it answers at its next step, and the job ends then."""
        self.progress.cancel()

    def _run(self) -> None:
        outcome: Any = None
        error: BaseException | None = None
        try:
            outcome = self._work(self.progress)
        except BaseException as caught:  # whatever it is, the main thread must learn of it
            error = caught
        self.session.ui.thread_safe(self._finish, outcome, error)

    def _finish(self, outcome: Any, error: BaseException | None) -> None:
        session, log = self.session, self.session.logger
        self.end_time = datetime.now()
        log.status("")
        try:
            if error is not None:
                raise error
            self.result = self._show(outcome)
        except (SirenError, UserError) as caught:
            self.error = caught
            log.error(str(caught))
        except (Cancelled, CancelOperation) as caught:
            self.error = caught
            log.info(stopped_text())
        except BaseException as caught:
            self.error = caught
            log.report_exception(preface=f"Error in {self.name}", exc_info=sys.exc_info())
        finally:
            self._work = self._show = None  # type: ignore[assignment]  # they hold maps
            session.tasks.remove(self)
            self.state = TaskState.TERMINATED if self.error else TaskState.FINISHED

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def restore_snapshot(session: Any, data: Any) -> None:
        return None


class _Status:
    """Progress as text in the status line, with the time left in this phase."""

    def __init__(self, session: Any, name: str):
        self.session, self.name = session, name
        self._phase, self._start = "", 0.0

    def text(self, phase: str, fraction: float) -> str:
        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._start = phase, now
        text = f"{self.name}: {phase}"
        if fraction > 0:
            text += f" {100 * fraction:.0f} %"
        if fraction > 0.05 and now - self._start > 0.5:
            text += f", {_seconds((now - self._start) * (1 - fraction) / fraction)} left"
        return text

    def __call__(self, phase: str, fraction: float) -> None:
        self.session.logger.status(self.text(phase, fraction))


class _Lines(_Status):
    """Progress as lines with the time of day, one in a few seconds, for runs without windows."""

    def __init__(self, session: Any, name: str):
        super().__init__(session, name)
        self._last = time.monotonic()

    def __call__(self, phase: str, fraction: float) -> None:
        text = self.text(phase, fraction)
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS:
            self._last = now
            self.session.logger.info(f"{datetime.now():%H:%M:%S} {text}")


def _seconds(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} min"
