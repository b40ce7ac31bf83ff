"""Block profiles over the volumes, and the voxels that follow them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from .blockset import BlockSet
from .occupancy import Occupancy
from .presence import presence_cuts
from .significance import discoveries, hypergeometric_tail, significant_phi


def block_profiles(
    rows: NDArray[np.floating], owner: NDArray[np.integer], blocks: int
) -> NDArray[np.float64]:
    """Share of each block's voxels that is occupied in each volume: (blocks, V).

    Parameters
    ----------
    rows : (n, V) occupancy
    owner : (n,) block of each voxel, -1 for none
    """
    member = owner[None, :] == np.arange(blocks)[:, None]
    return np.asarray(
        member.astype(np.float32) @ rows / np.maximum(member.sum(axis=1, keepdims=True), 1),
        np.float64,
    )


def block_shares(
    blocks: BlockSet, occupancy: Occupancy, progress: Progress | None = None
) -> NDArray[np.float32]:
    """Share of each block's voxels that is occupied in each volume: (B, V) float32."""
    progress = progress or Progress()
    shares = np.empty((len(blocks), len(occupancy)), np.float32)
    step = constants.TILE_VOXELS
    each = progress.each(blocks, "measuring blocks", len(blocks))
    for row, (_, voxels) in zip(shares, each, strict=True):
        tiles = [voxels[start : start + step] for start in range(0, len(voxels), step)]
        counts = [occupancy.rows(t).sum(axis=0, dtype=np.float64) for t in tiles]
        row[:] = np.sum(counts, axis=0) / len(voxels)
    return shares


def correlations(rows: NDArray[np.float32], profiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, blocks) Pearson correlation of (n, V) rows with profiles; 0 if either is constant."""
    centered = profiles - profiles.mean(axis=1, keepdims=True)
    length = np.sqrt(
        np.outer(rows.var(axis=1, dtype=np.float64) * rows.shape[1], (centered**2).sum(axis=1))
    )
    product = (rows @ centered.T.astype(np.float32)).astype(np.float64)
    return np.divide(product, length, out=np.zeros_like(product), where=length > 1e-6)


def rest_correlations(
    rows: NDArray[np.float32], totals: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(n, blocks) Pearson correlation of (n, V) rows with blocks that they are left out of.

    A voxel that counts in its block's profile correlates with itself. Here it is subtracted.

    Parameters
    ----------
    totals : (blocks, V) occupied voxels of each block, that of the row among them

    Returns
    -------
    0 if the row or the rest is constant.
    """
    centered = totals - totals.mean(axis=1, keepdims=True)
    mean = rows.mean(axis=1, dtype=np.float64)
    own = (mean * (1 - mean) * rows.shape[1])[:, None]
    # sum over the volumes of row * total, both centered
    common = (rows @ centered.T.astype(np.float32)).astype(np.float64)
    rest = (centered**2).sum(axis=1) - 2 * common + own
    length = np.sqrt(np.maximum(own * rest, 0))
    return np.divide(common - own, length, out=np.zeros_like(common), where=length > 1e-6)


