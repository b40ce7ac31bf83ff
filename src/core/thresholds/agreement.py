"""Agreement of predicted levels with levels set by eye."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .labels import Label
from .normalize import normalize_level
from .tables import Prediction


@dataclass(frozen=True)
class LabeledPrediction:
    """A volume with its label and its prediction."""

    label: Label
    prediction: Prediction

    @property
    def error(self) -> float:
        """Predicted level minus label, in the volume's units."""
        return self.prediction.level - self.label.level

    @property
    def normalized_label(self) -> float:
        """The label on the normalized scale."""
        return normalize_level(self.label.level, self.prediction.range)

    @property
    def within(self) -> bool | None:
        """Whether the prediction lies within the label's bounds; None unless it has both."""
        if self.label.lower is None or self.label.upper is None:
            return None
        return self.label.lower <= self.prediction.level <= self.label.upper


@dataclass(frozen=True)
class Agreement:
    """Agreement of predictions with labels.

    Attributes
    ----------
    rows : tuple of LabeledPrediction
        At least one.
    unpredicted : tuple of str
        Labeled volumes without a prediction.
    notes : tuple of str
        Labels that were left out, and how others were matched, one sentence each, for the log.
    """

    rows: tuple[LabeledPrediction, ...]
    unpredicted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of labeled volumes with a prediction."""
        return len(self.rows)

    @cached_property
    def errors(self) -> NDArray[np.float64]:
        """(n,) normalized prediction minus normalized label; the range of a map is 2."""
        return np.array([r.prediction.prediction - r.normalized_label for r in self.rows])

    @property
    def metrics(self) -> dict[str, float | int | None]:
        """RMSE, MAE and bias, normalized and in the maps' units, correlations, and bounds met."""
        units = np.array([r.error for r in self.rows])
        label, predicted = (
            np.array(v)
            for v in zip(*((r.label.level, r.prediction.level) for r in self.rows), strict=True)
        )
        return {
            "count": self.count,
            **{f"normalized_{k}": v for k, v in _error_metrics(self.errors).items()},
            **_error_metrics(units),
            "correlation": _correlation(label, predicted),
            "normalized_correlation": _correlation(
                np.array([r.normalized_label for r in self.rows]),
                np.array([r.prediction.prediction for r in self.rows]),
            ),
            "within_bounds": self.within,
            "with_bounds": self.bounded,
        }

    @property
    def rmse(self) -> float:
        """Root mean square of the normalized errors."""
        return _error_metrics(self.errors)["rmse"]

    @property
    def mae(self) -> float:
        """Mean absolute normalized error."""
        return _error_metrics(self.errors)["mae"]

    @property
    def bias(self) -> float:
        """Mean normalized error: negative if predictions are too low."""
        return _error_metrics(self.errors)["bias"]

    @property
    def within(self) -> int:
        """Number of predictions within the label's bounds."""
        return sum(bool(r.within) for r in self.rows)

    @property
    def bounded(self) -> int:
        """Number of labels with both bounds."""
        return sum(r.within is not None for r in self.rows)

    def text(self) -> str:
        """One sentence for the log."""
        f = self.metrics
        text = (
            f"{self.count} labeled volume{'s' * (self.count != 1)}: RMSE {self.rmse:.3f}, MAE "
            f"{self.mae:.3f}, bias "
            f"{self.bias:+.3f} of the normalized level (range 2); in the maps' "
            f"units RMSE {f['rmse']:.3g}, MAE {f['mae']:.3g}, bias {f['bias']:+.3g}"
        )
        if f["correlation"] is not None:
            text += f"; correlation {f['correlation']:.2f}"
        return text + (
            f"; {self.within} of {self.bounded} predictions within the label's bounds"
            if self.bounded
            else ""
        )


def _error_metrics(errors: NDArray[np.float64]) -> dict[str, float]:
    return {
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "mae": float(np.mean(np.abs(errors))),
        "bias": float(np.mean(errors)),
    }


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    """Pearson correlation; None for fewer than 3 pairs, or if one variable is constant."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])
