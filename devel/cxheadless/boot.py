"""Start ChimeraX through the application's own entry."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chimerax.core.session import Session

given: Session | None = None  # an existing session, for tests in a running application
SETTINGS = Path(sys.prefix, "chimerax-settings")  # of the application devel/chimerax


def start(offscreen: bool = False, quiet: bool = True, arguments: Sequence[str] = ()) -> Session:
    """Boot as ``ChimeraX --nogui`` (or ``--offscreen``) does, and return the session.

    Settings, caches and the home folder are temporary: nothing is read from or written to the
    user's own ChimeraX. ``quiet`` keeps information and status lines off the terminal; warnings
    and errors still show.

    There is one session per process: ChimeraX keeps module-level state (toolshed, commands,
    settings), so tests share the session and clean up with the command ``close``.
    """
    home = Path(tempfile.mkdtemp(prefix="chimerax-home-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["HOME"] = str(home)
    keep_settings_in(home)
    from chimerax.core import nogui

    nogui.NoGuiLog.quiet = quiet
    mode = "--offscreen" if offscreen else "--nogui"
    code = application([mode, "--exit", "--silent", *arguments], event_loop=False)
    ui = nogui.UI.instance()
    if code or ui is None:
        raise RuntimeError(f"ChimeraX did not start: code {code}")
    ui.session.silent = False
    return ui.session


def application(arguments: Sequence[str], event_loop: bool = True) -> int | str | None:
    """Run the application with these arguments and return its exit status."""
    from chimerax.core.__main__ import init

    with _ordinary_user():
        status: int | str | None = init(["ChimeraX", *arguments], event_loop=event_loop)
        return status


def keep_settings_in(folder: Path) -> None:
    """Make ChimeraX keep settings, data and caches here, apart from the user's own ChimeraX."""
    for kind in ("DATA", "CONFIG", "CACHE"):
        os.environ[f"XDG_{kind}_HOME"] = str(folder / kind.lower())


@contextmanager
def _ordinary_user() -> Iterator[None]:
    """Hide that this is root, as in containers: ChimeraX gives root a home folder that does not
    exist, and no settings.
    """
    real_getuid = os.getuid
    if real_getuid() == 0:
        os.getuid = lambda: 1000
    try:
        yield
    finally:
        os.getuid = real_getuid
