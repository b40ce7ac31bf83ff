"""siren occupancy: of a run, of open blocks, of masks alone, of chains of an open model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pandas as pd
import pytest
from chimerax.core.commands import run as run_command
from chimerax.core.errors import UserError
from chimerax.core.logger import HtmlLog, StringPlainTextLog
from PIL import Image

from ensembles import BOXES, LEVEL, ORIGIN, VOXEL_SIZE, Planted, write_planted

VOLUMES = 120


class Page(HtmlLog):
    """The log as HTML."""

    def __init__(self, session: Any):
        self.session, self.text = session, ""

    def __enter__(self) -> Page:
        self.session.logger.add_log(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.session.logger.remove_log(self)

    def log(self, level: int, msg: str, image_info: Any, is_html: bool) -> bool:
        self.text += msg + "\n"
        return False


TABLES = ("occupancies.csv", "occupancies_parts.csv", "occupancies_order.csv")


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes", VOLUMES)


@pytest.fixture(scope="module")
def sketched(_chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder 00_sketch of the planted ensemble; "right" is block 1, "left" is block 2."""
    folder = tmp_path_factory.mktemp("out")
    run_command(
        _chimerax,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{folder}' statistic "
        "exact subsample 1 resamples 0 open false",
    )
    return folder / "00_sketch"


