"""Steps with their output folders and records, estimates, and previews."""
