"""Simulated ensembles with known blocks.

example (simulate), example_folder (write_example: the same as files), pseudoprotein (its
structure).

May import: common, maps.
"""
