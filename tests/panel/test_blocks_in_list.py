"""The list of volumes by their blocks: chips and words that filter it, bars beside each volume, and
volumes encircled in the scatter.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.commands import run as run_command
from Qt.QtCore import QEvent, QItemSelectionModel, QPoint, QPointF, Qt
from Qt.QtGui import QKeyEvent, QMouseEvent
from Qt.QtWidgets import QApplication

from conftest import Desk, run_to_the_end
from ensembles import LEVEL, Planted

RIGHT, LEFT = 1, 2  # numbers of the planted blocks


@pytest.fixture(scope="module")
def sketch(_chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    run_to_the_end(
        _chimerax,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{folder}' "
        "statistic exact subsample 1 resamples 0 open false",
    )
    return folder / "00_sketch"


def there(planted: Planted, block: int) -> np.ndarray:
    """Which volumes have a planted block."""
    return planted.present["right" if block == RIGHT else "left"]


def names(which: np.ndarray) -> list[str]:
    return [f"vol_{k + 1}.mrc" for k in np.flatnonzero(which)]


def listed(desk: Desk) -> list[str]:
    """The rows that are seen."""
    table = desk.tool.ensemble.table
    return [table.name_at(table.rows.index(k, 0)) for k in range(table.rows.rowCount())]


def open_list(desk: Desk, planted: Planted, sketch: Path) -> Any:
    """List the volumes, and have the blocks of their sketch."""
    desk.open()
    state = desk.list(planted.folder)
    state.set_run(sketch)
    desk.wait(lambda: not state.reader.busy and state.known is not None)
    desk.wait()
    return state


def key(widget: Any, code: Qt.Key) -> None:
    for kind in (QEvent.Type.KeyPress, QEvent.Type.KeyRelease):
        QApplication.sendEvent(widget, QKeyEvent(kind, code, Qt.KeyboardModifier.NoModifier))


def click(widget: Any, place: QPoint) -> None:
    at = QPointF(place)
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    for kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease):
        event = QMouseEvent(kind, at, widget.mapToGlobal(at), left, left, none)
        QApplication.sendEvent(widget, event)


def test_volumes_with_and_without_blocks_are_found_by_words(
    desk: Desk, planted: Planted, sketch: Path
) -> None:
    open_list(desk, planted, sketch)
    find, right, left = desk.tool.ensemble.find, there(planted, RIGHT), there(planted, LEFT)
    for text, expected in (
        ("with 1 without 2", right & ~left),
        ("has 1, lacks 2", right & ~left),
        ("with 1,2", right & left),
        ("without 1,2", ~right & ~left),
        ("with 1 with", right),  # the next word is being written
        ("", np.ones(150, bool)),
    ):
        find.setText(text)
        assert listed(desk) == names(expected), text
        found = f"{expected.sum()} found" in desk.tool.ensemble.count.text()
        assert found == bool(text)
    find.setText("vol_1* with 1")
    assert listed(desk) == [n for n in names(right) if n.startswith("vol_1")]


@pytest.mark.parametrize(
    ("text", "said"),
    [("with 7", "There is no block 7"), ("with 1 without 1", "both with and without")],
)
def test_blocks_that_cannot_be_asked_for_are_said_and_no_row_is_shown(
    desk: Desk, planted: Planted, sketch: Path, text: str, said: str
) -> None:
    open_list(desk, planted, sketch)
    desk.tool.ensemble.find.setText(text)
    assert listed(desk) == []
    assert said in desk.tool.ensemble.count.text()
    desk.tool.ensemble.find.setText("")
    assert len(listed(desk)) == 150


def test_a_chip_goes_from_either_to_with_to_without_and_writes_what_a_command_takes(
    desk: Desk, planted: Planted, sketch: Path
) -> None:
    open_list(desk, planted, sketch)
    page = desk.tool.ensemble
    page.find.setText("vol")
    right, left = there(planted, RIGHT), there(planted, LEFT)
    for position, text, expected in (
        (0, "vol with 1", right),
        (1, "vol with 1,2", right & left),
        (1, "vol with 1 without 2", right & ~left),
        (0, "vol without 1,2", ~right & ~left),
        (0, "vol without 2", ~left),
        (1, "vol", np.ones(150, bool)),
    ):
        click(page.chips, page.chips.chip(position).center())
        assert page.find.text() == text
        assert listed(desk) == names(expected)
    assert f"in {right.sum()} of 150 volumes" in page.chips.tip(0)


def test_chips_follow_what_is_typed_and_work_with_keys(
    desk: Desk, planted: Planted, sketch: Path
) -> None:
    open_list(desk, planted, sketch)
    page, chips = desk.tool.ensemble, desk.tool.ensemble.chips
    page.find.setText("lacks 2")
    assert [chips.asked_of(n) for n in (1, 2)] == [0, 2]
    key(chips, Qt.Key.Key_Plus)
    assert page.find.text() == "with 1 without 2"
    key(chips, Qt.Key.Key_Right)
    key(chips, Qt.Key.Key_Space)
    assert page.find.text() == "with 1"
    key(chips, Qt.Key.Key_Minus)
    assert page.find.text() == "with 1 without 2"
    key(chips, Qt.Key.Key_Delete)
    assert page.find.text() == ""


def test_a_bar_has_the_height_of_the_share_and_the_color_of_the_block(
    desk: Desk, planted: Planted, sketch: Path
) -> None:
    state = open_list(desk, planted, sketch)
    desk.resize(700, 700)
    table = desk.tool.ensemble.table
    desk.wait()
    column = 4
    picture = table.viewport().grab().toImage()
    ratio = picture.width() / table.viewport().width()
    colors = {n: [round(255 * c) for c in state.known.labels.colors[n][:3]] for n in (1, 2)}
    for row in range(4):
        area = table.visualRect(table.rows.index(row, column))
        seen: dict[int, int] = dict.fromkeys(colors, 0)
        for y in range(area.top(), area.bottom()):
            for number, color in colors.items():
                line = [
                    picture.pixelColor(round(x * ratio), round(y * ratio)).getRgb()[:3]
                    for x in range(area.left(), area.right())
                ]
                seen[number] += any(list(pixel) == color for pixel in line)
        for number, tall in seen.items():
            k = int(listed(desk)[row][4:-4]) - 1
            share = float(state.known.states.share[number - 1, k])
            expected = share * (area.height() - 10) if there(planted, number)[k] else 0
            assert tall == pytest.approx(expected, abs=1.6), (row, number)


def test_the_blocks_of_a_volume_are_in_words_and_the_list_is_sorted_by_them(
    desk: Desk, planted: Planted, sketch: Path
) -> None:
    state = open_list(desk, planted, sketch)
    table = desk.tool.ensemble.table
    right, left = there(planted, RIGHT), there(planted, LEFT)
    for k in (0, 5, 100):
        row = table.volumes.row_of(f"vol_{k + 1}.mrc")
        index = table.volumes.index(row, 4)
        here = [n for n in (1, 2) if there(planted, n)[k]]
        assert index.data() == (", ".join(map(str, here)) or "none")
        tip = table.volumes.data(index, Qt.ItemDataRole.ToolTipRole).split("\n")
        share = state.known.states.share[:, k]
        for n in (1, 2):
            word = "with block" if n in here else "without block"
            (line,) = [t for t in tip if f"{n}: {100 * share[n - 1]:.0f} %" in t]
            assert line.startswith(word)
    table.sortByColumn(4, Qt.SortOrder.DescendingOrder)
    counts = right.astype(int) + left
    assert [counts[int(n[4:-4]) - 1] for n in listed(desk)] == sorted(counts, reverse=True)
    groups = [(right[k], left[k]) for k in (int(n[4:-4]) - 1 for n in listed(desk))]
    changes = sum(a != b for a, b in pairwise(groups))
    assert changes == len(set(groups)) - 1  # equal ones are side by side


def test_without_blocks_the_chips_say_so_and_words_are_words(desk: Desk, planted: Planted) -> None:
    desk.open()
    desk.list(planted.folder)
    page = desk.tool.ensemble
    assert not page.chips.isEnabled()
    assert page.table.isColumnHidden(4)
    page.find.setText("with 1")
    assert listed(desk) == []  # no name has these words
    page.find.setText("vol_1.mrc")
    assert listed(desk) == ["vol_1.mrc"]


def test_volumes_of_the_same_names_in_another_folder_are_not_those_of_the_run(
    desk: Desk, planted: Planted, sketch: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for n in range(1, 6):
        shutil.copy(planted.folder / f"vol_{n}.mrc", other)
    desk.open()
    state = desk.list(other)
    state.set_run(sketch)
    desk.wait(lambda: not state.reader.busy and state.known is not None)
    assert state.known.columns == {}
    assert desk.tool.ensemble.table.isColumnHidden(4)
    assert not desk.tool.ensemble.chips.isEnabled()


def test_a_block_that_is_renamed_or_recolored_is_so_in_the_list(
    desk: Desk, planted: Planted, sketch: Path
) -> None:
    state = open_list(desk, planted, sketch)
    run_command(desk.session, f"siren open '{sketch}'")
    desk.wait(lambda: not state.reader.busy)
    models = [m for m in desk.session.models.list() if getattr(m, "siren_block", 0) == 2]
    run_command(desk.session, f"siren block rename #{models[0].id_string} stalk")
    run_command(desk.session, f"color #{models[0].id_string} #ff00ff target s")
    desk.wait(lambda: state.known.labels.names.get(2) == "stalk")
    desk.wait(lambda: tuple(state.known.labels.colors[2][:3]) == (1.0, 0.0, 1.0))
    assert "Block 2 (stalk)" in desk.tool.ensemble.chips.tip(1)


def test_volumes_encircled_in_the_scatter_are_selected_in_the_list_and_those_selected_are_marked(
    desk: Desk, planted: Planted, sketch: Path
) -> None:
    open_list(desk, planted, sketch)
    page, plots = desk.tool.ensemble, desk.tool.plots
    both = names(there(planted, RIGHT) & there(planted, LEFT))
    page.find.setText("without 1")  # hides them
    plots.view.outlined.emit(both)
    assert sorted(page.table.selected()) == sorted(both)
    assert page.find.text() == ""
    desk.wait(lambda: plots.view._marked == frozenset(both))
    assert f"{len(both)} selected" in page.count.text()
    page.buttons["Exclude"].click()
    assert desk.tool.state.excluded == set(both)
    page.table.selectRow(3)
    desk.wait(lambda: plots.view._marked == {"vol_4.mrc"})


def test_a_selection_stays_with_its_volumes_when_the_list_is_sorted_or_filtered(
    desk: Desk, planted: Planted, sketch: Path
) -> None:
    open_list(desk, planted, sketch)
    table = desk.tool.ensemble.table
    right = names(there(planted, RIGHT))
    table.select([right[0], right[1], right[7]])
    table.selectionModel().setCurrentIndex(
        table.rows.index(listed(desk).index(right[7]), 0),
        QItemSelectionModel.SelectionFlag.NoUpdate,
    )
    table.sortByColumn(4, Qt.SortOrder.DescendingOrder)
    desk.tool.ensemble.find.setText("with 1")
    assert set(table.selected()) == {right[0], right[1], right[7]}
    assert table.name_at(table.currentIndex()) == right[7]


def test_more_chips_than_fit_are_reached_by_the_arrows_at_the_ends(desk: Desk) -> None:
    from chimerax.siren.core.analysis.block_occupancy import States
    from chimerax.siren.core.figures.theme import Labels
    from chimerax.siren.panel.known_states import KnownStates

    desk.open()
    chips = desk.tool.ensemble.chips
    share = np.ones((60, 1), np.float32)
    states = States(("a",), np.ones(1), tuple(range(1, 61)), np.ones(60, int), share)
    known = KnownStates(Path("x"), states, Labels(), {}, {"a": 0})
    chips.show_blocks(known)
    asked = []
    chips.asked.connect(asked.append)
    for _ in range(60):
        click(chips, QPoint(chips.width() - 5, 8))
    click(chips, QPoint(chips.width() - 22, 8))
    assert asked[-1].words == "with 60"
    for _ in range(60):
        key(chips, Qt.Key.Key_Left)
    key(chips, Qt.Key.Key_Space)
    assert asked[-1].words == "with 1"


def test_a_panel_closed_while_states_are_read_is_no_error(
    desk: Desk, planted: Planted, sketch: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    desk.open()
    state = desk.list(planted.folder)
    state.set_run(sketch)
    desk.close()
    for _ in range(20):
        desk.wait()
    assert "Traceback" not in capfd.readouterr().err
    assert desk.log.errors == []


@pytest.mark.parametrize("width", [380, 430, 480, 600])
def test_names_are_readable_beside_the_blocks_at_every_width(
    desk: Desk, planted: Planted, sketch: Path, width: int
) -> None:
    state = open_list(desk, planted, sketch)
    table = desk.tool.ensemble.table
    # as many blocks as fill the column
    shares = np.ones((8, len(state.known.states.names)), np.float32)
    states = replace(
        state.known.states, numbers=tuple(range(1, 9)), sizes=np.full(8, 9), share=shares
    )
    state.known = replace(state.known, states=states)
    table.setFixedWidth(width)
    table.resize(width, 300)
    table._fit_blocks()
    desk.wait()
    room = table.columnWidth(0) - table.iconSize().width() - 36  # picture, check box and margins
    assert room >= table.fontMetrics().horizontalAdvance("vol_150.mrc")
