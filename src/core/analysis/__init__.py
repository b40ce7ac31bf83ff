"""Which block is in which volume, and how blocks depend on each other.

block_occupancy (measure_states, representatives), relations (relations), selection, subsets
(choose_volumes, average_maps), series (series_of), matching (match_blocks), replication.

May import: common, maps, blocks.
"""
