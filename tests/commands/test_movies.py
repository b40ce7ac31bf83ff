"""siren movie: series with own levels, morphs, pictures, films, and what cannot be recorded."""

from __future__ import annotations

import csv
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.commands import run as run_command
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog
from chimerax.label.label2d import all_labels
from chimerax.map import Volume
from PIL import Image

from chimerax.siren.session import series
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


def has(planted: Planted, name: str, block: str) -> bool:
    return bool(planted.present[block][int(name.partition(":")[0][4:-4]) - 1])


def test_a_series_goes_from_volumes_without_the_block_to_those_with_it(session, run, out, planted):
    run(f"siren movie '{out}' block 1 count 8")
    series = session.models.list()[0]
    there = [has(planted, m.name, "right") for m in series.maps]
    assert there == sorted(there) and not there[0] and there[-1]
    assert len({m.name for m in series.maps}) == 8
    assert [m.display for m in series.maps] == [True] + [False] * 7
    assert all([s.level for s in m.surfaces] == [LEVEL] for m in series.maps)


def test_the_core_has_no_color_of_a_block_beside_it_that_is_absent(session, run, out, planted):
    run(f"siren movie '{out}' path 2,1 count 3")
    maps = session.models.list()[0].maps
    colored = []
    for m in maps:
        surface = m.surfaces[0]
        assert surface.vertex_colors is not None
        gray = (np.ptp(surface.vertex_colors[:, :3].astype(int), axis=1) == 0).mean()
        colored.append(1 - gray)
    assert not has(planted, maps[0].name, "left") and not has(planted, maps[0].name, "right")
    assert colored[0] < 0.05 and min(colored[1:]) > 0.5


def test_the_picture_says_which_map_of_the_series_is_shown(session, run, out):
    run(f"siren movie '{out}' block 1 count 4")
    series = session.models.list()[0]
    for n in (0, 2):
        run("vseries play #1 jumpTo " + str(n))
        for m in series.maps:
            m.display = m is series.maps[n]
        session.update_loop.draw_new_frame()
        assert [x.text for x in all_labels(session)] == [series.maps[n].name]
    run("close #1")
    assert all_labels(session) == []


def test_blocks_that_would_cover_the_series_are_hidden(session, run, out):
    run(f"siren open '{out}'")
    run("siren movie #1 count 3")
    assert not session.models.list()[0].display


def test_a_path_shows_one_volume_a_state(session, run, out, planted):
    with StringPlainTextLog(session.logger) as log:
        run(f"siren movie '{out}' path 2 open false")
    assert "along block 2:" in log.getvalue()
    run(f"siren movie '{out}' path 2,1")
    names = [m.name for m in session.models.list()[0].maps]
    assert [(has(planted, n, "left"), has(planted, n, "right")) for n in names] == [
        (False, False),
        (True, False),
        (True, True),
    ]


def test_a_morph_is_on_the_common_scale(session, run, out):
    run(f"siren movie '{out}' path 1,2 morph true frames 5")
    maps = [m for m in session.models.list(type=Volume) if m.name != "morph"]
    assert [[s.level for s in m.surfaces] for m in maps] == [[1.0]] * 3
    assert any(m.name == "morph" for m in session.models.list(type=Volume))
    assert float(np.median(maps[0].full_matrix())) == pytest.approx(0, abs=0.05)


def test_pictures_are_recorded_in_order_and_differ_as_the_volumes_do(
    session, run, out, planted, tmp_path
):
    run(f"siren movie '{out}' path 1 frames 4 size 160,120 framesDir '{tmp_path}/f' label false")
    rows = list(csv.DictReader((tmp_path / "f/frames.csv").open()))
    pictures = sorted(p.name for p in (tmp_path / "f").glob("*.png"))
    assert [r["frame"] for r in rows] == pictures and len(pictures) == 5
    assert [float(r["part"]) for r in rows] == [1, 0.25, 0.5, 0.75, 1]
    seen = []
    for name in pictures:
        image = Image.open(tmp_path / "f" / name)
        assert image.size == (160, 120)
        pixels = np.asarray(image.convert("RGB"), int)
        seen.append(int((np.abs(pixels - pixels[0, 0]).max(axis=-1) > 30).sum()))
    assert seen[-1] > 1.1 * seen[0]  # the block is there in the last
    assert not session.models.list() and getattr(session, "movie", None) is None


def test_what_was_shown_is_shown_again_after_the_recording(session, run, out, tmp_path):
    run(f"siren open '{out}'")
    run(f"siren movie #1 count 2 frames 1 size 80,60 framesDir '{tmp_path}/f'")
    assert session.models.list()[0].display and all_labels(session) == []


def test_the_names_of_the_volumes_are_in_the_pictures(run, out, tmp_path):
    for word in ("true", "false"):
        folder = tmp_path / word
        command = f"siren movie '{out}' path 1 frames 1 size 300,200 framesDir '{folder}'"
        run(f"{command} label {word} color false")
    bottom = [
        np.asarray(Image.open(tmp_path / w / "frame_00000.png").convert("L"), int)[-40:]
        for w in ("true", "false")
    ]
    assert (np.abs(bottom[0] - bottom[1]) > 60).sum() > 50


