"""Which block is in which volume: the states of the ensemble, how blocks depend on each other,
volumes that show a block.

Example::

    from pathlib import Path

    from chimerax.siren.core import open_run
    from chimerax.siren.core.analysis.block_occupancy import (
        STATES_FILE, read_states, representatives
    )

    run = open_run(Path("siren/02_expand"))
    states = read_states(run.folder / STATES_FILE, run.blocks)
    states.present[0].sum()  # volumes that have the first block
    representatives(states, block=3)  # two volumes that differ in block 3 and in little else
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import cdist, pdist

from ..blocks.blockset import BlockSet
from ..blocks.occupancy import Occupancy
from ..blocks.presence import are_two_groups, presence, presence_cuts
from ..blocks.profiles import block_shares
from ..common import constants
from ..common.errors import SirenError
from ..common.progress import Progress
from ..common.tables import csv_text, parse_number, read_table
from .parameters import StatesParameters

STATES_FILE = "states.csv"
FILE, LEVEL, BLOCK = "file", "level", "block_"


@dataclass(frozen=True)
class States:
    """How much of each block is in each volume.

    Attributes
    ----------
    names : V volumes
    levels : (V,) contour level of each
    numbers : B block numbers
    sizes : (B,) voxels of each block
    share : (B, V) float32, share of the block's voxels that are occupied in the volume
    cut : a block is present where its share is above this; None: above its own cut, see
        :mod:`..blocks.presence`
    effective_volumes : how many independent volumes these are worth, as their run measured it, see
        :mod:`..blocks.background`; None if it did not
    """

    names: tuple[str, ...]
    levels: NDArray[np.float64]
    numbers: tuple[int, ...]
    sizes: NDArray[np.int64]
    share: NDArray[np.float32]
    cut: float | None = None
    effective_volumes: float | None = None

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """(B, V), whether the block is in the volume."""
        return presence(self.share, self.cut)

    @cached_property
    def cuts(self) -> NDArray[np.float64]:
        """(B,) the share above which each block is present."""
        return presence_cuts(self.share, self.cut)

    @cached_property
    def ungrouped(self) -> tuple[int, ...]:
        """Blocks whose shares fall into no two groups, though half of the voxels parts the volumes:
        as where two blocks that exclude each other were merged, and one half is always there.
        """
        if self.cut is not None or not self.numbers:
            return ()
        parted = self.present.any(axis=1) & ~self.present.all(axis=1)
        unsure = parted & ~are_two_groups(self.share)
        return tuple(n for n, k in zip(self.numbers, unsure, strict=True) if k)

    @property
    def doubt(self) -> str:
        """What to doubt in who is present, a sentence; empty if nothing."""
        if not self.ungrouped:
            return ""
        many = len(self.ungrouped) > 1
        numbers = ", ".join(map(str, self.ungrouped))
        return (
            f"Block{'s' * many} {numbers} part{'s' * (not many)} the volumes into no two groups: "
            "about as much of it is in all of them, and who has it depends on the cut"
        )

    @property
    def cut_words(self) -> str:
        """What counts as present, in words."""
        if not self.numbers:
            return "there are no blocks"
        low, high = (
            round(100 * float(c)) for c in (self.cuts.min(initial=1), self.cuts.max(initial=0))
        )
        text = f"more than {low}" if low >= high else f"more than {low} to {high}"
        return text + " % of its voxels occupied"

    def row(self, number: int) -> int:
        """Place of a block.

        Raises
        ------
        SirenError
            If it is not there.
        """
        if number not in self.numbers:
            raise SirenError(
                f"There is no block {number}: there are "
                f"{', '.join(map(str, self.numbers)) or 'none'}."
            )
        return self.numbers.index(number)


@dataclass(frozen=True)
class Tree:
    """A hierarchical clustering.

    Attributes
    ----------
    order : (n,) positions of the rows, similar ones side by side
    links : (n - 1, 4) which two clusters join, at what distance, and of how many rows: as
        scipy.cluster.hierarchy.linkage
    """

    order: NDArray[np.int64]
    links: NDArray[np.float64]


def measure_states(
    blocks: BlockSet,
    occupancy: Occupancy,
    parameters: StatesParameters | None = None,
    progress: Progress | None = None,
) -> States:
    """How much of each block is occupied in each volume.

    Parameters
    ----------
    blocks : BlockSet of B blocks on the occupancy's grid
    occupancy : Occupancy of V volumes
    """
    parameters, progress = parameters or StatesParameters(), progress or Progress()
    share = block_shares(blocks, occupancy, progress)
    sizes = np.array([len(v) for _, v in blocks], np.int64)
    return States(
        occupancy.names,
        occupancy.levels,
        tuple(n for n, _ in blocks),
        sizes,
        share,
        parameters.present,
    )


def similar_together(rows: NDArray[np.floating]) -> Tree:
    """Cluster rows (n, m) hierarchically: average linkage of their Euclidean distances."""
    if len(rows) < 2:
        return Tree(np.arange(len(rows)), np.empty((0, 4)))
    links = linkage(
        pdist(np.asarray(rows, np.float64)),
        "average",
        optimal_ordering=len(rows) <= constants.MAX_ORDERED_ROWS,
    )
    return Tree(np.asarray(leaves_list(links), np.int64), links)


def representatives(states: States, block: int) -> tuple[int, int]:
    """Two volumes, one with a block and one without, that are as alike as can be in all the others.

    The pair that leaves the fewest voxels unexplained: those of other blocks that differ between
    the two, and those of the block itself that do not. Of equal pairs the first in the order of the
    volumes.

    Parameters
    ----------
    block : its number

    Returns
    -------
    positions of the volumes with and without the block

    Raises
    ------
    SirenError
        If the block is not there, is in every volume, or in none.
    """
    row = states.row(block)
    present = states.present[row]
    having, lacking = np.flatnonzero(present), np.flatnonzero(~present)
    if not len(having) or not len(lacking):
        where = "all" if len(having) else "none"
        raise SirenError(
            f"Block {block} is in {where} of the {len(present):,} volumes "
            f"({states.cut_words}): there is no pair of volumes with and without it."
        )
    voxels = states.share.astype(np.float64) * states.sizes[:, None]
    others = np.delete(voxels, row, axis=0).T
    best: tuple[float, int, int] | None = None
    for start in range(0, len(having), 256):  # 256 x V distances at a time
        some = having[start : start + 256]
        cost = (
            cdist(others[some], others[lacking], "cityblock")
            if others.shape[1]
            else np.zeros((len(some), len(lacking)))
        )
        cost = cost + states.sizes[row] - (voxels[row][some][:, None] - voxels[row][lacking])
        first, second = np.unravel_index(int(cost.argmin()), cost.shape)
        if best is None or cost[first, second] < best[0] - 1e-9:
            best = float(cost[first, second]), int(some[first]), int(lacking[second])
    assert best is not None
    return best[1:]


def states_csv(states: States) -> str:
    """The table as text: a row for each volume with file, level and the share of each block that is
    occupied, 0 to 1.
    """
    rows = (
        [name, f"{level:.6g}", *(f"{s:.4f}" for s in shares)]
        for name, level, shares in zip(states.names, states.levels, states.share.T, strict=True)
    )
    return csv_text([FILE, LEVEL, *(f"{BLOCK}{n}" for n in states.numbers)], rows)


def read_states(path: Path, blocks: BlockSet, parameters: StatesParameters | None = None) -> States:
    """Read what :func:`states_csv` wrote.

    Raises
    ------
    SirenError
        If the file is missing, is not such a table, or is of other blocks.
    """
    table = read_table(path, [FILE, LEVEL], 'table that "siren states" writes', [FILE])
    if table.columns[:2] != [FILE, LEVEL]:
        raise _not_states(path, "its columns are not file, level, block_...")
    try:
        numbers = tuple(int(c.removeprefix(BLOCK)) for c in table.columns[2:])
    except ValueError as error:
        raise _not_states(path, str(error)) from error
    cells = [[parse_number(row[c]) for c in table.columns[1:]] for row in table.rows]
    values = np.array(cells, np.float64)
    if not np.isfinite(values).all() or (values[:, 1:] < 0).any() or (values[:, 1:] > 1).any():
        raise _not_states(path, "a level is no number, or a share not from 0 to 1")
    _same_blocks(path, numbers, tuple(n for n, _ in blocks))
    sizes = np.array([len(v) for _, v in blocks], np.int64)
    return States(
        tuple(row[FILE] for row in table.rows),
        values[:, 0],
        numbers,
        sizes,
        values[:, 1:].T.astype(np.float32),
        (parameters or StatesParameters()).present,
    )


def _not_states(path: Path, why: str) -> SirenError:
    return SirenError(
        f'{path} cannot be read as a table of states ({why}): write it again with "siren states".'
    )


def _same_blocks(path: Path, found: Sequence[int], expected: Sequence[int]) -> None:
    if tuple(found) != tuple(expected):
        raise SirenError(
            f"{path} is of blocks {', '.join(map(str, found))}, but there are "
            f"{', '.join(map(str, expected))}: write it "
            'again with "siren states".'
        )
