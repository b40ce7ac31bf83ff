"""What blocks grow into: against numpy's correlation, voxel by voxel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.growing import voxels_to_grow_into
from chimerax.siren.core.blocks.occupancy import Occupancy
from chimerax.siren.core.blocks.parameters import GrowParameters
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.grid import Grid

GRID = Grid((7, 8, 9), (1.0, 1.0, 1.0))
VOLUMES = 60


@pytest.fixture
def states() -> NDArray[np.bool_]:
    """(V, z, y, x): a box of voxels that comes and goes, with noise that grows to the right."""
    rng = np.random.default_rng(0)
    there = rng.random(VOLUMES) < 0.5
    noise = np.linspace(0.02, 0.6, GRID.shape[2])
    states = np.zeros((VOLUMES, *GRID.shape), bool)
    states[:, 2:5, 2:6, 1:8] = there[:, None, None, None]
    flipped = rng.random(states.shape) < noise
    flipped[:, 0] = False  # a plane that is always empty
    return states ^ flipped


def occupancy_of(states: NDArray[np.bool_]) -> Occupancy:
    bits = np.packbits(states.reshape(VOLUMES, -1), axis=1)
    names = tuple(f"v{k}" for k in range(VOLUMES))
    return Occupancy(names, np.ones(VOLUMES), bits, GRID, np.zeros(GRID.shape, np.float32))


def block() -> NDArray[np.int64]:
    mask = np.zeros(GRID.shape, bool)
    mask[3, 3:5, 2:5] = True
    return np.flatnonzero(mask)


def around(by: int) -> Iterator[int]:
    zyx = np.stack(np.unravel_index(block(), GRID.shape), axis=1)
    for voxel in range(GRID.size):
        here = np.array(np.unravel_index(voxel, GRID.shape))
        if voxel not in block() and np.abs(zyx - here).max(axis=1).min() <= by:
            yield voxel


def test_density_is_what_is_occupied_in_more_than_the_given_share(
    states: NDArray[np.bool_],
) -> None:
    found = voxels_to_grow_into(
        BlockSet(GRID, {4: block()}),
        [4],
        occupancy_of(states),
        GrowParameters(by=2, into="density"),
        0.4,
    )
    share = states.reshape(VOLUMES, -1).mean(axis=0)
    assert found[4].tolist() == [v for v in around(2) if share[v] > 0.4]


@pytest.mark.parametrize("strength", [0.3, 0.5, 0.7])
def test_what_correlates_is_what_numpy_says_of_each_voxel_and_the_share_of_the_block(
    states: NDArray[np.bool_], strength: float
) -> None:
    found = voxels_to_grow_into(
        BlockSet(GRID, {4: block(), 9: np.array([0])}),
        [4],
        occupancy_of(states),
        GrowParameters(by=2, into="correlated", strength=strength),
        0.01,
    )
    flat = states.reshape(VOLUMES, -1).astype(float)
    own = block()
    expected = [
        v
        for v in around(2)
        if flat[:, v].any() and np.corrcoef(flat[:, v], flat[:, own].mean(axis=1))[0, 1] >= strength
    ]
    assert list(found) == [4] and found[4].tolist() == expected
    assert 0 < len(expected) < len(list(around(2)))


def test_a_least_correlation_goes_with_correlated_growth_only() -> None:
    with pytest.raises(SirenError, match='goes with "into correlated"'):
        GrowParameters(strength=0.4)
