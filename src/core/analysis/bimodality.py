"""Whether a part's occupancies fall into two groups: the dip test.

The dip of a sample is the largest distance between its distribution and the closest unimodal one
(Hartigan & Hartigan 1985, doi 10.1214/aos/1176346577). Compared with the uniform distribution, as
they do, the test misses parts that are in few volumes. Cheng & Hall 1998 (J. R. Stat. Soc. B 60,
579) calibrate it by a unimodal distribution like the sample; here that is the one closest to it,
from which samples are drawn (a parametric bootstrap).

Example::

    import numpy as np

    from chimerax.siren.core.analysis.bimodality import dip_test

    rng = np.random.default_rng(0)
    two = np.where(rng.random(200) < 0.3, rng.normal(0.9, 0.05, 200), rng.normal(0.1, 0.05, 200))
    dip_test(two).p < 0.01  # -> True
    dip_test(rng.normal(0.5, 0.2, 200)).p > 0.05  # -> True
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.errors import Cancelled
from ..common.progress import Progress

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Dip:
    """The dip of a sample, and the closest unimodal distribution.

    Attributes
    ----------
    dip : largest distance between the two distribution functions, from 1 / 2n to 1/4
    values, cumulative : (k,) knots of the unimodal distribution function, linear in between; a
        value that stands twice is a jump
    p : chance of such a dip, or a larger one, if there is one mode; NaN if not tested
    """

    dip: float
    values: Floats
    cumulative: Floats
    p: float = float("nan")


def dip_of(sample: NDArray[np.floating]) -> Dip:
    """The dip of a sample (n,); ties are jumps.

    By the paper's own algorithm: the modal interval shrinks to where the greatest convex minorant
    and the least concave majorant of the distribution function are furthest apart, until the parts
    left and right of it are.
    """
    x, counts = np.unique(np.asarray(sample, np.float64), return_counts=True)
    upper = np.cumsum(counts) / len(sample)  # of the steps
    lower = np.concatenate([[0.0], upper[:-1]])
    first, last, dip = 0, len(x) - 1, 1 / len(sample)
    left, right = [first], [last]  # knots outside the modal interval
    while first < last:
        span = slice(first, last + 1)
        minorant = first + _hull(x[span], lower[span], 1)
        majorant = first + _hull(x[span], upper[span], -1)
        under = np.interp(x[span], x[minorant], lower[minorant])
        over = np.interp(x[span], x[majorant], upper[majorant])
        apart = over - under
        knots = np.union1d(minorant, majorant) - first  # it is largest at one of them
        at = int(knots[apart[knots].argmax()])
        if apart[at] <= dip:
            break
        # the knots around the place where they are furthest apart
        start = int(minorant[np.searchsorted(minorant, first + at, "right") - 1])
        end = int(majorant[np.searchsorted(majorant, first + at, "left")])
        # without the two knots: a mode may be a jump
        beside_left = (upper[span] - under)[: start - first].max(initial=0)
        beside_right = (over - lower[span])[end - first + 1 :].max(initial=0)
        dip = max(dip, float(beside_left), float(beside_right))
        left += [int(k) for k in minorant if first < k <= start]
        right += [int(k) for k in majorant[::-1] if end <= k < last]
        if (start, end) == (first, last):
            break
        first, last = start, end
    right.reverse()
    return Dip(
        dip / 2, np.concatenate([x[left], x[right]]), np.concatenate([lower[left], upper[right]])
    )


def _hull(x: Floats, y: Floats, sign: int) -> NDArray[np.int64]:
    """Positions of the knots of the greatest convex minorant (1) or least concave majorant (-1)."""
    xs, ys = x.tolist(), (sign * y).tolist()
    kept: list[int] = []
    for k, (px, py) in enumerate(zip(xs, ys, strict=True)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (ys[b] - ys[a]) * (px - xs[b]) < (py - ys[b]) * (xs[b] - xs[a]):
                break
            kept.pop()
        kept.append(k)
    return np.array(kept)


def dip_test(
    sample: NDArray[np.floating],
    spacing: float = 0.0,
    seed: int = 0,
    resamples: int = constants.DIP_RESAMPLES,
    stop: Progress | None = None,
) -> Dip:
    """Test a sample against one mode.

    Parameters
    ----------
    sample : (n,) values
    spacing : between the values that can occur, as of a share of few voxels: equal values are
        spread over so wide a cell, or each would be a mode; 0 for values on a continuous scale
    seed : of the bootstrap
    resamples : of the closest unimodal distribution; fewer where the p-value is surely large
    stop : asked before each resample whether to go on

    Returns
    -------
    The dip with its p-value, which is at most the bound of Dvoretzky, Kiefer, Wolfowitz and Massart
    for any unimodal distribution, and else at least 1 / (resamples + 1). It is 1 for fewer than 4
    values, or if all are the same.
    """
    stop = stop or Progress()
    values = spread_ties(np.asarray(sample, np.float64), spacing)
    if len(values) < 4 or values.min() == values.max():
        return Dip(0.0, np.empty(0), np.empty(0), 1.0)
    found = dip_of(values)
    bound = 2 * float(np.exp(-2 * len(values) * found.dip**2))
    if bound <= 1 / (resamples + 1):
        return Dip(found.dip, found.values, found.cumulative, bound)
    rng = np.random.default_rng(seed)
    reached = drawn = 0
    while drawn < resamples and reached < constants.DIP_ENOUGH:
        if stop.cancelled:
            raise Cancelled("Stopped.")
        uniform = np.sort(rng.random(len(values)))
        resample = np.interp(uniform, found.cumulative, found.values)
        reached += dip_of(resample).dip >= found.dip * (1 - 1e-9)
        drawn += 1
    # ended early (Besag & Clifford 1991, doi 10.1093/biomet/78.2.301), or not
    p = reached / drawn if reached == constants.DIP_ENOUGH else (reached + 1) / (drawn + 1)
    return Dip(found.dip, found.values, found.cumulative, min(p, bound))


def spread_ties(values: Floats, spacing: float) -> Floats:
    """Spread equal shares (n,) evenly over a cell as wide as the spacing around them.

    Shares of exactly 0 and 1 are spread outward over SATURATED: more than all voxels cannot be
    occupied, and the values of a broad group that heap up there are no second one.
    """
    if spacing <= 0:
        return values
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.empty(len(values))
    rank[order] = np.arange(len(values)) - np.repeat(starts, counts)
    place = (rank + 0.5) / counts[group] - 0.5
    wide = max(spacing, constants.SATURATED)
    moved = values + spacing * place
    moved = np.where(values <= 0, spacing / 2 + wide * (place - 0.5), moved)
    return np.asarray(np.where(values >= 1, 1 - spacing / 2 + wide * (place + 0.5), moved))
