"""The figures of a run, for the panel and for files; matplotlib without Qt.

Each ``draw_...`` fills a figure and returns a :class:`Drawn`, which identifies what is under the
mouse pointer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import offset_copy
from numpy.typing import NDArray

from ..core.analysis.block_occupancy import States, Tree, similar_together
from ..core.analysis.relations import Relations, relations
from ..core.blocks.occupancy import within_two_sd
from ..core.common.errors import SirenError
from ..core.common.files import atomic_file

FEW_BLOCKS = 14  # up to this many, each cell of a matrix shows its number
FULL_SIZE = (430.0, 320.0)  # points; below this, as in a docked panel, writing is fitted to cells
LEAST_FONT = 5.0  # points
AROUND_MATRIX = (120.0, 40.0)  # points beside a matrix, for labels and the color scale
MOST_LABELS = 40  # more labels than this along an axis would overlap
KINDS = ("thresholds", "states", "correlation", "conditional")


@dataclass(frozen=True)
class Theme:
    """Colors of a figure, in matplotlib's notation.

    Attributes
    ----------
    background, text, faint, accent, warn, band
        Of the background, text, secondary lines, bars, bars of outliers, and the +-2 SD band.
    dark : whether the background is dark
    """

    background: str = "#ffffff"
    text: str = "#202020"
    faint: str = "#9a9a9a"
    accent: str = "#0072B2"
    warn: str = "#D55E00"
    band: str = "#0072B222"
    dark: bool = False

    @staticmethod
    def on(background: str, text: str) -> Theme:
        """The theme for a window with these colors, ``#rrggbb``."""
        dark = sum(int(background[i : i + 2], 16) for i in (1, 3, 5)) < 3 * 128
        if not dark:
            return Theme(background, text)
        return Theme(background, text, "#8a8a8a", "#56B4E9", "#E69F00", "#56B4E930", True)

    @property
    def sequential(self) -> LinearSegmentedColormap:
        """From the background (0) to a strong blue (1)."""
        upper = ("#2f6f9f", "#9fdcff") if self.dark else ("#7db8da", "#08306b")
        return LinearSegmentedColormap.from_list("share", [self.background, *upper])

    @property
    def diverging(self) -> LinearSegmentedColormap:
        """Orange (-1), background (0), blue (1): distinguishable with any color vision."""
        low, high = ("#f0a040", "#6ec0ff") if self.dark else ("#b35806", "#08519c")
        return LinearSegmentedColormap.from_list("phi", [low, self.background, high])


@dataclass(frozen=True)
class Pick:
    """What is under the mouse pointer.

    Attributes
    ----------
    text : one sentence
    volume : file name to show, or None
    block : number, or None
    """

    text: str
    volume: str | None = None
    block: int | None = None


@dataclass(frozen=True)
class Drawn:
    """A finished figure.

    Attributes
    ----------
    caption : one sentence on the whole figure
    pick : called with axes, x, y (data coordinates); returns a Pick or None
    """

    caption: str
    pick: Callable[[Any, float, float], Pick | None] = field(default=lambda axes, x, y: None)


@dataclass(frozen=True)
class Labels:
    """Names of blocks, and their colors (r, g, b, 0 to 1), by number."""

    names: dict[int, str] = field(default_factory=dict)
    colors: dict[int, tuple[float, ...]] = field(default_factory=dict)

    def text(self, number: int, most: int = 22) -> str:
        """Number and name, of which at most about ``most`` letters."""
        name = self.names.get(number, "")
        cut = name[: most - 2] + "..." if len(name) > most else name
        return f"{number}  {cut}" if name else str(number)

    def words(self, number: int) -> str:
        """Number and name for a sentence."""
        name = self.names.get(number, "")
        return f"{number} ({name})" if name else str(number)

    def in_sentence(self, sentence: str) -> str:
        """A sentence with the names after the numbers of its blocks."""
        return re.sub(
            r"(?<=[Bb]lock )\d+|(?<=[Bb]locks )\d+|(?<=\d and )\d+",
            lambda number: self.words(int(number[0])),
            sentence,
        )


