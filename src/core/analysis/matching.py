"""Two sets of blocks side by side: which block of one is which of the other, what was split, what
is new, what is gone.

Blocks are matched one to one so that the sum of their IoU (intersection over union, in voxels) is
as large as it can be. A pair below MIN_MATCH is no match.

Example::

    from pathlib import Path

    from chimerax.siren.core.analysis.matching import match_blocks
    from chimerax.siren.core.runs.steps import read_blocks

    found = match_blocks(read_blocks("siren/00_sketch"), read_blocks("siren/02_expand"))
    found.partner(1)  # the number of the other set's block, None if block 1 is gone
    found.sentences("the sketch", "the expansion")  # splits, merges, new and gone, in words
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array

from ..blocks.blockset import BlockSet
from ..common import constants


@dataclass(frozen=True)
class Match:
    """Blocks of A and of B, and how they overlap.

    Attributes
    ----------
    first, second : (a,), (b,) numbers of the blocks of A and of B
    sizes_first, sizes_second : voxels of each
    shared : (a, b) int64, voxels that are in both
    pairs : numbers of matched blocks, in the order of A
    splits : block of A -> the blocks of B, two or more, that it is together
    merges : block of B -> the blocks of A, two or more, that it is together
    """

    first: tuple[int, ...]
    second: tuple[int, ...]
    sizes_first: NDArray[np.int64]
    sizes_second: NDArray[np.int64]
    shared: NDArray[np.int64]
    pairs: tuple[tuple[int, int], ...]
    splits: dict[int, tuple[int, ...]]
    merges: dict[int, tuple[int, ...]]

    @property
    def iou(self) -> NDArray[np.float64]:
        """(a, b) intersection over union."""
        union = self.sizes_first[:, None] + self.sizes_second - self.shared
        return np.asarray(self.shared / np.maximum(union, 1))

    def partner(self, number: int) -> int | None:
        """The block of B that a block of A was matched with."""
        return dict(self.pairs).get(number)

    def iou_of(self, first: int, second: int) -> float:
        """IoU of a block of A and one of B."""
        return float(self.iou[self.first.index(first), self.second.index(second)])

    @property
    def gone(self) -> tuple[int, ...]:
        """Blocks of A that are neither matched nor part of a block of B."""
        known = {a for a, _ in self.pairs} | set(self.splits)
        known |= {a for parts in self.merges.values() for a in parts}
        return tuple(n for n in self.first if n not in known)

    @property
    def new(self) -> tuple[int, ...]:
        """Blocks of B that are neither matched nor part of a block of A."""
        known = {b for _, b in self.pairs} | set(self.merges)
        known |= {b for parts in self.splits.values() for b in parts}
        return tuple(n for n in self.second if n not in known)

    def _turned(self) -> Match:
        pairs = tuple((b, a) for a, b in self.pairs)
        return Match(
            self.second,
            self.first,
            self.sizes_second,
            self.sizes_first,
            self.shared.T,
            pairs,
            self.merges,
            self.splits,
        )

    def _whole(self, number: int, parts: Sequence[int]) -> float:
        row, columns = self.first.index(number), [self.second.index(p) for p in parts]
        return _iou_together(self.sizes_first, self.sizes_second, self.shared, row, columns)

    def sentences(self, first: str = "A", second: str = "B") -> list[str]:
        """What was split, merged, is gone and new, a sentence each."""
        lines = [
            f"Block {a} of {first} is blocks {_and(parts)} of {second} (IoU of the whole "
            f"{self._whole(a, parts):.2f})."
            for a, parts in self.splits.items()
        ]
        lines += [
            f"Blocks {_and(parts)} of {first} are block {b} of {second} (IoU of the whole "
            f"{self._turned()._whole(b, parts):.2f})."
            for b, parts in self.merges.items()
        ]
        for numbers, where, other in ((self.gone, first, second), (self.new, second, first)):
            if numbers:
                lines.append(
                    f"Only in {where}: block{'s' * (len(numbers) > 1)} {_and(numbers)} "
                    f"(no block of {other} overlaps with an IoU of {constants.MIN_MATCH:g})."
                )
        return lines


def match_blocks(first: BlockSet, second: BlockSet) -> Match:
    """Match the blocks of two sets on one grid.

    A block is split if two or more blocks of the other set lie in it by more than half of their
    voxels each, and together overlap with it better than the best of them alone.

    Raises
    ------
    ValueError
        If the sets are on grids of different shapes.
    """
    if first.grid.shape != second.grid.shape:
        raise ValueError("the two sets are on different grids")
    shared = shared_voxels(first, second)
    sizes = [np.array([len(v) for _, v in blocks], np.int64) for blocks in (first, second)]
    numbers = [tuple(n for n, _ in blocks) for blocks in (first, second)]
    whole = Match(numbers[0], numbers[1], sizes[0], sizes[1], shared, (), {}, {})
    iou = whole.iou
    rows, columns = linear_sum_assignment(-iou)
    pairs = tuple(
        (numbers[0][r], numbers[1][c])
        for r, c in zip(rows, columns, strict=True)
        if iou[r, c] >= constants.MIN_MATCH
    )
    splits = _splits(numbers[0], numbers[1], sizes[0], sizes[1], shared)
    merges = _splits(numbers[1], numbers[0], sizes[1], sizes[0], shared.T)
    return Match(numbers[0], numbers[1], sizes[0], sizes[1], shared, pairs, splits, merges)


def shared_voxels(first: BlockSet, second: BlockSet) -> NDArray[np.int64]:
    """(a, b) voxels that a block of one set and one of the other have both; a voxel may be in
    several blocks of a set.
    """

    def sparse(blocks: BlockSet) -> csr_array:
        voxels = [v for _, v in blocks]
        ends = np.cumsum([0, *(len(v) for v in voxels)])
        columns = np.concatenate([np.empty(0, np.int64), *voxels])
        return csr_array(
            (np.ones(len(columns), np.int64), columns, ends), (len(voxels), blocks.grid.size)
        )

    if not len(first) or not len(second):
        return np.zeros((len(first), len(second)), np.int64)
    return np.asarray((sparse(first) @ sparse(second).T).toarray(), np.int64)


def _splits(
    numbers: Sequence[int],
    others: Sequence[int],
    sizes: NDArray[np.int64],
    other_sizes: NDArray[np.int64],
    shared: NDArray[np.int64],
) -> dict[int, tuple[int, ...]]:
    found = {}
    for row, number in enumerate(numbers):
        parts = np.flatnonzero(2 * shared[row] > other_sizes)
        if len(parts) < 2:
            continue
        union = sizes[row] + other_sizes[parts] - shared[row, parts]
        best = float((shared[row, parts] / union).max())
        whole = _iou_together(sizes, other_sizes, shared, row, parts)
        if whole > best and whole >= constants.MIN_MATCH:
            found[number] = tuple(others[k] for k in parts)
    return found


def _iou_together(
    sizes: NDArray[np.int64],
    other_sizes: NDArray[np.int64],
    shared: NDArray[np.int64],
    row: int,
    parts: Sequence[int] | NDArray[np.integer],
) -> float:
    """IoU of a block with several of the other set, which share no voxels."""
    together = int(shared[row, parts].sum())
    return together / (int(sizes[row] + other_sizes[parts].sum()) - together)


def _and(numbers: Sequence[int]) -> str:
    texts = [str(n) for n in numbers]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
