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
    some = array[::2, ::2, ::2]
    lowest, highest = float(array.min()), float(array.max())
    # as nearly always: the median is below the middle of the range. Selecting takes longer
    middle = array.dtype.type(lowest + (highest - lowest) * 0.499)
    if 2 * middle <= lowest + highest and 2 * np.count_nonzero(some < middle) > some.size:
        return False
    background = float(np.median(some))
    if highest - background >= background - lowest:
        return False
    low, high = (float(v) for v in np.percentile(array, [0.1, 99.9]))
    return background - low > constants.INVERTED_TAIL * (high - background)
