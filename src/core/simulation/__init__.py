"""Simulated ensembles whose blocks are known.

example (simulate), example_folder (write_example: the same as files), pseudoprotein (the structure
in it).

May import: common, maps.
"""
