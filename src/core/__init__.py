"""SIREn in plain Python: no ChimeraX, no Qt, no printing.

Maps become an :class:`Ensemble <.maps.ensemble.Ensemble>`, each map gets a contour level, and what
is above it is the :class:`Occupancy <.blocks.occupancy.Occupancy>`. A sketch finds blocks in it, an
expansion grows them, and the analysis says which block is in which volume. Arrays are z, y, x;
points, voxel sizes and origins are x, y, z, in Angstrom.

Example::

    from chimerax.siren.core import ExampleParameters, measure_states, relations, simulate, sketch

    example = simulate(ExampleParameters(volumes=100, box=32, voxel_size=10))
    result = sketch(example.ensemble(), example.levels)
    states = measure_states(result.blocks, result.occupancy)
    relations(states).text(0, 1)  # how blocks 1 and 2 depend on each other, in a sentence

Examples in these modules that name ``volumes`` and ``siren`` run in the folder that the first run
in README makes; some need labels there. ``pip install`` gives the same code the name
``siren_chimerax``: write that in place of ``chimerax.siren.core``. The names below are all that
most notebooks need; each is imported when it is first used, so that this package itself is light,
and needs no numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING

_MODULE_OF = {
    "ensemble_from_arrays": "maps.ensemble",
    "find_ensemble": "maps.ensemble",
    "PredictParameters": "thresholds.parameters",
    "predict_levels": "thresholds.predict",
    "read_thresholds": "thresholds.tables",
    "SketchParameters": "blocks.parameters",
    "sketch": "blocks.sketch",
    "ExpandParameters": "blocks.parameters",
    "expand": "blocks.expand",
    "expand_sketch": "blocks.expand",
    "run_sketch": "runs.steps",
    "run_expand": "runs.steps",
    "open_run": "runs.steps",
    "read_blocks": "runs.steps",
    "measure_states": "analysis.block_occupancy",
    "relations": "analysis.relations",
    "relate": "analysis.relate",
    "RelateParameters": "analysis.parameters",
    "ExampleParameters": "simulation.parameters",
    "simulate": "simulation.example",
    "Progress": "common.progress",
    "SirenError": "common.errors",
}
__all__ = list(_MODULE_OF)

if TYPE_CHECKING:  # the same names, for editors and type checkers
    from .analysis.block_occupancy import measure_states as measure_states
    from .analysis.parameters import RelateParameters as RelateParameters
    from .analysis.relate import relate as relate
    from .analysis.relations import relations as relations
    from .blocks.expand import expand as expand
    from .blocks.expand import expand_sketch as expand_sketch
    from .blocks.parameters import ExpandParameters as ExpandParameters
    from .blocks.parameters import SketchParameters as SketchParameters
    from .blocks.sketch import sketch as sketch
    from .common.errors import SirenError as SirenError
    from .common.progress import Progress as Progress
    from .maps.ensemble import ensemble_from_arrays as ensemble_from_arrays
    from .maps.ensemble import find_ensemble as find_ensemble
    from .runs.steps import open_run as open_run
    from .runs.steps import read_blocks as read_blocks
    from .runs.steps import run_expand as run_expand
    from .runs.steps import run_sketch as run_sketch
    from .simulation.example import simulate as simulate
    from .simulation.parameters import ExampleParameters as ExampleParameters
    from .thresholds.parameters import PredictParameters as PredictParameters
    from .thresholds.predict import predict_levels as predict_levels
    from .thresholds.tables import read_thresholds as read_thresholds
else:

    def __getattr__(name):
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
        globals()[name] = value  # not asked for again
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
