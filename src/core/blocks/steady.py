"""Voxels that should not vary, in the background and in the core: which they are, and some of them
at random.

Those drawn are the first in an order of all voxels of the grid that is random but fixed. So they
are mostly the same at levels that have changed a little, and can be read before these are known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from .occupancy import Occupancy

SEED = 1  # of the order; any will do, so it is not a parameter
OTHER_LEVELS = 0.05  # of the volumes: by how much the frequency of a voxel may change with them
Voxels = tuple[NDArray[np.int64], NDArray[np.int64]]  # flat indices in background and core


def steady_voxels(occupancy: Occupancy) -> Voxels:
    """Up to MAX_BACKGROUND_VOXELS that are hardly ever occupied, and as many that nearly always
    are.
    """
    quiet, core = _steady(occupancy)
    return _first(quiet, constants.MAX_BACKGROUND_VOXELS), _first(
        core, constants.MAX_BACKGROUND_VOXELS
    )


def at_other_levels(occupancy: Occupancy) -> NDArray[np.int64]:
    """Flat indices, ascending, among which :func:`steady_voxels` will most probably be at levels
    that have changed a little.
    """
    quiet, core = _steady(occupancy, OTHER_LEVELS * len(occupancy))
    twice = 2 * constants.MAX_BACKGROUND_VOXELS
    return np.union1d(_first(quiet, twice), _first(core, twice))


def _steady(occupancy: Occupancy, margin: float = 0.0) -> Voxels:
    """All that are hardly ever occupied, and that nearly always are; or by so many volumes not."""
    frequency = occupancy.frequency
    most = min(occupancy.median_frequency, constants.QUIET_SHARE * len(occupancy))
    least = constants.CORE_SHARE[0] * len(occupancy)
    if np.count_nonzero(frequency >= least) < constants.MIN_CORE_VOXELS:
        # none is in all volumes: the most frequent ones
        rank = min(constants.MIN_CORE_VOXELS, frequency.size)
        least = max(int(np.partition(frequency, -rank)[-rank]), 1)
    return np.flatnonzero(frequency <= most + margin), np.flatnonzero(frequency >= least - margin)


def _first(voxels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The first so many of some voxels, in the order."""
    place = _place(voxels)
    if len(voxels) > count:
        some = np.argpartition(place, count)[:count]
        voxels, place = voxels[some], place[some]
    return voxels[np.argsort(place)]


def _place(voxels: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Where each voxel, by its flat index, stands in the order: no two at the same place.

    References
    ----------
    Steele, Lea & Flood 2014, doi 10.1145/2714064.2660195 (SplitMix64).
    """
    place = (voxels + SEED).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        place ^= place >> np.uint64(shift)
        place *= np.uint64(factor)
    place ^= place >> np.uint64(31)
    return place
