"""Expand: test every occupied voxel against every block, and add it to those it goes with.

With the statistic ``profile``, the default, a voxel joins one block at most; with ``published`` and ``exact``, several.

Example::

    blocks = read_block_maps(Path("siren/00_sketch"))
    result = expand(ensemble, levels, blocks, ExpandParameters())

Method of Kinman, Carreira, Powell & Davis, Structure 33:974-987, 2025, doi 10.1016/j.str.2025.02.004.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError
from ..common.parameters import parameter
from ..common.progress import Progress
from ..compute.backends import CPU, computing
from ..compute.pair_tiles import Compute, Counter, Found, Here, occupied, run_tiles, unpacked
from ..maps.ensemble import Ensemble
from .blockset import BlockSet
from .level_harmonization import prepare
from .occupancy import Occupancy, binarize
from .pair_counts import TestParameters, distances
from .profiles import grown_blocks
from .similarity import variable_voxels
from .stability import COMING_BACK, draw_halves, share_back, with_strength
from .statistics import PairTest

NOT_THESE = "No voxel of the blocks is occupied in enough volumes: do the blocks belong to these volumes?"


@dataclass(frozen=True)
class ExpandParameters(TestParameters):
    """Parameters of :func:`expand`."""

    exp_frac: float = parameter(0.25, "share of a block's voxels that a voxel must go with to join (published and exact "
                                "statistic)", above=0, most=1, statistics=("published", "exact"),
                             label="share of block to join")
    seed: int = parameter(0, "seed of the random halves for stability", least=0, advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.statistic == "profile":
            self._refuse("exp_frac")


@dataclass(frozen=True)
class ExpandResult:
    """What :func:`expand` found.

    Attributes
    ----------
    blocks : BlockSet with the numbers and names of the blocks given, each with its own voxels and those that joined;
        ``unassigned`` holds the union voxels in no block
    occupancy : Occupancy of the volumes that took part
    union : flat indices of the voxels that were tested
    counted_on : the device or cluster
    """

    blocks: BlockSet
    occupancy: Occupancy
    union: NDArray[np.int64]
    counted_on: str = CPU


def expand(ensemble: Ensemble, levels: NDArray[np.float64], blocks: BlockSet, parameters: ExpandParameters | None = None,
           progress: Progress | None = None, agreed: bool = False) -> ExpandResult:
    """Add to each block every voxel of the ensemble that goes with it. The blocks' own voxels stay in them.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    levels : (V,) contour level of each volume, in the maps' units
    blocks : BlockSet on the ensemble's grid
    parameters : ExpandParameters
    progress : Progress, optional
    agreed : the levels are those that a sketch by the profile statistic used: they agree already, and junk is out

    Raises
    ------
    SirenError
        If there is no block, none has a voxel that is occupied in enough volumes, or the device or cluster is not there or gives up.
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters = parameters or ExpandParameters()
    progress = progress or Progress()
    if not len(blocks):
        raise SirenError("There is no block to expand: the sketch found none. Try more volumes, other thresholds or "
                         'a higher posp, or give a folder with block maps.')
    if parameters.statistic == "profile":  # each voxel against a few profiles: less than it takes to send them
        return _expand(ensemble, levels, blocks, parameters, progress, agreed, Here())
    with computing(parameters.device, parameters.scheduler, progress) as compute:  # first: what is not there is said before the reading
        return _expand(ensemble, levels, blocks, parameters, progress, agreed, compute)


def _expand(ensemble: Ensemble, levels: NDArray[np.float64], blocks: BlockSet, parameters: ExpandParameters, progress: Progress,
            agreed: bool, compute: Compute) -> ExpandResult:
    by_profile = parameters.statistic == "profile"
    with progress.timed("reading"):
        if by_profile and not agreed:
            occupancy, _ = prepare(ensemble, levels, parameters.filter is True, parameters.union_fraction, progress)
        else:
            occupancy = binarize(ensemble, levels, parameters.filter is True, progress)
        union = (variable_voxels if by_profile else Occupancy.union)(occupancy, parameters.union_fraction)
    seeds = [np.intersect1d(voxels, union) for _, voxels in blocks]  # a voxel drawn by hand may never be occupied
    if not any(map(len, seeds)):
        raise SirenError(NOT_THESE)
    join = joined_by_profile if by_profile else joined_by_count
    with progress.timed("testing"):
        joined = join(occupancy, union, seeds, parameters, progress, compute)
    grown = [np.union1d(voxels, more) for (_, voxels), more in zip(blocks, joined, strict=True)]
    outside = np.setdiff1d(union, np.concatenate(grown))
    result = BlockSet(blocks.grid, dict(zip(blocks.blocks, grown, strict=True)), outside, names=blocks.names)
    with progress.timed("stability"):
        if parameters.resamples:
            back = _stability(grown, seeds, outside, occupancy, parameters, progress)
            result = replace(result, stability=dict(zip(blocks.blocks, back, strict=True)))
        return ExpandResult(with_strength(result, occupancy, progress), occupancy, union, compute.name)


