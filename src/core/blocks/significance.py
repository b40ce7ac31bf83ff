"""Probabilities by which voxels and blocks are compared: tails, cutoffs and discoveries. Nothing
here knows of maps.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, gammaln, ndtri, xlogy

from ..common.progress import Progress


def binomial_cutoff(
    n: int, p: NDArray[np.float64], tail: float, progress: Progress | None = None
) -> NDArray[np.int32]:
    """Smallest k with P(X > k) <= tail for X ~ Binomial(n, p): counts *above* k are significant.

    Parameters
    ----------
    n : number of trials
    p : success probabilities, any shape
    tail : probability, 0 to 1

    Returns
    -------
    int32 array of p's shape, 0 to n.
    """
    low = np.full(np.shape(p), -1, np.int32)  # P(X > low) > tail, or low == -1
    high = np.full(np.shape(p), n, np.int32)  # P(X > high) <= tail: true for n
    progress = progress or Progress()
    while np.any(high - low > 1):
        progress.step("working out cutoffs")
        middle = (low + high) // 2
        ok = bdtrc(np.maximum(middle, 0), n, p) <= tail
        ok &= middle >= 0
        high = np.where(ok, middle, high)
        low = np.where(ok, low, middle)
    return high


def hypergeometric_tail(
    both: NDArray[np.number],
    first: NDArray[np.number],
    second: NDArray[np.number],
    volumes: int,
    enough: float = 1.0,
) -> NDArray[np.float64]:
    """P(X >= both) where ``first`` and ``second`` of V volumes are drawn independently and X are in
    both draws.

    Fisher's exact test of two voxels of known frequencies: unlike the binomial, it does not redraw
    the frequencies, and so is the sharper test at few volumes.

    Parameters
    ----------
    both, first, second : (n,) counts, whole numbers, both <= min(first, second)
    enough : a probability above this may be given as any other above it, which saves time

    Returns
    -------
    (n,) float64; relative error below 1e-9, but no smaller than 1e-300.
    """
    k = np.asarray(both, np.float64)
    a, b, v = np.asarray(first, np.float64), np.asarray(second, np.float64), float(volumes)
    factorial = _log_factorials(volumes)

    def choose(n: NDArray[np.intp] | int, m: NDArray[np.intp]) -> NDArray[np.float64]:
        return np.asarray(factorial[n] - factorial[m] - factorial[n - m])

    k = np.maximum(k, np.maximum(a + b - v, 0.0))
    both, first, second = (n.astype(np.intp) for n in (k, a, b))
    chosen = choose(second, both) + choose(volumes - second, first - both)
    term = np.exp(np.maximum(chosen - choose(volumes, first), -690.0))
    total = term.copy()
    active = np.arange(len(term))
    while len(active):  # a term a step: each is the last times the ratio of neighbors
        ka, aa, ba = k[active], a[active], b[active]
        term[active] *= (aa - ka) * (ba - ka) / ((ka + 1) * (v - aa - ba + ka + 1))
        k[active] += 1
        total[active] += term[active]
        most = total[active]
        active = active[(term[active] > 1e-11 * most) & (most <= enough)]
    return np.minimum(total, 1.0)


@lru_cache(maxsize=4)
def _log_factorials(most: int) -> NDArray[np.float64]:
    """Natural logarithm of 0! to ``most``!: to look them up takes a tenth of the time."""
    return np.asarray(gammaln(np.arange(most + 1) + 1.0))


def fisher_margin(volumes: int, probability: float) -> float:
    """By how much Fisher's z of two correlations over V volumes differs by chance: its SD is 1 /
    sqrt(V - 3).
    """
    return -float(ndtri(probability)) / np.sqrt(max(volumes - 3, 1))


def significant_phi(volumes: int, probability: float) -> float:
    """The correlation over V volumes that chance exceeds with this probability, see
    :func:`fisher_margin`.
    """
    return float(np.tanh(fisher_margin(volumes, probability)))


def discoveries(chance: NDArray[np.float64], rate: float, tested: int) -> NDArray[np.bool_]:
    """Which of the smallest (n,) of ``tested`` p-values are significant, by their false discovery
    rate.

    Benjamini & Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x.
    """
    order = np.argsort(chance, kind="stable")
    passing = np.flatnonzero(chance[order] <= rate * np.arange(1, len(chance) + 1) / max(1, tested))
    if not len(passing):
        return np.zeros(len(chance), bool)
    return np.asarray(chance <= chance[order[passing[-1]]])


def differs(
    counts: NDArray[np.integer] | NDArray[np.floating],
    errors: NDArray[np.integer] | NDArray[np.floating],
    volumes: int,
) -> NDArray[np.bool_]:
    """Whether ``counts`` of V volumes are more than errors, as many as were seen elsewhere.

    Of two models, one rate for both numbers or a higher one for ``counts``, that of the lower BIC
    (Schwarz 1978, doi 10.1214/aos/1176344136): the second if the likelihood ratio G exceeds ln V. A
    test against no difference would take every pair that it cannot reject for one block, and the
    more pairs are tested, the more of them.

    Parameters
    ----------
    counts, errors : numbers of volumes, 0 to V, of one shape or broadcast
    """
    k, e = np.asarray(counts, np.float64) / volumes, np.asarray(errors, np.float64) / volumes
    both = (k + e) / 2
    ratio = 2 * volumes * (_fit(k, k) + _fit(e, e) - _fit(k, both) - _fit(e, both))
    return np.asarray((k > e) & (ratio > np.log(volumes)))


def shares_differ(
    shares: NDArray[np.floating], counted: NDArray[np.floating], volumes: int
) -> bool:
    """Whether two blocks have shares of their own in k of V volumes, rather than one share each.

    By the extended BIC (Chen & Chen 2008, doi 10.1093/biomet/asn034), which also counts in how many
    ways k volumes can be chosen of V: if the likelihood ratio G, summed over these volumes, exceeds
    k ln V + 2 ln (V choose k).

    Parameters
    ----------
    shares : (2, k) of the voxels of each that are occupied
    counted : (2,) independent voxels of each
    volumes : V
    """
    p, n = np.asarray(shares, np.float64), np.asarray(counted, np.float64)[:, None]
    k, both = p.shape[1], (p * n).sum(axis=0) / n.sum()
    ratio = 2 * float((n * _fit(p, p)).sum()) - 2 * float((n * _fit(p, both)).sum())
    ways = gammaln(volumes + 1) - gammaln(k + 1) - gammaln(volumes - k + 1)
    return bool(ratio > k * np.log(volumes) + 2 * ways)


def _fit(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-likelihood of shares p by rates q, for each that was counted."""
    return np.asarray(xlogy(p, q) + xlogy(1 - p, 1 - q))
