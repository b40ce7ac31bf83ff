"""Pages of the SIREn panel, small Qt widgets that run ``siren ...`` commands.

One page or bar a module: ensemble, run, blocks, plots, screening, header, runbar. state holds what
the user has chosen, and commands and steps turn that into what a person would type. fields makes
the inputs from a step's parameters.

May import: commands.arguments, session, core.
"""
