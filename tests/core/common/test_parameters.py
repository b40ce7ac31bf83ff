"""Parameters: said once, and used."""

from __future__ import annotations

import ast
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.common.errors import SirenError

CORE = Path(__file__).parents[3] / "src/core"


@pytest.mark.parametrize("file", sorted(CORE.glob("*/parameters.py")), ids=lambda f: f.parent.name)
def test_every_parameter_of_a_step_is_used_in_its_room_or_by_a_run(file: Path) -> None:
    """A keyword that nothing reads would be taken without a word."""
    from chimerax.siren.core.common.parameters import Parameters

    read = {
        node.attr
        for room in (file.parent, CORE / "runs")
        for other in room.rglob("*.py")
        if other != file
        for node in ast.walk(ast.parse(other.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    module = import_module(f"chimerax.siren.core.{file.parent.name}.parameters")
    for kind in vars(module).values():
        if isinstance(kind, type) and issubclass(kind, Parameters):
            for f in fields(kind):
                assert f.name in read, f"{kind.__name__}.{f.name} is used nowhere"


@pytest.mark.parametrize("value", [10**400, -(10**400), 1e308], ids=("large", "low", "float"))
def test_a_number_beyond_all_others_is_out_of_bounds(value: float) -> None:
    with pytest.raises(SirenError, match=r"^posp .* is out of bounds: give .*at most"):
        SketchParameters(posp=value)
