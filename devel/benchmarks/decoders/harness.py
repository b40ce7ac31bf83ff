"""Run methods on decoder ensembles: ``python devel/benchmarks/decoders/harness.py FILES FOLDERS``.

Two tables, appended to as it goes (``--out``): ``blocks.csv``, a row a block after expand, and
``ensembles.csv``, a row an ensemble and method. What they have already is not run again. Columns
are described in ``README.md`` here.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from decoders import measures
from decoders.core_api import BlockEvidence, constants, predicted_levels
from decoders.methods import METHODS, Found, Method
from decoders.stored import Stored, load

BAD = 0.2  # best IoU below which a block matches nothing, and a planted one is not found

EVIDENCE = tuple(f.name for f in fields(BlockEvidence))
ABOUT = (
    "ensemble",
    "kind",
    "null",
    "molecule",
    "split",
    "decoder",
    "box",
    "dimensions",
    "volumes",
    "snr",
    "contrast_sd",
    "blurred",
    "junk",
    "prior",
    "shrunk",
    "masked",
    "scale",
    "amplitude",
    "even",
    "n_eff",
    "statistic",
    "level_source",
)
BLOCK = (
    *ABOUT,
    "block",
    "voxels",
    "stability",
    "best_iou",
    "best_planted",
    "present",
    "density_there",
    "density_gone",
    "contrast_levels",
    "contrast_share",
    "solid",
    "largest",
    *EVIDENCE,
    "in_core",
    "in_empty",
    "in_swept",
    "in_part",
    "near_part",
    "true_correlation",
    "verdict",
)
ENSEMBLE = (
    *ABOUT,
    "planted",
    "found",
    "mean_best_iou",
    "ceiling",
    "blocks",
    "bad",
    "stands",
    "undoubted",
    "sketched",
    "left_out",
    "level_ratio",
    "seconds",
)


def about(stored: Stored) -> dict[str, Any]:
    """The columns that say what an ensemble is."""
    made, imaging = stored.made, stored.made.get("imaging", {})
    smooth = made.get("kind") == "smooth"
    row = {
        "ensemble": made["id"] if "id" in made else made["name"],
        "volumes": len(stored),
        "kind": made.get("kind", ""),
        "molecule": made.get("molecule", ""),
        "split": made.get("split", ""),
        "decoder": "" if smooth else made.get("decoder", ""),
        "box": stored.truth.shape[0],
        "dimensions": made.get("dimensions", len(stored.components)),
        "null": int(made.get("kind", "") in ("one state", "smooth", "phases")),
    }
    if smooth:
        return row | {k: made[k] for k in ("scale", "amplitude", "even")}
    return (
        row
        | {k: made.get(k, "") for k in ("prior", "shrunk", "masked")}
        | {
            "contrast_sd": imaging.get("contrast", ""),
            **{k: imaging.get(k, "") for k in ("snr", "blurred", "junk")},
        }
    )


def rows_of(
    stored: Stored,
    statistic: str,
    method: Method,
    source: str,
    quick: bool = False,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A row for each block, and one for the ensemble.

    Parameters
    ----------
    source : of the levels, ``true`` (by hand, one for all volumes) or ``predicted``
    quick : without stability, twice as fast
    """
    ensemble = stored.ensemble()
    levels = np.full(len(stored), stored.level)
    if source == "predicted":
        levels = predicted_levels(ensemble)
    start = time.process_time()
    found = method(ensemble, levels, not quick)
    seconds = time.process_time() - start
    number = {name: i for i, name in enumerate(ensemble.names)}
    used = np.array([number[n] for n in found.occupancy.names])
    volumes = stored.volumes().reshape(len(stored), -1)[used]
    soft, harmonized = stored.soft[used], found.occupancy.levels
    planted = [np.flatnonzero(stored.truth.ravel() == b) for b in range(stored.soft.shape[1])]
    n_eff = measures.effective_volumes(volumes, found.occupancy.frequency, stored.truth.shape)
    head = about(stored) | {
        "n_eff": round(n_eff, 2),
        "statistic": statistic,
        "level_source": source,
    }
    rows = [
        head | _block_row(found, n, volumes, harmonized, soft, stored, planted)
        for n in found.blocks
    ]
    best = [measures.best_overlap(p, list(found.blocks.values()))[0] for p in planted]
    limit = measures.ceiling(volumes > harmonized[:, None], soft, planted)
    whole = head | {
        "planted": len(planted),
        "found": int(np.count_nonzero(np.array(best) >= BAD)),
        "mean_best_iou": float(np.mean(best)) if best else "",
        "ceiling": float(limit.mean()) if len(limit) else "",
        "blocks": len(rows),
        "bad": sum(r["best_iou"] < BAD for r in rows),
        "stands": sum(r["verdict"].startswith(("solid", "graded")) for r in rows),
        "undoubted": sum(not r["verdict"].startswith("doubtful") for r in rows),
        "sketched": len(found.sketched),
        "left_out": len(found.occupancy.left_out),
        "seconds": round(seconds, 2),
        "level_ratio": float(np.median(levels) / stored.level),
    }
    return rows, whole


