"""The Run page and the bar below: fields built from the parameters, estimates, progress, stop, and
commands that can be replayed from the log.
"""

from __future__ import annotations

import dataclasses
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from Qt.QtWidgets import QCheckBox, QComboBox, QLabel, QSpinBox

from chimerax.siren.core.runs.record import read_record
from chimerax.siren.core.thresholds.tables import read_thresholds
from chimerax.siren.panel import steps
from chimerax.siren.panel.commands import STEPS
from chimerax.siren.session.jobs import current_job
from conftest import Desk
from ensembles import LEVEL, Planted, write_planted
from fake_pip import FakePip
from waiting import DEADLINE


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a run, without the times in its record."""
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    files["run.json"] = re.sub(rb'"timings_s": \{.*?\}', b"", files["run.json"], flags=re.S)
    return files


def test_every_parameter_has_its_field_with_default_unit_bounds_and_help(desk: Desk) -> None:
    desk.open()
    for step, kind in STEPS.items():
        section = desk.tool.run_page.sections[step]
        inputs = {**section.common.inputs, **section.advanced.inputs}
        for f in dataclasses.fields(kind):
            widget = inputs[f.name]
            assert f.metadata["help"][1:] in widget.toolTip()
            if isinstance(widget, QSpinBox):
                assert widget.value() == f.default and widget.minimum() == f.metadata["minimum"]
                assert f.metadata["unit"] in widget.suffix()
            elif isinstance(widget, QCheckBox):
                assert widget.isChecked() is f.default
            elif isinstance(widget, QComboBox):
                words = (
                    ("no", "yes", *f.metadata["words"])
                    if f.metadata["words"]
                    else f.metadata["choices"]
                )
                assert tuple(widget.itemText(i) for i in range(widget.count())) == words
    assert not desk.tool.run_page.sections["sketch"].fold.unfolded


def test_what_another_statistic_owns_cannot_be_changed(desk: Desk) -> None:
    desk.open()
    section = desk.tool.run_page.sections["sketch"]
    negp = section.advanced.inputs["negp"]
    assert not negp.isEnabled()
    section.common.inputs["statistic"].setCurrentText("published")
    assert negp.isEnabled()
    negp.setText("0.2")
    negp.editingFinished.emit()
    assert desk.tool.state.steps["sketch"] == {"statistic": "published", "negp": 0.2}
    section.common.inputs["statistic"].setCurrentText("profile")
    assert desk.tool.state.steps["sketch"] == {} and negp.text() == "0.05"


def test_a_value_out_of_bounds_is_explained_and_cannot_be_run(desk: Desk, planted: Planted) -> None:
    desk.open()
    desk.list(planted.folder)
    section = desk.tool.run_page.sections["sketch"]
    posp = section.common.inputs["posp"]
    posp.setText("7")
    posp.editingFinished.emit()
    assert "posp 7 is out of bounds" in section.problem.text()
    assert not section.button.isEnabled()
    posp.setText("much")
    posp.editingFinished.emit()
    assert desk.tool.message.text == "much is not a number."


@pytest.mark.slow
def test_without_torch_a_button_installs_it_and_goes_on_with_what_was_wanted(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip = FakePip(monkeypatch)
    tool = desk.open()
    state = desk.list(write_planted(tmp_path / "volumes", 12).folder)
    desk.wait(tool.run_page.sections["predict"].button.isEnabled)  # the page follows a little later
    for button in (tool.run_page.sections["predict"].button, tool.run_bar.run_all):
        button.click()
        desk.wait()
        assert current_job(desk.session) is None and desk.typed == []
        assert "torch, which is not installed yet (about" in tool.message.text
        assert tool.message.button.isVisible()
        assert tool.message.button.text() == "Install torch and go on"
    assert desk.log.errors == [] and pip.asked == []  # no dialog, and nothing unasked
    ends = desk.run_to_end(tool.message.button, jobs=3)
    assert [e.name for e in ends] == ["siren install torch", "siren predict", "siren sketch"]
    assert not any(e.error for e in ends)
    assert len(pip.asked) == 1 and len(state.levels) == 12
    assert not tool.message.button.isVisible()
    desk.run_to_end(tool.run_page.sections["predict"].button)  # and is not asked for again
    assert len(pip.asked) == 1


def test_what_works_without_torch_is_not_held_up(
    desk: Desk, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    FakePip(monkeypatch)
    tool = desk.open()
    desk.list(planted.folder)
    tool.run_page.sections["sketch"].button.click()  # it would predict the levels first
    assert tool.message.button.isVisible()
    assert current_job(desk.session) is None
    desk.use_level(LEVEL)
    tool.run_page.sections["sketch"].button.click()
    assert current_job(desk.session) is not None
    tool.run_bar.stop.click()


@pytest.mark.slow
def test_the_whole_job_by_clicking_and_the_log_replayed_gives_the_same(
    desk: Desk, tmp_path: Path
) -> None:
    from chimerax.core.commands import run

    from chimerax.siren.session.surfaces import BlockMap

    pytest.importorskip("torch")
    desk.open()
    desk.tool.state.execute(
        f"siren example '{tmp_path}/volumes' volumes 40 box 32 voxelSize 8 resolution 20"
    )
    desk.wait(lambda: current_job(desk.session) is None)
    state = desk.list(tmp_path / "volumes")
    before = len(desk.typed)
    ends = desk.run_to_end(desk.tool.run_bar.run_all, jobs=3)
    assert [e.name for e in ends] == ["siren predict", "siren sketch", "siren expand"] and not any(
        e.error for e in ends
    )
    lines = [c for c in desk.typed[before:] if c.startswith("siren")]
    assert len(lines) == 3
    assert state.run_folder == tmp_path / "siren/02_expand"
    assert len(state.levels) == 40
    blocks = ends[-1].result.blocks
    assert len(blocks) > 0 and len(desk.session.models.list(type=BlockMap)) >= len(blocks)
    assert f"{len(blocks)} block" in desk.tool.run_bar.result.text()
    for page in range(desk.tool.tabs.count()):
        desk.tool.tabs.setCurrentIndex(page)
        desk.wait()
    made = {name: contents(tmp_path / "siren" / name) for name in ("00_sketch", "02_expand")}
    table = (tmp_path / "siren/predictions.csv").read_bytes()
    desk.close()
    for name in ("00_sketch", "02_expand"):
        for path in (tmp_path / "siren" / name).iterdir():
            path.unlink()
        (tmp_path / "siren" / name).rmdir()
    with desk.session.in_script:
        for line in lines:
            run(desk.session, line, log=False)
    assert (tmp_path / "siren/predictions.csv").read_bytes() == table
    assert {name: contents(tmp_path / "siren" / name) for name in made} == made


@pytest.mark.slow
def test_a_step_gets_the_choices_of_the_panel_and_the_record_has_them(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    page = desk.tool.run_page
    page.input.output.value = str(tmp_path / "my results")
    page.input.voxel_size.setText("3.5")
    page.input.voxel_size.editingFinished.emit()
    desk.wait(lambda: not desk.tool.state.reader.busy)
    sketch = page.sections["sketch"]
    sketch.common.inputs["min_size"].setValue(9)
    sketch.advanced.inputs["seed"].setValue(4)
    sketch.common.inputs["posp"].setText("0.02")
    sketch.common.inputs["posp"].editingFinished.emit()
    (end,) = desk.run_to_end(sketch.button)
    record = read_record(tmp_path / "my results/00_sketch")
    assert record.parameters["min_size"] == 9 and record.parameters["seed"] == 4
    assert record.voxel_size == 3.5 and record.thresholds.startswith(f"level {LEVEL:g}")
    (end,) = desk.run_to_end(page.sections["expand"].button)
    assert end.error is None
    # of the sketch
    assert read_record(tmp_path / "my results/02_expand").parameters["posp"] == 0.02


def test_expand_shows_what_it_inherits_from_the_sketch(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    desk.open()
    desk.list(planted.folder)
    page = desk.tool.run_page
    posp = page.sections["sketch"].common.inputs["posp"]
    posp.setText("0.001")
    posp.editingFinished.emit()
    assert page.sections["expand"].common.inputs["posp"].text() == "0.001"
    assert desk.tool.state.steps["expand"] == {}


@pytest.mark.slow
def test_the_estimate_grows_with_the_work_and_learns_from_runs(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    page = desk.tool.run_page
    page.input.output.value = str(tmp_path / "out")
    page.input.output.changed.emit()
    desk.wait(lambda: not desk.tool.state.reader.busy)
    assert re.fullmatch(r"about \d+ s, \d+\.\d GB", page.sections["sketch"].estimate.text())
    (end,) = desk.run_to_end(page.sections["sketch"].button)
    from chimerax.siren.panel.steps import cost

    expected = cost(desk.tool.state, "sketch", None)
    assert expected is not None
    assert page.speed("sketch") == pytest.approx(end.seconds / expected.seconds, rel=0.3)


def test_progress_shows_phase_and_stop_ends_the_run_at_its_next_step(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    desk.open()
    bar = desk.tool.run_bar
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    steps: list[bool] = []  # whether the job had been told to stop when it took one
    slow(desk.session, lambda progress: steps.append(progress.cancelled))
    desk.wait(lambda: "working 50 %" in bar.text.text())
    assert bar.bar.value() == 500 and bar.stop.isEnabled() and not bar.run_all.isEnabled()
    assert not desk.tool.run_page.sections["sketch"].button.isEnabled()
    bar.stop.click()
    desk.wait(lambda: current_job(desk.session) is None)
    assert steps.count(True) <= 1  # the one that ended it, if the stop did not come before it
    desk.wait()
    assert desk.tool.message.text == "Stopped. Nothing was written; earlier results are unchanged."
    assert not bar.stop.isEnabled() and bar.run_all.isEnabled()


def test_a_run_survives_closing_the_panel_and_a_new_panel_finds_it(desk: Desk) -> None:
    desk.open()
    slow(desk.session)
    desk.close()
    job = current_job(desk.session)
    assert job is not None and not job.progress.cancelled
    tool = desk.open()
    desk.wait(lambda: "siren test: working 50 %" in tool.run_bar.text.text())
    tool.run_bar.stop.click()
    desk.wait(lambda: current_job(desk.session) is None)


@pytest.mark.slow
def test_the_steps_that_are_left_go_on_when_the_panel_is_closed(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    from chimerax.siren.session.jobs import when_job_ends

    desk.open()
    desk.list(planted.folder)
    desk.tool.run_page.input.output.value = str(tmp_path / "out")
    desk.use_level(LEVEL)
    ends: list[Any] = []
    handler = when_job_ends(desk.session, ends.append)
    desk.tool.run_bar.run_all.click()
    desk.close()
    desk.wait(lambda: len(ends) == 2)
    handler.remove()
    assert [e.name for e in ends] == ["siren sketch", "siren expand"]
    assert (tmp_path / "out/02_expand/run.json").is_file()


def test_maps_deleted_during_a_run_end_it_with_one_sentence(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chimerax.siren.core.maps.ensemble import Source
    from ensembles import write_planted

    volumes = write_planted(tmp_path / "volumes", 40).folder
    desk.open()
    desk.list(volumes)
    desk.use_level(LEVEL)
    listed, deleted = threading.Event(), threading.Event()

    def read(source: Source, *options: Any) -> Any:
        listed.set()
        assert deleted.wait(DEADLINE)
        return plain(source, *options)

    plain = Source.read
    monkeypatch.setattr(Source, "read", read)
    desk.tool.run_bar.run_all.click()
    desk.wait(listed.is_set)  # the folder, before the first map is read
    for path in volumes.iterdir():
        path.unlink()
    deleted.set()
    desk.wait(lambda: current_job(desk.session) is None)
    desk.wait()
    said = desk.tool.message.text
    assert "vol_" in said and said.endswith(".") and "Traceback" not in desk.log.text
    assert not (tmp_path / "siren").exists()
    desk.tool.ensemble.table.selectRow(5)
    desk.wait(lambda: "vol_6.mrc" in desk.tool.message.text)


@pytest.mark.slow
def test_predicted_thresholds_come_from_the_table_in_the_output_folder(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    import shutil

    from chimerax.siren.core.maps.ensemble import find_ensemble

    volumes = tmp_path / "volumes"
    shutil.copytree(planted.folder, volumes)
    table = tmp_path / "siren/predictions.csv"
    table.parent.mkdir()
    table.write_text(
        "file,denormalized_predictions\n"
        + "".join(f"vol_{k}.mrc,{0.3 + k / 1000}\n" for k in range(1, 151))
    )
    desk.open()
    state = desk.list(volumes)
    assert list(state.levels.values()) == read_thresholds(table, find_ensemble([volumes])).tolist()
    (end,) = desk.run_to_end(desk.tool.run_page.sections["sketch"].button)
    assert f"thresholds {table}" in desk.typed[-1] or f'thresholds "{table}"' in desk.typed[-1]
    assert end.error is None


@pytest.mark.slow
def test_levels_of_other_maps_with_the_same_names_are_not_listed_and_all_runs_predict(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    import shutil

    from chimerax.siren.core.maps.ensemble import find_ensemble
    from chimerax.siren.core.thresholds.normalize import Range
    from chimerax.siren.core.thresholds.tables import Prediction, Predictions, write_predictions

    volumes = tmp_path / "volumes"
    shutil.copytree(planted.folder, volumes)
    ensemble = find_ensemble([volumes])
    dict(ensemble.select(exclude=["vol_5.mrc"]).read())
    rows = [
        Prediction(n, k, Range(0.0, 1.0), 0.0, fingerprint=ensemble.fingerprints.get(n, "another"))
        for k, n in enumerate(ensemble.names)
    ]
    write_predictions(tmp_path / "siren/predictions.csv", Predictions(tuple(rows)))
    desk.open()
    state = desk.list(volumes)
    desk.wait(lambda: len(state.previews) == len(ensemble))
    desk.wait()
    assert set(state.levels) == set(ensemble.names) - {"vol_5.mrc"}
    assert "vol_5.mrc is not the map that" in desk.tool.message.text
    assert steps.all_commands(state)[0].startswith("siren predict")


def slow(session: Any, watch: Callable[[Any], Any] = lambda progress: None) -> None:
    """Start a command that is half done forever; ``watch`` is called before each of its steps."""
    from chimerax.siren.session.jobs import run_job

    def work(progress: Any) -> None:
        while True:
            watch(progress)
            progress.step("working", 0.5)
            time.sleep(0.01)

    run_job(session, "siren test", work, lambda r: r)


def test_labels_of_fields_are_words_and_no_text_is_cut_off_in_a_narrow_panel(
    desk: Desk, planted: Planted
) -> None:
    desk.open(360, 600)
    desk.list(planted.folder)
    desk.tool.tabs.setCurrentWidget(desk.tool.run_page)
    desk.wait()
    for section in desk.tool.run_page.sections.values():
        section.fold.unfolded = True
    desk.wait()
    labels = [
        w for w in desk.tool.run_page.findChildren(QLabel) if w.isVisible() and not w.wordWrap()
    ]
    assert len(labels) > 15
    for label in labels:
        assert label.width() >= label.sizeHint().width(), label.text()


# ---- what differs from the defaults


def set_number(desk: Desk, step: str, name: str, text: str) -> None:
    section = desk.tool.run_page.sections[step]
    field = {**section.common.inputs, **section.advanced.inputs}[name]
    field.setText(text)
    field.editingFinished.emit()


def test_choices_belong_to_their_volumes_and_come_back_with_them(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    from ensembles import write_planted

    other = write_planted(tmp_path / "other", 20).folder
    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    set_number(desk, "sketch", "posp", "1.6e-8")
    desk.list(other)
    state = desk.tool.state
    assert state.steps["sketch"] == {} and state.level is None and state.source == "predicted"
    assert desk.tool.run_page.sections["sketch"].common.inputs["posp"].text() == "0.01"
    desk.use_level(0.4)
    desk.close()
    tool = desk.open()  # a new start: the last volumes with theirs
    desk.wait(lambda: tool.state.found is not None and not tool.state.reader.busy)
    assert tool.state.volumes == str(other)
    assert (tool.state.level, tool.state.steps["sketch"]) == (0.4, {})
    desk.list(f"{planted.folder}/")  # written another way
    assert (tool.state.level, tool.state.steps["sketch"]) == (LEVEL, {"posp": 1.6e-8})
    assert "Sketch with posp 1.6e-08" in tool.message.text  # not unsaid


def test_choices_made_before_the_volumes_are_chosen_are_for_them(
    desk: Desk, planted: Planted
) -> None:
    desk.open()
    set_number(desk, "sketch", "posp", "0.002")
    desk.list(planted.folder)
    assert desk.tool.state.steps["sketch"] == {"posp": 0.002}


def test_what_differs_from_the_defaults_is_marked_and_can_be_reset(
    desk: Desk, planted: Planted
) -> None:
    tool = desk.open()
    desk.list(planted.folder)
    tool.tabs.setCurrentWidget(tool.run_page)
    run = tool.tabs.currentIndex()
    section = tool.run_page.sections["sketch"]
    posp = section.common._labels["posp"]
    assert not posp.font().bold() and section.changes.isHidden()
    assert tool.tabs.tabText(run) == "Run"
    set_number(desk, "sketch", "posp", "1.6e-8")
    section.advanced.inputs["seed"].setValue(4)
    desk.wait()
    assert posp.font().bold() and not section.common._labels["min_size"].font().bold()
    assert "posp 1.6e-08, seed 4" in section.changes.text() and section.changes.isVisible()
    assert tool.tabs.tabText(run) == "Run \N{BULLET}"  # seen from the other pages
    assert "posp 1.6e-08" in tool.tabs.tabToolTip(run)
    assert "Sketch with posp 1.6e-08, seed 4" in tool.run_bar.run_all.toolTip()
    section.changes.linkActivated.emit("reset")
    desk.wait()
    assert tool.state.steps["sketch"] == {} and not posp.font().bold()
    assert section.common.inputs["posp"].text() == "0.01"
    assert section.changes.isHidden() and tool.tabs.tabText(run) == "Run"
    assert "posp" not in tool.run_bar.run_all.toolTip()


def test_inputs_that_were_given_are_marked_and_can_be_reset(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    tool = desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    inputs = tool.run_page.input
    inputs.output.value = str(tmp_path / "out")
    inputs.output.changed.emit()
    assert {n for n, label in inputs.labels.items() if label.font().bold()} == {"source", "output"}
    inputs.changes.linkActivated.emit("reset")
    desk.wait(lambda: not tool.state.reader.busy)
    assert (tool.state.output, tool.state.source, tool.state.level) == ("", "predicted", None)
    assert not any(label.font().bold() for label in inputs.labels.values())


# ---- nothing found


def test_run_all_ends_after_a_sketch_without_blocks_with_the_reason_and_what_to_try(
    desk: Desk, tmp_path: Path
) -> None:
    from ensembles import write_planted

    volumes = write_planted(tmp_path / "volumes", 30).folder
    tool = desk.open()
    desk.list(volumes)
    desk.use_level(LEVEL)
    set_number(desk, "sketch", "posp", "1e-40")
    ends = desk.run_to_end(tool.run_bar.run_all)
    desk.wait()
    assert [e.name for e in ends] == ["siren sketch"] and len(ends[0].result.blocks) == 0
    assert current_job(desk.session) is None and desk.log.errors == []
    said = tool.message.text
    assert said.startswith("No blocks. ") and "30 volumes are few" in said
    assert "Decode more volumes" in said
    assert not (tmp_path / "siren/02_expand").exists()
    assert "30 volumes are few" in tool.blocks.title.text()  # and it stays on the page
