"""Junk volumes: failed reconstructions, empty or smeared, that would form blocks of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from .occupancy import Occupancy

SEED = 1  # for drawing voxels; any seed will do, so it is not a parameter

UNLIKE = "unlike all other volumes: less than half as like its nearest as volumes usually are"


def junk_volumes(
    occupancy: Occupancy,
    union: NDArray[np.int64],
    least: float = 0.0,
    progress: Progress | None = None,
) -> NDArray[np.bool_]:
    """Find the volumes that resemble no other.

    A volume's *likeness* is the correlation of its occupied voxels with those of its nearest
    volumes: the one at rank 2 % (NEAREST_SHARE). A volume is junk if its likeness is below half of
    the median, its voxels are less often occupied in the others than is usual, and it does not hold
    what smaller volumes show.

    - A small class of real particles differs from the majority, but its members resemble each
      other; failed volumes are noise, each different.
    - A volume whose level is too high for it shows little, but what it shows lies inside the
      others. Noise lies anywhere.
    - A complete volume correlates with few where the others are small parts of it. But it holds
      these parts, and noise holds no more of them than chance gives it: the covariance of the two
      relative to that of a volume and a part of it is 1 for the one, 0 for the other.
    - A volume that occupies the whole union has no pattern within it. So some voxels outside the
      union are compared too; where the box ends before there are enough, the rest is empty, as
      what surrounds a box is.

    Parameters
    ----------
    union : flat indices of the voxels to compare
    least : if the median likeness is not above this, the volumes have nothing in common to
        differ from, and none is junk

    Returns
    -------
    (V,) bool
    """
    volumes = len(occupancy)
    if volumes < constants.MIN_VOLUMES_FOR_MAJORITY or len(union) < 2:
        return np.zeros(volumes, bool)
    compared, empty = _compared_voxels(occupancy, union)
    progress = progress or Progress()
    count = len(compared) + empty
    held = occupancy.counts(compared)
    share = held / count
    sd = np.sqrt(share * (1 - share))
    rank = max(2, round(constants.NEAREST_SHARE * volumes))
    nearest, holding, shared = np.empty((3, volumes))
    # some volumes at a time: all of thousands with each other would not fit into memory
    for start in range(0, volumes, constants.SIMILARITY_VOLUMES_AT_ONCE):
        stop = min(start + constants.SIMILARITY_VOLUMES_AT_ONCE, volumes)
        common = _common(occupancy, compared, start, stop, progress)
        own = (np.arange(stop - start), np.arange(start, stop))
        these = share[start:stop, None]
        covariance = common / count - these * share
        similarity = covariance / np.maximum(np.outer(sd[start:stop], sd), 1e-12)
        nearest[start:stop] = _of_nearest(similarity, own, rank)
        most = (1 - these) * share  # the covariance if a volume holds another
        holds = np.where(these >= share, covariance / np.maximum(most, 1e-12), -1)
        holding[start:stop] = _of_nearest(holds, own, rank)
        common[own] = 0
        shared[start:stop] = common.sum(axis=1)
    usual = float(np.median(nearest))
    if usual <= least:
        return np.zeros(volumes, bool)
    inside = shared / np.maximum(held, 1)  # others that have a voxel, on average
    unlike = nearest < constants.JUNK_SIMILARITY * usual
    unlike &= holding < constants.JUNK_SIMILARITY
    return np.asarray(unlike & (inside < np.median(inside)))


def _of_nearest(
    similarity: NDArray[np.float64],
    own: tuple[NDArray[np.integer], NDArray[np.integer]],
    rank: int,
) -> NDArray[np.float64]:
    """(n,) similarity of each of n volumes to the one at this rank among the V nearest to it;
    ``own``: where each meets itself.
    """
    similarity[own] = -1
    volumes = similarity.shape[1]
    return np.asarray(np.partition(similarity, volumes - rank, axis=1)[:, volumes - rank])


def _common(
    occupancy: Occupancy, voxels: NDArray[np.int64], start: int, stop: int, progress: Progress
) -> NDArray[np.float64]:
    """(stop - start, V) how many of the voxels two volumes have in common."""
    volumes = len(occupancy)
    common = np.zeros((stop - start, volumes))
    # in parts, so that a stop is answered promptly
    each = constants.SIMILARITY_VOXELS_AT_ONCE
    each = max(250, min(each, constants.SIMILARITY_VALUES_AT_ONCE // volumes))
    for first in range(0, len(voxels), each):
        progress.step("looking for junk", (start + first / len(voxels) * (stop - start)) / volumes)
        part = occupancy.rows(voxels[first : first + each])
        common += part[:, start:stop].T @ part if stop - start < volumes else part.T @ part
    return common


def _compared_voxels(
    occupancy: Occupancy, union: NDArray[np.int64]
) -> tuple[NDArray[np.int64], int]:
    """The union's voxels, at most JUNK_VOXELS, and some outside of it: flat indices, ascending; and
    how many of these the box lacks.
    """
    rng = np.random.default_rng(SEED)
    if occupancy.among is None:
        rest = np.ones(occupancy.grid.size, bool)
        rest[union] = False
        outside = np.flatnonzero(rest)
    else:
        outside = np.setdiff1d(occupancy.among, union, assume_unique=True)
    if len(union) > constants.JUNK_VOXELS:
        union = rng.choice(union, constants.JUNK_VOXELS, replace=False)
    wanted = max(1, round(constants.JUNK_OUTSIDE * len(union)))
    more = min(len(outside), wanted)
    voxels = np.sort(np.concatenate([union, rng.choice(outside, more, replace=False)]))
    return voxels, wanted - more
