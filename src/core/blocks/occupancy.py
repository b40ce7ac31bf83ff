"""Which voxels are occupied in which volumes, bit-packed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.errors import SirenError, join_names
from ..common.progress import Progress
from ..compute.pair_tiles import unpack_occupancy
from ..maps.contrast import REMEDY, is_inverted
from ..maps.ensemble import Ensemble
from ..maps.excerpt import Excerpt
from ..maps.grid import Grid

BYTE = 255  # largest count that a byte holds


@dataclass(frozen=True)
class Occupancy:
    """The binarized ensemble.

    Attributes
    ----------
    names : tuple of str, V volumes
    levels : (V,) float64, the contour level of each
    bits : (V, ceil(N/8)) uint8, voxels packed eight to a byte (numpy.packbits, flat z, y, x order)
    grid : Grid of N voxels
    mean : (z, y, x) float32, mean of the volumes
    left_out : reason by name, for the volumes that were dropped
    among : flat indices, ascending, of the voxels that ``bits`` holds if these are not all of the
        grid, as in :func:`.stability.halves_at_other_levels`
    """

    names: tuple[str, ...]
    levels: NDArray[np.float64]
    bits: NDArray[np.uint8]
    grid: Grid
    mean: NDArray[np.float32]
    left_out: dict[str, str] = field(default_factory=dict)
    among: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def frequency(self) -> NDArray[np.int32]:
        """(N,) number of volumes in which each voxel is occupied."""
        if self.among is None:
            return _count(self.bits, self.grid.size)
        total = np.zeros(self.grid.size, np.int32)
        total[self.among] = _count(self.bits, len(self.among))
        return total

    @cached_property
    def median_frequency(self) -> float:
        """Of all voxels of the box: where less than half of it is ever occupied, that of what is
        empty.
        """
        # a count of whole numbers takes a fraction of the time of numpy.median
        reached = np.cumsum(np.bincount(self.frequency))
        size = self.frequency.size
        middle = np.searchsorted(reached, [(size - 1) // 2, size // 2], side="right")
        return float(middle.mean())

    def union(self, fraction: float) -> NDArray[np.int64]:
        """Flat indices, ascending, of voxels occupied in more than ``fraction`` of the volumes."""
        return np.flatnonzero(self.frequency > fraction * len(self))

    def rows(self, voxels: NDArray[np.integer]) -> NDArray[np.float32]:
        """(n, V) float32, 1 where the voxel is occupied.

        Floats, so that matrix products count; counts below 2**24 are exact in float32.
        """
        known = self._remembered(voxels)
        if known is not None:
            return unpack_occupancy(known, len(self))
        return (self._values(voxels) > 0).astype(np.float32)

    def counts(self, voxels: NDArray[np.integer]) -> NDArray[np.float64]:
        """(V,) how many of the (n,) voxels are occupied in each volume."""
        total = np.zeros(len(self))
        for start in range(0, len(voxels), constants.TILE_VOXELS):
            bits = self.packed(voxels[start : start + constants.TILE_VOXELS])
            total += counts_of_rows(bits, len(self))
        return total

    def _values(self, voxels: NDArray[np.integer]) -> NDArray[np.uint8]:
        """(n, V) above 0 where the voxel is occupied."""
        held = (
            np.asarray(voxels, np.int64)
            if self.among is None
            else np.searchsorted(self.among, voxels)
        )
        byte, place = np.divmod(held, 8)
        # most voxels have neighbors in the same byte; and whole rows are copied fastest
        distinct, which = np.unique(byte, return_inverse=True)
        by_byte = np.ascontiguousarray(self.bits.take(distinct, axis=1).T)
        values = np.take(by_byte, which, axis=0)
        bit = (128 >> place).astype(np.uint8)
        np.bitwise_and(values, bit[:, None], out=values)
        return values

    def packed(self, voxels: NDArray[np.integer]) -> NDArray[np.uint8]:
        """(n, ceil(V/8)) uint8: :meth:`rows` with eight volumes to a byte."""
        known = self._remembered(voxels)
        if known is not None:
            return known
        tiles = [
            np.packbits(self._values(voxels[start : start + constants.TILE_VOXELS]), axis=1)
            for start in range(0, len(voxels), constants.TILE_VOXELS)
        ]
        return np.concatenate(tiles) if tiles else np.empty((0, -(-len(self) // 8)), np.uint8)

    def remember(self, voxels: NDArray[np.int64], like: Occupancy | None = None) -> None:
        """Keep some voxels, ascending flat indices, by voxel as well as by volume: others are
        found more slowly. ``like``: has the same bits, and remembers them, too.
        """
        held, bits = vars(like or self).get("by_voxel", (None, None))
        if held is None or not np.array_equal(held, voxels):
            held, bits = voxels, self.packed(voxels)
        for one in (self, like or self):
            vars(one)["by_voxel"] = held, bits

    def _remembered(self, voxels: NDArray[np.integer]) -> NDArray[np.uint8] | None:
        """:meth:`packed` of voxels that were remembered; None if some were not."""
        held, bits = vars(self).get("by_voxel", (None, None))
        if held is None or not len(held) or not len(voxels):
            return None
        places = np.searchsorted(held, voxels)
        if not np.array_equal(held.take(places, mode="clip"), voxels):
            return None
        return np.asarray(bits.take(places, axis=0))

    def leaving_out(self, left_out: dict[str, str]) -> Occupancy:
        """The same, with these volumes as those that were left out."""
        same = replace(self, left_out=left_out)
        vars(same).update({k: v for k, v in vars(self).items() if k in ("frequency", "by_voxel")})
        return same

    def without(self, dropped: NDArray[np.bool_]) -> Occupancy:
        """Drop the volumes flagged in ``dropped``, (V,) bool; ``mean`` remains that of all."""
        names = tuple(n for n, d in zip(self.names, dropped, strict=True) if not d)
        fewer = replace(self, names=names, levels=self.levels[~dropped], bits=self.bits[~dropped])
        # subtract if few are dropped; otherwise recount on demand
        if "frequency" in vars(self) and 4 * dropped.sum() < len(self):
            vars(fewer)["frequency"] = self.frequency - _count(self.bits[dropped], self.grid.size)
        return fewer


def variable_voxels(occupancy: Occupancy, fraction: float) -> NDArray[np.int64]:
    """Flat indices of the voxels occupied, and empty, in more than ``fraction`` of the volumes."""
    least = max(1.0, fraction * len(occupancy))  # a single volume cannot relate two voxels
    return np.flatnonzero(
        (occupancy.frequency > least) & (occupancy.frequency < len(occupancy) - least)
    )


@dataclass
class Kept:
    """What is kept of volumes binarized at some levels, see :mod:`.maps.last_reading`.

    Attributes
    ----------
    occupancy : Occupancy
    background : :class:`.background.Background` of the same volumes, once measured
    all_round : (V, d) density of each volume at each distance from the middle of the box, see
        :mod:`.shells`, once measured
    excerpt : densities near voxels that may be in blocks, as far as they were read
    """

    occupancy: Occupancy
    background: Any = None
    all_round: NDArray[np.float64] | None = None
    excerpt: Excerpt | None = field(default=None, repr=False)

    @property
    def size(self) -> float:
        """Bytes of the occupancy: bits, mean and frequency."""
        return self.occupancy.bits.nbytes + 8.0 * self.occupancy.grid.size


def _count(bits: NDArray[np.uint8], voxels: int) -> NDArray[np.int32]:
    """(N,) number of rows of packed bits in which each voxel is set."""
    total = np.zeros(voxels, np.int32)
    for start in range(0, len(bits), BYTE):  # bytes add up fastest
        some = np.zeros(voxels, np.uint8)
        for row in bits[start : start + BYTE]:
            some += np.unpackbits(row, count=voxels)
        total += some
    return total


def counts_of_rows(
    bits: NDArray[np.uint8], volumes: int, weights: NDArray[np.integer] | None = None
) -> NDArray[np.float64]:
    """(V,) how many of (n, ceil(V / 8)) rows of packed bits are set in each volume, or the sum of
    their (n,) weights.
    """
    total = np.zeros(volumes)
    step = BYTE if weights is None else constants.TILE_VOXELS
    for start in range(0, len(bits), step):
        tile = np.unpackbits(bits[start : start + step], axis=1, count=volumes)
        if weights is None:
            total += np.add.reduce(tile, axis=0, dtype=np.uint8)  # bytes add up fastest
        else:
            total += np.einsum("nv,n->v", tile, weights[start : start + step].astype(np.int64))
    return total


def within_two_sd(levels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which levels lie within mean +- 2 (population) SD: the published tool's ``filter``."""
    return np.abs(levels - levels.mean()) <= 2 * levels.std() * (1 + 1e-12)


