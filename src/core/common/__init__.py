"""What every other room of core uses.

errors (SirenError, Cancelled), progress (Progress: steps, stop, timings), parameters (parameter,
Parameters), constants (the tuned numbers), files (whole_file, whole_folder: complete or not there
at all), devices, versions.

May import: nothing.
"""
