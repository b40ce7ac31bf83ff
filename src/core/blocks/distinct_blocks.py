"""From communities of voxels to blocks.

Communities that no volume tells apart are one block; those that chance may have made are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..common import constants
from ..common.progress import Progress
from .noise import Noise, PairNoise
from .occupancy import Occupancy
from .presence import presence
from .profiles import (
    block_profiles,
    correlations,
    members,
    occupied_volumes,
    rest_correlations,
)
from .significance import differs, fisher_margin, shares_differ


def distinct_blocks(
    occupancy: Occupancy,
    sample: NDArray[np.int64],
    noise: Noise,
    communities: list[NDArray[np.int64]],
    least: int,
    probability: float,
    progress: Progress,
    independent: bool = False,
    dependent: bool = False,
) -> NDArray[np.int64]:
    """Merge communities that are one block, reassign voxels, and drop what chance explains.

    Repeated until nothing changes.

    Parameters
    ----------
    sample : (n,) flat indices
    noise : how the noise of two voxels is correlated
    communities : positions in ``sample``
    least : smallest block, in voxels
    probability : of any false block, before correction; also the false discovery rate of members
    independent : whether the volumes were measured to be independent, so that two or three of a few
        may tell blocks apart, see :func:`told_apart`
    dependent : whether they were measured to share their noise, so that blocks are halved without
        the voxels that do not follow them, see :func:`_following`

    Returns
    -------
    (n,) block of each voxel from 0, -1 for none.
    """
    rows, points = (
        occupancy.rows(sample),
        occupancy.grid.points(sample) / max(occupancy.grid.voxel_size),
    )
    shared = PairNoise.of(noise, sample, occupancy.grid)
    count = len(sample)
    owner = np.full(count, -1, np.int64)
    for number, community in enumerate(c for c in communities if len(c) >= least):
        owner[community] = number
    by_chance = probability / max(1, count * (count - 1) / 2)
    known, occupied = _Known({}, {}, {}, least, dependent), occupied_volumes(rows)
    tell = independent and rows.shape[1] < constants.FEW_VOLUMES
    for turn in range(constants.PROFILE_ROUNDS):
        progress.step("telling blocks apart", turn / constants.PROFILE_ROUNDS)
        before = owner
        owner = _coherent(rows, points, shared, _renumbered(owner, least), by_chance, known)
        owner = _merged(rows, points, owner, known, shared if tell else None)
        blocks = int(owner.max(initial=-1)) + 1
        profiles = block_profiles(rows, owner, blocks)
        inside = owner[:, None] == np.arange(blocks)
        sizes = inside.sum(axis=0)
        owner = members(rows, profiles, probability, count, sizes, inside, occupied=occupied)
        owner = _renumbered(owner, least)
        owner = _coherent(rows, points, shared, owner, by_chance, known)
        owner = _without_seams(rows, points, owner, known)
        owner = _renumbered(owner, least)
        if np.array_equal(owner, before):
            break
    return owner


@dataclass(frozen=True)
class _Known:
    """What was found of blocks, by their voxels: most are asked about several times a round.

    Attributes
    ----------
    coherent : see :func:`is_coherent`
    halves : see :func:`_halved`
    following : see :func:`_following`
    least : fewer voxels do not speak for a block
    dependent : whether those that follow it do
    """

    coherent: dict[bytes, bool]
    halves: dict[bytes, _Halves]
    following: dict[bytes, NDArray[np.int64]]
    least: int
    dependent: bool

    def of(
        self,
        key: bytes,
        rows: NDArray[np.float32],
        points: NDArray[np.float64],
        block: NDArray[np.int64],
    ) -> _Halves:
        """:func:`_halved`, once for a block."""
        if key not in self.halves:
            self.halves[key] = _halved(rows, points, self.judged(key, rows, block))
        return self.halves[key]

    def judged(
        self, key: bytes, rows: NDArray[np.float32], block: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The voxels of a block of which its halves are made."""
        if not self.dependent:
            return block
        if key not in self.following:
            some = _following(rows, block)
            self.following[key] = some if len(some) >= self.least else block
        return self.following[key]


