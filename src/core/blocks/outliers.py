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
    the median. A small class of real particles differs from the majority, but its members resemble
    each other; failed volumes are noise, each different.

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
    if len(union) > constants.JUNK_VOXELS:
        union = np.sort(
            np.random.default_rng(SEED).choice(union, constants.JUNK_VOXELS, replace=False)
        )
    columns = occupancy.rows(union)
    columns -= columns.mean(axis=0)
    columns /= np.maximum(np.linalg.norm(columns, axis=0), 1e-6)
    correlation = np.zeros((volumes, volumes), np.float32)
    progress = progress or Progress()
    # in parts, so that a stop is answered promptly
    for start in range(0, len(columns), constants.SIMILARITY_VOXELS_AT_ONCE):
        progress.step("looking for junk", start / len(columns))
        part = columns[start : start + constants.SIMILARITY_VOXELS_AT_ONCE]
        correlation += part.T @ part
    np.fill_diagonal(correlation, -1)
    rank = max(2, round(constants.NEAREST_SHARE * volumes))
    nearest = np.partition(correlation, volumes - rank, axis=1)[:, volumes - rank]
    usual = float(np.median(nearest))
    if usual <= least:
        return np.zeros(volumes, bool)
    return np.asarray(nearest < constants.JUNK_SIMILARITY * usual)
