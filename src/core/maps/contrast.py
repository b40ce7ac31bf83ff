"""Whether a map has its density above the background, as it should, or below."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants

INVERTED = "inverted contrast"
REMEDY = 'multiply it by -1 (in ChimeraX "volume scale #N factor -1")'


def is_inverted(array: NDArray[np.floating]) -> bool:
    """Whether density goes further below the background than above it.

    The depth of the lowest 0.1 % below the median is compared with the height of the highest 0.1 %:
    about equal in noise, and at most half of it in maps of molecules that leave room in their box.

    Parameters
    ----------
    array : (z, y, x) array of finite values
    """
    background = float(np.median(array[::2, ::2, ::2]))
    if float(array.max()) - background >= background - float(array.min()):
        return False  # as nearly always; percentiles take longer
    low, high = (float(v) for v in np.percentile(array, [0.1, 99.9]))
    return background - low > constants.INVERTED_TAIL * (high - background)
