"""Tables as other systems and programs write them mean the same, or are refused with a remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.tables import parse_number, plain_number, read_table

ROWS = [
    {"file": "vol_1.mrc", "level": "0.5", "count": "3"},
    {"file": "Ångström, 2.mrc", "level": "-12.25", "count": "1200"},
]


def save(folder: Path, text: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def read(path: Path) -> list[dict[str, str]]:
    return read_table(path, ["level"], "table", ["file"]).rows


def refused(folder: Path, text: str | bytes) -> str:
    with pytest.raises(SirenError) as caught:
        read(save(folder, text))
    said = str(caught.value)
    assert said.startswith(("table.csv", str(folder / "table.csv"))) and said.endswith(".")
    assert "\n" not in said
    return said


POINTS = 'file,level,count\nvol_1.mrc,0.5,3\n"Ångström, 2.mrc",-12.25,1200\n'
COMMAS = "file;level;count\nvol_1.mrc;0,5;3\nÅngström, 2.mrc;-12,25;1200\n"


@pytest.mark.parametrize(
    "text", [POINTS, COMMAS, COMMAS.replace(";", "\t"), COMMAS.replace(";", "|")]
)
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_encodings_and_line_ends_make_no_difference(
    tmp_path: Path, text: str, encoding: str, end: str
) -> None:
    assert read(save(tmp_path, text.replace("\n", end), encoding)) == ROWS


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\n" + COMMAS,  # Excel
        COMMAS.replace("\n", ";;\n"),  # a spreadsheet with empty columns
        POINTS.replace("file,level,count", '"file" , "level","count"').replace(' , "', ',"'),
        'file,level,count\nvol_1.mrc,"0,5",3\n"Ångström, 2.mrc","-12,25","1.200,"\n',
        "count,level,file,level\n3,0.5,vol_1.mrc,0.5\n1200,-12.25,'x',-12.25\n".replace(
            "'x'", '"Ångström, 2.mrc"'
        ),
        ',file,level,count\n0,vol_1.mrc,0.5,3\n1,"Ångström, 2.mrc",-12.25,1200\n',  # pandas
        'file, level, count\nvol_1.mrc, 0.5, 3\n"Ångström, 2.mrc", -12.25, 1200\n\n\n',
        POINTS.replace("-12.25", "\u221212.25").replace("1200", "1\u202f200"),
        POINTS.replace("0.5", "5.D-1").replace("1200", "1'200"),
    ],
)
def test_what_other_programs_write_means_the_same(tmp_path: Path, text: str) -> None:
    rows = [{k: row[k] for k in ("file", "level", "count")} for row in read(save(tmp_path, text))]
    assert [r["file"] for r in rows] == [r["file"] for r in ROWS]
    for name in ("level", "count"):
        found = [parse_number(r[name]) for r in rows]
        assert found == [float(r[name]) for r in ROWS]


def test_a_table_as_libreoffice_and_pandas_write_it_in_german(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file": ["a.mrc", "b.mrc"], "level": [0.123, 1234.5]})
    frame.to_csv(tmp_path / "table.csv", sep=";", decimal=",", index=False, encoding="utf-16")
    assert [float(r["level"]) for r in read(tmp_path / "table.csv")] == [0.123, 1234.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,level,level\na,1,2\n", ["two columns 'level' that differ", "remove one"]),
        ("file;level;x\na;0,5;1.234\n", ["decimal commas, and 1.234", "decimal point"]),
        ("file,level\na,1,2\n", ["3 cells in row 2", "2 columns", "repair"]),
        ("file,level\na\n", ["1 cells in row 2"]),
        ('file,level\n"a,1\n', ["not a csv"]),
        ("a,b\n1,2\n", ["no column 'level'", "a, b"]),
        ("file,level\n", ["no rows"]),
        ("\n \n", ["is empty"]),
        (b"PK\x03\x04\0\0\x08\0", ["is a workbook"]),
        (b"\xff\xfea\0b", ["cannot be read as text"]),
    ],
)
def test_what_is_in_doubt_is_refused_with_the_remedy(
    tmp_path: Path, text: str | bytes, words: list[str]
) -> None:
    said = refused(tmp_path, text)
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("cell", "comma", "number"),
    [
        ("1_000", False, None),
        ("１２", False, None),
        ("nan", False, None),
        ("inf", False, None),
        ("1e999", False, None),
        ("1,234", False, None),  # 1.234 or 1234
        ("1,234", True, 1.234),
        ("1.234", True, None),
        ("1.234", False, 1.234),
        ("1,234.5", False, 1234.5),
        ("1.234,5", True, 1234.5),
        ("1,234,567", False, 1234567),
        ("1.234.567", True, 1234567),
        ("1 234 567,8", True, 1234567.8),
        ("0,123", True, 0.123),
        ("1 23", False, None),
        ("12 3456", False, None),
        ("50 %", False, None),
        ("0x10", False, None),
        ("1.5e-3", False, 0.0015),
        ("+.5", False, 0.5),
        ("", False, None),
    ],
)
def test_numbers_are_what_a_reader_without_doubt_takes_them_for(
    cell: str, comma: bool, number: float | None
) -> None:
    text = plain_number(cell, comma)
    if cell == "1.234" and comma:
        assert text == cell  # the table is refused
    else:
        assert parse_number(text) == number


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    levels=st.lists(
        st.floats(-1e9, 1e9, allow_subnormal=False).map(lambda v: float(f"{v:.5g}")), min_size=1
    ),
    separator=st.sampled_from(",;\t|"),
    decimal=st.sampled_from(".,"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_numbers_that_pandas_writes_are_read_as_they_were_or_the_table_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
    levels: list[float],
    separator: str,
    decimal: str,
    encoding: str,
    end: str,
) -> None:
    path = tmp_path_factory.mktemp("pandas") / "table.csv"
    frame = pd.DataFrame({"file": [f"v {n}.mrc" for n in range(len(levels))], "level": levels})
    frame.to_csv(
        path, sep=separator, decimal=decimal, index=False, encoding=encoding, lineterminator=end
    )
    found = [parse_number(row["level"]) for row in read(path)]
    for value, number in zip(found, levels, strict=True):
        assert value in (None, number)  # never another one
    if decimal == "." and separator != ",":
        assert None not in found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "table.csv")
    with pytest.raises(SirenError, match="named pipe"):
        read(tmp_path / "table.csv")


def test_a_huge_cell_is_refused(tmp_path: Path) -> None:
    assert "not a csv" in refused(tmp_path, "file,level\n" + "9" * 1_000_000 + ",1\n")


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"])
def test_a_workbook_is_called_one_and_not_read_as_text(tmp_path: Path, start: bytes) -> None:
    with pytest.raises(SirenError, match=r"is a workbook .* save the table as csv there") as caught:
        read(save(tmp_path, start + b"level" * 2000))
    assert len(str(caught.value)) < 200


def test_a_table_of_one_long_cell_of_whatever_is_refused_in_a_short_sentence(
    tmp_path: Path,
) -> None:
    """As UTF-16 with its bytes out of step."""
    cell = "\u0a00\u3000昀\x07" * 5000
    said = refused(tmp_path, cell)
    assert "has no column" in said and said.isprintable() and len(said) < 600
