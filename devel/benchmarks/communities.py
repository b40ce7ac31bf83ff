"""Community detection by library: ``make bench-communities`` writes ``communities.md`` beside it.

Leiden of graspologic-native, which a sketch uses, against Leiden of igraph and Louvain of networkx:
seconds per call, modularity of the partition, whether a seed reproduces it, and how long the call
blocks other threads, which is how late a stop would be answered. Label propagation, ours against
that of networkx: whether the partition is the same, and CPU seconds. igraph is left out if it is
not installed.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from chimerax.siren.core.blocks.communities import label_propagation, leiden_communities

TABLE = Path(__file__).with_name("communities.md")
NODES, PARTNERS, GROUPS = 12_000, 25, 12  # the most voxels and partners that a sketch has
STRAY = {"easy": 0.05, "hard": 0.6, "no groups": 1.0}  # share of the edges that ignore the groups
Edges = NDArray[np.int64]
Weights = NDArray[np.float64]
Method = Callable[[Edges, Weights, int], NDArray[np.int64]]


def planted_graph(stray: float) -> tuple[Edges, Weights]:
    """Edges, each once, and their weights: nodes mostly joined to others of their own group."""
    rng = np.random.default_rng(0)
    first = np.repeat(np.arange(NODES), PARTNERS)
    same_group = rng.integers(NODES // GROUPS, size=len(first)) * GROUPS + first % GROUPS
    anywhere = rng.integers(NODES, size=len(first))
    second = np.where(rng.random(len(first)) < stray, anywhere, same_group)
    pairs = np.sort(np.stack([first, second], axis=1)[first != second], axis=1)
    edges = np.unique(pairs, axis=0)
    return edges, rng.uniform(0.3, 1.0, len(edges))


def modularity(edges: Edges, weights: Weights, label: NDArray[np.int64]) -> float:
    """Newman's modularity of a partition, from -0.5 to 1."""
    strength = np.bincount(label[edges].ravel(), np.repeat(weights, 2))
    inside = weights[label[edges[:, 0]] == label[edges[:, 1]]].sum()
    return float(inside / weights.sum() - (strength**2).sum() / (2 * weights.sum()) ** 2)


def ours(edges: Edges, weights: Weights, seed: int) -> NDArray[np.int64]:
    """Leiden of graspologic-native, called as in a sketch."""
    label = np.empty(NODES, np.int64)
    for number, group in enumerate(leiden_communities(NODES, edges, weights, seed=seed)):
        label[group] = number
    return label


def by_networkx(edges: Edges, weights: Weights, seed: int) -> NDArray[np.int64]:
    """Louvain of networkx, which is pure Python."""
    graph = nx.Graph()
    graph.add_nodes_from(range(NODES))
    graph.add_weighted_edges_from(zip(*edges.T.tolist(), weights.tolist(), strict=True))
    label = np.empty(NODES, np.int64)
    for number, group in enumerate(nx.community.louvain_communities(graph, seed=seed)):
        label[list(group)] = number
    return label


def methods() -> Iterator[tuple[str, Method]]:
    """Names and functions of the installed libraries."""
    yield "graspologic-native, Leiden", ours
    yield "networkx, Louvain", by_networkx
    try:
        import igraph
    except ImportError:
        return

    def by_igraph(edges: Edges, weights: Weights, seed: int) -> NDArray[np.int64]:
        igraph.set_random_number_generator(random.Random(seed))
        try:
            graph = igraph.Graph(NODES, edges)
            found = graph.community_leiden("modularity", weights=weights, n_iterations=2)
        finally:
            igraph.set_random_number_generator(random)
        return np.array(found.membership)

    yield "igraph, Leiden", by_igraph


def standstill(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds that a call takes, and the longest time for which it blocked another thread."""
    gaps, over = [0.0], threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not over.is_set():
            time.sleep(0.002)
            last, before = time.perf_counter(), last
            gaps.append(last - before)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.perf_counter()
    call()
    seconds = time.perf_counter() - start
    over.set()
    thread.join()
    return seconds, max(gaps)


def propagation_row(partners: int) -> str:
    """Label propagation, ours and networkx's, on planted groups: CPU seconds, and whether they
    agree.
    """
    rng = np.random.default_rng(1)
    first = np.repeat(np.arange(NODES), partners)
    second = rng.integers(NODES // GROUPS, size=len(first)) * GROUPS + first % GROUPS
    pairs = np.unique(np.sort(np.stack([first, second], axis=1)[first != second], axis=1), axis=0)
    start = time.process_time()
    groups = label_propagation(NODES, pairs)
    ours_took = time.process_time() - start
    start = time.process_time()
    graph = nx.Graph()
    graph.add_nodes_from(range(NODES))
    graph.add_edges_from(pairs.tolist())
    theirs = list(nx.community.label_propagation_communities(graph))
    theirs_took = time.process_time() - start
    same = {frozenset(g.tolist()) for g in groups} == {frozenset(g) for g in theirs}
    return (
        f"| {len(pairs):,} | {ours_took:.2f} | {theirs_took:.2f} | {theirs_took / ours_took:.0f} "
        f"| {same} |"
    )


def main() -> None:
    """Write the page."""
    rows = []
    for name, stray in STRAY.items():
        edges, weights = planted_graph(stray)
        for library, method in methods():
            label = method(edges, weights, 0)  # also imports
            repeated = np.array_equal(label, method(edges, weights, 0))
            seconds, wait = standstill(lambda m=method, e=edges, w=weights: m(e, w, 0))
            quality = modularity(edges, weights, label)
            rows.append(
                f"| {name}, {len(edges):,} edges | {library} | {seconds:.2f} | {quality:.4f} "
                f"| {repeated} | {wait:.2f} |"
            )
            print(rows[-1], flush=True)
    propagation = [propagation_row(partners) for partners in (25, 100)]
    TABLE.write_text(
        TEXT.format(leiden="\n".join(rows), propagation="\n".join(propagation)), encoding="utf-8"
    )


TEXT = f"""# Community detection

Made by `make bench-communities` (seconds on two cores shared with other work). Graphs of {NODES:,}
nodes with 12 planted groups, as large as in a sketch; *hard*: 60 % of the edges ignore the groups.

## Leiden, for the statistic `profile`

| graph | library | s | modularity | same for a seed | other threads blocked, s |
|---|---|---|---|---|---|
{{leiden}}

A sketch uses graspologic-native (MIT):

- Wheels, as of November 2026: one abi3 wheel each for Windows, macOS (Intel and arm64) and
  Linux (x86_64 and aarch64), of 0.3 to 0.7 MB, for Python 3.9 and later, so for 3.11 to 3.14. It needs
  numpy 1.24 and scipy 1.10, and upgrades neither. igraph (GPL) has wheels of 2 to 6 MB for the same
  platforms, leidenalg needs igraph, scikit-network has none for Python 3.14, and networkx has no Leiden
  of its own.
- It releases Python's lock, so windows stay responsive and a stop is answered at once; igraph and
  leidenalg hold it for the whole call.
- Each call has its own seed. igraph has one source of random numbers per process.
- The blocks are the same as with Louvain (blocks.md); sensitivity.md shows the effect of the resolution.

## Label propagation, for `published` and `exact`

| edges | ours, CPU s | networkx, CPU s | ratio | same partition |
|---|---|---|---|---|
{{propagation}}

The label propagation of igraph is another algorithm with other partitions, so it is no substitute.
That of networkx cannot be stopped and takes several times the memory: ours stays.
"""


if __name__ == "__main__":
    main()
