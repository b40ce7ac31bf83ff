"""The minimal graph of what depends on what: blocks that come and go together are one node, needs
that follow from others are left out.

Example::

    import numpy as np

    from chimerax.siren.core.analysis.dependence import dependence
    from chimerax.siren.core.analysis.relations import relations_of_presence

    volume = np.arange(200)
    base, arm = volume < 120, (volume >= 40) & (volume < 80)
    found = dependence(relations_of_presence((1, 2), np.array([base, arm])))
    found.groups  # -> ((1,), (2,))
    list(found.needs.edges)  # -> [(0, 1)]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np

from .relations import NEVER_WITH, Relations


@dataclass(frozen=True)
class Dependence:
    """The minimal graph of blocks.

    Attributes
    ----------
    groups : blocks that come and go together, each a tuple of block numbers; most are of one block
    needs : directed, acyclic, its own transitive reduction; nodes are positions in ``groups``, an
        edge goes from the group that is needed to the one that needs it
    exclusive : pairs of positions that exclude each other, without those that follow from others:
        what needs one of two that exclude each other excludes the other, too
    """

    groups: tuple[tuple[int, ...], ...]
    needs: nx.DiGraph
    exclusive: tuple[tuple[int, int], ...]

    @property
    def layers(self) -> tuple[tuple[int, ...], ...]:
        """Positions by layers: those that need nothing, those that need only these, and so on."""
        return tuple(tuple(sorted(g)) for g in nx.topological_generations(self.needs))

    @property
    def unrelated(self) -> tuple[int, ...]:
        """Positions without any edge."""
        tied = {g for pair in self.exclusive for g in pair}
        return tuple(g for g, d in self.needs.degree if d == 0 and g not in tied)

    def name(self, group: int) -> str:
        """The blocks of a group, as ``1+4``."""
        return "+".join(map(str, self.groups[group]))

    def sentences(self, words: Callable[[int], str] = str) -> list[str]:
        """What the graph says, a sentence for each group of several blocks, each node that needs
        others, and each pair that excludes each other.

        Parameters
        ----------
        words : what a block is called, by its number
        """

        def name(group: int) -> str:
            return "+".join(words(n) for n in self.groups[group])

        def subject(group: int) -> str:
            return f"Block{'s' if len(self.groups[group]) > 1 else ''} {name(group)}"

        together = [[words(n) for n in g] for g in self.groups if len(g) > 1]
        found = [f"Blocks {_listed(g)} come and go together." for g in together]
        for g in range(len(self.groups)):
            if before := sorted(self.needs.predecessors(g)):
                found.append(f"{subject(g)} only with {_listed([name(n) for n in before])}.")
        return found + [f"{subject(a)} never with {name(b)}." for a, b in self.exclusive]

    def as_networkx(
        self,
        found: Relations | None = None,
        names: Mapping[int, str] | None = None,
        colors: Mapping[int, tuple[float, ...]] | None = None,
    ) -> nx.DiGraph:
        """The graph with what other programs show: nodes by the name of their blocks, with
        ``blocks``, ``label``, ``color``, ``volumes``, ``layer``; edges with ``kind`` 'needed by' or
        'never with' (which has no direction) and ``share``, of the volumes with the target those
        that have the source, too.
        """
        graph = nx.DiGraph()
        layer = {g: k for k, layer in enumerate(self.layers) for g in layer}
        names, colors = names or {}, colors or {}
        for g, blocks in enumerate(self.groups):
            label = " + ".join(f"{n} {names[n]}" if names.get(n) else str(n) for n in blocks)
            red, green, blue = (round(255 * c) for c in colors.get(blocks[0], (0.6, 0.6, 0.6))[:3])
            graph.add_node(
                self.name(g),
                blocks=",".join(map(str, blocks)),
                label=_printable(label),
                color=f"#{red:02X}{green:02X}{blue:02X}",
                layer=layer[g],
            )
            if found is not None:
                row = found.numbers.index(blocks[0])
                graph.nodes[self.name(g)]["volumes"] = int(found.both[row, row])
        edges = [(a, b, "needed by") for a, b in sorted(self.needs.edges)]
        for a, b, kind in edges + [(a, b, NEVER_WITH) for a, b in self.exclusive]:
            graph.add_edge(self.name(a), self.name(b), kind=kind)
            if found is not None:
                i, j = (found.numbers.index(self.groups[g][0]) for g in (a, b))
                share = float(found.given[i, j])
                graph.edges[self.name(a), self.name(b)]["share"] = round(share, 4)
        return graph


def dependence(found: Relations) -> Dependence:
    """The minimal graph of the relations that are said: 'together', 'only with' and 'never with'.

    Blocks of a circle of needs are one node, too.
    """
    graph = nx.from_numpy_array(found.needs.T, create_using=nx.DiGraph)  # from what is needed
    joined = sorted(sorted(c) for c in nx.strongly_connected_components(graph))
    place = {row: g for g, rows in enumerate(joined) for row in rows}
    whole = nx.DiGraph()
    whole.add_nodes_from(range(len(joined)))
    whole.add_edges_from((place[a], place[b]) for a, b in graph.edges if place[a] != place[b])
    needs = nx.DiGraph()
    needs.add_nodes_from(whole)
    needs.add_edges_from(sorted(nx.transitive_reduction(whole).edges))
    apart = {
        (min(g, h), max(g, h))
        for g, h in ((place[int(a)], place[int(b)]) for a, b in np.argwhere(found.never))
        if g != h
    }
    groups = tuple(tuple(found.numbers[r] for r in rows) for rows in joined)
    return Dependence(groups, needs, _minimal(apart, needs))


def _minimal(apart: set[tuple[int, int]], needs: nx.DiGraph) -> tuple[tuple[int, int], ...]:
    """The pairs that do not follow from another: from one of what they are or need."""
    above = {g: {g, *nx.ancestors(needs, g)} for g in needs}
    kept = []
    for a, b in sorted(apart):
        others = ((c, d) for c in above[a] for d in above[b] if (c, d) != (a, b))
        if not any((min(c, d), max(c, d)) in apart for c, d in others):
            kept.append((a, b))
    return tuple(kept)


def write_graphml(path: Path, graph: nx.DiGraph) -> None:
    """Write a graph as GraphML, for Cytoscape, yEd, Gephi or networkx."""
    nx.write_graphml_xml(graph, path, prettyprint=True)


def _listed(words: Sequence[str]) -> str:
    """``1, 2 and 3``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _printable(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(c if c.isprintable() else " " for c in text).encode("utf-8", "replace").decode()
