"""Which voxels a block may grow into, by what the volumes say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..common import constants
from ..common.progress import Progress
from .blockset import BlockSet, box_around
from .occupancy import Occupancy
from .parameters import CORRELATED, GrowParameters
from .profiles import block_shares, correlations


def voxels_to_grow_into(
    blocks: BlockSet,
    numbers: Sequence[int],
    occupancy: Occupancy,
    parameters: GrowParameters,
    union_fraction: float,
    progress: Progress | None = None,
) -> dict[int, NDArray[np.int64]]:
    """The voxels around each block that are density, or that also come and go with it.

    Density is what is occupied in more than ``union_fraction`` of the volumes. A voxel goes with a
    block if, over the volumes, its occupancy correlates with the share of the block that is
    occupied by at least ``parameters.strength``.

    Parameters
    ----------
    numbers : of the blocks that grow
    parameters : with ``into`` density or correlated

    Returns
    -------
    block number -> flat indices, ascending

    Raises
    ------
    Cancelled
        If ``progress`` was asked to stop.
    """
    some = replace(blocks, blocks={n: blocks.blocks[n] for n in numbers})
    density = np.zeros(blocks.grid.shape, bool)
    density.ravel()[occupancy.union(union_fraction)] = True
    around = {n: np.flatnonzero(_near(some.mask(n) > 0, parameters.by) & density) for n in numbers}
    if parameters.into != CORRELATED:
        return around
    shares = block_shares(some, occupancy, progress).astype(np.float64)
    return {
        n: around[n][_correlation(occupancy, around[n], profile) >= parameters.strength]
        for n, profile in zip(numbers, shares, strict=True)
    }


def _near(mask: NDArray[np.bool_], by: float) -> NDArray[np.bool_]:
    """The cubes around the voxels of a mask that hold all within ``by`` of them, without these."""
    near = np.zeros(mask.shape, bool)
    where = box_around(mask, int(np.ceil(by)))
    if where is not None:
        near[where] = ndimage.maximum_filter(mask[where], 2 * int(np.ceil(by)) + 1)
    return near & ~mask


def _correlation(
    occupancy: Occupancy, voxels: NDArray[np.int64], profile: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n,) correlation of each voxel's occupancy with a block's, (V,)."""
    step = constants.TILE_VOXELS
    tiles = [
        correlations(occupancy.rows(voxels[start : start + step]), profile[None])[:, 0]
        for start in range(0, len(voxels), step)
    ]
    return np.concatenate([np.empty(0), *tiles])
