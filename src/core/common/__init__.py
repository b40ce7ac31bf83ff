"""What every other room of core uses.

errors (SirenError, Cancelled), progress (Progress: steps, stop, timings), parameters (parameter,
Parameters), constants (the tuned numbers), files (atomic_file, atomic_folder: complete or not there
at all), devices, versions.

May import: nothing.
"""
