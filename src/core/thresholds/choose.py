"""Which maps are worth labelling by eye.

Example::

    from pathlib import Path

    from chimerax.siren.core import find_ensemble
    from chimerax.siren.core.thresholds.choose import choose_maps
    from chimerax.siren.core.thresholds.labels import write_template
    from chimerax.siren.core.thresholds.tables import read_predictions

    ensemble = find_ensemble(["volumes"])
    proposals = choose_maps(ensemble, read_predictions(Path("siren/predictions.csv")), 20)
    write_template(Path("to_label.csv"), [p.file for p in proposals], ensemble.all_names)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from ..maps.grid import fourier_resample
from .tables import Predictions

LOOK_BOX = 16  # voxels a side of the copies that are compared
PHASE = "comparing maps"


@dataclass(frozen=True)
class Proposal:
    """A map worth labelling, and why.

    Attributes
    ----------
    file : str
    reason : a few words
    """

    file: str
    reason: str


def choose_maps(
    ensemble: Ensemble, predictions: Predictions, count: int, progress: Progress | None = None
) -> list[Proposal]:
    """The maps whose labels teach most: over the whole range of levels, unlike each other, and
    where the network is unsure.

    Maps in the order of their predicted normalised level are cut into ``count`` runs of equal
    length. Each run gives one map, so that labels span the levels. The runs are gone through from
    the outermost to the middle; a run gives the map with the largest product of its expected error
    and its distance (1 - correlation of the 16^3 copies) to the nearest map chosen before. The
    first has no such distance: the most uncertain is taken. Flagged maps are passed over: nobody
    can tell their level. Nothing is drawn at random.

    Parameters
    ----------
    ensemble : Ensemble of the maps
    predictions : theirs; without expected errors the distance decides alone
    count : how many; all that are not flagged where there are fewer

    Raises
    ------
    SirenError
        If a map has no prediction, or all are flagged.
    """
    progress = progress or Progress()
    found = {r.file: r for r in predictions.rows}
    missing = next((n for n in ensemble.names if n not in found), None)
    if missing is not None:
        raise SirenError(
            f'No prediction for {missing}: run "siren predict" again, or give the '
            "predictions of this folder."
        )
    rows = sorted(
        (found[n] for n in ensemble.names if not found[n].flags),
        key=lambda r: (r.prediction, r.vol_id),
    )
    if not rows:
        raise SirenError(
            "Every map is flagged in the predictions: there is none whose level could "
            "be told by eye."
        )
    looks = _looks(ensemble, {r.file for r in rows}, progress)
    nearest = np.full(len(rows), np.inf)
    proposals: dict[int, Proposal] = {}
    for run in _outer_first(np.array_split(np.arange(len(rows)), min(count, len(rows)))):
        error = np.array(
            [1.0 if rows[i].spread is None else float(rows[i].spread or 0) for i in run]
        )
        best = int(run[np.argmax(error * np.where(np.isfinite(nearest[run]), nearest[run], 1.0))])
        row = rows[best]
        reason = f"normalised level {row.prediction:.3f}" + (
            "" if row.spread is None else f" +- {row.spread:.3f}"
        )
        if np.isfinite(nearest[best]):
            reason += f"; correlation with the likest chosen before {1 - nearest[best]:.2f}"
        proposals[best] = Proposal(row.file, reason)
        likeness = np.array([looks[r.file] @ looks[row.file] for r in rows])
        nearest = np.minimum(nearest, 1 - likeness)
    return [proposals[i] for i in sorted(proposals)]


def _outer_first(runs: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    order: list[NDArray[np.intp]] = []
    while runs:
        order.append(runs.pop(0))
        if runs:
            order.append(runs.pop())
    return order


def _looks(
    ensemble: Ensemble, chosen: set[str], progress: Progress
) -> dict[str, NDArray[np.float64]]:
    """Copies of 16^3 voxels less their mean, of length 1, flat."""
    result = {}
    for source in progress.each(ensemble.sources, PHASE, len(ensemble)):
        if source.name in chosen:
            look = (
                fourier_resample(ensemble.array(source), (LOOK_BOX,) * 3).astype(np.float64).ravel()
            )
            look -= look.mean()
            result[source.name] = look / max(float(np.linalg.norm(look)), 1e-30)
    return result
