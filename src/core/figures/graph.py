"""The graph of what depends on what: blocks in layers, from those that need nothing on the left to
those that need most on the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from textwrap import wrap
from typing import Any

import networkx as nx
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path as Curve

from ..analysis.dependence import Dependence
from ..analysis.relations import DEPENDENT, Relations
from .layers import Item, Layers, heights_of, in_layers
from .theme import Areas, Drawn, Labels, Pick, Theme

# all in points
FONT, SMALL = 9.0, 7.0
LINE = 12.0  # from one line of writing to the next
LETTER = 5.3  # width of a letter
SWATCH, PAD = 10.0, 6.0
GAP = 12.0  # between boxes above each other
BETWEEN = 62.0  # from a layer of boxes to the next
MARGIN = 10.0
PASSING = 4.0  # height that a passing line takes
WIDEST_NAME = 24  # letters in a line; longer names take a second
MOST_LINES = 2
LARGEST = 40.0  # inches
MOST_SAID = 8  # sentences in the caption


@dataclass(frozen=True)
class _Box:
    """A node: its writing and size, in points."""

    rows: tuple[tuple[int, tuple[str, ...]], ...]  # each block with its lines
    count: str

    @property
    def width(self) -> float:
        letters = max(len(line) for _, lines in self.rows for line in lines)
        least = len(self.count) * LETTER * SMALL / FONT
        return SWATCH + 3 * PAD + max(letters * LETTER, least)

    @property
    def height(self) -> float:
        return LINE * (sum(len(lines) for _, lines in self.rows) + 0.9) + PAD

    def row_at(self, depth: float) -> int:
        """The block whose lines are this far below the top."""
        for number, lines in self.rows:
            depth -= LINE * len(lines) + (PAD / 2 if number == self.rows[0][0] else 0)
            if depth <= 0:
                return number
        return self.rows[-1][0]


@dataclass(frozen=True)
class GraphPlan:
    """Where everything of the graph is, in points from the upper left corner."""

    graph: Dependence
    found: Relations
    labels: Labels

    @cached_property
    def boxes(self) -> list[_Box]:
        """Of each group of the graph."""
        return [self._box(group) for group in self.graph.groups]

    def _box(self, group: tuple[int, ...]) -> _Box:
        rows = tuple((n, _lines(n, self.labels.names.get(n, ""))) for n in group)
        row = self.found.numbers.index(group[0])
        return _Box(rows, f"in {self.found.both[row, row]:,} of {self.found.volumes:,} volumes")

    @cached_property
    def layers(self) -> Layers:
        """The related groups in layers."""
        graph = self.graph
        layer = {g: k for k, some in enumerate(graph.layers) for g in some}
        lone = set(graph.unrelated)
        for g in sorted(layer):  # what nothing but one late group needs stands before that
            after = [layer[s] for s in graph.needs.successors(g)]
            if after and not graph.needs.in_degree(g):
                layer[g] = min(after) - 1
        for a, b in graph.exclusive:  # what only excludes stands beside what it excludes
            for one, other in ((a, b), (b, a)):
                if not graph.needs.degree(one) and graph.needs.degree(other):
                    layer[one] = layer[other]
        many = max((layer[g] for g in layer if g not in lone), default=-1) + 1
        rows = [[g for g in sorted(layer) if layer[g] == k and g not in lone] for k in range(many)]
        self._tie(rows)
        lines = sorted(graph.needs.edges)
        lines += [
            (a, b) if layer[a] < layer[b] else (b, a)
            for a, b in graph.exclusive
            if layer[a] != layer[b]
        ]
        return in_layers(rows, lines)

    def _tie(self, rows: list[list[int]]) -> None:
        """Begin with those of a layer that exclude each other side by side."""
        for row in rows:
            tied = nx.Graph()
            tied.add_nodes_from(row)
            tied.add_edges_from(p for p in self.graph.exclusive if p[0] in row and p[1] in row)
            row[:] = [
                g
                for part in sorted(map(sorted, nx.connected_components(tied)))
                for g in nx.dfs_preorder_nodes(tied, part[0])
            ]

    @cached_property
    def columns(self) -> list[tuple[float, float]]:
        """Left edge and width of each layer."""
        found, left = [], MARGIN
        for layer in self.layers.layers:
            width = max(self.boxes[i.node].width for i in layer if i.target < 0)
            found.append((left, width))
            left += width + BETWEEN
        return found

    @cached_property
    def middles(self) -> dict[Item, float]:
        """Middle of each item on the vertical."""
        y = heights_of(self.layers, self._height, GAP)
        tops = [y[i] - self._height(i) / 2 for i in y]
        shift = MARGIN - min(tops, default=0.0)
        return {item: at + shift for item, at in y.items()}

    def _height(self, item: Item) -> float:
        return self.boxes[item.node].height if item.target < 0 else PASSING

    @cached_property
    def places(self) -> dict[int, tuple[float, float]]:
        """Upper left corner of each group."""
        found = {
            i.node: (self.columns[i.layer][0], at - self.boxes[i.node].height / 2)
            for i, at in self.middles.items()
            if i.target < 0
        }
        x, y, tallest = MARGIN, self.strip + LINE + PAD, 0.0
        right = max(self._right, 420.0)
        for g in self.graph.unrelated:
            if x > MARGIN and x + self.boxes[g].width > right:
                x, y, tallest = MARGIN, y + tallest + GAP / 2, 0.0
            found[g] = (x, y)
            x += self.boxes[g].width + GAP
            tallest = max(tallest, self.boxes[g].height)
        return found

    @property
    def _right(self) -> float:
        return max((left + width for left, width in self.columns), default=0.0)

    @cached_property
    def areas(self) -> dict[int, tuple[float, float, float, float]]:
        """Left, upper, right and lower edge of what stands for each block: its box, or its lines in
        a box of several.
        """
        found = {}
        for g, (left, top) in self.places.items():
            box, last = self.boxes[g], top
            for k, (number, lines) in enumerate(box.rows, 1):
                end = last + LINE * len(lines) + (PAD / 2 if k == 1 else 0)
                end = top + box.height if k == len(box.rows) else end
                found[number] = (left, last, left + box.width, end)
                last = end
        return found

    @cached_property
    def strip(self) -> float:
        """Where the blocks without any relation begin, on the vertical."""
        related = [g for g in range(len(self.boxes)) if g not in self.graph.unrelated]
        middles = {i.node: y for i, y in self.middles.items() if i.target < 0}
        low = [middles[g] + self.boxes[g].height / 2 for g in related]
        low += [y for i, y in self.middles.items() if i.target >= 0]
        return max(low, default=0.0) + (2 * GAP if related else 0.0)

    @cached_property
    def size(self) -> tuple[float, float]:
        """Width and height of everything, with the key below."""
        corners = [
            (x + self.boxes[g].width, y + self.boxes[g].height) for g, (x, y) in self.places.items()
        ]
        width = max([x for x, _ in corners] + [300.0]) + MARGIN + (30 if self._bulges else 0)
        return width, max([y for _, y in corners] + [LINE]) + 2.5 * LINE + MARGIN

    @property
    def _bulges(self) -> bool:
        layer = {i.node: i.layer for i in self.middles if i.target < 0}
        return any(layer.get(a) == layer.get(b) for a, b in self.graph.exclusive)

    def port(self, item: Item, other: Item, right: bool) -> tuple[float, float]:
        """Where the line between two items meets the first; the lines of a side are spread."""
        left, width = self.columns[item.layer]
        x = left + (self.boxes[item.node].width if item.target < 0 else width) * right
        if item.target >= 0:
            return left + width * right, self.middles[item]
        side = [s if right else f for f, s in self.layers.segments if (f if right else s) == item]
        side.sort(key=lambda i: self.middles[i])
        spread = (side.index(other) + 1) / (len(side) + 1) - 0.5
        reach = self.boxes[item.node].height - 2 * PAD
        return x, self.middles[item] + spread * min(reach, 11.0 * (len(side) + 1))


def graph_size(graph: Dependence, found: Relations, labels: Labels) -> tuple[float, float]:
    """Width and height in inches at which the graph is written at its full size."""
    width, height = GraphPlan(graph, found, labels).size
    return min(width / 72, LARGEST), min(height / 72, LARGEST)


def draw_graph(
    figure: Figure, graph: Dependence, found: Relations, labels: Labels, theme: Theme
) -> Drawn:
    """Draw the blocks in layers; arrows lead from a block to those that need it, dashed lines join
    blocks that exclude each other. A pick is the block under the pointer.
    """
    plan = GraphPlan(graph, found, labels)
    width, height = plan.size
    figure.clear()
    figure.set_facecolor(theme.background)
    figure.set_layout_engine("none")  # it fills the figure; :func:`.draw.draw` brings it back
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    axes.axis("off")
    inches = figure.get_size_inches()
    scale = min(72 * inches[0] / width, 72 * inches[1] / height)
    _draw_lines(axes, plan, theme, scale)
    for group, corner in plan.places.items():
        _draw_box(axes, plan, group, corner, theme, scale)
    if graph.unrelated:
        axes.text(
            *(MARGIN, plan.strip + LINE / 2, "none of these dependences"),
            **{"fontsize": SMALL * scale, "color": theme.muted, "va": "center"},
        )
    _draw_key(axes, plan, theme, scale)

    def pick(under: Any, x: float, y: float) -> Pick | None:
        if under is not axes:
            return None
        for group, (left, top) in plan.places.items():
            box = plan.boxes[group]
            if left <= x <= left + box.width and top <= y <= top + box.height:
                number = box.row_at(y - top)
                return Pick(labels.in_sentence(block_text(found, number)), None, number)
        return None

    return Drawn(_caption(graph, labels), pick, areas=Areas(axes, plan.areas))


def _caption(graph: Dependence, labels: Labels) -> str:
    said = graph.sentences(labels.words)
    more = f" And {len(said) - MOST_SAID} more." if len(said) > MOST_SAID else ""
    return " ".join(said[:MOST_SAID]) + more if said else "No block depends on another."


def block_text(found: Relations, number: int) -> str:
    """One sentence on a block and all its dependences."""
    row = found.numbers.index(number)
    others: dict[str, list[int]] = {}
    for column, other in enumerate(found.numbers):
        word = found.word(row, column)
        if word in DEPENDENT:
            others.setdefault(word, []).append(other)
    words = [f"{w} {', '.join(map(str, others[w]))}" for w in DEPENDENT if w in others]
    text = found.text(row, row)[:-1]
    return f"{text}; {'; '.join(words)}." if words else f"{text}."


def _lines(number: int, name: str) -> tuple[str, ...]:
    """Number and name in lines that fit a box."""
    if not name.strip():
        return (str(number),)
    lines = wrap(f"{number}  {name}", WIDEST_NAME, drop_whitespace=True) or [str(number)]
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], lines[MOST_LINES - 1][: WIDEST_NAME - 3] + "..."]
    return tuple(lines)


def _draw_box(
    axes: Axes,
    plan: GraphPlan,
    group: int,
    corner: tuple[float, float],
    theme: Theme,
    scale: float,
) -> None:
    box, (left, top) = plan.boxes[group], corner
    axes.add_artist(  # not add_patch, which measures each: the limits are known
        FancyBboxPatch(
            (left + 3, top + 3),
            box.width - 6,
            box.height - 6,
            boxstyle="round,pad=3,rounding_size=4",
            facecolor=theme.background,
            edgecolor=theme.faint,
            linewidth=0.8 * scale,
            zorder=3,
        )
    )
    y = top + PAD / 2
    for number, lines in box.rows:
        color = plan.labels.colors.get(number, (0.6, 0.6, 0.6))[:3]
        tall = LINE * len(lines)
        axes.add_artist(
            Rectangle(
                (left + PAD, y + 1.5),
                SWATCH,
                tall - 3,
                facecolor=color,
                edgecolor=theme.faint,
                linewidth=0.4 * scale,
                zorder=4,
            )
        )
        for k, line in enumerate(lines):
            axes.text(
                left + SWATCH + 2 * PAD,
                y + LINE * (k + 0.5),
                line.replace("$", r"\$"),  # no formulas
                fontsize=FONT * scale,
                color=theme.text,
                va="center_baseline",
                zorder=5,
            )
        y += tall
    axes.text(
        left + SWATCH + 2 * PAD,
        y + LINE * 0.45,
        box.count,
        fontsize=SMALL * scale,
        color=theme.muted,
        va="center_baseline",
        zorder=5,
    )


def _draw_lines(axes: Axes, plan: GraphPlan, theme: Theme, scale: float) -> None:
    for edge, path in plan.layers.paths.items():
        points, codes = _curve(plan, path)
        _stroke(axes, Curve(points, codes), theme, scale, not plan.graph.needs.has_edge(*edge))
    for curve in _arcs(plan):
        codes = [Curve.MOVETO, Curve.LINETO, *[Curve.CURVE4] * 3, Curve.LINETO]
        _stroke(axes, Curve(curve, codes), theme, scale, True)


def _arcs(plan: GraphPlan) -> list[list[tuple[float, float]]]:
    """Lines on the right of a layer between its boxes that exclude each other; the longer one goes
    around the shorter.
    """
    at = {i.node: i for i in plan.middles if i.target < 0}
    pairs = [(at[a], at[b]) for a, b in plan.graph.exclusive if at[a].layer == at[b].layer]
    pairs = [(a, b) if plan.middles[a] < plan.middles[b] else (b, a) for a, b in pairs]
    pairs.sort(key=lambda p: (plan.middles[p[1]] - plan.middles[p[0]], p))
    used: dict[tuple[Item, bool], int] = {}
    found = []
    for upper, lower in pairs:
        left, _ = plan.columns[upper.layer]
        ends = []
        for item, below in ((upper, True), (lower, False)):
            # one below the other, off the arrows that leave at the middle
            many = used[item, below] = used.get((item, below), -1) + 1
            reach = max(plan.boxes[item.node].height / 2 - 6 - 5 * many, 0.0)
            y = plan.middles[item] + (reach if below else -reach)
            ends.append((left + plan.boxes[item.node].width, y))
        between = [
            left + plan.boxes[i.node].width
            for i in plan.layers.layers[upper.layer]
            if i.target < 0 and plan.middles[upper] <= plan.middles[i] <= plan.middles[lower]
        ]
        order = max(used[upper, True], used[lower, False])
        edge, (first, second) = max(between), ends
        reach = edge + min(18 + 10 * order, BETWEEN - 14)
        bend = [(edge, first[1]), (reach, first[1]), (reach, second[1]), (edge, second[1])]
        found.append([first, *bend, second])
    return found


def _curve(plan: GraphPlan, path: Sequence[Item]) -> tuple[list[tuple[float, float]], list[Any]]:
    """A smooth line through the items: level across a layer, bent between layers."""
    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    for first, second in pairwise(path):
        start, end = plan.port(first, second, True), plan.port(second, first, False)
        points.append(start)
        codes.append(Curve.LINETO if codes else Curve.MOVETO)
        middle = plan.columns[second.layer][0] - BETWEEN / 2
        left, width = plan.columns[first.layer]  # level as far as the widest box of the layer
        points += [(left + width, start[1]), (middle, start[1]), (middle, end[1]), end]
        codes += [Curve.LINETO, *[Curve.CURVE4] * 3]
    return points, codes


def _stroke(axes: Axes, curve: Curve, theme: Theme, scale: float, apart: bool) -> None:
    style = "-" if apart else "-|>"
    axes.add_artist(
        FancyArrowPatch(
            path=curve,
            arrowstyle=f"{style},head_width={2.6 * scale},head_length={5 * scale}"
            if not apart
            else style,
            mutation_scale=1.0,
            color=theme.warn if apart else theme.text,
            linestyle=(0, (4, 2.5)) if apart else "-",
            linewidth=1.1 * scale,
            zorder=2,
            capstyle="butt",
            joinstyle="round",
        )
    )


def _draw_key(axes: Axes, plan: GraphPlan, theme: Theme, scale: float) -> None:
    """What the lines mean, below everything."""
    y = plan.size[1] - MARGIN - LINE / 2
    x = MARGIN
    kinds = [(False, "the right one only with the left one", bool(plan.graph.needs.edges))]
    kinds.append((True, "never together", bool(plan.graph.exclusive)))
    for apart, words, there in kinds:
        if not there:
            continue
        _stroke(axes, Curve([(x, y), (x + 26, y)]), theme, scale, apart)
        axes.text(x + 31, y, words, fontsize=SMALL * scale, color=theme.muted, va="center_baseline")
        x += 31 + LETTER * SMALL / FONT * len(words) + 24
