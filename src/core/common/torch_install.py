"""What it takes to install torch: which build this computer needs, how large it is, and how pip is
called so that ChimeraX's NumPy stays as it is.
"""

from __future__ import annotations

import importlib
import importlib.util
import queue
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path

from .errors import SirenError, StoppedLate
from .progress import Progress

CPU, CUDA = "cpu", "cuda"
BUILDS = ("auto", CPU, CUDA)
INDEX = "https://download.pytorch.org/whl/"
REDISTRIBUTABLE = "https://aka.ms/vc14/vc_redist.x64.exe"  # what DLLs of torch for Windows need
WINDOWS_CUDA = "cu126"  # PyPI has torch for Windows without CUDA alone
# Downloads with all that torch needs, as pip told in November 2026 for Python 3.11: torch 2.13 for
# Linux without CUDA 192 MB (2.15 for Windows 127, for macOS 139), sympy and others 10; torch 2.15
# for Linux with CUDA 539 MB, and its libraries 2.4 GB
SIZES = {CPU: "about 200 MB", CUDA: "about 3 GB"}
NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
# Compiled parts of ChimeraX need just these versions of NumPy and SciPy, and its builder of bundles
# an old setuptools: the newest no longer have pkg_resources, by which ChimeraX finds its bundles
HELD = ("numpy", "scipy", "setuptools")
# torch from this version on asks for this setuptools, though it predicts without any
ASKING_TORCH, ASKED_SETUPTOOLS = "2.13", (77, 0, 3)
RAW_PROGRESS = (24, 1)  # version of pip that can report its progress in numbers
POLL = 0.2  # s between looks at whether the user wants to stop
TOO_LATE = (
    "pip puts the files of torch in place, which takes about a minute. It cannot be stopped now: "
    "half of torch would be left. What was to come after it is dropped."
)


def torch_missing() -> bool:
    """Whether torch is not installed, or only half, as where pip was killed while it put files in
    place; it is not imported for that.
    """
    if find_torch() is None:
        return True
    record = torch_record()
    if record is None:
        return True
    # pip writes the list of files last
    here = Path(str(record.locate_file(""))) == install_place()
    return here and record.read_text("RECORD") is None


def find_torch() -> ModuleSpec | None:
    """Where Python finds torch."""
    return importlib.util.find_spec("torch")


def torch_record() -> Distribution | None:
    """What is recorded of the installation of torch."""
    try:
        return distribution("torch")
    except PackageNotFoundError:
        return None


def install_place() -> Path:
    """The folder into which pip installs packages."""
    if in_virtual_environment():
        return Path(sysconfig.get_path("purelib"))
    return Path(site.getusersitepackages())


def drop_unfinished() -> None:
    """Let pip see that packages are not installed during which it was killed: it goes by their
    metadata, and these may be there though the rest is not.
    """
    for record in install_place().glob("*.dist-info"):
        if not (record / "RECORD").is_file():
            shutil.rmtree(record, ignore_errors=True)


def build_for_this_computer() -> str:
    """``cuda`` with a graphics card from NVIDIA and its driver, else ``cpu``."""
    card = NVIDIA_DRIVER.is_file() or shutil.which("nvidia-smi") is not None
    return CUDA if card and sys.platform != "darwin" else CPU


def missing_text(user: str) -> str:
    """That something needs torch, and how to install it, in a sentence for an error.

    Parameters
    ----------
    user : what needs it, such as ``"siren predict"`` in quotes
    """
    size = SIZES[build_for_this_computer()]
    return (
        f'torch is not installed: {user} needs it. Install it with "siren install torch" '
        f"({size}), or, outside ChimeraX, with pip install torch."
    )


def without_torch_text(user: str, error: Exception) -> str:
    """Why torch could not be imported, and what to do, in a sentence for an error.

    Parameters
    ----------
    user : what needs it, such as ``"siren predict"`` in quotes
    error : of the import
    """
    absent = isinstance(error, ModuleNotFoundError) and error.name == "torch"
    if absent or torch_missing():
        return missing_text(user)
    reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    windows = f"install Microsoft's Visual C++ Redistributable ({REDISTRIBUTABLE}) and "
    return (
        f"torch is installed, but cannot be loaded ({reason}), and {user} needs it: "
        f"{windows if sys.platform == 'win32' else ''}restart ChimeraX, or, if that does not help, "
        "remove torch (pip uninstall torch) and install it again."
    )


def held_versions() -> str:
    """Constraints for pip: the packages of ChimeraX that must stay as they are."""
    lines = []
    for name in HELD:
        try:
            lines.append(f"{name}=={version(name)}\n")
        except PackageNotFoundError:  # plain Python without it
            continue
    return "".join(lines)


