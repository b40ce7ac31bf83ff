"""Ensembles made by decoders from simulated particles, with their truth; see ``README.md`` here."""
