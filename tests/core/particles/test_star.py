"""Rows of star files are left out and no other byte changes; other programs' readers take them."""

from __future__ import annotations

import numpy as np
import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.particles.star import read_star, write_star_rows
from particle_files import star_text

RELION_30, RELION_31, RELION_5_TOMO, TILTS = (
    star_text(name) for name in ("relion30", "relion31", "relion5_tomo", "tilts")
)
FILES = {
    "RELION 3.0": (RELION_30, 4),
    "RELION 3.1 to 5": (RELION_31, 3),
    "RELION 5 tomo": (RELION_5_TOMO, 3),
    "tilt images": (TILTS, 5),
    "Windows": (RELION_31.replace("\n", "\r\n"), 3),
    "no line end": (TILTS.rstrip("\n"), 5),
}


@pytest.fixture
def written(tmp_path):
    def write(text, rows):
        (tmp_path / "a.star").write_bytes(text.encode())
        star = read_star(tmp_path / "a.star")
        write_star_rows(star, rows, tmp_path / "b.star")
        return star, (tmp_path / "b.star").read_bytes().decode()

    return write


@pytest.mark.parametrize(("text", "count"), FILES.values(), ids=FILES)
def test_all_rows_are_the_same_file_and_some_rows_are_it_without_the_lines_of_the_others(
    written, text, count
):
    star, same = written(text, range(count))
    assert len(star) == count and same == text
    for kept in ([0], [count - 1], list(range(0, count, 2))):
        lines = text.splitlines(keepends=True)
        first = next(i for i, line in enumerate(lines) if "1@" in line or "TS_01/1" in line)
        expected = [
            line
            for i, line in enumerate(lines)
            if not first <= i < first + count or i - first in kept
        ]
        assert written(text, kept)[1] == "".join(expected)


def test_the_mark_that_windows_editors_put_before_a_text_is_kept(tmp_path):
    text = "data_particles\n\nloop_\n_rlnImageName\n1@a.mrcs\n2@a.mrcs\n3@a.mrcs\n"
    (tmp_path / "a.star").write_text(text, encoding="utf-8-sig")
    write_star_rows(read_star(tmp_path / "a.star"), [0, 2], tmp_path / "b.star")
    expected = text.replace("2@a.mrcs\n", "").encode("utf-8-sig")
    assert (tmp_path / "b.star").read_bytes() == expected


def test_rows_after_which_more_follows_leave_it_in_place(written):
    more = TILTS + "\ndata_more\n\n_rlnX 5\n"
    assert written(more, [4])[1].endswith("5@a.mrcs 1.0 p_9\n\ndata_more\n\n_rlnX 5\n")


def test_groups_of_tilt_images_are_counted_in_the_order_of_their_first_image(written):
    star, _ = written(TILTS, [0])
    assert star.groups == 3 and star.group.tolist() == [0, 0, 1, 1, 2]
    assert star.looks_like_tilts
    assert not written(RELION_31, [0])[0].looks_like_tilts


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no table of particles"),
        ("data_optics\n\nloop_\n_a #1\n1\n", "no table of particles"),
        ("x y\n", "line 1 is before any data block"),
        (TILTS.replace("2@a.mrcs 0.9 p_7", "2@a.mrcs 0.9"), "line 9 has 2 cells for 3 columns"),
        (TILTS.replace("2@a.mrcs", "\n2@a.mrcs"), "line 10 is a row after an empty line"),
        (TILTS.replace("2@a.mrcs", "\0"), "line 9 is no text"),
        ("data_a\nloop_\n1 2\n", "line 3 is a row of a table without columns"),
        ("data_a\nloop_\n_rlnImageName\n1 2\n", "line 4 has 2 cells for 1 columns"),
        ("data_a\nloop_\n_a\nloop_\n", "line 4 begins a second table"),
    ],
)
def test_what_is_no_particle_table_is_refused_with_the_line(tmp_path, text, reason):
    (tmp_path / "a.star").write_text(text)
    with pytest.raises(SirenError, match=reason) as caught:
        read_star(tmp_path / "a.star")
    assert str(caught.value).startswith("a.star ")


def test_a_file_that_changed_since_it_was_read_is_not_taken_apart(tmp_path):
    (tmp_path / "a.star").write_text(TILTS)
    star = read_star(tmp_path / "a.star")
    (tmp_path / "a.star").write_text(TILTS.replace("1.0 p_7", "1 p_7"))
    with pytest.raises(SirenError, match="changed while it was read"):
        write_star_rows(star, [0], tmp_path / "b.star")


@pytest.mark.parametrize(("text", "count"), FILES.values(), ids=FILES)
def test_starfile_reads_the_rows_that_were_kept(tmp_path, written, text, count):
    starfile = pytest.importorskip("starfile")
    written(text, [0, count - 1])
    before, after = (
        starfile.read(tmp_path / name, always_dict=True) for name in ("a.star", "b.star")
    )
    assert list(before) == list(after)
    for block, table in before.items():
        if block in ("optics", "general"):
            assert str(after[block]) == str(table)
        elif len(table) == count:
            assert (
                after[block]
                .astype(str)
                .equals(table.iloc[[0, count - 1]].reset_index(drop=True).astype(str))
            )


def test_many_rows_are_kept_as_a_filter_of_lines_keeps_them(written):
    chance = np.random.default_rng(3)
    rows = [f"{n:06d}@s.mrcs {chance.normal():.6f}\n" for n in range(50_000)]
    head = "data_particles\n\nloop_\n_rlnImageName #1\n_rlnX #2\n"
    kept = np.flatnonzero(chance.random(len(rows)) < 0.3)
    assert written(head + "".join(rows), kept)[1] == head + "".join(rows[k] for k in kept)
