"""Masks: widened and soft as RELION defines it, against loops over all distances; on other grids;
as files that RELION, cryoSPARC and MAVEn take; segmentations in Segger's own reader.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest

from chimerax.siren.core.analysis.masks import (
    COLUMNS,
    block_masks,
    label_map,
    mask_file,
    mask_grid,
    on_grid,
    soft_mask,
    write_masks,
)
from chimerax.siren.core.analysis.maven import level_table, mask_name, volume_number, write_maven
from chimerax.siren.core.analysis.parameters import MaskParameters
from chimerax.siren.core.analysis.segmentation import write_segmentation
from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.progress import Cancelled, Progress
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import read_map, write_map

MAVEN = Path(os.environ.get("SIREN_MAVEN", ""))  # a checkout of lkinman/MAVEn
HARD = MaskParameters(dilate=0, soft=0)


def ball(grid: Grid, center, radius) -> np.ndarray:
    points = grid.points(np.arange(grid.size))
    return (np.linalg.norm(points - center, axis=1) <= radius).reshape(grid.shape)


def two_blocks(grid: Grid | None = None) -> BlockSet:
    grid = grid or Grid((12, 12, 12), (4.0, 4.0, 4.0))
    return BlockSet(
        grid,
        {n: np.flatnonzero(ball(grid, [c] * 3, 7.0)) for n, c in ((1, 14.0), (3, 32.0))},
        names={3: "head"},
    )


@pytest.mark.parametrize("dilate", [0.0, 4.0, 7.5])
@pytest.mark.parametrize("soft", [0.0, 3.0, 9.0])
@pytest.mark.parametrize("voxel", [(2.0, 2.0, 2.0), (2.0, 3.0, 1.5)])
def test_a_mask_is_what_loops_over_all_distances_give(dilate, soft, voxel):
    rng = np.random.default_rng(1)
    inside = rng.random((7, 9, 8)) < 0.02
    places = np.argwhere(np.ones(inside.shape, bool)) * voxel[::-1]

    def distances(to: np.ndarray) -> np.ndarray:
        far = np.linalg.norm(places[:, None] - places[to.ravel()], axis=2)
        return far.min(axis=1).reshape(inside.shape)

    wide = distances(inside) <= dilate + 1e-9
    r = distances(wide)
    expected = np.where(r == 0, 1.0, 0.0)
    if soft:
        edge = (r > 0) & (r < soft)
        expected[edge] = 0.5 + 0.5 * np.cos(np.pi * r[edge] / soft)
    found = soft_mask(inside, voxel, dilate, soft)
    assert found.dtype == np.float32 and np.abs(found - expected).max() < 1e-6
    assert found.min() >= 0 and found.max() == 1


def test_an_empty_mask_stays_empty_and_one_that_fills_the_box_full():
    assert not soft_mask(np.zeros((4, 5, 6), bool), (1, 1, 1), 3, 3).any()
    assert (soft_mask(np.ones((4, 5, 6), bool), (1, 1, 1), 3, 3) == 1).all()


def test_without_parameters_masks_are_wider_by_a_voxel_with_an_edge_of_three():
    one, other = block_masks(two_blocks(), two_blocks().grid)
    assert (one.dilate, one.soft, one.numbers, other.numbers, other.name) == (
        4,
        12,
        (1,),
        (3,),
        "head",
    )
    inside = two_blocks().mask(1) > 0
    assert (one.array[inside] == 1).all() and (one.array == 1).sum() > inside.sum()


def test_the_mask_of_all_blocks_is_not_a_sum():
    grid = Grid((12, 12, 12), (4.0,) * 3)
    near = BlockSet(
        grid, {n: np.flatnonzero(ball(grid, [c] * 3, 7.0)) for n, c in ((1, 18.0), (2, 24.0))}
    )
    (both,) = block_masks(near, grid, MaskParameters(union=True, soft=8))
    expected = soft_mask((near.mask(1) + near.mask(2)) > 0, grid.voxel_size, 4, 8)
    assert both.numbers == (1, 2) and np.array_equal(both.array, expected)
    assert (
        mask_file((1, 2, 3, 7)) == "mask_blocks_1-3_7.mrc" and mask_file((4,)) == "mask_block_4.mrc"
    )


@pytest.mark.parametrize("box", [32, 50, 75])
def test_on_the_grid_of_the_particles_a_ball_stays_the_ball_and_where_it_is(box):
    coarse = Grid((16, 16, 16), (6.0,) * 3, (10.0, -20.0, 30.0))
    center = np.array([55.0, 20.0, 80.0])
    inside = ball(coarse, center, 20)
    fine = mask_grid(coarse, None, MaskParameters(box=box))
    assert fine.shape == (box,) * 3 and fine.origin == coarse.origin
    assert box * fine.voxel_size[0] == pytest.approx(96)
    found, true = on_grid(inside, coarse, fine), ball(fine, center, 20)
    assert (found & true).sum() / (found | true).sum() > 0.75
    volume = found.sum() * fine.voxel_volume / (inside.sum() * coarse.voxel_volume)
    assert 0.9 < volume < 1.15
    middle = fine.points(np.flatnonzero(found)).mean(axis=0)
    assert np.abs(middle - center).max() < 2


def test_the_volume_of_a_mask_does_not_depend_on_the_box():
    grid = Grid((48, 48, 48), (4.0,) * 3)
    inside = ball(grid, np.array([92.0, 97.0, 90.0]), 40)
    blocks, bare, soft = BlockSet(grid, {1: np.flatnonzero(inside)}), [], []
    for box in (48, 72, 96, 100, 144):
        fine = mask_grid(grid, None, MaskParameters(box=box))
        bare.append(on_grid(inside, grid, fine).sum() * fine.voxel_volume)
        (mask,) = block_masks(blocks, grid, MaskParameters(box=box))
        soft.append((mask.array >= 0.5).sum() * fine.voxel_volume)
    ball_volume, at_half = (4 / 3 * np.pi * r**3 for r in (40, 40 + 4 + 6))
    assert np.abs(np.array(bare) / ball_volume - 1).max() < 0.03
    # distances are from centers of voxels to centers: coarse ones reach a little less far
    assert np.abs(np.array(soft[1:]) / at_half - 1).max() < 0.06
    assert max(soft[1:]) / min(soft[1:]) < 1.05 and max(soft) / min(soft) < 1.1


def test_on_a_coarser_grid_nothing_is_lost_however_thin():
    fine = Grid((24, 24, 24), (2.0,) * 3)
    rod = np.zeros(fine.shape, bool)
    rod[3:21, 11, 12] = True
    coarse = mask_grid(fine, None, MaskParameters(box=8))
    found = on_grid(rod, fine, coarse)
    assert found[1:7, 4, 4].all() and found.sum() <= 14


def test_voxels_of_one_grid_are_taken_as_they_are():
    grid = two_blocks().grid
    inside = two_blocks().mask(3) > 0
    assert on_grid(inside, grid, grid) is inside


def test_a_larger_box_has_the_same_center_of_rotation():
    grid = Grid((64,) * 3, (6.0,) * 3, (5.0, 6.0, 7.0))
    wide = mask_grid(grid, None, MaskParameters(box=360, voxel_size=1.2))
    assert wide.voxel_size == (1.2,) * 3
    for axis in range(3):
        assert wide.origin[axis] + 180 * 1.2 == pytest.approx(grid.origin[axis] + 32 * 6)
    same = mask_grid(grid, None, MaskParameters(box=320, voxel_size=1.2))  # 384 A, as the volumes
    assert same.origin == grid.origin


def test_grids_that_are_not_known_are_asked_for():
    grid = Grid((8, 8, 8), (4.0,) * 3)
    assert mask_grid(grid, Grid((16,) * 3, (2.0,) * 3), MaskParameters()).shape == (16,) * 3
    with pytest.raises(SirenError, match='give "box"'):
        mask_grid(grid, None, MaskParameters())
    with pytest.raises(SirenError, match="voxelSize needs box"):
        mask_grid(grid, grid, MaskParameters(voxel_size=2))
    small = MaskParameters(box=8, voxel_size=0.5)
    far = BlockSet(grid, {1: np.array([0])})
    with pytest.raises(SirenError, match="outside the box"):
        list(block_masks(far, None, small))


@pytest.mark.parametrize(
    "wrong", [{"dilate": -1}, {"soft": -1}, {"box": 4}, {"voxel_size": 0}, {"box": 5000}]
)
def test_parameters_out_of_bounds_are_refused(wrong):
    with pytest.raises(SirenError, match="out of bounds"):
        MaskParameters(**wrong)


def test_files_are_as_relion_writes_masks_and_the_table_says_what_they_are(tmp_path):
    blocks = two_blocks()
    written = write_masks(tmp_path / "m", blocks, blocks.grid, MaskParameters(soft=8))
    assert [p.name for p in sorted((tmp_path / "m").iterdir())] == [
        "mask_block_1.mrc",
        "mask_block_3.mrc",
        "masks.csv",
    ]
    table = pd.read_csv(tmp_path / "m/masks.csv")
    assert list(table.columns) == list(COLUMNS) and table["name"].tolist()[1] == "head"
    for n, row in zip((1, 3), table.itertuples(), strict=True):
        with mrcfile.open(tmp_path / "m" / row.file) as mrc:
            assert mrcfile.validate(tmp_path / "m" / row.file)
            header = mrc.header
            assert (int(header.mode), int(header.ispg), int(header.nsymbt)) == (2, 1, 0)
            assert [int(header[k]) for k in ("nx", "ny", "nz", "mx", "my", "mz")] == [12] * 6
            assert [int(header[k]) for k in ("nxstart", "nystart", "nzstart")] == [0] * 3
            assert [int(header[k]) for k in ("mapc", "mapr", "maps")] == [1, 2, 3]
            assert mrc.voxel_size.x == pytest.approx(4) and float(header.origin.x) == 0
            assert mrc.data.min() == 0 and mrc.data.max() == 1
            expected = soft_mask(blocks.mask(n) > 0, (4.0,) * 3, 4, 8)
            assert np.array_equal(mrc.data, expected)
            assert row.voxels == (expected >= 0.5).sum()
            assert row.at_face == ("yes" if expected[0].any() or expected[-1].any() else "no")
    before = {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()}
    again = write_masks(tmp_path / "m", blocks, blocks.grid, MaskParameters(soft=8))
    assert written.replaced == [] and len(again.replaced) == 3
    assert {p.name: p.read_bytes() for p in (tmp_path / "m").iterdir()} == before


def test_a_stop_leaves_what_was_there_and_nothing_else(tmp_path):
    blocks = two_blocks()
    write_masks(tmp_path, blocks, blocks.grid)
    (tmp_path / "mine.txt").write_text("mine")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        write_masks(tmp_path, blocks, blocks.grid, HARD, progress)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


# --- labels


def test_labels_are_numbers_of_blocks_and_shared_voxels_have_the_lowest():
    grid = Grid((4, 4, 4), (3.0,) * 3)
    blocks = BlockSet(grid, {2: np.array([1, 2, 3]), 5: np.array([3, 4])})
    labels, shared = label_map(blocks, grid)
    assert labels.dtype == np.int16 and shared == 1
    assert labels.ravel()[:6].tolist() == [0, 2, 2, 2, 5, 0]
    fine = mask_grid(grid, None, MaskParameters(box=12))
    tripled, _ = label_map(blocks, fine)
    for z, y, x in np.ndindex(12, 12, 12):
        near = [min(3, int(np.floor(i / 3 + 0.5 + 1e-6))) for i in (z, y, x)]
        outside = any(int(np.floor(i / 3 + 0.5 + 1e-6)) > 3 for i in (z, y, x))
        assert tripled[z, y, x] == (0 if outside else labels[tuple(near)])


def test_a_map_of_labels_is_of_whole_numbers_with_names_and_colors_beside_it(tmp_path):
    blocks = two_blocks()
    colors = {1: (1.0, 0.0, 0.0), 3: (0.0, 0.5, 1.0)}
    found = write_segmentation(tmp_path / "s.mrc", blocks, blocks.grid, colors)
    with mrcfile.open(tmp_path / "s.mrc") as mrc:
        assert mrc.data.dtype == np.int16 and set(np.unique(mrc.data)) == {0, 1, 3}
        assert np.array_equal(np.flatnonzero(mrc.data == 3), blocks.blocks[3])
    table = pd.read_csv(found.table, keep_default_na=False)
    assert table.to_dict("list") == {
        "label": [1, 3],
        "name": ["", "head"],
        "color": ["#ff0000", "#0080ff"],
    }
    with pytest.raises(SirenError, match=r"\.mrc or \.seg"):
        write_segmentation(tmp_path / "s.nii", blocks, blocks.grid, colors)


def test_a_segmentation_replaces_its_own_table_and_no_other_one(tmp_path):
    blocks, labels = two_blocks(), "vol_id,map_file,threshold\n1,vol_1.mrc,0.5\n"
    (tmp_path / "labels.csv").write_text(labels)
    with pytest.raises(SirenError, match="give the segmentation another name"):
        write_segmentation(tmp_path / "labels.mrc", blocks, blocks.grid, {})
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("labels.csv", labels)]
    for _ in range(2):
        write_segmentation(tmp_path / "s.mrc", blocks, blocks.grid, {})


def test_seggers_own_reader_reads_a_seg_file(session, tmp_path):
    pytest.importorskip("tables", reason="PyTables is not installed: .seg files cannot be written")
    segfile = pytest.importorskip("chimerax.segger.segfile", reason="Segger is not installed")
    blocks = two_blocks(Grid((12, 13, 14), (4.0, 4.0, 4.0), (5.0, -6.0, 7.0)))
    colors = {1: (1.0, 0.0, 0.0), 3: (0.0, 0.5, 1.0)}
    for folder in (tmp_path, tmp_path / "again"):
        write_segmentation(folder / "s.seg", blocks, blocks.grid, colors)
    assert (tmp_path / "s.seg").read_bytes() == (tmp_path / "again/s.seg").read_bytes()
    read = segfile.read_segmentation(session, str(tmp_path / "s.seg"), open=True)
    assert read.mask.shape == (12, 13, 14)
    for n, voxels in blocks:
        assert np.array_equal(np.flatnonzero(read.mask == n), voxels)
    regions = read.id_to_region
    assert set(regions) == {1, 3} and np.allclose(regions[3].color[:3], colors[3])
    for n, voxels in blocks:  # the point of a region is in it: i, j, k
        i, j, k = (int(v) for v in regions[n].max_point)
        assert np.ravel_multi_index((k, j, i), blocks.grid.shape) in voxels
    assert np.allclose(read.grid_origin(), blocks.grid.origin)
    assert np.allclose(read.grid_step(), 4.0)


def test_without_pytables_a_seg_file_is_refused_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tables", None)
    with pytest.raises(SirenError, match="pip install tables"):
        write_segmentation(tmp_path / "s.seg", two_blocks(), two_blocks().grid, {})
    assert not list(tmp_path.iterdir())


# --- MAVEn


def maven_ensemble(folder: Path):
    """Volumes vol_001 to vol_004 whose levels differ by much, two blocks, and the levels."""
    blocks, rng = two_blocks(), np.random.default_rng(2)
    arrays, levels = {}, {}
    (folder / "volumes").mkdir(parents=True)
    for number in range(1, 5):
        name, scale = f"vol_{number:03d}.mrc", 10.0**number
        array = rng.random(blocks.grid.shape).astype(np.float32) * scale
        write_map(folder / "volumes" / name, array, blocks.grid, "volume")
        arrays[name], levels[name] = array, 0.5 * scale + number
    return blocks, arrays, levels


def by_hand(blocks, arrays, levels) -> pd.DataFrame:
    """Occupancies as MAVEn defines them: sum of the mask over the voxels at or above the level."""
    rows = {}
    for name, array in arrays.items():
        above = array >= levels[name]
        rows[int(name[4:7])] = {n: float((blocks.mask(n) * above).sum()) for n, _ in blocks}
    return pd.DataFrame.from_dict(rows, orient="index")


def as_maven(volumes: Path, masks: Path, levels: Path) -> pd.DataFrame:
    """What MAVEn's calc_occupancy.py does with its folders, written down again from its source."""
    table = pd.read_csv(levels, index_col="vol_id")
    rows: dict[int, dict[str, float]] = {}
    for mask in masks.iterdir():  # every file of the folder
        pdb, chain = mask.name.split(".mrc")[0].split("Mask_")[1].split("_chain")
        weight = mrcfile.read(mask).ravel()
        for volume in volumes.iterdir():
            number = int(volume.name.split(".mrc")[0].split("_")[-1])
            level = table.loc[number, "denormalized_predictions"]
            above = np.where(mrcfile.read(volume).ravel() >= level, 1, 0)
            rows.setdefault(number, {})[f"{pdb} {chain}"] = float((weight * above).sum())
    return pd.DataFrame.from_dict(rows, orient="index").sort_index()


