"""Voxels that should not vary: which they are, and how some are drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chimerax.siren.core.blocks.occupancy import Occupancy
from chimerax.siren.core.blocks.steady import at_other_levels, steady_voxels
from chimerax.siren.core.common import constants
from chimerax.siren.core.maps.grid import Grid

SHAPE, VOLUMES = (20, 20, 20), 100


@pytest.fixture
def occupancy() -> Occupancy:
    """A core of 6^3 voxels, empty space, and voxels in between."""
    rng = np.random.default_rng(5)
    share = np.full(SHAPE, 0.01)
    share[:, :, :8] = rng.uniform(0.1, 0.9, (20, 20, 8))
    share[8:14, 8:14, 8:14] = 0.995
    bits = rng.random((VOLUMES, 8000)) < share.ravel()
    return of_bits(bits)


def of_bits(bits: np.ndarray) -> Occupancy:
    names = tuple(f"v{i}" for i in range(len(bits)))
    grid, mean = Grid(SHAPE, (1.0,) * 3), np.zeros(SHAPE, np.float32)
    return Occupancy(names, np.ones(len(bits)), np.packbits(bits, axis=1), grid, mean)


def test_some_of_the_quiet_and_of_the_core_are_drawn_all_over_and_each_once(
    occupancy: Occupancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "MAX_BACKGROUND_VOXELS", 300)
    quiet, core = steady_voxels(occupancy)
    often = occupancy.frequency / VOLUMES
    empty = np.flatnonzero(often <= min(np.median(often), constants.QUIET_SHARE))
    full = np.flatnonzero(often >= constants.CORE_SHARE[0])
    assert len(quiet) == len(set(quiet)) == 300 < len(empty) and set(quiet) <= set(empty)
    assert set(core) == set(full) and len(core) == len(full) <= 216  # all of them
    # as many of each tenth of the empty space as chance gives, in no order
    tenths = np.searchsorted(np.quantile(empty, np.arange(0.1, 1, 0.1)), quiet)
    assert (abs(np.bincount(tenths, minlength=10) - 30) < 18).all()
    assert abs(np.corrcoef(np.arange(300), quiet)[0, 1]) < 0.2
    assert all(map(np.array_equal, steady_voxels(replace(occupancy)), (quiet, core)))


def test_those_of_other_levels_are_among_those_that_are_read_before(
    occupancy: Occupancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "MAX_BACKGROUND_VOXELS", 100)
    before = at_other_levels(occupancy)
    assert len(before) <= 400 and (np.diff(before) > 0).all()
    rng = np.random.default_rng(6)
    bits = np.unpackbits(occupancy.bits, axis=1, count=8000) ^ (rng.random((VOLUMES, 8000)) < 0.004)
    after = steady_voxels(of_bits(bits))
    assert not all(map(np.array_equal, after, steady_voxels(occupancy)))
    assert set(np.concatenate(after)) <= set(before)


def test_where_no_voxel_is_in_all_volumes_the_most_frequent_are_the_core() -> None:
    bits = np.zeros((10, 8000), bool)
    for v in range(8):
        bits[v, : 1000 - 100 * v] = True
    core = steady_voxels(of_bits(bits))[1]
    assert len(core) >= constants.MIN_CORE_VOXELS
    assert sorted(core) == list(range(len(core)))
