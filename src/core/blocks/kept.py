"""What is kept of an ensemble for the passes over its maps that follow, and for the next step, see
:mod:`.maps.last_reading`: its occupancy, its background, and the densities near blocks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..maps.ensemble import Ensemble
from ..maps.excerpt import Excerpt
from ..maps.grid import Grid
from ..maps.last_reading import last_reading
from .dilation import dilated
from .occupancy import Kept, Occupancy
from .shells import Shells


def kept_with(occupancy: Occupancy) -> Kept:
    """What else is kept of these volumes at these levels; what is set in it is kept from now on."""
    last = last_reading()
    value = None if last is None else last.value
    if isinstance(value, Kept) and value.occupancy.bits is occupancy.bits:
        return value
    return Kept(occupancy)


def near_blocks(ensemble: Ensemble, occupancy: Occupancy, union: NDArray[np.int64]) -> Ensemble:
    """The same ensemble, of which :meth:`.Ensemble.read_voxels` reads what is near ``union`` once,
    or not at all if an earlier step has; unless that takes more than KEPT_BYTES.

    Parameters
    ----------
    ensemble : Ensemble
    occupancy : Occupancy of its volumes
    union : (n,) flat indices of all voxels that may be in blocks
    """
    kept = kept_with(occupancy)
    if len(union) and ensemble.in_files and not _holds(kept.excerpt, union):
        excerpt = surroundings(union, ensemble.grid, room_for(kept, len(ensemble)))
        if excerpt is not None:
            known = kept.excerpt is not None and kept.excerpt.parts_of(excerpt.parts) is not None
            kept.excerpt = kept.excerpt if known else excerpt
    return ensemble.keeping(kept.excerpt)


def _holds(excerpt: Excerpt | None, union: NDArray[np.int64]) -> bool:
    """Whether an excerpt is the surroundings of these voxels and others."""
    if excerpt is None or not len(excerpt.middle):
        return False
    places = np.searchsorted(excerpt.middle, union)
    return np.array_equal(excerpt.middle.take(places, mode="clip"), union)


def surroundings(
    union: NDArray[np.int64], grid: Grid, most: float, also: NDArray[np.int64] | None = None
) -> Excerpt | None:
    """An excerpt, to be filled, of all voxels near blocks that :mod:`.evidence` looks at.

    Parameters
    ----------
    union : flat indices, ascending, of all voxels that may be in blocks
    most : voxels of an excerpt; None if it takes more
    also : flat indices of other voxels to keep where there is room
    """
    if len(union) > most:
        return None
    near = dilated(union, grid, constants.MASS_REACH)
    if len(near) > most:
        return None
    shells = Shells(grid).voxels
    for others in (shells,) if also is None else (np.concatenate([shells, also]), shells):
        excerpt = replace(Excerpt.around(near, np.unique(others), grid.size), middle=union)
        if len(excerpt) <= most:
            return excerpt
    return None


def room_for(kept: Kept, volumes: int) -> float:
    """Voxels of each volume whose densities can be kept beside the rest."""
    return (constants.KEPT_BYTES - kept.size) / (4 * volumes)
