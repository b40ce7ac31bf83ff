"""Junk volumes: failed reconstructions, empty or smeared, that would form blocks of their own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..compute.pair_tiles import unpack_occupancy
from .occupancy import Occupancy, counts_of_rows

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
    search = _Search(occupancy, compared, len(compared) + empty, progress or Progress())
    some = np.arange(volumes)
    if volumes > 2 * constants.SIMILARITY_VOLUMES_AT_ONCE:
        rng = np.random.default_rng(SEED)
        some = np.sort(rng.choice(volumes, constants.SIMILARITY_VOLUMES_AT_ONCE, replace=False))
    nearest, holding = np.full((2, volumes), np.nan)
    nearest[some], holding[some], of_some = search.nearest(some, bounding=len(some) < volumes)
    usual = float(np.median(nearest[some]))
    if usual <= least:
        return np.zeros(volumes, bool)
    others = counts_of_rows(search.bits, volumes, occupancy.frequency[compared] - 1)
    inside = others / np.maximum(search.held, 1)  # others that have a voxel, on average
    unlike = inside < np.median(inside)
    if len(some) < volumes:
        # all of thousands with each other would take minutes: those only that few of some are like
        doubtful = unlike & np.isnan(nearest) & (of_some < constants.JUNK_SIMILARITY * usual)
        rest = np.flatnonzero(doubtful)
        nearest[rest], holding[rest], _ = search.nearest(rest)
    unlike &= nearest < constants.JUNK_SIMILARITY * usual  # where it is not known, it is no less
    return np.asarray(unlike & (holding < constants.JUNK_SIMILARITY))


class _Search:
    """The volumes, to be compared with each other by ``count`` voxels, of which all but
    ``compared`` are empty.

    Attributes
    ----------
    bits : (n, ceil(V / 8)) uint8, packed occupancy of the voxels compared
    held : (V,) how many of them are occupied in each volume
    """

    def __init__(
        self, occupancy: Occupancy, compared: NDArray[np.int64], count: int, progress: Progress
    ):
        self._volumes, self._count, self._progress = len(occupancy), count, progress
        self.bits = occupancy.packed(compared)
        self.held = counts_of_rows(self.bits, len(occupancy))
        # voxels that are the same in all volumes need no product
        frequency = occupancy.frequency[compared]
        self._always = int(np.count_nonzero(frequency == len(occupancy)))
        self._varying = self.bits[(frequency > 0) & (frequency < len(occupancy))]
        self._share = self.held / count
        self._sd = np.sqrt(self._share * (1 - self._share))

    def nearest(
        self, rows: NDArray[np.integer], bounding: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """(n,) likeness and (n,) holding of n volumes; and (V,) a bound on the likeness of all,
        if that is asked for.

        The bound is a volume's similarity to those of the n at twice the rank, relative to their
        number: as many are like it among all volumes, but for a chance of 1 in 10,000.
        """
        volumes, share = self._volumes, self._share
        rank = max(2, round(constants.NEAREST_SHARE * volumes))
        nearest, holding = np.empty((2, len(rows)))
        bound = np.full(volumes, -1.0)
        each = max(1, constants.TILE_VALUES // (4 * volumes))  # a tenth of a second
        few_rows = max(1, 2 * constants.CACHED_VALUES // volumes)
        # some volumes at a time: all of thousands with each other would not fit into memory
        for start in range(0, len(rows), constants.SIMILARITY_VOLUMES_AT_ONCE):
            part = slice(start, start + constants.SIMILARITY_VOLUMES_AT_ONCE)
            some = rows[part]
            common = self._common(some, start / len(rows), len(some) / len(rows))
            done = (start + len(some)) / len(rows)
            for first in range(0, len(some), few_rows):
                self._progress.step("looking for junk", done)
                lines = slice(first, first + few_rows)
                few = some[lines]
                own = (np.arange(len(few)), few)
                these = share[few, None]
                covariance = common[lines] / self._count - these * share
                similarity = covariance / np.maximum(np.outer(self._sd[few], self._sd), 1e-12)
                place = slice(start + first, start + first + len(few))
                nearest[place] = _of_nearest(similarity, own, rank)
                common[lines] = similarity
                most = (1 - these) * share  # the covariance if a volume holds another
                holds = np.where(these >= share, covariance / np.maximum(most, 1e-12), -1)
                holding[place] = _of_nearest(holds, own, rank)
            if bounding:
                at = len(some) - min(len(some), max(2, round(2 * rank / volumes * len(some))))
                for first in range(0, volumes, each):
                    self._progress.step("looking for junk", done)
                    lines = slice(first, first + each)
                    of_some = np.partition(common[:, lines], at, axis=0)[at]
                    np.maximum(bound[lines], of_some, out=bound[lines])
        return nearest, holding, bound

    def _common(self, rows: NDArray[np.integer], done: float, share: float) -> NDArray[np.float64]:
        """(n, V) how many of the voxels two volumes have in common; ``share`` of the work, of which
        some is ``done``.
        """
        volumes, voxels = self._volumes, len(self._varying)
        common = np.full((len(rows), volumes), float(self._always))
        # in parts, so that a stop is answered promptly
        each = constants.SIMILARITY_VOXELS_AT_ONCE
        each = max(250, min(each, constants.SIMILARITY_VALUES_AT_ONCE // volumes))
        for first in range(0, voxels, each):
            self._progress.step("looking for junk", done + first / voxels * share)
            part = unpack_occupancy(self._varying[first : first + each], volumes)
            common += part[:, rows].T @ part if len(rows) < volumes else part.T @ part
        return common


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
