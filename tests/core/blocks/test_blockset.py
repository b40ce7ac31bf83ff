"""Blocks: written, edited by hand, read back; their table and neighbors against answers made by
hand.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from chimerax.siren.core.blocks.blockset import (
    BlockSet,
    blocks_from_masks,
    check_on_grid,
    read_block_maps,
    read_blocks_file,
    touching_blocks,
)
from chimerax.siren.core.blocks.verdicts import BlockEvidence
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import read_map, write_map

GRID = Grid((6, 7, 8), (2.0, 2.5, 3.0), (-10.0, 0.0, 5.5))


def flat(*zyx: tuple[int, int, int]) -> NDArray[np.int64]:
    return np.sort(np.ravel_multi_index(np.array(zyx).T, GRID.shape)).astype(np.int64)


ONE = flat((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0))
TWO = flat((5, 6, 7), (5, 6, 6))
SEVEN = flat((3, 3, 3), (0, 0, 0))  # one voxel is in block 1 too
FREE = flat((2, 2, 2), (5, 5, 5))
BLOCKS = BlockSet(GRID, {1: ONE, 2: TWO, 7: SEVEN}, FREE)
FREQUENCY = np.arange(GRID.size) % 5
MEAN = np.random.default_rng(0).normal(size=GRID.shape).astype(np.float32)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    folder = tmp_path / "00_sketch"
    folder.mkdir()
    BLOCKS.write(folder, BLOCKS.table(FREQUENCY, 10), MEAN)
    return folder


def contents(blocks: BlockSet) -> dict[int, list[int]]:
    return {n: v.tolist() for n, v in blocks}


def sentence(read: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(SirenError) as caught:
        read(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def save_mask(path: Path, voxels: NDArray[np.int64], grid: Grid = GRID) -> None:
    mask = np.zeros(grid.size, np.float32)
    mask[voxels] = 1
    write_map(path, mask.reshape(grid.shape), grid, "edited")


# --- a set


def test_a_set_counts_a_voxel_once_for_each_of_its_blocks() -> None:
    assert len(BLOCKS) == 3
    assert BLOCKS.voxel_count == 8
    assert [n for n, _ in BLOCKS] == [1, 2, 7]


def test_a_mask_is_one_inside_and_zero_outside() -> None:
    mask = BLOCKS.mask(2)
    assert mask.dtype == np.float32
    assert mask.shape == GRID.shape
    assert np.argwhere(mask == 1).tolist() == [[5, 6, 6], [5, 6, 7]]
    assert (mask == 0).sum() == GRID.size - 2


def test_the_table_is_what_is_worked_out_by_hand() -> None:
    frequency = np.zeros(GRID.size, int)
    frequency[flat((5, 6, 7))], frequency[flat((5, 6, 6))] = 4, 7
    sure = replace(
        BLOCKS,
        stability={2: 0.9},
        strength={2: np.array([0.5, 0.25], np.float32)},
        evidence={2: BlockEvidence(contrast=0.75, rise=1.5, solidity=0.875, exchange=0.0)},
    )
    table = sure.table(frequency, 10).set_index("block")
    assert table.columns.tolist() == [
        "voxels",
        "volume_A3",
        "mean_occupancy",
        "stability",
        "strength",
        "centroid_x",
        "centroid_y",
        "centroid_z",
        "contrast",
        "solidity",
        "verdict",
    ]
    # voxels (z 5, y 6, x 7 and 6) of 2 x 2.5 x 3 A from (-10, 0, 5.5)
    place = [-10 + 6.5 * 2, 6 * 2.5, 5.5 + 5 * 3]
    numbers = [2, 30.0, 0.55, 0.9, 0.375, *place, 0.75, 0.875]
    assert table.loc[2].tolist() == [*numbers, "solid"]
    # 0.625 rounds to the even digit
    assert table.loc[1].dropna().tolist() == [4, 60.0, 0.0, -9.5, 0.62, 6.25, ""]
    assert table.loc[1, ["stability", "strength"]].isna().all()  # nobody asked
    assert table.index.tolist() == [1, 2, 7]


def test_no_block_makes_an_empty_table_and_a_folder_that_reads_back(tmp_path: Path) -> None:
    none = BlockSet(GRID, {}, FREE)
    none.write(tmp_path, none.table(FREQUENCY, 10), MEAN)
    assert (
        pd.read_csv(tmp_path / "blocks.csv").columns.tolist()
        == BLOCKS.table(FREQUENCY, 10).columns.tolist()
    )
    assert len(read_blocks_file(tmp_path / "blocks.json")) == 0
    assert touching_blocks(none) == set()
    assert "holds no block maps" in sentence(read_block_maps, tmp_path)


# --- written and read


def test_a_written_folder_has_these_files_and_all_maps_validate(written: Path) -> None:
    maps = {"block_1.mrc", "block_2.mrc", "block_7.mrc", "unassigned.mrc", "mean.mrc"}
    assert {p.name for p in written.iterdir()} == maps | {"blocks.json", "blocks.csv"}
    for name in maps:
        said = io.StringIO()
        assert mrcfile.validate(written / name, print_file=said), said.getvalue()
        array, grid = read_map(written / name)
        assert grid == GRID
        if name != "mean.mrc":
            assert set(np.unique(array)) == {0, 1}
    np.testing.assert_array_equal(read_map(written / "mean.mrc")[0], MEAN)
    assert np.flatnonzero(read_map(written / "unassigned.mrc")[0]).tolist() == FREE.tolist()


def test_blocks_json_comes_back_and_says_z_y_x(written: Path) -> None:
    back = read_blocks_file(written / "blocks.json")
    assert back.grid == GRID
    assert contents(back) == contents(BLOCKS)
    assert back.unassigned.tolist() == FREE.tolist()
    plain = json.loads((written / "blocks.json").read_text())
    assert plain["blocks"]["2"] == [[5, 6, 6], [5, 6, 7]]
    assert plain["grid"] == {
        "shape_zyx": [6, 7, 8],
        "voxel_size_xyz": [2.0, 2.5, 3.0],
        "origin_xyz": [-10.0, 0.0, 5.5],
    }


def test_block_maps_come_back_with_their_numbers_and_without_mean_and_unassigned(
    written: Path,
) -> None:
    back = read_block_maps(written, GRID)
    assert contents(back) == contents(BLOCKS)
    assert back.grid == GRID
    assert contents(read_block_maps(written)) == contents(BLOCKS)


def test_a_voxel_listed_twice_counts_once(written: Path) -> None:
    content = json.loads((written / "blocks.json").read_text())
    content["blocks"]["2"] = [[5, 6, 7], [5, 6, 6], [5, 6, 7]]
    (written / "blocks.json").write_text(json.dumps(content))
    assert read_blocks_file(written / "blocks.json").blocks[2].tolist() == TWO.tolist()


@pytest.mark.parametrize(
    "change",
    [
        {"blocks": [1]},
        {"blocks": {"x": []}},
        {"blocks": {"1": [[0, 0, 99]]}},
        {"blocks": {"1": [[-1, 0, 0]]}},
        {"blocks": {"1": [[10**30, 0, 0]]}},
        {"blocks": {"1": "abc"}},
        {"blocks": {"1": [[1, 2], [3]]}},
        {"grid": None},
        {"grid": {}},
        {"grid": {**GRID.as_json(), "shape_zyx": [6, 7]}},
        {"grid": {**GRID.as_json(), "shape_zyx": 6}},
        {"unassigned": 3},
    ],
)
def test_a_blocks_file_that_is_none_is_one_sentence(written: Path, change: dict[str, Any]) -> None:
    content = json.loads((written / "blocks.json").read_text())
    (written / "blocks.json").write_text(json.dumps({**content, **change}))
    said = sentence(read_blocks_file, written / "blocks.json")
    assert "blocks.json is not a blocks file of SIREn" in said
    assert said.endswith('run "siren sketch" again.')


# --- edited by hand in between


def test_a_deleted_block_is_gone_and_the_others_keep_their_numbers(written: Path) -> None:
    (written / "block_1.mrc").unlink()
    assert contents(read_block_maps(written, GRID)) == {2: TWO.tolist(), 7: SEVEN.tolist()}


def test_merged_blocks_are_one(written: Path) -> None:
    save_mask(written / "block_1.mrc", np.union1d(ONE, TWO))
    (written / "block_2.mrc").unlink()
    assert contents(read_block_maps(written, GRID)) == {
        1: sorted([*ONE.tolist(), *TWO.tolist()]),
        7: SEVEN.tolist(),
    }


def test_added_maps_are_numbered_after_the_largest_in_natural_order(written: Path) -> None:
    save_mask(written / "part_10.mrc", FREE[:1])
    save_mask(written / "part_2.mrc", FREE[1:])
    assert contents(read_block_maps(written, GRID)) == {
        **contents(BLOCKS),
        8: FREE[1:].tolist(),
        9: FREE[:1].tolist(),
    }


def test_a_copy_of_a_block_gets_a_number_of_its_own(written: Path) -> None:
    shutil.copy(written / "block_2.mrc", written / "block_2 copy.mrc")
    shutil.copy(written / "block_2.mrc", written / "block_02.mrc")
    assert sorted(contents(read_block_maps(written, GRID))) == [1, 2, 7, 8, 9]


def test_numbers_need_not_begin_at_one_nor_follow_each_other() -> None:
    ones = np.ones((2, 2, 2), np.float32)
    small = Grid((2, 2, 2), (1, 1, 1))
    names = ["block 12 (8 voxels)", "block_3.mrc", "mine", "block_x.mrc", "Block 4", "blocky 5"]
    assert list(blocks_from_masks([(n, ones) for n in names], small).blocks) == [
        3,
        12,
        13,
        14,
        15,
        16,
    ]


def test_a_smoothed_map_is_cut_at_a_half(written: Path) -> None:
    cube = np.zeros(GRID.shape, np.float32)
    cube[1:5, 1:6, 2:7] = 1
    smooth = ndimage.gaussian_filter(cube, 0.7)
    write_map(written / "block_1.mrc", smooth, GRID, "smoothed")
    assert contents(read_block_maps(written, GRID))[1] == np.flatnonzero(smooth > 0.5).tolist()
    write_map(
        written / "block_1.mrc", np.where(cube > 0, 0.5, 0.5001), GRID, "exactly a half is outside"
    )
    assert contents(read_block_maps(written, GRID))[1] == np.flatnonzero(cube == 0).tolist()


def test_a_map_with_holes_that_are_no_numbers_is_empty_there(written: Path) -> None:
    mask = BLOCKS.mask(1)
    mask[5] = np.nan
    with pytest.warns(RuntimeWarning, match="NaN"):
        write_map(written / "block_1.mrc", mask, GRID, "nan")
    assert contents(read_block_maps(written, GRID))[1] == ONE.tolist()


def test_a_density_among_blocks_is_no_block(written: Path) -> None:
    """As where the folder of the volumes is given to siren compare, or one of them as a block."""
    noise = np.random.default_rng(0).normal(0, 0.2, GRID.shape).astype(np.float32)
    write_map(written / "vol_3.mrc", noise + BLOCKS.mask(1), GRID, "volume")
    said = sentence(read_block_maps, written)
    assert said.startswith("vol_3.mrc is a density, not a block or a mask: its values are -")
    assert "volume threshold" in said
    said = sentence(blocks_from_masks, [("vol 3", noise + BLOCKS.mask(1))], GRID)
    assert said.startswith("vol 3 is a density")


def test_a_density_scaled_to_0_to_1_is_no_block_but_a_mask_of_a_soft_edge_is_one(
    written: Path,
) -> None:
    """As volumes normalized to their range; masks have a flat inside, however soft their edge."""
    ball = np.linalg.norm(np.indices((40, 40, 40)) - 20, axis=0)
    grid = Grid((40, 40, 40), (3.0, 3.0, 3.0))
    rng = np.random.default_rng(0)
    density = ndimage.gaussian_filter(rng.normal(size=ball.shape), 1.5) * (ball < 14)
    for scaled in (density - density.min(), np.maximum(density, 0)):
        said = sentence(blocks_from_masks, [("vol 3", scaled / scaled.max())], grid)
        assert said.startswith("vol 3 is a density, not a block or a mask: its values are 0 to 1,")
    for edge in (1, 6, 16):  # of a radius of 3 voxels
        soft = 0.5 + 0.5 * np.cos(np.pi * np.clip((ball - 3) / edge, 0, 1))
        smooth = ndimage.gaussian_filter((ball < 9).astype(float), edge / 4)
        for mask in (soft, smooth):
            found = contents(blocks_from_masks([("mask", mask)], grid))
            assert found[1] == np.flatnonzero(mask > 0.5).tolist()


def test_masks_of_other_programs_are_blocks(written: Path) -> None:
    """Of 0 and 255, with labels, and resampled, which leaves a little on both sides."""
    for n, mask in enumerate((255 * BLOCKS.mask(1), 3 * BLOCKS.mask(1), BLOCKS.mask(1) * 1.08)):
        save = np.where(mask > 0, mask, -0.06 if n == 2 else 0)
        write_map(written / "block_1.mrc", save, GRID, "mask")
        assert contents(read_block_maps(written, GRID))[1] == ONE.tolist()


def test_half_a_character_in_a_name_does_not_stop_the_next_run(written: Path) -> None:
    content = json.loads((written / "blocks.json").read_text())
    (written / "blocks.json").write_text(json.dumps({**content, "names": {"7": "caf\udce9"}}))
    blocks = read_blocks_file(written / "blocks.json")
    assert blocks.names == {7: "caf?"}
    (written / "again.csv").write_text(",".join(blocks.names.values()), "utf-8")


def test_an_empty_map_is_one_sentence(written: Path) -> None:
    save_mask(written / "block_2.mrc", np.empty(0, np.int64))
    said = sentence(read_block_maps, written, GRID)
    assert said.startswith("block_2.mrc has no voxel above 0.5")
    assert "Delete it, or save it again." in said


@pytest.mark.parametrize(
    "grid",
    [
        Grid((6, 7, 9), GRID.voxel_size, GRID.origin),
        Grid(GRID.shape, (2.0, 2.5, 3.1), GRID.origin),
        Grid(GRID.shape, GRID.voxel_size, (-10.0, 0.0, 8.5)),
        Grid((8, 7, 6), GRID.voxel_size, GRID.origin),
    ],
)
def test_a_map_on_another_grid_is_one_sentence(written: Path, grid: Grid) -> None:
    save_mask(written / "block_2.mrc", np.array([3]), grid)
    for given in (GRID, None):
        said = sentence(read_block_maps, written, given)
        assert said.startswith("block_2.mrc is on another grid (")
        assert "volume resample" in said


def test_grids_that_differ_by_rounding_are_the_same() -> None:
    check_on_grid("a", Grid(GRID.shape, (2.0005, 2.5, 3.0), (-10.005, 0.0, 5.5)), GRID)


@pytest.mark.parametrize("place", ["missing", "file"])
def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    said = sentence(read_block_maps, tmp_path / place)
    assert str(tmp_path / place) in said
    assert 'give the folder that "siren sketch" wrote' in said


def test_a_folder_without_maps_is_one_sentence(tmp_path: Path) -> None:
    assert "holds no block maps" in sentence(read_block_maps, tmp_path)


def test_block_maps_saved_by_chimerax_come_back(
    written: Path, request: pytest.FixtureRequest
) -> None:
    """Erased in and saved from ChimeraX, as a person edits them."""
    pytest.importorskip("chimerax.core", reason="ChimeraX is needed to edit with: make env")
    run = request.getfixturevalue("run")
    run(f'open "{written / "block_1.mrc"}"')
    erased = run("volume erase #1 center -10,0,5.5 radius 1")  # the voxel 0, 0, 0 alone
    run(f'save "{written / "block_1.mrc"}" models #{erased.id_string}')
    assert contents(read_block_maps(written, GRID)) == {
        **contents(BLOCKS),
        1: sorted(set(ONE.tolist()) - {0}),
    }


# --- neighbors


def test_neighbors_are_blocks_within_two_voxels() -> None:
    blocks = BlockSet(
        Grid((1, 3, 12), (1, 1, 1)),
        {
            1: np.array([0, 1]),
            2: np.array([3]),  # x 3: two from x 1
            5: np.array([6]),  # three from x 3
            6: np.array([12 + 7, 11]),
        },
    )  # y 1, x 7: one step each in y and x from x 6
    assert touching_blocks(blocks) == {(1, 2), (5, 6)}
    assert touching_blocks(blocks, 1) == set()
    assert touching_blocks(blocks, 3) == {(1, 2), (2, 5), (5, 6)}


def test_blocks_that_share_a_voxel_are_neighbors_and_faces_of_the_box_are_not() -> None:
    assert touching_blocks(BLOCKS) == {(1, 7)}  # 2 is in the opposite corner


def test_names_are_written_and_read_back_from_either_the_file_or_the_maps_beside_it(
    tmp_path: Path,
) -> None:
    named = replace(BLOCKS, names={2: '5\' domain, "head"', 7: "stalk"})
    table = named.table(FREQUENCY, 10)
    assert table["name"].tolist() == ["", '5\' domain, "head"', "stalk"]
    named.write(tmp_path, table, MEAN)
    assert read_blocks_file(tmp_path / "blocks.json").names == named.names
    assert pd.read_csv(tmp_path / "blocks.csv")["name"].tolist()[1:] == [
        '5\' domain, "head"',
        "stalk",
    ]
    (tmp_path / "block_2.mrc").unlink()
    assert read_block_maps(tmp_path).names == {7: "stalk"}
    (tmp_path / "blocks.json").unlink()
    assert read_block_maps(tmp_path).names == {}


def test_without_names_nothing_is_said_of_them(written: Path) -> None:
    assert "names" not in json.loads((written / "blocks.json").read_text())
    assert "name" not in pd.read_csv(written / "blocks.csv").columns
    assert read_blocks_file(written / "blocks.json").names == {}
