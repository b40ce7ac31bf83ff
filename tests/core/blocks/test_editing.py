"""Edits of blocks: sets and their sizes by hand; pieces against scipy's labels and a flood fill,
and grown, shrunk and painted blocks against distances of every voxel to every other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.editing import (
    LONGEST_NAME,
    delete,
    grow,
    inside_sphere,
    merge,
    paint,
    pieces,
    rename,
    shrink,
    split,
    with_values_of,
)
from chimerax.siren.core.blocks.parameters import ShrinkParameters, SplitParameters
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.grid import Grid

GRID = Grid((9, 10, 11), (2.0, 3.0, 4.0), (-5.0, 7.0, 0.5))


def ids(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


BLOCKS = BlockSet(
    GRID,
    {1: ids(1, 2, 3), 4: ids(3, 8), 6: ids(20, 21)},
    ids(50),
    {1: 0.9, 4: 0.5, 6: 1.0},
    {1: np.ones(3, np.float32)},
    {4: "stalk", 6: "head"},
)


def contents(blocks: BlockSet) -> dict[int, list[int]]:
    return {n: v.tolist() for n, v in blocks}


def test_merged_blocks_have_all_voxels_once_the_smallest_number_and_the_first_name() -> None:
    merged = merge(BLOCKS, [6, 1, 4])
    assert contents(merged) == {1: [1, 2, 3, 8, 20, 21]}
    assert merged.names == {1: "stalk"}
    assert merge(BLOCKS, [1, 4]).names == {1: "stalk", 6: "head"}


def test_an_edit_leaves_the_set_it_started_from_alone() -> None:
    before = contents(BLOCKS), dict(BLOCKS.names), BLOCKS.unassigned.tolist()
    (
        merge(BLOCKS, [1, 4]),
        delete(BLOCKS, [1]),
        rename(BLOCKS, 1, "x"),
        split(BLOCKS, 1, [ids(1, 2), ids(3)]),
    )
    assert (contents(BLOCKS), BLOCKS.names, BLOCKS.unassigned.tolist()) == before


def test_what_is_known_of_a_block_is_forgotten_when_its_voxels_change_and_kept_else() -> None:
    assert merge(BLOCKS, [1, 4]).stability == {6: 1.0}
    assert split(BLOCKS, 6, [ids(20), ids(21)]).stability == {1: 0.9, 4: 0.5}
    assert list(merge(BLOCKS, [4, 6]).strength) == [1]
    edited = BlockSet(GRID, {1: ids(1, 2, 3), 4: ids(3)}, names={4: "new"})
    known = with_values_of(edited, BLOCKS)
    assert (known.stability, list(known.strength), known.names) == ({1: 0.9}, [1], {4: "new"})
    assert known.unassigned.tolist() == [8, 20, 21, 50]


def test_deleted_voxels_are_unassigned_unless_another_block_has_them() -> None:
    left = delete(BLOCKS, [1, 6])
    assert contents(left) == {4: [3, 8]}
    assert left.unassigned.tolist() == [1, 2, 20, 21, 50]
    assert left.names == {4: "stalk"}
    assert len(delete(BLOCKS, [1, 4, 6])) == 0


def test_a_name_is_one_line_and_an_empty_one_takes_it_away() -> None:
    assert rename(BLOCKS, 1, "  central \n protuberance ").names == {
        1: "central protuberance",
        4: "stalk",
        6: "head",
    }
    assert rename(BLOCKS, 4, " ").names == {6: "head"}
    # half a character, as of a file name of another encoding, which no file can hold
    assert rename(BLOCKS, 1, "caf\udce9").names[1] == "caf?"
    with pytest.raises(SirenError, match=f"at most {LONGEST_NAME}"):
        rename(BLOCKS, 1, "x" * (LONGEST_NAME + 1))


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (lambda: merge(BLOCKS, [1, 5]), "no block 5: there are 1, 4, 6"),
        (lambda: merge(BLOCKS, [4, 4]), "two or more"),
        (lambda: delete(BLOCKS, [2]), "no block 2"),
        (lambda: rename(BLOCKS, 9, "x"), "no block 9"),
        (lambda: split(BLOCKS, 1, [ids(1, 2, 3)]), "one piece"),
        (lambda: split(BLOCKS, 1, [ids(1, 2, 3), ids()]), "one piece"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(do: object, said: str) -> None:
    with pytest.raises(SirenError, match=said):
        do()  # type: ignore[operator]


def test_parts_of_a_split_block_are_numbered_after_the_largest_and_the_first_keeps_the_name() -> (
    None
):
    parts = split(BLOCKS, 4, [ids(8), ids(3)])
    assert contents(parts) == {1: [1, 2, 3], 4: [8], 6: [20, 21], 7: [3]}
    assert parts.names == {4: "stalk", 6: "head"}


@pytest.mark.parametrize("seed", range(4))
def test_pieces_at_a_gap_of_a_voxels_diagonal_are_scipys_labels_with_all_neighbors(
    seed: int,
) -> None:
    mask = np.random.default_rng(seed).random(GRID.shape) < 0.07
    labels, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    expected = sorted(sorted(np.flatnonzero(labels == k).tolist()) for k in range(1, count + 1))
    found = pieces(np.flatnonzero(mask), GRID, SplitParameters(gap=3**0.5, min_size=1))
    assert sorted(p.tolist() for p in found) == expected
    assert [len(p) for p in found] == sorted((len(p) for p in found), reverse=True)


@pytest.mark.parametrize("gap", [1.0, 2.0, 3.0])
def test_pieces_at_any_gap_are_those_of_a_flood_fill(gap: float) -> None:
    mask = np.random.default_rng(7).random(GRID.shape) < 0.04
    left = {tuple(v) for v in np.argwhere(mask).tolist()}
    expected = []
    while left:
        piece, edge = set(), [left.pop()]
        while edge:
            here = edge.pop()
            piece.add(here)
            near = {
                v for v in left if sum((a - b) ** 2 for a, b in zip(v, here, strict=True)) <= gap**2
            }
            left -= near
            edge.extend(near)
        expected.append(sorted(int(np.ravel_multi_index(v, GRID.shape)) for v in piece))
    found = pieces(np.flatnonzero(mask), GRID, SplitParameters(gap=gap, min_size=1))
    assert sorted(p.tolist() for p in found) == sorted(expected)


def test_specks_stay_with_the_nearest_piece_and_no_voxel_is_lost() -> None:
    mask = np.zeros(GRID.shape, bool)
    mask[0:3, 0:3, 0:3] = mask[6:9, 7:10, 8:11] = True
    mask[0, 0, 6] = mask[8, 9, 4] = True  # specks: near the first corner, and near the second box
    found = pieces(np.flatnonzero(mask), GRID)
    assert [len(p) for p in found] == [28, 28]
    assert np.ravel_multi_index((0, 0, 6), GRID.shape) in found[0]
    assert np.ravel_multi_index((8, 9, 4), GRID.shape) in found[1]
    assert np.array_equal(np.sort(np.concatenate(found)), np.flatnonzero(mask))


def test_a_block_in_one_piece_is_one_piece_and_so_is_one_of_specks() -> None:
    mask = np.zeros(GRID.shape, bool)
    mask[2:6, 2:6, 2:6] = True
    assert len(pieces(np.flatnonzero(mask), GRID)) == 1
    assert len(pieces(ids(0, 500), GRID)) == 1


def test_half_of_a_boxs_voxels_are_one_piece_as_a_sketch_leaves_them() -> None:
    mask = np.random.default_rng(0).random(GRID.shape) < 0.5
    assert len(pieces(np.flatnonzero(mask), GRID)) == 1


def test_a_sphere_is_in_angstrom_and_in_the_frame_of_the_maps() -> None:
    voxels = np.arange(GRID.size)
    outside, inside = inside_sphere(voxels, GRID, (-5 + 2.0 * 5, 7 + 3.0 * 4, 0.5 + 4.0 * 3), 6.0)
    expected = [
        int(np.ravel_multi_index((z, y, x), GRID.shape))
        for z in range(9)
        for y in range(10)
        for x in range(11)
        if (2 * (x - 5)) ** 2 + (3 * (y - 4)) ** 2 + (4 * (z - 3)) ** 2 <= 36
    ]
    assert inside.tolist() == expected
    assert len(outside) + len(inside) == GRID.size


@pytest.mark.parametrize("gap", [1.0, 2.0, 3.3, 5.0])
def test_pieces_of_many_voxels_are_those_of_the_graph_of_all_close_pairs(gap: float) -> None:
    grid = Grid((40, 30, 35), (1.0, 1.0, 1.0))
    voxels = np.flatnonzero(np.random.default_rng(3).random(grid.size) < 0.02)
    zyx = np.stack(np.unravel_index(voxels, grid.shape), axis=1)
    graph = cdist(zyx, zyx) <= gap
    count, label = connected_components(graph, directed=False)
    found = pieces(voxels, grid, SplitParameters(gap=gap, min_size=1))
    assert len(found) == count
    assert sorted(p.tolist() for p in found) == sorted(
        voxels[label == k].tolist() for k in range(count)
    )


def zyx_of(voxels: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack(np.unravel_index(voxels, GRID.shape), axis=1)


ALL = np.arange(GRID.size)


def distances(voxels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of every voxel of the grid to the nearest of these."""
    return np.asarray(cdist(zyx_of(ALL), zyx_of(voxels)).min(axis=1))


