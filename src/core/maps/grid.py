"""Grids of maps, and resampling in Fourier space.

Arrays are z, y, x. Points, voxel sizes and origins are x, y, z, in Angstrom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..common.errors import SirenError

Shape = tuple[int, int, int]
Triple = tuple[float, float, float]
# a map is padded to a cube of at most so many times its voxels, unless the cube is small: a slab
# of a tenth of its sides has 10 times
MAX_PADDING, MIN_REFUSED_VOXELS = 100, 256**3
SLAB = 32  # planes transformed at a time


@dataclass(frozen=True)
class Grid:
    """The grid of a map.

    Attributes
    ----------
    shape : tuple of int
        Voxels along z, y, x.
    voxel_size : tuple of float
        Voxel edges along x, y, z, in Angstrom.
    origin : tuple of float
        Position x, y, z of voxel (0, 0, 0), in Angstrom.
    """

    shape: Shape
    voxel_size: Triple
    origin: Triple = (0.0, 0.0, 0.0)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def voxel_volume(self) -> float:
        """Volume of one voxel, cubic Angstrom."""
        return float(np.prod(self.voxel_size))

    def points(self, voxels: NDArray[np.integer]) -> NDArray[np.float64]:
        """Positions (n, 3) x, y, z in Angstrom of voxels given by flat indices (n,)."""
        zyx = np.stack(np.unravel_index(voxels, self.shape), axis=1)
        return zyx[:, ::-1] * np.asarray(self.voxel_size) + np.asarray(self.origin)

    def as_json(self) -> dict[str, list[float]]:
        """The grid for a JSON file."""
        return {
            "shape_zyx": list(self.shape),
            "voxel_size_xyz": list(self.voxel_size),
            "origin_xyz": list(self.origin),
        }

    @classmethod
    def from_json(cls, content: Any) -> Grid:
        """The grid of :meth:`as_json`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If ``content`` is not a grid.
        """
        z, y, x = (int(n) for n in content["shape_zyx"])
        voxel_x, voxel_y, voxel_z = (float(v) for v in content["voxel_size_xyz"])
        origin_x, origin_y, origin_z = (float(o) for o in content["origin_xyz"])
        if min(z, y, x) < 1 or not all(v > 0 for v in (voxel_x, voxel_y, voxel_z)):
            raise ValueError("a grid without voxels")
        return cls((z, y, x), (voxel_x, voxel_y, voxel_z), (origin_x, origin_y, origin_z))

    def text(self) -> str:
        """The grid as text, x, y, z: ``64 x 64 x 64, 6.55 A/voxel``."""
        x, y, z = self.voxel_size
        edge = (
            f"{x:.4g}"
            if max(abs(y - x), abs(z - x)) <= 1e-3 * x
            else (f"{x:.4g} x {y:.4g} x {z:.4g}")
        )
        return f"{' x '.join(str(n) for n in self.shape[::-1])}, {edge} A/voxel"


def fourier_resample(array: NDArray[np.floating], shape: Shape) -> NDArray[np.float32]:
    """Crop or pad the centered Fourier transform of a map to another box.

    Voxel (0, 0, 0) keeps its position, and values keep their scale: they are multiplied by the
    ratio of new to old numbers of voxels. Frequencies outside the smaller box are dropped.

    Parameters
    ----------
    array : (z, y, x) array
    shape : tuple of int
        Voxels of the result along z, y, x, each at least 1, odd or even.

    Returns
    -------
    (z, y, x) float32 array of the given shape.

    References
    ----------
    Cropping of the centered transform as in Kinman et al. 2025, doi 10.1016/j.str.2025.02.004.
    """
    if tuple(array.shape) == tuple(shape):
        return np.asarray(array, np.float32)
    # one axis at a time, so that cropped parts need no further transforms; in slabs, so that the
    # whole transform of a large map is never in memory
    slabs = []
    for start in range(0, array.shape[0], SLAB):
        slab: NDArray[np.inexact] = np.asarray(array[start : start + SLAB], np.float32)
        for axis in (2, 1):
            slab = _crop_or_pad(scipy.fft.fft(slab, axis=axis), shape[axis], axis)
        slabs.append(slab)
    transform = _crop_or_pad(scipy.fft.fft(np.concatenate(slabs), axis=0), shape[0], 0)
    scale = np.float32(np.prod(shape, dtype=float) / array.size)
    return np.ascontiguousarray(
        scipy.fft.ifftn(transform, overwrite_x=True).real * scale, dtype=np.float32
    )


def _crop_or_pad(transform: NDArray[np.inexact], new: int, axis: int) -> NDArray[np.inexact]:
    """Keep the ``new`` lowest frequencies along an axis in FFT order, padded with zeros."""
    old = transform.shape[axis]
    kept = min(old, new)
    low, high = (kept + 1) // 2, kept // 2  # frequencies >= 0, and < 0
    shape = list(transform.shape)
    shape[axis] = new
    result = np.zeros(shape, transform.dtype)
    for part in (slice(0, low), slice(-high, None) if high else slice(0, 0)):
        index = tuple(part if a == axis else slice(None) for a in range(transform.ndim))
        result[index] = transform[index]
    return result


def to_box(array: NDArray[np.floating], grid: Grid, box: int) -> tuple[NDArray[np.float32], Grid]:
    """Resample a map to a cube of ``box`` voxels per side that overlays the original.

    A map that is not cubic is first padded at its high ends to a cube in Angstrom, with the median
    of its faces.

    Parameters
    ----------
    array : (z, y, x) array
    grid : Grid
        Its grid.
    box : int
        Voxels per side of the result, 8 or more.

    Returns
    -------
    array : (box, box, box) float32, z, y, x
    grid : Grid
        Same origin; voxel size = extent / box.

    Raises
    ------
    SirenError
        If the box is too small.
    """
    new_grid, padded = box_grid(grid, box), _cube(grid)
    try:
        if padded != grid.shape:
            fill = np.float32(np.median(box_faces(array)))
            width = [(0, new - old) for old, new in zip(grid.shape, padded, strict=True)]
            array = np.pad(np.asarray(array, np.float32), width, constant_values=fill)
        return fourier_resample(array, (box, box, box)), new_grid
    except MemoryError as error:
        raise SirenError(
            f"There is not enough memory to resample maps of {grid.text()}: close other programs, "
            "or resample the maps elsewhere."
        ) from error


def box_grid(grid: Grid, box: int) -> Grid:
    """The grid of :func:`to_box`.

    Raises
    ------
    SirenError
        If the box is too small, or the voxel size cannot be right.
    """
    if box < 8:
        raise SirenError(f"A box of {box} voxels is too small: give 8 or more.")
    sizes = [p * s / box for p, s in zip(_cube(grid), grid.voxel_size[::-1], strict=True)]
    return Grid((box, box, box), (sizes[2], sizes[1], sizes[0]), grid.origin)


def _cube(grid: Grid) -> Shape:
    """Voxels along z, y, x of the cube in Angstrom around a map.

    Raises
    ------
    SirenError
        If a voxel edge is no number above 0, or the cube has far more voxels than the map: the
        header lies.
    """
    axes = list(zip(grid.shape, grid.voxel_size[::-1], strict=True))
    if all(np.isfinite(s) and s > 0 for _, s in axes):
        edge = max(n * s for n, s in axes)
        # as floats first: the numbers may be beyond any integer
        along = [max(n, float(edge) / s) for n, s in axes]
        if float(np.prod(along)) <= max(MAX_PADDING * grid.size, MIN_REFUSED_VOXELS):
            z, y, x = (round(n) for n in along)
            return z, y, x
    raise SirenError(
        f"The headers say {' x '.join(f'{s:.4g}' for s in grid.voxel_size)} A for voxels, "
        f"{' x '.join(str(n) for n in grid.shape[::-1])} of them, which cannot be: the "
        'cube around such a map does not fit into memory. Give "voxelSize" if you know it, or '
        "correct the headers."
    )


def box_faces(array: NDArray[np.floating]) -> NDArray[np.floating]:
    """Values on the six faces of a map, flat."""
    return np.concatenate(
        [array.take(side, axis=axis).ravel() for axis in range(3) for side in (0, -1)]
    )
