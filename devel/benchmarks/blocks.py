"""How well blocks are found, by method and condition: ``python devel/benchmarks/blocks.py`` writes ``blocks.md`` beside it.

Ensembles come from the simulator of ``siren example``; ``--only PART`` runs the conditions whose name holds PART and prints
alone, ``--nulls N`` sets how many ensembles without blocks are looked at.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chimerax.siren.core.ensemble import Ensemble, Source
from chimerax.siren.core.example import BlockPlan, ExampleParameters, Simulation, simulate
from chimerax.siren.core.expand import ExpandParameters, expand
from chimerax.siren.core.grid import Grid
from chimerax.siren.core.occupancy import binarize
from chimerax.siren.core.sketch import SketchParameters, sketch
from score import Planted, Score, ceiling, planted_of, score

METHODS = ("published", "exact", "profile")
MOST_COUNTED = 40_000  # union voxels up to which the pair-counting methods take minutes; beyond, hours
MOST_SAMPLED = 6_000  # voxels sampled for them, so that they end
TABLE = Path(__file__).with_name("blocks.md")

CHAIN = (
    BlockPlan("a", 700, 0.80), BlockPlan("b", 600, 0.70, only_with="a"), BlockPlan("c", 500, 0.60, only_with="b"),
    BlockPlan("x", 600, 0.40), BlockPlan("not x", 600, 0.60, never_with="x"),
    BlockPlan("nearly all", 500, 0.95), BlockPlan("nearly none", 500, 0.06),
)
EXCLUSIVE = (
    BlockPlan("left", 700, 0.35), BlockPlan("right", 700, 0.60, never_with="left"),
    BlockPlan("neither", 500, 0.70, never_with="left"), BlockPlan("90 %", 600, 0.90),
    BlockPlan("two places", 900, 0.50, places=2), BlockPlan("10 %", 500, 0.10),
)


@dataclass(frozen=True)
class Condition:
    """An ensemble and the levels that the methods are given.

    Attributes
    ----------
    name : str
    parameters : ExampleParameters
    levels : 'true', 'jitter' (each times 1 +- 20 %, even) or 'one' (the same level for all volumes)
    """

    name: str
    parameters: ExampleParameters
    levels: str = "true"

    def given_levels(self, simulation: Simulation) -> NDArray[np.float64]:
        """(V,) the levels that the methods are given."""
        if self.levels == "one":
            return np.full(len(simulation), simulation.level)
        if self.levels == "jitter":
            return simulation.levels * np.random.default_rng(self.parameters.seed).uniform(0.8, 1.2, len(simulation))
        return simulation.levels


def conditions() -> list[Condition]:
    """The grid: one thing varied at a time, then the hard ones together."""
    base = ExampleParameters(volumes=200, seed=100)

    def make(name: str, seed: int, levels: str = "true", **changed: Any) -> Condition:
        return Condition(name, replace(base, seed=seed, **changed), levels)

    return [
        *(make(f"plain, structure {s}", 100 + s) for s in (1, 2, 3)),
        *(make(f"{v} volumes", 110 + v, volumes=v) for v in (50, 100, 500)),
        *(make(f"noise x{n:g}", 120, noise=n) for n in (0.5, 2.0, 4.0)),
        *(make(f"noise x{n:g}, even over the box", 121, noise=n, noise_edge=1.0) for n in (1.0, 2.0, 4.0)),
        make("50 volumes, noise x2", 122, volumes=50, noise=2.0),
        make("one level, scales +-20 %", 130, "one", scale_jitter=0.2),
        make("levels +-20 %", 131, "jitter"),
        make("levels +-20 %, noise x2", 132, "jitter", noise=2.0),
        make("offsets of 30 % of the level", 133, offset_jitter=0.3),
        make("5 % junk", 140, junk=0.05),
        make("15 % junk", 141, junk=0.15),
        make("15 % junk, noise x4", 142, junk=0.15, noise=4.0),
        make("500 volumes, noise x2 even, 5 % junk", 143, volumes=500, junk=0.05, noise=2.0, noise_edge=1.0),
        make("chain, 95 % and 6 %", 150, blocks=CHAIN),
        make("mutually exclusive", 151, blocks=EXCLUSIVE),
        make("chain, noise x2, 100 volumes", 152, blocks=CHAIN, noise=2.0, volumes=100),
        make("no core", 160, core_residues=0),
        make("no core, levels +-20 %", 161, "jitter", core_residues=0),
    ]


def in_memory(volumes: NDArray[np.float32], grid: Grid, names: tuple[str, ...]) -> Ensemble:
    """An ensemble of (V, z, y, x) arrays."""
    def reader(i: int) -> Callable[[], NDArray[np.float32]]:
        return lambda: volumes[i]

    return Ensemble(tuple(Source(n, None, reader(i), grid) for i, n in enumerate(names)), grid, names)


@dataclass(frozen=True)
class Outcome:
    """One method on one ensemble: scores after sketch and after expand, seconds (reading from memory)."""

    sketched: Score
    expanded: Score
    seconds: float


def attempt(method: str, ensemble: Ensemble, levels: NDArray[np.float64], planted: Planted, union: int) -> Outcome | None:
    """Sketch and expand; None where pair counting would take hours."""
    if method != "profile" and union > MOST_COUNTED:
        return None
    start = time.perf_counter()
    subsample = 2 if method == "profile" else max(2, -(-union // MOST_SAMPLED))
    result = sketch(ensemble, levels, SketchParameters(statistic=method, subsample=subsample))
    blocks = result.blocks
    if len(blocks):
        used = dict(zip(result.occupancy.names, result.occupancy.levels, strict=True))
        chosen = ensemble.select(exclude=tuple(result.occupancy.left_out))
        blocks = expand(chosen, np.array([used[n] for n in chosen.names]), blocks, ExpandParameters(statistic=method)).blocks
    seconds = time.perf_counter() - start
    first, last = (score(planted, {str(n): v for n, v in b}) for b in (result.blocks, blocks))
    return Outcome(first, last, seconds)


def row(condition: Condition, methods: tuple[str, ...]) -> str:
    """Simulate, run the methods, and give the table's row."""
    simulation = simulate(condition.parameters)
    volumes = np.stack([simulation.volume(i) for i in range(len(simulation))])
    ensemble = in_memory(volumes, simulation.grid, simulation.names)
    planted = planted_of(simulation)
    good = ensemble.select(exclude=[n for n, j in zip(simulation.names, simulation.junk, strict=True) if j])
    true = binarize(good, simulation.levels[~simulation.junk])
    limit = ceiling(planted, true).mean
    levels = condition.given_levels(simulation)
    union = len(binarize(ensemble, levels).union(0.01))
    cells = [condition.name, f"{union:,}", f"{len(planted.names)}", f"{limit:.2f}"]
    for method in methods:
        outcome = attempt(method, ensemble, levels, planted, union)
        if outcome is None:
            cells += ["-"] * 4
            continue
        last = outcome.expanded
        share = f"{last.mean / limit:.0%}" if limit else "-"
        cells += [f"{outcome.sketched.mean:.2f} {last.mean:.2f} ({share})",
                  f"{len(last.found_names)}: {len(last.spurious)} {last.splits} {last.merges}", f"{last.rand:.2f}",
                  f"{outcome.seconds:.1f}"]
    return "| " + " | ".join(cells) + " |"


