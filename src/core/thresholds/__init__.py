"""Thresholds of volumes: normalise, predict with a network, read and write their tables."""
