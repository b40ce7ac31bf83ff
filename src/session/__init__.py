"""What lives in a ChimeraX session: jobs, surfaces, edits, figures."""
