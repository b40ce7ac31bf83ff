"""Which sampled voxels are alike: the graph from which communities become blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from .harmonise import Noise, noise_distance
from .occupancy import Occupancy
from .progress import Progress
from .statistics import hypergeometric_tail

TILE_PAIRS = 2_000_000  # correlated at a time: some 60 MB of arrays
MOST_SAMPLED = 12_000  # voxels: all pairs of them take seconds; a block of a few hundred voxels still has dozens among them
NEIGHBOURS = 25  # strongest partners of a voxel: enough to hold a block together, few enough to keep weak ties out


def variable_voxels(occupancy: Occupancy, fraction: float) -> NDArray[np.int64]:
    """Flat indices of the voxels that are occupied in more than ``fraction`` of the volumes, and empty in as many."""
    least = max(1.0, fraction * len(occupancy))  # one volume alone relates nothing
    return np.flatnonzero((occupancy.frequency > least) & (occupancy.frequency < len(occupancy) - least))


@dataclass(frozen=True)
class AlikeTest:
    """Are two voxels' occupancies more alike than chance and the noise they share can make them?

    Two conditions. Fisher's z of phi, of SD 1 / sqrt(V - 3), exceeds that of the noise at the pair's distance by the normal
    quantile; and Fisher's exact test agrees, which tells where rare voxels are far from normal.

    Attributes
    ----------
    volumes : V
    probability : of one pair, after correction for the number of pairs
    noise : Noise
    """

    volumes: int
    probability: float
    noise: Noise

    @property
    def margin(self) -> float:
        """By how much Fisher's z must exceed the noise's."""
        return -float(ndtri(self.probability)) / np.sqrt(max(self.volumes - 3, 1))

    def cut(self, distance: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) phi that two voxels need at (n,) distances in voxels."""
        return np.asarray(np.tanh(np.arctanh(np.minimum(self.noise.phi(distance), 0.999)) + self.margin))

    def exact(self, phi: NDArray[np.floating], first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Whether pairs of this phi and these frequencies, each (n,), pass Fisher's exact test."""
        a, b, v = first.astype(np.float64), second.astype(np.float64), float(self.volumes)
        both = np.rint(phi * np.sqrt(a * (v - a) * b * (v - b)) / v + a * b / v)
        return hypergeometric_tail(both, a, b, self.volumes) <= self.probability


def standard(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows with mean 0 and length 1, so that products are correlations; constant rows become 0."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-6).astype(np.float32)


def alike_pairs(occupancy: Occupancy, sample: NDArray[np.int64], noise: Noise, probability: float,
                progress: Progress) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The graph of the sampled voxels: each joined to those most alike, where the test finds them alike.

    Parameters
    ----------
    sample : (n,) flat indices
    probability : that a voxel has a false partner, were all independent but for the noise (Bonferroni over its partners;
        over all pairs is for blocks, see :func:`.profiles.is_coherent`)

    Returns
    -------
    (e, 2) int32 positions in ``sample``, first < second, in ascending order; (e,) float32 phi.
    """
    count = len(sample)
    rows = standard(occupancy.rows(sample))
    frequency = occupancy.frequency[sample]
    test = AlikeTest(len(occupancy), probability / count, noise)
    cuts = test.cut(np.arange(len(noise.correlation) + 1.0))  # by distance; beyond the last, noise has no correlation
    pairs, strengths = [], []
    height = max(1, TILE_PAIRS // count)
    for start in range(0, count, height):
        progress.step("comparing voxels", start / count)
        phi = rows[start:start + height] @ rows.T
        first, second = np.nonzero(phi > cuts.min())
        distance = np.rint(noise_distance(sample[start + first], sample[second], occupancy.grid)).astype(np.int64)
        weak = phi[first, second] <= cuts[np.minimum(distance, len(cuts) - 1)]
        phi[first[weak], second[weak]] = 0
        phi[np.arange(len(phi)), start + np.arange(len(phi))] = 0
        first, second = _strongest(phi, float(cuts.min()))
        strength = phi[first, second]
        first += start
        alike = test.exact(strength, frequency[first], frequency[second])
        pairs.append(np.sort(np.stack([first, second], axis=1)[alike], axis=1))
        strengths.append(strength[alike])
    both = np.concatenate(pairs)
    key, where = np.unique(both[:, 0] * count + both[:, 1], return_index=True)
    return np.stack(np.divmod(key, count), axis=1).astype(np.int32), np.concatenate(strengths)[where]


def _strongest(phi: NDArray[np.float32], least: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each row's NEIGHBOURS largest values above ``least``; equals of the last count too."""
    above = phi > least
    full = np.flatnonzero(above.sum(axis=1) > NEIGHBOURS)
    if len(full):
        last = phi.shape[1] - NEIGHBOURS
        above[full] = phi[full] >= np.partition(phi[full], last, axis=1)[:, last, None]
    first, second = np.nonzero(above)
    return first, second
