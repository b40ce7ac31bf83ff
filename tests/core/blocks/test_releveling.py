"""Volumes binarized at other levels from what was kept: as if each had been read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.blocks.occupancy import Occupancy, binarize
from chimerax.siren.core.blocks.releveling import Releveling
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble, find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.last_reading import forget
from chimerax.siren.core.maps.mapfile import write_map
from chimerax.siren.core.maps.source import Source

VOLUMES, SHAPE = 40, (24, 24, 24)


@pytest.fixture
def ensemble(tmp_path: Path) -> Ensemble:
    """A core, a part in half of the volumes, and in one volume a speck far from both that is just
    above the level.
    """
    rng = np.random.default_rng(3)
    for v in range(VOLUMES):
        array = rng.normal(0, 0.05, SHAPE).astype(np.float32)
        array[3:9, 3:9, 3:9] += 1
        array[9:12, 3:9, 3:9] += v % 2
        if v == 7:
            array[20, 20, 20] = 0.51
        write_map(tmp_path / f"vol_{v:02d}.mrc", array, Grid(SHAPE, (4.0,) * 3), "")
    return find_ensemble([tmp_path])


def kept_of(ensemble: Ensemble, occupancy: Occupancy) -> Releveling:
    again = Releveling.of(ensemble, occupancy, 0.1)
    assert again is not None
    for v, (_, array) in enumerate(ensemble.read()):
        again.add(v, array.ravel(), 0.0)
    return again


@pytest.mark.parametrize("change", [0.0, 0.03, 0.3])
def test_other_levels_give_what_reading_again_gives(
    ensemble: Ensemble, change: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    occupancy = binarize(ensemble, np.full(VOLUMES, 0.5))
    again = kept_of(ensemble, occupancy)
    assert len(again.excerpt) < occupancy.grid.size
    levels = 0.5 * (1 + change * np.linspace(-1, 1, VOLUMES))
    levels[7] = 0.5 * (1 + change)  # the speck goes
    read: list[str] = []
    plain = Source.read_as_is
    monkeypatch.setattr(Source, "read_as_is", lambda self: read.append(self.name) or plain(self))
    found = again.at(levels, ensemble, Progress())
    # those alone that change by more than was looked at, and the one with the speck
    far = np.abs(levels - 0.5) > constants.LEVEL_CHANGE * 0.5 * (1 + 1e-12)
    far[7] = True
    assert read == [n for n, f in zip(ensemble.names, far, strict=True) if f]
    forget()
    expected = binarize(ensemble, levels, mean=occupancy.mean)
    assert found is not None and found.names == expected.names
    np.testing.assert_array_equal(found.bits, expected.bits)
    np.testing.assert_array_equal(found.frequency, expected.frequency)
    np.testing.assert_array_equal(found.levels, expected.levels)


def test_a_volume_that_becomes_empty_is_left_to_reading_again(ensemble: Ensemble) -> None:
    occupancy = binarize(ensemble, np.full(VOLUMES, 0.5))
    levels = np.full(VOLUMES, 0.5)
    levels[3] = 100
    assert kept_of(ensemble, occupancy).at(levels, ensemble, Progress()) is None


def test_nothing_is_kept_beyond_the_limit(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    occupancy = binarize(ensemble, np.full(VOLUMES, 0.5))
    monkeypatch.setattr(constants, "KEPT_BYTES", occupancy.bits.nbytes)
    assert Releveling.of(ensemble, occupancy, 0.1) is None
