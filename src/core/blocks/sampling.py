"""The voxels that a sketch compares: a random part, small enough for the time and the memory that people have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError
from ..common.progress import Progress
from ..compute.resources import LONG, MUCH, fits, need_of_pairs, refusal
from .occupancy import Occupancy
from .pair_counts import TestParameters, significant_pairs
from .similarity import MOST_SAMPLED, NEIGHBOURS

USUAL_SUBSAMPLE = 2  # as published
MOST_COUNTED = 40_000  # voxels whose pairs are counted, where the user does not say: a minute
MOST_EDGES = 20e6  # pairs that go together, where the user does not say: 2 GB while they are clustered
FEW_VOXELS = 2_000  # of the sample, by which edges are guessed


def affordable_sample(occupancy: Occupancy, union: NDArray[np.int64], subsample: int | None, seed: int, parameters: TestParameters,
                      progress: Progress) -> NDArray[np.int64]:
    """The voxels to compare, ascending flat indices: as many as asked for, or as time and memory allow; the user is told.

    Parameters
    ----------
    union : flat indices of the voxels that are occupied often enough
    subsample : one in so many; None: 2, or more where there are too many to compare
    seed : of the draw
    parameters : of the test that will compare them

    Raises
    ------
    SirenError
        If there are fewer than 2 voxels, or their comparison does not fit into memory.
    """
    most = MOST_SAMPLED if parameters.statistic == "profile" else MOST_COUNTED
    fewest = -(-len(union) // most)
    chosen = subsample if subsample is not None else max(USUAL_SUBSAMPLE, fewest)
    if parameters.statistic == "profile":
        chosen = max(chosen, fewest)  # more than that adds time and nothing else
    sample = draw_sample(union, chosen, seed)
    edges = float(NEIGHBOURS * len(sample))
    if parameters.statistic != "profile":
        edges = _edges_expected(occupancy, sample, seed, parameters, progress)
    if subsample is None and edges > MOST_EDGES:
        chosen = int(np.ceil(chosen * np.sqrt(edges / MOST_EDGES)))  # edges go with the square of the voxels
        sample = draw_sample(union, chosen, seed)
        edges = MOST_EDGES
    need = need_of_pairs(len(sample), len(occupancy), edges)
    if not fits(need):
        coarser, less = chosen, need
        while not fits(less) and len(union) // coarser > FEW_VOXELS:
            coarser *= 2
            less = need_of_pairs(len(union) // coarser, len(occupancy), edges * (chosen / coarser) ** 2)
        raise refusal(need, f'use "subsample {coarser}" ({less.text()}), or fewer volumes')
    if chosen > (subsample or USUAL_SUBSAMPLE) or need.seconds > LONG or need.memory > MUCH:
        progress.say(f"Comparing {len(sample):,} of {len(union):,} voxels (subsample {chosen}): {need.text()}.")
    return sample


def _edges_expected(occupancy: Occupancy, sample: NDArray[np.int64], seed: int, parameters: TestParameters,
                    progress: Progress) -> float:
    """How many pairs of a sample go together, from a part of it."""
    count = len(sample)
    if count <= FEW_VOXELS:
        return count * (count - 1) / 2
    part = np.sort(np.random.default_rng(seed).choice(sample, FEW_VOXELS, replace=False))
    found = significant_pairs(occupancy, part, parameters, progress.quiet(), of=count)
    return len(found.pairs) * (count / FEW_VOXELS) ** 2


def draw_sample(union: NDArray[np.int64], subsample: int, seed: int) -> NDArray[np.int64]:
    """A random 1/subsample of the union voxels, at least 2, ascending.

    Raises
    ------
    SirenError
        If there are fewer than 2 voxels.
    """
    if len(union) < 2:
        raise SirenError("No two voxels are occupied in enough volumes: the thresholds are too high for these maps, or unionFraction "
                         "is too large.")
    chosen = np.random.default_rng(seed).choice(len(union), max(2, len(union) // subsample), replace=False)
    return union[np.sort(chosen)]
