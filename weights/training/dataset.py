"""The training set: maps simulated with all cores, reduced to what the network needs, kept as float16 files.

Example::

    python weights/training/dataset.py ../shared/data/structures --split train --count 6000 --out siren-training
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import package  # noqa: F401  (puts src on the path)
import torch
from numpy.typing import NDArray
from simulate import Map, simulate
from structures import Library, read_library

from core.thresholds.network import look_and_profile

CHUNK = 50


def seen(x: Map) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """What the network sees of a normalised map, see :func:`core.thresholds.network.look_and_profile`."""
    look, profile = look_and_profile(torch.from_numpy(x)[None, None])
    return look[0].numpy().astype(np.float16), profile[0].numpy()


def _chunk(job: tuple[Library, int, int, int, Path]) -> int:
    library, seed, first, count, path = job
    if path.exists():
        return count
    torch.set_num_threads(1)
    samples = [simulate(library, np.random.default_rng([seed, i])) for i in range(first, first + count)]
    looks, profiles = zip(*(seen(s.x) for s in samples), strict=True)
    temporary = path.with_name("." + path.name)
    with open(temporary, "wb") as file:
        np.savez(file, look=np.stack(looks), profile=np.stack(profiles),
                 label=np.array([s.label for s in samples], np.float32), dice=np.stack([s.dice for s in samples]),
                 volume=np.stack([s.volume for s in samples]), facts=json.dumps([s.facts for s in samples]))
    os.replace(temporary, path)
    return count


def build(structures: Path, split: str, count: int, seed: int, out: Path, processes: int) -> list[Path]:
    """Simulate ``count`` maps of a split into files of CHUNK under ``out``; files that exist are kept.

    Map number i depends on the seed and i alone, so any number of processes gives the same set.
    """
    out.mkdir(parents=True, exist_ok=True)
    library = read_library(structures, split)
    sizes = [(first, min(CHUNK, count - first)) for first in range(0, count, CHUNK)]
    jobs = [(library, seed, first, size, out / f"{split}_{seed}_{first:06d}_{size}.npz") for first, size in sizes]
    done, start = 0, time.time()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for made in pool.imap_unordered(_chunk, jobs):
            done += made
            print(f"{split}: {done}/{count} maps, {time.time() - start:.0f} s", flush=True)
    return [job[-1] for job in jobs]


def read(paths: list[Path]) -> Iterator[dict[str, NDArray[np.floating] | list[dict[str, float | str]]]]:
    """The files' contents, one file at a time; ``facts`` as a list of dicts."""
    for path in paths:
        with np.load(path) as z:
            yield {k: z[k] for k in z.files if k != "facts"} | {"facts": json.loads(str(z["facts"]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("structures", type=Path)
    parser.add_argument("--split", choices=["train", "validation"], default="train")
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    a = parser.parse_args()
    build(a.structures, a.split, a.count, a.seed, a.out, a.processes)


if __name__ == "__main__":
    main()
