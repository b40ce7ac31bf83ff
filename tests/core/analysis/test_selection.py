"""Volumes with some blocks and without others."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from chimerax.siren.core.analysis.block_occupancy import States
from chimerax.siren.core.analysis.selection import Selection
from chimerax.siren.core.common.errors import SirenError


def states() -> States:
    """Every combination of three blocks, numbered 2, 5 and 9, once."""
    share = np.array(list(product((0.0, 1.0), repeat=3)), np.float32).T
    names = tuple(f"vol_{k}.mrc" for k in range(8))
    return States(names, np.ones(8), (2, 5, 9), np.array([10, 20, 30]), share)


def test_volumes_with_and_without_blocks_are_those_that_a_plain_loop_finds():
    found = states()
    for asked in product((None, True, False), repeat=3):
        having = tuple(n for n, a in zip((2, 5, 9), asked, strict=True) if a is True)
        lacking = tuple(n for n, a in zip((2, 5, 9), asked, strict=True) if a is False)
        expected = [
            v
            for v, combination in enumerate(product((False, True), repeat=3))
            if all(a is None or a == c for a, c in zip(asked, combination, strict=True))
        ]
        assert Selection(having, lacking).volumes(found).tolist() == expected


def test_what_is_asked_reads_as_the_command_does():
    assert Selection((3, 2, 3), (5,)).words == "with 3,2 without 5"
    assert Selection().words == "all volumes"


def test_a_block_asked_with_and_without_is_refused():
    with pytest.raises(SirenError, match="Block 5 is asked for both"):
        Selection((2, 5), (5,))


def test_a_block_that_is_not_there_is_named():
    with pytest.raises(SirenError, match="no block 7"):
        Selection((7,)).volumes(states())


def test_no_volume_that_fits_is_said():
    found = states()
    one = States(found.names[:1], found.levels[:1], found.numbers, found.sizes, found.share[:, :1])
    with pytest.raises(SirenError, match="None of the 1 volumes is with 2 "):
        Selection((2,)).volumes(one)


@pytest.mark.parametrize(
    ("text", "having", "lacking", "rest"),
    [
        ("with 2,3 without 5", (2, 3), (5,), ""),
        ("has 3, lacks 5", (3,), (5,), ""),
        ("flagged with 2 , 3 vol_1", (2, 3), (), "flagged vol_1"),
        ("WITH 2 with 4", (2, 4), (), ""),
        ("with", (), (), "with"),
        ("made_with 3", (), (), "made_with 3"),
        ("with 12-4", (), (), "with 12-4"),
        ("without 7.mrc", (), (), "without 7.mrc"),
        ("", (), (), ""),
    ],
)
def test_what_is_asked_of_blocks_is_taken_out_of_a_text(text, having, lacking, rest):
    assert Selection.parse(text) == (Selection(having, lacking), rest)


def test_what_a_selection_says_is_read_as_that_selection():
    for asked in (Selection((1, 12), (3,)), Selection((4,)), Selection((), (2, 5))):
        assert Selection.parse(asked.words) == (asked, "")
