"""siren volumes: what is listed, averaged, written and opened, in a planted ensemble."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import mrcfile
import numpy as np
import pandas as pd
import pytest
from chimerax.core.commands import run as run_command
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog

from ensembles import LEVEL, Planted, write_planted

VOLUMES = 120


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes", VOLUMES)


@pytest.fixture(scope="module")
def out(_chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder 00_sketch of the planted ensemble; "right" is block 1, "left" is block 2."""
    folder = tmp_path_factory.mktemp("out")
    run_command(
        _chimerax,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{folder}' statistic "
        "exact subsample 1 resamples 0 open false",
    )
    return folder / "00_sketch"


def expected(planted: Planted) -> np.ndarray:
    """Volumes with right and without left."""
    return planted.present["right"] & ~planted.present["left"]


def test_the_list_is_that_of_the_planted_blocks(session, run, out, planted, tmp_path):
    names = [f"vol_{k + 1}.mrc" for k in np.flatnonzero(expected(planted))]
    with StringPlainTextLog(session.logger) as log:
        run(f"siren volumes '{out}' with 1 without 2 maps false saveFile '{tmp_path}/l.txt'")
    assert (tmp_path / "l.txt").read_text().split() == names
    assert f"{len(names)} of the 120 volumes: with 1 without 2" in log.getvalue()
    assert not session.models.list()  # nothing is opened
    run(f"siren volumes '{out}' with 1 without 2 maps false saveFile '{tmp_path}/l.csv'")
    table = pd.read_csv(tmp_path / "l.csv")
    assert table.file[table.set == "chosen"].tolist() == names
    assert (table.set == "other").sum() == VOLUMES - len(names)
    assert sorted(table.representative.dropna()) == [1, 2, 3][: table.representative.count()]


def test_average_and_difference_are_written_and_opened_at_their_levels(session, run, out, planted):
    run(f"siren volumes '{out}' with 1")
    folder = out.parent / "volumes_with_1"
    said = json.loads((folder / "subset.json").read_text())
    arrays = {}
    for name in ("mean", "mean_of_others", "difference"):
        with mrcfile.open(folder / f"{name}.mrc") as file:
            arrays[name] = file.data.copy()
            assert float(file.voxel_size.x) == 4.0 and float(file.header.origin.y) == 20.0
    volumes = np.stack([mrcfile.read(planted.folder / f"vol_{k + 1}.mrc") for k in range(VOLUMES)])
    there = planted.present["right"]
    by_hand = (volumes[there].mean(axis=0) - volumes[~there].mean(axis=0)) / LEVEL
    assert arrays["difference"] == pytest.approx(by_hand, abs=0.03)
    assert arrays["mean"][planted.masks["right"]].mean() == pytest.approx(1 / LEVEL, abs=0.03)
    group = session.models.list()[0]
    mean, difference = group.child_models()
    assert [s.level for s in mean.surfaces] == [1.0]
    level = said["difference_level"]
    assert [s.level for s in difference.surfaces] == pytest.approx([-level, level])
    # what comes is blue, what goes is red
    red, blue = (s.rgba[:3] for s in difference.surfaces)
    assert red[0] > 0.7 > red[2] and blue[2] > 0.6 > blue[0]
    assert len(difference.surfaces[1].vertices) > 0
    assert said["voxels_more"] >= 0.9 * planted.masks["right"].sum()
    assert said["difference_by_block"]["1"] == pytest.approx(2, abs=0.1)
    assert group.name == "SIREn volumes: with 1"


def test_the_same_command_gives_the_same_bytes_and_replaces_only_its_own_folder(run, out):
    run(f"siren volumes '{out}' with 2 open false")
    folder = out.parent / "volumes_with_2"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    run(f"siren volumes '{out}' with 2 open false")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    (folder / "mine.txt").write_text("notes")
    with pytest.raises(UserError, match=r"holds files of others \(mine.txt\)"):
        run(f"siren volumes '{out}' with 2")
    assert (folder / "mine.txt").read_text() == "notes"


def test_programs_get_names_levels_and_differences(session, out, planted):
    found = run_command(
        session, f"siren volumes '{out}' with 1 without 2 open false", return_json=True
    )
    answer = json.loads(found.json_value)
    assert answer["count"] == expected(planted).sum() == len(answer["volumes"])
    assert set(answer["representatives"]) <= set(answer["volumes"])
    assert answer["difference_by_block"]["1"] > 0 > answer["difference_by_block"]["2"]
    assert Path(answer["files"][-1]).is_dir()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("with 1 without 1", "Block 1 is asked for both with and without"),
        ("with 7", "There is no block 7"),
        ("with 1 saveFile list.xlsx", "ends in .csv or .txt"),
        ("with 1 sd 0", "sd"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(run, out, command, said):
    with pytest.raises(UserError, match=said):
        run(f"siren volumes '{out}' {command}")


def test_links_of_the_log_show_a_volume_at_its_level(session, run, out, planted, monkeypatch):
    pages: list[str] = []
    monkeypatch.setattr(session.logger, "info", lambda text, **_: pages.append(text))
    run(f"siren volumes '{out}' with 1 without 2 maps false")
    monkeypatch.undo()
    links = re.findall(r'href="cxcmd:(siren show [^"]*)"', " ".join(pages))
    assert len(links) == min(20, expected(planted).sum())
    run(unquote(unescape(links[0])))
    shown = session.models.list()[0]
    assert expected(planted)[int(shown.name[4:-4]) - 1]
    assert [s.level for s in shown.surfaces] == [LEVEL]


def test_blocks_that_would_cover_the_averages_are_hidden_and_a_link_brings_them_back(
    session, run, out
):
    run(f"siren open '{out}'")
    (blocks,) = session.models.list(model_id=(1,))
    with StringPlainTextLog(session.logger) as log:
        run("siren volumes #1 with 1")
        said = log.getvalue()
    assert not blocks.display and "Blocks that would cover them are hidden" in said
    run("show #!1 models")
    assert all(m.visible for m in blocks.child_models())
