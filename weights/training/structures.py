"""Molecules for simulation: real structures, symmetric assemblies and random globules."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Points = NDArray[np.float32]

#: Electron scattering amplitude at zero angle, relative to carbon (Peng 1996), including the
#: hydrogens of an average residue.
SCATTERING = {6: 1.25, 7: 1.05, 8: 0.85, 15: 2.2, 16: 2.1}
#: Da per heavy atom, hydrogens included: mean over residues and nucleotides.
DALTON_PER_ATOM = 14.2
MAX_ATOMS = 60_000
#: Molecules with a larger share of atoms in overcrowded cells are redrawn.
MAX_CROWDED_SHARE = 0.04
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Atoms:
    """A molecule of n heavy atoms.

    Attributes
    ----------
    xyz : (n, 3) float32
        Positions x, y, z in A.
    weight : (n,) float32
        Scattering amplitudes relative to carbon.
    part : (n,) int32
        Number of the chain.
    mass : float
        In Da.
    nucleic : (n,) bool
        Whether an atom belongs to nucleic acid.
    """

    xyz: Points
    weight: NDArray[np.float32]
    part: NDArray[np.int32]
    mass: float
    nucleic: NDArray[np.bool_]


@dataclass(frozen=True)
class Library:
    """Structures of one split, with the probability of drawing each."""

    paths: tuple[Path, ...]
    odds: NDArray[np.float64]


def read_library(folder: Path, split: str) -> Library:
    """Read the structures of a split: ``train``, ``validation`` (selects the epoch) or ``test``.

    A folder with ``metadata.csv`` and ``npz`` is the compact set. Its validation structures are
    divided into validation and test by their groups of near-identical structures, so that no group
    is in two splits. Amyloid filaments, of which there are 400, are drawn less often, and large
    structures, of which there are few, more often. In any other folder, mmCIF and PDB files,
    compressed or not, are split by a hash of their names and drawn with equal probability.

    Raises
    ------
    SystemExit
        If the folder has fewer than three files.
    """
    if not (folder / "metadata.csv").is_file():
        return _read_files(folder, split)
    with open(folder / "metadata.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if _split(row) == split]
    odds = np.array([_odds(row["category"], float(row["mass_kda"])) for row in rows])
    return Library(tuple(folder / "npz" / f"{row['id']}.npz" for row in rows), odds / odds.sum())


def _split(row: dict[str, str]) -> str:
    return (
        row["split"]
        if row["split"] == "train"
        else SPLITS[1 + zlib.crc32(row["dup_group"].encode()) % 2]
    )


def _read_files(folder: Path, split: str) -> Library:
    found = [
        p
        for p in folder.iterdir()
        if p.name.lower().removesuffix(".gz").endswith((".cif", ".mmcif", ".pdb", ".ent"))
    ]
    if len(found) < 3:
        raise SystemExit(
            f"{folder} has {len(found)} mmCIF or PDB files: give a folder with at "
            "least three, or the compact set "
            "(metadata.csv and npz)."
        )
    order = sorted(found, key=lambda p: (zlib.crc32(p.name.encode()), p.name))
    held = max(1, round(0.07 * len(order)))  # for validation and for test
    parts = {"validation": order[:held], "test": order[held : 2 * held], "train": order[2 * held :]}
    return Library(tuple(parts[split]), np.full(len(parts[split]), 1 / len(parts[split])))


def _odds(category: str, mass: float) -> float:
    return (0.15 if "amyloid" in category else 1.0) * min(4.0, max(0.5, mass / 150))


@lru_cache(maxsize=400)
def read_structure(path: Path) -> Atoms:
    """Read a structure of the compact set (see its load_structure.py) or a file; first assembly."""
    if path.suffix != ".npz":
        return _read_any(path)
    z = np.load(path)
    steps = np.cumsum(z["dxyz"].T.astype(np.int16), axis=0, dtype=np.int16)
    xyz = steps.astype(np.float32) * z["step"] + z["origin"]
    chain = (
        z["chain"].astype(np.int32)
        if "chain" in z
        else np.repeat(np.arange(len(z["chain_len"])), z["chain_len"])
    )
    element = z["elem"]
    nucleic = np.unpackbits(z["kind"], count=len(xyz)).astype(bool)
    if "ops" in z:
        chosen = np.unpackbits(z["sels"], axis=1, count=len(xyz)).astype(bool)
        indices = [np.flatnonzero(chosen[s]) for s in z["opsel"]]
        copies = [xyz[i] @ op[:, :3].T + op[:, 3] for i, op in zip(indices, z["ops"], strict=True)]
        chains = int(chain.max()) + 1
        chain = np.concatenate([chain[i] + n * chains for n, i in enumerate(indices)])
        element = np.concatenate([element[i] for i in indices])
        nucleic = np.concatenate([nucleic[i] for i in indices])
        xyz = np.concatenate(copies)
    return _atoms(xyz, element, chain, nucleic)


def _read_any(path: Path) -> Atoms:
    """Read an mmCIF or PDB file with gemmi: heavy atoms of polymers and ligands, no water."""
    import gemmi

    structure = gemmi.read_structure(str(path))
    structure.setup_entities()
    structure.remove_waters()
    structure.remove_hydrogens()
    structure.remove_alternative_conformations()
    if len(structure.assemblies):
        structure.transform_to_assembly(
            structure.assemblies[0].name, gemmi.HowToNameCopiedChain.AddNumber
        )
    xyz, element, chain, nucleic = [], [], [], []
    for number, one in enumerate(structure[0]):
        for residue in one:
            base = gemmi.find_tabulated_residue(residue.name).is_nucleic_acid()
            for atom in residue:
                xyz.append(atom.pos.tolist())
                element.append(atom.element.atomic_number)
                chain.append(number)
                nucleic.append(base)
    if len(xyz) < 20:
        raise SystemExit(f"{path} has {len(xyz)} atoms: remove it from the folder.")
    return _atoms(
        np.array(xyz, np.float32), np.array(element), np.array(chain), np.array(nucleic, bool)
    )


def _atoms(
    xyz: NDArray[np.floating],
    element: NDArray[np.integer],
    chain: NDArray[np.integer],
    nucleic: NDArray[np.bool_],
) -> Atoms:
    table = np.ones(256, np.float32) * 1.2
    for number, weight in SCATTERING.items():
        table[number] = weight
    return _limited(
        Atoms(
            xyz.astype(np.float32),
            table[element],
            chain.astype(np.int32),
            len(xyz) * DALTON_PER_ATOM,
            nucleic,
        )
    )


def _limited(atoms: Atoms, limit: int = MAX_ATOMS) -> Atoms:
    """Thin to ``limit`` atoms, which represent several each, to bound the time."""
    step = -(-len(atoms.xyz) // limit)
    if step == 1:
        return atoms
    return Atoms(
        atoms.xyz[::step],
        atoms.weight[::step] * step,
        atoms.part[::step],
        atoms.mass,
        atoms.nucleic[::step],
    )


def draw_molecule(library: Library, rng: np.random.Generator) -> tuple[Atoms, str]:
    """Draw a molecule in a random orientation about the origin, and its name.

    Of ten, about six are single structures, one or two are rings, helices or polyhedral shells, two
    are complexes of different structures, and one consists of random globules.
    """
    while True:
        atoms, name = _draw(library, rng)
        if _crowding(atoms) < MAX_CROWDED_SHARE:
            return _centered(_limited(atoms), rng), name


def _crowding(atoms: Atoms) -> float:
    """Share of the atoms in cubes of 12 A above physical density, where parts interpenetrate."""
    cells = np.floor((atoms.xyz - atoms.xyz.min(axis=0)) / 12).astype(np.int64)
    size = cells.max(axis=0) + 1
    flat = np.ravel_multi_index(tuple(cells.T), tuple(size))
    count = np.bincount(flat) * (atoms.mass / len(atoms.xyz))
    return float((count > 1.3 * 12**3 / 1.21)[flat].mean())


def _draw(library: Library, rng: np.random.Generator) -> tuple[Atoms, str]:
    kind = rng.choice(
        ["structure", "ring", "helix", "shell", "complex", "globules"],
        p=[0.62, 0.09, 0.03, 0.02, 0.16, 0.08],
    )
    if kind == "globules":
        atoms, name = _globules(rng), "globules"
    else:
        count = int(rng.integers(2, 5)) if kind == "complex" else 1
        paths = [library.paths[i] for i in rng.choice(len(library.paths), count, p=library.odds)]
        parts = [_centered(read_structure(path), rng) for path in paths]
        atoms, name = _joined(parts, rng), "+".join(path.name.split(".")[0] for path in paths)
        many = {"ring": _ring, "helix": _helix, "shell": _shell}
        if kind in many:
            atoms, name = many[kind](_limited(atoms, 30_000), rng), f"{name} {kind}"
    return atoms, name


def rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """A random rotation matrix, uniformly distributed."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q


