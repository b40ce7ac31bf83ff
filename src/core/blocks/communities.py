"""Communities of voxels in a graph.

Leiden is graspologic-native's: its wheels are small (one abi3 wheel for each platform, Python 3.9
and later), it releases Python's lock, so a stop is answered at once, and each call has its own
seed. Label propagation is our own: the same partition as networkx's, in a sixth to a tenth of the
time, with a look at the stop; devel/benchmarks/communities.md has the measurements.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..common import constants
from ..common.progress import Progress, run_cancellable


def label_propagation(
    nodes: int, edges: NDArray[np.integer], progress: Progress | None = None
) -> list[NDArray[np.int64]]:
    """Semi-synchronous label propagation, the published tool's clustering.

    Nodes are colored so that neighbors differ. Color by color, each node takes the label that most
    of its neighbors have, keeps its own if that is among the most frequent, else takes the largest;
    until every node has such a label. Deterministic. The same partition as
    ``networkx.community.label_propagation_communities`` for nodes added in order.

    Parameters
    ----------
    nodes : number of nodes
    edges : (e, 2) node numbers, each edge once

    Returns
    -------
    list of ascending node arrays, largest community first (ties: smallest node first); lone nodes
    included.

    References
    ----------
    Cordasco & Gargano 2010, "Community detection via semi-synchronous label propagation
    algorithms".
    """
    progress = progress or Progress()
    edges = np.asarray(edges, np.int64).reshape(-1, 2)
    ends = np.concatenate([edges, edges[:, ::-1]])
    graph = csr_array((np.ones(len(ends), np.int8), (ends[:, 0], ends[:, 1])), shape=(nodes, nodes))
    color = _greedy_colors(graph, progress)
    classes = [_Class(np.flatnonzero(color == c), graph) for c in range(color.max(initial=-1) + 1)]
    labels = np.arange(nodes, dtype=np.int64)
    while not all(c.settled(labels) for c in classes):
        for c in classes:
            progress.step("clustering")
            c.update(labels)
    return _groups(labels)


class _Class:
    """Nodes of one color, which are not neighbors and so can be updated at once."""

    def __init__(self, members: NDArray[np.int64], graph: csr_array):
        degree = np.diff(graph.indptr)[members]
        self.members = members[degree > 0]
        degree = degree[degree > 0]
        rows = graph[self.members]
        self.neighbors = rows.indices.astype(np.int64)
        self.owner = np.repeat(np.arange(len(self.members)), degree)

    def _favorites(self, labels: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Whether each member's label is among its neighbors' most frequent, and their largest."""
        count = len(labels)
        key, votes = np.unique(self.owner * count + labels[self.neighbors], return_counts=True)
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
        return bool(self._favorites(labels)[0].all())

    def update(self, labels: NDArray[np.int64]) -> None:
        has_own, largest = self._favorites(labels)
        labels[self.members] = np.where(has_own, labels[self.members], largest)


def _greedy_colors(graph: csr_array, progress: Progress) -> NDArray[np.int64]:
    """Greedy coloring, nodes of most neighbors first: (n,) color of each node."""
    degree = np.diff(graph.indptr)
    color = np.full(len(degree), -1, np.int64)
    for done, node in enumerate(np.argsort(-degree, kind="stable")):
        if done % 1000 == 0:
            progress.step("clustering")
        taken = color[graph.indices[graph.indptr[node] : graph.indptr[node + 1]]]
        used = np.zeros(len(taken) + 2, bool)  # a free color is at most the number of neighbors
        used[taken[(taken >= 0) & (taken <= len(taken))]] = True
        color[node] = int(np.argmin(used))
    return color


def voxel_communities(
    nodes: int,
    edges: NDArray[np.integer],
    weights: NDArray[np.floating],
    min_size: int,
    seed: int = 0,
    progress: Progress | None = None,
    stand_in: NDArray[np.int64] | None = None,
) -> list[NDArray[np.int64]]:
    """Communities for blocks: fine ones, and coarser ones of the nodes that these leave out.

    At the fine resolution, small neighbors of a large block stay apart. But where one block holds
    most of the edges, and its voxels are all alike, it falls to pieces: a community of more than
    1 / resolution of all edges costs modularity. So nodes in communities of fewer than
    ``min_size`` are clustered once more by themselves, at resolution 1.

    Parameters and returned value as :func:`leiden_communities`.
    """
    labels = _leiden_labels(nodes, edges, weights, constants.RESOLUTION, seed, progress, stand_in)
    small = np.bincount(labels, minlength=1)[labels] < min_size
    rest, place = np.flatnonzero(small), np.cumsum(small) - 1
    edges = np.asarray(edges, np.int64).reshape(-1, 2)
    inside = small[edges].all(axis=1)
    coarse = _leiden_labels(
        len(rest),
        place[edges[inside]],
        np.asarray(weights)[inside],
        1.0,
        seed,
        progress,
        None if stand_in is None else place[stand_in[rest]],
    )
    labels[rest] = labels.max(initial=0) + 1 + coarse
    return _groups(labels)


