"""Editing blocks between sketch and expand: merge, split, delete, rename. Sets are not changed.

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

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ..common.errors import SirenError
from ..maps.grid import Grid
from .blockset import BlockSet
from .parameters import SplitParameters

LONGEST_NAME = 60  # characters: what a row of a table and a line of the log can show


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
    kept = {n: v for n, v in blocks if n not in numbers}
    gone = np.concatenate([np.empty(0, np.int64), *(blocks.blocks[n] for n in numbers)])
    left = np.concatenate([np.empty(0, np.int64), *kept.values()])
    return replace(
        _edited(blocks, kept), unassigned=np.union1d(blocks.unassigned, np.setdiff1d(gone, left))
    )


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
    """A name on one line.

    Raises
    ------
    SirenError
        If it is longer than a table can show.
    """
    name = " ".join(name.split())
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
    zyx = np.stack(np.unravel_index(voxels, grid.shape), axis=1).astype(np.float64)
    pairs = cKDTree(zyx).query_pairs(parameters.gap * (1 + 1e-9), output_type="ndarray")
    graph = coo_matrix(
        (np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(voxels), len(voxels))
    )
    count, label = connected_components(graph, directed=False)
    size = np.bincount(label, minlength=count)
    large = np.flatnonzero(size >= parameters.min_size)
    if len(large) < 2:
        return [np.sort(voxels)]
    settled = np.isin(label, large)
    if not settled.all():
        _, nearest = cKDTree(zyx[settled]).query(zyx[~settled])
        label[~settled] = label[settled][nearest]
    parts = [np.sort(voxels[label == n]) for n in large]
    return sorted(parts, key=lambda part: (-len(part), int(part[0])))


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
        strength={n: s for n, s in blocks.strength.items() if n in same},
        names={n: name for n, name in blocks.names.items() if n in after},
    )


def _check(blocks: BlockSet, numbers: Sequence[int]) -> None:
    missing = [n for n in numbers if n not in blocks.blocks]
    if missing:
        raise SirenError(
            f"There is no block {missing[0]}: there are "
            f"{', '.join(str(n) for n, _ in blocks) or 'none'}."
        )
