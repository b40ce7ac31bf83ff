"""Which block is in which volume: the states of the ensemble, how blocks depend on each other, volumes that show a block.

Example::

    run = open_run(Path("j42/siren/02_expand"))
    states = read_states(run.folder / STATES_FILE, run.blocks)
    states.present[0].sum()                      # volumes that have the first block
    representatives(states, block=3)             # two volumes that differ in block 3 and hardly in another
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import cdist, pdist

from ..blocks.blockset import BlockSet
from ..blocks.occupancy import Occupancy
from ..blocks.statistics import hypergeometric_tail
from ..common.errors import SirenError
from ..common.parameters import Parameters, parameter
from ..common.progress import Progress

STATES_FILE = "states.csv"
FILE, LEVEL, BLOCK = "file", "level", "block_"
NEARLY_ALL = 0.95  # share of the volumes with one block that must have another for "only with"
FALSE_RELATION = 0.01  # probability that one relation among all pairs of blocks is there by chance
TILE = 4096  # voxels looked at together
MOST_ORDERED = 200  # rows: beyond, the best order of the leaves of a tree keeps Python busy for longer than 50 ms


@dataclass(frozen=True)
class StatesParameters(Parameters):
    """Parameters of what counts as present."""

    present: float = parameter(0.5, "a block is in a volume when more than this share of its voxels is occupied", least=0, most=1)


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
    cut : a block is present where its share is above this
    """

    names: tuple[str, ...]
    levels: NDArray[np.float64]
    numbers: tuple[int, ...]
    sizes: NDArray[np.int64]
    share: NDArray[np.float32]
    cut: float = 0.5

    @property
    def present(self) -> NDArray[np.bool_]:
        """(B, V), whether the block is in the volume."""
        return self.share > self.cut

    def row(self, number: int) -> int:
        """Place of a block.

        Raises
        ------
        SirenError
            If it is not there.
        """
        if number not in self.numbers:
            raise SirenError(f"There is no block {number}: there are {', '.join(map(str, self.numbers)) or 'none'}.")
        return self.numbers.index(number)


@dataclass(frozen=True)
class Relations:
    """How blocks depend on each other, each (B, B) by row a and column b.

    Attributes
    ----------
    numbers : B block numbers
    volumes : V
    both : int, volumes that have a and b; its diagonal is the volumes that have a block
    phi : correlation of presence, -1 to 1; NaN where a block is in all volumes or in none
    given : share of the volumes with b that have a as well; NaN where no volume has b
    more, less : probability that independent blocks are together as often as this or more, or less (Fisher's exact test)
    """

    numbers: tuple[int, ...]
    volumes: int
    both: NDArray[np.int64]
    phi: NDArray[np.float64]
    given: NDArray[np.float64]
    more: NDArray[np.float64]
    less: NDArray[np.float64]

    def word(self, a: int, b: int) -> str:
        """What block in row ``a`` is to that in row ``b``: 'together', 'only with', 'needed by', 'never with', or ''."""
        enough = FALSE_RELATION / max(1, len(self.numbers) * (len(self.numbers) - 1) / 2)
        if a == b:
            return ""
        if self.more[a, b] <= enough:
            a_needs, b_needs = self.given[b, a] >= NEARLY_ALL, self.given[a, b] >= NEARLY_ALL
            return {(True, True): "together", (True, False): "only with", (False, True): "needed by"}.get((a_needs, b_needs), "")
        rare = min(self.both[a, a], self.both[b, b])
        return "never with" if self.less[a, b] <= enough and self.both[a, b] <= (1 - NEARLY_ALL) * rare else ""

    def text(self, a: int, b: int) -> str:
        """One sentence on the blocks in rows ``a`` and ``b``."""
        first, second = self.numbers[a], self.numbers[b]
        if a == b:
            return f"Block {first} is in {self.both[a, a]:,} of {self.volumes:,} volumes."
        has, other, both = self.both[a, a], self.both[b, b], self.both[a, b]
        text = (f"Of {has:,} volumes with block {first}, {both:,}{_percent(both, has)} have block {second}; of {self.volumes - has:,} "
                f"without, {other - both:,}{_percent(other - both, self.volumes - has)}")
        word = self.word(a, b)
        said = {"together": f"blocks {first} and {second} come and go together", "only with": f"block {first} only with block {second}",
                "needed by": f"block {second} only with block {first}", "never with": f"blocks {first} and {second} exclude each other"}
        return f"{text}: {said[word]}." if word else f"{text}."


@dataclass(frozen=True)
class Tree:
    """A hierarchical clustering.

    Attributes
    ----------
    order : (n,) positions of the rows, similar ones side by side
    links : (n - 1, 4) which two clusters join, at what distance, and of how many rows: as scipy.cluster.hierarchy.linkage
    """

    order: NDArray[np.int64]
    links: NDArray[np.float64]


def _percent(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.0f} %)" if whole else ""


def measure_states(blocks: BlockSet, occupancy: Occupancy, parameters: StatesParameters | None = None,
                   progress: Progress | None = None) -> States:
    """How much of each block is occupied in each volume.

    Parameters
    ----------
    blocks : BlockSet of B blocks on the occupancy's grid
    occupancy : Occupancy of V volumes
    """
    parameters, progress = parameters or StatesParameters(), progress or Progress()
    share = np.empty((len(blocks), len(occupancy)), np.float32)
    for row, (_, voxels) in zip(share, progress.each(blocks, "measuring blocks", len(blocks)), strict=True):
        tiles = [voxels[start:start + TILE] for start in range(0, len(voxels), TILE)]
        row[:] = np.sum([occupancy.rows(t).sum(axis=0, dtype=np.float64) for t in tiles], axis=0) / len(voxels)
    sizes = np.array([len(v) for _, v in blocks], np.int64)
    return States(occupancy.names, occupancy.levels, tuple(n for n, _ in blocks), sizes, share, parameters.present)