def test_mavens_reading_of_the_folder_gives_every_volume_its_own_level(tmp_path):
    blocks, arrays, levels = maven_ensemble(tmp_path)
    found = write_maven(tmp_path / "maven", blocks, blocks.grid, levels.items(), HARD)
    read = as_maven(
        tmp_path / "volumes", tmp_path / "maven/masks", tmp_path / "maven/thresholds.csv"
    )
    expected = by_hand(blocks, arrays, levels)
    assert expected.min().min() > 0
    assert np.array_equal(read["blocks a"], expected[1])
    assert np.array_equal(read["blocks c"], expected[3])
    key = pd.read_csv(tmp_path / "maven/masks.csv", keep_default_na=False)
    assert key.values.tolist() == [
        ["Mask_blocks_chaina.mrc", 1, ""],
        ["Mask_blocks_chainc.mrc", 3, "head"],
    ]
    assert not found.skipped and not found.without and not found.replaced
    again = write_maven(tmp_path / "maven", blocks, blocks.grid, levels.items(), HARD)
    assert again.replaced


def test_the_command_for_maven_can_be_pasted_into_a_shell_whatever_the_folders_are_called(tmp_path):
    odd = tmp_path / 'my "runs"; $(touch x) \'q'
    blocks, _, levels = maven_ensemble(tmp_path)
    found = write_maven(odd / "maven", blocks, blocks.grid, levels.items(), HARD)
    volumes = str(odd / "volumes")
    printed = ["bash", "-c", f"printf '%s\\n' {found.command(volumes)}"]
    words = subprocess.run(printed, check=True, capture_output=True, text=True, cwd=tmp_path).stdout
    assert words.splitlines() == [
        *("python", "calc_occupancy.py", "--mapdir", volumes, "--maskdir", f"{odd}/maven/masks"),
        *("--binfile", f"{odd}/maven/thresholds.csv", "--outdir", f"{odd}/maven/occupancies"),
    ]
    assert not (tmp_path / "x").exists()


