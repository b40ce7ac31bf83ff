"""Maps as files, grids and ensembles.

mapfile (read_map, write_map), grid (Grid: shape, voxel size, origin), ensemble (find_ensemble,
Ensemble: maps on one grid, read one after the other).

May import: common.
"""
