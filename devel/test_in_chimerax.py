"""Run the panel's tests in a real ChimeraX, with its own windows. Once before:

    ChimeraX -m pip install pytest pytest-timeout

Then:

    ChimeraX --script "devel/test_in_chimerax.py"

or with files or folders of tests, as in ``"devel/test_in_chimerax.py tests/panel/test_tool.py"``.
These are the tests of `make test`, but they use the session and windows of this application. They
start once the script has ended, as commands block inside a script. Then ChimeraX ends, without
asking, with the exit status of pytest (0 if all have passed): start a new one for it. What pytest
prints goes to the terminal and to test_in_chimerax.txt.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).resolve().parents[1]
REPORT = "test_in_chimerax.txt"
FOLDERS = {"CONFIG": "~/.config", "DATA": "~/.local/share", "CACHE": "~/.cache"}  # of Linux
SOON = 500  # ms: the main window is complete
FAILED = 70  # exit status if the tests could not even be started


class Copy:
    """A stream whose text goes to several others."""

    encoding = "utf-8"

    def __init__(self, *streams: TextIO | None):
        self._streams = [s for s in streams if s is not None]  # Windows has no terminal

    def write(self, text: str) -> int:
        for stream in self._streams:
            stream.write(text)
        return len(text)

    def flush(self) -> None:
        for stream in self._streams:
            stream.flush()

    def isatty(self) -> bool:
        return False


def prepare(session: Any) -> None:
    """Make this the session of the tests, and keep them from what would wait for a person."""
    from chimerax.core.commands import run

    sys.path[:0] = [str(ROOT / "devel"), str(ROOT / "tests")]
    from cxheadless import boot

    boot.given = session  # the tests' own session: see tests/conftest.py
    # ChimeraX looks for its settings below HOME whenever it saves them. Tests change HOME: it would
    # find no folder there, and say so in a dialog
    for kind, place in FOLDERS.items():
        os.environ.setdefault(f"XDG_{kind}_HOME", str(Path(place).expanduser()))
    if session.ui.is_gui:  # a dialog would wait for a person
        run(session, "log settings errorDialog false warningDialog false", log=False)


def main(session: Any, places: list[str]) -> None:
    """Run the tests in these files or folders of the project, by default those of the panel, and
    end ChimeraX with their status.
    """
    code = FAILED
    report = open(REPORT, "w", encoding="utf-8")  # noqa: SIM115 (closed by the end of the process)
    output = Copy(sys.__stdout__, report)
    before = sys.stdout, sys.stderr
    try:
        import pytest

        prepare(session)
        sys.stdout = sys.stderr = output  # type: ignore[assignment]  # ChimeraX's lead to its log
        tests = places or [str(ROOT / "tests/panel")]
        temporary = tempfile.mkdtemp(prefix="siren-tests-")
        options = ["-v", "-p", "no:cacheprovider", "--basetemp", temporary]
        options += ["--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
        code = int(pytest.main([*options, *tests]))
    except BaseException:  # whatever it is, ChimeraX must end
        output.write(traceback.format_exc())
    finally:
        sys.stdout, sys.stderr = before
    output.write(f"Exit status {code}\n")
    output.flush()
    # "exit" would ask whether to save, and would end with 0
    os._exit(code)


def start(session: Any, places: list[str]) -> None:
    """Run the tests as soon as this script has ended."""
    if session.ui.is_gui:
        from Qt.QtCore import QTimer

        QTimer.singleShot(SOON, lambda: main(session, places))
        return
    # without windows the application has no events after a script; leave the script by hand
    while session.in_script:
        session.in_script.__exit__(None, None, None)
    main(session, places)


start(session, sys.argv[1:])  # type: ignore[name-defined]  # noqa: F821  (ChimeraX gives scripts `session`)
