"""Good files to begin with, and what a reader may do with changed ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis.strategies import DataObject

from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.runs.steps import run_sketch
from chimerax.siren.core.thresholds.labels import Label, set_labels
from chimerax.siren.core.thresholds.normalize import Range
from chimerax.siren.core.thresholds.tables import Prediction, Predictions, write_predictions
from two_parts import write_two_parts

VOLUMES = 12  # of predictions.csv and labels.csv


@dataclass(frozen=True)
class Good:
    """A run, its volumes and tables, as files."""

    root: Path

    @property
    def run(self) -> Path:
        """The folder of the sketch."""
        return self.root / "siren" / "00_sketch"

    def text(self, name: str) -> str:
        """The content of a file as it was."""
        return _good_text(self.root / name)


#: Gives one changed input, written to a folder of its own, to what reads it.
Reader = Callable[[Good, Path, DataObject], None]


@cache
def _good_text(path: Path) -> str:
    return path.read_text()


def make_good(root: Path) -> Good:
    """Write an ensemble with all that the readers read."""
    grid = Grid((8, 9, 10), (4.0, 4.0, 4.0), (1.0, 2.0, 3.0))
    names = [f"vol_{n}.mrc" for n in range(1, 121)]
    write_two_parts(root / "volumes", names, grid)
    ensemble = find_ensemble([root / "volumes"])
    parameters = SketchParameters(statistic="exact", subsample=1, resamples=2)
    run = run_sketch(ensemble, np.full(120, 0.5), "level 0.5", parameters, root / "siren")
    assert len(run.blocks) == 2
    flags = [("odd",) if n == 3 else () for n in range(VOLUMES)]
    rows = [
        Prediction(name, n, Range(0.0, 2.0), 0.01 * n - 0.5, 0.1, flag)
        for n, (name, flag) in enumerate(zip(names[:VOLUMES], flags, strict=True))
    ]
    write_predictions(root / "predictions.csv", Predictions(tuple(rows)))
    set_labels(
        root / "labels.csv",
        [Label(str(n), name, 0.6, 0.5, 0.7) for n, name in enumerate(names[:VOLUMES])],
    )
    truth = {
        "origin": "simulated by ChimeraX-SIREn",
        "grid": Grid((8, 8, 8), (4.0, 4.0, 4.0)).as_json(),
        "volumes": [{"file": name, "level": 0.5} for name in names[:3]],
        "blocks": [{"name": "one", "present": [1, 0, 1], "voxels": [[1, 2, 3]]}],
    }
    (root / "truth.json").write_text(json.dumps(truth))
    return Good(root)


def one_sentence(use: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a reader; None if it refuses its input in one sentence, as it should."""
    try:
        return use(*arguments)
    except SirenError as error:
        said = str(error)
        assert said.endswith(".") and said.isprintable() and len(said) < 40_000, said
        return None


@cache
def some_volumes(root: Path) -> Any:
    """The ensemble of the first VOLUMES volumes, found once."""
    return find_ensemble([root / "volumes"], include=[f"vol_{n}" for n in range(1, VOLUMES + 1)])
