"""The similarity graph of the sampled voxels, whose communities become blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..compute.pair_tiles import (
    Backend,
    PairCounter,
    TileResult,
    joint_counts,
    occupied_counts,
    run_tiles,
    unpack_occupancy,
)
from .noise import Noise, PairNoise
from .occupancy import Occupancy
from .significance import fisher_margin, hypergeometric_tail


def variable_voxels(occupancy: Occupancy, fraction: float) -> NDArray[np.int64]:
    """Flat indices of the voxels occupied, and empty, in more than ``fraction`` of the volumes."""
    least = max(1.0, fraction * len(occupancy))  # a single volume cannot relate two voxels
    return np.flatnonzero(
        (occupancy.frequency > least) & (occupancy.frequency < len(occupancy) - least)
    )


@dataclass(frozen=True)
class SimilarityGraph:
    """Candidate pairs of similar voxels; :meth:`at` tests them at any stringency.

    Attributes
    ----------
    pairs : (e, 2) int32 positions in the sample, first < second, in ascending order
    strength : (e,) float32, phi in excess of shared noise, see :class:`SimilaritySearch`
    chance : (e,) float64, p-value of Fisher's exact test of independence
    voxels : n of the sample
    volumes : V
    """

    pairs: NDArray[np.int32]
    strength: NDArray[np.float32]
    chance: NDArray[np.float64]
    voxels: int
    volumes: int

    def at(self, posp: float, negp: float = 1.0) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The pairs that pass, and their strengths.

        Two conditions: Fisher's z of phi, of SD 1 / sqrt(V - 3), exceeds that of the noise at the
        pair's distance by the normal quantile; and Fisher's exact test, which holds for rare
        voxels too, agrees.

        Parameters
        ----------
        posp : probability that a voxel has a false partner if all were independent but for noise
            (Bonferroni over its possible partners; blocks are corrected for all pairs, see
            :func:`.distinct_blocks.is_coherent`)
        negp : not used; phi weighs occupied and empty alike
        """
        each = posp / max(1, self.voxels)
        least = np.tanh(fisher_margin(self.volumes, each))
        significant = (self.strength > least) & (self.chance <= each)
        return self.pairs[significant], self.strength[significant]


@dataclass(frozen=True)
class SimilaritySearch:
    """The search for each sampled voxel's strongest partners.

    A pair's strength is phi in excess of noise, tanh(atanh(phi) - atanh(noise)), with the phi that
    noise gives at their distance. So nearby voxels, which share noise, do not crowd out distant
    ones.

    Attributes
    ----------
    bits : (n, ceil(V / 8)) uint8, packed occupancy
    frequency : (n,) int64, volumes in which each is occupied
    volumes : V
    noise : PairNoise of the voxels
    least : strength above which pairs are kept
    neighbors : strongest partners that each voxel keeps
    """

    bits: NDArray[np.uint8]
    frequency: NDArray[np.int64]
    volumes: int
    noise: PairNoise
    least: float
    neighbors: int

    def rows(self) -> int:
        """Number of sampled voxels."""
        return len(self.bits)

    def columns(self) -> NDArray[np.float32]:
        """(n, V) occupancy."""
        return unpack_occupancy(self.bits, self.volumes)

    def tile(self, start: int, stop: int, counter: PairCounter) -> TileResult:
        """Positions of voxels and partners, and strengths: (k,), (k,), (k,)."""
        phi = self._phi(start, stop, counter)
        columns = phi.shape[1]
        near = np.flatnonzero(phi.ravel() > self.least)  # strength is never above phi
        row, column = np.divmod(near.astype(np.int32), np.int32(columns))
        noise = self.noise.phi(row + start, column)
        value = phi.ravel()[near]
        value = (value - noise) / (1 - value * noise)  # tanh(atanh(a) - atanh(b))
        phi[:] = 0
        phi.ravel()[near] = value
        row, column = _strongest(phi, np.float32(self.least), self.neighbors)
        return row.astype(np.int32) + start, column.astype(np.int32), phi[row, column]

    def _phi(self, start: int, stop: int, counter: PairCounter) -> NDArray[np.float32]:
        """(t, n) phi; 0 for a voxel with itself or with one that does not vary.

        Computed from whole numbers, so that all backends agree to the last bit.
        """
        rows = unpack_occupancy(self.bits[start:stop], self.volumes)
        both = counter(rows, 0)
        frequency = self.frequency
        spread = frequency * (self.volumes - frequency)
        scale = np.divide(1, np.sqrt(spread), out=np.zeros(len(spread)), where=spread > 0).astype(
            np.float32
        )
        # V * both - f1 * f2 is below V**2, exact in float32 up to 4,096 volumes; beyond, float64
        kind = np.float32 if self.volumes <= 4096 else np.float64
        both = both.astype(kind, copy=False)
        both *= self.volumes
        both -= np.multiply.outer(frequency[start:stop].astype(kind), frequency.astype(kind))
        phi = both.astype(np.float32, copy=False)
        phi *= scale[start:stop, None]
        phi *= scale
        phi[np.arange(stop - start), np.arange(start, stop)] = 0
        return phi


def similarity_graph(
    occupancy: Occupancy,
    sample: NDArray[np.int64],
    noise: Noise,
    probability: float,
    progress: Progress,
    compute: Backend | None = None,
) -> SimilarityGraph:
    """Join each sampled voxel to those most similar to it.

    Parameters
    ----------
    sample : (n,) flat indices
    probability : the loosest ``posp`` that :meth:`SimilarityGraph.at` will be asked for
    compute : where to count, see :mod:`.backends`; in this process unless given

    Raises
    ------
    Cancelled
        If ``progress`` was asked to stop.
    """
    bits, volumes = occupancy.packed(sample), len(occupancy)
    frequency = occupied_counts(bits)
    least = float(np.tanh(fisher_margin(volumes, probability / max(1, len(sample)))))
    search = SimilaritySearch(
        bits,
        frequency,
        volumes,
        PairNoise.of(noise, sample, occupancy.grid),
        least,
        constants.NEIGHBORS,
    )
    found = run_tiles(search, "comparing voxels", progress, compute)
    if not found:
        return SimilarityGraph(
            np.empty((0, 2), np.int32), np.empty(0, np.float32), np.empty(0), len(sample), volumes
        )
    first, second, strength = (np.concatenate(part) for part in zip(*found, strict=True))
    key = np.minimum(first, second).astype(np.int64) * len(sample) + np.maximum(first, second)
    key, where = np.unique(key, return_index=True)
    pairs = np.stack(np.divmod(key, len(sample)), axis=1).astype(np.int32)
    both = joint_counts(bits, pairs[:, 0], pairs[:, 1])
    chance = hypergeometric_tail(both, frequency[pairs[:, 0]], frequency[pairs[:, 1]], volumes)
    return SimilarityGraph(pairs, strength[where], chance, len(sample), volumes)


def _strongest(
    value: NDArray[np.float32], least: np.float32, count: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the ``count`` largest values in each row above ``least``, with ties."""
    above = value > least
    full = np.flatnonzero(above.sum(axis=1) > count)
    if len(full):
        last = value.shape[1] - count
        above[full] = value[full] >= np.partition(value[full], last, axis=1)[:, last, None]
    first, second = np.nonzero(above)
    return first, second
