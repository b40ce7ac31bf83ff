"""The background of volumes: where each density scale begins, and how independent they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from ..maps.grid import Grid
from .noise import noise_distance
from .occupancy import Occupancy

SEED = 1  # for drawing background voxels; any seed will do, so it is not a parameter


@dataclass(frozen=True)
class Background:
    """What the background says of V volumes.

    Attributes
    ----------
    base : (V,) median density, where the density scale begins; 0 if there is no background
    height : (V,) of the contour level above it: the unit of densities
    noise : SD over the volumes of a background voxel, BACKGROUND_PERCENTILE over voxels, in heights
    effective_volumes : how many independent volumes these are worth, see
        :func:`effective_volumes`; NaN if the background does not tell
    """

    base: NDArray[np.float64]
    height: NDArray[np.float64]
    noise: float
    effective_volumes: float

    @property
    def dependent(self) -> bool:
        """Whether these volumes are too few independent ones for p-values and halves of them."""
        return self.effective_volumes < constants.FEW_EFFECTIVE  # NaN: no


def measure_background(ensemble: Ensemble, occupancy: Occupancy, progress: Progress) -> Background:
    """Read voxels that are hardly ever occupied, drawn at random.

    Parameters
    ----------
    ensemble : Ensemble with the V volumes of ``occupancy``

    Raises
    ------
    SirenError, Cancelled
        If a volume cannot be read, or ``progress`` was asked to stop.
    """
    frequency = occupancy.frequency
    quiet = frequency <= min(float(np.median(frequency)), constants.QUIET_SHARE * len(occupancy))
    rng = np.random.default_rng(SEED)
    voxels = rng.permutation(np.flatnonzero(quiet))[: constants.MAX_BACKGROUND_VOXELS]
    values = np.empty((len(occupancy), len(voxels)), np.float32)
    chosen = ensemble.of(occupancy.names)
    for row, (_, array) in zip(
        values, chosen.read(progress, "reading the background"), strict=True
    ):
        row[:] = array.ravel()[voxels]
    levels = occupancy.levels
    base = np.median(values, axis=1).astype(np.float64) if len(voxels) else np.zeros(len(levels))
    height = np.where(levels > base, levels - base, np.maximum(np.abs(levels), 1e-30))
    values = ((values - base[:, None]) / height[:, None]).astype(np.float32)
    spread = values.std(axis=0)
    noise = float(np.percentile(spread, constants.BACKGROUND_PERCENTILE)) if len(voxels) else 0.0
    return Background(base, height, noise, effective_volumes(values, voxels, occupancy.grid))


def effective_volumes(values: NDArray[np.floating], voxels: NDArray[np.int64], grid: Grid) -> float:
    """How many independent volumes an ensemble is worth.

    3 + 1 / Var(Fisher's z) of the correlations of distant background voxels: V for V independent
    volumes, and about the number of latent dimensions for points of a linear subspace.

    Parameters
    ----------
    values : (V, n) of background voxels, each volume's on a common scale
    voxels : (n,) flat indices

    Returns
    -------
    At most V; NaN if the background does not vary, as in masked maps.
    """
    spread = values.std(axis=0)
    vary = np.flatnonzero(spread > constants.MIN_VARIATION * spread.max(initial=0))
    vary = vary[: constants.BACKGROUND_PAIRS]
    if len(vary) < constants.MIN_BACKGROUND_VOXELS or not spread.any():
        return float("nan")
    distances = noise_distance(voxels[vary][:, None], voxels[vary], grid)
    far = distances > constants.DISTANT_SHARE * min(grid.shape)
    first, second = np.nonzero(np.triu(far, 1))
    if len(first) < constants.MIN_BACKGROUND_PAIRS:
        return float("nan")
    r = np.corrcoef(values[:, vary].T.astype(np.float64))[first, second]
    z = np.arctanh(np.clip(r, -0.999999, 0.999999))
    return min(float(len(values)), float(3 + 1 / max(float(z.var()), 1e-9)))
