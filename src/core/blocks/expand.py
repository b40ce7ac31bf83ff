"""Expand: test every occupied voxel against every block, and add it to those it goes with.

With the statistic ``profile``, the default, a voxel joins one block at most; with ``published`` and
``exact``, several.

Example::

    from chimerax.siren.core import ExampleParameters, expand_sketch, simulate, sketch

    example = simulate(ExampleParameters(volumes=100, box=32, voxel_size=10))
    ensemble = example.ensemble()
    result = sketch(ensemble, example.levels)
    grown = expand_sketch(ensemble, result).blocks
    result.blocks.voxel_count < grown.voxel_count  # -> True

Method of Kinman, Carreira, Powell & Davis, Structure 33:974-987, 2025, doi
10.1016/j.str.2025.02.004.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.devices import CPU
from ..common.errors import SirenError
from ..common.progress import Progress
from ..compute.backends import open_backend
from ..compute.resources import check_reading, judging_seconds
from ..maps.ensemble import Ensemble
from .background import Background, measure_background, vary_together
from .blockset import BlockSet
from .evidence import Evidence, with_evidence
from .kept import kept_with, near_blocks
from .occupancy import Occupancy
from .parameters import INHERITED, ExpandParameters
from .region import Mask, region_of, within
from .sketch import SketchResult
from .stability import (
    COMING_BACK,
    draw_halves,
    halves_at_other_levels,
    recovery_rate,
    with_strength,
)
from .statistics import statistic_named
from .statistics.protocol import Statistic

# of maps that do not fit into memory: occupancy, background, evidence and stability
EXPAND_PASSES = 4
OTHER_VOLUMES = (
    "No voxel of the blocks is occupied in enough volumes: do the blocks belong to these volumes?"
)


@dataclass(frozen=True)
class ExpandResult:
    """What :func:`expand` found.

    Attributes
    ----------
    blocks : BlockSet with the numbers and names of the blocks given, each with its own voxels and
        those that joined; ``unassigned`` holds the union voxels in no block
    occupancy : Occupancy of the volumes that took part
    union : flat indices of the voxels that were tested
    counted_on : the device or cluster
    evidence : what the densities say
    region : (N,) bool, where voxels could join, or None for everywhere
    """

    blocks: BlockSet
    occupancy: Occupancy
    union: NDArray[np.int64]
    counted_on: str = CPU
    evidence: Evidence | None = None
    region: NDArray[np.bool_] | None = None


def expand_sketch(
    ensemble: Ensemble,
    sketched: SketchResult,
    parameters: ExpandParameters | None = None,
    progress: Progress | None = None,
) -> ExpandResult:
    """Expand what :func:`.sketch.sketch` found, as ``siren expand`` does after ``siren sketch``: in
    the volumes that took part, at the levels used.

    Levels that the sketch has brought into agreement are not harmonized again, and junk that it
    left out stays out.

    Parameters
    ----------
    ensemble : Ensemble of the sketch; volumes that did not take part may be among it
    sketched : SketchResult
    parameters : ExpandParameters, optional
        Those of the sketch by default. The sketch's mask holds unless they name another, or "none".
    progress : Progress, optional

    Raises
    ------
    SirenError, Cancelled
        As :func:`expand`, such as for a sketch without blocks.
    """
    used, of_sketch = sketched.occupancy, sketched.parameters
    if parameters is None:
        parameters = ExpandParameters(**{name: getattr(of_sketch, name) for name in INHERITED})
    region = sketched.region if parameters.mask is None else None
    if region is not None:
        parameters = replace(parameters, mask=of_sketch.mask)
    harmonized = statistic_named(of_sketch.statistic).harmonizes
    return expand(
        ensemble.of(used.names),
        used.levels,
        sketched.blocks,
        parameters,
        progress,
        agreed=harmonized and not parameters.filter,
        region=region,
    )


def expand(
    ensemble: Ensemble,
    levels: NDArray[np.float64],
    blocks: BlockSet,
    parameters: ExpandParameters | None = None,
    progress: Progress | None = None,
    agreed: bool = False,
    mask: Mask | None = None,
    region: NDArray[np.bool_] | None = None,
) -> ExpandResult:
    """Add to each block every voxel of the ensemble that goes with it. The blocks' own voxels stay
    in them. After a sketch, :func:`expand_sketch` is what you want.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    levels : (V,) contour level of each volume, in the maps' units
    blocks : BlockSet on the ensemble's grid
    parameters : ExpandParameters
    progress : Progress, optional
    agreed : the levels are those of a sketch by a statistic that harmonizes: they agree already,
        and junk is out
    mask : in place of the file that ``parameters.mask`` names; the blocks' own voxels stay in them
        wherever they are
    region : (N,) bool, where voxels may join, in place of a mask

    Raises
    ------
    SirenError
        If there is no block, none has a voxel that is occupied in enough volumes, or the device or
        cluster is not there or gives up.
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters, progress = parameters or ExpandParameters(), progress or Progress()
    if not len(blocks):
        raise SirenError(
            "There is no block to expand: the sketch found none. Try more volumes, other "
            "thresholds or "
            "a higher posp, or give a folder with block maps."
        )
    statistic = statistic_named(parameters.statistic)
    where = (parameters.device, parameters.scheduler) if statistic.counts_in_expand else (CPU, None)
    if region is None:
        region = region_of(parameters, ensemble, mask, progress)
    ensemble = ensemble.cached(constants.CACHE_BYTES)
    # first of all, so that a device that is missing is reported before anything is read
    with open_backend(*where, progress) as compute:
        judging = judging_seconds(len(ensemble), ensemble.grid.size, sketching=False)
        check_reading(ensemble, EXPAND_PASSES, progress, judging)
        with progress.timed("reading"):
            observed = statistic.observe(ensemble, levels, parameters, progress, agreed)
            occupancy, union = observed.occupancy, observed.union
        # a voxel drawn by hand may never be occupied
        seeds = [np.intersect1d(voxels, union) for _, voxels in blocks]
        if not any(map(len, seeds)):
            raise SirenError(OTHER_VOLUMES)
        if region is not None:
            union = np.union1d(within(union, region, parameters.mask), np.concatenate(seeds))
        occupancy.remember(union, kept_with(occupancy).occupancy)
        ensemble = near_blocks(ensemble.of(occupancy.names), occupancy, union)
        background = measure_background(ensemble, occupancy, progress)
        dependent = vary_together(background.effective_volumes, len(occupancy))
        with progress.timed("testing"):
            joined = statistic.join(
                occupancy, union, seeds, parameters, progress, compute, dependent
            )
    grown = [np.union1d(voxels, more) for (_, voxels), more in zip(blocks, joined, strict=True)]
    outside = np.setdiff1d(union, np.concatenate(grown))
    result = BlockSet(
        blocks.grid, dict(zip(blocks.blocks, grown, strict=True)), outside, names=blocks.names
    )
    with progress.timed("evidence"):
        result, evidence = with_evidence(result, occupancy, ensemble, background, progress)
    with progress.timed("stability"):
        if parameters.resamples:
            rates = _stability(
                statistic, ensemble, occupancy, background, result, seeds, parameters, progress
            )
            result = replace(result, stability=dict(zip(blocks.blocks, rates, strict=True)))
        result = with_strength(result, occupancy, progress)
    return ExpandResult(result, occupancy, union, compute.name, evidence, region)


