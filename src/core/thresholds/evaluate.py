"""Predicted thresholds against levels that a person chose.

Example::

    from pathlib import Path

    from chimerax.siren.core.thresholds.evaluate import run_evaluation

    labels, predictions = Path("siren/labels.csv"), Path("siren/predictions.csv")
    result = run_evaluation(labels, predictions, Path("siren"))
    result.agreement.text(), result.plot
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..common.errors import SirenError, listed
from ..common.files import RECORD, set_edits_aside, sha256, whole_folder, write_json
from ..common.versions import versions
from ..maps.ensemble import Ensemble
from .agreement import Agreement, Compared
from .labels import Label, match_labels, read_labels
from .plots import sorted_plot, write_figure
from .tables import Prediction, Predictions, read_predictions, stem, write_table

EVALUATION_FOLDER = "evaluation"
TABLE_FILE, PLOT_STEM = "evaluation.csv", "evaluation"
COLUMNS = (
    "file",
    "lower_bound",
    "contour_level",
    "upper_bound",
    "predicted_level",
    "error",
    "normalized_label",
    "normalized_prediction",
    "normalized_error",
    "normalized_uncertainty",
    "within_bounds",
    "flag",
)


def compare(predictions: Predictions, labels: Path, ensemble: Ensemble) -> Agreement:
    """Compare predictions with a labels csv (``template.csv`` of the published tool).

    Raises
    ------
    SirenError
        If the table cannot be read, names volumes that are not in the ensemble, or none that has a
        prediction.
    """
    return _agreement(
        match_labels(read_labels(labels), labels, ensemble.all_names), predictions, labels
    )


def evaluate(labels: Path, predictions: Path) -> Agreement:
    """Compare two tables: a labels csv with a predictions csv, ours or the published tool's.

    Rows are matched by file name; a published table, which has none, and labels without
    ``map_file``, by ``vol_id``.

    Raises
    ------
    SirenError
        If a table cannot be read, or no labelled volume has a prediction.
    """
    chosen = read_labels(labels)
    table = read_predictions(predictions)
    named = {k: r for r in table.rows for k in (stem(r.file), r.file)}
    numbered = {str(r.vol_id): r for r in table.rows}

    def row_of(label: Label) -> Prediction | None:
        number = label.vol_id.removesuffix(".0")
        by_name = named.get(label.file) or named.get(stem(label.file)) if label.file else None
        unnamed = not label.file or all(r.file == str(r.vol_id) for r in table.rows)
        return by_name or (numbered.get(number) if unnamed else None)

    pairs = []
    for label in chosen:
        row = row_of(label)
        pairs.append((row.file if row else label.file or f"vol_id {label.vol_id}", label))
    return _agreement(pairs, table, predictions)


def _agreement(
    pairs: Sequence[tuple[str, Label]], predictions: Predictions, path: Path
) -> Agreement:
    found = {r.file: r for r in predictions.rows if np.isfinite(r.prediction)}
    rows = tuple(Compared(label, found[name]) for name, label in pairs if name in found)
    without = tuple(name for name, _ in pairs if name not in found)
    if not rows:
        raise SirenError(
            f"{path.name} has no prediction for any labelled volume "
            f"({listed(list(without))}): give tables of the same "
            "volumes."
        )
    return Agreement(rows, without)


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes
    ----------
    folder : where it was written
    agreement : Agreement
    aside : where an earlier, hand-edited folder of this name was moved, or None
    replaced : whether an earlier evaluation was replaced
    """

    folder: Path
    agreement: Agreement
    aside: Path | None
    replaced: bool

    @property
    def plot(self) -> Path:
        """The picture."""
        return self.folder / f"{PLOT_STEM}.png"


def run_evaluation(labels: Path, predictions: Path, output: Path) -> Evaluation:
    """Evaluate and write ``output``/evaluation: ``evaluation.csv``, the sorted plot as PNG and PDF,
    ``run.json`` with the figures.

    Raises
    ------
    SirenError
        As :func:`evaluate`; nothing is written then.
    """
    agreement = evaluate(labels, predictions)
    folder = output / EVALUATION_FOLDER
    with whole_folder(folder) as temporary:
        _write(temporary, agreement, {"labels": _file(labels), "predictions": _file(predictions)})
        aside = set_edits_aside(folder)
        replaced = folder.exists()
    return Evaluation(folder, agreement, aside, replaced)


def _write(folder: Path, agreement: Agreement, inputs: dict[str, object]) -> None:
    rows = sorted(agreement.rows, key=lambda r: (r.normalised_label, r.prediction.file))
    write_table(
        folder / TABLE_FILE,
        COLUMNS,
        (
            (
                r.prediction.file,
                _blank(r.label.lower),
                r.label.level,
                _blank(r.label.upper),
                r.prediction.level,
                r.error,
                r.normalised_label,
                r.prediction.prediction,
                r.prediction.prediction - r.normalised_label,
                _blank(r.prediction.spread),
                "" if r.within is None else str(r.within).lower(),
                "; ".join(r.prediction.flags),
            )
            for r in rows
        ),
    )
    write_figure(folder / PLOT_STEM, sorted_plot(agreement))
    write_json(
        folder / RECORD,
        {
            "format": "SIREn evaluation 1",
            **inputs,
            "figures": agreement.figures,
            "without_prediction": list(agreement.without),
            "versions": versions(),
            "outputs": {p.name: sha256(p) for p in sorted(folder.iterdir())},
        },
    )


def _file(path: Path) -> dict[str, str]:
    return {"path": str(path.absolute()), "sha256": sha256(path)}


def _blank(value: float | None) -> float | str:
    return "" if value is None else value
