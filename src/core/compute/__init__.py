"""Where pairs of voxels are counted, and what it costs.

backends (open_backend: the processor, a graphics card or a Dask cluster), pair_tiles (the work in
tiles, and the protocol Backend), gpu, cluster, resources (Need: time and memory).

May import: common, maps.
"""
