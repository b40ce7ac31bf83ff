"""Which block is in which volume, and how blocks depend on each other.

block_occupancy (measure_states, representatives), selection (Selection), relations (relations),
relate (relate), subsets (choose_volumes, average_maps), series (series_of), matching,
replication, annotation (annotate), masks, landscape (the volumes as points);
of any part: parts (mask_parts, chain_parts), part_occupancy (measure_occupancies), bimodality
(dip_test).

May import: common, maps, blocks.
"""
