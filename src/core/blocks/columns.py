"""The columns of blocks.csv, with what they say. No numpy here, so that the help page can be
written anywhere.
"""

from __future__ import annotations

COLUMNS = {
    "block": "number of the block, as in block_N.mrc",
    "voxels": "voxels in the block",
    "volume_A3": "volume of the block, in Å^3",
    "mean_occupancy": "share of the volumes in which a voxel of the block is occupied, mean of its "
    "voxels",
    "stability": "share of random halves of the volumes, at levels 10 to 25 % lower or higher, in "
    "which the block comes back; empty where "
    "that was not asked",
    "strength": "how strongly a voxel belongs to the block, mean of its voxels; empty where that "
    "was not asked",
    "centroid_x": "x of the block's centroid, in Å",
    "centroid_y": "y of the centroid",
    "centroid_z": "z of the centroid",
    "contrast": "by how much the block's density falls in volumes without it, as a share of its "
    "density in volumes with it",
    "solidity": "share of the voxels in connected pieces of 10 and more",
    "verdict": "solid, graded, moving, or doubtful with the reason",
}
