"""The surroundings of a set of voxels."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..maps.grid import Grid


def dilated(voxels: NDArray[np.int64], grid: Grid, reach: int) -> NDArray[np.int64]:
    """Flat indices, ascending, of all voxels within ``reach`` voxels of (n,) flat indices."""
    zyx = np.stack(np.unravel_index(voxels, grid.shape))
    low, high = zyx.min(axis=1) - reach, zyx.max(axis=1) + reach + 1
    inside = np.zeros(high - low, bool)  # with a margin, so that nothing is cut off
    inside[tuple(zyx - low[:, None])] = True
    near, row = np.zeros_like(inside), inside.copy()
    # a ball in rows along x: a distance transform would take ten times the memory
    offsets = range(-reach, reach + 1)
    _, height, width = inside.shape
    for half in range(reach + 1):
        for x in (half, -half):
            _add(row, inside, x)
        for z, y in product(offsets, offsets):
            if half**2 <= reach**2 - z * z - y * y < (half + 1) ** 2:
                _add(near, row, (z * height + y) * width)
    first = np.maximum(-low, 0)
    last = np.minimum(np.array(grid.shape) - low, high - low)
    near = near[tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))]
    zyx = np.stack(np.nonzero(near)) + np.maximum(low, 0)[:, None]
    return np.ravel_multi_index(tuple(zyx), grid.shape)


def _add(box: NDArray[np.bool_], other: NDArray[np.bool_], by: int) -> None:
    """Add to a box another one, shifted by so many voxels, in one piece: far faster than row by
    row. Nothing comes in on the other side, where the margin is as wide as the shift.
    """
    to = slice(by, None) if by >= 0 else slice(None, by)
    of = slice(None, -by or None) if by >= 0 else slice(-by, None)
    box.reshape(-1)[to] |= other.reshape(-1)[of]
