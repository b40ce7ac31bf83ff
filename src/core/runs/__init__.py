"""Steps with their folders and records."""
