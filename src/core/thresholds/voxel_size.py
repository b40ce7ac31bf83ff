"""Voxel size of a map, as input of the compact network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..maps.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor

_REFERENCE = 3.0  # A


def known_voxel_size(grid: Grid, box: int) -> float | None:
    """Voxel size in A after resampling to a cube of ``box`` voxels per side.

    None if the header has 1.0, which usually means that it was never set.
    """
    if all(abs(v - 1) < 1e-6 for v in grid.voxel_size):
        return None
    return max(n * v for n, v in zip(grid.shape, grid.voxel_size[::-1], strict=True)) / box


def encode_voxel_size(voxel_size: Sequence[float | None]) -> Tensor:
    """(n, 2) float32: log of each size relative to 3 A, and 1; 0 and 0 if unknown."""
    import torch  # the caller has made sure that it is installed

    rows: list[Any] = [
        (0.0, 0.0) if v is None else (math.log(v / _REFERENCE), 1.0) for v in voxel_size
    ]
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 2)
