"""Binarizing volumes at levels that have changed a little, without reading them once more.

Levels are brought into agreement by voxels that are read for it. On this occasion the values around
all voxels that vary are kept. Elsewhere densities are far from the level, and whether they are is
looked at, too: a volume that has others near it is read again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from ..maps.excerpt import RUN, Excerpt, runs_of
from .kept import room_for, surroundings
from .occupancy import BYTE, Kept, Occupancy, variable_voxels
from .steady import at_other_levels


class Releveling:
    """What is kept of V volumes while they are read.

    Attributes
    ----------
    excerpt : Excerpt of the voxels around those that vary, most of them in whole bytes of bits
    """

    def __init__(self, occupancy: Occupancy, excerpt: Excerpt):
        size = occupancy.grid.size
        self._occupancy, self.excerpt = occupancy, excerpt
        # looked at in words of eight voxels, which takes a fraction of the time
        self._far, self._low, self._high = np.ones((3, size), bool)
        self._far[runs_of(excerpt.parts.runs, RUN)] = False
        self._between = np.zeros((len(occupancy), 2))  # levels at which what is far stays as it is

    @classmethod
    def of(cls, ensemble: Ensemble, occupancy: Occupancy, fraction: float) -> Releveling | None:
        """None if it takes more memory than may be kept, or files are not what is read.

        Parameters
        ----------
        fraction : voxels vary that are occupied, and empty, in more than this share of the volumes
        """
        most = room_for(Kept(occupancy), len(ensemble)) if ensemble.in_files else 0
        # at other levels others vary, too
        union = variable_voxels(occupancy, fraction / 2)
        excerpt = None
        if len(union):
            # the background is measured next
            excerpt = surroundings(union, occupancy.grid, most, at_other_levels(occupancy))
        if excerpt is None or excerpt.parts.run != RUN:
            return None
        return cls(occupancy, excerpt)

    def add(self, v: int, flat: NDArray[np.float32], base: float) -> None:
        """Keep what is needed of volume ``v``: (N,) values, and the density of its background."""
        level = self._occupancy.levels[v]
        reach = constants.LEVEL_CHANGE * abs(level - base)
        np.greater(flat, level - reach, out=self._low)
        np.greater(flat, level + reach, out=self._high)
        between, far = self._low.view(np.uint64), self._far.view(np.uint64)
        between ^= self._high.view(np.uint64)
        between &= far
        if not between.any():
            self._between[v] = level - reach, level + reach
        self.excerpt.fill(self._occupancy.names[v], flat)

    def at(
        self,
        levels: NDArray[np.float64],
        ensemble: Ensemble,
        progress: Progress,
    ) -> Occupancy | None:
        """The occupancy at (V,) other levels; None if a volume has no voxel above its level.

        Parameters
        ----------
        ensemble : of these volumes
        """
        before, grid = self._occupancy, self._occupancy.grid
        bits = before.bits.copy()
        frequency = before.frequency.copy()
        runs, count = self.excerpt.parts.runs, self.excerpt.parts.inside
        near, few = np.zeros(count, np.int32), np.zeros(count, np.uint8)
        low, high = self._between.T
        unchanged = (low <= levels) & (levels <= high)
        each = progress.each(ensemble.sources, "reading volumes", len(before))
        for v, source in enumerate(each):
            if unchanged[v]:
                mask = self.excerpt.values[source.name][:count] > levels[v]
                bits[v, runs] = np.packbits(mask)
            else:
                whole = (ensemble.array(source) > levels[v]).ravel()
                bits[v] = np.packbits(whole)
                mask = whole.reshape(-1, RUN)[runs].ravel()
                was = np.unpackbits(before.bits[v], count=grid.size).view(bool)
                changed = np.flatnonzero((whole != was) & self._far)
                frequency[changed] += np.where(whole[changed], 1, -1).astype(np.int32)
            few += mask.view(np.uint8)
            if v % BYTE == BYTE - 1:
                near += few
                few[:] = 0
            if not bits[v].any():
                return None
        near += few
        frequency[runs_of(runs, RUN)] = near
        result = Occupancy(before.names, levels, bits, grid, before.mean)
        vars(result)["frequency"] = frequency
        return result
