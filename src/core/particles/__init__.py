"""From volumes to the particles that they stand for; the only room that reads pickles, as data.

choose (choose_particles, read_sources, write_particles), places (find_files),
latent (volume_latent).

May import: common, analysis.
"""
