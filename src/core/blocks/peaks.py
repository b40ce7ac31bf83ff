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
    place = np.ravel_multi_index(tuple(zyx - low[:, None]), (depth, height, width))
    box = np.full(depth * height * width, -np.inf)
    box[place] = values
    highest, step = values.copy(), np.zeros(len(region), np.intp)
    for z, y, x in product((-1, 0, 1), repeat=3):
        by = (z * height + y) * width + x
        there = box.take(place + by)
        higher = there > highest
        np.copyto(highest, there, where=higher)
        np.copyto(step, by, where=higher)
    position = np.zeros(len(box), np.int32)
    position[place] = np.arange(len(region))
    above = position.take(place + step).astype(np.intp)
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
