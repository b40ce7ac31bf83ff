"""Contour levels that agree with each volume's scale and offset.

A volume is ``scale * density + offset``, plus noise. If its level does not follow its scale, every
voxel near the surface flips at once, which looks like a block in the shape of a shell. Scale and
offset are measured where the density is the same in all volumes: in the core, occupied in nearly
all of them, and in the background.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from .kept import kept_with
from .medians import Change, MovingMedians
from .occupancy import Kept, Occupancy, binarize
from .outliers import UNLIKE, junk_volumes
from .releveling import Releveling

SEED = 1  # for drawing anchors; any seed will do, so it is not a parameter
PHASE = "harmonizing levels"  # in words
Scales = tuple[NDArray[np.float64], NDArray[np.float64]]  # (V,) of each volume, and its offset


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

    @cached_property
    def background_medians(self) -> NDArray[np.float32]:
        """(V,) median of the background of each volume."""
        return np.asarray(np.median(self.background_values, axis=1))


def binarize_harmonized(
    ensemble: Ensemble,
    levels: NDArray[np.float64],
    filter: bool,
    fraction: float,
    progress: Progress,
) -> tuple[Occupancy, Anchors]:
    """Leave out junk volumes, bring the levels into agreement, and binarize at them.

    With the resulting levels as input mostly nothing changes; where junk was left out, the core may
    be another one, or more is junk. So what has been harmonized stays as it is, see
    :func:`.expand.expand_sketch`.

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
    # without junk the mean is another one, which takes a reading of all volumes
    again = None if junk.any() else Releveling.of(chosen, occupancy, fraction)
    anchors = read_anchors(chosen, occupancy, progress, again)
    agreed = harmonized_levels(occupancy.levels, anchors, progress)
    if np.array_equal(agreed, occupancy.levels):
        if again is not None:
            kept_with(occupancy).excerpt = again.excerpt
        return occupancy.leaving_out(left_out), anchors
    if again is not None:
        at_agreed = again.at(agreed, chosen, progress)
        if at_agreed is not None:
            made = Kept(at_agreed, excerpt=again.excerpt)
            chosen.keep(tuple(agreed), made, made.size)
            return at_agreed.leaving_out(left_out), anchors
    mean = None if junk.any() else occupancy.mean
    occupancy = binarize(chosen, agreed, False, progress, mean)
    return occupancy.leaving_out({**left_out, **occupancy.left_out}), anchors