@dataclass(frozen=True)
class Content:
    """The data behind the figures of a run; computed once, as many volumes take seconds.

    Attributes
    ----------
    names, levels : all volumes and their contour levels, including volumes left out
    states, relations : of the blocks, or None if only the contour levels are known
    blocks, volumes : their hierarchical clustering
    """

    names: Sequence[str]
    levels: NDArray[np.float64]
    states: States | None = None
    relations: Relations | None = None
    blocks: Tree | None = None
    volumes: Tree | None = None

    @staticmethod
    def of(
        names: Sequence[str], levels: NDArray[np.float64], states: States | None = None
    ) -> Content:
        """Count pairs of blocks, and cluster blocks and volumes."""
        if states is None or not len(states.numbers):
            return Content(names, levels)
        return Content(
            names,
            levels,
            states,
            relations(states),
            similar_together(states.share),
            similar_together(states.share.T),
        )


def draw(figure: Figure, kind: str, content: Content, labels: Labels, theme: Theme) -> Drawn:
    """Draw one of the KINDS.

    Raises
    ------
    SirenError
        If there is nothing to draw.
    """
    c = content
    if kind == "thresholds":
        if not len(c.levels):
            raise SirenError("There are no contour levels yet.")
        return draw_thresholds(figure, c.names, c.levels, theme)
    if c.states is None or c.relations is None or c.blocks is None or c.volumes is None:
        raise SirenError("There are no blocks: the sketch found none.")
    if kind == "states":
        return draw_states(figure, c.states, c.blocks, c.volumes, labels, theme)
    return draw_relations(
        figure, c.states, c.relations, c.blocks, labels, theme, kind == "conditional"
    )


def save_figure(path: Path, fill: Callable[[Any], Any]) -> None:
    """Save a figure, completely or not at all, with the same bytes every time."""
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    fill(figure)
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    with (
        atomic_file(path) as temporary,
        matplotlib.rc_context({"svg.hashsalt": "siren", "svg.fonttype": "none"}),
    ):
        # tight: a long name is not cut at the edge
        figure.savefig(temporary, dpi=200, metadata=undated, bbox_inches="tight")


def draw_thresholds(
    figure: Figure, names: Sequence[str], levels: NDArray[np.float64], theme: Theme
) -> Drawn:
    """Histogram of the contour levels (V,), with the band that ``filter true`` keeps: mean +- 2
    SD.
    """
    axes = _one(figure, theme)
    keep = within_two_sd(levels)
    mean, sd = float(levels.mean()), float(levels.std())
    edges = np.histogram_bin_edges(
        levels, bins=min(60, max(10, round(2 * len(levels) ** 0.5))) if sd > 0 else 1
    )
    axes.axvspan(mean - 2 * sd, mean + 2 * sd, color=theme.band, linewidth=0)
    axes.axvline(mean, color=theme.faint, linewidth=1, linestyle="--")
    axes.hist(
        [levels[keep], levels[~keep]],
        bins=list(edges),
        stacked=True,
        color=[theme.accent, theme.warn],
    )
    axes.set_xlabel("contour level (map units)")
    axes.set_ylabel("volumes")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    outside = [n for n, k in zip(names, keep, strict=True) if not k]
    caption = (
        f"{len(levels):,} contour levels, {mean:.3g} ± {sd:.2g} (mean, SD). Shaded: mean ± 2 "
        f"SD; {len(outside)} outside"
        + (f" ({', '.join(outside[:3])}{' ...' if len(outside) > 3 else ''})." if outside else ".")
    )

    def pick(_: Any, x: float, y: float) -> Pick:
        nearest = int(np.abs(levels - x).argmin())
        beyond = "" if keep[nearest] else ", beyond mean ± 2 SD"
        return Pick(
            f"{names[nearest]}: contour level {levels[nearest]:.4g}{beyond}.", names[nearest]
        )

    return Drawn(caption, pick)


