"""The harness's tables in short: ``python devel/benchmarks/decoders/summary.py FOLDER``.

Blocks are *true* where they match a planted block with an IoU of 0.2 and more, *false* in ensembles
where nothing is planted and nothing moves, *unmatched* where blocks are planted but they match
none, *moving* in ensembles with a moving domain where half of their voxels are swept by it.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

MEASURES = (
    "stability",
    "contrast_levels",
    "contrast_share",
    "solid",
    "largest",
    "back_lower",
    "back_higher",
    "voxels",
)
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SWEPT, MATCHED = 0.5, 0.2

Row = dict[str, str]


def nature(row: Row) -> str:
    """What a block of ``blocks.csv`` is, see above."""
    if row["null"] == "1":
        return "false"
    if row["kind"] == "moving":
        return "moving" if float(row["in_swept"]) >= SWEPT else "false beside a moving domain"
    return "true" if float(row["best_iou"]) >= MATCHED else "unmatched"


def quantile_lines(rows: list[Row]) -> Iterable[str]:
    """Quantiles of each measure by nature of the block."""
    yield "| measure | blocks | number | " + " | ".join(f"{q:.0%}" for q in QUANTILES) + " |"
    yield "|" + "---|" * (3 + len(QUANTILES))
    natures = sorted({nature(r) for r in rows})
    for measure in MEASURES:
        for kind in natures:
            values = [float(r[measure]) for r in rows if nature(r) == kind and r[measure]]
            if values:
                cells = " | ".join(f"{v:.3g}" for v in np.quantile(values, QUANTILES))
                yield f"| {measure} | {kind} | {len(values)} | {cells} |"


def ensemble_lines(rows: list[Row]) -> Iterable[str]:
    """Blocks found by kind of ensemble."""
    yield (
        "| kind, decoder, split | ensembles | with a block | blocks | bad | planted | found "
        "| IoU | ceiling | n_eff, median |"
    )
    yield "|" + "---|" * 10
    for key in sorted({(r["kind"], r["decoder"], r["split"]) for r in rows}):
        own = [r for r in rows if (r["kind"], r["decoder"], r["split"]) == key]
        total = {k: sum(int(r[k]) for r in own) for k in ("blocks", "bad", "planted", "found")}
        quality = [
            f"{np.mean([float(r[k]) for r in own if r[k]]):.2f}" if any(r[k] for r in own) else "-"
            for k in ("mean_best_iou", "ceiling")
        ]
        n_eff = [float(r["n_eff"]) for r in own if r["n_eff"] not in ("", "nan")]
        middle = f"{np.median(n_eff):.1f}" if n_eff else "-"
        yield (
            f"| {', '.join(k for k in key if k)} | {len(own)} | "
            f"{sum(int(r['blocks']) > 0 for r in own)} | {total['blocks']} | {total['bad']} | "
            f"{total['planted']} | {total['found']} | {quality[0]} | {quality[1]} | {middle} |"
        )


def main(arguments: list[str] | None = None) -> int:
    """Print both tables for each statistic and source of levels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="with blocks.csv and ensembles.csv")
    folder = parser.parse_args(arguments).folder
    blocks, ensembles = (
        list(csv.DictReader((folder / name).open(encoding="utf-8")))
        for name in ("blocks.csv", "ensembles.csv")
    )
    for key in sorted({(r["statistic"], r["level_source"]) for r in ensembles}):
        print(f"\n{key[0]}, {key[1]} levels\n")
        for lines, rows in ((ensemble_lines, ensembles), (quantile_lines, blocks)):
            own = [r for r in rows if (r["statistic"], r["level_source"]) == key]
            print("\n".join(lines(own)), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
