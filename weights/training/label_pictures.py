"""Sections of simulated test maps with the molecule's envelope, the label and the prediction.

Example::

    python weights/training/label_pictures.py ../shared/data/structures weights/labels.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import package  # noqa: F401  (puts src on the path)
from matplotlib.figure import Figure
from simulate import simulate
from structures import read_library

from core.maps.ensemble import Ensemble, Source
from core.maps.grid import Grid
from core.thresholds.normalize import Range, denormalize_level
from core.thresholds.parameters import PredictParameters
from core.thresholds.predict import predict_levels

COLORS = {"envelope": "#1f77b4", "label": "#ff9f1c", "predicted": "#d62728"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("structures", type=Path)
    parser.add_argument("sheet", type=Path)
    parser.add_argument("--maps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=3, help="seed of the accuracy table")
    a = parser.parse_args()
    library = read_library(a.structures, "test")
    across = 4
    down = -(-a.maps // across)
    figure = Figure((3.2 * across, 3.5 * down), layout="constrained")
    for number, axes in enumerate(figure.subplots(down, across).flat):
        axes.axis("off")
        if number >= a.maps:
            continue
        sample = simulate(library, np.random.default_rng([a.seed, number]))
        level = denormalize_level(sample.label, Range(*sample.scale))
        grid = Grid(sample.raw.shape, (float(sample.facts["pixel"]),) * 3)  # type: ignore[arg-type]
        ensemble = Ensemble(
            (Source("map", None, lambda array=sample.raw: array, grid),), grid, ("map",)
        )
        predicted = predict_levels(ensemble, PredictParameters(device="cpu")).rows[0].level
        z = int(sample.envelope.sum(axis=(1, 2)).argmax())
        section = sample.raw[z]
        low, high = (float(v) for v in np.percentile(section, [1, 99.5]))
        axes.imshow(section, cmap="gray_r", origin="lower", vmin=min(0.0, low), vmax=high)
        axes.contour(sample.envelope[z], [0.5], colors=COLORS["envelope"], linewidths=1.6)
        axes.contour(section, [level], colors=COLORS["label"], linewidths=1.2)
        axes.contour(
            section, [predicted], colors=COLORS["predicted"], linewidths=0.8, linestyles="dashed"
        )
        facts = sample.facts
        made = f"{facts['name']}, {facts['resolution']:.1f} Å, noise {facts['noise']:.2f}"
        axes.set_title(
            f"{made}\nmask {facts['mask']}, lipid {facts['micelle']}, Dice at the label "
            f"{sample.dice.max():.2f}",
            fontsize=8,
        )
    figure.legend(
        [_line(c) for c in COLORS.values()],
        ["the molecule's envelope", "label: the level that agrees best", "predicted level"],
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    figure.savefig(a.sheet, dpi=90)


def _line(color: str) -> object:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color)


if __name__ == "__main__":
    main()
