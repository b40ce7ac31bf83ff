"""Atoms to simulate maps of: read from the compact structure set, multiplied by symmetry, or made up."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]

#: Electron scattering amplitude at zero angle, relative to carbon (Peng 1996), hydrogens of an average residue added.
SCATTERING = {6: 1.25, 7: 1.05, 8: 0.85, 15: 2.2, 16: 2.1}
#: Da for each heavy atom, hydrogens included: mean over residues and nucleotides.
DALTON_PER_ATOM = 14.2
MOST_ATOMS = 60_000


@dataclass(frozen=True)
class Atoms:
    """A molecule: positions (n, 3) in A, scattering weights (n,), part number (n,) and its mass in Da."""

    xyz: Points
    weight: NDArray[np.float32]
    part: NDArray[np.int32]
    mass: float


@dataclass(frozen=True)
class Library:
    """Structures of one split, and how often each is drawn."""

    folder: Path
    names: tuple[str, ...]
    odds: NDArray[np.float64]


def read_library(folder: Path, split: str) -> Library:
    """The structures of a split (``train`` or ``validation``).

    Drawn by kind so that 400 amyloid filaments do not dominate; larger ones, of which there are few, more often.
    """
    with open(folder / "metadata.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    odds = np.array([_odds(row["category"], float(row["mass_kda"])) for row in rows])
    return Library(folder, tuple(row["id"] for row in rows), odds / odds.sum())


def _odds(category: str, mass: float) -> float:
    return (0.15 if "amyloid" in category else 1.0) * min(4.0, max(0.5, mass / 150))


@lru_cache(maxsize=400)
def read_structure(path: Path) -> Atoms:
    """One structure, its first assembly where one was recorded (the format of the set's load_structure.py)."""
    z = np.load(path)
    steps = np.cumsum(z["dxyz"].T.astype(np.int16), axis=0, dtype=np.int16)
    xyz = steps.astype(np.float32) * z["step"] + z["origin"]
    chain = z["chain"].astype(np.int32) if "chain" in z else np.repeat(np.arange(len(z["chain_len"])), z["chain_len"])
    element = z["elem"]
    if "ops" in z:
        chosen = np.unpackbits(z["sels"], axis=1, count=len(xyz)).astype(bool)
        indices = [np.flatnonzero(chosen[s]) for s in z["opsel"]]
        copies = [xyz[i] @ op[:, :3].T + op[:, 3] for i, op in zip(indices, z["ops"], strict=True)]
        chains = int(chain.max()) + 1
        chain = np.concatenate([chain[i] + n * chains for n, i in enumerate(indices)])
        element = np.concatenate([element[i] for i in indices])
        xyz = np.concatenate(copies)
    table = np.ones(256, np.float32) * 1.2
    for number, weight in SCATTERING.items():
        table[number] = weight
    return _limited(Atoms(xyz.astype(np.float32), table[element], chain.astype(np.int32), len(xyz) * DALTON_PER_ATOM))


def _limited(atoms: Atoms) -> Atoms:
    """At most MOST_ATOMS of them, evenly, each standing for several: time is bounded."""
    step = -(-len(atoms.xyz) // MOST_ATOMS)
    if step == 1:
        return atoms
    return Atoms(atoms.xyz[::step], atoms.weight[::step] * step, atoms.part[::step], atoms.mass)


def draw_molecule(library: Library, rng: np.random.Generator) -> tuple[Atoms, str]:
    """A molecule in a random pose about the origin, and what it is.

    Of ten, about six are structures as they are, one is a ring or a double ring, two are complexes of unlike
    structures and one is made up of random globules.
    """
    kind = rng.choice(["structure", "ring", "complex", "globules"], p=[0.62, 0.12, 0.16, 0.10])
    if kind == "globules":
        atoms, name = _globules(rng), "globules"
    else:
        count = int(rng.integers(2, 5)) if kind == "complex" else 1
        names = [library.names[i] for i in rng.choice(len(library.names), count, p=library.odds)]
        parts = [_centred(read_structure(library.folder / "npz" / f"{n}.npz"), rng) for n in names]
        atoms, name = _joined(parts, rng), "+".join(names)
        if kind == "ring":
            atoms, name = _ring(atoms, rng), name + " ring"
    return _centred(_limited(atoms), rng), name


def rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """A random rotation matrix, uniform over all."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def _centred(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    xyz = (atoms.xyz - atoms.xyz.mean(axis=0)) @ rotation(rng).T
    return Atoms(xyz.astype(np.float32), atoms.weight, atoms.part, atoms.mass)


def _merged(parts: list[Atoms]) -> Atoms:
    offset, numbers = 0, []
    for p in parts:
        numbers.append(p.part + offset)
        offset += int(p.part.max()) + 1
    return Atoms(np.concatenate([p.xyz for p in parts]), np.concatenate([p.weight for p in parts]),
                 np.concatenate(numbers), sum(p.mass for p in parts))


def _joined(parts: list[Atoms], rng: np.random.Generator) -> Atoms:
    """Parts set side by side until they touch."""
    result = parts[0]
    for part in parts[1:]:
        way = rng.normal(size=3)
        way /= np.linalg.norm(way)
        reach = np.percentile(result.xyz @ way, 95) - np.percentile(part.xyz @ way, 5)
        moved = part.xyz + (way * reach * rng.uniform(0.75, 1.0)).astype(np.float32)
        result = _merged([result, Atoms(moved.astype(np.float32), part.weight, part.part, part.mass)])
    return result


def _ring(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Copies around an axis; in half of the cases a second layer turned over (dihedral)."""
    count = int(rng.integers(2, 9))
    width = float(np.ptp(np.percentile(atoms.xyz[:, 1], [5, 95])))
    shift = np.array([width / (2 * np.sin(np.pi / count)) * rng.uniform(0.75, 1.0), 0, 0])
    copies = [atoms.xyz + shift]
    if rng.random() < 0.5:
        height = float(np.percentile(atoms.xyz[:, 2], 95)) * rng.uniform(0.8, 1.1)
        lower = copies[0] + [0, 0, height]
        copies = [lower, lower * [1, -1, -1]]
    turned = []
    for n in range(count):
        c, s = np.cos(2 * np.pi * n / count), np.sin(2 * np.pi * n / count)
        turned += [(xyz @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])).astype(np.float32) for xyz in copies]
    return _merged([Atoms(xyz, atoms.weight, atoms.part, atoms.mass) for xyz in turned])