@pytest.mark.processes
@pytest.mark.skipif(
    not (MAVEN / "calc_occupancy.py").is_file() or not os.environ.get("SIREN_MAVEN"),
    reason="SIREN_MAVEN does not name a checkout of https://github.com/lkinman/MAVEn",
)
def test_mavens_own_script_reads_the_folder(tmp_path):
    """Its imports of cryoDRGN are given: only parse_mrc is used."""
    blocks, arrays, levels = maven_ensemble(tmp_path)
    found = write_maven(tmp_path / "maven", blocks, blocks.grid, levels.items(), HARD)
    package = tmp_path / "lib/cryodrgn"
    package.mkdir(parents=True)
    for name in ("__init__", "analysis", "utils"):
        (package / f"{name}.py").write_text("")
    (package / "mrc.py").write_text(
        "import mrcfile\n\ndef parse_mrc(path):\n    return mrcfile.read(path).copy(), None\n"
    )
    command = found.command(str(tmp_path / "volumes")).split()
    assert command[:2] == ["python", "calc_occupancy.py"]
    subprocess.run(
        [sys.executable, str(MAVEN / "calc_occupancy.py"), *command[2:]],
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "lib")},
        capture_output=True,
    )
    table = pd.read_csv(tmp_path / "maven/occupancies/occupancies.csv", header=[0, 1], index_col=0)
    expected = by_hand(blocks, arrays, levels)
    table = table.sort_index()
    assert table.index.tolist() == expected.index.tolist()
    assert np.array_equal(table[("blocks", "a")], expected[1])
    assert np.array_equal(table[("blocks", "c")], expected[3])


