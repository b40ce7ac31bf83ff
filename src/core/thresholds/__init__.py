"""Contour levels of volumes: normalization, prediction by a network, labels, tables."""
