"""Simulation of realistic maps of molecules, each with its best contour level as the label.

Envelope: the noise-free density of the parts that are present (occupancy 0.5 or more), at the map's
resolution d (point atoms convolved with a Gaussian of SD 0.225 d), above the level that encloses
1.21 A^3/Da of these parts. Label: the level of the *finished* map (filtered, masked, noisy, on its
original grid) at which the voxels above it have the highest Dice coefficient with the envelope; the
middle of the levels within 0.0005 of the highest.

Maps in boxes of more than MAX_GRID voxels per side are made on the smallest grid that holds their
resolution (at least 2.3 voxels per resolution). Fourier cropping to 64^3 gives the same result, and
Dice depends only on volumes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import package  # noqa: F401  (puts src on the path)
import scipy.fft
from degrade import finish
from lattice import Lattice, Map
from numpy.typing import NDArray
from structures import Atoms, Library, draw_molecule

from core.common.errors import JunkMap
from core.maps.grid import Grid, to_box
from core.thresholds.normalize import normalize

BOX = 64
CUBIC_A_PER_DALTON = 1.21
MIN_DICE = 0.6
#: Normalized levels at which the Dice coefficient of every map is recorded.
LEVELS = np.linspace(-1, 1, 513)
#: Boxes and their frequencies; about half of the maps with BOX are made like those of a decoder.
BOXES = {
    32: 0.03,
    40: 0.01,
    48: 0.03,
    56: 0.02,
    63: 0.01,
    64: 0.58,
    75: 0.01,
    80: 0.03,
    96: 0.06,
    100: 0.02,
    128: 0.08,
    160: 0.02,
    200: 0.02,
    256: 0.04,
    320: 0.025,
    400: 0.015,
}
MAX_GRID, SAMPLING = 96, 2.3
#: Scattering of the solvent displaced by an atom, relative to carbon: 0.038 / A^3 (water) times
#: 16.9 or 13.9 A^3 per heavy atom of protein or nucleic acid (partial specific volumes 0.73 and
#: 0.55 ml/g).
SOLVENT_PROTEIN, SOLVENT_NUCLEIC = 0.64, 0.53


@dataclass(frozen=True)
class Sample:
    """A finished map, normalized at 64^3, with its ground truth.

    Attributes
    ----------
    x : (64, 64, 64) float32
        Normalized map.
    label : float
        Best level, normalized by the range of the 64^3 map.
    dice : (513,) float32
        Dice with the envelope, on the original grid, at each of LEVELS.
    volume : (513,) float32
        Volume above each of LEVELS, relative to that of the envelope.
    facts : dict
        How the map was made.
    raw : (z, y, x) float32
        The map on its original grid.
    scale : (float, float)
        vol_min and vol_max of the 64^3 map.
    envelope : (z, y, x) bool
        On the original grid.
    """

    x: Map
    label: float
    dice: NDArray[np.float32]
    volume: NDArray[np.float32]
    facts: dict[str, float | str]
    raw: Map
    scale: tuple[float, float]
    envelope: NDArray[np.bool_]


def simulate(library: Library, rng: np.random.Generator) -> Sample:
    """Simulate a map, redrawn until its best Dice is MIN_DICE: others have no correct level."""
    return siblings(library, rng, 1)[0]


def siblings(library: Library, rng: np.random.Generator, count: int) -> list[Sample]:
    """Simulate maps of one molecule in one pose and box with different filters, noise and masks."""
    samples: list[Sample] = []
    while not samples:
        scene = _scene(library, rng)
        for _ in range(4 * count if scene else 0):
            sample = _finished_map(scene, rng)  # type: ignore[arg-type]
            if sample is not None:
                samples.append(sample)
            if len(samples) == count:
                return samples
            if not samples:
                break  # draw another molecule, as for single maps
    return [samples[i % len(samples)] for i in range(count)]


@dataclass(frozen=True)
class _Scene:
    """Shared by siblings: the molecule's Fourier transform, envelope, position and facts."""

    lattice: Lattice
    transform: NDArray[np.complex64]
    envelope: NDArray[np.bool_]
    center: NDArray[np.floating]
    extent: float
    facts: dict[str, float | str]


