"""Block profiles over the volumes, and the voxels that follow them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..compute.pair_tiles import unpack_occupancy
from .blockset import BlockSet
from .occupancy import Occupancy, counts_of_rows
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
    each = progress.each(blocks, "measuring blocks", len(blocks))
    for row, (_, voxels) in zip(shares, each, strict=True):
        row[:] = occupancy.counts(voxels) / len(voxels)
    return shares


def correlations(
    rows: NDArray[np.float32],
    profiles: NDArray[np.float64],
    variance: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """(n, blocks) Pearson correlation of (n, V) rows with profiles; 0 if either is constant.

    ``variance``: of the rows, see :func:`row_variance`, if it is known.
    """
    centered = profiles - profiles.mean(axis=1, keepdims=True)
    variance = row_variance(rows) if variance is None else variance
    length = np.sqrt(np.outer(variance * rows.shape[1], (centered**2).sum(axis=1)))
    product = (rows @ centered.T.astype(np.float32)).astype(np.float64)
    return np.divide(product, length, out=np.zeros_like(product), where=length > 1e-6)


def row_variance(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) variance of each row over the volumes."""
    return np.asarray(rows.var(axis=1, dtype=np.float64))


def occupied_volumes(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) number of volumes in which each row of zeros and ones is one."""
    return np.asarray(rows.sum(axis=1).astype(np.float64))  # sums below 2**24 are exact


def occupied_variance(occupied: NDArray[np.float64], volumes: int) -> NDArray[np.float64]:
    """:func:`row_variance` of rows of zeros and ones, in a fraction of the time; ``occupied``: see
    :func:`occupied_volumes`.
    """
    share = occupied / volumes
    return np.asarray(share * (1 - share))


def rest_correlations(
    rows: NDArray[np.float32],
    totals: NDArray[np.float64],
    occupied: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """(n, blocks) Pearson correlation of (n, V) rows with blocks that they are left out of.

    A voxel that counts in its block's profile correlates with itself. Here it is subtracted.

    Parameters
    ----------
    totals : (blocks, V) occupied voxels of each block, that of the row among them
    occupied : (n,) see :func:`occupied_volumes`, if it is known

    Returns
    -------
    0 if the row or the rest is constant.
    """
    centered = totals - totals.mean(axis=1, keepdims=True)
    mean = (occupied_volumes(rows) if occupied is None else occupied) / rows.shape[1]
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
    dependent: bool = False,
    occupied: NDArray[np.float64] | None = None,
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
    dependent : the volumes share their noise, see :func:`.background.vary_together`: in place of
        the majorities, the correlation must be above DEPENDENT_PHI. A majority is then no evidence,
        as nearly all voxels are discoveries; and the rim of a part of graded occupancy has none.
        Noise of their own would lower the correlation of some voxels more than that of others
    occupied : (n,) see :func:`occupied_volumes`, if it is known
    """
    if not len(profiles) or not len(rows):
        return np.full(len(rows), -1, np.int64)
    tiles = (rows[part] for part in row_tiles(*rows.shape))
    occupied = occupied_volumes(rows) if occupied is None else occupied
    return _members(tiles, occupied, profiles, rate, tested, sizes, inside, dependent)


def _members(
    tiles: Iterable[NDArray[np.float32]],
    occupied_in: NDArray[np.float64],
    profiles: NDArray[np.float64],
    rate: float,
    tested: int,
    sizes: NDArray[np.integer] | None = None,
    inside: NDArray[np.bool_] | None = None,
    dependent: bool = False,
) -> NDArray[np.int64]:
    """:func:`members` of rows that come some at a time; ``occupied_in`` is that of all rows."""
    sizes = np.ones(len(profiles), np.int64) if sizes is None else sizes
    volumes, cuts = profiles.shape[1], presence_cuts(profiles)
    present, totals = profiles > cuts[:, None], profiles * sizes[:, None]
    least = (cuts * (sizes - 1))[:, None] + 1e-9 * sizes[:, None]
    if_there, if_not = totals - 1 > least, totals > least
    found, start = [], 0
    rate /= len(profiles)
    enough = rate * max(1, len(occupied_in) / max(1, tested))  # none above is a discovery
    for rows in tiles:
        occupied = occupied_in[start : start + len(rows)]
        phi = correlations(rows, profiles, occupied_variance(occupied, volumes))
        each = np.arange(len(rows))
        own = np.zeros(phi.shape, bool) if inside is None else inside[start : start + len(rows)]
        start += len(rows)
        if own.any():
            phi = np.where(own, rest_correlations(rows, totals, occupied), phi)
        best = phi.argmax(axis=1)
        # volumes with the block, and those of them in which the voxel is occupied
        having = present.sum(axis=1)[best]
        left_out = own[each, best]
        if left_out.any():
            # whole numbers, the same in one product as in three
            counted = rows @ np.concatenate([present, if_there, if_not]).T.astype(np.float32)
            both, together, without = (counted[each, best + k * len(profiles)] for k in range(3))
            apart = if_not.sum(axis=1)[best] - without
            both = np.where(left_out, together, both)
            having = np.where(left_out, together + apart, having)
        else:
            both = (rows @ present.T.astype(np.float32))[each, best]
        chance = hypergeometric_tail(both, occupied, having, volumes, enough)
        majority = (both > 0.5 * having) & (occupied - both < 0.5 * (volumes - having))
        found.append(
            (best, chance, phi[each, best] > constants.DEPENDENT_PHI if dependent else majority)
        )
    best, chance, fits = (np.concatenate(part) for part in zip(*found, strict=True))
    return np.where(discoveries(chance, rate, tested) & fits, best, -1)


