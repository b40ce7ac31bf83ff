"""Matching blocks of two sets: against all assignments, and on splits made by hand."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from chimerax.siren.core.analysis.matching import match_blocks, shared_voxels
from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.common import constants
from chimerax.siren.core.maps.grid import Grid

GRID = Grid((6, 7, 8), (4.0, 4.0, 4.0))


def blocks(**voxels: list[int] | range) -> BlockSet:
    """Blocks by name ``b3``."""
    return BlockSet(GRID, {int(n[1:]): np.array(sorted(v), np.int64) for n, v in voxels.items()})


def iou(one: np.ndarray, other: np.ndarray) -> float:
    a, b = set(one.tolist()), set(other.tolist())
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("seed", range(6))
def test_the_sum_of_iou_is_the_largest_of_all_assignments(seed):
    rng = np.random.default_rng(seed)
    sets = [
        BlockSet(GRID, {n: np.sort(rng.choice(60, rng.integers(5, 40), replace=False)) for n in k})
        for k in ((1, 2, 4), (3, 5, 6, 9))
    ]
    found = match_blocks(*sets)
    best = max(
        sum(iou(sets[0].blocks[a], sets[1].blocks[b]) for a, b in zip((1, 2, 4), some, strict=True))
        for some in permutations((3, 5, 6, 9), 3)
    )
    kept = [found.iou_of(a, b) for a, b in found.pairs]
    assert all(v >= constants.MIN_MATCH for v in kept)
    # what was dropped is below the least that is a match
    assert best - (3 - len(kept)) * constants.MIN_MATCH <= sum(kept) <= best + 1e-9
    for a, b in found.pairs:
        assert found.iou_of(a, b) == pytest.approx(iou(sets[0].blocks[a], sets[1].blocks[b]))


def test_shared_voxels_count_a_voxel_in_several_blocks_in_each():
    one, other = blocks(b1=range(10), b2=range(5, 15)), blocks(b7=range(8, 12))
    assert shared_voxels(one, other).tolist() == [[2], [4]]
    assert shared_voxels(one, blocks()).shape == (2, 0)


def test_a_split_a_merge_and_what_is_new_and_gone_are_named():
    one = blocks(b1=range(40), b3=range(60, 70), b4=range(70, 78), b5=range(200, 220))
    other = blocks(b2=range(22), b5=range(22, 40), b6=range(60, 78), b7=range(300, 310))
    found = match_blocks(one, other)
    assert found.splits == {1: (2, 5)} and found.merges == {6: (3, 4)}
    assert found.gone == (5,) and found.new == (7,)
    assert found.partner(1) == 2 and found.partner(3) == 6 and found.partner(4) is None
    assert found.sentences("A", "B") == [
        "Block 1 of A is blocks 2 and 5 of B (IoU of the whole 1.00).",
        "Blocks 3 and 4 of A are block 6 of B (IoU of the whole 1.00).",
        "Only in A: block 5 (no block of B overlaps with an IoU of 0.2).",
        "Only in B: block 7 (no block of A overlaps with an IoU of 0.2).",
    ]


def test_a_block_with_a_speck_of_another_beside_it_is_not_split():
    found = match_blocks(blocks(b1=range(40)), blocks(b1=range(40), b2=range(39, 60)))
    assert found.pairs == ((1, 1),) and not found.splits and found.new == (2,)


def test_the_same_set_matches_itself_whatever_its_numbers():
    one = blocks(b1=range(30), b2=range(30, 50), b3=range(60, 65))
    other = blocks(b7=range(60, 65), b8=range(30), b9=range(30, 50))
    found = match_blocks(one, other)
    assert found.pairs == ((1, 8), (2, 9), (3, 7)) and found.sentences() == []
    assert [found.iou_of(*p) for p in found.pairs] == [1, 1, 1]