def _scene(library: Library, rng: np.random.Generator) -> _Scene | None:
    atoms, name = draw_molecule(library, rng)
    extent = 2 * float(np.percentile(np.linalg.norm(atoms.xyz[::7], axis=1), 99))
    box = int(rng.choice(list(BOXES), p=np.array(list(BOXES.values())) / sum(BOXES.values())))
    fraction = rng.uniform(0.15, 0.9)
    pixel = float(np.clip(extent / (fraction * box), 0.5, 7.0))
    if not 0.12 < extent / (box * pixel) < 0.95:
        return None
    decoder = bool(box == BOX and pixel > 2.5 and rng.random() < 0.6)
    resolution = _resolution(pixel, box, decoder, rng)
    if resolution > 20.5:
        return None
    n = (
        box
        if box <= MAX_GRID
        else min(
            box,
            max(
                MAX_GRID, scipy.fft.next_fast_len(int(np.ceil(SAMPLING * box * pixel / resolution)))
            ),
        )
    )
    lattice = Lattice(n, box * pixel / n)
    facts: dict[str, float | str] = {
        "name": name,
        "box": box,
        "pixel": pixel,
        "resolution": resolution,
        "decoder": int(decoder),
        "fraction": extent / (box * pixel),
        "mass_kda": atoms.mass / 1000,
        "grid": n,
    }
    center = n * lattice.pixel * (0.5 + rng.normal(0, 0.02, 3))
    made = _molecule(lattice, atoms, resolution, center, facts, rng)
    return _Scene(lattice, *made, center, extent, facts) if made else None


def _finished_map(scene: _Scene, rng: np.random.Generator) -> Sample | None:
    """One finished map of a scene; None if it cannot be labeled."""
    lattice, facts = scene.lattice, dict(scene.facts)
    count = int(scene.envelope.sum())
    signal = _signal(lattice, scene.transform, float(facts["resolution"]), rng)
    level = float(np.partition(signal.ravel(), -count)[-count])
    if level <= 0:
        return None
    array = finish(
        lattice,
        signal,
        scene.envelope,
        level,
        scene.center / lattice.pixel,
        scene.extent / lattice.pixel,
        facts,
        rng,
    )
    array, envelope = _cut_out(array, scene.envelope, facts, rng)
    return labeled_sample(array, envelope, lattice.pixel, facts)


def _resolution(pixel: float, box: int, decoder: bool, rng: np.random.Generator) -> float:
    """Draw a resolution of two voxels or more: up to four for decoders, more in large boxes."""
    widest = 2.0 if decoder else 4.0 if box > MAX_GRID else 3.2
    lowest = 2.02 if box <= 128 else 2.6
    return max(2.5, pixel * lowest * float(np.exp(rng.uniform(0, np.log(widest)))))


def _molecule(
    lattice: Lattice,
    atoms: Atoms,
    resolution: float,
    center: NDArray[np.floating],
    facts: dict[str, float | str],
    rng: np.random.Generator,
) -> tuple[NDArray[np.complex64], NDArray[np.bool_]] | None:
    """The Fourier transform of the molecule with its occupancies, and the envelope."""
    occupancy, loose = _occupancy(atoms, facts, rng)
    # solvent reduces the contrast, more if low frequencies are preserved
    contrast = atoms.weight - np.where(atoms.nucleic, SOLVENT_NUCLEIC, SOLVENT_PROTEIN).astype(
        np.float32
    ) * np.float32(rng.uniform(0.3, 1.1))
    weight = contrast * occupancy
    moving = loose if loose.any() and rng.random() < 0.6 else np.zeros_like(loose)
    xyz = atoms.xyz + center.astype(np.float32)
    transform = lattice.splat(xyz[~moving], weight[~moving])
    if moving.any():  # a moving domain is blurred
        facts["blurred"] = 1
        swing = resolution * rng.uniform(0.15, 1.0)
        transform = transform + lattice.splat(xyz[moving], weight[moving]) * lattice.gauss(swing)
    present = occupancy >= 0.5
    whole = present.all() and not moving.any() and atoms.nucleic.mean() in (0, 1)
    ideal = transform if whole else lattice.splat(xyz[present], atoms.weight[present])
    envelope = _envelope(lattice, ideal, resolution, atoms.mass * float(present.mean()))
    return (transform, envelope) if 20 <= envelope.sum() < 0.5 * envelope.size else None


def _occupancy(
    atoms: Atoms, facts: dict[str, float | str], rng: np.random.Generator
) -> tuple[Map, NDArray[np.bool_]]:
    """Occupancy of each atom, and whether it belongs to a loose domain.

    In half of the molecules, some chains, or everything on one side of a plane, are partly or
    completely absent, or loose.
    """
    occupancy, loose = np.ones(len(atoms.xyz), np.float32), np.zeros(len(atoms.xyz), bool)
    if rng.random() < 0.5:
        return occupancy, loose
    parts = int(atoms.part.max()) + 1
    if rng.random() < 0.6 and parts >= 4:
        chosen = rng.random(parts) < rng.uniform(0.1, 0.5)
        # occupancies of separate parts are independent; a decoder shows states, so mostly 0 or 1
        values = np.where(chosen, np.clip(rng.uniform(-0.3, 1.3, parts), 0, 1), 1.0)
        occupancy, loose = values[atoms.part].astype(np.float32), chosen[atoms.part]
    else:
        along = atoms.xyz @ rng.normal(size=3)
        loose = along > np.percentile(along[::7], rng.uniform(50, 90))
        occupancy[loose] = np.clip(rng.uniform(-0.2, 1.3), 0, 1)
    if (occupancy >= 0.5).mean() < 0.3:
        return np.ones_like(occupancy), np.zeros_like(loose)
    facts["absent"] = float((occupancy < 0.5).mean())
    return occupancy, loose