def binarize(
    ensemble: Ensemble,
    levels: NDArray[np.float64],
    filter: bool = False,
    progress: Progress | None = None,
    mean: NDArray[np.float32] | None = None,
) -> Occupancy:
    """Binarize each volume at its own level; one volume is in memory at a time.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    levels : (V,) contour level of each, in the map's units
    filter : drop volumes whose level is beyond mean +- 2 SD of all levels
    mean : (z, y, x) of these volumes, if it is known: it takes as long as the rest

    Returns
    -------
    Occupancy, the one that was made last of these files at these levels if there is one: see
    :mod:`.maps.last_reading`

    Raises
    ------
    SirenError
        If a level is not finite, or fewer than 2 volumes are left that are neither filtered nor
        empty.
    """
    progress = progress or Progress()
    levels = np.asarray(levels, np.float64)
    if levels.shape != (len(ensemble),):
        raise ValueError(f"{levels.shape} levels for {len(ensemble)} volumes")
    bad = [n for n, level in zip(ensemble.names, levels, strict=True) if not np.isfinite(level)]
    if bad:
        raise SirenError(
            f"The threshold of {join_names(bad)} is not a number: correct the table, or "
            "exclude the volume."
        )
    left_out: dict[str, str] = {}
    keep = within_two_sd(levels) if filter else np.ones(len(ensemble), bool)
    left_out.update(
        {
            n: "threshold beyond mean +- 2 SD"
            for n, k in zip(ensemble.names, keep, strict=True)
            if not k
        }
    )
    level_of = dict(zip(ensemble.names, levels, strict=True))
    chosen = ensemble.select(exclude=tuple(left_out)) if left_out else ensemble
    used = tuple(level_of[n] for n in chosen.names)
    known = chosen.recall(used)
    if isinstance(known, Kept):
        return known.occupancy.leaving_out({**left_out, **known.occupancy.left_out})

    bits = np.empty((len(chosen), (ensemble.grid.size + 7) // 8), np.uint8)
    total, some = (
        np.zeros(ensemble.grid.shape, np.float64),
        np.zeros(ensemble.grid.shape, np.float32),
    )
    frequency, few = np.zeros(ensemble.grid.size, np.int32), np.zeros(ensemble.grid.size, np.uint8)
    kept: list[str] = []
    mask = np.empty(ensemble.grid.shape, bool)
    for name, array in chosen.read(progress, "reading volumes"):
        np.greater(array, level_of[name], out=mask)
        if not mask.any():
            if mean is not None:  # no longer of these volumes
                return binarize(ensemble, levels, filter, progress)
            left_out[name] = "empty: no voxel is above its threshold"
            continue
        bits[len(kept)] = np.packbits(mask)
        few += mask.ravel().view(np.uint8)
        kept.append(name)
        if mean is None:
            some += array
            if len(kept) % 16 == 0:  # float32 sums of a few maps are accurate enough, and faster
                total += some
                some[:] = 0
        if len(kept) % BYTE == 0:
            frequency += few
            few[:] = 0
    if len(kept) < 2:
        first = chosen.sources[0]
        raise SirenError(
            f"Only {len(kept)} of {len(ensemble)} volumes have voxels above their threshold: "
            + (
                f"the contrast of {first.name} is inverted; {REMEDY}."
                if is_inverted(chosen.array(first))
                else "the level is too high for these maps, or the table belongs to others."
            )
        )
    if mean is None:
        total += some
        total /= len(kept)
        mean = total.astype(np.float32)
    result = Occupancy(
        tuple(kept),
        np.array([level_of[n] for n in kept]),
        bits[: len(kept)],
        ensemble.grid,
        mean,
        left_out,
    )
    # counted while reading: later it would take a pass over all bits
    vars(result)["frequency"] = frequency + few
    among_chosen = set(chosen.names)
    made = Kept(result.leaving_out({n: r for n, r in left_out.items() if n in among_chosen}))
    chosen.keep(used, made, made.size)
    return result
