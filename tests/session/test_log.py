"""The table of blocks in the log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chimerax.core.logger import HtmlLog

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.verdicts import BlockEvidence
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session.log import log_blocks
from chimerax.siren.session.surfaces import open_blocks

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
    assert [row.split("<td>")[2][0] for row in rows] == ["2", "1", "3"]
    assert ["color:gray" in row for row in rows] == [False, True, True]
    assert blocks.evidence[1].verdict in rows[1] and "<td>solid</td>" in rows[0]
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
