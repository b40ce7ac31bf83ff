"""Pages of the SIREn panel, small Qt widgets that run ``siren ...`` commands.

One module per page or bar: ensemble, run, blocks, plots, screening, header, runbar. state holds the
user's choices; commands and steps turn them into command lines. fields makes the input fields of a
step from its parameters.

May import: commands.arguments, session, core.
"""
