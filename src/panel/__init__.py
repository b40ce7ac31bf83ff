"""Pages of the SIREn panel: small Qt widgets that run ``siren ...`` commands and show their
results.
"""
