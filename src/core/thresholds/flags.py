"""Flags of doubtful maps and predicted levels.

They mark noise, levels that enclose almost everything or nothing, and volumes unlike the others. Of
300 simulated maps of unseen structures, none exceeds the limits: devel/benchmarks/trust.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..blocks.alignment import find_misaligned
from ..blocks.occupancy import Occupancy
from ..blocks.outliers import junk_volumes
from ..common import constants
from ..common.progress import Progress
from ..maps.contrast import INVERTED, is_inverted
from ..maps.grid import Grid
from .tables import Prediction


@dataclass(frozen=True)
class EnclosedRegion:
    """The region of a 64^3 map enclosed by a level.

    Attributes
    ----------
    bits : (32768,) uint8
        Voxels above the level, packed as in :class:`.occupancy.Occupancy`.
    voxels : int
        Number of these voxels.
    flags : tuple of str
        Flags of the map by itself.
    """

    bits: NDArray[np.uint8]
    voxels: int
    flags: tuple[str, ...]


def enclosed_region(
    array: NDArray[np.float32], level: float, prediction: float, spread: float | None
) -> EnclosedRegion:
    """Find the region that a level encloses, and flag the map by itself.

    Parameters
    ----------
    array : (64, 64, 64) float32
        z, y, x, in the map's units.
    level : float
        In the map's units.
    prediction : float
        The level on the normalized scale.
    spread : float or None
        Its expected error.
    """
    mask = array > level
    voxels = int(np.count_nonzero(mask))
    if is_inverted(array):  # whatever else is odd follows from that
        flag = f"{INVERTED} (density is below the background)"
        return EnclosedRegion(np.packbits(mask), voxels, (flag,))
    flags = []
    if not -1 <= prediction <= 1:
        flags.append("level outside the map's range")
    if voxels < constants.MIN_ENCLOSED_VOXELS:
        flags.append(f"level encloses nothing ({voxels} of {array.size:,} voxels)")
    else:
        if voxels > constants.MAX_BOX_SHARE * array.size:
            flags.append(f"level encloses {voxels / array.size:.0%} of the box")
        flags += _noise_flags(array, mask, level, voxels)
    if spread is not None and spread > constants.LARGE_ERROR:
        flags.append(f"uncertain (expected error {spread:.2f} of a range of 2)")
    return EnclosedRegion(np.packbits(mask), voxels, tuple(flags))


def _noise_flags(
    array: NDArray[np.float32], mask: NDArray[np.bool_], level: float, voxels: int
) -> list[str]:
    below, tail = noise_below(array, level, voxels)
    if tail > constants.NOISE_TAIL:
        return [
            f"mostly noise (for 100 voxels above the level, {100 * below:.0f} are as far below "
            "the background)"
        ]
    # a piece within the middle of the box is part of one: where it is large enough, the rest of the
    # box, which takes eight times as long, does not matter
    middle = tuple(slice(n // 4, n - n // 4) for n in mask.shape)
    if largest_piece(mask[middle]) / voxels >= constants.MIN_LARGEST_PIECE:
        return []
    largest = largest_piece(mask) / voxels
    return (
        [f"in pieces (the largest holds {largest:.0%} of what the level encloses)"]
        if largest < constants.MIN_LARGEST_PIECE
        else []
    )


def noise_below(array: NDArray[np.float32], level: float, voxels: int) -> tuple[float, float]:
    """Two measures of noise: negative density, and the depth of the negative tail.

    Noise goes as far below the background as above it; a sharpened molecule may often be below, but
    not as far.

    Parameters
    ----------
    array : (z, y, x) float32
    level : float
    voxels : int
        Number of voxels above the level.

    Returns
    -------
    share : float
        Voxels as far below the background as the level is above it, relative to ``voxels``.
    tail : float
        Depth of the lowest 0.1 % below the background, relative to the height of the highest 0.1 %;
        0 if ``share`` does not exceed constants.NOISE_SHARE.
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
    """Number of voxels in the largest piece, connected by faces, edges or corners."""
    pieces, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    return int(np.bincount(pieces.ravel())[1:].max()) if count else 0


def with_flags(
    rows: Sequence[Prediction],
    regions: dict[str, EnclosedRegion],
    grid: Grid,
    compare: bool = True,
    progress: Progress | None = None,
) -> list[Prediction]:
    """Add flags to predictions: those of each map by itself, and those relative to the ensemble.

    Parameters
    ----------
    rows : sequence of Prediction
    regions : dict of EnclosedRegion
        By file name; volumes without a level are missing.
    grid : Grid
        Grid of the 64^3 boxes.
    compare : bool
        Whether the maps can be compared, since they were on one grid.
    """
    found = {name: list(e.flags) for name, e in regions.items()}
    if compare and len(regions) >= constants.MIN_VOLUMES_FOR_MAJORITY:
        for flags, more in zip(
            found.values(), _ensemble_flags(list(regions.values()), grid, progress), strict=True
        ):
            flags += more
    return [replace(r, flags=(*r.flags, *found.get(r.file, ()))) for r in rows]


def _ensemble_flags(
    regions: list[EnclosedRegion], grid: Grid, progress: Progress | None
) -> list[list[str]]:
    """Flags of each volume whose region is of unusual size, unlike that of any other, or like that
    of most others but mirrored or shifted.
    """
    log = np.log(np.array([max(1, r.voxels) for r in regions]))
    middle = float(np.median(log))
    sd = 1.4826 * float(np.median(np.abs(log - middle)))
    far = np.abs(log - middle) > max(
        constants.ENCLOSED_SD * sd, float(np.log(constants.ENCLOSED_FACTOR))
    )
    bits = np.stack([r.bits for r in regions])
    volumes = Occupancy(
        tuple(map(str, range(len(regions)))),
        np.zeros(len(regions)),
        bits,
        grid,
        np.empty(0, np.float32),
    )
    apart = find_misaligned(volumes)
    alone = junk_volumes(
        volumes, volumes.union(constants.UNION_FRACTION), constants.SAME_MOLECULE, progress
    )
    return [
        [f"encloses {np.exp(v - middle):.2g} times the volume that is usual here"] * bool(f)
        + ["unlike all other volumes"] * bool(a)
        + ([apart[name]] if name in apart else [])
        for name, v, f, a in zip(volumes.names, log, far, alone, strict=True)
    ]
