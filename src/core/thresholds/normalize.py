"""The published normalisation of maps and levels.

Source of the formula: Kinman, Carreira, Powell, Davis, Structure 33:974-987, 2025,
doi 10.1016/j.str.2025.02.004.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..common.errors import JunkMap

LOW_PERCENTILE, HIGH_PERCENTILE = 0.001, 99.999


@dataclass(frozen=True)
class Range:
    """The two values of a map that the normalisation sends to -1 and 1.

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
    """Statistics of a map: clipped to its 0.001 and 99.999 percentiles, negative values set to 0.

    Parameters
    ----------
    array : (z, y, x) array
    name : str
        The map's file name, for errors.

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
    """A map as the networks see it: ``x = 2 (v - min)/(max - min) - 1`` of the clipped values.

    Parameters
    ----------
    array : (z, y, x) array
    name : str
        The map's file name, for errors.

    Returns
    -------
    x : (z, y, x) float32
        The positive clipped values lie in -1 to 1; what was negative lies just below -1.
    range : Range
        The statistics used.

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
    if not (np.isfinite(array.min()) and np.isfinite(array.max())):
        raise JunkMap(
            f'{name} has values that are not finite numbers: use "exclude {name}".',
            "values not finite",
        )
    low, high = (
        low_percentile(array, LOW_PERCENTILE),
        -low_percentile(-array, 100 - HIGH_PERCENTILE),
    )
    positive = array[array > 0]
    if high <= 0 or positive.size == 0:
        raise JunkMap(
            f"{name} has no positive density worth the name (its 99.999 percentile is "
            f"{high:.3g}), so it has "
            f'no threshold: turn its sign if it is inverted, or use "exclude {name}".',
            "no positive density",
        )
    vol_min = min(max(float(positive.min()), low), high)
    if vol_min >= high:
        raise JunkMap(
            f"{name} has a single positive value ({high:.3g}), as a mask has, so it "
            "cannot be normalised: "
            f'use "exclude {name}".',
            "a single positive value",
        )
    return Range(vol_min, high), low


def low_percentile(array: NDArray[np.floating], percentile: float) -> float:
    """What numpy.percentile gives, faster for a percentile near 0: what lies far above it is not
    ordered.

    The k smallest values of an array lie in those k of its rows that have the smallest minima.

    Parameters
    ----------
    array : finite values
    percentile : 0 to 100
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
    """A level in the map's units on the normalised scale, where ``vol_min`` is -1 and ``vol_max``
    is 1.
    """
    return 2.0 * (level - used.vol_min) / (used.vol_max - used.vol_min) - 1.0


def denormalize_level(prediction: float, used: Range) -> float:
    """A normalised level back in the map's units: ``(prediction + 1)/2 * (max - min) + min``."""
    return (prediction + 1.0) / 2.0 * (used.vol_max - used.vol_min) + used.vol_min
