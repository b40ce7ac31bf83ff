"""The figure of contour levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ..blocks.occupancy import within_two_sd
from .axes import single_axes
from .theme import Drawn, Pick, Theme


def draw_thresholds(
    figure: Figure, names: Sequence[str], levels: NDArray[np.float64], theme: Theme
) -> Drawn:
    """Histogram of the contour levels (V,), with the band that ``filter true`` keeps: mean +- 2
    SD.
    """
    axes = single_axes(figure, theme)
    keep = within_two_sd(levels)
    mean, sd = float(levels.mean()), float(levels.std())
    edges = np.histogram_bin_edges(
        levels, bins=min(60, max(10, round(2 * len(levels) ** 0.5))) if sd > 1e-6 * abs(mean) else 1
    )
    axes.axvspan(mean - 2 * sd, mean + 2 * sd, color=theme.band, linewidth=0)
    axes.axvline(mean, color=theme.faint, linewidth=1, linestyle="--")
    outside = [n for n, k in zip(names, keep, strict=True) if not k]
    axes.hist(
        [levels[keep], levels[~keep]],
        bins=list(edges),
        stacked=True,
        color=[theme.accent, theme.warn],
        label=["within mean ± 2 SD", f"outside ({len(outside)})"],
    )
    if outside:
        axes.legend(loc="best", fontsize=8, frameon=False, labelcolor=theme.text)
    axes.set_xlabel("contour level (map units)")
    axes.set_ylabel("volumes")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
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
