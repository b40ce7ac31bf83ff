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
    near, row = np.zeros_like(inside), np.zeros_like(inside)
    # a ball in rows along x: a distance transform would take ten times the memory
    offsets = range(-reach, reach + 1)
    for half in range(reach + 1):
        row = inside.copy() if half == 0 else _either(row, inside, half)
        for z, y in product(offsets, offsets):
            if half**2 <= reach**2 - z * z - y * y < (half + 1) ** 2:
                near[_shifted(z), _shifted(y)] |= row[_shifted(-z), _shifted(-y)]
    first = np.maximum(-low, 0)
    last = np.minimum(np.array(grid.shape) - low, high - low)
    near = near[tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))]
    zyx = np.stack(np.nonzero(near)) + np.maximum(low, 0)[:, None]
    return np.ravel_multi_index(tuple(zyx), grid.shape)


def _either(row: NDArray[np.bool_], inside: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    """``row``, and ``inside`` shifted along x by ``step`` voxels to either side."""
    row[:, :, step:] |= inside[:, :, :-step]
    row[:, :, :-step] |= inside[:, :, step:]
    return row


def _shifted(by: int) -> slice:
    """The part of an axis that is still there when it is shifted ``by`` voxels."""
    return slice(by, None) if by >= 0 else slice(None, by)
