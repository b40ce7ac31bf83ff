"""How well blocks are found again in a second ensemble, and blocks that are none.

    make bench-replication          (or: .venv/bin/python devel/benchmarks/replication.py)

The particles of a simulated data set are parted at random. A linear subspace (as of 3DVA or
RECOVAR) is fitted to each half, and blocks are found in the volumes of each, at predicted levels.
``siren compare A B replication true`` then says of each block of the first half whether the second
finds it again, and the other way round.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from chimerax.siren.core.analysis.parameters import CompareParameters
from chimerax.siren.core.analysis.replication import NOT_FOUND, PARTLY, REPLICATED
from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.runs.comparison import Side, compare, side_of
from decoders.core_api import Absent
from decoders.design import recipes
from decoders.halves import Half, halves
from decoders.make import CACHE, kinds_of
from decoders.measures import best_overlap

PAGE = Path(__file__).with_suffix(".md")
KINDS = ("blocks=8", "one state=8")
TRUE = 0.5  # IoU with a planted block above which a found one is that block
VERDICTS = (REPLICATED, PARTLY, NOT_FOUND)


@dataclass(frozen=True)
class Row:
    """One block of one half.

    Attributes
    ----------
    planted : best IoU with a planted block; 0 in a null
    inside : share of its voxels that are in planted blocks
    """

    ensemble: str
    null: bool
    block: int
    planted: float
    inside: float
    doubtful: bool
    verdict: str
    score: float


def _side(half: Half, name: str) -> Side:
    return side_of(Path(name), BlockSet(half.grid, half.blocks, half.unassigned), None, half.mean)


def rows_of(name: str, null: bool, both: tuple[Half, Half]) -> list[Row]:
    """The blocks of either half, looked for in the other."""
    found = []
    for one, other in (both, both[::-1]):
        if not one.blocks:
            continue
        planted: list[NDArray[np.int64]] = [] if null else _planted(one)
        truth = one.stored.truth.ravel()
        again = {}
        if other.blocks:
            sides = _side(one, "one half"), _side(other, "the other half")
            again = compare(*sides, CompareParameters(replication=True)).replication
        for n, voxels in one.blocks.items():
            known = again.get(n)
            found.append(
                Row(
                    name,
                    null,
                    n,
                    best_overlap(voxels, planted)[0] if planted else 0.0,
                    0.0 if null else float((truth[voxels] >= 0).mean()),
                    n in one.doubtful,
                    known.verdict if known else NOT_FOUND,
                    known.score if known else 0.0,
                )
            )
    return found


def _planted(half: Half) -> list[NDArray[np.int64]]:
    truth = half.stored.truth.ravel()
    return [np.flatnonzero(truth == b) for b in range(half.stored.soft.shape[1])]


GROUPS: tuple[tuple[str, Callable[[Row], bool]], ...] = (
    ("one planted block: IoU above 0.5", lambda r: not r.null and r.planted > TRUE),
    (
        "parts of planted blocks, or several: IoU at most 0.5, most voxels in planted blocks",
        lambda r: not r.null and r.planted <= TRUE < r.inside,
    ),
    ("others, in ensembles with blocks", lambda r: not r.null and max(r.planted, r.inside) <= TRUE),
    ("of one state: none is true", lambda r: r.null),
)


def _share(count: int, of: int) -> str:
    """A share with its 95 % interval (Clopper and Pearson)."""
    if not of:
        return "-"
    low, high = binomtest(count, of).proportion_ci(method="exact")
    return f"{100 * count / of:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def page(rows: list[Row], planted: dict[str, tuple[int, int, int]]) -> str:
    """The page: a table of verdicts by what the blocks are, and one by ensemble."""
    head = "".join(f" {v} |" for v in VERDICTS)
    lines = [
        "# Blocks in two halves of the particles",
        "",
        "Written by `make bench-replication`. "
        + (__doc__ or "").split("\n\n")[2].replace("\n", " ").replace("``", "`").strip(),
        "",
        "A block counts once in each half in which it is found; *doubtful* is the verdict on its "
        "density. Shares with 95 % intervals, as if blocks were independent, which those of one "
        "ensemble are not.",
        "",
        f"| blocks | density | n |{head} share replicated |",
        "|---|---|---|---|---|---|---|",
    ]
    for word, fits in GROUPS:
        for doubtful in (False, True):
            some = [r for r in rows if fits(r) and r.doubtful == doubtful]
            counts = Counter(r.verdict for r in some)
            cells = " | ".join(str(counts[v]) for v in VERDICTS)
            density = "doubtful" if doubtful else "not doubtful"
            share = _share(counts[REPLICATED], len(some))
            lines.append(f"| {word} | {density} | {len(some)} | {cells} | {share} |")
    true, null = ([r for r in rows if GROUPS[k][1](r)] for k in (0, -1))
    lines += [
        "",
        "Of blocks that are one planted block, "
        + _share(sum(r.verdict == REPLICATED for r in true), len(true))
        + " are replicated; of blocks in ensembles of one state, "
        + _share(sum(r.verdict == REPLICATED for r in null), len(null))
        + ", and "
        + _share(sum(r.verdict == REPLICATED and not r.doubtful for r in null), len(null))
        + " are replicated and not doubtful. Artifacts do come back: contrast, blur, preferred "
        "views and a molecule's own surface are in both halves. So replication is no proof by "
        "itself: a block that is not doubtful by its density and replicated has passed two tests "
        "of different kinds. The second adds little here to the first, which alone leaves "
        + f"{sum(not r.doubtful for r in null)} of the {len(null)} blocks of one state; and doubt "
        + f"falls on {sum(r.doubtful for r in true)} of the {len(true)} blocks that are one planted "
        "block, too.",
        "",
        f"| ensemble | planted | found in either half (IoU > 0.5), in both | blocks |{head}",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (count, either, in_both) in planted.items():
        some = [r for r in rows if r.ensemble == name]
        counts = Counter(r.verdict for r in some)
        known = f"{count} | {either}, {in_both}" if count else "0 | -"
        cells = " | ".join(str(counts[v]) for v in VERDICTS)
        lines.append(f"| {name} | {known} | {len(some)} | {cells} |")
    lines += [
        "",
        f"n is small: {len(planted)} simulated data sets of 3,000 to 8,000 particles, half of that "
        "in each half, and linear subspaces only, whose halves share poses, masks and the number "
        "of dimensions, as two trainings of one project do. A network was not trained twice.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, default=CACHE / "halves")
    parser.add_argument("--kind", action="append", help="kind=number, see decoders/design.py")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    planted: dict[str, tuple[int, int, int]] = {}
    for recipe in recipes(kinds_of(options.kind or list(KINDS))):
        try:
            both = halves(options.cache, recipe)
        except Absent as reason:
            print(f"{recipe.name}: left out, {reason}", flush=True)
            continue
        rows += rows_of(recipe.name, recipe.null, both)
        parts = [] if recipe.null else _planted(both[0])
        hits = [[best_overlap(p, list(h.blocks.values()))[0] > TRUE for p in parts] for h in both]
        planted[recipe.name] = (
            len(parts),
            sum(map(any, zip(*hits, strict=True))),
            sum(map(all, zip(*hits, strict=True))),
        )
        print(
            recipe.name, Counter(r.verdict for r in rows if r.ensemble == recipe.name), flush=True
        )
    PAGE.write_text(page(rows, planted), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
