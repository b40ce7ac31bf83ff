"""Everything tied to a ChimeraX session: jobs, surfaces, edits, figures."""