def fake_ffmpeg(folder: Path, script: str) -> None:
    folder.mkdir()
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for ffmpeg")
def test_a_film_is_made_by_chimerax_of_all_pictures(session, run, out, tmp_path, monkeypatch):
    # the last argument is the film, that after -i the pattern of the pictures
    fake_ffmpeg(
        tmp_path / "bin",
        'for a; do [ "$p" = -i ] && i=$a; p=$a; done; ls "$(dirname "$i")" > "$p"',
    )
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)
    said = StringPlainTextLog(session.logger)  # below what keeps ChimeraX's own words back
    statuses: list[str] = []
    monkeypatch.setattr(
        StringPlainTextLog, "status", lambda self, msg, *_: bool(statuses.append(msg))
    )
    with said:
        run(f"siren movie '{out}' path 1 frames 3 size 80,60 saveFile '{tmp_path}/m.mp4'")
    text = said.getvalue()
    assert f"Written to {tmp_path}/m.mp4" in text
    assert "siren-movie-" not in text + "".join(statuses) and ".siren" not in "".join(statuses)
    assert "Movie saved" not in text
    listed = (tmp_path / "m.mp4").read_text().split()
    assert [n for n in listed if n.endswith(".png")] == [f"frame_{k:05d}.png" for k in range(4)]
    assert not list(tmp_path.glob(".siren*")) and getattr(session, "movie", None) is None


@pytest.mark.skipif(os.name == "nt", reason="a shell script stands in for ffmpeg")
def test_a_film_that_fails_leaves_nothing_and_an_earlier_one_as_it_was(
    session, run, out, tmp_path, monkeypatch
):
    fake_ffmpeg(tmp_path / "bin", "exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)
    (tmp_path / "m.mp4").write_text("earlier")
    with pytest.raises(UserError, match=r"ffmpeg did not write"):
        run(f"siren movie '{out}' path 1 frames 1 size 80,60 saveFile '{tmp_path}/m.mp4'")
    assert (tmp_path / "m.mp4").read_text() == "earlier"
    assert not list(tmp_path.glob(".siren*")) and getattr(session, "movie", None) is None


def test_a_film_for_which_there_is_no_room_says_so(run, out, tmp_path, monkeypatch):
    fake_ffmpeg(tmp_path / "bin", "exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(series.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"did not write the film \(no space left on device\)"):
        run(f"siren movie '{out}' path 1 frames 1 size 80,60 saveFile '{tmp_path}/m.mp4'")


def test_a_picture_that_is_not_written_whole_is_no_picture(run, out, tmp_path, monkeypatch):
    plain = series.run

    def cut(session: Any, command: str, **keywords: Any) -> Any:
        result = plain(session, command, **keywords)
        for picture in tmp_path.rglob("frame_00001.png"):
            picture.write_bytes(picture.read_bytes()[:-20])  # the disk is full
        return result

    monkeypatch.setattr(series, "run", cut)
    message = rf"^frame_00001\.png could not be written to {tmp_path}.*: make room"
    with pytest.raises(UserError, match=message):
        run(f"siren movie '{out}' path 1 frames 3 size 80,60 framesDir '{tmp_path}/f'")
    assert not list(tmp_path.iterdir())


def test_without_graphics_it_says_so_in_one_sentence(session, run, out, tmp_path, monkeypatch):
    monkeypatch.setattr(session.main_view, "_render", None)
    monkeypatch.setattr(type(session.main_view), "render", None, raising=False)
    with pytest.raises(UserError, match=r"^A movie needs graphics: start ChimeraX with windows"):
        run_command(session, f"siren movie '{out}' framesDir '{tmp_path}/f'")
    assert not (tmp_path / "f").exists()


def test_without_ffmpeg_it_names_the_remedy(run, out, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"ffmpeg.* is not on this computer: give framesDir"):
        run(f"siren movie '{out}' saveFile '{tmp_path}/m.mp4'")


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ("saveFile m.gif", "m.gif cannot be written: give saveFile a name that ends in .mp4"),
        ("saveFile m.mp4 framesDir f", "not both"),
        ("block 1 path 1", "give one of them"),
        ("path 1,1", "A block comes once"),
        ("block 9", "There is no block 9"),
    ],
)
def test_what_cannot_be_ordered_or_written_is_said(run, out, keywords, said):
    with pytest.raises(UserError, match=said):
        run(f"siren movie '{out}' {keywords}")


def test_pictures_replace_no_files_of_others(run, out, tmp_path):
    (tmp_path / "f").mkdir()
    (tmp_path / "f/mine.txt").write_text("x")
    with pytest.raises(UserError, match=r"holds files of others \(mine.txt\)"):
        run(f"siren movie '{out}' framesDir '{tmp_path}/f'")


def test_programs_get_the_volumes_in_order_and_once(session, out):
    found = run_command(session, f"siren movie '{out}' block 2 count 5", return_json=True)
    answer = json.loads(found.json_value)
    assert answer["order"] == "by block 2" and answer["model"] == "#1"
    assert [v["level"] for v in answer["volumes"]] == [LEVEL] * 5
    assert set(answer) == {"order", "volumes", "grid", "model", "files"}
