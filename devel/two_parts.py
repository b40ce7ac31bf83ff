"""A small ensemble with a core and two parts, each in about half of the volumes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import write_map


def write_two_parts(folder: Path, names: Iterable[str], grid: Grid) -> None:
    """Write one volume of each name to a new folder; ``grid`` has 8 x 9 x 10 voxels, z, y, x."""
    chance = np.random.default_rng(1)
    folder.mkdir(parents=True)
    for name in names:
        array = chance.normal(0, 0.01, grid.shape).astype(np.float32)
        array[1:3, 2:7, 2:7] += 1
        for part in (slice(4, 6), slice(6, 8)):
            array[part, 2:8, 2:8] += chance.random() < 0.5
        write_map(folder / name, array, grid, "two parts")