def draw_states(
    figure: Figure, states: States, blocks: Tree, volumes: Tree, labels: Labels, theme: Theme
) -> Drawn:
    """Heat map of blocks by volumes: the occupied share of each block, ordered by clustering."""
    figure.clear()
    figure.set_facecolor(theme.background)
    grid = figure.add_gridspec(
        2, 2, width_ratios=(1, 12), height_ratios=(1, 8), wspace=0.02, hspace=0.02
    )
    main, left, top = (figure.add_subplot(grid[k]) for k in ((1, 1), (1, 0), (0, 1)))
    shown = states.share[blocks.order][:, volumes.order]
    image = main.imshow(
        shown, aspect="auto", interpolation="nearest", cmap=theme.sequential, vmin=0, vmax=1
    )
    _style(main, theme)
    main.set_xticks([])
    main.set_xlabel(f"{len(states.names):,} volumes, ordered by similarity")
    main.yaxis.tick_right()
    _block_ticks(main, [states.numbers[b] for b in blocks.order], labels, theme, "y")
    _draw_tree(left, blocks, theme, sideways=True)
    _draw_tree(top, volumes, theme, sideways=False)
    scale = figure.colorbar(
        image, ax=[main, left, top], orientation="horizontal", fraction=0.03, pad=0.02, aspect=40
    )
    scale.set_label("occupied share of the block's voxels", color=theme.text, fontsize=8)
    scale.ax.tick_params(colors=theme.text, labelsize=8)
    scale.outline.set(edgecolor=theme.faint)  # type: ignore[operator]

    def pick(axes: Any, x: float, y: float) -> Pick | None:
        row, column = round(y), round(x)
        if axes is not main or not (0 <= row < shown.shape[0] and 0 <= column < shown.shape[1]):
            return None
        b, v = int(blocks.order[row]), int(volumes.order[column])
        return Pick(
            f"{states.names[v]}, block {labels.text(states.numbers[b])}: "
            f"{100 * states.share[b, v]:.0f} % of its voxels occupied.",
            states.names[v],
            states.numbers[b],
        )

    found = states.present.sum(axis=1)
    often = ", ".join(
        f"{labels.words(n)}: {c:,}" for n, c in list(zip(states.numbers, found, strict=True))[:8]
    )
    return Drawn(
        f"Volumes that contain each block ({states.cut_words}): "
        f"{often}{' ...' if len(found) > 8 else ''}.",
        pick,
    )


def draw_relations(
    figure: Figure,
    states: States,
    found: Relations,
    blocks: Tree,
    labels: Labels,
    theme: Theme,
    conditional: bool,
) -> Drawn:
    """Matrix of blocks by blocks: correlation phi of presence, or of the volumes with the column's
    block the share that also contain the row's.
    """
    axes = _one(figure, theme)
    values = found.given if conditional else found.phi
    shown = values[blocks.order][:, blocks.order]
    low, colors = (0.0, theme.sequential) if conditional else (-1.0, theme.diverging)
    colors.set_bad(theme.background)
    image = axes.imshow(shown, interpolation="nearest", cmap=colors, vmin=low, vmax=1)
    numbers = [states.numbers[b] for b in blocks.order]
    _block_ticks(axes, numbers, labels, theme, "y")
    _block_ticks(axes, numbers, Labels(colors=labels.colors), theme, "x")
    size = _font_in_cells(figure, len(numbers), 3 if conditional else 5)
    if not _small(figure):
        axes.set_xlabel("given block" if conditional else "block")
        axes.set_ylabel("block")
    if len(numbers) <= FEW_BLOCKS and size >= LEAST_FONT:
        for (i, j), value in np.ndenumerate(shown):
            strong = (value - low) / (1 - low) if conditional else abs(value)
            color = theme.background if strong > 0.6 else theme.text
            text = (
                ""
                if not np.isfinite(value)
                else f"{100 * value:.0f}"
                if conditional
                else f"{value:.2f}"
            )
            axes.text(j, i, text, ha="center", va="center", fontsize=size, color=color)
    scale = figure.colorbar(image, ax=axes, fraction=0.045, pad=0.03)
    scale.set_label(
        ("given the column" if conditional else "phi")
        if _small(figure)
        else "share of the volumes with the column's block\nthat also contain the row's block"
        if conditional
        else "correlation of presence, phi",
        color=theme.text,
        fontsize=8,
    )
    scale.ax.tick_params(colors=theme.text, labelsize=8)
    scale.outline.set(edgecolor=theme.faint)  # type: ignore[operator]

    def pick(under: Any, x: float, y: float) -> Pick | None:
        row, column = round(y), round(x)
        if under is not axes or not (0 <= row < len(numbers) and 0 <= column < len(numbers)):
            return None
        a, b = int(blocks.order[row]), int(blocks.order[column])
        most = int(np.minimum(states.share[a], states.share[b]).argmax())
        both = states.present[a, most] and states.present[b, most]
        sentence = labels.in_sentence(found.text(a, b))
        return Pick(sentence, states.names[most] if both else None, states.numbers[a])

    return Drawn(_dependences(found, labels), pick)


