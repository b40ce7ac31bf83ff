"""From communities of voxels to blocks.

Communities that no volume tells apart are one block; those that chance may have made are none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..common import constants
from ..common.progress import Progress
from .candidates import Candidates, Halves
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
from .significance import differs, fisher_margin, shares_differ, significant_phi


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
    known = _Known(
        rows,
        points,
        shared,
        probability / max(1, count * (count - 1) / 2),
        Candidates(
            occupancy.packed(sample),
            len(occupancy),
            points,
            partial(_following, rows, least) if dependent else None,
        ),
        dependent,
        {},
    )
    occupied = occupied_volumes(rows)
    tell = independent and rows.shape[1] < constants.FEW_VOLUMES
    tested = owner[:0], owner
    for turn in range(constants.PROFILE_ROUNDS):
        progress.step("telling blocks apart", turn / constants.PROFILE_ROUNDS)
        before = owner
        owner = _coherent(known, _renumbered(owner, least))
        owner = _merged(known, owner, tell)
        blocks = known.candidates.of(owner)
        profiles = np.array([b.profile for b in blocks]).reshape(-1, len(occupancy))
        inside = owner[:, None] == np.arange(len(blocks))
        sizes = inside.sum(axis=0)
        owner = members(rows, profiles, probability, count, sizes, inside, occupied=occupied)
        owner = _renumbered(owner, least)
        owner = _coherent(known, owner)
        if not np.array_equal(owner, tested[0]):  # in the last round mostly the same again
            tested = owner, _without_seams(known, owner)
        owner = tested[1]
        owner = _renumbered(owner, least)
        if np.array_equal(owner, before):
            break
    return owner


@dataclass(frozen=True)
class _Known:
    """The sampled voxels, and what was found of sets of them.

    Attributes
    ----------
    rows, points, noise : see :func:`is_coherent`
    by_chance : probability of one pair, corrected for the number of pairs
    candidates : of these voxels
    dependent : whether the volumes share their noise
    coherent : see :func:`is_coherent`, by the voxels of a block
    """

    rows: NDArray[np.float32]
    points: NDArray[np.float64]
    noise: PairNoise
    by_chance: float
    candidates: Candidates
    dependent: bool
    coherent: dict[bytes, bool]


def _following(
    rows: NDArray[np.float32], least: int, block: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The voxels of a block that follow it: those whose correlation with the rest of it is above
    DEPENDENT_PHI, the others left out until none is; all if these are too few to make a block.

    In volumes that share their noise every voxel goes with something, and communities of parts hold
    rims, and noise that is rarely above the level: at low levels more of these than of the part.
    They make the halves of such a block differ, where those of the part do not.

    Parameters
    ----------
    rows : (n, V) occupancy
    least : smallest block, in voxels
    block : positions among them
    """
    some = block
    while len(some) >= least:
        inside = rows[some]
        totals = inside.sum(axis=0, dtype=np.float64)[None]
        follows = rest_correlations(inside, totals)[:, 0] > constants.DEPENDENT_PHI
        if follows.all():
            return some
        some = some[follows]
    return block