def row_tiles(rows: int, volumes: int) -> list[slice]:
    """Slices of so many rows of ``volumes`` floats that they and their temporaries stay small."""
    height = max(64, min(constants.TILE_VOXELS, constants.TILE_VALUES // max(1, volumes)))
    return [slice(start, min(start + height, rows)) for start in range(0, rows, height)]


def grown_blocks(
    occupancy: Occupancy,
    voxels: NDArray[np.int64],
    seeds: list[NDArray[np.int64]],
    probability: float,
    progress: Progress,
    dependent: bool = False,
) -> NDArray[np.int64]:
    """Assign voxels to blocks, starting from the profiles of seeds, until nothing changes.

    Parameters
    ----------
    voxels : (n,) flat indices, ascending, of the voxels to assign
    seeds : for each block, voxels that count toward its profile in every round; may overlap
    probability, dependent : see :func:`members`

    Returns
    -------
    (n,) position in ``seeds``, -1 for none.
    """
    volumes = len(occupancy)
    sizes = np.array([len(s) for s in seeds])
    fixed = np.array([occupancy.counts(s) for s in seeds])
    # in float32, as the mean of rows
    profiles = fixed.astype(np.float32) / np.maximum(sizes, 1)[:, None].astype(np.float32)
    profiles = profiles.astype(np.float64)
    glance = significant_phi(volumes, constants.PRESCREEN_P)
    near, bits, occupied = [], [], []
    for part in row_tiles(len(voxels), volumes):
        progress.step("expanding blocks", 0.7 * part.start / len(voxels))
        rows = occupancy.rows(voxels[part])
        own = occupied_volumes(rows)
        variance = occupied_variance(own, volumes)
        close = correlations(rows, profiles, variance).max(axis=1) > glance
        occupied.append(own[close])
        near.append(part.start + np.flatnonzero(close))
        bits.append(np.packbits(rows[close].astype(bool), axis=1))
    candidates, packed = np.concatenate(near), np.concatenate(bits)
    occupied_in = np.concatenate(occupied)
    tiles = row_tiles(len(candidates), volumes)
    in_seed = np.zeros((len(candidates), len(seeds)), bool)
    for own, seed in zip(in_seed.T, seeds, strict=True):
        own[:] = held(np.sort(seed), voxels[candidates])
    owner = np.full(len(candidates), -1, np.int64)
    inside, seeded = in_seed, sizes
    for turn in range(constants.PROFILE_ROUNDS):
        progress.step("expanding blocks", 0.7 + 0.3 * turn / constants.PROFILE_ROUNDS)
        before = owner
        unpacked = (unpack_occupancy(packed[part], volumes) for part in tiles)
        if len(candidates):
            owner = _members(
                unpacked, occupied_in, profiles, probability, len(voxels), sizes, inside, dependent
            )
        if np.array_equal(before, owner):
            break
        inside = in_seed | ((owner[:, None] == np.arange(len(seeds))) & (seeded > 0))
        joined = (inside & ~in_seed).T
        counts = fixed + np.array([counts_of_rows(packed[j], volumes) for j in joined])
        sizes = np.where(seeded > 0, seeded + joined.sum(axis=1), joined.sum(axis=1))
        profiles = np.where((seeded > 0)[:, None], counts / np.maximum(sizes, 1)[:, None], 0.0)
    result = np.full(len(voxels), -1, np.int64)
    result[candidates] = owner
    return result


def held(ordered: NDArray[np.int64], voxels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) which of the voxels are among others, in ascending order."""
    if not len(ordered):
        return np.zeros(len(voxels), bool)
    return np.asarray(
        ordered.take(np.searchsorted(ordered, voxels), mode="clip") == voxels, np.bool_
    )
