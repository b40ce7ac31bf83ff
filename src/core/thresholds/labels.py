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

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..common.errors import SirenError, join_names
from ..common.partial import changing
from .matching import (
    MAP_FILE,
    VOL_ID,
    file_name,
    names_of_some,
    row_names,
    stem,
    whole_number,
)
from .tables import FINGERPRINT, number, read_rows, write_table

LABEL_COLUMNS = (VOL_ID, "lower_bound", "contour_level", "upper_bound", MAP_FILE)  # published
TABLE_COLUMNS = (*LABEL_COLUMNS, FINGERPRINT)  # the last one only where known


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
    fingerprint : str
        Of the map, see :mod:`..maps.fingerprint`; "" if unknown.
    """

    vol_id: str
    file: str
    level: float
    lower: float | None = None
    upper: float | None = None
    fingerprint: str = ""


def read_labels(path: Path) -> list[Label]:
    """Read a labels table, laid out as the published ``template.csv``.

    Columns: ``vol_id``, ``lower_bound``, ``contour_level``, ``upper_bound``, ``map_file``, and
    SIREn's ``fingerprint``. The bounds may be empty or missing. Rows that are not filled in yet are
    skipped.

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
        vol_id, file = row.get(VOL_ID, ""), file_name(row.get(MAP_FILE, ""))
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
        labels.append(Label(vol_id, file, level, bounds[0], bounds[1], row.get(FINGERPRINT, "")))
    return labels, empty


def match_labels(
    labels: Sequence[Label], path: Path, all_names: Sequence[str]
) -> list[tuple[str, Label]]:
    """Match labels to volumes: by ``map_file``, else by ``vol_id`` where that is certain, see
    :func:`.matching.names_of_some`.

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
        If a label matches no volume, or more than one may be meant, or a volume has two.
    """
    if all(label.file for label in labels):
        names = row_names([label.file for label in labels], path, all_names)
    else:
        names = numbered_names(labels, path, dict(enumerate(all_names)))
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


def numbered_names(labels: Sequence[Label], path: Path, volumes: Mapping[int, str]) -> list[str]:
    """File names of labels that do not all have one, by ``vol_id``; see
    :func:`.matching.names_of_some` for ``volumes`` and what is refused.
    """
    every = list(volumes.values())
    named = [x.file for x in labels if x.file]
    by_file = dict(zip(named, row_names(named, path, every), strict=True)) if named else {}
    ids = [x.vol_id for x in labels if not x.file]
    numbers = [n for n in map(whole_number, ids) if n is not None]
    if len(numbers) < len(ids):  # the published tool writes names, too
        found = row_names(ids, path, every)
    else:
        found = names_of_some(numbers, path, volumes, MAP_FILE)
    by_id = dict(zip(ids, found, strict=True))
    return [by_file[x.file] if x.file else by_id[x.vol_id] for x in labels]


def numbering_note(pairs: Sequence[tuple[str, Label]], path: Path) -> str:
    """What was matched with what, for labels without file names; "" if all have one."""
    unnamed = [(name, label) for name, label in pairs if not label.file]
    if not unnamed:
        return ""
    shown = join_names([f"{VOL_ID} {label.vol_id} is {name}" for name, label in unnamed], 2)
    return f"{path.name} names no files: {shown}."


def current_labels(
    pairs: Sequence[tuple[str, Label]], fingerprints: Mapping[str, str], path: Path
) -> tuple[list[tuple[str, Label]], str]:
    """The labels of maps that are still the same, and a sentence about the others; "" if none.

    Parameters
    ----------
    pairs : sequence of (str, Label)
        See :func:`match_labels`.
    fingerprints : mapping of str
        Of the maps as they are now, by name.
    path : Path
        The labels table, for the sentence.

    Raises
    ------
    SirenError
        If none is left.
    """
    stale = [
        name
        for name, label in pairs
        if label.fingerprint and fingerprints.get(name, label.fingerprint) != label.fingerprint
    ]
    if not stale:
        return list(pairs), ""
    sentence = (
        f"{len(stale):,} label{'s' * (len(stale) > 1)} in {path.name} "
        f"{'are' if stale[1:] else 'is'} of other maps than those of this name now "
        f"({join_names(stale)}): label them again"
    )
    if len(stale) == len(pairs):
        raise SirenError(f"{sentence}.")
    return [p for p in pairs if p[0] not in set(stale)], f"{sentence}; they are left out."


