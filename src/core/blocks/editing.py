"""Editing blocks between sketch and expand: merge, split, delete, rename, grow, shrink, paint.
The set that is given is not changed.

Example::

    from pathlib import Path

    from chimerax.siren.core import open_run
    from chimerax.siren.core.blocks.editing import merge, rename
    from chimerax.siren.core.runs.steps import run_edit

    run = open_run(Path("siren/00_sketch"))
    blocks = rename(merge(run.blocks, [1, 4]), 1, "central protuberance")
    run_edit(blocks, run.record, run.folder, Path("siren/01_edited"))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby, product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..common.errors import SirenError
from ..maps.grid import Grid
from .blockset import BlockSet, box_around
from .parameters import ShrinkParameters, SplitParameters

LONGEST_NAME = 60  # characters: what a row of a table and a line of the log can show
ROUNDING = 1 + 1e-9  # of distances: a voxel at the very reach is within it


def merge(blocks: BlockSet, numbers: Sequence[int]) -> BlockSet:
    """Merge blocks into one, with the smallest of their numbers and the first of their names.

    Raises
    ------
    SirenError
        If fewer than two different blocks are named, or one is not there.
    """
    chosen = sorted(set(numbers))
    _check(blocks, chosen)
    if len(chosen) < 2:
        raise SirenError(
            'One block alone cannot be merged: name two or more, as in "siren block '
            'merge #2.1#2.3".'
        )
    first = chosen[0]
    kept = {n: v for n, v in blocks if n not in chosen[1:]}
    kept[first] = np.unique(np.concatenate([blocks.blocks[n] for n in chosen]))
    name = next((blocks.names[n] for n in chosen if n in blocks.names), "")
    return rename(_edited(blocks, kept), first, name)


def delete(blocks: BlockSet, numbers: Sequence[int]) -> BlockSet:
    """Delete blocks; voxels that are in no other block become unassigned.

    Raises
    ------
    SirenError
        If a block is not there.
    """
    _check(blocks, numbers)
    return _reassigned(blocks, {n: v for n, v in blocks if n not in numbers})


def rename(blocks: BlockSet, number: int, name: str) -> BlockSet:
    """Name a block; an empty name removes the name.

    Raises
    ------
    SirenError
        If the block is not there, or the name is longer than a table can show.
    """
    _check(blocks, [number])
    name = clean_name(name)
    names = {n: other for n, other in blocks.names.items() if n != number}
    return replace(blocks, names=dict(sorted({**names, number: name}.items())) if name else names)


def clean_name(name: str) -> str:
    """A name on one line, that every file can hold.

    Raises
    ------
    SirenError
        If it is longer than a table can show.
    """
    name = " ".join(name.split()).encode("utf-8", "replace").decode()
    if len(name) > LONGEST_NAME:
        raise SirenError(f"The name has {len(name)} characters: give at most {LONGEST_NAME}.")
    return name


def split(blocks: BlockSet, number: int, parts: Sequence[NDArray[np.int64]]) -> BlockSet:
    """Split a block: the first part keeps number and name, the others get new numbers.

    Parameters
    ----------
    parts : flat indices of the voxels of each; together they are the block's

    Raises
    ------
    SirenError
        If the block is not there, there is only one part, or one is empty.
    """
    _check(blocks, [number])
    if len(parts) < 2 or not all(len(p) for p in parts):
        raise SirenError(
            f"Block {number} is one piece: give a smaller gap, or a center and radius "
            "of what to split off."
        )
    free = max(blocks.blocks) + 1
    added = {free + k: np.sort(part) for k, part in enumerate(parts[1:])}
    return _edited(blocks, {**blocks.blocks, number: np.sort(parts[0]), **added})


def pieces(
    voxels: NDArray[np.int64], grid: Grid, parameters: SplitParameters | None = None
) -> list[NDArray[np.int64]]:
    """The separate pieces of a block, largest first.

    Voxels no farther apart than ``gap`` are in one piece, and so on from neighbor to neighbor.
    Distances are in voxels along z, y and x.

    Parameters
    ----------
    voxels : (n,) flat indices
    """
    parameters = parameters or SplitParameters()
    label, count = _pieces_within(voxels, grid, parameters.gap)
    size = np.bincount(label, minlength=count)
    large = np.flatnonzero(size >= parameters.min_size)
    if len(large) < 2:
        return [np.sort(voxels)]
    settled = np.isin(label, large)
    if not settled.all():
        zyx = np.stack(np.unravel_index(voxels, grid.shape), axis=1).astype(np.float64)
        _, nearest = cKDTree(zyx[settled]).query(zyx[~settled])
        label[~settled] = label[settled][nearest]
    parts = [np.sort(voxels[label == n]) for n in large]
    return sorted(parts, key=lambda part: (-len(part), int(part[0])))


def _pieces_within(
    voxels: NDArray[np.int64], grid: Grid, gap: float
) -> tuple[NDArray[np.int64], int]:
    """The piece of each voxel, (n,), and the number of pieces.

    Neighbors are looked up in the grid, the nearest first, so that most voxels are joined before
    the many distant ones are looked at.
    """
    reach = int(gap * ROUNDING)
    zyx = np.stack(np.unravel_index(voxels, grid.shape))
    zyx += reach - zyx.min(axis=1, keepdims=True)
    shape = tuple(zyx.max(axis=1) + reach + 1)
    here = np.ravel_multi_index(tuple(zyx), shape)
    place = np.full(int(np.prod(shape)), -1, np.int32)
    place[here] = np.arange(len(voxels))
    label, count = np.arange(len(voxels)), len(voxels)
    for shifts in _half_shell(reach, gap, shape):
        first, second = [], []
        for shift in shifts:
            other = place[here + shift]
            (near,) = np.nonzero(other >= 0)
            first.append(label[near])
            second.append(label[other[near]])
        a, b = np.concatenate(first), np.concatenate(second)
        apart = a != b
        if apart.any():
            edges = (np.ones(apart.sum(), bool), (a[apart], b[apart]))
            count, joined = connected_components(coo_matrix(edges, (count, count)), directed=False)
            label = joined[label]
    return label, count


def _half_shell(reach: int, gap: float, shape: tuple[int, ...]) -> Iterator[list[int]]:
    """Steps to the neighbors within a gap, in an array of this shape, one list for each distance;
    of each step and its opposite, one.
    """
    steps = range(-reach, reach + 1)
    near = sorted(
        (z * z + y * y + x * x, (z * shape[1] + y) * shape[2] + x)
        for z, y, x in product(steps, steps, steps)
        if (z, y, x) > (0, 0, 0) and z * z + y * y + x * x <= (gap * ROUNDING) ** 2
    )
    for _, shell in groupby(near, key=lambda step: step[0]):
        yield [shift for _, shift in shell]


def inside_sphere(
    voxels: NDArray[np.int64], grid: Grid, center: Sequence[float], radius: float
) -> list[NDArray[np.int64]]:
    """The voxels outside a sphere and those inside, for :func:`split`.

    Parameters
    ----------
    voxels : (n,) flat indices
    center : x, y, z in A, in the maps' frame
    radius : in A
    """
    near = ((grid.points(voxels) - np.asarray(center, np.float64)) ** 2).sum(axis=1) <= radius**2
    return [voxels[~near], voxels[near]]


def grow(
    blocks: BlockSet,
    numbers: Sequence[int],
    by: float,
    allowed: Mapping[int, NDArray[np.int64]] | None = None,
) -> BlockSet:
    """Add to blocks the voxels around them.

    A voxel of another block stays there. One that several blocks reach goes to the nearest of
    them; if they are as near, to that with the lowest number.

    Parameters
    ----------
    by : reach, in voxels along z, y and x
    allowed : by number, (n,) flat indices of the voxels that may be added; only those count that
        are connected with the block (by faces, edges or corners). All if not given

    Raises
    ------
    SirenError
        If a block is not there, or no voxel is added.
    """
    _check(blocks, numbers)
    taken = np.zeros(blocks.grid.shape, bool)
    for _, voxels in blocks:
        taken.ravel()[voxels] = True
    nearest = np.full(blocks.grid.shape, np.iinfo(np.int32).max, np.int32)  # squared
    owner = np.full(blocks.grid.shape, -1, np.int32)
    for number in sorted(set(numbers)):
        mask = blocks.mask(number) > 0
        where = box_around(mask, int(by * ROUNDING))
        if where is None:
            continue
        distance = ndimage.distance_transform_edt(~mask[where])
        free = (distance <= by * ROUNDING) & ~taken[where]
        if allowed is not None:
            may = np.zeros(blocks.grid.shape, bool)
            may.ravel()[allowed[number]] = True
            free &= may[where]
            free &= _connected(mask[where], free)
        squared = np.rint(distance**2).astype(np.int32)
        free &= squared < nearest[where]
        nearest[where][free] = squared[free]
        owner[where][free] = number
    added = {n: np.flatnonzero(owner == n) for n in sorted(set(numbers))}
    if not any(map(len, added.values())):
        raise SirenError(
            "No voxel was added: all around is in other blocks, or is not what was asked for. "
            'Grow by more voxels, or "into anything".'
        )
    grown = {n: np.union1d(v, added[n]) if n in added else v for n, v in blocks}
    return _reassigned(blocks, grown)


def _connected(mask: NDArray[np.bool_], free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where ``mask`` or ``free`` is connected with ``mask``."""
    labels, _ = ndimage.label(mask | free, structure=np.ones((3, 3, 3)))
    touched = np.unique(labels[mask])
    return np.isin(labels, touched[touched > 0])


