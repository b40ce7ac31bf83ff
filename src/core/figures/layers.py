"""Places for a graph in layers: few lines cross, none runs through a box (Sugiyama, Tagawa and Toda
1981, doi 10.1109/TSMC.1981.4308636).

Example::

    from chimerax.siren.core.figures.layers import in_layers

    found = in_layers([[0, 1], [2, 3]], [(0, 3), (1, 2)])
    found.crossings  # -> 0
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

Edge = tuple[int, int]
SWEEPS = 8  # each puts every layer in order once; the best of all is kept
STARTS = 8  # from the given order, and from random ones
SETTLING = 41  # rounds in which boxes move toward their neighbors; the last is a forward one


class Item(NamedTuple):
    """A node in its layer (``target`` is -1), or where the line from a node to ``target`` passes a
    layer between them.
    """

    layer: int
    node: int
    target: int = -1


Segment = tuple[Item, Item]


@dataclass(frozen=True)
class Layers:
    """A graph in layers.

    Attributes
    ----------
    layers : items of each layer, from the top
    paths : the items that each line visits, one in each layer from source to target
    """

    layers: tuple[tuple[Item, ...], ...]
    paths: dict[Edge, tuple[Item, ...]]

    @property
    def segments(self) -> list[Segment]:
        """Neighbors on the lines, each in the layer after the other."""
        return [pair for path in self.paths.values() for pair in pairwise(path)]

    @property
    def crossings(self) -> int:
        """How many pairs of lines cross."""
        return _crossings(self.layers, self.segments)


def in_layers(layers: Sequence[Sequence[int]], edges: Sequence[Edge]) -> Layers:
    """Put the nodes of each layer in an order in which few lines cross.

    Barycenters: each node moves to the mean of its neighbors in the layer before, then in the layer
    after, in turn; then neighbors change places as long as that helps.

    Parameters
    ----------
    layers : nodes of each layer
    edges : lines from a layer to a later one
    """
    place = {node: k for k, layer in enumerate(layers) for node in layer}
    order = [[Item(k, node) for node in layer] for k, layer in enumerate(layers)]
    paths: dict[Edge, tuple[Item, ...]] = {}
    for a, b in edges:
        between = [Item(k, a, b) for k in range(place[a] + 1, place[b])]
        for item in between:
            order[item.layer].append(item)
        paths[a, b] = (Item(place[a], a), *between, Item(place[b], b))
    segments = [pair for path in paths.values() for pair in pairwise(path)]
    best, fewest = [list(layer) for layer in order], _crossings(order, segments)
    rng = np.random.default_rng(0)
    for turn in range(STARTS * SWEEPS):
        if not fewest:
            break
        if turn and turn % SWEEPS == 0:  # begin anew
            order = [[layer[k] for k in rng.permutation(len(layer))] for layer in order]
        _sweep(order, segments, forward=turn % 2 == 0)
        _exchange(order, segments)
        if (now := _crossings(order, segments)) < fewest:
            best, fewest = [list(layer) for layer in order], now
    return Layers(tuple(map(tuple, best)), paths)


def heights_of(found: Layers, height: Callable[[Item], float], gap: float) -> dict[Item, float]:
    """Middle of each item on the vertical, downward: near its neighbors on lines, and at least
    ``gap`` apart from the items above and below.
    """
    y: dict[Item, float] = {}
    for layer in found.layers:
        top = 0.0
        for item in layer:
            y[item] = top + height(item) / 2
            top += height(item) + gap
    near: dict[Item, list[Item]] = defaultdict(list)
    for first, second in found.segments:
        near[first].append(second)
        near[second].append(first)
    for turn in range(SETTLING):
        for layer in found.layers if turn % 2 == 0 else reversed(found.layers):
            wanted = [float(np.mean([y[n] for n in near[i] or [i]])) for i in layer]
            places = _apart(wanted, [height(i) for i in layer], gap)
            y.update(zip(layer, places, strict=True))
    return _compact(found, y, height, gap, near)


def _compact(
    found: Layers,
    y: dict[Item, float],
    height: Callable[[Item], float],
    gap: float,
    near: Mapping[Item, list[Item]],
) -> dict[Item, float]:
    """Move each connected part up, as a whole, until it touches what is above it."""
    part: dict[Item, int] = {}
    for item in y:
        reached = [] if item in part else [item]
        while reached:
            one = reached.pop()
            if one not in part:
                part[one] = len(part) if one is item else part[item]
                reached += near.get(one, [])
    top = {p: min(y[i] - height(i) / 2 for i in y if part[i] == p) for p in set(part.values())}
    placed: dict[Item, float] = {}
    for p in sorted(top, key=lambda p: top[p]):
        room = top[p] - min(top.values())
        for layer in found.layers:
            for upper, lower in pairwise(layer):
                if part[lower] == p and upper in placed:
                    reach = (height(upper) + height(lower)) / 2 + gap
                    room = min(room, y[lower] - placed[upper] - reach)
        placed.update({i: y[i] - max(room, 0.0) for i in y if part[i] == p})
    return placed


def _apart(wanted: Sequence[float], heights: Sequence[float], gap: float) -> list[float]:
    """Places in this order, far enough apart, at the least squared distance from those wanted:
    isotonic regression, by pooling neighbors that would overlap.
    """
    steps = [(a + b) / 2 + gap for a, b in pairwise(heights)]
    offset = np.cumsum([0.0, *steps])[: len(heights)]
    pools: list[tuple[float, int]] = []  # sum and count
    for value in np.asarray(wanted, np.float64) - offset:
        total, count = float(value), 1
        while pools and pools[-1][0] / pools[-1][1] >= total / count:
            before, many = pools.pop()
            total, count = total + before, count + many
        pools.append((total, count))
    level = [total / count for total, count in pools for _ in range(count)]
    return [float(v + o) for v, o in zip(level, offset, strict=True)]


def _crossings(layers: Sequence[Sequence[Item]], segments: Sequence[Segment]) -> int:
    at = {item: n for layer in layers for n, item in enumerate(layer)}
    lines: dict[int, list[Edge]] = defaultdict(list)
    for first, second in segments:
        lines[first.layer].append((at[first], at[second]))
    return sum(
        (a - c) * (b - d) < 0
        for some in lines.values()
        for n, (a, b) in enumerate(some)
        for c, d in some[:n]
    )


def _neighbors(segments: Sequence[Segment], forward: bool) -> Mapping[Item, list[Item]]:
    near: dict[Item, list[Item]] = defaultdict(list)
    for first, second in segments:
        item, other = (second, first) if forward else (first, second)
        near[item].append(other)
    return near


def _sweep(order: list[list[Item]], segments: Sequence[Segment], forward: bool) -> None:
    """Put one layer after the other in the order of the mean places of neighbors before it."""
    near = _neighbors(segments, forward)
    for k in range(1, len(order)) if forward else range(len(order) - 2, -1, -1):
        beside = {item: n for n, item in enumerate(order[k - 1 if forward else k + 1])}
        mean = {
            item: float(np.mean([beside[o] for o in near[item]] or [n]))
            for n, item in enumerate(order[k])
        }
        order[k].sort(key=lambda item: mean[item])


def _exchange(order: list[list[Item]], segments: Sequence[Segment]) -> None:
    """Let neighbors change places as long as fewer of their lines cross."""
    sides = [_neighbors(segments, forward) for forward in (True, False)]
    at = {item: n for layer in order for n, item in enumerate(layer)}
    better = True
    while better:
        better = False
        for layer in order:
            for n, (upper, lower) in enumerate(pairwise(layer)):
                ends = [
                    at[a] - at[b]
                    for side in sides
                    for a in side.get(upper, [])
                    for b in side.get(lower, [])
                ]
                if sum(e > 0 for e in ends) > sum(e < 0 for e in ends):
                    layer[n], layer[n + 1] = lower, upper
                    at[upper], at[lower] = n + 1, n
                    better = True
                    break
