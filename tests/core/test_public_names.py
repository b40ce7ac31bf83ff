"""The names that core exports: there, the right ones, and the same for Python and for editors."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

from chimerax.siren import core

PACKAGE = Path(__file__).parents[2] / "src/core/__init__.py"


def imported_for_editors() -> dict[str, str]:
    """Name and module of what ``if TYPE_CHECKING`` imports."""
    (guarded,) = (s for s in ast.parse(PACKAGE.read_text()).body if isinstance(s, ast.If))
    found = [s for s in guarded.body if isinstance(s, ast.ImportFrom)]
    assert len(found) == len(guarded.body)
    assert all(s.level == 1 and a.asname == a.name for s in found for a in s.names)
    return {a.name: str(s.module) for s in found for a in s.names}


def test_editors_and_python_see_the_same_names() -> None:
    assert sorted(imported_for_editors()) == sorted(core.__all__)
    assert set(core.__all__) <= set(dir(core))


@pytest.mark.parametrize(("name", "module"), imported_for_editors().items())
def test_an_exported_name_is_that_of_its_module(name: str, module: str) -> None:
    assert getattr(core, name) is getattr(import_module(f"chimerax.siren.core.{module}"), name)


def test_all_names_come_with_a_star() -> None:
    names: dict[str, object] = {}
    exec("from chimerax.siren.core import *", names)
    assert set(core.__all__) == set(names) - {"__builtins__"}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sketches'"):
        core.sketches  # noqa: B018
    with pytest.raises(ImportError):
        exec("from chimerax.siren.core import sketches")
