"""Blocks as they are drawn: whole, however few of their voxels were sampled."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.display import DISPLAY_LEVEL, sampled_share, smooth_mask
from chimerax.siren.core.maps.grid import Grid

SIZE = 64


def ball(center: tuple[int, int, int], radius: float) -> np.ndarray:
    zyx = np.indices((SIZE,) * 3) - np.array(center)[:, None, None, None]
    return np.asarray((zyx**2).sum(axis=0) < radius**2)


def sampled(parts: list[np.ndarray], share: float) -> BlockSet:
    """Balls of which so many voxels were compared; those in the last were in no block."""
    rng = np.random.default_rng(1)
    taken = rng.random((SIZE,) * 3) < share
    voxels = [np.flatnonzero(part & taken) for part in parts]
    grid = Grid((SIZE,) * 3, (4.0,) * 3)
    return BlockSet(grid, dict(enumerate(voxels[:-1], 1)), voxels[-1])


def test_the_smoothed_surface_keeps_the_volume_of_a_molecule_sized_block() -> None:
    zyx = np.indices((40, 40, 40)) - 20
    ball = (zyx**2).sum(axis=0) < 10**2
    assert (smooth_mask(ball) > DISPLAY_LEVEL).sum() == pytest.approx(ball.sum(), rel=0.1)


def test_specks_are_not_drawn_but_a_small_block_is() -> None:
    mask = np.zeros((30, 30, 30))
    mask[10:16, 10:16, 10:16] = 1
    mask[25, 25, 25] = 1
    assert smooth_mask(mask)[25, 25, 25] < DISPLAY_LEVEL < smooth_mask(mask)[12, 12, 12]
    mask[10:16, 10:16, 10:16] = 0
    mask[25, 25, 26] = 1
    assert smooth_mask(mask)[25, 25, 25] > DISPLAY_LEVEL / 2


def test_a_thin_block_of_which_all_voxels_are_known_is_not_taken_for_a_sample() -> None:
    mask = np.zeros((30, 30, 30), bool)
    mask[10:20, 10:20, 15] = True  # a sheet: few neighbors
    blocks = BlockSet(Grid((30, 30, 30), (1.0, 1.0, 1.0)), {1: np.flatnonzero(mask)})
    assert sampled_share(blocks) < 0.8 and sampled_share(blocks, sampled=False) == 1


def test_half_sampled_blocks_look_whole() -> None:
    """A sketch has a random half of the voxels: its surface must enclose them in one piece, not as
    gravel.
    """
    rng = np.random.default_rng(0)
    mask = np.zeros((30, 30, 30))
    mask[8:20, 8:20, 8:20] = rng.random((12, 12, 12)) < 0.5
    pieces, _ = ndimage.label(smooth_mask(mask) > DISPLAY_LEVEL)
    assert np.bincount(pieces.ravel())[1:].max() > 0.95 * (pieces > 0).sum()


@pytest.mark.parametrize("one_in", [1, 2, 5, 12, 40])
def test_a_block_is_drawn_whole_and_as_large_as_it_is_however_few_voxels_were_sampled(
    one_in: int,
) -> None:
    whole, other = ball((24, 24, 24), 14), ball((46, 46, 46), 14)
    blocks = sampled([whole, other & ~whole], 1 / one_in)
    share = sampled_share(blocks)
    assert share == pytest.approx(1 / one_in, rel=0.3)
    drawn = smooth_mask(blocks.mask(1), share) > DISPLAY_LEVEL
    voxels = blocks.mask(1) > 0
    assert (drawn & voxels).sum() > 0.95 * voxels.sum()
    # a wider filter rounds the surface off outwards, by a voxel or two
    assert 0.85 < drawn.sum() / whole.sum() < (1.15 if one_in < 5 else 1.5)
    pieces, _ = ndimage.label(drawn)
    assert np.bincount(pieces.ravel())[1:].max() > 0.95 * drawn.sum()


@pytest.mark.parametrize("one_in", [1, 2, 5, 12])
def test_a_rod_one_voxel_thick_is_drawn(one_in: int) -> None:
    rod = np.zeros((SIZE,) * 3, bool)
    rod[20, 30, 4:60] = True
    blocks = sampled([rod, ball((44, 44, 44), 16)], 1 / one_in)
    voxels = blocks.mask(1) > 0
    drawn = smooth_mask(blocks.mask(1), sampled_share(blocks)) > DISPLAY_LEVEL
    assert voxels.sum() >= 3 and drawn[voxels].mean() >= 0.9
    assert drawn.sum() < 40 * voxels.sum() * one_in  # a rod, not a cloud
    if one_in == 1:
        assert ndimage.label(drawn)[1] == 1


def test_a_block_of_scattered_voxels_is_not_drawn_as_nothing() -> None:
    mask = np.zeros((SIZE,) * 3, np.float32)
    mask[8::16, 8::16, 8::16] = 1
    for share in (1.0, 0.5, 0.1, 0.01):
        drawn = smooth_mask(mask, share)
        assert (drawn[mask > 0] > DISPLAY_LEVEL).all()
