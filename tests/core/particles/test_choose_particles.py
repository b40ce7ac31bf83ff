"""From blocks to particles: the chosen rows are those worked out by hand, in every file."""

from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.analysis.block_occupancy import States
from chimerax.siren.core.analysis.selection import Selection
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.particles.choose import (
    Sources,
    choose_particles,
    read_sources,
    write_particles,
)
from chimerax.siren.core.particles.places import Files
from particle_files import particles as cs_particles
from particle_files import save, star_text

TILTS = star_text("tilts")
NAMES = ("vol_001.mrc", "vol_002.mrc", "vol_003.mrc", "vol_005.mrc")  # vol_004 was left out
SHARE = np.array([[1, 1, 0, 0], [1, 0, 1, 0]], np.float32)  # blocks 2 and 5
STATES = States(NAMES, np.ones(4), (2, 5), np.array([50, 40]), SHARE)
LABELS = np.array([0, 1, 2, 3, 4, 1, 1, 0, 2, 4])  # clusters of volumes 1 to 5


def chosen_of(tmp_path, selection, labels=LABELS, **files):
    path = tmp_path / "labels.pkl"
    path.write_bytes(pickle.dumps(labels))
    beside = [f"vol_{n:03d}.mrc" for n in range(1, 6)]
    return choose_particles(STATES, selection, Files(labels=path, **files), None, beside)


def star_of(count, columns="_rlnImageName #1\n", cell="{:06d}@s.mrcs"):
    rows = [cell.format(n + 1) + "\n" for n in range(count)]
    return f"data_particles\n\nloop_\n{columns}" + "".join(rows)


@pytest.mark.parametrize(
    ("selection", "rows", "rest", "volumes"),
    [
        (Selection((2,), ()), [0, 1, 5, 6, 7], [2, 4, 8, 9], NAMES[:2]),
        (Selection((2,), (5,)), [1, 5, 6], [0, 2, 4, 7, 8, 9], NAMES[1:2]),
        (Selection((), (2, 5)), [4, 9], [0, 1, 2, 5, 6, 7, 8], NAMES[3:]),
        (Selection((2, 5), ()), [0, 7], [1, 2, 4, 5, 6, 8, 9], NAMES[:1]),
    ],
)
def test_particles_are_those_of_the_volumes_and_the_rest_those_of_the_others(
    tmp_path, selection, rows, rest, volumes
):
    found = chosen_of(tmp_path, selection)
    assert found.rows.tolist() == rows and found.rest.tolist() == rest
    assert found.volumes == tuple(volumes)
    assert found.unused == 1  # particle 3, whose volume was left out, is in neither
    lines = found.sentences()
    assert lines[0].startswith(f"{len(rows)} of 10 particles, in {len(volumes)} of 4 volumes: with")
    assert "vol_001.mrc = cluster 0 to vol_005.mrc = cluster 4" in lines[1]
    assert lines[2].startswith("1 particles are in neither set")


def test_files_hold_the_chosen_rows_and_the_rest_and_say_how(tmp_path):
    found = chosen_of(tmp_path, Selection((2,), (5,)))
    (tmp_path / "p.star").write_text(star_of(10))
    sources = read_sources([tmp_path / "p.star"], found.assignment)
    written = write_particles(found, sources, tmp_path / "out")
    stem = "with_2_without_5"
    assert written.files == {
        f"{stem}.pkl": 3,
        f"{stem}.star": 3,
        f"{stem}_rest.pkl": 6,
        f"{stem}_rest.star": 6,
        f"{stem}.json": 0,
    }
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(written.files)
    for name, rows in ((stem, [1, 5, 6]), (f"{stem}_rest", [0, 2, 4, 7, 8, 9])):
        indices = pickle.loads((tmp_path / f"out/{name}.pkl").read_bytes())
        assert indices.dtype.kind == "i" and indices.tolist() == rows
        lines = (tmp_path / f"out/{name}.star").read_text().splitlines()[4:]
        assert lines == [f"{n + 1:06d}@s.mrcs" for n in rows]
    record = json.loads((tmp_path / f"out/{stem}.json").read_text())
    assert record["with"] == [2] and record["without"] == [5] and record["in_neither"] == 1
    assert record["assignment"]["clusters"] == {n: int(n[4:7]) - 1 for n in NAMES}
    assert record["assignment"]["first"] == 1 and record["files"][f"{stem}.star"] == 3