def test_names_of_masks_are_distinct_and_of_one_letter_for_any_number_of_blocks():
    names = [mask_name(n) for n in range(1, 80)]
    assert len(set(names)) == 79
    parsed = [n.split(".mrc")[0].split("Mask_")[1].split("_chain") for n in names]
    assert all(len(p) == 2 and len(p[1]) == 1 and p[1].isalpha() for p in parsed)
    assert parsed[0] == ["blocks", "a"] and parsed[25] == ["blocks", "z"]
    assert parsed[26] == ["blocks2", "a"]


def test_numbers_of_volumes_are_those_that_maven_takes():
    assert [volume_number(n) for n in ("vol_001.mrc", "a_b_17.mrc", "12.mrc")] == [1, 17, 12]
    assert [volume_number(n) for n in ("vol_a.mrc", "vol_1.map", "vol1.mrc")] == [None] * 3
    table, skipped, without = level_table(
        [("vol_10.mrc", 0.5), ("vol_2.mrc", None), ("odd.mrc", 1.0)]
    )
    assert table["vol_id"].tolist() == [2, 10] and skipped == ["odd.mrc"]
    assert without == ["vol_2.mrc"] and np.isnan(table["denormalized_predictions"][0])
    with pytest.raises(SirenError, match="both have the number 1"):
        level_table([("vol_001.mrc", 1.0), ("vol_1.mrc", 2.0)])
    with pytest.raises(SirenError, match="no number"):
        level_table([("head.mrc", 1.0)])