def shrink(
    blocks: BlockSet, numbers: Sequence[int], parameters: ShrinkParameters | None = None
) -> BlockSet:
    """Take the outer layer off blocks; its voxels become unassigned.

    A voxel goes if the outside of its block is within ``by`` of it: all that is not in the block
    once its holes are closed, and all beyond the box.

    Raises
    ------
    SirenError
        If a block is not there, or nothing of it would be left.
    """
    parameters = parameters or ShrinkParameters()
    _check(blocks, numbers)
    after = dict(blocks.blocks)
    for number in set(numbers):
        zyx = np.stack(np.unravel_index(blocks.blocks[number], blocks.grid.shape))
        margin = 1 + int(parameters.gap)  # beyond the box, too
        zyx += margin - zyx.min(axis=1, keepdims=True)
        mask = np.zeros(zyx.max(axis=1) + margin + 1, bool)
        mask[tuple(zyx)] = True
        depth = ndimage.distance_transform_edt(_closed(mask, parameters.gap / 2))[tuple(zyx)]
        kept = depth > parameters.by * ROUNDING
        if not kept.any():
            raise SirenError(
                f"Nothing would be left of block {number}: no voxel of it is more than "
                f"{depth.max():.2g} voxels from its outside. Shrink it by less, or delete it."
            )
        after[number] = blocks.blocks[number][kept]
    return _reassigned(blocks, after)


