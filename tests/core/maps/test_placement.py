"""Maps that were moved against each other are resampled where they lie."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.placement import is_moved, resampled_onto

GRID = Grid((30, 32, 34), (2.0, 2.5, 3.0), (-20.0, -30.0, 5.0))
BLOBS = np.array([[10.0, 5.0, 40.0], [20.0, -5.0, 60.0], [0.0, 20.0, 50.0]])  # x, y, z


def blobs(grid: Grid, placement: np.ndarray) -> np.ndarray:
    """Three Gaussians, of different heights, moved by a placement: worked out at each point."""
    points = grid.points(np.arange(grid.size))
    centers = BLOBS @ placement[:, :3].T + placement[:, 3]
    values = sum(
        (n + 1) * np.exp(-((points - c) ** 2).sum(axis=1) / (2 * 6.0**2))
        for n, c in enumerate(centers)
    )
    return np.asarray(values, np.float32).reshape(grid.shape)


def placement(angle: float, shift: tuple[float, float, float]) -> np.ndarray:
    turn = Rotation.from_rotvec(np.radians(angle) * np.array([1, 2, 3]) / np.sqrt(14))
    return np.column_stack([turn.as_matrix(), shift])


@pytest.mark.parametrize("angle", [0, 20])
@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (6.0, -5.0, 4.0), (1.1, 2.3, -3.7)])
@pytest.mark.parametrize("target", [GRID, Grid((36, 30, 28), (2.4, 2.4, 2.4), (-12.0, -25.0, 8.0))])
def test_a_moved_map_has_its_density_where_it_was_moved_to(
    angle: float, shift: tuple[float, float, float], target: Grid
) -> None:
    move = placement(angle, shift)
    found = resampled_onto(blobs(GRID, placement(0, (0, 0, 0))), GRID, move, target)
    expected = blobs(target, move)
    inside = (slice(6, -6),) * 3  # the ends of the box left the map
    assert np.abs(found - expected)[inside].max() < 0.03
    assert found.shape == target.shape
    assert found.dtype == np.float32


def test_a_map_that_does_not_reach_is_background_there() -> None:
    array = blobs(GRID, placement(0, (0, 0, 0))) + np.float32(7)
    found = resampled_onto(array, GRID, placement(0, (40.0, 0.0, 0.0)), GRID)
    assert found[:, :, :12] == pytest.approx(7, abs=0.05)


def test_a_placement_counts_from_a_hundredth_of_a_voxel() -> None:
    assert not is_moved(GRID, placement(0, (0, 0, 0)))
    assert not is_moved(GRID, placement(0, (0.01, 0, 0)))
    assert is_moved(GRID, placement(0, (0, 0.03, 0)))
    assert is_moved(GRID, placement(0.1, (0, 0, 0)))
