"""Blocks without 3D graphics: outlines on projections of the mean map along its three axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from ..blocks.blockset import BlockSet, box_around
from ..blocks.display import DISPLAY_LEVEL, sampled_share, smooth_mask
from .axes import style_axes
from .placing import place_apart
from .scale_bar import bar_length, length_text
from .theme import Drawn, Labels, Theme

AXES = ("z", "y", "x")  # of the arrays
MARGIN = 3  # voxels around everything
LINE, FILLED = 1.6, 0.25  # width of outlines in points; opacity inside them
NUMBER = 8  # points of the numbers of blocks
BAR_SHARE = 0.3  # of the width of a projection, at most, that its scale bar takes


def draw_projections(
    figure: Figure,
    mean: NDArray[np.floating] | None,
    blocks: BlockSet,
    labels: Labels,
    theme: Theme,
    level: float = 0.0,
    only: Sequence[int] | None = None,
    along: Sequence[str] = AXES,
    share: float | None = None,
) -> Drawn:
    """Maximum projections of the mean map, with the outlines of the blocks in their colors.

    Parameters
    ----------
    mean : (z, y, x) mean of the volumes; None: the blocks alone
    level : contour level of ``mean``; fainter density is left out
    only : numbers of the blocks to draw; all by default
    along : axes of projection, as ``("z",)``
    share : of the voxels that were compared; measured if not given
    """
    figure.clear()
    figure.set_facecolor(theme.background)
    shown = [n for n, _ in blocks if only is None or n in only]
    share = sampled_share(blocks) if share is None else share
    drawn = {n: smooth_mask(blocks.mask(n), share) for n in shown}
    density = None if mean is None else np.clip(np.asarray(mean, np.float64) - level, 0, None)
    where = _seen(density, drawn, blocks)
    for k, name in enumerate(along):
        axes = figure.add_subplot(1, len(along), k + 1)
        style_axes(axes, theme)
        _draw_one(axes, AXES.index(name), density, drawn, blocks, where, labels, theme)
        axes.set_title(f"along {name}", color=theme.text, fontsize=8)
    words = ", ".join(labels.words(n) for n in shown)
    return Drawn(
        f"Maximum projections of the mean of the volumes along {', '.join(along)}"
        + (f", with the outlines of block{'s' * (len(shown) > 1)} {words}." if shown else ".")
    )


def _seen(
    density: NDArray[np.float64] | None, drawn: Mapping[int, NDArray[np.float32]], blocks: BlockSet
) -> tuple[slice, slice, slice]:
    inside = np.zeros(blocks.grid.shape, bool) if density is None else density > 0
    for mask in drawn.values():
        inside |= mask > DISPLAY_LEVEL
    whole = [slice(0, n) for n in blocks.grid.shape]
    found = box_around(inside, MARGIN) or whole
    z, y, x = (slice(w.start, min(w.stop, n.stop)) for w, n in zip(found, whole, strict=True))
    return z, y, x


def _draw_one(
    axes: Axes,
    axis: int,
    density: NDArray[np.float64] | None,
    drawn: Mapping[int, NDArray[np.float32]],
    blocks: BlockSet,
    where: tuple[slice, slice, slice],
    labels: Labels,
    theme: Theme,
) -> None:
    """One projection: of the two axes that are left, the later one (x, or y) runs to the right."""
    up, right = (k for k in range(3) if k != axis)
    step, origin = blocks.grid.voxel_size[::-1], blocks.grid.origin[::-1]
    low = [origin[k] + step[k] * (where[k].start - 0.5) for k in (right, up)]
    shape = [where[k].stop - where[k].start for k in (right, up)]
    high = [low[0] + step[right] * shape[0], low[1] + step[up] * shape[1]]
    frame = (low[0], high[0], low[1], high[1])
    if density is not None:
        gray = LinearSegmentedColormap.from_list("mean", [theme.background, theme.faint])
        axes.imshow(density[where].max(axis=axis), origin="lower", extent=frame, cmap=gray, vmin=0)
    # a border of nothing, so that outlines are closed at the edge of the map
    x = low[0] + step[right] * (np.arange(-1, shape[0] + 1) + 0.5)
    y = low[1] + step[up] * (np.arange(-1, shape[1] + 1) + 0.5)
    middles: dict[int, tuple[float, float]] = {}
    for number, mask in drawn.items():
        flat = np.pad(mask[where].max(axis=axis), 1)
        if flat.max() <= DISPLAY_LEVEL:
            continue
        color = labels.colors.get(number, (0.6, 0.6, 0.6))[:3]
        axes.contourf(x, y, flat, [DISPLAY_LEVEL, 1.01], colors=[color], alpha=FILLED)
        axes.contour(x, y, flat, [DISPLAY_LEVEL], colors=[color], linewidths=LINE)
        rows, columns = np.nonzero(flat > DISPLAY_LEVEL)
        nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        middles[number] = x[columns[nearest]], y[rows[nearest]]
    axes.set(xlim=frame[:2], ylim=frame[2:], xticks=[], yticks=[], aspect="equal")
    _draw_numbers(axes, middles, theme)
    length = bar_length(frame[1] - frame[0], BAR_SHARE)
    left, bottom = frame[0] + 0.04 * (frame[1] - frame[0]), frame[2] + 0.04 * (frame[3] - frame[2])
    axes.plot([left, left + length], [bottom, bottom], color=theme.text, linewidth=2)
    axes.text(
        left + length / 2,
        bottom + 0.015 * (frame[3] - frame[2]),
        length_text(length),
        color=theme.text,
        fontsize=7,
        ha="center",
        va="bottom",
    )


def _draw_numbers(axes: Axes, middles: Mapping[int, tuple[float, float]], theme: Theme) -> None:
    """The numbers of the blocks, none on another."""
    if not middles or axes.figure is None:
        return
    axes.apply_aspect()
    point = axes.figure.dpi / 72  # pixels
    to_pixels = axes.transData
    pixels = to_pixels.transform(list(middles.values()))
    sizes = [(NUMBER * (0.65 * len(str(n)) + 0.3) * point, 1.1 * NUMBER * point) for n in middles]
    places = to_pixels.inverted().transform(place_apart(pixels, sizes))
    for number, (x, y) in zip(middles, places, strict=True):
        axes.text(
            x,
            y,
            str(number),
            color=theme.text,
            fontsize=NUMBER,
            ha="center",
            va="center",
            path_effects=[withStroke(linewidth=2, foreground=theme.background)],
        )
