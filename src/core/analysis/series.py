"""Volumes in an order in which one part after the other comes: for a movie, or to page through.

Example::

    from pathlib import Path

    from chimerax.siren.core.analysis.series import series_of
    from chimerax.siren.core.runs.steps import run_states

    states = run_states(Path("siren/02_expand"))
    steps = series_of(states, block=3, count=10)  # from volumes without block 3 to those with it
    [states.names[v] for v in steps]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError
from .block_occupancy import States
from .selection import Selection
from .subsets import spread_volumes, voxels_of


def series_of(
    states: States,
    block: int | None = None,
    path: tuple[int, ...] = (),
    selection: Selection | None = None,
    count: int = 20,
) -> NDArray[np.intp]:
    """Volumes in order: by the number of their blocks, by how much of one block they have, or along
    a path of states.

    The order is cut into ``count`` equal parts, and of each the volume is taken that is most like
    the one before it, by the occupied voxels of all other blocks; of the first part, the most
    typical one. So parts that do not matter for the order change as little as can be.

    Parameters
    ----------
    block : its number, to order by its share; default: by the number of blocks present
    path : numbers of blocks in the order in which they come: first a volume without all of these,
        then one with the first of them alone, and so on; one volume a step
    selection : only volumes that have some blocks and lack others
    count : volumes; fewer if there are not as many

    Returns
    -------
    positions of the volumes

    Raises
    ------
    SirenError
        If a block is not there, no volume is in a state of the path, or both ``block`` and ``path``
        are given.
    """
    if block is not None and path:
        raise SirenError('A series is ordered by "block" or along "path": give one of them.')
    if len(set(path)) < len(path):
        raise SirenError("A block comes once in a path: name each of its blocks once.")
    selection = selection or Selection()
    among = selection.volumes(states)
    voxels = voxels_of(states)
    if path:
        parts = [_state(states, selection, path, k) for k in range(len(path) + 1)]
        ignored = [states.row(n) for n in path]
    elif block is not None:
        row = states.row(block)
        parts = np.array_split(_ordered(states.share[row][among], among), min(count, len(among)))
        ignored = [row]
    else:
        number = states.present.sum(axis=0)[among]
        # of as many blocks, those with more voxels come later
        rank = number + voxels[among].sum(axis=1) / max(1.0, float(states.sizes.sum()) + 1)
        parts = np.array_split(_ordered(rank, among), min(count, len(among)))
        ignored = []
    others = np.delete(voxels, ignored, axis=1)
    found: list[int] = []
    for part in parts:
        if not found:
            found.append(int(spread_volumes(states, part, 1)[0]))
            continue
        far = np.abs(others[part] - others[found[-1]]).sum(axis=1)
        found.append(int(part[far.argmin()]))
    return np.array(found, np.intp)


def _ordered(values: NDArray[np.floating], among: NDArray[np.integer]) -> NDArray[np.intp]:
    return np.asarray(among[np.argsort(values, kind="stable")], np.intp)


def _state(
    states: States, selection: Selection, path: tuple[int, ...], step: int
) -> NDArray[np.intp]:
    """The volumes that have the first ``step`` blocks of a path and none of the others."""
    having = tuple(n for n in (*selection.having, *path[:step]))
    lacking = tuple(n for n in (*selection.lacking, *path[step:]))
    return Selection(having, lacking).volumes(states)


def blocks_text(states: States, volume: int) -> str:
    """Which blocks a volume has: ``blocks 1, 3, 4``."""
    there = [n for n, p in zip(states.numbers, states.present[:, volume], strict=True) if p]
    if not there:
        return "no block"
    return f"block{'s' * (len(there) > 1)} {', '.join(map(str, there))}"
