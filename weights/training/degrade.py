"""From a molecule's density to a map: lipid, noise, mask, offset, scale."""

from __future__ import annotations

import numpy as np
from lattice import Lattice, Map
from numpy.typing import NDArray
from structures import rotation

Facts = dict[str, float | str]
#: Mean spectrum of decoder noise, fitted to ten real volumes (EMPIAR-10076): power (1 +
#: (f/corner)^2)^(-exponent/2), f in cycles/voxel; parameters are drawn around these.
CORNER, EXPONENT = 0.024, 2.8


def finish(
    lattice: Lattice,
    signal: Map,
    envelope: NDArray[np.bool_],
    level: float,
    center: NDArray[np.floating],
    extent: float,
    facts: Facts,
    rng: np.random.Generator,
) -> Map:
    """Add micelle or nanodisc, noise, mask, offset and scale.

    Parameters
    ----------
    lattice : Lattice
    signal : (z, y, x) float32
        Noise-free density.
    envelope : (z, y, x) bool
        The molecule.
    level : float
        Contour level of ``signal``.
    center : (3,)
        x, y, z in voxels.
    extent : float
        Diameter of the molecule in voxels.
    facts : dict
        Extended by what was drawn.
    rng : numpy.random.Generator

    Returns
    -------
    (z, y, x) float32
    """
    center = center[::-1]
    facts["micelle"] = str(rng.choice(["none", "micelle", "nanodisc"], p=[0.89, 0.07, 0.04]))
    if facts["micelle"] != "none":
        belt = _micelle if facts["micelle"] == "micelle" else _nanodisc
        signal = signal + belt(lattice, envelope, center, rng) * np.float32(
            rng.uniform(0.15, 1.0) * level
        )
    noise = float(np.exp(rng.uniform(np.log(0.01), np.log(0.55))))
    if facts["decoder"]:
        signal = signal + _decoder_noise(lattice, center, extent, rng) * np.float32(noise * level)
    else:
        signal = signal + _noise(
            lattice, center, extent, float(facts["resolution"]), rng
        ) * np.float32(noise * level)
    if rng.random() < 0.25:
        signal = signal + np.float32(rng.normal(0, 0.25) * level)
    odds = [0.75, 0.05, 0.05, 0.15] if facts["decoder"] else [0.45, 0.2, 0.15, 0.2]
    mask = str(rng.choice(["none", "soft", "tight", "sphere"], p=odds))
    facts |= {"noise": noise, "mask": mask}
    signal = _masked(lattice, signal, envelope, center, extent, mask, rng)
    return np.ascontiguousarray(
        signal * np.float32(np.exp(rng.uniform(-7, 7)) / level), dtype=np.float32
    )


def _masked(
    lattice: Lattice,
    signal: Map,
    envelope: NDArray[np.bool_],
    center: NDArray[np.floating],
    extent: float,
    mask: str,
    rng: np.random.Generator,
) -> Map:
    """Apply a mask: a sphere, or the molecule's shape with a wide (soft) or narrow margin."""
    if mask == "none":
        return signal
    if mask == "sphere":
        radius = rng.uniform(max(0.5 * extent, 0.3 * lattice.n), 0.5 * lattice.n + 1)
        weight = np.clip(
            (np.float32(radius) - lattice.radius(center)) / np.float32(rng.uniform(1, 6)), 0, 1
        )
        return np.asarray(signal * weight, np.float32)
    wide = (
        (rng.uniform(2.5, 5), rng.uniform(0.01, 0.06))
        if mask == "soft"
        else (rng.uniform(1.2, 2.5), rng.uniform(0.03, 0.1))
    )
    near = lattice.blur(envelope.astype(np.float32), wide[0] * lattice.pixel * lattice.n / 64)
    return np.asarray(
        signal * np.clip((near - np.float32(wide[1])) / np.float32(rng.uniform(0.05, 0.3)), 0, 1),
        np.float32,
    )


