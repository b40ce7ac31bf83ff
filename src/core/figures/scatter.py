"""The scatter of the volumes."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure

from ..analysis.block_occupancy import States
from ..analysis.landscape import Landscape
from ..common.errors import SirenError
from .axes import fit_along_side, is_small, single_axes
from .theme import Drawn, Labels, Pick, Points, Theme

NEAR = 9.0  # points around a volume in which it is under the pointer
# area of all points together in square points, and the least and the most of each
INK, LEAST_INK, MOST_INK = 8000.0, 6.0, 36.0
MANY = 1000  # more points than this have no edge: they would be all edge
AXES_OF = " of the block shares"  # left out of the names of axes in small figures
MOST_COUNTS = 12  # numbers of blocks written beside the scale


def draw_scatter(
    figure: Figure,
    states: States,
    places: Landscape,
    labels: Labels,
    theme: Theme,
    block: int | None = None,
) -> Drawn:
    """The volumes as points, colored by the share of a block that is occupied, or by how many
    blocks they have.

    Parameters
    ----------
    places : of the states' volumes, in any order
    block : number; None: by the number of blocks present
    """
    axes = single_axes(figure, theme)
    row = {name: k for k, name in enumerate(states.names)}
    order = np.array([row.get(name, -1) for name in places.names])
    known = order >= 0
    names = tuple(n for n, k in zip(places.names, known, strict=True) if k)
    points, order = places.points[known], order[known]
    if not len(order):
        raise SirenError("No volume of the run has a place in the figure.")
    present = states.present[:, order]
    counts = present.sum(axis=0)
    if block is None:
        values, most = counts.astype(float), int(counts.max(initial=0))
        least = int(counts.min(initial=most))
        colors = LinearSegmentedColormap.from_list("count", [theme.pale, *theme.strong])
        norm: Normalize = BoundaryNorm(np.arange(least - 0.5, max(most, least + 1) + 1), 256)
    else:
        values = states.share[states.row(block), order].astype(float)
        red, green, blue = labels.colors.get(block, (0.0, 0.45, 0.7))[:3]
        colors = LinearSegmentedColormap.from_list(
            "share", [to_rgb(theme.pale), (red, green, blue)]
        )
        norm = Normalize(0, 1)
    area = float(np.clip(INK / len(names), LEAST_INK, MOST_INK))
    rank = np.argsort(values, kind="stable")  # the few that have a block lie above those without
    drawn = axes.scatter(
        points[rank, 0],
        points[rank, 1],
        c=values[rank],
        cmap=colors,
        norm=norm,
        s=area,
        linewidths=0.4 if len(names) <= MANY else 0,
        edgecolors=theme.background,
    )
    along = [a.replace(AXES_OF, "") if is_small(figure) else a for a in places.axes]
    axes.set_xlabel(along[0])
    axes.set_ylabel(along[1])
    scale = figure.colorbar(drawn, ax=axes, fraction=0.045, pad=0.03)
    if block is None:
        step = max(1, -(-(most - least + 1) // MOST_COUNTS))
        scale.set_ticks(list(range(least, most + 1, step)))
        scale.minorticks_off()
    scale.set_label(
        "blocks present"
        if block is None
        else f"block {block}"
        if is_small(figure)
        else f"occupied share of block {labels.text(block)}".replace("$", r"\$"),
        color=theme.text,
        fontsize=8,
    )
    scale.ax.tick_params(colors=theme.text, labelsize=8)
    for name in (axes.yaxis.label, scale.ax.yaxis.label):
        fit_along_side(name, figure)
    scale.outline.set(edgecolor=theme.faint)  # type: ignore[operator]

    def pick(under: Any, x: float, y: float) -> Pick | None:
        if under is not axes:
            return None
        at = axes.transData.transform(points)
        far = np.hypot(*(at - axes.transData.transform((x, y))).T)
        nearest = int(far.argmin())
        if far[nearest] > NEAR * figure.dpi / 72:
            return None
        name, here = names[nearest], order[nearest]
        return Pick(f"{name}: {_blocks_words(states, here, labels)}.", name, None)

    colored = "number of blocks" if block is None else f"block {labels.words(block)}"
    return Drawn(
        f"{len(names):,} volumes, {places.near}; color: {colored}. Click one to show it, drag "
        "around some to select them.",
        pick,
        Points(axes, names, points),
    )


def _blocks_words(states: States, volume: int, labels: Labels) -> str:
    """The blocks of a volume, in words."""
    present = states.present[:, volume]
    some = [labels.words(n) for n, there in zip(states.numbers, present, strict=True) if there]
    return (
        f"blocks {', '.join(some)}" if len(some) > 1 else f"block {some[0]}" if some else "no block"
    )
