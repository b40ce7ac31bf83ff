"""How much memory and time a sketch takes: said before it starts, refused where it cannot fit."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import psutil

from ..common import constants
from ..common.errors import SirenError
from ..maps.ensemble import Ensemble


@dataclass(frozen=True)
class Need:
    """What a step takes.

    Attributes
    ----------
    memory : bytes over the interpreter
    seconds : of reading and comparing; clustering comes on top
    """

    memory: float
    seconds: float

    def text(self) -> str:
        """In words, with sensible digits."""
        return f"about {size_text(self.memory)} of memory and {time_text(self.seconds)}"


def free_memory() -> float:
    """Bytes that can be had without swapping."""
    return float(psutil.virtual_memory().available)


def need_of_reading(ensemble: Ensemble, passes: int) -> Need:
    """To read and binarize an ensemble; one map is read to see how fast that goes."""
    start = time.perf_counter()
    next(ensemble.read())
    each = time.perf_counter() - start
    volumes, voxels = len(ensemble), ensemble.grid.size
    kept = 4.0 * voxels * volumes
    if kept > constants.KEPT_BYTES:
        kept = 0.0
    # bits are there twice while levels are brought into line
    memory = kept + constants.BYTES_A_VOXEL * voxels + 2 * volumes * voxels / 8
    return Need(memory, each * volumes * (1 if kept else passes))


def need_of_pairs(sample: int, volumes: int, edges: float) -> Need:
    """To compare all pairs of a sample and cluster the edges among them."""
    pairs = float(sample) ** 2
    return Need(
        4.0 * sample * volumes + constants.TILE_BYTES + constants.BYTES_AN_EDGE * edges,
        pairs / constants.PAIRS_A_SECOND,
    )


def fits(need: Need) -> bool:
    """Whether there is memory enough."""
    return need.memory <= constants.MEMORY_SHARE * free_memory()


def refusal(need: Need, remedy: str) -> SirenError:
    """The error of what does not fit, with its remedy."""
    return SirenError(
        f"This needs about {size_text(need.memory)} of memory and "
        f"{size_text(free_memory())} are free: {remedy}."
    )


def size_text(size: float) -> str:
    """Bytes in MB or GB."""
    return f"{size / 1e9:.1f} GB" if size >= 0.95e9 else f"{max(10, round(size / 1e7) * 10):.0f} MB"


def time_text(seconds: float) -> str:
    """Seconds or minutes."""
    return (
        f"{max(1, np.ceil(seconds)):.0f} s"
        if seconds < 90
        else (f"{np.ceil(seconds / 60):.0f} min")
    )