def _centered(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    xyz = (atoms.xyz - atoms.xyz.mean(axis=0)) @ rotation(rng).T
    return Atoms(xyz.astype(np.float32), atoms.weight, atoms.part, atoms.mass, atoms.nucleic)


def _merged(parts: list[Atoms]) -> Atoms:
    offset, numbers = 0, []
    for p in parts:
        numbers.append(p.part + offset)
        offset += int(p.part.max()) + 1
    return Atoms(
        np.concatenate([p.xyz for p in parts]),
        np.concatenate([p.weight for p in parts]),
        np.concatenate(numbers),
        sum(p.mass for p in parts),
        np.concatenate([p.nucleic for p in parts]),
    )


def _joined(parts: list[Atoms], rng: np.random.Generator) -> Atoms:
    """Parts placed side by side in contact."""
    result = parts[0]
    for part in parts[1:]:
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        reach = np.percentile(result.xyz @ direction, 95) - np.percentile(part.xyz @ direction, 5)
        moved = part.xyz + (direction * reach * rng.uniform(0.85, 1.05)).astype(np.float32)
        result = _merged(
            [
                result,
                Atoms(moved.astype(np.float32), part.weight, part.part, part.mass, part.nucleic),
            ]
        )
    return result


def _spread(place: Callable[[float], Atoms], rng: np.random.Generator) -> Atoms:
    """Copies at a random close distance, moved apart until they do not interpenetrate."""
    distance = rng.uniform(0.75, 1.0)
    for _ in range(12):
        atoms = place(distance)
        if _crowding(atoms) < MAX_CROWDED_SHARE:
            break
        distance *= 1.1
    return atoms


def _ring(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Cyclic copies around an axis; in half of the cases with a second layer (dihedral)."""
    count = int(rng.integers(2, 9))
    width = float(np.ptp(np.percentile(atoms.xyz[:, 1], [5, 95])))
    height = (
        float(np.percentile(atoms.xyz[:, 2], 95)) * rng.uniform(0.9, 1.1)
        if rng.random() < 0.5
        else None
    )
    angles = 2 * np.pi * np.arange(count) / count
    turns = [
        np.array([[np.cos(t), np.sin(t), 0], [-np.sin(t), np.cos(t), 0], [0, 0, 1]]) for t in angles
    ]

    def place(distance: float) -> Atoms:
        copies = [atoms.xyz + np.array([width / (2 * np.sin(np.pi / count)) * distance, 0, 0])]
        if height is not None:
            lower = copies[0] + np.array([0, 0, height * distance / 0.8])
            copies = [lower, lower * [1, -1, -1]]
        return _copies(atoms, [xyz @ turn for turn in turns for xyz in copies])

    return _spread(place, rng)


def _copies(atoms: Atoms, places: list[NDArray[np.floating]]) -> Atoms:
    """Copies of a molecule at given positions."""
    thin = _limited(atoms, max(200, MAX_ATOMS // len(places)))
    step = -(-len(atoms.xyz) // len(thin.xyz))
    return _merged(
        [
            Atoms(xyz[::step].astype(np.float32), thin.weight, thin.part, thin.mass, thin.nucleic)
            for xyz in places
        ]
    )


def _helix(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """A piece of a helical filament of touching copies."""
    count, turn = int(rng.integers(6, 40)), rng.uniform(15, 180)
    width, height = (float(np.ptp(np.percentile(atoms.xyz[:, a], [5, 95]))) for a in (0, 2))
    per_turn = 360 / turn
    radius = width * rng.uniform(0.4, 1.2)
    rise = (
        height
        * rng.uniform(0.8, 1.0)
        * max(0.15, min(1.0, width / (2 * np.pi * radius / per_turn + 1)))
    )
    places = []
    for n in range(count):
        c, s = np.cos(np.radians(n * turn)), np.sin(np.radians(n * turn))
        places.append(
            (atoms.xyz + np.array([radius, 0, n * rise]))
            @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
        )
    return _copies(atoms, places)


def _shell(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """Copies with tetrahedral, octahedral or icosahedral symmetry, as in capsids and ferritin."""
    group = Rotation.create_group(str(rng.choice(["T", "O", "I"]))).as_matrix()
    size = 2 * float(np.percentile(np.linalg.norm(atoms.xyz, axis=1), 85))
    direction = rng.normal(size=3)
    # so that the area of the shell is about that of the copies
    direction *= size * np.sqrt(len(group)) * 0.25 / np.linalg.norm(direction)
    return _spread(
        lambda distance: _copies(
            atoms, [(atoms.xyz + direction * distance) @ turn.T for turn in group]
        ),
        rng,
    )


def _globules(rng: np.random.Generator) -> Atoms:
    """Ellipsoids filled with atoms, uniformly or in clumps, each touching an earlier one."""
    parts: list[Atoms] = []
    for _number in range(int(rng.integers(2, 14))):
        axes = rng.uniform(9, 24, 3)
        count = int(4 / 3 * np.pi * axes.prod() / 1.21 / DALTON_PER_ATOM)
        xyz = rng.normal(size=(count, 3))
        xyz *= (rng.random(count) ** (1 / 3) / np.linalg.norm(xyz, axis=1))[:, None]
        xyz = xyz * axes
        if rng.random() < 0.5:
            xyz = xyz[rng.integers(0, count, count // 8)].repeat(8, axis=0) + rng.normal(
                0, 2.0, (count // 8 * 8, 3)
            )
        if parts:
            other = parts[int(rng.integers(len(parts)))]
            direction = rng.normal(size=3)
            direction /= np.linalg.norm(direction)
            reach = (
                np.percentile(other.xyz @ direction, 98)
                - other.xyz.mean(axis=0) @ direction
                - np.percentile(xyz @ direction, 2)
            )
            xyz = xyz + other.xyz.mean(axis=0) + direction * reach * rng.uniform(0.9, 1.1)
        parts.append(
            Atoms(
                xyz.astype(np.float32),
                np.full(len(xyz), 1.15, np.float32),
                np.zeros(len(xyz), np.int32),
                len(xyz) * DALTON_PER_ATOM,
                np.zeros(len(xyz), bool),
            )
        )
    return _merged(parts)
