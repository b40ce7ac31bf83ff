"""The graph of dependences, the states and the order of assembly of planted blocks."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from chimerax.siren.core.analysis.assembly import assembly_order, order_csv, support_csv
from chimerax.siren.core.analysis.block_occupancy import States
from chimerax.siren.core.analysis.combinations import (
    combinations_csv,
    combinations_of,
    error_rates,
)
from chimerax.siren.core.analysis.dependence import dependence, write_graphml
from chimerax.siren.core.analysis.parameters import RelateParameters
from chimerax.siren.core.analysis.relate import relate
from chimerax.siren.core.analysis.relations import relations_of_presence
from planted_graphs import planted_presence, reduced


def states_of(present: np.ndarray, effective: float | None = None) -> States:
    blocks, volumes = present.shape
    return States(
        tuple(f"v{v}.mrc" for v in range(volumes)),
        np.ones(volumes),
        tuple(range(1, blocks + 1)),
        np.full(blocks, 50),
        np.asarray(present, np.float32),
        effective_volumes=effective,
    )


@pytest.mark.parametrize("seed", range(12))
def test_the_graph_is_the_transitive_reduction_of_what_was_planted(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = int(rng.integers(4, 9))
    present, needs, never = planted_presence(rng, blocks, 4000)
    found = dependence(relations_of_presence(tuple(range(blocks)), present))
    twins = {tuple(np.flatnonzero(needs[k] & needs[:, k])) for k in range(blocks)}
    assert set(found.groups) == twins
    first = [group[0] for group in found.groups]
    expected = reduced(needs[np.ix_(first, first)])
    assert set(found.needs.edges) == expected
    # pairs that exclude each other, less those that follow from a pair of what they need
    apart = {frozenset(p) for p in np.argwhere(never[np.ix_(first, first)]).tolist()}
    above = [set(np.flatnonzero(needs[f, first])) for f in first]
    minimal = {
        pair
        for pair in apart
        if not any(
            frozenset((c, d)) in apart and frozenset((c, d)) != pair
            for a, b in [tuple(pair)]
            for c in above[a]
            for d in above[b]
        )
    }
    assert {frozenset(p) for p in found.exclusive} == minimal


def test_layers_come_after_all_that_they_need() -> None:
    rng = np.random.default_rng(5)
    present, _, _ = planted_presence(rng, 12, 3000)
    found = dependence(relations_of_presence(tuple(range(12)), present))
    layer = {g: k for k, layer in enumerate(found.layers) for g in layer}
    assert all(layer[a] < layer[b] for a, b in found.needs.edges)
    assert sorted(layer) == list(range(len(found.groups)))


def test_graphml_is_read_back_with_names_colors_and_counts(tmp_path: Path) -> None:
    volume = np.arange(200)
    found = relations_of_presence((3, 5, 8), np.array([volume < 120, volume < 60, volume >= 130]))
    graph = dependence(found).as_networkx(found, {3: 'base & "top" <x>\x07'}, {5: (1, 0.5, 0)})
    write_graphml(tmp_path / "g.graphml", graph)
    again = nx.read_graphml(tmp_path / "g.graphml")
    assert again.nodes["3"]["label"] == '3 base & "top" <x> '
    assert (again.nodes["5"]["color"], again.nodes["5"]["volumes"]) == ("#FF8000", 60)
    assert again.edges["3", "5"] == {"kind": "needed by", "share": 1.0}
    assert again.edges["3", "8"]["kind"] == "never with"
    assert not again.has_edge("5", "8")  # follows: 5 only with 3
    assert (again.nodes["3"]["layer"], again.nodes["5"]["layer"]) == (0, 1)


def test_combinations_are_those_counted_one_by_one() -> None:
    rng = np.random.default_rng(6)
    states = states_of(rng.random((4, 90)) < [[0.2], [0.5], [0.7], [0.5]], effective=45.0)
    present = states.present
    expected = Counter(
        tuple(n for n, there in zip(states.numbers, column, strict=True) if there)
        for column in present.T
    )
    found = combinations_of(states)
    assert {c.blocks: c.count for c in found} == expected
    assert [c.count for c in found] == sorted(expected.values(), reverse=True)
    rate = present.mean(axis=1)
    for c in found:
        chance = np.prod([r if n in c.blocks else 1 - r for n, r in enumerate(rate, 1)])
        assert c.if_independent == pytest.approx(90 * chance)
        volume = present[:, states.names.index(c.volume)]
        assert tuple(np.flatnonzero(volume) + 1) == c.blocks
        if c.count % 2 == 0:
            bounds = stats.binomtest(c.count // 2, 45).proportion_ci(0.90)
            assert (c.low, c.high) == pytest.approx((bounds.low, bounds.high))


def test_volumes_expected_by_wrong_calls_are_those_summed_over_all_states() -> None:
    rng = np.random.default_rng(7)
    there = rng.random((3, 400)) < 0.4
    there[1] &= there[0]
    share = np.clip(np.where(there, 0.8, 0.25) + 0.13 * rng.standard_normal((3, 400)), 0, 1)
    states = states_of(share)
    missed, called = error_rates(states)
    found = combinations_of(states)
    for c in found:
        total = 0.0
        for other in found:
            if other.blocks == c.blocks:
                continue
            chance = 1.0
            for row, n in enumerate(states.numbers):
                wrong = missed[row] if n in other.blocks else called[row]
                chance *= wrong if (n in c.blocks) != (n in other.blocks) else 1 - wrong
            total += other.count * chance
        assert c.by_errors == pytest.approx(total)
        assert c.p_errors == pytest.approx(stats.poisson.sf(c.count - 1, total))
    sure = {c.blocks for c in found if c.sure}
    real = {(), (1,), (3,), (1, 2), (1, 3), (1, 2, 3)}
    assert real <= sure
    planted = Counter(map(tuple, there.T.tolist()))
    assert planted[False, True, False] == 0  # made by errors alone
    assert (2,) not in sure


def test_the_order_is_that_of_the_planted_chain_and_branches_stay_parallel() -> None:
    rng = np.random.default_rng(8)
    first = rng.random(300) < 0.8
    second = first & (rng.random(300) < 0.7)
    third, branch = second & (rng.random(300) < 0.6), first & (rng.random(300) < 0.5)
    free = rng.random(300) < 0.5
    twin = branch.copy()
    states = states_of(np.array([third, free, first, branch, second, twin]))
    order = assembly_order(states, RelateParameters(resamples=40))
    assert order.steps == (((3,),), ((4, 6), (5,)), ((1,),))
    assert order.after(1) == (5,) and order.after(4) == (3,)
    assert set(order.parallel(4)) == {1, 5} and order.free == (2,)
    assert order.whole > 0.9
    text = order.text()
    said = (
        f"This whole order was found in {100 * order.whole:.0f} % of 40 resamples; in "
        f"{100 * order.exact:.0f} %, no further order was found with it."
    )
    assert (
        said in text
        and "step 1: 3; step 2: 4+6 (after 3," in text
        and "Block 2 has no place" in text
    )


def test_support_is_the_share_of_resamples_counted_one_by_one() -> None:
    rng = np.random.default_rng(9)
    base = rng.random(80) < 0.6
    present = np.array([base, base & (rng.random(80) < 0.35), rng.random(80) < 0.5])
    parameters = RelateParameters(resamples=30, seed=4)
    order = assembly_order(states_of(present, effective=50.0), parameters)
    draw, said = np.random.default_rng([4, 11]), 0
    for _ in range(30):
        chosen = draw.integers(0, 80, 50)
        said += relations_of_presence((1, 2, 3), present[:, chosen]).word(1, 0) == "only with"
    assert said > 0 and order.support_of(1, 2) == pytest.approx(said / 30)
    assert order.support_of(2, 1) == 0


def test_blocks_that_need_nothing_have_no_order() -> None:
    rng = np.random.default_rng(10)
    order = assembly_order(states_of(rng.random((4, 200)) < 0.5), RelateParameters(resamples=10))
    assert order.steps == () and order.free == (1, 2, 3, 4)
    assert "tell no order" in order.text()


def test_the_same_seed_gives_the_same_tables_and_pandas_reads_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    present, _, _ = planted_presence(rng, 6, 200)
    parameters = RelateParameters(resamples=20, seed=2)
    texts = []
    for _ in range(2):
        found = relate(states_of(present), parameters)
        table = combinations_csv(found.combinations, found.states.numbers, 200)
        texts.append((order_csv(found.order), support_csv(found.order), table))
    assert texts[0] == texts[1]
    for name, text in zip(("order", "support", "combinations"), texts[0], strict=True):
        (tmp_path / name).write_text(text)
    assert pd.read_csv(tmp_path / "order").block.tolist().sort() is None
    assert len(pd.read_csv(tmp_path / "support")) == len(list(combinations(range(6), 2)))
    assert pd.read_csv(tmp_path / "combinations").volumes.sum() == 200


def test_without_volumes_or_blocks_there_is_nothing_to_relate() -> None:
    found = relate(states_of(np.zeros((0, 5))), RelateParameters(resamples=2))
    assert found.graph.groups == () and found.order.free == ()
    assert [(c.name, c.count) for c in found.combinations] == [("none", 5)]
