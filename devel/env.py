"""Build .venv: ChimeraX without windows, with this bundle installed, and the tools to check both.

    python3 devel/env.py        (or: make env)

Each stage keeps a fingerprint of its inputs and is redone only if they change, so an edit under
src/ costs one `devel install`, and a call with nothing to do a fraction of a second. The
fingerprint is written when a stage has succeeded: an interrupted stage is redone.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEVEL = ROOT / "devel"
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
SITE = VENV / "lib" / "python3.11" / "site-packages"

REQUIREMENTS = sorted(DEVEL.glob("requirements*.txt"))
LAST_REQUIREMENTS = DEVEL / "requirements-last.txt"

# Everything that the bundle is built from.
BUNDLE_SOURCES = [
    ROOT / name for name in ("bundle_info.xml", "src", "weights", "README.md", "LICENSE")
]
INSTALLED_PACKAGE = SITE / "chimerax" / "siren"

# Shared library -> the Debian package that provides it. Without the first ones ChimeraX does not
# start.
LIBRARIES_TO_START = {"libGL.so.1": "libgl1", "libGLU.so.1": "libglu1-mesa"}
LIBRARIES_FOR_PICTURES = {
    "libOSMesa.so.8": "libosmesa6",
    "libEGL.so.1": "libegl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
}
DEBIAN_PYTHON = "/usr/bin/python3.11"


class EnvError(Exception):
    """The environment cannot be built; the message tells what to do about it."""


def main() -> None:
    if not (ROOT / "bundle_info.xml").is_file():
        raise EnvError(f"bundle_info.xml is missing in {ROOT}: there is no bundle to install.")
    with open(__file__) as lock:
        # two at once would destroy each other's environment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("make env: waiting for another run to finish ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        stage("packages", REQUIREMENTS, make_packages)
        stage("library", [DEVEL / "cxheadless"], complete_library)
        stage("bundle", BUNDLE_SOURCES, install_bundle)


def stage(name: str, inputs: Iterable[Path], make: Callable[[], None]) -> None:
    """Call ``make`` unless the same function has succeeded before with the same inputs."""
    stamp = VENV / "stamps" / name
    wanted = fingerprint(inputs, inspect.getsource(make))
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    began = time.monotonic()
    make()
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(wanted)
    print(f"make env: {name} done in {time.monotonic() - began:.0f} s", flush=True)


def fingerprint(paths: Iterable[Path], text: str) -> str:
    """A digest of the text, of names and contents of the files, and of the project's location (a
    venv cannot be moved).
    """
    digest = hashlib.sha256(f"{ROOT}\0{text}".encode())
    for path in paths:
        for file in files_in(path):
            digest.update(f"\0{file.relative_to(ROOT)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def files_in(path: Path) -> Iterator[Path]:
    """The file itself, or all files below the folder, in a fixed order; nothing if neither
    exists.
    """
    if path.is_file():
        yield path
    for file in sorted(path.rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            yield file


# ---- packages: the virtual environment


def make_packages() -> None:
    python = find_python()
    have_debian_packages(
        needed_to_build(python) + missing(LIBRARIES_TO_START),
        "ChimeraX cannot be installed without",
    )
    try:
        have_debian_packages(
            missing(LIBRARIES_FOR_PICTURES), "Pictures and the tests of panels will fail without"
        )
    except EnvError as error:
        print(f"make env: {error}", flush=True)
    print("make env: installing packages (a minute or two) ...", flush=True)
    # the stamps first, or half an environment would look whole
    for folder in (VENV / "stamps", VENV):
        shutil.rmtree(folder, ignore_errors=True)
    # Copies, not links: ChimeraX runs pip by the real path of its executable.
    run([python, "-m", "venv", "--copies", VENV])
    pip: list[str | Path] = [
        VENV_PYTHON,
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
    ]
    run([*pip, *(f"--requirement={path}" for path in REQUIREMENTS if path != LAST_REQUIREMENTS)])
    run([*pip, "--no-deps", f"--requirement={LAST_REQUIREMENTS}"])


def find_python() -> str:
    """A Python 3.11 that can create virtual environments; on Debian it is installed if missing."""
    for candidate in (sys.executable, "python3.11", "python3", DEBIAN_PYTHON):
        if makes_environments(candidate):
            return candidate
    have_debian_packages(
        ["python3.11", "python3.11-venv"], "ChimeraX 1.7.1 needs Python 3.11 with venv:"
    )
    if not makes_environments(DEBIAN_PYTHON):
        raise EnvError(f"{DEBIAN_PYTHON} cannot create virtual environments.")
    return DEBIAN_PYTHON


def makes_environments(python: str) -> bool:
    test = "import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 11))"
    try:
        return (
            subprocess.run([python, "-c", test], check=False, stderr=subprocess.DEVNULL).returncode
            == 0
        )
    except FileNotFoundError:
        return False


def needed_to_build(python: str) -> list[str]:
    """Debian packages still needed to compile tinyarray, which has no wheels."""
    packages = [] if shutil.which("g++") else ["g++"]
    test = (
        "import os, sys, sysconfig; "
        "sys.exit(not os.path.isfile(sysconfig.get_path('include') + '/Python.h'))"
    )
    if subprocess.run([python, "-c", test], check=False).returncode:
        packages.append("python3.11-dev")
    return packages


def missing(libraries: dict[str, str]) -> list[str]:
    """The Debian packages of the libraries that cannot be loaded."""
    packages = []
    for library, package in libraries.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            packages.append(package)
    return packages


def have_debian_packages(packages: list[str], why: str) -> None:
    """Install the packages; if that is not allowed or fails, raise with the command to type."""
    if not packages:
        return
    command = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"make env: installing {' '.join(packages)} ...", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        status, log = logged(["sh", "-c", command], env=environment)
        if status == 0:
            return
        print(log, flush=True)
    raise EnvError(f"{why} {', '.join(packages)}. Run: sudo sh -c '{command}'")


# ---- library: complete the ChimeraX wheel to an application


def complete_library() -> None:
    (SITE / "cxheadless.pth").write_text(f"{DEVEL}\n")
    run([VENV_PYTHON, "-m", "cxheadless.library"])


# ---- bundle: this project, by ChimeraX's own `devel install`


def install_bundle() -> None:
    """Install from a copy, so that old build folders do not interfere and new ones do not stay.

    `devel install` takes ExtraFiles from the current folder, so it runs inside the copy. Without
    --safemode ChimeraX would postpone replacing a bundle that it has already loaded.
    """
    with tempfile.TemporaryDirectory(prefix="siren-bundle-") as name:
        copy = Path(name)
        copy_sources(copy)
        command = f"devel install '{copy}' user false noDeps true exit true"
        options = ["--nogui", "--safemode", "--exit", "--cmd", command]
        status, log = logged([VENV_PYTHON, "-I", "-m", "cxheadless", *options], cwd=copy)
        # it logs most errors and carries on: check what was installed
        problem = f"exit status {status}" if status else differences(copy, INSTALLED_PACKAGE)
    if problem:
        print(log, flush=True)
        raise EnvError(f"`devel install` of the bundle failed: {problem}. Its log is above.")


def copy_sources(folder: Path) -> None:
    for source in BUNDLE_SOURCES:
        for file in files_in(source):
            target = folder / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)


def differences(sources: Path, installed: Path) -> str:
    """How the Python files of the installed package differ from their sources; "" if they
    do not.
    """
    wanted, found = python_files(sources / "src"), python_files(installed)
    beside = python_files(sources)  # an AdditionalPackage of the bundle has its folder beside src/
    lost = [f"{name} is not installed" for name in wanted.keys() - found.keys()]
    stale = [f"{name} is still installed" for name in found.keys() - wanted.keys() - beside.keys()]
    old = [
        f"{name} is out of date"
        for name in wanted.keys() & found.keys()
        if wanted[name] != found[name]
    ]
    return ", ".join(sorted(lost + stale + old))


def python_files(folder: Path) -> dict[Path, bytes]:
    return {
        file.relative_to(folder): file.read_bytes()
        for file in files_in(folder)
        if file.suffix == ".py"
    }


def run(command: list[str | Path], cwd: Path = ROOT) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True)
    except subprocess.CalledProcessError as error:
        raise EnvError(
            f"{' '.join(map(str, command[:4]))} ... ended with status {error.returncode}."
        ) from None


def logged(command: list[str | Path], **options: Any) -> tuple[int, str]:
    """The exit status of a command and its output."""
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    return done.returncode, done.stdout.decode(errors="replace")


if __name__ == "__main__":
    try:
        main()
    except EnvError as error:
        sys.exit(f"make env: {error}")
    except KeyboardInterrupt:
        sys.exit("make env: interrupted; the next call restarts the unfinished stage")
