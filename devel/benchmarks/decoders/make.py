"""Make the benchmark's ensembles: ``python devel/benchmarks/decoders/make.py [--cache FOLDER]``.

Each goes to a file of its name in the folder; what is there is not made again. Deterministic on
one machine for a recipe. ``--kind "one state=60" --kind blocks=24`` sets how many of each kind;
kinds that are not named are then left out. ``--count N`` stops after so many. On one graphics card,
``--kind wide=44 --kind own=4 --kind twin=4 --device cuda --jobs 14`` makes the networks of users' size.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from decoders.core_api import Absent
from decoders.design import KINDS, recipes
from decoders.making import Recipe, make
from decoders.stored import save

CACHE = Path(__file__).resolve().parents[1] / "cache"


def kinds_of(given: list[str] | None) -> dict[str, int]:
    """Numbers by kind from ``kind=number`` texts."""
    if not given:
        return KINDS
    pairs = (text.rpartition("=") for text in given)
    return {kind: int(number) for kind, _, number in pairs}


@dataclass
class Worker:
    """Makes ensembles in a folder.

    Attributes
    ----------
    turn : held while a network of our loop trains, of several processes on one device
    """

    folder: Path
    device: str
    turn: AbstractContextManager[Any] | None = None

    def __call__(self, recipe: Recipe) -> str:
        """Make one; what became of it, in words."""
        start, wall = time.process_time(), time.perf_counter()
        try:
            save(self.folder / f"{recipe.name}.npz", make(recipe, self.device, self.turn))
        except Absent as reason:
            return f"{recipe.name}: left out, {reason}"
        return (
            f"{recipe.name}: {time.process_time() - start:.1f} s of CPU, "
            f"{time.perf_counter() - wall:.1f} s"
        )


_worker: Worker


def _begin(worker: Worker) -> None:
    global _worker
    _worker = worker


def _one(recipe: Recipe) -> str:
    return _worker(recipe)


def _side_by_side(
    wanted: list[Recipe], folder: Path, device: str, jobs: int, turns: int
) -> Iterable[str]:
    """In processes of their own; what takes longest, the packages' own programs, comes first."""
    context = multiprocessing.get_context("spawn")
    worker = Worker(folder, device, context.BoundedSemaphore(turns))
    wanted = sorted(wanted, key=lambda r: r.decoder != "train_vae")
    with context.Pool(jobs, _begin, (worker,)) as pool:
        yield from pool.imap_unordered(_one, wanted)


def main(arguments: list[str] | None = None) -> int:
    """Make what is missing, a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--kind", action="append", help="kind=number, see design.py")
    parser.add_argument("--count", type=int, default=10**6)
    parser.add_argument("--device", default="cpu", help="of the networks: cpu or cuda")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--turns", type=int, default=2, help="of these, at most so many train")
    options = parser.parse_args(arguments)
    options.cache.mkdir(parents=True, exist_ok=True)
    wanted = [
        recipe
        for recipe in recipes(kinds_of(options.kind))[: options.count]
        if not (options.cache / f"{recipe.name}.npz").exists()
    ]
    lines: Iterable[str] = (
        map(Worker(options.cache, options.device), wanted)
        if options.jobs == 1
        else _side_by_side(wanted, options.cache, options.device, options.jobs, options.turns)
    )
    for line in lines:
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
