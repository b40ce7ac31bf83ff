"""Small ensembles with planted blocks for tests: boxes that come and go in weak noise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
from numpy.typing import NDArray

SHAPE = (20, 22, 24)  # z, y, x: different sizes show a mistaken axis
VOXEL_SIZE = 4.0
ORIGIN = (-10.0, 20.0, 5.0)  # x, y, z
LEVEL = 0.5
BOXES = {"left": (slice(4, 9), slice(4, 9), slice(4, 9)), "right": (slice(11, 17), slice(12, 18), slice(13, 19))}
CORE = (slice(8, 12), slice(9, 13), slice(9, 13))


@dataclass(frozen=True)
class Planted:
    """An ensemble on disk and what is in it."""

    folder: Path
    masks: dict[str, NDArray[np.bool_]]
    present: dict[str, NDArray[np.bool_]]


def write_planted(folder: Path, volumes: int = 200, seed: int = 5) -> Planted:
    """Write ``volumes`` maps: a core always there, ``left`` in 40 % and ``right`` in 60 % of them, independently."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    masks = {}
    for name, box in BOXES.items():
        masks[name] = np.zeros(SHAPE, bool)
        masks[name][box] = True
    present = {"left": rng.permutation(np.arange(volumes) < 0.4 * volumes),
               "right": rng.permutation(np.arange(volumes) < 0.6 * volumes)}
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
