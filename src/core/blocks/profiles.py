"""Block profiles over the volumes, and the voxels that follow them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from .blockset import BlockSet
from .occupancy import Occupancy
from .presence import presence
from .significance import discoveries, significant_phi


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


def members(
    rows: NDArray[np.float32], profiles: NDArray[np.float64], rate: float, tested: int
) -> NDArray[np.int64]:
    """Assign each voxel to the block it belongs to: (n,), -1 for none.

    That is the block whose profile it correlates with best, provided that the correlation is
    significant and that the voxel is occupied in most volumes with the block and empty in most
    without. Symmetric noise, however strong, does not change a majority.

    Parameters
    ----------
    rows : (n, V) occupancy
    profiles : (blocks, V)
    rate : false discovery rate of the members
    tested : number of voxels tested in all; those not in ``rows`` correlate less
    """
    if not len(profiles) or not len(rows):
        return np.full(len(rows), -1, np.int64)
    phi = correlations(rows, profiles)
    best = phi.argmax(axis=1)
    present = presence(profiles)
    with_block, without = (
        rows @ t.T.astype(np.float32) / np.maximum(t.sum(axis=1), 1) for t in (present, ~present)
    )
    each = np.arange(len(rows))
    belongs = discoveries(phi[each, best], rows.shape[1], rate / len(profiles), tested)
    belongs &= (with_block[each, best] > 0.5) & (without[each, best] < 0.5)
    return np.where(belongs, best, -1)


def grown_blocks(
    occupancy: Occupancy,
    voxels: NDArray[np.int64],
    seeds: list[NDArray[np.int64]],
    probability: float,
    progress: Progress,
) -> NDArray[np.int64]:
    """Assign voxels to blocks, starting from the profiles of seeds, until nothing changes.

    Parameters
    ----------
    voxels : (n,) flat indices, ascending, of the voxels to assign
    seeds : for each block, voxels that count toward its profile in every round; may overlap
    probability : false discovery rate, see :func:`members`

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
    in_seed = [np.isin(voxels[candidates], s) for s in seeds]
    owner = np.full(len(candidates), -1, np.int64)
    for turn in range(constants.PROFILE_ROUNDS):
        progress.step("expanding blocks", 0.7 + 0.3 * turn / constants.PROFILE_ROUNDS)
        before, owner = owner, members(rows, profiles, probability, len(voxels))
        if np.array_equal(before, owner):
            break
        profiles = np.array(
            [
                np.concatenate([f, rows[(owner == b) & ~s]]).mean(axis=0, dtype=np.float64)
                if len(f)
                else np.zeros(volumes)
                for b, (f, s) in enumerate(zip(fixed, in_seed, strict=True))
            ]
        )
    result = np.full(len(voxels), -1, np.int64)
    result[candidates] = owner
    return result
