"""Where density climbs to, against a walk voxel by voxel."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import ndimage

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.peaks import own_peak_share, peaks
from chimerax.siren.core.maps.grid import Grid

NONE = np.array(False)
SHAPE = (12, 13, 14)
GRID = Grid(SHAPE, (4.0, 4.0, 4.0))


def walked(field: np.ndarray, region: np.ndarray, start: int) -> int:
    """Flat index that one comes to by going to the highest neighbor, if it is higher."""
    allowed, at = set(region.tolist()), start
    while True:
        z, y, x = np.unravel_index(at, SHAPE)
        near = [
            int(np.ravel_multi_index((z + a, y + b, x + c), SHAPE))
            for a, b, c in product((-1, 0, 1), repeat=3)
            if 0 <= z + a < SHAPE[0] and 0 <= y + b < SHAPE[1] and 0 <= x + c < SHAPE[2]
        ]
        best = max((n for n in near if n in allowed), key=lambda n: field[n])
        if field[best] <= field[at]:
            return at
        at = best


def test_every_voxel_climbs_to_the_peak_that_a_walk_comes_to() -> None:
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.normal(size=SHAPE), 0.8).ravel()
    region = np.sort(rng.choice(field.size, field.size // 2, replace=False))
    ends = region[peaks(field[region], region, GRID)]
    expected = [walked(field, region, start) for start in region.tolist()]
    assert ends.tolist() == expected and 10 < len(set(expected)) < len(region) / 2


def test_where_nothing_is_higher_a_voxel_stays() -> None:
    region = np.arange(50, 90)
    assert peaks(np.ones(40), region, GRID).tolist() == list(range(40))


@pytest.mark.parametrize("sampled", [0.5, 0.2])
def test_in_a_sample_a_peak_is_of_the_block_that_is_nearest(sampled: float) -> None:
    rng = np.random.default_rng(1)
    x = np.tile(np.arange(SHAPE[2]), SHAPE[0] * SHAPE[1])
    some = rng.random(x.size) < sampled
    left, right = (np.flatnonzero((side := x < 7) & some), np.flatnonzero(~side & some))
    blocks = BlockSet(GRID, {1: left}, right)
    gap = np.sqrt(3) * sampled ** (-1 / 3)
    in_left, in_right = (np.flatnonzero(x == at) for at in (3, 10))  # drawn or not
    assert own_peak_share(in_left, 1, blocks, NONE, gap) > 0.95
    assert own_peak_share(in_right, 1, blocks, NONE, gap) == 0
    both = np.concatenate([in_left, in_right])
    assert own_peak_share(both, 1, blocks, NONE, gap) == pytest.approx(0.5, abs=0.03)
    # where all voxels are known, nothing else is of the block
    assert own_peak_share(in_left, 1, blocks, NONE) == np.isin(in_left, left).mean()
