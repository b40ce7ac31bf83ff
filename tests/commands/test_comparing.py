"""siren compare: tables, colors and answers, for runs, open blocks and a truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chimerax.core.commands import run as run_command
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog

from chimerax.siren.core.runs.steps import read_blocks
from chimerax.siren.session.surfaces import BlockMap, own_color
from ensembles import LEVEL, Planted, write_planted


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes", 120)


@pytest.fixture(scope="module")
def runs(
    _chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two runs of the same volumes, at two levels, in folders of their own."""
    folder = tmp_path_factory.mktemp("out")
    for name, level in (("one", LEVEL), ("two", 0.45)):
        run_command(
            _chimerax,
            f"siren sketch '{planted.folder}' level {level} outputDir '{folder}/{name}' statistic "
            "exact subsample 1 resamples 0 open false",
        )
    return folder / "one/00_sketch", folder / "two/00_sketch"


def blocks_in(session: Any) -> dict[str, dict[int, Any]]:
    found: dict[str, dict[int, Any]] = {}
    for m in session.models.list(type=BlockMap):
        found.setdefault(m.parent.id_string, {})[m.siren_block] = m
    return found


def test_two_runs_are_matched_logged_and_written(session, run, runs, tmp_path):
    one, two = runs
    with StringPlainTextLog(session.logger) as log:
        run(f"siren compare '{one}' '{two}' saveFile '{tmp_path}/c.csv' open false")
    table = pd.read_csv(tmp_path / "c.csv")
    assert table.block.tolist() == table.match.tolist() == [1, 2]
    sets = [read_blocks(f) for f in runs]
    for row in table.itertuples():
        a, b = (
            set(s.blocks[n].tolist()) for s, n in zip(sets, (row.block, row.match), strict=True)
        )
        assert row.iou == pytest.approx(len(a & b) / len(a | b), abs=1e-4)
    assert table.volumes_agree.tolist() == [1, 1]
    assert "120 volumes are in both" in log.getvalue()
    assert not session.models.list()


def test_blocks_of_b_open_in_the_colors_of_their_matches_in_a(session, run, runs):
    one, two = runs
    run(f"siren open '{one}'")
    run("color #1.1 purple")
    run("color #1.2 lime")
    run(f"siren compare #1 '{two}'")
    sets = blocks_in(session)
    assert [own_color(sets["2"][n]) for n in (1, 2)] == [own_color(sets["1"][n]) for n in (1, 2)]
    # and once they are open, they are colored rather than opened again
    run("color #1.1 orange")
    run("siren compare #1 #2")
    sets = blocks_in(session)
    assert set(sets) == {"1", "2"}
    assert own_color(sets["2"][1]) == own_color(sets["1"][1])


def test_what_is_new_has_a_color_that_no_block_of_a_has(session, run, runs):
    one, two = runs
    run(f"siren open '{one}'")
    run("siren block delete #1.2")
    run(f"siren compare #1 '{two}'")
    sets = blocks_in(session)
    assert own_color(sets["2"][1]) == own_color(sets["1"][1])
    assert own_color(sets["2"][2]) != own_color(sets["1"][1])


def test_open_blocks_that_were_edited_are_compared_as_they_are(session, run, runs):
    one, two = runs
    run(f"siren open '{one}'")
    run("siren block merge #1.1,2")
    found = run_command(session, f"siren compare #1 '{two}' open false", return_json=True)
    answer = json.loads(found.json_value)
    assert answer["splits"] == {"1": [1, 2]} and answer["new"] == answer["gone"] == []
    # the presence of what was edited is not known from the run's table
    assert answer["blocks"][0]["volumes_agree"] is None


def test_replication_of_a_run_is_answered_with_score_and_p(session, runs):
    one, two = runs
    found = run_command(
        session,
        f"siren compare '{one}' '{two}' replication true placements 99 open false",
        return_json=True,
    )
    answer = json.loads(found.json_value)
    assert [b["verdict"] for b in answer["blocks"]] == ["replicated", "replicated"]
    assert all(b["p"] <= 0.03 and b["score"] > 0.8 for b in answer["blocks"])
    assert answer["alignment"]["moved"] is False
    assert any("no replication" in n for n in answer["notes"])


def test_a_run_is_compared_with_the_truth_of_an_example(session, run, tmp_path):
    run(f"siren example '{tmp_path}/v' volumes 100 box 32 voxelSize 10 resolution 20")
    run(f"siren sketch '{tmp_path}/v' thresholds '{tmp_path}/v/truth.csv' open false")
    run(f"siren expand '{tmp_path}/siren/00_sketch' open false")
    for truth in ("v", "v/truth.json"):
        with StringPlainTextLog(session.logger) as log:
            found = run_command(
                session,
                f"siren compare '{tmp_path}/siren/02_expand' '{tmp_path}/{truth}'",
                return_json=True,
            )
            assert "is open as #1, in the colors of the matches in A" in log.getvalue()
        answer = json.loads(found.json_value)
        iou = [b["iou"] for b in answer["blocks"] if b["iou"]]
        assert len(iou) >= 6 and np.mean(iou) > 0.7
        with pytest.raises(UserError, match=r"not found by a run, they are those of .*v: name"):
            run("siren states #1")
        run("close")


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("saveFile c.txt", "c.txt cannot be written: give saveFile a name that ends in .csv"),
        ("placements 3", "placements"),
    ],
)
def test_what_cannot_be_written_or_drawn_is_said(run, runs, rest, said):
    with pytest.raises(UserError, match=said):
        run(f"siren compare '{runs[0]}' '{runs[1]}' {rest}")


def test_the_json_file_holds_what_programs_get(session, run, runs, tmp_path):
    one, two = runs
    run(f"siren compare '{one}' '{two}' saveFile '{tmp_path}/c.json' open false")
    found = run_command(session, f"siren compare '{one}' '{two}' open false", return_json=True)
    written, answer = json.loads((tmp_path / "c.json").read_text()), json.loads(found.json_value)
    answer.pop("files")
    assert {k: answer[k] for k in written} == written
