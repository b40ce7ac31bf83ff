"""Contour levels that agree with each volume's scale and offset.

A volume is ``scale * density + offset``, plus noise. If its level does not follow its scale, every
voxel near the surface flips at once, which looks like a block in the shape of a shell. Scale and
offset are measured where the density is the same in all volumes: in the core, occupied in nearly
all of them, and in the background.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from .occupancy import Occupancy, binarize
from .outliers import UNLIKE, junk_volumes

SEED = 1  # for drawing anchors; any seed will do, so it is not a parameter


@dataclass(frozen=True)
class Anchors:
    """Voxels where the density is the same in all volumes, and their values.

    Attributes
    ----------
    core, background : (a,), (b,) flat indices of voxels
    core_values, background_values : (V, a), (V, b) float32
    """

    core: NDArray[np.int64]
    background: NDArray[np.int64]
    core_values: NDArray[np.float32]
    background_values: NDArray[np.float32]


def binarize_harmonized(
    ensemble: Ensemble,
    levels: NDArray[np.float64],
    filter: bool,
    fraction: float,
    progress: Progress,
) -> tuple[Occupancy, Anchors]:
    """Leave out junk volumes, bring the levels into agreement, and binarize at them.

    Idempotent: with the resulting levels as input, nothing changes any more.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    levels : (V,) contour level of each
    filter : as for :func:`.occupancy.binarize`
    fraction : junk is looked for in voxels occupied in more than this share of the volumes

    Returns
    -------
    Occupancy of the volumes that are left, and the anchors from which the noise is measured
    """
    ensemble = ensemble.cached(constants.CACHE_BYTES)
    occupancy = binarize(ensemble, levels, filter, progress)
    junk = junk_volumes(occupancy, occupancy.union(fraction), progress=progress)
    left_out = dict(occupancy.left_out)
    left_out.update({n: UNLIKE for n, j in zip(occupancy.names, junk, strict=True) if j})
    chosen = ensemble.select(exclude=tuple(left_out)) if left_out else ensemble
    if junk.any():
        occupancy = occupancy.without(junk)
    anchors = read_anchors(chosen, occupancy, progress)
    agreed = harmonized_levels(occupancy.levels, anchors, progress)
    if np.array_equal(agreed, occupancy.levels):
        return replace(occupancy, left_out=left_out), anchors
    mean = None if junk.any() else occupancy.mean
    occupancy = binarize(chosen, agreed, False, progress, mean)
    return replace(occupancy, left_out={**left_out, **occupancy.left_out}), anchors


def read_anchors(ensemble: Ensemble, occupancy: Occupancy, progress: Progress) -> Anchors:
    """Read the core and the background; the latter from the half of the box occupied least."""
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
    """Levels that follow each volume's scale and offset where these are the more reliable.

    With scale s and offset o from the anchors, u = (level - o) / s is a volume's level on the
    common scale. The spread of u has two sources: the error of the levels and the error of the
    scales. The latter is estimated from the two halves of the core; the remainder is the former.
    Each u moves toward the common median by inverse-variance weighting, so levels that are already
    as good as the scales stay where they are. Idempotent.

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
    """Scale and offset of each volume relative to the median of all.

    Medians over voxels, so that a flexible part of the core or a few odd voxels do not matter.

    Parameters
    ----------
    core, background : (V, a), (V, b) values

    Returns
    -------
    (V,), (V,) float64
    """
    scale, offset = np.ones(len(core)), np.zeros(len(core))
    progress = progress or Progress()
    for _ in range(constants.SCALE_ROUNDS):
        progress.step("harmonizing levels")
        reference = np.median((core - offset[:, None]) / scale[:, None], axis=0)
        empty = np.median((background - offset[:, None]) / scale[:, None], axis=0)
        bright = np.abs(reference) > 1e-6 * np.abs(reference).max()
        scale = np.median((core - offset[:, None])[:, bright] / reference[bright], axis=1)
        scale = scale / np.median(scale)
        offset = np.median(background - scale[:, None] * empty, axis=1)
    return scale, offset
