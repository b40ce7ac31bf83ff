"""Installing torch: what pip is asked, that it never moves NumPy, and what is said of its work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.common import torch_install
from chimerax.siren.core.common.errors import Cancelled, SirenError, StoppedLate
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.common.torch_install import (
    CPU,
    CUDA,
    REDISTRIBUTABLE,
    SIZES,
    held_versions,
    missing_text,
    pip_arguments,
    run_pip,
    without_torch_text,
)
from chimerax.siren.core.compute.gpu import gpu_backend
from chimerax.siren.core.thresholds.network import import_torch

ROOT = Path(__file__).resolve().parents[3]


def wheel(folder: Path, name: str, number: str, *needs: str) -> None:
    """A package with nothing in it but what it needs."""
    info = f"{name}-{number}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as file:
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}"]
        file.writestr(
            f"{info}/METADATA", "\n".join([*lines, *(f"Requires-Dist: {n}" for n in needs)])
        )
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any"
        )
        file.writestr(f"{info}/RECORD", "")


def asked(folder: Path, arguments: Sequence[str]) -> dict[str, str] | None:
    """What real pip would install by these arguments from the wheels in a folder; None if it
    refuses.
    """
    report = folder / "report.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", *arguments),
            *("--dry-run", "--ignore-installed", "--quiet", "--report", str(report)),
        ],
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PIP_")},
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(folder),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        assert "ResolutionImpossible" in done.stderr or "conflict" in done.stderr, done.stderr
        return None
    found = json.loads(report.read_text())["install"]
    return {p["metadata"]["name"]: p["metadata"]["version"] for p in found}


@pytest.mark.processes
@pytest.mark.parametrize("build", [CPU, CUDA])
def test_pip_never_moves_the_numpy_of_chimerax(tmp_path: Path, build: str) -> None:
    """By pip itself: a torch that needs a newer NumPy is passed over, or nothing is installed."""
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(held_versions())
    newer = f"{int(np.__version__.split('.')[0]) + 1}.0"
    for number in (np.__version__, newer):
        wheel(tmp_path, "numpy", number)
    wheel(tmp_path, "torch", "2.0", f"numpy>={newer}")
    arguments = pip_arguments(build, constraints, False, version("pip"))
    assert asked(tmp_path, arguments) is None
    wheel(tmp_path, "torch", "1.0", "numpy")
    assert asked(tmp_path, arguments) == {"torch": "1.0", "numpy": np.__version__}
    free = [a for a in arguments if a not in ("--constraint", str(constraints))]
    assert asked(tmp_path, free) == {"torch": "2.0", "numpy": newer}  # what it would do otherwise


def test_what_is_held_are_the_versions_of_this_python() -> None:
    import scipy

    held = [f"numpy=={np.__version__}", f"scipy=={scipy.__version__}"]
    try:
        import setuptools

        held.append(f"setuptools=={setuptools.__version__}")
    except ImportError:  # a Python that ChimeraX does not have
        pass
    assert held_versions().split() == held


@pytest.mark.processes
@pytest.mark.parametrize(("there", "found"), [("75.3.0", "2.12.1"), ("80.9.0", "2.14.1")])
def test_the_setuptools_of_chimerax_stays_and_torch_is_one_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str, found: str
) -> None:
    """By pip itself: with 75.3.0 the newer torch would bring 84.2.1, which has no pkg_resources."""
    monkeypatch.setattr(torch_install, "version", lambda name: there)
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(f"setuptools=={there}\n")
    for number in ("75.3.0", "80.9.0", "84.2.1"):
        wheel(tmp_path, "setuptools", number)
    wheel(tmp_path, "torch", "2.12.1", "setuptools<82")
    wheel(tmp_path, "torch", "2.14.1", "setuptools>=77.0.3")
    arguments = pip_arguments(CPU, constraints, False, version("pip"))
    assert asked(tmp_path, arguments) == {"torch": found, "setuptools": there}
    free = [*arguments[:-1], "torch"]
    free = [a for a in free if a not in ("--constraint", str(constraints))]
    assert asked(tmp_path, free) == {"torch": "2.14.1", "setuptools": "84.2.1"}


@pytest.mark.parametrize(
    ("platform", "build", "index"),
    [
        ("linux", CPU, "https://download.pytorch.org/whl/cpu"),
        ("linux", CUDA, None),
        ("win32", CPU, "https://download.pytorch.org/whl/cpu"),
        ("win32", CUDA, "https://download.pytorch.org/whl/cu126"),
        ("darwin", CPU, None),
    ],
)
def test_each_computer_gets_its_build(
    monkeypatch: pytest.MonkeyPatch, platform: str, build: str, index: str | None
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    arguments = pip_arguments(build, Path("c.txt"), True, "23.2.1")
    assert arguments[0] == "install" and arguments[-1].startswith("torch")
    assert "--user" in arguments and "--upgrade" not in arguments
    assert arguments[arguments.index("--constraint") + 1] == "c.txt"
    found = arguments[arguments.index("--index-url") + 1] if "--index-url" in arguments else None
    assert found == index and "--extra-index-url" not in arguments
    assert "raw" not in arguments and "raw" in pip_arguments(build, Path("c"), True, "24.1")
    assert "--user" not in pip_arguments(build, Path("c"), False, "25")


@pytest.mark.parametrize("card", [True, False])
def test_the_build_is_for_the_card_that_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, card: bool
) -> None:
    monkeypatch.setattr(torch_install, "NVIDIA_DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch_install.shutil, "which", lambda name: None)
    if card:
        (tmp_path / "version").write_text("NVRM version")
    monkeypatch.setattr(sys, "platform", "linux")
    build = torch_install.build_for_this_computer()
    assert build == (CUDA if card else CPU)
    assert f'"siren install torch" ({SIZES[build]})' in missing_text('"siren predict"')
    monkeypatch.setattr(sys, "platform", "darwin")
    assert torch_install.build_for_this_computer() == CPU


def pip_that(code: str, started: list[subprocess.Popen[str]]) -> object:
    """A stand-in for pip: a program of these lines."""

    def start(arguments: Sequence[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    return start


@pytest.mark.processes
def test_what_pip_does_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
print("Collecting torch")
print("  Downloading https://x/torch-2.13.0%2Bcpu-cp311-linux.whl (191.8 MB)")
print("Progress 50 of 100")
print("Progress 100 of 100")
print("Installing collected packages: mpmath, torch")
"""
    steps: list[tuple[str, float]] = []
    said: list[str] = []
    run_pip(
        pip_that(code, []),  # type: ignore[arg-type]
        [],
        Progress(lambda phase, fraction: steps.append((phase, fraction)), 0.0, said.append),
    )
    phases = list(dict.fromkeys(phase for phase, _ in steps))
    assert phases == [
        "starting pip",
        "looking for torch",
        "downloading torch",
        "installing torch",
    ]
    assert ("downloading torch", 0.5) in steps
    assert [s.split()[0] for s in said] == ["Downloading", "Installing"] and "191.8 MB" in said[0]