@pytest.fixture(scope="module")
def masks(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Mask_left.mrc and Mask_right.mrc, and one of references beside it."""
    folder = tmp_path_factory.mktemp("parts")
    for place, scale in (("masks/Mask_{}.mrc", 1), ("references/{}.mrc", 0.5)):
        for name, mask in planted.masks.items():
            path = folder / place.format(name)
            path.parent.mkdir(exist_ok=True)
            with mrcfile.new(path, (scale * mask).astype(np.float32)) as mrc:
                mrc.voxel_size, mrc.header.origin = VOXEL_SIZE, ORIGIN
    return folder / "masks"


def densities(planted: Planted) -> dict[str, np.ndarray]:
    """sum(mask x volume) of each planted box in each volume."""
    found: dict[str, list[float]] = {name: [] for name in planted.masks}
    for v in range(VOLUMES):
        with mrcfile.open(planted.folder / f"vol_{v + 1}.mrc") as mrc:
            for name, mask in planted.masks.items():
                found[name].append(float(mrc.data[mask].sum(dtype=np.float64)))
    return {name: np.array(values) for name, values in found.items()}


def test_blocks_of_a_run_are_measured_beside_it_with_tables_and_figures(run, sketched, planted):
    found = run(f"siren occupancy '{sketched}' figures png,svg,pdf")
    folder = sketched.parent / "00_sketch_occupancy"
    figures = {f"occupancies_{m}.{s}" for m in ("share", "maven") for s in ("png", "svg", "pdf")}
    assert {p.name for p in folder.iterdir()} == figures | set(TABLES)
    table = pd.read_csv(folder / TABLES[0])
    sums = densities(planted)
    for part, name in (("block_1", "right"), ("block_2", "left")):
        rows = table[table.part == part]
        assert rows.file.tolist() == [f"vol_{n}.mrc" for n in range(1, VOLUMES + 1)]
        assert np.array_equal(rows.state == "present", planted.present[name])
        expected = sums[name] / planted.masks[name].sum()
        assert rows.maven.to_numpy() == pytest.approx(expected, rel=0.1, abs=0.05)
    assert [c.call for c in found.calls] == ["two groups"] * 2
    for name in figures:
        start = (folder / name).read_bytes()[:5]
        assert start in (b"\x89PNG\r", b"<?xml", b"%PDF-")
    assert Image.open(folder / "occupancies_share.png").size[0] > 1000


def test_masks_alone_need_no_run_and_are_measured_by_mavens_formula(run, masks, planted, tmp_path):
    text = f"masks '{masks}' references '{masks.parent}/references' level {LEVEL}"
    found = run(f"siren occupancy volumes '{planted.folder}' {text} outputDir '{tmp_path}/o'")
    sums = densities(planted)
    assert [p.name for p in found.parts] == ["left", "right"]
    for k, name in enumerate(("left", "right")):
        expected = sums[name] / (0.5 * planted.masks[name].sum())
        assert found.maven[k] == pytest.approx(expected, rel=1e-5)
        assert np.array_equal(found.states.present[k], planted.present[name])
    again = run(f"siren occupancy '{planted.folder}' {text} outputDir '{tmp_path}/p'")
    assert np.array_equal(again.maven, found.maven)
    for name in TABLES:
        assert (tmp_path / "o" / name).read_bytes() == (tmp_path / "p" / name).read_bytes()


def test_open_blocks_after_an_edit_and_open_masks_are_measured_together(
    run, sketched, masks, planted, tmp_path
):
    run(f"siren open '{sketched}'")
    run("siren block merge #1.1#1.2")
    run(f"open '{masks}/Mask_left.mrc' id 5")
    found = run(f"siren occupancy #1 masks #5 outputDir '{tmp_path}'")
    assert [p.name for p in found.parts] == ["block_1", "left"]
    both = planted.masks["left"] | planted.masks["right"]
    assert abs(len(found.parts[0].voxels) - both.sum()) < 0.05 * both.sum()
    assert np.array_equal(found.states.present[1], planted.present["left"])


def test_tables_of_all_blocks_stay_where_some_or_edited_ones_are_measured(
    run, session, sketched, tmp_path
):
    folder = Path(shutil.copytree(sketched.parent, tmp_path / "siren")) / sketched.name
    run(f"siren occupancy '{folder}'")
    name = f"{folder.name}_occupancy"
    before = {p.name: p.read_bytes() for p in (folder.parent / name).iterdir()}
    run(f"siren open '{folder}'")
    with Page(session) as log:
        run("siren occupancy #1.2")
        assert "results have a name of their own" in log.text
        run("siren occupancy #1")  # all, as they are: in the same place
        assert "all of them" in log.text and "in place of earlier ones" in log.text
    run("siren block merge #1.1#1.2")
    run("siren occupancy #1")
    made = {p.name for p in folder.parent.iterdir() if "occupancy" in p.name}
    assert made == {name, f"{name}_2", f"{name}_edited"}
    assert before == {p.name: p.read_bytes() for p in (folder.parent / name).iterdir()}


def test_a_file_for_a_table_needs_a_folder_that_is_there_and_none_is_made(run, sketched, tmp_path):
    for command in ("siren plot '{}' scatter", "siren relate '{}'", "siren states '{}'"):
        with pytest.raises(UserError, match=r"there is no folder .*nowhere for x\.png: make it"):
            run(f"{command.format(sketched)} saveFile '{tmp_path}/nowhere/x.png'")
    assert not list(tmp_path.iterdir())


def test_each_chain_of_an_open_model_is_a_part_also_where_all_was_moved(
    run, session, planted, tmp_path
):
    """Atoms at the voxels of both boxes: the chains are these, within 3.6 A of 4 A voxels."""
    lines = []
    for chain, box in (("A", BOXES["left"]), ("B", BOXES["right"])):
        places = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box)), -1)
        for k, (z, y, x) in enumerate(places.reshape(-1, 3)):
            point = np.array([x, y, z]) * VOXEL_SIZE + ORIGIN
            lines.append(
                f"ATOM  {len(lines) + 1:5d}  CA  ALA {chain}{k + 1:4d}    "
                f"{point[0]:8.3f}{point[1]:8.3f}{point[2]:8.3f}  1.00  0.00           C"
            )
    (tmp_path / "model.pdb").write_text("\n".join([*lines, "END\n"]))
    run(f"open '{tmp_path}/model.pdb' id 3")
    text = f"model #3 level {LEVEL} outputDir '{tmp_path}'"
    with Page(session) as log:
        found = run(f"siren occupancy volumes '{planted.folder}' {text}")
        assert "within 3.6 A of its atoms" in log.text
    assert [p.name for p in found.parts] == ["chain_A", "chain_B"]
    for k, name in enumerate(("left", "right")):
        assert np.array_equal(found.parts[k].voxels, np.flatnonzero(planted.masks[name]))
        assert np.array_equal(found.states.present[k], planted.present[name])
    run(f"open '{planted.folder}/vol_1.mrc' '{planted.folder}/vol_2.mrc' id 1")
    run("move 30,0,0 models #1,3")
    moved = run(f"siren occupancy volumes #1 {text}")
    assert np.array_equal(moved.parts[0].voxels, found.parts[0].voxels)


def test_the_log_says_what_was_found_and_its_links_run(run, session, sketched, masks, tmp_path):
    with Page(session) as log:
        run(f"siren occupancy '{sketched}' masks '{masks}' outputDir '{tmp_path}'")
        text = log.text
    assert "4 parts in 120 volumes" in text
    assert "sum(mask x volume) / sum(mask), as there is no reference" in text
    assert "two groups" in text and "occupancies.csv" in text
    links = [part.split('"')[0] for part in text.split('href="cxcmd:')[1:]]
    kinds = {" ".join(one.split()[:2]) if "siren" in one else one.split()[0] for one in links}
    assert kinds >= {"siren show", "siren representatives", "open"}
    for kind in ("siren show", "siren representatives", "open "):
        command = next(one for one in links if one.startswith(kind))
        run(command.replace("&#x27;", "'"))


def test_the_answer_has_both_measures_calls_and_order(session, sketched, planted, tmp_path):
    result = run_command(
        session, f"siren occupancy '{sketched}' outputDir '{tmp_path}'", log=False, return_json=True
    )
    answer = json.loads(result.json_value)
    assert answer["volumes"] == [f"vol_{n}.mrc" for n in range(1, VOLUMES + 1)]
    part = answer["parts"][0]
    assert part["part"] == "block_1" and part["call"] == "two groups"
    assert len(part["share"]) == len(part["maven"]) == VOLUMES
    right = [f"vol_{v + 1}.mrc" for v in np.flatnonzero(planted.present["right"])]
    assert part["present_in"] == right
    assert part["share_distribution"]["p"] < 0.05
    order = pd.read_csv(tmp_path / TABLES[2])
    assert answer["order"]["volumes"] == order.file.tolist()
    assert answer["order"]["clusters"] == order.cluster.tolist()
    assert sorted(answer["order"]["parts"]) == ["block_1", "block_2"]
    assert {Path(f).name for f in answer["files"]} >= set(TABLES)


def test_a_result_is_replaced_as_a_whole_and_that_is_said(run, session, sketched, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    run(f"siren occupancy '{sketched}' outputDir '{tmp_path}'")
    with Page(session) as log:
        run(f"siren occupancy '{sketched}' outputDir '{tmp_path}'")
        assert "in place of earlier ones" in log.text
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("siren occupancy", "Which volumes"),
        ("siren occupancy volumes '{volumes}'", "Occupancy of what"),
        ("siren occupancy '{run}' references '{masks}'", "References go with masks"),
        ("siren occupancy '{run}' level 1", "has the contour levels of its volumes"),
        ("siren occupancy '{run}' exclude vol_1.mrc", "has its own volumes"),
        (
            "siren occupancy volumes '{volumes}' masks '{volumes}/vol_1.mrc' level 0.5",
            "vol_1.mrc is no mask",
        ),
        (
            "siren occupancy volumes '{volumes}' masks '{masks}' level 0.5 references '{volumes}'",
            "no reference for Mask_left.mrc",
        ),
        ("siren occupancy volumes '{volumes}' model #7 level 0.5", "No atoms: give an open"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(
    run, sketched, masks, planted, command, sentence
):
    with pytest.raises(UserError, match=sentence):
        run(command.format(run=sketched, masks=masks, volumes=planted.folder))


def test_volumes_that_vary_together_are_said_beside_the_test(session, run, sketched, tmp_path):
    copy = Path(shutil.copytree(sketched, tmp_path / "00_sketch"))
    record = json.loads((copy / "run.json").read_text("utf-8"))
    for effective, said in ((VOLUMES, False), (6.2, True)):
        record["counts"]["effective_volumes"] = effective
        (copy / "run.json").write_text(json.dumps(record), "utf-8")
        with StringPlainTextLog(session.logger) as log:
            run(f"siren occupancy '{copy}' outputDir '{tmp_path}/{effective:.0f}'")
        found = " ".join(log.getvalue().split())
        assert ("vary together, like 6 independent ones" in found) is said
