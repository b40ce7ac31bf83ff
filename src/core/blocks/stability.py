"""Confidence: does a block come back, and how strongly does each voxel belong?

Blocks are looked for again in random halves of the volumes, at levels that are 10 to 25 % lower or
higher above the background. Halves hold half of the evidence, so a block that comes back has
evidence to spare. Where a decoder made the volumes, the halves share its artifacts, and a false
block comes back in each of them; but most false blocks are surfaces that move across one level, and
at another level there is another surface (devel/benchmarks/decoders.md). An expansion lets blocks
grow again by majorities, whatever rule made them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from .background import Background
from .blockset import BlockSet
from .occupancy import Occupancy
from .profiles import held, rest_correlations, row_tiles

COMING_BACK = "asking whether blocks come back"  # the phase, in words
VOLUMES_AT_ONCE = 32  # binarized: many small steps take longer than what they do


def draw_halves(
    blocks: Sequence[NDArray[np.int64]],
    others: NDArray[np.int64],
    volumes: int,
    resamples: int,
    seed: int,
) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    """Draw random halves of the volumes, and for each half the voxels to look at.

    The voxels are half of each block's, at most MAX_DRAWN_VOXELS, and as many of the others: enough
    to recognize a block, though with fewer empty voxels to mistake for it than the sketch had.
    Halves come in complementary pairs, so a block is looked for in volumes that did not show it
    before.

    Parameters
    ----------
    blocks : flat indices of each block's voxels
    others : flat indices of tested voxels in no block
    volumes : V
    resamples : number of halves
    seed : of the draws

    Returns
    -------
    For each half, (V,) bool and (n,) flat indices, ascending; empty if no half could show a block.

    References
    ----------
    Shah & Samworth 2013, doi 10.1111/j.1467-9868.2011.01034.x, for the pairs. Their bound on false
    selections needs exchangeable ones, and is not claimed here.
    """
    result: list[tuple[NDArray[np.bool_], NDArray[np.int64]]] = []
    if not len(blocks) or volumes < 4:
        return result
    rng = np.random.default_rng((seed, resamples))
    while len(result) < resamples:
        half = ~result[-1][0] if len(result) % 2 else rng.permutation(volumes) < volumes // 2
        inside = [_draw(b, min(constants.MAX_DRAWN_VOXELS, -(-len(b) // 2)), rng) for b in blocks]
        outside = _draw(others, min(len(others) // 2, sum(map(len, inside))), rng)
        result.append((half, np.unique(np.concatenate([*inside, outside]))))
    return result


def halves_at_other_levels(
    ensemble: Ensemble,
    occupancy: Occupancy,
    background: Background,
    halves: Sequence[tuple[NDArray[np.bool_], NDArray[np.int64]]],
    progress: Progress,
) -> list[Occupancy]:
    """Read the volumes, and binarize each half at its own levels, LEVEL_FACTORS in turn.

    A factor multiplies the height of each volume's level above its background.

    Parameters
    ----------
    ensemble : Ensemble with the V volumes of ``occupancy``
    background : of these volumes
    halves : (V,) bool and the (n,) flat indices, ascending, that are needed of each
    """
    factors = np.resize(constants.LEVEL_FACTORS, (len(halves), 1))  # again from the first
    levels = occupancy.levels + (factors - 1) * background.height
    bits: list[list[NDArray[np.uint8]]] = [[] for _ in halves]
    chosen, phase = ensemble.of(occupancy.names), "reading volumes at other levels"
    empty = np.empty(0, np.int64)
    every, places = np.unique(
        np.concatenate([empty, *(voxels for _, voxels in halves)]), return_inverse=True
    )
    ends = np.cumsum([len(voxels) for _, voxels in halves])
    parts = np.split(places, ends[:-1])
    some = np.empty((max(1, min(VOLUMES_AT_ONCE, len(occupancy))), len(every)), np.float32)
    for v, (_, values) in enumerate(chosen.read_voxels(every, progress, phase)):
        some[v % len(some)] = values
        first, count = v - v % len(some), v % len(some) + 1
        if count < len(some) and v < len(occupancy) - 1:
            continue
        for k, (half, _) in enumerate(halves):
            rows = np.flatnonzero(half[first : first + count])
            at = levels[k, first + rows, None].astype(np.float32)
            bits[k].append(np.packbits(some[rows].take(parts[k], axis=1) > at, axis=1))
    names = np.array(occupancy.names)
    return [
        replace(
            occupancy,
            names=tuple(names[half].tolist()),
            levels=levels[k, half],
            bits=np.concatenate(bits[k]),
            among=voxels,
        )
        for k, (half, voxels) in enumerate(halves)
    ]


def recovery_rate(
    blocks: Sequence[NDArray[np.int64]],
    found: Sequence[Sequence[NDArray[np.int64]]],
    drawn: Sequence[NDArray[np.int64]],
) -> list[float]:
    """Share of the halves in which each block comes back.

    It does if one of the blocks found there has a Jaccard index above 1/2 with it, over the voxels
    that were drawn.

    Parameters
    ----------
    blocks : flat indices of each block's voxels
    found : for each half, the flat indices of each block found
    drawn : for each half, the flat indices of the voxels looked at

    References
    ----------
    Hennig 2007, doi 10.1016/j.csda.2006.11.025 (Jaccard index over resamples).
    """
    ordered = [np.sort(b) for b in blocks]
    back = [
        _best_matches(ordered, one, voxels) > constants.SAME_BLOCK
        for one, voxels in zip(found, drawn, strict=True)
    ]
    return np.mean(back, axis=0).tolist() if back else [0.0] * len(blocks)


def _draw(voxels: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.choice(voxels, count, replace=False) if count else voxels[:0]


def _best_matches(
    blocks: Sequence[NDArray[np.int64]],
    found: Sequence[NDArray[np.int64]],
    drawn: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(B,) largest Jaccard index of each block, ascending flat indices, with those found, over the
    voxels drawn.
    """
    inside = np.array([held(block, drawn) for block in blocks]).reshape(len(blocks), len(drawn))
    own, best = inside.sum(axis=1), np.zeros(len(blocks))
    for voxels in found:
        if len(voxels):
            at = np.searchsorted(drawn, voxels)
            known = drawn.take(at, mode="clip") == voxels if len(drawn) else np.zeros(0, bool)
            shared = inside[:, at[known]].sum(axis=1)
            np.maximum(best, shared / (own + len(voxels) - shared), out=best)
    return best


def with_strength(
    blocks: BlockSet, occupancy: Occupancy, progress: Progress | None = None
) -> BlockSet:
    """The same blocks with each voxel's membership strength.

    The correlation, over the volumes, of the voxel's occupancy with the share of the block's other
    voxels that is occupied: 1 if it always comes and goes with them, 0 if it is unrelated.
    """
    progress = progress or Progress()
    strengths: dict[int, NDArray[np.float32]] = {}
    for number, voxels in blocks:
        progress.step("weighing voxels", len(strengths) / len(blocks))
        whole = occupancy.counts(voxels)
        strengths[number] = np.concatenate(
            [
                rest_correlations(occupancy.rows(voxels[part]), whole[None])[:, 0]
                for part in row_tiles(len(voxels), len(occupancy))
            ]
        ).astype(np.float32)
    return replace(blocks, strength=strengths)
