"""Run the panel's tests in a real ChimeraX, with its own windows. Once before:

    ChimeraX -m pip install pytest pytest-timeout

Then:

    ChimeraX --script "devel/test_in_chimerax.py"

These are the tests of `make test`, but they use the session and windows of this application. The
outcome goes to the log and to test_in_chimerax.txt. Models opened before are not closed: start a
new ChimeraX for it.
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
    """Run the tests in these files or folders of the project; by default those of the panel."""
    sys.path[:0] = [str(ROOT / "devel"), str(ROOT / "tests")]
    from cxheadless import boot

    boot.given = session  # the tests' own session: see tests/conftest.py
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
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
    Path("test_in_chimerax.txt").write_text(output.getvalue(), encoding="utf-8")
    outcome = output.getvalue().strip().splitlines()[-1]
    (session.logger.error if code else session.logger.info)(
        f"Tests of the panel: {outcome} (test_in_chimerax.txt)"
    )


main(session, sys.argv[1:])  # type: ignore[name-defined]  # noqa: F821  (ChimeraX gives scripts `session`)