def scattered(seed: int, share: float) -> NDArray[np.int64]:
    return np.flatnonzero(np.random.default_rng(seed).random(GRID.size) < share)


@pytest.mark.parametrize("by", [1.0, 1.5, 2.0, 3.0])
def test_a_grown_block_has_all_voxels_within_reach_that_no_other_block_has(by: float) -> None:
    own, other = scattered(1, 0.02), scattered(2, 0.05)
    grown = grow(BlockSet(GRID, {3: own, 5: other}, ids(700)), [3], by)
    expected = ALL[(distances(own) <= by) & (~np.isin(ALL, other) | np.isin(ALL, own))]
    assert grown.blocks[3].tolist() == expected.tolist()
    assert grown.blocks[5].tolist() == other.tolist()
    assert (700 in grown.unassigned) == (700 not in expected)


def test_a_voxel_that_two_growing_blocks_reach_goes_to_the_nearest_then_the_first() -> None:
    one, two = scattered(1, 0.01), np.setdiff1d(scattered(2, 0.01), scattered(1, 0.01))
    grown = grow(BlockSet(GRID, {7: two, 2: one}), [7, 2], 3)
    first, second = distances(one), distances(two)
    taken = np.isin(ALL, np.concatenate([one, two]))
    to_one = ALL[np.isin(ALL, one) | (~taken & (first <= 3) & (first <= second))]
    to_two = ALL[np.isin(ALL, two) | (~taken & (second <= 3) & (second < first))]
    assert (grown.blocks[2].tolist(), grown.blocks[7].tolist()) == (
        to_one.tolist(),
        to_two.tolist(),
    )


