"""The siren commands as a user types them, in a real ChimeraX session."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import mrcfile
import numpy as np
import pandas as pd
import pytest
from chimerax.core.errors import UserError
from chimerax.core.logger import HtmlLog, StringPlainTextLog
from chimerax.map import Volume

from chimerax.siren.core import (
    ExampleParameters,
    SketchParameters,
    expand_sketch,
    find_ensemble,
    run_sketch,
    sketch,
)
from chimerax.siren.core.maps.mapfile import write_map
from chimerax.siren.core.simulation.example_folder import write_example
from chimerax.siren.session.commandline import path_text
from ensembles import CORE, LEVEL, ORIGIN, SHAPE, VOXEL_SIZE, Planted, overlap, write_planted

FAST = "statistic exact subsample 1"
JUNK = ExampleParameters(volumes=60, box=32, voxel_size=10.0, junk=0.25, seed=0)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes")


@pytest.fixture(scope="module")
def sketched(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    ensemble = find_ensemble([planted.folder])
    parameters = SketchParameters(statistic="exact", subsample=1, resamples=0)
    output = tmp_path_factory.mktemp("sketched")
    run_sketch(ensemble, np.full(len(ensemble), LEVEL), "level 0.5", parameters, output)
    return output / "00_sketch"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def blocks_of(session: Any) -> dict[str, Any]:
    from chimerax.siren.session.surfaces import BlockMap

    return {m.name: m for m in session.models.list(type=BlockMap)}


def log_of(session: Any, run: Any, command: str) -> str:
    with StringPlainTextLog(session.logger) as log:
        run(command)
    return log.getvalue()


def test_sketch_and_expand_find_the_planted_boxes_and_open_them(session, run, planted, out):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST}")
    run("close")
    result = run(f"siren expand '{out}/00_sketch'")
    assert result.folder == out / "02_expand"
    assert len(result.blocks) == 2
    for mask in planted.masks.values():
        assert max(overlap(result.blocks.mask(n) > 0, mask) for n in (1, 2)) > 0.95
    groups = [m for m in session.models.list() if m.name.startswith("SIREn blocks")]
    assert len(groups) == 1
    sizes = sorted((int(m.sum()) for m in planted.masks.values()), reverse=True)
    assert sorted(blocks_of(session)) == [
        f"block {n} ({s:,} voxels)" for n, s in enumerate(sizes, 1)
    ]


def test_block_surfaces_lie_on_the_planted_boxes_in_the_volumes_frame(session, run, planted, out):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST}")
    volume = run(f"open '{planted.folder}/vol_1.mrc'")[0]
    right = next(
        m
        for m in blocks_of(session).values()
        if m.full_matrix().sum() == planted.masks["right"].sum()
    )
    assert right.data.size == volume.data.size
    assert np.allclose(right.data.origin, volume.data.origin)
    assert np.allclose(right.data.step, volume.data.step)
    zyx = np.argwhere(planted.masks["right"]).mean(axis=0)
    center = np.array(ORIGIN) + VOXEL_SIZE * zyx[::-1]
    assert np.allclose(right.surfaces[0].vertices.mean(axis=0), center, atol=VOXEL_SIZE / 2)


def test_block_maps_hold_zeros_and_ones_though_the_surface_is_smooth(
    session, run, planted, out, tmp_path
):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST}")
    block = next(iter(blocks_of(session).values()))
    assert set(np.unique(block.full_matrix())) == {0, 1}
    assert len(np.unique(block.matrix())) > 10
    run(f"save '{tmp_path}/saved.mrc' models #{block.id_string}")
    assert set(np.unique(mrcfile.read(tmp_path / "saved.mrc"))) == {0, 1}


def test_a_saved_session_brings_blocks_and_reference_back_and_they_can_be_expanded(
    session, run, planted, out, tmp_path
):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST} reference true")
    before = {
        n: (m.surfaces[0].level, tuple(m.surfaces[0].color), len(m.surfaces[0].vertices))
        for n, m in blocks_of(session).items()
    }
    group = next(m.id_string for m in session.models.list() if m.name.startswith("SIREn blocks"))
    run(f"save '{tmp_path}/s.cxs'")
    run("close")
    run(f"open '{tmp_path}/s.cxs'")
    after = {
        n: (m.surfaces[0].level, tuple(m.surfaces[0].color), len(m.surfaces[0].vertices))
        for n, m in blocks_of(session).items()
    }
    assert after == before
    assert any(m.name == "mean of the volumes" for m in session.models.list())
    assert len(run(f"siren expand #{group} open false").blocks) == 2


def test_expanding_open_models_gives_what_expanding_the_folder_gives(session, run, planted, out):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST} reference true")
    group = next(m.id_string for m in session.models.list() if m.name.startswith("SIREn blocks"))
    run(f"siren expand #{group} open false outputDir '{out}/models'")
    run(f"siren expand '{out}/00_sketch' open false outputDir '{out}/folder'")
    for name in ("blocks.json", "blocks.csv", "block_1.mrc", "mean.mrc"):
        assert (out / "models/02_expand" / name).read_bytes() == (
            out / "folder/02_expand" / name
        ).read_bytes()


def test_an_erased_block_is_expanded_as_it_was_left(session, run, planted, out):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST}")
    block = blocks_of(session)[f"block 1 ({int(planted.masks['right'].sum())} voxels)"]
    x, y, z = np.array(ORIGIN) + VOXEL_SIZE * np.array([13, 12, 11])  # a corner of the right box
    run(f"volume erase #{block.id_string} center {x},{y},{z} radius 10")
    left = int(block.full_matrix().sum())
    assert 0 < left < planted.masks["right"].sum()
    result = run(f"siren expand #{block.id_string} open false")
    assert list(result.blocks.blocks) == [1]
    assert result.record.counts["block_voxels_before"] == left
    # and expansion brings the corner back
    assert overlap(result.blocks.mask(1) > 0, planted.masks["right"]) > 0.95


def test_merged_blocks_are_expanded_as_one(session, run, planted, out):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST}")
    first, second = (m.id_string for m in blocks_of(session).values())
    run(f"volume maximum #{first}#{second}")
    merged = next(m for m in session.models.list(type=Volume) if m.name not in blocks_of(session))
    result = run(f"siren expand #{merged.id_string} open false")
    assert len(result.blocks) == 1
    assert result.record.counts["block_voxels_before"] == sum(
        m.sum() for m in planted.masks.values()
    )


@pytest.mark.slow
def test_open_maps_are_an_ensemble_and_keep_their_display(session, run, planted, out):
    run(f"open '{planted.folder}/vol_*.mrc'")
    volume = next(m for m in session.models.list() if m.name == "vol_7.mrc")
    run(f"volume #{volume.id_string} level 0.3 color tomato")
    shown = (volume.surfaces[0].level, tuple(volume.surfaces[0].color))
    models = run(f"siren sketch #1 level {LEVEL} outputDir '{out}' {FAST} open false")
    files = run(
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}/f' {FAST} open false"
    )
    assert (models.folder / "blocks.json").read_bytes() == (
        files.folder / "blocks.json"
    ).read_bytes()
    assert (volume.surfaces[0].level, tuple(volume.surfaces[0].color)) == shown


def test_maps_without_a_file_are_an_ensemble(session, run, out):
    from chimerax.map import volume_from_grid_data
    from chimerax.map_data import ArrayGridData

    rng = np.random.default_rng(1)
    for v in range(100):
        array = rng.normal(0, 0.05, SHAPE).astype(np.float32)
        array[CORE] += 1
        array[2:6, 2:6, 2:6] += v % 2
        volume_from_grid_data(ArrayGridData(array, step=(2, 2, 2), name=f"m{v}"), session)
    result = run(f"siren sketch #1-100 level {LEVEL} outputDir '{out}' {FAST} open false")
    assert np.array_equal(
        result.blocks.mask(1), (np.indices(SHAPE) >= 2).all(0) & (np.indices(SHAPE) < 6).all(0)
    )
    with pytest.raises(UserError, match="without a file"):
        run(f"siren expand '{result.folder}'")
    assert len(run(f"siren expand '{result.folder}' volumes #1-100 open false").blocks) == 1


def test_a_list_of_files_names_or_wildcards_is_an_ensemble(session, run, planted, out):
    names = [f"{planted.folder}/vol_{n}.mrc" for n in range(1, 151)]
    typed = " ".join(f"'{n}'" for n in names)
    commas = ",".join(names)
    for k, volumes in enumerate((typed, commas, f"'{planted.folder}/vol_[12]?.mrc'")):
        result = run(
            f"siren sketch {volumes} level {LEVEL} outputDir '{out}/{k}' {FAST} open false"
        )
        assert len(result.record.volumes) == (20 if k == 2 else 150)


def test_exclude_and_include_choose_volumes_and_are_recorded(session, run, planted, out):
    result = run(
        f"siren sketch '{planted.folder}' level {LEVEL} exclude vol_3.mrc,vol_4 outputDir "
        f"'{out}' {FAST} open false"
    )
    names = [v["name"] for v in result.record.volumes]
    assert len(names) == 198
    assert not {"vol_3.mrc", "vol_4.mrc"} & set(names)
    assert json.loads((out / "00_sketch/run.json").read_text())["not_chosen"] == [
        "vol_3.mrc",
        "vol_4.mrc",
    ]
    result = run(
        f"siren sketch '{planted.folder}' level {LEVEL} include vol_1* outputDir '{out}' "
        f"{FAST} open false"
    )
    assert len(result.record.volumes) == 111


def test_thresholds_come_from_a_table_and_filter_leaves_outliers_out(
    session, run, planted, out, tmp_path
):
    rows = [f"vol_{n}.mrc,{5.0 if n == 9 else LEVEL + 1e-3 * n}" for n in range(1, 201)]
    (tmp_path / "t.csv").write_text("file,denormalized_predictions\n" + "\n".join(rows) + "\n")
    log = log_of(
        session,
        run,
        f"siren sketch '{planted.folder}' thresholds '{tmp_path}/t.csv' "
        f"filter true outputDir '{out}' {FAST}",
    )
    assert "1 left out (vol_9.mrc: threshold beyond mean +- 2 SD)" in " ".join(log.split())
    record = json.loads((out / "00_sketch/run.json").read_text())
    assert record["volumes"]["vol_9.mrc"]["left_out"]
    assert record["volumes"]["vol_8.mrc"]["level"] == pytest.approx(LEVEL + 8e-3)
    run(f"siren expand '{out}/00_sketch' open false")
    record = json.loads((out / "02_expand/run.json").read_text())
    assert "vol_9.mrc" not in record["volumes"]


@pytest.mark.slow
def test_an_edited_sketch_is_kept_when_a_new_one_takes_its_place(session, run, planted, out):
    command = f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST} open false"
    run(command)
    (out / "00_sketch/block_2.mrc").unlink()
    log = log_of(session, run, command)
    assert "00_sketch_edited_1" in log
    assert sorted(p.name for p in out.iterdir()) == ["00_sketch", "00_sketch_edited_1"]
    assert not (out / "00_sketch_edited_1/block_2.mrc").exists()
    assert (out / "00_sketch/block_2.mrc").exists()
    assert "was replaced" in log_of(session, run, command)


def test_blocks_found_earlier_open_again(session, run, planted, out):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST} open false")
    assert not blocks_of(session)
    run(f"siren open '{out}/00_sketch' reference true")
    assert len(blocks_of(session)) == 2


def test_voxel_size_given_by_the_user_is_used_and_written(session, run, planted, out):
    result = run(
        f"siren sketch '{planted.folder}' level {LEVEL} voxelSize 6.5 outputDir '{out}' "
        f"{FAST} open false"
    )
    assert result.table.volume_A3[0] == pytest.approx(
        planted.masks["right"].sum() * 6.5**3, abs=0.1
    )
    with mrcfile.open(result.folder / "block_1.mrc") as mrc:
        assert mrc.voxel_size.x == pytest.approx(6.5)
    assert run(f"siren expand '{result.folder}' open false").record.grid.voxel_size == (
        6.5,
        6.5,
        6.5,
    )


def test_an_origin_given_by_the_user_is_used_written_and_known_to_later_steps(
    session, run, planted, out, tmp_path
):
    volumes = tmp_path / "volumes"
    shutil.copytree(planted.folder, volumes)
    for n in (3, 7):
        with mrcfile.open(volumes / f"vol_{n}.mrc", "r+") as mrc:
            mrc.header.origin = (-12, -12, -12)
    plain = f"siren sketch '{volumes}' level {LEVEL} outputDir '{out}' {FAST} open false"
    with pytest.raises(UserError, match='"origin 0,0,0"'):
        run(plain)
    result = run(f"{plain} origin 1,2.5,-3")
    with mrcfile.open(result.folder / "block_1.mrc") as mrc:
        assert mrc.header.origin.tolist() == (1, 2.5, -3)
    expanded = run(f"siren expand '{result.folder}' open false")
    assert expanded.record.grid.origin == (1, 2.5, -3)
    again = run(f"siren expand '{result.folder}' volumes '{volumes}' open false")
    assert again.record.grid.origin == (1, 2.5, -3)
    run(f"siren report '{out}/02_expand' saveFile '{tmp_path}/r.html'")
    assert "origin 1,2.5,-3" in (tmp_path / "r.html").read_text()
    log = log_of(
        session,
        run,
        plain.replace("sketch", "screen").replace(" open false", "") + " origin 1,2.5,-3",
    )
    assert "origin 1,2.5,-3" in log


BAD = {
    "siren sketch /no/such/folder level 1": "no file or folder /no/such/folder",
    "siren sketch #77 level 1": "no open map|No models",
    "siren sketch '{empty}' level 1": "holds no maps",
    "siren sketch '{volumes}' level 1 thresholds '{csv}'": "not both",
    "siren sketch '{volumes}' level nan": "not a number",
    "siren sketch '{volumes}' level 100": "above their threshold",
    "siren sketch '{volumes}' level 1 exclude nosuch": "matches none",
    "siren sketch '{volumes}' level 1 subsample 0": "subsample",
    "siren sketch '{volumes}' level 1 posp 2": "posp",
    "siren sketch '{volumes}' level 1 statistic guess": "Should be one of|statistic",
    "siren sketch '{volumes}' level 1 voxelSize -2": "voxel size",
    "siren sketch '{volumes}' level 1 box 3": "box",
    "siren sketch '{volumes}' thresholds '{csv}'": "wrong.csv",
    "siren sketch '{volumes}' thresholds /no/such.csv": "such",
    "siren sketch '{volumes}/vol_1.mrc' level 1": "only 1 volume",
    "siren expand '{empty}'": "no run.json",
    "siren expand /no/such": "such",
    "siren expand #77": "no open model|No models",
    "siren open '{empty}'": "run.json",
}


@pytest.mark.parametrize("command", BAD)
def test_bad_input_gets_one_sentence_and_writes_nothing(session, run, planted, tmp_path, command):
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.csv").write_text("a,b\n1,2\n")
    typed = command.format(
        empty=tmp_path / "empty", volumes=planted.folder, csv=tmp_path / "wrong.csv"
    )
    if typed.startswith("siren sketch"):
        typed += f" outputDir '{tmp_path}/out'"
    with pytest.raises(UserError) as caught:
        run(typed)
    message = str(caught.value)
    assert any(word in message for word in BAD[command].split("|")), message
    assert "\n" not in message.strip()
    assert not (tmp_path / "out").exists()


def test_a_second_expansion_needs_no_sketch_folder_when_its_name_says_where(
    session, run, planted, out
):
    import shutil

    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST} open false")
    (out / "01_edit").mkdir()
    shutil.copy(out / "00_sketch/block_2.mrc", out / "01_edit/block_2.mrc")
    result = run(f"siren expand '{out}/01_edit' open false")
    assert list(result.blocks.blocks) == [2]
    assert result.folder == out / "02_expand"


@pytest.mark.slow
def test_another_statistic_for_expanding_does_not_inherit_the_sketchs_parameters(
    session, run, planted, out
):
    run(
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST} negp 0.01 open "
        "false"
    )
    result = run(f"siren expand '{out}/00_sketch' open false")
    assert (result.record.parameters["statistic"], result.record.parameters["negp"]) == (
        "exact",
        0.01,
    )
    result = run(f"siren expand '{out}/00_sketch' statistic profile open false")
    assert (result.record.parameters["statistic"], result.record.parameters["negp"]) == (
        "profile",
        0.05,
    )


@pytest.mark.parametrize("masked", [False, True])
def test_notebooks_expand_to_the_same_bytes_as_commands(run, out, tmp_path, masked):
    """With so much junk, and levels so far off, levels harmonized twice would be others."""
    true = write_example(tmp_path / "volumes", JUNK).simulation.levels
    ensemble = find_ensemble([tmp_path / "volumes"])
    levels = true * np.exp(0.5 * np.random.default_rng(0).standard_normal(len(true)))
    table = pd.DataFrame({"file": ensemble.names, "denormalized_predictions": levels})
    table.to_csv(tmp_path / "levels.csv", index=False)
    half = np.zeros(ensemble.grid.shape, np.float32)
    half[:18] = 1
    write_map(tmp_path / "half.mrc", half, ensemble.grid, "mask")
    mask = str(tmp_path / "half.mrc") if masked else None
    words = f"mask '{mask}'" if masked else ""
    run(
        f"siren sketch '{tmp_path}/volumes' thresholds '{tmp_path}/levels.csv' posp 0.02 "
        f"outputDir '{out}' {words} open false"
    )
    typed = run(f"siren expand '{out}/00_sketch' open false")
    assert typed.record.counts["volumes_used"] == 45  # junk stays out

    sketched = sketch(ensemble, levels, SketchParameters(posp=0.02, mask=mask))
    grown = expand_sketch(ensemble, sketched)
    occupancy = grown.occupancy
    np.testing.assert_array_equal(occupancy.levels, sketched.occupancy.levels)
    (tmp_path / "notebook").mkdir()
    table = grown.blocks.table(occupancy.frequency, len(occupancy))
    grown.blocks.write(tmp_path / "notebook", table, occupancy.mean)
    written = sorted(tmp_path.glob("notebook/*"))
    assert len(grown.blocks) > 2
    assert len(written) == len(grown.blocks) + 4
    for path in written:
        assert path.read_bytes() == (typed.folder / path.name).read_bytes(), path.name


def test_levels_below_everything_are_refused_and_very_few_volumes_find_nothing_and_say_why(
    session, run, planted, out
):
    with pytest.raises(UserError, match="the contour levels are too low"):
        run(f"siren sketch '{planted.folder}' level -100 outputDir '{out}'")
    three = " ".join(f"'{planted.folder}/vol_{n}.mrc'" for n in (1, 2, 3))
    log = " ".join(
        log_of(session, run, f"siren sketch {three} level {LEVEL} outputDir '{out}'").split()
    )
    assert "0 blocks" in log
    assert "3 volumes are few" in log


def test_volumes_that_are_all_unlike_are_not_all_left_out(session, run, tmp_path):
    for n in range(12):
        array = np.zeros((24, 24, 24), np.float32)
        array[2 * n : 2 * n + 2] = 1
        with mrcfile.new(tmp_path / f"v{n}.mrc", array) as mrc:
            mrc.voxel_size = 2
    result = run(f"siren sketch '{tmp_path}' level 0.5 outputDir '{tmp_path}/out'")
    assert result.record.counts["volumes_used"] == 12


def test_an_expansion_is_not_replaced_by_its_own_expansion(session, run, planted, out):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST} open false")
    run(f"siren expand '{out}/00_sketch' open false")
    with pytest.raises(UserError, match="its own expansion: give another outputDir"):
        run(f"siren expand '{out}/02_expand'")


def test_an_output_folder_that_is_a_file_is_refused_at_once(session, run, planted, tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file/deeper"):
        with pytest.raises(UserError, match="file is a file, not a folder"):
            run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{output}'")


@pytest.mark.slow
def test_merged_blocks_keep_their_voxels_to_themselves(session, run, planted, out):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' subsample 1")
    first, second = blocks_of(session).values()
    mine = first.full_matrix() > 0
    half = mine.copy()
    # the user moves half of one block to the other
    half[:, :, : int(np.argwhere(mine)[:, 2].mean())] = False
    second.data.array[half] = 1
    first.data.array[half] = 0
    group = next(m.id_string for m in session.models.list() if m.name.startswith("SIREn blocks"))
    blocks = run(f"siren expand #{group} open false").blocks
    assert not (blocks.mask(1).astype(bool) & blocks.mask(2).astype(bool)).any()
    assert (blocks.mask(2).astype(bool) & half).sum() == half.sum()


def test_large_volumes_are_resampled_on_the_fly(session, run, planted, out):
    result = run(
        f"siren sketch '{planted.folder}' level {LEVEL} box 12 outputDir '{out}' {FAST} open false"
    )
    assert result.record.grid.shape == (12, 12, 12)
    assert result.record.grid.origin == pytest.approx(ORIGIN)
    assert result.record.grid.voxel_size == pytest.approx((8.0, 8.0, 8.0))
    assert len(run(f"siren expand '{result.folder}' open false").blocks) == len(result.blocks)


@pytest.mark.slow
def test_screening_logs_each_setting_with_the_sketch_that_gives_it(session, run, planted, out):
    text = log_of(
        session,
        run,
        f"siren screen '{planted.folder}' level {LEVEL} outputDir '{out}' "
        f"{FAST} posp 0.001,0.01 exclude vol_3.mrc",
    )
    assert (out / "screen.csv").is_file() and (out / "screen.png").is_file()
    command = (
        f"siren sketch {planted.folder} outputDir {out} exclude vol_3.mrc level 0.5 "
        "statistic exact subsample 1 posp 0.001"
    )
    assert "".join(command.split()) in "".join(text.split())  # the plain log breaks lines
    table = pd.read_csv(out / "screen.csv")
    assert table["posp"].tolist() == [0.001, 0.001, 0.01, 0.01]
    assert [len(v) for _, v in run(command).blocks] == table["voxels"].tolist()[:2]
    with pytest.raises(UserError, match="posp 2 is out of bounds"):
        run(f"siren screen '{planted.folder}' level {LEVEL} posp 0.01,2")


def test_blocks_are_colored_by_strength_and_stability_and_back(session, run, planted, out):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST}")
    block = next(iter(blocks_of(session).values()))
    own = tuple(block.surfaces[0].color)
    run("siren block color #1 strength")
    # the box is always present as a whole: all strengths are 1
    assert (block.surfaces[0].vertex_colors[:, :3] == (0xFD, 0xE7, 0x25)).all()
    # along z, as voxels are ordered
    block.siren_strength = np.linspace(0, 1, len(block.voxels), dtype=np.float32)
    run("siren block color #1 strength")
    surface = block.surfaces[0]
    low, high = surface.vertices[:, 2].argmin(), surface.vertices[:, 2].argmax()
    assert (
        surface.vertex_colors[low, 2] > surface.vertex_colors[low, 1]
        and surface.vertex_colors[high, 0] > surface.vertex_colors[high, 2]
    )
    run(f"volume #{block.id_string} level 0.5")  # a new surface is colored again
    block.update_drawings()  # as with the next frame
    assert len(block.surfaces[0].vertex_colors) == len(block.surfaces[0].vertices)
    block.siren_values["stability"] = 1.0
    run("siren block color #1 stability")
    assert block.surfaces[0].vertex_colors is None and tuple(block.surfaces[0].color[:3]) == (
        0xFD,
        0xE7,
        0x25,
    )
    run("siren block color #1 block")
    assert tuple(block.surfaces[0].color) == own
    run("siren block merge #1.1#1.2")
    assert "is not known" in log_of(session, run, "siren block color #1.1 strength")


def test_a_session_with_colors_by_strength_can_be_saved_and_opened(
    session, run, planted, out, tmp_path
):
    run(f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST}")
    run("siren block color #1 strength")
    run(f"save '{tmp_path}/s.cxs'")
    run("close")
    run(f"open '{tmp_path}/s.cxs'")
    assert "Colored by strength" in log_of(session, run, "siren block color #1 strength")


def test_the_device_is_logged_and_an_expansion_does_not_inherit_it(session, run, planted, out):
    log = log_of(
        session,
        run,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' "
        f"{FAST} open false device auto",
    )
    used = json.loads((out / "00_sketch/run.json").read_text())["counted_on"]
    assert f"(statistic exact; counted on {used})" in " ".join(log.split())
    log = log_of(session, run, f"siren expand '{out}/00_sketch' open false")
    assert "(statistic exact; counted on cpu)" in " ".join(log.split())
    assert json.loads((out / "02_expand/run.json").read_text())["parameters"]["device"] == "cpu"


def test_a_scheduler_is_an_address_not_a_file_and_one_that_does_not_answer_is_named(
    run, planted, out, monkeypatch
):
    monkeypatch.setattr("chimerax.siren.core.compute.cluster.CONNECT_SECONDS", 0.5)
    command = (
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST} scheduler "
        "tcp://127.0.0.1:9"
    )
    with pytest.raises(UserError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9 "):
        run(command)
    with pytest.raises(UserError, match='leave out either "device" or "scheduler"'):
        run(f"{command} device auto")
    assert not (out / "00_sketch").exists()


class LogPage(HtmlLog):
    """The log as a page, whose links a person clicks."""

    def __init__(self) -> None:
        self.page = ""

    def log(self, level: int, msg: str, image_info: Any, is_html: bool) -> bool:
        self.page += msg
        return True

    def click(self, run: Any, first_words: str) -> Any:
        """Run the command of the link that begins so, by the way of ChimeraX's own."""
        from Qt.QtCore import QUrl

        (address,) = {
            unescape(a)
            for a in re.findall(r'href="(cxcmd:[^"]*)"', self.page)
            if unescape(a).startswith(f"cxcmd:{first_words}")
        }
        url = QUrl(address).url(QUrl.UrlFormattingOption.None_)
        return run(unquote(url.split(":", 1)[1]))