@pytest.mark.processes
def test_the_reason_of_pip_is_in_the_sentence() -> None:
    code = """
import sys
print("Collecting torch")
print("ERROR: Could not find a version that satisfies the requirement torch")
print("ERROR: No matching distribution found for torch")
sys.exit(1)
"""
    with pytest.raises(SirenError, match=r"No matching distribution found for torch\): check") as e:
        run_pip(pip_that(code, []), [], Progress())  # type: ignore[arg-type]
    assert "\n" not in str(e.value) and "siren install torch" in str(e.value)
    assert "build cuda" not in str(e.value)  # it was not asked for the one without CUDA


@pytest.mark.processes
def test_where_pytorch_org_cannot_be_reached_the_other_place_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = """
import sys
print("WARNING: Retrying (Retry(total=4)) after connection broken by 'NewConnectionError'")
print("ERROR: No matching distribution found for torch")
sys.exit(1)
"""
    monkeypatch.setattr(sys, "platform", "linux")
    arguments = pip_arguments(CPU, Path("c.txt"), True, "23.2.1")
    phases: list[str] = []
    with pytest.raises(SirenError, match=r'"siren install torch build cuda", which is on PyPI'):
        run_pip(
            pip_that(code, []),  # type: ignore[arg-type]
            arguments,
            Progress(lambda phase, _: phases.append(phase), 0.0),
        )
    assert "no answer from the network, trying again" in phases


@pytest.mark.processes
def test_a_stop_ends_pip() -> None:
    started: list[subprocess.Popen[str]] = []
    progress = Progress(lambda phase, _: progress.cancel() if started else None, 0.0)
    code = "import time\nprint('Collecting torch')\ntime.sleep(600)"
    with pytest.raises(Cancelled):
        run_pip(pip_that(code, started), [], progress)  # type: ignore[arg-type]
    assert started[0].poll() is not None


