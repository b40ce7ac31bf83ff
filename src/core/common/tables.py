"""Tables of text as spreadsheets and other programs write them: csv in any usual dialect.

Read are commas, semicolons, tabs and bars between cells; UTF-8, UTF-16 and UTF-32 with or without
the mark at their start; every kind of line end; decimal commas and separated thousands where the
table leaves no doubt. What is in doubt is refused with the remedy.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import SirenError, join_names, printable
from .reading import read_bytes

MOST_BYTES = 64 << 20  # of a table: 300,000 rows of predictions
LONGEST_SHOWN = 60  # characters of a cell in an error
_MARKS = (  # longest first: that of UTF-16 begins that of UTF-32
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATORS = (",", ";", "\t", "|")
_GROUPS = " \u00a0\u2009\u202f'\u2019"  # between thousands, besides comma and point
_POINT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eEdD][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}([,.])\d{3}", re.ASCII)  # or a decimal: nobody can tell
_US = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?", re.ASCII)
_EUROPE = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?", re.ASCII)


@dataclass(frozen=True)
class TextTable:
    """A table of texts.

    Attributes
    ----------
    columns : names, each once
    rows : column -> cell, for each row; numbers are written as Python does, unless in doubt
    """

    columns: list[str]
    rows: list[dict[str, str]]


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A table as the project writes it: csv with commas, and a line feed at the end of each row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def read_table(
    path: Path, needed: Sequence[str], what: str, texts: Collection[str] = ()
) -> TextTable:
    """Read a table.

    Parameters
    ----------
    path : Path
    needed : sequence of str
        Columns without which it is another table.
    what : str
        Name of the table for errors, such as ``predictions table``.
    texts : collection of str
        Columns of names: their cells stay as they are.

    Raises
    ------
    SirenError
        If the file is missing or not a table, has no rows, or lacks a column.
    """
    lines = _lines(path, what)
    table = _cells(lines, needed, path, what)
    if not table:
        raise SirenError(f"{path.name} is empty: give the {what}.")
    columns = table[0]
    missing = [c for c in needed if c not in columns]
    if missing:
        raise SirenError(
            f"{path.name} has no column {join_names([repr(m) for m in missing])} (it has "
            f"{join_names([_shown(c) for c in columns], 8)}): give the {what}."
        )
    if len(table) == 1:
        raise SirenError(f"{path.name} has a heading but no rows: give the {what}.")
    rows = [_fitted(row, len(columns)) for row in table[1:]]
    ragged = next((n for n, row in enumerate(rows, 2) if len(row) != len(columns)), None)
    if ragged:
        raise SirenError(
            f"{path.name} has {len(rows[ragged - 2])} cells in row {ragged} but "
            f"{len(columns)} columns: repair that row."
        )
    kept = _kept_columns(columns, rows, path)
    named = [(at, columns[at]) for at in kept]
    for at, name in named:
        if name in texts:
            # a blank after each separator is not of the name; no name of a map ends in one
            spaced = all(row[at].startswith(" ") for row in rows)
            for row in rows:
                row[at] = (row[at].lstrip() if spaced else row[at]).rstrip()
    decimals = [at for at, name in named if name not in texts]
    comma = any(_surely_comma(row[at].strip()) for row in rows for at in decimals)
    doubtful = {row[at] for row in rows for at in decimals if comma and _in_doubt(row[at].strip())}
    if doubtful:
        raise SirenError(
            f"{path.name} has decimal commas, and {min(doubtful)}: write all numbers with a "
            "decimal point, and without separators of thousands."
        )
    return TextTable(
        [name for _, name in named],
        [
            {
                name: row[at] if name in texts else plain_number(row[at].strip(), comma)
                for at, name in named
            }
            for row in rows
        ],
    )


def _shown(cell: str) -> str:
    """A cell for an error: a damaged file may be one long cell of whatever."""
    return printable(cell if len(cell) <= LONGEST_SHOWN else f"{cell[:LONGEST_SHOWN]}...")


#: How packed files (.xlsx, .ods, .numbers, .zip) and those of Excel before 2007 begin.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def _lines(path: Path, what: str) -> str:
    """The text of a file, whatever its encoding, with its own line ends."""
    try:
        if path.is_dir():
            raise SirenError(f"{path} is a folder: give the {what} (.csv).")
        content = read_bytes(path, MOST_BYTES)
    except FileNotFoundError:
        raise SirenError(f"{path}: there is no such file. Give the {what} (.csv).") from None
    except (OSError, ValueError) as error:
        raise SirenError(f"{path.name} cannot be read as text: give the {what} (.csv).") from error
    if content.startswith(_WORKBOOKS):
        raise SirenError(
            f"{path.name} is a workbook of Excel, LibreOffice or Numbers, or another packed file, "
            f"not text: save the {what} as csv there, and give that."
        )
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    if not encoding and content[:64].count(0) > len(content[:64]) // 3:  # UTF-16 without a mark
        encoding = "utf-16-le" if content[:1] != b"\0" else "utf-16-be"
    try:
        # bytes of another encoding stay what they are, as in the names of files
        text = content.decode(encoding) if encoding else content.decode("utf-8", "surrogateescape")
    except UnicodeDecodeError as error:
        raise SirenError(f"{path.name} cannot be read as text: give the {what} (.csv).") from error
    if "\0" in text:
        raise SirenError(f"{path.name} cannot be read as text: give the {what} (.csv).")
    if "\n" not in text:
        text = text.replace("\r", "\n")  # of an old Macintosh
    return text


def _cells(text: str, needed: Sequence[str], path: Path, what: str) -> list[list[str]]:
    """The rows of cells, by the separator that makes the needed columns."""
    told = re.match(r"sep=(.)\r?\n", text)  # for Excel
    if told:
        text = text[told.end() :]
    failed: csv.Error | None = None
    tables = []
    for separator in [told[1]] if told else _SEPARATORS:
        try:
            rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
            table = [row for row in rows if any(c.strip() for c in row)]
        except csv.Error as error:
            failed = error
            continue
        if table:
            table[0] = [c.strip() for c in table[0]]
            while len(table[0]) > 1 and not table[0][-1]:
                table[0].pop()  # a separator at the end of each line
            tables.append(table)
            if set(needed) <= set(table[0]):
                return table
    if failed is not None:
        raise SirenError(f"{path.name} is not a csv ({failed}): give the {what}.")
    return max(tables, key=lambda t: len(t[0]), default=[])


def _fitted(row: list[str], columns: int) -> list[str]:
    while len(row) > columns and not row[-1].strip():
        row = row[:-1]
    return row


def _kept_columns(columns: list[str], rows: list[list[str]], path: Path) -> list[int]:
    """Positions of the columns, each name once; nameless ones are no columns of ours."""
    kept: dict[str, int] = {}
    for at, name in enumerate(columns):
        first = kept.setdefault(name, at) if name else at
        if any(row[at].strip() != row[first].strip() for row in rows):
            raise SirenError(
                f"{path.name} has two columns {name!r} that differ: remove one of them."
            )
    return list(kept.values())


def _surely_comma(cell: str) -> bool:
    """Whether a cell is a number whose comma can only be a decimal one."""
    return "," in cell and (
        bool(_COMMA.fullmatch(cell) and not _THOUSANDS.fullmatch(cell))
        or bool(_EUROPE.fullmatch(cell))
    )


def _in_doubt(cell: str) -> bool:
    """Whether the point of a number, in a table with decimal commas, may separate thousands."""
    return "." in cell and bool(_THOUSANDS.fullmatch(cell))


def plain_number(cell: str, comma: bool = False) -> str:
    """A number as Python writes it; what is not a number, or in doubt, as it is.

    Parameters
    ----------
    cell : str
    comma : bool
        Whether the table has decimal commas.
    """
    text = cell.replace("\u2212", "-")
    for group in _GROUPS:
        parts = text.split(group)
        if len(parts) > 1 and re.fullmatch(r"[+-]?\d{1,3}", parts[0], re.ASCII):
            whole = re.fullmatch(r"\d{3}(?!\d).*", parts[-1], re.ASCII)
            if whole and all(re.fullmatch(r"\d{3}", p, re.ASCII) for p in parts[1:-1]):
                text = "".join(parts)
                break
    if _THOUSANDS.fullmatch(text) and ("," in text) != comma:
        return cell  # nobody can tell
    if comma and _COMMA.fullmatch(text):
        return _exponent(text.replace(",", "."))
    if _POINT.fullmatch(text):
        return _exponent(text)
    if not comma and _US.fullmatch(text):
        return text.replace(",", "")
    if comma and _EUROPE.fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    return cell


def parse_number(text: str) -> float | None:
    """The finite number that a cell holds; None if it holds none.

    Python's own ``1_000`` and digits of other scripts are no numbers in tables.
    """
    if not _POINT.fullmatch(text):
        return None
    value = float(_exponent(text))
    return value if math.isfinite(value) else None


def _exponent(text: str) -> str:
    return text.replace("D", "e").replace("d", "e")  # of Fortran
