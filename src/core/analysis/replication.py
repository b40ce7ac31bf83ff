"""Is a block found again in an independent ensemble, or does it overlap with something there by
chance?

Two ensembles, such as those of two trainings on halves of the particles, share no volumes: only
places can be compared. For each block of A:

found again
    IoU (intersection over union) with its match in B, and the same if surfaces may be a voxel off,
    since the contour levels of two ensembles are never quite the same.
chance
    The block, as it is, is put at random into the region where blocks can be: turned at random,
    moved at random. Of PLACEMENT_TRIES such placements the one that lies in the region with most of
    its voxels counts. Its best IoU with any block of B is one value of chance. Among ``placements``
    of these, p is the share that reaches the observed overlap (the observed one counted among
    them), and q is p corrected for the number of blocks (Benjamini and Hochberg 1995).
score
    (IoU - chance) / (1 - chance), with the mean of chance: 0 is what chance gives, 1 the same
    voxels. Of the overlap with a voxel's tolerance.

Verdicts: REPLICATED if q <= 0.05 and the score is above 0.5, half of the way from chance to the
same voxels; PARTLY if q <= 0.05 and it is less; NOT_FOUND otherwise. That something is found again
says that it is in the data. It may still be an artifact that both trainings share: errors of the
poses, a mask, preferred views.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ..blocks.blockset import BlockSet
from ..common import constants
from ..common.progress import Progress
from .matching import Match

REPLICATED, PARTLY, NOT_FOUND = "replicated", "partly", "not found again"


@dataclass(frozen=True)
class Replication:
    """How well one block of A is found again in B.

    Attributes
    ----------
    iou : with its match; 0 without one
    tolerant : the same where surfaces may be a voxel off
    chance : mean of the tolerant overlap of random placements
    score : (tolerant - chance) / (1 - chance)
    p, q : of the tolerant overlap by chance, and corrected for the number of blocks
    verdict : REPLICATED, PARTLY or NOT_FOUND
    """

    iou: float
    tolerant: float
    chance: float
    score: float
    p: float
    q: float
    verdict: str


def replication(
    first: BlockSet,
    second: BlockSet,
    match: Match,
    region: NDArray[np.int64],
    placements: int = 999,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[int, Replication]:
    """Compare the overlap of matched blocks with that of random placements.

    Parameters
    ----------
    first, second : BlockSet A and B on one grid
    match : of these, see :func:`.matching.match_blocks`
    region : (n,) flat indices of the voxels where blocks can be
    placements : random ones of each block
    seed : of the placements
    progress : Progress, optional

    Returns
    -------
    by number of the blocks of A
    """
    progress = progress or Progress()
    target = _Target(second)
    inside = np.zeros(first.grid.shape, bool)
    inside.ravel()[region] = True
    raw: dict[int, tuple[float, float, float, float]] = {}
    for number, voxels in progress.each(first, "placing blocks at random", len(first)):
        partner = match.partner(number)
        if partner is None:
            raw[number] = (0.0, 0.0, 0.0, 1.0)
            continue
        zyx = np.stack(np.unravel_index(voxels, first.grid.shape), axis=1)
        observed = float(target.overlaps(zyx)[target.numbers.index(partner)])
        rng = np.random.default_rng([seed, number])
        placed = _placements(zyx, inside, region, placements, rng)
        by_chance = np.array(
            [target.overlaps(p).max() for p in progress.quiet().each(placed, "", placements)]
        )
        p = (1 + int((by_chance >= observed).sum())) / (1 + placements)
        raw[number] = (match.iou_of(number, partner), observed, float(by_chance.mean()), p)
    q = _adjusted([p for *_, p in raw.values()])
    found = {}
    for (number, (iou, observed, chance, p)), corrected in zip(raw.items(), q, strict=True):
        score = (observed - chance) / max(1 - chance, 1e-9)
        verdict = _verdict(score, float(corrected))
        found[number] = Replication(iou, observed, chance, score, p, float(corrected), verdict)
    return found


def _verdict(score: float, q: float) -> str:
    if score <= 0 or q > constants.REPLICATION_Q:
        return NOT_FOUND
    return REPLICATED if score > constants.REPLICATION_SCORE else PARTLY


def _adjusted(p: list[float]) -> NDArray[np.float64]:
    """Benjamini and Hochberg's q of p-values (n,)."""
    order = np.argsort(p, kind="stable")[::-1]
    ranks = np.arange(len(p), 0, -1)
    q = np.empty(len(p))
    q[order] = np.minimum(1, np.minimum.accumulate(np.array(p)[order] * len(p) / ranks))
    return q