def test_growth_into_what_is_allowed_does_not_jump_to_what_is_not_connected() -> None:
    mask = np.zeros(GRID.shape, bool)
    mask[2:4, 2:4, 2:4] = True
    allowed = np.zeros(GRID.shape, bool)
    allowed[2, 2, 4:6] = True  # touches the block
    allowed[4, 4, 4] = True  # by a corner
    allowed[2, 6, 2] = True  # two voxels away, across a gap
    allowed[2, 2, 7] = True  # connected, were it not too far
    one = np.flatnonzero(mask)
    grown = grow(BlockSet(GRID, {1: one}), [1], 3, {1: np.flatnonzero(allowed)})
    added = zyx_of(np.setdiff1d(grown.blocks[1], one)).tolist()
    assert added == [[2, 2, 4], [2, 2, 5], [4, 4, 4]]


@pytest.mark.parametrize("by", [1.0, 1.5, 2.0])
def test_a_shrunk_solid_block_is_what_scipys_erosion_leaves(by: float) -> None:
    mask = np.zeros(GRID.shape, bool)
    mask[0:8, 1:9, 1:11] = True  # at the edge of the box
    ball = np.hypot(np.hypot(*np.ogrid[-2:3, -2:3])[None], np.arange(-2, 3)[:, None, None]) <= by
    left = shrink(BlockSet(GRID, {1: np.flatnonzero(mask)}), [1], ShrinkParameters(by=by))
    eroded = ndimage.binary_erosion(mask, ball, border_value=0)
    assert left.blocks[1].tolist() == np.flatnonzero(eroded).tolist()
    assert left.unassigned.tolist() == np.flatnonzero(mask & ~eroded).tolist()


