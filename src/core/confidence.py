"""How sure a block is: does it come back in other volumes, and how strongly does each voxel belong to it?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .blocks import BlockSet
from .occupancy import Occupancy
from .progress import Progress

JUDGED = 50  # voxels by which a block is told again: enough to say "more than half of it", few enough to be quick
SAME = 0.5  # Jaccard index above which two sets of voxels are one block: no two found blocks can both be above
TILE = 4096  # voxels looked at together

# occupancy of some volumes, flat indices of some voxels -> the blocks among these voxels, as flat indices
Find = Callable[[Occupancy, NDArray[np.int64]], Sequence[NDArray[np.int64]]]


def stability(blocks: Sequence[NDArray[np.int64]], others: NDArray[np.int64], occupancy: Occupancy, find: Find, resamples: int,
              seed: int, progress: Progress) -> list[float]:
    """How often each block comes back in a random half of the volumes and of the voxels.

    Halves come in pairs that have no volume in common, so a block is seen again in volumes that did not show it before. It came
    back when one of the blocks found has a Jaccard index above 1/2 with it, over the voxels that were drawn.

    Parameters
    ----------
    blocks : flat indices of each block's voxels
    others : flat indices of tested voxels in no block
    occupancy : of all volumes
    find : the method, as it found the blocks
    resamples : number of halves
    seed : of the draws

    Returns
    -------
    Share of the halves in which each came back, 0 to 1.

    References
    ----------
    Hennig 2007, doi 10.1016/j.csda.2006.11.025 (Jaccard index over resamples); Shah & Samworth 2013,
    doi 10.1111/j.1467-9868.2011.01034.x (complementary halves).
    """
    volumes = len(occupancy)
    back = np.zeros(len(blocks))
    if not len(blocks) or not resamples or volumes < 4:
        return back.tolist()
    rng = np.random.default_rng((seed, resamples))
    for turn in range(resamples):
        if turn % 2 == 0:
            first = rng.permutation(volumes) < volumes // 2
        half = first if turn % 2 == 0 else ~first
        inside = [_draw(b, min(JUDGED, -(-len(b) // 2)), rng) for b in blocks]
        outside = _draw(others, min(len(others) // 2, sum(map(len, inside))), rng)
        drawn = np.unique(np.concatenate([*inside, outside]))
        found = find(occupancy.without(~half), drawn)
        back += [_best_match(b, found, drawn) > SAME for b in blocks]
        progress.step("asking whether blocks come back", (turn + 1) / resamples)
    return (back / resamples).tolist()


def _draw(voxels: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.choice(voxels, count, replace=False) if count else voxels[:0]


def _best_match(block: NDArray[np.int64], found: Sequence[NDArray[np.int64]], drawn: NDArray[np.int64]) -> float:
    """Largest Jaccard index of a block with those found, over the drawn voxels."""
    own = np.intersect1d(block, drawn)
    shared = [len(np.intersect1d(own, f)) for f in found]
    return max((s / (len(own) + len(f) - s) for s, f in zip(shared, found, strict=True) if len(f)), default=0.0)


def with_strength(blocks: BlockSet, occupancy: Occupancy, progress: Progress | None = None) -> BlockSet:
    """The same blocks with each voxel's membership strength: its occupancy's correlation over the volumes with the occupancy of
    the rest of its block (the share of the other voxels that is occupied). 1: always there with them; 0: unrelated.
    """
    progress = progress or Progress()
    strengths: dict[int, NDArray[np.float32]] = {}
    for number, voxels in blocks:
        progress.step("weighing voxels", len(strengths) / len(blocks))
        tiles = [voxels[start:start + TILE] for start in range(0, len(voxels), TILE)]
        whole = np.sum([occupancy.rows(t).sum(axis=0, dtype=np.float64) for t in tiles], axis=0)  # (V,) occupied voxels
        strengths[number] = np.concatenate([_with_the_rest(occupancy.rows(t), whole) for t in tiles])
    return replace(blocks, strength=strengths)


def _with_the_rest(rows: NDArray[np.float32], whole: NDArray[np.float64]) -> NDArray[np.float32]:
    """(n,) correlation of each (n, V) row with ``whole``, the sum of it and others, less itself; 0 where either is constant."""
    centred = whole - whole.mean()
    mean = rows.mean(axis=1, dtype=np.float64)
    own = mean * (1 - mean) * rows.shape[1]
    common = rows @ centred.astype(np.float32)  # sum over the volumes of row * whole, both centred
    rest = (centred**2).sum() - 2 * common + own
    length = np.sqrt(np.maximum(own * rest, 0))
    return np.divide(common - own, length, out=np.zeros(len(rows)), where=length > 1e-6).astype(np.float32)
