"""How noise is correlated by distance, measured where all volumes have the same density."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..maps.grid import Grid
from .level_harmonization import Anchors

PHASE = "measuring noise"  # in words


@dataclass(frozen=True)
class Noise:
    """How the noise of two voxels is correlated, by their distance.

    Attributes
    ----------
    correlation : (d,) at distances of 0, 1, ... voxels, see :func:`noise_distance`; 0 beyond
    """

    correlation: NDArray[np.float64]

    def phi(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """Upper bound on the phi that noise alone gives two voxels at a distance in voxels.

        Two Gaussian values of correlation r, each cut at its median, have phi = 2/pi asin(r)
        (Sheppard 1899), and less if cut elsewhere.
        """
        nearest = np.minimum(np.rint(distance).astype(np.int64), len(self.correlation))
        return (2 / np.pi * np.arcsin(np.append(self.correlation, 0.0)))[nearest]

    @cached_property
    def by_square(self) -> NDArray[np.float32]:
        """See :class:`PairNoise`: the same for all sets of voxels."""
        reach = len(self.correlation) - 0.5  # distances are rounded to whole voxels
        square = np.arange(int(reach**2 / constants.NOISE_STEP) + 1) * constants.NOISE_STEP
        return np.append(self.phi(np.sqrt(square)), 0).astype(np.float32)


@dataclass(frozen=True)
class PairNoise:
    """:class:`Noise` for the millions of pairs of a set of voxels, by lookup tables.

    Attributes
    ----------
    zyx : (3, n) int32, positions of the voxels on the lattice
    apart : of each axis, (size, size) float32 squared distance of two positions, see
        :func:`axis_distances`
    by_square : (d,) float32, :meth:`Noise.phi` by squared distance in steps of
        constants.NOISE_STEP; its last entry, 0, stands for all larger distances
    """

    zyx: NDArray[np.int32]
    apart: tuple[NDArray[np.float32], ...]
    by_square: NDArray[np.float32]

    @classmethod
    def of(cls, noise: Noise, voxels: NDArray[np.int64], grid: Grid) -> PairNoise:
        """Tables for (n,) flat indices."""
        return cls(
            np.stack(np.unravel_index(voxels, grid.shape)).astype(np.int32),
            axis_distances(grid),
            noise.by_square,
        )

    def phi(self, first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.float32]:
        """Phi from noise for pairs, given as positions in the set; they broadcast."""
        square = np.zeros((), np.float32)
        for place, apart in zip(self.zyx, self.apart, strict=True):
            square = square + apart.ravel().take(
                place[first] * np.int32(len(apart)) + place[second]
            )
        return self.by_square.take(
            np.asarray(square / np.float32(constants.NOISE_STEP) + np.float32(0.5), np.int32),
            mode="clip",
        )


def axis_distances(grid: Grid) -> tuple[NDArray[np.float32], ...]:
    """Squared distances along z, y and x: (size, size) each, see :func:`noise_distance`."""
    finest = min(grid.voxel_size)
    result = []
    for size, edge in zip(grid.shape, grid.voxel_size[::-1], strict=True):
        apart = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
        result.append(((np.minimum(apart, size - apart) * (edge / finest)) ** 2).astype(np.float32))
    return tuple(result)


def noise_distance(
    a: NDArray[np.integer], b: NDArray[np.integer], grid: Grid
) -> NDArray[np.float64]:
    """Distance of voxels in units of the finest voxel edge, across the box's faces if shorter.

    Maps are filtered and cropped in Fourier space, which makes them periodic: opposite faces share
    their noise.

    Parameters
    ----------
    a, b : flat indices; they broadcast
    """
    square = np.zeros(np.broadcast_shapes(a.shape, b.shape))
    for one, other, apart in zip(
        np.unravel_index(a, grid.shape),
        np.unravel_index(b, grid.shape),
        axis_distances(grid),
        strict=True,
    ):
        if one.ndim == 2 and one.shape[1] == other.ndim == 1:  # all pairs: whole rows at a time
            square += apart[one[:, 0]][:, other]
        else:
            square += apart[one, other]
    return np.sqrt(square, out=square)


def measure_noise(anchors: Anchors, grid: Grid, progress: Progress | None = None) -> Noise:
    """Mean correlation over the volumes of two background voxels' values, by distance.

    The core's noise takes the place of the background's in maps masked to a constant outside.
    """
    progress = progress or Progress()
    values, voxels = anchors.background_values, anchors.background
    progress.step(PHASE)
    varied = values.std(axis=0) > 1e-6 * max(
        float(np.abs(anchors.core_values).max(initial=0)), 1e-30
    )
    if varied.sum() < constants.MIN_CORE_VOXELS:
        values, voxels = anchors.core_values, anchors.core
        varied = values.std(axis=0) > 0
    if varied.sum() < constants.MIN_CORE_VOXELS:
        return Noise(np.ones(1))
    all_vary = values is anchors.background_values and varied.all()
    values, voxels = values[:, varied].astype(np.float32), voxels[varied]
    # of ten thousand volumes, each of these takes a tenth of a second
    progress.step(PHASE)
    if all_vary:
        median = anchors.background_medians[:, None]
    else:
        median = np.median(values, axis=1, keepdims=True)
    progress.step(PHASE)
    values = values - median  # offsets are not noise
    progress.step(PHASE)
    values -= values.mean(axis=0)
    progress.step(PHASE)
    # 0 if nothing but the offset varied
    values /= np.maximum(np.linalg.norm(values, axis=0), 1e-30)
    progress.step(PHASE)
    product = values.T @ values
    progress.step(PHASE)
    most = int(np.sqrt(sum(float(a.max()) for a in axis_distances(grid)))) + 2
    count, total = np.zeros(most, np.int64), np.zeros(most)
    step = max(1, constants.CACHED_VALUES // len(voxels))  # new memory takes longer than the work
    at = np.unravel_index(voxels, grid.shape)
    # of each place along an axis from each voxel: whole rows are copied fastest
    squares = [np.ascontiguousarray(a[:, p]) for a, p in zip(axis_distances(grid), at, strict=True)]
    # what there is comes first, so that the sum is the same whatever the step
    bins, weights = np.arange(most + step * len(voxels)), np.empty(most + step * len(voxels))
    for start in range(0, len(voxels), step):
        part = slice(start, min(start + step, len(voxels)))
        z, y, x = (s.take(p[part], axis=0) for s, p in zip(squares, at, strict=True))
        square = np.add(z, y, dtype=np.float64)
        square += x
        apart = np.rint(np.sqrt(square, out=square), out=square).ravel()
        end = most + len(apart)
        bins[most:end], weights[most:end] = apart, product[part].ravel()
        weights[:most] = total
        total = np.bincount(bins[:end], weights[:end], most).astype(np.float64)
        count += np.bincount(bins[most:end], minlength=most)
    mean = total / np.maximum(count, 1)
    seen = np.flatnonzero(count >= 30)
    mean = np.interp(np.arange(int(seen[-1]) + 1), seen, mean[seen])
    # noise decorrelates with distance; a later rise is signal or sampling error
    return Noise(np.clip(np.minimum.accumulate(mean), 0, 0.999))
