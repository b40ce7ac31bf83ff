"""Pairs of voxels, a strip of them at a time: here, on a graphics card, or on other machines.

A *search* holds what a strip needs: bit-packed occupancy, tables, cuts. :func:`run_tiles` lets each
strip be counted and tested, and gives what they found, in order. No array of all pairs is ever
made. Where that is done is a :class:`Compute`: see :mod:`.backends`.

Searches travel to machines that have numpy and scipy and nothing of ChimeraX, see :mod:`.cluster`:
what ``tile`` calls imports no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress

TileResult = tuple[NDArray[Any], ...]
# (t, V) rows, first -> (t, n - first) float32, a new array: volumes in which a row's voxel and a
# column's, from the column ``first`` on, are both occupied; whole numbers
PairCounter = Callable[[NDArray[np.float32], int], NDArray[np.float32]]


class PairSearch(Protocol):
    """What is looked for among pairs of a row and a column voxel."""

    def rows(self) -> int:
        """Number of row voxels."""

    def columns(self) -> NDArray[np.float32]:
        """(n, V) occupancy of the column voxels, 0 or 1."""

    def tile(self, start: int, stop: int, counter: PairCounter) -> TileResult:
        """What rows ``start`` to ``stop`` find; ``counter`` counts them against the columns."""


class Backend(Protocol):
    """Where strips are counted and tested; what they find is the same everywhere.

    Attributes
    ----------
    name : of the device, for the log and the record
    """

    @property
    def name(self) -> str: ...

    def run(self, search: PairSearch, phase: str, progress: Progress) -> list[TileResult]:
        """As :func:`run_tiles`."""


@dataclass(frozen=True)
class LocalBackend:
    """In this process, one strip after the other.

    Attributes
    ----------
    name : see :class:`Compute`
    counter : makes a Counter for (n, V) columns; None for :func:`product_counter`
    """

    name: str = "cpu"
    counter: Callable[[NDArray[np.float32]], PairCounter] | None = None

    def run(self, search: PairSearch, phase: str, progress: Progress) -> list[TileResult]:
        """As :func:`run_tiles`."""
        columns = search.columns()
        counter = (self.counter or product_counter)(columns)
        found = []
        for start, stop in strips(search.rows(), len(columns)):
            progress.step(phase, start / search.rows())
            found.append(search.tile(start, stop, counter))
        return found


def run_tiles(
    search: PairSearch, phase: str, progress: Progress, compute: Backend | None = None
) -> list[TileResult]:
    """Let every strip of a search be counted and tested; what each found, in order.

    Parameters
    ----------
    search : Search
    phase : in words, for ``progress``
    compute : where; in this process unless given

    Raises
    ------
    SirenError
        If a graphics card or a cluster gives up, see :mod:`.gpu` and :mod:`.cluster`.
    Cancelled
        If ``progress`` was asked to stop.
    """
    return (compute or LocalBackend()).run(search, phase, progress)


def strips(rows: int, columns: int) -> list[tuple[int, int]]:
    """Start and stop of each strip of rows, constants.TILE_PAIRS pairs or one row high."""
    height = max(1, constants.TILE_PAIRS // max(columns, 1))
    return [(start, min(start + height, rows)) for start in range(0, rows, height)]


def product_counter(columns: NDArray[np.float32]) -> PairCounter:
    """Counts by a matrix product: exact, as float32 holds whole numbers below 2**24 (Occupancy has
    fewer volumes).
    """
    return lambda rows, first: rows @ columns[first:].T


def unpack_occupancy(bits: NDArray[np.uint8], volumes: int) -> NDArray[np.float32]:
    """(n, V) float32, 0 or 1, from rows packed by :meth:`.Occupancy.packed`."""
    return np.unpackbits(bits, axis=1, count=volumes).astype(np.float32)


_BITS_SET = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def joint_counts(
    bits: NDArray[np.uint8], first: NDArray[np.integer], second: NDArray[np.integer]
) -> NDArray[np.int64]:
    """(e,) volumes in which both voxels of each pair are occupied, from packed rows."""
    count = np.empty(len(first), np.int64)
    step = max(1, 50_000_000 // max(1, bits.shape[1]))  # 50 MB at a time
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        count[part] = _BITS_SET[bits[first[part]] & bits[second[part]]].sum(axis=1, dtype=np.int64)
    return count


def occupied_counts(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n,) volumes in which each voxel is occupied, from packed rows."""
    every = np.arange(len(bits))
    return joint_counts(bits, every, every)
