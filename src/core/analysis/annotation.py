"""What of an atomic model lies in which block: chains, ranges of residues, and what no chain
explains.

Positions and names of atoms are all that is needed, whatever read them. With gemmi, for example,
these arrays come from ``structure[0]``::

    rows = [(*a.atom.pos, a.chain.name, a.residue.seqid.num) for a in structure[0].all()]

The atoms must lie in the frame of the volumes, as after fitting the model into one of them.

Example::

    import numpy as np

    from chimerax.siren.core.analysis.annotation import Atoms, annotate
    from chimerax.siren.core.blocks.blockset import BlockSet
    from chimerax.siren.core.maps.grid import Grid

    blocks = BlockSet(Grid((8, 8, 8), (4.0, 4.0, 4.0)), {1: np.array([0, 1, 2])})
    points = np.array([[0.5, 0, 0], [4, 0.5, 0], [9, 0, 0], [28, 28, 28]])
    atoms = Atoms(points, np.array(["A", "A", "A", "B"]), np.array([10, 11, 12, 1]))
    annotate(blocks, atoms).of(1)[0].spec  # -> '/A'
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..blocks.blockset import BlockSet
from ..blocks.display import sampled_share
from ..blocks.editing import LONGEST_NAME
from ..common import constants
from ..common.errors import SirenError
from ..common.progress import Progress
from .parameters import AnnotateParameters

NAMED_CHAINS = 3  # in the name of a block, which a label has to show
COLUMNS = {
    "block": "number of the block",
    "voxels": "voxels in the block",
    "explained": "share of the voxels near any atom of the model",
    "chain": "a chain that lies in the block; empty where none does",
    "name": "what the model calls the chain, if it does",
    "residues": "the residues of the chain in the block, as ranges",
    "residues_in_block": "number of these residues",
    "share_of_residues": "share of the chain's residues that is in the block",
    "share_of_atoms": "share of the chain's atoms that is in the block",
    "near_chain": "share of the block's voxels near the chain",
    "nearest_chain": "share of the block's voxels to which no other chain is nearer",
    "spec": "the residues as a specifier of ChimeraX",
}


@dataclass(frozen=True)
class Atoms:
    """The atoms of a model.

    Attributes
    ----------
    points : (n, 3) x, y, z in A, in the frame of the blocks
    chains : (n,) text, the chain of each
    residues : (n,) int, the number of its residue; insertion codes count as the same residue
    names : what a chain is, by chain, as far as it is known
    """

    points: NDArray[np.floating]
    chains: NDArray[np.str_]
    residues: NDArray[np.integer]
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.points)
        if np.shape(self.points) != (count, 3) or not (
            len(self.chains) == len(self.residues) == count
        ):
            raise ValueError("points (n, 3), chains (n,) and residues (n,) are needed")


@dataclass(frozen=True)
class ChainInBlock:
    """A chain, as far as it lies in a block.

    Attributes
    ----------
    block, chain : which
    name : of the chain, "" if unknown
    residues : numbers of its residues in the block, ascending
    ranges : first and last residue of each contiguous range
    whole : whether the ranges are all of the chain
    share_of_residues, share_of_atoms : of the chain, in the block
    near : share of the block's voxels within reach of the chain's atoms
    nearest : share of the block's voxels whose nearest atom is the chain's, and within reach
    """

    block: int
    chain: str
    name: str
    residues: tuple[int, ...]
    ranges: tuple[tuple[int, int], ...]
    whole: bool
    share_of_residues: float
    share_of_atoms: float
    near: float
    nearest: float

    @property
    def range_words(self) -> str:
        """The ranges: ``10-55,60``; "all" of a whole chain."""
        if self.whole:
            return "all"
        return ",".join(f"{a}-{b}" if b > a else f"{a}" for a, b in self.ranges)

    @property
    def spec(self) -> str:
        """The residues as ChimeraX names them: ``/A:10-55,60``; ``/A`` for a whole chain, and for
        one that is near but has no residue in the block.
        """
        chain = self.chain if self.chain.startswith("#") else f"/{self.chain}"
        return chain if self.whole or not self.ranges else f"{chain}:{self.range_words}"

    @property
    def title(self) -> str:
        """Name or chain, and the longest range unless it is nearly all: ``uL2``, ``23S 10-55``,
        ``A:10-55``; a + says that there are more.
        """
        title = self.name or self.chain
        if self.share_of_residues >= constants.NAMED_WHOLE or self.whole or not self.ranges:
            return title
        first, last = max(self.ranges, key=lambda r: r[1] - r[0])
        mark = " " if self.name else ":"
        return f"{title}{mark}{first}-{last}" + "+" * (len(self.ranges) > 1)


@dataclass(frozen=True)
class Annotation:
    """What of a model lies in which block.

    Attributes
    ----------
    numbers : B blocks
    sizes : (B,) voxels of each
    explained : (B,) share of its voxels within reach of any atom
    chains : for all blocks in order; of one block, those nearest to most of its voxels first
    reach : in A
    atom_blocks : (n,) the block in which each atom lies, 0 if in none
    parameters : AnnotateParameters
    """

    numbers: tuple[int, ...]
    sizes: NDArray[np.int64]
    explained: NDArray[np.float64]
    chains: tuple[ChainInBlock, ...]
    reach: float
    atom_blocks: NDArray[np.int64]
    parameters: AnnotateParameters

    def of(self, number: int) -> list[ChainInBlock]:
        """The chains in a block."""
        return [c for c in self.chains if c.block == number]

    @property
    def unexplained(self) -> list[int]:
        """Numbers of the blocks that no chain explains."""
        least = self.parameters.min_explained
        return [
            n
            for n, e in zip(self.numbers, self.explained, strict=True)
            if e < least or not self.of(n)
        ]

    def names(self) -> dict[int, str]:
        """A name for each block that is explained: the chains that make it up or lie in it as a
        whole, those of most voxels first.
        """
        names = {}
        for number in self.numbers:
            if number in self.unexplained:
                continue
            found = [c for c in self.of(number) if c.residues] or self.of(number)
            large = [
                c
                for c in found
                if c.nearest >= constants.NAMING_SHARE
                or c.share_of_residues >= constants.NAMED_WHOLE
            ] or found[:1]
            told = [c.title for c in large[:NAMED_CHAINS]]
            if len(large) > len(told):
                told.append(f"{len(large) - len(told)} more")
            names[number] = " + ".join(told)[:LONGEST_NAME]
        return names

    def table(self) -> pd.DataFrame:
        """A row for each chain in a block, and for each block in which none lies: the COLUMNS."""
        rows: list[tuple[object, ...]] = []
        for number, size, share in zip(self.numbers, self.sizes, self.explained, strict=True):
            own = (number, int(size), round(float(share), 3))
            rows += [
                (
                    *own,
                    c.chain,
                    c.name,
                    c.range_words,
                    len(c.residues),
                    round(c.share_of_residues, 3),
                    round(c.share_of_atoms, 3),
                    round(c.near, 3),
                    round(c.nearest, 3),
                    c.spec,
                )
                for c in self.of(number)
            ] or [(*own, "", "", "", 0, 0.0, 0.0, 0.0, 0.0, "")]
        return pd.DataFrame(rows, columns=list(COLUMNS))


def annotate(
    blocks: BlockSet,
    atoms: Atoms,
    parameters: AnnotateParameters | None = None,
    progress: Progress | None = None,
    sampled: bool = True,
) -> Annotation:
    """Which chains, and which of their residues, lie in each block.

    An atom lies in the block that has the voxel nearest to it, if that is within reach. A residue
    lies in the block that has most of its atoms, if these are half of them or more.

    Parameters
    ----------
    blocks : BlockSet of B blocks, one at least
    atoms : Atoms, one at least
    parameters : AnnotateParameters
    sampled : False if the blocks are known to hold all of their voxels, as those of an expansion

    Raises
    ------
    SirenError
        If there is no block or no atom, or no atom is near the box.
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters, progress = parameters or AnnotateParameters(), progress or Progress()
    if not len(atoms.points) or not len(blocks):
        raise SirenError("There are no atoms, or no blocks: name a model with atoms, and blocks.")
    reach = parameters.reach or default_reach(blocks, sampled)
    _check_place(blocks, atoms, reach)
    progress.step("looking for atoms in blocks")
    model, numbers = _Chains.of(atoms), tuple(blocks.blocks)
    home = _blocks_of_atoms(blocks, atoms.points, reach)
    resident = model.resident(home, numbers)
    near, nearest, explained = _shares(blocks, atoms.points, model, reach, progress)
    told: list[ChainInBlock] = []
    for row, n in enumerate(numbers):
        inside = np.bincount(model.chain[home == n], minlength=len(model.names)) / model.sizes
        counts = np.maximum(inside, nearest[row]) >= parameters.min_share
        found = []
        for c in np.flatnonzero(counts & (np.maximum(inside, near[row]) > 0)):
            every, own = model.residues_of(int(c), resident, n)
            ranges = _long_runs(own, every, parameters)
            chain = str(model.names[c])
            found.append(
                ChainInBlock(
                    n,
                    chain,
                    atoms.names.get(chain, ""),
                    tuple(int(r) for r in own),
                    ranges,
                    ranges == ((int(every[0]), int(every[-1])),),
                    len(own) / len(every),
                    float(inside[c]),
                    float(near[row, c]),
                    float(nearest[row, c]),
                )
            )
        told += sorted(found, key=lambda c: (-c.nearest, -c.share_of_atoms, c.chain))
    sizes = np.array([len(v) for _, v in blocks], np.int64)
    return Annotation(numbers, sizes, explained, tuple(told), reach, home, parameters)