def set_label(path: Path, label: Label) -> bool:
    """Write a label into a table; see :func:`set_labels`."""
    return set_labels(path, [label])[0]


def set_labels(path: Path, labels: Sequence[Label]) -> list[bool]:
    """Write labels into a table, each in the row of its map or a new one at the end.

    Other rows and columns are kept; who writes labels at the same time waits.

    Parameters
    ----------
    path : Path
        The csv, created if missing.
    labels : sequence of Label
        With file names.

    Returns
    -------
    list of bool
        Whether each map had a label before.

    Raises
    ------
    SirenError
        If the level is not within its bounds, or the file is not a labels table.
    """
    for label in labels:
        low, high = label.lower, label.upper
        if (low is not None and low > label.level) or (high is not None and high < label.level):
            raise SirenError(
                f"The bounds of {label.file} do not enclose its contour level "
                f"{label.level:.6g}: give lower and upper around it."
            )
    before = []
    with _changed(path) as (rows, _):
        for label in labels:
            texts = (
                label.vol_id,
                _text(label.lower),
                repr(float(label.level)),
                _text(label.upper),
                label.file,
                label.fingerprint,
            )
            new = dict(zip(TABLE_COLUMNS, texts, strict=True))
            at = next((i for i, row in enumerate(rows) if _matches(row, label)), None)
            before.append(at is not None and bool(rows[at].get("contour_level")))
            if at is None:
                rows.append(new)
            else:
                rows[at] = rows[at] | new
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
    with _changed(path) as (rows, _):
        at = next((i for i, found in enumerate(rows) if _matches(found, label)), len(rows))
        rows[at : at + 1] = [] if row is None else [row]


def write_template(
    path: Path,
    files: Sequence[str],
    all_names: Sequence[str],
    fingerprints: Mapping[str, str] | None = None,
) -> list[str]:
    """Add empty rows for maps to a labels table, created if missing; existing rows are kept.

    Parameters
    ----------
    path : Path
        The csv.
    files : sequence of str
        File names of the maps to add.
    all_names : sequence of str
        File names of all volumes of the folder, in natural order.
    fingerprints : mapping of str, optional
        Of the maps, by name.

    Returns
    -------
    list of str
        The maps that were added; the others had a row already.

    Raises
    ------
    SirenError
        If the file is not a labels table.
    """
    place = {name: n for n, name in enumerate(all_names)}
    added = []
    with _changed(path) as (rows, _):
        for name in files:
            label = Label(str(place[name]), name, np.nan)
            if not any(_matches(row, label) for row in rows):
                known = (fingerprints or {}).get(name, "")
                rows.append({VOL_ID: label.vol_id, MAP_FILE: name, FINGERPRINT: known})
                added.append(name)
    return added


@contextmanager
def _changed(path: Path) -> Iterator[tuple[list[dict[str, str]], list[str]]]:
    """Rows and columns of a table of labels, written back with the changes made to them."""
    with changing(path):
        rows, columns = _rows(path)
        yield rows, columns
        kept = [c for c in columns if c != FINGERPRINT or any(row.get(c) for row in rows)]
        if rows:
            write_table(path, kept, ([row.get(c, "") for c in kept] for row in rows))
        else:
            path.unlink(missing_ok=True)


def _rows(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    if not os.path.lexists(path):
        return [], list(TABLE_COLUMNS)
    rows, columns = read_rows(path, ["contour_level"], "labels table")
    return rows, columns + [c for c in TABLE_COLUMNS if c not in columns]


def _matches(row: dict[str, str], label: Label) -> bool:
    name = file_name(row.get(MAP_FILE, ""))
    if name:
        return stem(label.file) in (stem(name), stem(name.split("\\")[-1]))
    # a number alone may count from 1: a level of another map must not be lost
    blank = not row.get("contour_level")
    return blank and bool(label.vol_id) and row.get(VOL_ID, "") == label.vol_id


def _text(value: float | None) -> str:
    return "" if value is None else repr(float(value))
