"""How counting scales with the workers of a Dask cluster: ``python devel/benchmarks/scaling.py``
writes ``scaling.md`` beside it.

Scheduler and workers are processes on this computer, so that more workers than cores gain nothing:
beside the seconds stand those of the processor that the busiest worker took. ``--quick`` takes
small searches and prints alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# as Dask's workers: a core each, before numpy is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
from numpy.typing import NDArray

from bare_cluster import BareCluster
from chimerax.siren.core.blocks.level_harmonization import Noise
from chimerax.siren.core.blocks.occupancy import Occupancy
from chimerax.siren.core.blocks.pair_counts import significant_pairs
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.similarity import MOST_SAMPLED, similarity_graph
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.compute.backends import open_backend
from chimerax.siren.core.compute.pair_tiles import Backend, strips
from chimerax.siren.core.maps.grid import Grid

WORKERS = (1, 2, 3)
BLOCKS = 8
TABLE = Path(__file__).with_name("scaling.md")


@dataclass(frozen=True)
class Task:
    """Pairs to count: ``statistic``, ``voxels`` of the sample, ``volumes``."""

    statistic: str
    voxels: int
    volumes: int

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.statistic}: {self.voxels:,} voxels, {self.volumes:,} volumes"

    def pairs(self) -> Callable[[Backend], tuple[NDArray[Any], ...]]:
        """What counts them, given where: the pairs found, with strength or counts."""
        occupancy, sample = planted(self.voxels, self.volumes)
        parameters = SketchParameters(statistic=self.statistic)

        def by_profile(compute: Backend) -> tuple[NDArray[Any], ...]:
            found = similarity_graph(
                occupancy, sample, Noise(np.ones(1)), 0.01, Progress(), compute
            )
            return found.pairs, found.strength

        def by_counting(compute: Backend) -> tuple[NDArray[Any], ...]:
            found = significant_pairs(occupancy, sample, parameters, Progress(), compute)
            return found.pairs, found.both

        return by_profile if self.statistic == "profile" else by_counting


FULL = (
    Task("profile", 5_000, 500),
    Task("profile", MOST_SAMPLED, 500),
    Task("published", 10_000, 500),
)
QUICK = (Task("profile", 3_000, 200), Task("published", 3_000, 200))


def planted(voxels: int, volumes: int, seed: int = 0) -> tuple[Occupancy, NDArray[np.int64]]:
    """Voxels of a cube of which half follow one of BLOCKS states, with 5 % noise; and a sample, all
    of them.
    """
    rng = np.random.default_rng(seed)
    edge = int(np.ceil(voxels ** (1 / 3)))
    grid = Grid((edge, edge, edge), (5.0, 5.0, 5.0))
    state = rng.random((volumes, BLOCKS)) < rng.uniform(0.2, 0.8, BLOCKS)
    follows = np.sort(rng.integers(0, 2 * BLOCKS, grid.size))
    bits = rng.random((volumes, grid.size), np.float32) < 0.4
    bits[:, follows < BLOCKS] = state[:, follows[follows < BLOCKS]]
    bits ^= rng.random((volumes, grid.size), np.float32) < 0.05
    names = tuple(f"{v}.mrc" for v in range(volumes))
    occupancy = Occupancy(
        names, np.ones(volumes), np.packbits(bits, axis=1), grid, np.zeros(grid.shape, np.float32)
    )
    return occupancy, np.arange(voxels)


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock, and those of the processor: of this process, or of the busiest
    worker.
    """

    clock: float
    processor: float


def seconds(
    work: Callable[[Backend], Any], compute: Backend, turns: int, workers: tuple[int, ...] = ()
) -> tuple[Taken, Any]:
    """The fastest of some turns, each by itself, and the result; ``workers`` are process ids, this
    one's where there are none.
    """
    processes = [psutil.Process(pid) for pid in workers or (os.getpid(),)]

    def busy() -> NDArray[np.float64]:
        return np.array([t.user + t.system for t in (p.cpu_times() for p in processes)])

    taken = []
    for _ in range(turns):
        before, start = busy(), time.perf_counter()
        result = work(compute)
        taken.append(Taken(time.perf_counter() - start, float((busy() - before).max())))
    return Taken(min(t.clock for t in taken), min(t.processor for t in taken)), result


def text(taken: Taken) -> str:
    """For the table."""
    return f"{taken.clock:.1f} ({taken.processor:.1f})"


def measure(tasks: tuple[Task, ...], turns: int) -> list[str]:
    """The table's lines; a result that differs from this process's ends the run."""
    lines = [
        "| pairs of | strips | here | "
        + " | ".join(f"{n} worker{'s' * (n > 1)}" for n in WORKERS)
        + " | connecting |",
        "|---|" + "---|" * (len(WORKERS) + 3),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for task in tasks:
            work = task.pairs()
            with open_backend("cpu", None, Progress()) as here:
                local, expected = seconds(work, here, turns)
            cells, connecting = [], []
            for count in WORKERS:
                with ExitStack() as stack:
                    cluster = stack.enter_context(
                        BareCluster(Path(folder) / f"{id(task)}-{count}", count)
                    )
                    cluster.wait_for_workers()
                    start = time.perf_counter()
                    compute = stack.enter_context(open_backend("cpu", cluster.address, Progress()))
                    connecting.append(time.perf_counter() - start)
                    taken, found = seconds(
                        work, compute, turns, tuple(worker.pid for worker in cluster.workers)
                    )
                for a, b in zip(expected, found, strict=True):
                    np.testing.assert_array_equal(a, b)
                cells.append(text(taken))
            lines.append(
                f"| {task.name} | {len(strips(task.voxels, task.voxels))} | {text(local)} "
                f"| {' | '.join(cells)} | "
                f"{min(connecting):.1f} |"
            )
            print(lines[-1], flush=True)
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Run, print as it goes, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small searches; print alone")
    parser.add_argument(
        "--turns",
        type=int,
        default=3,
        help="of each, of which the fastest counts: others may use this computer too",
    )
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    lines = measure(QUICK if options.quick else FULL, options.turns)
    if not options.quick:
        TABLE.write_text(
            TEXT.format(
                table="\n".join(lines),
                cores=os.cpu_count(),
                machine=platform.platform(),
                turns=options.turns,
                load=load,
                after=os.getloadavg()[0],
            ),
            encoding="utf-8",
        )
    return 0


TEXT = """# Counting on a Dask cluster

Made by `python devel/benchmarks/scaling.py --turns {turns}` ({machine}). Scheduler, workers and this process share one computer
of **{cores} cores**, whose load was {load:.1f} at the start and {after:.1f} at the end. So this shows what sending costs and how the work
is shared out, not what many machines gain: it was not run on several. Each worker, and "here", has one thread.

Seconds by the clock; in brackets, seconds of the processor: of this process, or of the busiest worker. Where the load is above the
number of cores, the seconds by the clock are mostly waiting for a core, and only those in brackets say something; those are the
least that there would be to wait for with a core for each worker. The fastest of the turns counts; in a worker's first, it also loads
numpy. Every result was compared with that of this process: equal.

{table}

*Pairs of*: voxels sampled by a sketch with that statistic, all against all. What follows the counting (`profile`: Fisher's exact
test of the pairs found) is done here in every case, and is in the seconds. *Connecting*: once for a command, not in the seconds.
"""

if __name__ == "__main__":
    sys.exit(main())
