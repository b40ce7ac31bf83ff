"""What is measured of a found block and of an ensemble. Numbers alone: no verdicts.

Volumes are (V, n) arrays of flat voxels; profiles are over the V volumes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Voxels = NDArray[np.integer]

PRESENT = 0.5  # a block is there when more than this share of its voxels is occupied
SOLID = 10  # voxels of a piece that counts as solid
CUTS = np.arange(0.05, 0.96, 0.05)
NEAR = 2  # voxels from a part: its margin
MOST_DISTANT = 400  # background voxels of which pairs are taken
APART = 0.25  # of the box: from here on voxels are distant


@dataclass(frozen=True)
class Contrast:
    """How a block's density differs between the volumes with and without it, in levels.

    Attributes
    ----------
    present : volumes with it
    there, gone : mean density over its voxels and those volumes, over each volume's level
    """

    present: int
    there: float
    gone: float

    @property
    def levels(self) -> float:
        """The difference in levels."""
        return self.there - self.gone

    @property
    def share(self) -> float:
        """The difference as a share of the density when it is there."""
        return self.levels / self.there if self.there else float("nan")


def contrast(
    volumes: NDArray[np.floating], levels: NDArray[np.floating], voxels: Voxels
) -> Contrast:
    """Contrast of a block.

    With it are the volumes where more than half of its voxels are occupied. Where these are all or
    none, the volumes are split in the middle of the block's mean density.

    Parameters
    ----------
    volumes : (V, n)
    levels : (V,) harmonized
    voxels : the block's flat indices
    """
    values = volumes[:, voxels] / levels[:, None]
    there = (values > 1).mean(axis=1) > PRESENT
    density = values.mean(axis=1)
    if there.all() or not there.any():
        there = density > (density.min() + density.max()) / 2
    if there.all() or not there.any():
        return Contrast(int(there.sum()), float(density.mean()), float(density.mean()))
    return Contrast(int(there.sum()), float(density[there].mean()), float(density[~there].mean()))


def solidity(voxels: Voxels, shape: tuple[int, int, int]) -> tuple[float, float]:
    """Shares of a block's voxels: in 26-connected pieces of SOLID and more; in the largest one."""
    mask = np.zeros(int(np.prod(shape)), bool)
    mask[voxels] = True
    label, _ = ndimage.label(mask.reshape(shape), np.ones((3, 3, 3)))
    sizes = np.bincount(label.ravel())[1:]
    total = max(int(sizes.sum()), 1)
    return float(sizes[sizes >= SOLID].sum() / total), float(sizes.max(initial=0) / total)


def overlap(one: Voxels, other: Voxels) -> float:
    """Intersection over union of two sets of unique voxels."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / max(len(one) + len(other) - both, 1)


def best_overlap(one: Voxels, others: Sequence[Voxels]) -> tuple[float, int]:
    """Largest IoU with any of several sets, and which; 0 and -1 where there is none."""
    found = [overlap(one, o) for o in others]
    best = int(np.argmax(found)) if found else -1
    return (found[best], best) if found and found[best] > 0 else (0.0, -1)


def share_in_part(voxels: Voxels, truth: NDArray[np.integer], parts: int) -> tuple[float, float]:
    """Largest share of a block's voxels that is in one planted part; within NEAR voxels of one.

    Parameters
    ----------
    truth : (z, y, x) planted part of each voxel, from 0; negative: none
    """
    inside = [truth == b for b in range(parts)]
    near = [ndimage.binary_dilation(part, iterations=NEAR) for part in inside]
    one, other = (max((m.ravel()[voxels].mean() for m in k), default=0.0) for k in (inside, near))
    return float(one), float(other)


def effective_volumes(
    volumes: NDArray[np.floating],
    frequency: NDArray[np.integer],
    shape: tuple[int, int, int],
    seed: int = 0,
) -> float:
    """3 + 1 / Var(Fisher's z) of the correlations of distant background voxels.

    V independent volumes give V. Background are voxels in the less occupied half of the box that
    are occupied in under 2 % of the volumes and vary at all (outside of a mask they do not).

    Parameters
    ----------
    volumes : (V, n)
    frequency : (n,) in how many volumes each voxel is occupied
    """
    spread = volumes.std(axis=0)
    quiet = frequency <= min(float(np.median(frequency)), 0.02 * len(volumes))
    quiet &= spread > 0.05 * spread[frequency > 0].mean() if (frequency > 0).any() else True
    candidates = np.flatnonzero(quiet)
    if len(candidates) < 30:
        return float("nan")
    rng = np.random.default_rng(seed)
    some = rng.choice(candidates, min(MOST_DISTANT, len(candidates)), replace=False)
    points = np.stack(np.unravel_index(some, shape), axis=1)
    apart = np.abs(points[:, None] - points)
    apart = np.sqrt((np.minimum(apart, np.array(shape) - apart) ** 2).sum(axis=-1))
    first, second = np.nonzero(np.triu(apart > APART * min(shape), 1))
    if len(first) < 100:
        return float("nan")
    r = np.corrcoef(volumes[:, some].T)[first, second]
    return float(3 + 1 / np.arctanh(np.clip(r, -0.999999, 0.999999)).var())


def ceiling(
    occupied: NDArray[np.bool_], soft: NDArray[np.floating], planted: Sequence[Voxels]
) -> NDArray[np.float64]:
    """(B,) IoU of each planted block when voxels are assigned by the true shares.

    Each voxel goes to the block with whose share its occupancy correlates best, above the cut that
    is best in hindsight.

    Parameters
    ----------
    occupied : (V, n)
    soft : (V, B) true share of each block
    planted : flat indices of each
    """
    if not len(planted):
        return np.empty(0)
    frequency = occupied.mean(axis=0)
    voxels = np.flatnonzero((frequency > 0.01) & (frequency < 0.99))
    r = standard(occupied[:, voxels].T.astype(np.float64)) @ standard(soft.T.astype(np.float64)).T
    owner, best = r.argmax(axis=1), r.max(axis=1)
    return max(
        (
            np.array(
                [overlap(p, voxels[(owner == b) & (best > cut)]) for b, p in enumerate(planted)]
            )
            for cut in CUTS
        ),
        key=lambda found: float(found.mean()),
    )


def standard(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of mean 0 and length 1; constant rows become 0."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-9)
