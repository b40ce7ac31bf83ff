"""Evaluation of predicted levels against levels set by eye.

Example::

    from pathlib import Path

    from chimerax.siren.core.thresholds.evaluate import run_evaluation

    labels, predictions = Path("siren/labels.csv"), Path("siren/predictions.csv")
    result = run_evaluation(labels, predictions, Path("siren"))
    result.agreement.text(), result.plot
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..common.errors import SirenError, join_names
from ..common.files import (
    RECORD,
    atomic_folder,
    file_as_input,
    set_edits_aside,
    sha256,
    write_json,
)
from ..common.versions import versions
from ..maps.ensemble import Ensemble
from .agreement import Agreement, LabeledPrediction
from .labels import (
    Label,
    current_labels,
    match_labels,
    numbered_names,
    numbering_note,
    read_labels,
)
from .matching import stem, whole_number
from .plots import sorted_plot, write_figure
from .tables import Predictions, read_predictions, write_table

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
    """Compare predictions with a labels csv (laid out as the published ``template.csv``).

    Parameters
    ----------
    predictions : Predictions
    labels : Path
        Labels table.
    ensemble : Ensemble
        The volumes of the predictions.

    Raises
    ------
    SirenError
        If the table cannot be read, names volumes that are not in the ensemble, or none with a
        prediction.
    """
    return _agreement(
        match_labels(read_labels(labels), labels, ensemble.all_names),
        predictions,
        labels,
        labels,
        labels,
    )


def evaluate(labels: Path, predictions: Path) -> Agreement:
    """Compare two tables: a labels csv with a predictions csv, SIREn's or the published tool's.

    Rows are matched by file name, or by ``vol_id`` for published tables, which have no file names,
    and for labels without ``map_file``.

    Raises
    ------
    SirenError
        If a table cannot be read, or no labeled volume has a prediction.
    """
    chosen = read_labels(labels)
    table = read_predictions(predictions)
    named = {k: r for r in table.rows for k in (stem(r.file), r.file)}
    numbered = {r.vol_id: r.file for r in table.rows}
    # a table without file names counts as the labels do
    published = all(r.file == str(r.vol_id) for r in table.rows)
    if published:
        names = [numbered.get(_number(label), label.file) or label.file for label in chosen]
    else:
        unnamed = [label for label in chosen if not label.file]
        found = iter(numbered_names(unnamed, labels, numbered) if unnamed else ())
        names = [label.file or next(found) for label in chosen]
    rows = [named.get(name) or named.get(stem(name)) for name in names]
    pairs = [
        (row.file if row else name or f"vol_id {label.vol_id}", label)
        for row, name, label in zip(rows, names, chosen, strict=True)
    ]
    return _agreement(pairs, table, predictions, labels, None if published else labels)


def _number(label: Label) -> int:
    number = whole_number(label.vol_id)
    return -1 if number is None else number


def _agreement(
    pairs: Sequence[tuple[str, Label]],
    predictions: Predictions,
    path: Path,
    labels: Path,
    numbering: Path | None = None,
) -> Agreement:
    """Of pairs of file name and label; ``path`` is said to lack predictions, ``numbering`` is where
    the names of unnamed labels were worked out.
    """
    fingerprints = {r.file: r.fingerprint for r in predictions.rows if r.fingerprint}
    pairs, stale = current_labels(pairs, fingerprints, labels)
    found = {r.file: r for r in predictions.rows if np.isfinite(r.prediction)}
    rows = tuple(LabeledPrediction(label, found[name]) for name, label in pairs if name in found)
    unpredicted = tuple(name for name, _ in pairs if name not in found)
    if not rows:
        raise SirenError(
            f"{path.name} has no prediction for any labeled volume "
            f"({join_names(list(unpredicted))}): give tables of the same "
            "volumes."
        )
    notes = (numbering_note(pairs, numbering) if numbering else "", stale)
    return Agreement(rows, unpredicted, tuple(note for note in notes if note))


@dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes
    ----------
    folder : Path
        Output folder.
    agreement : Agreement
    aside : Path or None
        New path of an earlier folder of this name that was edited by hand.
    replaced : bool
        Whether the folder of an earlier evaluation was replaced.
    """

    folder: Path
    agreement: Agreement
    aside: Path | None
    replaced: bool

    @property
    def plot(self) -> Path:
        """The plot, as PNG."""
        return self.folder / f"{PLOT_STEM}.png"


def run_evaluation(labels: Path, predictions: Path, output: Path) -> Evaluation:
    """Evaluate two tables and write ``output``/evaluation.

    The folder has ``evaluation.csv``, the sorted plot as PNG and PDF, and ``run.json`` with the
    metrics.

    Raises
    ------
    SirenError
        As :func:`evaluate`, or if the folder cannot be written; nothing is written.
    """
    agreement = evaluate(labels, predictions)
    folder = output / EVALUATION_FOLDER
    with atomic_folder(folder) as temporary:
        named = {"labels": labels, "predictions": predictions}
        inputs = {name: file_as_input(path, temporary) for name, path in named.items()}
        _write(temporary, agreement, inputs)
        aside = set_edits_aside(folder)
        replaced = aside is None and folder.exists()
    return Evaluation(folder, agreement, aside, replaced)


def _write(folder: Path, agreement: Agreement, inputs: Mapping[str, object]) -> None:
    rows = sorted(agreement.rows, key=lambda r: (r.normalized_label, r.prediction.file))
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
                r.normalized_label,
                r.prediction.prediction,
                r.prediction.prediction - r.normalized_label,
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
            "figures": agreement.metrics,
            "without_prediction": list(agreement.unpredicted),
            "versions": versions(),
            "outputs": {p.name: sha256(p) for p in sorted(folder.iterdir())},
        },
    )


def _blank(value: float | None) -> float | str:
    return "" if value is None else value