def _colored_noise(lattice: Lattice, spectrum: Map, rng: np.random.Generator) -> Map:
    """Noise of SD 1 with an amplitude spectrum in rfft order."""
    shape = (lattice.n, lattice.n, lattice.n // 2 + 1)
    transform = rng.standard_normal((*shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    noise = lattice.inverse(transform * spectrum)
    return noise / noise.std()


def _noise(
    lattice: Lattice,
    center: NDArray[np.floating],
    extent: float,
    resolution: float,
    rng: np.random.Generator,
) -> Map:
    """Noise as in the mean of two half maps: colored, mostly filtered, uniform or fading."""
    k = np.sqrt(lattice.k2)
    spectrum = (k + np.float32(1 / (lattice.n * lattice.pixel))) ** np.float32(-rng.uniform(0, 1.8))
    spectrum *= np.exp(-np.float32(rng.uniform(-0.5, 1.5) * resolution**2) * lattice.k2)
    if rng.random() < 0.8:
        spectrum /= 1 + (k * np.float32(resolution * rng.uniform(0.5, 1))) ** 12
    noise = _colored_noise(lattice, spectrum, rng)
    return noise * _fading(lattice, center, extent, rng) if rng.random() < 0.35 else noise


def _decoder_noise(
    lattice: Lattice, center: NDArray[np.floating], extent: float, rng: np.random.Generator
) -> Map:
    """Noise as in a decoder's volumes: strong at low frequencies, mostly fading outward."""
    corner, exponent = CORNER * float(np.exp(rng.normal(0, 0.6))), EXPONENT * rng.uniform(0.6, 1.5)
    spectrum = (1 + lattice.k2 * np.float32((lattice.pixel / corner) ** 2)) ** np.float32(
        -exponent / 4
    )
    noise = _colored_noise(lattice, spectrum, rng)
    return noise * _fading(lattice, center, extent, rng) if rng.random() < 0.8 else noise


def _fading(
    lattice: Lattice, center: NDArray[np.floating], extent: float, rng: np.random.Generator
) -> Map:
    middle = np.full(3, (lattice.n - 1) / 2) if rng.random() < 0.5 else center
    reach = (
        lattice.n * rng.uniform(0.2, 0.5) if rng.random() < 0.5 else extent * rng.uniform(0.2, 0.6)
    )
    fade = np.exp(np.float32(-0.5 / reach**2) * lattice.radius(middle) ** 2)
    floor = np.float32(rng.uniform(0.02, 0.5))
    return (floor + (1 - floor) * fade).astype(np.float32)


def _belt(
    lattice: Lattice,
    envelope: NDArray[np.bool_],
    center: NDArray[np.floating],
    rng: np.random.Generator,
) -> tuple[Map, Map, Map, float, float, Map]:
    """Coordinates of a lipid belt around the molecule.

    Returns
    -------
    along, y, z : (z, y, x) float32
        Coordinates in voxels, the first along the axis of the belt.
    around : float
        Radius of the molecule about the axis, in voxels.
    voxel : float
        Voxels per A.
    outside : (z, y, x) float32
        0 inside the molecule, and a random texture outside.
    """
    grid = np.stack(
        np.meshgrid(
            *[np.arange(lattice.n, dtype=np.float32) - np.float32(c) for c in center], indexing="ij"
        ),
        -1,
    )
    grid = grid @ rotation(rng).astype(np.float32)
    spread = np.abs(grid[envelope])
    around = float(np.percentile(np.hypot(spread[:, 1], spread[:, 2]), 80))
    along = grid[..., 0] - np.float32(rng.normal(0, 0.3) * float(np.percentile(spread[:, 0], 90)))
    outside = 1 - lattice.blur(envelope.astype(np.float32), 1.2 * lattice.pixel)
    texture = 0.6 + 0.8 * lattice.field(60.0 + lattice.pixel, rng)
    return (
        along,
        grid[..., 1],
        grid[..., 2],
        around,
        1 / lattice.pixel,
        (outside * texture).astype(np.float32),
    )


def _micelle(
    lattice: Lattice,
    envelope: NDArray[np.bool_],
    center: NDArray[np.floating],
    rng: np.random.Generator,
) -> Map:
    """Detergent micelle: an ellipsoid around the molecule, brighter at its rim."""
    along, y, z, around, voxel, outside = _belt(lattice, envelope, center, rng)
    wide, thick = (
        np.float32(around + rng.uniform(8, 25) * voxel),
        np.float32(rng.uniform(14, 26) * voxel),
    )
    e = np.sqrt((along / thick) ** 2 + (y / wide) ** 2 + (z / wide) ** 2)
    core, rim = np.float32(rng.uniform(0.0, 0.6)), np.float32(rng.uniform(0.08, 0.2))
    shell = core * np.float32(0.5) * (1 - np.tanh((e - np.float32(0.95)) / np.float32(0.12)))
    return np.asarray(
        (shell + (1 - core) * np.exp(-(((e - np.float32(0.92)) / rim) ** 2))) * outside, np.float32
    )


def _nanodisc(
    lattice: Lattice,
    envelope: NDArray[np.bool_],
    center: NDArray[np.floating],
    rng: np.random.Generator,
) -> Map:
    """Lipid nanodisc: head groups 36-42 A apart, weaker in between, with a scaffold at the rim."""
    along, y, z, around, voxel, outside = _belt(lattice, envelope, center, rng)
    half, soft = np.float32(rng.uniform(18, 21) * voxel), np.float32(max(4.0 * voxel, 0.8))
    wide = np.float32(around + rng.uniform(15, 45) * voxel)
    radius = np.hypot(y, z)
    disc = np.float32(0.5) * (1 - np.tanh((radius - wide) / soft))
    sheets = np.exp(-(((np.abs(along) - half) / soft) ** 2))
    inner = np.float32(rng.uniform(0.1, 0.6) * 0.5) * (1 - np.tanh((np.abs(along) - half) / soft))
    rim = (
        np.exp(-(((radius - wide) / (soft * 1.5)) ** 2))
        * np.exp(-((along / half) ** 2))
        * np.float32(rng.uniform(0.2, 1.0))
    )
    return np.asarray((disc * (sheets + inner) + rim) * outside, np.float32)
