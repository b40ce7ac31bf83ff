"""The order in which blocks come, as far as the ensemble tells, and how sure it is.

A block that never is without another comes after it. What is counted once is counted again in
resamples of the volumes; what most of them agree on is the order. Blocks of which none needs the
other have no order between them: none is made up.

Example::

    import numpy as np

    from chimerax.siren.core.analysis.assembly import assembly_order
    from chimerax.siren.core.analysis.block_occupancy import States

    volume = np.arange(200)
    share = np.array([volume < 120, (volume >= 40) & (volume < 80)], np.float32)
    names = tuple(f"v{v}" for v in volume)
    order = assembly_order(States(names, np.ones(200), (1, 2), np.array([50, 40]), share))
    order.steps  # -> (((1,),), ((2,),))
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from ..common.progress import Progress
from ..common.tables import csv_text
from .block_occupancy import States
from .pair_tests import closure
from .parameters import RelateParameters
from .relations import Relations, relations_of_presence

Matrix = NDArray[np.float64]
AGREED = 0.5  # share of the resamples that must say so


@dataclass(frozen=True)
class Order:
    """The best supported order of assembly.

    Attributes
    ----------
    numbers : B block numbers
    groups : blocks that come together, each a tuple of block numbers; most are of one block
    graph : directed, acyclic, without edges that follow from others; nodes are positions in
        ``groups``, an edge goes from what comes before to what comes after
    before : (B, B) share of the resamples in which the row's block comes before the column's
    together : (B, B) share of the resamples in which both come and go together
    resamples : how many
    whole : share of the resamples in which all of the order holds
    exact : share of those in which it holds and nothing else is ordered
    """

    numbers: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    graph: nx.DiGraph
    before: Matrix
    together: Matrix
    resamples: int
    whole: float
    exact: float

    @property
    def free(self) -> tuple[int, ...]:
        """Blocks without a place in the order: nothing comes before or after them."""
        return tuple(n for g, d in self.graph.degree if d == 0 for n in self.groups[g])

    @property
    def steps(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """The groups step by step, without those that have no place. Groups of one step have no
        order between them, and a group comes only after those that it needs, not after the whole
        step before.
        """
        layers = nx.topological_generations(self.graph)
        kept = (tuple(g for g in sorted(layer) if self.graph.degree[g]) for layer in layers)
        return tuple(tuple(self.groups[g] for g in layer) for layer in kept if layer)

    def step(self, number: int) -> int | None:
        """Step of a block, from 1; None if it has no place in the order."""
        for k, groups in enumerate(self.steps, 1):
            if any(number in group for group in groups):
                return k
        return None

    def after(self, number: int) -> tuple[int, ...]:
        """Blocks that come directly before this one."""
        group = next(g for g, blocks in enumerate(self.groups) if number in blocks)
        return tuple(n for g in sorted(self.graph.predecessors(group)) for n in self.groups[g])

    def parallel(self, number: int) -> tuple[int, ...]:
        """Blocks with a place in the order, but none before or after this one."""
        group = next(g for g, blocks in enumerate(self.groups) if number in blocks)
        if not self.graph.degree[group]:
            return ()
        ordered = {group, *nx.ancestors(self.graph, group), *nx.descendants(self.graph, group)}
        others = (g for g in sorted(self.graph) if g not in ordered and self.graph.degree[g])
        return tuple(n for g in others for n in self.groups[g])

    def support_of(self, first: int, then: int) -> float:
        """Share of the resamples in which a block comes before another."""
        return float(self.before[self.numbers.index(first), self.numbers.index(then)])

    def support(self, number: int) -> float:
        """Share of the resamples for the weakest of what comes directly before a block; NaN if
        nothing does.
        """
        shares = [self.support_of(n, number) for n in self.after(number)]
        return min(shares, default=float("nan"))

    def text(self) -> str:
        """The order in a few sentences."""
        if not self.graph.number_of_edges():
            return "No block needs another: the volumes tell no order of assembly."
        said = []
        for k, groups in enumerate(self.steps, 1):
            words = []
            for group in groups:
                after = self.after(group[0])
                names = "+".join(map(str, group))
                support = f", {100 * self.support(group[0]):.0f} %" if after else ""
                words.append(f"{names} (after {_listed(after)}{support})" if after else names)
            said.append(f"step {k}: {', '.join(words)}")
        text = f"Order of assembly: {'; '.join(said)}. "
        text += (
            f"This whole order was found in {100 * self.whole:.0f} % of {self.resamples:,} "
            f"resamples; in {100 * self.exact:.0f} %, no further order was found with it. Blocks "
            "of which none needs the other have no order between them."
        )
        if self.free:
            plural = "s" if len(self.free) > 1 else ""
            have = "have" if plural else "has"
            text += f" Block{plural} {_listed(self.free)} {have} no place in the order."
        return text


def assembly_order(
    states: States,
    parameters: RelateParameters | None = None,
    progress: Progress | None = None,
) -> Order:
    """The best supported order: what comes before what in most resamples.

    The volumes are drawn anew with replacement, as many as they are worth independent ones, and all
    pairs are tested again. What more than half of the resamples say is taken over, the most
    frequent first, unless it contradicts what was taken before (Tideman 1987's ranked pairs).

    Parameters
    ----------
    states : States of V volumes
    parameters : how many resamples, their seed, and how many independent volumes these are worth
    """
    parameters, progress = parameters or RelateParameters(), progress or Progress()
    present, volumes = states.present, len(states.names)
    worth = parameters.effective_volumes or states.effective_volumes or volumes
    draws = max(1, min(volumes, round(worth)))
    rng = np.random.default_rng([parameters.seed, 11])
    said = []
    for k in range(parameters.resamples):
        progress.step("resampling volumes", k / parameters.resamples)
        weights = np.bincount(rng.integers(0, volumes, draws), minlength=volumes)
        found = relations_of_presence(states.numbers, present, None, weights)
        said.append(said_of(found))
    before = np.mean([s[0] for s in said], axis=0)
    together = np.mean([s[1] for s in said], axis=0)
    return _agreed(states.numbers, before, together, said)


def said_of(found: Relations) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(B, B) whether the row's block comes before the column's, and whether they come together."""
    needs = found.needs
    return closure(needs.T & ~needs), needs & needs.T


def _agreed(
    numbers: tuple[int, ...],
    before: Matrix,
    together: Matrix,
    said: list[tuple[NDArray[np.bool_], NDArray[np.bool_]]],
) -> Order:
    same = nx.Graph()
    same.add_nodes_from(range(len(numbers)))
    same.add_edges_from(zip(*np.nonzero(together > AGREED), strict=True))
    groups = sorted(sorted(int(r) for r in c) for c in nx.connected_components(same))
    reach = np.zeros((len(groups),) * 2, bool)
    between = {  # the best supported pair of two groups speaks for them
        (g, h): float(before[np.ix_(groups[g], groups[h])].max())
        for g in range(len(groups))
        for h in range(len(groups))
        if g != h
    }
    for (g, h), share in sorted(between.items(), key=lambda item: (-item[1], item[0])):
        if share > AGREED and not reach[h, g]:
            reach[g, h] = True
            reach = closure(reach)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(groups)))
    whole = nx.from_numpy_array(reach, create_using=nx.DiGraph)
    graph.add_edges_from(sorted(nx.transitive_reduction(whole).edges))
    place = np.empty(len(numbers), int)
    for g, rows in enumerate(groups):
        place[rows] = g
    ordered, joined = reach[np.ix_(place, place)], place[:, None] == place[None, :]
    np.fill_diagonal(joined, False)
    holds = [bool((b[ordered]).all() and (t[joined]).all()) for b, t in said]
    exact = [
        ok and bool((b == ordered).all() and (t == joined).all())
        for ok, (b, t) in zip(holds, said, strict=True)
    ]
    return Order(
        numbers,
        tuple(tuple(numbers[r] for r in rows) for rows in groups),
        graph,
        before,
        together,
        len(said),
        float(np.mean(holds)) if holds else float("nan"),
        float(np.mean(exact)) if exact else float("nan"),
    )


