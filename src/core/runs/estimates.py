"""Estimates of time and memory, shown beside the button of a step before anything is read.

The amount of work (values read, network predictions, voxel pairs compared) is multiplied by its
cost on one core of the reference machine (devel/benchmarks/speed.md). The caller supplies the
relative speed of the computer, from the steps that it ran before. What a command itself plans with,
after reading the maps, is in :mod:`.resources`.

Example::

    from chimerax.siren.core.maps.grid import Grid
    from chimerax.siren.core.runs.estimates import Work, estimate

    grid = Grid((64, 64, 64), (5.0, 5.0, 5.0))
    estimate(Work("sketch", volumes=500, grid=grid)).text()  # -> 'about 4 s, 0.4 GB'
"""

from __future__ import annotations

from dataclasses import dataclass

from ..blocks.expand import EXPAND_PASSES
from ..blocks.statistics import DEFAULT, statistic_named
from ..common import constants
from ..compute.resources import (
    background_kept,
    excerpt_memory,
    junk_seconds,
    kept_maps,
    pair_requirements,
    reading_memory,
)
from ..maps.grid import Grid

BOX = 64  # to which maps are resampled for the network
CACHED_PASSES = 2  # that reading maps once and keeping them costs as much as
# of maps that are not kept, where densities near voxels that vary are; later passes find these
FEWEST_PASSES = 2


@dataclass(frozen=True)
class Work:
    """The work of a step.

    Attributes
    ----------
    step : str
        'predict', 'sketch' or 'expand'.
    volumes : int
        Number of volumes.
    grid : Grid
        Grid on which maps are compared, after resampling.
    statistic, subsample, resamples
        As in :class:`.blocks.parameters.SketchParameters`.
    occupied : int or None
        Number of voxels compared, if known from an earlier run.
    block_voxels : int or None
        Number of voxels in the blocks to expand, if known from an earlier run.
    read_voxels : int or None
        Voxels of each map's file, if maps are resampled on reading.
    packed : bool
        Whether maps are compressed, in zip files, or not in files: they are kept once read.
    """

    step: str
    volumes: int
    grid: Grid
    statistic: str = DEFAULT
    subsample: int | None = None
    resamples: int = 10
    occupied: int | None = None
    block_voxels: int | None = None
    read_voxels: int | None = None
    packed: bool = False


@dataclass(frozen=True)
class Estimate:
    """Seconds and bytes of memory that a step is expected to need."""

    seconds: float
    memory: float

    def text(self, speed: float = 1.0) -> str:
        """The estimate in words, for a computer that takes ``speed`` times as long."""
        seconds = self.seconds * speed
        if seconds < 90:
            time = f"{max(1, _rounded(seconds)):g} s"
        elif seconds < 5400:
            time = f"{_rounded(seconds / 60):g} min"
        else:
            time = f"{_rounded(seconds / 3600):g} h"
        return f"about {time}, {max(0.1, self.memory / 1e9):.1f} GB"


def estimate(work: Work) -> Estimate:
    """Estimate the time on the reference machine, and the memory, of a step."""
    return _predict(work) if work.step == "predict" else _blocks(work)


def _predict(work: Work) -> Estimate:
    read = work.read_voxels or work.grid.size
    each = constants.NETWORK_SECONDS + constants.READ_SECONDS * read
    if read > 64**3:
        each += constants.RESAMPLE_SECONDS * read
    if work.packed:
        each += constants.UNPACK_SECONDS * read
    memory = constants.LIBRARY_BYTES + constants.NETWORK_BYTES + constants.BYTES_PER_VOXEL * read
    # the flags compare what the levels enclose, eight voxels to a byte, listed and then stacked
    memory += work.volumes * (2 * BOX**3 / 8 + constants.BYTES_PER_VOLUME)
    alike = junk_seconds(work.volumes, constants.TYPICAL_OCCUPIED * BOX**3)
    return Estimate(constants.FIXED_SECONDS + work.volumes * each + alike, memory)


def _blocks(work: Work) -> Estimate:
    """Estimate for a sketch or an expansion."""
    statistic = statistic_named(work.statistic)
    voxels, read = work.grid.size, work.read_voxels or work.grid.size
    slow = work.packed or work.read_voxels is not None
    fits = kept_maps(work.volumes, voxels, slow) > 0
    each = (
        constants.OPEN_SECONDS
        + constants.READ_SECONDS * read
        + (constants.RESAMPLE_SECONDS * read if work.read_voxels else 0.0)
    )
    sketching = work.step == "sketch"
    passes = statistic.passes if sketching else EXPAND_PASSES
    if excerpt_memory(work.volumes, voxels, work.occupied):
        once_more = sketching and statistic.harmonizes  # for the background
        once_more &= not background_kept(work.volumes, voxels, work.occupied)
        passes = min(passes, FEWEST_PASSES + once_more)
    seconds = constants.FIXED_SECONDS + (CACHED_PASSES if fits else passes) * work.volumes * each
    if work.packed:  # kept once they are read, as copying a map is a pass of its own
        seconds += (1 if fits else passes) * work.volumes * constants.UNPACK_SECONDS * read
    copies = 2 if sketching else 1
    memory = constants.LIBRARY_BYTES + reading_memory(
        work.volumes, voxels, copies, slow, work.occupied
    )
    occupied = work.occupied if work.occupied is not None else constants.TYPICAL_OCCUPIED * voxels
    seconds += work.volumes * occupied * constants.EVIDENCE_SECONDS
    most = statistic.most_sampled(work.subsample)
    sample = occupied / (work.subsample or constants.DEFAULT_SUBSAMPLE)
    sample = sample if most is None else min(sample, most)
    if sketching:
        edges = constants.NEIGHBORS * sample
        counting = statistic.counts_in_expand
        pairs = pair_requirements(round(sample), work.volumes, edges, counting)
        comparing = pairs.seconds + constants.EDGE_SECONDS * edges
        seconds += comparing * (1 + constants.HALF_SHARE * work.resamples)
        if statistic.harmonizes:
            seconds += junk_seconds(work.volumes, occupied)
            seconds += work.volumes * constants.SKETCH_VOLUME_SECONDS
        return Estimate(seconds, memory + pairs.memory)
    block = work.block_voxels if work.block_voxels is not None else sample / 2
    going = min(1.0, block / max(1.0, sample))  # share of the voxels that go with a block
    profiles = constants.PROFILE_COMPARISONS + constants.ROUND_COMPARISONS * going
    partners = block if statistic.counts_in_expand else min(block, profiles)
    each = work.volumes * constants.PAIR_SECONDS
    each += 1 / constants.PAIRS_PER_SECOND if statistic.counts_in_expand else 0.0
    seconds += occupied * (partners * each + constants.EXPAND_VOXEL_SECONDS)
    seconds += work.volumes * constants.VOLUME_SECONDS
    columns = 4 * block * work.volumes if statistic.counts_in_expand else 0
    compared = occupied * work.volumes / 4 + columns + constants.TILE_BYTES
    return Estimate(seconds, memory + compared)


def _rounded(value: float) -> float:
    """Rounded to integers below 20 and to tens above: estimates are no more precise."""
    return round(value) if value < 10 else round(value, -1 if value >= 20 else 0)
