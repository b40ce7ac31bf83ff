"""The Levels page: levels dragged by looking, labels and their undo, and what the commands for
labels found.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mrcfile
import numpy as np
import pytest
from chimerax.core.commands import run
from keys import MOVE, PRESS, RELEASE, SHIFT, mouse, press, shortcut
from Qt.QtCore import Qt

from chimerax.siren.core.thresholds.labels import read_labels
from chimerax.siren.session.jobs import JobEnd, current_job
from chimerax.siren.session.scene import sets_of_blocks
from chimerax.siren.session.shown_map import shown_map
from conftest import Desk
from ensembles import LEVEL, Planted, write_planted

COUNT = 12
HEAD = "vol_id,lower_bound,contour_level,upper_bound,map_file\n"


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Volumes of our own with predicted levels, as labels are written beside them."""
    folder = write_planted(tmp_path / "volumes", COUNT).folder
    (tmp_path / "siren").mkdir()
    columns = "file,vol_id,vol_min,vol_max,prediction,int_predictions,denormalized_predictions"
    rows = []
    for n in range(1, COUNT + 1):
        level = 0.4 + n / 100
        normalized = 2 * (level + 0.2) / 1.4 - 1
        rows.append(
            f"vol_{n}.mrc,{n - 1},-0.2,1.2,{normalized!r},{(normalized + 1) / 2!r},{level!r}"
        )
    (tmp_path / "siren/predictions.csv").write_text("\n".join([columns, *rows]) + "\n")
    return folder


@pytest.fixture
def page(desk: Desk, volumes: Path) -> Any:
    """The page, with the fourth volume shown."""
    tool = desk.open(DOCK, 700)
    desk.list(volumes)
    turn_to_levels(desk)
    choose(desk, "vol_4.mrc")
    return tool.levels


DOCK = 380


def turn_to_levels(desk: Desk) -> None:
    desk.tool.tabs.setCurrentWidget(desk.tool.levels)
    desk.wait()


def choose(desk: Desk, name: str) -> None:
    """Click a row of the list."""
    table = desk.tool.levels.table
    index = table.rows.mapFromSource(table.levels.index(table.levels.row_of(name), 0))
    table.setCurrentIndex(index)
    table.clicked.emit(index)
    desk.wait(lambda: desk.tool.levels._name == name)
    desk.wait()


def level(desk: Desk) -> float:
    shown = shown_map(desk.session)
    assert shown is not None
    return float(shown.surfaces[0].level)


def cell(page: Any, name: str, column: int, role: Any = Qt.ItemDataRole.DisplayRole) -> Any:
    model = page.table.levels
    return model.data(model.index(model.row_of(name), column), role)


def levels_typed(desk: Desk) -> list[str]:
    return [c for c in desk.typed if c.startswith("volume")]


def drag(desk: Desk, page: Any, to: float) -> None:
    histogram = page.histogram
    mouse(histogram, PRESS, histogram.place(histogram.level))
    mouse(histogram, MOVE, histogram.place(to))
    mouse(histogram, RELEASE, histogram.place(to))
    desk.wait()


def labels(volumes: Path) -> dict[str, dict[str, str]]:
    with (volumes.parent / "siren/labels.csv").open() as file:
        return {row["map_file"]: row for row in csv.DictReader(file)}


def test_the_page_is_made_when_it_is_first_turned_to(desk: Desk, volumes: Path) -> None:
    tool = desk.open()
    desk.list(volumes)
    assert tool._levels is None
    tool.tabs.setCurrentIndex(1)
    assert tool._levels is not None and tool.tabs.currentWidget() is tool._levels


def seen_whole(page: Any, widget: Any) -> bool:
    return bool(widget.visibleRegion().boundingRect() == widget.rect())


