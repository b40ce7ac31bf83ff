"""Sketch: from a sample of the occupied voxels to the blocks that come and go together.

:func:`sketch` follows Kinman et al. with the statistics ``published`` and ``exact``: pairs that are significantly often together
make a graph, its communities are the blocks. With ``profile``, the default, see :mod:`.profiles`.

Example::

    ensemble = find_ensemble(["volumes"])
    result = sketch(ensemble, read_thresholds("predictions.csv", ensemble), SketchParameters(seed=1))
    result.blocks, result.occupancy.left_out

Method of Kinman, Carreira, Powell & Davis, Structure 33:974-987, 2025, doi 10.1016/j.str.2025.02.004.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..common.parameters import parameter
from ..common.progress import Progress
from ..compute.backends import CPU, computing
from ..compute.pair_tiles import Compute
from ..compute.resources import LONG, MUCH, fits, need_of_reading, refusal
from ..maps.ensemble import Ensemble
from ..maps.grid import Grid
from .blockset import BlockSet
from .communities import label_propagation, modularity_communities
from .level_harmonization import Noise, measure_noise, prepare
from .occupancy import Occupancy, binarize
from .pair_counts import CountedPairs, TestParameters, significant_pairs
from .profiles import distinct_blocks
from .sampling import affordable_sample
from .similarity import AlikePairs, alike_pairs, variable_voxels
from .stability import COMING_BACK, draw_halves, share_back, with_strength


@dataclass(frozen=True)
class SketchParameters(TestParameters):
    """Parameters of :func:`sketch`."""

    subsample: int | None = parameter(None, "use one in this many of the occupied voxels, drawn at random; not given: 2, or more where "
                                      "there are too many to compare", least=1, label="use 1 voxel in")
    min_size: int = parameter(6, "smallest community that is a block", least=2, unit="voxels", label="smallest block")
    seed: int = parameter(0, "seed of the random sample", least=0, advanced=True)


@dataclass(frozen=True)
class SketchResult:
    """What :func:`sketch` found.

    Attributes
    ----------
    blocks : BlockSet, largest block first; ``unassigned`` holds the sampled voxels in no block
    occupancy : Occupancy of the volumes that took part
    union : flat indices of the voxels occupied often enough (profile statistic: and empty often enough)
    sample : those of them that were tested
    edges : (e, 2) int32, the significant pairs (profile statistic: the most alike of them), as positions in ``sample``
    counted_on : the device or cluster
    """

    blocks: BlockSet
    occupancy: Occupancy
    union: NDArray[np.int64]
    sample: NDArray[np.int64]
    edges: NDArray[np.int32]
    counted_on: str = CPU


def sketch(ensemble: Ensemble, levels: NDArray[np.float64], parameters: SketchParameters | None = None,
           progress: Progress | None = None) -> SketchResult:
    """Find blocks in an ensemble.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    levels : (V,) contour level of each volume, in the maps' units
    parameters : SketchParameters
    progress : Progress, optional

    Raises
    ------
    SirenError
        If fewer than 2 volumes are left, no voxel varies, or the device or cluster is not there or gives up.
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters = parameters or SketchParameters()
    progress = progress or Progress()
    counted = count(ensemble, levels, parameters, progress)
    with progress.timed("clustering"):
        blocks = counted.blocks(parameters, progress)
    numbered = number_blocks(counted.occupancy.grid, blocks, counted.sample)
    with progress.timed("stability"):
        if parameters.resamples:
            halves = counted.halves(blocks, parameters, progress)
            numbered = replace(numbered, stability=stability_in(halves, blocks, parameters, progress))
        numbered = with_strength(numbered, counted.occupancy, progress)
    return SketchResult(numbered, counted.occupancy, counted.union, counted.sample, counted.pairs.at(parameters.posp, parameters.negp)[0],
                        counted.counted_on)


