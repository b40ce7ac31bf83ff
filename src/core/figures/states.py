"""The heat map of blocks by volumes."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from ..analysis.block_occupancy import States, Tree
from .axes import block_ticks, draw_tree, style_axes
from .theme import Drawn, Labels, Pick, Theme


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
    style_axes(main, theme)
    main.set_xticks([])
    main.set_xlabel(f"{len(states.names):,} volumes, ordered by similarity")
    main.yaxis.tick_right()
    block_ticks(main, [states.numbers[b] for b in blocks.order], labels, theme, "y")
    draw_tree(left, blocks, theme, sideways=True)
    draw_tree(top, volumes, theme, sideways=False)
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
