"""Tests and intervals of pairs of blocks, from counts of volumes. Counts may be fractions: those of
an ensemble that is worth fewer independent volumes than it has.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, ndtri

from ..blocks.significance import hypergeometric_tail
from ..common import constants

Matrix = NDArray[np.float64]
_EXACT = 1e-9  # rounding of a product of whole numbers


def fisher_tails(both: Matrix, volumes: int, effective: float) -> tuple[Matrix, Matrix]:
    """Fisher's exact test of every pair: the probabilities that independent blocks are together as
    often as this or more, and as often or less.

    Counts are scaled to the effective number of volumes and rounded, those of both blocks toward
    what is expected of independent ones.

    Parameters
    ----------
    both : (B, B) volumes with both blocks, of one block on the diagonal

    Returns
    -------
    (B, B) each
    """
    total = int(effective + 0.5)
    scale = total / max(volumes, 1)
    count = np.rint(np.diag(both) * scale)
    first, second = np.meshgrid(count, count, indexing="ij")
    expected, seen = first * second / max(total, 1), both * scale
    seen = np.where(seen > expected, np.floor(seen + _EXACT), np.ceil(seen - _EXACT))
    seen = np.clip(seen, np.maximum(first + second - total, 0), np.minimum(first, second))
    k, a, b = seen.ravel(), first.ravel(), second.ravel()
    with np.errstate(over="ignore", invalid="ignore"):  # where the tail is all but 1
        more = hypergeometric_tail(k, a, b, total)
        # seldom together is often apart
        less = hypergeometric_tail(a - k, a, total - b, total)
    more, less = (np.nan_to_num(p, nan=1.0).reshape(both.shape) for p in (more, less))
    return more, less


def at_least(count: Matrix, of: Matrix, share: float) -> Matrix:
    """P(X >= count) for X ~ Binomial(of, share), also of fractions; 1 if the count is 0."""
    count, of = np.broadcast_arrays(count, of)
    tail = betainc(np.maximum(count, _EXACT), np.maximum(of - count, 0) + 1, share)
    return np.asarray(np.where(count > 0, tail, 1.0), np.float64)


def at_most(count: Matrix, of: Matrix, share: float) -> Matrix:
    """P(X <= count) for X ~ Binomial(of, share), also of fractions; 1 if all are counted."""
    count, of = np.broadcast_arrays(count, of)
    return at_least(np.maximum(of - count, 0), of, 1 - share)


def clopper_pearson(
    count: Matrix, of: Matrix, beyond: float = constants.BOUND
) -> tuple[Matrix, Matrix]:
    """Lower and upper bound of a share; 0 and 1 where there is nothing to count.

    Parameters
    ----------
    beyond : probability of a share beyond either bound; by default each holds at 95 %
    """
    count, of = np.broadcast_arrays(count, of)
    rest = np.maximum(of - count, 0)
    low = betaincinv(np.maximum(count, _EXACT), rest + 1, beyond)
    high = betaincinv(count + 1, np.maximum(rest, _EXACT), 1 - beyond)
    return np.where(count > _EXACT, low, 0.0), np.where(rest > _EXACT, high, 1.0)


def change_interval(count: Matrix, total: float) -> tuple[Matrix, Matrix]:
    """Lower and upper bound, 95 % each, of the share of a in volumes with b minus that in volumes
    without: Newcombe 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I,
    method 10.

    Parameters
    ----------
    count : (B, B) volumes with a and b, of one block on the diagonal
    total : all volumes

    Returns
    -------
    (B, B) each, by row a and column b; NaN if b is in all volumes or in none
    """
    has = np.diag(count)
    with_b, without = np.broadcast_to(has[None, :], count.shape), total - has[None, :]
    p, p_low, p_high = _wilson(count, with_b)
    q, q_low, q_high = _wilson(has[:, None] - count, np.broadcast_to(without, count.shape))
    low = p - q - np.hypot(p - p_low, q_high - q)
    high = p - q + np.hypot(p_high - p, q - q_low)
    return low, high


def _wilson(count: Matrix, of: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """A share and its score interval, 95 % each side."""
    z = -float(ndtri(constants.BOUND))
    with np.errstate(invalid="ignore", divide="ignore"):
        n = np.where(of > _EXACT, of, np.nan)
        p = np.clip(count / n, 0, 1)
        middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    wide = 1 + z**2 / n
    return p, (middle - half) / wide, (middle + half) / wide


def by_adjusted(chance: Matrix) -> Matrix:
    """P-values (n,) adjusted by Benjamini & Yekutieli 2001, doi 10.1214/aos/1013699998: of those
    said at most the rate are expected to be false, however the tests depend on each other.
    """
    many = len(chance)
    order = np.argsort(chance, kind="stable")
    rank = np.arange(1, many + 1)
    scaled = chance[order] * many / rank * float((1 / rank).sum()) if many else chance
    adjusted = np.empty(many)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def closure(relation: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The transitive closure of a relation (n, n), by rows to columns."""
    reach = relation.copy()
    for k in range(len(reach)):
        reach |= reach[:, k, None] & reach[None, k, :]
    return reach
