"""Tables of predicted thresholds and of map statistics; for labels see :mod:`.labels`.

Example::

    from pathlib import Path

    from chimerax.siren.core import find_ensemble, predict_levels, read_thresholds
    from chimerax.siren.core.thresholds.tables import write_predictions

    ensemble = find_ensemble(["volumes"], include=["vol_00*"])
    write_predictions(Path("nine.csv"), predict_levels(ensemble))
    read_thresholds(Path("nine.csv"), ensemble).shape  # -> (9,)
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError, join_names, typed
from ..common.files import atomic_file
from ..common.tables import csv_text, parse_number
from ..common.tables import read_table as read_text_table
from ..maps.ensemble import Ensemble
from .matching import FILE, MAP_FILE, VOL_ID, names_by_number, row_names, whole_number
from .normalize import Range, denormalize_level

LEVEL = "denormalized_predictions"
UNCERTAINTY, FLAG, FINGERPRINT = "uncertainty", "flag", "fingerprint"
PREDICTION_COLUMNS = (
    FILE,
    VOL_ID,
    "vol_min",
    "vol_max",
    "prediction",
    "int_predictions",
    LEVEL,
    UNCERTAINTY,
    "normalized_uncertainty",
    FLAG,
    FINGERPRINT,
)
OWN_LEVEL = "own_level"  # extra column if levels were harmonized
NAME_COLUMNS = (FILE, VOL_ID, MAP_FILE, FLAG, FINGERPRINT)
STATISTICS_COLUMNS = (FILE, VOL_ID, "vol_min", "vol_max")


@dataclass(frozen=True)
class Prediction:
    """The predicted threshold of one volume.

    A map without density to contour has NaN for all numbers, and a flag.

    Attributes
    ----------
    file : str
        File name of the volume.
    vol_id : int
        Its index, from 0, among all volumes of the folder in natural order.
    range : Range
        Range that converts ``prediction`` to ``level``.
    prediction : float
        The level on the normalized scale, -1 to 1.
    spread : float or None
        Expected absolute error of ``prediction``; None if the network gives none.
    flags : tuple of str
        Problems of the map or its level, a few words each.
    own : float or None
        The normalized level of the map by itself, if it was harmonized with the ensemble.
    fingerprint : str
        Of the map, see :mod:`..maps.fingerprint`; "" if unknown.
    edited : float or None
        A level set by hand in the table, which counts instead of the predicted one.
    """

    file: str
    vol_id: int
    range: Range
    prediction: float
    spread: float | None = None
    flags: tuple[str, ...] = ()
    own: float | None = None
    fingerprint: str = ""
    edited: float | None = None

    @property
    def level(self) -> float:
        """The threshold in the units of the volume."""
        return (
            denormalize_level(self.prediction, self.range) if self.edited is None else self.edited
        )

    @property
    def uncertainty(self) -> float | None:
        """Expected absolute error of the level, in the units of the volume."""
        return (
            None
            if self.spread is None
            else self.spread / 2 * (self.range.vol_max - self.range.vol_min)
        )


@dataclass(frozen=True)
class Predictions:
    """Predicted thresholds of an ensemble.

    Attributes
    ----------
    rows : tuple of Prediction
        One for each selected volume, in the ensemble's order.
    weights : str
        Name of the weights file.
    device : str
        Device on which the network ran.
    notes : tuple of str
        Assumptions and further steps, one sentence each, for the log.
    """

    rows: tuple[Prediction, ...]
    weights: str = ""
    device: str = "cpu"
    notes: tuple[str, ...] = ()

    @property
    def levels(self) -> dict[str, float]:
        """Threshold of each volume that has one, in its units, by file name."""
        return {row.file: row.level for row in self.rows if np.isfinite(row.level)}

    @property
    def array(self) -> NDArray[np.float64]:
        """(V,) contour level of each volume in its own units, in the ensemble's order; NaN where a
        map has none.
        """
        return np.array([row.level for row in self.rows], np.float64)

    @property
    def flagged(self) -> dict[str, str]:
        """Flags of the flagged volumes, by file name."""
        return {row.file: "; ".join(row.flags) for row in self.rows if row.flags}


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a csv, completely or not at all; floats are written so that they read back the same.

    Raises
    ------
    SirenError
        If the file cannot be written.
    """
    text = csv_text(
        columns, ([repr(float(c)) if isinstance(c, float) else c for c in row] for row in rows)
    )
    with atomic_file(path) as temporary:
        # bytes of no encoding in names are written as they are
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions.csv: file name, the published columns, uncertainties and flags.

    ``int_predictions`` is (prediction + 1)/2, ``denormalized_predictions`` the level in the units
    of the volume, ``uncertainty`` its expected absolute error in these units,
    ``normalized_uncertainty`` that of ``prediction``, ``flag`` lists problems of the map, and
    ``fingerprint`` tells whether the map is still the same. If levels were harmonized,
    ``own_level`` is that of the map by itself. Cells without a number are empty. An earlier table
    is replaced; :func:`merge_predictions` keeps the rows of other volumes.

    Raises
    ------
    SirenError
        If the file cannot be written.
    """
    columns, rows = table_of(predictions)
    write_table(path, columns, ([row[c] for c in columns] for row in rows))


def table_of(predictions: Predictions) -> tuple[list[str], list[dict[str, object]]]:
    """Columns and rows of predictions.csv."""
    shared = any(r.own is not None for r in predictions.rows)

    def cells(r: Prediction) -> list[object]:
        numbers = [
            r.range.vol_min,
            r.range.vol_max,
            r.prediction,
            (r.prediction + 1) / 2,
            r.level,
            r.uncertainty,
            r.spread,
        ]
        own = (
            [denormalize_level(r.prediction if r.own is None else r.own, r.range)] if shared else []
        )
        flags = "; ".join(r.flags)
        return [r.file, r.vol_id, *map(_cell, numbers), flags, r.fingerprint, *map(_cell, own)]

    columns = [*PREDICTION_COLUMNS, *([OWN_LEVEL] if shared else [])]
    return columns, [dict(zip(columns, cells(r), strict=True)) for r in predictions.rows]


def _cell(value: float | None) -> float | str:
    return "" if value is None or not np.isfinite(value) else value


def read_rows(
    path: Path, needed: Sequence[str], what: str
) -> tuple[list[dict[str, str]], list[str]]:
    """Read the rows of a csv as dicts of stripped strings, and its columns.

    Parameters
    ----------
    path : Path
    needed : sequence of str
        Required columns.
    what : str
        Name of the table for errors, such as ``predictions table``.

    Returns
    -------
    rows : list of dict
    columns : list of str

    Raises
    ------
    SirenError
        If the file is missing, not a table, empty, without rows, or lacks a column.
    """
    table = read_text_table(path, needed, what, NAME_COLUMNS)
    return table.rows, table.columns


def number(text: str, path: Path, column: str, owner: str) -> float:
    """Parse a finite number from a cell.

    Parameters
    ----------
    text : str
        Content of the cell.
    path, column, owner : Path, str, str
        Table, column and volume, for errors.

    Raises
    ------
    SirenError
        If the text is not a finite number.
    """
    value = parse_number(text)
    if value is None:
        shown = f'"{text}"' if text else "empty"
        doubt = " without doubt" * bool(re.search(r"\d[.,]\d{3}", text))
        raise SirenError(
            f"{path.name}: {column} of {owner} is {shown}, not a number{doubt}. Correct it, "
            "or leave the volume out."
        )
    return value


@dataclass(frozen=True)
class ThresholdTable:
    """The levels of an ensemble in a predictions table.

    Attributes
    ----------
    path : Path
    levels : dict of float
        By name of the selected volume; without those that have none because they are flagged.
    flags : dict of str
        Flags of the selected volumes that are flagged, by name.
    fingerprints : dict of str
        Of the maps that the levels are for, by name, as far as the table has them.
    ranges : dict of Range
        Statistics of these maps, likewise; for tables without fingerprints.
    own : bool
        Whether SIREn wrote it, rather than the published tool.
    notes : tuple of str
        How rows were matched to volumes, if not by their names.
    """

    path: Path
    levels: dict[str, float]
    flags: dict[str, str]
    fingerprints: dict[str, str]
    ranges: dict[str, Range]
    own: bool
    notes: tuple[str, ...] = ()


def read_table(path: Path, all_names: Sequence[str], chosen: Sequence[str] = ()) -> ThresholdTable:
    """Read the levels of volumes from a predictions table, SIREn's or the published tool's.

    Parameters
    ----------
    path : Path
        A csv with ``denormalized_predictions`` and ``file`` (or ``map_file``), or ``vol_id``: the
        volume's name, or its index among all volumes of the folder in natural order, see
        :func:`names_by_number`.
        Other columns, and rows of other volumes, are ignored.
    all_names : sequence of str
        File names of all volumes of the folder, in natural order.
    chosen : sequence of str
        Names of the selected volumes; default: all.

    Raises
    ------
    SirenError
        If the table cannot be read, belongs to other volumes, a selected volume has two rows, or
        its threshold is not a number.
    """
    rows, columns = read_rows(path, [LEVEL], "predictions table")
    # as the tables of labels have it, or a person who began with one
    files = next((c for c in (FILE, MAP_FILE) if any(row.get(c) for row in rows)), None)
    if files is None and VOL_ID not in columns:
        raise SirenError(
            f"{path.name} does not say which row is which volume: it needs a column "
            f'"{FILE}" or "{VOL_ID}" '
            f'(it has {join_names(columns, 8)}). Run "siren predict" again.'
        )
    chosen = tuple(chosen or all_names)
    notes: tuple[str, ...] = ()
    if files is not None:
        names = row_names([row[files] for row in rows], path, all_names)
    else:
        keys = [row[VOL_ID] for row in rows]
        numbers = [whole_number(key) for key in keys]
        if None in numbers:
            names = row_names(keys, path, all_names)
        else:
            names, note = names_by_number(
                [n for n in numbers if n is not None], path, all_names, chosen
            )
            notes = (note,)
    wanted = set(chosen)
    found: dict[str, dict[str, str]] = {}
    for name, row in zip(names, rows, strict=True):
        if name in found:
            raise SirenError(f"{path.name} has two rows for {name}: remove one.")
        if name in wanted:
            found[name] = row
    flags = {name: row[FLAG] for name, row in found.items() if row.get(FLAG)}
    levels = {
        name: number(row[LEVEL], path, LEVEL, name)
        for name, row in found.items()
        if row[LEVEL] or name not in flags
    }
    return ThresholdTable(
        path,
        levels,
        flags,
        {name: row[FINGERPRINT] for name, row in found.items() if row.get(FINGERPRINT)},
        {name: known for name, row in found.items() if (known := _range_of(row)) is not None},
        UNCERTAINTY in columns,
        notes,
    )


def _range_of(row: Mapping[str, str]) -> Range | None:
    low, high = (parse_number(row.get(c, "")) for c in ("vol_min", "vol_max"))
    return None if low is None or high is None else Range(low, high)


def read_thresholds(
    path: Path, ensemble: Ensemble, left_out: Container[str] = ()
) -> NDArray[np.float64]:
    """Read the thresholds of an ensemble from a predictions table, SIREn's or the published tool's.

    Parameters
    ----------
    path : Path
        See :func:`read_table`.
    ensemble : Ensemble of V volumes
    left_out : container of str
        Volumes that need no threshold; they get NaN.

    Returns
    -------
    (V,) float64
        In the units of each volume, in the order of ``ensemble.names``.

    Raises
    ------
    SirenError
        If the table cannot be read, or a volume has no row, two rows, or no number.
    """
    return levels_of(read_table(path, ensemble.all_names, ensemble.names), ensemble, left_out)


def levels_of(
    table: ThresholdTable, ensemble: Ensemble, left_out: Container[str] = ()
) -> NDArray[np.float64]:
    """(V,) thresholds of an ensemble from a table that was read, as :func:`read_thresholds`."""
    levels = []
    for name in ensemble.names:
        if name in left_out:
            levels.append(np.nan)
        elif name in table.levels:
            levels.append(table.levels[name])
        elif name in table.flags:
            raise SirenError(
                f"{table.path.name} has no threshold for {name} (flagged: {table.flags[name]}): "
                'use "filter flags", or '
                f'"exclude {typed(name)}".'
            )
        else:
            raise SirenError(
                f"No threshold for {name} in {table.path.name} (it has {len(table.levels):,} of "
                f'these {len(ensemble):,} volumes): run "siren predict" for it, which adds it to '
                f'the table, or "exclude {typed(name)}".'
            )
    return np.array(levels, np.float64)


def table_levels(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Read names and thresholds of a predictions table without its volumes, for a histogram.

    Flagged rows without a threshold are skipped.

    Returns
    -------
    names : list of str
    levels : (rows,) float64

    Raises
    ------
    SirenError
        If the table cannot be read, or a row has neither threshold nor flag.
    """
    rows, columns = read_rows(path, [LEVEL], "predictions table")
    key = next((c for c in (FILE, VOL_ID) if c in columns), None)
    names = [row[key] if key else str(k) for k, row in enumerate(rows)]
    if not rows:
        raise SirenError(f'{path.name} has no row: run "siren predict" again.')
    pairs = [
        (row, name)
        for row, name in zip(rows, names, strict=True)
        if row[LEVEL] or not row.get(FLAG)
    ]
    return [name for _, name in pairs], np.array(
        [number(row[LEVEL], path, LEVEL, name) for row, name in pairs], np.float64
    )


