"""A cubic box and its Fourier transform."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Map = NDArray[np.float32]


class Lattice:
    """A cubic box of n voxels of ``pixel`` A per side, and its frequencies (1/A) in rfft order."""

    def __init__(self, n: int, pixel: float):
        self.n, self.pixel = n, pixel
        f = np.fft.fftfreq(n, pixel).astype(np.float32)
        self._axes = (f**2, f**2, f[: n // 2 + 1] ** 2)
        self.k2: Map = (
            self._axes[0][:, None, None]
            + self._axes[1][None, :, None]
            + self._axes[2][None, None, :]
        )

    def inverse(self, transform: NDArray[np.complexfloating]) -> Map:
        """Map (n, n, n) of a Fourier transform in rfft order."""
        return scipy.fft.irfftn(transform.astype(np.complex64, copy=False), s=(self.n,) * 3).astype(
            np.float32, copy=False
        )

    def forward(self, array: Map) -> NDArray[np.complex64]:
        """Fourier transform (n, n, n // 2 + 1) of a map, in rfft order."""
        return scipy.fft.rfftn(array.astype(np.float32, copy=False))

    def blur(self, array: Map, sigma: float) -> Map:
        """Convolve with a Gaussian of SD ``sigma`` A."""
        return self.inverse(self.forward(array) * self.gauss(sigma))

    def gauss(self, sigma: float) -> Map:
        """Fourier transform of a Gaussian of SD ``sigma`` A."""
        z, y, x = (np.exp(-2 * np.pi**2 * sigma**2 * a) for a in self._axes)
        return (z[:, None, None] * y[None, :, None] * x[None, None, :]).astype(np.float32)

    def radius(self, center: NDArray[np.floating]) -> Map:
        """Distance of every voxel from a point (z, y, x), in voxels."""
        axes = [(np.arange(self.n, dtype=np.float32) - np.float32(c)) ** 2 for c in center]
        return np.sqrt(axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :])

    def field(self, length: float, rng: np.random.Generator) -> Map:
        """A smooth random field from 0 to 1 that varies over about ``length`` A: a few waves."""
        total = np.zeros((self.n,) * 3, np.float32)
        along = np.arange(self.n, dtype=np.float32) * self.pixel
        for _ in range(5):
            wave = rng.normal(0, 1.5 / length, 3)
            z, y, x = (np.exp(1j * w * along).astype(np.complex64) for w in wave)
            plane = (np.exp(1j * rng.uniform(0, 2 * np.pi)) * z)[:, None] * y[None, :]
            total += (plane.astype(np.complex64)[:, :, None] * x).real
        return (1 / (1 + np.exp(-2 * total - np.float32(rng.uniform(-3.0, 1.0))))).astype(
            np.float32
        )

    def splat(self, xyz: NDArray[np.floating], weight: Map) -> NDArray[np.complex64]:
        """Fourier transform of point atoms, computed on a finer grid and cropped.

        Parameters
        ----------
        xyz : (n, 3) float32
            Positions from the corner of the box, in A.
        weight : (n,) float32

        Returns
        -------
        (n, n, n // 2 + 1) complex64
        """
        fine = scipy.fft.next_fast_len(3 * self.n // 2, real=True)
        index = (
            np.rint(xyz[:, ::-1] * np.float32(fine / (self.n * self.pixel))).astype(np.int32) % fine
        )
        flat = (index[:, 0] * fine + index[:, 1]) * fine + index[:, 2]
        counts = np.bincount(flat, weight, fine**3).astype(np.float32).reshape((fine,) * 3)
        # one axis at a time, so that cropped parts need no further transforms
        low, high, n = (self.n + 1) // 2, self.n // 2, self.n
        t = scipy.fft.rfft(counts, axis=2)[:, :, : n // 2 + 1]
        t = scipy.fft.fft(t, axis=1)
        t = np.concatenate([t[:, :low], t[:, fine - high :]], axis=1)
        t = scipy.fft.fft(t, axis=0)
        return np.concatenate([t[:low], t[fine - high :]], axis=0)
