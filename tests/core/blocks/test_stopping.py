"""Work on ten thousand volumes looks for a stop several times a second."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from chimerax.siren.core.blocks.background import effective_by
from chimerax.siren.core.blocks.level_harmonization import Anchors, harmonized_levels
from chimerax.siren.core.blocks.noise import measure_noise
from chimerax.siren.core.blocks.occupancy import Occupancy
from chimerax.siren.core.blocks.outliers import junk_volumes
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.grid import Grid

VOLUMES, SHAPE = 10_000, (16, 16, 16)
MOST = 5.0  # products between two looks; one takes 0.14 s of an ordinary core


class Watched(Progress):
    """Measures the CPU time of this thread between two steps."""

    def __init__(self) -> None:
        super().__init__()
        self.longest, self.steps = 0.0, 0
        self._last = time.thread_time()

    def step(self, phase: str, fraction: float = 0.0) -> None:
        now = time.thread_time()
        self.longest, self._last = max(self.longest, now - self._last), now
        self.steps += 1


@pytest.fixture(scope="module")
def product() -> float:
    """CPU seconds of a known product of matrices."""
    rows = (np.random.default_rng(0).random((4735, 500)) < 0.3).astype(np.float32)
    seconds = []
    for _ in range(3):
        start = time.process_time()  # of all threads
        rows @ rows.T
        seconds.append(time.process_time() - start)
    return min(seconds)


@pytest.fixture(scope="module")
def volumes() -> tuple[Anchors, Occupancy]:
    """Anchors as many as there are at most, and which voxels are occupied."""
    rng = np.random.default_rng(2)
    count = constants.MAX_ANCHORS
    scale = rng.uniform(0.8, 1.2, VOLUMES).astype(np.float32)[:, None]
    values = rng.standard_normal((VOLUMES, 2 * count), np.float32)
    values *= np.float32(0.2)
    values[:, :count] += rng.uniform(1, 2, count).astype(np.float32)
    values *= scale
    core, background = np.arange(count), 2000 + np.arange(count)
    anchors = Anchors(core, background, values[:, :count], values[:, count:])
    size = int(np.prod(SHAPE))
    bits = rng.integers(0, 256, (VOLUMES, size // 8), np.uint8)
    occupancy = Occupancy(
        tuple(map(str, range(VOLUMES))),
        scale[:, 0] * rng.uniform(0.4, 0.6, VOLUMES),
        bits,
        Grid(SHAPE, (4.0,) * 3),
        np.zeros(SHAPE, np.float32),
    )
    return anchors, occupancy


@pytest.mark.slow
@pytest.mark.parametrize(
    "work",
    [
        lambda anchors, occupancy, p: harmonized_levels(occupancy.levels, anchors, p),
        lambda anchors, occupancy, p: measure_noise(anchors, occupancy.grid, p),
        lambda anchors, occupancy, p: effective_by(anchors, occupancy, p),
        lambda anchors, occupancy, p: junk_volumes(occupancy, np.arange(1500), progress=p),
    ],
    ids=["harmonizing", "noise", "independent", "junk"],
)
def test_a_stop_is_looked_for_within_a_few_products(
    work: Callable[[Anchors, Occupancy, Progress], object],
    volumes: tuple[Anchors, Occupancy],
    product: float,
) -> None:
    progress = Watched()
    work(*volumes, progress)
    assert progress.steps > 5
    progress.step("")
    assert progress.longest < MOST * product
