"""How the blocks depend on the tuned constants: each is made smaller and larger.

``make bench-sensitivity`` writes ``sensitivity.md``. Each constant is varied in the conditions of
``conditions.py`` that depend on it, and in ensembles without blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.common import constants
from conditions import conditions
from planted import Absent

FEW, SEAMS, REAL = "50 volumes, noise x2", "overlapping neighbors (20 A)", "50S, grouping 1"
LEVELS, BARE, JUNK = "levels +-20 %, noise x2", "no core, levels +-20 %", "15 % junk"
CHAINS, NOISY = "1wcm", "50S, noise x4"
RARE = "50S, 60 volumes, blocks in 3 and in 5 of them"
VARIED: tuple[tuple[str, tuple[Any, ...], tuple[str, ...]], ...] = (
    ("NEIGHBORS", (12, 50), (FEW, REAL)),
    ("RESOLUTION", (1.0, 2.0), (CHAINS, NOISY, REAL)),
    ("LEIDEN_ITERATIONS", (1, 10), (CHAINS, NOISY)),
    ("SEAM_REACH", (2.0, 4.5), (SEAMS, REAL)),
    ("MIN_VOLUMES_WITH_AND_WITHOUT", (3, 8), (REAL,)),
    ("MIN_OF_FEW", (2, 5), (FEW, RARE)),
    ("SAME_BUT", (0, 2), (FEW, RARE)),
    ("MIN_TELLING", (1, 3), (FEW, RARE)),
    ("NEAREST_VOXELS", (5, 15), (FEW, RARE)),
    ("PRESENCE_GAP", (0.0, 0.4), (FEW, NOISY)),
    ("CORE_SHARE", ((0.99, 0.95), (0.94, 0.80)), (LEVELS, BARE)),
    ("MIN_CORE_VOXELS", (15, 60), (LEVELS, BARE)),
    ("JUNK_SIMILARITY", (0.35, 0.65), (JUNK, REAL)),
    ("NEAREST_SHARE", (0.01, 0.04), (JUNK, REAL)),
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
        "# Sensitivity to the tuned constants",
        "",
        "Made by `make bench-sensitivity`; the constants are those of src/core/common/constants.py. IoU "
        "after expand as a share of the ceiling and, in parentheses, the number of blocks that are",
        "spurious, split off or merged; without planted blocks, how many of "
        f"{NULLS} ensembles yield a block. A share that",
        "does not move says that the constant is not critical there, no more: each is varied alone, in "
        "these conditions and with one seed.",
        "",
        "| constant | condition | current | smaller | larger |",
        "|---|---|---|---|---|",
    ]
    usual: dict[str, str] = {}
    for name, values, names in VARIED:
        for condition in [*(n for n in names if n in cases), "no blocks"]:

            def result(condition: str = condition) -> str:
                if condition == "no blocks":
                    quick = SketchParameters(resamples=0)
                    found = [len(sketch(e, levels, quick).blocks) for _, e, levels in empty]
                    return str(sum(blocks > 0 for blocks in found))
                case, limit = cases[condition]
                outcome = attempt("profile", case.ensemble, case.levels, case.planted)
                return f"{outcome.expanded.mean / limit:.0%} ({outcome.wrong})"

            if condition not in usual:
                usual[condition] = result()
            cells = [f"{getattr(constants, name)}: {usual[condition]}"]
            for value in values:
                with changed(name, value):
                    cells.append(f"{value}: {result()}")
            lines.append(f"| {name} | {condition} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    return lines


@contextmanager
def changed(name: str, value: Any) -> Iterator[None]:
    """Set a tuned constant to another value for the length of a ``with`` block."""
    kept = getattr(constants, name)
    setattr(constants, name, value)
    try:
        yield
    finally:
        setattr(constants, name, kept)
