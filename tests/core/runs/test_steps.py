"""Runs: an ensemble of boxes gives complete folders, or nothing is written."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import chimerax.siren
from chimerax.siren.core.blocks.blockset import BlockSet, read_block_maps
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.files import sha256
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble, Source, find_ensemble
from chimerax.siren.core.maps.fingerprint import fingerprint
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import read_map, write_map
from chimerax.siren.core.runs.record import Record, read_record
from chimerax.siren.core.runs.steps import Run, open_run, read_blocks, run_expand, run_sketch

GRID = Grid((12, 14, 16), (2.0, 2.0, 2.0), (-16.0, 0.0, 7.5))
VOLUMES, LEVEL, SEED = 96, 0.5, 3
EXACT = SketchParameters(statistic="exact", seed=SEED)
EXPAND = ExpandParameters(statistic="exact")
BOXES = {
    "core": (slice(4, 8), slice(5, 9), slice(6, 10)),
    "a": (slice(0, 4), slice(0, 4), slice(0, 5)),
    "b": (slice(8, 12), slice(9, 14), slice(11, 16)),
}


def planted(name: str) -> set[int]:
    return set(np.arange(GRID.size).reshape(GRID.shape)[BOXES[name]].ravel().tolist())


def volume(index: int) -> NDArray[np.float32]:
    """Core in all volumes; a and b in half of them each, independently; noise of SD 0.05."""
    array = np.random.default_rng(index).normal(0, 0.05, GRID.shape)
    for name, present in (("core", True), ("a", index % 2 > 0), ("b", index // 2 % 2 > 0)):
        array[BOXES[name]] += present
    return array.astype(np.float32)


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boxes") / "volumes"
    folder.mkdir()
    for index in range(VOLUMES):
        write_map(folder / f"vol_{index}.mrc", volume(index), GRID, "boxes")
    return folder


def do_sketch(
    ensemble: Ensemble, output: Path, parameters: SketchParameters = EXACT, **keywords: Any
) -> Run:
    return run_sketch(
        ensemble, np.full(len(ensemble), LEVEL), f"level {LEVEL}", parameters, output, **keywords
    )


def do_expand(run: Run, output: Path, **keywords: Any) -> Run:
    blocks, record = read_block_maps(run.folder), read_record(run.folder)
    return run_expand(blocks, record, EXPAND, output, source_folder=run.folder, **keywords)


@pytest.fixture(scope="module")
def runs(boxes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """A sketch and its expansion; tests must not modify them."""
    output = tmp_path_factory.mktemp("out") / "siren"
    first = do_sketch(find_ensemble([boxes]), output)
    return first, do_expand(first, output)


@pytest.fixture
def sketched(runs: tuple[Run, Run], tmp_path: Path) -> Run:
    """A copy of the sketch that a test may modify."""
    shutil.copytree(runs[0].folder, tmp_path / "siren" / "00_sketch")
    return open_run(tmp_path / "siren" / "00_sketch")


def everything(folder: Path) -> dict[str, bytes | None]:
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


def sentence(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(SirenError) as caught:
        function(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what is found


def test_a_first_run_replaces_nothing(runs: tuple[Run, Run]) -> None:
    assert [(run.aside, run.replaced) for run in runs] == [(None, False)] * 2


def test_the_planted_boxes_are_found_and_the_core_is_not(runs: tuple[Run, Run]) -> None:
    found = [set(v.tolist()) for _, v in runs[0].blocks]
    assert len(found) == 2
    for part in ("a", "b"):
        (block,) = [f for f in found if f <= planted(part)]
        assert len(block) > 0.3 * len(planted(part))  # half of the voxels are sampled


def test_expansion_fills_the_planted_boxes_exactly(runs: tuple[Run, Run]) -> None:
    assert sorted(map(len, (planted("a"), planted("b")))) == [80, 100]
    assert sorted(sorted(v.tolist()) for _, v in runs[1].blocks) == sorted(
        sorted(planted(p)) for p in ("a", "b")
    )
    assert set(runs[1].blocks.unassigned.tolist()) == planted("core")


# --- what is written


def test_folders_have_the_promised_files_and_nothing_else_is_written(runs: tuple[Run, Run]) -> None:
    sketch, expansion = runs
    assert sketch.folder.name == "00_sketch"
    assert expansion.folder.name == "02_expand"
    names = {
        "block_1.mrc",
        "block_2.mrc",
        "blocks.json",
        "blocks.csv",
        "run.json",
        "unassigned.mrc",
        "mean.mrc",
        "states.csv",
    }
    for run in runs:
        assert {p.name for p in run.folder.iterdir()} == names
    assert {p.name for p in sketch.folder.parent.iterdir()} == {"00_sketch", "02_expand"}


def test_the_smallest_boxes_need_no_rule_of_their_own(tmp_path: Path) -> None:
    grid = Grid((2, 3, 3), (4.0, 4.0, 4.0))
    arrays = np.random.default_rng(0).normal(size=(60, *grid.shape)).astype(np.float32)
    sources = [Source(f"v{i}", None, partial(np.asarray, a), grid) for i, a in enumerate(arrays)]
    for statistic in ("exact", "profile", "published"):
        parameters = SketchParameters(statistic=statistic, subsample=1)
        run = run_sketch(find_ensemble(sources), 0.5, "level", parameters, tmp_path)
        assert 0 < run.record.counts["union_voxels"] <= grid.size


@pytest.mark.parametrize(
    ("factor", "level", "said"),
    [
        (-1, -0.4, "The volumes look like inverted contrast"),
        (1, -0.2, "At these contour levels a volume fills 100% of its box"),
        (1, LEVEL, ""),
    ],
)
def test_levels_that_enclose_no_particle_are_said_whatever_is_found(
    boxes: Path, tmp_path: Path, factor: int, level: float, said: str
) -> None:
    found = find_ensemble([boxes])
    arrays = [(s.name, factor * s.read()) for s in found.sources]
    ensemble = find_ensemble([Source(n, None, partial(np.asarray, a), GRID) for n, a in arrays])
    run = run_sketch(ensemble, level, "level", EXACT, tmp_path)
    odd = [n for n in run.notes if n.startswith(("The volumes look", "At these contour levels"))]
    assert [n[: len(said)] for n in odd] == ([said] if said else [])


@pytest.mark.parametrize("step", [0, 1])
def test_all_maps_validate_and_lie_on_the_volumes_grid(runs: tuple[Run, Run], step: int) -> None:
    for path in runs[step].folder.glob("*.mrc"):
        said = io.StringIO()
        assert mrcfile.validate(path, print_file=said), said.getvalue()
        array, grid = read_map(path)
        assert grid == GRID
        with mrcfile.open(path) as mrc:
            assert mrc.data.dtype == np.float32
        if path.name != "mean.mrc":
            assert set(np.unique(array)) <= {0, 1}


@pytest.mark.parametrize("step", [0, 1])
def test_json_and_table_agree_with_the_maps(runs: tuple[Run, Run], step: int) -> None:
    """Checked from the files alone, without the code that wrote them."""
    folder = runs[step].folder
    content = json.loads((folder / "blocks.json").read_text())
    table = pd.read_csv(folder / "blocks.csv").set_index("block")
    assert content["grid"] == {
        "shape_zyx": [12, 14, 16],
        "voxel_size_xyz": [2, 2, 2],
        "origin_xyz": [-16, 0, 7.5],
    }
    assert [int(n) for n in content["blocks"]] == table.index.tolist() == [1, 2]
    occupied = np.mean([volume(i) > LEVEL for i in range(VOLUMES)], axis=0)
    for number, voxels in content["blocks"].items():
        zyx = np.argwhere(mrcfile.read(folder / f"block_{number}.mrc") > 0)
        assert zyx.tolist() == voxels
        row = table.loc[int(number)]
        assert row.voxels == len(zyx)
        assert row.volume_A3 == pytest.approx(len(zyx) * 8)
        assert row.mean_occupancy == pytest.approx(occupied[tuple(zyx.T)].mean(), abs=1e-4)
        assert [row.centroid_x, row.centroid_y, row.centroid_z] == pytest.approx(
            (zyx.mean(axis=0)[::-1] * 2 + [-16, 0, 7.5]).tolist(), abs=0.01
        )
    assert (
        np.argwhere(mrcfile.read(folder / "unassigned.mrc") > 0).tolist() == content["unassigned"]
    )
    mean = np.mean([volume(i) for i in range(VOLUMES)], axis=0)
    np.testing.assert_allclose(mrcfile.read(folder / "mean.mrc"), mean, atol=1e-6)


def test_the_record_suffices_to_repeat_the_run(runs: tuple[Run, Run], boxes: Path) -> None:
    for run, parameters in zip(runs, (EXACT, EXPAND), strict=True):
        record = json.loads((run.folder / "run.json").read_text())
        assert record["parameters"] == parameters.as_dict()
        assert {"python", "numpy", "scipy", "pandas", "mrcfile"} <= set(record["versions"])
        assert record["thresholds"].startswith(f"level {LEVEL}")
        assert record["grid"]["shape_zyx"] == [12, 14, 16]
        assert list(record["volumes"]) == [f"vol_{i}.mrc" for i in range(VOLUMES)]
        for name, row in record["volumes"].items():
            path = boxes / name
            assert row == {
                "path": str(path.resolve()),
                "bytes": path.stat().st_size,
                "level": LEVEL,
                "left_out": None,
                "fingerprint": fingerprint(mrcfile.read(path)),
            }
        assert record["outputs"] == {
            p.name: sha256(p) for p in sorted(run.folder.iterdir()) if p.name != "run.json"
        }
        assert {"reading", "testing", "writing"} <= set(record["timings_s"])
        assert all(seconds >= 0 for seconds in record["timings_s"].values())
        counts = record["counts"]
        assert counts["volumes"] == counts["volumes_used"] == VOLUMES
        assert counts["union_voxels"] == 80 + 100 + 64
        assert counts["blocks"] == 2
        assert counts["block_voxels"] == run.blocks.voxel_count
        assert counts["unassigned_voxels"] == len(run.blocks.unassigned)
    assert json.loads((runs[0].folder / "run.json").read_text())["parameters"]["seed"] == SEED
    assert json.loads((runs[1].folder / "run.json").read_text())["source"] == str(runs[0].folder)


def test_excluded_volumes_are_recorded_with_the_reason(boxes: Path, tmp_path: Path) -> None:
    ensemble = find_ensemble([boxes])
    levels = np.full(VOLUMES, LEVEL)
    levels[5], levels[7] = 99, 3.0  # beyond 2 SD; empty
    run = run_sketch(
        ensemble, levels, "a table", SketchParameters(statistic="exact", filter=True), tmp_path
    )
    rows = json.loads((run.folder / "run.json").read_text())["volumes"]
    assert {n: v["left_out"] for n, v in rows.items() if v["left_out"]} == {
        "vol_5.mrc": "threshold beyond mean +- 2 SD",
        "vol_7.mrc": "empty: no voxel is above its threshold",
    }
    assert run.record.counts["volumes"] == VOLUMES
    assert run.record.counts["volumes_used"] == VOLUMES - 2
    expansion = do_expand(run, tmp_path)
    assert list(json.loads((expansion.folder / "run.json").read_text())["volumes"]) == [
        f"vol_{i}.mrc" for i in range(VOLUMES) if i not in (5, 7)
    ]


def same_but_timings(a: Path, b: Path) -> bool:
    def without(folder: Path) -> dict[str, Any]:
        files = {p.name: p.read_bytes() for p in folder.iterdir()}
        record = json.loads(files.pop("run.json"))
        assert record.pop("timings_s")
        assert record.pop("folders")  # where things are as seen from this folder
        return {**files, "run.json": json.dumps(record)}  # in the order of the file

    return without(a) == without(b)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(
    runs: tuple[Run, Run], boxes: Path, tmp_path: Path
) -> None:
    first = do_sketch(find_ensemble([str(boxes)]), tmp_path / "again")
    assert same_but_timings(first.folder, runs[0].folder)
    other = do_sketch(
        find_ensemble([boxes]),
        tmp_path / "other",
        SketchParameters(statistic="exact", seed=SEED + 1),
    )
    assert (other.folder / "blocks.json").read_bytes() != (
        first.folder / "blocks.json"
    ).read_bytes()
    expansion = do_expand(runs[0], tmp_path / "again")
    assert same_but_timings(expansion.folder, runs[1].folder)


def test_a_finished_folder_opens_as_it_was(runs: tuple[Run, Run]) -> None:
    for run in runs:
        again = open_run(run.folder)
        assert {n: v.tolist() for n, v in again.blocks} == {n: v.tolist() for n, v in run.blocks}
        assert again.blocks.unassigned.tolist() == run.blocks.unassigned.tolist()
        assert again.level == run.level == LEVEL
        np.testing.assert_array_equal(again.mean, run.mean)
        pd.testing.assert_frame_equal(again.table, run.table, check_dtype=False)
        for part in (
            "step",
            "parameters",
            "volumes",
            "thresholds",
            "grid",
            "box",
            "voxel_size",
            "counts",
            "source",
        ):
            assert getattr(again.record, part) == getattr(run.record, part)


def test_blocks_are_read_from_a_folder_as_from_its_blocks_file(sketched: Run) -> None:
    for place in (sketched.folder, sketched.folder / "blocks.json", str(sketched.folder)):
        back = read_blocks(place)
        assert {n: v.tolist() for n, v in back} == {n: v.tolist() for n, v in sketched.blocks}
        assert back.unassigned.tolist() == sketched.blocks.unassigned.tolist()
        assert back.stability == sketched.blocks.stability
        assert {n: s.tolist() for n, s in back.strength.items()} == {
            n: s.tolist() for n, s in sketched.blocks.strength.items()
        }


def test_blocks_of_an_edited_folder_are_its_maps(sketched: Run) -> None:
    """What is known of a block holds only as long as nobody has changed it."""
    mask = sketched.blocks.mask(1)
    mask.ravel()[sketched.blocks.blocks[1][0]] = 0
    write_map(sketched.folder / "block_1.mrc", mask, GRID, "edited")
    edited = read_blocks(sketched.folder)
    assert edited.blocks[1].tolist() == sketched.blocks.blocks[1][1:].tolist()
    assert set(edited.stability) == set(edited.strength) == set(sketched.blocks.blocks) - {1}
    (sketched.folder / "blocks.json").unlink()
    assert read_blocks(sketched.folder).stability == {}


def test_blocks_on_another_grid_than_their_blocks_file_are_known_by_their_maps_alone(
    sketched: Run,
) -> None:
    moved = Grid(GRID.shape, GRID.voxel_size, (50.0, 0.0, 0.0))
    for number, _ in sketched.blocks:
        path = sketched.folder / f"block_{number}.mrc"
        write_map(path, sketched.blocks.mask(number), moved, "moved")
    assert read_blocks(sketched.folder).grid.origin == moved.origin
    assert read_blocks(sketched.folder).stability == {}


@pytest.mark.parametrize("place", ["nowhere", "nowhere/blocks.json", "."])
def test_a_place_without_blocks_is_one_sentence(place: str, tmp_path: Path) -> None:
    assert str(tmp_path) in sentence(read_blocks, tmp_path / place)


def test_an_ensemble_without_blocks_is_written_too_and_says_how_to_loosen(
    boxes: Path, tmp_path: Path
) -> None:
    run = do_sketch(
        find_ensemble([boxes]), tmp_path, SketchParameters(statistic="exact", min_size=1000)
    )
    assert len(open_run(run.folder).blocks) == 0
    assert "There is no block to expand" in sentence(
        run_expand, BlockSet(GRID, {}), read_record(run.folder), EXPAND, tmp_path
    )
    assert {p.name for p in tmp_path.iterdir()} == {"00_sketch"}


# --- stopped and failed


class StopAt(Progress):
    """Counts steps, and stops at a given one."""

    def __init__(self, last: float) -> None:
        super().__init__()
        self.steps, self.last = 0, last

    def step(self, phase: str, fraction: float = 0.0) -> None:
        self.steps += 1
        if self.steps >= self.last:
            self.cancel()
        super().step(phase, fraction)


@pytest.fixture(scope="module")
def steps(
    boxes: Path, runs: tuple[Run, Run], tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, int]:
    """Number of steps of a sketch and an expansion."""
    output = tmp_path_factory.mktemp("steps")
    counters = StopAt(np.inf), StopAt(np.inf)
    do_sketch(find_ensemble([boxes]), output, progress=counters[0])
    do_expand(runs[0], output, progress=counters[1])
    return counters[0].steps, counters[1].steps


@pytest.mark.parametrize("part", [0, 0.5, 1])
@pytest.mark.parametrize("earlier", ["none", "a run", "an edited run"])
def test_a_stopped_run_leaves_no_file_and_earlier_results_as_they_were(
    boxes: Path,
    runs: tuple[Run, Run],
    steps: tuple[int, int],
    tmp_path: Path,
    earlier: str,
    part: float,
) -> None:
    output = tmp_path / "siren"
    if earlier != "none":
        for run in runs:
            shutil.copytree(run.folder, output / run.folder.name)
    if earlier == "an edited run":
        (output / "00_sketch" / "block_1.mrc").unlink()
        (output / "02_expand" / "notes.txt").write_text("block 2 is the stalk")
    before = everything(tmp_path)
    ensemble = find_ensemble([boxes])
    with pytest.raises(Cancelled):
        do_sketch(ensemble, output, progress=StopAt(max(1, round(part * steps[0]))))
    assert everything(tmp_path) == before
    with pytest.raises(Cancelled):
        do_expand(runs[0], output, progress=StopAt(max(1, round(part * steps[1]))))
    assert everything(tmp_path) == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("a bug")])
def test_a_run_that_fails_while_writing_leaves_everything_as_it_was(
    sketched: Run, boxes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    (sketched.folder / "block_1.mrc").unlink()  # edited
    before = everything(tmp_path)

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(Record, "write", fail)
    with pytest.raises(SirenError if isinstance(error, OSError) else RuntimeError):
        do_sketch(find_ensemble([boxes]), tmp_path / "siren")
    assert everything(tmp_path) == before


def test_a_volume_that_fails_while_it_is_read_leaves_everything_as_it_was(
    sketched: Run, boxes: Path, tmp_path: Path
) -> None:
    before = everything(tmp_path)
    ensemble = find_ensemble([boxes, Source("zero", array=lambda: np.zeros(GRID.shape), grid=GRID)])
    assert 'zero is constant (every voxel is 0): use "exclude zero"' in sentence(
        do_sketch, ensemble, tmp_path / "siren"
    )
    assert everything(tmp_path) == before


def test_an_output_folder_that_is_a_file_gives_a_one_sentence_error(
    boxes: Path, tmp_path: Path
) -> None:
    (tmp_path / "siren").write_text("notes")
    said = sentence(do_sketch, find_ensemble([boxes]), tmp_path / "siren")
    assert said.endswith("give another output folder.")
    assert (tmp_path / "siren").read_text() == "notes"


# --- again, and on edited folders


def test_a_second_run_replaces_the_first_and_sets_an_edited_one_aside(
    sketched: Run, boxes: Path, tmp_path: Path
) -> None:
    again = do_sketch(find_ensemble([boxes]), tmp_path / "siren")
    assert (again.aside, again.replaced) == (None, True)
    assert {p.name for p in (tmp_path / "siren").iterdir()} == {"00_sketch"}
    (again.folder / "block_1.mrc").unlink()
    edited = everything(again.folder)
    third = do_sketch(find_ensemble([boxes]), tmp_path / "siren")
    assert third.aside == tmp_path / "siren" / "00_sketch_edited_1"
    assert not third.replaced
    assert everything(third.aside) == edited
    assert {p.name for p in (tmp_path / "siren").iterdir()} == {"00_sketch", "00_sketch_edited_1"}


def test_an_edited_sketch_expands_to_what_is_left(sketched: Run, tmp_path: Path) -> None:
    (lost,) = [n for n, v in sketched.blocks if set(v.tolist()) <= planted("a")]
    (sketched.folder / f"block_{lost}.mrc").unlink()
    expansion = do_expand(sketched, tmp_path / "siren")
    assert {n: set(v.tolist()) for n, v in expansion.blocks} == {3 - lost: planted("b")}
    assert set(expansion.blocks.unassigned.tolist()) == planted("core") | planted("a")


# --- the volumes of a record


def test_volumes_that_are_gone_or_changed_since_the_sketch_give_a_one_sentence_error(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "volumes"
    folder.mkdir()
    for index in range(12):
        write_map(folder / f"v{index}.mrc", volume(index), GRID, "v")
    run = do_sketch(find_ensemble([folder]), tmp_path)
    (folder / "v3.mrc").write_bytes((folder / "v3.mrc").read_bytes() + b"more")
    said = sentence(read_record(run.folder).ensemble)
    assert "v3.mrc changed since the sketch" in said
    assert 'run "siren sketch" again' in said
    (folder / "v3.mrc").unlink()
    said = sentence(read_record(run.folder).ensemble)
    assert "v3.mrc is gone since the sketch" in said
    assert "volumes FOLDER" in said


def test_volumes_that_were_only_in_memory_must_be_named_again(tmp_path: Path) -> None:
    sources = [Source(f"map {i}", array=lambda i=i: volume(i), grid=GRID) for i in range(12)]
    run = do_sketch(find_ensemble(sources), tmp_path)
    said = sentence(read_record(run.folder).ensemble)
    assert "map 0 was an open model without a file" in said
    assert "volumes #1-20" in said
    blocks = BlockSet(GRID, {1: np.array(sorted(planted("a")))})
    assert run_expand(
        blocks, read_record(run.folder), EXPAND, tmp_path, find_ensemble(sources)
    ).folder.is_dir()


def test_linked_volumes_are_found_again_by_their_names(boxes: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for index in range(VOLUMES):
        (links / f"state_{index}.mrc").symlink_to(boxes / f"vol_{index}.mrc")
    run = do_sketch(find_ensemble([links]), tmp_path)
    record = read_record(run.folder)
    assert record.ensemble().names == tuple(f"state_{i}.mrc" for i in range(VOLUMES))
    assert record.levels(record.ensemble()).tolist() == [LEVEL] * VOLUMES


@pytest.mark.parametrize(("box", "voxel_size"), [(None, 4.5), (10, None)])
def test_box_and_voxel_size_of_the_sketch_are_used_by_its_expansion(
    boxes: Path, tmp_path: Path, box: int | None, voxel_size: float | None
) -> None:
    ensemble = find_ensemble([boxes], voxel_size).resampled(box)
    run = do_sketch(ensemble, tmp_path, voxel_size=voxel_size)
    assert run.record.grid == ensemble.grid
    again = read_record(run.folder).ensemble()
    assert again.grid == ensemble.grid
    for (_, first), (_, second) in zip(
        list(ensemble.read())[:3], list(again.read())[:3], strict=True
    ):
        np.testing.assert_array_equal(first, second)
    assert run.blocks.voxel_count
    expansion = do_expand(run, tmp_path)
    for folder in (run.folder, expansion.folder):
        np.testing.assert_allclose(
            read_map(folder / "mean.mrc")[1].voxel_size, ensemble.grid.voxel_size, rtol=1e-6
        )
        assert read_record(folder).grid == ensemble.grid


def test_a_grid_set_on_open_models_is_used_by_the_expansion(boxes: Path, tmp_path: Path) -> None:
    moved = Grid(GRID.shape, (3.0, 3.0, 3.0), (100.0, 0.0, 0.0))
    sources = [Source(p.name, p, grid=moved) for p in sorted(boxes.iterdir())]
    run = do_sketch(find_ensemble(sources), tmp_path)
    expansion = do_expand(run, tmp_path)
    assert expansion.blocks.grid == expansion.record.grid == moved
    assert read_map(expansion.folder / "block_1.mrc")[1] == moved


@pytest.mark.parametrize(
    "grid",
    [Grid((12, 14, 15), GRID.voxel_size, GRID.origin), Grid(GRID.shape, (2.5,) * 3, GRID.origin)],
)
def test_blocks_on_another_grid_than_the_volumes_give_a_one_sentence_error(
    runs: tuple[Run, Run], tmp_path: Path, grid: Grid
) -> None:
    blocks = BlockSet(grid, {1: np.array([1, 2, 3])})
    said = sentence(run_expand, blocks, read_record(runs[0].folder), EXPAND, tmp_path)
    assert grid.text() in said
    assert "give the volumes of the sketch" in said
    assert everything(tmp_path) == {}


def test_volumes_unknown_to_the_sketch_have_no_threshold(
    runs: tuple[Run, Run], tmp_path: Path
) -> None:
    new = [Source(f"new {i}", array=lambda i=i: volume(i), grid=GRID) for i in range(2)]
    said = sentence(read_record(runs[0].folder).levels, find_ensemble(new))
    assert said == (
        'new 0 has no threshold in the sketch\'s record: give "thresholds FILE.csv" or "level X".'
    )


# --- folders that are none


@pytest.mark.parametrize("lost", ["run.json", "blocks.json", "blocks.csv", "mean.mrc"])
@pytest.mark.parametrize("content", [None, b"", b"[1, 2]\n\xff"])
def test_a_folder_that_lacks_a_file_gives_a_one_sentence_error(
    sketched: Run, lost: str, content: bytes | None
) -> None:
    path = sketched.folder / lost
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    said = sentence(open_run, sketched.folder)
    assert lost in said
    assert any(remedy in said for remedy in ("again", "give the folder", "check its name"))


@pytest.mark.parametrize(
    "change",
    [
        {"format": "SIREn run 99"},
        {"format": None},
        {"volumes": []},
        {"volumes": {"a": {}}},
        {"volumes": {"a": 3}},
        {"grid": 3},
        {"grid": {"shape_zyx": [1, 2]}},
    ],
)
def test_a_record_of_another_kind_gives_a_one_sentence_error(
    sketched: Run, change: dict[str, Any]
) -> None:
    path = sketched.folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    said = sentence(read_record, sketched.folder)
    assert "run.json is not a record that this version reads" in said
    assert said.endswith('run "siren sketch" again.')


# --- core alone

IMPORT_ALL = """
import importlib, pkgutil, sys

class Forbid:
    def find_spec(self, name, path=None, target=None):
        first, second = (*name.split("."), "")[:2]
        ours = first != "chimerax" or second in ("", "siren")
        if first in ("Qt", "PyQt5", "PyQt6", "PySide6") or not ours:
            asked.append(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

asked = []
sys.meta_path.insert(0, Forbid())
import chimerax.siren
assert asked == ["chimerax.core"], asked  # tried once; the bundle continues without it
asked.clear()
import chimerax.siren.core
core = chimerax.siren.core
names = [m.name for m in pkgutil.walk_packages(core.__path__, "chimerax.siren.core.")]
for name in names:
    importlib.import_module(name)
assert not asked, asked
print(len(names))
"""


@pytest.mark.processes
@pytest.mark.slow
def test_core_runs_without_chimerax_and_qt() -> None:
    path = os.pathsep.join(p for p in sys.path if p)
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= len(list(Path(chimerax.siren.__path__[0], "core").rglob("*.py"))) - 1
