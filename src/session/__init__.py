"""What lives in a ChimeraX session.

jobs (run_job: work in the background), surfaces (BlockMap: an open block), edits (with undo and
redo), paint_mode and split_preview (by the mouse and the slider), block_labels and legend, inputs
(from what the user named to paths and parameters), colors, figures, log.

May import: core.
"""
