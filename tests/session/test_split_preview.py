"""The preview of a split: the pieces and colors that the command then gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.parameters import SplitParameters
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session.split_preview import SplitPreview
from chimerax.siren.session.surfaces import BlockMap, open_blocks

GRID = Grid((12, 12, 40), (2.0, 2.0, 2.0), (1.0, 2.0, 3.0))


@pytest.fixture
def block(session: Any, run: Any) -> BlockMap:
    """A block of three cubes along x, apart by 2 and by 4 voxels, beside another block."""
    session.undo.clear()
    mask = np.zeros((2, *GRID.shape), bool)
    for start, size in ((2, 6), (9, 5), (17, 4)):
        mask[0, 3:8, 3:8, start : start + size] = True
    mask[1, 3:6, 3:6, 30:36] = True
    group = open_blocks(
        session,
        BlockSet(GRID, {1: np.flatnonzero(mask[0]), 4: np.flatnonzero(mask[1])}),
        Path("/j/00_sketch"),
    )
    run("view")
    return group.child_models()[0]


def shown(block: BlockMap) -> dict[tuple[int, ...], tuple[float, float]]:
    """By color of a vertex: the least and largest x, in voxels, where it is seen."""
    surface = block.surfaces[0]
    x = (surface.vertices[:, 0] - 1) / 2
    colors = [tuple(c[:3].tolist()) for c in surface.vertex_colors]
    return {
        c: (x[[k == c for k in colors]].min(), x[[k == c for k in colors]].max())
        for c in set(colors)
    }


@pytest.mark.parametrize(("gap", "sizes"), [(1.5, [150, 125, 100]), (2.0, [275, 100]), (5, [375])])
def test_the_pieces_are_shown_where_they_are_in_the_colors_that_the_command_gives(
    session, run, block, gap, sizes
):
    preview = SplitPreview(block)
    found = preview.show(SplitParameters(gap=gap))
    assert [n for n, _ in found] == sizes
    before = shown(block)
    preview.end()
    if len(sizes) == 1:
        assert len(before) == 1
        return
    run(f"siren block split #1.1 gap {gap}")
    after = {
        m.siren_block: (
            len(m.voxels),
            tuple(m.surfaces[0].color[:3].tolist()),
            np.unravel_index(m.voxels, GRID.shape)[2],
        )
        for m in session.models.list(type=BlockMap)
        if m.siren_block != 4
    }
    assert [n for n, _, _ in after.values()] == sizes
    assert set(before) == {c for _, c, _ in after.values()}
    for _, color, x in after.values():
        assert before[color] == pytest.approx((x.min(), x.max()), abs=1)


def test_nothing_else_changes_and_the_colors_before_come_back(session, run, block):
    block.surfaces[0].vertex_colors = np.full((len(block.surfaces[0].vertices), 4), 77, np.uint8)
    undo = len(session.undo.undo_stack)
    preview = SplitPreview(block)
    for gap in (1, 3, 2):
        preview.show(SplitParameters(gap=gap))
    assert len(session.undo.undo_stack) == undo and len(session.models.list(type=BlockMap)) == 2
    preview.end()
    assert (block.surfaces[0].vertex_colors == 77).all()


def test_a_block_that_is_edited_or_closed_meanwhile_ends_it_quietly(session, run, block):
    preview = SplitPreview(block)
    preview.show(SplitParameters())
    assert preview.holds
    run("siren block shrink #1.1 by 1")
    assert not preview.holds
    preview.end()
    assert block.surfaces[0].vertex_colors is None
    preview = SplitPreview(block)
    preview.show(SplitParameters())
    run("close #1")
    assert not preview.holds
    preview.end()
