"""What the constants that no test gives do to the results: each is halved and doubled, or moved as far as it makes sense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from chimerax.siren.core import alike, harmonise, outliers, profiles
from chimerax.siren.core.sketch import SketchParameters, sketch
from conditions import conditions
from ensembles import Absent

VARIED: tuple[tuple[ModuleType, str, tuple[Any, ...]], ...] = (
    (alike, "NEIGHBOURS", (12, 50)),
    (profiles, "REACH", (2.0, 4.5)),
    (profiles, "FEWEST_VOLUMES", (3, 8)),
    (harmonise, "CORE", ((0.99, 0.95), (0.94, 0.80))),
    (harmonise, "FEWEST_CORE", (15, 60)),
    (outliers, "LIKENESS", (0.35, 0.65)),
    (outliers, "KIN", (0.01, 0.04)),
)
CONDITIONS = ("50 volumes, noise x2", "levels +-20 %, noise x2", "15 % junk", "no core, levels +-20 %", "overlapping neighbours (20 A)",
              "50S, grouping 1")
NULLS = 12


def sensitivity_lines(attempt: Callable[..., Any], limit_of: Callable[..., Any], nulls: Callable[..., Any]) -> list[str]:
    """The table: a row a value, the constants as they are first."""
    cases = []
    for condition in conditions():
        if condition.name in CONDITIONS:
            try:
                cases.append((condition.name, condition.make()))
            except Absent as reason:
                print(f"left out: {condition.name}: {reason}", flush=True)
    limits = [limit_of(case).mean for _, case in cases]
    empty = list(nulls(NULLS))
    lines = [f"Made by `python devel/benchmarks/blocks.py --sensitivity`: {len(cases)} conditions ({'; '.join(n for n, _ in cases)}) and "
             f"{NULLS} ensembles without blocks.", "",
             "| constant | value | of the ceiling: mean, lowest (where) | spurious, split or merged | null ensembles with a block |",
             "|---|---|---|---|---|"]
    for module, name, value in [(None, "as they are", ""), *((m, n, v) for m, n, values in VARIED for v in values)]:
        with changed(module, name, value):
            outcomes = [attempt("profile", c.ensemble, c.levels, c.planted) for _, c in cases]
            false = sum(len(sketch(ensemble, levels, SketchParameters(resamples=0)).blocks) > 0 for _, ensemble, levels in empty)
        shares = [o.expanded.mean / limit for o, limit in zip(outcomes, limits, strict=True)]
        worst = min(range(len(shares)), key=shares.__getitem__)
        was = f"{value} (is {getattr(module, name)})" if module else ""
        lines.append(f"| {name} | {was} | {sum(shares) / len(shares):.0%}, {shares[worst]:.0%} ({cases[worst][0]}) | "
                     f"{sum(o.wrong for o in outcomes)} | {false} |")
        print(lines[-1], flush=True)
    return lines


@contextmanager
def changed(module: ModuleType | None, name: str, value: Any) -> Iterator[None]:
    """A module's constant with another value for a while."""
    if module is None:
        yield
        return
    kept = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, kept)
