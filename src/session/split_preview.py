"""The pieces that a block would be split into, shown on its surface before it is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..core.blocks.editing import pieces
from ..core.blocks.parameters import SplitParameters
from ..core.figures.colors import RGB
from .edits import free_colors, grid_of
from .surfaces import BlockMap, own_color


class SplitPreview:
    """Colors the surface of a block by its pieces, in the colors that they would get; nothing else
    changes until it ends.

    Parameters
    ----------
    block : an open block
    """

    def __init__(self, block: BlockMap):
        self.block = block
        self._voxels, self._grid = block.voxels, grid_of(block)
        self._known: dict[SplitParameters, list[NDArray[np.int64]]] = {}
        self._nearest: NDArray[np.int64] | None = None
        self._surface: Any = None
        self._before: tuple[Any, Any] = (None, None)

    @property
    def holds(self) -> bool:
        """Whether the block is still there as it was."""
        return not self.block.deleted and self.block.voxels is self._voxels

    def show(self, parameters: SplitParameters) -> list[tuple[int, RGB]]:
        """Color the pieces, and return the voxels and the color of each, largest first."""
        found = self._known.get(parameters)
        if found is None:
            found = self._known[parameters] = pieces(self._voxels, self._grid, parameters)
        colors = [own_color(self.block), *free_colors(self.block.parent, len(found) - 1)]
        if self.block.surfaces:
            self._color(found, colors)
        return [(len(part), color) for part, color in zip(found, colors, strict=True)]

    def _color(self, found: list[NDArray[np.int64]], colors: list[RGB]) -> None:
        surface = self.block.surfaces[0]
        if surface is not self._surface:
            self._surface = surface
            self._before = surface.vertex_colors, surface.auto_recolor_vertices
            self._nearest = None
        if self._nearest is None or len(self._nearest) != len(surface.vertices):
            kji = np.stack(np.unravel_index(self._voxels, self._grid.shape), axis=1)
            tree = cKDTree(kji[:, ::-1])
            self._nearest = tree.query(self.block.data.xyz_to_ijk(surface.vertices))[1]
        piece = np.zeros(len(self._voxels), np.int64)
        for k, part in enumerate(found):
            piece[np.searchsorted(self._voxels, part)] = k
        shades = np.array([(*c, surface.rgba[3]) for c in colors])
        surface.vertex_colors = np.round(255 * shades[piece[self._nearest]]).astype(np.uint8)

    def end(self) -> None:
        """Color the surface as before; one that an edit has changed stays as the edit left it."""
        surface, self._surface = self._surface, None
        if surface is not None and not surface.deleted and self.holds:
            surface.vertex_colors, surface.auto_recolor_vertices = self._before
