"""Volumes of decoders, with the same label as simulated maps.

The ensembles are those of ``devel/benchmarks/decoders``: volumes that a linear subspace
reconstructed from simulated particles, and noise that is a smooth function of few latents over a
constant particle. They are made from their recipes, or read from a folder where they lie already.

Envelope: the density of the parts that are present, at the decoder's resolution, above the level
that encloses 1.21 A^3/Da of them. Present are the core and the blocks that half or more of the
particles around the volume's latent point have; in ensembles without true blocks, those that half
or more of all particles have. Label: as in simulate.py.

Example::

    python weights/training/decoder_maps.py ../shared/data/structures --split train \\
        --out siren-maps --ensembles devel/benchmarks/cache
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import package
from dataset import version, write_maps
from numpy.typing import NDArray
from simulate import Sample, labeled_sample

BENCHMARKS = package.REPOSITORY / "devel" / "benchmarks"
sys.path.append(str(BENCHMARKS))

from decoders.core_api import Absent  # noqa: E402
from decoders.design import recipe, recipes  # noqa: E402
from decoders.making import Recipe, make  # noqa: E402
from decoders.molecules import POSITIONS, VALIDATION, low_pass  # noqa: E402
from decoders.stored import Stored, load, save  # noqa: E402

ENSEMBLES = BENCHMARKS / "cache"  # where make bench-decoders keeps them
#: Ensembles of the benchmark by kind; half are of its training molecules.
KINDS = {
    "train": {
        "one state": 200,
        "smooth": 60,
        "moving": 8,
        "blocks": 28,
        "rare": 2,
        "junk": 2,
        "phases": 12,
    },
    "validation": {
        "one state": 60,
        "smooth": 40,
        "moving": 8,
        "blocks": 14,
        "rare": 2,
        "junk": 2,
        "phases": 12,
    },
}
#: Volumes drawn from an ensemble: more where they differ.
EACH = {
    "train": {
        "blocks": 24,
        "rare": 24,
        "junk": 16,
        "moving": 16,
        "phases": 8,
        "one state": 6,
        "smooth": 6,
    },
    "validation": {
        "blocks": 16,
        "rare": 16,
        "junk": 12,
        "moving": 12,
        "phases": 6,
        "one state": 3,
        "smooth": 3,
    },
}
#: Further ensembles for training, of other molecules, boxes and sizes in the box.
MORE, FURTHER = 36, "further"
MORE_KINDS = ("blocks", "one state", "blocks", "moving", "blocks", "rare")
MORE_BOXES = (32, 40, 48, 56, 64)
PRESENT = 0.5  # share of the particles that have a part which counts as present
SOURCES = ("molecules", "particles", "subspace", "smooth", "making", "design")


def chosen_recipes(structures: Path, split: str, count: int | None = None) -> list[Recipe]:
    """The ensembles of ``train`` or ``validation``; the first ``count`` are a fair sample."""
    own = [
        r for r in recipes(KINDS[split]) if (r.molecule in VALIDATION) == (split == "validation")
    ]
    if split == "train":
        more = further_recipes(structures)
        step = len(own) / max(1, len(more))
        for k, r in enumerate(more):  # in between
            own.insert(round((k + 0.5) * step) + k, r)
    return own[:count]


def further_recipes(structures: Path) -> list[Recipe]:
    """Recipes of other molecules of the training split, in other boxes."""
    molecules = _complexes(structures)
    result: list[Recipe] = []
    for k in range(MORE if molecules else 0):
        rng = np.random.default_rng([k, 80])
        like = recipe(MORE_KINDS[k % len(MORE_KINDS)], 2 * (500 + k))
        molecule = molecules[int(rng.integers(len(molecules)))]
        result.append(
            replace(
                like,
                name=f"{FURTHER}-{k:03d}-{molecule}",
                molecule=molecule,
                box=int(rng.choice(MORE_BOXES)),
                fill=round(float(rng.uniform(0.45, 0.9)), 3),
                volumes=200,
                seed=100_000 + k,
            )
        )
    return result


def _complexes(structures: Path) -> list[str]:
    """Complexes of six chains or more, 200 kDa to 2 MDa, of the training split."""
    table = structures / "metadata.csv"
    if not table.exists():
        return []
    with open(table, encoding="utf-8") as file:
        return sorted(
            row["id"]
            for row in csv.DictReader(file)
            if row["split"] == "train"
            and row["category"] in ("protein", "protein_nucleic", "ribosome", "membrane?")
            and 200 < float(row["mass_kda"]) < 2000
            and int(row["n_chains_asu"]) >= 6
            and row["coarse"] == "0"
        )


def parts_present(stored: Stored) -> Iterator[NDArray[np.bool_]]:
    """(U,) of each volume, which of the densities are present: the first is the core."""
    count = len(stored.dens)
    if stored.made.get("moving") or not stored.soft.shape[1]:
        shared = _mean_occupancy(stored) >= PRESENT
        yield from (shared for _ in range(len(stored)))
        return
    for share in stored.soft:
        present = np.ones(count, bool)
        present[1:] = share >= PRESENT
        yield present


def _mean_occupancy(stored: Stored) -> NDArray[np.float64]:
    """(U,) of each density in the ensemble's mean, relative to the core's."""
    if len(stored.dens) == 1:
        return np.ones(1)
    seen = seen_densities(stored).reshape(len(stored.dens), -1)
    fitted = np.linalg.lstsq(seen.T, stored.mean.ravel(), rcond=None)[0]
    return np.asarray(np.r_[1.0, fitted[1:] / fitted[0]])


def seen_densities(stored: Stored) -> NDArray[np.float32]:
    """(U, z, y, x) densities at the decoder's resolution."""
    reach = stored.made.get("imaging", {}).get("reach", 1.0)
    if stored.made.get("kind") == "smooth":  # of the particle as it is
        reach = 1.0
    return np.stack([low_pass(d.astype(np.float32), reach) for d in stored.dens])


