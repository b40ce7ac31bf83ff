"""The only door to SIREn's core: every name of ``chimerax.siren.core`` that these benchmarks use.

Inside ChimeraX's Python the installed bundle is used. Elsewhere (a plain Python with numpy and
scipy) the checkout's ``src`` stands in for ``chimerax.siren``, so that no ChimeraX is needed.
"""
# ruff: noqa: E402

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

BENCHMARKS = Path(__file__).resolve().parents[1]
ROOT = BENCHMARKS.parents[1]


def _stand_in() -> None:
    """Let ``chimerax.siren`` be the checkout's ``src``, without running the bundle's own init."""
    for name, path in (("chimerax", None), ("chimerax.siren", ROOT / "src")):
        module = ModuleType(name)
        module.__path__ = [str(path)] if path else []
        sys.modules[name] = module


if importlib.util.find_spec("chimerax") is None:
    _stand_in()
for _path in (str(BENCHMARKS), str(BENCHMARKS.parent)):  # planted.py, score.py
    if _path not in sys.path:
        sys.path.append(_path)

from chimerax.siren.core.blocks.expand import expand_sketch
from chimerax.siren.core.blocks.level_harmonization import binarize_harmonized
from chimerax.siren.core.blocks.occupancy import Occupancy, binarize
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.blocks.verdicts import (
    DOUBTFUL,
    GRADED,
    MOVING,
    SOLID,
    BlockEvidence,
)
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.simulation.example import (
    NOISE_SD,
    enclosing_level,
    noise_power,
    spectral_filter,
)
from chimerax.siren.core.simulation.parameters import BlockPlan
from planted import (
    FEWEST_ATOMS,
    VOLUME_PER_DALTON,
    Absent,
    Part,
    assembly,
    density,
    grouped,
    in_memory,
    planned,
    predicted_levels,
    ribosome,
    together,
)
from score import Planted, score

__all__ = [
    "DOUBTFUL",
    "FEWEST_ATOMS",
    "GRADED",
    "MOVING",
    "NOISE_SD",
    "ROOT",
    "SOLID",
    "VOLUME_PER_DALTON",
    "Absent",
    "BlockEvidence",
    "BlockPlan",
    "Ensemble",
    "ExpandParameters",
    "Grid",
    "Occupancy",
    "Part",
    "Planted",
    "Progress",
    "SketchParameters",
    "assembly",
    "binarize",
    "binarize_harmonized",
    "constants",
    "density",
    "enclosing_level",
    "expand_sketch",
    "grouped",
    "in_memory",
    "noise_power",
    "planned",
    "predicted_levels",
    "ribosome",
    "score",
    "sketch",
    "spectral_filter",
    "together",
]
