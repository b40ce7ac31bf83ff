"""Tables of thresholds: what was predicted, what a person labelled, and the statistics of maps.

Example::

    write_predictions(Path("out/predictions.csv"), predictions)
    levels = read_thresholds(Path("out/predictions.csv"), ensemble)   # one a volume, in the ensemble's order
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..ensemble import Ensemble
from ..errors import SirenError, listed
from ..files import whole_file
from ..mapfile import COMPRESSIONS, SUFFIXES
from .normalise import Range, denormalise_level

FILE, VOL_ID, LEVEL = "file", "vol_id", "denormalized_predictions"
PREDICTION_COLUMNS = (FILE, VOL_ID, "vol_min", "vol_max", "prediction", "int_predictions", LEVEL)
STATISTICS_COLUMNS = (FILE, VOL_ID, "vol_min", "vol_max")
LABEL_COLUMNS = (VOL_ID, "lower_bound", "contour_level", "upper_bound", "map_file")


@dataclass(frozen=True)
class Prediction:
    """One volume's threshold.

    Attributes
    ----------
    file : str
        The volume's file name.
    vol_id : int
        Its place, from 0, among all volumes of the folder in natural order.
    range : Range
        The statistics that turn ``prediction`` into ``level``.
    prediction : float
        The level on the normalised scale, -1 to 1.
    """

    file: str
    vol_id: int
    range: Range
    prediction: float

    @property
    def level(self) -> float:
        """The threshold in the volume's own units."""
        return denormalise_level(self.prediction, self.range)


@dataclass(frozen=True)
class Predictions:
    """Thresholds of an ensemble.

    Attributes
    ----------
    rows : tuple of Prediction
        One for each chosen volume, in the ensemble's order.
    weights : str
        Name of the weights file.
    device : str
        Where the network ran.
    """

    rows: tuple[Prediction, ...]
    weights: str = ""
    device: str = "cpu"

    @property
    def levels(self) -> dict[str, float]:
        """Threshold of each volume, in its own units, by file name."""
        return {row.file: row.level for row in self.rows}


@dataclass(frozen=True)
class Label:
    """A level that a person chose for a map, in the map's units, with the bounds within which it is as good.

    ``lower`` and ``upper`` are None where the table leaves them empty.
    """

    vol_id: str
    file: str
    level: float
    lower: float | None = None
    upper: float | None = None


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a csv, whole or not at all; numbers with as many digits as they need to be read back the same."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([repr(float(c)) if isinstance(c, float) else c for c in row] for row in rows)
    with whole_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write predictions.csv: the published columns after the file name.

    ``int_predictions`` is (prediction + 1)/2; ``denormalized_predictions`` the level in the volume's units.
    """
    write_table(path, PREDICTION_COLUMNS, (
        (r.file, r.vol_id, r.range.vol_min, r.range.vol_max, r.prediction, (r.prediction + 1) / 2, r.level)
        for r in predictions.rows))


def read_rows(path: Path, needed: Sequence[str], what: str) -> tuple[list[dict[str, str]], list[str]]:
    """Rows of a csv as dicts of stripped texts, and its columns.

    Parameters
    ----------
    needed : columns that must be there.
    what : what the table should be, for errors, as ``predictions table``.

    Raises
    ------
    SirenError
        If the file is missing, not a csv in UTF-8, empty, without rows, or lacks a column.
    """
    if path.is_dir() or not path.exists():
        raise SirenError(f"{path}: there is no such file. Give the {what} (.csv).")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SirenError(f"{path.name} cannot be read as text: give the {what} (.csv).") from error
    if "\0" in text:
        raise SirenError(f"{path.name} cannot be read as text: give the {what} (.csv).")
    try:
        table = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if any(c.strip() for c in row)]
    except csv.Error as error:
        raise SirenError(f"{path.name} is not a csv ({error}): give the {what}.") from error
    if not table:
        raise SirenError(f"{path.name} is empty: give the {what}.")
    columns = table[0]
    missing = [c for c in needed if c not in columns]
    if missing:
        raise SirenError(f"{path.name} has no column {listed([repr(m) for m in missing])} (it has {listed(columns, 8)}): "
                         f"give the {what}.")
    if len(table) == 1:
        raise SirenError(f"{path.name} has a heading but no rows: give the {what}.")
    ragged = next((n for n, row in enumerate(table[1:], 2) if len(row) != len(columns)), None)
    if ragged:
        raise SirenError(f"{path.name} has {len(table[ragged - 1])} cells in row {ragged} but {len(columns)} columns: repair "
                         "that row.")
    return [dict(zip(columns, row, strict=True)) for row in table[1:]], columns


def number(text: str, path: Path, column: str, owner: str) -> float:
    """A finite number from a cell.

    Raises
    ------
    SirenError
        If it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        shown = f'"{text}"' if text else "empty"
        raise SirenError(f"{path.name}: {column} of {owner} is {shown}, not a number. Correct it, or leave the volume out.")
    return value


