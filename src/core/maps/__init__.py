"""Maps as files, grids and ensembles.

mapfile (read_map, write_map), grid (Grid: shape, voxel size, origin), ensemble (find_ensemble,
ensemble_from_arrays, Ensemble: maps on one grid).

May import: common.
"""