def head(methods: tuple[str, ...]) -> list[str]:
    """The table's first lines."""
    names = ["condition", "union", "planted", "ceiling"]
    for method in methods:
        names += [f"{method}: IoU sketch, expand (of ceiling)", "found: spurious, split, merged", "ARI", "s"]
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


# --- nothing to find

def nulls(count: int) -> Iterator[tuple[str, Ensemble, NDArray[np.float64]]]:
    """Ensembles without a block: kind, ensemble, levels. Independent voxels; a constant particle in correlated noise, its scale
    or its levels varying by 5-20 %."""
    rng = np.random.default_rng(7)
    for k in range(count):
        volumes = int(rng.choice([50, 100, 200]))
        jitter = float(rng.uniform(0.05, 0.2))
        kind = ("independent voxels", "scales vary, true levels", "scales vary, one level", "levels vary")[k % 4]
        if k % 4 == 0:
            grid = Grid((20, 20, 20), (5.0, 5.0, 5.0))
            bits = rng.random((volumes, *grid.shape)) < rng.beta(0.7, 0.7, grid.shape)
            yield kind, in_memory(bits.astype(np.float32), grid, tuple(f"{i}.mrc" for i in range(volumes))), np.full(volumes, 0.5)
            continue
        box = 64 if k % 20 < 4 else 32
        s = simulate(ExampleParameters(
            volumes=volumes, box=box, voxel_size=5.0, core_residues=6000 if box == 64 else 600, blocks=(), seed=1000 + k,
            noise=float(rng.choice([0.5, 1, 2, 4])), noise_edge=float(rng.choice([0.15, 1])), scale_jitter=jitter))
        ensemble = in_memory(np.stack([s.volume(i) for i in range(volumes)]), s.grid, s.names)
        levels = {1: s.levels, 2: np.full(volumes, s.level),
                  3: s.levels * (1 + jitter * rng.standard_normal(volumes).clip(-3, 3))}[k % 4]
        yield kind, ensemble, levels


