"""Maps: files, grids and ensembles."""
