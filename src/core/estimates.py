"""How long a step will take and how much memory: asked before it is run.

The work is counted (values read, maps shown to the network, pairs of voxels compared), and each kind of work has a
price, measured on the reference machine. A computer's own speed is learned by whoever asks, from the steps that it has run.

Example::

    estimate(Work("sketch", volumes=500, grid=grid, statistic="profile", subsample=2)).text()   # "about 6 s, 0.4 GB"
"""

from __future__ import annotations

from dataclasses import dataclass

from .grid import Grid

OCCUPIED = 0.045  # share of the voxels that are occupied in some volumes: the example's; real particles' are much the same
FIXED = 0.3  # s, of any step
READ = 1.1e-8  # s for a voxel of a map, read and binarized once
PASSES = {"profile": 3, "exact": 1, "published": 1}  # times that each map is read
NETWORK = 0.021  # s for a map
RESAMPLED = 1.2e-7  # s for a voxel of a map that is brought to the network's box
PAIR = {"profile": 3.2e-10, "exact": 2.0e-10, "published": 3.0e-10}  # s for one pair of voxels in one volume
BASE = 0.1  # GB, of the libraries
NETWORK_MEMORY = 0.28  # GB, of torch and one batch of 8
TILES = 0.1  # GB, of the pairs that are compared at a time


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes
    ----------
    step : 'predict', 'sketch' or 'expand'
    volumes : how many take part
    grid : of the maps as they are compared
    statistic, subsample : as in :class:`.sketch.SketchParameters`
    occupied : voxels that are compared, where an earlier run tells
    block_voxels : of the blocks that are expanded, where an earlier run tells
    read_voxels : of each map's file, where it is resampled on reading
    """

    step: str
    volumes: int
    grid: Grid
    statistic: str = "profile"
    subsample: int = 2
    occupied: int | None = None
    block_voxels: int | None = None
    read_voxels: int | None = None


@dataclass(frozen=True)
class Estimate:
    """What a step will need: seconds, and bytes of memory."""

    seconds: float
    memory: float

    def text(self, speed: float = 1.0) -> str:
        """In words, for a computer that takes ``speed`` times as long."""
        seconds = self.seconds * speed
        if seconds < 90:
            time = f"{max(1, _rounded(seconds)):g} s"
        elif seconds < 5400:
            time = f"{_rounded(seconds / 60):g} min"
        else:
            time = f"{_rounded(seconds / 3600):g} h"
        return f"about {time}, {max(0.1, self.memory / 1e9):.1f} GB"


def estimate(work: Work) -> Estimate:
    """Seconds on the reference machine (2 cores), and memory."""
    voxels = work.grid.size
    read = work.read_voxels or voxels
    if work.step == "predict":
        seconds = work.volumes * (NETWORK + RESAMPLED * (read if read > 64**3 else 0) + READ * read)
        return Estimate(FIXED + seconds, 1e9 * (BASE + NETWORK_MEMORY) + 24 * read)
    resampling = RESAMPLED * read if work.read_voxels else 0.0
    passes = PASSES[work.statistic]
    occupied = work.occupied if work.occupied is not None else OCCUPIED * voxels
    sample = occupied / max(1, work.subsample)
    if work.step == "sketch":
        pairs = sample**2 / (1 if work.statistic == "profile" else 2)
    else:
        block = work.block_voxels if work.block_voxels is not None else sample / 2
        pairs = occupied * (block if work.statistic != "profile" else min(block, 200))
        sample = occupied if work.statistic == "profile" else max(sample, block)
    seconds = passes * work.volumes * (READ * read + resampling) + pairs * work.volumes * PAIR[work.statistic]
    memory = 1e9 * (BASE + TILES) + work.volumes * voxels / 8 + 12 * voxels + 4 * sample * work.volumes
    return Estimate(FIXED + seconds, memory)


def _rounded(value: float) -> float:
    """To one digit below 10, two above: an estimate is no more."""
    return round(value) if value < 10 else round(value, -1 if value >= 20 else 0)
