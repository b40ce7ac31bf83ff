"""Labels: hand-made tables and their errors, rows set one at a time, templates."""

from __future__ import annotations

import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import Ensemble, Source
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.thresholds.labels import (
    Label,
    match_labels,
    read_labels,
    set_label,
    write_template,
)

NAMES = ("vol_1.mrc", "vol_2.mrc", "vol_10.mrc", "vol_11.mrc")
HEAD = "vol_id,lower_bound,contour_level,upper_bound,map_file\n"


@pytest.fixture
def ensemble():
    return Ensemble(tuple(Source(n) for n in NAMES), Grid((8, 8, 8), (2.0, 2.0, 2.0)), NAMES)


@pytest.fixture
def table(tmp_path):
    def write(text, name="labels.csv"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_labels_are_read_with_and_without_bounds(table, ensemble):
    path = table(
        "vol_id,lower_bound,contour_level,upper_bound,map_file\n"
        "2,0.5,0.75,1,/data/vol_10.mrc\n0,,0.25,,vol_1.mrc\n",
        "template.csv",
    )
    labels = read_labels(path)
    assert [(v.file, v.level, v.lower, v.upper) for v in labels] == [
        ("vol_10.mrc", 0.75, 0.5, 1.0),
        ("vol_1.mrc", 0.25, None, None),
    ]
    assert [name for name, _ in match_labels(labels, path, ensemble.all_names)] == [
        "vol_10.mrc",
        "vol_1.mrc",
    ]


def test_labels_without_a_file_are_matched_by_number(table, ensemble):
    path = table("vol_id,contour_level\n3,0.75\n0,0.25\n", "template.csv")  # 0: not from 1
    matched = match_labels(read_labels(path), path, ensemble.all_names)
    assert [name for name, _ in matched] == ["vol_11.mrc", "vol_1.mrc"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("vol_id,map_file\n1,a.mrc\n", "no column 'contour_level'"),
        ("contour_level\n1\n", "which row is which volume"),
        ("contour_level,map_file\nhigh,vol_1.mrc\n", "not a number"),
        ("contour_level,map_file\n1,\n", "row without a volume"),
        ("contour_level,map_file\n1,vol_1.mrc\n2,vol_1.mrc\n", "two rows"),
        ("lower_bound,contour_level,map_file\n3,2,vol_1.mrc\n", "do not enclose"),
        ("contour_level,map_file\n1,vol_1.mrc\n2,vol_7.mrc\n", "label for vol_7.mrc"),
    ],
)
def test_wrong_labels_are_reported(table, ensemble, text, says):
    path = table(text, "template.csv")
    with pytest.raises(SirenError, match=says):
        match_labels(read_labels(path), path, ensemble.all_names)


def test_unfilled_template_rows_are_skipped(table):
    assert [v.file for v in read_labels(table(HEAD + "0,,,,vol_1.mrc\n1,,0.5,,vol_2.mrc\n"))] == [
        "vol_2.mrc"
    ]
    with pytest.raises(SirenError, match="no contour_level yet"):
        read_labels(table(HEAD + "0,,,,vol_1.mrc\n"))
    # bounds without a level are a mistake
    with pytest.raises(SirenError, match=r"contour_level of vol_1\.mrc is empty"):
        read_labels(table(HEAD + "0,0.1,,0.2,vol_1.mrc\n"))


def test_a_label_makes_the_table_and_another_of_the_same_map_takes_its_row(tmp_path):
    path = tmp_path / "new" / "labels.csv"
    assert not set_label(path, Label("3", "vol_11.mrc", 0.75, 0.5, None))
    assert not set_label(path, Label("0", "vol_1.mrc", 0.25))
    assert set_label(path, Label("3", "vol_11.mrc", 0.1 + 0.2))
    assert path.read_text() == HEAD + "3,,0.30000000000000004,,vol_11.mrc\n0,,0.25,,vol_1.mrc\n"
    assert [p.name for p in path.parent.iterdir()] == ["labels.csv"]


def test_a_label_keeps_other_rows_and_columns_as_they_are(table):
    path = table("map_file,contour_level,who\n/data/vol_1.mrc,1.50,Ann\nvol_2,,Ben\n")
    assert not set_label(path, Label("1", "vol_2.mrc", 2.0, 1.0, 3.0))
    assert path.read_text() == (
        "map_file,contour_level,who,vol_id,lower_bound,upper_bound\n/data/vol_1.mrc,1.50,Ann,,,\n"
        "vol_2.mrc,2.0,Ben,1,1.0,3.0\n"
    )


@pytest.mark.parametrize(("low", "high"), [(0.6, None), (None, 0.4), (0.6, 0.4)])
def test_bounds_that_do_not_enclose_the_level_write_nothing(tmp_path, low, high):
    with pytest.raises(SirenError, match=r"bounds of a\.mrc do not enclose its contour level 0\.5"):
        set_label(tmp_path / "l.csv", Label("0", "a.mrc", 0.5, low, high))
    assert not any(tmp_path.iterdir())


def test_another_csv_is_not_overwritten(table):
    path = table("a,b\n1,2\n")
    with pytest.raises(SirenError, match="no column 'contour_level'"):
        set_label(path, Label("0", "a.mrc", 0.5))
    assert path.read_text() == "a,b\n1,2\n"


def test_a_template_adds_rows_and_keeps_labels(table):
    path = table(HEAD + "2,0.1,0.2,0.3,vol_10.mrc\n")
    assert write_template(path, ["vol_10.mrc", "vol_1.mrc"], NAMES) == ["vol_1.mrc"]
    assert path.read_text() == HEAD + "2,0.1,0.2,0.3,vol_10.mrc\n0,,,,vol_1.mrc\n"


def test_a_table_tells_labels_and_maps_yet_to_be_labeled_apart(tmp_path):
    from chimerax.siren.core.thresholds.labels import labels_by_name

    table, names = tmp_path / "labels.csv", ["vol_1.mrc", "vol_2.mrc", "vol_10.mrc"]
    assert labels_by_name(table, names) == ({}, [])
    table.write_text(
        "vol_id,lower_bound,contour_level,upper_bound,map_file\n"
        "2,,,,vol_10.mrc\n0,0.1,0.2,,vol_1.mrc\n"
    )
    assert labels_by_name(table, names) == (
        {"vol_1.mrc": Label("0", "vol_1.mrc", 0.2, 0.1, None)},
        ["vol_10.mrc"],
    )
    table.write_text("vol_id,contour_level,map_file\n2,,other.mrc\n")
    with pytest.raises(SirenError, match="other volumes"):
        labels_by_name(table, names)
