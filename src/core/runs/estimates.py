"""How long a step will take and how much memory: said beside its button, before anything is read.

The work is counted (values read, maps shown to the network, pairs of voxels compared), and each kind of work has a price, measured on
one core of the reference machine (benchmarks/speed.md). A computer's own speed is learned by whoever asks, from the steps that it has
run. What a command itself plans with, once it has read the maps, is in :mod:`.resources`.

Example::

    estimate(Work("sketch", volumes=500, grid=grid)).text()   # "about 6 s, 0.8 GB"
"""

from __future__ import annotations

from dataclasses import dataclass

from ..blocks.level_harmonization import KEPT_BYTES
from ..blocks.sampling import MOST_COUNTED, USUAL_SUBSAMPLE
from ..blocks.similarity import MOST_SAMPLED, NEIGHBOURS
from ..compute.resources import BYTES_A_VOXEL, need_of_pairs
from ..maps.grid import Grid

OCCUPIED = 0.045  # share of the voxels that are occupied in some volumes: the example's, where no earlier run tells
FIXED = 0.3  # s, of any step
READ = 5e-9  # s for a voxel of a map, read and binarized
PASSES = {"profile": 3, "exact": 1, "published": 1}  # times that each map is read where they do not fit in memory
NETWORK = 0.021  # s for a map, two threads
RESAMPLED = 1.2e-7  # s for a voxel of a map that is brought to another box
PAIR_IN_VOLUME = 8e-11  # s for one pair of voxels in one volume
EDGE = 8e-6  # s for a pair that goes together, while it is clustered
HALF = 0.04  # share of a sketch's comparing and clustering that one random half of the volumes takes, for stability
BASE = 0.1e9  # bytes, of the libraries
NETWORK_MEMORY = 0.32e9  # bytes, of torch and a batch of 4 in each of two threads


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes
    ----------
    step : 'predict', 'sketch' or 'expand'
    volumes : how many take part
    grid : of the maps as they are compared
    statistic, subsample, resamples : as in :class:`.sketch.SketchParameters`
    occupied : voxels that are compared, where an earlier run tells
    block_voxels : of the blocks that are expanded, where an earlier run tells
    read_voxels : of each map's file, where it is resampled on reading
    """

    step: str
    volumes: int
    grid: Grid
    statistic: str = "profile"
    subsample: int | None = None
    resamples: int = 10
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
    """Seconds on the reference machine, and memory."""
    voxels = work.grid.size
    read = work.read_voxels or voxels
    if work.step == "predict":
        seconds = work.volumes * (NETWORK + RESAMPLED * (read if read > 64**3 else 0) + READ * read)
        return Estimate(FIXED + seconds, BASE + NETWORK_MEMORY + BYTES_A_VOXEL * read)
    kept = 4.0 * voxels * work.volumes
    passes = 1 if kept <= KEPT_BYTES else PASSES[work.statistic]
    reading = passes * work.volumes * (READ * read + (RESAMPLED * read if work.read_voxels else 0.0))
    memory = BASE + (kept if kept <= KEPT_BYTES and work.statistic == "profile" else 0) + BYTES_A_VOXEL * voxels + work.volumes * voxels / 4
    occupied = work.occupied if work.occupied is not None else OCCUPIED * voxels
    sample = _sample(work, occupied)
    if work.step == "sketch":
        edges = NEIGHBOURS * sample
        pairs = need_of_pairs(round(sample), work.volumes, edges)
        comparing = sample**2 * work.volumes * PAIR_IN_VOLUME + pairs.seconds + EDGE * edges
        return Estimate(FIXED + reading + comparing * (1 + HALF * work.resamples), memory + pairs.memory)
    block = work.block_voxels if work.block_voxels is not None else sample / 2
    compared = occupied * (min(block, 200) if work.statistic == "profile" else block)
    return Estimate(FIXED + reading + compared * work.volumes * PAIR_IN_VOLUME, memory + 4 * max(occupied, block) * work.volumes)


def _sample(work: Work, occupied: float) -> float:
    """Voxels that a sketch compares."""
    most = MOST_SAMPLED if work.statistic == "profile" else MOST_COUNTED
    if work.subsample is None:
        return min(occupied / USUAL_SUBSAMPLE, most)
    return min(occupied / work.subsample, most) if work.statistic == "profile" else occupied / work.subsample


def _rounded(value: float) -> float:
    """To one digit below 10, two above: an estimate is no more."""
    return round(value) if value < 10 else round(value, -1 if value >= 20 else 0)
