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

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from .alike import MOST_SAMPLED, AlikePairs, alike_pairs, variable_voxels
from .blocks import BlockSet
from .communities import label_propagation, modularity_communities
from .confidence import COMING_BACK, draw_halves, share_back, with_strength
from .ensemble import Ensemble
from .errors import SirenError
from .grid import Grid
from .harmonise import Noise, measure_noise, prepare
from .occupancy import Occupancy, binarize
from .parameters import Parameters, camel_case, parameter
from .profiles import distinct_blocks
from .progress import Progress
from .statistics import STATISTICS, PairTest
from .tiles import Counter, Found, occupied, run_tiles, unpacked


@dataclass(frozen=True)
class TestParameters(Parameters):
    """What sketch and expand both need to decide whether two voxels go together."""

    __test__ = False  # pytest takes Test... for a test class

    statistic: str = parameter("profile", "rule by which voxels go together: by the likeness of their profiles, or by counting "
                               "pairs against chance (exact, published)", choices=STATISTICS)
    posp: float = parameter(0.01, "p for a false block, and share of false members (profile statistic); p for both-occupied, before "
                            "Bonferroni correction (published and exact statistic)", above=0, most=1)
    negp: float = parameter(0.05, "p for both-empty, before Bonferroni correction (published and exact statistic)", above=0, most=1)
    posp_factor: float | None = parameter(None, "fixed factor on the both-occupied cutoff, in place of the one that "
                                          "grows with distance (published statistic)", above=0)
    negp_factor: float = parameter(1.0, "factor on the both-empty cutoff (published statistic)", above=0)
    filter: bool = parameter(False, "leave out volumes whose threshold is beyond mean +- 2 SD")
    union_fraction: float = parameter(0.01, "a voxel counts when occupied in more than this share of the volumes", least=0, most=1)
    resamples: int = parameter(10, "random halves of the volumes in which blocks are looked for again, for their stability; 0 for "
                               "none", least=0, most=1000)

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
    counted = count(ensemble, levels, parameters, progress)
    with progress.timed("clustering"):
        blocks = counted.blocks(parameters, progress)
    numbered = number_blocks(counted.occupancy.grid, blocks, counted.sample)
    with progress.timed("stability"):
        if parameters.resamples:
            halves = counted.halves(blocks, parameters, progress)
            found = [half.blocks(parameters, progress.quiet()) for half in progress.each(halves, COMING_BACK, len(halves))]
            back = share_back(blocks, found, [half.sample for half in halves])
            numbered = replace(numbered, stability=dict(enumerate(back, 1)))
        numbered = with_strength(numbered, counted.occupancy, progress)
    return SketchResult(numbered, counted.occupancy, counted.union, counted.sample, counted.pairs.at(parameters.posp, parameters.negp)[0])


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
    """

    occupancy: Occupancy
    union: NDArray[np.int64]
    sample: NDArray[np.int64]
    pairs: AlikePairs | CountedPairs
    noise: Noise | None = None

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
        occupancy = self.occupancy.without(~half)
        return replace(self, occupancy=occupancy, sample=voxels,
                       pairs=_pairs(occupancy, voxels, self.noise, parameters, progress))

    def halves(self, blocks: list[NDArray[np.int64]], parameters: SketchParameters, progress: Progress) -> list[Counted]:
        """Random halves of the volumes with some voxels of each block, counted anew, see :mod:`.confidence`."""
        others = np.setdiff1d(self.sample, np.concatenate(blocks)) if blocks else self.sample
        drawn = draw_halves(blocks, others, len(self.occupancy), parameters.resamples, parameters.seed)
        return [self.of(half, voxels, parameters, progress.quiet())
                for half, voxels in progress.each(drawn, "counting halves of the volumes", len(drawn))]


def count(ensemble: Ensemble, levels: NDArray[np.float64], parameters: SketchParameters, progress: Progress) -> Counted:
    """Read an ensemble and count its voxels against each other: the longer part of a sketch.

    Parameters
    ----------
    ensemble, levels : as :func:`sketch`
    parameters : with the loosest ``posp`` and ``negp`` of interest
    """
    by_profile = parameters.statistic == "profile"
    noise, union = None, np.empty(0, np.int64)
    with progress.timed("reading"):
        if by_profile:
            occupancy, anchors = prepare(ensemble, levels, parameters.filter, parameters.union_fraction, progress)
            union = variable_voxels(occupancy, parameters.union_fraction)
            noise = measure_noise(anchors, occupancy.grid)
        else:
            occupancy = binarize(ensemble, levels, parameters.filter, progress)
            union = occupancy.union(parameters.union_fraction)
        if by_profile and len(union) < 2:  # a very small ensemble, or one that does not vary: nothing to compare
            sample = union
        else:
            fewest = -(-len(union) // MOST_SAMPLED) if by_profile else 1
            sample = draw_sample(union, max(parameters.subsample, fewest), parameters.seed)
    with progress.timed("testing"):
        return Counted(occupancy, union, sample, _pairs(occupancy, sample, noise, parameters, progress), noise)


def _pairs(occupancy: Occupancy, sample: NDArray[np.int64], noise: Noise | None, parameters: TestParameters,
           progress: Progress) -> AlikePairs | CountedPairs:
    if noise is not None:
        return alike_pairs(occupancy, sample, noise, parameters.posp, progress)
    return significant_pairs(occupancy, sample, parameters, progress)


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
        """(e, 2) int32 positions of significant pairs, first < second, and (e,) int32 volumes in which both are occupied."""
        both = counter(unpacked(self.bits[start:stop], self.volumes), start)
        factor = None if self.test.statistic == "exact" else self.test.factor(distances(self.points[start:stop], self.points[start:]))
        goes = self.test.significant(both, self.index[start:stop, None], self.index[start:], factor)
        first, second = np.nonzero(np.triu(goes, 1))
        return np.stack([first + start, second + start], axis=1).astype(np.int32), both[first, second].astype(np.int32)


@dataclass(frozen=True)
class CountedPairs:
    """Pairs of voxels that may go together, with their counts: :meth:`at` tests, at any stringency.

    Attributes
    ----------
    pairs : (e, 2) int32 positions in the sample, first < second, in ascending order
    both : (e,) int32 volumes in which both are occupied
    frequency : (n,) volumes in which each voxel is occupied
    points : (n, 3) positions x, y, z in A
    volumes : V
    parameters : of the test; its posp and negp are the loosest
    """

    pairs: NDArray[np.int32]
    both: NDArray[np.int32]
    frequency: NDArray[np.int64]
    points: NDArray[np.float64]
    volumes: int
    parameters: TestParameters

    def at(self, posp: float, negp: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The pairs that go together at this p, and their counts."""
        if (posp, negp) == (self.parameters.posp, self.parameters.negp):
            return self.pairs, self.both
        count = len(self.frequency)
        parameters = replace(self.parameters, posp=posp, negp=negp)
        test = parameters.pair_test(self.frequency, self.volumes, count * (count - 1) // 2)
        first, second = self.pairs.T
        index = test.index(self.frequency)
        factor = None
        if parameters.statistic != "exact":
            factor = test.factor(np.sqrt(((self.points[first] - self.points[second]) ** 2).sum(axis=1)))
        goes = test.significant(self.both, index[first], index[second], factor)
        return self.pairs[goes], self.both[goes]


def significant_pairs(occupancy: Occupancy, sample: NDArray[np.int64], parameters: TestParameters, progress: Progress) -> CountedPairs:
    """Pairs of sampled voxels that are occupied together and empty together significantly often."""
    count = len(sample)
    bits, points = occupancy.packed(sample), occupancy.grid.points(sample)
    frequency = occupied(bits)
    test = parameters.pair_test(frequency, len(occupancy), count * (count - 1) // 2)
    search = PairSearch(bits, len(occupancy), points, test, test.index(frequency))
    found = run_tiles(search, "testing pairs", progress)
    pairs, both = (np.concatenate(part) for part in zip(*found, strict=True))
    return CountedPairs(pairs, both, frequency, points, len(occupancy), parameters)


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
