"""Edits of blocks: sets and their sizes by hand, pieces against scipy's labels and a flood fill in
plain loops.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.editing import (
    LONGEST_NAME,
    delete,
    inside_sphere,
    merge,
    pieces,
    rename,
    split,
    with_values_of,
)
from chimerax.siren.core.blocks.parameters import SplitParameters
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
