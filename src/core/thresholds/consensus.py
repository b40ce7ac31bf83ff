"""Consensus of the predicted levels of an ensemble, whose volumes differ in scale.

The errors of the network are independent for each map, but the relative scale of the maps is known
more precisely, from voxels that are occupied in nearly all of them. Each level is therefore moved
toward the common level of the ensemble, transferred by the scales and weighted by their precision:
see :func:`.level_harmonization.harmonized_levels`, which ``siren sketch`` applies with the
statistic ``profile``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..blocks.level_harmonization import harmonized_levels, read_anchors
from ..blocks.occupancy import binarize
from ..common import constants
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from .normalize import normalize_level
from .tables import Prediction


def consensus_levels(
    ensemble: Ensemble, rows: Sequence[Prediction], progress: Progress
) -> tuple[list[Prediction], str]:
    """Harmonize the predicted levels of an ensemble; flagged volumes are excluded and keep theirs.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    rows : (V,) sequence of Prediction
    progress : Progress

    Returns
    -------
    rows : (V,) list of Prediction
    note : str
        What was done, one sentence for the log.

    Raises
    ------
    Cancelled
        If ``progress`` was asked to stop.
    """
    good = [r.file for r in rows if not r.flags]
    if len(good) < constants.MIN_VOLUMES_TO_HARMONIZE:
        return list(rows), (
            f"Levels were not harmonized: {len(good)} volumes without a flag are too few."
        )
    chosen = ensemble.select(exclude=[r.file for r in rows if r.flags])
    own = {r.file: r.level for r in rows}
    occupancy = binarize(chosen, np.array([own[n] for n in chosen.names]), False, progress)
    agreed = harmonized_levels(occupancy.levels, read_anchors(chosen, occupancy, progress))
    if np.array_equal(agreed, occupancy.levels):
        return list(rows), (
            "Levels were not harmonized: no part is occupied in nearly all volumes, or the "
            "levels already follow the volumes' scales."
        )
    new = dict(zip(occupancy.names, agreed.tolist(), strict=True))
    moved = [abs(new[n] / own[n] - 1) for n in new if own[n]]
    result = [
        replace(r, prediction=normalize_level(new[r.file], r.range), own=r.prediction)
        if r.file in new
        else r
        for r in rows
    ]
    return result, (
        f"Levels of {len(new):,} volumes were harmonized: they moved by {np.median(moved):.1%} "
        f"(median), {max(moved):.1%} at most."
    )
