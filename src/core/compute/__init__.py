"""Where pairs of voxels are counted, and what that takes.

backends (open_backend: this computer's processor, a graphics card, or a Dask cluster), pair_tiles
(the work in parts, and Backend, what does it), gpu, cluster, resources (Need: seconds and memory).

May import: common, maps.
"""
