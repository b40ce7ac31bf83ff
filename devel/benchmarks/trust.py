"""How far to trust predictions: ``python devel/benchmarks/trust.py ../shared/data`` writes
``trust.md`` beside it.

Four questions: Does the expected error predict the error (for maps simulated from structures that
the network has never seen)? Do flags catch junk and spare good maps? Does aligning the levels with
each other (``together``) improve the blocks? Does fine-tuning learn a person's habit, and leave a
good model alone?
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "weights/training"))

from chimerax.siren.core.blocks.expand import expand_sketch
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.common.constants import (
    LARGE_ERROR,
    MAX_BOX_SHARE,
    MIN_LARGEST_PIECE,
    NOISE_TAIL,
)
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble, Source
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.simulation.example import Simulation, simulate
from chimerax.siren.core.simulation.parameters import ExampleParameters
from chimerax.siren.core.thresholds.consensus import consensus_levels
from chimerax.siren.core.thresholds.finetune import run_finetune
from chimerax.siren.core.thresholds.flags import largest_piece, noise_below
from chimerax.siren.core.thresholds.labels import Label, set_label
from chimerax.siren.core.thresholds.network import BOX
from chimerax.siren.core.thresholds.normalize import normalize_level
from chimerax.siren.core.thresholds.parameters import FinetuneParameters, PredictParameters
from chimerax.siren.core.thresholds.predict import predict_levels
from chimerax.siren.core.thresholds.preprocess import downsample
from chimerax.siren.core.thresholds.tables import Prediction, Predictions
from score import planted_of, score

TABLE = Path(__file__).with_name("trust.md")
CPU = PredictParameters(device="cpu")
CONDITIONS = {
    "plain": {},
    "noise x4": {"noise": 4.0},
    "scales +-20 %": {"scale_jitter": 0.2},
    "no core": {"core_residues": 0},
}


def expected_errors(data: Path, count: int, seed: int) -> list[str]:
    """Lines on expected against actual errors, and on flags of good maps."""
    from simulate import simulate as simulate_map
    from structures import read_library

    library = read_library(data / "structures", "validation")
    error, expected, flags, judged = [], [], [], []
    for i in range(count):
        sample = simulate_map(library, np.random.default_rng([seed, i]))
        grid = _grid(sample.raw.shape, float(sample.facts["pixel"]))
        source = Source("m.mrc", None, lambda s=sample: s.raw, grid)
        row = predict_levels(Ensemble((source,), grid, ("m.mrc",)), CPU).rows[0]
        label = float(sample.label)
        error.append(abs(row.prediction - label))
        expected.append(row.spread)
        flags += row.flags
        judged.append(_margins(downsample(source, sample.raw, grid, BOX)[0], row.level))
    e, b = np.array(error), np.array(expected)
    lines = [
        f"{count} maps simulated from validation structures (seed {seed}). Mean absolute "
        f"error of the normalized level {e.mean():.3f}, mean expected error {b.mean():.3f}; "
        f"rank correlation of the two {_rank_correlation(b, e):.2f}.",
        "",
        "| errors below | share of the maps | of a Laplace distribution |",
        "|---|---|---|",
    ]
    lines += [
        f"| {k:g} x expected | {np.mean(e < k * b):.2f} | {1 - np.exp(-k):.2f} |"
        for k in (0.69, 1, 1.14, 2, 3)
    ]
    lines += ["", "| maps by expected error | mean expected error | mean error |", "|---|---|---|"]
    for name, part in zip(
        ("lowest fifth", "second", "third", "fourth", "highest fifth"),
        np.array_split(np.argsort(b), 5),
        strict=True,
    ):
        lines.append(f"| {name} | {b[part].mean():.3f} | {e[part].mean():.3f} |")
    tails, largest, share = (np.array(column) for column in zip(*judged, strict=True))
    return [
        *lines,
        "",
        f"Flags among these {count} good maps: {len(flags)}"
        + (f" ({'; '.join(flags)})." if flags else "."),
        f"Closest to a flag: tails of noise {tails.max():.2f} (limit {NOISE_TAIL:g}), largest "
        f"piece {largest.min():.0%} of the enclosed volume (limit {MIN_LARGEST_PIECE:.0%}), {share.max():.0%} "
        f"of the box (limit {MAX_BOX_SHARE:.0%}), expected error {b.max():.2f} (limit {LARGE_ERROR:g}).",
    ]


def _margins(small: NDArray[np.float32], level: float) -> tuple[float, float, float]:
    """Tails of noise (0 if too few voxels are far below the background), share of the largest
    piece, share of the box.
    """
    mask = small > level
    voxels = max(1, int(mask.sum()))
    return noise_below(small, level, voxels)[1], largest_piece(mask) / voxels, voxels / mask.size


def _rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1])


def _grid(shape: tuple[int, ...], pixel: float) -> Grid:
    return Grid((shape[0], shape[1], shape[2]), (pixel,) * 3)


def in_memory(s: Simulation) -> Ensemble:
    """A simulated ensemble with its volumes in memory."""
    arrays = [s.volume(i) for i in range(len(s))]
    return Ensemble(
        tuple(Source(n, None, lambda a=a: a, s.grid) for n, a in zip(s.names, arrays, strict=True)),
        s.grid,
        s.names,
    )


def flags_of_junk() -> list[str]:
    """Lines on flags in ensembles with junk."""
    lines = ["| ensemble of 100 | junk | flagged | good | flagged |", "|---|---|---|---|---|"]
    for noise in (1.0, 2.0, 4.0):
        s = simulate(ExampleParameters(volumes=100, junk=0.15, noise=noise, seed=31))
        flagged = np.array([bool(r.flags) for r in predict_levels(in_memory(s), CPU).rows])
        lines.append(
            f"| noise x{noise:g} | {s.junk.sum()} | {flagged[s.junk].sum()} | "
            f"{(~s.junk).sum()} | {flagged[~s.junk].sum()} |"
        )
    return lines


def together() -> list[str]:
    """Lines on individual levels against levels aligned with each other."""
    lines = [
        "| ensemble of 200 | levels | median, SD of the log, of level / true level | "
        "published: IoU, blocks | exact | profile |",
        "|---|---|---|---|---|---|",
    ]
    for n, (name, changed) in enumerate(CONDITIONS.items()):
        s = simulate(ExampleParameters(volumes=200, seed=201 + n, **changed))
        ensemble, planted = in_memory(s), planted_of(s)
        own = predict_levels(ensemble, CPU)
        for kind, rows in (
            ("individual", own.rows),
            ("together", consensus_levels(ensemble, own.rows, Progress())[0]),
        ):
            levels = Predictions(tuple(rows)).levels
            level = np.array([levels[v] for v in s.names])
            cells = []
            for statistic in ("published", "exact", "profile"):
                found = blocks_of(ensemble, level, statistic)
                result = score(planted, {str(k): v for k, v in found})
                cells.append(f"{result.mean:.3f}, {len(result.found_names)}")
            ratio = level / s.levels
            lines.append(
                f"| {name} | {kind} | {np.median(ratio):.2f}, {np.std(np.log(ratio)):.3f} "
                f"| {' | '.join(cells)} |"
            )
            print(lines[-1], flush=True)
    return lines


def blocks_of(ensemble: Ensemble, level: NDArray[np.float64], statistic: str):
    """Blocks after sketch and expand; the statistics that count pairs sample at most about 6,000
    voxels.
    """
    result = sketch(
        ensemble,
        level,
        SketchParameters(
            statistic=statistic, subsample=2 if statistic == "profile" else 3, resamples=0
        ),
    )
    if not len(result.blocks):
        return result.blocks
    return expand_sketch(ensemble, result).blocks


def finetuning(draws: int = 4) -> list[str]:
    """Lines on fine-tuning with labels of a person who contours higher than the network, and of one
    who agrees with it.
    """
    ensemble = in_memory(simulate(ExampleParameters(volumes=120, seed=41)))
    own = predict_levels(ensemble, CPU).rows
    lines = ["| labels | what they are | error before | after, each draw |", "|---|---|---|---|"]
    for habit, text in (
        (1.3, "1.3 times the prediction, 5 % noise"),
        (1.0, "the prediction, 5 % noise"),
    ):
        for count in (12, 25):
            drawn = [_tuned(ensemble, own, habit, count, draw) for draw in range(draws)]
            cells = [f"{after:.3f}" if kept else "unchanged" for _, after, kept in drawn]
            lines.append(f"| {count} | {text} | {drawn[-1][0]:.3f} | {', '.join(cells)} |")
            print(lines[-1], flush=True)
    return lines


def _tuned(
    ensemble: Ensemble, own: Sequence[Prediction], habit: float, count: int, draw: int
) -> tuple[float, float, bool]:
    """Mean errors on the unlabeled volumes before and after tuning on ``count`` labeled ones, and
    whether any epoch was kept.
    """
    rng = np.random.default_rng([count, draw])
    chosen, rest = np.split(rng.permutation(len(own)), [count])
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder) / "labels.csv"
        for i in chosen.tolist():
            set_label(
                labels,
                Label(
                    str(i),
                    own[i].file,
                    float(habit * own[i].level * np.exp(0.05 * rng.standard_normal())),
                ),
            )
        result = run_finetune(
            ensemble, labels, FinetuneParameters(seed=draw, device="cpu"), Path(folder)
        )
        new = predict_levels(
            ensemble, PredictParameters(weights=str(result.weights), device="cpu")
        ).rows
    before, after = (
        np.mean(
            [
                abs(rows[i].prediction - normalize_level(habit * own[i].level, own[i].range))
                for i in rest
            ]
        )
        for rows in (own, new)
    )
    return float(before), float(after), bool(result.fit.best)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with structures/")
    parser.add_argument("--maps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=3, help="must differ from those of training")
    a = parser.parse_args()
    parts = [expected_errors(a.data, a.maps, a.seed), flags_of_junk(), together(), finetuning()]
    TABLE.write_text(TEXT.format(*("\n".join(p) for p in parts)), encoding="utf-8")


TEXT = """# How far to trust predicted levels

Made by `python devel/benchmarks/trust.py ../shared/data` with the weights of this version; all maps are simulated.

## The expected error

{0}

## Junk

{1}

## Levels aligned with each other (`siren predict ... together true`)

IoU: mean best intersection over union of the 8 planted blocks after expand, and the number of blocks found.

{2}

`profile` aligns levels itself, so its blocks are the same. `together` is off by default.

## Fine-tuning

120 volumes of one ensemble of `siren example`; mean absolute error of the normalized level on the unlabeled volumes, relative to the
same person's level without noise. "Unchanged": no epoch was significantly better on the folds, so the weights stay.

{3}
"""

if __name__ == "__main__":
    main()
