"""Maps that were moved against each other, on the grid of one of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .grid import Grid, box_faces

NEGLIGIBLE = 0.01  # voxels: as far as grids may differ, see agreement.check_same_grid


def is_moved(grid: Grid, placement: NDArray[np.floating]) -> bool:
    """Whether a placement moves any corner of a grid by more than NEGLIGIBLE voxels.

    Parameters
    ----------
    grid : Grid
    placement : (3, 4) array
        Rotation and shift, x, y, z in Angstrom.
    """
    last = [n - 1 for n in grid.shape[::-1]]
    corners = np.array(np.meshgrid(*([0, n] for n in last), indexing="ij"), float).reshape(3, -1)
    points = corners * np.array(grid.voxel_size)[:, None] + np.array(grid.origin)[:, None]
    moved = placement[:, :3] @ points + placement[:, 3:] - points
    return bool(np.abs(moved).max() > NEGLIGIBLE * min(grid.voxel_size))


def resampled_onto(
    array: NDArray[np.floating],
    grid: Grid,
    placement: NDArray[np.floating],
    target: Grid,
    order: int = 3,
) -> NDArray[np.float32]:
    """A map as it lies on another grid, by splines.

    Parameters
    ----------
    array : (z, y, x) array
    grid : Grid
        Its own grid.
    placement : (3, 4) array
        Rotation and shift from its own frame to that of the target, x, y, z in Angstrom.
    target : Grid
    order : of the splines: 3 cubic, 1 linear

    Returns
    -------
    (z, y, x) float32 array on the target; the median of the map's faces where it does not reach.
    """
    rotation = np.asarray(placement[:, :3], np.float64)
    # from a voxel of the target to a place in the array, first in x, y, z
    back = np.linalg.inv(rotation)
    steps, origin = np.array(grid.voxel_size), np.array(grid.origin)
    matrix = back * np.array(target.voxel_size) / steps[:, None]
    offset = (back @ (np.array(target.origin) - placement[:, 3]) - origin) / steps
    return np.asarray(
        ndimage.affine_transform(
            np.asarray(array, np.float32),
            matrix[::-1, ::-1],
            offset[::-1],
            output_shape=target.shape,
            output=np.float32,
            order=order,
            mode="constant",
            cval=float(np.median(box_faces(array))),
        )
    )
