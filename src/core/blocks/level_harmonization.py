"""Thresholds that agree with each other, and the noise: what the maps' own values say where nothing
comes and goes.

A volume is ``scale * density + offset`` and noise. Where scale and threshold do not go together,
every voxel near the surface flips at once, which looks like blocks that are shells. Two kinds of
voxels tell scale and offset: the core, occupied in nearly all volumes, and the background.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from ..maps.grid import Grid
from .occupancy import Occupancy, binarize
from .outliers import UNLIKE, unlike_others

SEED = 1  # of the choice of anchors: any will do, so it is no parameter


@dataclass(frozen=True)
class Anchors:
    """Values where the density is the same in all volumes.

    Attributes
    ----------
    core, background : (a,), (b,) flat indices of voxels
    core_values, background_values : (V, a), (V, b) float32
    """

    core: NDArray[np.int64]
    background: NDArray[np.int64]
    core_values: NDArray[np.float32]
    background_values: NDArray[np.float32]


@dataclass(frozen=True)
class Noise:
    """How the noise of two voxels correlates by their distance.

    Attributes
    ----------
    correlation : (d,) at distances of 0, 1, ... voxels, see :func:`noise_distance`; 0 beyond
    """

    correlation: NDArray[np.float64]

    def phi(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """The most that the noise alone makes the occupancies of two voxels correlate, at a
        distance in voxels.

        Two Gaussian values of correlation r, each cut at its median, have phi = 2/pi asin(r)
        (Sheppard 1899); cut elsewhere, they have less.
        """
        nearest = np.minimum(np.rint(distance).astype(np.int64), len(self.correlation))
        return (2 / np.pi * np.arcsin(np.append(self.correlation, 0.0)))[nearest]


@dataclass(frozen=True)
class SharedNoise:
    """The same for pairs of a set of voxels, by tables: there are millions of pairs.

    Attributes
    ----------
    zyx : (3, n) int32, positions of the voxels on the lattice
    apart : of each axis, (size, size) float32 squared distance of two positions, see
        :func:`axis_distances`
    by_square : (d,) float32, :meth:`Noise.phi` by squared distance in steps of
        constants.NOISE_STEP; its last entry, 0, stands for all beyond
    """

    zyx: NDArray[np.int32]
    apart: tuple[NDArray[np.float32], ...]
    by_square: NDArray[np.float32]

    @classmethod
    def of(cls, noise: Noise, voxels: NDArray[np.int64], grid: Grid) -> SharedNoise:
        """Tables for voxels, (n,) flat indices."""
        reach = len(noise.correlation) - 0.5  # distances are rounded to whole voxels
        square = np.arange(int(reach**2 / constants.NOISE_STEP) + 1) * constants.NOISE_STEP
        return cls(
            np.stack(np.unravel_index(voxels, grid.shape)).astype(np.int32),
            axis_distances(grid),
            np.append(noise.phi(np.sqrt(square)), 0).astype(np.float32),
        )

    def phi(self, first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.float32]:
        """Phi of the noise of pairs, given as positions among the voxels that broadcast."""
        square = np.zeros((), np.float32)
        for place, apart in zip(self.zyx, self.apart, strict=True):
            square = square + apart.ravel().take(
                place[first] * np.int32(len(apart)) + place[second]
            )
        return self.by_square.take(
            np.asarray(square / np.float32(constants.NOISE_STEP) + np.float32(0.5), np.int32),
            mode="clip",
        )


def prepare(
    ensemble: Ensemble,
    levels: NDArray[np.float64],
    filter: bool,
    fraction: float,
    progress: Progress,
) -> tuple[Occupancy, Anchors]:
    """Binarize at harmonized levels, without junk volumes; keep the values that say how noisy the
    volumes are.

    Done again with the levels of the result, it changes nothing more: the levels then agree with
    the scales.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    levels : (V,) contour level of each
    filter : as :func:`.occupancy.binarize`
    fraction : voxels occupied in more than this share of the volumes are compared in search of junk
    """
    ensemble = ensemble.cached(constants.CACHE_BYTES)
    occupancy = binarize(ensemble, levels, filter, progress)
    junk = unlike_others(occupancy, occupancy.union(fraction), progress=progress)
    left_out = dict(occupancy.left_out)
    left_out.update({n: UNLIKE for n, j in zip(occupancy.names, junk, strict=True) if j})
    chosen = ensemble.select(exclude=tuple(left_out)) if left_out else ensemble
    if junk.any():
        occupancy = occupancy.without(junk)
    anchors = read_anchors(chosen, occupancy, progress)
    agreed = harmonized_levels(occupancy.levels, anchors, progress)
    if np.array_equal(agreed, occupancy.levels):
        return replace(occupancy, left_out=left_out), anchors
    occupancy = binarize(chosen, agreed, False, progress)
    return replace(occupancy, left_out={**left_out, **occupancy.left_out}), anchors


def read_anchors(ensemble: Ensemble, occupancy: Occupancy, progress: Progress) -> Anchors:
    """Values of core and background voxels: the latter are drawn from the half of the box that is
    occupied least.
    """
    rng = np.random.default_rng(SEED)
    frequency = occupancy.frequency
    core = np.empty(0, np.int64)
    for share in constants.CORE_SHARE:
        if len(core) < constants.MIN_CORE_VOXELS:
            core = np.flatnonzero(frequency > share * len(occupancy))
    background = np.flatnonzero(frequency <= np.median(frequency))
    core, background = (
        v
        if len(v) <= constants.MAX_ANCHORS
        else np.sort(rng.choice(v, constants.MAX_ANCHORS, replace=False))
        for v in (core, background)
    )
    voxels = np.concatenate([core, background])
    values = np.empty((len(ensemble), len(voxels)), np.float32)
    for row, (_, array) in zip(values, ensemble.read(progress, "reading scales"), strict=True):
        row[:] = array.ravel()[voxels]
    return Anchors(core, background, values[:, : len(core)], values[:, len(core) :])


def harmonized_levels(
    levels: NDArray[np.float64], anchors: Anchors, progress: Progress | None = None
) -> NDArray[np.float64]:
    """Levels that follow each volume's scale and offset, as far as these are known better than the
    levels are.

    With a volume's scale s and offset o from the anchors, u = (level - o) / s is the level on the
    common scale. Its spread has two sources: the error of the levels and that of the scales. The
    second is known, from scales measured on halves of the core; the rest is the first. Each
    volume's u moves towards the common median by the weight that inverse variances give: levels
    that are already as good as the scales stay as they are. Done twice, the second does nothing.

    Returns
    -------
    (V,) float64; ``levels`` itself where there is no core, or its density is not above the
    background's.
    """
    if len(anchors.core) < constants.MIN_CORE_VOXELS or len(levels) < 3:
        return levels
    scale, offset = scales(anchors.core_values, anchors.background_values, progress)
    if np.any(scale <= 0) or np.any(levels <= offset):
        return levels
    common = np.log((levels - offset) / scale)
    middle = np.median(common)
    # z is slowest: halves of the order are halves of the core in space
    order = np.argsort(anchors.core)
    halves = [
        scales(anchors.core_values[:, part], anchors.background_values, progress)[0]
        for part in np.array_split(order, 2)
    ]
    if any(np.any(h <= 0) for h in halves):
        return levels
    difference = np.log(halves[0] / halves[1])
    # each half has twice the variance of the whole, the difference four times
    of_scale = float(np.var(difference)) / 4
    total = float(np.mean((common - middle) ** 2))
    if total <= of_scale:
        return levels
    kept = of_scale / total
    return np.asarray(offset + scale * np.exp(middle + kept * (common - middle)))


def scales(
    core: NDArray[np.float32], background: NDArray[np.float32], progress: Progress | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and offset of each volume against the median of all, from (V, a) and (V, b) values:
    (V,), (V,) float64.

    Medians over voxels, so that a flexible part of the core and a few odd voxels do not count.
    """
    scale, offset = np.ones(len(core)), np.zeros(len(core))
    progress = progress or Progress()
    for _ in range(constants.SCALE_ROUNDS):
        progress.step("bringing levels into line")
        reference = np.median((core - offset[:, None]) / scale[:, None], axis=0)
        empty = np.median((background - offset[:, None]) / scale[:, None], axis=0)
        bright = np.abs(reference) > 1e-6 * np.abs(reference).max()
        scale = np.median((core - offset[:, None])[:, bright] / reference[bright], axis=1)
        scale = scale / np.median(scale)
        offset = np.median(background - scale[:, None] * empty, axis=1)
    return scale, offset


