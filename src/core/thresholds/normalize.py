"""The published normalization of maps and levels.

Formula: Kinman, Carreira, Powell, Davis, Structure 33:974-987, 2025,
doi 10.1016/j.str.2025.02.004.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..common.errors import JunkMap, typed
from ..maps.contrast import INVERTED, REMEDY, is_inverted

NO_DENSITY = "no positive density"  # a flag
LOW_PERCENTILE, HIGH_PERCENTILE = 0.001, 99.999


@dataclass(frozen=True)
class Range:
    """The two values of a map that are normalized to -1 and 1.

    Attributes
    ----------
    vol_min : float
        Smallest positive value after clipping, in the map's units.
    vol_max : float
        Largest value after clipping, in the map's units.
    """

    vol_min: float
    vol_max: float


def value_range(array: NDArray[np.floating], name: str) -> Range:
    """Range of a map that is clipped to its 0.001 and 99.999 percentiles and to 0 from below.

    Parameters
    ----------
    array : (z, y, x) array
    name : str
        File name of the map, for errors.

    Returns
    -------
    Range
        ``vol_min`` is the smallest *positive* clipped value, ``vol_max`` the largest.

    Raises
    ------
    JunkMap
        If values are not finite, none is positive, or all positive ones are equal.
    """
    return _statistics(array, name)[0]


def normalize(array: NDArray[np.floating], name: str) -> tuple[NDArray[np.float32], Range]:
    """Normalize a map for the networks: ``x = 2 (v - min)/(max - min) - 1`` of clipped values.

    Parameters
    ----------
    array : (z, y, x) array
    name : str
        File name of the map, for errors.

    Returns
    -------
    x : (z, y, x) float32
        Positive clipped values are from -1 to 1, negative ones just below -1.
    range : Range
        The range used.

    Raises
    ------
    JunkMap
        As :func:`value_range`.
    """
    used, low = _statistics(array, name)
    clipped = np.clip(
        np.asarray(array, np.float32), np.float32(max(low, 0.0)), np.float32(used.vol_max)
    )
    scale = 2.0 / (used.vol_max - used.vol_min)
    clipped -= np.float32(used.vol_min)
    clipped *= np.float32(scale)
    clipped -= np.float32(1)
    return clipped, used


def _statistics(array: NDArray[np.floating], name: str) -> tuple[Range, float]:
    """The range of a map, and its low percentile."""
    highest = array.max()
    if not (np.isfinite(array.min()) and np.isfinite(highest)):
        raise JunkMap(
            f'{name} has values that are not finite numbers: use "exclude {typed(name)}".',
            "values not finite",
        )
    low, high = (
        low_percentile(array, LOW_PERCENTILE),
        -low_percentile(-array, 100 - HIGH_PERCENTILE),
    )
    if high <= 0 or highest <= 0:
        inverted = is_inverted(array)
        raise JunkMap(
            f"{name} has no positive density worth the name (its 99.999 percentile is "
            f"{high:.3g}), so it has no threshold: "
            + (f"its contrast is inverted; {REMEDY}, or " if inverted else "")
            + f'use "exclude {typed(name)}".',
            f"{INVERTED}: {NO_DENSITY}" if inverted else NO_DENSITY,
        )
    vol_min = min(max(_lowest_positive(array), low), high)
    if vol_min >= high:
        raise JunkMap(
            f"{name} has a single positive value ({high:.3g}), like a mask, so it "
            "cannot be normalized: "
            f'use "exclude {typed(name)}".',
            "a single positive value",
        )
    return Range(vol_min, high), low


def _lowest_positive(array: NDArray[np.floating]) -> float:
    """The smallest value above 0, of which there are some."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    # as whole numbers, positive floats are in order; less 1, 0 and negative ones are above them
    return float(((bits - np.uint32(1)).min() + np.uint32(1)).view(np.float32))


def low_percentile(array: NDArray[np.floating], percentile: float) -> float:
    """The same as numpy.percentile, but faster for percentiles near 0.

    Most values are never sorted: the k smallest values of an array are within the k rows that have
    the smallest minima.

    Parameters
    ----------
    array : array
        Finite values, of any shape.
    percentile : float
        0 to 100.
    """
    values = array.reshape(-1)
    place = percentile / 100 * (values.size - 1)
    below = min(int(place), max(0, values.size - 2))
    length = math.isqrt(values.size)
    whole = values.size // length * length
    rows = values[:whole].reshape(-1, length)
    if below + 2 < len(rows):
        chosen = np.argpartition(rows.min(axis=1), below + 1)[: below + 2]
        values = np.concatenate([rows[chosen].ravel(), values[whole:]])
    ends = np.partition(values, [below, min(below + 1, len(values) - 1)])[below : below + 2].astype(
        np.float64
    )
    return float(ends[0] + (ends[-1] - ends[0]) * (place - below))


def normalize_level(level: float, used: Range) -> float:
    """Normalize a level in the map's units: ``vol_min`` becomes -1 and ``vol_max`` 1."""
    return 2.0 * (level - used.vol_min) / (used.vol_max - used.vol_min) - 1.0


def denormalize_level(prediction: float, used: Range) -> float:
    """A normalized level in the map's units: ``(prediction + 1)/2 * (max - min) + min``."""
    return (prediction + 1.0) / 2.0 * (used.vol_max - used.vol_min) + used.vol_min