def wanted_torch() -> str:
    """What pip is asked for: the newest torch that gets along with the setuptools that is there.
    Pip would find it, too, but may have to download the newer ones to see what they need.
    """
    try:
        there = version("setuptools")
    except PackageNotFoundError:
        return "torch"
    old = _numbers(there, 3) < ASKED_SETUPTOOLS
    return f"torch<{ASKING_TORCH}" if old else "torch"


def _numbers(text: str, count: int) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", text)[:count])


def pip_arguments(build: str, constraints: Path, user: bool, pip: str) -> list[str]:
    """The arguments of pip that install torch.

    Parameters
    ----------
    build : ``cpu`` or ``cuda``
    constraints : file with :func:`held_versions`
    user : install for this user, as ChimeraX does; not in a virtual environment
    pip : its version
    """
    from_index: list[str] = []
    if sys.platform == "win32" and build == CUDA:
        from_index = ["--index-url", INDEX + WINDOWS_CUDA]
    elif sys.platform != "darwin" and build == CPU:  # for macOS there is one build
        from_index = ["--index-url", INDEX + CPU]
    return [
        "install",
        *(["--user"] if user else []),
        "--upgrade-strategy",
        "only-if-needed",
        "--no-warn-script-location",
        "--disable-pip-version-check",
        "--no-input",
        *(["--progress-bar", "raw"] if _numbers(pip, 2) >= RAW_PROGRESS else []),
        "--constraint",
        str(constraints),
        *from_index,
        wanted_torch(),
    ]


def run_pip(
    start: Callable[[Sequence[str]], subprocess.Popen[str]],
    arguments: Sequence[str],
    progress: Progress,
) -> None:
    """Run pip to its end, and report what it is doing.

    Parameters
    ----------
    start : starts pip with these arguments; its output and errors are one stream of lines

    Raises
    ------
    SirenError
        If pip fails, with its reason.
    Cancelled
        If ``progress`` was asked to stop; pip is ended. Not while it puts files in place, which
        would leave half of torch: then its end is waited for.
    StoppedLate
        If torch was installed then.
    """
    progress.step("starting pip")
    process = start(arguments)
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=read, name="pip", daemon=True).start()
    phase, fraction, said = "starting pip", 0.0, [""]
    placing = told = False
    try:
        while True:
            if placing:
                progress.report(phase, fraction)
                if progress.cancelled and not told:
                    told = True
                    progress.say(TOO_LATE)
            else:
                progress.step(phase, fraction)
            try:
                line = lines.get(timeout=POLL)
            except queue.Empty:
                continue
            if line is None:
                break
            numbers = re.fullmatch(r"Progress (\d+) of (\d+)", line)
            if numbers:
                fraction = int(numbers[1]) / max(1, int(numbers[2]))
                continue
            said.append(line)
            if re.match(r"WARNING: Retrying", line):
                phase, fraction = "no answer from the network, trying again", 0.0
            elif wanted := re.match(r"\s*Collecting ([\w.-]+)", line):
                phase, fraction = f"looking for {wanted[1]}", 0.0
            found = re.match(r"\s*(Downloading|Installing) (\S+)(.*)", line)
            if found:
                fraction = 0.0
                what = "torch" if found[1] == "Installing" else found[2].rpartition("/")[2]
                phase = f"{found[1].lower()} {what.partition('-')[0]}"
                placing = line.startswith("Installing collected")
                progress.say(line.strip())
    except BaseException:
        process.terminate()
        raise
    finally:
        process.wait()
    if process.returncode:
        reasons = [s for s in said if s.startswith("ERROR")] or said
        reason = reasons[-1].removeprefix("ERROR: ").rstrip(".")
        if process.returncode < 0:
            reason = f"pip was ended by signal {-process.returncode}"
        raise SirenError(
            f"torch could not be installed ({reason}): check the network connection and the free "
            f'disk space, and type "siren install torch" again{_other_place(arguments)}.'
        )
    if told:
        raise StoppedLate("torch was installed before it could be stopped; nothing else was done.")


def _other_place(arguments: Sequence[str]) -> str:
    """Where else torch can be had, if pip was not asked for the one on PyPI."""
    if sys.platform != "linux" or INDEX + CPU not in arguments:
        return ""
    return f', or "siren install torch build {CUDA}", which is on PyPI ({SIZES[CUDA]})'


def use_new_packages() -> None:
    """Let Python find packages that were installed since it was started."""
    place = site.getusersitepackages()
    if Path(place).is_dir() and place not in sys.path and not in_virtual_environment():
        site.addsitedir(place)
    importlib.invalidate_caches()


def in_virtual_environment() -> bool:
    """Whether packages are installed into an environment of their own, not for a user."""
    return sys.prefix != sys.base_prefix
