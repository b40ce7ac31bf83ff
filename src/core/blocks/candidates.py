"""Sets of sampled voxels that may be blocks, and what :mod:`.distinct_blocks` asks about each again
and again: it is worked out once for a set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .occupancy import counts_of_rows
from .presence import presence


@dataclass(frozen=True)
class Halves:
    """The two halves of a block in space.

    Attributes
    ----------
    side : (m,) 0 or 1, see :func:`split_in_half`
    profiles : (2, V) of each half
    volumes : number of volumes with the block, by the mean of its halves
    errors : volumes in which one half is present and the other is not
    """

    side: NDArray[np.int64]
    profiles: NDArray[np.float64]
    volumes: int
    errors: int


@dataclass(frozen=True)
class Candidate:
    """Voxels that may be a block.

    Attributes
    ----------
    voxels : (n,) positions in the sample, ascending
    points : (n, 3) of each
    profile : (V,) share of them that is occupied in each volume
    present : (V,) bool, see :func:`.presence.presence`
    halved : (m,) those of the voxels that halves are made of
    halves : Halves
    """

    voxels: NDArray[np.int64]
    points: NDArray[np.float64]
    profile: NDArray[np.float64]
    present: NDArray[np.bool_]
    halved: NDArray[np.int64]
    halves: Halves

    @cached_property
    def box(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(3,), (3,) lowest and highest coordinates."""
        return self.points.min(axis=0), self.points.max(axis=0)

    @cached_property
    def tree(self) -> cKDTree:
        """To find the nearest of the voxels."""
        return cKDTree(self.points)


class Candidates:
    """Those of a sample of n voxels.

    Parameters
    ----------
    bits : (n, ceil(V / 8)) uint8, packed occupancy
    volumes : V
    points : (n, 3) positions
    judged : by which of its voxels a block is judged, that is, halved; by all if not given
    """

    def __init__(
        self,
        bits: NDArray[np.uint8],
        volumes: int,
        points: NDArray[np.float64],
        judged: Callable[[NDArray[np.int64]], NDArray[np.int64]] | None = None,
    ):
        self._bits, self._volumes, self._points, self._judged = bits, volumes, points, judged
        self._known: dict[bytes, Candidate] = {}
        self._last: tuple[NDArray[np.int64], list[Candidate]] = np.full(len(bits), -1), []

    def of(self, owner: NDArray[np.int64]) -> list[Candidate]:
        """Each block of an assignment: ``owner`` is its number from 0, or -1, (n,)."""
        if np.array_equal(owner, self._last[0]):
            return self._last[1]
        blocks = int(owner.max(initial=-1)) + 1
        every = [np.flatnonzero(owner == b) for b in range(blocks)]
        keys = [voxels.tobytes() for voxels in every]
        new = {k: v for k, v in zip(keys, every, strict=True) if k not in self._known}
        if new:
            self._known.update(zip(new, self._made(list(new.values())), strict=True))
        self._last = owner.copy(), [self._known[k] for k in keys]
        return self._last[1]

    def _made(self, sets: list[NDArray[np.int64]]) -> list[Candidate]:
        halved = [self._judged(voxels) for voxels in sets] if self._judged else sets
        sides = [split_in_half(self._points[voxels]) for voxels in halved]
        profiles = np.empty((len(sets), 4, self._volumes))  # whole, mean of the halves, and these
        for of_one, voxels, some, side in zip(profiles, sets, halved, sides, strict=True):
            of_one[0] = self._profile(voxels)
            of_one[2], of_one[3] = (self._profile(some[side == k]) for k in (0, 1))
        profiles[:, 1] = (profiles[:, 2] + profiles[:, 3]) / 2
        # at once: each takes longer to begin than to do
        present = presence(profiles.reshape(-1, self._volumes)).reshape(profiles.shape)
        volumes = present[:, 1].sum(axis=1).tolist()
        errors = (present[:, 2] != present[:, 3]).sum(axis=1).tolist()
        made = zip(sets, halved, sides, profiles, present, volumes, errors, strict=True)
        return [
            Candidate(
                voxels, self._points[voxels], own[0], there[0], some, Halves(side, own[2:], *counts)
            )
            for voxels, some, side, own, there, *counts in made
        ]

    def _profile(self, voxels: NDArray[np.int64]) -> NDArray[np.float64]:
        return counts_of_rows(self._bits[voxels], self._volumes) / max(1, len(voxels))


def split_in_half(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) 0 or 1: a set of points cut in half across its longest direction."""
    centered = points - points.mean(axis=0)
    along = centered @ np.linalg.svd(centered, full_matrices=False)[2][0]
    side = np.zeros(len(points), np.int64)
    side[np.argsort(along, kind="stable")[len(points) // 2 :]] = 1
    return side
