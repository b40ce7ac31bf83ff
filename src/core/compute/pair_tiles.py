"""All pairs of voxels in tiles: counted on the CPU, on a graphics card or on a cluster.

A *search* (:class:`TileSearch`) holds the data of a comparison: bit-packed occupancy, tables,
cutoffs. :func:`run_tiles` counts and tests one strip of rows at a time against all columns and
collects the results in order, so that no array of all pairs is ever made. A :class:`Backend` is
where this runs, see :mod:`.backends`.

Searches are sent to machines with numpy and scipy but without ChimeraX, see :mod:`.cluster`: code
called by ``tile`` may import nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress

TileResult = tuple[NDArray[Any], ...]
# (t, V) rows, first -> (t, n - first) float32, a new array: number of volumes in which the voxel of
# a row and that of a column, from column ``first`` on, are both occupied
PairCounter = Callable[[NDArray[np.float32], int], NDArray[np.float32]]


class TileSearch(Protocol):
    """A comparison of every row voxel with every column voxel."""

    def rows(self) -> int:
        """Number of row voxels."""

    def columns(self) -> NDArray[np.float32]:
        """(n, V) occupancy of the column voxels, 0 or 1."""

    def tile(self, start: int, stop: int, counter: PairCounter) -> TileResult:
        """Results of rows ``start`` to ``stop``; ``counter`` counts them against the columns."""


@runtime_checkable
class SymmetricSearch(Protocol):
    """A search of voxels among themselves, which need not count a pair twice where strips are
    computed one after the other.
    """

    def mirror(self) -> Any:
        """What is handed from one strip to the next, as ``mirror`` of ``tile``."""


class Backend(Protocol):
    """Where tiles are computed; the results are the same on all backends.

    Attributes
    ----------
    name : str
        Name of the device, for the log and the record.
    """

    @property
    def name(self) -> str:
        """Name of the device, for the log and the record."""

    def run(self, search: TileSearch, phase: str, progress: Progress) -> list[TileResult]:
        """As :func:`run_tiles`."""


@dataclass(frozen=True)
class LocalBackend:
    """Computes tiles in this process, one strip after the other.

    Attributes
    ----------
    name : str
        See :class:`Backend`.
    counter : callable or None
        Makes a PairCounter for (n, V) columns; None for :func:`product_counter`.
    """

    name: str = "cpu"
    counter: Callable[[NDArray[np.float32]], PairCounter] | None = None

    def run(self, search: TileSearch, phase: str, progress: Progress) -> list[TileResult]:
        """As :func:`run_tiles`."""
        columns = search.columns()
        counter = (self.counter or product_counter)(columns)
        results = []
        tile: Callable[..., TileResult] = search.tile
        if isinstance(search, SymmetricSearch):
            tile = partial(tile, mirror=search.mirror())
        for start, stop in strips(search.rows(), len(columns)):
            progress.step(phase, start / search.rows())
            results.append(tile(start, stop, counter))
        return results


def run_tiles(
    search: TileSearch, phase: str, progress: Progress, backend: Backend | None = None
) -> list[TileResult]:
    """Count and test all strips of a search.

    Parameters
    ----------
    search : TileSearch
    phase : str
        Name of the phase, for ``progress``.
    backend : Backend, optional
        Default: this process, on the CPU.

    Returns
    -------
    list of TileResult
        The result of each strip, in order.

    Raises
    ------
    SirenError
        If a graphics card or a cluster fails, see :mod:`.gpu` and :mod:`.cluster`.
    Cancelled
        If ``progress`` was asked to stop.
    """
    return (backend or LocalBackend()).run(search, phase, progress)


def strips(rows: int, columns: int) -> list[tuple[int, int]]:
    """Start and stop of each strip of rows: constants.TILE_PAIRS pairs, but one row or more."""
    height = max(1, constants.TILE_PAIRS // max(columns, 1))
    return [(start, min(start + height, rows)) for start in range(0, rows, height)]


def product_counter(columns: NDArray[np.float32]) -> PairCounter:
    """Counter that uses matrix products of the (n, V) columns.

    Counts are exact: float32 holds integers up to 2**24, and Occupancy has fewer volumes. So a
    product has room for the counts of several columns: that of a + 512 b is (count of a) + 512
    (count of b), from which both are read. It takes as long as that of one.
    """
    volumes = columns.shape[1]
    together = packed_columns(volumes)
    if together == 1:
        return lambda rows, first: rows @ columns[first:].T
    # powers of 2, so that each step is exact
    factors = [np.float32(1 << volumes.bit_length() * k) for k in range(together)]

    def count(rows: NDArray[np.float32], first: int) -> NDArray[np.float32]:
        result = np.empty((len(rows), len(columns) - first), np.float32)
        # some at a time, and in the same memory, so that they stay in the processor's cache
        most = min(PACKED_AT_ONCE, -(-result.shape[1] // together))
        packed, added = np.empty((2, most, volumes), np.float32)
        product, rest = np.empty((2, len(rows) * most), np.float32)
        for start in range(0, result.shape[1], max(1, together * most)):
            some = columns[first + start : first + start + together * most]
            width = -(-len(some) // together)
            parts = [some[k * width : (k + 1) * width] for k in range(together)]
            packed[:width] = parts[0]
            for part, factor in zip(parts[1:], factors[1:], strict=True):
                packed[: len(part)] += np.multiply(part, factor, out=added[: len(part)])
            shape = len(rows), width
            counted = product[: len(rows) * width].reshape(shape)
            np.matmul(rows, packed[:width].T, out=counted)
            for k in range(together - 1, 0, -1):
                size = len(parts[k])
                high = result[:, start + k * width : start + k * width + size]
                work = rest[: len(rows) * width].reshape(shape)[:, :size]
                np.floor(np.multiply(counted[:, :size], 1 / factors[k], out=work), out=high)
                counted[:, :size] -= np.multiply(high, factors[k], out=work)
            result[:, start : start + width] = counted
        return result

    return count


PACKED_AT_ONCE = 1024  # columns of a product: few enough for a processor's cache
FEW_TO_PACK = 128  # volumes: a product of fewer takes no longer than to read several counts from it


def packed_columns(volumes: int) -> int:
    """Columns whose counts, 0 to V, fit into one float32 beside each other; 1 where it is not worth
    it.
    """
    if volumes < FEW_TO_PACK:
        return 1
    return max(1, 24 // volumes.bit_length())


def unpack_occupancy(bits: NDArray[np.uint8], volumes: int) -> NDArray[np.float32]:
    """(n, V) float32, 0 or 1, from rows packed by :meth:`.Occupancy.packed`."""
    return np.unpackbits(bits, axis=1, count=volumes).astype(np.float32)


_BITS_SET = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


def joint_counts(
    bits: NDArray[np.uint8], first: NDArray[np.integer], second: NDArray[np.integer]
) -> NDArray[np.int64]:
    """(e,) number of volumes in which both voxels of each pair are occupied, from packed rows."""
    count = np.empty(len(first), np.int64)
    step = max(1, 50_000_000 // max(1, bits.shape[1]))  # 50 MB at a time
    for start in range(0, len(first), step):
        part = slice(start, start + step)
        count[part] = _BITS_SET[bits[first[part]] & bits[second[part]]].sum(axis=1, dtype=np.int64)
    return count


def occupied_counts(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n,) number of volumes in which each voxel is occupied, from packed rows."""
    every = np.arange(len(bits))
    return joint_counts(bits, every, every)