def relations(states: States) -> Relations:
    """Count every pair of blocks."""
    present = states.present.astype(np.float64)
    volumes = present.shape[1]
    both = present @ present.T
    count = np.diag(both)
    variance = count * (volumes - count)
    with np.errstate(invalid="ignore", divide="ignore"):
        phi = (volumes * both - np.outer(count, count)) / np.sqrt(np.outer(variance, variance))
        given = both / count[None, :]
    a, b = np.repeat(count, len(count)).astype(np.float64), np.tile(count, len(count)).astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # where the tail is all but 1
        more = hypergeometric_tail(both.ravel(), a, b, volumes)
        less = hypergeometric_tail(a - both.ravel(), a, volumes - b, volumes)  # seldom together is often apart
    more, less = (np.nan_to_num(p, nan=1.0).reshape(both.shape) for p in (more, less))
    return Relations(states.numbers, volumes, np.rint(both).astype(np.int64), phi, given, more, less)


def similar_together(rows: NDArray[np.floating]) -> Tree:
    """Cluster rows (n, m) hierarchically: average linkage of their Euclidean distances."""
    if len(rows) < 2:
        return Tree(np.arange(len(rows)), np.empty((0, 4)))
    links = linkage(pdist(np.asarray(rows, np.float64)), "average", optimal_ordering=len(rows) <= MOST_ORDERED)
    return Tree(np.asarray(leaves_list(links), np.int64), links)


def representatives(states: States, block: int) -> tuple[int, int]:
    """Two volumes, one with a block and one without, that are as alike as can be in all the others.

    The pair that leaves the fewest voxels unexplained: those of other blocks that differ between the two, and those of the
    block itself that do not. Of equal pairs the first in the order of the volumes.

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
        raise SirenError(f"Block {block} is in {where} of the {len(present):,} volumes (more than {100 * states.cut:g} % of its voxels "
                         "occupied): there is no pair of volumes with and without it.")
    voxels = states.share.astype(np.float64) * states.sizes[:, None]
    others = np.delete(voxels, row, axis=0).T
    best: tuple[float, int, int] | None = None
    for start in range(0, len(having), 256):  # 256 x V distances at a time
        some = having[start:start + 256]
        cost = cdist(others[some], others[lacking], "cityblock") if others.shape[1] else np.zeros((len(some), len(lacking)))
        cost = cost + states.sizes[row] - (voxels[row][some][:, None] - voxels[row][lacking])
        first, second = np.unravel_index(int(cost.argmin()), cost.shape)
        if best is None or cost[first, second] < best[0] - 1e-9:
            best = float(cost[first, second]), int(some[first]), int(lacking[second])
    assert best is not None
    return best[1:]


def states_csv(states: States) -> str:
    """The table as text: a row for each volume with file, level and the share of each block that is occupied, 0 to 1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([FILE, LEVEL, *(f"{BLOCK}{n}" for n in states.numbers)])
    for name, level, shares in zip(states.names, states.levels, states.share.T, strict=True):
        writer.writerow([name, f"{level:.6g}", *(f"{s:.4f}" for s in shares)])
    return text.getvalue()


def relations_csv(found: Relations) -> str:
    """Every pair of blocks as text: volumes with both, one, the other, neither; phi; the two conditional shares; the relation."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["a", "b", "both", "only_a", "only_b", "neither", "phi", "a_given_b", "b_given_a", "relation"])
    for i, a in enumerate(found.numbers):
        for j, b in enumerate(found.numbers[i + 1:], i + 1):
            both, has_a, has_b = found.both[i, j], found.both[i, i], found.both[j, j]
            writer.writerow([a, b, both, has_a - both, has_b - both, found.volumes - has_a - has_b + both,
                             *(f"{x:.4f}" if np.isfinite(x) else "" for x in (found.phi[i, j], found.given[i, j], found.given[j, i])),
                             found.word(i, j)])
    return text.getvalue()


def read_states(path: Path, blocks: BlockSet, parameters: StatesParameters | None = None) -> States:
    """Read what :func:`states_csv` wrote.

    Raises
    ------
    SirenError
        If the file is missing, is not such a table, or is of other blocks.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        if header[:2] != [FILE, LEVEL] or any(len(r) != len(header) for r in rows):
            raise ValueError("its columns are not file, level, block_...")
        numbers = tuple(int(h.removeprefix(BLOCK)) for h in header[2:])
        values = np.array([r[1:] for r in rows], np.float64).reshape(len(rows), len(numbers) + 1)
    except (OSError, ValueError, IndexError) as error:
        raise SirenError(f"{path} cannot be read as a table of states ({error}): write it again with \"siren states\".") from error
    _same_blocks(path, numbers, tuple(n for n, _ in blocks))
    sizes = np.array([len(v) for _, v in blocks], np.int64)
    return States(tuple(r[0] for r in rows), values[:, 0], numbers, sizes, values[:, 1:].T.astype(np.float32),
                  (parameters or StatesParameters()).present)


def _same_blocks(path: Path, found: Sequence[int], expected: Sequence[int]) -> None:
    if tuple(found) != tuple(expected):
        raise SirenError(f"{path} is of blocks {', '.join(map(str, found))}, but there are {', '.join(map(str, expected))}: write it "
                         'again with "siren states".')