def is_coherent(
    rows: NDArray[np.float32],
    points: NDArray[np.float64],
    noise: PairNoise,
    block: NDArray[np.int64],
    probability: float,
    halves: Halves | None = None,
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
    if halves is None:
        bits = np.packbits(rows[block] > 0, axis=1)
        one = Candidates(bits, rows.shape[1], points[block]).of(np.zeros(len(block), np.int64))
        halves = one[0].halves
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


def _coherent(known: _Known, owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Dissolve the blocks that are not coherent."""
    holds = []
    for block in known.candidates.of(owner):
        key = block.voxels.tobytes()
        if key not in known.coherent:
            known.coherent[key] = is_coherent(
                known.rows, known.points, known.noise, block.halved, known.by_chance, block.halves
            )
        holds.append(known.coherent[key])
    return _renumbered(np.where(np.array([*holds, False])[owner], owner, -1), 2)


def _renumbered(owner: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Blocks numbered from 0 without gaps, those of fewer than ``least`` voxels dissolved."""
    size = np.bincount(owner + 1, minlength=1)[1:]
    new = np.where(size >= least, np.cumsum(size >= least) - 1, -1)
    return np.append(new, -1)[owner]


def _merged(known: _Known, owner: NDArray[np.int64], tell: bool) -> NDArray[np.int64]:
    """Join blocks that are present in the same volumes, the most alike first.

    Two blocks are one unless more volumes have one without the other than errors of presence
    explain, see :func:`.significance.differs`; or, with ``tell``, unless :func:`told_apart`. After
    each joining the whole is compared anew: where each of several rare parts is nearly like the
    next, the first and the last may be far apart.

    In volumes that share their noise, blocks of noise err in so many volumes that anything is
    explained. There two are one only if their profiles, as those of two halves of one, go together
    beyond chance.
    """
    apart = known.candidates.of(owner)
    blocks, rows, points = len(apart), known.rows, known.points
    if blocks < 2:
        return owner
    owner = owner.copy()
    profiles = np.array([b.profile for b in apart])
    sizes = np.bincount(owner[owner >= 0], minlength=blocks)
    present = np.array([b.present for b in apart])
    # no errors seen does not mean that a block never errs: as others do, but at most once, as one
    # that wavers must not make room for the differences of others
    found = np.array([b.halves.errors for b in apart])
    least = min(1.0, max(1, found.sum()) / blocks)
    errors = np.maximum(found, least)
    differ = (present[:, None] != present[None]).sum(axis=2)
    alive = np.ones(blocks, bool)
    two = np.zeros((blocks, blocks), bool)
    while True:
        # halves that differ in e volumes err in e / 2 each, and a whole block in fewer
        expected = (errors[:, None] + errors[None]) / 2
        one = ~differs(differ, expected, rows.shape[1]) & alive & alive[:, None] & ~two
        if known.dependent:
            together = correlations(profiles.astype(np.float32), profiles)
            one &= together > significant_phi(rows.shape[1], known.by_chance)
        np.fill_diagonal(one, False)
        if not one.any():
            return _renumbered(owner, 1)
        excess = np.where(one, differ - expected, np.inf)
        first, second = np.unravel_index(excess.argmin(), excess.shape)
        if tell and differ[first, second] >= constants.MIN_TELLING:
            pair = [np.flatnonzero(owner == b) for b in (first, second)]
            if told_apart(rows, points, known.noise, *pair):
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
        whole = known.candidates.of(np.where(owner == first, 0, -1))[0]
        errors[first] = max(least, min(errors[both].max(), whole.halves.errors))


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


def _without_seams(known: _Known, owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Dissolve seams: voxels occupied where the blurred edges of two neighbors add up.

    A block is a seam if it lies within reach of two larger ones and only errors of presence tell it
    from "both present" or "either present".
    """
    blocks = known.candidates.of(owner)
    size = np.array([len(b.voxels) for b in blocks])
    low, high = (np.array([b.box[k] for b in blocks]).reshape(-1, 3) for k in (0, 1))
    owner = owner.copy()
    for seam in np.argsort(size):
        # between the boxes around two blocks, along each axis: their voxels are no nearer
        gap = np.maximum(low - high[seam], low[seam] - high).clip(min=0)
        close = np.sqrt((gap**2).sum(axis=1)) <= constants.SEAM_REACH + 1e-6
        near = []
        for b in np.flatnonzero(close & (size > size[seam])).tolist():
            # the mean of two that are in the middle is within reach if both are within twice that
            far = 2 * constants.SEAM_REACH * (1 + 1e-9)
            apart = blocks[b].tree.query(blocks[seam].points, distance_upper_bound=far)[0]
            apart.sort()
            if (apart[(len(apart) - 1) // 2] + apart[len(apart) // 2]) / 2 <= constants.SEAM_REACH:
                near.append(b)
        for a, b in combinations(near, 2):
            own, one, other = (blocks[k].present for k in (seam, a, b))
            differ = np.array([(own != (one & other)).sum(), (own != (one | other)).sum()])
            errors = max(blocks[seam].halves.errors, 1)
            if not differs(differ, np.full(2, errors), len(own)).all():
                owner[owner == seam] = -1
                break
    return owner