def _closed(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """A mask with its holes closed by a ball; there must be room for the ball around it."""
    if radius < 1:
        return mask
    near = ndimage.distance_transform_edt(~mask) <= radius * ROUNDING
    return np.asarray(ndimage.distance_transform_edt(near) > radius * ROUNDING)


def paint(
    blocks: BlockSet,
    number: int,
    centers: NDArray[np.float64],
    radius: float,
    erase: bool = False,
) -> BlockSet:
    """Add the voxels inside spheres to a block, but for those of other blocks; or remove them.

    Parameters
    ----------
    centers : (k, 3) x, y, z in A, in the maps' frame
    radius : in A

    Raises
    ------
    SirenError
        If the block is not there, nothing changes, or nothing of the block would be left.
    """
    _check(blocks, [number])
    now, inside = blocks.blocks[number], in_spheres(blocks.grid, centers, radius)
    if erase:
        after = np.setdiff1d(now, inside)
    else:
        others = [v for n, v in blocks if n != number]
        free = np.setdiff1d(inside, np.concatenate([np.empty(0, np.int64), *others]))
        after = np.union1d(now, free)
    if len(after) == len(now):
        raise SirenError(
            f"There is no voxel to {'erase' if erase else 'add'} in the sphere: move it, or use a "
            f"larger radius{'' if erase else ' (voxels of other blocks stay there)'}."
        )
    if not len(after):
        raise SirenError(f"Nothing would be left of block {number}: delete it instead.")
    return _reassigned(blocks, {**blocks.blocks, number: after})


def in_spheres(grid: Grid, centers: NDArray[np.float64], radius: float) -> NDArray[np.int64]:
    """Flat indices, ascending, of the voxels of a grid inside one of several spheres.

    Parameters
    ----------
    centers : (k, 3) x, y, z in A, in the maps' frame
    radius : in A
    """
    size, origin = np.array(grid.voxel_size), np.array(grid.origin)
    inside = np.zeros(grid.shape, bool)
    for center in np.asarray(centers, np.float64).reshape(-1, 3):
        low = np.maximum(np.ceil((center - radius - origin) / size), 0).astype(int)
        high = np.minimum(
            np.floor((center + radius - origin) / size) + 1, np.array(grid.shape[::-1])
        ).astype(int)
        if (low >= high).any():
            continue
        x, y, z = (
            (np.arange(a, b) * s + o - c) ** 2
            for a, b, s, o, c in zip(low, high, size, origin, center, strict=True)
        )
        near = z[:, None, None] + y[:, None] + x <= radius**2 * ROUNDING
        inside[low[2] : high[2], low[1] : high[1], low[0] : high[0]] |= near
    return np.flatnonzero(inside).astype(np.int64)


def with_values_of(blocks: BlockSet, source: BlockSet) -> BlockSet:
    """Edited blocks with what still holds of the set that they came from.

    Stability and strength of blocks whose voxels are unchanged; unassigned is all that was tested
    and is in no block now.
    """
    tested = np.concatenate([source.unassigned, *source.blocks.values()])
    inside = np.concatenate([np.empty(0, np.int64), *blocks.blocks.values()])
    return replace(
        _edited(source, blocks.blocks), unassigned=np.setdiff1d(tested, inside), names=blocks.names
    )


def _edited(blocks: BlockSet, after: dict[int, NDArray[np.int64]]) -> BlockSet:
    """Replace the blocks, keeping what is known of those whose voxels are unchanged."""
    same = {
        n for n, v in after.items() if n in blocks.blocks and np.array_equal(v, blocks.blocks[n])
    }
    return replace(
        blocks,
        blocks=after,
        stability={n: s for n, s in blocks.stability.items() if n in same},
        evidence={n: e for n, e in blocks.evidence.items() if n in same},
        strength={n: s for n, s in blocks.strength.items() if n in same},
        names={n: name for n, name in blocks.names.items() if n in after},
    )


def _reassigned(blocks: BlockSet, after: dict[int, NDArray[np.int64]]) -> BlockSet:
    """Replace the blocks; unassigned are the voxels that left all blocks, and no longer those that
    came into one.
    """
    none = np.empty(0, np.int64)
    before = np.concatenate([none, *blocks.blocks.values()])
    inside = np.concatenate([none, *after.values()])
    outside = np.setdiff1d(np.concatenate([blocks.unassigned, before]), inside)
    return replace(_edited(blocks, after), unassigned=outside)


def _check(blocks: BlockSet, numbers: Sequence[int]) -> None:
    missing = [n for n in numbers if n not in blocks.blocks]
    if missing:
        raise SirenError(
            f"There is no block {missing[0]}: there are "
            f"{', '.join(str(n) for n, _ in blocks) or 'none'}."
        )
