"""The legend in the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.errors import UserError
from chimerax.label.label2d import all_labels

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session.surfaces import open_blocks

GRID = Grid((20, 20, 20), (2.0, 2.0, 2.0))


@pytest.fixture
def two(session: Any) -> Any:
    return opened(session, "00_sketch")


def opened(session: Any, folder: str) -> Any:
    blocks = {}
    for number, start in ((1, 2), (12, 11)):
        mask = np.zeros(GRID.shape, bool)
        mask[start : start + 6, 5:12, 5:12] = True
        blocks[number] = np.flatnonzero(mask)
    block_set = BlockSet(GRID, blocks, names={12: "stalk"})
    return open_blocks(session, block_set, Path("/j") / folder)


def texts(session: Any) -> list[str]:
    return [x.text for x in all_labels(session) if x.text.strip()]


def test_it_lists_the_blocks_that_are_seen_and_follows_them(session, run, two):
    run("siren block legend")
    assert texts(session) == ["1", "12 stalk"]
    run("hide #1.1 models")
    assert texts(session) == ["12 stalk"]
    run("siren block rename #1.12 neck ; color #1.12 #ff00ff target s")
    assert texts(session) == ["12 neck"]
    assert [tuple(x.background) for x in all_labels(session) if not x.text.strip()] == [
        (255, 0, 255, 255)
    ]
    run("hide #1 models")
    assert texts(session) == []
    run("show #1 models")
    assert texts(session) == ["1", "12 neck"]
    run("siren block legend false")
    assert all_labels(session) == []
    run("show #1 models")
    assert all_labels(session) == []


def test_blocks_of_several_groups_are_below_the_name_of_each(session, run, two):
    two.name = "SIREn blocks: a/siren/00_sketch"
    opened(session, "02_expand").name = "SIREn blocks: b/siren/02_expand"
    run("hide #2.1 models; siren block legend")
    assert texts(session) == ["a/siren/00_sketch", "1", "12 stalk", "b/siren/02_expand", "12 stalk"]
    lines = [x for x in all_labels(session) if x.text.strip()]
    assert sum(not x.text.strip() for x in all_labels(session)) == 3  # swatches, of blocks only
    heights = [x.ypos for x in lines]
    assert heights == sorted(heights, reverse=True) and len(set(heights)) == 5
    assert lines[0].xpos < lines[1].xpos
    run("hide #!1 models")
    assert texts(session) == ["12 stalk"]


def test_its_lines_are_inside_the_window_and_not_on_each_other(session, run, two):
    run("siren block legend")
    places = [(x.xpos, x.ypos) for x in all_labels(session)]
    assert len(set(places)) == 4 and all(0 < v < 1 for place in places for v in place)
    swatches, words = places[::2], places[1::2]
    assert all(s[1] == w[1] and s[0] < w[0] for s, w in zip(swatches, words, strict=True))
    assert swatches[0][1] > swatches[1][1]


def test_other_labels_stay_and_closing_everything_ends_it(session, run, two):
    run('2dlabels text "my own"')
    run("siren block legend")
    run("siren block legend false")
    assert texts(session) == ["my own"]
    run("siren block legend")
    run("close")
    open_blocks(session, BlockSet(GRID, {3: np.arange(50)}), Path("/j/00_sketch"))
    run("view")
    assert all_labels(session) == []


def test_a_legend_of_a_saved_session_follows_and_is_not_doubled(session, run, two, tmp_path):
    run("siren block legend")
    run(f"save '{tmp_path}/s.cxs'")
    run("close")
    run(f"open '{tmp_path}/s.cxs'")
    assert texts(session) == ["1", "12 stalk"]
    run("hide #1.1 models")
    assert texts(session) == ["12 stalk"]
    run("siren block legend")
    assert texts(session) == ["12 stalk"]
    run(f"open '{tmp_path}/s.cxs'")  # over a legend that is shown
    run("siren block rename #1.12 neck")
    assert texts(session) == ["1", "12 neck"]
    run("siren block legend false")
    run("show #1 models")
    assert all_labels(session) == []


def test_a_session_saved_without_a_legend_opens_without_one(session, run, two, tmp_path):
    run("siren block legend")
    run("siren block legend false")
    run(f"save '{tmp_path}/s.cxs'")
    run("siren block legend")
    run(f"open '{tmp_path}/s.cxs'")
    run("view")
    assert all_labels(session) == []


def test_labels_of_a_session_of_an_earlier_version_are_replaced(session, run, two):
    run('2dlabels create "SIREn legend 1" text old')
    run("siren block legend")
    assert texts(session) == ["1", "12 stalk"]
    run("siren block legend false")
    run('2dlabels create "SIREn legend 1" text old')
    run("siren block legend false")
    assert all_labels(session) == []


def test_without_blocks_it_says_what_to_do(session, run):
    with pytest.raises(UserError, match="siren open"):
        run("siren block legend")


@pytest.mark.parametrize(
    ("window", "picture"),
    [
        ((400, 300), (400, 300)),
        ((400, 300), (1200, 300)),
        ((400, 300), (800, 1000)),
        ((300, 600), (900, 500)),
    ],
)
def test_it_is_whole_in_saved_pictures_of_any_shape(session, run, window, picture):
    """A swatch of each block in its color, one below the other, as large as the picture allows."""
    many = 12
    before = session.main_view.window_size
    run(f"windowsize {window[0]} {window[1]}")
    blocks = {n: np.arange(60 * n, 60 * n + 50) for n in range(1, many + 1)}
    open_blocks(session, BlockSet(GRID, blocks), Path("/j/00_sketch"))
    run("siren block legend")
    run("hide #1.1-12 surfaces")  # the blocks themselves have the same colors
    colors = [tuple(x.background[:3]) for x in all_labels(session) if not x.text.strip()]
    for model in session.models.list():
        if model.id and len(model.id) > 2:
            model.display = False
    image = np.asarray(session.main_view.image(*picture)).astype(int)
    small = np.asarray(session.main_view.image(*window)).astype(int)
    run(f"windowsize {before[0]} {before[1]}")
    assert len(colors) == many
    tops, sides = [], []
    for color in colors:
        found = np.argwhere(np.abs(image - color).max(axis=2) <= 2)
        assert len(found) > 20, color
        tops.append(found[:, 0].min())
        sides.append(np.ptp(found[:, 0]) + 1)
    assert tops == sorted(tops) and max(sides) - min(sides) <= 2
    scale = min(picture[0] / window[0], picture[1] / window[1])
    own = np.argwhere(np.abs(small - colors[0]).max(axis=2) <= 2)
    assert sides[0] == pytest.approx(scale * (np.ptp(own[:, 0]) + 1), rel=0.2, abs=2)


def test_after_a_saved_picture_the_window_has_it_where_it_was_or_was_put(session, run, two):
    def redraw() -> None:
        session.main_view.redraw_needed = True
        session.update_loop.draw_new_frame()

    def places() -> list[float]:
        return [v for x in all_labels(session) for v in (x.xpos, x.ypos, x.size)]

    run("siren block legend")
    redraw()
    first = places()
    session.main_view.image(900, 200)
    redraw()
    assert places() == pytest.approx(first)
    moved = all_labels(session)[0]
    moved.xpos, moved.ypos = 0.5, 0.25  # as the mouse does
    moved.update_drawing()
    redraw()
    session.main_view.image(900, 200)
    redraw()
    assert (moved.xpos, moved.ypos) == pytest.approx((0.5, 0.25))
