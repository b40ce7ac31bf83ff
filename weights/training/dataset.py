"""The training set: simulated maps, cached as files of half-precision numbers.

Example::

    python weights/training/dataset.py ../shared/data/structures --split train --count 6000 \\
        --each 3 --out siren-training
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import package  # noqa: F401  (puts src on the path)
from numpy.typing import NDArray
from simulate import BOX, Sample, siblings
from structures import SPLITS, Library, read_library

from core.maps.grid import Grid, to_box
from core.thresholds.features import HIGHEST, LEVELS, LOWEST, MAX_COUNTED_BOX, share_above
from core.thresholds.normalize import Range

CHUNK = 60  # maps per file
SIMULATOR = ("simulate.py", "degrade.py", "lattice.py", "structures.py", "dataset.py")


def version() -> str:
    """Hash of the simulator's source, so that cached maps of other versions are not used."""
    here = Path(__file__).parent
    # parameters of the shares above levels on the original grid
    levels = f"{LEVELS} {LOWEST} {HIGHEST} {MAX_COUNTED_BOX}".encode()
    return hashlib.sha256(
        b"".join((here / name).read_bytes() for name in SIMULATOR) + levels
    ).hexdigest()[:8]


def _chunk(job: tuple[Library, int, int, int, int, Path]) -> int:
    library, seed, first, count, each, path = job
    if path.exists():
        return count
    samples = [
        s
        for i in range(first, first + count, each)
        for s in siblings(library, np.random.default_rng([seed, i]), each)
    ][:count]
    write_maps(path, samples)
    return count


def write_maps(path: Path, samples: list[Sample]) -> None:
    """Write a file of maps with their labels, whole or not at all."""
    temporary = path.with_name("." + path.name)
    with open(temporary, "wb") as file:
        # x + 1 rather than x: half precision is finest near 0, the background
        np.savez(
            file,
            above_background=np.stack([(s.x + 1).astype(np.float16) for s in samples]),
            label=np.array([s.label for s in samples], np.float32),
            dice=np.stack([s.dice for s in samples]),
            volume=np.stack([s.volume for s in samples]),
            facts=json.dumps([s.facts for s in samples]),
            full=np.stack([full_share(s) for s in samples]),
            inside=np.stack([inside(s) for s in samples]),
        )
    os.replace(temporary, path)


def full_share(sample: Sample) -> NDArray[np.float32]:
    """(96,) share above each level on the original grid, see :func:`share_above`."""
    return np.asarray(share_above(sample.raw, Range(*sample.scale)).numpy(), np.float32)


def inside(sample: Sample) -> NDArray[np.uint8]:
    """(32, 32, 32) share of the envelope in each 2^3 voxels of the 64^3 box, in 255ths."""
    shape = (sample.envelope.shape[0], sample.envelope.shape[1], sample.envelope.shape[2])
    envelope = sample.envelope.astype(np.float32)
    if shape != (BOX,) * 3:
        envelope = np.clip(to_box(envelope, Grid(shape, (1.0,) * 3), BOX)[0], 0, 1)
    half = BOX // 2
    share = envelope.reshape(half, 2, half, 2, half, 2).mean(axis=(1, 3, 5))
    return np.rint(255 * share).astype(np.uint8)


def build(
    structures: Path, split: str, count: int, seed: int, out: Path, processes: int, each: int = 1
) -> list[Path]:
    """Simulate ``count`` maps of a split into files of CHUNK maps in ``out``.

    Existing files are kept. ``each`` successive maps (a divisor of CHUNK) show the same molecule:
    three cost half as much as three of different molecules. Map i depends only on the seed and i,
    not on the number of processes.

    Returns
    -------
    list of Path
    """
    out.mkdir(parents=True, exist_ok=True)
    library = read_library(structures, split)
    name = f"maps_{version()}_{structures.name}"
    sizes = [(first, min(CHUNK, count - first)) for first in range(0, count, CHUNK)]
    jobs = [
        (
            library,
            seed,
            first,
            size,
            each,
            out / f"{name}_{split}_{seed}_{each}_{first:06d}_{size}.npz",
        )
        for first, size in sizes
    ]
    done, start = 0, time.time()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for made in pool.imap_unordered(_chunk, jobs):
            done += made
            print(f"{split}: {done}/{count} maps, {time.time() - start:.0f} s", flush=True)
    return [job[-1] for job in jobs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("structures", type=Path)
    parser.add_argument("--split", choices=SPLITS, default="train")
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=1, help="successive maps of the same molecule")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    a = parser.parse_args()
    build(a.structures, a.split, a.count, a.seed, a.out, a.processes, a.each)


if __name__ == "__main__":
    main()