def test_a_folder_with_anything_else_is_not_given_to_maven(tmp_path):
    blocks = two_blocks()
    levels = [("vol_001.mrc", 1.0)]
    (tmp_path / "maven/masks").mkdir(parents=True)
    (tmp_path / "maven/masks/mine.mrc").write_text("mine")
    with pytest.raises(SirenError, match=r"masks/mine\.mrc"):
        write_maven(tmp_path / "maven", blocks, blocks.grid, levels, HARD)
    assert (tmp_path / "maven/masks/mine.mrc").read_text() == "mine"
    (tmp_path / "maven/masks/mine.mrc").rename(tmp_path / "maven/mine.mrc")
    with pytest.raises(SirenError, match=r"mine\.mrc"):
        write_maven(tmp_path / "maven", blocks, blocks.grid, levels, HARD)
    with pytest.raises(SirenError, match="leave out box"):
        write_maven(tmp_path / "new", blocks, blocks.grid, levels, MaskParameters(box=32))
    with pytest.raises(SirenError, match="own box is not known"):
        write_maven(tmp_path / "new", blocks, None, levels, HARD)
    assert not (tmp_path / "new").exists()


def test_the_grid_of_the_volumes_is_read_back_from_a_written_mask(tmp_path):
    coarse = two_blocks()
    volumes = Grid((36,) * 3, (4 / 3,) * 3)
    write_masks(tmp_path, coarse, volumes)
    array, grid = read_map(tmp_path / "mask_block_1.mrc")
    assert grid.shape == (36,) * 3 and grid.voxel_size[0] == pytest.approx(4 / 3)
    inside = ball(volumes, [14.0] * 3, 7.0)
    assert (array[inside] == 1).all() and array.mean() < 0.5
