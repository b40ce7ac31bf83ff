"""A panel in a session with windows: real ones if there are any, else those of
``cxheadless.ui_shim``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chimerax.core.logger import PlainTextLog
from Qt import qt_object_is_deleted

from cxheadless import ui_shim
from ensembles import Planted, write_planted
from waiting import DEADLINE

CALM = 5  # times that a page is let work and does nothing, until it is taken to be at rest


class Commands(PlainTextLog):
    """Records log messages with their levels."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, str]] = []

    def log(self, level: int, msg: str) -> bool:
        self.messages.append((level, msg))
        return False

    def status(self, msg: str, color: Any, secondary: bool) -> bool:
        return False

    @property
    def errors(self) -> list[str]:
        """Errors and bugs."""
        return [m.strip() for level, m in self.messages if level >= self.LEVEL_ERROR]

    @property
    def text(self) -> str:
        return "\n".join(m for _, m in self.messages)


def events(session: Any) -> None:
    """Let the application work for a moment."""
    from Qt.QtCore import QCoreApplication, QEvent

    if hasattr(session.ui, "pump"):
        ui_shim.events(session)
    else:
        session.ui.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def work_on(session: Any, page: Any, happened: Callable[[], bool] | None = None) -> None:
    """Let the application work until something has happened; or until a page is at rest: all that
    it was to do soon is done, without the pause that a person would not notice.
    """
    pauses: dict[Any, int] = {}
    calm = 0
    end = time.monotonic() + DEADLINE
    while calm < CALM if happened is None else not happened():
        events(session)
        calm += 1
        for timer in _waiting(page) if happened is None else ():
            pauses.setdefault(timer, timer.interval())
            timer.setInterval(0)
            calm = 0
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)
    for timer, pause in pauses.items():
        if not qt_object_is_deleted(timer):
            timer.setInterval(pause)


def _waiting(page: Any) -> list[Any]:
    """The timers of what is to happen once on a page, soon."""
    from Qt.QtCore import QTimer

    if qt_object_is_deleted(page):
        return []
    return [t for t in page.findChildren(QTimer) if t.isSingleShot() and t.isActive()]


def run_to_the_end(session: Any, command: str) -> None:
    """Run a command and wait for its job: real windows run it in the background."""
    from chimerax.core.commands import run

    from chimerax.siren.session.jobs import current_job

    run(session, command)
    end = time.monotonic() + DEADLINE
    while current_job(session) is not None:
        events(session)
        assert time.monotonic() < end, f"{command} never ended"
        time.sleep(0.01)


class Desk:
    """A user of the panel, who opens it, waits, and reads the log."""

    def __init__(self, session: Any, log: Commands, typed: list[str]):
        self.session, self.log, self.typed = session, log, typed
        self.tool: Any = None

    def open(self, width: int = 430, height: int = 760) -> Any:
        """Open the panel as the menu does, and return the tool."""
        from chimerax.core.commands import run

        from chimerax.siren.tool import SirenTool

        # the stand-in has no command "ui"
        if self.session.ui.is_gui and hasattr(self.session.ui, "pump"):
            self.session.toolshed.find_bundle("ChimeraX-SIREn", self.session.logger).start_tool(
                self.session, "SIREn"
            )
        else:
            run(self.session, "ui tool show SIREn", log=False)  # by its menu
        self.tool = SirenTool.get_singleton(self.session)
        self.resize(width, height)
        return self.tool

    def resize(self, width: int, height: int) -> None:
        """Give the panel this size. Beside ChimeraX's other tools it would depend on theirs: a
        real one is taken out of the main window.
        """
        area = self.tool.tool_window.ui_area
        if not hasattr(self.session.ui, "pump"):
            self.tool.tool_window.floating = True
        for _ in range(2):  # a window is larger than the panel in it by its frame
            window = area.window()
            window.resize(
                width + window.width() - area.width(), height + window.height() - area.height()
            )
            self.wait()

    def wait(self, until: Callable[[], bool] | None = None, timeout: float = DEADLINE) -> None:
        """Let the application work until a condition holds."""
        if hasattr(self.session.ui, "pump"):
            assert ui_shim.events(self.session, until, timeout), "it never happened"
            return
        end = time.monotonic() + timeout
        while True:
            self.session.ui.processEvents()
            if until is None or until():
                return
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.005)

    def list(self, volumes: Path | str) -> Any:
        """Enter volumes in the field and wait until everything is read."""
        self.tool.header.field.setEditText(str(volumes))
        self.tool.header.field.lineEdit().returnPressed.emit()
        self.wait(lambda: not self.tool.state.reader.busy)
        return self.tool.state

    def use_level(self, level: float) -> None:
        """Choose one contour level for all volumes on the Run page."""
        page = self.tool.run_page.input
        page.source.setCurrentIndex(2)
        page.level.setText(f"{level:g}")
        page.level.editingFinished.emit()
        self.wait(lambda: not self.tool.state.reader.busy)

    def run_to_end(self, button: Any, jobs: int = 1) -> list[Any]:
        """Click a button that starts commands and wait until they have ended."""
        from chimerax.siren.session.jobs import when_job_ends

        ends: list[Any] = []
        handler = when_job_ends(self.session, ends.append)
        button.click()
        self.wait(lambda: len(ends) >= jobs or any(e.error for e in ends))
        handler.remove()
        self.wait()
        return ends

    def close(self) -> None:
        """Close the panel."""
        if self.tool is not None and self.tool in self.session.tools.list():
            self.tool.delete()
        self.tool = None


@pytest.fixture
def desk(session: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desk]:
    """A user of a session with windows, with fresh settings."""
    import chimerax.core.commands.cli as cli

    from chimerax.siren.panel.settings import panel_settings
    from chimerax.siren.session.jobs import current_job

    real = session.ui.is_gui
    if not real:
        ui_shim.install(session)
        monkeypatch.setattr(session.ui, "is_gui", True)
        monkeypatch.setattr(session.ui, "defer_threads", True)
    settings = panel_settings(session)
    names = ("recent", "choices_of", "presets", "own_defaults", "speed")
    before = {name: getattr(settings, name) for name in names}
    for name in names:
        setattr(settings, name, [] if name == "recent" else {})
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    log = Commands()
    session.logger.add_log(log)
    own = {tool for tool in session.tools.list() if tool.SESSION_ENDURING}  # ChimeraX's
    typed: list[str] = []
    plain_run = cli.Command.run

    def listening(self: Any, text: str, **keywords: Any) -> Any:
        if keywords.get("log", True) or keywords.get("log_only"):
            typed.append(text)
        return plain_run(self, text, **keywords)

    monkeypatch.setattr(cli.Command, "run", listening)
    person = Desk(session, log, typed)
    yield person
    job = current_job(session)
    if job is not None:
        job.terminate()
        person.wait(lambda: current_job(session) is None)
    person.close()
    session.logger.remove_log(log)
    for name, value in before.items():
        setattr(settings, name, value)
    # ChimeraX's Models panel goes on listening after it was closed: later tests fail by its errors
    assert own <= set(session.tools.list())


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """Volumes with two planted blocks, which a sketch finds in a second."""
    return write_planted(tmp_path_factory.mktemp("planted") / "volumes", 150)
