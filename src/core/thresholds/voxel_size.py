"""The size of a map's voxels, as the compact network is told of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..maps.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor

_USUAL = 3.0  # A


def known_voxel_size(grid: Grid, box: int) -> float | None:
    """Edge in A of a map's voxels once it is in a cube of ``box`` voxels; None where the header
    gives 1.0, as if nobody had set it.
    """
    if all(abs(v - 1) < 1e-6 for v in grid.voxel_size):
        return None
    return max(n * v for n, v in zip(grid.shape, grid.voxel_size[::-1], strict=True)) / box


def encode_voxel_size(voxel_size: Sequence[float | None]) -> Tensor:
    """(n, 2) float32: logarithm of each size over a usual one, and 1; 0 and 0 where it is not
    known.
    """
    import torch  # the caller has made sure that it is there

    rows: list[Any] = [(0.0, 0.0) if v is None else (math.log(v / _USUAL), 1.0) for v in voxel_size]
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 2)
