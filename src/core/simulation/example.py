"""Simulated ensembles with known blocks, for tutorials, the demo, tests and benchmarks.

Example::

    from chimerax.siren.core import ExampleParameters, simulate

    simulation = simulate(ExampleParameters(volumes=100, noise=2.0, seed=7))
    simulation.volume(0).shape  # -> (64, 64, 64)

:func:`.example_folder.write_example` writes maps and ground truth to a folder.

Pseudo-proteins are grown as self-avoiding walks at protein density, rendered at the chosen
resolution, present or absent in each volume by plan, and embedded in colored noise. Arrays are z,
y, x; points x, y, z in Angstrom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..common.progress import Progress
from ..maps.ensemble import Ensemble, Source
from ..maps.grid import Grid
from .parameters import BlockPlan, ExampleParameters
from .pseudoprotein import RESIDUE_VOLUME, ResidueLattice

Floats = NDArray[np.floating]

# Gaussian that falls to 1/e at 1/resolution in Fourier space
SIGMA_PER_RESOLUTION = 1 / (np.pi * np.sqrt(2.0))
SIDE_CHAIN = 2.5  # A, spread of the atoms of a residue (SD along each axis)


@dataclass(frozen=True)
class Unit:
    """A planted block, or one position of a moving one.

    Attributes
    ----------
    name : str
    density : (z, y, x) float32
        Noise-free, 1 in the bulk of a protein.
    voxels : (n,) int64
        Ground truth: flat indices, ascending, see :func:`simulate`.
    present : (V,) bool
        Volumes in which the unit is present.
    """

    name: str
    density: NDArray[np.float32]
    voxels: NDArray[np.int64]
    present: NDArray[np.bool_]


@dataclass(frozen=True)
class Simulation:
    """A simulated ensemble whose volumes are made on demand.

    Attributes
    ----------
    parameters : ExampleParameters
    grid : Grid
    core : (z, y, x) float32
        Density present in every volume.
    units : tuple of Unit
    shared : (n,) int64
        Flat indices of variable voxels that belong to no unit, see :func:`simulate`.
    level : float
        Contour level of the noise-free particle at scale 1.
    scale, offset : (V,) float64
        Volume = scale * (density + noise) + offset.
    junk : (V,) bool
        Junk volumes.
    noise_filter : (z, y, x // 2 + 1) float32
        See :func:`spectral_filter`.
    noise_envelope : (z, y, x) float32
        SD of the noise at scale 1.
    """

    parameters: ExampleParameters
    grid: Grid
    core: NDArray[np.float32]
    units: tuple[Unit, ...]
    shared: NDArray[np.int64]
    level: float
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    junk: NDArray[np.bool_]
    noise_filter: NDArray[np.float32] = field(repr=False)
    noise_envelope: NDArray[np.float32] = field(repr=False)

    def __len__(self) -> int:
        return self.parameters.volumes

    @property
    def levels(self) -> NDArray[np.float64]:
        """(V,) true contour level of each volume: scale * level + offset."""
        return self.scale * self.level + self.offset

    @property
    def names(self) -> tuple[str, ...]:
        """(V,) file names, ``vol_001.mrc`` ..."""
        digits = max(3, len(str(len(self))))
        return tuple(f"vol_{i:0{digits}d}.mrc" for i in range(1, len(self) + 1))

    def ensemble(self) -> Ensemble:
        """The volumes as an ensemble in memory; each is made whenever it is read."""
        sources = (
            Source(n, None, partial(self.volume, i), self.grid) for i, n in enumerate(self.names)
        )
        return Ensemble(tuple(sources), self.grid, self.names)

    def density(self, i: int) -> NDArray[np.float32]:
        """(z, y, x) noise-free density of volume ``i`` (0-based) at scale 1.

        That of a junk volume is smeared, or zero.
        """
        total = self.core.copy()
        for unit in self.units:
            if unit.present[i] or self.junk[i]:
                total += unit.density
        if not self.junk[i]:
            return total
        # two ways in which decoders fail, in turn: no particle, or a smeared one
        if np.count_nonzero(self.junk[:i]) % 2 == 0:
            return np.zeros_like(total)
        transform = scipy.fft.rfftn(total)
        # Gaussian of SD 5 voxels
        transform *= np.exp(-2 * (np.pi * 5.0 * _frequency(self.parameters.box)) ** 2)
        return np.asarray(scipy.fft.irfftn(transform, total.shape), np.float32)

    def noise(self, i: int) -> NDArray[np.float32]:
        """(z, y, x) noise of volume ``i`` (0-based) at scale 1; see :func:`noise_power`."""
        box = self.parameters.box
        white = np.random.default_rng([self.parameters.seed, 3, i]).standard_normal(
            (box,) * 3, dtype=np.float32
        )
        transform = scipy.fft.rfftn(white, overwrite_x=True)
        transform *= self.noise_filter
        noise = scipy.fft.irfftn(transform, (box,) * 3, overwrite_x=True) * self.noise_envelope
        return np.asarray(noise * (3 if self.junk[i] else 1), np.float32)  # junk is noisier

    def volume(self, i: int) -> NDArray[np.float32]:
        """(z, y, x) float32: volume ``i`` (0-based) as a decoder might produce it."""
        array = self.density(i)
        if self.parameters.noise > 0:
            array += self.noise(i)
        return array * np.float32(self.scale[i]) + np.float32(self.offset[i])


def simulate(
    parameters: ExampleParameters | None = None, progress: Progress | None = None
) -> Simulation:
    """Plan an ensemble: structure, states and scales; ``Simulation.volume(i)`` makes its volumes.

    The contour level is that at which the whole particle (a moving block in its first position)
    encloses the volume of its residues, 1.21 A^3/Da. The true level of a volume is
    scale * level + offset.

    The voxels of a *unit* (a planted block, or one position of a moving one) are those where,
    without noise,

    1. the core and the unit alone exceed the level, so the voxel is occupied wherever the unit is
       present;
    2. everything else together (core, other units, other positions) does not, so the voxel is
       occupied nowhere else;
    3. the unit contributes more than everything else together.

    These sets are disjoint, and in every noise-free volume such a voxel is occupied exactly if its
    unit is present. Where two positions of a moving block overlap, the voxel follows neither; it is
    in ``shared``, like every other voxel that is occupied in some noise-free state, but neither by
    the core alone nor as part of a unit (thin seams).

    Parameters
    ----------
    parameters : ExampleParameters, optional
    progress : Progress, optional

    Returns
    -------
    Simulation

    Raises
    ------
    SirenError
        If the particle does not fit into the box.
    Cancelled
        If ``progress`` was asked to stop.
    """
    p = parameters or ExampleParameters()
    progress = progress or Progress()
    grid = Grid((p.box,) * 3, (p.voxel_size,) * 3)
    structure = p.seed if p.structure_seed is None else p.structure_seed
    chains = _grow(p, np.random.default_rng([structure, 0]), progress)
    core, *densities = [_render(points, p, progress) for points in chains.values()]
    unit_names = list(chains)[1:]

    first = [
        d
        for name, d in zip(unit_names, densities, strict=True)
        if "/" not in name or name.endswith("/1")
    ]
    count = sum(len(c) for name, c in chains.items() if "/" not in name or name.endswith("/1"))
    level = enclosing_level(
        np.sum([core, *first], axis=0), count * RESIDUE_VOLUME / grid.voxel_volume
    )
    return compose(p, grid, core, dict(zip(unit_names, densities, strict=True)), level)


def compose(
    p: ExampleParameters,
    grid: Grid,
    core: NDArray[np.float32],
    densities: dict[str, NDArray[np.float32]],
    level: float,
) -> Simulation:
    """Make an ensemble from given densities of the core and the units, see :func:`simulate`.

    Parameters
    ----------
    p : ExampleParameters
        Of its structure, only the plan of the blocks is used.
    grid : Grid
        Grid of the densities, a cube of ``p.box`` voxels per side.
    core : (z, y, x) float32
        Density of the core.
    densities : dict of (z, y, x) float32
        Density of each unit, with the names and the order of the plan.
    level : float
        Contour level at scale 1.
    """
    total = np.sum([core, *densities.values()], axis=0)
    voxels = dict(
        zip(densities, planted_voxels(core, list(densities.values()), level), strict=True)
    )
    owned = np.zeros(grid.size, bool)
    owned[np.concatenate([*voxels.values(), np.empty(0, np.int64)])] = True
    shared = np.flatnonzero((total.ravel() > level) & (core.ravel() <= level) & ~owned)

    rng = np.random.default_rng([p.seed, 1])
    junk = np.zeros(p.volumes, bool)
    junk[rng.permutation(p.volumes)[: round(p.junk * p.volumes)]] = True
    present = _states(p.blocks, ~junk, rng)
    rng = np.random.default_rng([p.seed, 2])
    scale = np.exp(p.scale_jitter * rng.standard_normal(p.volumes))
    offset = p.offset_jitter * level * rng.standard_normal(p.volumes)
    units = tuple(Unit(n, d, voxels[n], present[n]) for n, d in densities.items())
    return Simulation(
        p,
        grid,
        core,
        units,
        shared,
        level,
        scale,
        offset,
        junk,
        _noise_filter(p.box),
        (p.noise * NOISE_SD * level * _envelope(p.box, p.noise_edge)).astype(np.float32),
    )


def planted_voxels(
    core: NDArray[np.float32], densities: Sequence[NDArray[np.float32]], level: float
) -> list[NDArray[np.int64]]:
    """Flat indices of the voxels of each unit at a level, as defined in :func:`simulate`."""
    total = np.sum([core, *densities], axis=0)
    return [
        np.flatnonzero((core + d > level) & (total - d <= level) & (d > total - d))
        for d in densities
    ]


# --- the plan


def _states(
    blocks: tuple[BlockPlan, ...], allowed: NDArray[np.bool_], rng: np.random.Generator
) -> dict[str, NDArray[np.bool_]]:
    """(V,) bool, presence of each unit, by name.

    Shares are exact to the nearest volume; only the choice of the volumes is random.
    """
    there: dict[str, NDArray[np.bool_]] = {}
    units: dict[str, NDArray[np.bool_]] = {}
    for b in blocks:
        possible = allowed.copy()
        if b.only_with is not None:
            possible &= there[b.only_with]
        if b.never_with is not None:
            possible &= ~there[b.never_with]
        order = rng.permutation(np.flatnonzero(possible))
        order = order[: round(b.occupancy * len(order))]
        there[b.name] = _flags(order, len(allowed))
        ends = np.round(np.cumsum(b.positions) * len(order)).astype(int)
        for k, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True), 1):
            units[f"{b.name}/{k}" if len(b.positions) > 1 else b.name] = _flags(
                order[start:end], len(allowed)
            )
    return units


def _flags(indices: NDArray[np.integer], size: int) -> NDArray[np.bool_]:
    flags = np.zeros(size, bool)
    flags[indices] = True
    return flags


# --- pseudo-proteins


def _grow(
    p: ExampleParameters, rng: np.random.Generator, progress: Progress
) -> dict[str, NDArray[np.float64]]:
    """Residue positions (n, 3) x, y, z in A from the box's center, by unit; the core is ``""``.

    Moving blocks are grown first, so that they have room to move; the result is in the order of the
    plan, after the core.
    """
    total = p.core_residues + sum(b.residues * len(b.positions) for b in p.blocks)
    reach = 0.45 * p.box * p.voxel_size - 1.5 * SIGMA_PER_RESOLUTION * p.resolution
    lattice = ResidueLattice(reach, total, rng, progress)
    grown: dict[str, NDArray[np.float64]] = {"": lattice.grow(p.core_residues, None)}
    for b in sorted(p.blocks, key=lambda b: len(b.positions) == 1):
        near = None
        if b.only_with is not None:
            near = grown[b.only_with if b.only_with in grown else f"{b.only_with}/1"].mean(axis=0)
        places = [lattice.grow(b.residues // b.places, near)]
        for _ in range(b.places - 1):
            places.append(lattice.grow(b.residues // b.places, near, away=places[-1].mean(axis=0)))
        points = np.concatenate(places)
        if len(b.positions) == 1:
            grown[b.name] = points
            continue
        grown[f"{b.name}/1"] = points
        for k in range(2, len(b.positions) + 1):
            grown[f"{b.name}/{k}"] = lattice.swing(points)
    order = [""] + [
        f"{b.name}/{k}" if len(b.positions) > 1 else b.name
        for b in p.blocks
        for k in range(1, len(b.positions) + 1)
    ]
    return {name: grown[name] for name in order}


# --- density and noise


def _render(
    points: NDArray[np.float64], p: ExampleParameters, progress: Progress
) -> NDArray[np.float32]:
    """(z, y, x) density of residues, a Gaussian each; bulk protein is near 1.

    ``points`` (n, 3) are x, y, z in A from the box's center.
    """
    result = np.zeros((p.box,) * 3, np.float64)
    if not len(points):
        return result.astype(np.float32)
    sigma = np.hypot(SIGMA_PER_RESOLUTION * p.resolution, SIDE_CHAIN)
    zyx = points[:, ::-1] + p.box // 2 * p.voxel_size
    low = np.maximum(np.floor((zyx.min(axis=0) - 6 * sigma) / p.voxel_size).astype(int), 0)
    high = np.minimum(np.ceil((zyx.max(axis=0) + 6 * sigma) / p.voxel_size).astype(int) + 1, p.box)
    window = result[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    for start in range(0, len(zyx), 128):
        progress.step("rendering the particle", start / len(zyx))
        gz, gy, gx = (
            np.exp(
                -((np.arange(a, b) * p.voxel_size - zyx[start : start + 128, k, None]) ** 2)
                / (2 * sigma**2)
            )
            for k, (a, b) in enumerate(zip(low, high, strict=True))
        )
        plane = (gy[:, :, None] * gx[:, None, :]).reshape(len(gz), -1)
        window += (gz.T @ plane).reshape(window.shape)
    result *= RESIDUE_VOLUME / (2 * np.pi * sigma**2) ** 1.5
    return result.astype(np.float32)


def enclosing_level(density: Floats, voxels: float) -> float:
    """The level above which ``density`` has that many voxels."""
    n = min(max(1, round(voxels)), density.size - 1)
    top = np.partition(density.ravel(), (density.size - n - 1, density.size - n))
    return float((float(top[-n - 1]) + float(top[-n])) / 2)


# Noise of real decoder volumes: ten 50S assembly intermediates from cryoDRGN (EMPIAR-10076, 64^3,
# 6.55 A), minus their mean, outside the particle. Spectrum fitted over 2-30 cycles/box; SD at the
# box's center, relative to a level of about 0.9.
NOISE_CORNER = 0.024  # cycles/voxel
NOISE_EXPONENT = 2.8
NOISE_SD = 0.22  # of the level


def noise_power(frequency: Floats) -> NDArray[np.float64]:
    """Power spectrum of the noise (arbitrary unit) at spatial frequencies in cycles/voxel.

    ``(1 + (f / 0.024)^2)^(-2.8 / 2)``: flat at the lowest frequencies, then falling almost with the
    cube of the frequency.
    """
    return np.asarray(
        (1 + (np.asarray(frequency) / NOISE_CORNER) ** 2) ** (-NOISE_EXPONENT / 2), np.float64
    )


def _frequency(box: int) -> NDArray[np.float64]:
    """(box, box, box // 2 + 1) spatial frequency in cycles/voxel, in the order of ``rfftn``."""
    full, half = np.fft.fftfreq(box), np.fft.rfftfreq(box)
    return np.asarray(np.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + half**2), np.float64)


def _noise_filter(box: int) -> NDArray[np.float32]:
    """:func:`spectral_filter` of :func:`noise_power`."""
    return spectral_filter(box, noise_power)


def spectral_filter(box: int, spectrum: Callable[[Floats], Floats]) -> NDArray[np.float32]:
    """Fourier filter that gives white noise of SD 1 a power spectrum, at SD 1 and mean 0.

    Parameters
    ----------
    box : int
        Voxels per side.
    spectrum : callable
        Power (any unit) at spatial frequencies in cycles/voxel.

    Returns
    -------
    (box, box, box // 2 + 1) float32
        Factors for the ``rfftn`` of the noise.
    """
    power = np.array(spectrum(_frequency(box)), np.float64)
    power[0, 0, 0] = 0  # the offset sets the mean
    weight = np.full(box // 2 + 1, 2.0)  # rfftn has one of each pair of opposite frequencies
    weight[0] = 1
    if box % 2 == 0:
        weight[-1] = 1
    return np.asarray(np.sqrt(power * box**3 / (power * weight).sum()), np.float32)


def _envelope(box: int, edge: float) -> NDArray[np.float64]:
    """(z, y, x) SD of the noise relative to the center: a Gaussian that is ``edge`` mid-face."""
    squared = ((np.arange(box) - box // 2) / (box / 2)) ** 2
    return np.asarray(edge ** (squared[:, None, None] + squared[:, None] + squared), np.float64)
