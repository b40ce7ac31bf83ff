"""The states of an ensemble: which combinations of blocks there are, in how many volumes.

Example::

    import numpy as np

    from chimerax.siren.core.analysis.block_occupancy import States
    from chimerax.siren.core.analysis.combinations import combinations_of

    share = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]], np.float32)
    found = combinations_of(States(tuple("abcdef"), np.ones(6), (1, 2), np.array([50, 40]), share))
    [(c.blocks, c.count) for c in found]  # -> [((), 3), ((1, 2), 2), ((1,), 1)]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, pdtrc

from ..common import constants
from ..common.tables import csv_text
from .block_occupancy import States
from .pair_tests import clopper_pearson

BY_ERRORS = 0.01  # a combination with a p-value above this may be errors


@dataclass(frozen=True)
class Combination:
    """A combination of blocks.

    Attributes
    ----------
    blocks : numbers of the blocks in it; all others are absent
    count : volumes that show exactly these blocks
    low, high : bounds of its share of the volumes, 95 % each, at the effective number of volumes
    if_independent : volumes expected if no block depended on another
    by_errors : volumes expected from the other combinations by wrong calls of presence
    p_errors : probability of as many volumes or more, if all were wrong calls
    volume : name of the volume that shows it most clearly
    """

    blocks: tuple[int, ...]
    count: int
    low: float
    high: float
    if_independent: float
    by_errors: float
    p_errors: float
    volume: str

    @property
    def name(self) -> str:
        """As ``1+4``; 'none' without blocks."""
        return "+".join(map(str, self.blocks)) or "none"

    @property
    def sure(self) -> bool:
        """Whether there are more such volumes than errors make."""
        return self.p_errors <= BY_ERRORS


def combinations_of(states: States, effective: float | None = None) -> list[Combination]:
    """Every combination of blocks that is seen, the most frequent first.

    Wrong calls: the shares of a block's voxels in the volumes with it and in those without are
    taken for normal distributions, and their tails beyond the block's cut for the rates at which a
    volume is called wrongly. A combination that a frequent one would yield by one such error, in
    about as many volumes as are seen, may be no state of its own.

    Parameters
    ----------
    states : States of V volumes
    effective : how many independent volumes these are worth; default: as their run measured it,
        else all
    """
    present = states.present.T
    volumes = len(present)
    if not volumes:
        return []
    seen, which, counts = np.unique(present, axis=0, return_inverse=True, return_counts=True)
    which = which.ravel()
    rate = present.mean(axis=0)
    alone = np.prod(np.where(seen, rate, 1 - rate), axis=1) * volumes
    wrong = _by_errors(seen, counts, *error_rates(states))
    scale = min(effective or states.effective_volumes or volumes, volumes) / volumes
    low, high = clopper_pearson(counts * scale, np.full(len(counts), volumes * scale))
    clear = np.abs(states.share - states.cuts[:, None]).min(axis=0, initial=1.0)
    order = sorted(range(len(seen)), key=lambda k: (-counts[k], seen[k].sum(), *(~seen[k])))
    found = []
    for k in order:
        members = np.flatnonzero(which == k)
        found.append(
            Combination(
                tuple(n for n, there in zip(states.numbers, seen[k], strict=True) if there),
                int(counts[k]),
                float(low[k]),
                float(high[k]),
                float(alone[k]),
                float(wrong[k]),
                float(pdtrc(counts[k] - 1, wrong[k])) if wrong[k] > 0 else 0.0,
                states.names[members[clear[members].argmax()]],
            )
        )
    return found


def error_rates(states: States) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(B,) chance that a block is missed where it is, and (B,) that it is called where it is not;
    see :func:`combinations_of`.
    """
    share, present, cuts = states.share.astype(np.float64), states.present, states.cuts
    missed, called = np.zeros(len(share)), np.zeros(len(share))
    for row, (values, there) in enumerate(zip(share, present, strict=True)):
        for group, rate, sign in ((values[there], missed, 1), (values[~there], called, -1)):
            if len(group) >= constants.MIN_GROUP:
                far = sign * (group.mean() - cuts[row]) / max(float(group.std(ddof=1)), 1e-9)
                rate[row] = float(ndtr(-far))
    return missed, called


def _by_errors(
    seen: NDArray[np.bool_],
    counts: NDArray[np.integer],
    missed: NDArray[np.float64],
    called: NDArray[np.float64],
) -> NDArray[np.float64]:
    """(combinations,) volumes expected from the others, each call wrong on its own."""
    here, tiny = seen.astype(np.float64), 1e-300
    right, lost = np.log(np.maximum(1 - missed, tiny)), np.log(np.maximum(missed, tiny))
    absent, false = np.log(np.maximum(1 - called, tiny)), np.log(np.maximum(called, tiny))
    chance = (here * lost) @ (1 - here).T + (here * right) @ here.T  # from rows to columns
    chance += ((1 - here) * false) @ here.T + ((1 - here) * absent) @ (1 - here).T
    np.fill_diagonal(chance, -np.inf)
    return np.asarray(counts @ np.exp(chance), np.float64)


def combinations_csv(found: Sequence[Combination], numbers: Sequence[int], volumes: int) -> str:
    """The table as text: a row for each combination, 1 or 0 for each block."""
    columns = (
        *("combination", "volumes", "share", "share_low", "share_high", "if_independent"),
        *("by_errors", "p_errors", "volume", *(f"block_{n}" for n in numbers)),
    )
    rows = (
        (
            c.name,
            c.count,
            *(f"{x:.4f}" for x in (c.count / volumes, c.low, c.high)),
            *(f"{x:.3g}" for x in (c.if_independent, c.by_errors, c.p_errors)),
            c.volume,
            *(int(n in c.blocks) for n in numbers),
        )
        for c in found
    )
    return csv_text(columns, rows)
