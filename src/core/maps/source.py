"""One map of an ensemble: a file, or an array in memory."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..common.errors import JunkMap, typed
from .grid import Grid
from .mapfile import first_value, is_packed, read_grid, read_map, read_values, zip_member

#: Of a file: device, number, bytes, and when its content and its entry in the folder changed.
Stamp = tuple[int, int, int, int, int]


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

    @property
    def is_slow(self) -> bool:
        """Whether reading the map takes far longer than to copy it from a file that the operating
        system has at hand: it is compressed, or made on reading.
        """
        return self.path is None or is_packed(self.path)

    def stamp(self) -> Stamp | None:
        """What changes when the file is written or replaced; None for a map in memory, and for a
        file that is gone.
        """
        if self.path is None:
            return None
        member = zip_member(self.path)
        try:
            found = os.stat(self.path if member is None else member[0])
        except (OSError, ValueError):
            return None
        return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

    def read(self, checked: bool = False) -> NDArray[np.float32]:
        """Read the values: (z, y, x) float32.

        Parameters
        ----------
        checked : bool
            The same file was read before, and its values are fit for use.

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
        if checked:
            return data
        # any NaN or infinity shows in a sum of squares, which is faster than looking for them
        few, flat = data[0, 0], data.ravel()
        if len(few) > 1 and few[0] != few[1] and np.isfinite(np.dot(flat, flat)):
            return data
        low, high = float(data.min()), float(data.max())  # it shows in one of them, too
        if not (np.isfinite(low) and np.isfinite(high)):
            raise JunkMap(
                f"{self.name} has values that are not finite numbers: use "
                f'"exclude {typed(self.name)}".',
                "values not finite",
            )
        if low == high:
            raise JunkMap(
                f"{self.name} is constant (every voxel is {low:g}): use "
                f'"exclude {typed(self.name)}".',
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