def null_lines(count: int) -> list[str]:
    """How many of ``count`` ensembles without blocks give one, by kind."""
    tally: dict[str, list[int]] = {}
    for kind, ensemble, levels in nulls(count):
        result = sketch(ensemble, levels)
        blocks = result.blocks
        if len(blocks):
            print(f"null, {kind}: blocks of {[len(v) for _, v in blocks]} voxels in {len(ensemble)} volumes", flush=True)
            blocks = expand(ensemble, levels, blocks).blocks
        tally.setdefault(kind, []).append(len(blocks))
    return ["| no blocks planted | ensembles | with a block | blocks |", "|---|---|---|---|",
            *(f"| {kind} | {len(found)} | {np.count_nonzero(found)} | {sum(found)} |" for kind, found in tally.items())]


def main(arguments: list[str] | None = None) -> int:
    """Run, print as it goes, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="part of a condition's name: print these alone, write nothing")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--nulls", type=int, default=200, help="ensembles without blocks")
    options = parser.parse_args(arguments)
    methods = tuple(options.methods)
    lines = head(methods)
    print("\n".join(lines))
    for condition in conditions():
        if options.only is None or options.only in condition.name:
            lines.append(row(condition, methods))
            print(lines[-1], flush=True)
    if options.only is None:
        write(lines, [])
        null = null_lines(options.nulls)
        print("\n".join(null))
        write(lines, null)
    return 0


def write(lines: list[str], null: list[str]) -> None:
    """Write the table's file."""
    TABLE.write_text(TEXT.format(table="\n".join(lines), nulls="\n".join(null), machine=platform.platform(),
                                 most=MOST_COUNTED, sampled=MOST_SAMPLED), encoding="utf-8")


TEXT = """# Blocks found against blocks planted

Made by `python devel/benchmarks/blocks.py` ({machine}; volumes are read from memory).

200 volumes of 64^3 and noise x1 where the condition does not say otherwise. *Ceiling*: mean best IoU of the planted blocks when
each voxel goes to the block whose **true** presence it correlates with best, above the cut that is best in hindsight; a method
that also asks for a majority can pass it. *IoU*: mean best IoU of the planted blocks. *Spurious*: found blocks that match no
planted one. `published` and `exact` sample at most {sampled:,} voxels here, and are left out ("-") beyond {most:,} union
voxels, where they take hours.

{table}

{nulls}
"""

if __name__ == "__main__":
    sys.exit(main())
