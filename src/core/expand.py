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
from .sketch import TILE_PAIRS, TestParameters, distances

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
        occupancy = binarize(ensemble, levels, parameters.filter, progress)
        union = occupancy.union(parameters.union_fraction)
    with progress.timed("testing"):
        return occupancy, union, voxels_that_join(occupancy, union, blocks, parameters, progress)


def _by_profile(ensemble: Ensemble, levels: NDArray[np.float64], blocks: BlockSet, parameters: ExpandParameters,
                progress: Progress) -> tuple[Occupancy, NDArray[np.int64], NDArray[np.bool_]]:
    """Occupancy, the voxels tested, and which joins which block, by the blocks' profiles."""
    with progress.timed("reading"):
        occupancy, _ = prepare(ensemble, levels, parameters.filter, parameters.union_fraction, progress)
        union = variable_voxels(occupancy, parameters.union_fraction)
    seeds = [np.intersect1d(voxels, union) for _, voxels in blocks]  # a voxel drawn by hand may never be occupied
    if not any(len(s) for s in seeds):
        raise SirenError(NOT_THESE)
    with progress.timed("testing"):
        owner = grown_blocks(occupancy, union, seeds, parameters.posp, progress)
    for block, seed in enumerate(seeds):  # a person may have merged what the profiles would tell apart: it stays as it is
        owner[np.searchsorted(union, seed)] = block
    return occupancy, union, owner[:, None] == np.arange(len(seeds))


def voxels_that_join(occupancy: Occupancy, union: NDArray[np.int64], blocks: BlockSet, parameters: ExpandParameters,
                     progress: Progress) -> NDArray[np.bool_]:
    """Which voxel of the union goes with at least ``exp_frac`` of which block's voxels.

    Returns
    -------
    (len(union), number of blocks) bool, blocks in their order.
    """
    members = [np.intersect1d(voxels, union) for _, voxels in blocks]  # a voxel drawn by hand may never be occupied
    sizes = np.array([len(m) for m in members])
    if not sizes.sum():
        raise SirenError(NOT_THESE)
    voxels = np.concatenate(members)
    frequency = occupancy.frequency
    test = parameters.pair_test(frequency[union], len(occupancy), len(union) * len(voxels))
    index, column_index = test.index(frequency[union]), test.index(frequency[voxels])
    columns = occupancy.rows(voxels)
    block_of = np.repeat(np.arange(len(members)), sizes)
    centres = np.array([np.median(blocks.grid.points(v), axis=0) for _, v in blocks])
    joins = np.zeros((len(union), len(members)), bool)
    height = max(1, TILE_PAIRS // len(voxels))
    for start in range(0, len(union), height):
        progress.step("expanding blocks", start / len(union))
        tile = union[start:start + height]
        both = occupancy.rows(tile) @ columns.T
        factor = None if parameters.statistic == "exact" else _block_factor(
            test.factor, distances(blocks.grid.points(tile), centres))[:, block_of]
        goes = test.significant(both, index[start:start + height], column_index, factor)
        together = np.stack([goes[:, block_of == b].sum(axis=1) for b in range(len(members))], axis=1)
        joins[start:start + height] = together >= parameters.exp_frac * np.maximum(sizes, 1)
    joins[:, sizes == 0] = False
    return joins


def _block_factor(factor: Callable[[NDArray[np.float64]], NDArray[np.float64]], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor by distance from a block's middle; 1 in the middle itself, as published."""
    return np.where(distance == 0, 1.0, factor(distance))
