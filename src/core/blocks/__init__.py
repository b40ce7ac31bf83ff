"""From contour levels to structural blocks.

occupancy (binarize), sketch (sketch), expand (expand), screening (prepare_screening, screen),
stability, editing, blockset (BlockSet, read_blocks_file); level_harmonization and outliers (levels
and junk volumes), communities, presence (which volumes have a block), evidence and verdicts (does
a block stand?). statistics/ has the rules by which voxels form blocks, one module each.

May import: common, maps, compute.
"""
