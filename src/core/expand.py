"""Expand: test every occupied voxel against every block, and add it to those it goes with.

With the statistic ``profile``, the default, a voxel joins one block at most; with ``published`` and ``exact``, several.

Example::

    blocks = read_block_maps(Path("siren/00_sketch"))
    result = expand(ensemble, levels, blocks, ExpandParameters())

Method of Kinman, Carreira, Powell & Davis, Structure 33:974-987, 2025, doi 10.1016/j.str.2025.02.004.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .alike import variable_voxels
from .blocks import BlockSet
from .ensemble import Ensemble
from .errors import SirenError
from .harmonise import prepare
from .occupancy import Occupancy, binarize
from .parameters import parameter
from .profiles import grown_blocks
from .progress import Progress
from .sketch import TestParameters, distances
from .statistics import PairTest
from .tiles import Counter, Found, packed, run_tiles, unpacked

NOT_THESE = "No voxel of the blocks is occupied in enough volumes: do the blocks belong to these volumes?"


@dataclass(frozen=True)
class ExpandParameters(TestParameters):
    """Parameters of :func:`expand`."""

    exp_frac: float = parameter(0.25, "share of a block's voxels that a voxel must go with to join (published and exact "
                                "statistic)", above=0, most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.statistic == "profile":
            self._refuse("exp_frac")


@dataclass(frozen=True)
class ExpandResult:
    """What :func:`expand` found.

    Attributes
    ----------
    blocks : BlockSet with the numbers of the blocks given, each with its own voxels and those that joined;
        ``unassigned`` holds the union voxels in no block
    occupancy : Occupancy of the volumes that took part
    union : flat indices of the voxels that were tested
    """

    blocks: BlockSet
    occupancy: Occupancy
    union: NDArray[np.int64]


def expand(ensemble: Ensemble, levels: NDArray[np.float64], blocks: BlockSet, parameters: ExpandParameters | None = None,
           progress: Progress | None = None) -> ExpandResult:
    """Add to each block every voxel of the ensemble that goes with it. The blocks' own voxels stay in them.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    levels : (V,) contour level of each volume, in the maps' units
    blocks : BlockSet on the ensemble's grid
    parameters : ExpandParameters
    progress : Progress, optional

    Raises
    ------
    SirenError
        If there is no block, or none has a voxel that is occupied in enough volumes.
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters = parameters or ExpandParameters()
    progress = progress or Progress()
    if not len(blocks):
        raise SirenError("There is no block to expand: the sketch found none. Try more volumes, other thresholds or "
                         'a higher posp, or give a folder with block maps.')
    run = _by_profile if parameters.statistic == "profile" else _by_counting
    occupancy, union, joins = run(ensemble, levels, blocks, parameters, progress)
    grown = {number: np.union1d(voxels, union[joins[:, column]]) for column, (number, voxels) in enumerate(blocks)}
    inside = np.concatenate(list(grown.values()))
    return ExpandResult(BlockSet(blocks.grid, grown, np.setdiff1d(union, inside)), occupancy, union)


def _by_counting(ensemble: Ensemble, levels: NDArray[np.float64], blocks: BlockSet, parameters: ExpandParameters,
                 progress: Progress) -> tuple[Occupancy, NDArray[np.int64], NDArray[np.bool_]]:
    """Occupancy, the voxels tested, and which joins which block, as published."""
    with progress.timed("reading"):
        occupancy = binarize(ensemble, levels, parameters.filter is True, progress)
        union = occupancy.union(parameters.union_fraction)
    with progress.timed("testing"):
        return occupancy, union, voxels_that_join(occupancy, union, blocks, parameters, progress)


def _by_profile(ensemble: Ensemble, levels: NDArray[np.float64], blocks: BlockSet, parameters: ExpandParameters,
                progress: Progress) -> tuple[Occupancy, NDArray[np.int64], NDArray[np.bool_]]:
    """Occupancy, the voxels tested, and which joins which block, by the blocks' profiles."""
    with progress.timed("reading"):
        occupancy, _ = prepare(ensemble, levels, parameters.filter is True, parameters.union_fraction, progress)
        union = variable_voxels(occupancy, parameters.union_fraction)
    seeds = [np.intersect1d(voxels, union) for _, voxels in blocks]  # a voxel drawn by hand may never be occupied
    if not any(len(s) for s in seeds):
        raise SirenError(NOT_THESE)
    with progress.timed("testing"):
        owner = grown_blocks(occupancy, union, seeds, parameters.posp, progress)
    for block, seed in enumerate(seeds):  # a person may have merged what the profiles would tell apart: it stays as it is
        owner[np.searchsorted(union, seed)] = block
    return occupancy, union, owner[:, None] == np.arange(len(seeds))


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
        goes = self.test.significant(both, self.index[start:stop], self.block_index, factor)
        sizes = np.bincount(self.block_of, minlength=len(self.centres))
        together = np.stack([goes[:, self.block_of == b].sum(axis=1) for b in range(len(sizes))], axis=1)
        return ((together >= self.share * np.maximum(sizes, 1)) & (sizes > 0),)


def voxels_that_join(occupancy: Occupancy, union: NDArray[np.int64], blocks: BlockSet, parameters: ExpandParameters,
                     progress: Progress) -> NDArray[np.bool_]:
    """Which voxel of the union goes with at least ``exp_frac`` of which block's voxels.

    Returns
    -------
    (len(union), number of blocks) bool, blocks in their order.
    """
    members = [np.intersect1d(voxels, union) for _, voxels in blocks]  # a voxel drawn by hand may never be occupied
    voxels = np.concatenate(members)
    if not len(voxels):
        raise SirenError(NOT_THESE)
    frequency = occupancy.frequency
    test = parameters.pair_test(frequency[union], len(occupancy), len(union) * len(voxels))
    centres = np.array([np.median(blocks.grid.points(v), axis=0) for _, v in blocks])
    search = JoinSearch(packed(occupancy.rows(union)), packed(occupancy.rows(voxels)), len(occupancy),
                        np.repeat(np.arange(len(members)), [len(m) for m in members]), blocks.grid.points(union), centres, test,
                        test.index(frequency[union]), test.index(frequency[voxels]), parameters.exp_frac)
    return np.concatenate([joins for (joins,) in run_tiles(search, "expanding blocks", progress)])


def _block_factor(factor: Callable[[NDArray[np.float64]], NDArray[np.float64]], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor by distance from a block's middle; 1 in the middle itself, as published."""
    return np.where(distance == 0, 1.0, factor(distance))
