"""What is kept of an ensemble for the passes over its maps that follow, and for the next step, see
:mod:`.maps.last_reading`: its occupancy, its background, and the densities near blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..maps.ensemble import Ensemble
from ..maps.excerpt import Excerpt
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
    if kept.excerpt is None and len(union) and ensemble.in_files:
        most = (constants.KEPT_BYTES - kept.size) / (4 * len(ensemble))
        near = dilated(union, ensemble.grid, constants.MASS_REACH) if len(union) <= most else union
        if near is not union:
            near = np.union1d(near, Shells(ensemble.grid).voxels)
        if len(near) <= most and near is not union:
            kept.excerpt = Excerpt(near)
    return ensemble.keeping(kept.excerpt)
