"""Which row is which volume."""

from __future__ import annotations

from pathlib import Path

import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import Ensemble, Source
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.thresholds.labels import Label, match_labels, read_labels, set_label
from chimerax.siren.core.thresholds.tables import read_table, read_thresholds

FROM_0 = tuple(f"vol_{n:03d}.mrc" for n in range(5))
FROM_1 = tuple(f"vol_{n}.mrc" for n in range(1, 6))
PLAIN = ("apo.mrc", "bound.mrc", "core.mrc", "dimer.mrc", "empty.mrc")


def ensemble_of(names, chosen=None):
    sources = tuple(Source(n) for n in (chosen or names))
    return Ensemble(sources, Grid((8, 8, 8), (2.0,) * 3), tuple(names))


def published(path: Path, ids) -> Path:
    path.write_text("vol_id,denormalized_predictions\n" + "".join(f"{n},{10 + n}\n" for n in ids))
    return path


def test_a_published_table_is_not_shifted_where_the_folder_holds_one_more_map(tmp_path):
    table = published(tmp_path / "p.csv", range(5))
    names = ("mean.mrc", *FROM_0)  # sorts first: every row would shift by one
    with pytest.raises(SirenError) as error:
        read_thresholds(table, ensemble_of(names))
    said = str(error.value)
    assert "p.csv names no files" in said and "5 rows for 6 volumes" in said and "exclude" in said
    # with the volumes it is of, it is certain again, and the matching is said
    chosen = ensemble_of(names, FROM_0)
    assert read_thresholds(table, chosen).tolist() == [10, 11, 12, 13, 14]
    (note,) = read_table(table, chosen.all_names, chosen.names).notes
    assert "0 is vol_000.mrc and 4 is vol_004.mrc" in note


def test_a_published_table_with_a_row_too_few_is_refused(tmp_path):
    with pytest.raises(SirenError, match="4 rows for 5 volumes"):
        read_thresholds(published(tmp_path / "p.csv", range(4)), ensemble_of(FROM_0))


def test_a_table_of_all_volumes_that_counts_from_1_is_taken_as_such_and_said(tmp_path):
    table = published(tmp_path / "p.csv", range(1, 6))
    assert read_thresholds(table, ensemble_of(PLAIN)).tolist() == [11, 12, 13, 14, 15]
    assert "1 is apo.mrc and 5 is empty.mrc" in read_table(table, PLAIN).notes[0]


def test_a_table_with_file_names_needs_no_note(tmp_path):
    (tmp_path / "p.csv").write_text("file,vol_id,denormalized_predictions\napo.mrc,7,1\n")
    assert read_table(tmp_path / "p.csv", PLAIN).notes == ()


@pytest.mark.parametrize(
    ("names", "ids", "means"),
    [
        (FROM_0, (1, 3), ("vol_001.mrc", "vol_003.mrc")),  # counting and names agree
        (FROM_1, (0, 3), ("vol_1.mrc", "vol_4.mrc")),  # only counting from 0 has 0
        (FROM_1, (2, 5), ("vol_2.mrc", "vol_5.mrc")),  # only counting from 1 has 5
        (PLAIN, (0, 2), ("apo.mrc", "core.mrc")),
        (PLAIN, (1, 5), ("apo.mrc", "empty.mrc")),
        (FROM_1, (1, 3), None),
        (PLAIN, (1, 3), None),
        (("s_10.mrc", "s_20.mrc", "s_30.mrc"), (10, 30), ("s_10.mrc", "s_30.mrc")),
        (("s_2.mrc", "s_5.mrc", "s_6.mrc"), (2,), None),
    ],
)
def test_labels_by_number_are_matched_where_that_is_certain_and_else_refused(
    tmp_path, names, ids, means
):
    path = tmp_path / "l.csv"
    path.write_text("vol_id,contour_level\n" + "".join(f"{n},0.{n}5\n" for n in ids))
    if means is None:
        with pytest.raises(SirenError) as error:
            match_labels(read_labels(path), path, names)
        said = str(error.value)
        assert "counted from 0" in said and "map_file" in said and "l.csv" in said
    else:
        matched = match_labels(read_labels(path), path, names)
        assert tuple(name for name, _ in matched) == means
        assert [label.level for _, label in matched] == [float(f"0.{n}5") for n in ids]


def test_a_number_that_no_volume_can_have_is_refused(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text("vol_id,contour_level\n9,0.5\n")
    with pytest.raises(SirenError, match="vol_id 9, but the 5 volumes"):
        match_labels(read_labels(path), path, PLAIN)


def test_a_new_label_takes_no_row_that_may_be_of_another_map(tmp_path):
    """The row of vol_id 1, which counts from 1, is vol_1's; vol_2 is number 1 from 0."""
    path = tmp_path / "l.csv"
    path.write_text("vol_id,contour_level\n1,0.25\n")
    assert not set_label(path, Label("1", "vol_2.mrc", 0.75))
    levels = sorted(label.level for label in read_labels(path))
    assert levels == [0.25, 0.75]


def test_named_labels_are_matched_by_name_beside_numbered_ones(tmp_path):
    path = tmp_path / "l.csv"
    path.write_text(
        "vol_id,contour_level,map_file\n0,0.1,\n3,0.2,vol_2.mrc\n,0.3,/data/vol_5.mrc\n"
    )
    names = [name for name, _ in match_labels(read_labels(path), path, FROM_1)]
    assert names == ["vol_1.mrc", "vol_2.mrc", "vol_5.mrc"]
