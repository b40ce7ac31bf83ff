"""Whether a block is in a volume: the one definition, for clustering, states, relations and
figures.

A block's *share* in a volume is the share of its voxels that is occupied there. Shares fall into
two groups, volumes with the block and volumes without, and the cut between them is the block's own:
at a level that is too high no volume has half of a block's voxels, and in noise every volume has
some.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants


def presence_cuts(shares: NDArray[np.floating], cut: float | None = None) -> NDArray[np.float64]:
    """(blocks,) the share above which each block is present.

    By 2-means (Lloyd 1982, doi 10.1109/TIT.1982.1056489) from the middle of the range: halfway
    between the means of the two groups that it parts. Where these means differ by less than
    PRESENCE_GAP there are no two groups, as with a block that is in all volumes, and half of the
    voxels decides.

    Parameters
    ----------
    shares : (blocks, V) of each block in each volume, 0 to 1
    cut : one cut for all blocks, in place of each block's own
    """
    shares = np.asarray(shares, np.float64)
    if cut is not None:
        return np.full(len(shares), cut)
    cuts, gap = _parted(shares)
    return np.where(gap < constants.PRESENCE_GAP, 0.5, cuts)


def are_two_groups(shares: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(blocks,) whether the means with and without a block differ by PRESENCE_GAP or more, so that
    the cut is the block's own.
    """
    return np.asarray(_parted(np.asarray(shares, np.float64))[1] >= constants.PRESENCE_GAP)


def separation(values: NDArray[np.floating], groups: NDArray[np.bool_]) -> float:
    """Share of the variance of (V,) values that is between two groups: 1 for two sharp ones, at
    most 3/4 for a uniform distribution; 0 if there is one group, or nothing varies.
    """
    share, variance = groups.mean(), values.var()
    if share in (0, 1) or variance == 0:
        return 0.0
    apart = values[groups].mean() - values[~groups].mean()
    return float(share * (1 - share) * apart**2 / variance)


def cut_intervals(
    shares: NDArray[np.floating], cut: float | None = None, seed: int = 0
) -> NDArray[np.float64]:
    """(blocks, 2) between which values each cut lies, by the bootstrap over volumes.

    A volume whose share is in between could be called either way.

    Parameters
    ----------
    shares : (blocks, V)
    cut : one cut for all blocks, which has no uncertainty
    seed : of the resamples
    """
    shares = np.asarray(shares, np.float64)
    if cut is not None:
        return np.full((len(shares), 2), cut)
    volumes, tail = shares.shape[1], 100 * (1 - constants.CUT_CONFIDENCE) / 2
    rng = np.random.default_rng(seed)
    drawn = np.empty((len(shares), constants.CUT_RESAMPLES))
    rows = max(1, min(constants.CUT_RESAMPLES, constants.TILE_VALUES // max(1, volumes)))
    for start in range(0, constants.CUT_RESAMPLES, rows):
        end = min(start + rows, constants.CUT_RESAMPLES)
        chosen = rng.integers(0, volumes, (end - start, volumes))
        for block, row in enumerate(shares):
            drawn[block, start:end] = presence_cuts(row[chosen])
    return np.percentile(drawn, [tail, 100 - tail], axis=1).T


def _parted(shares: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(blocks,) halfway between the means of two groups, and the difference of these means."""
    cuts = (shares.min(axis=1) + shares.max(axis=1)) / 2
    gap = np.zeros(len(shares))
    for _ in range(constants.PRESENCE_ROUNDS):
        above = shares > cuts[:, None]
        high = (shares * above).sum(axis=1) / np.maximum(above.sum(axis=1), 1)
        low = (shares * ~above).sum(axis=1) / np.maximum((~above).sum(axis=1), 1)
        before, cuts, gap = cuts, (high + low) / 2, high - low
        if np.array_equal(before, cuts):
            break
    return cuts, gap


def presence(shares: NDArray[np.floating], cut: float | None = None) -> NDArray[np.bool_]:
    """(blocks, V) in which volumes each block is present, see :func:`presence_cuts`."""
    cuts = presence_cuts(shares, cut).astype(shares.dtype)  # or 0.4 in float32 would be above 0.4
    return np.asarray(shares > cuts[:, None])
