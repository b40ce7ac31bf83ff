"""Ensembles for the benchmark of blocks: from the simulator, from atomic models, and from ten real
volumes.

Atomic models and real volumes are outside the project, in ``../shared/data``; functions that need
them raise :class:`Absent` if they are missing. Arrays are z, y, x; points x, y, z in Angstrom.
"""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

from chimerax.siren.core.maps.ensemble import Ensemble, Source
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import read_map
from chimerax.siren.core.simulation.example import (
    SIGMA_PER_RESOLUTION,
    Simulation,
    compose,
    enclosing_level,
    planted_voxels,
    spectral_filter,
)
from chimerax.siren.core.simulation.parameters import BlockPlan, ExampleParameters
from score import Planted, planted_of

ROOT = Path(__file__).resolve().parents[2]
SHARED = next((p for p in (ROOT.parent / "shared" / "data",) if p.is_dir()), None)

# f(0) in A of electron scattering by neutral atoms (Peng et al. 1996, doi
# 10.1107/S0108767395014371); rare elements count as carbon
SCATTERING = {
    1: 0.529,
    6: 2.509,
    7: 2.211,
    8: 1.983,
    12: 5.207,
    15: 5.488,
    16: 5.161,
    20: 9.913,
    26: 7.165,
    30: 6.065,
}
MASS = {
    1: 1.0,
    6: 12.0,
    7: 14.0,
    8: 16.0,
    12: 24.3,
    15: 31.0,
    16: 32.1,
    20: 40.1,
    26: 55.8,
    30: 65.4,
}
NUMBER = {"H": 1, "C": 6, "N": 7, "O": 8, "MG": 12, "P": 15, "S": 16, "CA": 20, "FE": 26, "ZN": 30}
VOLUME_PER_DALTON = 1.21  # A^3
FEWEST_ATOMS = 150  # per part; smaller ones (ions, ligands, stubs of chains) join the core


class Absent(Exception):
    """The data for a condition are not on this machine."""


@dataclass(frozen=True)
class Case:
    """An ensemble with its ground truth and the contour levels given to the methods.

    Attributes
    ----------
    volumes : (V, z, y, x) float32
    grid : Grid
    planted : Planted, with the true levels
    levels : (V,) given to the methods
    off : factor by which they are too high as a whole (median of given over true levels; 1 if
        within 5 %). The level defines where the surface of a block is, so the planted voxels are
        those at the true level times this factor
    """

    volumes: NDArray[np.float32]
    grid: Grid
    planted: Planted
    levels: NDArray[np.float64]
    off: float

    @property
    def ensemble(self) -> Ensemble:
        """The volumes as an ensemble in memory."""
        return in_memory(self.volumes, self.grid, self.planted.files)


def in_memory(volumes: NDArray[np.float32], grid: Grid, names: Iterable[str]) -> Ensemble:
    """An ensemble of (V, z, y, x) arrays."""

    def reader(i: int) -> Callable[[], NDArray[np.float32]]:
        return lambda: volumes[i]

    names = tuple(names)
    return Ensemble(
        tuple(Source(n, None, reader(i), grid) for i, n in enumerate(names)), grid, names
    )


def case_of(
    s: Simulation,
    levels: str = "true",
    masked: bool = False,
    cut: tuple[slice, slice, slice] | None = None,
    far: float = 1.0,
) -> Case:
    """The volumes of a simulation, with contour levels.

    Parameters
    ----------
    levels : 'true', 'jitter' (each times 1 +- 20 %, uniform), 'one' (the same for all volumes),
        'predicted' (by the shipped network)
    masked : set everything outside a tight mask around the particle (with all blocks) to exactly 0
    cut : the part of the box to keep, z, y, x; a step makes voxels longer along that axis
    far : factor on all given levels, to make them too high or too low
    """
    volumes = np.stack([s.volume(i) for i in range(len(s))])
    planted, grid = planted_of(s), s.grid
    given = _given_levels(s, levels, volumes) * far
    off = float(np.median((given / s.levels)[~s.junk]))
    off = off if abs(off - 1) > 0.05 else 1.0
    if off != 1:
        planted = replace(
            planted,
            voxels=tuple(planted_voxels(s.core, [u.density for u in s.units], off * s.level)),
        )
    if masked:
        total = s.core + np.sum([u.density for u in s.units], axis=0)
        volumes *= ndimage.binary_dilation(total > 0.5 * s.level, iterations=2)
    if cut is not None:
        volumes = np.ascontiguousarray(volumes[(slice(None), *cut)])
        size = tuple(
            edge * (part.step or 1) for edge, part in zip(grid.voxel_size, cut[::-1], strict=True)
        )
        numbers = np.arange(grid.size).reshape(grid.shape)[cut].ravel()
        grid = Grid(volumes.shape[1:], size)
        voxels = tuple(np.flatnonzero(np.isin(numbers, v)) for v in planted.voxels)
        planted = replace(planted, voxels=voxels, shape=grid.shape)
    return Case(volumes, grid, planted, given, off)


