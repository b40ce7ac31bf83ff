"""The matrices of blocks by blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ..analysis.block_occupancy import States, Tree
from ..analysis.relations import NEEDED_BY, ONLY_WITH, Relations
from .axes import LEAST_FONT, block_ticks, font_in_cells, is_small, single_axes
from .theme import Drawn, Labels, Pick, Theme

FEW_BLOCKS = 14  # up to this many, each cell of a matrix shows its number


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
    axes = single_axes(figure, theme)
    values = found.given if conditional else found.phi
    shown = values[blocks.order][:, blocks.order]
    low, colors = (0.0, theme.sequential) if conditional else (-1.0, theme.diverging)
    seen = colors.with_extremes(bad=theme.background)
    image = axes.imshow(shown, interpolation="nearest", cmap=seen, vmin=low, vmax=1)
    numbers = [states.numbers[b] for b in blocks.order]
    block_ticks(axes, numbers, labels, theme, "y")
    block_ticks(axes, numbers, Labels(colors=labels.colors), theme, "x")
    size = font_in_cells(figure, len(numbers), 3 if conditional else 5)
    if not is_small(figure):
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
        if is_small(figure)
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


def _dependences(found: Relations, labels: Labels) -> str:
    """The significant relations, in one sentence."""
    shown = [
        f"{labels.words(first)} {word} {labels.words(second)}"
        for first, second, word in found.graph().edges(data="relation")
        if word == ONLY_WITH or (first < second and word != NEEDED_BY)
    ]
    more = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
    return (
        f"Blocks that depend on each other: {', '.join(shown[:6])}{more}."
        if shown
        else "No block depends on another."
    )