@pytest.mark.processes
def test_a_stop_while_files_are_put_in_place_waits_so_that_no_half_of_torch_is_left() -> None:
    started: list[subprocess.Popen[str]] = []
    said: list[str] = []

    def report(phase: str, _: float) -> None:
        if phase == "installing torch":
            progress.cancel()

    progress = Progress(report, 0.0, said.append)
    code = """
import time
print("Installing collected packages: mpmath, torch")
time.sleep(1)
print("Successfully installed torch-2.13.0")
"""
    with pytest.raises(StoppedLate, match="torch was installed before it could be stopped"):
        run_pip(pip_that(code, started), [], progress)  # type: ignore[arg-type]
    assert started[0].returncode == 0
    assert said[1:] == [torch_install.TOO_LATE]  # once, and why


@pytest.mark.processes
def test_a_stop_is_heard_while_pip_prepares_what_it_needs() -> None:
    started: list[subprocess.Popen[str]] = []

    def report(phase: str, _: float) -> None:
        if phase.startswith("installing"):
            progress.cancel()

    progress = Progress(report, 0.0)
    code = "import time\nprint('  Installing build dependencies: started')\ntime.sleep(600)"
    with pytest.raises(Cancelled) as caught:
        run_pip(pip_that(code, started), [], progress)  # type: ignore[arg-type]
    assert not isinstance(caught.value, StoppedLate) and started[0].returncode


def test_half_of_torch_counts_as_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pip writes its metadata last: a folder without is what a killed pip leaves."""
    for name in [n for n in sys.modules if n.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("from . import not_there")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert torch_install.torch_missing()
    metadata = tmp_path / "torch-2.13.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n")
    assert not torch_install.torch_missing()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            "raise OSError('[WinError 1114] A DLL initialization routine failed. c10.dll\\nmore')",
            "[WinError 1114] A DLL initialization routine failed. c10.dll",
        ),
        (
            "raise ImportError('libcudart.so.12: cannot open shared object file')",
            "libcudart.so.12: cannot open shared object file",
        ),
        ("import not_there", "No module named 'not_there'"),
    ],
)
def test_torch_that_is_there_but_does_not_load_is_called_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, reason: str
) -> None:
    """As where a DLL is missing: it was called not installed, or its DLL a file to be put back."""
    for name in [n for n in sys.modules if n.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(line)
    metadata = tmp_path / "torch-2.13.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    said = f"torch is installed, but cannot be loaded ({reason}), and"
    with pytest.raises(SirenError, match=re.escape(f'{said} "siren predict" needs it: restart')):
        import_torch()
    with pytest.raises(SirenError, match=re.escape(f'{said} "device cuda" needs it: ')):
        gpu_backend("cuda", Progress())
    monkeypatch.setattr(sys, "platform", "win32")
    assert REDISTRIBUTABLE in without_torch_text("x", OSError("c10.dll"))


def test_all_pages_name_the_same_sizes() -> None:
    """Wherever a size of torch is told, it is one of SIZES."""
    pages = ("README.md", "CHANGELOG.md", "src/docs/user/commands/siren.html", "bundle_info.xml")
    for page in pages:
        text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
        near = re.findall(r"siren install torch.{0,1500}", text) + re.findall(
            r".{0,300}siren install torch", text
        )
        sizes = set(re.findall(r"about \d+ (?:MB|GB)", " ".join(near)))
        assert sizes <= set(SIZES.values()) and "several GB" not in text, page
        if page != "bundle_info.xml":
            assert sizes == set(SIZES.values()), page


def test_packages_without_their_list_of_files_are_none_for_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, files in (("torch-2.12.0", ["METADATA"]), ("sympy-1.0", ["METADATA", "RECORD"])):
        (tmp_path / f"{name}.dist-info").mkdir()
        for file in files:
            (tmp_path / f"{name}.dist-info" / file).write_text("Metadata-Version: 2.1\n")
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    for name in [n for n in sys.modules if n.split(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(torch_install, "install_place", lambda: tmp_path)
    assert torch_install.torch_missing()
    torch_install.drop_unfinished()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["sympy-1.0.dist-info", "torch"]
    # pip goes by the folder in which it installs: what is elsewhere is not its work
    (tmp_path / "torch-2.12.0.dist-info").mkdir()
    (tmp_path / "torch-2.12.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n")
    monkeypatch.setattr(torch_install, "install_place", lambda: tmp_path / "other")
    assert not torch_install.torch_missing()
