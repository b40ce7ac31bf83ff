"""Communities of voxels in the graph of significant pairs."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..common.progress import Progress


def label_propagation(nodes: int, edges: NDArray[np.integer], progress: Progress | None = None) -> list[NDArray[np.int64]]:
    """Semi-synchronous label propagation, the published tool's clustering.

    Nodes are coloured so that neighbours differ; colour by colour, each node takes the label that most of its
    neighbours have, keeps its own among equals, else takes the largest; until every node has such a label.
    Deterministic. The same partition as ``networkx.community.label_propagation_communities`` for nodes added in order.

    Parameters
    ----------
    nodes : number of nodes
    edges : (e, 2) node numbers, each edge once

    Returns
    -------
    list of ascending node arrays, largest community first (ties: smallest node first); lone nodes included.

    References
    ----------
    Cordasco & Gargano 2010, "Community detection via semi-synchronous label propagation algorithms".
    """
    progress = progress or Progress()
    edges = np.asarray(edges, np.int64).reshape(-1, 2)
    ends = np.concatenate([edges, edges[:, ::-1]])
    graph = csr_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(nodes, nodes))
    colour = _greedy_colours(graph, progress)
    classes = [_Class(np.flatnonzero(colour == c), graph) for c in range(colour.max(initial=-1) + 1)]
    labels = np.arange(nodes, dtype=np.int64)
    while not all(c.settled(labels) for c in classes):
        for c in classes:
            progress.step("clustering")
            c.update(labels)
    return _groups(labels)


class _Class:
    """Nodes of one colour with their neighbours: none of them is another's neighbour, so they update at once."""

    def __init__(self, members: NDArray[np.int64], graph: csr_array):
        degree = np.diff(graph.indptr)[members]
        self.members = members[degree > 0]
        degree = degree[degree > 0]
        rows = graph[self.members]
        self.neighbours = rows.indices.astype(np.int64)
        self.owner = np.repeat(np.arange(len(self.members)), degree)

    def _favourites(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """For each member: whether its own label is among its neighbours' most frequent, and the largest of those."""
        count = len(labels)
        key, votes = np.unique(self.owner * count + labels[self.neighbours], return_counts=True)
        owner, label = np.divmod(key, count)
        most = np.zeros(len(self.members), np.int64)
        np.maximum.at(most, owner, votes)
        winning = votes == most[owner]
        owner, label = owner[winning], label[winning]
        has_own = np.zeros(len(self.members), bool)
        has_own[owner[label == labels[self.members[owner]]]] = True
        largest = np.full(len(self.members), -1, np.int64)
        np.maximum.at(largest, owner, label)
        return has_own, largest

    def settled(self, labels: NDArray[np.int64]) -> bool:
        return bool(self._favourites(labels)[0].all())

    def update(self, labels: NDArray[np.int64]) -> None:
        has_own, largest = self._favourites(labels)
        labels[self.members] = np.where(has_own, labels[self.members], largest)


def _greedy_colours(graph: csr_array, progress: Progress) -> NDArray[np.int64]:
    """Greedy colouring, nodes of most neighbours first: (n,) colour of each node."""
    degree = np.diff(graph.indptr)
    colour = np.full(len(degree), -1, np.int64)
    for done, node in enumerate(np.argsort(-degree, kind="stable")):
        if done % 1000 == 0:
            progress.step("clustering")
        taken = colour[graph.indices[graph.indptr[node]:graph.indptr[node + 1]]]
        used = np.zeros(len(taken) + 2, bool)  # a free colour is at most the number of neighbours
        used[taken[(taken >= 0) & (taken <= len(taken))]] = True
        colour[node] = int(np.argmin(used))
    return colour


def modularity_communities(nodes: int, edges: NDArray[np.integer], weights: NDArray[np.floating], seed: int = 0,
                           progress: Progress | None = None) -> list[NDArray[np.int64]]:
    """Communities of high modularity, by local moves and aggregation (Louvain), with Leiden's queue of nodes to visit.

    Deterministic for a seed, which sets the order of the first visits.

    Parameters
    ----------
    nodes : number of nodes
    edges : (e, 2) node numbers, each edge once, no loops
    weights : (e,) positive

    Returns
    -------
    list of ascending node arrays, largest community first (ties: smallest node first); lone nodes included.

    References
    ----------
    Blondel et al. 2008, doi 10.1088/1742-5468/2008/10/P10008; Traag, Waltman & van Eck 2019, doi 10.1038/s41598-019-41695-z.
    """
    progress = progress or Progress()
    rng = np.random.default_rng(seed)
    edges = np.asarray(edges, np.int64).reshape(-1, 2)
    graph = csr_array((np.asarray(weights, np.float64), (edges[:, 0], edges[:, 1])), shape=(nodes, nodes))
    graph = (graph + graph.T).tocsr()
    labels = np.arange(nodes, dtype=np.int64)
    while graph.nnz:
        moved = _local_moves(graph, rng, progress)
        if moved.max() + 1 == graph.shape[0]:
            break
        labels = moved[labels]
        gather = csr_array((np.ones(len(moved)), (moved, np.arange(len(moved)))), shape=(int(moved.max()) + 1, len(moved)))
        graph = (gather @ graph @ gather.T).tocsr()  # the weight inside a community becomes its loop
    return _groups(labels)


def _local_moves(graph: csr_array, rng: np.random.Generator, progress: Progress) -> NDArray[np.int64]:
    """Move nodes one by one to the neighbouring community with the largest gain of modularity: (n,) labels from 0."""
    nodes = graph.shape[0]
    strength = np.asarray(graph.sum(axis=1)).ravel().tolist()
    apart = graph.copy()
    apart.setdiag(0)  # a node's loop moves with it
    apart.eliminate_zeros()
    start, ends, weights = apart.indptr.tolist(), apart.indices.tolist(), apart.data.tolist()
    near = [ends[a:b] for a, b in pairwise(start)]
    heavy = [weights[a:b] for a, b in pairwise(start)]
    total = sum(strength)
    label = list(range(nodes))
    inside = list(strength)  # of each community: the strength of its nodes
    queue = deque(rng.permutation(nodes).tolist())
    waiting = [True] * nodes
    visits = 0
    while queue:
        if visits % 2000 == 0:
            progress.step("clustering")
        visits += 1
        node = queue.popleft()
        waiting[node] = False
        own = label[node]
        links = {own: 0.0}
        for neighbour, weight in zip(near[node], heavy[node], strict=True):
            other = label[neighbour]
            if other in links:
                links[other] += weight
            else:
                links[other] = weight
        inside[own] -= strength[node]
        share = strength[node] / total
        best, gain = own, links[own] - share * inside[own]
        for other, weight in links.items():
            here = weight - share * inside[other]
            if here > gain + 1e-12:  # equal but for rounding: stay, so that the moves end
                best, gain = other, here
        inside[best] += strength[node]
        if best == own:
            continue
        label[node] = best
        for neighbour in near[node]:
            if not waiting[neighbour] and label[neighbour] != best:
                waiting[neighbour] = True
                queue.append(neighbour)
    return np.unique(label, return_inverse=True)[1].astype(np.int64)


def _groups(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Nodes of each label, largest first."""
    order = np.argsort(labels, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(labels) else []
    return sorted(groups, key=lambda g: (-len(g), g[0]))
