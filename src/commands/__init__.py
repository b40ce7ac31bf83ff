"""The ``siren ...`` commands: one module for each family."""
