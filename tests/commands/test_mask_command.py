"""siren mask: masks in the box of the volumes, whatever box was sketched; for MAVEn and as
segmentations; and what the log says of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pandas as pd
import pytest
from chimerax.core.commands import run as run_command
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog
from chimerax.map import Volume

from ensembles import LEVEL, ORIGIN, SHAPE, VOXEL_SIZE, Planted, write_planted

VOLUMES = 120


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes", VOLUMES)


def sketched(session: Any, planted: Planted, folder: Path, more: str = "") -> Path:
    run_command(
        session,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{folder}' statistic "
        f"exact subsample 1 resamples 0 open false {more}",
    )
    return folder / "00_sketch"


@pytest.fixture(scope="module")
def out(_chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sketch of the planted ensemble; "right" is block 1, "left" is block 2."""
    return sketched(_chimerax, planted, tmp_path_factory.mktemp("out"))


def test_masks_of_a_run_lie_beside_it_and_hold_the_planted_blocks(session, run, out, planted):
    with StringPlainTextLog(session.logger) as log:
        run(f"siren mask '{out}' dilate 0 soft 0")
    folder = out.parent / "masks"
    for n, name in ((1, "right"), (2, "left")):
        with mrcfile.open(folder / f"mask_block_{n}.mrc") as mrc:
            assert np.array_equal(mrc.data > 0.5, planted.masks[name])
            assert [float(mrc.header.origin[a]) for a in "xyz"] == list(ORIGIN)
            assert float(mrc.voxel_size.x) == VOXEL_SIZE
    assert "no cube" in log.getvalue() and str(folder) in log.getvalue()
    with StringPlainTextLog(session.logger) as log:
        run(f"siren mask '{out}'")
    assert "Replaced: mask_block_1.mrc, mask_block_2.mrc, masks.csv" in log.getvalue()


def test_open_blocks_edited_or_chosen_are_masked_as_they_are(session, run, out, planted, tmp_path):
    run(f"siren open '{out}'")
    run(f"siren mask #1.2 '{tmp_path}/one' dilate 0 soft 0")
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == ["mask_block_2.mrc", "masks.csv"]
    masks = run("siren mask #1").masks.folder  # beside their run
    assert masks == out.parent / "masks" and (masks / "mask_block_1.mrc").is_file()
    run("siren block merge #1.1,2")
    run(f"siren mask #1 '{tmp_path}/both' dilate 0 soft 0")
    expected = planted.masks["left"] | planted.masks["right"]
    assert np.array_equal(mrcfile.read(tmp_path / "both/mask_block_1.mrc") > 0.5, expected)
    run(f"siren mask '{out}' '{tmp_path}/union' union true only 1,2 dilate 0 soft 0")
    assert np.array_equal(mrcfile.read(tmp_path / "union/mask_blocks_1-2.mrc") > 0.5, expected)


@pytest.mark.slow
def test_masks_are_in_the_box_of_the_volumes_whatever_box_was_sketched(
    session, run, planted, tmp_path
):
    folder = sketched(session, planted, tmp_path / "small", "box 16")
    table = pd.read_csv(folder / "blocks.csv")
    assert len(table) == 2
    run(f"siren mask '{folder}' dilate 0 soft 0")
    with mrcfile.open(tmp_path / "small/masks/mask_block_1.mrc") as mrc:
        assert mrc.data.shape == SHAPE and float(mrc.voxel_size.x) == VOXEL_SIZE
        found, true = mrc.data > 0.5, planted.masks["right"]
        assert (found & true).sum() / (found | true).sum() > 0.6
    gone = planted.folder.rename(tmp_path / "elsewhere")
    try:
        with pytest.raises(UserError, match='give "box"'):
            run(f"siren mask '{folder}' '{tmp_path}/gone'")
        run(f"siren mask '{folder}' '{tmp_path}/moved' volumes '{gone}'")
        assert mrcfile.read(tmp_path / "moved/mask_block_1.mrc").shape == SHAPE
        run(f"siren mask '{folder}' '{tmp_path}/cube' box 48")
        with mrcfile.open(tmp_path / "cube/mask_block_1.mrc") as mrc:
            assert mrc.data.shape == (48, 48, 48)
            assert float(mrc.voxel_size.x) == pytest.approx(24 * VOXEL_SIZE / 48)
    finally:
        gone.rename(planted.folder)


