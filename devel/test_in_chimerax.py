"""The panel's tests in a ChimeraX that is running, with its own windows:

    ChimeraX --script "devel/test_in_chimerax.py"          (once before: ChimeraX -m pip install
    pytest pytest-timeout)

The tests are those of `make test`; they then use the session and the windows of this application.
It writes the outcome to the log and to test_in_chimerax.txt, and does not close what was open
before it began: start it in a new ChimeraX.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def main(session: Any, places: list[str]) -> None:
    """Run the tests in places (files or folders below the project; the panel's where none is
    given).
    """
    sys.path[:0] = [str(ROOT / "devel"), str(ROOT / "tests")]
    from cxheadless import boot

    boot.given = session  # the tests' own session: see tests/conftest.py
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main(
            [
                "-q",
                "-p",
                "no:cacheprovider",
                "--rootdir",
                str(ROOT),
                *(places or [str(ROOT / "tests/panel")]),
            ]
        )
    Path("test_in_chimerax.txt").write_text(said.getvalue(), encoding="utf-8")
    outcome = said.getvalue().strip().splitlines()[-1]
    (session.logger.error if code else session.logger.info)(
        f"Tests of the panel: {outcome} (test_in_chimerax.txt)"
    )


main(session, sys.argv[1:])  # type: ignore[name-defined]  # noqa: F821  (ChimeraX gives scripts `session`)