def read_predictions(path: Path) -> Predictions:
    """Read a predictions table, SIREn's or the published tool's, without its volumes.

    Without a column ``file``, volumes are named by their ``vol_id``. The name of the weights file
    is not in the table and is left empty.

    Raises
    ------
    SirenError
        If the table cannot be read, a cell is not a number, or a volume has two rows.
    """
    needed = ("vol_min", "vol_max", "prediction", LEVEL)
    rows, columns = read_rows(path, needed, "predictions table")
    key = FILE if FILE in columns else VOL_ID
    if key not in columns:
        raise SirenError(
            f"{path.name} does not say which row is which volume: it needs a column "
            f'"{FILE}" or "{VOL_ID}".'
        )
    result = []
    for place, row in enumerate(rows):
        name = row[key]
        flags = tuple(f for f in row.get(FLAG, "").split("; ") if f)
        empty = flags and not row["prediction"]
        low, high, prediction = (
            np.nan if empty else number(row[c], path, c, name) for c in needed[:3]
        )
        spread = row.get("normalized_uncertainty", "")
        vol_id = whole_number(row.get(VOL_ID, ""))
        result.append(
            Prediction(
                name,
                place if vol_id is None else vol_id,
                Range(low, high),
                prediction,
                number(spread, path, "normalized_uncertainty", name) if spread else None,
                flags,
                fingerprint=row.get(FINGERPRINT, ""),
            )
        )
    names = [r.file for r in result]
    twice = next((n for n, following in pairwise(sorted(names)) if n == following), None)
    if twice is not None:
        raise SirenError(f"{path.name} has two rows for {twice}: remove one.")
    return Predictions(tuple(result))


def read_flags(path: Path, ensemble: Ensemble) -> dict[str, str]:
    """Read the flags of an ensemble's volumes from a predictions table, by file name.

    Raises
    ------
    SirenError
        If the table cannot be read, or has no column ``flag``, like those of the published tool.
    """
    rows, columns = read_rows(path, [LEVEL], "predictions table")
    if FLAG not in columns or FILE not in columns:
        raise SirenError(
            f'{path.name} has no flags to filter by: use a table of "siren predict", '
            'or "filter true" to exclude volumes whose threshold is beyond mean +- 2 SD.'
        )
    names = row_names([row[FILE] for row in rows], path, ensemble.all_names)
    flags = dict(zip(names, (row[FLAG] for row in rows), strict=True))
    return {name: flags[name] for name in ensemble.names if flags.get(name)}
