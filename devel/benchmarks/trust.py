"""How far predictions can be trusted: ``python devel/benchmarks/trust.py ../shared/data`` writes ``trust.md`` beside it.

Three questions: does the expected error tell the error (maps simulated from structures that the network never saw)? Do flags
find junk and spare good maps? Do levels brought into line with each other (``together``) make blocks better?
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "weights/training"))

from chimerax.siren.core.ensemble import Ensemble, Source
from chimerax.siren.core.example import ExampleParameters, Simulation, simulate
from chimerax.siren.core.expand import ExpandParameters, expand
from chimerax.siren.core.progress import Progress
from chimerax.siren.core.sketch import SketchParameters, sketch
from chimerax.siren.core.thresholds.predict import PredictParameters, predict_levels
from chimerax.siren.core.thresholds.tables import Predictions
from chimerax.siren.core.thresholds.together import in_line
from score import planted_of, score

TABLE = Path(__file__).with_name("trust.md")
CPU = PredictParameters(device="cpu")
CONDITIONS = {"plain": {}, "noise x2": {"noise": 2.0}, "noise x4": {"noise": 4.0}, "scales +-20 %": {"scale_jitter": 0.2},
              "no core": {"core_residues": 0}}


def expected_errors(data: Path, count: int, seed: int) -> list[str]:
    """Lines on expected error against error, and on flags of good maps."""
    from simulate import simulate as simulate_map
    from structures import read_library

    library = read_library(data / "structures", "validation")
    error, expected, flags = [], [], []
    for i in range(count):
        sample = simulate_map(library, np.random.default_rng([seed, i]))
        grid = _grid(sample.raw.shape, float(sample.facts["pixel"]))
        row = predict_levels(Ensemble((Source("m.mrc", None, lambda s=sample: s.raw, grid),), grid, ("m.mrc",)), CPU).rows[0]
        label = float(sample.label)
        error.append(abs(row.prediction - label))
        expected.append(row.spread)
        flags += row.flags
    e, b = np.array(error), np.array(expected)
    lines = [f"{count} maps simulated from validation structures (seed {seed}). Mean absolute error of the normalised level "
             f"{e.mean():.3f}, mean expected error {b.mean():.3f}; rank correlation of the two {_rank_correlation(b, e):.2f}.", "",
             "| errors below | share of the maps | of a Laplace distribution |", "|---|---|---|"]
    lines += [f"| {k:g} x expected | {np.mean(e < k * b):.2f} | {1 - np.exp(-k):.2f} |" for k in (0.69, 1, 1.14, 2, 3)]
    lines += ["", "| maps by expected error | mean expected error | mean error |", "|---|---|---|"]
    for name, part in zip(("lowest fifth", "second", "third", "fourth", "highest fifth"), np.array_split(np.argsort(b), 5), strict=True):
        lines.append(f"| {name} | {b[part].mean():.3f} | {e[part].mean():.3f} |")
    return [*lines, "", f"Flags among these {count} good maps: {len(flags)}" + (f" ({'; '.join(flags)})." if flags else ".")]


def _rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1])


def _grid(shape: tuple[int, ...], pixel: float):
    from chimerax.siren.core.grid import Grid

    return Grid((shape[0], shape[1], shape[2]), (pixel,) * 3)


def in_memory(s: Simulation) -> Ensemble:
    """A simulated ensemble, its volumes in memory."""
    arrays = [s.volume(i) for i in range(len(s))]
    return Ensemble(tuple(Source(n, None, lambda a=a: a, s.grid) for n, a in zip(s.names, arrays, strict=True)), s.grid, s.names)


def flags_of_junk() -> list[str]:
    """Lines on flags in ensembles with junk."""
    lines = ["| ensemble of 100 | junk | flagged | good | flagged |", "|---|---|---|---|---|"]
    for noise in (1.0, 2.0, 4.0):
        s = simulate(ExampleParameters(volumes=100, junk=0.15, noise=noise, seed=31))
        flagged = np.array([bool(r.flags) for r in predict_levels(in_memory(s), CPU).rows])
        lines.append(f"| noise x{noise:g} | {s.junk.sum()} | {flagged[s.junk].sum()} | {(~s.junk).sum()} | {flagged[~s.junk].sum()} |")
    return lines


def together() -> list[str]:
    """Lines on levels by themselves against levels brought into line."""
    lines = ["| ensemble of 200 | levels | median, SD of level / true level | published: IoU, blocks | exact | profile |",
             "|---|---|---|---|---|---|"]
    for n, (name, changed) in enumerate(CONDITIONS.items()):
        s = simulate(ExampleParameters(volumes=200, seed=201 + n, **changed))
        ensemble, planted = in_memory(s), planted_of(s)
        own = predict_levels(ensemble, CPU)
        for kind, rows in (("each by itself", own.rows), ("together", in_line(ensemble, own.rows, Progress())[0])):
            levels = Predictions(tuple(rows)).levels
            level = np.array([levels[v] for v in s.names])
            cells = []
            for statistic in ("published", "exact", "profile"):
                found = blocks_of(ensemble, level, statistic)
                result = score(planted, {str(k): v for k, v in found})
                cells.append(f"{result.mean:.3f}, {len(result.found_names)}")
            ratio = level / s.levels
            lines.append(f"| {name} | {kind} | {np.median(ratio):.2f}, {np.std(np.log(ratio)):.3f} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return lines


def blocks_of(ensemble: Ensemble, level: NDArray[np.float64], statistic: str):
    """Blocks after sketch and expand; a sample of at most some 6,000 voxels for the statistics that count pairs."""
    result = sketch(ensemble, level, SketchParameters(statistic=statistic, subsample=2 if statistic == "profile" else 3))
    if not len(result.blocks):
        return result.blocks
    used = dict(zip(result.occupancy.names, result.occupancy.levels, strict=True))
    chosen = ensemble.select(exclude=tuple(result.occupancy.left_out))
    return expand(chosen, np.array([used[n] for n in chosen.names]), result.blocks, ExpandParameters(statistic=statistic)).blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with structures/")
    parser.add_argument("--maps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=3, help="not one of training's")
    a = parser.parse_args()
    parts = [expected_errors(a.data, a.maps, a.seed), flags_of_junk(), together()]
    TABLE.write_text(TEXT.format(*("\n".join(p) for p in parts)), encoding="utf-8")


TEXT = """# How far to trust predicted levels

Made by `python devel/benchmarks/trust.py ../shared/data` with the weights of this version; all simulated.

## The expected error

{0}

## Junk

{1}

## Levels brought into line (`siren predict ... together true`)

IoU: mean best intersection over union of the 8 planted blocks after expand, and how many blocks were found.

{2}

`together` halves the scatter of the levels or better. `profile` brings levels into line itself, so its blocks are the same; the others gain
little: so it is offered, and off unless asked for.
"""

if __name__ == "__main__":
    main()
