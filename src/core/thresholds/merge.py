"""Add predictions to a table that has others: rows are merged, not replaced.

Example::

    from pathlib import Path

    from chimerax.siren.core import find_ensemble, predict_levels
    from chimerax.siren.core.thresholds.merge import merge_predictions

    nine = find_ensemble(["volumes"], include=["vol_00*"])
    merged = merge_predictions(Path("siren/predictions.csv"), predict_levels(nine))
    merged.notes  # what became of the rows that were there
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..common.errors import SirenError, join_names
from ..common.partial import changing
from ..common.tables import parse_number
from ..maps.mapfile import natural_key
from .matching import FILE, VOL_ID, file_name, matched_names
from .normalize import Range, denormalize_level
from .tables import (
    FINGERPRINT,
    LEVEL,
    Prediction,
    Predictions,
    read_rows,
    table_of,
    write_table,
)

# between a level and what its row predicts, as a share of the map's range: more is an edit by hand,
# less a spreadsheet's rounding
EDITED = 1e-4


def merge_predictions(
    path: Path,
    predictions: Predictions,
    vol_ids: Mapping[str, int] | None = None,
    keep_edited: bool = True,
) -> Predictions:
    """Write predictions into a table: new rows for these volumes, while all other rows stay.

    Parameters
    ----------
    path : Path
        predictions.csv, created if missing. A file that is no table of named volumes is kept under
        another name.
    predictions : Predictions
    vol_ids : mapping of int, optional
        Number of each volume of the folder, by name, to number all rows alike.
    keep_edited : bool
        Whether a level that was set by hand in the table stays, if its map is still the same.

    Returns
    -------
    Predictions
        The volumes that were predicted, as they stand in the table now, with notes on what became
        of the rows that were there.

    Raises
    ------
    SirenError
        If the file cannot be written.
    """
    with changing(path):
        return _merge(path, predictions, vol_ids, keep_edited)


def _merge(
    path: Path, predictions: Predictions, vol_ids: Mapping[str, int] | None, keep_edited: bool
) -> Predictions:
    notes: list[str] = []
    before, old_columns = _existing_rows(path, notes)
    places = _places(before, [row.file for row in predictions.rows])
    kept, replaced = dict(enumerate(before)), 0
    rows: list[Prediction] = []
    edited: list[Prediction] = []
    for row in predictions.rows:
        at = [i for i in places[row.file] if i in kept]
        old = kept[at[0]] if at else {}
        for i in at:
            del kept[i]
        same = not old.get(FINGERPRINT) or old[FINGERPRINT] == row.fingerprint
        level = _edited_level(old) if same else None
        if level is not None and keep_edited:
            row = replace(row, edited=level)
            edited.append(row)
        replaced += not same
        rows.append(
            row if vol_ids is None else replace(row, vol_id=vol_ids.get(row.file, row.vol_id))
        )
    columns, new = table_of(replace(predictions, rows=tuple(rows)))
    columns += [c for c in old_columns if c not in columns]
    others = [
        {**row, VOL_ID: (vol_ids or {}).get(row[FILE], row.get(VOL_ID, ""))}
        for row in kept.values()
    ]
    both: list[Mapping[str, object]] = [*others, *new]
    table = sorted(both, key=lambda row: natural_key(str(row[FILE])))
    write_table(path, columns, ([row.get(c, "") for c in columns] for row in table))
    if others:
        notes.append(
            f"{len(others):,} row{'s' * (len(others) > 1)} of other volumes in {path.name} "
            f"{'stay as they were' if others[1:] else 'stays as it was'}."
        )
    if replaced:
        notes.append(
            f"{replaced:,} row{'s' * (replaced > 1)} of other maps with the same file names "
            f"{'were' if replaced > 1 else 'was'} replaced."
        )
    if edited:
        names = join_names([f"{r.file}: {r.level:.6g}" for r in edited], 5)
        notes.append(
            f"{len(edited):,} level{'s' * (len(edited) > 1)} set by hand in {path.name} "
            f"{'stay' if edited[1:] else 'stays'} ({names}). To replace "
            f'{"them" if edited[1:] else "it"} by the prediction, add "keepEdited false".'
        )
    return replace(predictions, rows=tuple(rows), notes=(*predictions.notes, *notes))


def _places(rows: Sequence[Mapping[str, str]], files: Sequence[str]) -> dict[str, list[int]]:
    """Which rows of a table are of each of these files; a row with its very name is first."""
    # in our rows, which have a fingerprint, a folder is the sub-folder of the map
    ours = {i for i, row in enumerate(rows) if row.get(FINGERPRINT)}
    keys = [file_name(row[FILE]) if i in ours else row[FILE] for i, row in enumerate(rows)]
    places: dict[str, list[int]] = {file: [] for file in files}
    for i, file in enumerate(matched_names(keys, files, ours)):
        if file is not None:
            places[file].insert(0 if keys[i] == file else len(places[file]), i)
    return places


def _existing_rows(path: Path, notes: list[str]) -> tuple[list[dict[str, str]], list[str]]:
    """Rows and columns of a table that is to be added to; another file is moved out of the way."""
    if not path.exists():
        return [], []
    try:
        return read_rows(path, [FILE, LEVEL], "predictions table")
    except SirenError:
        number = 1
        while (aside := path.with_name(f"{path.stem}_earlier_{number}{path.suffix}")).exists():
            number += 1
        try:
            path.rename(aside)
        except OSError as error:
            raise SirenError(
                f"{path} is no table of named volumes and cannot be renamed "
                f"({error.strerror or error}): move it, or give another outputDir."
            ) from error
        notes.append(
            f"{path.name} was no table with a row for each file name; it is {aside.name} now."
        )
        return [], []


def _edited_level(row: Mapping[str, str]) -> float | None:
    """The level of a row if it was set by hand: it is not what the rest of the row says."""
    level = parse_number(row.get(LEVEL, ""))
    if level is None:
        return None
    low, high, prediction = (
        parse_number(row.get(c, "")) for c in ("vol_min", "vol_max", "prediction")
    )
    if low is None or high is None or prediction is None:
        return level  # a table made by hand, or a flagged map that was given a level
    predicted = denormalize_level(prediction, Range(low, high))
    return level if abs(level - predicted) > EDITED * abs(high - low) else None
