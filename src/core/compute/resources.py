"""Memory and time that a sketch needs: told before it starts, refused if it cannot fit."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import psutil

from ..common import constants
from ..common.errors import SirenError
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from ..maps.last_reading import forget


@dataclass(frozen=True)
class Requirements:
    """Memory and time that a step needs.

    Attributes
    ----------
    memory : float
        Bytes, besides those of the interpreter.
    seconds : float
        Reading and comparing, without clustering.
    """

    memory: float
    seconds: float

    def text(self) -> str:
        """In words, rounded: ``about 2.0 GB of memory and 2 min``."""
        return f"about {format_size(self.memory)} of memory and {format_time(self.seconds)}"


def free_memory() -> float:
    """Bytes available without swapping."""
    return float(psutil.virtual_memory().available)


def reading_requirements(ensemble: Ensemble, passes: int) -> Requirements:
    """Requirements of reading and binarizing an ensemble ``passes`` times; times one map."""
    start = time.perf_counter()
    next(ensemble.read())
    each = time.perf_counter() - start
    volumes, voxels = len(ensemble), ensemble.grid.size
    slow = ensemble.is_slow
    times = 1 if kept_maps(volumes, voxels, slow) else passes
    return Requirements(reading_memory(volumes, voxels, slow=slow), each * volumes * times)


def junk_seconds(volumes: int, occupied: float) -> float:
    """Seconds for the search for junk: each volume is compared with each, of thousands with some,
    by so many voxels; see :func:`.outliers.junk_volumes`.
    """
    some = constants.SIMILARITY_VOLUMES_AT_ONCE
    rows = volumes if volumes <= 2 * some else some
    voxels = min(occupied, constants.JUNK_VOXELS) * (1 + constants.JUNK_OUTSIDE)
    return rows * volumes * (constants.JUNK_SECONDS + voxels * constants.PAIR_SECONDS)


def judging_seconds(volumes: int, voxels: int, sketching: bool = True) -> float:
    """Seconds that volumes of so many voxels take besides their reading, however few voxels are
    compared: the search for junk, and the evidence for blocks, with their stability.
    """
    if not sketching:
        return volumes * constants.VOLUME_SECONDS
    junk = junk_seconds(volumes, constants.TYPICAL_OCCUPIED * voxels)
    return junk + volumes * constants.SKETCH_VOLUME_SECONDS


def check_reading(
    ensemble: Ensemble, passes: int, progress: Progress, judging: float = 0.0
) -> None:
    """Say what reading an ensemble takes where it is much, with the seconds of ``judging`` it.

    Raises
    ------
    SirenError
        If it does not fit into memory.
    """
    # before a map is read
    slow, volumes = ensemble.is_slow, len(ensemble)
    reading = Requirements(reading_memory(volumes, ensemble.grid.size, slow=slow), 0.0)
    if not fits_in_memory(reading):
        forget()  # what an earlier step kept
    if not fits_in_memory(reading):
        box = max(ensemble.grid.shape) // 2
        while box > 32 and not fits_in_memory(Requirements(reading_memory(volumes, box**3), 0.0)):
            box //= 2
        raise memory_error(reading, f'use "box {max(32, box)}", or fewer volumes')
    reading = reading_requirements(ensemble, passes)
    need = Requirements(reading.memory, reading.seconds + judging)
    if need.seconds > constants.WARN_SECONDS or need.memory > constants.WARN_BYTES:
        doing = "Reading and judging" if judging else "Reading"
        progress.say(f"{doing} {len(ensemble):,} volumes, {ensemble.grid.text()}: {need.text()}.")


def kept_maps(volumes: int, voxels: int, slow: bool = True) -> float:
    """Bytes of the maps, of so many voxels each, where all are kept in memory; else 0.

    ``slow``: whether they are slow to read; only such are kept, see :meth:`.Ensemble.cached`.
    """
    kept = 4.0 * voxels * volumes
    return kept if slow and kept <= constants.CACHE_BYTES else 0.0


def excerpt_memory(volumes: int, voxels: int, occupied: float | None = None) -> float:
    """Bytes of the densities that are kept near ``occupied`` voxels, those that vary; 0 if these
    are too many, see :func:`.kept.near_blocks`.
    """
    return 4.0 * volumes * _kept_voxels(volumes, voxels, occupied)[0]


def background_kept(volumes: int, voxels: int, occupied: float | None = None) -> bool:
    """Whether there is room, beside these densities, for those of voxels that should not vary, see
    :mod:`.blocks.steady`: a sketch then reads each volume once less.
    """
    return _kept_voxels(volumes, voxels, occupied)[1]


def _kept_voxels(volumes: int, voxels: int, occupied: float | None) -> tuple[float, bool]:
    """How many of each volume, and whether those that should not vary are among them."""
    varying = constants.TYPICAL_OCCUPIED * voxels if occupied is None else occupied
    near = min(constants.SURROUNDINGS * varying, float(voxels))
    steady = 4.0 * constants.MAX_BACKGROUND_VOXELS
    room = ((constants.KEPT_BYTES - 8.0 * voxels) / max(1, volumes) - voxels / 8) / 4
    if near + steady <= room:
        return near + steady, True
    return (near if near <= room else 0.0), False


def reading_memory(
    volumes: int,
    voxels: int,
    copies: int = 2,
    slow: bool = True,
    occupied: float | None = None,
) -> float:
    """Bytes for maps, occupancy, anchors, and densities near blocks; the occupancy bits are held
    twice while the levels are harmonized, which an expansion, of one copy, does not.
    """
    return (
        kept_maps(volumes, voxels, slow)
        + excerpt_memory(volumes, voxels, occupied)
        + constants.BYTES_PER_VOXEL * voxels
        + copies * volumes * voxels / 8
        + (constants.BYTES_PER_VOLUME if copies > 1 else constants.EXPAND_VOLUME_BYTES) * volumes
    )


def pair_requirements(
    sample: int, volumes: int, edges: float, counting: bool = True
) -> Requirements:
    """Requirements of comparing all pairs of a sample of voxels and clustering the edges.

    ``counting``: whether by a statistic that counts volumes for each pair, or by profile.
    """
    pairs = float(sample) ** 2
    rate = constants.PAIRS_PER_SECOND if counting else constants.PROFILE_PAIRS_PER_SECOND
    return Requirements(
        8.0 * sample * volumes + constants.TILE_BYTES + constants.BYTES_PER_EDGE * edges,
        pairs / rate + pairs * volumes * constants.PAIR_SECONDS,
    )


def fits_in_memory(need: Requirements) -> bool:
    """Whether enough memory is free."""
    return need.memory <= constants.MEMORY_SHARE * free_memory()


def memory_error(need: Requirements, remedy: str) -> SirenError:
    """The error for a step that does not fit into memory, with its remedy."""
    return SirenError(
        f"This needs about {format_size(need.memory)} of memory and "
        f"{format_size(free_memory())} are free: {remedy}."
    )


def format_size(size: float) -> str:
    """A size in bytes as text, in MB or GB."""
    return f"{size / 1e9:.1f} GB" if size >= 0.95e9 else f"{max(10, round(size / 1e7) * 10):.0f} MB"


def format_time(seconds: float) -> str:
    """A time in seconds as text, in seconds or minutes."""
    return (
        f"{max(1, np.ceil(seconds)):.0f} s"
        if seconds < 90
        else (f"{np.ceil(seconds / 60):.0f} min")
    )
