"""Volumes of ``siren example``, with the same label as simulated maps.

They are chains of random globules with planted parts, simulated by the program itself. Each
ensemble has parameters and seeds of its own; none is one that a test or a benchmark uses.

Envelope: the noise-free density of a volume above the level that encloses 1.21 A^3/Da of the
whole. Label: as in simulate.py.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from pathlib import Path

import numpy as np
import package
from dataset import version, write_maps
from simulate import Sample, labeled_sample

from core.simulation.example import simulate
from core.simulation.parameters import ExampleParameters

FIRST_SEED = 700_000
VOLUMES = 20  # of an ensemble
BOXES = (40, 48, 56, 64, 64, 64)
SOURCES = ("example.py", "parameters.py", "pseudoprotein.py")


def parameters_of(number: int) -> ExampleParameters:
    """Parameters of an ensemble, drawn by its number."""
    rng = np.random.default_rng([FIRST_SEED, number])
    box = int(rng.choice(BOXES))
    voxel_size = round(5.0 * 64 / box * float(rng.uniform(0.85, 1.15)), 2)
    return ExampleParameters(
        volumes=VOLUMES,
        box=box,
        voxel_size=voxel_size,
        resolution=round(voxel_size * float(rng.uniform(2.2, 3.2)), 1),
        noise=round(float(np.exp(rng.uniform(np.log(0.3), np.log(4)))), 2),
        seed=FIRST_SEED + number,
    )


def label_example(p: ExampleParameters) -> list[Sample]:
    """Labeled volumes of an ensemble; those without a level of Dice 0.6 are left out."""
    made = simulate(p)
    facts: dict[str, float | str] = {
        "name": f"example {p.seed}",
        "ensemble": "example",
        "box": p.box,
        "pixel": p.voxel_size,
        "cut": 0,
    }
    labeled = [
        labeled_sample(
            np.ascontiguousarray(made.volume(i), np.float32),
            made.density(i) > made.level,
            p.voxel_size,
            facts | {"volume": i},
        )
        for i in range(p.volumes)
    ]
    return [s for s in labeled if s is not None]


def sources() -> str:
    """Hash of what determines these maps."""
    room = package.REPOSITORY / "src" / "core" / "simulation"
    files = [Path(__file__), *(room / name for name in SOURCES)]
    content = b"".join(path.read_bytes() for path in files)
    return hashlib.sha256(content + version().encode()).hexdigest()[:8]


def _make_file(job: tuple[int, Path]) -> None:
    number, path = job
    if not path.exists():
        write_maps(path, label_example(parameters_of(number)))


def build_example_maps(out: Path, count: int, processes: int = 1) -> list[Path]:
    """Label the volumes of ``count`` ensembles, into one file each in ``out``; existing ones are
    kept.
    """
    out.mkdir(parents=True, exist_ok=True)
    key = sources()
    jobs = [(n, out / f"example_{key}_{n:03d}_{VOLUMES}.npz") for n in range(count)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(_make_file, jobs, chunksize=1)
    return [path for _, path in jobs]
