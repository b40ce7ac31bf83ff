"""The ``siren ...`` commands, one module for each family.

Each module has the functions of its commands and descriptions(), which says what they take;
cmd.py beside this folder says which command lives where. arguments has what they take as volumes
and blocks, levels where contour levels come from.

May import: session, core.
"""