@pytest.mark.parametrize("gap", [1.0, 2.0, 3.0, 4.5])
def test_a_shrunk_block_keeps_the_voxels_that_lie_deeper_than_asked_once_holes_are_closed(
    gap: float,
) -> None:
    grid = Grid((21, 21, 21), (1.0, 1.0, 1.0))
    inside = np.zeros(grid.shape, bool)
    inside[6:15, 6:15, 6:15] = np.random.default_rng(5).random((9, 9, 9)) < 0.7
    zyx = np.argwhere(np.ones(grid.shape))
    closed = inside
    if gap >= 2:
        near = cdist(zyx, np.argwhere(inside)).min(axis=1) <= gap / 2
        closed = cdist(zyx, zyx[~near]).min(axis=1) > gap / 2
    depth = cdist(zyx, zyx[~closed.ravel()]).min(axis=1)
    expected = np.flatnonzero(inside.ravel() & (depth > 1.5))
    blocks = BlockSet(grid, {1: np.flatnonzero(inside)})
    if not len(expected):
        with pytest.raises(SirenError, match="Nothing would be left of block 1"):
            shrink(blocks, [1], ShrinkParameters(by=1.5, gap=gap))
    else:
        left = shrink(blocks, [1], ShrinkParameters(by=1.5, gap=gap))
        assert left.blocks[1].tolist() == expected.tolist()


def test_a_block_of_a_sketch_loses_only_its_outside_although_half_of_its_voxels_are_missing() -> (
    None
):
    mask = np.zeros((25, 25, 25), bool)
    mask[4:20, 4:20, 4:20] = np.random.default_rng(0).random((16, 16, 16)) < 0.5
    left = shrink(BlockSet(Grid(mask.shape, (1.0, 1.0, 1.0)), {1: np.flatnonzero(mask)}), [1])
    core = np.zeros_like(mask)
    core[6:18, 6:18, 6:18] = mask[6:18, 6:18, 6:18]
    assert np.isin(np.flatnonzero(core), left.blocks[1]).mean() > 0.99
    assert len(left.blocks[1]) < 0.8 * mask.sum()


@pytest.mark.parametrize("erase", [False, True])
def test_painting_adds_or_removes_what_is_inside_any_of_the_spheres(erase: bool) -> None:
    own, other = scattered(1, 0.3), scattered(2, 0.2)
    centers, radius = np.array([[2.0, 15.0, 20.0], [9.0, 30.0, 5.0], [-5.0, 7.0, 0.5]]), 7.0
    after = paint(BlockSet(GRID, {3: own, 5: other}), 3, centers, radius, erase)
    inside = (cdist(GRID.points(ALL), centers) <= radius).any(axis=1)
    if erase:
        expected = own[~inside[own]]
    else:
        expected = ALL[np.isin(ALL, own) | (inside & ~np.isin(ALL, other))]
    assert after.blocks[3].tolist() == expected.tolist()
    assert after.blocks[5].tolist() == other.tolist()


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (lambda b: grow(b, [9], 1), "no block 9"),
        (lambda b: grow(b, [1], 1, {1: ids()}), "No voxel was added"),
        (lambda b: shrink(b, [1]), "Nothing would be left of block 1"),
        (lambda b: paint(b, 1, np.array([[1e4, 0, 0]]), 5), "no voxel to add in the sphere"),
        (lambda b: paint(b, 1, np.array([[1e4, 0, 0]]), 5, True), "no voxel to erase"),
        (lambda b: paint(b, 1, np.zeros((1, 3)), 1e4, True), "delete it instead"),
    ],
)
def test_a_shape_that_cannot_be_made_is_said_in_one_sentence(do: Any, said: str) -> None:
    before = contents(BLOCKS)
    with pytest.raises(SirenError, match=said):
        do(BLOCKS)
    assert contents(BLOCKS) == before
