"""Density all round the middle of the box, at each distance from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..maps.grid import Grid


class Shells:
    """Mean density over all directions, at whole distances in voxels from the middle of a grid.

    Distances go up to the nearest face of the box; directions are those of a Fibonacci lattice.

    Attributes
    ----------
    voxels : flat indices of what is read
    """

    def __init__(self, grid: Grid):
        self._grid = grid
        self._middle = np.array(grid.shape) // 2  # of rotations, in maps of single particles
        step = np.arange(constants.DIRECTIONS) + 0.5
        z = 1 - 2 * step / constants.DIRECTIONS
        angle = np.pi * (1 + np.sqrt(5)) * step
        flat = np.sqrt(1 - z**2)
        directions = np.stack([z, flat * np.sin(angle), flat * np.cos(angle)], axis=1)
        far = np.arange(int((np.array(grid.shape) - self._middle).min()))
        zyx = self._middle + np.rint(far[:, None, None] * directions).astype(np.int64)
        zyx = np.clip(zyx, 0, np.array(grid.shape) - 1)
        self._count = len(far)
        self.voxels = np.ravel_multi_index(tuple(np.moveaxis(zyx, -1, 0)), grid.shape).ravel()

    def __len__(self) -> int:
        return self._count

    def means(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """(distances,) of a map's values at ``voxels``."""
        return values.reshape(self._count, -1).mean(axis=1, dtype=np.float64)

    def at(self, means: NDArray[np.float64], voxels: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) means at the distances of voxels; 0 in the corners of the box."""
        zyx = np.stack(np.unravel_index(voxels, self._grid.shape), axis=1)
        far = np.rint(np.linalg.norm(zyx - self._middle, axis=1)).astype(np.int64)
        return np.append(means, 0.0)[np.minimum(far, len(means))]