def _envelope(
    lattice: Lattice, ideal: NDArray[np.complexfloating], resolution: float, mass: float
) -> NDArray[np.bool_]:
    density = lattice.inverse(ideal * lattice.gauss(0.225 * resolution))
    count = min(density.size - 1, max(1, round(mass * CUBIC_A_PER_DALTON / lattice.pixel**3)))
    return density >= np.partition(density.ravel(), -count)[-count]


def _signal(
    lattice: Lattice,
    transform: NDArray[np.complexfloating],
    resolution: float,
    rng: np.random.Generator,
) -> Map:
    """Density at the resolution, sharpened or not, with blurred regions or negative rings."""
    kd2 = lattice.k2 * np.float32(resolution**2)
    # decay is B / (4 d^2): 1 is the Gaussian of the envelope, 0 fully sharpened point atoms, below
    # 0 over-sharpened, above 1 unsharpened with B up to 250 A^2
    decay = np.float32(rng.uniform(-0.7, min(2.5, max(1.2, 250 / (4 * resolution**2)))))
    transform = transform * (np.exp(-decay * kd2) / (1 + kd2 ** int(rng.integers(3, 12))))
    side = lattice.n * lattice.pixel
    if rng.random() < 0.55:  # low frequencies damped, as by high-pass filters and normalization
        sigma = side * float(np.exp(rng.uniform(np.log(0.05), np.log(0.2))))
        transform = transform * (1 - np.float32(rng.uniform(0.1, 0.7)) * lattice.gauss(sigma))
    signal = lattice.inverse(transform)
    if rng.random() < 0.4:
        weight = lattice.field(side * rng.uniform(0.1, 0.5), rng)
        signal += (
            lattice.inverse(transform * lattice.gauss(resolution * rng.uniform(0.2, 0.8))) - signal
        ) * weight
    return signal


def _cut_out(
    array: Map, envelope: NDArray[np.bool_], facts: dict[str, float | str], rng: np.random.Generator
) -> tuple[Map, NDArray[np.bool_]]:
    """Crop a few maps to the molecule: not cubic, odd sizes."""
    facts["cut"] = int(rng.random() < 0.04)
    if not facts["cut"]:
        return array, envelope
    slices = []
    for axis in range(3):
        inside = np.flatnonzero(envelope.any(axis=tuple(a for a in range(3) if a != axis)))
        low, high = (
            int(inside[0]) - int(rng.integers(1, 6)),
            int(inside[-1]) + int(rng.integers(2, 7)),
        )
        slices.append(slice(max(0, low), min(len(array), max(high, low + 16))))
    return np.ascontiguousarray(array[tuple(slices)]), np.ascontiguousarray(envelope[tuple(slices)])


def labeled_sample(
    array: Map, envelope: NDArray[np.bool_], pixel: float, facts: dict[str, float | str]
) -> Sample | None:
    shape = (array.shape[0], array.shape[1], array.shape[2])
    small = array if shape == (BOX,) * 3 else to_box(array, Grid(shape, (pixel,) * 3), BOX)[0]
    if small.max() <= 0:
        return None
    try:
        x, used = normalize(small, "simulated map")
    except JunkMap:
        return None
    dice, volume = dice_curve(array, envelope, used.vol_min, used.vol_max)
    best = float(dice.max())
    if best < MIN_DICE:
        return None
    label = float(LEVELS[dice >= best - 0.0005].mean())
    return Sample(
        x,
        label,
        dice,
        volume,
        facts | {"best_dice": best, "label": label},
        array,
        (used.vol_min, used.vol_max),
        envelope,
    )


def dice_curve(
    array: Map, envelope: NDArray[np.bool_], vol_min: float, vol_max: float
) -> tuple[Map, Map]:
    """Dice coefficient with the envelope, and volume relative to it, (513,) each, at LEVELS."""
    x = 2 * (array - vol_min) / (vol_max - vol_min) - 1
    edges = len(LEVELS) - 1
    # above level j <=> bin > j
    bins = np.clip(np.ceil((x + 1) * (edges / 2)), 0, edges + 1).astype(np.int64).ravel()
    above = [
        np.bincount(b, minlength=edges + 2)[::-1].cumsum()[::-1][1:]
        for b in (bins, bins[envelope.ravel()])
    ]
    total = int(envelope.sum())
    return (2 * above[1] / (above[0] + total)).astype(np.float32), (above[0] / total).astype(
        np.float32
    )
