"""Painting with the mouse: events as ChimeraX gives them, and the command that a stroke runs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.logger import StringPlainTextLog
from chimerax.mouse_modes.mousemodes import MouseEvent

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session.paint_mode import NAME, PaintMode
from chimerax.siren.session.surfaces import BlockMap, open_blocks

GRID = Grid((40, 40, 40), (2.0, 2.0, 2.0), (3.0, -5.0, 1.0))


def slab(z: int, x0: int, x1: int) -> np.ndarray:
    mask = np.zeros(GRID.shape, bool)
    mask[z - 2 : z + 1, 10:30, x0:x1] = True
    return np.flatnonzero(mask)


FRONT, BACK = slab(25, 10, 20), slab(10, 10, 30)  # the left half of the back is covered


@pytest.fixture
def mode(session: Any, run: Any) -> PaintMode:
    """A mode, with two blocks seen from the front along z, without perspective."""
    session.undo.clear()
    run("windowsize 400 400")
    open_blocks(session, BlockSet(GRID, {1: FRONT, 2: BACK}), Path("/j/00_sketch"))
    run("camera ortho; view orient; view")
    yield PaintMode(session)
    run("camera mono")


def pixel(session: Any, x: float, y: float) -> tuple[float, float]:
    """Where a grid point (x, y) is seen."""
    view = session.main_view
    at = view.camera.position.inverse() * (np.array([3.0, -5.0, 1.0]) + 2.0 * np.array([x, y, 20]))
    width, height = view.window_size
    size = view.pixel_size()
    return width / 2 + at[0] / size, height / 2 - at[1] / size


def stroke(mode: PaintMode, session: Any, *places: tuple[float, float], keys: Any = ()) -> str:
    """Drag from the first place to the others, and return the command that ran."""
    events = [MouseEvent(position=pixel(session, *p), modifiers=list(keys)) for p in places]
    with StringPlainTextLog(session.logger) as log:
        mode.mouse_down(events[0])
        for event in events[1:]:
            mode.mouse_drag(event)
        mode.mouse_up(events[-1])
    return log.getvalue()


def block(session: Any, number: int) -> BlockMap:
    return next(m for m in session.models.list(type=BlockMap) if m.siren_block == number)


def centers_in(said: str) -> np.ndarray:
    words = said.split("siren block paint")[1].split()
    return np.array(
        [list(map(float, b.split(","))) for a, b in itertools.pairwise(words) if a == "center"]
    )


def test_a_click_paints_a_sphere_on_the_front_of_the_block_under_the_mouse(session, mode):
    mode.radius = 5.0
    said = stroke(mode, session, (15, 20))
    (center,) = centers_in(said)
    assert center[:2] == pytest.approx([3 + 2 * 15, -5 + 2 * 20], abs=0.4)  # a pixel or so
    assert 1 + 2 * 25 < center[2] < 1 + 2 * 26.5  # its surface is half a voxel before it
    far = np.linalg.norm(GRID.points(np.arange(GRID.size)) - center, axis=1)
    expected = np.union1d(FRONT, np.flatnonzero(far <= 5.0))
    assert block(session, 1).voxels.tolist() == expected.tolist()
    assert block(session, 2).voxels.tolist() == BACK.tolist()


def test_the_selected_block_is_painted_though_another_lies_before_it(session, run, mode):
    run("select #1.2")
    stroke(mode, session, (15, 20))
    assert block(session, 1).voxels.tolist() == FRONT.tolist()
    grown = block(session, 2).voxels
    assert len(grown) > len(BACK) and np.unravel_index(grown, GRID.shape)[0].max() < 15


def test_the_block_of_the_panel_is_painted_whatever_is_selected(session, run, mode):
    run("select #1.2")
    mode.block = block(session, 1)
    stroke(mode, session, (15, 20))
    assert block(session, 2).voxels.tolist() == BACK.tolist()
    assert len(block(session, 1).voxels) > len(FRONT)


def test_beside_the_block_a_stroke_goes_on_at_its_depth(session, mode):
    mode.radius = 4.0
    said = stroke(mode, session, *[(x, 20) for x in np.linspace(18, 28, 21)])
    found = centers_in(said)
    assert 4 < len(found) < 21  # half a radius apart
    assert np.linalg.norm(np.diff(found, axis=0), axis=1).min() >= 2.0 - 0.02
    beside = found[found[:, 0] > 3 + 2 * 20.5]
    assert len(beside) > 3 and np.ptp(beside[:, 2]) < 0.05
    added = np.setdiff1d(block(session, 1).voxels, FRONT)
    _, _, x = np.unravel_index(added, GRID.shape)
    assert x.max() >= 28 and block(session, 2).voxels.tolist() == BACK.tolist()


@pytest.mark.parametrize(("erase", "keys"), [(False, ["shift"]), (True, [])])
def test_a_stroke_erases_with_shift_or_when_the_mode_does(session, mode, erase, keys):
    mode.erase = erase
    said = stroke(mode, session, (15, 20), (16, 20), keys=keys)
    assert "erase true" in said
    assert len(block(session, 1).voxels) < len(FRONT)


def test_shift_adds_where_the_mode_erases(session, mode):
    mode.erase = True
    assert "erase" not in stroke(mode, session, (15, 20), keys=["shift"])
    assert len(block(session, 1).voxels) > len(FRONT)


def test_a_stroke_is_one_step_to_undo_and_leaves_no_sphere_behind(session, run, mode):
    drawings = len(session.main_view.drawing.child_drawings())
    for x in (12, 14, 16, 18):
        mode.mouse_drag(MouseEvent(position=pixel(session, x, 20)))  # not begun: nothing
    stroke(mode, session, (12, 20), (14, 20), (16, 20), (18, 20))
    assert len(session.main_view.drawing.child_drawings()) == drawings
    run("siren block undo")
    assert block(session, 1).voxels.tolist() == FRONT.tolist()


def test_the_spheres_are_seen_while_the_button_is_held_and_hide_nothing_from_view(session, mode):
    before = session.main_view.drawing_bounds().xyz_max.tolist()
    mode.radius = 30.0
    mode.mouse_down(MouseEvent(position=pixel(session, 15, 20)))
    (sphere,) = (d for d in session.main_view.drawing.child_drawings() if d.name == NAME)
    assert sphere.display and len(sphere.positions) == 1
    assert session.main_view.drawing_bounds().xyz_max.tolist() == before
    mode.mouse_up(MouseEvent(position=pixel(session, 15, 20)))


def test_a_stroke_that_changes_nothing_is_a_sentence_in_the_log_and_no_error(session, mode):
    mode.radius = 0.5  # no voxel's center is that near the surface
    said = stroke(mode, session, (15.5, 20.5))
    assert "no voxel to add in the sphere" in said


def test_where_nothing_is_a_click_does_nothing(session, mode):
    assert "paint" not in stroke(mode, session, (-3, -3))


def test_a_block_closed_while_it_is_painted_is_no_error(session, run, mode):
    mode.mouse_down(MouseEvent(position=pixel(session, 15, 20)))
    run("close #1")
    mode.mouse_up(MouseEvent(position=(200, 200)))


def test_chimerax_knows_the_mode_from_the_start_where_there_are_windows(session, monkeypatch):
    from chimerax.core.triggerset import TriggerSet
    from chimerax.mouse_modes import MouseModes

    from chimerax.siren import bundle_api

    with monkeypatch.context() as other:  # the session may have mouse modes, with their triggers
        other.setattr(session, "triggers", TriggerSet())
        modes = MouseModes(session)
    monkeypatch.setattr(session.ui, "mouse_modes", modes, raising=False)
    monkeypatch.setattr(session.ui, "is_gui", False)
    bundle_api.initialize(session, None)
    assert modes.named_mode(NAME) is None
    monkeypatch.setattr(session.ui, "is_gui", True)
    for _ in range(2):
        bundle_api.initialize(session, None)
    assert [m.name for m in modes.modes].count(NAME) == 1
    (info,) = (b for b in session.toolshed.bundle_info(session.logger) if "SIREn" in b.name)
    assert info.custom_init