def test_filtered_training_chooses_rows_of_the_original_file(tmp_path):
    kept = np.array([3, 4, 11, 12, 20, 21, 22, 25, 26, 29])
    (tmp_path / "ind.pkl").write_bytes(pickle.dumps(kept))
    found = chosen_of(tmp_path, Selection((2,), (5,)), indices=tmp_path / "ind.pkl")
    assert found.rows.tolist() == [4, 21, 22]
    (tmp_path / "p.star").write_text(star_of(30))
    sources = read_sources([tmp_path / "p.star"], found.assignment)
    write_particles(found, sources, tmp_path / "out", rest=False)
    text = (tmp_path / "out/with_2_without_5.star").read_text()
    assert text.splitlines()[4:] == [f"{n:06d}@s.mrcs" for n in (5, 22, 23)]


def test_particle_files_of_another_length_are_refused_with_the_remedy(tmp_path):
    found = chosen_of(tmp_path, Selection((2,)))
    for count in (9, 11):
        (tmp_path / "p.star").write_text(star_of(count))
        with pytest.raises(
            SirenError,
            match=rf"p\.star has {count} particles, but labels\.pkl has 10"
            r".*\(\"indices ind\.pkl\"\)",
        ):
            read_sources([tmp_path / "p.star"], found.assignment)
    (tmp_path / "ind.pkl").write_bytes(pickle.dumps(np.arange(5, 15)))
    filtered = chosen_of(tmp_path, Selection((2,)), indices=tmp_path / "ind.pkl")
    (tmp_path / "p.star").write_text(star_of(14))
    with pytest.raises(SirenError, match=r"ind\.pkl needs row 15"):
        read_sources([tmp_path / "p.star"], filtered.assignment)


def test_tilt_images_go_with_their_particle(tmp_path):
    labels = np.array([1, 0, 4])
    found = chosen_of(tmp_path, Selection((2,)), labels)
    (tmp_path / "p.star").write_text(TILTS)
    sources = read_sources([tmp_path / "p.star"], found.assignment)
    assert sources.per_particle and "5 rows, the tilt images of 3 particles" in sources.words
    written = write_particles(found, sources, tmp_path / "out")
    assert written.files["with_2.pkl"] == 2 and written.files["with_2.star"] == 4
    kept = (tmp_path / "out/with_2.star").read_text()
    assert [line[:1] for line in kept.splitlines()[7:]] == ["1", "2", "3", "4"]
    # where a filter leaves the number of particles open, it is asked for
    (tmp_path / "ind.pkl").write_bytes(pickle.dumps(np.arange(3)))
    filtered = chosen_of(tmp_path, Selection((2,)), labels, indices=tmp_path / "ind.pkl")
    with pytest.raises(SirenError, match='"tilts false" or "tilts true"'):
        read_sources([tmp_path / "p.star"], filtered.assignment)
    assert read_sources([tmp_path / "p.star"], filtered.assignment, True).per_particle
    assert not read_sources([tmp_path / "p.star"], filtered.assignment, False).per_particle


def test_cryosparc_files_and_their_passthrough_hold_the_same_particles(tmp_path):
    one = cs_particles(10)
    other = np.zeros(10, [("uid", "<u8"), ("location/x", "<f4")])
    other["uid"], other["location/x"] = one["uid"][::-1], np.arange(10)
    paths = [save(tmp_path / "a.cs", one), save(tmp_path / "b.cs", other)]
    found = chosen_of(tmp_path, Selection((2,)))
    write_particles(found, read_sources(paths, found.assignment), tmp_path / "out")
    kept = np.load(tmp_path / "out/with_2.cs", allow_pickle=False)
    passed = np.load(tmp_path / "out/with_2_passthrough.cs", allow_pickle=False)
    assert np.array_equal(kept, one[[0, 1, 5, 6, 7]])
    assert np.array_equal(passed["uid"], kept["uid"])
    assert passed["location/x"].tolist() == [9, 8, 4, 3, 2]
    text = (tmp_path / "out/with_2.csg").read_text()
    assert "'>with_2.cs'" in text and "'>with_2_passthrough.cs'" in text and "num_items: 5" in text


