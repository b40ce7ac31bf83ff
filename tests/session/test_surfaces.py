"""Surfaces and colors of blocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.verdicts import BlockEvidence
from chimerax.siren.core.figures.colors import PALETTE, block_colors, pale
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session.surfaces import open_blocks

GRID = Grid((30, 30, 30), (2.0, 2.0, 2.0))


def cubes(count: int) -> BlockSet:
    """A row of touching cubes, each a block."""
    blocks = {}
    for n in range(count):
        mask = np.zeros(GRID.shape, bool)
        mask[n % 5 * 6 : n % 5 * 6 + 6, n // 5 * 6 : n // 5 * 6 + 6, 5:12] = True
        blocks[n + 1] = np.flatnonzero(mask)
    return BlockSet(GRID, blocks)


def contrast(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return float(np.abs(np.subtract(a, b)).max())


def test_touching_blocks_have_different_colors_even_when_there_are_more_blocks_than_colors():
    blocks = cubes(25)
    assert len(blocks) > len(PALETTE)
    colors = block_colors(blocks)
    for n in range(25):
        for other in ([n + 1] if n % 5 < 4 else []) + ([n + 5] if n < 20 else []):
            assert contrast(colors[n + 1], colors[other + 1]) > 0.05


def test_the_palette_has_no_color_twice():
    assert len(set(PALETTE)) == len(PALETTE)


def test_other_models_keep_their_display(session, run):
    from chimerax.map import volume_from_grid_data
    from chimerax.map_data import ArrayGridData

    mine = volume_from_grid_data(
        ArrayGridData(np.random.default_rng(0).random((20, 20, 20), np.float32)), session
    )
    run("volume #1 level 0.7 color gold style mesh")
    before = (
        mine.surfaces[0].level,
        tuple(mine.surfaces[0].color),
        mine.surfaces[0].style,
        mine.display,
    )
    open_blocks(session, cubes(3), None, np.ones(GRID.shape, np.float32), 0.5)
    session.update_loop.draw_new_frame()
    assert (
        mine.surfaces[0].level,
        tuple(mine.surfaces[0].color),
        mine.surfaces[0].style,
        mine.display,
    ) == before


def test_blocks_are_seen_in_the_picture_in_their_colors(session, run, tmp_path):
    from PIL import Image

    open_blocks(session, cubes(3), None)
    run("view initial")  # wherever an earlier test left the camera
    # the row is along z
    run(
        "set bgColor white; lighting flat ambientIntensity 1; graphics silhouettes false; turn y "
        "90; view"
    )
    run(f"save '{tmp_path}/p.png' width 300 height 300")
    pixels = np.asarray(Image.open(tmp_path / "p.png").convert("RGB")).reshape(-1, 3) / 255
    pixels = pixels[pixels.min(axis=1) < 0.9]  # not the background
    hues = pixels / np.maximum(pixels.max(axis=1, keepdims=True), 0.01)
    for color in block_colors(cubes(3)).values():
        assert (np.abs(hues - np.array(color) / max(color)).max(axis=1) < 0.04).sum() > 500


def test_a_map_of_another_size_takes_the_place_and_the_color_of_the_one_before(
    session, run, tmp_path
):
    from chimerax.core.errors import UserError

    from chimerax.siren.core.maps.mapfile import write_map
    from chimerax.siren.session.shown_map import EnsembleMap

    rng = np.random.default_rng(0)
    for name, shape in (("a.mrc", (12, 13, 14)), ("b.mrc", (20, 21, 22))):
        write_map(
            tmp_path / name,
            rng.random(shape).astype(np.float32),
            Grid(shape, (3.0, 3.0, 3.0), (1.0, 2.0, 3.0)),
            "test",
        )
    first = run(f"siren show '{tmp_path}/a.mrc' level 0.7")
    first.surfaces[0].rgba = (0, 0, 1, 1)
    second = run(f"siren show '{tmp_path}/b.mrc' level 0.6 voxelSize 2")
    assert session.models.list(type=EnsembleMap) == [second]
    assert tuple(second.surfaces[0].rgba) == (0, 0, 1, 1) and second.surfaces[0].level == 0.6
    assert second.data.size == (22, 21, 20) and tuple(second.data.step) == (2, 2, 2)
    (tmp_path / "a.mrc").unlink()
    write_map(
        tmp_path / "c.mrc",
        rng.random((20, 21, 22)).astype(np.float32),
        Grid((20, 21, 22), (3.0, 3.0, 3.0), (1.0, 2.0, 3.0)),
        "test",
    )
    with pytest.raises(UserError, match="takes one map"):
        run(f"siren show '{tmp_path}'")


def test_doubtful_blocks_are_pale_and_hidden_and_the_others_are_as_ever(session):
    stands = BlockEvidence(contrast=0.9, rise=2.0, solidity=1.0, exchange=0.0)
    blocks = replace(cubes(3), evidence={1: stands, 2: replace(stands, contrast=0.2)})
    group = open_blocks(session, blocks, Path("nowhere"))
    first, second, third = group.child_models()
    assert [m.display for m in (first, second, third)] == [True, False, True]
    colors = block_colors(blocks)
    assert tuple(first.surfaces[0].rgba[:3]) == pytest.approx(colors[1], abs=0.005)
    assert tuple(second.surfaces[0].rgba[:3]) == pytest.approx(pale(colors[2]), abs=0.005)
    assert min(pale(colors[2])) > min(colors[2])
