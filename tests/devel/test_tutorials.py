"""The tutorials of the manual: their commands run as they stand, and give what the page says."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from chimerax.core.commands import run as run_command
from chimerax.core.logger import StringPlainTextLog
from PIL import Image

import tutorials
from chimerax.siren import cmd

ROOT = Path(__file__).parents[2]
PAGES = sorted(tutorials.TUTORIALS.glob("*.html"))
REAL = ROOT.parent / "shared/data/real_ensemble"
LARGEST = 150_000  # bytes of a picture: the bundle is downloaded as a whole


def text_of(name: str) -> str:
    return (tutorials.TUTORIALS / f"{name}.html").read_text(encoding="utf-8")


def typed(session: Any, page: str) -> str:
    """What the log has after all commands of a page, with blanks between the cells of tables."""
    with StringPlainTextLog(session.logger) as log:
        for command in tutorials.commands_of(page):
            run_command(session, command)
            session.update_loop.draw_new_frame()
        text = log.getvalue()
    return " ".join(re.sub(r"<[^>]+>", " ", text).replace("|", " ").split())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: Any) -> Any:
    monkeypatch.setenv("HOME", str(tmp_path))
    background = session.main_view.background_color
    yield tmp_path
    session.main_view.background_color = background


@pytest.mark.slow
def test_the_first_tutorial_runs_as_written_and_finds_what_it_says(session, home):
    page = text_of(tutorials.SELF_CONTAINED)
    log = typed(session, page)
    said = tutorials.found_of(page)
    assert len(said) == 7
    for words in said:
        assert words in log, words
    for name in tutorials.pictures_of(page):
        assert len(list(home.rglob(name))) == 1, f"no command of the page writes {name}"
    assert (home / "siren-tutorial/report.html").stat().st_size < 5e6
    assert (home / "siren-tutorial/tutorial.cxs").is_file()
    assert len(list((home / "siren-tutorial/masks").glob("*.mrc"))) == 1


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/real_ensemble")
def test_the_second_tutorial_runs_on_the_ten_volumes_and_finds_what_it_says(session, home):
    (home / "siren-50S/ten").mkdir(parents=True)
    for path in REAL.glob("vol_*.mrc"):
        shutil.copy(path, home / "siren-50S/ten")
    page = text_of("real_50S")
    log = typed(session, page)
    for words in tutorials.found_of(page):
        assert words in log, words
    low, high, error = re.search(
        r"levels are from ([\d.]+) to\s+([\d.]+), with an expected error of (\d+) %", page
    ).groups()
    found = re.search(r"contour levels ([\d.]+) to ([\d.]+),.*?expected error (\d+)%", log).groups()
    assert [f"{float(v):.2f}" for v in found[:2]] == [low, high] and found[2] == error


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_commands_of_a_tutorial_exist_and_what_was_not_run_says_so(page):
    text = page.read_text(encoding="utf-8")
    lines = re.findall(r"^siren [a-z ]+", text, re.M)
    assert len(lines) > 3
    for line in lines:
        assert any(line.strip().startswith(name) for name in cmd.COMMANDS), line
    assert ("not-run" in text) == ("<b>not</b> been run" in " ".join(text.split()))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_pictures_of_a_tutorial_are_there_described_and_small(page):
    text = page.read_text(encoding="utf-8")
    found = tutorials.pictures_of(text)
    assert len(found) == text.count("<img ") >= 1
    for name, alt in found.items():
        path = page.parent / name
        assert path.stat().st_size < LARGEST and len(alt) > 20
        assert 300 < Image.open(path).width <= tutorials.MOST_PIXELS
    stored = {p.name for p in page.parent.iterdir() if p.suffix != ".html"}
    assert stored == {n for p in PAGES for n in tutorials.pictures_of(p.read_text("utf-8"))}