def envelope_of(
    seen: NDArray[np.float32], whole: NDArray[np.float32], level: float
) -> NDArray[np.bool_]:
    """(z, y, x) envelope of a density ``seen`` that is part of ``whole``.

    ``level`` encloses 1.21 A^3/Da of the whole. Mass is in proportion to the sum of the density.
    """
    count = round(float((whole > level).sum()) * float(seen.sum() / whole.sum()))
    count = min(max(count, 1), seen.size - 1)
    return np.asarray(seen >= np.partition(seen.ravel(), -count)[-count])


def label_volumes(stored: Stored, chosen: NDArray[np.integer]) -> list[Sample]:
    """Label some volumes of an ensemble; those without a level of Dice 0.6 are left out."""
    made, seen = stored.made, seen_densities(stored)
    imaging = made.get("imaging", {})
    level = float(made["true_level"])
    if made.get("moving"):  # the position of the domain that fits best
        whole = seen[0] + seen[1 + POSITIONS // 2]
        states = [[seen[0] + s for s in seen[1:]]] * len(stored)
    else:
        whole = seen.sum(axis=0)
        states = [[seen[present].sum(axis=0)] for present in parts_present(stored)]
    box, pixel = stored.truth.shape[0], stored.apix
    volumes = stored.volumes()
    samples = []
    for v in chosen.tolist():
        array = np.ascontiguousarray(volumes[v], np.float32)
        facts: dict[str, float | str] = {
            "name": str(made["name"]),
            "volume": v,
            "ensemble": str(made["kind"]),
            "molecule": str(made["molecule"]),
            "network": int(made.get("decoder") == "cryodrgn"),
            "box": box,
            "pixel": pixel,
            "cut": 0,
            "reach": float(imaging.get("reach", 1.0)),
            "background": float(np.median(array)),
        }
        labeled = [
            labeled_sample(array, envelope_of(state, whole, level), pixel, facts)
            for state in states[v]
        ]
        found = [s for s in labeled if s is not None]
        if found:
            best = max(found, key=lambda s: float(s.facts["best_dice"]))
            samples.append(
                replace(
                    best, facts=best.facts | {"vol_min": best.scale[0], "vol_max": best.scale[1]}
                )
            )
    return samples


def drawn(stored: Stored, each: int) -> NDArray[np.int64]:
    """Some volumes of an ensemble, drawn by its seed."""
    rng = np.random.default_rng([int(stored.made["seed"]), 90])
    return np.sort(rng.permutation(len(stored))[:each])


def ensemble_of(chosen: Recipe, folder: Path) -> Stored:
    """The ensemble of a recipe, from the folder if it is there, else made and kept there.

    Raises
    ------
    Absent
        If its molecule is not on this machine.
    """
    if chosen.name.startswith(FURTHER):  # apart, since they are no part of the benchmark
        folder = folder / "training"
    path = folder / f"{chosen.name}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        save(path, make(chosen))
    return load(path)


def sources() -> str:
    """Hash of what determines these maps."""
    files = [Path(__file__), *(BENCHMARKS / "decoders" / f"{name}.py" for name in SOURCES)]
    content = b"".join(path.read_bytes() for path in files)
    return hashlib.sha256(content + version().encode()).hexdigest()[:8]


def _make_file(job: tuple[Recipe, int, Path, Path]) -> str:
    chosen, each, folder, path = job
    if path.exists():
        return ""
    try:
        stored = ensemble_of(chosen, folder)
    except Absent as reason:
        return f"{chosen.name}: left out, {reason}"
    samples = label_volumes(stored, drawn(stored, each))
    if not samples:
        return f"{chosen.name}: no volume shows the molecule at any level"
    write_maps(path, samples)
    return ""


def build_decoder_maps(
    structures: Path,
    split: str,
    out: Path,
    ensembles: Path = ENSEMBLES,
    processes: int = 1,
    count: int | None = None,
) -> list[Path]:
    """Label volumes of decoders into one file an ensemble in ``out``; existing ones are kept.

    Returns
    -------
    list of Path
        Without those ensembles that cannot be made, or that show no molecule.
    """
    out.mkdir(parents=True, exist_ok=True)
    key, each = sources(), EACH[split]
    jobs = [
        (r, each[r.kind], ensembles, out / f"decoder_{key}_{r.name}_{each[r.kind]}.npz")
        for r in chosen_recipes(structures, split, count)
    ]
    start = time.time()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, said in enumerate(pool.imap(_make_file, jobs), 1):
            if said:
                print(said, flush=True)
            if done % 20 == 0 or done == len(jobs):
                print(
                    f"decoders, {split}: {done}/{len(jobs)} ensembles, {time.time() - start:.0f} s",
                    flush=True,
                )
    return [path for *_, path in jobs if path.exists()]


def add_folders(parser: argparse.ArgumentParser) -> None:
    """Add the folders of maps and ensembles, --cache and --ensembles, to a command's arguments."""
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "siren-maps",
        help="folder for simulated maps",
    )
    parser.add_argument(
        "--ensembles",
        type=Path,
        default=ENSEMBLES,
        help="folder where the decoders' ensembles are kept, as by make bench-decoders",
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("structures", type=Path)
    parser.add_argument("--split", choices=tuple(KINDS), default="train")
    parser.add_argument("--count", type=int, default=None, help="ensembles; default: all")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ensembles", type=Path, default=ENSEMBLES, help="where they are kept")
    parser.add_argument("--processes", type=int, default=1)
    a = parser.parse_args()
    build_decoder_maps(a.structures, a.split, a.out, a.ensembles, a.processes, a.count)


if __name__ == "__main__":
    main()
