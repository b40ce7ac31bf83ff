"""Labels: contour levels set by eye, one row per map, in the layout of ``template.csv``.

``template.csv`` is the labels table of the published tool.

Example::

    from pathlib import Path

    from chimerax.siren.core import find_ensemble
    from chimerax.siren.core.thresholds.labels import Label, match_labels, read_labels, set_label

    path, ensemble = Path("siren/labels.csv"), find_ensemble(["volumes"])
    set_label(path, Label("3", "vol_004.mrc", 0.81, 0.7, 0.9))
    dict(match_labels(read_labels(path), path, ensemble.all_names))["vol_004.mrc"].level  # -> 0.81
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..common.errors import SirenError, join_names
from .tables import VOL_ID, number, read_rows, row_names, stem, write_table

LABEL_COLUMNS = (VOL_ID, "lower_bound", "contour_level", "upper_bound", "map_file")


@dataclass(frozen=True)
class Label:
    """A contour level set by eye.

    Attributes
    ----------
    vol_id : str
        Number of the volume, as in the table; may be empty.
    file : str
        File name of the map; may be empty.
    level : float
        In the map's units.
    lower, upper : float or None
        Bounds within which the level is equally good; None if not given.
    """

    vol_id: str
    file: str
    level: float
    lower: float | None = None
    upper: float | None = None


def read_labels(path: Path) -> list[Label]:
    """Read a labels table, laid out as the published ``template.csv``.

    Columns: ``vol_id``, ``lower_bound``, ``contour_level``, ``upper_bound``, ``map_file``. The
    bounds may be empty or missing. Rows that are not filled in yet are skipped.

    Raises
    ------
    SirenError
        If the table cannot be read, a level is not a number, bounds do not enclose it, a volume
        has two rows, or no row is filled in.
    """
    labels, _ = _labels_and_empty(path)
    if not labels:
        raise SirenError(
            f"{path.name} has no contour_level yet: open its maps, set each level by "
            'eye, and run "siren label".'
        )
    return labels


def labels_by_name(path: Path, all_names: Sequence[str]) -> tuple[dict[str, Label], list[str]]:
    """Read the labels in a table, and the maps that it has yet to be filled in for.

    Parameters
    ----------
    path : Path
        As for :func:`read_labels`; a missing file has no labels.
    all_names : sequence of str
        File names of all volumes of the folder, in natural order.

    Returns
    -------
    labels : dict of Label
        By file name.
    empty : list of str
        File names of the maps with an empty row, as "siren label template" adds them.

    Raises
    ------
    SirenError
        As for :func:`read_labels` and :func:`match_labels`.
    """
    if not path.exists():
        return {}, []
    labels, empty = _labels_and_empty(path)
    found = match_labels([*labels, *empty], path, all_names)
    return (
        {name: label for name, label in found if np.isfinite(label.level)},
        [name for name, label in found if not np.isfinite(label.level)],
    )


def _labels_and_empty(path: Path) -> tuple[list[Label], list[Label]]:
    """The rows of a table: those filled in, and those that are not, with a level of NaN."""
    rows, columns = read_rows(path, ["contour_level"], "labels table")
    if VOL_ID not in columns and "map_file" not in columns:
        raise SirenError(
            f"{path.name} does not say which row is which volume: it needs a column "
            f'"map_file" or "{VOL_ID}".'
        )
    labels: list[Label] = []
    empty: list[Label] = []
    seen: set[tuple[str, str]] = set()
    for row in rows:
        vol_id, file = row.get(VOL_ID, ""), Path(row.get("map_file", "").replace("\\", "/")).name
        if not any(row.get(c) for c in ("contour_level", "lower_bound", "upper_bound")):
            if vol_id or file:
                empty.append(Label(vol_id, file, np.nan))
            continue
        owner = file or f"{VOL_ID} {vol_id}"
        if not file and not vol_id:
            raise SirenError(f"{path.name} has a row without a volume: fill in its map_file.")
        if (file, "" if file else vol_id) in seen:
            raise SirenError(f"{path.name} has two rows for {owner}: remove one.")
        seen.add((file, "" if file else vol_id))
        bounds = [
            number(row[c], path, c, owner) if row.get(c) else None
            for c in ("lower_bound", "upper_bound")
        ]
        level = number(row["contour_level"], path, "contour_level", owner)
        if (bounds[0] is not None and bounds[0] > level) or (
            bounds[1] is not None and bounds[1] < level
        ):
            raise SirenError(
                f"{path.name}: the bounds of {owner} do not enclose its contour_level "
                f"{level:g}. Correct them."
            )
        labels.append(Label(vol_id, file, level, bounds[0], bounds[1]))
    return labels, empty


def match_labels(
    labels: Sequence[Label], path: Path, all_names: Sequence[str]
) -> list[tuple[str, Label]]:
    """Match labels to volumes: by ``map_file``, else by ``vol_id`` as thresholds are.

    Parameters
    ----------
    labels : sequence of Label
    path : Path
        The labels table, for errors.
    all_names : sequence of str
        File names of all volumes of the folder, in natural order.

    Returns
    -------
    list of (str, Label)
        File name and label.

    Raises
    ------
    SirenError
        If a label matches no volume, or a volume has two.
    """
    by_number = not all(label.file for label in labels)
    names = row_names(
        [label.vol_id if by_number else label.file for label in labels], path, all_names, by_number
    )
    lost = [n for n in names if n not in all_names]
    if lost:
        raise SirenError(
            f"{path.name} has a label for {join_names(lost)}, which is not among the "
            f"{len(all_names):,} volumes: correct its map_file, or remove the row."
        )
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SirenError(f"{path.name} has two rows for {twice[0]}: remove one.")
    return list(zip(names, labels, strict=True))


def set_label(path: Path, label: Label) -> bool:
    """Write a label into a table, in the row of its map or a new one at the end.

    Other rows and columns are kept.

    Parameters
    ----------
    path : Path
        The csv, created if missing.
    label : Label
        With a file name.

    Returns
    -------
    bool
        Whether the map had a label before.

    Raises
    ------
    SirenError
        If the level is not within its bounds, or the file is not a labels table.
    """
    low, high = label.lower, label.upper
    if (low is not None and low > label.level) or (high is not None and high < label.level):
        raise SirenError(
            f"The bounds of {label.file} do not enclose its contour level "
            f"{label.level:.6g}: give lower and upper around it."
        )
    rows, columns = _rows(path)
    new = dict(
        zip(
            LABEL_COLUMNS,
            (label.vol_id, _text(low), repr(float(label.level)), _text(high), label.file),
            strict=True,
        )
    )
    at = next((i for i, row in enumerate(rows) if _matches(row, label)), None)
    before = at is not None and bool(rows[at].get("contour_level"))
    if at is None:
        rows.append(new)
    else:
        rows[at] = rows[at] | new
    write_table(path, columns, ([row.get(c, "") for c in columns] for row in rows))
    return before


def label_row(path: Path, label: Label) -> dict[str, str] | None:
    """The row of a label's map as it is in a table, by column; None if there is none.

    Raises
    ------
    SirenError
        If the file is not a labels table.
    """
    return next((row for row in _rows(path)[0] if _matches(row, label)), None)


def put_label_row(path: Path, label: Label, row: dict[str, str] | None) -> None:
    """Put the row of a label's map back as :func:`label_row` found it, or remove it.

    A table without rows is removed, too.

    Raises
    ------
    SirenError
        If the file is not a labels table.
    """
    rows, columns = _rows(path)
    at = next((i for i, found in enumerate(rows) if _matches(found, label)), len(rows))
    rows[at : at + 1] = [] if row is None else [row]
    if rows:
        write_table(path, columns, ([r.get(c, "") for c in columns] for r in rows))
    else:
        path.unlink(missing_ok=True)


def write_template(path: Path, files: Sequence[str], all_names: Sequence[str]) -> list[str]:
    """Add empty rows for maps to a labels table, created if missing; existing rows are kept.

    Parameters
    ----------
    path : Path
        The csv.
    files : sequence of str
        File names of the maps to add.
    all_names : sequence of str
        File names of all volumes of the folder, in natural order.

    Returns
    -------
    list of str
        The maps that were added; the others had a row already.

    Raises
    ------
    SirenError
        If the file is not a labels table.
    """
    rows, columns = _rows(path)
    place = {name: n for n, name in enumerate(all_names)}
    added = []
    for name in files:
        label = Label(str(place[name]), name, np.nan)
        if not any(_matches(row, label) for row in rows):
            rows.append({VOL_ID: label.vol_id, "map_file": name})
            added.append(name)
    write_table(path, columns, ([row.get(c, "") for c in columns] for row in rows))
    return added


def _rows(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    if not path.exists():
        return [], list(LABEL_COLUMNS)
    rows, columns = read_rows(path, ["contour_level"], "labels table")
    return rows, columns + [c for c in LABEL_COLUMNS if c not in columns]


def _matches(row: dict[str, str], label: Label) -> bool:
    name = Path(row.get("map_file", "").replace("\\", "/")).name
    return (
        stem(name) == stem(label.file)
        if name
        else bool(label.vol_id) and row.get(VOL_ID, "") == label.vol_id
    )


def _text(value: float | None) -> str:
    return "" if value is None else repr(float(value))
