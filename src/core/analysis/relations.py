"""How blocks depend on each other: every pair, counted over the volumes.

Example::

    import numpy as np

    from chimerax.siren.core import relations
    from chimerax.siren.core.analysis.block_occupancy import States

    share = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]], np.float32)
    found = relations(States(tuple("abcdef"), np.ones(6), (1, 2), np.array([50, 40]), share))
    found.both[0, 1]  # -> 2
    found.word(0, 1)  # -> 'undecided'
    found.text(0, 1)  # the same in a sentence
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.tables import csv_text
from .block_occupancy import States
from .pair_tests import (
    at_least,
    at_most,
    by_adjusted,
    change_interval,
    clopper_pearson,
    closure,
    fisher_tails,
)

TOGETHER, ONLY_WITH, NEEDED_BY, NEVER_WITH = "together", "only with", "needed by", "never with"
MORE_OFTEN, LESS_OFTEN = "more often with", "less often with"
INDEPENDENT, UNDECIDED = "independent", "undecided"
#: Words of dependence; the last two for blocks that depend in none of the other ways.
DEPENDENT = (TOGETHER, ONLY_WITH, NEEDED_BY, NEVER_WITH, MORE_OFTEN, LESS_OFTEN)
Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Relations:
    """How blocks depend on each other, each (B, B) by row a and column b.

    Attributes
    ----------
    numbers : B block numbers
    volumes : V
    effective : how many independent volumes these are worth, at most V; all tests and bounds take
        the counts times effective / V
    both : int, volumes that have a and b; its diagonal is the volumes that have a block
    phi : correlation of presence, -1 to 1; NaN where a block is in all volumes or in none
    given : share of the volumes with b that have a as well; NaN where no volume has b
    more, less : probability that independent blocks are together as often as this or more, or less
        (Fisher's exact test)
    """

    numbers: tuple[int, ...]
    volumes: int
    effective: float
    both: NDArray[np.int64]
    phi: Matrix
    given: Matrix
    more: Matrix
    less: Matrix

    def word(self, a: int, b: int) -> str:
        """What block in row ``a`` is to that in row ``b``: one of DEPENDENT, 'independent' or
        'undecided'; '' for a block and itself.
        """
        return self._words[a][b]

    def follows(self, a: int, b: int) -> bool:
        """Whether the relation was not counted itself, but follows from others: if a is only with
        b, and b only with c, then a only with c.
        """
        return bool(self._deduced[a, b])

    def p_adjusted(self, a: int, b: int) -> float:
        """The p-value of the relation said, adjusted for all pairs and both directions (Benjamini &
        Yekutieli 2001); of the strongest claim if none is said, NaN if it follows from others.
        """
        if self.follows(a, b):
            return float("nan")
        more, less, needs, never = self._adjusted
        by_word = {
            TOGETHER: max(needs[a, b], needs[b, a]),
            ONLY_WITH: needs[a, b],
            NEEDED_BY: needs[b, a],
            NEVER_WITH: never[a, b],
            MORE_OFTEN: more[a, b],
            LESS_OFTEN: less[a, b],
        }
        return float(by_word.get(self.word(a, b), min(more[a, b], less[a, b])))

    # --- effects and their intervals

    @cached_property
    def counts(self) -> Matrix:
        """(B, B) volumes that have both, scaled to the effective number of volumes."""
        return np.asarray(self.both * (self.effective / max(self.volumes, 1)), np.float64)

    @cached_property
    def given_low(self) -> Matrix:
        """(B, B) lower bound of ``given``, 95 % one-sided; 0 where no volume has b.

        Clopper & Pearson 1934, doi 10.1093/biomet/26.4.404, at the effective number of volumes.
        """
        return clopper_pearson(self.counts, np.diag(self.counts)[None, :])[0]

    @cached_property
    def given_high(self) -> Matrix:
        """(B, B) upper bound of ``given``, as :attr:`given_low`; 1 where no volume has b."""
        return clopper_pearson(self.counts, np.diag(self.counts)[None, :])[1]

    @cached_property
    def odds_ratio(self) -> Matrix:
        """(B, B) odds of a in volumes with b, over those without; with half a volume added to each
        count, so that it is finite (Haldane 1956).
        """
        has = np.diag(self.both)
        a, b = has[:, None] - self.both, has[None, :] - self.both
        neither = self.volumes - has[:, None] - has[None, :] + self.both
        return np.asarray((self.both + 0.5) * (neither + 0.5) / ((a + 0.5) * (b + 0.5)), np.float64)

    @cached_property
    def change(self) -> tuple[Matrix, Matrix]:
        """(B, B) lower and upper bound of the share of volumes with a among those with b, minus
        that among those without b; 95 % each. NaN if b is in all volumes or in none.
        """
        return change_interval(self.counts, self.effective)

    # --- what is said of them

    @cached_property
    def _adjusted(self) -> tuple[Matrix, Matrix, Matrix, Matrix]:
        """P-values adjusted for all pairs and directions: together more often, less often; a only
        with b; a never with b.
        """
        count, n = self.counts, np.diag(self.counts)
        rare = np.minimum(n[:, None], n[None, :])
        # a needs b: they depend, and most volumes with a have b; both have to be rejected
        needs = np.maximum(self.more, at_least(count, n[:, None], constants.SURELY_MOST))
        never = np.maximum(self.less, at_most(count, rare, 1 - constants.SURELY_MOST))
        pairs, ordered = np.triu_indices(len(n), 1), np.nonzero(~np.eye(len(n), dtype=bool))
        where = (pairs, pairs, ordered, pairs)
        raw = (self.more, self.less, needs, never)
        adjusted = by_adjusted(np.concatenate([p[w] for p, w in zip(raw, where, strict=True)]))
        result, start = [], 0
        for place in where:
            full = np.ones((len(n), len(n)))
            full[place] = adjusted[start : start + len(place[0])]
            start += len(place[0])
            result.append(full if place is ordered else np.minimum(full, full.T))
        return result[0], result[1], result[2], result[3]

    @cached_property
    def _possible(self) -> tuple[Flags, Flags]:
        """(B, B) whether the exceptions from "a only with b", and from "a never with b", are no
        more than errors make.
        """
        count, n = self.counts, np.diag(self.counts)
        rare = np.minimum(n[:, None], n[None, :])
        needs = at_most(count, n[:, None], constants.NEARLY_ALL) >= constants.CONSISTENT
        never = at_least(count, rare, 1 - constants.NEARLY_ALL) >= constants.CONSISTENT
        return needs & (n > 0)[:, None], never & (rare > 0)

    @cached_property
    def _counted(self) -> tuple[Flags, Flags]:
        """(B, B) a only with b, a never with b, as counted."""
        (needs, never), rate = self._possible, constants.FALSE_RELATION_RATE
        return needs & (self._adjusted[2] <= rate), never & (self._adjusted[3] <= rate)

    @cached_property
    def _said(self) -> tuple[Flags, Flags]:
        """(B, B) a only with b, a never with b; with those that follow from the counted ones and
        that the volumes do not contradict.
        """
        needs, never = self._counted
        possible, apart = self._possible
        off = ~np.eye(len(needs), dtype=bool)
        below = closure(needs)
        chain = (below | ~off).astype(np.int64)  # each block needs itself
        apart = apart & (chain @ never @ chain.T > 0) & off
        needs = needs | (below & possible & off)
        return needs, never | (apart & ~needs & ~needs.T)

    @property
    def needs(self) -> Flags:
        """(B, B) whether a is only with b; both ways if they come and go together."""
        return self._said[0]

    @property
    def never(self) -> Flags:
        """(B, B) whether a is never with b."""
        return self._said[1]

    @cached_property
    def _deduced(self) -> Flags:
        (needs, never), (counted, apart) = self._said, self._counted
        new = needs & ~counted
        return new | new.T | (never & ~apart)

    @cached_property
    def _words(self) -> tuple[tuple[str, ...], ...]:
        needs, never = self.needs, self.never
        more, less, *_ = self._adjusted
        low, high = self.change
        with np.errstate(invalid="ignore"):
            inside = (low > -constants.INDEPENDENT_BAND) & (high < constants.INDEPENDENT_BAND)
        nearly, apart = self._possible  # what may yet be needed, or exclude each other
        alike = inside & inside.T & ~nearly & ~nearly.T & ~apart
        rate = constants.FALSE_RELATION_RATE

        def word(a: int, b: int) -> str:
            if a == b:
                return ""
            if needs[a, b] or needs[b, a]:
                if needs[a, b] and needs[b, a]:
                    return TOGETHER
                return ONLY_WITH if needs[a, b] else NEEDED_BY
            if never[a, b]:
                return NEVER_WITH
            if min(more[a, b], less[a, b]) <= rate:
                return MORE_OFTEN if more[a, b] < less[a, b] else LESS_OFTEN
            return INDEPENDENT if alike[a, b] else UNDECIDED

        rows = range(len(self.numbers))
        return tuple(tuple(word(a, b) for b in rows) for a in rows)

    # --- in words

    def graph(self) -> nx.DiGraph:
        """The blocks that depend on each other: a node for each block number, an edge with its
        ``relation`` in words.
        """
        graph = nx.DiGraph()
        graph.add_nodes_from(self.numbers)
        for (a, first), (b, second) in permutations(enumerate(self.numbers), 2):
            if (word := self.word(a, b)) in DEPENDENT:
                graph.add_edge(first, second, relation=word)
        return graph

    def tally(self) -> dict[str, int]:
        """How many pairs have each word; 'needed by' counts as 'only with'."""
        said = [self.word(a, b) for a, b in combinations(range(len(self.numbers)), 2)]
        words = [ONLY_WITH if w == NEEDED_BY else w for w in said]
        kinds = (*(w for w in DEPENDENT if w != NEEDED_BY), INDEPENDENT, UNDECIDED)
        return {w: words.count(w) for w in kinds if w in words}

    def counted_as(self) -> str:
        """How many independent volumes tests and intervals count, in a sentence."""
        if self.effective >= self.volumes - 0.5:
            return f"All {self.volumes:,} volumes count as independent."
        text = (
            f"The {self.volumes:,} volumes count as {self.effective:,.0f} independent ones in "
            "tests and intervals"
        )
        few = self.effective < constants.FEW_EFFECTIVE
        return f"{text}: too few to decide on most relations." if few else f"{text}."

    def text(self, a: int, b: int) -> str:
        """One sentence on the blocks in rows ``a`` and ``b``."""
        first, second = self.numbers[a], self.numbers[b]
        if a == b:
            return f"Block {first} is in {self.both[a, a]:,} of {self.volumes:,} volumes."
        has, other, both = self.both[a, a], self.both[b, b], self.both[a, b]
        text = (
            f"Of {has:,} volumes with block {first}, {both:,}{_percent(both, has)} have block "
            f"{second}; of {self.volumes - has:,} "
            f"without, {other - both:,}{_percent(other - both, self.volumes - has)}"
        )
        band = f"{100 * constants.INDEPENDENT_BAND:.0f}"
        said = {
            TOGETHER: f"blocks {first} and {second} come and go together",
            ONLY_WITH: f"block {first} only with block {second}{self._bound(b, a)}",
            NEEDED_BY: f"block {second} only with block {first}{self._bound(a, b)}",
            NEVER_WITH: f"blocks {first} and {second} exclude each other",
            MORE_OFTEN: f"blocks {first} and {second} are together more often than by chance",
            LESS_OFTEN: f"blocks {first} and {second} are together less often than by chance",
            INDEPENDENT: f"blocks {first} and {second} are independent, within {band} % either way",
            UNDECIDED: "too few volumes to decide",
        }
        return f"{text}: {said[self.word(a, b)]}."

    def _bound(self, a: int, b: int) -> str:
        if self.follows(a, b):
            return ", as follows from others"
        return f" (at least {100 * self.given_low[a, b]:.0f} % of the time, at 95 % confidence)"


def relations(states: States, effective: float | None = None) -> Relations:
    """Count every pair of blocks.

    Parameters
    ----------
    effective : how many independent volumes these are worth; default: as their run measured it,
        else all
    """
    effective = states.effective_volumes if effective is None else effective
    return relations_of_presence(states.numbers, states.present, effective)


def relations_of_presence(
    numbers: tuple[int, ...],
    present: NDArray[np.bool_],
    effective: float | None = None,
    weights: NDArray[np.integer] | None = None,
) -> Relations:
    """The same from presence alone.

    Parameters
    ----------
    present : (B, V), whether the block is in the volume
    effective : as of :func:`relations`; None or more than V: all
    weights : (V,) how often each volume counts, as in a resample
    """
    there = present.astype(np.float64)
    weights = np.ones(there.shape[1], np.int64) if weights is None else weights
    volumes = int(weights.sum())
    both = np.rint((there * weights) @ there.T)
    count = np.diag(both)
    variance = count * (volumes - count)
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = (volumes * both - np.outer(count, count)) / np.sqrt(np.outer(variance, variance))
        given = both / count[None, :]
    enough = volumes if effective is None or not effective < volumes else max(effective, 1.0)
    more, less = fisher_tails(both, volumes, float(enough))
    return Relations(numbers, volumes, float(enough), both.astype(np.int64), phi, given, more, less)


def relations_csv(found: Relations) -> str:
    """Every pair of blocks as text: volumes with both, one, the other, neither; phi; the two
    conditional shares and their lower bounds; the relation; upper bounds, odds ratio, p-values.
    """
    pairs = combinations(range(len(found.numbers)), 2)
    return csv_text(PAIR_COLUMNS, (_row(found, i, j) for i, j in pairs))


PAIR_COLUMNS = (
    *("a", "b", "both", "only_a", "only_b", "neither", "phi", "a_given_b", "b_given_a"),
    *("a_given_b_low", "b_given_a_low", "relation", "a_given_b_high", "b_given_a_high"),
    *("odds_ratio", "p_more", "p_less", "p_adjusted", "follows", "effective_volumes"),
)


def _row(found: Relations, i: int, j: int) -> list[object]:
    both, has_a, has_b = (int(n) for n in (found.both[i, j], found.both[i, i], found.both[j, j]))
    shares = (found.phi, found.given, found.given.T, found.given_low, found.given_low.T)
    return [
        found.numbers[i],
        found.numbers[j],
        both,
        has_a - both,
        has_b - both,
        found.volumes - has_a - has_b + both,
        *(f"{x[i, j]:.4f}" if np.isfinite(x[i, j]) else "" for x in shares),
        found.word(i, j),
        f"{found.given_high[i, j]:.4f}",
        f"{found.given_high[j, i]:.4f}",
        f"{found.odds_ratio[i, j]:.4g}",
        *(f"{p[i, j]:.3g}" for p in (found.more, found.less)),
        "" if found.follows(i, j) else f"{found.p_adjusted(i, j):.3g}",
        "yes" if found.follows(i, j) else "no",
        f"{found.effective:.1f}",
    ]


def _percent(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.0f} %)" if whole else ""
