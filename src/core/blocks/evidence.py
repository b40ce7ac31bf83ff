"""Physical evidence for blocks: does a part of the molecule come and go, or does something else?

Significance says that voxels go together. In volumes that a decoder made, everything goes together:
hundreds of volumes are points of one smooth function of a few latent numbers, so that artifacts,
the contrast of the images and small motions make voxels flip together too, as reproducibly as a
part that comes and goes. What tells them apart is the density itself, on the scale of each volume's
contour level (1) above its background (0):

contrast
    (present - absent) / present, the block's mean density with and without it. A surface that
    breathes across the level changes its density little.
solidity
    Share of the block's voxels in connected pieces of SOLID_PIECE voxels and more. Noise that
    crosses the level, and shells, are dust.
exchange
    Density that leaves, over density that comes, within MASS_REACH voxels of the block as it comes.
    A part that moves takes its density along: about 1. Changes below MIN_LOSS of the block's own do
    not count, nor does density that was below LEFT_DENSITY: the ring around a part, where the map
    turns negative, is no loss.
passing
    Density that is there while the block is half there, neither before nor after, between what
    comes and what leaves, over density that comes. What moves passes through the places in between;
    what fades in, as another fades out, passes nowhere.
separation
    Share of the variance over the volumes of the block's mean density that is between volumes with
    and without it. Presence always parts the volumes in two; below ONE_GROUP they are one group.
noise
    SD over the volumes of a voxel that should not vary, of the background or the core. If the
    volumes are too dependent for statistics (:mod:`.background`), a block must rise above it.
symmetry
    Density that rises at the same distances from the middle of the box, averaged over all
    directions, over that of the block. What images have in common with no view of the molecule
    (contrast, background, noise that was learned) a decoder can only explain by density that looks
    the same from all sides; networks in Fourier space put it in the middle. A part has one place.
peak
    Share of the block's voxels from which the rise climbs, voxel by voxel, to a peak in the block,
    or to one that is not there more often.
    Where a part is there by degrees, its edge is above the level in fewer volumes than its middle,
    and so is the seam of two parts: they look like blocks of their own. But from there the rise
    climbs to the peaks of the parts. Parts that depend on each other have a peak each.
negative
    How far below the background the block's voxels are where they are lowest, over how far above it
    where they are highest, see :func:`negative_share`. A part that is gone leaves the background;
    noise that a decoder learned beside the molecule is as often below it as above.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..common import constants
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from ..maps.excerpt import Parts
from ..maps.grid import Grid
from .background import Background, BackgroundReader
from .blockset import BlockSet, touching_blocks
from .dilation import dilated
from .kept import kept_with
from .motion import Around, half_there, passing_of
from .occupancy import Occupancy
from .peaks import own_peak_share, peaks
from .presence import presence, separation
from .profiles import block_shares
from .shells import Shells
from .verdicts import BlockEvidence


@dataclass(frozen=True)
class Evidence:
    """What the density says of all blocks of an ensemble.

    Attributes
    ----------
    blocks : by block number
    volumes : V
    effective_volumes, noise : see :class:`.background.Background`
    background : of the volumes
    profiles : block number -> (V,) mean density of the block in each volume
    """

    blocks: dict[int, BlockEvidence]
    volumes: int
    effective_volumes: float
    noise: float
    background: Background
    profiles: dict[int, NDArray[np.float64]] = field(repr=False, default_factory=dict)


def measure_evidence(
    blocks: BlockSet,
    occupancy: Occupancy,
    ensemble: Ensemble,
    background: Background | None = None,
    sampled: float = 1.0,
    progress: Progress | None = None,
) -> Evidence:
    """Read the volumes once more and measure the density of each block, with and without it.

    Parameters
    ----------
    blocks : BlockSet on the ensemble's grid
    occupancy : Occupancy of the V volumes that took part, at the levels that were used
    ensemble : Ensemble with those volumes
    background : of these volumes; measured in the same reading if not given
    sampled : share of the voxels from which the blocks were drawn: 1 after expand, less in a sketch

    Raises
    ------
    SirenError, Cancelled
        If a volume cannot be read, or ``progress`` was asked to stop.
    """
    progress = progress or Progress()
    shares = block_shares(blocks, occupancy)
    present = presence(shares)
    half = half_there(shares, present)
    near = _Near(blocks, len(occupancy))
    chosen = ensemble.of(occupancy.names)
    reader = None if background else BackgroundReader(occupancy)
    shells, kept = Shells(blocks.grid), kept_with(occupancy)
    measured = kept.all_round
    means = np.empty((len(occupancy), len(shells))) if measured is None else measured
    others = [shells.voxels] if measured is None else []
    inside, known = near.parts.inside, near.parts.inside + sum(map(len, others))
    others += [reader.voxels] if reader else []
    wanted = replace(near.parts, others=np.concatenate([near.parts.others, *others]))
    for v, (_, values) in enumerate(chosen.read_voxels(wanted, progress, "measuring densities")):
        if reader:
            base, height = reader.add(v, values[known:])
        elif background:
            base, height = background.base[v], background.height[v]
        if measured is None:
            means[v] = shells.means(values[inside:known])
        densities = values[:inside] - base
        densities /= height
        near.add(v, densities, present[:, v], half[:, v])
    profiles = near.profiles
    if reader:
        background = reader.background(progress)
    assert background is not None
    kept.all_round = means
    means = (means - background.base[:, None]) / background.height[:, None]
    all_round = np.array(
        [[means[~there].sum(axis=0), means[there].sum(axis=0)] for there in present]
    )
    found = {}
    for b, (number, voxels) in enumerate(blocks):
        count = np.array([(~present[b]).sum(), present[b].sum()])
        sums, half_sums = near.sums(b)
        without, with_block = sums / np.maximum(count, 1)[:, None]
        if not count.all():  # in all volumes or in none: nothing comes and goes
            with_block = without = with_block + without
            all_round[b] = 0
        gained = with_block - without
        own = near.inside[b]
        high, rise = float(with_block[own].mean()), float(gained[own].mean())
        region = near.regions[b]
        around = Around(region, blocks.grid, with_block, without, rise)
        absent_there, present_there = all_round[b] / np.maximum(count, 1)[:, None]
        alike = float(shells.at(present_there - absent_there, voxels).mean())
        ends = region[peaks(gained, region, blocks.grid)[own]]
        rarer = occupancy.frequency[ends] < constants.MORE_OFTEN * count[1]
        gap = 0.0 if sampled == 1 else piece_gap(sampled)
        found[number] = BlockEvidence(
            contrast=rise / high if high > 0 else 0.0,
            rise=rise,
            solidity=solid_share(voxels, blocks.grid, sampled),
            exchange=around.exchange,
            separation=separation(profiles[b], present[b]),
            noise=background.noise if background.dependent else 0.0,
            symmetry=alike / rise if rise > 0 else 0.0,
            passing=passing_of(around, sums, half_sums, present[b], half[b]),
            peak=own_peak_share(ends, number, blocks, rarer, gap),
            negative=negative_share(near.some_values(b), present[b]),
        )
    numbered = dict(zip(blocks.blocks, profiles, strict=True))
    return Evidence(
        found,
        len(occupancy),
        background.effective_volumes,
        background.noise,
        background,
        numbered,
    )


OWN_AT_ONCE = 32  # volumes of which the blocks' own voxels are averaged at a time
SOME = 64  # voxels of a block whose values are kept: a median over them is known to a few percent


class _Near:
    """Densities of blocks and around them, while volumes are read one after the other.

    Attributes
    ----------
    parts : what is read of each volume: runs of voxels around each block, one block after the other
    regions : of each block, (n,) flat indices of the voxels near it, ascending
    inside : of each block, positions of its own voxels among these
    profiles : (B, V) mean density of each block in each volume
    """

    def __init__(self, blocks: BlockSet, volumes: int):
        size = blocks.grid.size
        reach = constants.MASS_REACH
        self.regions = regions = [dilated(voxels, blocks.grid, reach) for _, voxels in blocks]
        every = [Parts.around(region, size=size) for region in regions]
        none = np.empty(0, np.int64)
        runs = np.concatenate([none, *(p.runs for p in every)])
        self.parts = replace(Parts.around(none, size=size), runs=runs)
        self._near = [np.searchsorted(p.voxels, r) for p, r in zip(every, regions, strict=True)]
        self.inside = [np.searchsorted(r, v) for r, (_, v) in zip(regions, blocks, strict=True)]
        ends = [0, *np.cumsum([p.inside for p in every]).tolist()]
        places = [slice(a, b) for a, b in pairwise(ends)]
        own = [near[i] + a for near, i, a in zip(self._near, self.inside, ends, strict=False)]
        ends = [0, *np.cumsum([len(o) for o in own]).tolist()]
        self._own, self._own_places = np.concatenate([none, *own]), list(pairwise(ends))
        self._sums = np.zeros((2, 2, self.parts.inside))  # all and half there; without and with
        self._of_each = [self._sums[..., place] for place in places]
        self._wide = np.empty(self.parts.inside)  # of one volume
        self._each = [self._wide[place] for place in places]
        self.profiles = np.zeros((len(blocks), volumes))
        self._own_values = np.empty((0, 0))  # of some volumes
        self._some = [a + _spread(b - a) for a, b in self._own_places]
        self._some_values = [np.empty((volumes, len(s)), np.float32) for s in self._some]

    def add(
        self,
        v: int,
        densities: NDArray[np.floating],
        present: NDArray[np.bool_],
        half: NDArray[np.bool_],
    ) -> None:
        """Of volume ``v``, in the order of ``parts``, and (B,) whether each block is present, and
        half there.
        """
        np.copyto(self._wide, densities)
        each = zip(self._of_each, self._each, present.tolist(), half.tolist(), strict=True)
        for of_one, wide, side, counts_twice in each:
            for total in of_one[: 1 + counts_twice, int(side)]:
                total += wide
        if not self._own_values.size:
            self._own_values = np.empty((OWN_AT_ONCE, len(self._own)), densities.dtype)
        row = v % OWN_AT_ONCE
        densities.take(self._own, out=self._own_values[row], mode="clip")
        if row == OWN_AT_ONCE - 1 or v == self.profiles.shape[1] - 1:
            values, number = self._own_values[: row + 1], densities.dtype.type
            for profile, (a, b) in zip(self.profiles, self._own_places, strict=True):
                # as mean(), faster
                profile[v - row : v + 1] = np.add.reduce(values[:, a:b], axis=1) / number(b - a)
            for kept, some in zip(self._some_values, self._some, strict=True):
                kept[v - row : v + 1] = values[:, some]

    def sums(self, block: int) -> NDArray[np.float64]:
        """(2, 2, n) sum of the densities of the voxels near a block, in all volumes and in those in
        which it is half there; of each, without it and with it.
        """
        return self._of_each[block][..., self._near[block]]

    def some_values(self, block: int) -> NDArray[np.float32]:
        """(V, m) densities of up to SOME of a block's voxels."""
        return self._some_values[block]


