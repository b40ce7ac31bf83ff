"""Blocks colored by values: strength that is smooth over the surface, and the color key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.color_key.model import get_model
from chimerax.label.label2d import all_labels
from scipy.spatial import cKDTree

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.figures.colors import scale_colors
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session.strength import SIGMA, smooth_strength
from chimerax.siren.session.surfaces import BlockMap, open_blocks

GRID = Grid((20, 22, 24), (2.0, 2.0, 2.0), (5.0, 6.0, 7.0))


@pytest.fixture
def two(session: Any) -> Any:
    rng = np.random.default_rng(3)
    blocks, strength = {}, {}
    for number, start in ((1, 2), (2, 12)):
        mask = np.zeros(GRID.shape, bool)
        mask[start : start + 7, 5:14, 6:16] = True
        blocks[number] = np.flatnonzero(mask)
        strength[number] = rng.random(mask.sum()).astype(np.float32)
    return open_blocks(session, BlockSet(GRID, blocks, strength=strength), Path("/j/02_expand"))


def titles(session: Any) -> list[str]:
    return [x.text for x in all_labels(session)]


def test_it_is_the_gaussian_weighted_mean_of_the_blocks_voxels() -> None:
    rng = np.random.default_rng(1)
    mask = np.zeros((16, 18, 20), bool)
    mask[4:9, 5:12, 6:11] = True
    mask &= rng.random(mask.shape) < 0.5  # as in a sketch
    voxels, strength = np.flatnonzero(mask), rng.random(mask.sum()).astype(np.float32)
    zyx = np.stack(np.unravel_index(voxels, mask.shape), axis=1).astype(float)
    places = zyx[::7] + np.array([1, -1, 0])  # on the lattice, where nothing is interpolated
    far = ((places[:, None] - zyx) ** 2).sum(axis=2)
    weight = np.exp(-far / (2 * SIGMA**2))
    by_hand = (weight * strength).sum(axis=1) / weight.sum(axis=1)
    found = smooth_strength(voxels, strength, mask.shape)(places[:, ::-1])
    np.testing.assert_allclose(found, by_hand, atol=2e-3)


def test_neighboring_vertices_have_nearly_one_color_though_the_voxels_differ_by_chance(
    session: Any, run: Any, two: Any
) -> None:
    run("siren block color #1 strength")
    block = session.models.list(type=BlockMap)[0]
    surface = block.surfaces[0]
    edges = surface.triangles[:, [0, 1]]
    colors = surface.vertex_colors[:, :3].astype(float)
    step = np.abs(colors[edges[:, 0]] - colors[edges[:, 1]]).mean()
    zyx = np.stack(np.unravel_index(block.voxels, GRID.shape), axis=1)
    near = cKDTree(zyx[:, ::-1]).query(block.data.xyz_to_ijk(surface.vertices))[1]
    rough = scale_colors(block.siren_strength[near]).astype(float)
    blotchy = np.abs(rough[edges[:, 0]] - rough[edges[:, 1]]).mean()
    assert step < blotchy / 4
    assert np.ptp(colors, axis=0).max() > 20  # it is not one color


def test_a_key_says_which_value_the_colors_are_and_goes_with_them(
    session: Any, run: Any, two: Any
) -> None:
    run("siren block color #1 strength")
    key = get_model(session, create=False)
    assert [words.strip() for _, words in key.rgbas_and_labels if words] == ["0", "0.5", "1"]
    assert titles(session) == ["strength"]
    for block in session.models.list(type=BlockMap):
        block.siren_values["stability"] = 0.5
    run("siren block color #1.1 stability")
    assert titles(session) == ["stability and strength"]
    run("siren block color #1.1 block")
    assert titles(session) == ["strength"]
    run("siren block color #1 block")
    assert get_model(session, create=False) is None and titles(session) == []


def test_a_key_goes_when_its_blocks_are_closed_and_its_title_when_the_key_is(
    session: Any, run: Any, two: Any
) -> None:
    run("siren block color #1 strength")
    run("key delete")
    assert titles(session) == []
    run("siren block color #1 strength")
    run("close #1.1")
    assert titles(session) == ["strength"]
    run("close #1")
    assert get_model(session, create=False) is None and titles(session) == []


def test_a_key_that_the_user_made_stays_as_it_is(session: Any, run: Any, two: Any) -> None:
    run("key red:low blue:high")
    run("siren block color #1 strength")
    run("siren block color #1 block")
    labels = [words for _, words in get_model(session, create=False).rgbas_and_labels]
    assert labels == ["low", "high"] and titles(session) == []


def test_a_session_with_a_key_can_be_saved_opened_and_closed(
    session: Any, run: Any, two: Any, tmp_path: Path
) -> None:
    run("siren block color #1 strength")
    run(f"save '{tmp_path}/s.cxs'")
    run("close session")
    assert get_model(session, create=False) is None and titles(session) == []
    run(f"open '{tmp_path}/s.cxs'")
    assert titles(session) == ["strength"]
    run("siren block color #1 block")
    assert get_model(session, create=False) is None and titles(session) == []
