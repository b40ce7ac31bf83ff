"""The part of the box in which blocks are looked for: inside a mask, or outside of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError
from ..common.progress import Progress
from ..maps.companions import is_density
from ..maps.ensemble import Ensemble, Source
from ..maps.grid import Grid, to_box
from ..maps.placement import is_moved, resampled_onto
from .parameters import NO_MASK, OUTSIDE, PairTestParameters

MASK_FILE = "mask.mrc"  # in the folder of a run: 1 where blocks were looked for
IDENTITY = np.eye(3, 4)


@dataclass(frozen=True)
class Mask:
    """A map whose inside is meant.

    Attributes
    ----------
    source : Source
    level : float or None
        Contour level of an open map, as shown; None for half of the maximum.
    placement : (3, 4) array or None
        Rotation and shift of an open map to the frame of the volumes, x, y, z in Angstrom.
    """

    source: Source
    level: float | None = None
    placement: NDArray[np.floating] | None = None


def region_of(
    parameters: PairTestParameters,
    ensemble: Ensemble,
    mask: Mask | None = None,
    progress: Progress | None = None,
) -> NDArray[np.bool_] | None:
    """The voxels in which blocks are looked for.

    A mask with as many voxels along each axis as the volumes is taken voxel by voxel, any other
    map by position.

    Parameters
    ----------
    parameters : with ``mask``, ``mask_level`` and ``mask_side``
    ensemble : whose grid counts
    mask : an open map, in place of the file that ``parameters.mask`` names

    Returns
    -------
    (N,) bool, flat; None where there is no mask

    Raises
    ------
    SirenError
        If the mask cannot be read, or no voxel, or every one, is inside.
    """
    if parameters.mask in (None, NO_MASK):
        return None
    assert parameters.mask is not None
    if mask is None:
        path = Path(parameters.mask).expanduser()
        mask = Mask(Source(path.name, path))
    name = mask.source.name
    values = on_volumes(mask, ensemble, progress or Progress())
    level = parameters.mask_level if parameters.mask_level is not None else mask.level
    if level is None:
        level = float(values.max()) / 2
        if progress is not None and is_density(values):
            progress.say(
                f"The mask {name} is a density rather than a mask: what is above half of its "
                f'maximum, {level:.4g}, is taken as inside. Give "maskLevel" for another level.'
            )
    inside = values.ravel() > level
    if not inside.any() or inside.all():
        raise SirenError(
            f"{'All' if inside.any() else 'No'} voxels are above {level:.4g} in the mask {name}, "
            f"whose values there are {values.min():.4g} to {values.max():.4g}: give another "
            '"maskLevel", or a mask that overlays the volumes.'
        )
    return ~inside if parameters.mask_side == OUTSIDE else inside


def within(
    union: NDArray[np.int64], region: NDArray[np.bool_] | None, name: str | None
) -> NDArray[np.int64]:
    """The voxels of a union that are in a region; flat indices, ascending.

    Raises
    ------
    SirenError
        If a region leaves fewer than two of several.
    """
    if region is None:
        return union
    chosen = union[region[union]]
    if len(chosen) < 2 <= len(union):
        raise SirenError(
            f"The mask {Path(str(name)).name} leaves {len(chosen)} of the {len(union):,} voxels "
            "that count: give one that overlays the volumes, or the other maskSide."
        )
    return chosen


def on_volumes(mask: Mask, ensemble: Ensemble, progress: Progress) -> NDArray[np.float32]:
    """A mask on the grid of the volumes: voxel by voxel if it has as many, else by position."""
    values = np.nan_to_num(mask.source.read_as_is(), nan=0.0)
    grid, target = mask.source.read_grid(), ensemble.grid
    placement = IDENTITY if mask.placement is None else mask.placement
    if not is_moved(grid, placement):
        original = ensemble.sources[0].read_grid()
        if grid.shape == original.shape:
            _say_where_it_differs(mask.source.name, grid, original, progress)
            if ensemble.box is not None:
                values, _ = to_box(values, original, ensemble.box)
            return values
        if grid.shape == target.shape:
            return values
    return resampled_onto(values, grid, placement, target)


def _say_where_it_differs(name: str, grid: Grid, volumes: Grid, progress: Progress) -> None:
    """Say that the position in the header of a mask of the volumes' size does not count."""
    same = np.allclose(grid.voxel_size, volumes.voxel_size, rtol=1e-3) and np.allclose(
        grid.origin, volumes.origin, atol=0.01 * min(volumes.voxel_size)
    )
    if not same:
        progress.say(
            f"The mask {name} has the volumes' number of voxels, but another voxel size or origin "
            "in its header: it is taken voxel by voxel."
        )
