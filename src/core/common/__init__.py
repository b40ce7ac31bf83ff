"""Used by every other room of core.

errors (SirenError, Cancelled), progress (Progress: steps, stopping, timings), parameters
(parameter, Parameters), constants (tuned numbers), files (atomic_file, atomic_folder: written
completely or not at all; partial: meanwhile), reading, schema, tables (what others wrote), devices,
versions.

May import: nothing.
"""