def _stability(
    statistic: Statistic,
    ensemble: Ensemble,
    occupancy: Occupancy,
    background: Background,
    result: BlockSet,
    seeds: list[NDArray[np.int64]],
    parameters: ExpandParameters,
    progress: Progress,
) -> list[float]:
    """How often each block grows again from a random half of its seeds in a random half of the
    volumes, see :mod:`.stability`.

    By majorities, also where volumes share their noise: which voxels of a surface are in most of
    them depends on the level, and the levels are what tells it from a part. Of blocks of decoder
    volumes, the area under the ROC curve is 0.97 rather than 0.92 (devel/benchmarks/decoders.md).
    """
    rng, grown = np.random.default_rng(parameters.seed), [voxels for _, voxels in result]
    halves = draw_halves(
        grown, result.unassigned, len(occupancy), parameters.resamples, parameters.seed
    )
    some = [[np.sort(rng.permutation(s)[: -(-len(s) // 2)]) for s in seeds] for _ in halves]
    needed = [
        (half, np.unique(np.concatenate([voxels, *few])))
        for (half, voxels), few in zip(halves, some, strict=True)
    ]
    parts = halves_at_other_levels(ensemble, occupancy, background, needed, progress)
    for part, (_, voxels) in zip(parts, needed, strict=True):
        part.remember(voxels)
    both = zip(parts, halves, some, strict=True)
    found = [
        statistic.join(part, voxels, few, parameters, progress.quiet())
        for part, (_, voxels), few in progress.each(both, COMING_BACK, len(halves))
    ]
    return recovery_rate(grown, found, [voxels for _, voxels in halves])
