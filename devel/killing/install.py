"""Installing torch, with pip killed."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, distributions
from pathlib import Path
from unittest import mock

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.progress import Progress
from killing.child import Wrong

# in the Python that installs torch: kills pip before a step that changes files, or counts these
KILLED_PIP = """
import atexit, os, signal, sys
at, steps = int(os.environ.get("KILL_AT") or 0), [0]
def count(event, arguments):
    if event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR) == 0:
        return
    if event == "open" or event.startswith(("os.mkdir", "os.re", "os.ch", "os.link", "shutil.")):
        steps[0] += 1
        if steps[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
def tell():
    with open(os.environ["COUNT_TO"], "w") as file:
        file.write(str(steps[0]))
if "COUNT_TO" in os.environ:
    atexit.register(tell)
    sys.addaudithook(count)
"""
PARTS = 12  # modules of what stands for torch, and of what it needs


def make_wheel(folder: Path, name: str, number: str, needs: str = "") -> None:
    """Write a package that imports all of its modules, for pip."""
    imports = "".join(f"from {name}.part_{n} import number\n" for n in range(PARTS))
    more = f"import {needs}\n" if needs else ""
    modules = {f"{name}/part_0.py": "number = 0\n"}  # the first to be there
    modules[f"{name}/__init__.py"] = f"{imports}__version__ = {number!r}\n{more}"
    modules |= {f"{name}/part_{n}.py": f"number = {n}\n" for n in range(1, PARTS)}
    about = f"{name}-{number}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
    files = {
        **modules,
        f"{about}/METADATA": metadata + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def kill_install(each: int, chance: random.Random) -> Wrong:
    """Kill pip while it installs torch, for which a small package stands: the Python it is for
    starts as before, and the next "siren install torch" installs it.
    """
    from chimerax.siren.commands import install
    from chimerax.siren.core.common import torch_install

    scratch = Path(tempfile.mkdtemp(prefix="kills-"))
    wrong: list[str] = []
    try:
        wheels, root, fresh = scratch / "wheels", scratch / "root", scratch / "fresh"
        wheels.mkdir()
        make_wheel(wheels, "torch", "2.12.0", needs="needed")
        make_wheel(wheels, "needed", "1.0")
        subprocess.run([sys.executable, "-m", "venv", root], check=True)
        python = root / "bin" / "python"
        place = next(root.glob("lib/python*/site-packages"))
        (place / "sitecustomize.py").write_text(KILLED_PIP)
        shutil.copytree(root, fresh, symlinks=True)
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
        plain |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
        steps = scratch / "steps"

        def installed(kill_at: int) -> bool:
            def start(arguments: Sequence[str], folder: str) -> subprocess.Popen[str]:
                return subprocess.Popen(
                    [python, "-m", "pip", *arguments],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    env={
                        **plain,
                        "KILL_AT": str(kill_at),
                        "COUNT_TO": str(steps),
                        "TMPDIR": folder,
                    },
                )

            with mock.patch.object(install, "start_pip", start):
                try:
                    install.install_missing("cpu", Progress())
                except SirenError as error:
                    if "\n" in str(error):
                        wrong.append(f"step {kill_at}: {error}")
                    return False
            return True

        def find_torch() -> ModuleSpec | None:
            return PathFinder.find_spec("torch", [str(place)])

        def torch_record() -> Distribution | None:
            return next(iter(distributions(name="torch", path=[str(place)])), None)

        def runs(code: str) -> bool:
            done = subprocess.run([python, "-c", code], env=plain, capture_output=True)
            return done.returncode == 0

        with (
            mock.patch.object(torch_install, "install_place", return_value=place),
            mock.patch.object(torch_install, "in_virtual_environment", return_value=True),
            mock.patch.object(torch_install, "use_new_packages"),
            mock.patch.object(torch_install, "find_torch", find_torch),
            mock.patch.object(torch_install, "torch_record", torch_record),
        ):
            if not installed(0) or not runs("import torch; torch.__version__"):
                wrong.append("torch is not installed without a kill")
            # all over it: results take their places one after the other
            last = int(steps.read_text())
            kills = sorted(chance.sample(range(1, last + 1), min(each, last)))
            for kill_at in kills:
                shutil.rmtree(root)
                shutil.copytree(fresh, root, symlinks=True)
                PathFinder.invalidate_caches()
                installed(kill_at)
                if not runs("import pip"):
                    wrong.append(f"step {kill_at}: what was installed before is damaged")
                PathFinder.invalidate_caches()
                if not torch_install.torch_missing() and not runs(
                    "import torch; torch.__version__"
                ):
                    wrong.append(f"step {kill_at}: half of torch counts as torch")
                if not installed(0) or not runs("import torch; torch.__version__"):
                    wrong.append(f"step {kill_at}: the next install does not work")
        return len(kills), wrong
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
