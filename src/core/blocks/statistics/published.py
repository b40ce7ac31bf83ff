"""``published``: the rule of Kinman et al. 2025 (doi 10.1016/j.str.2025.02.004).

A pair's count must exceed the 1 - p/m percentile of 1,000 random draws, times a factor that grows
with distance. With 1,000 draws that percentile is their maximum, whatever p. Here the draws are not
made: the maximum of n draws has the distribution F(k)^n, and its median stands for it, so a run can
be repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...common.progress import Progress
from ..pair_counts import CountingStatistic, PairTest, cutoff_table
from ..parameters import PairTestParameters
from .protocol import Statistic

DRAWS = 1000  # of the published tool, for each pair of frequencies


def maximum_tail(draws: int = DRAWS) -> float:
    """Tail beyond the median of the maximum of ``draws`` draws: F(k)^draws >= 1/2 where P(X > k) <=
    this.
    """
    return -float(np.expm1(np.log(0.5) / draws))


def published_factor(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The published factor on the positive cutoff: max(1.25, 0.02 d + 0.95) below 40 A, 1.75
    beyond.
    """
    return np.where(distance < 40, np.maximum(1.25, 0.02 * distance + 0.95), 1.75)


@dataclass(frozen=True)
class PublishedTest(PairTest):
    """Cutoffs times factors.

    Attributes
    ----------
    positive_factor : fixed factor on the positive cutoff, or None for the published one by distance
    negative_factor : factor on the negative cutoff
    """

    positive_factor: float | None = None
    negative_factor: float = 1.0

    def factor(self, distance: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
        """The fixed factor, or the published one by distance."""
        apart = distance()
        if self.positive_factor is not None:
            return np.full_like(apart, self.positive_factor)
        return published_factor(apart)

    def significant(
        self,
        both: NDArray[np.number],
        row: NDArray[np.intp],
        column: NDArray[np.intp],
        factor: NDArray[np.float64] | None = None,
    ) -> NDArray[np.bool_]:
        """See :meth:`.PairTest.significant`.

        Notes
        -----
        Both-occupied > min(factor * cutoff, min(f1, f2)) and both-empty > min(factor * cutoff, V -
        max(f1, f2)). The second term never admits a pair, since no count exceeds it; it is kept
        because it is the rule.
        """
        f1, f2 = self.frequencies[row], self.frequencies[column]
        # most pairs fail the second test, and the first costs floats: look closer only at the rest
        needed = np.minimum(
            self.negative_factor * self.negative[row, column], self.volumes - np.maximum(f1, f2)
        )
        result = np.asarray(self.both_empty(both, row, column) > needed)
        some = np.nonzero(result)
        r, c = (np.broadcast_to(index, result.shape)[some] for index in (row, column))
        cut = self.positive[r, c] * (1.0 if factor is None else factor[some])
        result[some] = both[some] > np.minimum(
            cut, np.minimum(self.frequencies[r], self.frequencies[c])
        )
        return result


class PublishedStatistic(CountingStatistic):
    """See the module; the attributes and methods are :class:`.protocol.Statistic`'s."""

    def pair_test(
        self,
        frequency: NDArray[np.integer],
        volumes: int,
        tests: int,
        parameters: PairTestParameters,
        progress: Progress | None = None,
    ) -> PublishedTest:
        """Cutoffs no stricter than 1,000 draws see: not beyond the median of their maximum."""
        frequencies = np.unique(frequency).astype(np.int32)
        share = frequencies / volumes
        positive, negative = (
            max(p / tests, maximum_tail()) for p in (parameters.posp, parameters.negp)
        )
        return PublishedTest(
            volumes,
            frequencies,
            cutoff_table(volumes, np.outer(share, share), positive, progress),
            cutoff_table(volumes, np.outer(1 - share, 1 - share), negative, progress),
            parameters.posp_factor,
            parameters.negp_factor,
        )


STATISTIC: Statistic = PublishedStatistic()