def order_csv(order: Order) -> str:
    """The order as text, a row for each block: step (empty without a place), the blocks that come
    with it, directly before it, and in parallel; the support of what comes before.
    """
    rows = []
    in_order = sorted(order.numbers, key=lambda n: (order.step(n) or len(order.numbers) + 1, n))
    for number in in_order:
        group = next(g for g in order.groups if number in g)
        support = order.support(number)
        rows.append(
            (
                number,
                order.step(number) or "",
                _words(n for n in group if n != number),
                _words(order.after(number)),
                f"{support:.4f}" if np.isfinite(support) else "",
                _words(order.parallel(number)),
                order.resamples,
            )
        )
    return csv_text(("block", "step", "with", "after", "support", "parallel", "resamples"), rows)


def support_csv(order: Order) -> str:
    """The support of every pair as text: share of the resamples in which a comes before b, b before
    a, and both together.
    """
    rows = []
    for (i, a), (j, b) in combinations(enumerate(order.numbers), 2):
        shares = (order.before[i, j], order.before[j, i], order.together[i, j])
        rows.append((a, b, *(f"{s:.4f}" for s in shares)))
    return csv_text(("a", "b", "a_before_b", "b_before_a", "together"), rows)


def _words(numbers: object) -> str:
    return " ".join(map(str, numbers))  # type: ignore[call-overload]


def _listed(numbers: tuple[int, ...]) -> str:
    words = [str(n) for n in numbers]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