def _block_row(
    found: Found,
    n: int,
    volumes: NDArray[np.floating],
    levels: NDArray[np.float64],
    soft: NDArray[np.floating],
    stored: Stored,
    planted: list[NDArray[np.int64]],
) -> dict[str, Any]:
    voxels, judged = found.blocks[n], found.evidence.get(n)
    contrast = measures.contrast(volumes, levels, voxels)
    solid, largest = measures.solidity(voxels, stored.truth.shape)
    iou, which = measures.best_overlap(voxels, planted)
    marks = stored.truth.ravel()[voxels]
    in_part, near_part = measures.share_in_part(voxels, stored.truth, len(planted))
    correlation: float | str = ""
    if which >= 0:
        profile = (volumes[:, voxels] > levels[:, None]).mean(axis=1)[None].astype(float)
        both = measures.standard(profile), measures.standard(soft[:, which][None].astype(float))
        correlation = float((both[0] @ both[1].T)[0, 0])
    return {
        "block": n,
        "voxels": len(voxels),
        "stability": found.stability.get(n, ""),
        "best_iou": iou,
        "best_planted": which,
        "present": contrast.present,
        "density_there": contrast.there,
        "density_gone": contrast.gone,
        "contrast_levels": contrast.levels,
        "contrast_share": contrast.share,
        "solid": solid,
        "largest": largest,
        "in_core": float((marks == -2).mean()),
        "in_empty": float((marks == -1).mean()),
        "in_swept": float((marks == -3).mean()),
        "in_part": in_part,
        "near_part": near_part,
        "true_correlation": correlation,
        **{k: getattr(judged, k) if judged else "" for k in EVIDENCE},
        "verdict": judged.verdict if judged else "",
    }


def files_in(given: Iterable[Path]) -> Iterator[Path]:
    """The ensembles among files and folders, each folder's in the order of the design."""
    for path in given:
        yield from (
            sorted(
                (p for p in path.glob("*.npz") if not p.name.endswith(".part.npz")),
                key=lambda p: p.stat().st_mtime,
            )
            if path.is_dir()
            else [path]
        )


class Table:
    """A CSV file that is appended to, and flushed: what is done is kept when it is stopped."""

    def __init__(self, path: Path, columns: tuple[str, ...]):
        self.path, self.columns = path, columns
        self.rows = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
        if not self.rows:
            path.write_text(",".join(columns) + "\n", encoding="utf-8")

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows; numbers to four digits behind the point."""
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
            for row in rows:
                writer.writerow(
                    {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}
                )


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("ensembles", nargs="+", type=Path, help=".npz files, or folders of them")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "cache")
    parser.add_argument("--methods", nargs="+", default=["profile"], choices=METHODS)
    parser.add_argument("--levels", nargs="+", default=["true"], choices=["true", "predicted"])
    parser.add_argument("--quick", action="store_true", help="without stability")
    parser.add_argument("--count", type=int, default=10**6, help="stop after so many ensembles")
    parser.add_argument(
        "--constant", metavar="NAME=NUMBER", help="another value of a constant of the core"
    )
    parser.add_argument("--seed", type=int, default=0, help="another for what is drawn")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    blocks = Table(options.out / "blocks.csv", BLOCK)
    ensembles = Table(options.out / "ensembles.csv", ENSEMBLE)
    changed = ""
    if options.constant:
        name, _, number = options.constant.partition("=")
        setattr(constants, name, type(getattr(constants, name))(number))
        changed = f", {name} {number}"
    if options.seed:
        changed += f", seed {options.seed}"
    keys = ("ensemble", "statistic", "level_source")
    done = {tuple(r[k] for k in keys) for r in ensembles.rows}
    for path in list(files_in(options.ensembles))[: options.count]:
        wanted = [
            (m, s)
            for m in options.methods
            for s in options.levels
            if (path.stem, m + changed, s) not in done
        ]
        stored = load(path) if wanted else None
        for statistic, source in wanted:
            assert stored is not None
            rows, whole = rows_of(
                stored,
                statistic + changed,
                partial(METHODS[statistic], seed=options.seed),
                source,
                options.quick,
            )
            blocks.add(rows)
            ensembles.add([whole])
            print(
                f"{path.stem}, {statistic}, {source}: {len(rows)} blocks, {whole['bad']} bad, "
                f"{whole['found']} of {whole['planted']} found",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
