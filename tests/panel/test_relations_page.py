"""The Relations page: boxes of the graph that select blocks, combinations that filter the list, and
buttons that are commands.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.commands import run as run_command
from Qt.QtCore import QEvent, QPointF, Qt
from Qt.QtGui import QKeyEvent, QMouseEvent
from Qt.QtWidgets import QApplication, QFileDialog

from conftest import Desk, run_to_the_end, work_on
from ensembles import LEVEL, Planted


@pytest.fixture(scope="module")
def sketch(_chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    run_to_the_end(
        _chimerax,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{folder}' "
        "statistic exact subsample 1 resamples 0 open false",
    )
    return folder / "00_sketch"


class Reader:
    """A person at the page, with the blocks of a run open.

    Attributes
    ----------
    typed : commands
    """

    def __init__(self, desk: Desk, planted: Planted, sketch: Path):
        self.desk = desk
        desk.open(430, 900)
        self.state = desk.list(planted.folder)
        run_command(desk.session, f"siren open '{sketch}'")
        desk.wait(lambda: not self.state.reader.busy and self.state.known is not None)
        self.page = desk.tool.relations
        desk.tool.tabs.setCurrentWidget(self.page)
        desk.wait(lambda: self.page._found is not None)
        self.rest()
        self.typed: list[str] = []
        execute = self.page._execute

        def typing(command: str) -> Any:
            self.typed.append(command)
            return execute(command)

        self.page._execute = typing

    def rest(self) -> None:
        work_on(self.desk.session, self.page)

    def place(self, number: int) -> QPointF:
        """The middle of a block's box on the canvas."""
        areas, canvas = self.page.view.drawn.areas, self.page.view.canvas
        left, top, right, bottom = areas.boxes[number]
        x, y = areas.axes.transData.transform(((left + right) / 2, (top + bottom) / 2))
        ratio = canvas.device_pixel_ratio
        return QPointF(x / ratio, canvas.height() - y / ratio)

    def click(self, number: int) -> None:
        canvas, at, left = self.page.view.canvas, self.place(number), Qt.MouseButton.LeftButton
        none = Qt.KeyboardModifier.NoModifier
        for kind in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonRelease):
            event = QMouseEvent(kind, at, canvas.mapToGlobal(at), left, left, none)
            QApplication.sendEvent(canvas, event)
        self.rest()

    def selected(self) -> set[int]:
        """Numbers of the blocks that are selected in the session."""
        models = self.page._open_blocks()
        return {m.siren_block for m in models if m.get_selected(include_children=True)}


@pytest.fixture
def person(desk: Desk, planted: Planted, sketch: Path) -> Reader:
    return Reader(desk, planted, sketch)


def test_a_click_on_a_box_selects_its_block_and_the_box_is_framed(person: Reader) -> None:
    person.click(2)
    assert person.selected() == {2}
    assert person.typed[-1].startswith("select #")
    canvas = person.page.view.canvas
    (frame,) = canvas.frames
    at, ratio = person.place(2), canvas.device_pixel_ratio
    assert frame[0] < at.x() * ratio < frame[2]
    assert frame[3] < (canvas.height() - at.y()) * ratio < frame[1]  # counted from below
    person.click(1)
    assert person.selected() == {1}