def _small(figure: Figure) -> bool:
    """Whether the figure is as small as in a docked panel."""
    return bool((72 * figure.get_size_inches() < FULL_SIZE).any())


def _font_in_cells(figure: Figure, cells: int, letters: int) -> float:
    """The size of writing, in points, with which a number fits into each cell of a matrix."""
    if not _small(figure):
        return 8.0
    side = float((72 * figure.get_size_inches() - AROUND_MATRIX).min())
    return min(8.0, side / cells / (0.62 * letters))


def _dependences(found: Relations, labels: Labels) -> str:
    """The significant relations, in one sentence."""
    shown = [
        f"{labels.words(first)} {word} {labels.words(second)}"
        for first, second, word in found.graph().edges(data="relation")
        if word == "only with" or (first < second and word in ("together", "never with"))
    ]
    more = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
    return (
        f"Blocks that depend on each other: {', '.join(shown[:6])}{more}."
        if shown
        else "No block depends on another."
    )


def _one(figure: Figure, theme: Theme) -> Axes:
    figure.clear()
    figure.set_facecolor(theme.background)
    axes = figure.add_subplot()
    _style(axes, theme)
    return axes


def _style(axes: Axes, theme: Theme) -> None:
    axes.set_facecolor(theme.background)
    axes.tick_params(colors=theme.text, labelsize=8)
    for text in (axes.xaxis.label, axes.yaxis.label):
        text.set_color(theme.text)
        text.set_fontsize(9)
    for spine in axes.spines.values():
        spine.set_color(theme.faint)


def _block_ticks(
    axes: Axes, numbers: Sequence[int], labels: Labels, theme: Theme, which: str
) -> None:
    """Label each block, with a square in the block's color between label and picture."""
    step = max(1, -(-len(numbers) // MOST_LABELS))
    places = list(range(0, len(numbers), step))
    axis = axes.yaxis if which == "y" else axes.xaxis
    figure = axes.get_figure()
    most = 10 if isinstance(figure, Figure) and _small(figure) else 22
    names = [labels.text(numbers[k], most).replace("$", r"\$") for k in places]  # no formulas
    axis.set_ticks(places, names)
    axis.set_tick_params(length=0, pad=11)
    right = which == "y" and axis.get_ticks_position() == "right"
    along = axes.get_yaxis_transform() if which == "y" else axes.get_xaxis_transform()
    dx, dy = (6 if right else -6, 0) if which == "y" else (0, -6)
    edge = [1.0 if right else 0.0] * len(places)
    x, y = (edge, places) if which == "y" else (places, edge)
    colors = [labels.colors.get(numbers[k], (0.6, 0.6, 0.6))[:3] for k in places]
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


def _draw_tree(axes: Axes, tree: Tree, theme: Theme, sideways: bool) -> None:
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
