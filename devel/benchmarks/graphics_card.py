"""Counting and prediction on a graphics card: ``python devel/benchmarks/graphics_card.py`` (``make
bench-card``) writes ``graphics_card.md`` beside it.

Every result is compared with that of the processor: counts and files must be the same, levels the
same within rounding; else it ends with an error. It needs a card that torch can use. ``--device
cpu`` lets torch count on the processor instead, and ``--quick`` uses small tasks: both only print.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scaling import Task, seconds
from speed import STATISTICS, write_example

from chimerax.siren.core.blocks.blockset import read_block_maps
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.common.constants import MAX_SAMPLED_VOXELS
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.compute.backends import open_backend
from chimerax.siren.core.compute.gpu import torch_counter
from chimerax.siren.core.compute.pair_tiles import LocalBackend
from chimerax.siren.core.maps.ensemble import Ensemble, find_ensemble
from chimerax.siren.core.runs.record import read_record
from chimerax.siren.core.runs.steps import run_expand, run_sketch
from chimerax.siren.core.thresholds.parameters import PredictParameters
from chimerax.siren.core.thresholds.predict import predict_levels

TABLE = Path(__file__).with_name("graphics_card.md")
TASKS = (
    Task("profile", MAX_SAMPLED_VOXELS, 500),
    Task("published", 10_000, 500),
    Task("exact", 10_000, 500),
)
QUICK = (Task("profile", 3_000, 200), Task("published", 3_000, 200))
MOST_LEVELS_DIFFER = 1e-3  # of the range of a map: rounding, summed over the network's layers


def on_card(device: str) -> LocalBackend | Any:
    """What counts there, to be entered; ``cpu``: torch on the processor."""
    if device == "cpu":
        return nullcontext(LocalBackend("cpu", lambda columns: torch_counter(columns, "cpu")))
    return open_backend(device, None, Progress())


def counting(tasks: tuple[Task, ...], device: str, turns: int) -> list[str]:
    """Lines of the table of pairs."""
    lines = ["| pairs of | processor, s | card, s | ratio |", "|---|---|---|---|"]
    for task in tasks:
        work = task.pairs()
        with open_backend("cpu", None, Progress()) as here:
            local, expected = seconds(work, here, turns)
        with on_card(device) as there:
            card, found = seconds(work, there, turns)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_array_equal(a, b)
        lines.append(
            f"| {task.name} | {local.clock:.2f} | {card.clock:.2f} | {local.clock / card.clock:.1f} |"
        )
        print(lines[-1], flush=True)
    return lines


def steps(folder: Path, device: str, output: Path) -> list[str]:
    """Lines of the table of whole steps, from files to files."""
    levels = np.load(folder / "levels.npy")
    lines = ["| statistic | processor, s | card, s | blocks |", "|---|---|---|---|"]
    for statistic in STATISTICS:
        made, taken = [], []
        for turn, where in enumerate(("cpu", device)):
            here = output / f"{statistic}-{turn}"
            start = time.perf_counter()
            ensemble, same = find_ensemble([folder]), {"statistic": statistic, "device": where}
            first = run_sketch(ensemble, levels, "true", SketchParameters(**same), here)
            blocks, record = read_block_maps(first.folder), read_record(first.folder)
            second = run_expand(blocks, record, ExpandParameters(**same), here)
            taken.append(time.perf_counter() - start)
            made.append((first.folder, second.folder))
        for one, other in zip(*made, strict=True):
            same_files(one, other)
        lines.append(f"| {statistic} | {taken[0]:.1f} | {taken[1]:.1f} | {len(second.blocks)} |")
        print(lines[-1], flush=True)
    return lines


def same_files(one: Path, other: Path) -> None:
    """All files but the record hold the same bytes, else an error."""
    names = sorted(p.name for p in one.iterdir())
    if names != sorted(p.name for p in other.iterdir()):
        raise AssertionError(f"{one} and {other} hold different files")
    for name in names:
        if name != "run.json" and (one / name).read_bytes() != (other / name).read_bytes():
            raise AssertionError(f"{name} differs")


def prediction(ensemble: Ensemble, device: str, turns: int) -> list[str]:
    """Lines on predicted levels: time, and how far those of the card are off."""

    def levels(where: str) -> NDArray[np.float64]:
        rows = predict_levels(ensemble, PredictParameters(device=where)).rows
        return np.array([row.prediction for row in rows], float)

    local, expected = seconds(levels, "cpu", 1)
    card, found = seconds(levels, device, turns)
    again = levels(device)
    off, moved = float(np.abs(found - expected).max()), float(np.abs(found - again).max())
    same = f"differed by up to {moved:.1e}" if moved else "gave the same numbers"
    if not off < MOST_LEVELS_DIFFER:
        raise AssertionError(f"levels of the card are off by {off:.2g} of the normalized scale")
    lines = [
        f"Predicting {len(ensemble):,} maps of {ensemble.grid.shape[0]}^3, reading included: {local.clock:.1f} s on the "
        f"processor, {card.clock:.1f} s on the card. Largest difference",
        f"of a level: {off:.1e} of the normalized scale (-1 to 1), SD {np.std(found - expected):.1e}. "
        f"A repetition on the card {same}.",
    ]
    print("\n".join(lines), flush=True)
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Run, print progress, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", default="cuda", choices=("cuda", "mps", "cpu"))
    parser.add_argument("--quick", action="store_true", help="small tasks; only print")
    parser.add_argument("--turns", type=int, default=3, help="of each task; the fastest counts")
    parser.add_argument("--out", type=Path, default=TABLE)
    options = parser.parse_args(arguments)
    with on_card(options.device) as backend:
        card = backend.name
    print(card, flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "volumes"
        write_example(folder, 150 if options.quick else 500, 64)
        pairs = counting(QUICK if options.quick else TASKS, options.device, options.turns)
        whole = steps(folder, options.device, Path(name))
        levels = prediction(find_ensemble([folder]), options.device, options.turns)
    if not options.quick and options.device != "cpu":
        options.out.write_text(
            TEXT.format(
                pairs="\n".join(pairs),
                steps="\n".join(whole),
                levels="\n".join(levels),
                cores=os.cpu_count(),
                machine=platform.platform(),
                python=platform.python_version(),
                card=card,
                turns=options.turns,
            ),
            encoding="utf-8",
        )
    return 0


TEXT = """# Graphics card

Made by `python devel/benchmarks/graphics_card.py` (`make bench-card`) with {card}, beside {cores} cores
({machine}, Python {python}). Wall time in seconds, the fastest of {turns} turns.

## Counting pairs

All voxels against all, with all cores, or on the card, data sent there and back. Every result was compared: equal. The step
after counting runs on the processor in both cases, and is included.

{pairs}

## Sketch and expand

500 x 64^3, from files to files, one turn. The files of both are the same, byte for byte.

{steps}

## Levels

{levels}
"""

if __name__ == "__main__":
    sys.exit(main())
