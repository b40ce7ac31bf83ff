"""Some voxels of each map, kept while maps are read: later passes need no other."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Excerpt:
    """The values of some voxels in each map of an ensemble, as far as maps were read.

    Attributes
    ----------
    voxels : (n,) int64
        Flat indices, ascending.
    values : dict of (n,) float32
        Of each map, by name.
    """

    voxels: NDArray[np.int64]
    values: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def places(self, voxels: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """(m,) positions of voxels among those kept; None if some are not."""
        if not len(self.voxels):
            return None
        places = np.searchsorted(self.voxels, voxels)
        held = self.voxels.take(places, mode="clip")
        return places if np.array_equal(held, voxels) else None

    def fill(self, name: str, flat: NDArray[np.float32]) -> None:
        """Keep the values of a map, (N,)."""
        if name not in self.values:
            self.values[name] = flat.take(self.voxels)
