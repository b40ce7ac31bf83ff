"""Labels: contour levels that a person sets by eye, one row a map, in a csv laid out as the
published ``template.csv``.

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

from ..common.errors import SirenError, listed
from .tables import VOL_ID, number, read_rows, row_names, stem, write_table

LABEL_COLUMNS = (VOL_ID, "lower_bound", "contour_level", "upper_bound", "map_file")


@dataclass(frozen=True)
class Label:
    """A level that a person chose for a map, in the map's units, with the bounds within which it is
    as good.

    ``lower`` and ``upper`` are None where the table leaves them empty.
    """

    vol_id: str
    file: str
    level: float
    lower: float | None = None
    upper: float | None = None


def read_labels(path: Path) -> list[Label]:
    """Levels chosen by a person, from a csv laid out as the published ``template.csv``.

    Columns: ``vol_id``, ``lower_bound``, ``contour_level``, ``upper_bound``, ``map_file``; the
    bounds may be empty or absent. Rows of a template that are not filled in yet are passed over.

    Raises
    ------
    SirenError
        If the table cannot be read, a level is no number, bounds are the wrong way round, or a
        volume stands twice.
    """
    rows, columns = read_rows(path, ["contour_level"], "labels table")
    if VOL_ID not in columns and "map_file" not in columns:
        raise SirenError(
            f"{path.name} does not say which row is which volume: it needs a column "
            f'"map_file" or "{VOL_ID}".'
        )
    labels: list[Label] = []
    seen: set[tuple[str, str]] = set()
    for row in rows:
        if not any(row.get(c) for c in ("contour_level", "lower_bound", "upper_bound")):
            continue
        vol_id, file = row.get(VOL_ID, ""), Path(row.get("map_file", "").replace("\\", "/")).name
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
    if not labels:
        raise SirenError(
            f"{path.name} has no contour_level yet: open its maps, set each level by "
            'eye, and run "siren label".'
        )
    return labels


def match_labels(
    labels: Sequence[Label], path: Path, all_names: Sequence[str]
) -> list[tuple[str, Label]]:
    """The volume of each label: by ``map_file``, else by ``vol_id`` as in :func:`read_thresholds`.

    Parameters
    ----------
    all_names : file names of all volumes of the folder, in natural order

    Raises
    ------
    SirenError
        If a label fits no volume.
    """
    by_number = not all(label.file for label in labels)
    names = row_names(
        [label.vol_id if by_number else label.file for label in labels], path, all_names, by_number
    )
    lost = [n for n in names if n not in all_names]
    if lost:
        raise SirenError(
            f"{path.name} has a label for {listed(lost)}, which is not among the "
            f"{len(all_names):,} volumes: "
            " correct its map_file, or remove the row."
        )
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise SirenError(f"{path.name} has two rows for {twice[0]}: remove one.")
    return list(zip(names, labels, strict=True))


def set_label(path: Path, label: Label) -> bool:
    """Write a label into a table: in place of the map's earlier row, else as a new last row. Other
    rows and columns stay.

    Parameters
    ----------
    path : the csv; made where there is none
    label : Label, its ``file`` not empty

    Returns
    -------
    Whether the map had a label before.

    Raises
    ------
    SirenError
        If the level is not between its bounds, or the file there is not a labels table.
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
    at = next((i for i, row in enumerate(rows) if _is_of(row, label)), None)
    before = at is not None and bool(rows[at].get("contour_level"))
    if at is None:
        rows.append(new)
    else:
        rows[at] = rows[at] | new
    write_table(path, columns, ([row.get(c, "") for c in columns] for row in rows))
    return before


def write_template(path: Path, files: Sequence[str], all_names: Sequence[str]) -> list[str]:
    """Add empty rows for maps to a labels table, made where there is none; rows that are there stay
    as they are.

    Returns
    -------
    The maps that were added: those that had no row yet.
    """
    rows, columns = _rows(path)
    place = {name: n for n, name in enumerate(all_names)}
    added = []
    for name in files:
        label = Label(str(place[name]), name, np.nan)
        if not any(_is_of(row, label) for row in rows):
            rows.append({VOL_ID: label.vol_id, "map_file": name})
            added.append(name)
    write_table(path, columns, ([row.get(c, "") for c in columns] for row in rows))
    return added


def _rows(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    if not path.exists():
        return [], list(LABEL_COLUMNS)
    rows, columns = read_rows(path, ["contour_level"], "labels table")
    return rows, columns + [c for c in LABEL_COLUMNS if c not in columns]


def _is_of(row: dict[str, str], label: Label) -> bool:
    name = Path(row.get("map_file", "").replace("\\", "/")).name
    return (
        stem(name) == stem(label.file)
        if name
        else bool(label.vol_id) and row.get(VOL_ID, "") == label.vol_id
    )


def _text(value: float | None) -> str:
    return "" if value is None else repr(float(value))
