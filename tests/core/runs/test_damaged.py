"""Damaged results are refused in one sentence that names the file; more by ``make fuzz``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import ensemble_from_arrays
from chimerax.siren.core.runs.steps import open_run, read_blocks, run_sketch, run_states


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance, maps = np.random.default_rng(1), []
    for _ in range(120):
        array = chance.normal(0, 0.01, (8, 9, 10)).astype(np.float32)
        array[1:3, 2:7, 2:7] += 1
        for part in (slice(4, 6), slice(6, 8)):
            array[part, 2:8, 2:8] += chance.random() < 0.5
        maps.append(array)
    parameters = SketchParameters(statistic="exact", subsample=1, resamples=0)
    output = tmp_path_factory.mktemp("run")
    run = run_sketch(ensemble_from_arrays(maps, 4.0), np.full(120, 0.5), "", parameters, output)
    assert len(run.blocks) == 2
    return run.folder


@pytest.fixture
def damaged(whole: Path, tmp_path: Path) -> Callable[[str, Callable[[Any], Any]], str]:
    """Change the content of a JSON file (or the text of another), and read the folder."""

    def read(name: str, change: Callable[[Any], Any]) -> str:
        folder = tmp_path / "00_sketch"
        folder.mkdir()
        for path in whole.iterdir():
            (folder / path.name).symlink_to(path)
        text = (whole / name).read_text()
        (folder / name).unlink()
        if name.endswith(".json"):
            content = json.loads(text)
            changed = change(content)
            text = changed if isinstance(changed, str) else json.dumps(content)
        else:
            text = change(text)
        (folder / name).write_text(text)
        reader = run_states if name == "states.csv" else open_run
        with pytest.raises(SirenError) as caught:
            reader(folder)
        said = str(caught.value)
        assert name in said and said.endswith(".") and "\n" not in said and len(said) < 500
        return said

    return read


def put(*way: Any) -> Callable[[Any], None]:
    """Put the last of these at the place that the others lead to."""

    def change(content: Any) -> None:
        *before, last, value = way
        for step in before:
            content = content[step]
        content[last] = value

    return change


def first_volume(**values: Any) -> Callable[[Any], None]:
    return lambda content: next(iter(content["volumes"].values())).update(values)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: "[" * 100_000 + "]" * 100_000,
        lambda c: '{"format":' * 50_000 + "1" + "}" * 50_000,
        put("volumes", []),
        put("volumes", {}),
        put("volumes", "x", {"path": 5, "bytes": 1, "level": 1, "left_out": None}),
        first_volume(level="high"),
        first_volume(level=float("inf")),
        first_volume(level=None),
        first_volume(bytes=-1),
        put("step", "stop"),
        put("grid", "shape_zyx", [65536, 1, 1]),
        put("grid", "shape_zyx", [10**30] * 3),
        put("grid", "voxel_size_xyz", [float("nan")] * 3),
        put("grid", "voxel_size_xyz", [1e300] * 3),
        put("grid", "origin_xyz", ["0", "0", "0"]),
        put("grid", "shape_zyx", [8, 9, 11]),
        put("box", 0),
        put("counts", {}),
        put("counts", "volumes_used", "many"),
        put("parameters", {"posp": {"a": 1}}),
        put("parameters", {"posp": 10**400}),
        put("origin_given", [0, 0]),
        put("thresholds", None),
        put("format", "SIREn run 2"),
    ],
)
def test_a_damaged_run_json_is_one_sentence(damaged: Any, change: Any) -> None:
    said = damaged("run.json", change)
    assert "again" in said


@pytest.mark.parametrize(
    "change",
    [
        lambda c: '{"blocks":' + "[" * 100_000 + "]" * 100_000 + "}",
        put("grid", "shape_zyx", [65535] * 3),  # a petabyte
        put("blocks", "1", []),
        put("blocks", "1", [[0.5, 1, 1]]),
        put("blocks", "1", [[True, False, True]]),
        put("blocks", "1", [[1, 2, 99]]),
        put("blocks", "one", [[1, 2, 3]]),
        put("blocks", "\u0661", [[1, 2, 3]]),
        put("blocks", {str(n): [[1, 2, 3]] for n in range(1, 5000)}),
        put("unassigned", [[10**400, 0, 0]]),
        put("strength", "1", [0.5]),
        put("strength", "1", ["a"]),
        put("stability", "1", "good"),
        put("evidence", "1", {"contrast": 1}),
        put("names", {"1": {"a": "b"}}),
    ],
)
def test_a_damaged_blocks_json_is_one_sentence(damaged: Any, change: Any) -> None:
    damaged("blocks.json", change)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("block,voxels", "block,voxel"),
        ("\n1,", "\n3,"),
        ("\n1,", "\n1.5,"),
        ("\n1,", "\ninf,"),
        ("\n1,72,", "\n1,many,"),
        ("\n1,72,", "\n1,,"),
        ("\n2,", "\n1,"),
    ],
)
def test_a_damaged_blocks_csv_is_one_sentence(damaged: Any, old: str, new: str) -> None:
    said = damaged("blocks.csv", lambda text: text.replace(old, new, 1))
    assert said.endswith("run the step again.")


@pytest.mark.parametrize("name", ["blocks.csv", "states.csv"])
@pytest.mark.parametrize("text", ["", "\0\0", '"', "a,b\n1\n", "block,voxels\n" + "9" * 500_000])
def test_what_is_no_table_is_one_sentence(damaged: Any, name: str, text: str) -> None:
    damaged(name, lambda _: text)


def test_the_whole_folder_is_read(whole: Path) -> None:
    assert len(open_run(whole).blocks) == len(run_states(whole).numbers) == 2
    assert read_blocks(whole / "blocks.json").voxel_count == 144
