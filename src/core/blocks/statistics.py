"""Are two voxels occupied together, and empty together, more often than chance?

Null of independence for voxels of frequency f1 and f2 in V volumes: both are redrawn, so the number of volumes with
both occupied is Binomial(V, f1 f2 / V^2), and with both empty Binomial(V, (1 - f1/V)(1 - f2/V)).

Two rules decide from these what count is needed:

``exact``
    the binomial tail at p/m, the Bonferroni-corrected p of m tests.
``published``
    Kinman et al. 2025 (doi 10.1016/j.str.2025.02.004): the 1 - p/m percentile of 1,000 random draws, times a factor that
    grows with distance. With 1,000 draws that percentile is their maximum, whatever p. Here the draws are not made: the
    maximum of n draws has the distribution F(k)^n, and its median stands for it, so a run can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc, gammaln

from ..common.progress import Progress

CUTOFFS = 100_000  # worked out together: a tenth of a second between two looks at whether to stop
DRAWS = 1000  # of the published tool, for each pair of frequencies
COUNTING = ("published", "exact")  # rules for pairs, by counts
STATISTICS = ("profile", *COUNTING)


def binomial_cutoff(n: int, p: NDArray[np.float64], tail: float, progress: Progress | None = None) -> NDArray[np.int32]:
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


def maximum_tail(draws: int = DRAWS) -> float:
    """Tail beyond the median of the maximum of ``draws`` draws: F(k)^draws >= 1/2 where P(X > k) <= this."""
    return -float(np.expm1(np.log(0.5) / draws))


@dataclass(frozen=True)
class PairTest:
    """Decides for pairs of voxels, given their frequencies, counts and distance.

    Attributes
    ----------
    volumes : V
    statistic : 'published' or 'exact'
    positive, negative : (F, F) int32, cutoffs for both-occupied and both-empty by frequency; row f of the
        table belongs to frequency ``frequencies[f]``.
    frequencies : (F,) ascending
    positive_factor : fixed factor on the positive cutoff, or None for the published one by distance
    negative_factor : factor on the negative cutoff
    """

    volumes: int
    statistic: str
    frequencies: NDArray[np.int32]
    positive: NDArray[np.int32]
    negative: NDArray[np.int32]
    positive_factor: float | None
    negative_factor: float

    @classmethod
    def make(cls, statistic: str, frequency: NDArray[np.integer], volumes: int, tests: int, posp: float, negp: float,
             positive_factor: float | None = None, negative_factor: float = 1.0, progress: Progress | None = None) -> PairTest:
        """Tables for voxels of the given frequencies.

        Parameters
        ----------
        frequency : frequencies that occur, any order
        tests : m of the Bonferroni correction
        posp, negp : p for both-occupied and both-empty, before correction
        """
        unique = np.unique(frequency).astype(np.int32)
        share = unique / volumes
        floor = maximum_tail() if statistic == "published" else 0.0  # 1,000 draws see no further than their maximum
        together = np.outer(share, share)
        apart = np.outer(1 - share, 1 - share)
        return cls(volumes, statistic, unique, _table(volumes, together, max(posp / tests, floor), progress),
                   _table(volumes, apart, max(negp / tests, floor), progress), positive_factor, negative_factor)

    def index(self, frequency: NDArray[np.integer]) -> NDArray[np.intp]:
        """Row of the tables for each frequency."""
        return np.searchsorted(self.frequencies, frequency)

    def factor(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Factor on the positive cutoff at a distance in A."""
        if self.statistic == "exact":
            return np.ones_like(distance)
        if self.positive_factor is not None:
            return np.full_like(distance, self.positive_factor)
        return published_factor(distance)

    def significant(self, both: NDArray[np.number], row: NDArray[np.intp], column: NDArray[np.intp],
                    factor: NDArray[np.float64] | None) -> NDArray[np.bool_]:
        """Which pairs are significantly occupied together *and* empty together.

        Parameters
        ----------
        both : volumes in which both voxels of a pair are occupied, any shape
        row, column : table rows of the pairs' voxels, from :meth:`index`; they broadcast to that shape
        factor : of that shape, from :meth:`factor`, or None for 1

        Notes
        -----
        Published rule: both-occupied > min(factor * cutoff, min(f1, f2)) and both-empty > min(factor * cutoff, V - max(f1, f2)).
        The second term never admits a pair, since no count exceeds it; it is kept because it is the rule.
        """
        f1, f2 = self.frequencies[row], self.frequencies[column]
        empty = self.volumes - f1 - f2 + both
        # the larger part of all pairs fails the second test, and the first costs floats: look closer only at the rest
        needed = self.negative[row, column]
        if self.statistic == "exact":
            return np.asarray((empty > needed) & (both > self.positive[row, column]))
        result = np.asarray(empty > np.minimum(self.negative_factor * needed, self.volumes - np.maximum(f1, f2)))
        some = np.nonzero(result)
        r, c = (np.broadcast_to(index, result.shape)[some] for index in (row, column))
        cut = self.positive[r, c] * (1.0 if factor is None else factor[some])
        result[some] = both[some] > np.minimum(cut, np.minimum(self.frequencies[r], self.frequencies[c]))
        return result


def published_factor(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The published factor on the positive cutoff: max(1.25, 0.02 d + 0.95) below 40 A, 1.75 beyond."""
    return np.where(distance < 40, np.maximum(1.25, 0.02 * distance + 0.95), 1.75)


def _table(volumes: int, probability: NDArray[np.float64], tail: float, progress: Progress | None) -> NDArray[np.int32]:
    """Cutoffs for a symmetric table of probabilities: each distinct one is worked out once."""
    distinct, inverse = np.unique(probability, return_inverse=True)
    parts = np.array_split(distinct, -(-len(distinct) // CUTOFFS))
    return np.concatenate([binomial_cutoff(volumes, p, tail, progress) for p in parts])[inverse].reshape(probability.shape)


def hypergeometric_tail(both: NDArray[np.number], first: NDArray[np.number], second: NDArray[np.number],
                        volumes: int) -> NDArray[np.float64]:
    """P(X >= both) where ``first`` and ``second`` of V volumes are drawn independently and X are in both draws.

    Fisher's exact test of two voxels of known frequencies: unlike the binomial, it does not redraw the frequencies, and
    so is the sharper test at few volumes.

    Parameters
    ----------
    both, first, second : (n,) counts, whole numbers, both <= min(first, second)

    Returns
    -------
    (n,) float64; relative error below 1e-9, but no smaller than 1e-300.
    """
    k = np.asarray(both, np.float64)
    a, b, v = np.asarray(first, np.float64), np.asarray(second, np.float64), float(volumes)

    def choose(n: NDArray[np.float64] | float, m: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(gammaln(n + 1.0) - gammaln(m + 1.0) - gammaln(n - m + 1.0))

    k = np.maximum(k, np.maximum(a + b - v, 0.0))
    term = np.exp(np.maximum(choose(b, k) + choose(v - b, a - k) - choose(v, a), -690.0))
    total = term.copy()
    active = np.arange(len(term))
    while len(active):  # a term a step: each is the last times the ratio of neighbours
        ka, aa, ba = k[active], a[active], b[active]
        term[active] *= (aa - ka) * (ba - ka) / ((ka + 1) * (v - aa - ba + ka + 1))
        k[active] += 1
        total[active] += term[active]
        active = active[term[active] > 1e-11 * total[active]]
    return np.minimum(total, 1.0)
