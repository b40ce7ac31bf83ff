"""Predictions are merged into a table: nothing in it is lost."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from chimerax.siren.core.thresholds.merge import merge_predictions
from chimerax.siren.core.thresholds.normalize import Range
from chimerax.siren.core.thresholds.tables import (
    LEVEL,
    Prediction,
    Predictions,
    read_table,
    write_predictions,
)


def row(n, prediction=0.0, fingerprint=None, **more):
    print_ = f"m{n}" if fingerprint is None else fingerprint
    return Prediction(
        f"vol_{n}.mrc", n - 1, Range(0.0, 2.0), prediction, 0.1, fingerprint=print_, **more
    )


def read(path):
    with open(path, newline="") as file:
        return {r["file"]: r for r in csv.DictReader(file)}


def set_cell(path, name, column, value):
    rows = read(path)
    rows[name][column] = value
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, next(iter(rows.values())))
        writer.writeheader()
        writer.writerows(rows.values())


@pytest.fixture
def path(tmp_path):
    table = tmp_path / "predictions.csv"
    write_predictions(table, Predictions(tuple(row(n) for n in (1, 2, 10))))
    return table


def test_one_volume_predicted_again_leaves_all_other_rows_as_they_were(path):
    before = read(path)
    merged = merge_predictions(path, Predictions((row(2, 0.5),)), {"vol_2.mrc": 1})
    after = read(path)
    assert list(after) == ["vol_1.mrc", "vol_2.mrc", "vol_10.mrc"]
    assert float(after["vol_2.mrc"][LEVEL]) == merged.levels["vol_2.mrc"] == 1.5
    assert {n: r for n, r in after.items() if n != "vol_2.mrc"} == {
        n: r for n, r in before.items() if n != "vol_2.mrc"
    }
    assert "2 rows of other volumes" in merged.notes[0]


def test_a_new_volume_gets_a_row_in_natural_order_and_all_rows_their_number_in_the_folder(path):
    ids = {"vol_1.mrc": 0, "vol_2.mrc": 1, "vol_3.mrc": 2, "vol_10.mrc": 3}
    merge_predictions(path, Predictions((replace(row(3), vol_id=0),)), ids)
    assert {n: int(r["vol_id"]) for n, r in read(path).items()} == ids


def test_a_level_set_by_hand_stays_when_another_volume_is_predicted(path):
    set_cell(path, "vol_1.mrc", LEVEL, "0.7")
    merge_predictions(path, Predictions((row(2),)))
    assert read(path)["vol_1.mrc"][LEVEL] == "0.7"


def test_a_level_set_by_hand_stays_when_its_volume_is_predicted_again_and_that_is_said(path):
    set_cell(path, "vol_1.mrc", LEVEL, "0.7")
    merged = merge_predictions(path, Predictions((row(1, 0.5), row(2, 0.5))))
    after = read(path)
    assert float(after["vol_1.mrc"][LEVEL]) == merged.levels["vol_1.mrc"] == 0.7
    assert float(after["vol_1.mrc"]["prediction"]) == 0.5
    assert float(after["vol_2.mrc"][LEVEL]) == 1.5
    said = " ".join(merged.notes)
    assert "1 level set by hand" in said and "vol_1.mrc: 0.7" in said
    assert "keepEdited false" in said
    # and once more: it is still known to be set by hand
    assert merge_predictions(path, Predictions((row(1, 0.6),))).levels["vol_1.mrc"] == 0.7


def test_a_level_set_by_hand_is_replaced_if_asked_for_or_if_its_map_is_another_now(path):
    set_cell(path, "vol_1.mrc", LEVEL, "0.7")
    set_cell(path, "vol_2.mrc", LEVEL, "0.7")
    merged = merge_predictions(path, Predictions((row(1, 0.5),)), keep_edited=False)
    assert float(read(path)["vol_1.mrc"][LEVEL]) == 1.5
    merged = merge_predictions(path, Predictions((row(2, 0.5, "other"),)))
    assert float(read(path)["vol_2.mrc"][LEVEL]) == 1.5
    assert "1 row of other maps with the same file names was replaced" in " ".join(merged.notes)


def test_a_level_that_a_spreadsheet_rounded_is_not_taken_for_one_set_by_hand(path):
    set_cell(path, "vol_1.mrc", LEVEL, "1.00001")
    assert not any("by hand" in n for n in merge_predictions(path, Predictions((row(1),))).notes)


def test_a_level_given_to_a_flagged_map_without_one_is_set_by_hand(path):
    for column in ("vol_min", "vol_max", "prediction"):
        set_cell(path, "vol_1.mrc", column, "")
    assert merge_predictions(path, Predictions((row(1, 0.5),))).levels["vol_1.mrc"] == 1.0


def test_columns_and_rows_of_the_users_own_stay(path):
    text = path.read_text().splitlines()
    lines = [f"{line},{word}" for line, word in zip(text, ("who", "Ann", "Ben", "Cy"), strict=True)]
    path.write_text("\n".join(lines) + "\n")
    merge_predictions(path, Predictions((row(4, own=0.5),)))
    after = read(path)
    assert [r["who"] for r in after.values()] == ["Ann", "Ben", "", "Cy"]
    assert after["vol_4.mrc"]["own_level"] == "1.5"


def test_volumes_of_sub_folders_have_rows_of_their_own_also_when_predicted_again(tmp_path):
    table = tmp_path / "predictions.csv"
    both = [replace(row(n), file=f"{f}/vol_{n}.mrc") for f in ("kmeans20", "pc1") for n in (1, 2)]
    for _ in range(2):
        merge_predictions(table, Predictions(tuple(both)))
        assert table.read_text().count(".mrc") == len(read(table)) == 4
    merge_predictions(table, Predictions((row(1),)))  # of one of the folders alone
    assert list(read(table)) == [*(r.file for r in both), "vol_1.mrc"]
    alone = read_table(table, ["vol_1.mrc", "vol_2.mrc"], ["vol_1.mrc"])
    assert alone.levels["vol_1.mrc"] == row(1).level


def test_rows_named_without_suffix_or_with_a_folder_are_found(path):
    path.write_text(f"file,{LEVEL}\n/data/vol_1.mrc,0.4\nvol_2,0.5\n")
    merged = merge_predictions(path, Predictions((row(1), row(2))))
    assert list(read(path)) == ["vol_1.mrc", "vol_2.mrc"]
    assert merged.levels == {"vol_1.mrc": 0.4, "vol_2.mrc": 0.5}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("C:\\maps\\vol_1.mrc", "vol_1.mrc"),
        ("maps\\vol_1.mrc", "vol_1.mrc"),
        ("maps/vol_1", "vol_1.mrc"),
        ("re\u0301sultat.mrc", "r\u00e9sultat.mrc"),
        ("r\u00e9sultat", "re\u0301sultat.mrc"),
    ],
)
def test_a_level_set_by_hand_stays_however_another_system_writes_the_name(path, written, name):
    path.write_text(f"file,{LEVEL}\n{written},0.4\n", encoding="utf-8")
    merged = merge_predictions(path, Predictions((replace(row(1), file=name),)))
    assert list(read(path)) == [name] and merged.levels == {name: 0.4}


def test_rows_of_other_maps_with_the_same_name_stay(path):
    others = ["vol_1.map", "other/vol_1.mrc"]
    path.write_text(f"file,{LEVEL}\n{others[0]},0.4\nvol_1.mrc,0.5\n{others[1]},0.6\n")
    merged = merge_predictions(path, Predictions((row(1),)))
    assert sorted(read(path)) == sorted([*others, "vol_1.mrc"])
    assert merged.levels == {"vol_1.mrc": 0.5}


@pytest.mark.parametrize(
    "text", ["vol_id,denormalized_predictions\n0,1\n", "what is this?\n", "", "file,x\na,1,2\n"]
)
def test_a_file_that_cannot_be_added_to_is_kept_under_another_name(path, text):
    path.write_text(text)
    merged = merge_predictions(path, Predictions((row(1),)))
    assert list(read(path)) == ["vol_1.mrc"]
    assert (path.parent / "predictions_earlier_1.csv").read_text() == text
    assert "predictions_earlier_1.csv" in " ".join(merged.notes)


def test_merging_into_nothing_writes_the_same_bytes_as_writing(tmp_path):
    predictions = Predictions((row(1), row(2, 0.25)))
    write_predictions(tmp_path / "a.csv", predictions)
    merged = merge_predictions(tmp_path / "b.csv", predictions)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert merged.notes == ()