def test_ctrl_adds_a_block_to_the_selection_and_takes_it_out_again(
    person: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.click(1)
    monkeypatch.setattr(
        QApplication, "keyboardModifiers", lambda *_: Qt.KeyboardModifier.ControlModifier
    )
    person.click(2)
    assert person.selected() == {1, 2}
    assert len(person.page.view.canvas.frames) == 2
    person.click(1)
    assert person.selected() == {2}


def test_blocks_selected_elsewhere_are_framed(person: Reader) -> None:
    models = person.page._open_blocks()
    run_command(person.desk.session, f"select #{models[0].id_string}")
    person.rest()
    assert person.page.view._framed == {models[0].siren_block}
    run_command(person.desk.session, "select clear")
    person.rest()
    assert len(person.page.view.canvas.frames) == 0


def test_in_a_low_panel_the_graph_keeps_the_height_that_its_writing_needs(person: Reader) -> None:
    person.desk.resize(430, 420)
    view = person.page.view
    dots = view.figure.dpi / view.canvas.device_pixel_ratio
    view.make_room(300 / dots, 290 / dots)
    person.rest()
    assert view.canvas.height() >= 290  # and the page is scrolled
    view.make_room(300 / dots, 3000 / dots)
    assert view.canvas.minimumHeight() < 420
    view.make_room(3000 / dots, 290 / dots)  # the width is the limit
    assert view.canvas.minimumHeight() < 290


def test_arrow_keys_go_from_box_to_box_and_enter_selects(person: Reader) -> None:
    canvas = person.page.view.canvas
    seen = set()
    keys = (Qt.Key.Key_Up, *[Qt.Key.Key_Right] * 2, *[Qt.Key.Key_Left] * 2, Qt.Key.Key_Down)
    for code in keys:
        for key in (code, Qt.Key.Key_Return):
            event = QKeyEvent(QEvent.Type.KeyPress, key, Qt.KeyboardModifier.NoModifier)
            QApplication.sendEvent(canvas, event)
            person.rest()
        (number,) = person.selected()
        seen.add(number)
    assert seen == {1, 2}


def test_blocks_that_are_not_open_are_described_and_opening_them_is_advised(
    person: Reader,
) -> None:
    run_command(person.desk.session, "close #1")
    person.rest()
    person.click(1)
    said = person.page.view.caption.text()
    assert "Block 1" in said and "siren open" in said
    assert person.typed == []


def test_each_combination_has_its_volumes_and_a_row_lists_them(
    person: Reader, planted: Planted
) -> None:
    table = person.page.table
    right, left = planted.present["right"], planted.present["left"]
    expected = {
        "none": ~right & ~left,
        "1": right & ~left,
        "2": left & ~right,
        "1, 2": right & left,
    }
    model = table.combinations
    rows = {model.index(k, 1).data(): k for k in range(model.rowCount())}
    assert set(rows) == {name for name, which in expected.items() if which.any()}
    ensemble = person.desk.tool.ensemble
    for name, row in rows.items():
        table.setCurrentIndex(model.index(row, 1))
        person.rest()
        shown = ensemble.table.rows
        found = {ensemble.table.name_at(shown.index(k, 0)) for k in range(shown.rowCount())}
        assert found == {f"vol_{k + 1}.mrc" for k in np.flatnonzero(expected[name])}
        assert model.index(row, 2).data() == str(expected[name].sum())
    asked: list[str] = []
    person.page.volume_requested.connect(asked.append)
    table.activated.emit(model.index(rows["1"], 0))
    assert asked[0] in {f"vol_{k + 1}.mrc" for k in np.flatnonzero(expected["1"])}


def test_the_buttons_are_commands(
    person: Reader, sketch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person.page._execute = person.typed.append
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "g"), "PDF document (*.pdf)")
    )
    person.page.files_button.click()
    person.page.save_button.click()
    assert person.typed == [
        f"siren relate {sketch} outputDir {tmp_path}",
        f"siren plot {sketch} graph saveFile {tmp_path / 'g.pdf'}",
    ]


def test_names_of_open_blocks_are_in_the_graph(person: Reader) -> None:
    model = person.page._open_blocks()[1]
    run_command(person.desk.session, f"siren block rename #{model.id_string} stalk")
    person.desk.wait(lambda: person.page._labels.names.get(2) == "stalk")
    person.rest()
    texts = [t.get_text() for t in person.page.view.figure.axes[0].texts]
    assert any("stalk" in text for text in texts)


def test_nothing_is_read_before_the_page_is_seen_and_without_a_run_it_says_what_to_do(
    desk: Desk, planted: Planted, sketch: Path
) -> None:
    desk.open()
    state = desk.list(planted.folder)
    state.set_run(sketch)
    desk.wait(lambda: not state.reader.busy)
    page = desk.tool.relations
    assert page._reader.token is None and page._found is None
    desk.tool.tabs.setCurrentWidget(page)
    desk.wait(lambda: page._found is not None)
    assert page.save_button.isEnabled()
    state.set_run(None)
    work_on(desk.session, page)
    (reason,) = page.view.figure.texts
    assert "No blocks yet" in reason.get_text() and page.view.caption.text() == ""
    assert not page.save_button.isEnabled() and page.table.combinations.rowCount() == 0


def test_a_page_closed_while_it_reads_is_no_error(
    desk: Desk, planted: Planted, sketch: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    desk.open()
    state = desk.list(planted.folder)
    state.set_run(sketch)
    page = desk.tool.relations
    desk.tool.tabs.setCurrentWidget(page)
    token = page._reader.token
    assert token is not None
    desk.close()
    for _ in range(20):
        desk.wait()
    run_command(desk.session, f"siren open '{sketch}'")
    run_command(desk.session, "select #1.1")
    desk.wait()
    assert "Traceback" not in capfd.readouterr().err
    assert desk.log.errors == []


def test_all_pages_have_a_tab_in_view_in_a_narrow_panel(desk: Desk) -> None:
    tool = desk.open(400, 700)
    bar = tool.tabs.tabBar()
    help_button = tool.tabs.cornerWidget()
    edge = help_button.mapTo(tool.tabs, help_button.rect().topLeft()).x()
    for k in range(tool.tabs.count()):
        tab = bar.tabRect(k)
        assert tab.right() <= edge
        assert tab.width() > bar.fontMetrics().horizontalAdvance(bar.tabText(k))
