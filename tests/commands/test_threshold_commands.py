"""siren predict, evaluate, label, finetune and filter flags as a user types them, in a real
ChimeraX session.
"""

from __future__ import annotations

import csv
import html
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog

from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import write_map
from ensembles import LEVEL, write_planted
from molecules import molecule

pytest.importorskip("torch", reason="torch is not installed: prediction cannot be tested")
LABEL_HEAD = "vol_id,lower_bound,contour_level,upper_bound,map_file\n"


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with volumes/ (ten molecules, one of them constant, one of them noise) and
    siren/predictions.csv.
    """
    from chimerax.siren.core.maps.ensemble import find_ensemble
    from chimerax.siren.core.thresholds.predict import predict_levels
    from chimerax.siren.core.thresholds.tables import write_predictions

    folder = tmp_path_factory.mktemp("run")
    (folder / "volumes").mkdir()
    for n in range(1, 11):
        array = molecule(n)[0]
        if n == 4:
            array = np.full_like(array, 2)
        if n == 7:
            array = np.random.default_rng(7).normal(size=array.shape).astype(np.float32)
        write_map(folder / f"volumes/vol_{n}.mrc", array, Grid((64,) * 3, (4.0,) * 3), "test")
    ensemble = find_ensemble([folder / "volumes"])
    write_predictions(folder / "siren/predictions.csv", predict_levels(ensemble))
    return folder


@pytest.fixture
def folder(predicted: Path, tmp_path: Path) -> Path:
    shutil.copytree(predicted, tmp_path / "run")
    return tmp_path / "run"


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with open(path, newline="") as file:
        read = list(csv.DictReader(file))
    return {row.get("file") or row["map_file"]: row for row in read}


def log_of(session: Any, run: Any, command: str) -> str:
    with StringPlainTextLog(session.logger) as log:
        run(command)
    return " ".join(log.getvalue().split())


def test_predict_says_what_it_flagged_and_how_to_go_on(session, run, folder):
    log = log_of(session, run, f"siren predict '{folder}/volumes'")
    assert "vol_4.mrc (constant)" in log
    assert "vol_7.mrc (" in log
    assert "2 flagged" in log
    assert "expected error" in log
    assert "filter flags" in log.split("Next, sketch:")[1]


def next_commands(session: Any, run: Any, monkeypatch: pytest.MonkeyPatch, command: str) -> str:
    """What the log of a command offers next."""
    lines: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(session.logger, "info", lambda text, *a, **k: lines.append(text))
        run(command)
    (found,) = re.findall(r'Next, [a-z]+: <a href="cxcmd:([^"]*)"', " ".join(lines))
    return html.unescape(found)


def test_one_open_map_predicted_again_leaves_the_rows_of_all_others(session, run, folder):
    table = folder / "siren/predictions.csv"
    before = rows_of(table)
    text = table.read_text()
    level = before["vol_3.mrc"]["denormalized_predictions"]
    table.write_text(text.replace(f",{level},", ",0.77,"))  # edited by hand
    edited = rows_of(table)

    def check(*predicted: str) -> None:
        after = rows_of(table)
        assert list(after) == list(edited)
        for name, row in after.items():
            if name not in predicted:
                assert row == edited[name]
            elif row["prediction"]:  # to the last digits: another batch
                for column in ("vol_id", "prediction", "denormalized_predictions"):
                    was = float(edited[name][column])
                    assert float(row[column]) == pytest.approx(was, rel=1e-4)

    run(f"open '{folder}/volumes/vol_2.mrc'")
    log = log_of(session, run, "siren predict #1")
    check("vol_2.mrc")
    assert "9 rows of other volumes in predictions.csv stay as they were" in log
    run(f"siren predict '{folder}/volumes/vol_10.mrc'")
    run(f"siren predict '{folder}/volumes' include vol_1,vol_5")
    check("vol_1.mrc", "vol_2.mrc", "vol_5.mrc", "vol_10.mrc")
    log = log_of(session, run, f"siren predict '{folder}/volumes'")
    check()
    assert "1 level set by hand in predictions.csv stays (vol_3.mrc: 0.77)" in log
    run(f"siren predict '{folder}/volumes' keepEdited false")
    assert rows_of(table) == before


def test_the_level_set_on_an_open_map_is_the_one_in_the_table(session, run, folder):
    table = folder / "siren/predictions.csv"
    level = rows_of(table)["vol_3.mrc"]["denormalized_predictions"]
    table.write_text(table.read_text().replace(f",{level},", ",0.77,"))
    (volume,) = run(f"open '{folder}/volumes/vol_3.mrc'")
    run("siren predict #1")
    assert [s.level for s in volume.surfaces] == [0.77]


def test_the_next_sketch_has_the_volumes_voxel_size_and_output_folder_of_the_prediction(
    session, run, folder, monkeypatch
):
    out = folder / "my results"
    command = next_commands(
        session,
        run,
        monkeypatch,
        f"siren predict '{folder}/volumes' exclude vol_4,vol_7 voxelSize 3.5 outputDir '{out}'",
    )
    result = run(f"{command} statistic exact subsample 1 resamples 0 open false")
    assert result.folder == out / "00_sketch"
    assert result.record.voxel_size == 3.5
    assert result.record.not_chosen == ["vol_4.mrc", "vol_7.mrc"]
    assert sorted(p.name for p in out.iterdir()) == ["00_sketch", "predictions.csv"]


@pytest.mark.slow
def test_predict_together_says_so_and_is_off_unless_asked(session, run, folder):
    log = log_of(session, run, f"siren predict '{folder}/volumes' together true")
    assert "harmonized" in log
    assert "harmonized" not in log_of(session, run, f"siren predict '{folder}/volumes'")


def test_a_level_set_by_eye_becomes_a_row_and_replaces_the_maps_earlier_one(session, run, folder):
    run(f"open '{folder}/volumes/vol_2.mrc'")
    run(f"open '{folder}/volumes/vol_10.mrc'")
    run("volume #1 level 0.31")
    run("volume #2 level 0.42")
    run("siren label #1 lower 0.25 upper 0.4")
    run("siren label #2")
    rows = rows_of(folder / "siren/predictions.csv")
    two, ten = (rows[f"vol_{n}.mrc"]["fingerprint"] for n in (2, 10))
    head = LABEL_HEAD.replace("map_file", "map_file,fingerprint")
    assert (folder / "siren/labels.csv").read_text() == (
        f"{head}1,0.25,0.31,0.4,vol_2.mrc,{two}\n9,,0.42,,vol_10.mrc,{ten}\n"
    )
    run("volume #1 level 0.35")
    log = log_of(session, run, "siren label #1")
    assert "replaces its earlier label" in log
    assert "siren evaluate" in log
    assert (folder / "siren/labels.csv").read_text() == (
        f"{head}1,,0.35,,vol_2.mrc,{two}\n9,,0.42,,vol_10.mrc,{ten}\n"
    )
    run(f"siren label #1,2 labels '{folder}/both.csv'")
    assert list(rows_of(folder / "both.csv")) == ["vol_2.mrc", "vol_10.mrc"]


@pytest.mark.parametrize(
    ("before", "command", "says"),
    [
        ("", "siren label #1 lower 0.5", "do not enclose"),
        ("volume #1 level 0.2 level 0.4", "siren label #1", "has 2 contour levels"),
        ("volume copy #1", "siren label #2", "not from a map file"),
        ("open '{volumes}/vol_3.mrc'", "siren label #1,2 lower 0.1", "bounds for a single map"),
    ],
)
def test_labels_that_cannot_be_say_why_and_write_nothing(
    session, run, folder, before, command, says
):
    run(f"open '{folder}/volumes/vol_2.mrc'")
    run("volume #1 level 0.3")
    if before:
        run(before.format(volumes=folder / "volumes"))
    with pytest.raises(UserError, match=says):
        run(command)
    assert not (folder / "siren/labels.csv").exists()


def test_a_template_names_maps_worth_labeling_and_keeps_labels(session, run, folder):
    (folder / "siren/labels.csv").write_text(LABEL_HEAD + "0,,0.5,,vol_1.mrc\n")
    log = log_of(session, run, f"siren label template '{folder}/volumes' count 3")
    rows = rows_of(folder / "siren/labels.csv")
    assert rows["vol_1.mrc"]["contour_level"] == "0.5"
    assert 3 <= len(rows) <= 4
    assert not {"vol_4.mrc", "vol_7.mrc"} & set(rows)
    assert "normalized level" in log
    first = (folder / "siren/labels.csv").read_bytes()
    run(f"siren label template '{folder}/volumes' count 3")
    assert (folder / "siren/labels.csv").read_bytes() == first


def test_evaluate_compares_tables_and_draws(session, run, folder):
    rows = rows_of(folder / "siren/predictions.csv")
    good = [n for n in rows if rows[n]["denormalized_predictions"]]
    text = "".join(f",,{1.25 * float(rows[n]['denormalized_predictions'])},,{n}\n" for n in good)
    (folder / "siren/labels.csv").write_text(LABEL_HEAD + text)
    log = log_of(session, run, f"siren evaluate '{folder}/siren/labels.csv'")
    assert f"{len(good)} labeled volumes: RMSE" in log
    assert "evaluation.pdf" in log
    table = rows_of(folder / "siren/evaluation/evaluation.csv")
    assert all(
        float(r["predicted_level"]) == pytest.approx(0.8 * float(r["contour_level"]))
        for r in table.values()
    )
    assert (folder / "siren/evaluation/evaluation.png").read_bytes()[:4] == b"\x89PNG"


def test_with_windows_the_picture_is_in_the_log(session, folder):
    from chimerax.siren.session.log import log_picture

    class Gui:
        is_gui = True

    class Fake:
        ui, logger = Gui(), session.logger

    (folder / "p.png").write_bytes(b"\x89PNG")
    lines: list[str] = []
    Fake.logger = type(
        "L", (), {"info": staticmethod(lambda text, is_html=False: lines.append(text))}
    )
    log_picture(Fake(), folder / "p.png")
    (picture,) = lines
    assert picture.startswith('<img src="data:image/png;base64,iVBORw==" width="640" ')
    assert "max-width:100%" in picture  # the log would scroll sideways
    assert picture.endswith('alt="p.png">')


@pytest.mark.slow
def test_finetune_writes_weights_that_predict_uses(session, run, folder, monkeypatch):
    for n in range(11, 15):
        write_map(folder / f"volumes/vol_{n}.mrc", molecule(n)[0], Grid((64,) * 3, (4.0,) * 3), "")
    run(f"siren predict '{folder}/volumes'")
    rows = rows_of(folder / "siren/predictions.csv")
    good = [n for n in rows if not rows[n]["flag"]]
    text = "".join(f",,{1.3 * float(rows[n]['denormalized_predictions'])},,{n}\n" for n in good)
    labels = folder / "siren/labels.csv"
    labels.write_text(LABEL_HEAD + text)
    command = (
        f"siren finetune '{folder}/volumes' labels '{labels}' epochs 12 outputDir '{folder}/new'"
    )
    following = next_commands(session, run, monkeypatch, command)
    assert run(following).weights == "finetuned_weights.pt"
    assert sorted(p.name for p in (folder / "new").iterdir()) == ["finetune", "predictions.csv"]
    log = log_of(session, run, command)
    assert "held out, before:" in log
    assert "held out, after:" in log


def test_too_few_labels_to_judge_by_are_refused_and_nothing_is_recommended(session, run, folder):
    rows = rows_of(folder / "siren/predictions.csv")
    good = [n for n in rows if not rows[n]["flag"]][:6]
    text = "".join(f",,{1.3 * float(rows[n]['denormalized_predictions'])},,{n}\n" for n in good)
    (folder / "siren/labels.csv").write_text(LABEL_HEAD + text)
    command = f"siren finetune '{folder}/volumes' labels '{folder}/siren/labels.csv'"
    with pytest.raises(UserError, match="6 labels of these volumes, too few to tell") as caught:
        run(command)
    assert "label 10 at least" in str(caught.value)
    assert not (folder / "siren/finetune").exists()


def test_filter_flags_leaves_flagged_volumes_out_and_the_record_says_why(session, run, tmp_path):
    planted = write_planted(tmp_path / "volumes")
    lines = [
        f"vol_{n}.mrc,{'' if n == 9 else LEVEL},{ {9: 'constant', 12: 'mostly noise'}.get(n, '') }"
        for n in range(1, 201)
    ]
    (tmp_path / "t.csv").write_text(
        "file,denormalized_predictions,flag\n" + "\n".join(lines) + "\n"
    )
    command = (
        f"siren sketch '{planted.folder}' thresholds '{tmp_path}/t.csv' statistic exact "
        "subsample 1 open false "
        f"outputDir '{tmp_path}/out'"
    )
    with pytest.raises(
        UserError,
        match=r"no threshold for vol_9\.mrc \(flagged: constant\): use "
        r'"filter flags"',
    ):
        run(command)
    log = log_of(session, run, command + " filter flags")
    assert "2 left out (vol_9.mrc, vol_12.mrc: flagged: constant; flagged: mostly noise)" in log
    record = run(f"siren open '{tmp_path}/out/00_sketch'").record
    assert {v["name"]: v["left_out"] for v in record.volumes if v["left_out"]} == {
        "vol_9.mrc": "flagged: constant",
        "vol_12.mrc": "flagged: mostly noise",
    }
    assert record.parameters["filter"] == "flags"
    assert record.counts["volumes_used"] == 198
    expanded = run(f"siren expand '{tmp_path}/out/00_sketch' open false").record
    assert not {"vol_9.mrc", "vol_12.mrc"} & {v["name"] for v in expanded.volumes}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("siren sketch '{volumes}' level 1 filter flags", "needs a table of thresholds"),
        ("siren sketch '{volumes}' filter flaggs", "filter|Expected"),
        ("siren evaluate '{volumes}/vol_1.mrc'", "cannot be read as text"),
        ("siren evaluate '{siren}/predictions.csv'", "no column 'contour_level'"),
        ("siren finetune '{volumes}'", "labels"),
        (
            "siren finetune '{volumes}' labels '{siren}/predictions.csv'",
            "no column 'contour_level'",
        ),
        (
            "siren finetune '{volumes}' labels '{siren}/predictions.csv' epochs 0",
            "epochs 0 is out of bounds",
        ),
        ("siren label template '{volumes}' count 0", "count 0 is out of bounds"),
        (
            "siren label template '{volumes}' predictions '{volumes}/vol_1.mrc'",
            "cannot be read as text",
        ),
    ],
)
def test_wrong_input_is_one_sentence(session, run, folder, command, says):
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError) as caught:
        run(command.format(volumes=folder / "volumes", siren=folder / "siren"))
    assert any(word in str(caught.value) for word in says.split("|")), str(caught.value)
    assert "\n" not in str(caught.value).strip()
    assert sorted(folder.rglob("*")) == before


def test_the_shown_map_is_labeled_as_its_file_also_from_a_session(session, run, folder, tmp_path):
    run(f"siren show '{folder}/volumes/vol_2.mrc' level 0.31")
    run("siren label #1 upper 0.5")
    table = folder / "siren/labels.csv"
    assert table.read_text().splitlines()[1].startswith("1,,0.31,0.5,vol_2.mrc,")
    run(f"save '{tmp_path}/s.cxs'")
    run("close")
    run(f"open '{tmp_path}/s.cxs'")
    run("volume #1 level 0.33")
    run("siren label #1")
    assert table.read_text().splitlines()[1].startswith("1,,0.33,,vol_2.mrc,")


def filled(table):
    """The cells of a table that are not empty, row by row."""
    with table.open() as file:
        return [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]


def test_labels_are_undone_and_redone_one_command_at_a_time(session, run, folder):
    session.undo.clear()  # of what other tests did
    table = folder / "siren/labels.csv"
    table.write_text(LABEL_HEAD + "9,,,,vol_10.mrc\n")  # as of a template
    states = [filled(table)]
    for name, level in (("vol_10", 0.4), ("vol_2", 0.3), ("vol_2", 0.35)):
        run(f"siren show '{folder}/volumes/{name}.mrc' level {level}")
        run("siren label #1")
        states.append(filled(table))
    for state in states[2::-1]:
        assert "Undone: label vol_" in log_of(session, run, "siren label undo")
        assert filled(table) == state
    with pytest.raises(UserError, match="no label to undo"):
        run("siren label undo")
    for state in states[1:]:
        run("siren label redo")
        assert filled(table) == state
    run("undo")  # ChimeraX's own
    assert filled(table) == states[2]


def test_the_only_label_undone_leaves_no_table_and_a_changed_one_is_left_alone(
    session, run, folder
):
    table = folder / "siren/labels.csv"
    run(f"siren show '{folder}/volumes/vol_2.mrc' level 0.31")
    run("siren label #1")
    run("siren label undo")
    assert not table.exists()
    run("siren label redo")
    table.write_text(table.read_text().replace("0.31", "0.5"))
    with pytest.raises(UserError, match=r"vol_2.mrc in labels.csv was changed since"):
        run("siren label undo")
    assert "0.5" in table.read_text()
