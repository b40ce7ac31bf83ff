"""Communities, against networkx and graphs whose communities are plain to see."""

from __future__ import annotations

import random
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from chimerax.siren.core.blocks.communities import (
    label_propagation,
    leiden_communities,
    voxel_communities,
)
from chimerax.siren.core.common.errors import Cancelled
from chimerax.siren.core.common.progress import Progress


def blocks_graph(sizes: list[int], inside: float, between: float, seed: int) -> nx.Graph:
    """A graph with planted groups, nodes in order."""
    p = np.full((len(sizes), len(sizes)), between)
    np.fill_diagonal(p, inside)
    return nx.stochastic_block_model(sizes, p.tolist(), seed=seed)


def edges_of(graph: nx.Graph) -> np.ndarray:
    return np.array(sorted(tuple(sorted(e)) for e in graph.edges), int).reshape(-1, 2)


def as_sets(groups: list) -> set[frozenset[int]]:
    return {frozenset(int(n) for n in g) for g in groups}


@pytest.mark.parametrize("seed", range(12))
def test_label_propagation_is_that_of_networkx(seed: int) -> None:
    graph = blocks_graph([25, 18, 9, 1], 0.25 + 0.03 * seed, 0.004 * seed, seed)
    plain = nx.Graph()
    plain.add_nodes_from(range(graph.number_of_nodes()))
    plain.add_edges_from(edges_of(graph).tolist())
    expected = nx.community.label_propagation_communities(plain)
    assert as_sets(label_propagation(len(plain), edges_of(graph))) == as_sets(expected)


def test_communities_come_largest_first_and_hold_every_node_once() -> None:
    for find in (label_propagation, lambda n, e: leiden_communities(n, e, np.ones(len(e)))):
        groups = find(9, np.array([[0, 1], [1, 2], [0, 2], [4, 7]]))
        assert [g.tolist() for g in groups] == [[0, 1, 2], [4, 7], [3], [5], [6], [8]]
        assert find(0, np.empty((0, 2), int)) == []


def test_planted_groups_are_found_by_modularity() -> None:
    sizes = [60, 40, 30, 20]
    groups = leiden_communities(
        150, (e := edges_of(blocks_graph(sizes, 0.4, 0.02, 1))), np.ones(len(e))
    )
    ends = np.cumsum([0, *sizes])
    assert as_sets(groups) == {frozenset(range(a, b)) for a, b in pairwise(ends)}


@pytest.mark.parametrize("seed", range(4))
def test_modularity_is_as_high_as_that_of_networkx(seed: int) -> None:
    graph = nx.karate_club_graph() if seed == 0 else blocks_graph([30, 25, 20], 0.25, 0.06, seed)
    edges = edges_of(graph)
    weights = np.array([graph.edges[a, b].get("weight", 1.0) for a, b in edges])
    ours = [
        nx.community.modularity(
            graph, [g.tolist() for g in leiden_communities(len(graph), edges, weights, seed=s)]
        )
        for s in range(9)
    ]
    theirs = [
        nx.community.modularity(graph, nx.community.louvain_communities(graph, seed=s))
        for s in range(9)
    ]
    assert np.median(ours) > np.median(theirs) - 0.02 and max(ours) <= max(theirs) + 0.02


def test_the_libraries_own_random_numbers_are_left_alone() -> None:
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002  (the global state is what is looked at)
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    edges = edges_of(nx.karate_club_graph())
    leiden_communities(34, edges, np.ones(len(edges)), seed=3)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_the_order_of_edges_does_not_matter() -> None:
    rng = np.random.default_rng(4)
    edges = edges_of(blocks_graph([30, 25, 20], 0.25, 0.06, 5))
    weights = rng.uniform(0.3, 1, len(edges))
    order = rng.permutation(len(edges))
    one = leiden_communities(75, edges, weights, seed=7)
    two = leiden_communities(75, edges[order][:, ::-1], weights[order], seed=7)
    assert [g.tolist() for g in one] == [g.tolist() for g in two]


def test_small_neighbors_of_a_large_group_stay_apart_and_a_lone_clique_stays_whole() -> None:
    """The resolution limit of modularity merges two cliques of 5 (Fortunato & Barthelemy 2007, doi
    10.1073/pnas.0605965104); and above resolution 1 a clique with most of the edges is none.
    """
    ring = nx.ring_of_cliques(30, 5)
    edges = edges_of(ring)
    apart = voxel_communities(len(ring), edges, np.ones(len(edges)), 3)
    assert [len(g) for g in apart] == [5] * 30
    assert len(leiden_communities(len(ring), edges, np.ones(len(edges)))[0]) > 5
    both = nx.disjoint_union(nx.complete_graph(90), nx.complete_graph(30))
    edges = edges_of(both)
    whole = voxel_communities(120, edges, np.ones(len(edges)), 6)
    assert [len(g) for g in whole] == [90, 30]


def test_strong_weights_hold_together_what_weak_ones_do_not() -> None:
    edges = np.array([[0, 1], [2, 3], [0, 2], [1, 3]])
    groups = leiden_communities(4, edges, np.array([1.0, 1.0, 0.1, 0.1]))
    assert as_sets(groups) == {frozenset({0, 1}), frozenset({2, 3})}


def test_a_seed_gives_the_same_communities_again() -> None:
    edges = edges_of(nx.gnp_random_graph(300, 0.03, seed=2))
    one, two = (leiden_communities(300, edges, np.ones(len(edges)), seed=7) for _ in range(2))
    assert [g.tolist() for g in one] == [g.tolist() for g in two]


def test_clustering_can_be_cancelled() -> None:
    progress = Progress()
    progress.cancel()
    edges = edges_of(nx.gnp_random_graph(40, 0.2, seed=2))
    with pytest.raises(Cancelled):
        leiden_communities(40, edges, np.ones(len(edges)), progress=progress)
    with pytest.raises(Cancelled):
        label_propagation(40, edges, progress)
