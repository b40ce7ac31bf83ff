"""Which row of a table is which volume: by file name, or by number where that is certain.

Example::

    from pathlib import Path

    from chimerax.siren.core.thresholds.matching import names_by_number, row_names

    table, files = Path("t.csv"), ["vol_1.mrc", "vol_2.mrc"]
    row_names(["/data/j42/vol_2.mrc", "vol_1"], table, files)  # -> ['vol_2.mrc', 'vol_1.mrc']
    names_by_number([1, 0], table, files)[0]  # -> ['vol_2.mrc', 'vol_1.mrc']
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from ..common.errors import SirenError
from ..common.tables import parse_number
from ..maps.mapfile import COMPRESSIONS, SUFFIXES

FILE, VOL_ID = "file", "vol_id"  # columns
MAP_FILE = "map_file"  # what FILE is in tables of labels


def row_names(keys: list[str], path: Path, all_names: Sequence[str]) -> list[str]:
    """Match the rows of a table to file names.

    Parameters
    ----------
    keys : list of str
        File name of each row, with or without suffix and folder.
    path : Path
        The table, for errors.
    all_names : sequence of str
        File names of all volumes of the folder, in natural order.

    Returns
    -------
    list of str
        File names; keys that match none stay as they are.

    Raises
    ------
    SirenError
        If no key matches.
    """
    matched = matched_names(keys, all_names)
    if not any(matched):
        raise SirenError(
            f"{path.name} belongs to other volumes: its first row is "
            f"{keys[0] or 'empty'}, the first volume here is {all_names[0]}. Give the table of "
            'this folder, or run "siren predict".'
        )
    return [name or key for name, key in zip(matched, keys, strict=True)]


def matched_names(
    keys: Sequence[str], names: Sequence[str], whole: Collection[int] | None = None
) -> list[str | None]:
    """The volume of each row, by file name: without blanks around it, without its folder as of any
    system, without the suffix of maps, and with accents as other systems write them.

    Parameters
    ----------
    keys : file name of each row
    names : of the volumes
    whole : positions of the rows whose sub-folder is part of the name; if given, a row with the
        suffix of a map is of that file alone, as volumes not among ``names`` may have rows

    Returns
    -------
    One of ``names`` for each row, None if it is of none of them.
    """
    known = {stem(n): n for n in names} | {n: n for n in names}
    known = {unicodedata.normalize("NFC", k): n for k, n in known.items()} | known
    found = []
    for i, key in enumerate(keys):
        ways = _ways_to_write(key, whole is not None and i in whole, whole is None)
        found.append(next((known[way] for way in ways if way in known), None))
    # where a row has a volume's very name, one of another folder is not meant
    exact = {known[key.strip()] for key in keys if key.strip() in known}
    return [
        None if name in exact and known.get(key.strip()) != name else name
        for key, name in zip(keys, found, strict=True)
    ]


def _ways_to_write(key: str, whole: bool, any_suffix: bool) -> list[str]:
    """A name in a table as files may be named, the most literal first."""
    ways = [key, key.strip()]
    if not whole:
        ways += [Path(key.strip()).name, re.split(r"[/\\]", key.strip())[-1]]
    if any_suffix:
        ways.append(stem(ways[-1]))
    return ways + [unicodedata.normalize("NFC", way) for way in ways]


def file_name(cell: str) -> str:
    """Name of a volume in a cell: of a whole path, the file name. A relative one, as of a map in a
    sub-folder, stays as it is; a backslash may also be of a name.
    """
    if re.match(r"[A-Za-z]:|\\\\", cell):
        return PureWindowsPath(cell).name
    path = PurePosixPath(cell)
    return path.name if path.is_absolute() else str(path) if cell else ""


def names_by_number(
    numbers: Sequence[int], path: Path, all_names: Sequence[str], chosen: Sequence[str] = ()
) -> tuple[list[str], str]:
    """Match the rows of a table that has only ``vol_id`` to file names.

    The numbers are places in natural order, from 0, or from 1. They are certain only if the table
    has a row for every volume: one more volume in the folder would shift the rows behind it.

    Parameters
    ----------
    numbers : sequence of int
        ``vol_id`` of each row.
    path : Path
        The table, for errors.
    all_names : sequence of str
        File names of all volumes of the folder, in natural order.
    chosen : sequence of str
        Names of the selected volumes: the table may be of these alone.

    Returns
    -------
    names : list of str
    note : str
        What was matched with what.

    Raises
    ------
    SirenError
        If the numbers are not those of all volumes.
    """
    for names in (all_names, chosen):
        for first in (0, 1):
            if names and set(numbers) == set(range(first, first + len(names))):
                return [names[n - first] for n in numbers], (
                    f"{path.name} names no files: its {VOL_ID} {first} is {names[0]} and "
                    f"{first + len(names) - 1:,} is {names[-1]}, in natural order."
                )
    beyond = next((n for n in numbers if not 0 <= n < len(all_names)), None)
    if beyond is not None:
        raise SirenError(
            f"{path.name} has {VOL_ID} {beyond}, but the {len(all_names):,} volumes are "
            f"numbered from 0 to {len(all_names) - 1:,}: it belongs to another folder, or "
            'volumes were removed since. Run "siren predict" again.'
        )
    raise SirenError(
        f"{path.name} names no files, only {VOL_ID}, and has {len(numbers):,} rows for "
        f"{len(all_names):,} volumes: which row is which volume is not certain. Add a column "
        f'"{FILE}" with the file names, or "exclude" the volumes that have no row.'
    )


def names_of_some(
    numbers: Sequence[int], path: Path, volumes: Mapping[int, str], column: str
) -> list[str]:
    """Match rows that have only ``vol_id`` to file names, where the table is of some volumes only.

    Parameters
    ----------
    numbers : sequence of int
        ``vol_id`` of each row.
    path : Path
        The table, for errors.
    volumes : mapping of str
        File names by place in natural order, from 0.
    column : str
        The column that would name the files, for errors.

    Returns
    -------
    list of str

    Raises
    ------
    SirenError
        If a number is out of range, or it is not certain whether numbers are counted from 0, from
        1, or are those in the file names.
    """
    digits = {name: re.findall(r"\d+", stem(name)) for name in volumes.values()}
    in_name = {int(found[-1]): name for name, found in digits.items() if found}
    if len(in_name) < len(volumes):
        in_name = {}  # not one for each
    counted: list[tuple[str, Mapping[int, str]]] = [
        ("counted from 0", volumes),
        ("counted from 1", {n + 1: name for n, name in volumes.items()}),
        ("by the number in its name", in_name),
    ]
    found = [
        (how, [table[n] for n in numbers]) for how, table in counted if set(numbers) <= set(table)
    ]
    if not found:
        beyond = next((n for n in numbers if n not in volumes), numbers[0])
        raise SirenError(
            f"{path.name} has {VOL_ID} {beyond}, but the {len(volumes):,} volumes are "
            f"numbered from {min(volumes)} to {max(volumes):,}: it belongs to another folder, or "
            "volumes were removed since."
        )
    how, names = found[0]
    # from 0 is SIREn's and the published tool's way, and certain where file names agree
    certain = set(numbers) <= set(volumes) and in_name.items() >= volumes.items()
    for other_how, others in [] if certain else found[1:]:
        for number, one, other in zip(numbers, names, others, strict=True):
            if one != other:
                raise SirenError(
                    f"{path.name} names no files, and its {VOL_ID} {number} may be {one} ({how}) "
                    f'or {other} ({other_how}): add a column "{column}" with the file names.'
                )
    return names


def whole_number(text: str) -> int | None:
    """Parse a volume's number; pandas writes 3.0 for 3 if the column has gaps."""
    value = parse_number(text)
    return int(value) if value is not None and value.is_integer() else None


def stem(name: str) -> str:
    """File name without the suffixes of maps; others are kept (``.1`` in ``vol.1`` is none)."""
    ending = next(
        (s + c for s in SUFFIXES for c in COMPRESSIONS if name.lower().endswith(s + c)), ""
    )
    return name[: len(name) - len(ending)]
