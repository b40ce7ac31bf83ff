"""Tables of thresholds: hand-made files and their errors."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import Ensemble, Source
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.thresholds.matching import stem
from chimerax.siren.core.thresholds.normalize import Range
from chimerax.siren.core.thresholds.tables import (
    Prediction,
    Predictions,
    read_thresholds,
    write_predictions,
)

NAMES = ("vol_1.mrc", "vol_2.mrc", "vol_10.mrc", "vol_11.mrc")


@pytest.fixture
def ensemble():
    return Ensemble(tuple(Source(n) for n in NAMES), Grid((8, 8, 8), (2.0, 2.0, 2.0)), NAMES)


@pytest.fixture
def table(tmp_path):
    def write(text, name="predictions.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_predictions_are_written_with_the_published_columns(tmp_path):
    rows = (
        Prediction("vol_1.mrc", 0, Range(0.5, 2.5), 0.0),
        Prediction("vol_10.mrc", 2, Range(0.0, 1.0), -0.5),
    )
    write_predictions(tmp_path / "out" / "predictions.csv", Predictions(rows))
    with open(tmp_path / "out" / "predictions.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert list(read[0]) == [
        "file",
        "vol_id",
        "vol_min",
        "vol_max",
        "prediction",
        "int_predictions",
        "denormalized_predictions",
        "uncertainty",
        "normalized_uncertainty",
        "flag",
        "fingerprint",
    ]
    assert [float(v) for v in list(read[0].values())[1:7]] == [0, 0.5, 2.5, 0.0, 0.5, 1.5]
    assert [float(v) for v in list(read[1].values())[1:7]] == [2, 0.0, 1.0, -0.5, 0.25, 0.25]
    # no temporary file is left
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["predictions.csv"]


def test_predictions_are_read_back_to_the_last_digit(tmp_path, ensemble):
    rows = tuple(
        Prediction(n, i, Range(0.1, 1 / 3 + i), 0.1234567890123 * i) for i, n in enumerate(NAMES)
    )
    write_predictions(tmp_path / "p.csv", Predictions(rows))
    assert read_thresholds(tmp_path / "p.csv", ensemble).tolist() == [r.level for r in rows]


def test_rows_are_found_by_file_in_any_order_and_others_ignored(table, ensemble):
    path = table(
        "note,file,denormalized_predictions,vol_id\na,vol_11.mrc,4,9\nb,vol_1.mrc,1,9\nc,other.mrc,x,9\n"
        "d,vol_2.mrc,2,9\ne,vol_10.mrc,3e0,9\n"
    )
    assert read_thresholds(path, ensemble).tolist() == [1, 2, 3, 4]


def test_published_table_counts_all_volumes_from_zero(table, ensemble):
    path = table(
        "vol_id,vol_min,vol_max,prediction,int_predictions,denormalized_predictions\n"
        + "".join(f"{i},0,1,0,0.5,{10 + i}\n" for i in (3, 1, 2, 0))
    )
    assert read_thresholds(path, ensemble).tolist() == [10, 11, 12, 13]
    chosen = ensemble.select(exclude=["vol_1", "vol_10"])  # numbers still refer to all volumes
    assert read_thresholds(path, chosen).tolist() == [11, 13]


def test_files_are_also_named_in_the_column_of_tables_of_labels(table, ensemble):
    text = "vol_id,map_file,denormalized_predictions\n"
    path = table(text + "".join(f"{i},{n},{10 + i}\n" for i, n in enumerate(reversed(NAMES))))
    assert read_thresholds(path, ensemble).tolist() == [13, 12, 11, 10]
    path = table(text + "".join(f"{i},state_{i}.mrc,0.5\n" for i in range(4)))
    with pytest.raises(SirenError, match="belongs to other volumes: its first row is state_0"):
        read_thresholds(path, ensemble)  # and not matched by number


@pytest.mark.parametrize(
    "names",
    [NAMES, ("vol_1", "vol_2", "vol_10", "vol_11"), tuple(f"/data/run 1/{n}" for n in NAMES)],
)
def test_vol_id_may_be_a_name(table, ensemble, names):
    path = table(
        "vol_id,denormalized_predictions\n" + "".join(f"{n},{i}\n" for i, n in enumerate(names))
    )
    assert read_thresholds(path, ensemble).tolist() == [0, 1, 2, 3]


def test_a_byte_order_mark_blanks_and_empty_lines_are_accepted(table, ensemble):
    text = (
        "\ufefffile, denormalized_predictions\r\n\r\n"
        + "".join(f"{n} , {i}\r\n" for i, n in enumerate(NAMES))
        + ",\r\n"
    )
    assert read_thresholds(table(text), ensemble).tolist() == [0, 1, 2, 3]


def test_a_missing_row_is_named(table, ensemble):
    path = table("file,denormalized_predictions\nvol_1.mrc,1\nvol_2.mrc,1\nvol_11.mrc,1\n")
    with pytest.raises(SirenError) as error:
        read_thresholds(path, ensemble)
    assert str(error.value) == (
        "No threshold for vol_10.mrc in predictions.csv (it has 3 of these 4 volumes): run "
        '"siren predict" for it, which adds it to the table, or "exclude vol_10.mrc".'
    )


GOOD = "".join(f"{n},1\n" for n in NAMES[:3])
FAULTS = {
    "two rows": (
        "file,denormalized_predictions\n" + GOOD + "vol_11.mrc,1\nvol_1.mrc,2\n",
        "two rows for vol_1.mrc",
    ),
    "text": (
        "file,denormalized_predictions\n" + GOOD + "vol_11.mrc,high\n",
        '"high", not a number',
    ),
    "NaN": (
        "file,denormalized_predictions\n" + GOOD + "vol_11.mrc,nan\n",
        "vol_11.mrc.*not a number",
    ),
    "infinite": ("file,denormalized_predictions\n" + GOOD + "vol_11.mrc,inf\n", "not a number"),
    "no number": (
        "file,denormalized_predictions\n" + GOOD + "vol_11.mrc,\n",
        "empty, not a number",
    ),
    "empty": ("", "is empty"),
    "blank": ("\n \n", "is empty"),
    "heading alone": ("file,denormalized_predictions\n", "no rows"),
    "another csv": ("x,y\n1,2\n", "no column 'denormalized_predictions'"),
    "no volumes": ("x,denormalized_predictions\n1,2\n", "which row is which volume"),
    "others": ("file,denormalized_predictions\na.mrc,2\n", "belongs to other volumes"),
    "beyond": (
        "vol_id,denormalized_predictions\n0,1\n1,1\n2,1\n4,1\n",
        "vol_id 4, but the 4 volumes are numbered from 0 to 3",
    ),
    "negative": ("vol_id,denormalized_predictions\n-1,1\n", "vol_id -1"),
    "ragged": ("file,denormalized_predictions\nvol_1.mrc,1,2\n", "3 cells in row 2"),
    "binary": (b"\x93\x00\xff\xfe\x80", "cannot be read as text"),
    "zeros": (b"file\0\0", "cannot be read as text"),
}


@pytest.mark.parametrize(("text", "says"), FAULTS.values(), ids=FAULTS)
def test_every_fault_gives_one_sentence_with_the_file_name(table, ensemble, text, says):
    with pytest.raises(SirenError, match=says) as error:
        read_thresholds(table(text), ensemble)
    assert "predictions.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_table_is_reported(tmp_path, ensemble):
    for path, says in ((tmp_path / "none.csv", "there is no such file"), (tmp_path, "is a folder")):
        with pytest.raises(SirenError, match=says):
            read_thresholds(path, ensemble)


def test_a_name_loses_its_map_suffix_only():
    assert [stem(n) for n in ("a.mrc", "a.b.MAP", "a.ccp4.gz", "vol.1", "a")] == [
        "a",
        "a.b",
        "a",
        "vol.1",
        "a",
    ]


def test_levels_by_name():
    assert Predictions((Prediction("a.mrc", 0, Range(0.0, 2.0), 0.0),)).levels == {"a.mrc": 1.0}
    assert np.isfinite(Prediction("a.mrc", 0, Range(0.0, 2.0), 7.0).level)
