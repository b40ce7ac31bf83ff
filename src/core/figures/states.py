"""The heat maps of blocks, or other parts, by volumes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..analysis.block_occupancy import States, Tree
from ..analysis.part_occupancy import BY_MASK, BY_REFERENCE, Occupancies, Order
from .axes import block_ticks, draw_tree, is_small, style_axes
from .theme import Drawn, Labels, Pick, Theme

ROW, AROUND = 0.17, 2.2  # inches of a row, and of what is above and below
ORDERED_BY = {"share": "their shares", "maven": "MAVEn's measure"}
NAMED_VOLUMES = 30  # along USUAL_SIZE, beside long names of parts; more would overlap
USUAL_SIZE, MOST_HEIGHT = (6.4, 4.8), 100.0  # inches


def draw_states(
    figure: Figure, states: States, blocks: Tree, volumes: Tree, labels: Labels, theme: Theme
) -> Drawn:
    """Heat map of blocks by volumes: the occupied share of each block, ordered by clustering."""
    main = _heat_map(
        figure,
        states.share,
        (blocks, volumes),
        (states.numbers, states.names),
        "occupied share of the block's voxels",
        (0.0, 1.0),
        labels,
        theme,
    )

    def text(b: int, v: int) -> str:
        return (
            f"{states.names[v]}, block {labels.text(states.numbers[b])}: "
            f"{100 * states.share[b, v]:.0f} % of its voxels occupied."
        )

    found = states.present.sum(axis=1)
    often = ", ".join(
        f"{labels.words(n)}: {c:,}" for n, c in list(zip(states.numbers, found, strict=True))[:8]
    )
    return Drawn(
        f"Volumes that contain each block ({states.cut_words}): "
        f"{often}{' ...' if len(found) > 8 else ''}.",
        _picker(main, states, (blocks, volumes), text),
    )


def draw_occupancies(
    figure: Figure,
    found: Occupancies,
    measure: str,
    labels: Labels,
    theme: Theme,
    order: Order | None = None,
) -> Drawn:
    """Heat map of parts by volumes, with names of the volumes where they fit, and lines between
    the groups of volumes.

    Parameters
    ----------
    found : Occupancies
    measure : "share" or "maven"
    labels : names and colors of the blocks among the parts, see :func:`part_labels`
    order : of volumes and parts; default: that of the occupancies
    """
    order = order or found.order
    states, values = found.states, found.measures[measure]
    trees = (order.parts, order.volumes)
    if measure == "share":
        limits, title = (0.0, 1.0), "share of the part's voxels above the level"
    else:
        limits = (0.0, float(np.percentile(values, 99)))
        all_alike = len({p.reference is None for p in found.parts}) == 1
        title = (BY_MASK if found.parts[0].reference is None else BY_REFERENCE).replace("x", "×")
        title = title if all_alike else "MAVEn's measure, see the table for references"
    by = "" if order.by == measure else f" of {ORDERED_BY[order.by]}"
    main = _heat_map(
        figure, values, trees, (states.numbers, found.names), title, limits, labels, theme, by
    )
    sorted_groups = order.cluster[order.volumes.order]
    for edge in np.flatnonzero(np.diff(sorted_groups)):
        main.axvline(edge + 0.5, color=theme.warn, linewidth=0.8)
    fitting = NAMED_VOLUMES * figure.get_size_inches()[0] / USUAL_SIZE[0]
    if len(found.names) <= fitting and not is_small(figure):
        names = [_short(found.names[v]) for v in order.volumes.order]
        main.set_xticks(range(len(names)), names, rotation=90, fontsize=7)

    def text(p: int, v: int) -> str:
        state = "present" if states.present[p, v] else "absent"
        doubt = ", uncertain" if found.uncertain[p, v] else ""
        return (
            f"{found.names[v]}, {found.parts[p].name}: {100 * found.share[p, v]:.0f} % of its "
            f"voxels above the level, MAVEn {found.maven[p, v]:.3g}; {state}{doubt}."
        )

    groups = int(order.cluster.max(initial=1))
    return Drawn(
        f"{len(found.parts):,} parts in {len(found.names):,} volumes, ordered by similarity"
        + (f"; {groups} groups of volumes." if groups > 1 else "."),
        _picker(main, states, trees, text),
    )


def part_labels(found: Occupancies, colors: dict[int, tuple[float, ...]] | None = None) -> Labels:
    """Labels of the parts of occupancies: blocks by number and name, other parts by name.

    Parameters
    ----------
    colors : of the blocks, by number
    """
    numbered = list(zip(found.states.numbers, found.parts, strict=True))
    return Labels(
        {n: p.label for n, p in numbered if p.number is not None and p.label},
        dict(colors or {}),
        {n: p.name for n, p in numbered if p.number is None},
    )


def heat_map_size(parts: int) -> tuple[float, float]:
    """Width and height, inches, with which the names of all parts are legible."""
    height = max(USUAL_SIZE[1], AROUND + ROW * parts)
    return USUAL_SIZE[0], min(height, MOST_HEIGHT)


def _heat_map(
    figure: Figure,
    values: NDArray[np.floating],
    trees: tuple[Tree, Tree],
    rows_and_columns: tuple[Sequence[int], Sequence[str]],
    title: str,
    limits: tuple[float, float],
    labels: Labels,
    theme: Theme,
    by: str = "",
) -> Axes:
    """Values (rows, columns) in the order of two trees, which stand beside them."""
    rows, columns = trees
    figure.clear()
    figure.set_facecolor(theme.background)
    tall = float(figure.get_size_inches()[1])
    grid = figure.add_gridspec(
        2,
        2,
        width_ratios=(1, 12),
        height_ratios=(1, max(8.0, 2 * (tall - 1))),
        wspace=0.02,
        hspace=0.02,
    )
    main, left, top = (figure.add_subplot(grid[k]) for k in ((1, 1), (1, 0), (0, 1)))
    shown = values[rows.order][:, columns.order]
    low, high = limits
    high = high if high > low else low + 1
    image = main.imshow(
        shown, aspect="auto", interpolation="nearest", cmap=theme.sequential, vmin=low, vmax=high
    )
    style_axes(main, theme)
    main.set_xticks([])
    main.set_xlabel(f"{len(rows_and_columns[1]):,} volumes, ordered by similarity{by}")
    main.yaxis.tick_right()
    block_ticks(main, [rows_and_columns[0][k] for k in rows.order], labels, theme, "y")
    draw_tree(left, rows, theme, sideways=True)
    draw_tree(top, columns, theme, sideways=False)
    beyond = (values.min(initial=0) < low - 1e-9, values.max(initial=0) > high + 1e-9)
    scale = figure.colorbar(
        image,
        ax=[main, left, top],
        orientation="horizontal",
        fraction=0.03 if tall <= USUAL_SIZE[1] else 0.14 / tall,
        pad=0.02 if tall <= USUAL_SIZE[1] else 0.1 / tall,
        aspect=40,
        extend={(1, 0): "min", (0, 1): "max", (1, 1): "both"}.get(beyond, "neither"),
    )
    scale.set_label(title, color=theme.text, fontsize=8)
    scale.ax.tick_params(colors=theme.text, labelsize=8)
    scale.outline.set(edgecolor=theme.faint)  # type: ignore[operator]
    return main


def _picker(
    main: Axes, states: States, trees: tuple[Tree, Tree], text: Callable[[int, int], str]
) -> Callable[[Any, float, float], Pick | None]:
    rows, columns = trees

    def pick(axes: Any, x: float, y: float) -> Pick | None:
        row, column = round(y), round(x)
        if axes is not main or not (
            0 <= row < len(rows.order) and 0 <= column < len(columns.order)
        ):
            return None
        b, v = int(rows.order[row]), int(columns.order[column])
        return Pick(text(b, v), states.names[v], states.numbers[b])

    return pick


def _short(name: str, most: int = 24) -> str:
    """A file name for a label, without formulas."""
    cut = name if len(name) <= most else f"...{name[3 - most :]}"
    return cut.replace("$", r"\$")
