"""Numbers and names on blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.commands import run as run_command
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session.block_labels import BlockLabels
from chimerax.siren.session.surfaces import open_blocks

GRID = Grid((24, 24, 24), (2.0, 2.0, 2.0), (5.0, 6.0, 7.0))


def box(z: int, y: int, x: int, size: int = 5) -> np.ndarray:
    mask = np.zeros(GRID.shape, bool)
    mask[z : z + size, y : y + size, x : x + size] = True
    return np.flatnonzero(mask)


@pytest.fixture
def two(session: Any) -> Any:
    session.undo.clear()
    blocks = {1: box(2, 2, 2), 12: box(12, 12, 12)}
    return open_blocks(session, BlockSet(GRID, blocks, names={12: "stalk"}), Path("/j/00_sketch"))


def seen(session: Any) -> dict[str, tuple[int, ...]]:
    """Text and color of the labels that are seen."""
    return {
        x.text: tuple(x.background[:3])
        for m in session.models.list(type=BlockLabels)
        if m.visible
        for x in m.labels()
        if x.visible()
    }


def colors(session: Any, group: Any) -> dict[int, tuple[int, ...]]:
    return {
        m.siren_block: tuple(m.surfaces[0].color[:3])
        for m in group.child_models()
        if hasattr(m, "siren_block")
    }


def test_they_say_number_or_name_or_both_on_the_color_of_the_block(session, run, two):
    run("siren block label #1")
    own = colors(session, two)
    assert seen(session) == {"1": own[1], "12 stalk": own[12]}
    run("siren block label #1 number")
    assert list(seen(session)) == ["1", "12"]
    run("siren block label #1 name")
    assert list(seen(session)) == ["1", "stalk"]  # what has no name keeps its number
    assert len(session.models.list(type=BlockLabels)) == 1


def test_the_middle_of_a_label_is_drawn_on_the_middle_of_its_block(session, run, two):
    run("view orient; view")
    run("siren block label #1.12 number")
    (labels,) = session.models.list(type=BlockLabels)
    middle = np.array([5.0, 6.0, 7.0]) + 2 * 14.0
    assert labels.vertices.mean(axis=0) == pytest.approx(middle, abs=0.01)
    run("turn y 70")
    assert labels.vertices.mean(axis=0) == pytest.approx(middle, abs=0.01)
    run("move x 10 models #1.12")
    assert labels.vertices.mean(axis=0) == pytest.approx(middle + 10 * x_of(session), abs=0.01)


def x_of(session: Any) -> np.ndarray:
    """The direction in which "move x" moves."""
    return np.asarray(session.main_view.camera.position.axes()[0])


def test_the_label_of_a_ring_is_on_the_ring(session, run):
    z, y, x = np.indices(GRID.shape)
    ring = np.flatnonzero((np.abs(np.hypot(y - 12, x - 12) - 8) < 1.5) & (abs(z - 12) < 2))
    open_blocks(session, BlockSet(GRID, {1: ring}), Path("/j/00_sketch"))
    run("siren block label #1")
    (label,) = session.models.list(type=BlockLabels)[0].labels()
    k = np.round((label.location() - [5, 6, 7]) / 2).astype(int)[::-1]
    assert np.ravel_multi_index(tuple(k), GRID.shape) in ring


def test_they_follow_names_colors_edits_and_what_is_hidden(session, run, two):
    run("siren block label #1")
    run("siren block rename #1.1 head ; color #1.12 #ff00ff target s")
    assert seen(session) == {"1 head": colors(session, two)[1], "12 stalk": (255, 0, 255)}
    run("hide #1.1 models")
    assert list(seen(session)) == ["12 stalk"]
    run("show #1.1 models")
    run("siren block merge #1")
    assert list(seen(session)) == ["1 head"]
    run("siren block split #1.1")
    assert list(seen(session)) == ["1 head", "2"]  # a new one, too, as all were labeled
    run("siren block undo ; siren block undo")
    assert sorted(seen(session)) == ["1 head", "12 stalk"]
    run("hide #1 models")
    assert seen(session) == {}


def test_some_blocks_of_a_set_are_labeled_and_labels_are_taken_away(session, run, two):
    run("siren block label #1.12")
    assert list(seen(session)) == ["12 stalk"]
    run("siren block split #1.1 center 9,10,11 radius 3")
    assert list(seen(session)) == ["12 stalk"]
    run("siren block label #1.1 number")
    assert sorted(seen(session)) == ["1", "12"]
    run("siren block label #1.12 none")
    assert list(seen(session)) == ["1"]
    run("siren block label #1 none")
    assert session.models.list(type=BlockLabels) == []


def test_labels_are_one_model_that_can_be_closed(session, run, two):
    run("siren block label #1")
    (labels,) = session.models.list(type=BlockLabels)
    run(f"close #{labels.id_string}")
    run("siren block rename #1.1 head")
    assert seen(session) == {}
    run("siren block label #1")
    assert sorted(seen(session)) == ["1 head", "12 stalk"]
    run("close #1")
    assert session.models.list() == []


def test_a_name_with_braces_is_shown_as_it_is(session, run, two):
    run("siren block rename #1.1 '{0.data} {x'")
    run("siren block label #1")
    assert "1 {0.data} {x" in seen(session)


def test_they_are_saved_with_the_session_and_follow_after_it_is_opened(session, run, two, tmp_path):
    run("siren block label #1.12 name size 31")
    run(f"save '{tmp_path}/s.cxs'")
    run("close")
    run(f"open '{tmp_path}/s.cxs'")
    assert list(seen(session)) == ["stalk"]
    (labels,) = session.models.list(type=BlockLabels)
    assert [x.size for x in labels.labels()] == [31]
    run("siren block rename #1.12 neck")
    assert list(seen(session)) == ["neck"]


def test_a_labeled_set_can_be_edited_and_its_labels_are_no_block(session, run, two):
    run("siren block label #1")
    run("siren block merge #1")
    run("siren block undo")
    assert len([m for m in two.child_models() if hasattr(m, "siren_block")]) == 2


def test_the_log_has_the_command_that_takes_them_away(session, run, two):
    with StringPlainTextLog(session.logger) as log:
        run("siren block label #1")
    assert "siren block label #1.1,12 none" in log.getvalue()
    run("siren block label #1.1,12 none")
    assert session.models.list(type=BlockLabels) == []


def test_without_graphics_it_says_what_to_do(session, run, two, monkeypatch):
    monkeypatch.setattr(session.main_view, "_render", None)
    with pytest.raises(UserError, match="--offscreen"):
        run_command(session, "siren block label #1")


def rectangles(session: Any) -> list[tuple[float, float, float, float]]:
    """Left, bottom, right and top of each label that is seen, in pixels of the window."""
    (labels,) = session.models.list(type=BlockLabels)
    view = session.main_view
    camera = view.camera.position.inverse()
    found = []
    for corners, label in zip(labels.vertices.reshape(-1, 4, 3), labels.labels(), strict=True):
        if label.visible():
            scene = labels.scene_position.transform_points(corners.astype(float))
            pixels = camera.transform_points(scene)[:, :2] / view.pixel_size(scene.mean(axis=0))
            found.append((*pixels.min(axis=0), *pixels.max(axis=0)))
    return found


def share_an_area(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return min(a[2], b[2]) - max(a[0], b[0]) > 0.5 and min(a[3], b[3]) - max(a[1], b[1]) > 0.5


def test_labels_of_blocks_behind_each_other_are_not_on_each_other(session, run):
    blocks = {n: box(2 + 5 * (n % 4), 8, 3 * n, 3) for n in range(1, 7)}
    names = {2: "central protuberance", 3: "stalk", 5: "h68"}
    open_blocks(session, BlockSet(GRID, blocks, names=names), Path("/j/00_sketch"))
    run("view orient; view")
    run("siren block label #1")
    for turn in ("wait 1", "turn y 70", "turn x 35", "zoom 0.5"):
        run(turn)
        session.update_loop.draw_new_frame()
        found = rectangles(session)
        assert len(found) == 6
        assert not any(share_an_area(a, b) for k, a in enumerate(found) for b in found[:k]), turn
    run("hide #1.2-6 models")
    session.update_loop.draw_new_frame()
    assert len(rectangles(session)) == 1
    (labels,) = session.models.list(type=BlockLabels)
    middle = labels.labels()[0].location()
    shown = labels.vertices.reshape(-1, 4, 3)[0].mean(axis=0)
    assert shown == pytest.approx(middle, abs=0.01)  # nothing is in its way any more