@dataclass(frozen=True)
class _Halves:
    """The two halves of a block in space.

    Attributes
    ----------
    side : (n,) 0 or 1, see :func:`split_in_half`
    profiles : (2, V) of each half
    volumes : number of volumes with the block, by the mean of its halves
    errors : volumes in which one half is present and the other is not
    """

    side: NDArray[np.int64]
    profiles: NDArray[np.float64]
    volumes: int
    errors: int


def _halved(
    rows: NDArray[np.float32], points: NDArray[np.float64], block: NDArray[np.int64]
) -> _Halves:
    """Cut a block, (n,) positions among the rows, in half."""
    side = split_in_half(points[block])
    profiles = block_profiles(rows[block], side, 2)
    whole, one, other = presence(np.concatenate([profiles.mean(axis=0, keepdims=True), profiles]))
    return _Halves(side, profiles, int(whole.sum()), int((one != other).sum()))


def _following(rows: NDArray[np.float32], block: NDArray[np.int64]) -> NDArray[np.int64]:
    """The voxels of a block that follow it: those whose correlation with the rest of it is above
    DEPENDENT_PHI, the others left out until none is.

    In volumes that share their noise every voxel goes with something, and communities of parts hold
    rims, and noise that is rarely above the level: at low levels more of these than of the part.
    They make the halves of such a block differ, where those of the part do not.

    Parameters
    ----------
    rows : (n, V) occupancy
    block : positions among them
    """
    while len(block):
        inside = rows[block]
        totals = inside.sum(axis=0, dtype=np.float64)[None]
        follows = rest_correlations(inside, totals)[:, 0] > constants.DEPENDENT_PHI
        if follows.all():
            break
        block = block[follows]
    return block


def split_in_half(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) 0 or 1: a set of points cut in half across its longest direction."""
    centered = points - points.mean(axis=0)
    along = centered @ np.linalg.svd(centered, full_matrices=False)[2][0]
    return np.asarray(
        np.argsort(np.argsort(along, kind="stable"), kind="stable") >= len(points) // 2, np.int64
    )


def is_coherent(
    rows: NDArray[np.float32],
    points: NDArray[np.float64],
    noise: PairNoise,
    block: NDArray[np.int64],
    probability: float,
    halves: _Halves | None = None,
) -> bool:
    """Whether the two halves of a block go together beyond chance and the noise they share.

    Noise is correlated in space: if two distant patches of it happen to be alike, so are all pairs
    of their voxels. That is one coincidence, not many. So the profiles of the halves are compared
    once, as strictly as a single pair of voxels.

    Parameters
    ----------
    rows, points, noise : (n, V) occupancy, (n, 3) positions and noise of the sampled voxels
    block : positions among them, 2 or more
    probability : of one pair, corrected for the number of pairs
    halves : of the block, if they are known
    """
    halves = _halved(rows, points, block) if halves is None else halves
    profile, volumes = halves.profiles, halves.profiles.shape[1]
    few = volumes < constants.FEW_VOLUMES
    needed = constants.MIN_OF_FEW if few else constants.MIN_VOLUMES_WITH_AND_WITHOUT
    if min(halves.volumes, volumes - halves.volumes) < needed:
        return False
    together = float(correlations(profile[:1].astype(np.float32), profile[1:])[0, 0])
    some = _some(len(block))
    shared = noise.phi(block[some, None], block[some]).astype(np.float64)
    first, second = halves.side[some] == 0, halves.side[some] == 1
    own = np.sqrt(shared[first][:, first].mean() * shared[second][:, second].mean())
    expected = shared[first][:, second].mean() / max(own, 1e-12)  # 0 in volumes without noise
    margin = fisher_margin(volumes, probability)
    return bool(np.arctanh(min(together, 0.9999)) - np.arctanh(min(expected, 0.9999)) > margin)


def _some(count: int) -> NDArray[np.int64]:
    """Positions among ``count`` voxels that are enough for the mean over their distances."""
    return np.linspace(0, count - 1, min(count, constants.DISTANCE_VOXELS)).astype(np.int64)


def _coherent(
    rows: NDArray[np.float32],
    points: NDArray[np.float64],
    noise: PairNoise,
    owner: NDArray[np.int64],
    probability: float,
    known: _Known,
) -> NDArray[np.int64]:
    """Dissolve the blocks that are not coherent."""
    blocks = int(owner.max(initial=-1)) + 1
    holds = []
    for b in range(blocks):
        voxels = np.flatnonzero(owner == b)
        key = voxels.tobytes()
        if key not in known.coherent:
            halves, judged = known.of(key, rows, points, voxels), known.judged(key, rows, voxels)
            known.coherent[key] = is_coherent(rows, points, noise, judged, probability, halves)
        holds.append(known.coherent[key])
    return _renumbered(np.where(np.array([*holds, False])[owner], owner, -1), 2)


def _renumbered(owner: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Blocks numbered from 0 without gaps, those of fewer than ``least`` voxels dissolved."""
    size = np.bincount(owner + 1, minlength=1)[1:]
    new = np.where(size >= least, np.cumsum(size >= least) - 1, -1)
    return np.append(new, -1)[owner]