@pytest.mark.parametrize("name", ["it' s\" x", "a; close", "\" ; close ; '", "line\nend \udcff"])
def test_links_of_a_folder_whose_name_is_a_command_run_only_their_own_command(
    session: Any, run: Any, planted: Planted, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "volumes").symlink_to(planted.folder)
    run(f"open '{planted.folder}/vol_1.mrc'")
    page = LogPage()
    session.logger.add_log(page)
    try:
        run(
            f"siren sketch {path_text(folder / 'volumes')} level {LEVEL} {FAST} "
            f"outputDir {path_text(folder / 'siren')}"
        )
        result = page.click(run, "siren expand")
    finally:
        session.logger.remove_log(page)
    assert result.folder == folder / "siren" / "02_expand"
    assert len(result.blocks) == 2
    assert any(m.name == "vol_1.mrc" for m in session.models.list())  # nothing was closed


@pytest.mark.parametrize(
    "command",
    [
        "siren predict '{volumes}' outputDir '{long}'",
        "siren screen '{volumes}' outputDir '{long}'",
        "siren preprocess '{volumes}' outputDir '{long}'",
        "siren example '{long}'",
        "siren mask #1 '{long}'",
        "siren mask #1 maven '{long}'",
        "siren mask #1 segmentation '{long}.mrc'",
        "siren volumes #1 with 1 outputDir '{long}'",
        "siren relate #1 outputDir '{long}'",
        "siren occupancy #1 outputDir '{long}'",
        "siren states #1 saveFile '{long}.csv'",
        "siren block save #1 '{long}'",
        "siren compare #1 '{long}'",
    ],
)
def test_a_name_that_is_too_long_for_the_file_system_gives_one_sentence(
    session, run, planted, sketched, tmp_path, command
):
    run(f"siren open '{sketched}'")
    with pytest.raises(UserError) as caught:
        run(command.format(volumes=planted.folder, long=tmp_path / ("x" * 300)))
    said = str(caught.value)
    assert "\n" not in said
    assert "compare" in command or ("File name too long" in said and "give " in said)
    assert not list(tmp_path.iterdir())


def test_copies_among_the_volumes_are_told_after_a_sketch(session, run, planted, out):
    folder = out.parent / "volumes"
    shutil.copytree(planted.folder, folder)
    shutil.copy(folder / "vol_3.mrc", folder / "vol_7.mrc")
    said = log_of(session, run, f"siren sketch '{folder}' level {LEVEL} outputDir '{out}' {FAST}")
    assert "1 of the 200 volumes is a copy of another, vol_7.mrc of vol_3.mrc" in said
