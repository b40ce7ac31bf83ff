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
    cuts = (shares.min(axis=1) + shares.max(axis=1)) / 2
    gap = np.zeros(len(shares))
    for _ in range(constants.PRESENCE_ROUNDS):
        above = shares > cuts[:, None]
        high = (shares * above).sum(axis=1) / np.maximum(above.sum(axis=1), 1)
        low = (shares * ~above).sum(axis=1) / np.maximum((~above).sum(axis=1), 1)
        before, cuts, gap = cuts, (high + low) / 2, high - low
        if np.array_equal(before, cuts):
            break
    return np.where(gap < constants.PRESENCE_GAP, 0.5, cuts)


def presence(shares: NDArray[np.floating], cut: float | None = None) -> NDArray[np.bool_]:
    """(blocks, V) in which volumes each block is present, see :func:`presence_cuts`."""
    cuts = presence_cuts(shares, cut).astype(shares.dtype)  # or 0.4 in float32 would be above 0.4
    return np.asarray(shares > cuts[:, None])