def _globules(rng: np.random.Generator) -> Atoms:
    """Ellipsoids full of random atoms, or of a dense random walk, each touching an earlier one."""
    parts: list[Atoms] = []
    for _number in range(int(rng.integers(2, 14))):
        axes = rng.uniform(9, 24, 3)
        count = int(4 / 3 * np.pi * axes.prod() / 1.21 / DALTON_PER_ATOM)
        if rng.random() < 0.5:
            walk = np.cumsum(rng.normal(0, 1.5, (count, 3)), axis=0)
            xyz = np.abs((walk / 20 + rng.uniform(0, 4, 3)) % 4 - 2) - 1  # folded into -1..1
        else:
            xyz = rng.uniform(-1, 1, (count, 3))
        xyz /= np.maximum(1, np.linalg.norm(xyz, axis=1) / rng.uniform(0.8, 1.0, count))[:, None]
        xyz = xyz * axes
        if parts:
            other = parts[int(rng.integers(len(parts)))]
            way = rng.normal(size=3)
            way /= np.linalg.norm(way)
            reach = np.percentile(other.xyz @ way, 98) - other.xyz.mean(axis=0) @ way - np.percentile(xyz @ way, 2)
            xyz = xyz + other.xyz.mean(axis=0) + way * reach * rng.uniform(0.8, 1.1)
        parts.append(Atoms(xyz.astype(np.float32), np.full(count, 1.15, np.float32), np.zeros(count, np.int32),
                           count * DALTON_PER_ATOM))
    return _merged(parts)