def _merged(
    rows: NDArray[np.float32],
    points: NDArray[np.float64],
    owner: NDArray[np.int64],
    known: _Known,
    noise: PairNoise | None,
) -> NDArray[np.int64]:
    """Join blocks that are present in the same volumes, the most alike first.

    Two blocks are one unless more volumes have one without the other than errors of presence
    explain, see :func:`.significance.differs`. After each joining the whole is compared anew: where
    each of several rare parts is nearly like the next, the first and the last may be far apart.
    """
    blocks = int(owner.max(initial=-1)) + 1
    if blocks < 2:
        return owner
    owner = owner.copy()
    profiles = block_profiles(rows, owner, blocks)
    sizes = np.bincount(owner[owner >= 0], minlength=blocks)
    present = presence(profiles)
    # no errors seen does not mean that a block never errs: as others do, but at most once, as one
    # that wavers must not make room for the differences of others
    found = _errors(rows, points, owner, blocks, known)
    least = min(1.0, max(1, found.sum()) / blocks)
    errors = np.maximum(found, least)
    differ = (present[:, None] != present[None]).sum(axis=2)
    alive = np.ones(blocks, bool)
    two = np.zeros((blocks, blocks), bool)
    while True:
        # halves that differ in e volumes err in e / 2 each, and a whole block in fewer
        expected = (errors[:, None] + errors[None]) / 2
        one = ~differs(differ, expected, rows.shape[1]) & alive & alive[:, None] & ~two
        np.fill_diagonal(one, False)
        if not one.any():
            return _renumbered(owner, 1)
        excess = np.where(one, differ - expected, np.inf)
        first, second = np.unravel_index(excess.argmin(), excess.shape)
        if noise is not None and differ[first, second] >= constants.MIN_TELLING:
            pair = [np.flatnonzero(owner == b) for b in (first, second)]
            if told_apart(rows, points, noise, *pair):
                two[first, second] = two[second, first] = True
                continue
        owner[owner == second] = first
        alive[second] = False
        both = [first, second]
        profiles[first] = np.average(profiles[both], axis=0, weights=sizes[both])
        sizes[first] += sizes[second]
        two[first] = two[:, first] = False
        present[first] = presence(profiles[first : first + 1])[0]
        differ[first] = differ[:, first] = (present != present[first]).sum(axis=1)
        # the halves of two blocks that are not one would differ, and make room for more
        halves = _errors(rows, points, np.where(owner == first, 0, -1), 1, known)[0]
        errors[first] = max(least, min(errors[both].max(), halves))


