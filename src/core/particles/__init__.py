"""From volumes to the particles that they stand for."""
