"""siren particles: what a user types gives the particles of the planted volumes."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog

from ensembles import LEVEL, Planted, write_planted

PARTICLES = 3000


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """A planted ensemble in a folder of cryoDRGN's, with the cluster of each particle."""
    run = tmp_path_factory.mktemp("run")
    found = write_planted(run / "analyze.20/kmeans200")
    labels = np.random.default_rng(7).integers(0, 200, PARTICLES).astype(np.int32)
    (found.folder / "labels.pkl").write_bytes(pickle.dumps(labels))
    return found


@pytest.fixture(scope="module")
def out(_chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder 00_sketch; "right" is block 1, "left" is block 2."""
    from chimerax.core.commands import run

    folder = tmp_path_factory.mktemp("out")
    run(
        _chimerax,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{folder}' statistic "
        "exact subsample 1 resamples 0 open false exclude vol_9.mrc",
    )
    return folder / "00_sketch"


def expected(planted: Planted, right: bool, left: bool) -> list[int]:
    """Particles by the planted truth: label k is vol_(k + 1)."""
    labels = pickle.loads((planted.folder / "labels.pkl").read_bytes())
    fits = (planted.present["right"] == right) & (planted.present["left"] == left)
    fits[8] = False  # vol_9
    return np.flatnonzero(fits[labels]).tolist()


def test_particles_with_and_without_blocks_are_those_of_the_planted_volumes(
    session, run, out, planted, tmp_path
):
    rows = "".join(f"{n + 1:06d}@s.mrcs {n}.50\n" for n in range(PARTICLES))
    star = tmp_path / "all particles.star"
    star.write_text(f"data_particles\n\nloop_\n_rlnImageName #1\n_rlnX #2\n{rows}")
    run(f"siren open '{out}'")
    with StringPlainTextLog(session.logger) as log:
        run(f"siren particles #1 with 1 without 2 particleFile '{star}'")
    folder = out.parent / "particles"
    wanted = expected(planted, True, False)
    assert pickle.loads((folder / "with_1_without_2.pkl").read_bytes()).tolist() == wanted
    lines = (folder / "with_1_without_2.star").read_text().splitlines()[5:]
    assert lines == [f"{n + 1:06d}@s.mrcs {n}.50" for n in wanted]
    rest = pickle.loads((folder / "with_1_without_2_rest.pkl").read_bytes())
    unused = int((pickle.loads((planted.folder / "labels.pkl").read_bytes()) == 8).sum())
    assert len(wanted) + len(rest) + unused == PARTICLES
    said = log.getvalue()
    assert f"Found {planted.folder / 'labels.pkl'}: the cluster of each particle." in said
    assert f"{len(wanted):,} of 3,000 particles" in said and "of 199 volumes" in said
    assert "vol_1.mrc = cluster 0 to vol_200.mrc = cluster 199" in said
    assert f"{unused:,} particles are in neither set" in said
    assert f"with_1_without_2.star ({len(wanted):,})" in said


def test_programs_get_the_choice_the_mapping_and_the_files(session, out, planted, tmp_path):
    from chimerax.core.commands import run

    result = run(
        session,
        f"siren particles '{out}' with 1,2 outputDir '{tmp_path}/p' rest false",
        return_json=True,
    )
    found = json.loads(result.json_value)
    assert found["particles"] == len(expected(planted, True, True))
    assert found["with"] == [1, 2] and found["without"] == []
    assert found["assignment"]["clusters"]["vol_17.mrc"] == 16
    assert found["files"] == {"with_1_2.pkl": found["particles"], "with_1_2.json": 0}
    assert found["folder"] == str(tmp_path / "p")
    assert json.loads((tmp_path / "p/with_1_2.json").read_text())["volumes"] == found["volumes"]


def test_earlier_files_stay_unless_they_are_to_be_replaced(run, out, tmp_path):
    command = f"siren particles '{out}' without 1 outputDir '{tmp_path}'"
    run(command)
    before = (tmp_path / "without_1.pkl").read_bytes()
    (tmp_path / "without_1.pkl").write_bytes(b"mine")
    with pytest.raises(UserError, match="replace true"):
        run(command)
    assert (tmp_path / "without_1.pkl").read_bytes() == b"mine"
    run(f"{command} replace true")
    assert (tmp_path / "without_1.pkl").read_bytes() == before
    run(f"{command} name mine")
    assert (tmp_path / "mine.pkl").read_bytes() == before
    with pytest.raises(UserError, match="without folders"):
        run(f"{command} name '../mine'")


def test_volumes_that_were_moved_are_named_and_bring_their_list_along(run, out, planted, tmp_path):
    shutil.copytree(planted.folder, tmp_path / "moved")
    run(f"siren particles '{out}' with 2 volumes '{tmp_path}/moved' outputDir '{tmp_path}/p'")
    record = json.loads((tmp_path / "p/with_2.json").read_text())
    assert record["assignment"]["files"] == [str(tmp_path / "moved/labels.pkl")]


def test_a_poisoned_list_beside_the_volumes_is_one_sentence_and_nothing_runs(
    run, out, planted, tmp_path
):
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "labels.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UserError, match=r"^labels\.pkl was not taken, and nothing in it was run"):
        run(f"siren particles '{out}' with 1 labels '{tmp_path}/labels.pkl'")
    assert not (tmp_path / "ran").exists()
    pickle.loads((tmp_path / "labels.pkl").read_bytes())
    assert (tmp_path / "ran").exists()  # the poison works


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("", "Name blocks"),
        ("with 1 without 1", "both with and without"),
        ("with 7", "There is no block 7"),
        ("with 1 first 0", 'does not fit the volumes vol_1.mrc to vol_200.mrc with "first 0"'),
        ("with 1 passthrough '{out}/run.json'", "passthrough"),
        ("with 1 particleFile '{out}/run.json'", r"give one \.star file"),
    ],
)
def test_what_cannot_be_answered_is_one_sentence(run, out, tmp_path, asked, reason):
    with pytest.raises(UserError, match=reason):
        run(f"siren particles '{out}' outputDir '{tmp_path}' {asked.format(out=out)}")
    assert list(tmp_path.iterdir()) == []


def test_given_volumes_that_the_run_left_out_are_passed_over_by_all_commands_which_say_so(
    session, run, out, planted
):
    for command in ("states", "relate"):
        with StringPlainTextLog(session.logger) as log:
            table = f"saveFile '{out.parent}/given.csv'" if command == "relate" else ""
            run(f"siren {command} '{out}' volumes '{planted.folder}' {table}")
            text = " ".join(log.getvalue().split())
        assert "1 volume that the run did not use is passed over here, too: vol_9.mrc" in text
        assert "199 volumes" in text


def test_the_scatter_places_volumes_by_latent_coordinates_found_beside_them_or_given(
    session, run, out, planted, tmp_path
):
    z = np.random.default_rng(8).normal(size=(200, 2))
    beside = planted.folder / "z_values.txt"
    np.savetxt(beside, z)
    used = np.delete(z, 8, axis=0)  # without vol_9, which the run left out
    table = tmp_path / "z.csv"
    table.write_text(
        "volume,UMAP 1,UMAP 2\n"
        + "".join(f"vol_{k + 1}.mrc,{x},{y}\n" for k, (x, y) in enumerate(z))
    )
    try:
        for word, axis in (("true", "latent 1"), (f"'{table}'", "UMAP 1"), (f"'{beside}'", None)):
            figure = tmp_path / "s.svg"
            with StringPlainTextLog(session.logger) as log:
                run(f"siren plot '{out}' scatter latent {word} block 1 saveFile '{figure}'")
            text = figure.read_text()
            assert f">{axis or 'latent 1'}</text>" in text
            said = log.getvalue()
            assert f"from {table if axis == 'UMAP 1' else beside}" in said
            assert (axis == "UMAP 1") != ("vol_1.mrc = row 0 to vol_200.mrc = row 199" in said)
            # the points of the drawing are those of the table, but for the scale of the page
            points = text[text.index('id="PathCollection_1"') :]
            places = re.findall(r'<use [^>]*?x="([-\d.]+)" y="([-\d.]+)"', points)
            drawn = np.array(places[:199], float)
            for k, sign in ((0, 1), (1, -1)):
                fitted = np.polyfit(np.sort(sign * used[:, k]), np.sort(drawn[:, k]), 1)
                off = np.polyval(fitted, np.sort(sign * used[:, k])) - np.sort(drawn[:, k])
                assert np.abs(off).max() < 0.01
    finally:
        beside.unlink()
    with pytest.raises(UserError, match='says where each is in latent space: give "latent FILE"'):
        run(f"siren plot '{out}' scatter latent true saveFile '{figure}'")
    with pytest.raises(UserError, match='"latent" places the volumes of "scatter"'):
        run(f"siren plot '{out}' states latent true saveFile '{figure}'")
    with pytest.raises(UserError, match=r'"first".*add "latent true"'):
        run(f"siren plot '{out}' scatter first 1 saveFile '{figure}'")
    run(f"siren plot '{out}' scatter latent false saveFile '{figure}'")
    assert "share of block 1" in figure.read_text()