def axis_distances(grid: Grid) -> tuple[NDArray[np.float32], ...]:
    """Of each axis z, y, x: (size, size) squared distance of two positions, in units of the finest
    edge, see :func:`noise_distance`.
    """
    finest = min(grid.voxel_size)
    result = []
    for size, edge in zip(grid.shape, grid.voxel_size[::-1], strict=True):
        apart = np.abs(np.subtract.outer(np.arange(size), np.arange(size)))
        result.append(((np.minimum(apart, size - apart) * (edge / finest)) ** 2).astype(np.float32))
    return tuple(result)


def noise_distance(
    a: NDArray[np.integer], b: NDArray[np.integer], grid: Grid
) -> NDArray[np.float64]:
    """Distance of voxels, flat indices that broadcast, in units of the finest edge; once around the
    box where that is shorter.

    Maps are filtered and cropped in Fourier space, which makes them periodic: opposite faces share
    their noise.
    """
    square = np.zeros(np.broadcast_shapes(a.shape, b.shape))
    for one, other, apart in zip(
        np.unravel_index(a, grid.shape),
        np.unravel_index(b, grid.shape),
        axis_distances(grid),
        strict=True,
    ):
        square += apart[one, other]
    return np.sqrt(square)


def measure_noise(anchors: Anchors, grid: Grid) -> Noise:
    """Mean correlation, over the volumes, of the values of two background voxels, by distance.

    Where the background has no noise (masked maps), the core's noise stands for it.
    """
    values, voxels = anchors.background_values, anchors.background
    varied = values.std(axis=0) > 1e-6 * max(
        float(np.abs(anchors.core_values).max(initial=0)), 1e-30
    )
    if varied.sum() < constants.MIN_CORE_VOXELS:
        values, voxels = anchors.core_values, anchors.core
        varied = values.std(axis=0) > 0
    if varied.sum() < constants.MIN_CORE_VOXELS:
        return Noise(np.ones(1))
    values, voxels = values[:, varied].astype(np.float32), voxels[varied]
    values = values - np.median(values, axis=1, keepdims=True)  # a volume's offset is no noise
    values -= values.mean(axis=0)
    # 0 where all that varied was the offset
    values /= np.maximum(np.linalg.norm(values, axis=0), 1e-30)
    bins = np.rint(noise_distance(voxels[:, None], voxels, grid)).astype(np.int64).ravel()
    count = np.bincount(bins)
    mean = np.bincount(bins, (values.T @ values).ravel()) / np.maximum(count, 1)
    seen = np.flatnonzero(count >= 30)
    mean = np.interp(np.arange(int(seen[-1]) + 1), seen, mean[seen])
    # noise loses correlation with distance: what a long-range signal or sampling adds again is not
    # it
    return Noise(np.clip(np.minimum.accumulate(mean), 0, 0.999))