def read_anchors(
    ensemble: Ensemble,
    occupancy: Occupancy,
    progress: Progress,
    again: Releveling | None = None,
) -> Anchors:
    """Read the core and the background; the latter from the half of the box occupied least.

    ``again`` is given what it keeps of the volumes on this occasion.
    """
    rng = np.random.default_rng(SEED)
    frequency = occupancy.frequency
    core = np.empty(0, np.int64)
    for share in constants.CORE_SHARE:
        if len(core) < constants.MIN_CORE_VOXELS:
            core = np.flatnonzero(frequency > share * len(occupancy))
    background = np.flatnonzero(frequency <= occupancy.median_frequency)
    core, background = (
        v
        if len(v) <= constants.MAX_ANCHORS
        else np.sort(rng.choice(v, constants.MAX_ANCHORS, replace=False))
        for v in (core, background)
    )
    voxels = np.concatenate([core, background])
    values = np.empty((len(ensemble), len(voxels)), np.float32)
    for v, (_, array) in enumerate(ensemble.read(progress, "reading scales")):
        flat = array.ravel()
        values[v] = flat.take(voxels)
        if again is not None:
            again.add(v, flat, float(values[v, len(core) :].mean()))
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
    fit = ScaleFit.of(anchors.core_values, anchors.background_values, progress)
    scale, offset = fit.scales(None, progress)
    if np.any(scale <= 0) or np.any(levels <= offset):
        return levels
    common = np.log((levels - offset) / scale)
    middle = np.median(common)
    # z is slowest: halves of the order are halves of the core in space
    order = np.argsort(anchors.core)
    halves = [
        fit.scales(np.sort(part), progress, offsets=False)[0] for part in np.array_split(order, 2)
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


@dataclass(frozen=True)
class ScaleFit:
    """Scale and offset of each volume relative to the median of all.

    Medians over voxels, so that a flexible part of the core or a few odd voxels do not matter. A
    first estimate comes from the medians over the volumes, core and background.

    Attributes
    ----------
    reference, empty : (a,), (b,) medians over the volumes of each voxel of core and background
    first : (V,), (V,) scale and offset from these
    core, background : medians of volumes, over their voxels
    core_voxels, background_voxels : medians of voxels, over the volumes
    """

    reference: NDArray[np.float64]
    empty: NDArray[np.float64]
    first: Scales
    core: MovingMedians
    background: MovingMedians
    core_voxels: MovingMedians
    background_voxels: MovingMedians

    @classmethod
    def of(
        cls,
        core: NDArray[np.float32],
        background: NDArray[np.float32],
        progress: Progress | None = None,
    ) -> ScaleFit:
        """From (V, a) and (V, b) values."""
        progress = progress or Progress()
        voxels = [MovingMedians.of(values) for values in (core, background)]
        reference, empty = (table.medians(Change(), progress, PHASE) for table in voxels)
        rows, outside = (MovingMedians.of(values.T) for values in (core, background))
        scale = _fitted_scale(rows, reference, np.zeros(len(core)), progress)
        offset = outside.medians(Change(rows=empty, columns=scale), progress, PHASE)
        return cls(reference, empty, (scale, offset), rows, outside, *voxels)

    def scales(
        self,
        voxels: NDArray[np.integer] | None = None,
        progress: Progress | None = None,
        offsets: bool = True,
    ) -> Scales:
        """(V,), (V,) scale and offset, from all voxels of the core or some, ascending positions.

        ``offsets``: without, these are left as they were before the last round, which saves the
        medians of the background.
        """
        progress = progress or Progress()
        reference, empty, core, core_voxels = (
            self.reference,
            self.empty,
            self.core.again(),
            self.core_voxels.again(),
        )
        if voxels is not None:
            reference = reference[voxels]
            core, core_voxels = core.only_rows(voxels), core_voxels.only_columns(voxels)
        background, background_voxels = self.background.again(), self.background_voxels.again()
        scale, offset = np.ones(core.values.shape[1]), np.zeros(core.values.shape[1])
        for turn in range(constants.SCALE_ROUNDS):
            if turn == 0 and voxels is None:
                scale, offset = self.first
                continue
            standardized = Change(rows=offset, divisor=scale)
            if turn:
                reference = core_voxels.medians(standardized, progress, PHASE)
            scale = _fitted_scale(core, reference, offset, progress)
            if turn == constants.SCALE_ROUNDS - 1 and not offsets:
                break
            if turn:
                empty = background_voxels.medians(standardized, progress, PHASE)
            offset = background.medians(Change(rows=empty, columns=scale), progress, PHASE)
        return scale, offset


def _bright(reference: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which voxels have any density to speak of."""
    return np.asarray(np.abs(reference) > 1e-6 * np.abs(reference).max())


def _fitted_scale(
    core: MovingMedians,
    reference: NDArray[np.float64],
    offset: NDArray[np.float64],
    progress: Progress,
) -> NDArray[np.float64]:
    """(V,) scale of each volume by a reference, from the offset of the round before. Rows of
    ``core`` are voxels.
    """
    bright = _bright(reference)
    if not bright.all():
        core, reference = core.only_rows(np.flatnonzero(bright)), reference[bright]
    scale = core.medians(Change(columns=offset, divisor=reference), progress, PHASE)
    return np.asarray(scale / np.median(scale))
