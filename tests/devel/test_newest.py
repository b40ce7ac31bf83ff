"""What devel/newest.py builds, and in which order, without building it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import newest
import versions

XML = """<BundleInfo name="ChimeraX-{name}" version="1" package="chimerax.{folder}">
  <Dependencies>{needs}</Dependencies>
</BundleInfo>"""
NEED = '<Dependency name="ChimeraX-{}" version="~=1.0"{}/>'
PROJECT = """[project]
dependencies = []
[project.optional-dependencies]
gui = ["PyOpenGL==3.1.10"]
wheel = ["numpy==1.26.4", "WMI == 1.5 ; sys_platform == 'win32'"]
"""


def git(folder: Path, *arguments: str) -> str:
    named = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    command = ["git", "-C", str(folder), *named, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository laid out like ChimeraX's, with three bundles, one of them in C++."""
    folder = tmp_path / "clone"
    bundles = folder / "src/bundles"
    for name, needs in (
        ("surface", NEED.format("Geometry", ' build="true"') + NEED.format("Map", "")),
        ("geometry", ""),
        ("map", NEED.format("Surface", "") + NEED.format("Unknown", "")),
        ("alone", ""),
    ):
        (bundles / name / "tests").mkdir(parents=True)
        text = XML.format(name=name.capitalize(), folder=name, needs=needs)
        (bundles / name / "bundle_info.xml").write_text(text)
        (bundles / name / "tests/large.dat").write_text(name)
    (bundles / "core").mkdir()
    core = '[project]\nname = "ChimeraX-Core"\ndependencies = ["numpy>=1"]\n'
    (bundles / "core/pyproject.toml").write_text(core)
    (folder / "pyproject.toml").write_text(PROJECT)
    git(folder.parent, "init", "-q", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "v9.9")
    return folder


@pytest.mark.processes
def test_the_sources_of_a_tag_are_laid_out_though_a_clone_lacks_some_of_them(
    clone, tmp_path, capsys
):
    (clone / "pyproject.toml").write_text("later")
    git(clone, "commit", "-q", "-a", "-m", "two")
    lost = git(clone, "rev-parse", "v9.9:src/bundles/alone/bundle_info.xml")
    (clone / ".git/objects" / lost[:2] / lost[2:]).unlink()
    sources = newest.Sources(clone, "v9.9", tmp_path / "sources")
    sources.lay_out()
    laid = {str(p.relative_to(sources.folder)) for p in sources.folder.rglob("*") if p.is_file()}
    assert laid == {
        "pyproject.toml",
        "src/bundles/core/pyproject.toml",
        *(f"src/bundles/{n}/bundle_info.xml" for n in ("surface", "geometry", "map")),
    }
    assert "src/bundles/alone/bundle_info.xml" in capsys.readouterr().out
    assert (sources.folder / "pyproject.toml").read_text() == PROJECT
    assert sources.pins() == {
        "pyopengl": "PyOpenGL==3.1.10",
        "numpy": "numpy==1.26.4",
        "wmi": "WMI==1.5",
    }


def test_bundles_come_after_what_they_are_built_with_and_bring_all_that_they_need(clone):
    needs = newest.Sources(clone, "v9.9", clone).needs()
    assert needs["surface"] == (["geometry", "map"], ["geometry"])
    built = newest.order(needs, ["map"])
    assert built[: len(newest.FIRST)] == newest.FIRST
    assert sorted(built[len(newest.FIRST) :]) == ["geometry", "map", "surface"]
    assert built.index("geometry") < built.index("surface")


@pytest.mark.processes
@pytest.mark.parametrize(("module", "fails"), [("chimerax.siren.core", True), ("mrcfile", False)])
def test_what_will_be_taken_away_fails_the_tests_on_other_versions_if_our_code_uses_it(
    module, fails, tmp_path
):
    (tmp_path / "test_it.py").write_text(
        "import types\n"
        "def test_it():\n"
        f"    module = types.ModuleType({module!r})\n"
        "    exec('import warnings\\nwarnings.warn(\"gone soon\", DeprecationWarning)',"
        " module.__dict__)\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull]
    command += ["-o", f"filterwarnings={versions.DEPRECATED}", str(tmp_path)]
    assert bool(subprocess.run(command, cwd=tmp_path, capture_output=True).returncode) == fails


def test_tests_named_from_the_root_are_found_by_a_chimerax_that_runs_elsewhere() -> None:
    root = str(newest.ROOT)
    given = ["tests/panel", "tests/devel/test_newest.py::test_a", "-x", "-k", "panel", "/elsewhere"]
    assert newest.placed(given) == [
        f"{root}/tests/panel",
        f"{root}/tests/devel/test_newest.py::test_a",
        *given[2:],
    ]
