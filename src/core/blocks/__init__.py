"""From contour levels to structural blocks.

occupancy (binarize), sketch (sketch), expand (expand), screening (prepare_screening, screen),
stability, editing, blockset (BlockSet, read_blocks_file). statistics/ has the rules by which
voxels form blocks, one module each.

May import: common, maps, compute.
"""
