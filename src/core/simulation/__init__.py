"""Simulated ensembles with known blocks."""