class _Target:
    """The blocks of B, asked for their overlap with a set of voxels."""

    def __init__(self, blocks: BlockSet):
        shape = blocks.grid.shape
        self.numbers = [n for n, _ in blocks]
        self._zyx = [np.stack(np.unravel_index(v, shape), axis=1) for _, v in blocks]
        self._starts: list[NDArray[np.int64]] = []
        self._near: list[NDArray[np.uint8]] = []  # 2: in the block, 1: a voxel beside it
        for zyx in self._zyx:
            start, own = _boxed(zyx)
            self._starts.append(start)
            self._near.append(own.astype(np.uint8) + ndimage.binary_dilation(own, _AROUND))

    def overlaps(self, zyx: NDArray[np.integer]) -> NDArray[np.float64]:
        """(b,) overlap of voxels (n, 3) z, y, x with each block, where surfaces may be a voxel off:
        what both have, over all that either has; of these, what is no further than a voxel from
        the other counts as what both have.
        """
        result = np.zeros(len(self.numbers))
        start, own = _boxed(zyx)
        grown = ndimage.binary_dilation(own, _AROUND)
        for b, near in enumerate(self._near):
            values = _values(near, zyx - self._starts[b])
            if not (values == 2).any():
                continue
            block = self._zyx[b]
            extra = len(zyx) - np.count_nonzero(values)
            missed = len(block) - np.count_nonzero(_values(grown, block - start))
            common = (len(zyx) - extra + len(block) - missed) / 2
            result[b] = common / (common + extra + missed)
        return result


_AROUND = ndimage.generate_binary_structure(3, 1)  # the six voxels beside one


def _boxed(zyx: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The corner of the box around voxels (n, 3), with a margin of 1, and what is inside."""
    start = np.asarray(zyx.min(axis=0) - 1, np.int64)
    own = np.zeros(zyx.max(axis=0) - start + 2, bool)
    own[tuple((zyx - start).T)] = True
    return start, own


def _values(box: NDArray, zyx: NDArray[np.integer]) -> NDArray:
    """Values of a box at those of the voxels (n, 3) that are in it."""
    held = zyx[((zyx >= 0) & (zyx < box.shape)).all(axis=1)]
    return np.asarray(box[tuple(held.T)])


def _placements(
    zyx: NDArray[np.integer],
    inside: NDArray[np.bool_],
    region: NDArray[np.int64],
    count: int,
    rng: np.random.Generator,
) -> Iterator[NDArray[np.int64]]:
    """A set of voxels (n, 3), turned and moved at random, most of it in the region; so often."""
    tries = constants.PLACEMENT_TRIES
    turns = Rotation.random(count * tries, random_state=rng).as_matrix()
    middles = np.stack(np.unravel_index(rng.choice(region, count * tries), inside.shape), axis=1)
    centered = zyx - zyx.mean(axis=0)
    some = centered[:: max(1, len(centered) // constants.PLACEMENT_VOXELS)]
    for k in range(0, count * tries, tries):
        most, best = -1, k
        for t in range(k, k + tries):
            moved = np.rint(some @ turns[t].T + middles[t]).astype(np.int64)
            held = int(np.count_nonzero(_values(inside, moved)))
            if held > most:
                most, best = held, t
        yield np.rint(centered @ turns[best].T + middles[best]).astype(np.int64)
