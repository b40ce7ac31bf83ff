"""Plots of evaluations and fine-tunings; equal numbers give equal bytes.

Figures are made without pyplot, so there is no global state and no window, and any thread may draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..common.files import atomic_files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .agreement import Agreement

LABEL, PREDICTION, OTHER = "#000000", "#D55E00", "#0072B2"  # Okabe & Ito 2008
MAX_TICK_LABELS = 40  # volumes whose names fit below the axis
# maps whose ranges differ by less than this factor are plotted in their own units
SIMILAR_SCALES = 5.0


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def write_figure(path: Path, figure: Figure) -> list[Path]:
    """Write ``path``.png and ``path``.pdf, without dates or versions, and return their paths."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    png, pdf = path.with_name(path.name + ".png"), path.with_name(path.name + ".pdf")
    undated = {"CreationDate": None, "Producer": None, "Creator": None}
    with atomic_files(png, pdf) as (first, second):
        FigureCanvasAgg(figure).print_png(str(first), metadata={"Software": None})
        FigureCanvasPdf(figure).print_pdf(str(second), metadata=undated)
    return [png, pdf]


def sorted_plot(agreement: Agreement) -> Figure:
    """Plot labels in ascending order with their bounds, and predictions with expected errors."""
    in_units = _similar_scales([r.prediction.range.vol_max for r in agreement.rows])
    unit = "contour level" if in_units else "normalized contour level"

    def value(row: Any, level: float) -> float:
        used = row.prediction.range
        return level if in_units else 2 * (level - used.vol_min) / (used.vol_max - used.vol_min) - 1

    rows = sorted(agreement.rows, key=lambda r: (value(r, r.label.level), r.prediction.file))
    place = np.arange(len(rows))
    label = np.array([value(r, r.label.level) for r in rows])
    predicted = np.array([value(r, r.prediction.level) for r in rows])
    bounds = np.array(
        [
            [
                label[i] - value(r, r.label.lower) if r.label.lower is not None else 0.0,
                value(r, r.label.upper) - label[i] if r.label.upper is not None else 0.0,
            ]
            for i, r in enumerate(rows)
        ]
    ).T
    spread = np.array(
        [((r.prediction.uncertainty if in_units else r.prediction.spread) or 0.0) for r in rows]
    )
    figure = new_figure(min(14.0, 6.5 + 0.12 * len(rows)), 4.6)
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    left.errorbar(
        place,
        label,
        bounds,
        fmt="o",
        color=LABEL,
        ms=4,
        capsize=3,
        lw=1,
        label="label, with bounds",
    )
    left.errorbar(
        place + 0.15,
        predicted,
        spread,
        fmt="s",
        color=PREDICTION,
        ms=4,
        lw=1,
        alpha=0.8,
        label="prediction, with expected error" if spread.any() else "prediction",
    )
    left.set(xlabel="labeled volumes, by label", ylabel=unit)
    if len(rows) <= MAX_TICK_LABELS:
        left.set_xticks(place, [r.prediction.file for r in rows], rotation=90, fontsize=6)
    left.legend(fontsize=8)
    right.errorbar(label, predicted, spread, bounds, fmt="o", color=OTHER, ms=4, lw=1, alpha=0.8)
    ends = [min(label.min(), predicted.min()), max(label.max(), predicted.max())]
    right.plot(ends, ends, color="0.5", lw=1)
    right.set(xlabel=f"label ({unit})", ylabel="prediction")
    figure.suptitle(_title(agreement), fontsize=9)
    return figure


def _title(agreement: Agreement) -> str:
    text = (
        f"{agreement.count} labeled volumes; normalized level: RMSE {agreement.rmse:.3f}, MAE "
        f"{agreement.mae:.3f}, bias "
        f"{agreement.bias:+.3f}"
    )
    return text + (
        f"; {agreement.within} of {agreement.bounded} within bounds" if agreement.bounded else ""
    )


def _similar_scales(ranges: Sequence[float]) -> bool:
    return min(ranges) > 0 and max(ranges) < SIMILAR_SCALES * min(ranges)


def loss_plot(train: Sequence[float], validation: Sequence[float], best: int) -> Figure:
    """Plot losses by epoch, from 0 (the initial weights), and mark the epoch that was kept."""
    figure = new_figure(6.0, 4.0)
    axes = figure.subplots()
    axes.plot(range(len(train)), train, color=LABEL, marker=".", label="training maps")
    axes.plot(
        range(len(validation)), validation, color=PREDICTION, marker=".", label="validation maps"
    )
    axes.axvline(
        best,
        color=OTHER,
        lw=1,
        ls="--",
        label=f"kept: epoch {best}" + (" (unchanged)" if best == 0 else ""),
    )
    axes.set(xlabel="epoch", ylabel="loss (mean square difference of the soft masks)")
    if min(min(train), min(validation)) > 0:
        axes.set_yscale("log")
    axes.legend(fontsize=8)
    return figure
