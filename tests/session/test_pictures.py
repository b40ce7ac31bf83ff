"""Rendered pictures: to scale, of what is asked, and without a trace in the session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.errors import UserError
from chimerax.geometry import Place, rotation

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session.pictures import VIEWS, BlockModels, shoot_window, studio
from chimerax.siren.session.surfaces import open_blocks

GRID = Grid((30, 34, 38), (3.0, 3.0, 3.0), (-20.0, 11.0, 7.0))
RED, BLUE = (0.9, 0.1, 0.1), (0.1, 0.2, 0.9)
SIZE = (400, 300)


def two_blocks() -> BlockSet:
    blocks = {}
    for number, where in ((1, np.s_[4:10, 5:11, 6:12]), (2, np.s_[18:26, 20:28, 24:34])):
        mask = np.zeros(GRID.shape, bool)
        mask[where] = True
        blocks[number] = np.flatnonzero(mask)
    return BlockSet(GRID, blocks)


def seen(image: np.ndarray, channel: int) -> np.ndarray:
    """Pixels (n, 2), x and y, in which a color channel stands out."""
    others = np.delete(image.astype(int), channel, axis=2).max(axis=2)
    return np.argwhere(image[..., channel] > others + 40)[:, ::-1]


@pytest.fixture
def models(session: Any) -> Any:
    found = BlockModels(session, two_blocks(), {1: RED, 2: BLUE}, None, 0.0)
    yield found
    found.delete()


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_a_point_of_the_scene_is_where_the_shot_says(models: BlockModels, view: str) -> None:
    shot = models.shoot([1, 2], VIEWS[view], SIZE)
    assert shot.image.shape == (300, 400, 3)
    blocks = two_blocks()
    for number, channel in ((1, 0), (2, 2)):
        points = GRID.points(blocks.blocks[number])
        corners = np.array([shot.at(p) for p in points])
        pixels = seen(shot.image, channel)
        for edge in (np.min, np.max):
            # the surface is smooth: within a voxel of the outermost voxels' centers
            far = np.abs(edge(corners, axis=0) - edge(pixels, axis=0)) * shot.pixel
            assert far.max() < 3.0, (view, number)


def test_blocks_that_are_not_asked_for_are_not_in_the_picture_which_keeps_its_frame(models) -> None:
    turned = VIEWS["front"]
    both, one = models.shoot([1, 2], turned, SIZE), models.shoot([1], turned, SIZE)
    assert len(seen(both.image, 2)) > 500 and not len(seen(one.image, 2))
    assert one.pixel == both.pixel and np.array_equal(seen(one.image, 0), seen(both.image, 0))
    assert (one.image[0] == 255).all() and (one.image[:, -1] == 255).all()  # white, with a margin


def state(session: Any) -> Any:
    view = session.main_view
    light = {k: np.array(v).tolist() for k, v in vars(view.lighting).items()}
    return (
        view.camera.position.matrix.tolist(),
        view.camera.name,
        tuple(view.background_color),
        light,
        (view.silhouette.enabled, view.silhouette.thickness),
        [(m.id_string, m.display) for m in session.models.list()],
        [o.display for o in view.overlays()],
        [(p.name, tuple(p.plane_point)) for p in view.clip_planes.planes()],
        view.window_size,
    )


def set_up(session: Any, run: Any) -> None:
    open_blocks(session, two_blocks(), Path("/j/00_sketch"))
    run("set bgColor #204060; lighting full; graphics silhouettes false; turn x 30; clip near -5")
    run('siren block legend; siren block label #1; 2dlabels text "mine" xpos 0.4 ypos 0.4')


def test_nothing_of_the_session_changes_by_a_picture(session: Any, run: Any) -> None:
    set_up(session, run)
    before = state(session)
    shot = shoot_window(session, 300)
    hidden = BlockModels(session, two_blocks(), {1: RED, 2: BLUE}, None, 0.0)
    hidden.shoot([1], VIEWS["top"], SIZE)
    hidden.delete()
    session.update_loop.draw_new_frame()
    assert state(session) == before
    assert (shot.image[0, 0] == 255).all()
    run("close")


def test_nothing_of_the_session_changes_if_a_picture_fails(session: Any, run: Any) -> None:
    set_up(session, run)
    before = state(session)

    def fail() -> None:
        with studio(session, 2, clipped=False):
            assert state(session) != before
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert state(session) == before
    with pytest.raises(UserError, match="smaller width or dpi"):
        shoot_window(session, 200_000, 100)
    assert state(session) == before
    run("close")


@pytest.mark.parametrize("camera", ["mono", "ortho"])
@pytest.mark.parametrize("height", [None, 120, 500])
def test_all_that_the_window_shows_is_in_the_picture_to_scale(
    session: Any, run: Any, camera: str, height: int | None
) -> None:
    group = open_blocks(session, two_blocks(), Path("/j/00_sketch"))
    run(f"camera {camera}; color #1.1 #e61a1a target s; color #1.2 #1a33e6 target s")
    group.position = Place(origin=(40, -7, 3)) * rotation((1, 2, 3), 40)
    run("view orient; turn y 25; view")
    shot = shoot_window(session, 400, height)
    run("camera mono")
    for number, channel in ((1, 0), (2, 2)):
        points = group.position * GRID.points(two_blocks().blocks[number])
        corners = np.array([shot.at(p) for p in points])
        pixels = seen(shot.image, channel)
        assert len(pixels) > 50
        middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
        found = (pixels.min(axis=0) + pixels.max(axis=0)) / 2
        assert np.abs(middle - found).max() * shot.pixel < 4.0


def test_without_anything_shown_there_is_no_picture(session: Any) -> None:
    with pytest.raises(UserError, match="Nothing is shown"):
        shoot_window(session, 100)
