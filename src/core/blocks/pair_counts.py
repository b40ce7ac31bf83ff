"""Pairs of voxels that are occupied together, and empty together, in significantly many volumes: the published method's graph.

The test itself is in :mod:`.statistics`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError
from ..common.parameters import Parameters, camel_case, parameter
from ..common.progress import Progress
from ..compute.backends import CPU, DEVICES
from ..compute.pair_tiles import Compute, Counter, Found, occupied, run_tiles, unpacked
from .occupancy import Occupancy
from .statistics import STATISTICS, PairTest


@dataclass(frozen=True)
class TestParameters(Parameters):
    """What sketch and expand both need to decide whether two voxels go together."""

    __test__ = False  # pytest takes Test... for a test class

    statistic: str = parameter("profile", "rule by which voxels go together: by the likeness of their profiles, or by counting "
                               "pairs against chance (exact, published)", choices=STATISTICS)
    posp: float = parameter(0.01, "p for a false block, and share of false members (profile statistic); p for both-occupied, before "
                            "Bonferroni correction (published and exact statistic)", above=0, most=1, label="p-value")
    negp: float = parameter(0.05, "p for both-empty, before Bonferroni correction (published and exact statistic)", above=0, most=1,
                            advanced=True, statistics=("published", "exact"), label="p-value, both empty")
    posp_factor: float | None = parameter(None, "fixed factor on the both-occupied cutoff, in place of the one that "
                                          "grows with distance (published statistic)", above=0, advanced=True, statistics=("published",),
                                          label="factor, both occupied")
    negp_factor: float = parameter(1.0, "factor on the both-empty cutoff (published statistic)", above=0, advanced=True,
                                   statistics=("published",), label="factor, both empty")
    filter: bool | str = parameter(False, "leave out volumes whose threshold is beyond mean +- 2 SD; flags: those that siren predict "
                                   "flagged in the table of thresholds", words=("flags",), label="leave out odd volumes")
    union_fraction: float = parameter(0.01, "a voxel counts when occupied in more than this share of the volumes", least=0, most=1,
                                      advanced=True, label="least share of volumes")
    resamples: int = parameter(10, "random halves of the volumes in which blocks are looked for again, for their stability; 0 for "
                               "none", least=0, most=1000, label="halves for stability")
    device: str = parameter(CPU, "where pairs are counted, with the same result: the processor, or a graphics card by torch; auto takes "
                            "a card where there is one", choices=DEVICES, advanced=True)
    scheduler: str | None = parameter(None, "address of a Dask scheduler, as in tcp://host:8786, whose workers count the pairs, with the "
                                            "same result", word="address", advanced=True, label="Dask scheduler")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scheduler is not None and self.device != CPU:
            raise SirenError('The workers of a cluster count on their processors: leave out either "device" or "scheduler".')
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

    def pair_test(self, frequency: NDArray[np.integer], volumes: int, tests: int, progress: Progress | None = None) -> PairTest:
        """The test for voxels of these frequencies, corrected for this many tests."""
        return PairTest.make(self.statistic, frequency, volumes, max(1, tests), self.posp, self.negp, self.posp_factor,
                             self.negp_factor, progress)


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


def significant_pairs(occupancy: Occupancy, sample: NDArray[np.int64], parameters: TestParameters, progress: Progress,
                      compute: Compute | None = None, of: int | None = None) -> CountedPairs:
    """Pairs of sampled voxels that are occupied together and empty together significantly often.

    With ``of``, tested as strictly as in a sample of so many voxels.
    """
    count = of or len(sample)
    bits, points = occupancy.packed(sample), occupancy.grid.points(sample)
    frequency = occupied(bits)
    test = parameters.pair_test(frequency, len(occupancy), count * (count - 1) // 2, progress)
    search = PairSearch(bits, len(occupancy), points, test, test.index(frequency))
    found = run_tiles(search, "testing pairs", progress, compute)
    pairs, both = (np.concatenate(part) for part in zip(*found, strict=True))
    return CountedPairs(pairs, both, frequency, points, len(occupancy), parameters)


def distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(len(a), len(b)) distances in A between points x, y, z."""
    square = np.zeros((len(a), len(b)))
    for axis in range(3):
        square += np.subtract.outer(a[:, axis], b[:, axis]) ** 2
    return np.sqrt(square)