def told_apart(
    rows: NDArray[np.float32],
    points: NDArray[np.float64],
    noise: PairNoise,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> bool:
    """Whether the voxels of two blocks tell them apart in two volumes or more.

    :func:`.significance.differs` counts volumes: two of 60 are no more than errors may be, however
    clearly each says that one block is there and the other is not. In volumes that are independent
    the voxels count, too, as many as are independent in this noise. But the voxels of a community
    were chosen by their profiles: of one block in noise, those missed in the same two volumes may
    be a community. Their positions were not chosen, and voxels that noise has chosen are mixed with
    the others in space. So each voxel counts for the block that most of its nearest neighbors among
    the two are of, whatever it is of itself.

    Parameters
    ----------
    rows, points, noise : (n, V) occupancy, (n, 3) positions and noise of the sampled voxels
    first, second : positions among them
    """
    nearest = constants.NEAREST_VOXELS
    voxels = np.concatenate([first, second])
    if len(voxels) <= nearest:
        return False
    _, near = cKDTree(points[voxels]).query(points[voxels], nearest + 1)
    # the nearest of all is the voxel itself
    side = np.asarray((near[:, 1:] >= len(first)).sum(axis=1) > nearest / 2, np.int64)
    if side.all() or not side.any():
        return False
    shares = block_profiles(rows[voxels], side, 2)
    one, other = presence(shares)
    telling = one != other
    if telling.sum() < constants.MIN_TELLING:
        return False
    counted = np.array([_independent_voxels(noise, voxels[side == k]) for k in (0, 1)])
    return shares_differ(shares[:, telling], counted, rows.shape[1])


def _independent_voxels(noise: PairNoise, voxels: NDArray[np.int64]) -> float:
    """How many voxels of independent noise these are worth: the variance of their mean tells."""
    some = voxels[_some(len(voxels))]
    mean = float(noise.phi(some[:, None], some).mean(dtype=np.float64))
    return min(float(len(voxels)), 1 / max(mean, 1e-12))


def _without_seams(
    rows: NDArray[np.float32],
    points: NDArray[np.float64],
    owner: NDArray[np.int64],
    known: _Known,
) -> NDArray[np.int64]:
    """Dissolve seams: voxels occupied where the blurred edges of two neighbors add up.

    A block is a seam if it lies within reach of two larger ones and only errors of presence tell it
    from "both present" or "either present".
    """
    blocks = int(owner.max(initial=-1)) + 1
    size = np.bincount(owner[owner >= 0], minlength=blocks)
    present = presence(block_profiles(rows, owner, blocks))
    errors = _errors(rows, points, owner, blocks, known)
    places = [points[owner == b] for b in range(blocks)]
    low = np.array([p.min(axis=0) for p in places]).reshape(-1, 3)
    high = np.array([p.max(axis=0) for p in places]).reshape(-1, 3)
    trees: dict[int, cKDTree] = {}
    owner = owner.copy()
    for seam in np.argsort(size):
        # between the boxes around two blocks, along each axis: their voxels are no nearer
        gap = np.maximum(low - high[seam], low[seam] - high).clip(min=0)
        close = np.sqrt((gap**2).sum(axis=1)) <= constants.SEAM_REACH + 1e-6
        near = []
        for b in np.flatnonzero(close & (size > size[seam])).tolist():
            if b not in trees:
                trees[b] = cKDTree(places[b])
            # the mean of two that are in the middle is within reach if both are within twice that
            far = 2 * constants.SEAM_REACH * (1 + 1e-9)
            apart = trees[b].query(places[seam], distance_upper_bound=far)[0]
            if np.median(apart) <= constants.SEAM_REACH:
                near.append(b)
        for a, b in combinations(near, 2):
            differ = np.array(
                [
                    (present[seam] != (present[a] & present[b])).sum(),
                    (present[seam] != (present[a] | present[b])).sum(),
                ]
            )
            if not differs(differ, np.full(2, max(errors[seam], 1)), rows.shape[1]).all():
                owner[owner == seam] = -1
                break
    return owner


def _errors(
    rows: NDArray[np.float32],
    points: NDArray[np.float64],
    owner: NDArray[np.int64],
    blocks: int,
    known: _Known,
) -> NDArray[np.int64]:
    """Errors of presence, by block: volumes in which one half is present and the other is not."""
    result = np.zeros(blocks, np.int64)
    for b in range(blocks):
        voxels = np.flatnonzero(owner == b)
        result[b] = known.of(voxels.tobytes(), rows, points, voxels).errors
    return result
