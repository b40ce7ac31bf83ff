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

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .alike import MOST_SAMPLED, alike_pairs, variable_voxels
from .blocks import BlockSet
from .communities import label_propagation, modularity_communities
from .ensemble import Ensemble
from .errors import SirenError
from .grid import Grid
from .harmonise import measure_noise, prepare
from .occupancy import Occupancy, binarize
from .parameters import Parameters, camel_case, parameter
from .profiles import distinct_blocks
from .progress import Progress
from .statistics import STATISTICS, PairTest
from .tiles import Counter, Found, packed, run_tiles, unpacked


@dataclass(frozen=True)
class TestParameters(Parameters):
    """What sketch and expand both need to decide whether two voxels go together."""

    __test__ = False  # pytest takes Test... for a test class

    statistic: str = parameter("profile", "rule by which voxels go together: by the likeness of their profiles, or by counting "
                               "pairs against chance (exact, published)", choices=STATISTICS)
    posp: float = parameter(0.01, "p for a false member, and for both-occupied, before Bonferroni correction", above=0, most=1)
    negp: float = parameter(0.05, "p for both-empty, before Bonferroni correction (published and exact statistic)", above=0, most=1)
    posp_factor: float | None = parameter(None, "fixed factor on the both-occupied cutoff, in place of the one that "
                                          "grows with distance (published statistic)", above=0)
    negp_factor: float = parameter(1.0, "factor on the both-empty cutoff (published statistic)", above=0)
    filter: bool | str = parameter(False, "leave out volumes whose threshold is beyond mean +- 2 SD; flags: those that siren predict "
                                   "flagged in the table of thresholds", words=("flags",))
    union_fraction: float = parameter(0.01, "a voxel counts when occupied in more than this share of the volumes", least=0, most=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.statistic == "exact" and (self.posp_factor is not None or self.negp_factor != 1):
            raise SirenError('The exact statistic has no factors: leave out pospFactor and negpFactor, or use "statistic published".')
        if self.statistic == "profile":
            self._refuse("negp", "posp_factor", "negp_factor")

    def _refuse(self, *names: str) -> None:
        """Raise SirenError if one of these parameters of the counting statistics is not at its default."""
        default = {f.name: f.default for f in fields(self)}
        for name in names:
            if getattr(self, name) != default[name]:
                raise SirenError(f'The profile statistic has no {camel_case(name)}: leave it out, or use "statistic published".')

    def pair_test(self, frequency: NDArray[np.integer], volumes: int, tests: int) -> PairTest:
        """The test for voxels of these frequencies, corrected for this many tests."""
        return PairTest.make(self.statistic, frequency, volumes, max(1, tests), self.posp, self.negp, self.posp_factor,
                             self.negp_factor)


@dataclass(frozen=True)
class SketchParameters(TestParameters):
    """Parameters of :func:`sketch`."""

    subsample: int = parameter(2, "use one in this many of the occupied voxels, drawn at random", least=1)
    min_size: int = parameter(6, "smallest community that is a block", least=2, unit="voxels")
    seed: int = parameter(0, "seed of the random sample", least=0)


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
    """

    blocks: BlockSet
    occupancy: Occupancy
    union: NDArray[np.int64]
    sample: NDArray[np.int64]
    edges: NDArray[np.int32]


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
        If fewer than 2 volumes are left, or no voxel varies.
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters = parameters or SketchParameters()
    progress = progress or Progress()
    run = _by_profile if parameters.statistic == "profile" else _by_counting
    return run(ensemble, levels, parameters, progress)


def _by_counting(ensemble: Ensemble, levels: NDArray[np.float64], parameters: SketchParameters, progress: Progress) -> SketchResult:
    """The steps of the published method."""
    with progress.timed("reading"):
        occupancy = binarize(ensemble, levels, parameters.filter is True, progress)
        union = occupancy.union(parameters.union_fraction)
        sample = draw_sample(union, parameters.subsample, parameters.seed)
    with progress.timed("testing"):
        edges = significant_pairs(occupancy, sample, parameters, progress)
    with progress.timed("clustering"):
        communities = label_propagation(len(sample), edges, progress)
    blocks = [sample[c] for c in communities if len(c) >= parameters.min_size]
    return SketchResult(number_blocks(occupancy.grid, blocks, sample), occupancy, union, sample, edges)


def _by_profile(ensemble: Ensemble, levels: NDArray[np.float64], parameters: SketchParameters, progress: Progress) -> SketchResult:
    """The steps of the default method."""
    with progress.timed("reading"):
        occupancy, anchors = prepare(ensemble, levels, parameters.filter is True, parameters.union_fraction, progress)
        union = variable_voxels(occupancy, parameters.union_fraction)
        if len(union) < 2:  # a very small ensemble, or one that does not vary: nothing to compare
            return SketchResult(BlockSet(occupancy.grid, {}, union), occupancy, union, union, np.empty((0, 2), np.int32))
        sample = draw_sample(union, max(parameters.subsample, -(-len(union) // MOST_SAMPLED)), parameters.seed)
    with progress.timed("testing"):
        noise = measure_noise(anchors, occupancy.grid)
        edges, phi = alike_pairs(occupancy, sample, noise, parameters.posp, progress).at(parameters.posp)
    with progress.timed("clustering"):
        communities = modularity_communities(len(sample), edges, phi, parameters.seed, progress)
        owner = distinct_blocks(occupancy, sample, noise, communities, parameters.min_size, parameters.posp, progress)
    blocks = sorted((sample[owner == b] for b in range(owner.max(initial=-1) + 1)), key=len, reverse=True)
    return SketchResult(number_blocks(occupancy.grid, blocks, sample), occupancy, union, sample, edges)


def draw_sample(union: NDArray[np.int64], subsample: int, seed: int) -> NDArray[np.int64]:
    """A random 1/subsample of the union voxels, at least 2, ascending.

    Raises
    ------
    SirenError
        If there are fewer than 2 voxels.
    """
    if len(union) < 2:
        raise SirenError("No two voxels are occupied in enough volumes: the thresholds are too high for these maps, or unionFraction "
                         "is too large.")
    chosen = np.random.default_rng(seed).choice(len(union), max(2, len(union) // subsample), replace=False)
    return union[np.sort(chosen)]


@dataclass(frozen=True)
class PairSearch:
    """Pairs of sampled voxels that are occupied together and empty together significantly often.

    Attributes
    ----------
    bits : (n, ceil(V / 8)) uint8, packed occupancy
    volumes : V
    points : (n, 3) positions x, y, z in A
    test : PairTest
    index : (n,) row of the test's tables for each voxel
    """

    bits: NDArray[np.uint8]
    volumes: int
    points: NDArray[np.float64]
    test: PairTest
    index: NDArray[np.intp]

    def rows(self) -> int:
        """Number of sampled voxels."""
        return len(self.bits)

    def columns(self) -> NDArray[np.float32]:
        """(n, V) occupancy."""
        return unpacked(self.bits, self.volumes)

    def tile(self, start: int, stop: int, counter: Counter) -> Found:
        """(e, 2) int32 positions of significant pairs, first < second."""
        both = counter(unpacked(self.bits[start:stop], self.volumes), start)
        factor = None if self.test.statistic == "exact" else self.test.factor(distances(self.points[start:stop], self.points[start:]))
        goes = self.test.significant(both, self.index[start:stop], self.index[start:], factor)
        first, second = np.nonzero(np.triu(goes, 1))
        return (np.stack([first + start, second + start], axis=1).astype(np.int32),)


def significant_pairs(occupancy: Occupancy, sample: NDArray[np.int64], parameters: TestParameters,
                      progress: Progress) -> NDArray[np.int32]:
    """Pairs of sampled voxels that are occupied together and empty together significantly often.

    Returns
    -------
    (e, 2) int32 positions in ``sample``, first < second, in ascending order.
    """
    count = len(sample)
    frequency = occupancy.frequency[sample]
    test = parameters.pair_test(frequency, len(occupancy), count * (count - 1) // 2)
    search = PairSearch(packed(occupancy.rows(sample)), len(occupancy), occupancy.grid.points(sample), test, test.index(frequency))
    return np.concatenate([edges for (edges,) in run_tiles(search, "testing pairs", progress)])


def number_blocks(grid: Grid, blocks: list[NDArray[np.int64]], tested: NDArray[np.int64]) -> BlockSet:
    """Number blocks from 1, largest first; the tested voxels in none are unassigned."""
    inside = np.concatenate(blocks) if blocks else np.empty(0, np.int64)
    return BlockSet(grid, {n: np.sort(b) for n, b in enumerate(blocks, 1)}, np.setdiff1d(tested, inside))


def distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(len(a), len(b)) distances in A between points x, y, z."""
    square = np.zeros((len(a), len(b)))
    for axis in range(3):
        square += np.subtract.outer(a[:, axis], b[:, axis]) ** 2
    return np.sqrt(square)
