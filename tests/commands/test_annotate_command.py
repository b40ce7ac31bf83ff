"""siren annotate: a model made to lie in the planted blocks is told, selected, named and colored by
them, wherever both are in the scene.
"""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from chimerax.core.commands import run as run_command
from chimerax.core.errors import UserError
from chimerax.core.logger import HtmlLog, StringPlainTextLog

from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session.surfaces import BlockMap, own_color
from ensembles import BOXES, CORE, LEVEL, ORIGIN, SHAPE, VOXEL_SIZE, Planted, write_planted
from molecules import pdb_text, snake

GRID = Grid(SHAPE, (VOXEL_SIZE,) * 3, ORIGIN)
GRAY = (178, 178, 178, 255)


class Html(HtmlLog):
    """What is logged as HTML."""

    excludes_other_logs = False

    def __init__(self) -> None:
        self.text = ""

    def log(self, level: int, msg: str, image_info: Any, is_html: bool) -> bool:
        self.text += msg if is_html else ""
        return False


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes", 120)


@pytest.fixture(scope="module")
def out(_chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sketch of the planted ensemble; "right" is block 1, "left" is block 2."""
    folder = tmp_path_factory.mktemp("out")
    run_command(
        _chimerax,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{folder}' statistic "
        "exact subsample 1 resamples 0 open false",
    )
    return folder / "00_sketch"


@pytest.fixture
def opened(run: Any, out: Path, tmp_path: Path) -> Any:
    """The blocks as #1 and the model as #2: chain A is the left block; chain B passes through the
    core, 1 to 64, then the right block, 65 to 280.
    """

    def places(box: Any) -> Any:
        return GRID.points(np.ravel_multi_index(tuple(snake(box).T), SHAPE))

    left, rest = places(BOXES["left"]), np.concatenate([places(CORE), places(BOXES["right"])])
    chains = {"A": (left, range(1, 126)), "B": (rest, range(1, 281))}
    (tmp_path / "model.pdb").write_text(pdb_text(chains))
    run(f"siren open '{out}'")
    return run(f"open '{tmp_path}/model.pdb'")[0]


def test_the_table_and_the_log_tell_chains_and_ranges(session, run, opened, tmp_path):
    with StringPlainTextLog(session.logger) as log:
        found = run(f"siren annotate #1 #2 reach 3 saveFile '{tmp_path}/c.csv'")
    table = pd.read_csv(tmp_path / "c.csv", keep_default_na=False)
    assert table["block"].tolist() == [1, 2]
    assert table["spec"].tolist() == ["/B:65-280", "/A"]
    assert table["share_of_residues"].tolist() == [round(216 / 280, 3), 1.0]
    assert (table["explained"] == 1).all() and not found.unexplained
    assert "(77 %; 100 %)" in log.getvalue() and "within 3 A" in log.getvalue()


def test_links_select_the_residues(session, run, opened):
    log = Html()
    session.logger.add_log(log)
    try:
        run("siren annotate #1 #2 reach 3")
    finally:
        session.logger.remove_log(log)
    links = [unquote(unescape(m)) for m in re.findall(r'href="cxcmd:(.*?)"', log.text)]
    assert links[:2] == ["select #2/B:65-280", "select #2/A"]
    run(links[0])
    chosen = opened.residues.filter(opened.atoms.selecteds)
    assert set(chosen.chain_ids) == {"B"} and sorted(chosen.numbers) == list(range(65, 281))
    assert links[2] == "siren annotate #1.1-2 #2 color true"
    run(links[2])
    assert tuple(opened.residues[0].ribbon_color) != GRAY


@pytest.mark.parametrize("of_run", [True, False])
def test_the_link_colors_only_the_part_of_the_model_that_was_named(
    session, run, out, opened, of_run
):
    blocks, log = (f"'{out}'" if of_run else "#1"), Html()
    before = opened.residues.ribbon_colors.copy()
    session.logger.add_log(log)
    try:
        run(f"siren annotate {blocks} #2/A reach 3")
    finally:
        session.logger.remove_log(log)
    links = [unquote(unescape(m)) for m in re.findall(r'href="cxcmd:(.*?)"', log.text)]
    assert links[-1].endswith(" #2/A color true")
    run(links[-1])
    changed = (opened.residues.ribbon_colors != before).any(axis=1)
    a = np.asarray(opened.residues.chain_ids) == "A"
    assert changed[a].all() and len(links) == 2


def test_residues_get_the_color_of_their_block_and_others_gray_until_undone(session, run, opened):
    before = opened.atoms.colors.copy(), opened.residues.ribbon_colors.copy()
    run("color #1.1 #123456")
    run("siren annotate #1 #2 reach 3 color true")
    blocks = {m.siren_block: m for m in session.models.list(type=BlockMap)}
    for residue in opened.residues:
        number = 2 if residue.chain_id == "A" else 1 if residue.number > 64 else 0
        rgb = [round(255 * c) for c in own_color(blocks[number])] if number else GRAY[:3]
        assert tuple(residue.ribbon_color) == (*rgb, 255)
        assert tuple(residue.atoms[0].color) == (*rgb, 255)
    assert tuple(opened.residues[-1].ribbon_color)[:3] == (0x12, 0x34, 0x56)
    run("undo")
    assert np.array_equal(opened.atoms.colors, before[0])
    assert np.array_equal(opened.residues.ribbon_colors, before[1])


def test_blocks_are_named_by_chains_until_undone_and_given_names_stay(session, run, opened):
    def names() -> dict[int, str]:
        return {m.siren_block: m.given_name for m in session.models.list(type=BlockMap)}

    run('siren block rename #1.1 "head"')
    run("siren annotate #1 #2 reach 3 rename unnamed")
    assert names() == {1: "head", 2: "A"}
    run("siren annotate #1 #2 reach 3 rename all label true")
    assert names() == {1: "B:65-280", 2: "A"}
    labels = next(m for m in session.models.list() if m.name == "labels")
    assert {label.text for label in labels.labels(labels.labeled())} == {"1 B:65-280", "2 A"}
    run("siren block undo")
    assert names() == {1: "head", 2: "A"}
    run("siren block undo")
    assert names() == {1: "head", 2: ""}


def test_model_and_blocks_are_compared_where_they_are_in_the_scene(session, run, opened):
    expected = run("siren annotate #1 #2 reach 3").table()
    run("turn x 40 models #1,2; move 10,20,30 models #1,2")
    assert run("siren annotate #1 #2 reach 3").table().equals(expected)
    run("move x 400 models #2")
    with pytest.raises(UserError, match="fitmap"):
        run("siren annotate #1 #2")
    run("move x -400 models #2; move x 60 models #2")
    assert not run("siren annotate #1 #2 reach 3").table().equals(expected)


def test_a_folder_and_a_part_of_a_model_will_do(session, run, opened, out):
    expected = run("siren annotate #1 #2 reach 3").table()
    assert run(f"siren annotate '{out}' #2 reach 3").table().equals(expected)
    part = run("siren annotate #1.1,2 #2/A reach 3")
    assert part.unexplained == [1] and part.of(2)[0].spec == "/A"


def test_chains_of_several_models_are_told_apart(session, run, opened, tmp_path):
    run(f"open '{tmp_path}/model.pdb'")
    found = run("siren annotate #1 #2,3 reach 3")
    assert {c.spec for c in found.of(2)} == {"#2/A", "#3/A"}


def test_water_in_a_block_is_not_its_chain(session, run, opened, tmp_path):
    text = (tmp_path / "model.pdb").read_text().replace("END\n", "")
    waters = GRID.points(np.ravel_multi_index(tuple(snake(BOXES["right"]).T), SHAPE))
    lines = [
        f"HETATM{n:5d}  O   HOH A{n:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           O"
        for n, (x, y, z) in enumerate(waters, 1001)
    ]
    (tmp_path / "wet.pdb").write_text(text + "\n".join(lines) + "\nEND\n")
    run("close #2")
    run(f"open '{tmp_path}/wet.pdb' id 2")
    found = run("siren annotate #1 #2 reach 3")
    assert [c.spec for c in found.of(1)] == ["/B:65-280"] and found.of(2)[0].spec == "/A"


def test_programs_get_the_numbers(session, run, opened):
    result = run_command(session, "siren annotate #1 #2 reach 3", return_json=True)
    answer = json.loads(result.json_value)
    assert answer["names"] == {"1": "B:65-280", "2": "A"} and answer["model"] == "#2"
    (chain,) = answer["blocks"][0]["chains"]
    assert (chain["chain"], chain["ranges"], chain["near_chain"]) == ("B", [[65, 280]], 1.0)


BAD = {
    "annotate #1": "No open atomic model is named",
    "annotate #2": "Name the blocks",
    "annotate '{out}'": "No open atomic model is named",
    "annotate '{out}' #2 rename all": "Only open blocks",
    "annotate #1 #2 reach 0": "reach 0 is out of bounds",
    "annotate #1 #2 minShare 2": "minShare 2 is out of bounds",
    "annotate #9 #2 rename some": "rename|unnamed",
}


@pytest.mark.parametrize("command", BAD)
def test_bad_input_is_one_sentence(session, run, opened, out, command):
    with pytest.raises(UserError, match=BAD[command]) as caught:
        run("siren " + command.format(out=out))
    assert "Traceback" not in str(caught.value)
