"""The default statistic: voxels whose occupancy over the volumes, their *profile*, is alike form a block.

Significance says that two voxels are related, not how strongly: with hundreds of volumes, a block and another that depends on it
are significantly related. So the strength, the correlation phi of two voxels' occupancies, decides who belongs to whom;
a test decides who takes part.

Sketch: :func:`.similarity.alike_pairs` -> :func:`.communities.modularity_communities` -> :func:`distinct_blocks`.
Expand: :func:`grown_blocks`.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.special import bdtrc, ndtr

from ..common.progress import Progress
from .level_harmonization import Noise, SharedNoise
from .occupancy import Occupancy
from .similarity import fisher_margin

TILE = 4096  # voxels looked at together: 16 MB of occupancy at 1,000 volumes
ROUNDS = 20  # of assigning voxels to profiles; it settles in five or so
REACH = 3.0  # voxels: as far as the blurred edges of two neighbours add up to more than the level
FEWEST_VOLUMES = 5  # with a block, and without: a bad threshold and a blob of noise meet in fewer
FEW = 400  # voxels of a block between which distances are taken
GLANCE = 0.001  # one-sided p above which a voxel correlates with no block at all, and is not looked at again


def block_profiles(rows: NDArray[np.floating], owner: NDArray[np.integer], blocks: int) -> NDArray[np.float64]:
    """(blocks, V) share of each block's voxels that is occupied, from (n, V) rows and (n,) owners (-1: none)."""
    member = owner[None, :] == np.arange(blocks)[:, None]
    return np.asarray(member.astype(np.float32) @ rows / np.maximum(member.sum(axis=1, keepdims=True), 1), np.float64)


