"""The check of ChimeraX's names finds what a version lacks; tried on small made-up sources."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

import chimerax_names as names

ERRORS = "class UserError(Exception):\n    pass\nclass CancelOperation(Exception):\n    pass\n"
LOGGER = """
class Logger:
    def info(self, msg, is_html=False):
        pass
    def status(self, msg, log=False):
        pass
    @classmethod
    def make(cls, path):
        pass
"""
DERIVED = "class Logger(Base):\n    x = 1\n"
SESSION = "class Session:\n    def __init__(self):\n        self.logger = None\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with a tag ``full`` that has a few of ChimeraX's names, and tags that lack
    one each.
    """
    git(tmp_path, "init", "-q")
    core = tmp_path / "src/bundles/core/src"
    core.mkdir(parents=True)
    parts = {"errors.py": ERRORS, "logger.py": LOGGER, "session.py": SESSION}
    changes = {
        "full": {},
        "no-error": {"errors.py": ERRORS.replace("UserError", "OtherError")},
        "no-method": {"logger.py": LOGGER.replace("def status", "def tell")},
        "no-argument": {"logger.py": LOGGER.replace("is_html=False", "html=False")},
        "inherited": {
            "logger.py": LOGGER.replace("Logger", "Base") + "class Logger(Base):\n  x = 1"
        },
        "elsewhere": {"errors.py": "from .other import *\n", "other.py": ERRORS},
    }
    for tag, changed in changes.items():
        for name, text in {**parts, **changed}.items():
            (core / name).write_text(text)
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", tag, "--allow-empty")
        git(tmp_path, "tag", tag)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)


def lacks(repository: Path, tag: str) -> set[str]:
    """What the tag lacks of the names that the full one has, without places."""
    full, version = names.Version(repository, "full"), names.Version(repository, tag)
    before = {
        use for use in names.uses() if use.kind != "word" and not names._problem(use, full, full)
    }
    return {p for use in before if (p := names._problem(use, version, full))}


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("full", set()),
        ("no-error", {"chimerax.core.errors has no UserError"}),
        ("no-method", {"chimerax.core.logger.Logger has no status"}),
        ("no-argument", {"chimerax.core.logger.Logger.info has no argument is_html"}),
        ("inherited", set()),
        ("elsewhere", set()),
    ],
)
def test_what_a_version_lacks_is_found_and_nothing_else(repository, tag, expected):
    assert lacks(repository, tag) == expected


def test_the_names_of_src_are_found_wherever_they_are_imported():
    found = {(u.owner, u.name) for u in names.uses()}
    assert ("chimerax.core.commands", "register") in found  # at the top of a module
    assert ("chimerax.surface.colorzone", "color_zone") in found  # within a function
    assert ("chimerax.core.session.Session", "models") in found
    assert ("chimerax.core.models.Models", "add_group") in found
    assert ("chimerax.map.Volume", "full_matrix") in found  # of an annotated variable
    kinds = [u.kind for u in names.uses()]
    assert min(kinds.count(k) for k in ("import", "attribute", "override")) > 50


@pytest.mark.parametrize(
    ("called", "fits"),
    [
        ("Logger.status(self, 'x')", True),
        ("Logger.make('x')", True),  # a class method
        ("Logger.status(self, 'x', True, 1)", False),
        ("logger.status('x', True)", True),
        ("logger.status(self, 'x', True)", False),
    ],
)
def test_a_method_called_by_its_class_takes_the_object_as_well(repository, called, fits):
    text = "from chimerax.core.logger import Logger\n"
    text += f"def f(self, logger: Logger):\n    {called}\n"
    full = names.Version(repository, "full")
    found = names._Uses("a.py", ast.parse(text), {}).found
    assert [p for use in found if (p := names._problem(use, full, full))] == (
        [] if fits else ["chimerax.core.logger.Logger.status takes " + called_with(called)]
    )


def called_with(called: str) -> str:
    return "3 arguments, not 4" if called.startswith("Logger") else "2 arguments, not 3"


def test_a_dependency_that_chimerax_does_not_meet_is_named():
    assert names.dependency_problems({"numpy": "1.26.4", "scipy": "1.14.0"}) == []
    (line,) = names.dependency_problems({"numpy": "1.20"})
    assert "numpy" in line and "1.20" in line


def test_versions_are_in_order_from_the_oldest_that_is_supported(repository):
    for tag in ("v1.6", "v1.10", "v1.7", "v1.9.1"):
        git(repository, "tag", tag)
    assert names.refs(repository) == ["v1.7", "v1.9.1", "v1.10"]
