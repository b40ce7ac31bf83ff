"""The background of a volume: where its density scale begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from .occupancy import Occupancy

SEED = 1  # for drawing background voxels; any seed will do, so it is not a parameter


def background_voxels(occupancy: Occupancy) -> NDArray[np.int64]:
    """(n,) voxels that are hardly ever occupied, drawn at random and in random order."""
    frequency = occupancy.frequency
    quiet = frequency <= min(float(np.median(frequency)), constants.QUIET_SHARE * len(occupancy))
    rng = np.random.default_rng(SEED)
    return rng.permutation(np.flatnonzero(quiet))[: constants.MAX_BACKGROUND_VOXELS]


def background_density(flat: NDArray[np.float32], voxels: NDArray[np.int64]) -> float:
    """Median of a volume over background voxels; 0 if there are none.

    Parameters
    ----------
    flat : (N,) densities, z, y, x
    voxels : from :func:`background_voxels`
    """
    return float(np.median(flat[voxels])) if len(voxels) else 0.0
