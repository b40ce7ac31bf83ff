"""Open maps as an ensemble: where they lie in the scene, volume series, sub-folders, zip files."""

from __future__ import annotations

import shutil
import zipfile
from typing import Any

import numpy as np
import pytest
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog

from chimerax.siren.core.thresholds.labels import read_labels
from ensembles import LEVEL, VOXEL_SIZE, Planted, overlap, write_planted

FAST = "subsample 1 resamples 0 open false"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes", 60)


def log_of(session: Any, run: Any, command: str) -> str:
    with StringPlainTextLog(session.logger) as log:
        run(command)
    return " ".join(log.getvalue().split())


def best(result: Any, mask: np.ndarray) -> float:
    return max((overlap(result.blocks.mask(n) > 0, mask) for n in result.blocks.blocks), default=0)


def test_a_map_that_was_moved_in_the_scene_is_resampled_and_it_is_said(
    session, run, planted, tmp_path
):
    """Half the files are shifted by two voxels, and their models moved back: as if not shifted."""
    from chimerax.siren.core.maps.mapfile import read_map, write_map

    shifted = tmp_path / "shifted"
    shifted.mkdir()
    for n in range(1, 61):
        array, grid = read_map(planted.folder / f"vol_{n}.mrc")
        array = np.roll(array, 2, axis=2) if n > 30 else array
        write_map(shifted / f"vol_{n}.mrc", array, grid, "test")
    run(f"open '{shifted}/vol_*.mrc'")
    order = {m.name: m.id[-1] for m in session.models.list() if m.name.startswith("vol_")}
    moved = "1." + ",".join(str(order[f"vol_{n}.mrc"]) for n in range(31, 61))
    sketch = f"siren sketch #1 level {LEVEL} outputDir '{tmp_path}/out' {FAST}"
    assert "moved in the scene" not in log_of(session, run, sketch)
    run(f"move x {-2 * VOXEL_SIZE} models #{moved}")
    with StringPlainTextLog(session.logger) as log:
        result = run(sketch)
    text = " ".join(log.getvalue().split())
    assert "27 more: moved in the scene against vol_1.mrc, so resampled on its grid" in text
    for mask in planted.masks.values():
        assert best(result, mask) > 0.8
    with pytest.raises(UserError, match=r"or was moved: specify the\s+volumes"):
        run(f"siren expand '{tmp_path}/out/00_sketch'")


def test_maps_that_were_moved_together_are_read_as_they_are_and_blocks_follow_them(
    session, run, planted, tmp_path
):
    run(f"open '{planted.folder}/vol_*.mrc'")
    run("turn y 30 models #1")
    run("move z 25 models #1")
    log = log_of(
        session,
        run,
        f"siren sketch #1 level {LEVEL} outputDir '{tmp_path}/out' subsample 1 resamples 0",
    )
    assert "moved in the scene" not in log
    from chimerax.siren.session.surfaces import BlockMap

    volume = next(m for m in session.models.list() if m.name == "vol_1.mrc")
    blocks = session.models.list(type=BlockMap)
    assert len(blocks) == 2
    for block in blocks:
        difference = (volume.scene_position.inverse() * block.scene_position).matrix
        assert np.allclose(difference, np.eye(3, 4), atol=1e-5)
    run(f"move x 10 models #{blocks[1].id_string}")
    group = blocks[0].parent.id_string
    with pytest.raises(UserError, match=r"block 2 .* was moved in the scene against block 1"):
        run(f"siren expand #{group} open false")


def test_of_a_volume_series_what_is_shown_is_labeled(session, run, planted, tmp_path):
    files = " ".join(f"'{planted.folder}/vol_{n}.mrc'" for n in (1, 2, 3))
    run(f"open {files} vseries true")
    run("volume #1.1 style surface level 0.4")
    log = log_of(session, run, f"siren label #1 labels '{tmp_path}/labels.csv'")
    assert "#1 is a volume series: only what it shows is labeled, 1 of 3 maps" in log
    assert [label.file for label in read_labels(tmp_path / "labels.csv")] == ["vol_1.mrc"]
    run("hide #1.1-3 models")
    with pytest.raises(UserError, match="shows none of its maps"):
        run(f"siren label #1 labels '{tmp_path}/labels.csv'")
    # as an ensemble, a series is all its maps
    result = run(f"siren sketch #1 level {LEVEL} outputDir '{tmp_path}/out' {FAST}")
    assert result.record.counts["volumes"] == 3