def _spread(count: int) -> NDArray[np.int64]:
    """Up to SOME of ``count`` positions, evenly."""
    return np.linspace(0, max(count - 1, 0), min(count, SOME)).round().astype(np.int64)


def negative_share(values: NDArray[np.floating], present: NDArray[np.bool_]) -> float:
    """How far below the background voxels are where they are lowest, over how far above where they
    are highest: the median over the voxels.

    Lowest and highest are means over a tenth of the volumes, or as many as are with the block, or
    without it, if these are fewer: of a rare part, no more volumes are high.

    Parameters
    ----------
    values : (V, n) density above the background
    present : (V,) in which volumes the block is

    Returns
    -------
    About 0 for a part that is gone without a trace, about 1 for noise, below 0 if something is
    always there; 0 if the block is in all volumes or in none
    """
    there = int(np.count_nonzero(present))
    some = min(max(len(values) // 10, 1), there, len(present) - there)
    if not some or not values.shape[1]:
        return 0.0
    ordered = np.partition(values, (some - 1, len(values) - some), axis=0)
    lowest = ordered[:some].mean(axis=0, dtype=np.float64)
    highest = ordered[-some:].mean(axis=0, dtype=np.float64)
    risen = highest > 0
    return float(np.median(-lowest[risen] / highest[risen])) if risen.any() else 0.0


def solid_share(voxels: NDArray[np.int64], grid: Grid, sampled: float = 1.0) -> float:
    """Share of a block's voxels in connected pieces of SOLID_PIECE voxels and more.

    Voxels are connected if they touch, by a corner at least; in a sample of all voxels, if they are
    as close as neighbors in the sample usually are.

    Parameters
    ----------
    voxels : (n,) flat indices
    sampled : share of all voxels in the sample, above 0 to 1
    """
    if not len(voxels):
        return 0.0
    zyx = np.stack(np.unravel_index(voxels, grid.shape), axis=1)
    sizes = np.bincount(connected_pieces(zyx, sampled))
    least = max(constants.MIN_SAMPLED_PIECE, constants.SOLID_PIECE * sampled)
    return float(sizes[sizes >= least].sum() / len(voxels))


def connected_pieces(zyx: NDArray[np.integer], sampled: float) -> NDArray[np.int32]:
    """(n,) piece, from 0, of each voxel at (n, 3) z, y, x; see :func:`solid_share`."""
    gap = piece_gap(sampled)
    pairs = cKDTree(zyx.astype(np.float64)).query_pairs(gap, output_type="ndarray")
    ends = (pairs[:, 0], pairs[:, 1])
    graph = coo_array((np.ones(len(pairs), bool), ends), shape=(len(zyx), len(zyx)))
    return np.asarray(connected_components(graph, directed=False)[1])


def piece_gap(sampled: float) -> float:
    """Voxels between neighbors: of all voxels those that touch by a corner; in a sample, as far as
    neighbors usually are.
    """
    return float(np.sqrt(3.0) * max(sampled, 1e-6) ** (-1 / 3) * (1 + 1e-9))


def with_evidence(
    blocks: BlockSet,
    occupancy: Occupancy,
    ensemble: Ensemble,
    background: Background | None = None,
    progress: Progress | None = None,
) -> tuple[BlockSet, Evidence]:
    """The same blocks with their evidence; parameters as :func:`measure_evidence`."""
    evidence = measure_evidence(blocks, occupancy, ensemble, background, 1.0, progress)
    return replace(blocks, evidence=evidence.blocks), evidence


def sketched_evidence(
    blocks: BlockSet,
    occupancy: Occupancy,
    ensemble: Ensemble,
    sampled: float,
    join: bool = True,
    progress: Progress | None = None,
) -> tuple[BlockSet, Evidence]:
    """Join nested shells, and number the blocks anew: largest first, those that are doubtful last.

    Parameters
    ----------
    blocks : of a sketch
    sampled : share of the voxels that were compared
    join : whether to join shells, see :func:`joined_shells`
    """
    evidence = measure_evidence(blocks, occupancy, ensemble, None, sampled, progress)
    joined = joined_shells(blocks, evidence) if join else blocks
    if len(joined) < len(blocks):
        background = evidence.background
        evidence = measure_evidence(joined, occupancy, ensemble, background, sampled, progress)
    order = sorted(
        joined.blocks, key=lambda n: (evidence.blocks[n].doubtful, -len(joined.blocks[n]), n)
    )
    numbered = replace(
        joined,
        blocks={k: joined.blocks[n] for k, n in enumerate(order, 1)},
        evidence={k: evidence.blocks[n] for k, n in enumerate(order, 1)},
    )
    profiles = {k: evidence.profiles[n] for k, n in enumerate(order, 1)}
    return numbered, replace(evidence, blocks=numbered.evidence, profiles=profiles)


def joined_shells(blocks: BlockSet, evidence: Evidence) -> BlockSet:
    """Join touching blocks whose densities follow each other: nested shells of one graded part.

    A part of graded occupancy crosses the contour level shell by shell, from the inside out, and
    each shell looks like a block that depends on the next. Their densities correlate above
    SAME_DENSITY over the volumes. Blocks that depend on each other do not: each has volumes of its
    own.

    Returns
    -------
    BlockSet in which the first of joined blocks keeps its number
    """
    numbers = list(blocks.blocks)
    if len(numbers) < 2:
        return blocks
    same = np.corrcoef(np.stack([evidence.profiles[n] for n in numbers])) > constants.SAME_DENSITY
    touch = touching_blocks(blocks)
    pairs = [(numbers.index(a), numbers.index(b)) for a, b in touch]
    joined = [(a, b) for a, b in pairs if same[a, b]]
    if not joined:
        return blocks
    first, second = np.array(joined).T
    shape = (len(numbers), len(numbers))
    graph = coo_array((np.ones(len(joined), bool), (first, second)), shape=shape)
    _, group = connected_components(graph, directed=False)
    merged = {}
    for g in dict.fromkeys(group.tolist()):
        members = [n for n, k in zip(numbers, group, strict=True) if k == g]
        merged[members[0]] = np.unique(np.concatenate([blocks.blocks[n] for n in members]))
    return replace(blocks, blocks=merged)
