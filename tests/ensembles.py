"""Small ensembles with planted blocks for tests: boxes that come and go in weak noise."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
from numpy.typing import NDArray

from chimerax.siren.core.maps.ensemble import Ensemble, Source
from chimerax.siren.core.maps.grid import Grid

SHAPE = (20, 22, 24)  # z, y, x: different sizes show a mistaken axis
VOXEL_SIZE = 4.0
ORIGIN = (-10.0, 20.0, 5.0)  # x, y, z
LEVEL = 0.5
BOXES = {
    "left": (slice(4, 9), slice(4, 9), slice(4, 9)),
    "right": (slice(11, 17), slice(12, 18), slice(13, 19)),
}
CORE = (slice(8, 12), slice(9, 13), slice(9, 13))


@dataclass(frozen=True)
class Planted:
    """An ensemble on disk and what is in it."""

    folder: Path
    masks: dict[str, NDArray[np.bool_]]
    present: dict[str, NDArray[np.bool_]]


def write_planted(folder: Path, volumes: int = 200, seed: int = 5) -> Planted:
    """Write ``volumes`` maps: a core always there, ``left`` in 40 % and ``right`` in 60 % of them,
    independently.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    masks = {}
    for name, box in BOXES.items():
        masks[name] = np.zeros(SHAPE, bool)
        masks[name][box] = True
    present = {
        "left": rng.permutation(np.arange(volumes) < 0.4 * volumes),
        "right": rng.permutation(np.arange(volumes) < 0.6 * volumes),
    }
    for v in range(volumes):
        array = rng.normal(0, 0.05, SHAPE).astype(np.float32)
        array[CORE] += 1
        for name, mask in masks.items():
            array[mask] += present[name][v]
        with mrcfile.new(folder / f"vol_{v + 1}.mrc", array, overwrite=True) as mrc:
            mrc.voxel_size = VOXEL_SIZE
            mrc.header.origin = ORIGIN
    return Planted(folder, masks, present)


def overlap(found: NDArray[np.bool_], planted: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((found & planted).sum() / (found | planted).sum())


def assert_same_files(one: Path, other: Path, differs: str) -> dict[str, Any]:
    """Two folders of a step hold the same bytes, but for times, place of counting and one parameter
    in run.json; the other's record.
    """
    names = sorted(p.name for p in one.iterdir())
    assert names == sorted(p.name for p in other.iterdir())
    for name in names:
        if name != "run.json":
            assert (one / name).read_bytes() == (other / name).read_bytes(), name
    records = [json.loads((folder / "run.json").read_text()) for folder in (one, other)]
    plain = deepcopy(records)
    for record in plain:
        del record["timings_s"], record["counted_on"], record["parameters"][differs]
    assert plain[0] == plain[1]
    return records[1]


def in_memory(volumes: NDArray[np.floating], voxel_size: float = 6.0) -> Ensemble:
    """An ensemble of (V, z, y, x) arrays."""

    def reader(i: int) -> Callable[[], NDArray[np.floating]]:
        return lambda: volumes[i]

    grid = Grid(volumes.shape[1:], (voxel_size,) * 3)
    names = tuple(f"vol_{i:03d}.mrc" for i in range(len(volumes)))
    return Ensemble(
        tuple(Source(n, None, reader(i), grid) for i, n in enumerate(names)), grid, names
    )