def test_label_and_next_are_seen_without_scrolling_where_the_panel_is_docked_on_a_laptop(
    desk: Desk, page: Any
) -> None:
    """At 1280 x 800 the docked panel is 575 x 305 pixels."""
    seen = (page.table, page.histogram, page.label_button, page.next_button, page.undo_button)
    desk.resize(575, 305)
    desk.wait()
    assert page.verticalScrollBar().value() == 0
    assert [w for w in seen if not seen_whole(page, w)] == []
    rows = page.table.viewport().height() // page.table.rowHeight(0)
    assert rows >= 3 and page.table.columnWidth(0) > 80 and page.histogram.height() >= 48
    assert page.table.geometry().right() < page.histogram.geometry().left()
    desk.resize(DOCK, 700)  # a narrow column: one below the other again
    desk.wait()
    assert page.table.geometry().bottom() < page.histogram.geometry().top()
    assert [w for w in seen if not seen_whole(page, w)] == []
    assert page.histogram.height() > 100


def test_the_histogram_counts_the_voxels_of_the_map_and_the_list_has_the_levels_of_runs(
    desk: Desk, page: Any, volumes: Path
) -> None:
    with mrcfile.open(volumes / "vol_4.mrc") as map_:
        values = map_.data
    histogram = page.histogram
    assert (histogram._low, histogram._high) == (values.min(), values.max())
    assert histogram._counts.sum() == values.size
    middle = len(histogram._counts) // 2
    half = (float(values.min()) + float(values.max())) / 2
    assert histogram._counts[middle:].sum() == pytest.approx((values >= half).sum(), abs=2)
    assert histogram.level == pytest.approx(0.44) and level(desk) == pytest.approx(0.44)
    assert [cell(page, "vol_4.mrc", c) for c in range(4)] == ["vol_4.mrc", "0.440", "", ""]


def test_the_surface_follows_the_line_while_it_is_dragged_and_the_log_gets_one_command(
    desk: Desk, page: Any
) -> None:
    histogram = page.histogram
    mouse(histogram, PRESS, histogram.place(0.44))
    for to in (0.5, 0.6, 0.7):
        mouse(histogram, MOVE, histogram.place(to))
        desk.wait(lambda: not page._contour_soon.isActive())
        assert level(desk) == pytest.approx(to, abs=0.02)
        assert f"{level(desk):.3g}"[:3] in page.level.text()
    assert levels_typed(desk) == []
    mouse(histogram, RELEASE, histogram.place(0.7))
    (command,) = levels_typed(desk)
    assert command.startswith("volume #1 level 0.7")
    assert level(desk) == pytest.approx(float(command.split()[-1]))


def test_escape_takes_a_dragged_level_back(desk: Desk, page: Any) -> None:
    histogram = page.histogram
    mouse(histogram, PRESS, histogram.place(0.44))
    mouse(histogram, MOVE, histogram.place(0.8))
    press(histogram, Qt.Key.Key_Escape)
    desk.wait(lambda: not page._contour_soon.isActive())
    mouse(histogram, RELEASE, histogram.place(0.8))
    assert level(desk) == pytest.approx(0.44) and levels_typed(desk) == []


