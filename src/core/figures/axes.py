"""Axes, labels of blocks and trees that the figures share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import offset_copy

from ..analysis.block_occupancy import Tree
from .theme import Labels, Theme

FULL_SIZE = (430.0, 320.0)  # points; below this, as in a docked panel, writing is fitted to cells
LEAST_FONT = 5.0  # points
AROUND_MATRIX = (120.0, 40.0)  # points beside a matrix, for labels and the color scale
BELOW_AXES = 36.0  # points under an upright axis, for the numbers and the name of the other
LETTER = 0.55  # width of a letter, as a part of the size of the writing
MOST_LABELS = 40  # along 350 points; more would overlap


def single_axes(figure: Figure, theme: Theme) -> Axes:
    figure.clear()
    figure.set_facecolor(theme.background)
    axes = figure.add_subplot()
    style_axes(axes, theme)
    return axes


def style_axes(axes: Axes, theme: Theme) -> None:
    axes.set_facecolor(theme.background)
    axes.tick_params(colors=theme.text, labelsize=8)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set_color(theme.text)
        text.set_fontsize(9)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)


def is_small(figure: Figure) -> bool:
    """Whether the figure is as small as in a docked panel."""
    return bool((72 * figure.get_size_inches() < FULL_SIZE).any())


def fit_along_side(text: Text, figure: Figure) -> None:
    """Fit the name of an upright axis into a low figure: in two lines, and smaller if need be."""
    room = 72 * float(figure.get_size_inches()[1]) - BELOW_AXES
    size = float(text.get_fontsize())
    if LETTER * size * len(text.get_text()) <= room:
        return
    text.set_text(text.get_text().replace(" (", "\n(").replace("blocks ", "blocks\n"))
    longest = max(map(len, text.get_text().split("\n")))
    text.set_fontsize(float(np.clip(room / (LETTER * longest), LEAST_FONT, size)))


def font_in_cells(figure: Figure, cells: int, letters: int) -> float:
    """The size of writing, in points, with which a number fits into each cell of a matrix."""
    if not is_small(figure):
        return 8.0
    side = float((72 * figure.get_size_inches() - AROUND_MATRIX).min())
    return min(8.0, side / cells / (0.62 * letters))


def most_labels(inches: float) -> int:
    """How many labels fit side by side along a figure of so many inches."""
    return max(MOST_LABELS, int(MOST_LABELS * 72 * inches / 350))


def block_ticks(
    axes: Axes, numbers: Sequence[int], labels: Labels, theme: Theme, which: str
) -> None:
    """Label each block, with a square in the block's color between label and picture; parts that
    are no blocks have no color.
    """
    figure = axes.get_figure()
    side = figure.get_size_inches()[int(which == "y")] if isinstance(figure, Figure) else 0
    step = -(-len(numbers) // most_labels(side))
    places = list(range(0, len(numbers), max(1, step)))
    axis = axes.yaxis if which == "y" else axes.xaxis
    most = 10 if isinstance(figure, Figure) and is_small(figure) else 22
    names = [labels.text(numbers[k], most).replace("$", r"\$") for k in places]  # no formulas
    axis.set_ticks(places, names)
    squares = [k for k in places if numbers[k] not in labels.parts]
    axis.set_tick_params(length=0, pad=11 if squares else 3)
    right = which == "y" and axis.get_ticks_position() == "right"
    along = axes.get_yaxis_transform() if which == "y" else axes.get_xaxis_transform()
    dx, dy = (6 if right else -6, 0) if which == "y" else (0, -6)
    edge = [1.0 if right else 0.0] * len(squares)
    x, y = (edge, squares) if which == "y" else (squares, edge)
    colors = [labels.colors.get(numbers[k], (0.6, 0.6, 0.6))[:3] for k in squares]
    axes.scatter(
        x,
        y,
        marker="s",
        s=36,
        linewidths=0,
        clip_on=False,
        c=colors,
        transform=offset_copy(along, axes.get_figure(), dx, dy, units="points"),
    )


def draw_tree(axes: Axes, tree: Tree, theme: Theme, sideways: bool) -> None:
    """Draw the dendrogram of a clustering along its axis, without a scale."""
    leaves = len(tree.order)
    place = np.empty(leaves + len(tree.links))
    place[tree.order] = np.arange(leaves)
    height = np.zeros(len(place))
    lines = []
    for k, (a, b, distance, _) in enumerate(tree.links):
        i, j = int(a), int(b)
        place[leaves + k], height[leaves + k] = (place[i] + place[j]) / 2, distance
        path = [
            (place[i], height[i]),
            (place[i], distance),
            (place[j], distance),
            (place[j], height[j]),
        ]
        lines.append([(y, x) if sideways else (x, y) for x, y in path])
    axes.add_collection(LineCollection(lines, colors=theme.faint, linewidths=0.6))
    most = float(height.max(initial=0)) * 1.02 or 1.0
    if sideways:
        axes.set(xlim=(most, 0), ylim=(leaves - 0.5, -0.5))
    else:
        axes.set(xlim=(-0.5, leaves - 0.5), ylim=(0, most))
    axes.axis("off")
