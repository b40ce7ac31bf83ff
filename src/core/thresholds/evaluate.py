"""Predicted thresholds against levels that a person chose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..ensemble import Ensemble
from .normalise import normalise_level
from .tables import Predictions, match_labels, read_labels


@dataclass(frozen=True)
class Agreement:
    """How well predictions fit labels.

    Attributes
    ----------
    count : labelled volumes that have a prediction
    rmse, mae : of the normalised level (the map's range is 2)
    within : how many predictions lie within the label's bounds
    bounded : how many labels have both bounds
    """

    count: int
    rmse: float
    mae: float
    within: int
    bounded: int

    def text(self) -> str:
        """One sentence for the log."""
        text = f"{self.count} labelled volumes: RMSE {self.rmse:.3f}, MAE {self.mae:.3f} of the normalised level (range 2)"
        return text + (f"; {self.within} of {self.bounded} predictions within the label's bounds" if self.bounded else "")


def compare(predictions: Predictions, labels: Path, ensemble: Ensemble) -> Agreement:
    """Compare predictions with a labels csv (``template.csv`` of the published tool).

    Raises
    ------
    SirenError
        If the table cannot be read or names volumes that are not in the ensemble.
    """
    matched = dict(match_labels(read_labels(labels), labels, ensemble))
    rows = [r for r in predictions.rows if r.file in matched]
    errors = np.array([r.prediction - normalise_level(matched[r.file].level, r.range) for r in rows])
    within = bounded = 0
    for r in rows:
        lower, upper = matched[r.file].lower, matched[r.file].upper
        if lower is not None and upper is not None:
            bounded += 1
            within += lower <= r.level <= upper
    return Agreement(len(rows), float(np.sqrt(np.mean(errors**2))), float(np.mean(np.abs(errors))), within, bounded)
