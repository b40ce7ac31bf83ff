"""How counting scales with the workers of a Dask cluster: ``python devel/benchmarks/scaling.py``
writes ``scaling.md`` beside it.

Scheduler and workers are processes on this computer, so more workers than cores gain nothing: the
CPU time of the busiest worker is therefore given, too. ``--quick`` uses small tasks and only
prints.
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

# one core each, as for Dask's workers; set before numpy is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil
from numpy.typing import NDArray

from bare_cluster import BareCluster
from chimerax.siren.core.blocks.noise import Noise
from chimerax.siren.core.blocks.occupancy import Occupancy
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.statistics import statistic_named
from chimerax.siren.core.blocks.statistics.protocol import Observation
from chimerax.siren.core.common.constants import MAX_SAMPLED_VOXELS
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.compute.backends import open_backend
from chimerax.siren.core.compute.pair_tiles import Backend, strips
from chimerax.siren.core.maps.grid import Grid

WORKERS = (1, 2, 3)
BLOCKS = 8
TABLE = Path(__file__).with_name("scaling.md")


@dataclass(frozen=True)
class Task:
    """Pairs to count: ``statistic``, number of sampled ``voxels``, number of ``volumes``."""

    statistic: str
    voxels: int
    volumes: int

    @property
    def name(self) -> str:
        """Name in the table."""
        return f"{self.statistic}: {self.voxels:,} voxels, {self.volumes:,} volumes"

    def pairs(self) -> Callable[[Backend], tuple[NDArray[Any], ...]]:
        """A function that counts them on a backend: the pairs found, with strength or counts."""
        occupancy, sample = planted(self.voxels, self.volumes)
        observation = Observation(occupancy, sample, Noise(np.ones(1)))
        statistic, parameters = (
            statistic_named(self.statistic),
            SketchParameters(statistic=self.statistic),
        )

        def count(compute: Backend) -> tuple[NDArray[Any], ...]:
            graph = statistic.graph(observation, sample, parameters, Progress(), compute)
            return graph.at(parameters.posp, parameters.negp)

        return count


FULL = (
    Task("profile", 5_000, 500),
    Task("profile", MAX_SAMPLED_VOXELS, 500),
    Task("published", 10_000, 500),
)
QUICK = (Task("profile", 3_000, 200), Task("published", 3_000, 200))


def planted(voxels: int, volumes: int, seed: int = 0) -> tuple[Occupancy, NDArray[np.int64]]:
    """Occupancy of a cube in which half of the voxels follow one of BLOCKS states, with 5 % noise;
    and the sample of voxels to compare.
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
    """Wall time, and CPU time of this process or of the busiest worker, in seconds."""

    clock: float
    processor: float


def seconds(
    work: Callable[[Any], Any], given: Any, turns: int, workers: tuple[int, ...] = ()
) -> tuple[Taken, Any]:
    """The shortest wall and CPU times of several turns, and the result; ``workers`` are process
    ids, by default that of this process.
    """
    processes = [psutil.Process(pid) for pid in workers or (os.getpid(),)]

    def busy() -> NDArray[np.float64]:
        return np.array([t.user + t.system for t in (p.cpu_times() for p in processes)])

    taken = []
    for _ in range(turns):
        before, start = busy(), time.perf_counter()
        result = work(given)
        taken.append(Taken(time.perf_counter() - start, float((busy() - before).max())))
    return Taken(min(t.clock for t in taken), min(t.processor for t in taken)), result


def text(taken: Taken) -> str:
    """Both times as a cell of the table."""
    return f"{taken.clock:.1f} ({taken.processor:.1f})"


def measure(tasks: tuple[Task, ...], turns: int) -> list[str]:
    """The lines of the table; a result that differs from that of this process ends the run."""
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
    """Run, print progress, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="small tasks; only print")
    parser.add_argument(
        "--turns",
        type=int,
        default=3,
        help="repeats of each task; the fastest counts, as others may use this computer, too",
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
with **{cores} cores**, whose load was {load:.1f} at the start and {after:.1f} at the end. So this shows the cost of sending data and how the
work is shared out, not what many machines gain: it was not run on several. Each worker, and "here", has one thread.

Wall time in seconds; in parentheses, CPU time of this process or of the busiest worker. If the load is above the number of cores, the
wall time is mostly waiting for a core and only the CPU time is meaningful: it is a lower limit to the wall time with a core for each
worker. The fastest turn counts; in its first turn, a worker also loads numpy. Every result was compared with that of this process:
equal.

{table}

*Pairs of*: voxels sampled by a sketch with that statistic, all against all. The step after counting (`profile`: Fisher's exact test
of the pairs found) is done here in every case, and is included. *Connecting*: once per command, not included.
"""

if __name__ == "__main__":
    sys.exit(main())
