"""``siren install torch``: the build that this computer needs, with ChimeraX's own pip."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chimerax.core.commands import CmdDesc, EnumOf

from ..core.common import torch_install
from ..core.common.errors import SirenError, StoppedLate, join_names
from ..core.common.partial import partial_folder
from ..core.common.progress import Progress
from ..session.jobs import run_job
from ..session.log import log_lines


def install_torch(session: Any, build: str = "auto") -> Any:
    """Install torch in the background, unless it is there."""

    def work(progress: Progress) -> str:
        install_missing(build, progress)
        progress.step("starting torch")
        try:
            import torch
        except Exception as error:  # a part of it may already be loaded in another version
            raise SirenError(
                f"torch is installed, but cannot be used yet ({error}): restart ChimeraX."
            ) from error
        return str(torch.__version__)

    def show(found: str) -> str:
        log_lines(session, [f"torch {found} is installed."])
        return found

    return run_job(session, "siren install torch", work, show)


def install_missing(build: str, progress: Progress) -> None:
    """Install torch, unless the whole of it is there.

    Parameters
    ----------
    build : one of :data:`.torch_install.BUILDS`

    Raises
    ------
    SirenError, Cancelled
        As :func:`.torch_install.run_pip`.
    """
    if torch_install.torch_missing():
        here = torch_install.build_for_this_computer()
        _install(here if build == "auto" else build, progress)


def _install(build: str, progress: Progress) -> None:
    held = torch_install.held_versions()
    torch_install.drop_unfinished()
    # what pip downloads is here, too, as it leaves that behind where it is stopped; the next one
    # removes what is here if ChimeraX is killed
    with partial_folder(Path(tempfile.gettempdir())) as folder:
        constraints = folder / "constraints.txt"
        constraints.write_text(held, encoding="utf-8")
        user = not torch_install.in_virtual_environment()
        arguments = torch_install.pip_arguments(build, constraints, user, version("pip"))
        progress.say(
            f"Installing torch ({build}, {torch_install.SIZES[build]}) with ChimeraX's pip; "
            f"{', '.join(held.split())} stay as they are."
        )
        try:
            torch_install.run_pip(partial(start_pip, folder=str(folder)), arguments, progress)
        except StoppedLate:
            torch_install.use_new_packages()
            raise
    torch_install.use_new_packages()
    now = torch_install.held_versions().split()
    if changed := [package for package in held.split() if package not in now]:
        raise SirenError(
            f"pip changed {join_names([p.partition('=')[0] for p in changed])}, which ChimeraX "
            f'needs as before: undo that with "pip install {" ".join(changed)}", and restart '
            "ChimeraX."
        )


def start_pip(arguments: Sequence[str], folder: str) -> subprocess.Popen[str]:
    """Start pip as ChimeraX's own ``pip`` command does, with its Python and its folders, but a
    folder of its own for temporary files.
    """
    from chimerax.core.python_utils import chimerax_environment, chimerax_python_executable

    with chimerax_environment():
        return subprocess.Popen(
            [chimerax_python_executable(), "-m", "pip", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # Ctrl-C is for ChimeraX, which may have to wait for pip
            env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), folder),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # on Windows
        )


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    return {
        "siren install torch": (
            lambda: CmdDesc(
                keyword=[("build", EnumOf(torch_install.BUILDS))],
                synopsis="Install torch, which predicts contour levels",
            ),
            install_torch,
        ),
    }