def test_subfolders_and_zip_files_are_typed_like_folders(session, run, planted, tmp_path):
    analysis = tmp_path / "analyze.49"
    for k, place in enumerate(("kmeans20", "pc1")):
        (analysis / place).mkdir(parents=True)
        for n in range(30):
            shutil.copy(
                planted.folder / f"vol_{30 * k + n + 1}.mrc", analysis / place / f"vol_{n:03d}.mrc"
            )
    with zipfile.ZipFile(tmp_path / "J45_component_000.zip", "w") as archive:
        for n in range(1, 61):
            archive.write(planted.folder / f"vol_{n}.mrc", f"frame_{n:03d}.mrc")
    places = {
        "folder": f"'{analysis}'",
        "two folders": f"'{analysis}/pc1' '{analysis}/kmeans20'",
        "commas": f"'{analysis}/pc1,{analysis}/kmeans20'",
        "zip": f"'{tmp_path}/J45_component_000.zip'",
    }
    for name, typed in places.items():
        result = run(f"siren sketch {typed} level {LEVEL} outputDir '{tmp_path}/{name}' {FAST}")
        assert result.record.counts["volumes"] == 60, name
        for mask in planted.masks.values():
            assert best(result, mask) > 0.95, name
        grown = run(f"siren expand '{tmp_path}/{name}/00_sketch' open false resamples 0")
        assert len(grown.blocks) == 2
    run(f"siren show '{tmp_path}/J45_component_000.zip/frame_007.mrc' level 0.5")
    assert any(m.name == "frame_007.mrc" for m in session.models.list())


def test_a_mask_is_a_file_or_an_open_map_at_its_level_inside_or_outside(
    session, run, planted, tmp_path
):
    from chimerax.siren.core.maps.mapfile import read_map, write_map

    _, grid = read_map(planted.folder / "vol_1.mrc")
    mask = np.zeros(grid.shape, np.float32)
    mask[3:10, 3:10, 3:10] = 8  # around the left box, with the core in a corner
    write_map(tmp_path / "near left.mrc", mask, grid, "mask")
    place = f"'{planted.folder}' level {LEVEL} outputDir '{tmp_path}/out' {FAST}"
    log = log_of(session, run, f"siren sketch {place} mask '{tmp_path}/near left.mrc'")
    assert "inside the mask near left.mrc" in log
    result = run(f"siren sketch {place} mask '{tmp_path}/near left.mrc' maskSide outside")
    assert best(result, planted.masks["right"]) > 0.95
    assert best(result, planted.masks["left"]) == 0
    # expansion stays where the sketch was, unless told otherwise
    grown = run(f"siren expand '{tmp_path}/out/00_sketch' open false resamples 0")
    assert grown.record.parameters["mask"].endswith("00_sketch/mask.mrc")
    everywhere = run(f"siren expand '{tmp_path}/out/00_sketch' open false resamples 0 mask none")
    assert everywhere.record.parameters["mask"] == "none"
    assert not (everywhere.folder / "mask.mrc").exists()
    # an open map, at the level at which it is shown, where it lies
    run(f"open '{tmp_path}/near left.mrc'")
    run("volume #1 style surface level 3")
    result = run(f"siren sketch {place} mask #1")
    assert result.record.parameters["mask"] == "#1 near left.mrc"
    assert best(result, planted.masks["left"]) > 0.95
    assert best(result, planted.masks["right"]) == 0
    run("volume #1 level 9")
    with pytest.raises(UserError, match=r"No voxels are above 9 in the mask near left\.mrc"):
        run(f"siren sketch {place} mask #1")
    with pytest.raises(UserError, match="there is no file"):
        run(f"siren sketch {place} mask nothing.mrc")
    with pytest.raises(UserError, match='give it by "mask"'):
        run(f"siren sketch {place} maskSide outside")
    table = f"siren screen '{planted.folder}' level {LEVEL} outputDir '{tmp_path}/s' posp 0.01"
    settings = run(f"{table} mask '{tmp_path}/near left.mrc' maskSide outside")
    assert len(settings[0].blocks) == 1


def test_what_programs_leave_beside_the_states_is_left_out_of_every_command(
    session, run, planted, tmp_path
):
    from chimerax.siren.core.maps.mapfile import read_map, write_map

    folder = tmp_path / "kmeans"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(30):
        array, grid = read_map(planted.folder / f"vol_{n + 1}.mrc")
        write_map(folder / f"center{n:03d}.mrc", array, grid, "test")
        for half in (1, 2):
            noisy = array + rng.normal(0, 0.3, array.shape)
            write_map(folder / f"center{n:03d}_half{half}_unfil.mrc", noisy, grid, "test")
    log = log_of(
        session, run, f"siren sketch '{folder}' level {LEVEL} outputDir '{tmp_path}/out' {FAST}"
    )
    assert "Left out, as no states of the ensemble: 60 half maps" in log
    assert "30 volumes, 24 x 22 x 20" in log
    result = run(
        f"siren sketch '{folder}' level {LEVEL} include *_half1_* outputDir '{tmp_path}/h' {FAST}"
    )
    assert result.record.counts["volumes"] == 30
    run(f"open '{folder}/*.mrc'")
    result = run(f"siren sketch #1 level {LEVEL} outputDir '{tmp_path}/o' {FAST}")
    assert result.record.counts["volumes"] == 30
