"""Make the benchmark's ensembles: ``python devel/benchmarks/decoders/make.py [--cache FOLDER]``.

Each goes to a file of its name in the folder; what is there is not made again. Deterministic on
one machine for a recipe. ``--kind "one state=60" --kind blocks=24`` sets how many of each kind;
kinds that are not named are then left out. ``--count N`` stops after so many.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from decoders.core_api import Absent
from decoders.design import KINDS, recipes
from decoders.making import make
from decoders.stored import save

CACHE = Path(__file__).resolve().parents[1] / "cache"


def kinds_of(given: list[str] | None) -> dict[str, int]:
    """Numbers by kind from ``kind=number`` texts."""
    if not given:
        return KINDS
    pairs = (text.rpartition("=") for text in given)
    return {kind: int(number) for kind, _, number in pairs}


def main(arguments: list[str] | None = None) -> int:
    """Make what is missing, a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--kind", action="append", help="kind=number, see design.py")
    parser.add_argument("--count", type=int, default=10**6)
    options = parser.parse_args(arguments)
    options.cache.mkdir(parents=True, exist_ok=True)
    for recipe in recipes(kinds_of(options.kind))[: options.count]:
        path = options.cache / f"{recipe.name}.npz"
        if path.exists():
            continue
        start, wall = time.process_time(), time.perf_counter()
        try:
            save(path, make(recipe))
        except Absent as reason:
            print(f"{recipe.name}: left out, {reason}", flush=True)
            continue
        print(
            f"{recipe.name}: {time.process_time() - start:.1f} s of CPU, "
            f"{time.perf_counter() - wall:.1f} s",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
