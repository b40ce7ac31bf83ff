"""Particles of cryoSPARC: rows are kept as they are, and passthrough files by their uid."""

from __future__ import annotations

import io

import numpy as np
import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.particles.cryosparc import (
    group_text,
    read_cs,
    rows_of,
    write_cs_rows,
)
from particle_files import KIND, particles, save


def test_all_rows_are_the_same_bytes_and_some_rows_are_as_numpy_saves_them(tmp_path):
    all_of = particles()
    found = read_cs(save(tmp_path / "a.cs", all_of))
    for rows in (np.arange(20), [3], [0, 5, 19], [7, 2]):
        write_cs_rows(found, rows, tmp_path / "b.cs")
        expected = io.BytesIO()
        np.save(expected, all_of[np.asarray(rows)])
        assert (tmp_path / "b.cs").read_bytes() == expected.getvalue()


def test_a_passthrough_file_in_another_order_gives_the_same_particles(tmp_path):
    one = particles()
    other = np.zeros(25, [("uid", "<u8"), ("location/center_x_frac", "<f4")])
    order = np.random.default_rng(4).permutation(20)
    other["uid"][:20] = one["uid"][order]
    other["uid"][20:] = np.arange(5)  # of particles that are not in the first file
    rows = rows_of(read_cs(save(tmp_path / "p.cs", other)), one["uid"][[4, 2, 9]])
    assert np.array_equal(other["uid"][rows], one["uid"][[4, 2, 9]])
    missing = read_cs(save(tmp_path / "q.cs", other[5:]))
    with pytest.raises(SirenError, match=r"q\.cs lacks 5 of the 20 particles"):
        rows_of(missing, one["uid"])
    twice = read_cs(save(tmp_path / "r.cs", other[[1, 1, 2]]))
    with pytest.raises(SirenError, match=r"r\.cs has a uid twice"):
        rows_of(twice, one["uid"][:1])


def test_the_group_names_each_slot_with_its_file_and_count(tmp_path):
    one = read_cs(save(tmp_path / "a.cs", particles()))
    other = np.zeros(2, [("uid", "<u8"), ("location/x", "<f4"), ("blob/path", "S4")])
    two = read_cs(save(tmp_path / "b.cs", other))
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load(group_text({"a.cs": one, "b.cs": two}, 7, "SIREn: with 2 'x': y"))
    assert found["group"] == {
        "description": "SIREn: with 2 'x': y",
        "name": "particles",
        "title": "SIREn: with 2 'x': y",
        "type": "particle",
    }
    assert {s: (v["metafile"], v["num_items"], v["type"]) for s, v in found["results"].items()} == {
        "alignments3D": (">a.cs", 7, "particle.alignments3D"),
        "blob": (">a.cs", 7, "particle.blob"),
        "ctf": (">a.cs", 7, "particle.ctf"),
        "location": (">b.cs", 7, "particle.location"),
    }


def test_what_is_no_file_of_particles_is_refused_in_one_sentence(tmp_path):
    good = save(tmp_path / "a.cs", particles()).read_bytes()
    objects = np.array([None, {}], object)
    named = np.zeros(2, [("uid", "<u8"), ("x", "O")])
    bad = {
        "is cut off": good[:-1],
        "is no array": good[:40],
        "is no array ": b"",
        "is a stream of cryosparc-tools": b"\x94CSDAT\x00\x00",
        "holds Python objects": objects,
        "holds Python objects ": named,
        "has no particles of cryoSPARC": np.arange(5),
        "has no particles of cryoSPARC ": np.zeros(0, KIND),
        "has a uid that is no number": np.zeros(2, [("uid", "S8")]),
        "is no array  ": b"\x93NUMPY\x01\x00\x50\xc3" + b"(" * 50_000,
        "is cut off ": good.replace(b"(20,)", b"(9e9)".replace(b"9e9", b"99,")),
    }
    for reason, content in bad.items():
        path = tmp_path / "b.cs"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            save(path, content)
        with pytest.raises(SirenError, match=rf"b\.cs {reason.strip()}"):
            read_cs(path)


def test_cryosparc_tools_reads_what_was_kept(tmp_path):
    dataset = pytest.importorskip("cryosparc.dataset")
    write_cs_rows(read_cs(save(tmp_path / "a.cs", particles())), [3, 8], tmp_path / "b.cs")
    found = dataset.Dataset.load(tmp_path / "b.cs")
    assert found["uid"].tolist() == particles()["uid"][[3, 8]].tolist()
    assert [str(p) for p in found["blob/path"]] == ["J1/extract/a.mrc"] * 2
    assert np.array_equal(found["alignments3D/pose"], particles()["alignments3D/pose"][[3, 8]])
