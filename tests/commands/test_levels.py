"""Levels, volumes and results belong together: tables of other maps, maps that changed, siblings,
outputDir, and what the log offers next.
"""

from __future__ import annotations

import csv
import html
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog

from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.thresholds.normalize import Range
from chimerax.siren.core.thresholds.tables import Prediction, Predictions, write_predictions
from ensembles import LEVEL, write_planted

FAST = "statistic exact subsample 1 resamples 0 open false"


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_planted(tmp_path_factory.mktemp("levels") / "volumes", 120).folder


@pytest.fixture
def volumes(planted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(planted, tmp_path / "volumes"))


@pytest.fixture
def logged(session: Any, run: Any) -> Callable[[str], str]:
    """Run a command; what it logs, on one line."""

    def run_logged(command: str) -> str:
        with StringPlainTextLog(session.logger) as log:
            run(command)
        return " ".join(log.getvalue().split())

    return run_logged


@pytest.fixture
def links(session: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Run a command; the commands that its log offers."""

    def run_linked(command: str) -> list[str]:
        lines: list[str] = []
        info = session.logger.info
        with monkeypatch.context() as patch:
            patch.setattr(
                session.logger,
                "info",
                lambda text, *a, **k: (lines.append(text), info(text, *a, **k))[1],
            )
            run(command)
        found = re.findall(r'href="cxcmd:([^"]*)"', " ".join(lines))
        return [html.unescape(c) for c in found]

    return run_linked


def table_of(folder: Path, path: Path, level: float = LEVEL) -> Path:
    """Predictions as "siren predict" would write them for these maps."""
    ensemble = find_ensemble([folder])
    for _ in ensemble.read():
        pass
    rows = [
        Prediction(n, k, Range(0.0, 2 * level), 0.0, 0.1, fingerprint=ensemble.fingerprints[n])
        for k, n in enumerate(ensemble.names)
    ]
    write_predictions(path, Predictions(tuple(rows)))
    return path


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with open(path, newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def rewrite(path: Path, change: Callable[[Any], Any]) -> None:
    size = path.stat().st_size
    with mrcfile.open(path, "r+") as mrc:
        mrc.set_data(np.ascontiguousarray(change(mrc.data), np.float32))
    assert path.stat().st_size == size


CHANGES = {
    "scaled": lambda a: 3 * a,
    "shifted": lambda a: np.roll(a, 5, 0),
    "exchanged": lambda a: a[::-1, ::-1] + 0.01,
}


# --- levels and their maps


def test_a_table_of_another_ensemble_with_the_same_names_is_refused_with_the_remedy(
    run, volumes, tmp_path
):
    other = write_planted(tmp_path / "other", 120, seed=6).folder
    table = table_of(other, tmp_path / "siren/predictions.csv")
    for command in (
        f"siren sketch '{volumes}' {FAST}",
        f"siren sketch '{volumes}' thresholds '{table}' {FAST}",
        f"siren screen '{volumes}' thresholds '{table}' statistic exact subsample 1",
    ):
        with pytest.raises(UserError) as caught:
            run(command)
        said = str(caught.value)
        assert "vol_1.mrc is not the map that" in said and str(table) in said
        assert '"siren predict" again' in said
        assert sorted(p.name for p in (tmp_path / "siren").iterdir()) == ["predictions.csv"]
    assert run(f"siren sketch '{other}' thresholds '{table}' {FAST}").blocks


def test_levels_beside_the_volumes_are_used_for_results_elsewhere(run, logged, volumes, tmp_path):
    table = table_of(volumes, tmp_path / "siren/predictions.csv")
    log = logged(f"siren sketch '{volumes}' outputDir '{tmp_path}/elsewhere' {FAST}")
    assert f"Contour levels from {table}" in log
    assert not (tmp_path / "elsewhere/predictions.csv").exists()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_map_that_changed_after_its_level_was_predicted_is_named(run, volumes, tmp_path, change):
    table_of(volumes, tmp_path / "siren/predictions.csv")
    rewrite(volumes / "vol_7.mrc", change)
    with pytest.raises(UserError, match=r"vol_7\.mrc is not the map"):
        run(f"siren sketch '{volumes}' {FAST}")
    # it may be left out, or its cell emptied, or its level predicted again
    assert run(f"siren sketch '{volumes}' exclude vol_7.mrc {FAST}")
    text = (tmp_path / "siren/predictions.csv").read_text()
    code = rows_of(tmp_path / "siren/predictions.csv")["vol_7.mrc"]["fingerprint"]
    (tmp_path / "siren/predictions.csv").write_text(text.replace(code, ""))
    assert run(f"siren sketch '{volumes}' {FAST}")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_volume_that_changed_between_sketch_and_expand_is_named_and_nothing_is_written(
    run, volumes, tmp_path, change
):
    run(f"siren sketch '{volumes}' level {LEVEL} {FAST}")
    rewrite(volumes / "vol_7.mrc", change)
    folder = tmp_path / "siren/00_sketch"
    for command in (f"siren expand '{folder}'", f"siren block save #1 '{tmp_path}/saved'"):
        if "block" in command:
            run(f"siren open '{folder}'")
        with pytest.raises(UserError) as caught:
            run(command)
        said = str(caught.value)
        assert "vol_7.mrc changed since the sketch" in said and '"siren sketch" again' in said
    assert not (tmp_path / "siren/02_expand").exists()
    assert not (tmp_path / "saved").exists()


def test_changed_volumes_that_are_named_are_used_and_their_number_is_said(
    run, logged, volumes, tmp_path
):
    run(f"siren sketch '{volumes}' level {LEVEL} {FAST}")
    for n in (7, 8):
        rewrite(volumes / f"vol_{n}.mrc", lambda a: np.roll(a, 1, 0))
    log = logged(
        f"siren expand '{tmp_path}/siren/00_sketch' volumes '{volumes}' resamples 0 open false"
    )
    assert "2 of the 120 volumes are not as in the sketch (vol_7.mrc, vol_8.mrc)" in log
    assert (tmp_path / "siren/02_expand").is_dir()


def test_changed_volumes_that_are_named_are_said_by_states_too(run, logged, volumes, tmp_path):
    run(f"siren sketch '{volumes}' level {LEVEL} {FAST}")
    (tmp_path / "siren/00_sketch/states.csv").unlink()  # so that it reads the volumes
    rewrite(volumes / "vol_7.mrc", lambda a: np.roll(a, 1, 0))
    command = f"siren states '{tmp_path}/siren/00_sketch'"
    with pytest.raises(UserError, match=r"vol_7\.mrc changed since the sketch"):
        run(command)
    assert "1 of the 120 volumes is not as in the sketch (vol_7.mrc)" in logged(
        f"{command} volumes '{volumes}'"
    )


def test_a_copy_of_the_volumes_elsewhere_is_known_to_be_the_same(run, logged, volumes, tmp_path):
    run(f"siren sketch '{volumes}' level {LEVEL} {FAST}")
    shutil.move(volumes, tmp_path / "moved")
    log = logged(
        f"siren expand '{tmp_path}/siren/00_sketch' volumes '{tmp_path}/moved' resamples 0 "
        "open false"
    )
    assert "not as in the sketch" not in log


def test_a_table_without_fingerprints_whose_statistics_are_of_other_maps_is_doubted(
    logged, volumes, tmp_path
):
    head = "vol_id,vol_min,vol_max,prediction,int_predictions,denormalized_predictions\n"
    highest = [float(np.percentile(mrcfile.read(volumes / f"vol_{n + 1}.mrc"), 99.999))
               for n in range(120)]  # fmt: skip
    for factor, doubted in ((1.0, False), (3.0, True)):
        lines = (f"{n},0,{factor * h},0,0.5,{LEVEL}\n" for n, h in enumerate(highest))
        (tmp_path / "p.csv").write_text(head + "".join(lines))
        log = logged(f"siren sketch '{volumes}' thresholds '{tmp_path}/p.csv' {FAST}")
        assert ("p.csv seems to be of other volumes" in log) == doubted
        assert "its vol_id 0 is vol_1.mrc and 119 is vol_120.mrc" in log


def test_a_published_table_is_refused_where_one_more_map_lies_in_the_folder(run, volumes, tmp_path):
    (tmp_path / "p.csv").write_text(
        "vol_id,denormalized_predictions\n" + "".join(f"{n},{LEVEL}\n" for n in range(120))
    )
    shutil.copy(volumes / "vol_1.mrc", volumes / "vol_0.mrc")  # the first of them
    command = f"siren sketch '{volumes}' thresholds '{tmp_path}/p.csv' {FAST}"
    with pytest.raises(UserError, match="120 rows for 121 volumes"):
        run(command)
    assert run(f"{command} exclude vol_0.mrc")


# --- each folder of volumes has its own results


@pytest.mark.parametrize("command", ["sketch", "screen"])
@pytest.mark.parametrize(
    "bad",
    [
        "mask",
        pytest.param(
            "folder", marks=pytest.mark.skipif(not Path("/proc").is_dir(), reason="Linux")
        ),
    ],
)
def test_a_bad_mask_or_output_folder_is_refused_before_levels_are_predicted(
    session, run, volumes, tmp_path, monkeypatch, command, bad
):
    from chimerax.siren.core.maps.mapfile import read_map, write_map
    from chimerax.siren.core.thresholds import predict

    def never(*_, **__):
        raise AssertionError("levels are being predicted")

    monkeypatch.setattr(predict, "predict_levels", never)
    array, grid = read_map(next(volumes.glob("*.mrc")))
    write_map(tmp_path / "empty.mrc", np.zeros_like(array), grid, "no voxel inside")
    keywords = {
        "mask": f"mask '{tmp_path}/empty.mrc' outputDir '{tmp_path}/out'",
        "folder": "outputDir /proc/out",  # nobody can write there
    }[bad]
    says = {"mask": "No voxels are above", "folder": "cannot be written"}[bad]
    settings = " posp 0.01,0.05" if command == "screen" else ""
    with pytest.raises(UserError, match=says):
        run(f"siren {command} '{volumes}' {keywords}{settings}")
    assert not (tmp_path / "out").exists()


def test_siblings_do_not_share_results_and_each_finds_its_own(run, tmp_path):
    a = write_planted(tmp_path / "runA", 120, seed=5).folder
    b = write_planted(tmp_path / "runB", 120, seed=6).folder
    first = run(f"siren sketch '{a}' level {LEVEL} {FAST}")
    second = run(f"siren sketch '{b}' level {LEVEL} {FAST}")
    assert first.folder == tmp_path / "siren/00_sketch"
    assert second.folder == tmp_path / "siren_runB/00_sketch"
    assert not second.replaced
    assert run(f"siren sketch '{a}' level {LEVEL} {FAST}").folder == first.folder
    assert run(f"siren expand '{second.folder}' resamples 0 open false").folder == (
        tmp_path / "siren_runB/02_expand"
    )
    table_of(a, tmp_path / "siren/predictions.csv")
    table_of(b, tmp_path / "siren_runB/predictions.csv", LEVEL + 0.05)
    assert {v["level"] for v in run(f"siren sketch '{a}' {FAST}").record.volumes} == {LEVEL}
    assert {v["level"] for v in run(f"siren sketch '{b}' {FAST}").record.volumes} == {LEVEL + 0.05}


def test_results_that_are_mixed_with_those_of_other_volumes_by_outputdir_are_said(logged, tmp_path):
    a, b = (write_planted(tmp_path / name, 120, seed=k).folder for k, name in enumerate("ab"))
    for folder, mixed in ((a, False), (a, False), (b, True)):
        log = logged(f"siren sketch '{folder}' level {LEVEL} outputDir '{tmp_path}/out' {FAST}")
        assert (f"holds results of {a}, and now those of {b}" in log) == mixed


def test_a_command_that_fails_claims_no_folder(run, volumes, tmp_path):
    with pytest.raises(UserError):
        run(f"siren sketch '{volumes}' level 99 {FAST}")
    assert [p.name for p in tmp_path.iterdir()] == ["volumes"]


# --- outputDir and the next command


def test_the_next_command_after_a_sketch_writes_where_the_sketch_is(run, links, volumes, tmp_path):
    (command,) = [
        c
        for c in links(
            f"siren sketch '{volumes}' level {LEVEL} outputDir '{tmp_path}/my results' {FAST}"
        )
        if c.startswith("siren expand")
    ]
    assert run(f"{command} resamples 0 open false").folder == tmp_path / "my results/02_expand"


def test_label_and_evaluate_take_outputdir_and_the_link_carries_it(run, links, volumes, tmp_path):
    out = tmp_path / "my results"
    table_of(volumes, out / "predictions.csv")
    run(f"open '{volumes}/vol_3.mrc'")
    run("volume #1 level 0.6")
    (command,) = links(f"siren label #1 outputDir '{out}'")
    assert sorted(p.name for p in out.iterdir()) == ["labels.csv", "predictions.csv"]
    assert run(command).folder == out / "evaluation"
    # a table of labels elsewhere
    (command,) = links(f"siren label #1 labels '{tmp_path}/mine.csv' outputDir '{out}'")
    assert run(command).folder == out / "evaluation"
    assert not (tmp_path / "evaluation").exists()
    assert not (tmp_path / "siren").exists()


def test_saved_blocks_go_to_outputdir_and_their_expansion_too(run, links, volumes, tmp_path):
    run(f"siren sketch '{volumes}' level {LEVEL} {FAST.replace('open false', '')}")
    (command,) = [
        c for c in links(f"siren block save #1 outputDir '{tmp_path}/mine'") if "expand" in c
    ]
    assert (tmp_path / "mine/01_edited/run.json").is_file()
    assert run(f"{command} resamples 0 open false").folder == tmp_path / "mine/02_expand"
    with pytest.raises(UserError, match="either a folder or outputDir"):
        run(f"siren block save #1 '{tmp_path}/a' outputDir '{tmp_path}/b'")


def test_an_expansion_goes_where_its_sketch_is_also_from_a_set_saved_elsewhere(
    run, volumes, tmp_path
):
    run(f"siren sketch '{volumes}' level {LEVEL} {FAST.replace('open false', '')}")
    run(f"siren block save #1 '{tmp_path}/elsewhere/edited'")
    result = run("siren expand #1 resamples 0 open false")
    assert result.folder == tmp_path / "siren/02_expand"
    assert not (tmp_path / "elsewhere/02_expand").exists()


def test_the_expansion_of_another_set_does_not_replace_the_one_before(run, volumes, tmp_path):
    run(f"siren sketch '{volumes}' level {LEVEL} {FAST.replace('open false', '')}")
    whole = run(f"siren expand '{tmp_path}/siren/00_sketch' resamples 0 open false")
    kept = (whole.folder / "blocks.json").read_bytes()
    # the same set again takes its place
    assert run(f"siren expand '{tmp_path}/siren/00_sketch' resamples 0 open false").replaced
    run(f"siren block save #1.1 '{tmp_path}/one'")
    one = run(f"siren expand '{tmp_path}/one' resamples 0 open false")
    assert one.folder == whole.folder and len(one.blocks) == 1
    assert one.aside is not None
    assert (one.aside / "blocks.json").read_bytes() == kept


# --- success is not said of work not done


@pytest.mark.parametrize(
    "command", ["siren label #2", "siren predict #2", "siren label #1", "siren preprocess #9"]
)
def test_a_number_that_is_no_open_map_is_refused_and_the_open_ones_are_named(
    session, run, volumes, tmp_path, command
):
    run(f"open '{volumes}/vol_1.mrc' '{volumes}/vol_2.mrc'")
    maps = [m for m in session.models.list() if m.name.startswith("vol_")]
    assert [m.id_string for m in maps] == ["1.1", "1.2"]
    if command == "siren label #1":  # the group holds them
        assert len(run(command)) == 2
        return
    with pytest.raises(UserError) as caught:
        run(command)
    assert "matches no open map" in str(caught.value)
    assert "#1.1, #1.2" in str(caught.value)
    assert not (tmp_path / "siren").exists()


def test_a_label_of_a_map_that_changed_is_left_out_and_that_is_said(run, logged, volumes, tmp_path):
    siren = tmp_path / "siren"
    table_of(volumes, siren / "predictions.csv")
    run(f"open '{volumes}/vol_3.mrc'")
    run(f"open '{volumes}/vol_4.mrc'")
    run("volume #1,2 level 0.6")
    run("siren label #1,2")
    run("close")
    rewrite(volumes / "vol_4.mrc", CHANGES["scaled"])
    table_of(volumes, siren / "predictions.csv")
    log = logged(f"siren evaluate '{siren}/labels.csv'")
    assert "1 label in labels.csv is of other maps than those of this name now (vol_4.mrc)" in log
    assert "1 labeled volume: RMSE" in log


def test_only_shows_one_block_after_a_split_too(session, run, links, volumes):
    from chimerax.siren.session.surfaces import BlockMap

    offered = links(
        f"siren sketch '{volumes}' level {LEVEL} {FAST.replace('open false', 'reference true')}"
    )
    block = session.models.list(type=BlockMap)[0]
    (only,) = [c for c in offered if c.startswith("hide") and f"show #{block.id_string} " in c]
    center = ",".join(str(x) for x in block.surfaces[0].vertices.mean(axis=0))
    run(f"siren block split #{block.id_string} center {center} radius 9")
    run(only)
    shown = [m.id_string for m in session.models.list(type=BlockMap) if m.display]
    assert shown == [block.id_string]
    assert [m.display for m in session.models.list() if m.name == "mean of the volumes"] == [True]


def test_block_and_model_numbers_stay_equal_through_merge_save_and_reopening(
    session, run, logged, volumes, tmp_path
):
    from chimerax.siren.core.blocks.blockset import BlockSet
    from chimerax.siren.core.maps.grid import Grid
    from chimerax.siren.session.surfaces import BlockMap, open_blocks

    grid = Grid((12, 12, 12), (4.0,) * 3)
    blocks = {n: np.arange(100 * n, 100 * n + 60) for n in (1, 2, 4, 7)}
    group = open_blocks(
        session, BlockSet(grid, blocks), tmp_path, np.ones(grid.shape, np.float32), 0.5
    )

    def numbers():
        maps = [m for m in session.models.list(type=BlockMap) if m.parent is group]
        return sorted((m.siren_block, m.id[-1]) for m in maps)

    assert numbers() == [(n, n) for n in (1, 2, 4, 7)]
    assert (*group.id, 8) in [m.id for m in session.models.list()]  # the mean, after them
    run("siren block merge #1.2#1.4")
    assert numbers() == [(1, 1), (2, 2), (7, 7)]
    log = logged("siren block split #1.2 gap 1")  # the mean makes room
    assert numbers() == [(1, 1), (2, 2), (7, 7), (8, 8)]
    assert "new: block 8, 28 voxels." in log
    run("siren block undo")
    run("siren block undo")
    assert numbers() == [(n, n) for n in (1, 2, 4, 7)]


def test_where_a_model_has_another_number_than_its_block_both_are_said(session, run, logged):
    from chimerax.siren.core.blocks.blockset import BlockSet
    from chimerax.siren.core.maps.grid import Grid
    from chimerax.siren.session.surfaces import BlockMap, open_blocks

    blocks = {n: np.arange(100 * n, 100 * n + 60) for n in (1, 2, 3)}
    open_blocks(session, BlockSet(Grid((12,) * 3, (4.0,) * 3), blocks), Path("x"))
    run("rename #1.3 id #1.9")
    assert [m.id_string for m in session.models.list(type=BlockMap)] == ["1.1", "1.2", "1.9"]
    assert "into block 2, 120 voxels" in logged("siren block merge #1.2#1.9")
    run("siren block undo")
    run("rename #1.1 id #1.7")
    assert "into block 1 (#1.7), 120 voxels" in logged("siren block merge #1.7#1.2")


def test_a_block_is_no_map_to_label_and_that_is_said(run, volumes, tmp_path):
    run(f"siren sketch '{volumes}' level {LEVEL} {FAST.replace('open false', '')}")
    with pytest.raises(UserError, match=r"#1\.1 is a block, and labels are contour levels of maps"):
        run("siren label #1.1")
    assert not (tmp_path / "siren/labels.csv").exists()