def test_maven_gets_masks_and_the_level_of_every_volume_by_its_own_number(
    session, run, out, tmp_path
):
    with StringPlainTextLog(session.logger) as log:
        run(f"siren mask '{out}' maven '{tmp_path}/maven'")
    names = sorted(p.name for p in (tmp_path / "maven/masks").iterdir())
    assert names == ["Mask_blocks_chaina.mrc", "Mask_blocks_chainb.mrc"]
    table = pd.read_csv(tmp_path / "maven/thresholds.csv", index_col="vol_id")
    assert table.index.tolist() == list(range(1, VOLUMES + 1))
    assert (table["file"] == [f"vol_{n}.mrc" for n in table.index]).all()
    assert (table["denormalized_predictions"] == LEVEL).all()
    assert "python calc_occupancy.py --mapdir" in log.getvalue()
    assert not (tmp_path / "masks").exists()
    (tmp_path / "maven/notes.txt").write_text("mine")
    with pytest.raises(UserError, match=r"notes\.txt"):
        run(f"siren mask '{out}' maven '{tmp_path}/maven'")


def test_a_segmentation_opens_as_a_map_of_the_blocks_numbers(session, run, out, planted, tmp_path):
    run(f"siren mask '{out}' segmentation '{tmp_path}/s.mrc'")
    volume = run(f"open '{tmp_path}/s.mrc'")[0]
    labels = volume.full_matrix()
    assert labels.dtype == np.int16 and volume.data.origin == ORIGIN
    assert np.array_equal(labels == 1, planted.masks["right"])
    assert np.array_equal(labels == 2, planted.masks["left"])
    assert pd.read_csv(tmp_path / "s.csv")["label"].tolist() == [1, 2]
    assert not (out.parent / "s").exists()


def test_masks_are_opened_where_the_volumes_are(session, run, out, tmp_path):
    run(f"siren mask '{out}' '{tmp_path}/m' open true")
    opened = session.models.list(type=Volume)
    assert [v.name for v in opened] == ["mask_block_1.mrc", "mask_block_2.mrc"]
    assert opened[0].data.origin == ORIGIN and opened[0].surfaces[0].level == 0.5


def test_programs_get_the_files(session, run, out, tmp_path):
    command = f"siren mask '{out}' '{tmp_path}/m' soft 8 maven '{tmp_path}/v'"
    answer = json.loads(run_command(session, command, return_json=True).json_value)
    assert [m["file"] for m in answer["masks"]] == ["mask_block_1.mrc", "mask_block_2.mrc"]
    assert answer["masks"][0]["soft_A"] == 8 and answer["folder"] == f"{tmp_path}/m"
    assert answer["maven"]["volumes"] == VOLUMES


BAD = {
    "mask '{out}' only 7": "no block 7: there are 1, 2",
    "mask '{out}' dilate -1": "dilate -1 is out of bounds",
    "mask '{out}' voxelSize 2": "voxelSize needs box",
    "mask '{out}' segmentation '{tmp}/x.nii'": r"\.mrc or \.seg",
    "mask '{out}' maven '{tmp}/x' union true": "leave out box and union",
    "mask '{tmp}'": "no run.json",
}


@pytest.mark.parametrize("command", BAD)
def test_bad_input_is_one_sentence_and_writes_nothing(session, run, out, tmp_path, command):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=BAD[command]) as caught:
        run("siren " + command.format(out=out, tmp=tmp_path / "empty"))
    assert "\n" not in str(caught.value).strip()
    assert not list((tmp_path / "empty").iterdir())


def test_only_blocks_of_a_sketch_are_said_to_have_gaps(session, run, out, tmp_path, monkeypatch):
    """However thin they are: blocks of an expansion hold all their voxels."""
    from chimerax.siren.commands import masks

    run(f"siren expand '{out}' outputDir '{tmp_path}' open false")
    monkeypatch.setattr(masks, "sampled_share", lambda blocks, sampled: 0.5 if sampled else 1.0)
    for folder, gaps in ((out, True), (tmp_path / "02_expand", False)):
        with StringPlainTextLog(session.logger) as log:
            run(f"siren mask '{folder}' '{tmp_path}/masks' only 2")
        assert ("as those of a sketch do" in log.getvalue()) == gaps
