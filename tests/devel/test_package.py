"""The plain Python package: ``pip install`` of a checkout gives a siren_chimerax that works, and
stays out of the way of the bundle that ChimeraX builds in the same folder.
"""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from waiting import DEADLINE

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src/core"
BUNDLE = ElementTree.parse(ROOT / "bundle_info.xml").getroot()
MADE = (".*", "build", "dist", "demo", "trained", "__pycache__", "*.egg-info")  # not in a clone
OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index")
WEIGHTS = ("siren_chimerax/weights/siren_thresholds.pt", "siren_chimerax/weights/README.md")


def run(*command: object, cwd: Path, path: Path | None = None) -> str:
    """What a command prints; ``path``: where Python finds siren_chimerax."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments: object, cwd: Path) -> None:
    run(sys.executable, "-m", "pip", "-q", *arguments, cwd=cwd)


def files_in(folder: Path) -> set[str]:
    return {
        str(p.relative_to(folder))
        for p in folder.rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout as a clone has it."""
    folder = tmp_path_factory.mktemp("clone") / "siren"
    return Path(shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*MADE)))


@pytest.fixture(scope="module")
def installed(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has installed the package, and nothing else is."""
    folder = tmp_path_factory.mktemp("installed")
    pip("install", *OFFLINE, "--target", folder, ".", cwd=clone)
    return folder


def core_files() -> set[str]:
    return {f"siren_chimerax/{p.relative_to(CORE)}" for p in CORE.rglob("*.py")}


@pytest.mark.slow
def test_the_installed_code_is_that_of_core_with_the_weights_and_nothing_else(
    installed: Path,
) -> None:
    names = {n for n in files_in(installed) if ".dist-info/" not in n}
    assert names == core_files() | {*WEIGHTS}
    for path in CORE.rglob("*.py"):
        found = installed / "siren_chimerax" / path.relative_to(CORE)
        assert found.read_bytes() == path.read_bytes()
    assert (installed / WEIGHTS[0]).read_bytes() == (
        ROOT / "weights" / "siren_thresholds.pt"
    ).read_bytes()


def test_version_and_requirements_are_those_of_the_bundle_without_chimerax(installed: Path) -> None:
    (path,) = installed.glob("*.dist-info/METADATA")
    metadata = email.message_from_string(path.read_text())
    assert (metadata["Name"], metadata["Version"]) == ("siren-chimerax", BUNDLE.get("version"))
    required = {re.sub(r"[ ()]", "", r) for r in metadata.get_all("Requires-Dist", [])}
    always = {r for r in required if "extra" not in r}
    # upper bounds guard ChimeraX's own packages
    needed = ((d.get("name"), str(d.get("version"))) for d in BUNDLE.iter("Dependency"))
    bundles = {f"{name}{version.split(',')[0]}" for name, version in needed}
    assert {r for r in bundles - always if "ChimeraX" not in r} == {"matplotlib>=3.6"}
    assert always < bundles
    assert set(metadata.get_all("Provides-Extra", [])) == {"predict", "plots", "cluster"}


def test_neither_the_package_nor_its_parameters_need_numpy(installed: Path, tmp_path: Path) -> None:
    """The help page is written from them, on any Python."""
    rooms = sorted(p.parent.name for p in CORE.glob("*/parameters.py"))
    assert len(rooms) > 4
    code = "; ".join(
        [
            "import sys, siren_chimerax",
            "assert not any(n.startswith('siren_chimerax.') for n in sys.modules)",
            *(f"import siren_chimerax.{room}.parameters" for room in rooms),
            "from siren_chimerax import SirenError, SketchParameters",
            "print(*{'numpy', 'scipy', 'pandas', 'mrcfile', 'torch'} & set(sys.modules))",
        ]
    )
    assert run(sys.executable, "-c", code, cwd=tmp_path, path=installed).strip() == ""


@pytest.mark.slow
def test_every_module_is_imported_under_this_name_too(installed: Path, tmp_path: Path) -> None:
    """None names chimerax.siren, where it is not installed or would be another copy."""
    code = """if True:
        import importlib, pkgutil, sys
        sys.modules["chimerax"] = None  # may be installed here, and must not be asked for
        import siren_chimerax
        for module in pkgutil.walk_packages(siren_chimerax.__path__, "siren_chimerax."):
            importlib.import_module(module.name)
            print(module.name)
    """
    names = run(sys.executable, "-c", code, cwd=tmp_path, path=installed).split()
    found = {
        n.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for n in core_files()
    }
    assert set(names) - {"siren_chimerax.weights"} == found - {"siren_chimerax"}


NOTEBOOK = """
import sys
from pathlib import Path

import numpy as np

from siren_chimerax import *

example = simulate(ExampleParameters(volumes=60, box=32, voxel_size=10))
maps = np.stack([example.volume(i) for i in range(len(example))])
levels = example.levels
ensemble = ensemble_from_arrays(maps, voxel_size=10)
grown = expand_sketch(ensemble, sketch(ensemble, levels))
found = relations(measure_states(grown.blocks, grown.occupancy))
assert found.volumes == 60 and len(found.numbers) == len(grown.blocks) > 2
run = run_sketch(ensemble, levels, "known", SketchParameters(), Path("siren"))
assert len(read_blocks("siren/00_sketch")) == len(run.blocks)
assert not {"torch", "matplotlib"} & set(sys.modules)
assert not [n for n in sys.modules if n.split(".")[0] == "chimerax"]
print(open_run(run.folder).record.step)
"""


@pytest.mark.slow
def test_a_notebook_goes_from_arrays_to_relations(installed: Path, tmp_path: Path) -> None:
    assert run(sys.executable, "-c", NOTEBOOK, cwd=tmp_path, path=installed) == "sketch\n"
    record = (tmp_path / "siren/00_sketch/run.json").read_text()
    assert f'"siren-chimerax": "{BUNDLE.get("version")}"' in record
    assert "ChimeraX-SIREn" not in record


@pytest.mark.slow
def test_the_example_in_readme_runs(installed: Path, tmp_path: Path) -> None:
    """It finds the weights in the package: there are no others near it."""
    pytest.importorskip("torch", reason="torch is not installed: no level can be predicted")
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    before = """if True:
        import numpy as np
        from siren_chimerax import ExampleParameters, simulate
        from siren_chimerax.thresholds.network import default_weights
        s = simulate(ExampleParameters(volumes=40, box=32, voxel_size=10))
        maps = np.stack([s.volume(i) for i in range(40)])
        print(default_weights())
    """
    printed = run(sys.executable, "-c", f"{before}\n{code}", cwd=tmp_path, path=installed)
    weights, sentence = printed.splitlines()
    assert weights == str(installed / WEIGHTS[0])
    assert re.match(r"Of \d+ volumes with block 1, \d+ .* have block 2", sentence)


def test_a_search_goes_to_a_worker_that_has_no_siren(installed: Path, tmp_path: Path) -> None:
    """Its code travels by value under this name too, see core/compute/cluster.py."""
    pytest.importorskip("cloudpickle", reason="distributed is not installed: nothing is sent")
    send = """if True:
        import pickle, sys
        import numpy as np
        from siren_chimerax.blocks.similarity import SimilaritySearch
        from siren_chimerax.compute.cluster import Parcel
        made = object.__new__(SimilaritySearch)
        sys.stdout.buffer.write(pickle.dumps(Parcel(made)))
    """
    (tmp_path / "parcel").write_bytes(
        subprocess.run(
            [sys.executable, "-c", send],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            check=True,
        ).stdout
    )
    receive = """if True:
        import pickle, sys
        parcel = pickle.load(open("parcel", "rb"))
        print(type(parcel).__name__, *(n for n in sys.modules if "siren" in n))
    """
    assert run(sys.executable, "-I", "-c", receive, cwd=tmp_path) == "Parcel\n"


@pytest.mark.slow
def test_the_source_distribution_holds_what_the_package_is_built_from(
    clone: Path, installed: Path, tmp_path: Path
) -> None:
    backend = "import sys; from setuptools.build_meta import *; build_sdist(sys.argv[1])"
    run(sys.executable, "-c", backend, tmp_path, cwd=clone)
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = (p for p in tmp_path.iterdir() if p.is_dir())
    others = {n for n in files_in(source) if not n.startswith(("src/core/", "weights/"))}
    assert {n for n in others if "/" in n and ".egg-info/" not in n} == set()
    assert "bundle_info.xml" in others
    assert {n for n in files_in(source) if n.startswith("weights/")} == {
        "weights/README.md",
        "weights/siren_thresholds.pt",
    }
    again = tmp_path / "again"
    pip("install", *OFFLINE, "--target", again, source, cwd=tmp_path)
    assert files_in(again) == files_in(installed)


@pytest.mark.slow
def test_the_bundle_and_the_package_are_built_in_one_folder_and_do_not_mix(
    clone: Path, installed: Path, tmp_path: Path
) -> None:
    """setuptools puts into a wheel whatever an earlier build has left in ``build``."""
    command = f"devel build '{clone}' exit true"
    options = ("--nogui", "--safemode", "--exit", "--cmd", command)
    run(ROOT / "devel/chimerax", *options, cwd=tmp_path)
    (wheel,) = clone.glob("dist/*.whl")
    assert wheel.name == f"ChimeraX_SIREn-{BUNDLE.get('version')}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (path,) = (n for n in names if n.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(path))
    assert {n.split("/")[0] for n in names} == {"chimerax", path.split("/")[0]}
    assert not [n for n in names if "siren_chimerax" in n]
    code = {f"chimerax/siren/{p.relative_to(ROOT / 'src')}" for p in (ROOT / "src").rglob("*.py")}
    assert {n for n in names if n.endswith(".py")} == code
    assert "chimerax/siren/weights/siren_thresholds.pt" in names
    assert metadata["Name"] == "ChimeraX-SIREn"
    assert metadata["Summary"] == BUNDLE.findtext("Synopsis")
    assert any(c.startswith("ChimeraX :: Bundle") for c in metadata.get_all("Classifier", []))
    assert metadata.get_all("Provides-Extra") is None
    pip("wheel", *OFFLINE, "--wheel-dir", tmp_path, ".", cwd=clone)
    with zipfile.ZipFile(next(tmp_path.glob("siren_chimerax-*.whl"))) as archive:
        plain = {n for n in archive.namelist() if ".dist-info/" not in n}
    assert plain == core_files() | {*WEIGHTS}