def _given_levels(s: Simulation, levels: str, volumes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Levels (V,) of a kind, see :func:`case_of`."""
    if levels == "one":
        return np.full(len(s), s.level)
    if levels == "jitter":
        return s.levels * np.random.default_rng(s.parameters.seed).uniform(0.8, 1.2, len(s))
    if levels == "predicted":
        return predicted_levels(in_memory(volumes, s.grid, s.names))
    return s.levels


def predicted_levels(ensemble: Ensemble) -> NDArray[np.float64]:
    """Levels (V,) from ``siren predict``; Absent without torch."""
    try:
        import torch
    except ImportError:
        raise Absent("torch is not installed") from None
    from chimerax.siren.core.thresholds.parameters import PredictParameters
    from chimerax.siren.core.thresholds.predict import predict_levels

    torch.set_num_threads(1)
    predictions = predict_levels(ensemble, PredictParameters(device="cpu"))
    return np.array([p.level for p in predictions.rows])


# --- atomic models


@dataclass(frozen=True)
class Part:
    """Atoms that stay together: points (n, 3) x, y, z in A; elements (n,) as atomic numbers."""

    name: str
    points: NDArray[np.float64]
    elements: NDArray[np.int64]

    @property
    def mass(self) -> float:
        """Mass in Dalton."""
        return float(
            sum(
                MASS.get(e, 40.0) * n
                for e, n in zip(*np.unique(self.elements, return_counts=True), strict=True)
            )
        )

    @property
    def center(self) -> NDArray[np.float64]:
        """Mean position (3,)."""
        return np.asarray(self.points.mean(axis=0))


def together(name: str, parts: Iterable[Part]) -> Part:
    """Join parts into one."""
    parts = list(parts)
    return Part(
        name, np.concatenate([p.points for p in parts]), np.concatenate([p.elements for p in parts])
    )


def density(part: Part, grid: Grid, resolution: float) -> NDArray[np.float32]:
    """Density (z, y, x): atoms weighted by their scattering, as Gaussians that fall to 1/e at
    1/resolution in Fourier space.
    """
    # the lattice for the atoms is finer by this factor, so that rounding positions has no effect
    fine = 2
    shape = tuple(fine * n for n in grid.shape)
    index = np.rint(
        (part.points - np.asarray(grid.origin)) / np.asarray(grid.voxel_size) * fine
    ).astype(int)[:, ::-1]
    inside = ((index >= 0) & (index < shape)).all(axis=1)
    weight = np.array([SCATTERING.get(int(e), 6.0) for e in part.elements])[inside]
    flat = np.ravel_multi_index(tuple(index[inside].T), shape)
    array = np.bincount(flat, weight, int(np.prod(shape))).reshape(shape)
    sigma = [SIGMA_PER_RESOLUTION * resolution / edge * fine for edge in grid.voxel_size[::-1]]
    return np.asarray(
        ndimage.gaussian_filter(array, sigma, mode="constant")[::fine, ::fine, ::fine], np.float32
    )


@cache
def ribosome() -> tuple[Part, ...]:
    """The parts of the 50S: proteins and RNA helices, in the frame of the real volumes."""
    if SHARED is None:
        raise Absent("../shared/data/ribosome_50S is missing")
    parts = []
    for path in sorted((SHARED / "ribosome_50S").glob("*.pdb.gz")):
        atoms: dict[str, list[tuple[float, float, float, int]]] = {}
        with gzip.open(path, "rt") as file:
            for line in file:
                if line.startswith("ATOM"):
                    x, y, z = (float(line[k : k + 8]) for k in (30, 38, 46))
                    atoms.setdefault(line[21], []).append(
                        (x, y, z, NUMBER.get(line[76:78].strip(), 6))
                    )
        for chain, rows in atoms.items():
            table = np.array(rows)
            parts.append(Part(f"{path.name[:-7]} {chain}", table[:, :3], table[:, 3].astype(int)))
    return tuple(parts)


@cache
def assembly(name: str) -> tuple[Part, ...]:
    """The chains of an assembly of ../shared/data/structures, by PDB id."""
    if SHARED is None:
        raise Absent("../shared/data/structures is missing")
    spec = importlib.util.spec_from_file_location(
        "load_structure", SHARED / "structures" / "load_structure.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    atoms = module.load(name)
    return tuple(
        Part(
            f"chain {c}",
            atoms["xyz"][atoms["chain"] == c].astype(float),
            atoms["elem"][atoms["chain"] == c].astype(int),
        )
        for c in np.unique(atoms["chain"])
    )


def grouped(
    parts: tuple[Part, ...], groups: int, core: float, rng: np.random.Generator
) -> tuple[Part, list[Part]]:
    """Group parts into a core and blocks: neighbors go together (k-means of the parts' centers)
    unless there are only few parts.

    The core is the heaviest group and those nearest to the particle's center, until they have the
    share ``core`` of the mass; parts of fewer than 150 atoms join it.
    """
    small = [p for p in parts if len(p.points) < FEWEST_ATOMS]
    large = [p for p in parts if len(p.points) >= FEWEST_ATOMS]
    centers = np.array([p.center for p in large])
    label = (
        np.arange(len(large))
        if len(large) <= groups
        else kmeans2(centers, groups, minit="++", seed=rng)[1]
    )
    clusters = [
        together(f"group {g}", [p for p, own in zip(large, label, strict=True) if own == g])
        for g in np.unique(label)
    ]
    whole = together("whole", large)
    first = max(clusters, key=lambda c: c.mass)
    clusters.sort(
        key=lambda c: float(np.linalg.norm(c.center - whole.center)) if c is not first else -1.0
    )
    taken = [
        c
        for c, before in zip(clusters, np.cumsum([0.0, *(c.mass for c in clusters)]), strict=False)
        if before < core * whole.mass
    ]
    return together("core", [*taken, *small]), clusters[len(taken) :]


def planned(blocks: list[Part], rng: np.random.Generator) -> list[BlockPlan]:
    """Plan occupancies of 5-95 %; a third of the blocks occurs only with its nearest earlier one,
    some never with another.
    """
    plan: list[BlockPlan] = []
    for k, block in enumerate(blocks):
        nearest = int(np.argmin(cdist([block.center], [b.center for b in blocks[:k]]))) if k else -1
        draw, occupancy = rng.random(), float(rng.uniform(0.1, 0.92))
        if k and draw < 0.33:
            plan.append(
                BlockPlan(
                    block.name, occupancy=0.35 + 0.4 * occupancy, only_with=blocks[nearest].name
                )
            )
        elif k and draw < 0.45:
            plan.append(
                BlockPlan(
                    block.name, occupancy=occupancy, never_with=blocks[int(rng.integers(k))].name
                )
            )
        else:
            plan.append(BlockPlan(block.name, occupancy=occupancy))
    return plan


def from_parts(
    parts: tuple[Part, ...],
    grid: Grid,
    seed: int,
    groups: int = 10,
    core: float = 0.3,
    resolution: float | None = None,
    real_noise: bool = False,
    two_places: bool = True,
    **changed: object,
) -> Simulation:
    """An ensemble from an atomic model whose parts are grouped into a core and blocks that come and
    go.

    Parameters
    ----------
    grid : a cube
    seed : of groups, plan, states and noise
    groups : number of groups, some of which make up the core
    core : its share of the mass
    resolution : of the density, A; default 2.4 voxels
    real_noise : use the spectrum of the ten real volumes (:func:`real_spectrum`) instead of the
        curve fitted to it
    two_places : join the two blocks farthest apart into one, if more than four are left
    changed : fields of ExampleParameters
    """
    rng = np.random.default_rng([seed, 10])
    fixed, blocks = grouped(parts, groups, core, rng)
    if two_places and len(blocks) > 5:
        apart = cdist([b.center for b in blocks], [b.center for b in blocks])
        a, b = sorted(np.unravel_index(int(apart.argmax()), apart.shape))
        blocks = [
            together("two places", [blocks[a], blocks[b]]),
            *(p for k, p in enumerate(blocks) if k not in (a, b)),
        ]
    plan = planned(blocks, rng)
    resolution = resolution or 2.4 * grid.voxel_size[0]
    center = density(fixed, grid, resolution)
    densities = {b.name: density(b, grid, resolution) for b in blocks}
    mass = fixed.mass + sum(b.mass for b in blocks)
    level = enclosing_level(
        np.sum([center, *densities.values()], axis=0), mass * VOLUME_PER_DALTON / grid.voxel_volume
    )
    p = ExampleParameters(
        box=grid.shape[0], voxel_size=grid.voxel_size[0], seed=seed, blocks=tuple(plan), **changed
    )
    s = compose(p, grid, center, densities, level)
    return replace(s, noise_filter=spectral_filter(p.box, real_spectrum())) if real_noise else s


def ribosome_ensemble(seed: int, **changed: object) -> Simulation:
    """An ensemble of the 50S, in the frame of the real volumes: box 64, 6.55 A."""
    return from_parts(
        ribosome(), Grid((64,) * 3, (6.55,) * 3), seed, groups=13, real_noise=True, **changed
    )


def assembly_ensemble(name: str, seed: int, box: int = 64, **changed: object) -> Simulation:
    """An ensemble of an assembly that fills 70 % of the box."""
    parts = assembly(name)
    points = np.concatenate([p.points for p in parts])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    edge = 2 * float(np.percentile(np.linalg.norm(points - middle, axis=1), 99.5)) / (0.7 * box)
    moved = tuple(replace(p, points=p.points - middle + edge * box / 2) for p in parts)
    return from_parts(moved, Grid((box,) * 3, (edge,) * 3), seed, **changed)


# --- real volumes


@cache
def real_volumes() -> tuple[NDArray[np.float32], Grid]:
    """The real volumes of the 50S (10, z, y, x), and their grid."""
    if SHARED is None:
        raise Absent("../shared/data/real_ensemble is missing")
    maps = [read_map(path) for path in sorted((SHARED / "real_ensemble").glob("vol_*.mrc"))]
    return np.stack([m[0] for m in maps]), maps[0][1]


@cache
def real_spectrum() -> Callable[[NDArray[np.floating]], NDArray[np.floating]]:
    """Power spectrum of the noise of the real volumes (each minus their mean, outside the particle)
    as a function of cycles/voxel.
    """
    volumes, _ = real_volumes()
    rest = volumes - volumes.mean(axis=0)
    particle = ndimage.binary_dilation(volumes.max(axis=0) > 0.5 * REAL_LEVEL, iterations=2)
    outside = ndimage.gaussian_filter((~particle).astype(np.float32), 1.5)
    power = np.mean([np.abs(np.fft.rfftn(r * outside)) ** 2 for r in rest], axis=0)
    box = volumes.shape[-1]
    full, half = np.fft.fftfreq(box), np.fft.rfftfreq(box)
    frequency = np.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + half**2)
    shell = np.rint(frequency * box).astype(int).ravel()
    mean = np.bincount(shell, power.ravel()) / np.bincount(shell)
    mean[0] = mean[1]
    return lambda f: np.interp(np.asarray(f) * box, np.arange(len(mean)), mean)


REAL_LEVEL = 0.9  # contour level that shows the subunit in the real volumes