def _stability(grown: list[NDArray[np.int64]], seeds: list[NDArray[np.int64]], outside: NDArray[np.int64], occupancy: Occupancy,
               parameters: ExpandParameters, progress: Progress) -> list[float]:
    """How often each block grows again from a random half of its seeds in a random half of the volumes."""
    join = joined_by_profile if parameters.statistic == "profile" else joined_by_count
    rng = np.random.default_rng(parameters.seed)
    halves = draw_halves(grown, outside, len(occupancy), parameters.resamples, parameters.seed)
    found = []
    for half, voxels in progress.each(halves, COMING_BACK, len(halves)):
        some = [np.sort(rng.permutation(s)[:-(-len(s) // 2)]) for s in seeds]
        found.append(join(occupancy.without(~half), voxels, some, parameters, progress.quiet()))
    return share_back(grown, found, [voxels for _, voxels in halves])


def joined_by_profile(occupancy: Occupancy, voxels: NDArray[np.int64], seeds: list[NDArray[np.int64]], parameters: ExpandParameters,
                      progress: Progress, compute: Compute | None = None) -> list[NDArray[np.int64]]:
    """Which voxels join each block, by its profile: flat indices. A voxel joins one block at most. In this process, always."""
    owner = grown_blocks(occupancy, voxels, seeds, parameters.posp, progress)
    for block, seed in enumerate(seeds):  # a person may have merged what the profiles would tell apart: it stays as it is
        owner[np.isin(voxels, seed, assume_unique=True)] = block
    return [voxels[owner == b] for b in range(len(seeds))]


@dataclass(frozen=True)
class JoinSearch:
    """Voxels that go with at least ``share`` of a block's voxels.

    Attributes
    ----------
    bits : (n, ceil(V / 8)) uint8, packed occupancy of the voxels to test
    block_bits : (m, ceil(V / 8)) uint8, of the blocks' voxels, block after block
    volumes : V
    block_of : (m,) position of each block voxel's block
    points, centres : (n, 3), (b, 3) x, y, z in A, of the voxels and of the blocks' middles
    test : PairTest
    index, block_index : (n,), (m,) rows of the test's tables
    share : of a block's voxels
    """

    bits: NDArray[np.uint8]
    block_bits: NDArray[np.uint8]
    volumes: int
    block_of: NDArray[np.intp]
    points: NDArray[np.float64]
    centres: NDArray[np.float64]
    test: PairTest
    index: NDArray[np.intp]
    block_index: NDArray[np.intp]
    share: float

    def rows(self) -> int:
        """Number of voxels to test."""
        return len(self.bits)

    def columns(self) -> NDArray[np.float32]:
        """(m, V) occupancy of the blocks' voxels."""
        return unpacked(self.block_bits, self.volumes)

    def tile(self, start: int, stop: int, counter: Counter) -> Found:
        """(t, b) bool: which voxel joins which block."""
        both = counter(unpacked(self.bits[start:stop], self.volumes), 0)
        factor = None
        if self.test.statistic != "exact":
            factor = _block_factor(self.test.factor, distances(self.points[start:stop], self.centres))[:, self.block_of]
        goes = self.test.significant(both, self.index[start:stop, None], self.block_index, factor)
        sizes = np.bincount(self.block_of, minlength=len(self.centres))
        together = np.stack([goes[:, self.block_of == b].sum(axis=1) for b in range(len(sizes))], axis=1)
        return ((together >= self.share * np.maximum(sizes, 1)) & (sizes > 0),)


def joined_by_count(occupancy: Occupancy, voxels: NDArray[np.int64], seeds: list[NDArray[np.int64]], parameters: ExpandParameters,
                    progress: Progress, compute: Compute | None = None) -> list[NDArray[np.int64]]:
    """Which voxels join each block, as published: those that go with at least ``exp_frac`` of its voxels. Flat indices."""
    members, volumes, grid = np.concatenate(seeds), len(occupancy), occupancy.grid
    bits, block_bits = occupancy.packed(voxels), occupancy.packed(members)
    frequency, block_frequency = occupied(bits), occupied(block_bits)
    test = parameters.pair_test(np.union1d(frequency, block_frequency), volumes, len(voxels) * len(members), progress)
    centres = np.array([np.median(grid.points(s), axis=0) if len(s) else np.zeros(3) for s in seeds])
    search = JoinSearch(bits, block_bits, volumes, np.repeat(np.arange(len(seeds)), [len(s) for s in seeds]),
                        grid.points(voxels), centres, test, test.index(frequency), test.index(block_frequency), parameters.exp_frac)
    joins = np.concatenate([found for (found,) in run_tiles(search, "expanding blocks", progress, compute)])
    return [voxels[joins[:, b]] for b in range(len(seeds))]


def _block_factor(factor: Callable[[NDArray[np.float64]], NDArray[np.float64]], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor by distance from a block's middle; 1 in the middle itself, as published."""
    return np.where(distance == 0, 1.0, factor(distance))
