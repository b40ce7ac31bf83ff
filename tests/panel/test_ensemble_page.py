"""The Ensemble page: the list describes the maps, rows show them, and the choice of volumes goes
into the record.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from Qt.QtCore import QEvent, Qt
from Qt.QtGui import QKeyEvent
from Qt.QtWidgets import QApplication

from chimerax.siren.core.runs.record import read_record
from conftest import Desk
from ensembles import LEVEL, VOXEL_SIZE, Planted, write_planted


def key(widget: Any, code: Qt.Key) -> None:
    for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
        QApplication.sendEvent(widget, QKeyEvent(kind, code, Qt.KeyboardModifier.NoModifier))


def cell(
    table: Any, name: str, column: int, role: Qt.ItemDataRole = Qt.ItemDataRole.DisplayRole
) -> Any:
    row = table.volumes.row_of(name)
    return table.volumes.data(table.volumes.index(row, column), role)


@pytest.fixture
def odd(planted: Planted, tmp_path: Path) -> Path:
    """A copy of the volumes in which one is noise, one is empty, one is on another grid and one is
    not a map.
    """
    folder = tmp_path / "odd"
    folder.mkdir()
    for n in range(1, 61):
        shutil.copy(planted.folder / f"vol_{n}.mrc", folder)
    rng = np.random.default_rng(1)
    with mrcfile.open(folder / "vol_7.mrc", "r+") as map_:
        map_.set_data((rng.random(map_.data.shape) > 0.9).astype(np.float32))
    with mrcfile.open(folder / "vol_8.mrc", "r+") as map_:
        map_.set_data(0.1 * map_.data)
    with mrcfile.new(
        folder / "vol_9.mrc",
        np.ones((4, 4, 4), np.float32) * np.arange(4, dtype=np.float32),
        overwrite=True,
    ):
        pass
    (folder / "vol_10.mrc").write_text("this is no map")
    return folder


def test_the_list_has_every_volume_with_a_picture_and_the_volume_that_its_threshold_encloses(
    desk: Desk, planted: Planted
) -> None:
    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    table = desk.tool.ensemble.table
    assert table.model().rowCount() == 150
    assert table.volumes.name(1) == "vol_2.mrc"  # natural order
    with mrcfile.open(planted.folder / "vol_3.mrc") as map_:
        enclosed = (map_.data > LEVEL).sum() * VOXEL_SIZE**3
    shown = float(cell(table, "vol_3.mrc", 2).replace(",", ""))
    assert shown == pytest.approx(enclosed, rel=0.01)
    assert cell(table, "vol_3.mrc", 1) == "0.500"
    assert not cell(table, "vol_3.mrc", 0, Qt.ItemDataRole.DecorationRole).isNull()


def test_odd_volumes_are_flagged_each_with_its_reason(desk: Desk, odd: Path) -> None:
    desk.open()
    state = desk.list(odd)
    desk.use_level(LEVEL)
    assert {n: f.kind for n, f in state.flags.items()} == {
        "vol_7.mrc": "junk",
        "vol_8.mrc": "empty",
        "vol_9.mrc": "other grid",
        "vol_10.mrc": "unusable",
    }
    assert "4 x 4 x 4" in cell(
        desk.tool.ensemble.table, "vol_9.mrc", 3, Qt.ItemDataRole.ToolTipRole
    )
    assert {"vol_9.mrc", "vol_10.mrc"} == state.excluded  # they cannot take part
    desk.tool.ensemble.buttons["Exclude flagged"].click()
    assert state.excluded == {"vol_7.mrc", "vol_8.mrc", "vol_9.mrc", "vol_10.mrc"}


def test_what_is_not_ticked_does_not_take_part_and_the_record_says_so(
    desk: Desk, odd: Path
) -> None:
    desk.open()
    desk.list(odd)
    desk.use_level(LEVEL)
    table, buttons = desk.tool.ensemble.table, desk.tool.ensemble.buttons
    buttons["Exclude flagged"].click()
    tick = table.volumes.index(table.volumes.row_of("vol_20.mrc"), 0)
    table.volumes.setData(tick, Qt.CheckState.Unchecked.value, Qt.ItemDataRole.CheckStateRole)
    (end,) = desk.run_to_end(desk.tool.run_page.sections["sketch"].button)
    assert end.error is None
    assert "exclude vol_7.mrc,vol_8.mrc,vol_9.mrc,vol_10.mrc,vol_20.mrc" in desk.typed[-1]
    record = read_record(end.result.folder)
    assert record.not_chosen == ["vol_7.mrc", "vol_8.mrc", "vol_9.mrc", "vol_10.mrc", "vol_20.mrc"]
    assert len(record.volumes) == 55


def test_include_exclude_and_invert_change_the_ticks(desk: Desk, planted: Planted) -> None:
    desk.open()
    state = desk.list(planted.folder)
    table, buttons = desk.tool.ensemble.table, desk.tool.ensemble.buttons
    table.selectRow(3)
    buttons["Exclude"].click()
    assert state.excluded == {"vol_4.mrc"}
    buttons["Invert"].click()
    assert state.included == ["vol_4.mrc"]
    table.selectRow(0)
    buttons["Include"].click()
    assert state.included == ["vol_1.mrc", "vol_4.mrc"]


def test_few_ticked_volumes_are_included_by_name_and_many_excluded(
    desk: Desk, planted: Planted
) -> None:
    from chimerax.siren.panel.steps import sketch_command

    desk.open()
    state = desk.list(planted.folder)
    state.set_excluded(set(state.names) - {"vol_2.mrc", "vol_5.mrc"})
    assert "include vol_2.mrc,vol_5.mrc" in sketch_command(state)


def test_a_row_shows_its_map_at_its_level_in_one_model_and_arrow_keys_go_on(
    desk: Desk, planted: Planted
) -> None:
    from chimerax.siren.session.shown_map import EnsembleMap

    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    table, rest = desk.tool.ensemble.table, desk.tool.ensemble._log_timer
    pause = rest.interval()
    rest.setInterval(3_600_000)  # however long a slow computer takes, the keys do not rest yet
    table.selectRow(4)
    desk.wait(lambda: desk.session.models.list(type=EnsembleMap) != [])
    (shown,) = desk.session.models.list(type=EnsembleMap)
    shown.surfaces[0].rgba = (1, 0, 0, 1)
    for _ in range(3):
        key(table, Qt.Key.Key_Down)
        desk.wait(lambda: not desk.tool.ensemble._show_timer.isActive())
    (again,) = desk.session.models.list(type=EnsembleMap)
    assert again is shown and shown.name == "vol_8.mrc"
    with mrcfile.open(planted.folder / "vol_8.mrc") as map_:
        np.testing.assert_array_equal(shown.full_matrix(), map_.data)
    assert [s.level for s in shown.surfaces] == [LEVEL]
    assert tuple(shown.surfaces[0].rgba) == (1, 0, 0, 1)  # the user's changes stay
    assert rest.isActive()
    rest.setInterval(pause)
    desk.wait(lambda: not rest.isActive())
    showing = [c for c in desk.typed if c.startswith("siren show")]
    # the log has where the keys came to rest
    assert len(showing) < 4 and "vol_8.mrc" in showing[-1]


def test_open_maps_are_listed_and_shown_and_stay_as_they_are(desk: Desk, planted: Planted) -> None:
    from chimerax.core.commands import run

    from chimerax.siren.session.shown_map import EnsembleMap

    run(desk.session, f"open '{planted.folder}/vol_1?.mrc'", log=False)
    desk.open()
    desk.tool.header._use_open_maps()
    desk.wait(lambda: not desk.tool.state.reader.busy)
    assert desk.tool.state.volumes == "#1.1-10" and len(desk.tool.state.names) == 10
    levels = [
        m.surfaces[0].level for m in desk.session.models.list() if m.name.startswith("vol_1")
    ][:1]
    desk.use_level(LEVEL)
    desk.tool.ensemble.table.selectRow(2)
    desk.wait(lambda: desk.session.models.list(type=EnsembleMap) != [])
    assert desk.session.models.list(type=EnsembleMap)[0].name == "vol_12.mrc"
    assert [m.surfaces[0].level for m in desk.session.models.list() if m.name.startswith("vol_1")][
        :1
    ] == levels


def test_the_histogram_shows_the_band_of_two_standard_deviations(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    table = tmp_path / "levels.csv"
    levels = np.append(np.linspace(0.45, 0.55, 149), 0.9)
    table.write_text(
        "file,denormalized_predictions\n"
        + "".join(f"vol_{k}.mrc,{v}\n" for k, v in enumerate(levels, 1))
    )
    desk.open()
    state = desk.list(planted.folder)
    page = desk.tool.run_page.input
    page.source.setCurrentIndex(1)
    page.table.value = str(table)
    page.table.changed.emit()
    desk.wait(lambda: not state.reader.busy)
    assert desk.tool.ensemble.histogram.band == pytest.approx(
        (levels.mean() - 2 * levels.std(), levels.mean() + 2 * levels.std())
    )
    assert [n for n, f in state.flags.items() if "outlier" in f.kind] == ["vol_150.mrc"]


def test_very_large_ensembles_are_read_only_when_asked(
    desk: Desk, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    import chimerax.siren.panel.listed as module

    monkeypatch.setattr(module, "AUTOMATIC_BYTES", 1e6)
    desk.open()
    state = desk.list(planted.folder)
    desk.use_level(LEVEL)
    assert len(state.names) == 150 and state.previews == {}
    assert "Read all 10 MB" in desk.tool.header.summary.text()
    desk.tool.header.summary.linkActivated.emit("look")
    desk.wait(lambda: not state.reader.busy)
    assert len(state.previews) == 150 and "Read all" not in desk.tool.header.summary.text()


@pytest.mark.parametrize("place", ["nowhere", "empty", "file.txt"])
def test_a_bad_folder_is_reported_in_one_sentence(desk: Desk, tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("text")
    desk.open()
    desk.list(tmp_path / place)
    said = desk.tool.message.text
    assert place in said and said.endswith(".")
    assert "Traceback" not in desk.log.text and desk.tool.state.names == ()
    assert not desk.tool.run_bar.run_all.isEnabled()


def test_the_shown_map_follows_its_level_and_a_click_on_its_row(
    desk: Desk, planted: Planted
) -> None:
    from chimerax.core.commands import run

    from chimerax.siren.session.shown_map import EnsembleMap, shown_map

    def levels() -> list[float]:
        shown = shown_map(desk.session)
        return [s.level for s in shown.surfaces] if shown is not None else []

    def press(row: int) -> None:
        """A press and a release of the mouse in a row of the list."""
        table.setCurrentIndex(table.model().index(row, 1))
        table.clicked.emit(table.model().index(row, 1))
        desk.wait(lambda: not desk.tool.ensemble._show_timer.isActive())

    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    table = desk.tool.ensemble.table
    press(4)
    assert levels() == [LEVEL]
    desk.use_level(0.7)
    desk.wait(lambda: levels() == [0.7])
    run(desk.session, "volume #1 level 0.3", log=False)
    press(4)
    assert levels() == [0.7]
    run(desk.session, "volume #1 level 0.3", log=False)
    box = table.model().index(4, 0)
    table.model().setData(box, Qt.CheckState.Unchecked, Qt.ItemDataRole.CheckStateRole)
    table.clicked.emit(box)
    desk.wait(lambda: not desk.tool.ensemble._show_timer.isActive())
    assert levels() == [0.3]  # only ticked
    run(desk.session, "hide #1 models", log=False)
    press(4)
    assert desk.session.models.list(type=EnsembleMap)[0].surfaces[0].visible
    run(desk.session, "close #1", log=False)
    desk.use_level(0.6)
    assert levels() == []  # what was closed stays closed until it is asked for
    press(4)
    assert levels() == [0.6]


def test_the_row_of_another_folder_is_another_map_though_its_name_is_the_same(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    from chimerax.siren.session.shown_map import shown_map

    other = write_planted(tmp_path / "other", 12, seed=8)
    desk.open()
    desk.list(planted.folder)
    desk.tool.ensemble.table.selectRow(2)
    desk.wait(lambda: shown_map(desk.session) is not None)
    desk.list(other.folder)
    desk.tool.ensemble.table.selectRow(2)
    desk.wait(lambda: shown_map(desk.session).siren_place == str(other.folder / "vol_3.mrc"))
    with mrcfile.open(other.folder / "vol_3.mrc") as map_:
        np.testing.assert_array_equal(shown_map(desk.session).full_matrix(), map_.data)


def test_half_maps_and_masks_are_listed_unticked_and_used_if_ticked(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    from chimerax.siren.panel.steps import predict_command, sketch_command

    folder = tmp_path / "kmeans"
    folder.mkdir()
    for n in range(1, 13):
        shutil.copy(planted.folder / f"vol_{n}.mrc", folder / f"center{n:03d}.mrc")
        shutil.copy(planted.folder / f"vol_{n}.mrc", folder / f"center{n:03d}_half1_unfil.mrc")
    desk.open()
    state = desk.list(folder)
    halves = {f"center{n:03d}_half1_unfil.mrc" for n in range(1, 13)}
    assert len(state.names) == 24
    assert state.excluded == halves
    assert {state.flags[n].kind for n in halves} == {"half map"}
    desk.use_level(LEVEL)
    assert "clude" not in sketch_command(state)  # the command leaves them out by itself
    assert "clude" not in predict_command(state)
    state.set_excluded(halves - {"center003_half1_unfil.mrc"} | {"center001.mrc"})
    for command in (sketch_command(state), predict_command(state)):
        assert "exclude" not in command
        assert "center003_half1_unfil.mrc" in command
        assert "center004_half1_unfil.mrc" not in command
    assert "center001.mrc" not in sketch_command(state)


def test_levels_that_are_equal_but_for_rounding_are_drawn_in_bars_that_numpy_2_allows(
    desk, monkeypatch
):
    """It refuses bins that no number fits in; an error while painting can end ChimeraX."""
    from chimerax.siren.panel.histogram import LevelHistogram

    plain, asked, errors = np.histogram, [], []

    def histogram(values: Any, bins: int, ends: tuple[float, float]) -> Any:
        asked.append(len(np.unique(np.linspace(*ends, bins + 1))) == bins + 1)
        return plain(values, bins, ends)

    monkeypatch.setattr(np, "histogram", histogram)
    monkeypatch.setattr(sys, "excepthook", lambda *error: errors.append(error))
    widget = LevelHistogram()
    widget.resize(300, 120)
    widget.set_levels({f"{v}.mrc": 0.1 + 0.2 if v % 2 else 0.3 for v in range(20)}, [])
    widget.grab()
    widget.deleteLater()
    assert asked == [True, True] and errors == []
