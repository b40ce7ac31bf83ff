"""Where pairs of voxels are counted, and what that takes."""
