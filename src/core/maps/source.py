"""One map of an ensemble: a file, or an array in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..common.errors import JunkMap
from .grid import Grid
from .mapfile import first_value, read_grid, read_map, read_values


@dataclass(frozen=True)
class Source:
    """One map: a file, or an array in memory (an open model).

    Attributes
    ----------
    name : str
        File name, by which the map is identified.
    path : Path or None
        The file; None for a map in memory.
    array : callable or None
        Returns the (z, y, x) array of a map in memory.
    grid : Grid or None
        Grid of a map in memory, or of a file whose header has been read.
    outside : (z, y, x) bool or None
        Voxels that are not a number (NaN) in all maps of the ensemble, as outside a mask: they are
        read as 0.
    """

    name: str
    path: Path | None = None
    array: Callable[[], NDArray[np.floating]] | None = None
    grid: Grid | None = None
    outside: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)

    def read_grid(self) -> Grid:
        """The grid, without reading the values.

        Raises
        ------
        SirenError
            If the file is not a readable map.
        """
        if self.grid is not None:
            return self.grid
        assert self.path is not None
        return read_grid(self.path)

    def read(self) -> NDArray[np.float32]:
        """Read the values: (z, y, x) float32.

        Raises
        ------
        SirenError
            If the map cannot be read.
        JunkMap
            If it has non-finite values or is constant.
        """
        data = self.read_as_is()
        if self.outside is not None and self.outside.shape == data.shape:
            data = np.where(self.outside & np.isnan(data), np.float32(0), data)
        low, high = float(data.min()), float(data.max())  # any NaN or infinity shows in one of them
        if not (np.isfinite(low) and np.isfinite(high)):
            raise JunkMap(
                f'{self.name} has values that are not finite numbers: use "exclude {self.name}".',
                "values not finite",
            )
        if low == high:
            raise JunkMap(
                f'{self.name} is constant (every voxel is {low:g}): use "exclude {self.name}".',
                "constant",
            )
        return data

    def read_as_is(self) -> NDArray[np.float32]:
        """Read the values without looking at them: (z, y, x) float32.

        Raises
        ------
        SirenError
            If the map cannot be read.
        """
        if self.array is not None:
            return np.asarray(self.array(), np.float32)
        assert self.path is not None
        # the grid is read with a look at the axes, which is needed once
        return read_map(self.path)[0] if self.grid is None else read_values(self.path)

    def has_nan_corner(self) -> bool:
        """Whether the first voxel is not a number, as where all outside a mask is NaN.

        Raises
        ------
        SirenError
            If the map cannot be read.
        """
        if self.array is not None:
            return bool(np.isnan(np.asarray(self.array()).flat[0]))
        assert self.path is not None
        return bool(np.isnan(first_value(self.path)))
