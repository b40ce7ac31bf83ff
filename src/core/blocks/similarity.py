"""The similarity graph of the sampled voxels, whose communities become blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    strips,
    unpack_occupancy,
)
from .noise import Noise, PairNoise
from .occupancy import Occupancy
from .significance import fisher_margin, hypergeometric_tail


@dataclass(frozen=True)
class SimilarityGraph:
    """Candidate pairs of similar voxels; :meth:`at` tests them at any stringency.

    Where more than NEIGHBORS voxels have the same profile, as in volumes without noise, they are
    each other's strongest partners, all of them: n^2 pairs that say one thing. The first of them
    stands for all.

    Attributes
    ----------
    pairs : (e, 2) int32 positions in the sample, first < second, in ascending order
    strength : (e,) float32, phi in excess of shared noise, see :class:`SimilaritySearch`
    chance : (e,) float64, p-value of Fisher's exact test of independence
    differing : (e,) int64, volumes in which one of the two is occupied and the other is not
    stand_in : (n,) int64 position of the voxel that stands for each: itself, but for the above
    own_chance : (n,) float64, that p-value for a pair of voxels that one stands for; 1 without
    volumes : V
    """

    pairs: NDArray[np.int32]
    strength: NDArray[np.float32]
    chance: NDArray[np.float64]
    differing: NDArray[np.int64]
    stand_in: NDArray[np.int64]
    own_chance: NDArray[np.float64]
    volumes: int

    @property
    def voxels(self) -> int:
        """N of the sample."""
        return len(self.stand_in)

    def at(self, posp: float, negp: float = 1.0) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The pairs that pass, and their strengths; each voxel that another stands for, with it.

        Parameters
        ----------
        posp : see :meth:`between`
        negp : not used; phi weighs occupied and empty alike
        """
        pairs, strength = self.between(posp)
        stand_in = self.standing_for(posp)
        copies = np.flatnonzero(stand_in != np.arange(self.voxels))
        if not len(copies):
            return pairs, strength
        alike = np.stack([stand_in[copies], copies], axis=1).astype(np.int32)
        pairs = np.concatenate([pairs, alike])
        strength = np.concatenate([strength, np.ones(len(alike), np.float32)])
        order = np.lexsort(pairs.T[::-1])
        return pairs[order], strength[order]

    def between(self, posp: float) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The pairs that pass, and their strengths.

        Two conditions: Fisher's z of phi, of SD 1 / sqrt(V - 3), exceeds that of the noise at the
        pair's distance by the normal quantile; and Fisher's exact test, which holds for rare
        voxels too, agrees: for the pair alone, or, in few volumes, for all partners of one profile
        together, see :meth:`_discovered`.

        Parameters
        ----------
        posp : probability that a voxel has a false partner if all were independent but for noise
            (over its possible partners; blocks are corrected for all pairs, see
            :func:`.distinct_blocks.is_coherent`)
        """
        each = posp / max(1, self.voxels)
        least = np.tanh(fisher_margin(self.volumes, each))
        strong = self.strength > least
        kept = strong & (self.chance <= each)
        if self.volumes < constants.FEW_VOLUMES:
            alike = np.flatnonzero(strong & (self.differing <= constants.SAME_BUT))
            kept[alike] |= self._discovered(alike, each)
        return self.pairs[kept], self.strength[kept]

    def _discovered(self, some: NDArray[np.intp], each: float) -> NDArray[np.bool_]:
        """Whether each of some pairs, (k,) positions, is a discovery among the partners of one of
        its voxels.

        Benjamini & Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x, step-up: the k partners
        of the smallest p-values pass, for the largest k where the last of them is at most k times
        ``each``. A partner counts as many times as it has voxels that it stands for.
        """
        copies = np.bincount(self.stand_in, minlength=self.voxels)
        voxel, partner = self.pairs[some].T.ravel(), self.pairs[some, ::-1].T.ravel()
        chance = np.tile(self.chance[some], 2)
        order = np.lexsort((chance, voxel))
        voxel, partner, chance = voxel[order], partner[order], chance[order]
        first = np.flatnonzero(np.diff(voxel, prepend=-1))
        line = np.repeat(np.arange(len(first)), np.diff(first, append=len(voxel)))
        rank = np.cumsum(copies[partner])
        rank -= (rank - copies[partner])[first][line]
        last = np.full(len(first), -1.0)  # the largest p-value that passes
        passing = chance <= rank * each
        np.maximum.at(last, line[passing], chance[passing])
        found = np.empty(len(order), bool)
        found[order] = chance <= last[line]
        one, other = found.reshape(2, -1)
        return one | other

    def standing_for(self, posp: float) -> NDArray[np.int64]:
        """(n,) position of the voxel that stands for each, where voxels of one profile go together
        at this p; those whose profile is too common by chance stand for themselves.
        """
        copies = np.bincount(self.stand_in, minlength=self.voxels)
        counted = copies if self.volumes < constants.FEW_VOLUMES else 1
        together = self.own_chance <= posp * counted / max(1, self.voxels)
        return np.where(together[self.stand_in], self.stand_in, np.arange(self.voxels))


# of counts, over the volumes: more than single precision makes, less than one for thousands of them
ROUNDING = 1e-5


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
    copies : (n,) voxels that each stands for, see :class:`SimilarityGraph`; None if all are alone
    """

    bits: NDArray[np.uint8]
    frequency: NDArray[np.int64]
    volumes: int
    noise: PairNoise
    least: float
    neighbors: int
    copies: NDArray[np.int64] | None = None

    def rows(self) -> int:
        """Number of sampled voxels."""
        return len(self.bits)

    def columns(self) -> NDArray[np.float32]:
        """(n, V) occupancy."""
        return unpack_occupancy(self.bits, self.volumes)

    def tile(
        self, start: int, stop: int, counter: PairCounter, mirror: Mirror | None = None
    ) -> TileResult:
        """Positions of voxels and partners, and strengths: (k,), (k,), (k,).

        Parameters
        ----------
        mirror : pairs of earlier strips, where these are computed one after the other: those with
            the voxels of this one are not counted again
        """
        mirrored = None if mirror is None else mirror.of(start, stop)
        first = 0 if mirrored is None else start
        both = counter(unpack_occupancy(self.bits[start:stop], self.volumes), first)
        near = self._near(both, start, first)
        row, column = np.divmod(near.astype(np.int32), np.int32(both.shape[1]))
        row, column = row + np.int32(start), column + np.int32(first)
        excess, scale = self._excess(both.ravel()[near], row, column), self._scale()
        if mirror is not None:
            later = np.flatnonzero(column >= stop)
            mirror.add(row[later], column[later], excess[later])
        value, least = excess * scale[row] * scale[column], np.float32(self.least)
        if mirrored is not None:
            partner, voxel, of_both = mirrored
            also = of_both * scale[voxel] * scale[partner]
            row, column, value = (
                np.concatenate(both) for both in ((voxel, row), (partner, column), (also, value))
            )
            line = (row - start).astype(np.min_scalar_type(stop - start))  # sorted fastest
            order = np.argsort(line, kind="stable")
            row, column, value = row[order], column[order], value[order]
        # strength is never above phi
        some = np.flatnonzero(value > least)
        row, column, value = row[some], column[some], value[some]
        noise = self.noise.phi(row, column)
        value = (value - noise) / (1 - value * noise)  # tanh(atanh(a) - atanh(b))
        above = value > least
        if self.copies is not None:  # its strongest partners are those that it stands for
            above &= self.copies[row] == 1
        row, column, value = row[above], column[above], value[above]
        kept = _strongest(row, column, value, self.neighbors, self.copies)
        return row[kept], column[kept], value[kept]

    def mirror(self) -> Mirror:
        """For strips that are computed one after the other."""
        return Mirror(self.rows())

    def _near(self, both: NDArray[np.float32], start: int, first: int) -> NDArray[np.intp]:
        """Positions in (t, n - first) counts of the pairs whose phi may be above the least, all of
        these and a few others.

        Phi is (V both - f1 f2) / (s1 s2), where s is the root of f (V - f). So it is compared with
        what the count would have to be: a sum of two products, made at once for all pairs.
        """
        volumes, frequency = self.volumes, self.frequency.astype(np.float64)
        spread = np.sqrt(frequency * (volumes - frequency))
        spread[spread == 0] = volumes  # phi is 0 if one does not vary
        margin = np.full(len(spread), -ROUNDING * volumes)
        left = np.stack([frequency, self.least * spread, margin], axis=1) / volumes
        right = np.stack([frequency, spread, np.full(len(spread), volumes)]).astype(np.float32)
        left, right = left.astype(np.float32)[start:], right[:, first:]
        found, step = [], max(1, 2 * constants.CACHED_VALUES // max(1, both.shape[1]))
        for begin in range(0, len(both), step):
            some = both[begin : begin + step]
            above = some > left[begin : begin + len(some)] @ right
            found.append(np.flatnonzero(above) + begin * both.shape[1])
        return np.concatenate(found)

    def _excess(
        self, both: NDArray[np.float32], row: NDArray[np.int32], column: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """(k,) V times the volumes with both of some pairs, less the product of the frequencies:
        phi but for its scale. 0 for a voxel with itself.

        Computed from whole numbers, so that all backends agree to the last bit.
        """
        excess = both.astype(np.int64) * self.volumes - self.frequency[row] * self.frequency[column]
        excess[row == column] = 0
        return excess.astype(np.float32)

    def _scale(self) -> NDArray[np.float32]:
        """(n,) factor of each voxel; 0 if it does not vary."""
        spread = self.frequency * (self.volumes - self.frequency)
        scale = np.divide(1, np.sqrt(spread), out=np.zeros(len(spread)), where=spread > 0)
        return scale.astype(np.float32)


class Mirror:
    """Pairs of voxels of earlier strips with those of later ones: each is counted once.

    Beyond MIRRORED_PAIRS nothing is kept, and all are counted.
    """

    def __init__(self, rows: int):
        self._strips = strips(rows, rows)
        self._height = max(1, self._strips[0][1]) if self._strips else 1
        self._kept: list[list[tuple[NDArray[Any], ...]]] | None = [[] for _ in self._strips]
        self._held = 0

    def of(self, start: int, stop: int) -> tuple[NDArray[Any], ...] | None:
        """Voxels of earlier strips, their partners in this one, and what was counted of both:
        (k,), (k,), (k,), in the order of the former; None if they were not kept.
        """
        if self._kept is None:
            return None
        found = self._kept[start // self._height]
        self._kept[start // self._height] = []
        self._held -= sum(len(part[0]) for part in found)
        empty = np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32)
        first, second, counted = (np.concatenate(p) for p in zip(empty, *found, strict=True))
        return first, second, counted

    def add(
        self, first: NDArray[np.int32], second: NDArray[np.int32], counted: NDArray[np.float32]
    ) -> None:
        """Keep pairs of a strip with voxels of later ones."""
        if self._kept is None:
            return
        self._held += len(first)
        if self._held > constants.MIRRORED_PAIRS:
            self._kept = None
            return
        strip = (second // np.int32(self._height)).astype(np.min_scalar_type(len(self._strips)))
        order = np.argsort(strip, kind="stable")
        ends = np.cumsum(np.bincount(strip, minlength=len(self._strips)))[:-1]
        parts = (np.split(part[order], ends) for part in (first, second, counted))
        for kept, part in zip(self._kept, zip(*parts, strict=True), strict=True):
            if len(part[0]):
                kept.append(part)


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
    stand_in = _stand_ins(bits)
    nodes, copies = np.unique(stand_in, return_counts=True)
    many = nodes[copies > 1]
    own_chance = np.ones(len(sample))
    own_chance[many] = hypergeometric_tail(
        frequency[many], frequency[many], frequency[many], volumes
    )
    least = float(np.tanh(fisher_margin(volumes, probability / max(1, len(sample)))))
    search = SimilaritySearch(
        bits[nodes],
        frequency[nodes],
        volumes,
        PairNoise.of(noise, sample[nodes], occupancy.grid),
        least,
        constants.NEIGHBORS,
        copies if len(many) else None,
    )
    found = run_tiles(search, "comparing voxels", progress, compute)
    if not found:
        empty = np.empty(0, np.float32)
        return SimilarityGraph(
            np.empty((0, 2), np.int32),
            empty,
            np.empty(0),
            np.empty(0, np.int64),
            stand_in,
            own_chance,
            volumes,
        )
    first, second, strength = (np.concatenate(part) for part in zip(*found, strict=True))
    first, second = nodes[first], nodes[second]
    key = np.minimum(first, second) * len(sample) + np.maximum(first, second)
    key, where = np.unique(key, return_index=True)
    pairs = np.stack(np.divmod(key, len(sample)), axis=1).astype(np.int32)
    both = joint_counts(bits, pairs[:, 0], pairs[:, 1])
    one, other = frequency[pairs[:, 0]], frequency[pairs[:, 1]]
    chance = hypergeometric_tail(both, one, other, volumes)
    differing = one + other - 2 * both
    return SimilarityGraph(pairs, strength[where], chance, differing, stand_in, own_chance, volumes)


def _stand_ins(bits: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n,) the first voxel of the same profile where more than NEIGHBORS have it, else itself."""
    if not len(bits):
        return np.empty(0, np.int64)
    whole = np.ascontiguousarray(bits).view(np.dtype((np.void, bits.shape[1])))[:, 0]
    _, first, group, count = np.unique(
        whole, return_index=True, return_inverse=True, return_counts=True
    )
    own = np.arange(len(bits))
    return np.where(count[group] > constants.NEIGHBORS, first[group], own)


def _strongest(
    row: NDArray[np.int32],
    column: NDArray[np.int32],
    value: NDArray[np.float32],
    count: int,
    copies: NDArray[np.int64] | None = None,
) -> NDArray[np.intp]:
    """Which (k,) pairs, in ascending order of their rows, are among the ``count`` strongest of
    their row.

    Ties are kept, but of more than ``count`` too many only those nearest in order, and so mostly
    in space: few volumes make few different correlations. A column counts as many times as it has
    ``copies``.
    """
    if not len(row):
        return np.empty(0, np.intp)
    start = np.flatnonzero(np.diff(row, prepend=-1))  # of each row that has pairs
    length = np.diff(start, append=len(row))
    line = np.repeat(np.arange(len(start)), length)
    width = int(length.max())
    kept = np.arange(len(row))
    if width > count:
        table = np.full((len(start), width), -np.inf, np.float32)
        table[line, kept - start[line]] = value
        full = np.flatnonzero(length > count)
        last = np.full(len(start), -np.inf, np.float32)
        last[full] = np.partition(table[full], width - count, axis=1)[:, width - count]
        kept = np.flatnonzero(value >= last[line])
    over = np.bincount(line[kept], minlength=len(start)) > 2 * count
    if copies is not None:
        over |= np.bincount(line[kept], copies[column[kept]], len(start)) > count
    if not over.any():
        return kept
    crowded = over[line[kept]]
    some = kept[crowded]
    order = some[np.lexsort((np.abs(column[some] - row[some]), -value[some], line[some]))]
    weight = np.ones(len(order), np.int64) if copies is None else copies[column[order]]
    new_line = np.diff(line[order], prepend=-1) != 0
    new_value = new_line | (np.diff(value[order], prepend=np.float32(0)) != 0)
    begin = np.flatnonzero(new_line)[np.cumsum(new_line) - 1]
    equal = np.flatnonzero(new_value)[np.cumsum(new_value) - 1]
    stronger = np.cumsum(weight) - weight  # summed over all before, in the row and above
    stronger = stronger[equal] - stronger[begin]
    chosen = (stronger < count) & (np.arange(len(order)) - begin < 2 * count)
    return np.sort(np.concatenate([kept[~crowded], order[chosen]]))