def test_a_large_map_is_drawn_coarsely_while_its_level_is_dragged_and_wholly_afterwards(
    desk: Desk, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import chimerax.siren.session.shown_map as module

    monkeypatch.setattr(module, "QUICK_VOXELS", 2000)  # of 10,560
    shown, histogram = shown_map(desk.session), page.histogram
    whole = shown.region
    mouse(histogram, PRESS, histogram.place(0.44))
    mouse(histogram, MOVE, histogram.place(0.6))
    desk.wait(lambda: not page._contour_soon.isActive())
    assert tuple(shown.region[2]) == (2, 2, 2)
    mouse(histogram, RELEASE, histogram.place(0.6))
    assert shown.region == whole
    mouse(histogram, PRESS, histogram.place(0.6))
    mouse(histogram, MOVE, histogram.place(0.7))
    desk.wait(lambda: not page._contour_soon.isActive())
    choose(desk, "vol_5.mrc")  # in the middle of it
    assert [tuple(s) for s in shown_map(desk.session).region][2] == (1, 1, 1)


def test_arrow_keys_move_the_level_finely_with_shift_and_it_is_set_when_they_rest(
    desk: Desk, page: Any
) -> None:
    histogram = page.histogram
    span = histogram._high - histogram._low
    press(histogram, Qt.Key.Key_Right)
    press(histogram, Qt.Key.Key_Right)
    press(histogram, Qt.Key.Key_Left, SHIFT)
    assert histogram.level == pytest.approx(0.44 + 0.019 * span)
    desk.wait(lambda: not histogram._rest.isActive())
    (command,) = levels_typed(desk)
    assert float(command.split()[-1]) == pytest.approx(0.44 + 0.019 * span, rel=1e-4)


def test_a_typed_level_is_set_and_nonsense_is_refused_in_a_sentence(desk: Desk, page: Any) -> None:
    page.level.setText("0.61")
    page.level.editingFinished.emit()
    assert level(desk) == pytest.approx(0.61) and desk.typed[-1] == "volume #1 level 0.61"
    page.level.setText("high")
    page.level.editingFinished.emit()
    assert desk.tool.message.text == "high is not a number."
    assert level(desk) == pytest.approx(0.61)


def test_a_level_set_by_other_means_moves_the_line(desk: Desk, page: Any) -> None:
    from chimerax.core.commands import run

    run(desk.session, "volume #1 level 0.33", log=False)
    desk.wait(lambda: page.histogram.level == pytest.approx(0.33))


def test_label_records_the_level_that_is_seen_with_its_bounds_and_the_list_tells_it_apart(
    desk: Desk, page: Any, volumes: Path
) -> None:
    drag(desk, page, 0.55)
    set_, bold = level(desk), Qt.ItemDataRole.FontRole
    assert cell(page, "vol_4.mrc", 2) == f"{set_:#.3g} ?"
    assert cell(page, "vol_4.mrc", 2, bold).italic()
    page.lower.setText("0.5")
    page.upper.setText("0.6")
    page.label_button.click()
    assert desk.typed[-1] == "siren label #1 lower 0.5 upper 0.6"
    row = labels(volumes)["vol_4.mrc"]
    assert float(row["contour_level"]) == pytest.approx(set_)
    assert (row["lower_bound"], row["upper_bound"]) == ("0.5", "0.6")
    assert cell(page, "vol_4.mrc", 2) == f"{set_:#.3g}" and cell(page, "vol_4.mrc", 2, bold).bold()
    assert cell(page, "vol_4.mrc", 3) == f"{round(100 * (0.44 - set_) / set_):+d} %"
    assert cell(page, "vol_5.mrc", 2, bold) is None
    assert "1 labeled" in page.learning.results.text()
    page.lower.setText("0.9")
    page.label_button.click()
    assert "do not enclose" in desk.tool.message.text


def test_a_volume_comes_back_at_its_level_set_by_hand(desk: Desk, page: Any) -> None:
    drag(desk, page, 0.55)
    set_ = level(desk)
    choose(desk, "vol_5.mrc")
    assert level(desk) == pytest.approx(0.45)
    choose(desk, "vol_4.mrc")
    assert level(desk) == pytest.approx(set_)
    page.label_button.click()
    choose(desk, "vol_5.mrc")
    choose(desk, "vol_4.mrc")
    assert level(desk) == pytest.approx(set_, rel=1e-4)


def test_blocks_do_not_lie_over_the_map_whose_level_is_judged(
    desk: Desk, page: Any, volumes: Path, planted: Planted, tmp_path: Path
) -> None:
    run(
        desk.session,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{tmp_path}/out' "
        "statistic exact subsample 1 resamples 0 open false",
    )
    desk.wait(lambda: current_job(desk.session) is None)
    run(desk.session, f"siren open '{tmp_path}/out/00_sketch'")
    desk.wait()
    (group,) = sets_of_blocks(desk.session)
    assert group.display
    choose(desk, "vol_5.mrc")
    command = f"hide #!{group.id_string} models"
    assert not group.display and desk.typed.count(command) == 1
    back, said = f"show #!{group.id_string} models", "would cover the map are hidden: [show"
    assert desk.log.text.count(said) == 1  # with a link
    assert page.hidden_line.isVisible()
    choose(desk, "vol_4.mrc")
    assert desk.typed.count(command) == 1 and desk.log.text.count(said) == 1
    shown = shown_map(desk.session)
    assert shown is not None and shown.surfaces[0].rgba[3] == 1
    page.hidden_line.linkActivated.emit("show")
    assert desk.typed[-1] == back and all(m.visible for m in group.child_models())
    assert shown.surfaces[0].rgba[3] < 0.5  # the blocks are seen through the map
    assert not page.hidden_line.isVisible()
    choose(desk, "vol_6.mrc")
    assert page.hidden_line.isVisible()
    run(desk.session, back)  # typed
    desk.wait()
    assert not page.hidden_line.isVisible()


def test_undo_takes_levels_and_labels_back_one_by_one(desk: Desk, page: Any, volumes: Path) -> None:
    drag(desk, page, 0.5)
    first = level(desk)
    drag(desk, page, 0.6)
    page.label_button.click()
    choose(desk, "vol_7.mrc")
    page.undo_button.click()
    assert "siren label undo" in desk.typed
    assert not (volumes.parent / "siren/labels.csv").exists()
    desk.wait(lambda: page._name == "vol_4.mrc")  # what is undone is seen
    desk.wait(lambda: level(desk) == pytest.approx(0.6, abs=0.02))
    page.undo_button.click()
    desk.wait(lambda: level(desk) == pytest.approx(first, rel=1e-4))
    shortcut(page, "Alt+U")
    desk.wait(lambda: level(desk) == pytest.approx(0.44))
    assert not page.undo_button.isEnabled() and cell(page, "vol_4.mrc", 2) == ""


def test_proposed_volumes_are_listed_and_gone_through(desk: Desk, page: Any, volumes: Path) -> None:
    page.learning.count.setValue(3)
    (end,) = desk.run_to_end(page.learning.propose)
    assert end.error is None
    assert f"siren label template {volumes} count 3" in desk.typed
    proposed = [p.file for p in end.result]
    assert page.which.currentText() == "to label (3)" and page.table.rows.rowCount() == 3
    seen = []
    for _ in range(3):
        desk.wait(lambda: page.shown is not None and page._name in set(proposed) - set(seen))
        seen.append(page._name)
        page.label_button.click()
        page.next_button.click()
        desk.wait()
    assert sorted(seen) == sorted(proposed) == sorted(labels(volumes))
    desk.wait(lambda: page._name not in seen)  # then those without a label
    assert page.table.levels.reasons.keys() == set(proposed)


def test_a_labeled_volume_leaves_the_list_of_those_to_label_but_not_the_scene(
    desk: Desk, page: Any, volumes: Path
) -> None:
    (volumes.parent / "siren/labels.csv").write_text(HEAD + "3,,,,vol_4.mrc\n4,,,,vol_5.mrc\n")
    desk.list(volumes)
    page.which.setCurrentIndex(1)
    choose(desk, "vol_4.mrc")
    page.lower.setText("0.3")
    page.label_button.click()
    desk.wait()
    assert [
        page.table.levels.name(page.table.rows.mapToSource(page.table.rows.index(r, 0)).row())
        for r in range(page.table.rows.rowCount())
    ] == ["vol_5.mrc"]
    assert shown_map(desk.session).name == page._name == "vol_4.mrc" and page.table.current is None
    page.undo_button.click()
    assert page.table.current == "vol_4.mrc" and page.lower.text() == ""
    choose(desk, "vol_5.mrc")
    assert level(desk) == pytest.approx(0.45)


def test_evaluate_shows_how_far_levels_of_runs_are_from_the_labels(
    desk: Desk, page: Any, volumes: Path
) -> None:
    by_eye = {"vol_1.mrc": 0.5, "vol_2.mrc": 0.4, "vol_9.mrc": 0.43}
    rows = [f"{n.split('_')[1][:-4]},,{v},,{n}" for n, v in by_eye.items()]
    (volumes.parent / "siren/labels.csv").write_text(HEAD + "\n".join(rows) + "\n")
    desk.list(volumes)
    assert page.learning.evaluate.isEnabled()
    (end,) = desk.run_to_end(page.learning.evaluate)
    assert end.error is None
    off = np.array([0.41 - 0.5, 0.42 - 0.4, 0.49 - 0.43])
    text = page.learning.results.text()
    assert f"3 labels, off by {np.abs(off).mean():.3g} on average" in text
    assert f"({abs(off.mean()):.2g} too low)" in text
    desk.tool.state.job_ended.emit(JobEnd("siren predict", object(), None, 1.0))
    assert "off by" not in page.learning.results.text()  # the levels are others now


def test_fine_tuning_shows_the_error_before_and_after_and_predicts_with_its_weights(
    desk: Desk, page: Any, volumes: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page.label_button.click()
    ran: list[str] = []
    monkeypatch.setattr(desk.tool.state, "execute", lambda line, log=True: ran.append(line))
    page.learning.finetune.click()
    table = volumes.parent / "siren/labels.csv"
    assert ran == [f"siren finetune {volumes} labels {table}"]

    def errors(mae: float) -> Any:
        return SimpleNamespace(metrics={"mae": mae}, count=4)

    weights = tmp_path / "siren/finetune/finetuned_weights.pt"
    fit = SimpleNamespace(best=3)
    result = SimpleNamespace(before=errors(0.05), after=errors(0.02), fit=fit, weights=weights)
    desk.tool.state.job_ended.emit(JobEnd("siren finetune", result, None, 1.0))
    text = page.learning.results.text()
    assert "4 held-out labels are off by 0.02 on average, 0.05 before" in text
    page.learning.results.linkActivated.emit("predict")
    assert ran[-1] == f"siren predict {volumes} weights {weights}"
    assert "weights" in desk.tool.run_page.sections["predict"].changes.text()
    fit.best = 0
    desk.tool.state.job_ended.emit(JobEnd("siren finetune", result, None, 1.0))
    assert "no better than before" in page.learning.results.text()


def test_labels_go_to_the_chosen_output_folder(desk: Desk, page: Any, tmp_path: Path) -> None:
    field = desk.tool.run_page.input
    field.output.value = str(tmp_path / "elsewhere")
    field.output.changed.emit()
    desk.wait(lambda: not desk.tool.state.reader.busy)
    field.source.setCurrentIndex(2)
    field.level.setText(f"{LEVEL:g}")
    field.level.editingFinished.emit()
    choose(desk, "vol_4.mrc")
    page.label_button.click()
    (row,) = read_labels(tmp_path / "elsewhere/labels.csv")
    assert (row.file, row.vol_id, row.level) == ("vol_4.mrc", "3", 0.5)


def test_a_table_of_labels_of_other_volumes_is_reported_in_one_sentence(
    desk: Desk, volumes: Path
) -> None:
    (volumes.parent / "siren/labels.csv").write_text(HEAD + "0,,0.5,,other.mrc\n")
    desk.open()
    desk.list(volumes)
    turn_to_levels(desk)
    assert "labels.csv belongs to other volumes" in desk.tool.message.text
    assert "Traceback" not in desk.log.text


def test_a_closed_map_is_shown_again_by_its_row_and_closing_the_panel_leaves_the_map_alone(
    desk: Desk, page: Any
) -> None:
    from chimerax.core.commands import run

    run(desk.session, "close #1", log=False)
    desk.wait(lambda: page.shown is None)
    choose(desk, "vol_4.mrc")
    desk.wait(lambda: page.shown is not None)
    desk.close()
    desk.wait()
    run(desk.session, "volume #1 level 0.5", log=False)  # nothing listens
    desk.wait()
    assert "Traceback" not in desk.log.text


def test_other_volumes_bring_their_own_labels(desk: Desk, page: Any, volumes: Path) -> None:
    page.label_button.click()
    other = volumes.parent / "other/volumes"
    other.parent.mkdir()
    shutil.copytree(volumes, other)
    desk.list(other)
    assert page.table.levels.labels == {} and not page.undo_button.isEnabled()
    desk.list(volumes)
    assert list(page.table.levels.labels) == ["vol_4.mrc"]


def test_propose_offers_to_install_torch_only_where_it_has_to_predict(
    desk: Desk, page: Any, volumes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import chimerax.siren.panel.state as module

    monkeypatch.setattr(module, "torch_missing", lambda: True)
    (end,) = desk.run_to_end(page.learning.propose)
    assert end.error is None and desk.tool.message.text == ""
    (volumes.parent / "siren/predictions.csv").unlink()
    page.learning.propose.click()
    assert "torch" in desk.tool.message.text and desk.tool.message.button.isVisible()
