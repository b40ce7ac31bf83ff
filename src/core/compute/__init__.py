"""Backends that count voxel pairs, and their need for memory and time."""