def read_thresholds(path: Path, ensemble: Ensemble) -> NDArray[np.float64]:
    """Thresholds of an ensemble's chosen volumes from a predictions table, ours or the published tool's.

    Parameters
    ----------
    path : Path
        A csv with ``denormalized_predictions`` and ``file``, or ``vol_id``: the volume's number from 0 among all
        volumes of the folder in natural order (``ensemble.all_names``), or its name. Other columns, and rows of
        volumes that are not chosen, are ignored.
    ensemble : Ensemble

    Returns
    -------
    (volumes,) float64
        In the volumes' own units, in the order of ``ensemble.names``.

    Raises
    ------
    SirenError
        If the table cannot be read, or a volume has no row, two rows, or no number.
    """
    rows, columns = read_rows(path, [LEVEL], "predictions table")
    if FILE not in columns and VOL_ID not in columns:
        raise SirenError(f'{path.name} does not say which row is which volume: it needs a column "{FILE}" or "{VOL_ID}" '
                         f'(it has {listed(columns, 8)}). Run "siren predict" again.')
    keys = [row[FILE] if FILE in columns else row[VOL_ID] for row in rows]
    names = _names(keys, path, ensemble, by_number=FILE not in columns)
    found: dict[str, str] = {}
    for name, row in zip(names, rows, strict=True):
        if name in found:
            raise SirenError(f"{path.name} has two rows for {name}: remove one.")
        found[name] = row[LEVEL]
    levels = []
    for name in ensemble.names:
        if name not in found:
            raise SirenError(f'No threshold for {name} in {path.name} (it has {len(rows):,} rows for '
                             f'{len(ensemble.all_names):,} volumes): run "siren predict" again, or "exclude {name}".')
        levels.append(number(found[name], path, LEVEL, name))
    return np.array(levels, np.float64)


