"""``exact``: two voxels go together where they are occupied together, and empty together, in more
volumes than independent voxels would be, by the binomial tail at p/m, the Bonferroni-corrected p of
m tests.
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


@dataclass(frozen=True)
class ExactTest(PairTest):
    """Counts above both cutoffs are significant, at any distance."""

    def factor(self, distance: Callable[[], NDArray[np.float64]]) -> None:
        """None: the cutoffs hold at any distance."""

    def significant(
        self,
        both: NDArray[np.number],
        row: NDArray[np.intp],
        column: NDArray[np.intp],
        factor: NDArray[np.float64] | None = None,
    ) -> NDArray[np.bool_]:
        """See :meth:`.PairTest.significant`."""
        empty = self.both_empty(both, row, column)
        return np.asarray(
            (empty > self.negative[row, column]) & (both > self.positive[row, column])
        )


class ExactStatistic(CountingStatistic):
    """See the module; the attributes and methods are :class:`.protocol.Statistic`'s."""

    def pair_test(
        self,
        frequency: NDArray[np.integer],
        volumes: int,
        tests: int,
        parameters: PairTestParameters,
        progress: Progress | None = None,
    ) -> ExactTest:
        """Cutoffs from the binomial tail, see :func:`.pair_counts.cutoff_table`."""
        frequencies = np.unique(frequency).astype(np.int32)
        share = frequencies / volumes
        return ExactTest(
            volumes,
            frequencies,
            cutoff_table(volumes, np.outer(share, share), parameters.posp / tests, progress),
            cutoff_table(
                volumes, np.outer(1 - share, 1 - share), parameters.negp / tests, progress
            ),
        )


STATISTIC: Statistic = ExactStatistic()
