"""How blocks depend on each other: every pair, counted over the volumes.

Example::

    import numpy as np

    from chimerax.siren.core import relations
    from chimerax.siren.core.analysis.block_occupancy import States

    share = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 0]], np.float32)
    found = relations(States(tuple("abcdef"), np.ones(6), (1, 2), np.array([50, 40]), share))
    found.both[0, 1]  # -> 2
    found.text(0, 1)  # the same in a sentence
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from ..blocks.significance import hypergeometric_tail
from ..common import constants
from .block_occupancy import States


@dataclass(frozen=True)
class Relations:
    """How blocks depend on each other, each (B, B) by row a and column b.

    Attributes
    ----------
    numbers : B block numbers
    volumes : V
    both : int, volumes that have a and b; its diagonal is the volumes that have a block
    phi : correlation of presence, -1 to 1; NaN where a block is in all volumes or in none
    given : share of the volumes with b that have a as well; NaN where no volume has b
    more, less : probability that independent blocks are together as often as this or more, or less
        (Fisher's exact test)
    """

    numbers: tuple[int, ...]
    volumes: int
    both: NDArray[np.int64]
    phi: NDArray[np.float64]
    given: NDArray[np.float64]
    more: NDArray[np.float64]
    less: NDArray[np.float64]

    def word(self, a: int, b: int) -> str:
        """What block in row ``a`` is to that in row ``b``: 'together', 'only with', 'needed by',
        'never with', or ''.
        """
        # each pair is tested for more and for less
        enough = constants.FALSE_RELATION_RATE / max(1, len(self.numbers) * (len(self.numbers) - 1))
        if a == b:
            return ""
        if self.more[a, b] <= enough:
            a_needs, b_needs = self._nearly_all(b, a), self._nearly_all(a, b)
            return {
                (True, True): "together",
                (True, False): "only with",
                (False, True): "needed by",
            }.get((a_needs, b_needs), "")
        rare = min(self.both[a, a], self.both[b, b])
        apart = self.both[a, b] <= (1 - constants.NEARLY_ALL) * rare
        return "never with" if self.less[a, b] <= enough and apart else ""

    def _bound(self, a: int, b: int) -> str:
        return f"at least {100 * self.given_low[a, b]:.0f} % of the time, at 95 % confidence"

    def _nearly_all(self, a: int, b: int) -> bool:
        """Whether so many volumes with ``b`` have ``a`` that few can be without."""
        return bool(
            self.given[a, b] >= constants.NEARLY_ALL
            and self.given_low[a, b] >= constants.SURELY_MOST
        )

    @cached_property
    def given_low(self) -> NDArray[np.float64]:
        """(B, B) lower bound of ``given``, 95 % one-sided; 0 where no volume has b.

        Clopper & Pearson 1934, doi 10.1093/biomet/26.4.404. Of volumes that a decoder made far
        fewer are independent, and the bound is lower still.
        """
        count = np.broadcast_to(np.diag(self.both)[None, :], self.both.shape)
        low = betaincinv(np.maximum(self.both, 1), count - self.both + 1, 0.05)
        return np.where(self.both > 0, low, 0.0)

    def graph(self) -> nx.DiGraph:
        """The blocks that depend on each other: a node for each block number, an edge with its
        ``relation`` in words.
        """
        graph = nx.DiGraph()
        graph.add_nodes_from(self.numbers)
        for (a, first), (b, second) in permutations(enumerate(self.numbers), 2):
            if word := self.word(a, b):
                graph.add_edge(first, second, relation=word)
        return graph

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
        word = self.word(a, b)
        said = {
            "together": f"blocks {first} and {second} come and go together",
            "only with": f"block {first} only with block {second} ({self._bound(b, a)})",
            "needed by": f"block {second} only with block {first} ({self._bound(a, b)})",
            "never with": f"blocks {first} and {second} exclude each other",
        }
        return f"{text}: {said[word]}." if word else f"{text}."


def relations(states: States) -> Relations:
    """Count every pair of blocks."""
    present = states.present.astype(np.float64)
    volumes = present.shape[1]
    both = present @ present.T
    count = np.diag(both)
    variance = count * (volumes - count)
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = (volumes * both - np.outer(count, count)) / np.sqrt(np.outer(variance, variance))
        given = both / count[None, :]
    a, b = (
        np.repeat(count, len(count)).astype(np.float64),
        np.tile(count, len(count)).astype(np.float64),
    )
    with np.errstate(over="ignore", invalid="ignore"):  # where the tail is all but 1
        more = hypergeometric_tail(both.ravel(), a, b, volumes)
        # seldom together is often apart
        less = hypergeometric_tail(a - both.ravel(), a, volumes - b, volumes)
    more, less = (np.nan_to_num(p, nan=1.0).reshape(both.shape) for p in (more, less))
    return Relations(
        states.numbers, volumes, np.rint(both).astype(np.int64), phi, given, more, less
    )


def relations_csv(found: Relations) -> str:
    """Every pair of blocks as text: volumes with both, one, the other, neither; phi; the two
    conditional shares and their lower bounds; the relation.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "a",
            "b",
            "both",
            "only_a",
            "only_b",
            "neither",
            "phi",
            "a_given_b",
            "b_given_a",
            "a_given_b_low",
            "b_given_a_low",
            "relation",
        ]
    )
    for i, a in enumerate(found.numbers):
        for j, b in enumerate(found.numbers[i + 1 :], i + 1):
            both, has_a, has_b = found.both[i, j], found.both[i, i], found.both[j, j]
            writer.writerow(
                [
                    a,
                    b,
                    both,
                    has_a - both,
                    has_b - both,
                    found.volumes - has_a - has_b + both,
                    *(
                        f"{x:.4f}" if np.isfinite(x) else ""
                        for x in (
                            found.phi[i, j],
                            found.given[i, j],
                            found.given[j, i],
                            found.given_low[i, j],
                            found.given_low[j, i],
                        )
                    ),
                    found.word(i, j),
                ]
            )
    return text.getvalue()


def _percent(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.0f} %)" if whole else ""
