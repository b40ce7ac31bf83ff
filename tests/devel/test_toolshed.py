"""The wheel as the Toolshed gets it: small, complete, installed in a fresh ChimeraX, and removed
without a trace.
"""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import zipfile
from email.message import Message
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

import env  # devel/env.py
from waiting import DEADLINE

ROOT = Path(__file__).parents[2]
BUNDLE = ElementTree.parse(ROOT / "bundle_info.xml").getroot()
PAGE = (ROOT / "TOOLSHED.md").read_text(encoding="utf-8")
LARGE = ("torch", "torchgen", "nvidia", "sympy", "dask", "distributed", "skimage", "gemmi", "mypy")
TRY = "siren example v volumes 2 box 32 voxelSize 10 resolution 20"


def start(python: Path, folder: Path, command: str) -> str:
    """What a ChimeraX of that environment prints, with a home of its own."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [python, "-I", "-m", "cxheadless", "--nogui", "--exit", "--cmd", command],
        cwd=folder,
        env={**os.environ, "HOME": str(home)},
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that ``devel build`` makes."""
    folder = tmp_path_factory.mktemp("build")
    (folder / "siren").mkdir()
    env.copy_sources(folder / "siren")
    log = start(env.VENV_PYTHON, folder, f"devel build '{folder}/siren'")
    (found,) = (folder / "siren/dist").glob("*.whl") or [log]
    return found


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(path))


@pytest.mark.processes
def test_the_wheel_is_below_5_mb_and_holds_manual_icons_weights_and_license(wheel):
    assert wheel.stat().st_size < 5_000_000
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("docs", "icons"):
        for path in (ROOT / "src" / folder).rglob("*.*"):
            assert f"chimerax/siren/{path.relative_to(ROOT / 'src')}" in names
    assert "chimerax/siren/weights/siren_thresholds.pt" in names
    assert any(n.endswith("LICENSE") for n in names)
    assert not [n for n in names if "__pycache__" in n or n.startswith(("tests", "devel"))]


@pytest.mark.processes
def test_the_wheels_metadata_say_what_the_toolshed_shows(metadata):
    assert metadata["Name"] == "ChimeraX-SIREn" and metadata["Version"] == BUNDLE.get("version")
    assert metadata["Summary"] == BUNDLE.findtext("Synopsis")
    assert metadata["License"] == "GPL-3.0-or-later"
    assert metadata["Home-page"] == BUNDLE.findtext("URL")
    classifiers = metadata.get_all("Classifier", [])
    commands = [c for c in classifiers if c.startswith("ChimeraX :: Command :: ")]
    assert len(commands) == len([c for c in BUNDLE.iter("ChimeraXClassifier")]) - 1
    assert any(c.startswith("ChimeraX :: Tool :: SIREn") for c in classifiers)


def test_the_toolshed_page_names_files_that_exist_and_says_what_the_bundle_says():
    rows = dict(re.findall(r"^\| (\w[\w ]*) \| (.*) \|$", PAGE, re.M))
    assert rows["license"] == BUNDLE.findtext("License")
    assert rows["categories"] == "Volume data"
    assert f"\n{BUNDLE.findtext('Synopsis')}\n" in PAGE
    with Image.open(ROOT / rows["icon"].strip("`")) as icon:
        assert icon.width == icon.height >= 64
    pictures = re.findall(r"`(.*?)`", rows["screenshots"])
    assert len(pictures) >= 3
    for name in pictures:
        with Image.open(ROOT / name) as picture:
            assert picture.width >= 800
    needed = [str(d.get("name")) for d in BUNDLE.iter("Dependency")]
    for package in ("graspologic-native", "mrcfile", "pandas"):
        assert package in needed and package in PAGE


@pytest.mark.slow
@pytest.mark.processes
def test_the_wheel_is_installed_in_a_fresh_chimerax_and_removed_without_a_trace(wheel, tmp_path):
    fresh = tmp_path / "venv"
    shutil.copytree(
        env.VENV,
        fresh,
        symlinks=True,
        copy_function=link_or_copy,
        ignore=shutil.ignore_patterns("siren", "ChimeraX_SIREn*", "__pycache__", *LARGE),
    )
    python, before = fresh / "bin/python", files(fresh)
    assert "Unknown command" in start(python, tmp_path, TRY)
    log = start(python, tmp_path, f"toolshed install '{wheel}' user false noDeps true")
    assert files(fresh) > before, log
    log = start(python, tmp_path, TRY)
    assert (tmp_path / "v/vol_002.mrc").is_file(), log
    log = start(python, tmp_path, "toolshed uninstall ChimeraX-SIREn")
    # what is in use is removed at the next start
    log += start(python, tmp_path, "version")
    assert files(fresh) == before, log
    assert "Unknown command" in start(python, tmp_path, TRY)
    left = [p for p in (tmp_path / "home").rglob("*") if "siren" in p.name.lower()]
    assert left == []


def link_or_copy(source: str, target: str) -> None:
    """A hard link where that is possible: pip replaces files and never writes into one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def files(folder: Path) -> set[str]:
    """All files below a folder, without what Python compiles."""
    found = (p for p in folder.rglob("*") if "__pycache__" not in p.parts and not p.is_dir())
    return {str(p.relative_to(folder)) for p in found}
