"""What is in the log: the table of blocks, and long paths."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chimerax.core.logger import HtmlLog

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.verdicts import BlockEvidence
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session import log
from chimerax.siren.session.log import link, log_blocks, log_lines, log_table
from chimerax.siren.session.surfaces import open_blocks
from chimerax.siren.session.words import breakable

GRID = Grid((12, 12, 12), (2.0, 2.0, 2.0))
SOLID = BlockEvidence(contrast=0.9, rise=2.0, solidity=1.0, exchange=0.0)


class Pages(HtmlLog):
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def log(self, level: int, msg: str, image: Any, is_html: bool) -> bool:
        self.written.append(msg)
        return True


@pytest.fixture
def pages(session: Any) -> Any:
    pages = Pages()
    session.logger.add_log(pages)
    yield pages
    session.logger.remove_log(pages)


def judged(contrasts: tuple[float, ...]) -> tuple[BlockSet, pd.DataFrame]:
    evidence = {n: replace(SOLID, contrast=c) for n, c in enumerate(contrasts, 1)}
    blocks = BlockSet(
        GRID, {n: np.arange(100 * n, 100 * n + 60) for n in evidence}, evidence=evidence
    )
    return blocks, blocks.table(np.full(GRID.size, 5), 10)


def test_doubtful_blocks_are_last_and_gray_and_a_link_shows_them(session: Any, pages: Any) -> None:
    blocks, table = judged((0.2, 0.9, 0.1))
    group = open_blocks(session, blocks, Path("nowhere"), table=table)
    log_blocks(session, table, group)
    rows = pages.written[0].split("<tr")[2:]
    reasons = [row for row in rows if "colspan" in row]  # below their blocks, in lines of their own
    assert [rows.index(row) for row in reasons] == [2, 4]
    rows = [row for row in rows if row not in reasons]
    assert [row.split("<td>")[2][0] for row in rows] == ["2", "1", "3"]
    assert ["color:gray" in row for row in rows] == [False, True, True]
    word, why = blocks.evidence[1].verdict.split(": ")
    assert f"<td>{word}</td>" in rows[1] and why in reasons[0] and "color:gray" in reasons[0]
    assert "<td>solid</td>" in rows[0]
    assert pages.written[1].startswith("2 doubtful blocks are hidden: ")
    assert 'href="cxcmd:show #1.1,3 models"' in pages.written[1]


def test_a_table_without_verdicts_is_logged_without_them(session: Any, pages: Any) -> None:
    _, table = judged((0.9,))
    log_blocks(session, table.drop(columns=["verdict", "stability"]), None)
    assert len(pages.written) == 1
    assert '<td align="right">60</td>' in pages.written[0]
    assert '<td></td><td style="white-space:nowrap"></td></tr>' in pages.written[0]


def test_all_blocks_doubtful_is_told_in_these_words(session: Any, pages: Any) -> None:
    blocks, table = judged((0.2, 0.1))
    log_blocks(session, table, open_blocks(session, blocks, Path("nowhere"), table=table))
    assert pages.written[-1].startswith("All 2 blocks are doubtful and hidden: ")


LONG = (
    "/home/someone/projects/2026_ribosome/train_vae/analyze.49/volumes/siren/02_expand",
    r"C:\Users\Some One\OneDrive - University\cryoEM\ribosome assembly\volumes\run.json",
    "/data/" + "a" * 90 + "/<b>&c",
    "Written to /data/an_unusually_long-name.of.a_folder-that-nobody.shortened/blocks.csv.",
)


@pytest.mark.parametrize("text", LONG)
def test_a_long_path_can_be_broken_and_is_otherwise_as_it_is(text: str) -> None:
    html = breakable(text)
    assert unescape(html.replace("<wbr/>", "")) == text
    pieces = [unescape(piece) for piece in re.split(r"<wbr/>|\s", html)]
    assert max(map(len, pieces)) <= 26  # about half of a docked log's line


def test_short_words_are_not_broken() -> None:
    assert breakable("8 blocks in /data/siren/00_sketch") == "8 blocks in /data/siren/00_sketch"


@pytest.mark.parametrize("text", LONG)
def test_long_paths_do_not_widen_the_log_of_a_window(
    session: Any, pages: Any, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(session.ui, "is_gui", True)
    log_lines(session, [text])
    session.logger.info(link(f"siren open {text}", text), is_html=True)
    log_table(session, ("file",), [(text,)])
    assert len(pages.written) == 3
    for page in pages.written:
        seen = re.sub(r"<(?!wbr)[^>]*>", " ", page)  # what is read, without tags and addresses
        assert max(len(unescape(w)) for w in re.split(r"<wbr/>|\s", seen)) <= 26


def test_every_table_is_in_small_letters(session: Any, pages: Any) -> None:
    """A docked log is 560 pixels wide: with ChimeraX's letters, seven columns are wider."""
    log_table(session, ("volume", "normalized error"), [("vol_1.mrc", "0.2")])
    assert pages.written[0].startswith('<table cellpadding="3" style="font-size:small"><tr>')
    sources = Path(log.__file__).parents[1]
    others = [p.name for p in sources.glob("*/*.py") if "<table" in p.read_text("utf-8")]
    assert others == ["log.py"]


def test_without_windows_a_path_is_one_word_in_the_log(session: Any, pages: Any) -> None:
    log_lines(session, [LONG[0]])
    assert [page.strip() for page in pages.written] == [LONG[0]]


def test_a_log_with_many_long_paths_is_saved_as_text_to_its_end() -> None:
    """With the parsers of ChimeraX's own ``log save``."""
    html2text = pytest.importorskip("html2text")
    html = pytest.importorskip("lxml.html")
    paths = [f"/data/cryosparc/projects/P{k}/J42/volumes/of/a/training" for k in range(300)]
    page = "".join(f"Written to {breakable(path)}.<br>" for path in paths)
    source = html.tostring(html.fromstring(page), encoding="unicode")
    reader = html2text.HTML2Text()
    reader.body_width = 0
    said = reader.handle(source)
    assert [line.split()[-1] for line in said.splitlines() if line.strip()] == [
        f"{path}." for path in paths
    ]
