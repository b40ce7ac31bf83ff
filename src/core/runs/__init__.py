"""The steps as the commands run them, with output folders and records.

steps (run_sketch, run_expand, run_edit, run_states, open_run), record (Record: run.json), estimates
(time and memory before a run), preview (an ensemble at a glance).

May import: common, maps, compute, blocks, thresholds, analysis, simulation.
"""
