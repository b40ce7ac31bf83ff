"""What the constants that no test gives do to the results: each is halved and doubled, or moved as
far as it makes sense, in the conditions where it has a say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from chimerax.siren.core.blocks import level_harmonization as harmonise
from chimerax.siren.core.blocks import outliers, profiles
from chimerax.siren.core.blocks import similarity as alike
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.sketch import sketch
from conditions import conditions
from planted import Absent

FEW, SEAMS, REAL = "50 volumes, noise x2", "overlapping neighbours (20 A)", "50S, grouping 1"
LEVELS, BARE, JUNK = "levels +-20 %, noise x2", "no core, levels +-20 %", "15 % junk"
VARIED: tuple[tuple[ModuleType, str, tuple[Any, ...], tuple[str, ...]], ...] = (
    (alike, "NEIGHBOURS", (12, 50), (FEW, REAL)),
    (profiles, "REACH", (2.0, 4.5), (SEAMS, REAL)),
    (profiles, "FEWEST_VOLUMES", (3, 8), (FEW, REAL)),
    (harmonise, "CORE", ((0.99, 0.95), (0.94, 0.80)), (LEVELS, BARE)),
    (harmonise, "FEWEST_CORE", (15, 60), (LEVELS, BARE)),
    (outliers, "LIKENESS", (0.35, 0.65), (JUNK, REAL)),
    (outliers, "KIN", (0.01, 0.04), (JUNK, REAL)),
)
NULLS = 8


def sensitivity_lines(
    attempt: Callable[..., Any], limit_of: Callable[..., Any], nulls: Callable[..., Any]
) -> list[str]:
    """The table: a row a constant and a condition, a column each value."""
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
        "# Constants that no test gives",
        "",
        "Made by `python devel/benchmarks/blocks.py --sensitivity`. Share of the ceiling, and "
        "in brackets blocks that are spurious, "
        f"split off or merged; where no blocks are planted, how many of {NULLS} ensembles "
        "give one.",
        "",
        "| constant | condition | as it is | smaller | larger |",
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
    """A module's constant with another value for a while."""
    kept = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, kept)
