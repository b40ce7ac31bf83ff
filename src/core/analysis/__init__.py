"""Which block is in which volume, and how blocks depend on each other.

block_occupancy (measure_states, representatives), relations (relations), selection (Selection), subsets
(choose_volumes, average_maps), series (series_of), matching (match_blocks), replication, landscape
(landscape: the volumes as points).

May import: common, maps, blocks.
"""
