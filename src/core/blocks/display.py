"""How a block is drawn: the density whose surface at DISPLAY_LEVEL a person sees.

A bare mask contoured at 0.5 shows each voxel as an octahedron, and a sketch holds one voxel in two,
or one in forty of a large box. So the mask is smoothed as widely as the sampling needs, and divided
by the share that was sampled: what comes out is the share of the sampled voxels nearby that are in
the block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..maps.grid import Grid
from .blockset import BlockSet, box_around
from .evidence import connected_pieces

# smoothing and contour level at which a mask looks like a map while keeping its volume
DISPLAY_SIGMA = 0.75  # mean distances of sampled voxels: voxels where all are
DISPLAY_LEVEL = 0.35
DUST_VOXELS = 10  # of all voxels: smaller pieces are not drawn if the block has larger ones
# of the block: what is more is no dust. In a sample, the ends of thin parts come in pieces
MOST_DUST, MOST_SAMPLED_DUST = 0.5, 0.1
COMPLETE = 0.75  # share of its neighbors that a voxel has, above which all voxels were taken
SOLID_NEIGHBORS = 0.9  # the same for voxels of a molecule of which all were taken
LEAST_SHARE = 1e-3


def sampled_share(blocks: BlockSet, sampled: bool = True) -> float:
    """Share of the voxels of the molecule that were compared, above 0 to 1.

    A random part of the voxels has as large a part of each voxel's neighbors.

    Parameters
    ----------
    blocks : BlockSet, whose blocks and ``unassigned`` are the voxels compared
    sampled : whether they are a part of all voxels, as the record of their run says: 1 if not. Thin
        blocks of which all voxels are known have few neighbors, too
    """
    if not sampled:
        return 1.0
    held = np.zeros(blocks.grid.shape, bool)
    for _, voxels in blocks:
        held.ravel()[voxels] = True
    held.ravel()[blocks.unassigned] = True
    pairs = sum(
        np.count_nonzero(held.take(range(1, n), axis) & held.take(range(n - 1), axis))
        for axis, n in enumerate(held.shape)
    )
    neighbors = pairs / (3 * max(1, np.count_nonzero(held)))
    if neighbors >= COMPLETE:
        return 1.0
    return max(LEAST_SHARE, min(1.0, neighbors / SOLID_NEIGHBORS))


def middle_point(voxels: NDArray[np.int64], grid: Grid) -> NDArray[np.float64]:
    """Position x, y, z in Angstrom of the voxel nearest to the centroid of a block, so that the
    label of a ring is on the ring.

    Parameters
    ----------
    voxels : (n,) flat z, y, x indices; none: the origin of the grid
    """
    if not len(voxels):
        return np.array(grid.origin, np.float64)
    zyx = np.stack(np.unravel_index(voxels, grid.shape), axis=1)
    nearest = np.argmin(((zyx - zyx.mean(axis=0)) ** 2).sum(axis=1))
    return grid.points(voxels[nearest : nearest + 1])[0]


def smooth_mask(mask: NDArray[np.floating], share: float = 1.0) -> NDArray[np.float32]:
    """Smooth a (z, y, x) 0/1 mask for contouring at DISPLAY_LEVEL, without specks.

    Whatever is not a speck is inside the surface: a rod one voxel thick, too.

    Parameters
    ----------
    share : of all voxels that the mask was drawn from, see :func:`sampled_share`
    """
    inside = np.asarray(mask) > 0.5
    smooth = np.zeros(inside.shape, np.float32)
    sigma = DISPLAY_SIGMA * share ** (-1 / 3)
    # the filter reaches 4 SD; work on the part of the box that holds the block
    where = box_around(inside, 1 + int(4 * sigma))
    if where is None:
        return smooth
    inside = _without_dust(inside[where], share)
    drawn = ndimage.gaussian_filter(inside.astype(np.float32), sigma)
    drawn = np.minimum(drawn / np.float32(share), 1)
    thin = inside & (drawn < DISPLAY_LEVEL)  # too thin for the filter
    if thin.any():
        beads = ndimage.gaussian_filter(thin.astype(np.float32), sigma)
        beads *= np.float32(1.5 * DISPLAY_LEVEL) / beads[thin].min()
        drawn = np.maximum(drawn, np.minimum(beads, 1))
    smooth[where] = drawn
    return smooth


def _without_dust(inside: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """The mask without its small pieces, if it has larger ones that hold most of it."""
    zyx = np.argwhere(inside)
    if share >= COMPLETE:
        pieces, _ = ndimage.label(inside, structure=np.ones((3, 3, 3)))
        piece, most = pieces[inside], MOST_DUST
    else:
        piece, most = connected_pieces(zyx, share), MOST_SAMPLED_DUST
    dust = np.bincount(piece)[piece] < max(2, DUST_VOXELS * share)
    if not 0 < dust.mean() <= most:
        return inside
    kept = inside.copy()
    kept[tuple(zyx[dust].T)] = False
    return kept
