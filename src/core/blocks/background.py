"""What should not vary: the background and the core of the volumes.

The background says where each density scale begins; both say how much volumes vary by noise, and
how many independent ones they are worth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from ..maps.grid import Grid
from .kept import kept_with
from .level_harmonization import Anchors
from .medians import median
from .noise import noise_distance
from .occupancy import Occupancy
from .steady import steady_voxels

PHASE = "measuring the background"  # in words


@dataclass(frozen=True)
class Background:
    """What the background says of V volumes.

    Attributes
    ----------
    base : (V,) median density, where the density scale begins; 0 if there is no background
    height : (V,) of the contour level above it: the unit of densities
    noise : SD over the volumes of a voxel that should not vary, in heights: the larger of that of
        the background, BACKGROUND_PERCENTILE over its voxels, since blocks are found where noise is
        high, and that of the core, the median over its voxels, since some are near blocks. Of the
        core relative to its density, as what it does not share with the level grows with it
    effective_volumes : how many independent volumes these are worth, the smaller number of
        background and core, see :func:`effective_volumes`; NaN if neither tells
    """

    base: NDArray[np.float64]
    height: NDArray[np.float64]
    noise: float
    effective_volumes: float

    @property
    def dependent(self) -> bool:
        """Whether these volumes are too few independent ones for p-values and halves of them."""
        return self.effective_volumes < constants.FEW_EFFECTIVE  # NaN: no


def vary_together(effective: float | None, volumes: int) -> bool:
    """Whether volumes are worth so few independent ones that this must be said; not if unknown."""
    return effective is not None and effective < min(constants.FEW_EFFECTIVE, volumes / 2)


def are_independent(effective: float, volumes: int) -> bool:
    """Whether volumes are worth half of their number, and enough for p-values; not if unknown."""
    return effective >= max(constants.FEW_EFFECTIVE, volumes / 2)  # NaN: no


def effective_by(anchors: Anchors, occupancy: Occupancy, progress: Progress | None = None) -> float:
    """How many independent volumes those of an occupancy are worth, by what a sketch has read of
    them; NaN if that does not tell.

    Parameters
    ----------
    anchors : voxels that should not vary, of the V volumes of ``occupancy``
    """
    progress = progress or Progress()
    levels = occupancy.levels
    base: NDArray[np.floating] = np.zeros(len(levels))
    if len(anchors.background):
        progress.step(PHASE)
        base = anchors.background_medians
    height = _height(levels, base)
    return _least_known(
        effective_volumes(
            _in_heights(values, base, height, np.float64, progress),
            voxels,
            occupancy.grid,
            progress,
        )
        for voxels, values in (
            (anchors.background, anchors.background_values),
            (anchors.core, anchors.core_values),
        )
    )


def _height(
    levels: NDArray[np.float64] | np.float64, base: NDArray[np.float64] | np.float64
) -> NDArray[np.float64]:
    """Of contour levels above the median density of the background, one or (V,)."""
    return np.where(levels > base, levels - base, np.maximum(np.abs(levels), 1e-30))


def _in_heights(
    values: NDArray[np.float32],
    base: NDArray[np.floating],
    height: NDArray[np.float64],
    kind: type[np.floating],
    progress: Progress,
) -> NDArray[np.floating]:
    """(V, n) values of V volumes, above the base of each and in its heights."""
    result = np.empty(values.shape, kind)
    # few at a time: new memory costs more than what is done with it
    step = max(1, 2 * constants.CACHED_VALUES // max(1, values.shape[1]))
    for start in range(0, len(values), step):
        progress.step(PHASE)
        rows = slice(start, start + step)
        result[rows] = (values[rows] - base[rows, None]) / height[rows, None]
    return result


def _least_known(effective: Iterable[float]) -> float:
    """The smaller number of effective volumes, of background and core; NaN if neither tells."""
    return min((volumes for volumes in effective if np.isfinite(volumes)), default=float("nan"))


def measure_background(ensemble: Ensemble, occupancy: Occupancy, progress: Progress) -> Background:
    """Read voxels that are hardly ever occupied, and voxels that nearly always are, see
    :class:`BackgroundReader`.

    Parameters
    ----------
    ensemble : Ensemble with the V volumes of ``occupancy``

    Raises
    ------
    SirenError, Cancelled
        If a volume cannot be read, or ``progress`` was asked to stop.
    """
    known = kept_with(occupancy).background
    if isinstance(known, Background):
        return known
    reader, chosen = BackgroundReader(occupancy), ensemble.of(occupancy.names)
    phase = "reading background and core"
    for v, (_, values) in enumerate(chosen.read_voxels(reader.voxels, progress, phase)):
        reader.add(v, values)
    return reader.background(progress)


class BackgroundReader:
    """Measures the background of the V volumes of an occupancy while they are read.

    Voxels are drawn at random, see :mod:`.steady`. The core counts because
    programs mask the background, or leave it quiet, where they make the molecule vary.

    Attributes
    ----------
    voxels : (n,) flat indices of those to read
    """

    def __init__(self, occupancy: Occupancy):
        self._occupancy = occupancy
        empty, full = steady_voxels(occupancy)
        self.voxels, self._empty = np.concatenate([empty, full]), len(empty)
        self._values = np.empty((len(occupancy), len(self.voxels)), np.float32)
        self._base, self._height = np.zeros(len(occupancy)), np.zeros(len(occupancy))

    def add(self, v: int, values: NDArray[np.float32]) -> tuple[np.float64, np.float64]:
        """Take the (n,) values of volume ``v``: its base and height, see :class:`Background`."""
        self._values[v] = values
        outside, level = self._values[v, : self._empty], self._occupancy.levels[v]
        base = np.float64(median(outside)) if self._empty else np.float64(0)
        height = np.float64(_height(level, base))
        self._base[v], self._height[v] = base, height
        return base, height

    def background(self, progress: Progress) -> Background:
        """Of all volumes, once each was added."""
        empty, base, height = self._empty, self._base, self._height
        values = _in_heights(self._values, base, height, np.float32, progress)
        noise, effective = 0.0, []
        for part, percentile in (
            (slice(empty), constants.BACKGROUND_PERCENTILE),
            (slice(empty, None), 50.0),
        ):
            if not len(self.voxels[part]):
                continue
            progress.step(PHASE)
            spread = values[:, part].std(axis=0) / np.maximum(values[:, part].mean(axis=0), 1)
            noise = max(noise, float(np.percentile(spread, percentile)))
            effective.append(
                effective_volumes(
                    values[:, part], self.voxels[part], self._occupancy.grid, progress
                )
            )
        result = Background(base, height, noise, _least_known(effective))
        kept_with(self._occupancy).background = result
        return result


def effective_volumes(
    values: NDArray[np.floating],
    voxels: NDArray[np.int64],
    grid: Grid,
    progress: Progress | None = None,
) -> float:
    """How many independent volumes an ensemble is worth.

    3 + 1 / Var(Fisher's z) of the correlations of distant voxels that should not vary: V for V
    independent volumes, and about the number of latent dimensions for points of a linear subspace.

    Parameters
    ----------
    values : (V, n) of background voxels, each volume's on a common scale
    voxels : (n,) flat indices

    Returns
    -------
    At most V; NaN if they do not vary, as the background of masked maps.
    """
    progress = progress or Progress()
    progress.step(PHASE)
    varies = np.ptp(values, axis=0) > 0
    progress.step(PHASE)
    spread = np.where(varies, values.std(axis=0), 0)  # equal ones round to > 0
    vary = np.flatnonzero(spread > constants.MIN_VARIATION * spread.max(initial=0))
    vary = vary[: constants.BACKGROUND_PAIRS]
    if len(vary) < constants.MIN_BACKGROUND_VOXELS or not spread.any():
        return float("nan")
    distances = noise_distance(voxels[vary][:, None], voxels[vary], grid)
    far = distances > constants.DISTANT_SHARE * min(grid.shape)
    first, second = np.nonzero(np.triu(far, 1))
    if len(first) < constants.MIN_BACKGROUND_PAIRS:
        return float("nan")
    progress.step(PHASE)
    r = np.corrcoef(values[:, vary].T.astype(np.float64))[first, second]
    z = np.arctanh(np.clip(r, -0.999999, 0.999999))
    return min(float(len(values)), float(3 + 1 / max(float(z.var()), 1e-9)))
