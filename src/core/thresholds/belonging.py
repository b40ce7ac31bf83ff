"""Whether levels belong to the maps they are used for: names alone do not tell.

Example::

    from pathlib import Path

    from chimerax.siren.core import SketchParameters, find_ensemble, run_sketch
    from chimerax.siren.core.thresholds.belonging import of_these_maps
    from chimerax.siren.core.thresholds.tables import levels_of, read_table

    ensemble = find_ensemble(["volumes"])
    table = read_table(Path("siren/predictions.csv"), ensemble.all_names, ensemble.names)
    ensemble, notes = of_these_maps(table, ensemble)
    run_sketch(ensemble, levels_of(table, ensemble), "mine", SketchParameters(), Path("siren"))
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..common.errors import JunkMap
from ..maps.ensemble import Ensemble, Source
from .network import BOX
from .normalize import value_range
from .preprocess import downsample
from .tables import FINGERPRINT, ThresholdTable

# relative difference of vol_max between a table without fingerprints and its maps: formula and maps
# are the same, or the published tool's own
OWN_TOLERANCE, PUBLISHED_TOLERANCE = 1e-3, 0.25


def of_these_maps(table: ThresholdTable, ensemble: Ensemble) -> tuple[Ensemble, list[str]]:
    """Make sure that the levels of a table are used for the maps that they belong to.

    A table of another ensemble may have the same file names, and maps may have changed since.

    Returns
    -------
    ensemble : Ensemble
        Reading a map whose fingerprint is not that in the table is an error from now on.
    notes : list of str
        A sentence if the table has no fingerprints, and its statistics are those of other maps.

    Raises
    ------
    SirenError
        If one of the maps that are looked at cannot be read.
    """
    if table.fingerprints:
        return ensemble.expecting(table.fingerprints, other_maps(table.path)), []
    tolerance = OWN_TOLERANCE if table.own else PUBLISHED_TOLERANCE
    known = [s for s in ensemble.sources if s.name in table.ranges]
    looked = [known[i] for i in sorted({0, len(known) // 2, len(known) - 1})] if known else []
    for source in looked:
        there, here = table.ranges[source.name].vol_max, _highest(ensemble, source)
        if any(abs(h - there) <= tolerance * abs(h) for h in here):
            return ensemble, []
    if not looked:
        return ensemble, []
    return ensemble, [
        f"{table.path.name} seems to be of other volumes with the same names: vol_max of "
        f"{looked[0].name} is {table.ranges[looked[0].name].vol_max:.4g} there and "
        f"{_highest(ensemble, looked[0])[0]:.4g} in the map. Its contour levels are used all the "
        'same; run "siren predict" again if you are not sure.'
    ]


def other_maps(table: Path) -> str:
    """The error if a map is not that of the table's row; ``{name}`` is the map."""
    return (
        f"{{name}} is not the map that {table} has a contour level for: it was changed "
        'since, or the table is of other volumes with the same names. Run "siren predict" '
        "again, or, if the level is right all the same, empty its cell in the column "
        f"{FINGERPRINT}."
    )


def _highest(ensemble: Ensemble, source: Source) -> list[float]:
    """``vol_max`` of a map as it is, and as the network sees it."""
    try:
        array = ensemble.array(source)
        forms = [array, downsample(source, array, ensemble.grid, BOX)[0]]
        return [value_range(form, source.name).vol_max for form in forms]
    except JunkMap:
        return [np.nan]
