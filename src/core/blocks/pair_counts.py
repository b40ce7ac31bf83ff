"""Counting: in how many volumes two voxels are occupied together, and empty together, against what
chance gives.

Null of independence for voxels of frequency f1 and f2 in V volumes: both are redrawn, so the number
of volumes with both occupied is Binomial(V, f1 f2 / V^2), and with both empty Binomial(V, (1 -
f1/V)(1 - f2/V)). The statistics ``exact`` and ``published`` differ in the cutoffs that they take
from these; the rest of the method is here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..compute.pair_tiles import (
    Backend,
    PairCounter,
    TileResult,
    occupied_counts,
    run_tiles,
    unpack_occupancy,
)
from ..maps.ensemble import Ensemble
from .communities import label_propagation
from .occupancy import Occupancy, binarize
from .parameters import ExpandParameters, PairTestParameters, SketchParameters
from .significance import binomial_cutoff
from .statistics.protocol import Graph, Observation


@dataclass(frozen=True)
class PairTest(ABC):
    """Decides for pairs of voxels, given their frequencies, counts and distance.

    Attributes
    ----------
    volumes : V
    frequencies : (F,) ascending, those that occur
    positive, negative : (F, F) int32, cutoffs for both-occupied and both-empty; row f of the tables
        belongs to the frequency ``frequencies[f]``
    """

    volumes: int
    frequencies: NDArray[np.int32]
    positive: NDArray[np.int32]
    negative: NDArray[np.int32]

    def index(self, frequency: NDArray[np.integer]) -> NDArray[np.intp]:
        """Row of the tables for each frequency."""
        return np.searchsorted(self.frequencies, frequency)

    def both_empty(
        self, both: NDArray[np.number], row: NDArray[np.intp], column: NDArray[np.intp]
    ) -> NDArray[np.number]:
        """Volumes in which both voxels are empty, from those in which both are occupied."""
        return np.asarray(self.volumes - self.frequencies[row] - self.frequencies[column] + both)

    @abstractmethod
    def factor(self, distance: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64] | None:
        """Factor on the positive cutoff of pairs whose distance in A ``distance()`` gives; None
        where it is 1 for all.
        """

    @abstractmethod
    def significant(
        self,
        both: NDArray[np.number],
        row: NDArray[np.intp],
        column: NDArray[np.intp],
        factor: NDArray[np.float64] | None = None,
    ) -> NDArray[np.bool_]:
        """Which pairs are significantly occupied together *and* empty together.

        Parameters
        ----------
        both : volumes in which both voxels of a pair are occupied, any shape
        row, column : table rows of the pairs' voxels, from :meth:`index`; they broadcast to that
            shape
        factor : of that shape, from :meth:`factor`, or None for 1
        """


def cutoff_table(
    volumes: int, probability: NDArray[np.float64], tail: float, progress: Progress | None = None
) -> NDArray[np.int32]:
    """Cutoffs for a symmetric table of probabilities: each distinct one is worked out once."""
    distinct, inverse = np.unique(probability, return_inverse=True)
    parts = np.array_split(distinct, -(-len(distinct) // constants.CUTOFFS_AT_ONCE))
    cutoffs = np.concatenate([binomial_cutoff(volumes, p, tail, progress) for p in parts])
    return cutoffs[inverse].reshape(probability.shape)


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
        return unpack_occupancy(self.bits, self.volumes)

    def tile(self, start: int, stop: int, counter: PairCounter) -> TileResult:
        """(e, 2) int32 positions of significant pairs, first < second, and (e,) int32 volumes in
        which both are occupied.
        """
        both = counter(unpack_occupancy(self.bits[start:stop], self.volumes), start)
        factor = self.test.factor(lambda: distances(self.points[start:stop], self.points[start:]))
        goes = self.test.significant(both, self.index[start:stop, None], self.index[start:], factor)
        first, second = np.nonzero(np.triu(goes, 1))
        pairs = np.stack([first + start, second + start], axis=1).astype(np.int32)
        return pairs, both[first, second].astype(np.int32)


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
    statistic : whose test it is
    """

    pairs: NDArray[np.int32]
    both: NDArray[np.int32]
    frequency: NDArray[np.int64]
    points: NDArray[np.float64]
    volumes: int
    parameters: PairTestParameters
    statistic: CountingStatistic

    def at(self, posp: float, negp: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The pairs that go together at this p, and their counts."""
        if (posp, negp) == (self.parameters.posp, self.parameters.negp):
            return self.pairs, self.both
        count = len(self.frequency)
        parameters = replace(self.parameters, posp=posp, negp=negp)
        test = self.statistic.pair_test(
            self.frequency, self.volumes, max(1, count * (count - 1) // 2), parameters
        )
        first, second = self.pairs.T
        index = test.index(self.frequency)
        factor = test.factor(
            lambda: np.sqrt(((self.points[first] - self.points[second]) ** 2).sum(axis=1))
        )
        goes = test.significant(self.both, index[first], index[second], factor)
        return self.pairs[goes], self.both[goes]


@dataclass(frozen=True)
class JoinSearch:
    """Voxels that go with at least ``share`` of a block's voxels.

    Attributes
    ----------
    bits : (n, ceil(V / 8)) uint8, packed occupancy of the voxels to test
    block_bits : (m, ceil(V / 8)) uint8, of the blocks' voxels, block after block
    volumes : V
    block_of : (m,) position of each block voxel's block
    points, centers : (n, 3), (b, 3) x, y, z in A, of the voxels and of the blocks' middles
    test : PairTest
    index, block_index : (n,), (m,) rows of the test's tables
    share : of a block's voxels
    """

    bits: NDArray[np.uint8]
    block_bits: NDArray[np.uint8]
    volumes: int
    block_of: NDArray[np.intp]
    points: NDArray[np.float64]
    centers: NDArray[np.float64]
    test: PairTest
    index: NDArray[np.intp]
    block_index: NDArray[np.intp]
    share: float

    def rows(self) -> int:
        """Number of voxels to test."""
        return len(self.bits)

    def columns(self) -> NDArray[np.float32]:
        """(m, V) occupancy of the blocks' voxels."""
        return unpack_occupancy(self.block_bits, self.volumes)

    def tile(self, start: int, stop: int, counter: PairCounter) -> TileResult:
        """(t, b) bool: which voxel joins which block."""
        both = counter(unpack_occupancy(self.bits[start:stop], self.volumes), 0)
        away = distances(self.points[start:stop], self.centers)
        factor = self.test.factor(lambda: away)
        if factor is not None:
            # 1 in a block's middle, as published
            factor = np.where(away == 0, 1.0, factor)[:, self.block_of]
        goes = self.test.significant(both, self.index[start:stop, None], self.block_index, factor)
        sizes = np.bincount(self.block_of, minlength=len(self.centers))
        together = np.stack(
            [goes[:, self.block_of == b].sum(axis=1) for b in range(len(sizes))], axis=1
        )
        return ((together >= self.share * np.maximum(sizes, 1)) & (sizes > 0),)


def distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(len(a), len(b)) distances in A between points x, y, z."""
    square = np.zeros((len(a), len(b)))
    for axis in range(3):
        square += np.subtract.outer(a[:, axis], b[:, axis]) ** 2
    return np.sqrt(square)


class CountingStatistic(ABC):
    """The method of Kinman et al., but for the cutoffs: pairs that go together make a graph, its
    communities are the blocks; a voxel joins each block with enough voxels of which it goes
    together.

    The attributes and methods are :class:`.protocol.Statistic`'s.
    """

    passes = 3
    counts_in_expand = True
    harmonizes = False
    joins_shells = False  # the rule has no such step
    nothing_varies_is_a_result = False
    union_words = "occupied in more than {share}"

    @abstractmethod
    def pair_test(
        self,
        frequency: NDArray[np.integer],
        volumes: int,
        tests: int,
        parameters: PairTestParameters,
        progress: Progress | None = None,
    ) -> PairTest:
        """The test for voxels of these frequencies, in any order, corrected for so many tests, 1 or
        more.
        """

    def most_sampled(self, subsample: int | None) -> int | None:
        """MAX_COUNTED_VOXELS where the user does not say."""
        return constants.MAX_COUNTED_VOXELS if subsample is None else None

    def observe(
        self,
        ensemble: Ensemble,
        levels: NDArray[np.float64],
        parameters: PairTestParameters,
        progress: Progress,
        agreed: bool = False,
    ) -> Observation:
        """Binarize at the levels as they are; the voxels that are occupied often enough count."""
        occupancy = binarize(ensemble, levels, parameters.filter is True, progress)
        return Observation(occupancy, occupancy.union(parameters.union_fraction))

    def edges_expected(
        self,
        observation: Observation,
        sample: NDArray[np.int64],
        parameters: PairTestParameters,
        seed: int,
        progress: Progress,
    ) -> float:
        """From a part of the sample, tested as strictly as the whole."""
        count, few = len(sample), constants.PILOT_VOXELS
        if count <= few:
            return count * (count - 1) / 2
        part = np.sort(np.random.default_rng(seed).choice(sample, few, replace=False))
        found = self.graph(observation, part, parameters, progress.quiet(), of=count)
        return len(found.pairs) * (count / few) ** 2

    def graph(
        self,
        observation: Observation,
        sample: NDArray[np.int64],
        parameters: PairTestParameters,
        progress: Progress,
        compute: Backend | None = None,
        of: int | None = None,
    ) -> CountedPairs:
        """The pairs that go together; with ``of``, tested as strictly as in a sample of so many
        voxels.
        """
        occupancy, count = observation.occupancy, of or len(sample)
        bits, points = occupancy.packed(sample), occupancy.grid.points(sample)
        frequency = occupied_counts(bits)
        tests = max(1, count * (count - 1) // 2)
        test = self.pair_test(frequency, len(occupancy), tests, parameters, progress)
        search = PairSearch(bits, len(occupancy), points, test, test.index(frequency))
        found = run_tiles(search, "testing pairs", progress, compute)
        pairs, both = (np.concatenate(part) for part in zip(*found, strict=True))
        return CountedPairs(pairs, both, frequency, points, len(occupancy), parameters, self)

    def blocks(
        self,
        observation: Observation,
        sample: NDArray[np.int64],
        graph: Graph,
        parameters: SketchParameters,
        progress: Progress,
    ) -> list[NDArray[np.int64]]:
        """Communities by label propagation, those of at least ``min_size`` voxels."""
        edges, _ = graph.at(parameters.posp, parameters.negp)
        communities = label_propagation(len(sample), edges, progress)
        return [sample[c] for c in communities if len(c) >= parameters.min_size]

    def join(
        self,
        occupancy: Occupancy,
        voxels: NDArray[np.int64],
        seeds: list[NDArray[np.int64]],
        parameters: ExpandParameters,
        progress: Progress,
        compute: Backend | None = None,
        dependent: bool = False,
    ) -> list[NDArray[np.int64]]:
        """A voxel joins each block with at least ``exp_frac`` of whose voxels it goes together."""
        members, volumes, grid = np.concatenate(seeds), len(occupancy), occupancy.grid
        bits, block_bits = occupancy.packed(voxels), occupancy.packed(members)
        frequency, block_frequency = occupied_counts(bits), occupied_counts(block_bits)
        tests = max(1, len(voxels) * len(members))
        test = self.pair_test(
            np.union1d(frequency, block_frequency), volumes, tests, parameters, progress
        )
        search = JoinSearch(
            bits,
            block_bits,
            volumes,
            np.repeat(np.arange(len(seeds)), [len(s) for s in seeds]),
            grid.points(voxels),
            np.array([np.median(grid.points(s), axis=0) if len(s) else np.zeros(3) for s in seeds]),
            test,
            test.index(frequency),
            test.index(block_frequency),
            parameters.exp_frac,
        )
        joins = np.concatenate(
            [found for (found,) in run_tiles(search, "expanding blocks", progress, compute)]
        )
        return [voxels[joins[:, b]] for b in range(len(seeds))]
