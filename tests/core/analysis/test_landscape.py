"""The volumes as points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from chimerax.siren.core.analysis.block_occupancy import States
from chimerax.siren.core.analysis.landscape import landscape, plane_of
from chimerax.siren.core.common.errors import SirenError


def states(share: np.ndarray) -> States:
    blocks, many = share.shape
    names = tuple(f"vol_{k}.mrc" for k in range(many))
    numbers = tuple(range(1, blocks + 1))
    return States(names, np.ones(many), numbers, np.full(blocks, 9), share.astype(np.float32))


def test_points_are_the_two_dimensional_projection_that_keeps_the_most_of_the_variance() -> None:
    share = np.random.default_rng(0).random((5, 80)) * np.array([[1], [0.2], [0.9], [0.1], [0.05]])
    found = landscape(states(share))
    centered = share.T - share.T.mean(axis=0)
    # numpy's decomposition of the data itself, another way to the same
    _, sizes, directions = np.linalg.svd(centered, full_matrices=False)
    expected = centered @ directions[:2].T
    assert np.abs(found.points) == pytest.approx(np.abs(expected), abs=1e-5)
    assert found.axes[0].endswith(f"({100 * sizes[0] ** 2 / (sizes**2).sum():.0f} %)")


def test_volumes_that_differ_in_two_ways_keep_their_distances() -> None:
    plane = np.random.default_rng(1).random((2, 40))
    share = np.array([[0.5, 0.1], [0.1, 0.4], [0.2, 0.2]]) @ plane
    found = landscape(states(share))
    assert pdist(found.points) == pytest.approx(pdist(share.T), abs=1e-5)


def test_the_side_of_an_axis_does_not_depend_on_the_order_of_the_volumes() -> None:
    share = np.random.default_rng(2).random((4, 30))
    order = np.random.default_rng(3).permutation(30)
    one, other = landscape(states(share)), landscape(states(share[:, order]))
    assert one.points[order] == pytest.approx(other.points, abs=1e-5)


def test_two_blocks_are_the_axes_and_one_is_beside_the_order_of_the_volumes() -> None:
    share = np.random.default_rng(4).random((2, 6)).astype(np.float32)
    found = landscape(states(share))
    assert found.points.tolist() == share.T.tolist()
    assert found.axes == ("share of block 1", "share of block 2")
    one = landscape(states(share[:1]))
    assert one.points.tolist() == [[float(s), k] for k, s in enumerate(share[0], 1)]


def test_volumes_that_are_all_alike_are_one_point() -> None:
    found = landscape(states(np.full((3, 5), 0.5)))
    assert np.abs(found.points).max() < 1e-6


def test_latent_coordinates_have_their_own_words() -> None:
    z = np.random.default_rng(5).normal(size=(20, 8))
    found = plane_of([f"v{k}" for k in range(20)], z, [f"latent {k}" for k in range(8)], "latent")
    assert found.points.shape == (20, 2)
    assert found.axes[1].startswith("component 2 of the latent (")


def test_without_blocks_there_is_no_place_for_a_volume() -> None:
    with pytest.raises(SirenError, match="no blocks"):
        landscape(states(np.empty((0, 4))))
