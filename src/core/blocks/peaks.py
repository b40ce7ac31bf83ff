"""Whether a block has a peak of its own, or lies on the slope of another.

From each voxel one goes to the neighbor where the density is highest, until none is higher.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..maps.grid import Grid
from .blockset import BlockSet


def peaks(values: NDArray[np.float64], region: NDArray[np.int64], grid: Grid) -> NDArray[np.int64]:
    """Position in a region of the peak that each of its voxels climbs to.

    Each step goes to the highest of the 26 neighbors, if it is higher. Ways end where the region
    does.

    Parameters
    ----------
    values : (n,) density
    region : (n,) flat indices

    Returns
    -------
    (n,)
    """
    zyx = np.stack(np.unravel_index(region, grid.shape))
    low = zyx.min(axis=1) - 1  # with a margin: all have neighbors
    depth, height, width = (zyx.max(axis=1) + 2 - low).tolist()
    box = np.full(depth * height * width, -1, np.int32)
    place = np.ravel_multi_index(tuple(zyx - low[:, None]), (depth, height, width))
    box[place] = np.arange(len(region))
    above, highest = np.arange(len(region)), values.copy()
    for z, y, x in product((-1, 0, 1), repeat=3):
        other = box[place + (z * height + y) * width + x]
        there = np.where(other < 0, -np.inf, values[other])
        higher = there > highest
        above[higher], highest[higher] = other[higher], there[higher]
    while True:
        further = above[above]
        if np.array_equal(further, above):
            return above
        above = further


def own_peak_share(
    ends: NDArray[np.int64],
    number: int,
    blocks: BlockSet,
    rarer: NDArray[np.bool_],
    gap: float = 0.0,
) -> float:
    """Share of the voxels of a block that climb to a peak in the block, or to one that is no part
    of which the block could be the edge.

    Parameters
    ----------
    ends : (n,) flat indices of the peak that each of its voxels climbs to
    number : of the block
    blocks : all blocks
    rarer : (n,) which of these peaks are not there more often than the block
    gap : 0 where all their voxels are known; of a sample, voxels between neighbors: a peak is in
        the block if it is as near, and nothing else that was sampled is nearer
    """
    voxels = blocks.blocks[number]
    if not gap:
        return float((np.isin(ends, voxels) | rarer).mean())
    others = [v for n, v in blocks if n != number and len(v)] + [blocks.unassigned]
    distinct, at_distinct = np.unique(ends, return_inverse=True)
    at, own, other = (
        np.stack(np.unravel_index(v, blocks.grid.shape), axis=1)
        for v in (distinct, voxels, np.concatenate(others))
    )
    distance = cKDTree(own).query(at)[0]
    inside = distance <= gap
    if len(other):
        inside &= distance <= cKDTree(other).query(at)[0]
    return float((inside[at_distinct] | rarer).mean())
