"""Some voxels of each map, and what is kept of them while maps are read: later passes need no
other.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

RUN = 8  # voxels that are copied at once: a byte of packed bits


@dataclass(frozen=True)
class Parts:
    """Voxels of a map, most of which lie side by side. Such are copied in runs, in a fraction of
    the time that it takes to look up each.

    Attributes
    ----------
    run : int
        Voxels in a run.
    runs : (r,) int64
        First voxel of each run, over ``run``.
    others : (s,) int64
        Flat indices of the voxels that are in no run; they come last.
    """

    run: int
    runs: NDArray[np.int64]
    others: NDArray[np.int64]

    @classmethod
    def around(
        cls, dense: NDArray[np.int64], others: NDArray[np.int64] | None = None, *, size: int
    ) -> Parts:
        """The runs that hold voxels that lie side by side, and other voxels as they are.

        Parameters
        ----------
        dense : flat indices
        size : int
            Voxels of a map; its runs are all whole.
        """
        run = next(n for n in (RUN, 4, 2, 1) if size % n == 0)
        return cls(run, np.unique(dense // run), np.empty(0, int) if others is None else others)

    @property
    def inside(self) -> int:
        """Number of voxels in runs."""
        return self.run * len(self.runs)

    def __len__(self) -> int:
        return self.inside + len(self.others)

    @property
    def voxels(self) -> NDArray[np.int64]:
        """(n,) flat indices in the order of what is read."""
        return np.concatenate([runs_of(self.runs, self.run), self.others])

    def take(self, flat: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """The values of a map, (N,), into (n,)."""
        # with "clip", no copy is made in between
        if len(self.runs):
            whole = flat[: len(flat) // self.run * self.run].reshape(-1, self.run)
            rows = out[: self.inside].reshape(-1, self.run)
            whole.take(self.runs, axis=0, out=rows, mode="clip")
        flat.take(self.others, out=out[self.inside :], mode="clip")


def runs_of(runs: NDArray[np.int64], run: int) -> NDArray[np.int64]:
    """Flat indices of the voxels of runs."""
    return (runs[:, None] * run + np.arange(run)).ravel()


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class Excerpt:
    """The values of some voxels in each map of an ensemble, as far as maps were read.

    Attributes
    ----------
    parts : Parts
        The voxels, each once.
    values : dict of (n,) float32
        Of each map, by name.
    middle : (m,) int64
        Flat indices, ascending, of voxels around which these are; none where nobody says so.
    """

    parts: Parts
    values: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)
    middle: NDArray[np.int64] = field(default_factory=_none, repr=False)
    _sorted: NDArray[np.int64] = field(init=False, repr=False)
    _order: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        voxels = self.parts.voxels
        object.__setattr__(self, "_order", np.argsort(voxels, kind="stable"))
        object.__setattr__(self, "_sorted", voxels[self._order])

    @classmethod
    def around(cls, dense: NDArray[np.int64], sparse: NDArray[np.int64], size: int) -> Excerpt:
        """Of voxels that lie side by side, with those that complete their runs, and some others."""
        parts = Parts.around(dense, size=size)
        return cls(replace(parts, others=np.setdiff1d(sparse, parts.voxels)))

    def __len__(self) -> int:
        return len(self._sorted)

    def places(self, voxels: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """(m,) positions of voxels among those kept; None if some are not."""
        if not len(self):
            return None
        places = np.searchsorted(self._sorted, voxels)
        held = self._sorted.take(places, mode="clip")
        return self._order[places] if np.array_equal(held, voxels) else None

    def parts_of(self, parts: Parts) -> Parts | None:
        """The same voxels as parts of what is kept; None if some are not kept, in runs."""
        others = self.places(parts.others) if len(parts.others) else parts.others
        if others is None or (parts.run != self.parts.run and len(parts.runs)):
            return None
        if not len(self.parts.runs):
            return None if len(parts.runs) else replace(parts, others=others)
        places = np.searchsorted(self.parts.runs, parts.runs)
        held = self.parts.runs.take(places, mode="clip")
        return Parts(parts.run, places, others) if np.array_equal(held, parts.runs) else None

    def fill(self, name: str, flat: NDArray[np.float32]) -> None:
        """Keep the values of a map, (N,)."""
        if name not in self.values:
            self.values[name] = np.empty(len(self), np.float32)
            self.parts.take(flat, self.values[name])
