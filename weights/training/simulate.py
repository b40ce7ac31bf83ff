"""Maps of molecules with everything that real maps have, and the level that suits each best.

The label. Envelope: the noise-free density of the parts that are present (occupancy 0.5 or more), at the map's
resolution d (atoms as points, Gaussian of sigma 0.225 d), above the level that encloses 1.21 A^3 for each Da of
these parts. Label: the level of the *finished* map (filtered, masked, noisy, on its own grid) whose set of voxels
above it has the highest Dice coefficient with the envelope; the middle of the levels within 0.0005 of the highest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import package  # noqa: F401  (puts src on the path)
import scipy.fft
from numpy.typing import NDArray
from structures import Atoms, Library, draw_molecule, rotation

from core.grid import fourier_resample
from core.thresholds.normalise import normalise

Map = NDArray[np.float32]
BOX = 64
CUBIC_A_PER_DALTON = 1.21
LEAST_DICE = 0.6
#: Levels on the normalised scale at which the Dice of every map is recorded.
LEVELS = np.linspace(-1, 1, 513)


@dataclass(frozen=True)
class Sample:
    """A finished map at 64^3 as the network sees it, and the truth.

    Attributes
    ----------
    x : (64, 64, 64) float32
        Normalised map.
    label : float
        Best level, normalised by the statistics of the 64^3 map.
    dice : (513,) float32
        Dice with the envelope, on the map's own grid, at each of LEVELS.
    volume : (513,) float32
        Volume above each of LEVELS over the envelope's.
    facts : dict
        How the map was made.
    raw : (n, n, n) float32
        The map on its own grid.
    scale : (float, float)
        vol_min and vol_max of the 64^3 map.
    """

    x: Map
    label: float
    dice: NDArray[np.float32]
    volume: NDArray[np.float32]
    facts: dict[str, float | str]
    raw: Map
    scale: tuple[float, float]


class Lattice:
    """A cubic box of n voxels of ``pixel`` A and its frequencies (1/A) in rfft order."""

    def __init__(self, n: int, pixel: float):
        self.n, self.pixel = n, pixel
        f = np.fft.fftfreq(n, pixel).astype(np.float32)
        self.k2 = f[:, None, None] ** 2 + f[None, :, None] ** 2 + np.abs(f[None, None, : n // 2 + 1]) ** 2
        self.k = np.sqrt(self.k2)

    def inverse(self, transform: NDArray[np.complexfloating]) -> Map:
        return scipy.fft.irfftn(transform, s=(self.n,) * 3).astype(np.float32)

    def forward(self, array: Map) -> NDArray[np.complex64]:
        return scipy.fft.rfftn(array)

    def blur(self, array: Map, sigma: float) -> Map:
        """Gaussian of sigma A."""
        return self.inverse(self.forward(array) * self.gauss(sigma))

    def gauss(self, sigma: float) -> Map:
        return np.exp(-2 * np.pi**2 * sigma**2 * self.k2)

    def radius(self, centre: NDArray[np.floating]) -> Map:
        """Distance of every voxel from a point z, y, x in voxels."""
        axes = [(np.arange(self.n, dtype=np.float32) - c) ** 2 for c in centre]
        return np.sqrt(axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]).astype(np.float32)

    def splat(self, xyz: NDArray[np.floating], weight: Map) -> NDArray[np.complex64]:
        """Transform of point atoms, on a grid finer than the map's and cropped to it. Positions from the box's corner, A."""
        fine = 2 * self.n if self.n <= 64 else 3 * self.n // 2
        index = np.rint(xyz[:, ::-1] * (fine / (self.n * self.pixel))).astype(np.int64) % fine
        flat = (index[:, 0] * fine + index[:, 1]) * fine + index[:, 2]
        counts = np.bincount(flat, weight, fine**3).astype(np.float32).reshape((fine,) * 3)
        # one axis at a time, cropped at once: what is dropped need not be transformed further
        low, high, n = (self.n + 1) // 2, self.n // 2, self.n
        t = scipy.fft.rfft(counts, axis=2)[:, :, : n // 2 + 1]
        t = scipy.fft.fft(t, axis=1)
        t = np.concatenate([t[:, :low], t[:, fine - high:]], axis=1)
        t = scipy.fft.fft(t, axis=0)
        return np.concatenate([t[:low], t[fine - high:]], axis=0)


def simulate(library: Library, rng: np.random.Generator) -> Sample:
    """One map. Drawn again until the best Dice reaches LEAST_DICE: a map that shows nothing has no right level."""
    while True:
        sample = _attempt(library, rng)
        if sample is not None:
            return sample


def _attempt(library: Library, rng: np.random.Generator) -> Sample | None:
    atoms, name = draw_molecule(library, rng)
    extent = 2 * float(np.percentile(np.linalg.norm(atoms.xyz, axis=1), 99))
    n = int(rng.choice([64, 96, 128, 48], p=[0.68, 0.09, 0.18, 0.05]))
    lowest, highest = (1.8, 8.0) if n <= 64 else (0.8, 4.0)
    pixel = float(np.clip(extent / (rng.uniform(0.15, 0.9) * n), lowest, highest))
    if not 0.1 < extent / (n * pixel) < 0.95:
        return None
    lattice = Lattice(n, pixel)
    resolution = max(2.5, pixel * 2.02 * float(np.exp(rng.uniform(0, np.log(3.5)))))
    if resolution > 25:
        resolution = max(2.02 * pixel, float(rng.uniform(12, 25)))
    occupancy = _occupancy(atoms, rng)
    centre = n * pixel / 2 + rng.normal(0, 0.02, 3) * n * pixel
    xyz = atoms.xyz + centre
    transform = lattice.splat(xyz, atoms.weight * occupancy)
    present = occupancy >= 0.5
    ideal = transform if occupancy.min() >= 1 else lattice.splat(xyz[present], atoms.weight[present])
    envelope = _envelope(lattice, ideal, resolution, atoms.mass * float(present.mean()))
    if not 20 <= envelope.sum() < 0.5 * envelope.size:
        return None
    signal = _signal(lattice, transform, resolution, rng)
    level = float(np.partition(signal.ravel(), -int(envelope.sum()))[-int(envelope.sum())])
    if level <= 0:
        return None
    facts: dict[str, float | str] = {"name": name, "box": n, "pixel": pixel, "resolution": resolution,
                                     "fraction": extent / (n * pixel), "mass_kda": atoms.mass / 1000}
    array = _finish(lattice, signal, envelope, level, centre / pixel, extent / pixel, facts, rng)
    return _labelled(array, envelope, facts)


def _occupancy(atoms: Atoms, rng: np.random.Generator) -> Map:
    """1 for most molecules; in two of five some chains, or all on one side of a plane, are partly or wholly absent."""
    occupancy = np.ones(len(atoms.xyz), np.float32)
    if rng.random() < 0.6:
        return occupancy
    if rng.random() < 0.5 and atoms.part.max() >= 3:
        values = np.where(rng.random(int(atoms.part.max()) + 1) < rng.uniform(0.1, 0.5), rng.uniform(0, 1), 1.0)
        occupancy = values[atoms.part].astype(np.float32)
    else:
        along = atoms.xyz @ rng.normal(size=3)
        occupancy[along > np.percentile(along, rng.uniform(50, 90))] = rng.uniform(0, 1)
    return occupancy if (occupancy >= 0.5).mean() > 0.3 else np.ones_like(occupancy)


def _envelope(lattice: Lattice, ideal: NDArray[np.complexfloating], resolution: float, mass: float) -> NDArray[np.bool_]:
    density = lattice.inverse(ideal * lattice.gauss(0.225 * resolution))
    count = min(density.size - 1, max(1, round(mass * CUBIC_A_PER_DALTON / lattice.pixel**3)))
    return density >= np.partition(density.ravel(), -count)[-count]


def _signal(lattice: Lattice, transform: NDArray[np.complexfloating], resolution: float, rng: np.random.Generator) -> Map:
    """Filtered to the resolution, sharpened or not, some regions blurred, surrounded by a negative ring or not."""
    cut = 1 / (1 + (lattice.k * resolution) ** (2 * rng.integers(3, 12)))
    decay = rng.uniform(-0.3, 3.0)  # B / (4 d^2): 0 is point atoms fully sharpened, 1 the envelope's own Gaussian
    transform = transform * cut * np.exp(-decay * (lattice.k * resolution) ** 2)
    signal = lattice.inverse(transform)
    side = lattice.n * lattice.pixel
    if rng.random() < 0.4:
        weight = _field(lattice, side * rng.uniform(0.05, 0.2), rng)
        blurred = lattice.inverse(transform * lattice.gauss(resolution * rng.uniform(0.2, 0.8)))
        signal = signal * (1 - weight) + blurred * weight
    if rng.random() < 0.65:
        ring = lattice.blur(np.maximum(signal, 0), side * float(np.exp(rng.uniform(np.log(0.05), np.log(0.2)))))
        signal = signal - np.float32(rng.uniform(0.1, 0.8)) * ring
    return signal


def _field(lattice: Lattice, sigma: float, rng: np.random.Generator) -> Map:
    """A smooth random field between 0 and 1."""
    field = lattice.blur(rng.standard_normal((lattice.n,) * 3, dtype=np.float32), sigma)
    return (1 / (1 + np.exp(-3 * (field / field.std() - rng.uniform(-0.5, 1.5))))).astype(np.float32)


def _finish(lattice: Lattice, signal: Map, envelope: NDArray[np.bool_], level: float, centre: NDArray[np.floating],
            extent: float, facts: dict[str, float | str], rng: np.random.Generator) -> Map:
    """Micelle, noise, mask, offset and scale."""
    micelle = rng.random() < 0.12
    if micelle:
        signal = signal + _micelle(lattice, envelope, centre, level, rng)
    noise = float(np.exp(rng.uniform(np.log(0.01), np.log(0.55))))
    signal = signal + _noise(lattice, centre, extent, facts, rng) * np.float32(noise * level)
    mask = str(rng.choice(["none", "soft", "tight", "sphere"], p=[0.5, 0.18, 0.1, 0.22]))
    if mask == "sphere":
        radius = rng.uniform(max(0.5 * extent, 0.3 * lattice.n), 0.5 * lattice.n + 1)
        signal = signal * np.clip((radius - lattice.radius(centre)) / rng.uniform(1, 6), 0, 1)
    elif mask != "none":
        soft = mask == "soft"
        sigma, cut = (rng.uniform(2.5, 5), rng.uniform(0.01, 0.06)) if soft else (rng.uniform(1.2, 2.5), rng.uniform(0.03, 0.1))
        near = lattice.blur(envelope.astype(np.float32), sigma * lattice.pixel * lattice.n / 64)
        signal = signal * np.clip((near - cut) / rng.uniform(0.05, 0.3), 0, 1)
    elif rng.random() < 0.15:
        signal = signal + np.float32(rng.normal(0, 0.2) * level)
    facts |= {"micelle": int(micelle), "noise": noise, "mask": mask}
    return np.ascontiguousarray(signal * np.float32(np.exp(rng.uniform(-7, 7)) / level), dtype=np.float32)


def _noise(lattice: Lattice, centre: NDArray[np.floating], extent: float, facts: dict[str, float | str],
           rng: np.random.Generator) -> Map:
    """Coloured noise of unit SD where it is strongest: even (reconstructions) or fading from the centre (decoders)."""
    spectrum = (lattice.k + 1 / (lattice.n * lattice.pixel)) ** -rng.uniform(0, 1.8)
    spectrum *= np.exp(-rng.uniform(0, 1.5) * (lattice.k * float(facts["resolution"])) ** 2)
    if rng.random() < 0.7:
        spectrum /= 1 + (lattice.k * float(facts["resolution"]) * rng.uniform(0.5, 1)) ** 12
    white = rng.standard_normal((lattice.n,) * 3, dtype=np.float32)
    noise = lattice.inverse(lattice.forward(white) * spectrum)
    noise /= noise.std()
    decoder = rng.random() < 0.5
    facts["decoder"] = int(decoder)
    if decoder:
        fade = np.exp(-0.5 * (lattice.radius(centre) / (extent * rng.uniform(0.2, 0.6))) ** 2)
        floor = rng.uniform(0.02, 0.5)
        noise = noise * (floor + (1 - floor) * fade)
    return noise.astype(np.float32)


def _micelle(lattice: Lattice, envelope: NDArray[np.bool_], centre: NDArray[np.floating], level: float,
             rng: np.random.Generator) -> Map:
    """A belt of detergent or lipid: weak, brighter at its rim, where the protein is not."""
    axes = [np.arange(lattice.n, dtype=np.float32) - c for c in centre]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) @ rotation(rng).astype(np.float32)
    spread = np.abs(grid[envelope])
    wide = float(np.percentile(np.hypot(spread[:, 1], spread[:, 2]), 80)) + rng.uniform(8, 25) / lattice.pixel
    thick = rng.uniform(14, 26) / lattice.pixel
    shift = rng.normal(0, 0.3) * float(np.percentile(spread[:, 0], 90))
    e = np.sqrt(((grid[..., 0] - shift) / thick) ** 2 + (grid[..., 1] / wide) ** 2 + (grid[..., 2] / wide) ** 2)
    core = rng.uniform(0.0, 0.6)
    shell = core * 0.5 * (1 - np.tanh((e - 0.95) / 0.12)) + (1 - core) * np.exp(-(((e - 0.92) / rng.uniform(0.08, 0.2)) ** 2))
    outside = 1 - lattice.blur(envelope.astype(np.float32), 1.2 * lattice.pixel)
    texture = 0.6 + 0.8 * _field(lattice, 8.0 + lattice.pixel, rng)
    return (shell * outside * texture * rng.uniform(0.15, 1.0) * level).astype(np.float32)


def _labelled(array: Map, envelope: NDArray[np.bool_], facts: dict[str, float | str]) -> Sample | None:
    small = fourier_resample(array, (BOX,) * 3)
    if small.max() <= 0:
        return None
    x, used = normalise(small, "simulated map")
    dice, volume = dice_curve(array, envelope, used.vol_min, used.vol_max)
    best = float(dice.max())
    if best < LEAST_DICE:
        return None
    label = float(LEVELS[dice >= best - 0.0005].mean())
    return Sample(x, label, dice, volume, facts | {"best_dice": best, "label": label}, array, (used.vol_min, used.vol_max))


def dice_curve(array: Map, envelope: NDArray[np.bool_], vol_min: float, vol_max: float) -> tuple[Map, Map]:
    """Dice with the envelope, and volume over the envelope's, of the voxels above each of LEVELS."""
    x = 2 * (array - vol_min) / (vol_max - vol_min) - 1
    edges = len(LEVELS) - 1
    bins = np.clip(np.ceil((x + 1) * (edges / 2)), 0, edges + 1).astype(np.int64).ravel()  # above level j <=> bin > j
    above = [np.bincount(b, minlength=edges + 2)[::-1].cumsum()[::-1][1:] for b in (bins, bins[envelope.ravel()])]
    total = int(envelope.sum())
    return (2 * above[1] / (above[0] + total)).astype(np.float32), (above[0] / total).astype(np.float32)
