"""SIREn's method in plain Python: no ChimeraX, no Qt, no printing.

Data flow: files -> Ensemble -> contour levels -> Occupancy -> sketch -> expand -> BlockSet -> maps
and tables. Arrays are z, y, x; points, voxel sizes and origins are x, y, z, in Angstrom.
"""
