"""The ``siren ...`` commands, one module for each family.

Each module has the functions of its commands, and descriptions(), which says what arguments they
take; COMMANDS in cmd.py lists which command is in which module. arguments parses volumes and
blocks, levels finds out where contour levels come from.

May import: session, core.
"""