def residue_blocks(annotation: Annotation, atoms: Atoms) -> NDArray[np.int64]:
    """(n,) for each atom the block in which its residue lies, 0 if in none: to color a model."""
    model = _Chains.of(atoms)
    return model.resident(annotation.atom_blocks, annotation.numbers)[model.residue]


def default_reach(blocks: BlockSet, sampled: bool = True) -> float:
    """How far an atom reaches, in A: a voxel, since maps are seldom sampled coarser than half
    their resolution, and no less than an atom with its hydrogens; farther where the blocks are of
    a sample of the voxels.
    """
    edge = max(blocks.grid.voxel_size)
    spread = sampled_share(blocks, sampled) ** (-1 / 3)
    return float(max(constants.ATOM_REACH, edge * spread))


def runs_of(
    residues: NDArray[np.integer], of_chain: NDArray[np.integer], gap: int
) -> list[tuple[int, int]]:
    """Contiguous ranges of residues: first and last of each.

    Parameters
    ----------
    residues : numbers, ascending
    of_chain : numbers of all residues of the chain in the model, ascending
    gap : over so many residues of the model, which are not among these, ranges are joined
    """
    places = np.searchsorted(of_chain, residues)
    cuts = np.flatnonzero(np.diff(places) > gap + 1) + 1
    return [(int(run[0]), int(run[-1])) for run in np.split(residues, cuts) if len(run)]


