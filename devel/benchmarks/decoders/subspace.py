"""A linear subspace of volumes from particles of known pose, as 3DVA and RECOVAR compute it.

Model: an image is CTF x slice of (mean + sum_k z_k component_k) + white noise, z ~ N(0, 1).
Expectation-maximization of this probabilistic PCA (Punjani & Fleet 2021,
doi 10.1016/j.jsb.2021.107702; Tipping & Bishop 1999, doi 10.1111/1467-9868.00196).

What makes it quick: each Fourier coefficient goes to the nearest point of a transform that is
sampled twice as finely as the box demands. Then the normal equations fall apart into one small
system a point, and both steps are products of one sparse matrix (particles x points) with dense
ones. The oversampled points are tied together again in real space, where all is 0 outside of a
mask; what rounding does to the amplitudes there is divided out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.sparse import csr_array

from .particles import Particles

OVERSAMPLED = 2  # the transform is sampled that much more finely than the box demands
CHUNK = 20_000  # points whose normal equations are solved together
SMOOTH = 0.12  # cycles a voxel: components begin without much beyond, so that noise comes last
SOFT = 3.0  # voxels, over which masks fall to 0


@dataclass(frozen=True)
class Subspace:
    """What :func:`fit` found.

    Attributes
    ----------
    mean : (z, y, x) float32
    components : (K, z, y, x) float32, orthogonal, largest variance first; latents have variance 1
    latents : (P, K) float32, posterior mean of each particle's coordinates
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    latents: NDArray[np.float32]


@dataclass(frozen=True)
class Gathered:
    """The images' coefficients by the point of Fourier space that is nearest to them.

    Attributes
    ----------
    box : voxels a side
    points : (n,) int64, flat indices into the (2 box, 2 box, box + 1) half transform: those of a
        half-space, up to the radius of the data
    twins : (n,) int64, flat indices of their conjugates in the plane x = 0, else the same
    shell : (n,) int64, radius in cycles a box
    power : (P, n) sparse, squared filters
    real, imaginary : (P, n) sparse, filters x data
    """

    box: int
    points: NDArray[np.int64]
    twins: NDArray[np.int64]
    shell: NDArray[np.int64]
    power: csr_array
    real: csr_array
    imaginary: csr_array


def gather(particles: Particles) -> Gathered:
    """Sort the coefficients of all images, see :class:`Gathered`."""
    box, edge = particles.box, OVERSAMPLED * particles.box
    shape = (edge, edge, edge // 2 + 1)
    count, wide = particles.data.shape
    xyz = np.rint(OVERSAMPLED * (particles.frequencies @ particles.rotations[:, :2])).astype(int)
    x, y, z = np.moveaxis(xyz, -1, 0)
    flip = (x < 0) | ((x == 0) & ((y < 0) | ((y == 0) & (z < 0))))
    sign = np.where(flip, -1, 1)
    x, y, z = x * sign, y * sign, z * sign
    pz, py, px = np.mgrid[-box:box, -box:box, : box + 1].reshape(3, -1)
    far = np.sqrt(pz**2 + py**2 + px**2)
    half = (px > 0) | (py > 0) | ((py == 0) & (pz >= 0))
    kept = half & (far <= np.sqrt((x**2 + y**2 + z**2).max()))
    pz, py, px, far = pz[kept], py[kept], px[kept], far[kept]
    shell = np.rint(far / OVERSAMPLED).astype(int)
    points = ((pz % edge) * edge + py % edge) * shape[2] + px
    twins = np.where(px == 0, ((-pz % edge) * edge + (-py % edge)) * shape[2], points)
    lookup = np.zeros(int(np.prod(shape)), np.int32)
    lookup[points] = np.arange(len(points))
    columns = lookup[((z % edge) * edge + y % edge) * shape[2] + x].ravel()
    product = particles.filters * particles.data
    ends = np.arange(count + 1, dtype=np.int32) * wide

    def sparse(values: NDArray[np.floating]) -> csr_array:
        return csr_array(
            (np.asarray(values, np.float32).ravel(), columns, ends), (count, len(points))
        )

    return Gathered(
        box,
        points,
        twins,
        shell,
        sparse(particles.filters**2),
        sparse(product.real),
        sparse(product.imag * sign),
    )


def sphere(box: int, radius: float = 0.46) -> NDArray[np.float32]:
    """(z, y, x) 1 inside of a sphere of ``radius`` boxes, softly 0 beyond."""
    axis = (np.arange(box) - box // 2) / box
    far = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) - radius
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(far * box / SOFT + 1, 0, 1)), np.float32)