def leiden_communities(
    nodes: int,
    edges: NDArray[np.integer],
    weights: NDArray[np.floating],
    resolution: float = 1.0,
    seed: int = 0,
    progress: Progress | None = None,
    stand_in: NDArray[np.int64] | None = None,
) -> list[NDArray[np.int64]]:
    """Communities of high modularity, by the Leiden algorithm of graspologic-native.

    Deterministic for a seed, whatever the order of the edges. The library releases Python's lock,
    so a stop is answered at once; the abandoned call ends by itself within a second or two.

    Parameters
    ----------
    nodes : number of nodes
    edges : (e, 2) node numbers, each edge once, no loops
    weights : (e,) positive
    resolution : of the modularity; larger gives smaller communities
    stand_in : (nodes,) the node that stands for each, with the edges of all: itself if not given.
        It counts as so many nodes, each with NEIGHBORS of the others as neighbors

    Returns
    -------
    list of ascending node arrays, largest community first (ties: smallest node first); lone nodes
    included.

    Raises
    ------
    Cancelled
        If ``progress`` was asked to stop.

    References
    ----------
    Traag, Waltman & van Eck 2019, doi 10.1038/s41598-019-41695-z.
    """
    return _groups(_leiden_labels(nodes, edges, weights, resolution, seed, progress, stand_in))


def _leiden_labels(
    nodes: int,
    edges: NDArray[np.integer],
    weights: NDArray[np.floating],
    resolution: float,
    seed: int,
    progress: Progress | None,
    stand_in: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """(nodes,) community of each node; see :func:`leiden_communities`."""
    progress = progress or Progress()
    edges = np.asarray(edges, np.int64).reshape(-1, 2)
    weights = np.asarray(weights, np.float64)
    stand_in = np.arange(nodes, dtype=np.int64) if stand_in is None else stand_in
    copies = np.bincount(stand_in, minlength=nodes)
    many = np.flatnonzero(copies > 1)
    if len(many):
        # the library ignores loops: a twin holds what is inside of a node
        twins = nodes + np.arange(len(many))
        weights = weights * np.clip(copies[edges].max(axis=1), 1, constants.NEIGHBORS)
        edges = np.concatenate([edges, np.stack([many, twins], axis=1)])
        weights = np.concatenate([weights, copies[many] * constants.NEIGHBORS / 2])
    if not len(edges):  # the library panics without edges
        return np.arange(nodes, dtype=np.int64)
    ends, size = np.concatenate([edges, edges[:, ::-1]]), nodes + len(many)
    graph = csr_array((np.tile(weights, 2), (ends[:, 0], ends[:, 1])), shape=(size, size))
    start, near = graph.indptr.astype(np.int64), graph.indices.astype(np.int32)

    def cluster() -> dict[int, int]:
        from graspologic_native import leiden_csr

        _, community = leiden_csr(
            start,
            near,
            graph.data,
            size,
            resolution=resolution,
            iterations=constants.LEIDEN_ITERATIONS,
            seed=seed,
        )
        return dict(community)

    community = run_cancellable(cluster, "clustering", progress)
    labels = np.fromiter(map(community.__getitem__, range(nodes)), np.int64, nodes)
    return np.asarray(labels[stand_in])


def _groups(labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Nodes of each label, largest first."""
    if not len(labels):
        return []
    order = np.argsort(labels, kind="stable")
    start = np.flatnonzero(np.diff(labels[order], prepend=labels[order[0]] - 1))
    stop = np.append(start[1:], len(order))
    # most are lone nodes, thousands of them
    ranked = np.lexsort((order[start], start - stop))
    return [order[a:b] for a, b in zip(start[ranked].tolist(), stop[ranked].tolist(), strict=True)]