@dataclass(frozen=True)
class _Chains:
    """The chains and residues of a model, as numbers.

    Attributes
    ----------
    names : of C chains, sorted
    sizes : (C,) atoms of each
    chain, residue : (n,) which of them each atom belongs to
    rows : (R, 2) of each residue its chain and its number, sorted
    """

    names: NDArray[np.str_]
    sizes: NDArray[np.int64]
    chain: NDArray[np.intp]
    residue: NDArray[np.intp]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, atoms: Atoms) -> _Chains:
        names, chain, sizes = np.unique(atoms.chains, return_inverse=True, return_counts=True)
        both = np.stack([chain, np.asarray(atoms.residues, np.int64)], axis=1)
        rows, residue = np.unique(both, axis=0, return_inverse=True)
        return cls(names, sizes, chain, residue.ravel(), rows)

    def resident(self, home: NDArray[np.int64], numbers: tuple[int, ...]) -> NDArray[np.int64]:
        """(R,) for each residue the block with most of its atoms, if they are half of them; of
        two with as many the first.
        """
        count = len(self.rows)
        total = np.bincount(self.residue, minlength=count)
        most, resident = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for number in numbers:
            here = np.bincount(self.residue[home == number], minlength=count)
            more = (here > most) & (2 * here >= total)
            most[more], resident[more] = here[more], number
        return resident

    def residues_of(
        self, chain: int, resident: NDArray[np.int64], block: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers of all residues of a chain, and of those in a block, ascending."""
        own = self.rows[:, 0] == chain
        return self.rows[own, 1], self.rows[own & (resident == block), 1]


def _long_runs(
    own: NDArray[np.int64], every: NDArray[np.int64], parameters: AnnotateParameters
) -> tuple[tuple[int, int], ...]:
    """The ranges of residues that are long enough to be told; all, if none is."""
    runs = runs_of(own, every, parameters.gap)
    long = [
        run
        for run in runs
        if np.count_nonzero((own >= run[0]) & (own <= run[1])) >= parameters.min_run
    ]
    return tuple(long or runs)


def _shares(
    blocks: BlockSet,
    points: NDArray[np.floating],
    model: _Chains,
    reach: float,
    progress: Progress,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the voxels of each block: (B, C) near a chain, (B, C) nearest to it, and (B,) near
    any atom.
    """
    many, sizes = len(model.names), np.array([len(v) for _, v in blocks])
    row = np.repeat(np.arange(len(sizes)), sizes)
    places = blocks.grid.points(np.concatenate([v for _, v in blocks]))
    near = np.zeros((len(sizes), many))
    for c in progress.each(range(many), "comparing chains", many):
        distance, _ = cKDTree(points[model.chain == c]).query(
            places, distance_upper_bound=_above(reach)
        )
        near[:, c] = np.bincount(row[np.isfinite(distance)], minlength=len(sizes)) / sizes
    distance, index = cKDTree(points).query(places, distance_upper_bound=_above(reach))
    found = np.isfinite(distance)
    nearest = np.zeros_like(near)
    np.add.at(nearest, (row[found], model.chain[index[found]]), 1)
    nearest /= sizes[:, None]
    return near, nearest, np.bincount(row[found], minlength=len(sizes)) / sizes


def _blocks_of_atoms(
    blocks: BlockSet, points: NDArray[np.floating], reach: float
) -> NDArray[np.int64]:
    """(n,) the block with the voxel nearest to each atom, if within reach; else 0. A voxel of
    several blocks counts for the first.
    """
    voxels, first = np.unique(np.concatenate([v for _, v in blocks]), return_index=True)
    owner = np.repeat(list(blocks.blocks), [len(v) for _, v in blocks])[first]
    tree = cKDTree(blocks.grid.points(voxels))
    distance, index = tree.query(points, distance_upper_bound=_above(reach))
    found = np.isfinite(distance)
    home = np.zeros(len(points), np.int64)
    home[found] = owner[index[found]]
    return home


def _check_place(blocks: BlockSet, atoms: Atoms, reach: float) -> None:
    """Refuse a model that is elsewhere: nothing would be explained, which is no result."""
    grid = blocks.grid
    low = np.asarray(grid.origin)
    high = low + (np.array(grid.shape[::-1]) - 1) * np.asarray(grid.voxel_size)
    near = (atoms.points >= low - reach) & (atoms.points <= high + reach)
    if not near.all(axis=1).any():
        raise SirenError(
            "No atom of the model lies in the box of the volumes: fit the model into one of them "
            "first, as with fitmap."
        )


def _above(reach: float) -> float:
    """A bound that includes the distance itself."""
    return reach * (1 + 1e-6)