class _Space:
    """From values at the gathered points to masked densities and back."""

    def __init__(self, gathered: Gathered, mask: NDArray[np.floating]):
        self.gathered, self.mask, self.box = gathered, mask, gathered.box
        self.edge = OVERSAMPLED * self.box
        # Rounding to a lattice is a convolution with a cube of its step: a sinc in real space.
        axis = np.sinc((np.arange(self.box) - self.box // 2) / self.edge)
        self.rounding = axis[:, None, None] * axis[:, None] * axis

    def densities(self, values: NDArray[np.complexfloating]) -> NDArray[np.float32]:
        """(c, z, y, x) masked densities of (n, c) values."""
        result = np.empty((values.shape[1], *(self.box,) * 3), np.float32)
        where = np.arange(self.box) - self.box // 2
        for density, value in zip(result, values.T, strict=True):
            whole = np.zeros((self.edge, self.edge, self.edge // 2 + 1), np.complex64)
            whole.ravel()[self.gathered.twins] = value.conj()
            whole.ravel()[self.gathered.points] = value
            array = scipy.fft.irfftn(whole, (self.edge,) * 3, overwrite_x=True)
            density[:] = array[np.ix_(where, where, where)] / self.rounding * self.mask
        return result

    def values(self, densities: NDArray[np.floating]) -> NDArray[np.complex64]:
        """(n, c) values of (c, z, y, x) densities, as rounded coefficients have them on average."""
        result = np.empty((len(self.gathered.points), len(densities)), np.complex64)
        for column, density in zip(result.T, densities, strict=True):
            padded = np.zeros((self.edge,) * 3, np.float32)
            padded[: self.box, : self.box, : self.box] = density * self.rounding
            padded = np.roll(padded, -(self.box // 2), (0, 1, 2))
            column[:] = scipy.fft.rfftn(padded, overwrite_x=True).ravel()[self.gathered.points]
        return result


def fit(
    particles: Particles,
    dimensions: int,
    mask: NDArray[np.floating] | None = None,
    prior: float = 0.3,
    shrunk: bool = True,
    rounds: int = 12,
    seed: int = 0,
) -> Subspace:
    """Mean, components and latents of particles.

    Parameters
    ----------
    dimensions : K, 0 for the mean alone
    mask : (z, y, x), 0 where there is nothing; a sphere unless given
    prior : the least variance that components have a priori, in each shell, relative to the
        mean's power: 1 is weak, as in 3DVA; at 0.02 what the data do not support vanishes, as in
        RECOVAR
    shrunk : whether latents are posterior means, else least squares, as in 3DVA: with the noise of
        the single image
    rounds : of expectation and maximization
    seed : of the components to begin with
    """
    gathered = gather(particles)
    space = _Space(gathered, sphere(particles.box) if mask is None else mask)
    alone = np.ones((len(particles), 1, 1), np.float32)
    values = np.zeros((len(gathered.points), 1), np.complex64)
    for _ in range(6):  # the mean's own power is its prior
        values = space.values(space.densities(_maximized(gathered, alone[:, 0], alone, values, 1)))
    if not dimensions:
        mean = space.densities(values)[0]
        return Subspace(
            mean, np.empty((0, *mean.shape), np.float32), np.empty((len(particles), 0), np.float32)
        )
    rng = np.random.default_rng([seed, 40])
    spread = np.sqrt(_shell_power(gathered, values)[:, 0])[gathered.shell]
    noise = rng.standard_normal((2, len(values), dimensions))
    spread *= np.exp(-((gathered.shell / (SMOOTH * particles.box)) ** 2))
    begin = 0.2 * spread[:, None] * (noise[0] + 1j * noise[1])
    values = np.hstack([values, space.values(space.densities(begin))])
    for _ in range(rounds):
        values, latents, covariance = _centered(values, *_expected(gathered, values))
        first = np.hstack([np.ones((len(latents), 1), np.float32), latents])
        second = first[:, :, None] * first[:, None]
        second[:, 1:, 1:] += covariance
        values = space.values(space.densities(_maximized(gathered, first, second, values, prior)))
    values = _centered(values, *_expected(gathered, values))[0]
    densities = space.densities(values)
    latents = _expected(gathered, values, 1.0 if shrunk else 1e-3)[0]
    return _principal(densities[0], densities[1:], latents)


def _expected(
    gathered: Gathered,
    values: NDArray[np.complexfloating],
    precision: float = 1.0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Posterior means (P, K) and covariances (P, K, K) of latents of a prior ``precision``."""
    size = values.shape[1]
    row, column = np.triu_indices(size)
    real, imaginary = (np.ascontiguousarray(v, np.float32) for v in (values.real, values.imag))
    products = real[:, row] * real[:, column] + imaginary[:, row] * imaginary[:, column]
    gram = np.empty((gathered.power.shape[0], size, size), np.float32)
    gram[:, row, column] = gathered.power @ products
    gram[:, column, row] = gram[:, row, column]
    match = (gathered.real @ real + gathered.imaginary @ imaginary)[:, 1:] - gram[:, 1:, 0]
    own = precision * np.eye(size - 1, dtype=np.float32)
    covariance = np.linalg.inv(gram[:, 1:, 1:] + own)
    return (covariance @ match[:, :, None])[:, :, 0], covariance


def _centered(
    values: NDArray[np.complexfloating],
    latents: NDArray[np.float32],
    covariance: NDArray[np.float32],
) -> tuple[NDArray[np.complex64], NDArray[np.float32], NDArray[np.float32]]:
    """The same subspace, latents and covariances in coordinates of mean 0 and covariance 1.

    This lets the components' size settle in one round (parameter-expanded EM).
    """
    middle = latents.mean(axis=0)
    second = covariance.mean(axis=0) + np.cov(latents.T, bias=True).reshape(covariance.shape[1:])
    root = np.linalg.cholesky(second + 1e-9 * np.eye(len(second)))
    mean = values[:, :1] + values[:, 1:] @ middle[:, None]
    values = np.asarray(np.hstack([mean, values[:, 1:] @ root]), np.complex64)
    back = np.asarray(np.linalg.inv(root), np.float32)
    return values, (latents - middle) @ back.T, back @ covariance @ back.T


def _maximized(
    gathered: Gathered,
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    before: NDArray[np.complexfloating],
    prior: float,
) -> NDArray[np.complex64]:
    """(n, 1 + K) values from the latents' first and second moments, (P, 1 + K), (P, 1 + K, 1 + K).

    A point's values have a Gaussian prior whose variance is the power of their shell before. Near
    the origin are points that no image reaches, as images are sampled at whole frequencies: these
    stay what the mask has made of them (a faint pull toward the values before does that).
    """
    size = first.shape[1]
    row, column = np.triu_indices(size)
    weights = gathered.power.T @ np.ascontiguousarray(second[:, row, column], np.float32)
    first = np.ascontiguousarray(first, np.float32)
    right = np.stack([gathered.real.T @ first, gathered.imaginary.T @ first], axis=-1)
    power = _shell_power(gathered, before)
    if size > 1:  # one prior for all components, so that they may turn among themselves
        power[:, 1:] = np.maximum(power[:, 1:].mean(axis=1), prior * power[:, 0])[:, None]
    result = np.empty((len(gathered.points), size), np.complex64)
    diagonal = np.flatnonzero(row == column)
    reached = weights[:, :1] > 0
    if before.any():
        own = 2 / np.maximum(power, 1e-12 * power.max())[gathered.shell]
        weights[:, diagonal] += np.where(reached, own, 0)
    faint = 1e-3 * weights[:, 0].mean()
    weights[:, diagonal] += faint
    right += faint * np.stack([before.real, before.imag], axis=-1)
    for start in range(0, len(result), CHUNK):
        some = slice(start, start + CHUNK)
        system = np.empty((len(weights[some]), size, size), np.float32)
        system[:, row, column] = system[:, column, row] = weights[some]
        solved = np.linalg.solve(system, right[some])
        result[some] = solved[..., 0] + 1j * solved[..., 1]
    return result


def _shell_power(gathered: Gathered, values: NDArray[np.complexfloating]) -> NDArray[np.float64]:
    """(shells, c) mean squared value."""
    count = np.maximum(np.bincount(gathered.shell), 1)
    return np.stack([np.bincount(gathered.shell, np.abs(v) ** 2) / count for v in values.T], axis=1)


def _principal(
    mean: NDArray[np.float32], components: NDArray[np.float32], latents: NDArray[np.float32]
) -> Subspace:
    """The same with orthogonal components, of unit latent variance, largest first."""
    flat = components.reshape(len(components), -1).astype(np.float64)
    order, turn = np.linalg.eigh(flat @ flat.T)
    turn = turn[:, order.argsort()[::-1]]
    peak = np.abs(turn).argmax(axis=0)  # an eigenvector's sign is arbitrary: choose
    turn *= np.sign(turn[peak, np.arange(len(turn))])
    turned = (turn.T @ flat).reshape(components.shape).astype(np.float32)
    return Subspace(mean, turned, (latents @ turn).astype(np.float32))
