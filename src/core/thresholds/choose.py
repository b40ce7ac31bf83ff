"""Choice of maps to label by eye.

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

COMPARISON_BOX = 16  # voxels per side of the downsampled maps that are compared
PHASE = "comparing maps"


@dataclass(frozen=True)
class Proposal:
    """A map worth labeling.

    Attributes
    ----------
    file : str
        File name of the map.
    reason : str
        Why it was chosen, in a few words.
    """

    file: str
    reason: str


def choose_maps(
    ensemble: Ensemble, predictions: Predictions, count: int, progress: Progress | None = None
) -> list[Proposal]:
    """Choose the most informative maps to label: diverse, uncertain, and over the range of levels.

    Maps are sorted by predicted normalized level and split into ``count`` groups of equal size, and
    one map is chosen from each, so that the labels span the levels. Going from the outermost groups
    to the middle, each contributes the map with the largest product of its expected error and its
    distance (1 - correlation of the maps at 16^3) to the nearest map chosen before; the first
    contributes the most uncertain one. Flagged maps are skipped, since their level cannot be set by
    eye. The choice is deterministic.

    Parameters
    ----------
    ensemble : Ensemble
    predictions : Predictions
        Of these maps; without expected errors, only the distance counts.
    count : int
        Number of maps; all that are not flagged, if these are fewer.
    progress : Progress, optional

    Returns
    -------
    list of Proposal
        In the order of the predicted levels.

    Raises
    ------
    SirenError
        If a map has no prediction, or all are flagged.
    Cancelled
        If ``progress`` was asked to stop.
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
            "Every map is flagged in the predictions: none has a level that could be set by eye."
        )
    small = _small_maps(ensemble, {r.file for r in rows}, progress)
    nearest = np.full(len(rows), np.inf)
    proposals: dict[int, Proposal] = {}
    for group in _outer_first(np.array_split(np.arange(len(rows)), min(count, len(rows)))):
        error = np.array(
            [1.0 if rows[i].spread is None else float(rows[i].spread or 0) for i in group]
        )
        best = int(
            group[np.argmax(error * np.where(np.isfinite(nearest[group]), nearest[group], 1.0))]
        )
        row = rows[best]
        reason = f"normalized level {row.prediction:.3f}" + (
            "" if row.spread is None else f" +- {row.spread:.3f}"
        )
        if np.isfinite(nearest[best]):
            reason += f"; correlation with the most similar chosen before {1 - nearest[best]:.2f}"
        proposals[best] = Proposal(row.file, reason)
        similarity = np.array([small[r.file] @ small[row.file] for r in rows])
        nearest = np.minimum(nearest, 1 - similarity)
    return [proposals[i] for i in sorted(proposals)]


def _outer_first(groups: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    order: list[NDArray[np.intp]] = []
    while groups:
        order.append(groups.pop(0))
        if groups:
            order.append(groups.pop())
    return order


def _small_maps(
    ensemble: Ensemble, chosen: set[str], progress: Progress
) -> dict[str, NDArray[np.float64]]:
    """Maps at 16^3 voxels, flattened, with mean 0 and norm 1, by name."""
    result = {}
    for source in progress.each(ensemble.sources, PHASE, len(ensemble)):
        if source.name in chosen:
            values = (
                fourier_resample(ensemble.array(source), (COMPARISON_BOX,) * 3)
                .astype(np.float64)
                .ravel()
            )
            values -= values.mean()
            result[source.name] = values / max(float(np.linalg.norm(values)), 1e-30)
    return result