def members(
    rows: NDArray[np.float32],
    profiles: NDArray[np.float64],
    rate: float,
    tested: int,
    sizes: NDArray[np.integer] | None = None,
    inside: NDArray[np.bool_] | None = None,
    rims: bool = False,
) -> NDArray[np.int64]:
    """Assign each voxel to the block it belongs to: (n,), -1 for none.

    That is the block whose profile it correlates with best, provided that the two are significantly
    often there together, and that the voxel is occupied in most volumes with the block and empty in
    most without. Symmetric noise, however strong, does not change a majority. A voxel that counts
    in a profile is compared with the rest of that block.

    Parameters
    ----------
    rows : (n, V) occupancy
    profiles : (blocks, V)
    rate : false discovery rate of the members
    tested : number of voxels tested in all; those not in ``rows`` correlate less
    sizes : (blocks,) voxels of each profile; with ``inside``
    inside : (n, blocks) whether the voxel is one of them; none are if not given
    rims : a correlation above MEMBER_PHI will do in place of the majorities, which the rim of a
        part of graded occupancy does not have; only for volumes that share their noise: noise of
        their own lowers the correlation of some voxels more than that of others
    """
    if not len(profiles) or not len(rows):
        return np.full(len(rows), -1, np.int64)
    phi = correlations(rows, profiles)
    sizes = np.ones(len(profiles), np.int64) if sizes is None else sizes
    inside = np.zeros(phi.shape, bool) if inside is None else inside
    cuts = presence_cuts(profiles)
    present = profiles > cuts[:, None]
    if inside.any():
        totals = profiles * sizes[:, None]
        phi = np.where(inside, rest_correlations(rows, totals), phi)
    best = phi.argmax(axis=1)
    each = np.arange(len(rows))
    # volumes with the block, and those of them in which the voxel is occupied
    having, both = present.sum(axis=1)[best], (rows @ present.T.astype(np.float32))[each, best]
    left_out = inside[each, best]
    if left_out.any():
        least = (cuts * (sizes - 1))[:, None] + 1e-9 * sizes[:, None]
        if_there, if_not = totals - 1 > least, totals > least
        together = (rows @ if_there.T.astype(np.float32))[each, best]
        apart = ((1 - rows) @ if_not.T.astype(np.float32))[each, best]
        both = np.where(left_out, together, both)
        having = np.where(left_out, together + apart, having)
    occupied, volumes = rows.sum(axis=1, dtype=np.float64), rows.shape[1]
    chance = hypergeometric_tail(both, occupied, having, volumes)
    belongs = discoveries(chance, rate / len(profiles), tested)
    majority = (both > 0.5 * having) & (occupied - both < 0.5 * (volumes - having))
    belongs &= majority | rims & (phi[each, best] > constants.MEMBER_PHI)
    return np.where(belongs, best, -1)


def grown_blocks(
    occupancy: Occupancy,
    voxels: NDArray[np.int64],
    seeds: list[NDArray[np.int64]],
    probability: float,
    progress: Progress,
    rims: bool = False,
) -> NDArray[np.int64]:
    """Assign voxels to blocks, starting from the profiles of seeds, until nothing changes.

    Parameters
    ----------
    voxels : (n,) flat indices, ascending, of the voxels to assign
    seeds : for each block, voxels that count toward its profile in every round; may overlap
    probability, rims : see :func:`members`

    Returns
    -------
    (n,) position in ``seeds``, -1 for none.
    """
    volumes = len(occupancy)
    fixed = [occupancy.rows(s) for s in seeds]
    profiles = np.array(
        [r.mean(axis=0) if len(r) else np.zeros(volumes) for r in fixed], np.float64
    )
    glance = significant_phi(volumes, constants.PRESCREEN_P)
    near = []
    for start in range(0, len(voxels), constants.TILE_VOXELS):
        progress.step("expanding blocks", 0.7 * start / len(voxels))
        phi = correlations(occupancy.rows(voxels[start : start + constants.TILE_VOXELS]), profiles)
        near.append(start + np.flatnonzero(phi.max(axis=1) > glance))
    candidates = np.concatenate(near)
    rows = occupancy.rows(voxels[candidates])
    in_seed = np.stack([np.isin(voxels[candidates], s) for s in seeds], axis=1)
    owner = np.full(len(candidates), -1, np.int64)
    inside, sizes = in_seed, np.array([len(f) for f in fixed])
    for turn in range(constants.PROFILE_ROUNDS):
        progress.step("expanding blocks", 0.7 + 0.3 * turn / constants.PROFILE_ROUNDS)
        before = owner
        owner = members(rows, profiles, probability, len(voxels), sizes, inside, rims)
        if np.array_equal(before, owner):
            break
        inside = in_seed | ((owner[:, None] == np.arange(len(seeds))) & (sizes > 0))
        joined = [rows[inside[:, b] & ~in_seed[:, b]] for b in range(len(seeds))]
        sizes = np.array([len(f) + len(j) for f, j in zip(fixed, joined, strict=True)])
        profiles = np.array(
            [
                np.concatenate([f, j]).mean(axis=0, dtype=np.float64)
                if len(f)
                else np.zeros(volumes)
                for f, j in zip(fixed, joined, strict=True)
            ]
        )
    result = np.full(len(voxels), -1, np.int64)
    result[candidates] = owner
    return result
