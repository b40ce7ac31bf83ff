"""Levels by simple rules, for comparison with the network."""

from __future__ import annotations

import numpy as np
from lattice import Map
from numpy.typing import NDArray


def rules(array: Map) -> dict[str, float]:
    """Levels of a map by each rule, in the map's units.

    Li's method is omitted without scikit-image, which the bundle does not require.
    """
    shell = array[~_ball(array.shape)]
    shell = shell if shell.std() > 0 else array.ravel()
    median = float(np.median(array))
    robust = 1.4826 * float(np.median(np.abs(array - median)))
    levels = {
        "mean + 3 SD of the background (outside the box's sphere)": float(
            shell.mean() + 3 * shell.std()
        ),
        "median + 3 robust SD": median + 3 * robust,
        "Otsu": otsu(array),
    }
    try:
        from skimage.filters import threshold_li
    except ImportError:
        pass
    else:
        # the default tolerance, half the smallest difference of two voxels, is below single
        # precision
        levels["Li (scikit-image)"] = float(
            threshold_li(array.astype(float), tolerance=1e-4 * float(np.ptp(array)))
        )
    return levels | {"1 % of voxels (ChimeraX's default)": float(np.percentile(array, 99))}


def _ball(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    axes = [((np.arange(n) - (n - 1) / 2) / (n / 2)) ** 2 for n in shape]
    return np.asarray(axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] < 1)


def otsu(array: Map) -> float:
    """Otsu's threshold on 256 bins."""
    counts, edges = np.histogram(array, 256)
    middle = (edges[1:] + edges[:-1]) / 2
    low, weighted = np.cumsum(counts), np.cumsum(counts * middle)
    high = low[-1] - low
    with np.errstate(divide="ignore", invalid="ignore"):
        between = low * high * (weighted / low - (weighted[-1] - weighted) / high) ** 2
    return float(middle[np.nanargmax(between[:-1])])
