"""siren states, plot and representatives: tables match the planted ensemble, figures are valid
files, and the right maps are opened.
"""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog
from chimerax.map import Volume
from PIL import Image

from chimerax.siren.core.figures.draw import KINDS
from ensembles import LEVEL, Planted, write_planted


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes")


@pytest.fixture(scope="module")
def out(_chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder 00_sketch of the planted ensemble; "right" is block 1, "left" is block 2."""
    from chimerax.core.commands import run

    folder = tmp_path_factory.mktemp("out")
    run(
        _chimerax,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{folder}' statistic "
        "exact subsample 1 resamples 0 open false",
    )
    return folder / "00_sketch"


def shares(table: pd.DataFrame, planted: Planted) -> None:
    """Check a table of states against the planted blocks."""
    assert table.file.tolist() == [f"vol_{n}.mrc" for n in range(1, 201)]
    assert (table.level == LEVEL).all()
    for column, name in (("block_1", "right"), ("block_2", "left")):
        assert np.array_equal(table[column] > 0.5, planted.present[name])
        assert (table[column][planted.present[name]] > 0.99).all() and (
            table[column][~planted.present[name]] < 0.1
        ).all()


def test_every_run_has_its_states_as_a_table(out, planted):
    shares(pd.read_csv(out / "states.csv"), planted)


def test_states_of_a_folder_and_of_open_blocks_are_written_and_logged(
    session, run, out, planted, tmp_path
):
    run(f"siren open '{out}'")
    for blocks in (f"'{out}'", "#1"):
        with StringPlainTextLog(session.logger) as log:
            run(f"siren states {blocks} saveFile '{tmp_path}/s.csv' pairsFile '{tmp_path}/p.csv'")
        assert (tmp_path / "s.csv").read_bytes() == (out / "states.csv").read_bytes()
        both = (planted.present["left"] & planted.present["right"]).sum()
        assert pd.read_csv(tmp_path / "p.csv").loc[0, ["both", "only_a", "only_b"]].tolist() == [
            both,
            120 - both,
            80 - both,
        ]
        assert "2 blocks in 200 volumes" in log.getvalue()
        assert "60 %" in log.getvalue() and "40 %" in log.getvalue()


def test_states_of_an_edited_set_are_measured_again(session, run, out, planted, tmp_path):
    run(f"siren open '{out}'")
    run("siren block merge #1.1#1.2")
    states = run("siren states #1")
    sizes = [int(planted.masks[n].sum()) for n in ("right", "left")]
    expected = sum(
        planted.present[n] * s for n, s in zip(("right", "left"), sizes, strict=True)
    ) / sum(sizes)
    assert np.abs(states.share[0] - expected).max() < 0.02


def test_states_are_measured_for_a_folder_of_an_earlier_version_without_states_csv(
    session, run, out, tmp_path
):
    import shutil

    shutil.copytree(out, tmp_path / "old")
    (tmp_path / "old/states.csv").unlink()
    run(f"siren states '{tmp_path}/old' saveFile '{tmp_path}/s.csv'")
    assert (tmp_path / "s.csv").read_bytes() == (out / "states.csv").read_bytes()


def test_states_in_other_volumes_are_measured_in_these(session, run, out, planted, tmp_path):
    import shutil

    shutil.copytree(planted.folder, tmp_path / "swapped")
    have = np.flatnonzero(planted.present["right"])[0]
    lack = np.flatnonzero(~planted.present["right"])[0]
    one, other = (tmp_path / f"swapped/vol_{k + 1}.mrc" for k in (have, lack))
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    states = run(f"siren states '{out}' volumes '{tmp_path}/swapped'")
    expected = planted.present["right"].copy()
    expected[[have, lack]] = expected[[lack, have]]
    assert np.array_equal(states.present[states.row(1)], expected)


def test_states_in_given_volumes_pass_over_what_the_run_had_excluded(run, planted, tmp_path):
    sketch = run(
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{tmp_path}' exclude vol_7.mrc "
        "statistic exact subsample 1 resamples 0 open false"
    )
    again = run(f"siren states '{sketch.folder}' volumes '{planted.folder}'")
    assert len(again.names) == 199 and "vol_7.mrc" not in again.names


def test_representatives_are_a_volume_with_and_one_without_at_their_levels(
    session, run, out, planted
):
    run(f"siren open '{out}'")
    before = {
        m: (m.display, tuple(m.surfaces[0].color), m.position.is_identity())
        for m in session.models.list(type=Volume)
    }
    with StringPlainTextLog(session.logger) as log:
        group = run("siren representatives #1.2")
    with_it, without = group.child_models()
    for volume, word, there in ((with_it, "with", True), (without, "without", False)):
        assert volume.name.startswith(f"{word} block 2: vol_")
        number = int(volume.name.split("_")[1].split(".")[0])
        assert planted.present["left"][number - 1] == there
        assert volume.surfaces[0].level == LEVEL
    numbers = [int(v.name.split("_")[1].split(".")[0]) - 1 for v in (with_it, without)]
    # alike but for the block
    assert planted.present["right"][numbers[0]] == planted.present["right"][numbers[1]]
    assert "Block 2" in log.getvalue()
    assert {
        m: (m.display, tuple(m.surfaces[0].color), m.position.is_identity()) for m in before
    } == before


def test_representatives_are_beside_each_other_and_beside_everything_else(session, run, out):
    run("view orient")
    run(f"siren open '{out}'")
    group = run(f"siren representatives '{out}' block 1")
    shown = [m.bounds() for m in (session.models.list()[0], *group.child_models())]
    for left, right in pairwise(shown):
        assert left.xyz_max[0] < right.xyz_min[0]


def test_the_core_has_no_color_of_the_absent_block_beside_it(session, run, out):
    maps = run(f"siren representatives '{out}' block 1").child_models()
    session.update_loop.draw_new_frame()
    colors = [m.surfaces[0].vertex_colors[:, :3].astype(int) for m in maps]
    with_it, without = ((np.ptp(c, axis=1) > 0).mean() for c in colors)
    assert with_it > 0.2 and without == 0


def test_only_the_place_of_the_block_has_its_color_on_the_surface(session, run, out, planted):
    run(f"siren open '{out}'")
    color = tuple(session.models.list()[1].surfaces[0].color[:3])
    with_it = run("siren representatives #1.1").child_models()[0]
    session.update_loop.draw_new_frame()
    surface = with_it.surfaces[0]
    zyx = np.rint((surface.vertices - with_it.data.origin) / with_it.data.step).astype(int)[:, ::-1]
    inside = planted.masks["right"][tuple(zyx.T)]
    colored = (surface.vertex_colors[:, :3] == color).all(axis=1)
    assert colored[inside].mean() > 0.95
    assert (~colored).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
@pytest.mark.slow
def test_figures_are_written_in_each_format_and_are_the_same_each_time(
    session, run, out, tmp_path, kind, suffix
):
    for name in ("a", "b"):
        run(f"siren plot '{out}' {kind} saveFile '{tmp_path}/{name}{suffix}'")
    content = (tmp_path / f"a{suffix}").read_bytes()
    assert content.startswith({".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}[suffix])
    assert content == (tmp_path / f"b{suffix}").read_bytes()
    if suffix == ".png":
        pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
        assert (pixels.std(axis=(0, 1)) > 10).all()


def test_a_table_of_thresholds_is_drawn_without_a_run(session, run, tmp_path):
    (tmp_path / "predictions.csv").write_text(
        "file,denormalized_predictions\n" + "".join(f"v{k}.mrc,{k % 7}\n" for k in range(50))
    )
    run(f"siren plot '{tmp_path}/predictions.csv' thresholds saveFile '{tmp_path}/t.png'")
    assert (tmp_path / "t.png").is_file()


BAD = {
    "plot '{out}' states saveFile '{tmp}/x.doc'": r"\.png, \.pdf, \.svg",
    "plot '{out}/blocks.csv' states saveFile '{tmp}/x.png'": "is a file",
    "plot '{out}/blocks.csv' thresholds saveFile '{tmp}/x.png'": "blocks.csv",
    "plot '{tmp}' states saveFile '{tmp}/x.png'": "no run.json",
    "plot /no/such states saveFile '{tmp}/x.png'": "no file or folder",
    "states '{tmp}'": "no run.json",
    "states #9": "No models|no open model",
    "states '{out}' present 2": "present 2 is out of bounds",
    "representatives '{out}'": "Which block",
    "representatives '{out}' block 9": "no block 9: there are 1, 2",
    "representatives '{out}' block 1 present 1": "none of the 200 volumes",
}


@pytest.mark.parametrize("command", BAD)
def test_bad_input_is_one_sentence_and_writes_nothing(session, run, out, tmp_path, command):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=BAD[command]) as caught:
        run("siren " + command.format(out=out, tmp=tmp_path / "empty"))
    assert "\n" not in str(caught.value).strip()
    assert not list((tmp_path / "empty").iterdir())


def test_volumes_that_are_gone_are_named(session, run, planted, tmp_path):
    import shutil

    shutil.copytree(planted.folder, tmp_path / "v")
    folder = run(
        f"siren sketch '{tmp_path}/v' level {LEVEL} outputDir '{tmp_path}/out' statistic "
        "exact subsample 1 resamples 0 "
        "open false"
    ).folder
    (tmp_path / "v").rename(tmp_path / "w")
    run(f"siren states '{folder}'")  # the table knows
    with pytest.raises(UserError, match=r"vol_\d+\.mrc is gone"):
        run(f"siren representatives '{folder}' block 1")
    assert run(f"siren representatives '{folder}' block 1 volumes '{tmp_path}/w'").child_models()


def test_copies_of_one_map_are_called_that_and_a_run_without_blocks_has_no_cut(
    session, run, planted, tmp_path
):
    one = sorted(planted.folder.glob("*.mrc"))[0]
    (tmp_path / "copies").mkdir()
    for n in range(8):
        shutil.copy(one, tmp_path / f"copies/vol_{n}.mrc")
    with StringPlainTextLog(session.logger) as log:
        run(f"siren sketch '{tmp_path}/copies' level {LEVEL} resamples 0 open false")
        run(f"siren states '{tmp_path}/siren/00_sketch'")
    assert "All 8 volumes are copies of one map" in log.getvalue()
    assert "0 blocks in 8 volumes (present: there are no blocks)" in log.getvalue()
    assert "100 %" not in log.getvalue()