def presence(profiles: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(blocks, V) in which volumes a block is there: each profile cut in two by 2-means."""
    cut = (profiles.min(axis=1) + profiles.max(axis=1)) / 2
    for _ in range(ROUNDS):
        there = profiles > cut[:, None]
        high = (profiles * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        low = (profiles * ~there).sum(axis=1) / np.maximum((~there).sum(axis=1), 1)
        before, cut = cut, (high + low) / 2
        if np.array_equal(before, cut):
            break
    return profiles > cut[:, None]


def correlations(rows: NDArray[np.float32], profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, blocks) Pearson correlation of each (n, V) row with each profile; 0 where either is constant."""
    centred = profiles - profiles.mean(axis=1, keepdims=True)
    length = np.sqrt(np.outer(rows.var(axis=1, dtype=np.float64) * rows.shape[1], (centred**2).sum(axis=1)))
    product = (rows @ centred.T.astype(np.float32)).astype(np.float64)
    return np.divide(product, length, out=np.zeros_like(product), where=length > 1e-6)


def significant_phi(volumes: int, probability: float) -> float:
    """The correlation over V volumes that chance exceeds with this probability: Fisher's z has SD 1 / sqrt(V - 3)."""
    return float(np.tanh(fisher_margin(volumes, probability)))


def members(rows: NDArray[np.float32], profiles: NDArray[np.float64], rate: float, tested: int) -> NDArray[np.int64]:
    """Which block each voxel belongs to: (n,), -1 for none.

    It is the one whose profile the voxel's occupancy correlates with best, where that correlation is significant, and the
    voxel is occupied in most of the volumes with the block and empty in most without. Noise that is as often up as down
    leaves the majority alone, however strong it is.

    Parameters
    ----------
    rows : (n, V) occupancy
    profiles : (blocks, V)
    rate : share of the members that may be there by chance (false discovery rate)
    tested : of how many voxels these are the ones worth a look; the others correlate less
    """
    if not len(profiles) or not len(rows):
        return np.full(len(rows), -1, np.int64)
    phi = correlations(rows, profiles)
    best = phi.argmax(axis=1)
    there = presence(profiles)
    with_block, without = (rows @ t.T.astype(np.float32) / np.maximum(t.sum(axis=1), 1) for t in (there, ~there))
    each = np.arange(len(rows))
    belongs = discoveries(phi[each, best], rows.shape[1], rate / len(profiles), tested)
    belongs &= (with_block[each, best] > 0.5) & (without[each, best] < 0.5)
    return np.where(belongs, best, -1)


def discoveries(phi: NDArray[np.float64], volumes: int, rate: float, tested: int) -> NDArray[np.bool_]:
    """Which of the largest (n,) of ``tested`` correlations over V volumes are significant, by their false discovery rate.

    Benjamini & Hochberg 1995, doi 10.1111/j.2517-6161.1995.tb02031.x; the p of a correlation as in :func:`significant_phi`.
    """
    p = ndtr(-np.arctanh(np.clip(phi, -0.999999, 0.999999)) * np.sqrt(max(volumes - 3, 1)))
    order = np.argsort(p, kind="stable")
    passing = np.flatnonzero(p[order] <= rate * np.arange(1, len(p) + 1) / max(1, tested))
    return np.asarray(p <= p[order[passing[-1]]]) if len(passing) else np.zeros(len(p), bool)


def distinct_blocks(occupancy: Occupancy, sample: NDArray[np.int64], noise: Noise, communities: list[NDArray[np.int64]],
                    least: int, probability: float, progress: Progress) -> NDArray[np.int64]:
    """From communities to blocks: those that no volume tells apart are one, each voxel goes where it belongs, and a
    block that chance and the noise may have made is none.

    Parameters
    ----------
    sample : (n,) flat indices
    communities : positions in ``sample``
    least : smallest block
    probability : of any false merger or block, before correction; the false discovery rate of members

    Returns
    -------
    (n,) block of each voxel from 0, -1 for none.
    """
    rows, points = occupancy.rows(sample), occupancy.grid.points(sample) / max(occupancy.grid.voxel_size)
    shared = SharedNoise.of(noise, sample, occupancy.grid)
    count = len(sample)
    owner = np.full(count, -1, np.int64)
    for number, community in enumerate(c for c in communities if len(c) >= least):
        owner[community] = number
    by_chance = probability / max(1, count * (count - 1) / 2)
    for turn in range(ROUNDS):
        progress.step("telling blocks apart", turn / ROUNDS)
        before = owner
        owner = _coherent(rows, points, shared, _renumbered(owner, least), by_chance)
        owner = _merged(rows, points, owner, probability)
        profiles = block_profiles(rows, owner, int(owner.max(initial=-1)) + 1)
        owner = _renumbered(members(rows, profiles, probability, count), least)
        owner = _coherent(rows, points, shared, owner, by_chance)
        owner = _without_seams(rows, points, owner, probability)
        owner = _renumbered(owner, least)
        if np.array_equal(owner, before):
            break
    return owner


def halves(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) 0 or 1: the halves of a set of points, cut in the middle across its longest direction."""
    centred = points - points.mean(axis=0)
    along = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    return np.asarray(np.argsort(np.argsort(along, kind="stable"), kind="stable") >= len(points) // 2, np.int64)


def is_coherent(rows: NDArray[np.float32], points: NDArray[np.float64], noise: SharedNoise, block: NDArray[np.int64],
                probability: float) -> bool:
    """Whether the halves of a block go together more than chance and the noise they share can make them.

    Noise is correlated: by chance, two distant patches of it may be alike, and then all pairs of their voxels are. That is one
    coincidence and not many. So the profiles of the halves are compared, once, with as strict a test as one pair of voxels.

    Parameters
    ----------
    rows, points, noise : (n, V) occupancy, (n, 3) positions and the noise of the sampled voxels
    block : positions among them, 2 or more
    probability : of one pair, after correction for the number of pairs among which the block was found
    """
    volumes = rows.shape[1]
    half = halves(points[block])
    profile = block_profiles(rows[block], half, 2)
    with_block = int(presence(profile.mean(axis=0, keepdims=True)).sum())
    if min(with_block, volumes - with_block) < FEWEST_VOLUMES:
        return False
    together = float(correlations(profile[:1].astype(np.float32), profile[1:])[0, 0])
    some = np.linspace(0, len(block) - 1, min(len(block), FEW)).astype(np.int64)  # their distances stand for all
    shared = noise.phi(block[some, None], block[some]).astype(np.float64)
    first, second = half[some] == 0, half[some] == 1
    expected = shared[first][:, second].mean() / np.sqrt(shared[first][:, first].mean() * shared[second][:, second].mean())
    margin = fisher_margin(volumes, probability)
    return bool(np.arctanh(min(together, 0.9999)) - np.arctanh(min(expected, 0.9999)) > margin)


def _coherent(rows: NDArray[np.float32], points: NDArray[np.float64], noise: SharedNoise, owner: NDArray[np.int64],
              probability: float) -> NDArray[np.int64]:
    """The same without the blocks that are not coherent: one whose presence is a coin toss looks like any other."""
    blocks = int(owner.max(initial=-1)) + 1
    holds = [is_coherent(rows, points, noise, np.flatnonzero(owner == b), probability) for b in range(blocks)]
    return _renumbered(np.where(np.array([*holds, False])[owner], owner, -1), 2)


def _renumbered(owner: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Blocks numbered from 0 without gaps, those of fewer than ``least`` voxels dissolved."""
    size = np.bincount(owner + 1, minlength=1)[1:]
    new = np.where(size >= least, np.cumsum(size >= least) - 1, -1)
    return np.append(new, -1)[owner]


def _merged(rows: NDArray[np.float32], points: NDArray[np.float64], owner: NDArray[np.int64],
            probability: float) -> NDArray[np.int64]:
    """Join blocks that are there in the same volumes.

    Two blocks are one unless the volumes that have one without the other are more than presence errs.
    """
    blocks = int(owner.max(initial=-1)) + 1
    if blocks < 2:
        return owner
    there = presence(block_profiles(rows, owner, blocks))
    errors = _errors(rows, points, owner, blocks)
    errors = np.maximum(errors, max(1, errors.sum()) / blocks)  # a block without errors may err as often as all of them do
    differ = (there[:, None] != there[None]).sum(axis=2)
    # halves of a block that differ in e volumes err in e / 2 each, and the whole in fewer: two that are one differ in no more than
    expected = (errors[:, None] + errors[None]) / 2
    one = _within_errors(differ, expected, rows.shape[1],
                         probability / (blocks * (blocks - 1) / 2))
    np.fill_diagonal(one, True)
    joined = connected_components(csr_array(one), directed=False)[1]
    return np.where(owner < 0, -1, joined[owner])


def _without_seams(rows: NDArray[np.float32], points: NDArray[np.float64], owner: NDArray[np.int64],
                   probability: float) -> NDArray[np.int64]:
    """Dissolve seams: where the blurred edges of two neighbours add up, voxels are occupied when both are there.

    A block is a seam when it lies within reach of two larger ones and nothing but presence's errors tells it from "both there" or
    "either there".
    """
    blocks = int(owner.max(initial=-1)) + 1
    size = np.bincount(owner[owner >= 0], minlength=blocks)
    there = presence(block_profiles(rows, owner, blocks))
    errors = _errors(rows, points, owner, blocks)
    trees = [cKDTree(points[owner == b]) for b in range(blocks)]
    tests = max(1, blocks * (blocks - 1) * (blocks - 2))
    owner = owner.copy()
    for seam in np.argsort(size):
        near = [b for b in range(blocks) if size[b] > size[seam]
                and np.median(trees[b].query(points[owner == seam])[0]) <= REACH]
        for a, b in combinations(near, 2):
            differ = np.array([(there[seam] != (there[a] & there[b])).sum(), (there[seam] != (there[a] | there[b])).sum()])
            if _within_errors(differ, np.full(2, max(errors[seam], 1)), rows.shape[1], probability / tests).any():
                owner[owner == seam] = -1
                break
    return owner


def _errors(rows: NDArray[np.float32], points: NDArray[np.float64], owner: NDArray[np.int64], blocks: int) -> NDArray[np.int64]:
    """How often presence errs, by block: the number of volumes where one half of it is there and the other is not."""
    result = np.zeros(blocks, np.int64)
    for b in range(blocks):
        voxels = np.flatnonzero(owner == b)
        one, other = presence(block_profiles(rows[voxels], halves(points[voxels]), 2))
        result[b] = (one != other).sum()
    return result


def _within_errors(differ: NDArray[np.integer], errors: NDArray[np.floating] | NDArray[np.integer], volumes: int,
                   probability: float) -> NDArray[np.bool_]:
    """Whether so many differing volumes may be errors (binomial tail), of which ``errors`` are expected."""
    rate = np.minimum(errors / volumes, 0.5)
    return np.asarray(bdtrc(differ - 1.0, volumes, rate) > probability)


def grown_blocks(occupancy: Occupancy, voxels: NDArray[np.int64], seeds: list[NDArray[np.int64]], probability: float,
                 progress: Progress) -> NDArray[np.int64]:
    """The block that each voxel belongs to, starting from the profiles of seeds, repeated until it settles.

    Parameters
    ----------
    voxels : (n,) flat indices, ascending, of the voxels to assign
    seeds : of each block, voxels that count for its profile in every round; they may overlap
    probability : share of the members that may be there by chance, see :func:`members`

    Returns
    -------
    (n,) position in ``seeds``, -1 for none.
    """
    volumes = len(occupancy)
    fixed = [occupancy.rows(s) for s in seeds]
    profiles = np.array([r.mean(axis=0) if len(r) else np.zeros(volumes) for r in fixed], np.float64)
    glance = significant_phi(volumes, GLANCE)
    near = []
    for start in range(0, len(voxels), TILE):
        progress.step("expanding blocks", 0.7 * start / len(voxels))
        phi = correlations(occupancy.rows(voxels[start:start + TILE]), profiles)
        near.append(start + np.flatnonzero(phi.max(axis=1) > glance))
    candidates = np.concatenate(near)
    rows = occupancy.rows(voxels[candidates])
    in_seed = [np.isin(voxels[candidates], s) for s in seeds]
    owner = np.full(len(candidates), -1, np.int64)
    for turn in range(ROUNDS):
        progress.step("expanding blocks", 0.7 + 0.3 * turn / ROUNDS)
        before, owner = owner, members(rows, profiles, probability, len(voxels))
        if np.array_equal(before, owner):
            break
        profiles = np.array([np.concatenate([f, rows[(owner == b) & ~s]]).mean(axis=0, dtype=np.float64)
                             if len(f) else np.zeros(volumes) for b, (f, s) in enumerate(zip(fixed, in_seed, strict=True))])
    result = np.full(len(voxels), -1, np.int64)
    result[candidates] = owner
    return result
