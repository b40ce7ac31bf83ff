"""Cryo-EM particles of a mixture of densities, simulated in Fourier space.

An image never exists in real space: a projection's transform is a slice of the density's, and
CTF, shift, contrast and white noise are all simple there. Of each image the coefficients in a
half-plane are kept, up to a radius; the other half is their conjugate.

Frequencies are in cycles a box: whole numbers. Arrays are z, y, x; points and rotations x, y, z.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial.transform import Rotation

FINE = 3  # transforms are sampled that much more finely than the box demands
CHUNK = 500  # images interpolated together
VOLTAGE, SPHERICAL, AMPLITUDE = 300e3, 2.7e7, 0.1  # V, A, share of amplitude contrast


@dataclass(frozen=True)
class Imaging:
    """How particles are imaged.

    Attributes
    ----------
    particles : number of images
    snr : variance of the CTF-filtered projections over the variance of the noise, whole images
    defocus : least and greatest, in micrometers, evenly spread
    preferred : share of the particles that lie near one of three preferred views
    tilt_error, shift_error : RMS angle in degrees, SD in voxels along either axis of the image
    contrast : SD of each image's contrast, around 1
    blurred : share of the images that are blurred, by a Gaussian of ``blur`` voxels
    junk : share of images without a usable particle: half are noise, half have a random pose
    reach : radius in Fourier space up to which coefficients are kept, relative to Nyquist: the
        resolution at which the decoder works, which users set for subspaces too
    """

    particles: int = 6000
    snr: float = 0.1
    defocus: tuple[float, float] = (0.8, 2.5)
    preferred: float = 0.4
    tilt_error: float = 2.0
    shift_error: float = 0.3
    contrast: float = 0.0
    blurred: float = 0.0
    blur: float = 1.0
    junk: float = 0.0
    reach: float = 0.65


@dataclass(frozen=True)
class Particles:
    """Images of P particles at Q half-plane frequencies, scaled so that noise has E|n|^2 = 2.

    Attributes
    ----------
    box : voxels a side
    frequencies : (Q, 2) int64, x and y in cycles a box
    data : (P, Q) complex64
    filters : (P, Q) float32, the CTF on the same scale: data = filters * slice + noise
    rotations : (P, 3, 3) float64, those that the reconstruction is told: rows are the image's
        x, y and viewing direction in the particle's frame
    states : (P, U) float32, what share of each density the particle has
    junk : (P,) bool
    voxel_size : A
    defocus : (P,) float64, underfocus in A
    scale : of data and filters over the transform of the density times the CTF
    """

    box: int
    frequencies: NDArray[np.int64]
    data: NDArray[np.complex64]
    filters: NDArray[np.float32]
    rotations: NDArray[np.float64]
    states: NDArray[np.float32]
    junk: NDArray[np.bool_]
    voxel_size: float
    defocus: NDArray[np.float64]
    scale: float

    def __len__(self) -> int:
        return len(self.data)

    def some(self, chosen: NDArray[np.integer]) -> Particles:
        """Those of these numbers (n,)."""
        rows = ("data", "filters", "rotations", "states", "junk", "defocus")
        return replace(self, **{name: getattr(self, name)[chosen] for name in rows})


def half_plane(box: int, reach: float) -> NDArray[np.int64]:
    """(Q, 2) frequencies x, y of a half-plane (the origin included) up to ``reach`` of Nyquist."""
    edge = int(reach * box / 2)
    y, x = np.mgrid[-edge : edge + 1, 0 : edge + 1]
    kept = (x**2 + y**2 <= (reach * box / 2) ** 2) & ((x > 0) | (y >= 0))
    return np.stack([x[kept], y[kept]], axis=1).astype(np.int64)


def transform(volume: NDArray[np.floating]) -> NDArray[np.complex64]:
    """Half of the transform of an (n, n, n) density about the box's center, finely sampled."""
    box = volume.shape[0]
    padded = np.zeros((FINE * box,) * 3, np.float32)
    padded[:box, :box, :box] = volume
    padded = np.roll(padded, -(box // 2), (0, 1, 2))
    return np.asarray(scipy.fft.rfftn(padded), np.complex64)


def slices(
    volumes: NDArray[np.floating],
    weights: NDArray[np.floating],
    rotations: NDArray[np.floating],
    frequencies: NDArray[np.integer],
) -> NDArray[np.complex64]:
    """Transforms of the projections of mixtures of densities.

    Parameters
    ----------
    volumes : (U, z, y, x) densities
    weights : (P, U) of each particle
    rotations : (P, 3, 3) rows: the image's x, y and viewing direction in the particle's frame
    frequencies : (Q, 2) x, y in cycles a box

    Returns
    -------
    (P, Q) complex64: trilinear in finely sampled transforms
    """
    box, count = volumes.shape[1], len(volumes)
    edge = FINE * box
    shape = (edge, edge, edge // 2 + 1)
    table = np.empty((int(np.prod(shape)), 2 * count), np.float32)
    # Trilinear interpolation is a convolution with a triangle: squared sincs in real space.
    axis = np.sinc((np.arange(box) - box // 2) / edge) ** 2
    interpolating = axis[:, None, None] * axis[:, None] * axis
    for u, volume in enumerate(volumes):
        flat = transform(volume / interpolating).ravel()
        table[:, 2 * u], table[:, 2 * u + 1] = flat.real, flat.imag
    result = np.empty((len(rotations), len(frequencies)), np.complex64)
    for start in range(0, len(rotations), CHUNK):
        some = slice(start, start + CHUNK)
        points = FINE * (frequencies @ rotations[some, :2].astype(np.float32))
        flip = points[..., 0] < 0
        points[flip] *= -1
        values = _trilinear(points.reshape(-1, 3), shape) @ table
        values = values.reshape(-1, len(frequencies), count, 2)
        mixed = np.einsum("pquc,pu->pqc", values, weights[some].astype(np.float32))
        mixed[..., 1] *= np.where(flip, -1, 1)
        result[some] = mixed[..., 0] + 1j * mixed[..., 1]
    return result


def _trilinear(points: NDArray[np.floating], shape: tuple[int, int, int]) -> csr_array:
    """(n, voxels) weights of the eight corners around x, y, z points with x >= 0."""
    low = np.floor(points).astype(np.int32)
    part = (points - low).astype(np.float32)
    columns = np.empty((len(points), 8), np.int32)
    weights = np.empty((len(points), 8), np.float32)
    for corner in range(8):
        step = np.array([corner & 1, corner >> 1 & 1, corner >> 2], np.int32)
        x, y, z = (low + step).T
        columns[:, corner] = (z % shape[0] * shape[1] + y % shape[1]) * shape[2] + x
        weights[:, corner] = np.prod(np.where(step, part, 1 - part), axis=1)
    ends = np.arange(len(points) + 1, dtype=np.int32) * 8
    return csr_array((weights.ravel(), columns.ravel(), ends), (len(points), int(np.prod(shape))))


def ctf(frequency: NDArray[np.floating], defocus: NDArray[np.floating]) -> NDArray[np.float32]:
    """(P, Q) contrast transfer at (Q,) frequencies in 1/A and (P,) underfocus in A.

    Protein is bright: the sign of the phase contrast is turned.
    """
    wavelength = 12.2643 / np.sqrt(VOLTAGE + 0.97845e-6 * VOLTAGE**2)
    square = np.asarray(frequency) ** 2
    spread = defocus[:, None] - SPHERICAL * wavelength**2 * square / 2
    phase = np.pi * wavelength * square * spread
    return np.asarray(
        np.sqrt(1 - AMPLITUDE**2) * np.sin(phase) + AMPLITUDE * np.cos(phase), np.float32
    )


def views(count: int, preferred: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(P, 3, 3) rotations: even, but a share ``preferred`` is within 15 degrees of three axes."""
    matrices = Rotation.random(count, random_state=rng).as_matrix()
    favorites = Rotation.random(3, random_state=rng).as_matrix()[:, 2]
    for p in np.flatnonzero(rng.random(count) < preferred):
        axis = favorites[rng.integers(3)] + np.radians(15) * rng.standard_normal(3)
        axis /= np.linalg.norm(axis)
        side = np.cross(axis, rng.standard_normal(3))
        side /= np.linalg.norm(side)
        matrices[p] = side, np.cross(axis, side), axis
    return np.asarray(matrices, np.float64)


def simulate_particles(
    volumes: NDArray[np.floating],
    states: NDArray[np.floating],
    voxel_size: float,
    imaging: Imaging,
    rng: np.random.Generator,
) -> Particles:
    """Images of P particles.

    Parameters
    ----------
    volumes : (U, z, y, x) densities
    states : (P, U) share of each density that a particle has, 0 or 1 for what comes and goes
    voxel_size : A
    """
    count, box = len(states), volumes.shape[1]
    frequencies = half_plane(box, imaging.reach)
    radius = np.linalg.norm(frequencies, axis=1) / box  # cycles a voxel
    true = views(count, imaging.preferred, rng)
    junk = rng.random(count) < imaging.junk
    nothing = junk & (rng.random(count) < 0.5)
    weights = np.where(nothing[:, None], 0, states) * _contrasts(count, imaging.contrast, rng)
    pure = slices(volumes, weights, true, frequencies)
    shift = imaging.shift_error * rng.standard_normal((count, 2))
    pure *= np.exp(-2j * np.pi / box * (shift @ frequencies.T)).astype(np.complex64)
    blurred = rng.random(count) < imaging.blurred
    pure[blurred] *= np.exp(-2 * (np.pi * imaging.blur * radius) ** 2).astype(np.float32)

    defocus = 1e4 * rng.uniform(*imaging.defocus, count)
    filters = ctf(radius / voxel_size, defocus)
    pure *= filters
    # Parseval: both halves of the plane, the origin aside, which is no variance
    power = 2 * (np.abs(pure[~nothing][:, radius > 0]) ** 2).sum(axis=1).mean() / box**4
    scale = np.sqrt(2 * imaging.snr / power) / box  # root 2 / (box * SD of noise)
    noise = rng.standard_normal((2, *pure.shape), dtype=np.float32)
    data = (pure * np.float32(scale) + noise[0] + 1j * noise[1]).astype(np.complex64)
    told = _turned(true, imaging.tilt_error, rng)
    lost = junk & ~nothing
    told[lost] = Rotation.random(count, random_state=rng).as_matrix()[lost]
    return Particles(
        box,
        frequencies,
        data,
        filters * np.float32(scale),
        told,
        np.asarray(states, np.float32),
        junk,
        voxel_size,
        defocus,
        float(scale),
    )


def _contrasts(count: int, sd: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """(P, 1) factors around 1, no further than 3 SD."""
    return 1 + sd * np.clip(rng.standard_normal((count, 1)), -3, 3)


def _turned(
    rotations: NDArray[np.float64], degrees: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Rotations that are off by an RMS angle."""
    vectors = np.radians(degrees) / np.sqrt(3) * rng.standard_normal((len(rotations), 3))
    return np.asarray(Rotation.from_rotvec(vectors).as_matrix() @ rotations, np.float64)
