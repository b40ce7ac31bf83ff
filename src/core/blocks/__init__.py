"""From occupancy to blocks."""