@dataclass(frozen=True)
class Counted:
    """An ensemble whose voxels are counted against each other: from here, blocks at any stringency come quickly.

    Attributes
    ----------
    occupancy : Occupancy of the volumes that take part
    union : flat indices of the voxels occupied often enough (profile statistic: and empty often enough)
    sample : those of them that were compared
    pairs : pairs of them that go together at the loosest stringency asked for
    noise : Noise, for the profile statistic
    counted_on : the device or cluster
    """

    occupancy: Occupancy
    union: NDArray[np.int64]
    sample: NDArray[np.int64]
    pairs: AlikePairs | CountedPairs
    noise: Noise | None = None
    counted_on: str = CPU

    def blocks(self, parameters: SketchParameters, progress: Progress) -> list[NDArray[np.int64]]:
        """Flat indices of each block's voxels, largest first, at this ``posp`` and ``negp``, no looser than was counted."""
        if self.noise is None or isinstance(self.pairs, CountedPairs):
            communities = label_propagation(len(self.sample), self.pairs.at(parameters.posp, parameters.negp)[0], progress)
            return [self.sample[c] for c in communities if len(c) >= parameters.min_size]
        edges, strength = self.pairs.at(parameters.posp)
        communities = modularity_communities(len(self.sample), edges, strength, parameters.seed, progress)
        owner = distinct_blocks(self.occupancy, self.sample, self.noise, communities, parameters.min_size, parameters.posp, progress)
        return sorted((self.sample[owner == b] for b in range(owner.max(initial=-1) + 1)), key=len, reverse=True)

    def of(self, half: NDArray[np.bool_], voxels: NDArray[np.int64], parameters: SketchParameters, progress: Progress) -> Counted:
        """The same of some volumes, (V,) bool, and some voxels, (n,) flat indices, counted anew."""
        occupancy = self.occupancy.part(half, voxels)
        return replace(self, occupancy=occupancy, sample=voxels,
                       pairs=_pairs(occupancy, voxels, self.noise, parameters, progress))

    def halves(self, blocks: list[NDArray[np.int64]], parameters: SketchParameters, progress: Progress) -> list[Counted]:
        """Random halves of the volumes with some voxels of each block, counted anew, see :mod:`.stability`.

        Always in this process: each is a strip or two.
        """
        others = np.setdiff1d(self.sample, np.concatenate(blocks)) if blocks else self.sample
        drawn = draw_halves(blocks, others, len(self.occupancy), parameters.resamples, parameters.seed)
        return [self.of(half, voxels, parameters, progress.quiet())
                for half, voxels in progress.each(drawn, "counting halves of the volumes", len(drawn))]


def stability_in(halves: Sequence[Counted], blocks: list[NDArray[np.int64]], parameters: SketchParameters,
                 progress: Progress) -> dict[int, float]:
    """How often each of the blocks, numbered from 1, comes back in :meth:`Counted.halves`."""
    found = [half.blocks(parameters, progress.quiet()) for half in progress.each(halves, COMING_BACK, len(halves))]
    return dict(enumerate(share_back(blocks, found, [half.sample for half in halves]), 1))


def count(ensemble: Ensemble, levels: NDArray[np.float64], parameters: SketchParameters, progress: Progress) -> Counted:
    """Read an ensemble and count its voxels against each other: the longer part of a sketch.

    Parameters
    ----------
    ensemble, levels : as :func:`sketch`
    parameters : with the loosest ``posp`` and ``negp`` of interest
    """
    with computing(parameters.device, parameters.scheduler, progress) as compute:  # first: what is not there is said before the reading
        return _count(ensemble, levels, parameters, progress, compute)


def _count(ensemble: Ensemble, levels: NDArray[np.float64], parameters: SketchParameters, progress: Progress, compute: Compute) -> Counted:
    by_profile = parameters.statistic == "profile"
    noise: Noise | None = None
    reading = need_of_reading(ensemble, 3 if by_profile else 1)
    if not fits(reading):
        raise refusal(reading, f'use "box {max(32, max(ensemble.grid.shape) // 2)}", or fewer volumes')
    if reading.seconds > LONG or reading.memory > MUCH:
        progress.say(f"Reading {len(ensemble):,} volumes, {ensemble.grid.text()}: {reading.text()}.")
    with progress.timed("reading"):
        if by_profile:
            occupancy, anchors = prepare(ensemble, levels, parameters.filter is True, parameters.union_fraction, progress)
            union = variable_voxels(occupancy, parameters.union_fraction)
            noise = measure_noise(anchors, occupancy.grid)
        else:
            occupancy = binarize(ensemble, levels, parameters.filter is True, progress)
            union = occupancy.union(parameters.union_fraction)
        nothing = by_profile and len(union) < 2  # a very small ensemble, or one that does not vary
        sample = union if nothing else affordable_sample(occupancy, union, parameters.subsample, parameters.seed, parameters, progress)
    with progress.timed("testing"):
        pairs = _pairs(occupancy, sample, noise, parameters, progress, compute)
    return Counted(occupancy, union, sample, pairs, noise, compute.name)


def _pairs(occupancy: Occupancy, sample: NDArray[np.int64], noise: Noise | None, parameters: TestParameters,
           progress: Progress, compute: Compute | None = None) -> AlikePairs | CountedPairs:
    if noise is not None:
        return alike_pairs(occupancy, sample, noise, parameters.posp, progress, compute)
    return significant_pairs(occupancy, sample, parameters, progress, compute)


def number_blocks(grid: Grid, blocks: list[NDArray[np.int64]], tested: NDArray[np.int64]) -> BlockSet:
    """Number blocks from 1, largest first; the tested voxels in none are unassigned."""
    inside = np.concatenate(blocks) if blocks else np.empty(0, np.int64)
    return BlockSet(grid, {n: np.sort(b) for n, b in enumerate(blocks, 1)}, np.setdiff1d(tested, inside))
