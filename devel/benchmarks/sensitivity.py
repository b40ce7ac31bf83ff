"""How the results depend on the hand-set constants: each is halved and doubled, or varied within
reason, in the conditions that it affects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from chimerax.siren.core.blocks import level_harmonization as harmonize
from chimerax.siren.core.blocks import outliers, profiles
from chimerax.siren.core.blocks import similarity as alike
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.sketch import sketch
from conditions import conditions
from planted import Absent

FEW, SEAMS, REAL = "50 volumes, noise x2", "overlapping neighbors (20 A)", "50S, grouping 1"
LEVELS, BARE, JUNK = "levels +-20 %, noise x2", "no core, levels +-20 %", "15 % junk"
VARIED: tuple[tuple[ModuleType, str, tuple[Any, ...], tuple[str, ...]], ...] = (
    (alike, "NEIGHBOURS", (12, 50), (FEW, REAL)),
    (profiles, "REACH", (2.0, 4.5), (SEAMS, REAL)),
    (profiles, "FEWEST_VOLUMES", (3, 8), (FEW, REAL)),
    (harmonize, "CORE", ((0.99, 0.95), (0.94, 0.80)), (LEVELS, BARE)),
    (harmonize, "FEWEST_CORE", (15, 60), (LEVELS, BARE)),
    (outliers, "LIKENESS", (0.35, 0.65), (JUNK, REAL)),
    (outliers, "KIN", (0.01, 0.04), (JUNK, REAL)),
)
NULLS = 8


def sensitivity_lines(
    attempt: Callable[..., Any], limit_of: Callable[..., Any], nulls: Callable[..., Any]
) -> list[str]:
    """The table: a row per constant and condition, a column per value."""
    cases: dict[str, tuple[Any, float]] = {}
    for condition in conditions():
        if any(condition.name in names for *_, names in VARIED):
            try:
                case = condition.make()
            except Absent as reason:
                print(f"left out: {condition.name}: {reason}", flush=True)
                continue
            cases[condition.name] = case, limit_of(case).mean
    empty = list(nulls(NULLS))
    lines = [
        "# Sensitivity to hand-set constants",
        "",
        "Made by `python devel/benchmarks/blocks.py --sensitivity`. Share of the ceiling and, in "
        "parentheses, the number of blocks that are spurious, split off or merged; for `no "
        f"blocks`, how many of {NULLS} ensembles without blocks yield one.",
        "",
        "| constant | condition | current | smaller | larger |",
        "|---|---|---|---|---|",
    ]
    usual: dict[str, str] = {}
    for module, name, values, names in VARIED:
        for condition in [*(n for n in names if n in cases), "no blocks"]:

            def result(condition: str = condition) -> str:
                if condition == "no blocks":
                    quick = SketchParameters(resamples=0)
                    return f"{sum(len(sketch(ensemble, levels, quick).blocks) > 0 for _, ensemble, levels in empty)}"
                case, limit = cases[condition]
                outcome = attempt("profile", case.ensemble, case.levels, case.planted)
                return f"{outcome.expanded.mean / limit:.0%} ({outcome.wrong})"

            if condition not in usual:
                usual[condition] = result()
            cells = [f"{getattr(module, name)}: {usual[condition]}"]
            for value in values:
                with changed(module, name, value):
                    cells.append(f"{value}: {result()}")
            lines.append(f"| {name} | {condition} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return lines


@contextmanager
def changed(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    """Set a module's constant to another value for the length of a ``with`` block."""
    kept = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, kept)