def test_nothing_is_replaced_unasked_and_nothing_that_is_read_is_written(tmp_path):
    found = chosen_of(tmp_path, Selection((2,)))
    out = tmp_path / "out"
    write_particles(found, Sources(), out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    (out / "with_2.pkl").write_bytes(b"mine")
    with pytest.raises(SirenError, match=r'with_2\.pkl.* would be replaced: .* "replace true"'):
        write_particles(found, Sources(), out)
    assert (out / "with_2.pkl").read_bytes() == b"mine"
    write_particles(found, Sources(), out, replace=True)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    with pytest.raises(SirenError, match=r"labels\.pkl is read and cannot be written"):
        write_particles(found, Sources(), tmp_path, name="labels", replace=True)


def test_a_file_that_fails_leaves_none_behind(tmp_path):
    found = chosen_of(tmp_path, Selection((2,)))
    (tmp_path / "p.star").write_text(star_of(10))
    sources = read_sources([tmp_path / "p.star"], found.assignment)
    (tmp_path / "p.star").write_text(star_of(11))
    with pytest.raises(SirenError, match="changed while it was read"):
        write_particles(found, sources, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_choice_without_blocks_volumes_or_particles_is_refused(tmp_path):
    with pytest.raises(SirenError, match="Name blocks"):
        chosen_of(tmp_path, Selection())
    with pytest.raises(SirenError, match="no block 9"):
        chosen_of(tmp_path, Selection((9,)))
    with pytest.raises(SirenError, match="No particle belongs to the 1 volumes with 2 without 5"):
        chosen_of(tmp_path, Selection((2,), (5,)), np.where(LABELS == 1, 0, LABELS))


def test_cryodrgn_filters_its_own_files_by_the_indices(tmp_path):
    """Its reader of indices and its star reader, on what was written."""
    utils = pytest.importorskip("cryodrgn.utils")
    starfile = pytest.importorskip("cryodrgn.starfile")
    found = chosen_of(tmp_path, Selection((2,), (5,)))
    (tmp_path / "p.star").write_text(star_of(10))
    sources = read_sources([tmp_path / "p.star"], found.assignment)
    write_particles(found, sources, tmp_path / "out")
    indices = utils.load_pkl(str(tmp_path / "out/with_2_without_5.pkl"))
    table = starfile.parse_star(str(tmp_path / "p.star"))[0]
    kept = starfile.parse_star(str(tmp_path / "out/with_2_without_5.star"))[0]
    assert table.loc[indices].reset_index(drop=True).equals(kept)


def test_two_runs_write_the_same_bytes(tmp_path):
    found = chosen_of(tmp_path, Selection((2,)))
    for name in ("one", "two"):
        write_particles(found, Sources(), tmp_path / name)
    for path in Path(tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_cryodrgn_selects_the_same_particles_of_its_own_clusters(tmp_path):
    """Its "select_clusters" with a filtered training, on what its "analyze" wrote."""
    select = pytest.importorskip("cryodrgn.commands_utils.select_clusters")
    labels = Path(__file__).parent / "data/cryodrgn/analyze.9/kmeans6/labels.pkl"
    parent = np.sort(np.random.default_rng(1).permutation(500)[:120])
    (tmp_path / "parent.pkl").write_bytes(pickle.dumps(parent))
    names = tuple(f"vol_{n:03d}.mrc" for n in range(1, 7))
    share = np.array([[0, 1, 0, 1, 1, 0]], np.float32)
    states = States(names, np.ones(6), (1,), np.array([9]), share)
    found = choose_particles(
        states, Selection((1,)), Files(labels=labels, indices=tmp_path / "parent.pkl")
    )
    write_particles(found, Sources(), tmp_path)
    parser = argparse.ArgumentParser()
    select.add_args(parser)
    asked = f"{labels} --sel 2 4 5 -o {tmp_path}/own.pkl --parent-ind {tmp_path}/parent.pkl"
    select.main(parser.parse_args([*asked.split(), "--N-orig", "500"]))
    own = pickle.loads((tmp_path / "own.pkl").read_bytes())
    assert pickle.loads((tmp_path / "with_1.pkl").read_bytes()).tolist() == sorted(own.tolist())
