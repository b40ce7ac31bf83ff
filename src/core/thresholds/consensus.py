"""Levels of an ensemble brought into line: its volumes share one density, each on a scale of its
own.

The network errs on each map by itself; the scale of a map is known better, from the voxels that are
occupied in nearly all. So each level moves towards the one that the ensemble shares on the common
scale, as far as the scales deserve it: see :func:`.level_harmonization.harmonized_levels`, which
does the same inside ``siren sketch`` with the statistic ``profile``.
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
    """Predictions whose levels follow the volumes' scales, and a sentence on what was done.

    Volumes with a flag take no part and keep their own level.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    rows : (V,) their predictions
    """
    good = [r.file for r in rows if not r.flags]
    if len(good) < constants.MIN_VOLUMES_TO_HARMONIZE:
        return list(rows), (
            f"Levels were not brought into line: {len(good)} volumes without a flag are too few."
        )
    chosen = ensemble.select(exclude=[r.file for r in rows if r.flags])
    own = {r.file: r.level for r in rows}
    occupancy = binarize(chosen, np.array([own[n] for n in chosen.names]), False, progress)
    agreed = harmonized_levels(occupancy.levels, read_anchors(chosen, occupancy, progress))
    if np.array_equal(agreed, occupancy.levels):
        return list(rows), (
            "Levels were not brought into line: no part is occupied in nearly all "
            "volumes, or the levels follow "
            "the volumes' scales already."
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
        f"Levels of {len(new):,} volumes were brought into line with each other: they "
        f"moved by {np.median(moved):.1%} "
        f"(median), {max(moved):.1%} at most."
    )
