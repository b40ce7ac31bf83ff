"""What comes, leaves and passes in and around a block: whether it moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..maps.grid import Grid
from .dilation import dilated

Densities = NDArray[np.float64]


@dataclass(frozen=True)
class Around:
    """Mean densities of the n voxels in and around a block, in levels above the background.

    Changes below MIN_LOSS of the block's own do not count, nor does density below LEFT_DENSITY.

    Attributes
    ----------
    voxels : (n,) flat indices, ascending
    grid : Grid
    present, absent : (n,) in the volumes with the block, and without
    rise : of the block itself
    """

    voxels: NDArray[np.int64]
    grid: Grid
    present: Densities
    absent: Densities
    rise: float

    @property
    def exchange(self) -> float:
        """Density that leaves as the block comes, over density that comes."""
        return self._over_coming((self.absent - self.present)[self._leaves].sum())

    def passing(self, between: Densities, before: Densities, after: Densities) -> float:
        """Density that is there while the block is half there, neither before nor after, and within
        PASSING_REACH of both density that comes and density that leaves; over density that comes.

        Parameters
        ----------
        between : (n,) in the volumes in which the block is half there
        before, after : (n,) in the other volumes without it and with it
        """
        high = np.maximum(before, after)
        passes = self._risen(between, high)
        for side in (self._comes, self._leaves):
            if not (side.any() and passes.any()):
                return 0.0
            near = dilated(self.voxels[side], self.grid, constants.PASSING_REACH)
            passes &= np.isin(self.voxels, near, assume_unique=True)
        return self._over_coming((between - high)[passes].sum())

    @property
    def _comes(self) -> NDArray[np.bool_]:
        return self._risen(self.present, self.absent)

    @property
    def _leaves(self) -> NDArray[np.bool_]:
        return self._risen(self.absent, self.present)

    def _risen(self, there: Densities, before: Densities) -> NDArray[np.bool_]:
        enough = there - before > constants.MIN_LOSS * self.rise
        return np.asarray(enough & (there > constants.LEFT_DENSITY), np.bool_)

    def _over_coming(self, density: float) -> float:
        come = float((self.present - self.absent)[self._comes].sum())
        return float(density) / come if come > 0 else 0.0


def half_there(shares: NDArray[np.floating], present: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(B, V) in which volumes each block is neither quite there nor quite gone.

    Its share is within HALF_THERE of the way from the mean of the volumes without it to that of
    those with it, to either side of the middle.

    Parameters
    ----------
    shares : (B, V) of each block's voxels that is occupied
    present : (B, V)
    """
    values = np.asarray(shares, np.float64)
    high, low = (
        (values * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        for there in (present, ~present)
    )
    off = np.abs(values - (high + low)[:, None] / 2)
    return np.asarray(off < constants.HALF_THERE * (high - low)[:, None], np.bool_)


def passing_of(
    around: Around,
    sums: Densities,
    half_sums: Densities,
    present: NDArray[np.bool_],
    half: NDArray[np.bool_],
) -> float:
    """:meth:`Around.passing`, from sums over volumes; 0 if fewer than MIN_HALF_THERE tell, or
    are before or after.

    Parameters
    ----------
    sums, half_sums : (2, n) density summed over the volumes without and with the block; of these,
        over those in which it is half there
    present, half : (V,) in which volumes the block is there, and half there
    """
    others = np.array([(~present & ~half).sum(), (present & ~half).sum()])
    if min(half.sum(), *others) < constants.MIN_HALF_THERE:
        return 0.0
    before, after = (sums - half_sums) / others[:, None]
    return around.passing(half_sums.sum(axis=0) / half.sum(), before, after)
