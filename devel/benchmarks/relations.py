"""How well planted dependences between blocks are found: ``python devel/benchmarks/relations.py``
writes ``relations.md`` beside it (a quarter of an hour on two cores). ``--quick`` only prints, of a
tenth of the ensembles.

A plan says how each block depends on earlier ones. From it follow the exact probabilities of all
states, and from these what is true of every pair, and which relations 200 volumes can show: all
before a volume is drawn.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from pathlib import Path

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from chimerax.siren.core.analysis.assembly import assembly_order
from chimerax.siren.core.analysis.block_occupancy import States, measure_states
from chimerax.siren.core.analysis.dependence import dependence
from chimerax.siren.core.analysis.pair_tests import at_least, at_most, fisher_tails
from chimerax.siren.core.analysis.parameters import RelateParameters
from chimerax.siren.core.analysis.relations import (
    DEPENDENT,
    INDEPENDENT,
    LESS_OFTEN,
    MORE_OFTEN,
    NEEDED_BY,
    NEVER_WITH,
    ONLY_WITH,
    TOGETHER,
    UNDECIDED,
    Relations,
    relations,
    relations_of_presence,
)
from chimerax.siren.core.blocks.expand import expand_sketch
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.common import constants
from chimerax.siren.core.simulation.example import Simulation, simulate
from chimerax.siren.core.simulation.parameters import BlockPlan, ExampleParameters
from chimerax.siren.core.thresholds.predict import predict_levels

PAGE = Path(__file__).with_name("relations.md")
VOLUMES = 200
SAID = (TOGETHER, ONLY_WITH, NEEDED_BY, NEVER_WITH)
SAME = 1e-9
FOUND = 0.3  # intersection over union from which a found block is a planted one


@dataclass(frozen=True)
class Planned:
    """How a block depends on earlier ones; its chance where they allow it."""

    chance: float
    needs: tuple[int, ...] = ()
    twin: int | None = None
    never: int | None = None


def random_plan(
    rng: np.random.Generator, low: float, high: float, twins: bool = True
) -> list[Planned]:
    """4 to 10 blocks: half of them need one or two earlier blocks, an eighth each is the twin of one
    or excludes one, the rest depend on nothing.
    """
    plan: list[Planned] = []
    for k in range(int(rng.integers(4, 11))):
        kind, chance = rng.random(), float(rng.uniform(low, high))
        if k and kind < 0.5:
            many = 1 if not twins or rng.random() < 0.75 else 2
            needs = rng.choice(k, min(k, many), replace=False)
            plan.append(Planned(chance, tuple(int(n) for n in needs)))
        elif k and kind < 0.625 and twins:
            plan.append(Planned(chance, twin=int(rng.integers(k))))
        elif k and kind < 0.75:
            plan.append(Planned(chance, never=int(rng.integers(k))))
        else:
            plan.append(Planned(chance))
    return plan


@dataclass(frozen=True)
class Truth:
    """What follows from a plan.

    Attributes
    ----------
    states : (n, B) all states that are possible; probability : (n,) of each
    words : of every pair of positions, a < b: one of SAID, 'independent', or 'more often with' or
        'less often with' for those that depend in none of these ways
    possible : the pairs whose relation VOLUMES volumes can show
    change : of every pair, the larger of the two differences of conditional shares
    """

    states: NDArray[np.bool_]
    probability: NDArray[np.float64]
    words: dict[tuple[int, int], str]
    possible: frozenset[tuple[int, int]]
    change: dict[tuple[int, int], float]

    def draw(self, rng: np.random.Generator, volumes: int, errors: float) -> NDArray[np.bool_]:
        """(B, V) presence, each call wrong at the rate of errors."""
        present = self.states[rng.choice(len(self.states), volumes, p=self.probability)].T
        return present ^ (rng.random(present.shape) < errors)


def truth_of(plan: Sequence[Planned]) -> Truth:
    """The exact probabilities of all states of a plan, and what they say of every pair."""
    chances: dict[tuple[bool, ...], float] = {(): 1.0}
    for block in plan:
        longer: dict[tuple[bool, ...], float] = {}
        for state, chance in chances.items():
            barred = any(not state[n] for n in block.needs)
            barred |= block.never is not None and state[block.never]
            there = 0.0 if barred else block.chance
            if block.twin is not None:
                there = float(state[block.twin])
            for present, share in ((True, there), (False, 1 - there)):
                if share > 0:
                    longer[*state, present] = longer.get((*state, present), 0.0) + chance * share
        chances = longer
    states, probability = np.array(list(chances), bool), np.array(list(chances.values()))
    probability /= probability.sum()
    both = (states * probability[:, None]).T @ states.astype(float)
    return _truth(states, probability, both)


def _truth(
    states: NDArray[np.bool_], probability: NDArray[np.float64], both: NDArray[np.float64]
) -> Truth:
    has, words, change = np.diag(both), {}, {}
    for a, b in combinations(range(len(has)), 2):
        differs = both[a, b] - has[a] * has[b]
        a_needs, b_needs = (abs(both[a, b] - has[k]) < SAME and has[k] > SAME for k in (a, b))
        if has[a] < SAME or has[b] < SAME or min(1 - has[a], 1 - has[b]) < SAME:
            words[a, b] = INDEPENDENT
        elif a_needs or b_needs:
            words[a, b] = TOGETHER if a_needs and b_needs else ONLY_WITH if a_needs else NEEDED_BY
        elif both[a, b] < SAME:
            words[a, b] = NEVER_WITH
        else:
            words[a, b] = (
                INDEPENDENT if abs(differs) < SAME else MORE_OFTEN if differs > 0 else LESS_OFTEN
            )
        spread = [max(h * (1 - h), SAME) for h in (has[a], has[b])]
        change[a, b] = max(abs(differs) / s for s in spread)
    possible = {p for p, word in words.items() if word in SAID and _can_be_shown(both, *p, word)}
    return Truth(states, probability, words, frozenset(possible), change)


def _can_be_shown(both: NDArray[np.float64], a: int, b: int, word: str) -> bool:
    """Whether the counts that are expected of VOLUMES volumes, all calls right, pass the level of
    Bonferroni for all pairs and both directions.
    """
    blocks = len(both)
    level = constants.FALSE_RELATION_RATE / (2.5 * blocks * (blocks - 1))
    counts = np.rint(both[np.ix_((a, b), (a, b))] * VOLUMES)
    more, less = (p[0, 1] for p in fisher_tails(counts, VOLUMES, float(VOLUMES)))
    n, half = np.diag(counts), constants.SURELY_MOST
    if word == NEVER_WITH:
        return bool(max(less, float(at_most(counts[0, 1], n.min(), 1 - half))) <= level)
    needing = {ONLY_WITH: n[:1], NEEDED_BY: n[1:], TOGETHER: n}[word]
    return all(max(more, float(at_least(counts[0, 1], k, half))) <= level for k in needing)


class Tally:
    """Pairs of blocks by what is true and what is said."""

    def __init__(self) -> None:
        self.pairs: Counter[tuple[str, str, bool]] = Counter()
        self.edges: Counter[str] = Counter()
        self.wide = self.narrow = 0

    def add(self, found: Relations, truth: Truth) -> None:
        for pair, word in truth.words.items():
            said = found.word(*pair)
            self.pairs[word, said, pair in truth.possible] += 1
            if said == INDEPENDENT:
                self.wide += truth.change[pair] >= constants.INDEPENDENT_BAND
                self.narrow += truth.change[pair] < constants.INDEPENDENT_BAND
        expected, drawn = edges_of_truth(truth), edges_of(found)
        self.edges.update(
            right=len(expected & drawn), wrong=len(drawn - expected), missed=len(expected - drawn)
        )

    def count(self, keep: Callable[[str, str, bool], bool]) -> int:
        return sum(n for key, n in self.pairs.items() if keep(*key))

    @property
    def precision(self) -> str:
        right = self.count(lambda t, s, _: s in SAID and s == t)
        return share(right, self.count(lambda t, s, _: s in SAID))

    def recall(self, all_pairs: bool) -> str:
        right = self.count(lambda t, s, p: t in SAID and s == t and (p or all_pairs))
        return share(right, self.count(lambda t, s, p: t in SAID and (p or all_pairs)))

    def recall_of(self, words: tuple[str, ...]) -> str:
        right = self.count(lambda t, s, p: t in words and s == t and p)
        return share(right, self.count(lambda t, s, p: t in words and p))

    def graph(self) -> tuple[str, str]:
        right, wrong, missed = (self.edges[k] for k in ("right", "wrong", "missed"))
        return share(right, right + wrong), share(right, right + missed)

    def cells(self, name: str) -> list[str]:
        """A row: precision, recall of what can be shown and of all, by kind, of the graph."""
        kinds = ((ONLY_WITH, NEEDED_BY), (TOGETHER,), (NEVER_WITH,))
        return [
            name,
            self.precision,
            self.recall(False),
            self.recall(True),
            *(self.recall_of(k) for k in kinds),
            *self.graph(),
        ]


HEAD = [
    *("ensembles", "precision", "recall", "recall of all", "needs", "together", "never"),
    *("graph: precision", "graph: recall"),
]


def share(part: int, whole: int) -> str:
    return f"{part / whole:.3f} ({part:,}/{whole:,})" if whole else "-"


def edges_of(found: Relations) -> set[tuple[str, frozenset[int], frozenset[int]]]:
    """Edges of the minimal graph, between groups of blocks."""
    graph = dependence(found)
    sets = [frozenset(g) for g in graph.groups]
    needs = {("needs", sets[a], sets[b]) for a, b in graph.needs.edges}
    return needs | {("never", *sorted((sets[a], sets[b]), key=min)) for a, b in graph.exclusive}


def edges_of_truth(truth: Truth) -> set[tuple[str, frozenset[int], frozenset[int]]]:
    """The same of what is true, by networkx alone."""
    blocks = range(truth.states.shape[1])
    full, twins, apart = nx.DiGraph(), nx.Graph(), set()
    twins.add_nodes_from(blocks)
    twins.add_edges_from(p for p, word in truth.words.items() if word == TOGETHER)
    group = {b: frozenset(c) for c in nx.connected_components(twins) for b in c}
    full.add_nodes_from(group.values())
    for (a, b), word in truth.words.items():
        if word in (ONLY_WITH, NEEDED_BY):
            full.add_edge(*(group[k] for k in ((b, a) if word == ONLY_WITH else (a, b))))
        elif word == NEVER_WITH:
            apart.add(frozenset((group[a], group[b])))
    found = {("needs", a, b) for a, b in nx.transitive_reduction(full).edges}
    for pair in apart:
        a, b = sorted(pair, key=min)
        above = product([a, *nx.ancestors(full, a)], [b, *nx.ancestors(full, b)])
        if not any(frozenset(p) in apart and frozenset(p) != pair for p in above):
            found.add(("never", a, b))
    return found


# --- parts of the page


def numbers_of(truth: Truth) -> tuple[int, ...]:
    return tuple(range(truth.states.shape[1]))


def direct(
    ensembles: int, errors: float, low: float, high: float, effective: float | None
) -> Tally:
    """Plans drawn as presence, without maps."""
    tally = Tally()
    for seed in range(ensembles):
        rng = np.random.default_rng([21, seed])
        truth = truth_of(random_plan(rng, low, high))
        present = truth.draw(rng, VOLUMES, errors)
        tally.add(relations_of_presence(numbers_of(truth), present, effective), truth)
    return tally


@contextmanager
def constant(name: str, value: float) -> Iterator[None]:
    """Another value of a constant, for a while."""
    before = getattr(constants, name)
    setattr(constants, name, value)
    try:
        yield
    finally:
        setattr(constants, name, before)


def planted_part(count: int) -> tuple[list[str], Tally]:
    rows, first = [], None
    for name, errors, low, high, effective in (
        ("all calls right", 0.0, 0.3, 0.8, None),
        ("0.5 % of the calls wrong", 0.005, 0.3, 0.8, None),
        ("1 % wrong", 0.01, 0.3, 0.8, None),
        ("2 % wrong", 0.02, 0.3, 0.8, None),
        ("all right, blocks of 0.4 to 0.7", 0.0, 0.4, 0.7, None),
        ("all right, worth 185 volumes", 0.0, 0.3, 0.8, 185.0),
        ("all right, worth 100 volumes", 0.0, 0.3, 0.8, 100.0),
    ):
        tally = direct(count, errors, low, high, effective)
        first = first or tally
        rows.append(tally.cells(name))
    for name, value in (("SURELY_MOST", 2 / 3), ("SURELY_MOST", 0.75), ("CONSISTENT", 0.5)):
        with constant(name, value):
            rows.append(direct(count, 0.0, 0.3, 0.8, None).cells(f"all right, {name} {value:.2f}"))
            rows.append(direct(count, 0.01, 0.3, 0.8, None).cells(f"1 % wrong, {name} {value:.2f}"))
    assert first is not None
    return table(HEAD, rows), first


def confusion(tally: Tally) -> list[str]:
    """What is said of pairs, by what is true."""
    words = (ONLY_WITH, NEEDED_BY, TOGETHER, NEVER_WITH, MORE_OFTEN, LESS_OFTEN, INDEPENDENT)
    said = (*words, UNDECIDED)
    rows = [
        [f"{t}{' (can be shown)' if p else ''}"] + [f"{tally.pairs[t, s, p]:,}" for s in said]
        for t in words
        for p in ((True, False) if t in SAID else (False,))
    ]
    return table(["true", *(f"said: {s}" for s in said)], rows)


def null_part(count: int) -> list[str]:
    """Blocks that do not depend on each other."""
    rows = []
    for name, pool, effective in (
        (f"{VOLUMES} independent volumes", None, None),
        (f"{VOLUMES} drawn from 30, counted as 30", 30, 30.0),
        (f"{VOLUMES} drawn from 30, counted as {VOLUMES}", 30, None),
        (f"{VOLUMES} drawn from 60, counted as 60", 60, 60.0),
        (f"{VOLUMES} drawn from 10, counted as 10", 10, 10.0),
    ):
        any_false, said, pairs, alike = 0, 0, 0, 0
        for seed in range(count):
            rng = np.random.default_rng([22, seed])
            blocks = int(rng.integers(4, 11))
            present = rng.random((blocks, pool or VOLUMES)) < rng.uniform(0.1, 0.9, (blocks, 1))
            if pool:
                present = present[:, rng.integers(0, pool, VOLUMES)]
            found = relations_of_presence(tuple(range(blocks)), present, effective)
            words = [found.word(a, b) for a, b in combinations(range(blocks), 2)]
            false = sum(w in DEPENDENT for w in words)
            any_false, said, pairs = any_false + (false > 0), said + false, pairs + len(words)
            alike += words.count(INDEPENDENT)
        rows.append([name, share(any_false, count), share(said, pairs), share(alike, pairs)])
    head = ["null ensembles", "with any relation", "pairs said to depend", "pairs said independent"]
    return table(head, rows)


def order_part(count: int) -> list[str]:
    """Orders of assembly: how often what is said is right, by its support."""
    bins = (0.5, 0.7, 0.9, 0.99, 1.01)
    right, said = Counter[int](), Counter[int]()
    missed = whole = exact = ordered = 0
    for seed in range(count):
        rng = np.random.default_rng([23, seed])
        truth = truth_of(random_plan(rng, 0.3, 0.8))
        present = truth.draw(rng, VOLUMES, 0.0)
        order = assembly_order(states_of(present), RelateParameters(resamples=100))
        graph = order.graph
        pairs = {
            (a, b)
            for g in graph
            for h in nx.descendants(graph, g)
            for a in order.groups[g]
            for b in order.groups[h]
        }
        true = {
            (b, a) if word == ONLY_WITH else (a, b)
            for (a, b), word in truth.words.items()
            if word in (ONLY_WITH, NEEDED_BY)
        }
        sure = {(a, b) for a, b in true if (min(a, b), max(a, b)) in truth.possible}
        missed += len(sure - pairs)
        ordered += len(sure)
        whole += pairs <= true
        exact += pairs == true
        for a, b in pairs:
            k = int(np.searchsorted(bins, order.support_of(a, b), "right")) - 1
            said[max(k, 0)] += 1
            right[max(k, 0)] += (a, b) in true
    rows = [
        [f"{low:.2f} to {min(high, 1):.2f}", share(right[k], said[k])]
        for k, (low, high) in enumerate(pairwise(bins))
    ]
    return [
        *table(["support of a before b", "right"], rows),
        "",
        f"Of pairs with an order that {VOLUMES} volumes can show, {share(ordered - missed, ordered)} "
        f"have it. Nothing in the order is wrong in {share(whole, count)} ensembles; it is all of the "
        f"truth, also of what cannot be shown, in {share(exact, count)}.",
    ]


def states_of(present: NDArray[np.bool_]) -> States:
    blocks, volumes = present.shape
    names = tuple(f"v{v}" for v in range(volumes))
    sizes = np.full(blocks, 100)
    return States(names, np.ones(volumes), tuple(range(blocks)), sizes, present.astype(np.float32))


# --- through maps


def chain_part(count: int, predicted: int) -> list[str]:
    """Simulated maps, sketch, expand, states, relations."""
    rows, seconds = [], []
    for name, many, levels in (
        ("true levels", count, "true"),
        ("predicted levels", predicted, "net"),
    ):
        if not many:
            continue
        tally, lost, extra, wrong, calls, worth = Tally(), 0, 0, 0, 0, []
        for seed in range(many):
            simulation, truth, plan = planted_maps(seed)
            states, matched = found_states(simulation, levels)
            worth.append(states.effective_volumes or np.nan)
            extra += len(states.numbers) - len(matched)
            kept = sorted(matched)
            lost += len(plan) - len(kept)
            rows_of = [states.row(matched[k]) for k in kept]
            present = states.present[rows_of]
            wrong += int((present != np.array([simulation.units[k].present for k in kept])).sum())
            calls += present.size
            part = relations(
                States(
                    states.names,
                    states.levels,
                    tuple(range(len(kept))),
                    states.sizes[rows_of],
                    states.share[rows_of],
                    effective_volumes=states.effective_volumes,
                )
            )
            tally.add(part, some_of(truth, kept))
        cells = tally.cells(f"{many} at {name}")
        rows.append(cells)
        low, high = np.nanmin(worth), np.nanmax(worth)
        seconds.append(
            f"At {name}: {lost} planted blocks not found, {extra} found that match none; "
            f"{share(wrong, calls)} calls of presence wrong; the {VOLUMES} volumes count as {low:.0f} "
            f"to {high:.0f}."
        )
    return [*table(HEAD, rows), "", *seconds]


def planted_maps(seed: int) -> tuple[Simulation, Truth, list[Planned]]:
    """200 maps of 64^3 at noise x1, with dependences as drawn, but no twins: blocks that come and go
    together are one block to the sketch.
    """
    rng = np.random.default_rng([24, seed])
    plan = random_plan(rng, 0.35, 0.75, twins=False)[:8]
    while any(h > 0.93 or h < 0.05 for h in marginals(plan)):
        plan = random_plan(rng, 0.35, 0.75, twins=False)[:8]
    blocks = tuple(
        BlockPlan(
            f"b{k}",
            int(rng.integers(300, 800)),
            p.chance,
            only_with=f"b{p.needs[0]}" if p.needs else None,
            never_with=None if p.never is None else f"b{p.never}",
        )
        for k, p in enumerate(plan)
    )
    parameters = ExampleParameters(volumes=VOLUMES, noise=1.0, seed=seed, blocks=blocks)
    return simulate(parameters), truth_of(plan), plan


def marginals(plan: Sequence[Planned]) -> NDArray[np.float64]:
    truth = truth_of(plan)
    return np.asarray(truth.probability @ truth.states, np.float64)


def found_states(simulation: Simulation, levels: str) -> tuple[States, dict[int, int]]:
    """States of the blocks found, and which of them each planted block is."""
    ensemble = simulation.ensemble()
    given = simulation.levels if levels == "true" else predict_levels(ensemble).array
    first = sketch(ensemble, given, SketchParameters(resamples=0))
    grown = expand_sketch(ensemble, first)
    states = measure_states(grown.blocks, grown.occupancy)
    effective = None if grown.evidence is None else grown.evidence.effective_volumes
    overlap = {
        (k, n): len(np.intersect1d(unit.voxels, v)) / len(np.union1d(unit.voxels, v))
        for k, unit in enumerate(simulation.units)
        for n, v in grown.blocks
    }
    matched: dict[int, int] = {}
    for (k, n), iou in sorted(overlap.items(), key=lambda item: -item[1]):
        if iou >= FOUND and k not in matched and n not in matched.values():
            matched[k] = n
    return (
        States(
            states.names,
            states.levels,
            states.numbers,
            states.sizes,
            states.share,
            effective_volumes=effective,
        ),
        matched,
    )


def some_of(truth: Truth, kept: list[int]) -> Truth:
    """The truth on some of the blocks; the family of tests is theirs."""
    states = truth.states[:, kept]
    both = (states * truth.probability[:, None]).T @ states.astype(float)
    return _truth(states, truth.probability, both)


def table(head: list[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true")
    quick = arguments.parse_args().quick
    count, nulls, orders, maps, predicted = (
        (30, 100, 10, 1, 0) if quick else (300, 1000, 100, 12, 6)
    )
    planted, tally = planted_part(count)
    lines = [
        "# Planted dependences between blocks",
        "",
        "Made by `python devel/benchmarks/relations.py` (`make bench-relations`).",
        "",
        "## Random plans, drawn as presence",
        "",
        f"{count} plans of 4 to 10 blocks: half of the blocks need one or two earlier ones, an eighth "
        "each is the twin of one or excludes one, the rest depend on nothing; each is in 0.3 to 0.8 of "
        f"the volumes that allow it. {VOLUMES} volumes. A pair counts with its exact relation and "
        "direction, also where that follows from others. *precision*: of the relations said (needs, "
        "together, never), those that are true. *recall*: of the true ones that can be shown, those "
        "said. A relation can be shown if the counts expected of its rates, with no call wrong, pass "
        "the level of Bonferroni for all pairs and both directions; that is worked out from the plan, "
        "before a volume is drawn. *recall of all*: without that. *graph*: edges of the minimal graph, "
        "all of them, also those that cannot be shown. SURELY_MOST and CONSISTENT: other values of "
        "these constants. The plans are drawn by the same rules as the words are defined, and presence "
        "is given: what maps add is in the last section.",
        "",
        *planted,
        "",
        "All calls right, pair by pair. *More* and *less often*: pairs that depend in another way.",
        "",
        *confusion(tally),
        "",
        f"Of pairs said to be independent, {share(tally.narrow, tally.narrow + tally.wide)} are within "
        f"the band of {constants.INDEPENDENT_BAND}; the rest are beyond it by chance.",
        "",
        "## No dependence",
        "",
        f"{nulls} ensembles each, of 4 to 10 blocks in 0.1 to 0.9 of the volumes. Volumes drawn from "
        "few are like those of a decoder: copies of each other. Said are all words of dependence, also "
        "more and less often.",
        "",
        *null_part(nulls),
        "",
        "## Order of assembly",
        "",
        f"{orders} of the plans, all calls right, 100 resamples.",
        "",
        *order_part(orders),
        "",
        "## From maps",
        "",
        f"{VOLUMES} maps of 64^3 with 4 to 8 planted blocks of 300 to 800 residues and noise x1, through "
        "sketch, expand and states; no twins, which the sketch takes for one block. Plans with a block "
        "in fewer than 5 % or more than 93 % of the volumes were drawn again. Pairs of planted blocks "
        "that were found (intersection over union of at least 0.3), at the effective number of "
        "volumes that the run measured. Of n of n right, the true share is 0.05^(1/n) or more (95 %), "
        "if pairs were independent: 0.96 for 83, 0.93 for 43. Pairs of one ensemble are not, so these "
        "few ensembles do not show that a relation is never wrong.",
        "",
        *chain_part(maps, predicted),
        "",
    ]
    text = "\n".join(lines)
    print(text)
    if not quick:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
