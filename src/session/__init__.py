"""What lives in a ChimeraX session.

jobs (run_job: work in the background), surfaces (BlockMap, open blocks), edits (undo and redo),
inputs (what the user named, as paths and parameters), colors, figures, log.

May import: core.
"""
