"""What speaks against a map or its predicted level: noise, levels that enclose all or nothing,
volumes unlike the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..blocks.occupancy import Occupancy
from ..blocks.outliers import junk_volumes
from ..common import constants
from ..maps.grid import Grid
from .tables import Prediction

# Of 300 simulated maps of unseen structures none is beyond these limits; see
# devel/benchmarks/trust.md.


@dataclass(frozen=True)
class Enclosed:
    """What a level encloses of a map in its 64^3 box.

    Attributes
    ----------
    bits : (32768,) uint8, the voxels above the level, packed as :class:`.occupancy.Occupancy` does
    voxels : how many these are
    flags : what speaks against the map by itself
    """

    bits: NDArray[np.uint8]
    voxels: int
    flags: tuple[str, ...]


def enclosed(
    array: NDArray[np.float32], level: float, prediction: float, spread: float | None
) -> Enclosed:
    """Look at a map by itself.

    Parameters
    ----------
    array : (64, 64, 64) float32, z, y, x, in the map's units
    level : in the same units
    prediction, spread : the level and its expected error on the normalised scale
    """
    mask = array > level
    voxels = int(np.count_nonzero(mask))
    flags = []
    if not -1 <= prediction <= 1:
        flags.append("level outside the map's range")
    if voxels < constants.FEWEST_VOXELS:
        flags.append(f"level encloses nothing ({voxels} of {array.size:,} voxels)")
    else:
        if voxels > constants.FULL_BOX * array.size:
            flags.append(f"level encloses {voxels / array.size:.0%} of the box")
        flags += _ragged(array, mask, level, voxels)
    if spread is not None and spread > constants.WIDE_ERROR:
        flags.append(f"uncertain (expected error {spread:.2f} of a range of 2)")
    return Enclosed(np.packbits(mask), voxels, tuple(flags))


def _ragged(
    array: NDArray[np.float32], mask: NDArray[np.bool_], level: float, voxels: int
) -> list[str]:
    below, tail = noise_below(array, level, voxels)
    if tail > constants.NOISE_TAIL:
        return [
            f"mostly noise (for 100 voxels above the level, {100 * below:.0f} are as far below "
            "the background)"
        ]
    largest = largest_piece(mask) / voxels
    return (
        [f"in pieces (the largest holds {largest:.0%} of what the level encloses)"]
        if largest < constants.LARGEST_PIECE
        else []
    )


def noise_below(array: NDArray[np.float32], level: float, voxels: int) -> tuple[float, float]:
    """Voxels as far below the background as the level is above it, over the ``voxels`` above the
    level; and how far the lowest go down, over how far the highest go up: 0 where the former are no
    more than constants.NOISE_SHARE.

    Noise goes as far down as up; a sharpened molecule may go down often, but not as far.
    """
    background = float(np.median(array[::2, ::2, ::2]))
    below = int(np.count_nonzero(array < 2 * background - level)) / voxels
    if below <= constants.NOISE_SHARE:
        return below, 0.0
    low, high = (float(v) for v in np.percentile(array, [0.1, 99.9]))
    if high > background:
        return below, (background - low) / (high - background)
    return below, np.inf if background > low else 0.0


def largest_piece(mask: NDArray[np.bool_]) -> int:
    """Voxels of the largest piece, neighbours by face, edge or corner."""
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    return int(np.bincount(pieces.ravel())[1:].max()) if count else 0


def with_flags(
    rows: Sequence[Prediction], seen: dict[str, Enclosed], grid: Grid
) -> list[Prediction]:
    """Predictions with their flags: each map's own, and those by the ensemble's others.

    Parameters
    ----------
    rows : one for each volume
    seen : what each level encloses, by file name; volumes without a level are not in it
    grid : Grid of the 64^3 boxes
    """
    found = {name: list(e.flags) for name, e in seen.items()}
    if len(seen) >= constants.FEWEST_FOR_A_MAJORITY:
        for flags, more in zip(found.values(), _unlike(list(seen.values()), grid), strict=True):
            flags += more
    return [replace(r, flags=(*r.flags, *found.get(r.file, ()))) for r in rows]


def _unlike(seen: list[Enclosed], grid: Grid) -> list[list[str]]:
    """For each volume: is what it encloses far more or less than usual, or unlike that of any
    other?
    """
    log = np.log(np.array([max(1, e.voxels) for e in seen]))
    middle = float(np.median(log))
    sd = 1.4826 * float(np.median(np.abs(log - middle)))
    far = np.abs(log - middle) > max(
        constants.ENCLOSED_SD * sd, float(np.log(constants.ENCLOSED_FACTOR))
    )
    bits = np.stack([e.bits for e in seen])
    volumes = Occupancy(
        tuple(map(str, range(len(seen)))), np.zeros(len(seen)), bits, grid, np.empty(0, np.float32)
    )
    alone = junk_volumes(volumes, volumes.union(constants.UNION_FRACTION), constants.SAME_MOLECULE)
    return [
        [f"encloses {np.exp(v - middle):.2g} times the volume that is usual here"] * bool(f)
        + ["unlike all other volumes"] * bool(a)
        for v, f, a in zip(log, far, alone, strict=True)
    ]
