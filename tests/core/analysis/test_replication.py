"""Replication: overlap against plain loops, chance on blocks placed at random, verdicts on planted
blocks.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats

from chimerax.siren.core.analysis.matching import match_blocks
from chimerax.siren.core.analysis.replication import (
    NOT_FOUND,
    PARTLY,
    REPLICATED,
    _adjusted,
    _Target,
    replication,
)
from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.common.errors import Cancelled
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.grid import Grid

SHAPE = (30, 32, 34)
GRID = Grid(SHAPE, (4.0, 4.0, 4.0))


def ball(z: float, y: float, x: float, radius: float) -> np.ndarray:
    place = np.indices(SHAPE)
    square = sum((p - c) ** 2 for p, c in zip(place, (z, y, x), strict=True))
    return np.flatnonzero(square <= radius**2)


REGION = ball(15, 16, 17, 12)


def zyx(voxels: np.ndarray) -> np.ndarray:
    return np.stack(np.unravel_index(voxels, SHAPE), axis=1)


def overlap_by_distance(one: np.ndarray, other: np.ndarray) -> float:
    """The same by distances: what is further than a voxel from the other set is not common."""

    def far(own: np.ndarray, from_set: np.ndarray) -> int:
        mask = np.ones(SHAPE, bool)
        mask.ravel()[from_set] = False
        return int((ndimage.distance_transform_cdt(mask, "taxicab").ravel()[own] > 1).sum())

    extra, missed = far(one, other), far(other, one)
    common = (len(one) - extra + len(other) - missed) / 2
    return common / (common + extra + missed)


@pytest.mark.parametrize("shift", [0, 1, 2, 4])
def test_the_overlap_is_that_by_distances_between_the_two_sets(shift):
    one, other = ball(10, 12, 14, 4), ball(10, 12 + shift, 14, 3.5)
    found = _Target(BlockSet(GRID, {3: other})).overlaps(zyx(one))
    assert found[0] == pytest.approx(overlap_by_distance(one, other))


def test_surfaces_that_are_a_voxel_off_cost_nothing_and_blocks_apart_share_nothing():
    target = _Target(BlockSet(GRID, {1: ball(10, 12, 14, 4), 2: ball(20, 20, 24, 3)}))
    thicker = ndimage.binary_dilation(
        np.isin(np.arange(GRID.size), ball(10, 12, 14, 4)).reshape(SHAPE)
    )
    assert target.overlaps(np.argwhere(thicker)).tolist() == [1, 0]


def found_again(first: dict[int, np.ndarray], second: dict[int, np.ndarray], **more):
    one, other = BlockSet(GRID, first), BlockSet(GRID, second)
    return replication(one, other, match_blocks(one, other), REGION, **more)


def test_a_block_at_its_place_is_replicated_and_one_elsewhere_not_found():
    one = {1: ball(10, 16, 17, 4), 3: ball(16, 10, 22, 3)}
    found = found_again(one, {5: ball(10, 17, 17, 4), 7: ball(15, 22, 22, 3)})
    assert [found[n].verdict for n in one] == [REPLICATED, NOT_FOUND]
    assert found[1].score > 0.8 and found[3].p == 1
    assert found[1].p <= 0.002 and found[1].iou < found[1].tolerant


def test_a_block_of_which_half_is_found_again_is_partly_replicated():
    block = ball(19, 20, 14, 5)
    half = block[zyx(block)[:, 0] >= 20]
    assert found_again({2: block}, {6: half})[2].verdict == PARTLY


def test_the_larger_the_blocks_for_the_region_the_more_they_overlap_by_chance():
    chances = [
        found_again({1: ball(15, 16, 17, r)}, {1: ball(15, 16, 17, r)}, placements=99)[1].chance
        for r in (2, 4, 8)
    ]
    assert 0 < chances[0] < chances[1] < chances[2] and chances[2] > 0.3


def test_blocks_placed_at_random_are_found_again_as_often_as_p_says():
    rng = np.random.default_rng(2)
    target = {n: ball(*zyx(REGION)[rng.integers(len(REGION))], 3.5) for n in range(6)}
    values = []
    for k in range(60):
        one = {1: ball(*zyx(REGION)[rng.integers(len(REGION))], 3.5)}
        values.append(found_again(one, target, placements=39, seed=k)[1].p)
    # of 60 about 3 with p <= 0.05; 8 or more have a chance of 1 %
    assert (np.array(values) <= 0.05).sum() <= 8


def test_q_is_that_of_scipy():
    p = [0.01, 0.4, 0.03, 0.03, 1.0, 0.002]
    assert _adjusted(p) == pytest.approx(stats.false_discovery_control(p, method="bh"))


def test_the_same_seed_gives_the_same_numbers_and_another_other_ones():
    one, other = {1: ball(10, 16, 17, 4)}, {1: ball(12, 16, 17, 4)}
    assert found_again(one, other, placements=49) == found_again(one, other, placements=49)
    other_seed = found_again(one, other, placements=49, seed=1)
    assert other_seed[1].chance != found_again(one, other, placements=49)[1].chance


def test_it_can_be_stopped_between_two_placements():
    progress, steps = Progress(), []

    def stop(phase: str, fraction: float) -> None:
        steps.append(phase)
        progress.cancel()

    progress._report = stop
    with pytest.raises(Cancelled):
        found_again({1: REGION}, {1: REGION}, placements=10_000, progress=progress)
    assert len(steps) == 1
