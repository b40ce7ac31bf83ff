"""Stand-in for ``chimerax.core.nogui``, which the wheel lacks: the user interface of a session
without windows.

Written from how the rest of the library uses ``session.ui``; not ChimeraX code.
"""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
import webbrowser
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from chimerax.core.logger import PlainTextLog
from chimerax.core.tasks import Task

if TYPE_CHECKING:
    from chimerax.core.session import Session

LEVELS = {
    PlainTextLog.LEVEL_INFO: ("INFO", "\033[32m"),
    PlainTextLog.LEVEL_WARNING: ("WARNING", "\033[33m"),
    PlainTextLog.LEVEL_ERROR: ("ERROR", "\033[31m"),
    PlainTextLog.LEVEL_BUG: ("BUG", "\033[1;31m"),
}
STATUS = ("STATUS", "\033[35m")


class NoGuiLog(PlainTextLog):
    """Prints messages as the application does: below the name of their level, or in its color on
    a terminal.
    """

    quiet = False  # suppress information and status lines
    colored = False

    def log(self, level: int, msg: str) -> bool:
        if not (self.quiet and level == self.LEVEL_INFO):
            self._print(*LEVELS[level], msg)
        return True

    def status(self, msg: str, color: str, secondary: bool) -> bool:
        if msg and not secondary and not self.quiet:
            self._print(*STATUS, msg)
        return not secondary

    def _print(self, name: str, color: str, msg: str) -> None:
        text = msg.rstrip("\n")
        print(f"{color}{text}\033[0m" if self.colored else f"{name}:\n{text}", flush=True)


class UI:
    """The ``session.ui`` of a session without windows.

    ``thread_safe`` runs a call at once in the calling thread, as the application does without
    windows. While an event loop runs, or in tests that set ``defer_threads``, calls from other
    threads wait for the main thread, as in the application with windows.
    """

    is_gui = False
    _instance: UI | None = None  # keeps its session alive

    def __init__(self, session: Session) -> None:
        self.session = session
        self.has_graphics = False
        self.stereo = False
        self.autostart_tools = False
        self.defer_threads = False
        self._calls: queue.Queue[Callable[[], object]] = queue.Queue()
        self._looping = False
        self._main_thread = threading.get_ident()
        UI._instance = self
        webbrowser.register("chimerax-log", None, _LoggedBrowser(session), preferred=True)

    @classmethod
    def instance(cls) -> UI | None:
        return cls._instance

    # ---- called by the application as it starts and ends

    def initialize_color_output(self, color_output: bool | None) -> None:
        NoGuiLog.colored = sys.stdout.isatty() if color_output is None else color_output

    def splash_info(self, message: str, step: int | None = None, steps: int | None = None) -> None:
        pass

    def build(self) -> None:
        pass

    def initialize_offscreen_rendering(self) -> None:
        from chimerax.graphics import OffScreenRenderingContext

        try:
            context = OffScreenRenderingContext()
        except Exception as error:
            self.session.logger.info(f"Offscreen rendering is not available: {error}")
            return
        context.stereo = False  # the command "camera" reads it; 1.7.1 sets it only for windows
        self.session.main_view.initialize_rendering(context)
        self.has_graphics = True
        self._qt = start_offscreen_qt()  # Qt draws the labels in pictures

    def quit(self) -> None:
        self.session.logger.clear()
        raise SystemExit(0)

    # ---- calls from other threads

    def thread_safe(self, func: Callable[..., object], *args: Any, **kw: Any) -> None:
        if self._looping or (self.defer_threads and threading.get_ident() != self._main_thread):
            self._calls.put(partial(func, *args, **kw))
        else:
            func(*args, **kw)

    def pump(self, until: Callable[[], bool] | None = None, timeout: float = 10.0) -> bool:
        """Run the waiting calls; with ``until``, keep going until it holds, and return whether it
        did.
        """
        end = time.monotonic() + timeout
        while True:
            try:
                call = self._calls.get(timeout=0.01) if until else self._calls.get_nowait()
            except queue.Empty:
                if until is None or until():
                    return True
                if time.monotonic() > end:
                    return False
                continue
            call()

    def event_loop(self) -> None:
        """Run commands from standard input until it ends; all calls run here, on the main
        thread.
        """
        self._looping = True
        reader = _Input(self.session)
        reader.start()
        self.pump(until=reader.terminated, timeout=math.inf)
        self._looping = False


class _Input(Task):
    """Reads commands from standard input."""

    SESSION_ENDURING = True

    def run(self) -> None:
        prompt = "cmd> " if sys.stdin.isatty() else ""
        while True:
            try:
                text = input(prompt).strip()
            except EOFError:
                return
            done = threading.Event()
            self.session.ui.thread_safe(self._command, text, done)
            done.wait()

    def _command(self, text: str, done: threading.Event) -> None:
        from chimerax.core.commands import run
        from chimerax.core.errors import NotABug

        logger = self.session.logger
        try:
            if text:
                run(self.session, text)
        except NotABug as error:
            logger.error(str(error))
        except Exception:
            logger.report_exception()
        finally:
            done.set()

    def take_snapshot(self, session: Session, flags: int) -> None:
        return None

    @staticmethod
    def restore_snapshot(session: Session, data: dict[str, object]) -> None:
        return None


class _LoggedBrowser(webbrowser.BaseBrowser):
    """Logs the address that `help` would open: a text browser would occupy the terminal."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        if url.startswith("help:"):  # the page of a command: "help" resolves it to a file
            from chimerax.core.commands import run

            run(self._session, f"help {url}", log=False)
        else:
            self._session.logger.info(f"Web page: {url}")
        return True


def start_offscreen_qt() -> Any:
    """A Qt application that draws into memory, or None if Qt is not installed."""
    try:
        from Qt.QtWidgets import QApplication
    except ImportError:
        return None
    return QApplication.instance() or QApplication(["ChimeraX", "-platform", "offscreen"])