def table_levels(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Names and thresholds of a predictions table as it stands, without the volumes: for a histogram.

    Returns
    -------
    names, (rows,) float64

    Raises
    ------
    SirenError
        If the table cannot be read, or a row has no number.
    """
    rows, columns = read_rows(path, [LEVEL], "predictions table")
    key = next((c for c in (FILE, VOL_ID) if c in columns), None)
    names = [row[key] if key else str(k) for k, row in enumerate(rows)]
    if not rows:
        raise SirenError(f'{path.name} has no row: run "siren predict" again.')
    return names, np.array([number(row[LEVEL], path, LEVEL, name) for name, row in zip(names, rows, strict=True)], np.float64)


def _names(keys: list[str], path: Path, ensemble: Ensemble, by_number: bool) -> list[str]:
    """File names of the rows: as written, with or without suffix and folder, or counted."""
    known = {stem(n): n for n in ensemble.all_names} | {n: n for n in ensemble.all_names}
    if by_number:
        numbers = [_whole(key) for key in keys]
        whole = [n for n in numbers if n is not None]
        if len(whole) == len(keys):
            beyond = next((n for n in whole if not 0 <= n < len(ensemble.all_names)), None)
            if beyond is not None:
                raise SirenError(f"{path.name} has {VOL_ID} {beyond}, but the {len(ensemble.all_names):,} volumes count from 0 "
                                 f"to {len(ensemble.all_names) - 1:,}: it belongs to another folder, or volumes were removed "
                                 'since. Run "siren predict" again.')
            return [ensemble.all_names[n] for n in whole]
    names = [known.get(key, known.get(Path(key).name, known.get(stem(Path(key).name), key))) for key in keys]
    if not any(name in known for name in names):
        raise SirenError(f"{path.name} belongs to other volumes: its first row is {keys[0] or 'empty'}, the first volume here "
                         f'is {ensemble.all_names[0]}. Give the table of this folder, or run "siren predict".')
    return names


def _whole(text: str) -> int | None:
    """A volume's number; pandas writes 3.0 for 3 where a column had a gap."""
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None


def stem(name: str) -> str:
    """A map's file name without its suffixes; other names stay whole (``vol.1`` is no suffix)."""
    ending = next((s + c for s in SUFFIXES for c in COMPRESSIONS if name.lower().endswith(s + c)), "")
    return name[: len(name) - len(ending)]


def read_labels(path: Path) -> list[Label]:
    """Levels chosen by a person, from a csv laid out as the published ``template.csv``.

    Columns: ``vol_id``, ``lower_bound``, ``contour_level``, ``upper_bound``, ``map_file``; the bounds may be empty or absent.

    Raises
    ------
    SirenError
        If the table cannot be read, a level is no number, bounds are the wrong way round, or a volume stands twice.
    """
    rows, columns = read_rows(path, ["contour_level"], "labels table")
    if VOL_ID not in columns and "map_file" not in columns:
        raise SirenError(f'{path.name} does not say which row is which volume: it needs a column "map_file" or "{VOL_ID}".')
    labels: list[Label] = []
    seen: set[tuple[str, str]] = set()
    for row in rows:
        vol_id, file = row.get(VOL_ID, ""), Path(row.get("map_file", "").replace("\\", "/")).name
        owner = file or f"{VOL_ID} {vol_id}"
        if not file and not vol_id:
            raise SirenError(f"{path.name} has a row without a volume: fill in its map_file.")
        if (file, "" if file else vol_id) in seen:
            raise SirenError(f"{path.name} has two rows for {owner}: remove one.")
        seen.add((file, "" if file else vol_id))
        bounds = [number(row[c], path, c, owner) if row.get(c) else None for c in ("lower_bound", "upper_bound")]
        level = number(row["contour_level"], path, "contour_level", owner)
        if (bounds[0] is not None and bounds[0] > level) or (bounds[1] is not None and bounds[1] < level):
            raise SirenError(f"{path.name}: the bounds of {owner} do not enclose its contour_level {level:g}. Correct them.")
        labels.append(Label(vol_id, file, level, bounds[0], bounds[1]))
    return labels


def match_labels(labels: Sequence[Label], path: Path, ensemble: Ensemble) -> list[tuple[str, Label]]:
    """The volume of each label: by ``map_file``, else by ``vol_id`` as in :func:`read_thresholds`.

    Raises
    ------
    SirenError
        If a label fits no volume.
    """
    by_number = not all(label.file for label in labels)
    names = _names([label.vol_id if by_number else label.file for label in labels], path, ensemble, by_number)
    lost = [n for n in names if n not in ensemble.all_names]
    if lost:
        raise SirenError(f"{path.name} has a label for {listed(lost)}, which is not among the {len(ensemble.all_names):,} "
                         "volumes: correct its map_file, or remove the row.")
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SirenError(f"{path.name} has two rows for {twice[0]}: remove one.")
    return list(zip(names, labels, strict=True))
