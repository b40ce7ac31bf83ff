"""Which block is in which volume, and how blocks depend on each other.

block_occupancy (measure_states, representatives), relations (relations).

May import: common, maps, blocks.
"""
