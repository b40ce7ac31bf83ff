"""The Blocks page with real widgets: clicks run commands, and changes made elsewhere show up in the
table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chimerax.core.commands import run as run_command
from chimerax.core.errors import UserError
from keys import press

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.verdicts import BlockEvidence
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.panel.block_actions import ERASER
from chimerax.siren.session.surfaces import BlockMap, open_blocks
from conftest import work_on
from cxheadless import ui_shim
from ensembles import LEVEL, write_planted

GRID = Grid((20, 22, 24), (4.0, 4.0, 4.0))
FOLDER = Path("/somewhere/00_sketch")
TABLE = pd.DataFrame(
    {
        "block": [1, 2, 10],
        "voxels": [64, 125, 27],
        "mean_occupancy": [0.5, 0.25, 0.9],
        "stability": [1.0, 0.8, np.nan],
    }
)


def box(z: int, y: int, x: int, size: int) -> np.ndarray:
    mask = np.zeros(GRID.shape, bool)
    mask[z : z + size, y : y + size, x : x + size] = True
    return np.flatnonzero(mask)


SOLID = BlockEvidence(contrast=0.9, rise=2.0, solidity=0.97, exchange=0.1)
EVIDENCE = {1: replace(SOLID, contrast=0.2), 2: SOLID, 10: replace(SOLID, exchange=1.2)}
JUDGED = TABLE.assign(
    contrast=[e.contrast for e in EVIDENCE.values()],
    solidity=[e.solidity for e in EVIDENCE.values()],
    verdict=[e.verdict for e in EVIDENCE.values()],
)


BLOCKS = BlockSet(
    GRID, {1: box(1, 1, 1, 4), 2: box(10, 10, 10, 5), 10: box(1, 12, 1, 3)}, names={10: "stalk"}
)


def click(widget: Any, place: Any, key: Any) -> None:
    """Press and release the left mouse button."""
    from Qt.QtCore import QEvent, QPointF, Qt
    from Qt.QtGui import QMouseEvent
    from Qt.QtWidgets import QApplication

    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    for kind, held in (
        (QEvent.Type.MouseButtonPress, left),
        (QEvent.Type.MouseButtonRelease, none),
    ):
        QApplication.sendEvent(
            widget,
            QMouseEvent(kind, QPointF(place), QPointF(widget.mapToGlobal(place)), left, held, key),
        )


class Person:
    """A user of the page."""

    def __init__(self, session: Any):
        from chimerax.siren.panel.blocks import BlocksPage

        self.session = session
        self.typed: list[str] = []
        self.errors: list[str] = []
        self.saved: list[Path] = []
        self.page = BlocksPage(session, self.execute)
        self.page.run_changed.connect(self.saved.append)
        self.page.resize(430, 400)
        self.page.show()

    def execute(self, command: str) -> None:
        self.typed.append(command)
        try:
            run_command(self.session, command)
        except UserError as error:
            self.errors.append(str(error))

    def wait(self, until: Callable[[], bool] | None = None) -> None:
        """Let the application work: until a condition holds, or all timers of the page have run."""
        work_on(self.session, self.page, until)

    def text(self, column: int) -> list[str]:
        """The text of a column, from top to bottom."""
        from Qt.QtCore import Qt

        proxy = self.page.sorted
        return [
            proxy.data(proxy.index(row, column), Qt.ItemDataRole.DisplayRole)
            for row in range(proxy.rowCount())
        ]

    def select(self, *numbers: int) -> None:
        """Click rows, with the control key from the second on."""
        from Qt.QtCore import Qt

        for k, number in enumerate(numbers):
            index = self.page.sorted.index(self.text(2).index(str(number)), 3)
            click(
                self.page.view.viewport(),
                self.page.view.visualRect(index).center(),
                Qt.KeyboardModifier.ControlModifier if k else Qt.KeyboardModifier.NoModifier,
            )
        self.wait()

    def press(self, action: str) -> None:
        assert self.page.actions_[action].isEnabled(), action
        self.page.actions_[action].trigger()
        self.wait()

    def block(self, number: int) -> BlockMap:
        return next(m for m in self.page.blocks if m.siren_block == number)


@pytest.fixture
def person(session: Any) -> Iterator[Person]:
    if not session.ui.is_gui:
        ui_shim.install(session)
    session.undo.clear()
    person = Person(session)
    yield person
    person.page.close()
    person.page.deleteLater()
    person.wait()


@pytest.fixture
def three(session: Any, person: Person) -> Person:
    """Three blocks are open and in the table."""
    open_blocks(session, BLOCKS, FOLDER, table=TABLE)
    person.page.set_run(FOLDER)
    person.wait()
    return person


def test_the_table_says_what_is_known_of_each_block(three: Person) -> None:
    assert three.text(2) == ["1", "2", "10"]
    assert three.text(3) == ["", "", "stalk"]
    assert three.text(4) == ["64", "125", "27"]
    assert three.text(5) == ["4,096", "8,000", "1,728"]  # 4 x 4 x 4 A^3 a voxel
    assert three.text(6) == ["0.50", "0.25", "0.90"]
    assert three.text(7) == ["1.00", "0.80", "-"]
    assert "3 blocks, 216 voxels" in three.page.title.text()


@pytest.mark.parametrize(
    ("column", "descending"),
    [(2, ["10", "2", "1"]), (4, ["2", "1", "10"]), (6, ["10", "1", "2"]), (7, ["1", "2", "10"])],
)
def test_rows_sort_by_numbers_not_by_their_text(
    three: Person, column: int, descending: list[str]
) -> None:
    from Qt.QtCore import Qt

    three.page.view.sortByColumn(column, Qt.SortOrder.DescendingOrder)
    assert three.text(2) == descending
    three.page.view.sortByColumn(column, Qt.SortOrder.AscendingOrder)
    assert three.text(2) == descending[::-1]


@pytest.fixture
def judged(session: Any, person: Person) -> Person:
    """Three blocks are open, the first of them doubtful and the last moving."""
    open_blocks(session, replace(BLOCKS, evidence=EVIDENCE), FOLDER, table=JUDGED)
    person.page.set_run(FOLDER)
    person.wait()
    return person


def test_a_verdict_is_one_word_and_rests_its_reason_and_numbers_under_the_pointer(
    judged: Person,
) -> None:
    from Qt.QtCore import Qt

    assert judged.text(8) == ["solid", "moving", "doubtful"]
    proxy = judged.page.sorted
    tips = [proxy.data(proxy.index(r, 8), Qt.ItemDataRole.ToolTipRole) for r in range(3)]
    assert tips[0] == "solid: a part that comes and goes\ncontrast 0.90, solidity 0.97"
    assert tips[2].splitlines() == [EVIDENCE[1].verdict, "contrast 0.20, solidity 0.97"]


@pytest.mark.parametrize("column", [0, 1, 2, 3, 4, 5, 6, 7, 8])
def test_doubtful_blocks_are_gray_and_last_however_the_rows_are_sorted(
    judged: Person, column: int
) -> None:
    from Qt.QtCore import Qt

    proxy = judged.page.sorted
    orders = []
    for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
        judged.page.view.sortByColumn(column, order)
        orders.append(judged.text(2))
        gray = [
            proxy.data(proxy.index(r, 4), Qt.ItemDataRole.ForegroundRole) is not None
            for r in range(3)
        ]
        assert orders[-1][2] == "1" and gray == [False, False, True]
    assert column == 0 or orders[0][:2] == orders[1][1::-1]  # both are shown


def test_hidden_doubtful_blocks_are_told_and_shown_by_the_command_of_a_link(
    judged: Person,
) -> None:
    line = judged.page.doubts
    assert line.isVisibleTo(judged.page)
    assert line.text().startswith("1 doubtful block is hidden: <a ")
    assert line.toolTip() == "show #1.1 models"
    line.linkActivated.emit("show")
    judged.wait()
    assert judged.typed == ["show #1.1 models"]
    assert judged.block(1).display and not line.isVisibleTo(judged.page)
    run_command(judged.session, "hide #1.1 models")
    judged.wait()
    assert line.isVisibleTo(judged.page)


def test_blocks_without_doubts_or_without_a_verdict_have_no_line_about_them(
    three: Person,
) -> None:
    run_command(three.session, "hide #1 models")
    three.wait()
    assert not three.page.doubts.isVisibleTo(three.page)
    assert three.text(8) == ["-", "-", "-"]


def test_blocks_of_other_volumes_that_are_seen_too_are_told_and_hidden_by_a_link(
    three: Person,
) -> None:
    line, page = three.page.doubts, three.page
    other = open_blocks(three.session, BLOCKS, Path("/other/siren/00_sketch"))
    three.wait()
    assert line.isVisibleTo(page)
    assert line.text() == 'Blocks of other volumes are seen, too: <a href="hide">hide</a>'
    assert line.toolTip() == "hide #!2 models"
    line.linkActivated.emit("hide")
    three.wait()
    assert three.typed == ["hide #!2 models"]
    assert not other.visible and page.blocks[0].visible and not line.isVisibleTo(page)
    other.display, page.blocks[0].parent.display = True, False
    three.wait()
    assert not line.isVisibleTo(page)  # nothing is mixed


def test_an_edit_forgets_the_verdict_and_undo_brings_it_back(judged: Person) -> None:
    judged.select(1, 2)
    judged.press("merge")
    assert judged.text(2) == ["1", "10"] and judged.text(8) == ["-", "moving"]
    judged.press("undo")
    assert judged.text(8) == ["solid", "moving", "doubtful"]


def test_a_click_on_a_row_selects_its_surface_by_one_command_and_the_answer_starts_no_other(
    three: Person,
) -> None:
    three.select(2)
    assert three.typed == ["select #1.2"]
    assert three.block(2).get_selected(include_children=True) and not three.block(1).get_selected(
        include_children=True
    )
    three.select(2, 10)
    assert three.typed == ["select #1.2", "select #1.2,10"]
    assert three.page.chosen == [three.block(2), three.block(10)]


def test_a_surface_picked_with_the_mouse_selects_its_row_and_no_command_follows(
    three: Person,
) -> None:
    x, y = 4 * 2.0, 4 * 13.0  # through the middle of block 10, along z
    pick = three.session.main_view.picked_object_on_segment(
        np.array([x, y, -100.0]), np.array([x, y, 100.0])
    )
    pick.select()
    three.wait()
    assert three.page.chosen == [three.block(10)]
    run_command(three.session, "select #1.1")
    three.wait()
    assert three.page.chosen == [three.block(1)]
    run_command(three.session, "select clear")
    three.wait()
    assert three.page.chosen == []
    assert three.typed == []


def test_the_tick_box_shows_and_hides_and_follows_hide_from_elsewhere(three: Person) -> None:
    from Qt.QtCore import Qt

    index = three.page.model.index(1, 0)
    three.page.model.setData(index, Qt.CheckState.Unchecked.value, Qt.ItemDataRole.CheckStateRole)
    three.wait()
    assert three.typed == ["hide #1.2 models"]
    assert not three.block(2).display
    run_command(three.session, "show #1.2 models; hide #1.1 models")
    three.wait()
    state = [
        three.page.model.data(three.page.model.index(r, 0), Qt.ItemDataRole.CheckStateRole)
        for r in range(3)
    ]
    assert state == [Qt.CheckState.Unchecked, Qt.CheckState.Checked, Qt.CheckState.Checked]


def test_only_hides_the_other_blocks_and_all_brings_them_back(three: Person) -> None:
    three.select(2)
    three.press("only")
    assert [m.display for m in three.page.blocks] == [False, True, False]
    three.press("all")
    assert all(m.display for m in three.page.blocks)


def test_the_list_is_worked_by_keys(three: Person) -> None:
    from Qt.QtCore import Qt
    from Qt.QtWidgets import QLineEdit

    view = three.page.view
    seen = lambda: [m.siren_block for m in three.page.blocks if m.display]  # noqa: E731
    three.select(1, 2)
    press(view, Qt.Key.Key_Space)
    three.wait()
    assert seen() == [10] and three.typed[-1] == "hide #1.1-2 models"
    press(view, Qt.Key.Key_Space)
    three.wait()
    assert seen() == [1, 2, 10]
    three.select(2)
    press(view, Qt.Key.Key_Return)
    three.wait()
    assert seen() == [2]
    three.select(1, 2)  # one of them is hidden: both are shown
    press(view, Qt.Key.Key_Space)
    three.wait()
    assert seen() == [1, 2]
    press(view, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    three.wait()
    assert seen() == [1, 2, 10]
    three.select(2)
    three.page.actions_["rename"].trigger()  # the Enter that ends a name hides nothing
    press(view.findChild(QLineEdit), Qt.Key.Key_Return)
    three.wait()
    assert seen() == [1, 2, 10]
    assert three.page.focusProxy() is view and not view.tabKeyNavigation()  # Tab goes on


def test_each_key_of_the_list_is_in_a_tooltip_and_belongs_to_one_action(three: Person) -> None:
    from chimerax.siren.panel.widgets import key_text

    keys = {a.shortcut().toString(): a for a in three.page.view.actions()}
    assert len(keys) == len(three.page.view.actions())
    assert {"M", "P", "G", "B", "C", "Z", "U", "Shift+U", "Del", "F2"} <= set(keys)
    for text, action in keys.items():
        assert f"({key_text(text)})" in action.toolTip()
    three.page.view.selectRow(0)
    three.wait()
    keys["B"].trigger()
    assert three.page.tools.current is three.page.tools.paint


def test_a_new_color_is_a_command_keeps_the_transparency_and_is_seen_in_the_table(
    three: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from Qt.QtGui import QColor

    run_command(three.session, "transparency #1.2 40 target s")
    monkeypatch.setattr(three.page.edits, "_ask_color", lambda now: QColor("#ff0000"))
    three.select(2)
    three.press("color")
    assert three.typed[-1] == "color #1.2 #ff0000 target s"
    assert three.block(2).surfaces[0].rgba[:3] == (1.0, 0.0, 0.0)
    assert three.block(2).surfaces[0].rgba[3] == pytest.approx(0.6, abs=0.01)
    assert three.page.model.rows[1].color[:3] == (1.0, 0.0, 0.0)
    run_command(three.session, "color #1.2 blue")
    three.wait()
    assert three.page.model.rows[1].color[:3] == (0.0, 0.0, 1.0)


def test_canceling_the_choice_of_a_color_changes_nothing(
    three: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from Qt.QtGui import QColor

    three.select(2)
    monkeypatch.setattr(three.page.edits, "_ask_color", lambda now: QColor())
    three.press("color")
    assert three.typed == ["select #1.2"]


def test_a_name_typed_into_the_cell_is_a_command_quotes_and_all(three: Person) -> None:
    from Qt.QtCore import Qt

    index = three.page.model.index(0, 3)
    three.page.model.setData(index, "5' end; it's", Qt.ItemDataRole.EditRole)
    three.wait()
    assert len(three.typed) == 1 and three.typed[0].startswith("siren block rename #1.1 ")
    assert three.block(1).given_name == "5' end; it's"
    assert three.text(3)[0] == "5' end; it's"
    # nothing new, no command
    three.page.model.setData(index, "5' end; it's", Qt.ItemDataRole.EditRole)
    assert len(three.typed) == 1


def test_merge_split_delete_and_undo_by_their_buttons(three: Person) -> None:
    assert not three.page.actions_["merge"].isEnabled()
    three.select(1, 10)
    three.press("merge")
    assert three.typed[-1] == "siren block merge #1.1,10"
    assert (three.text(2), three.text(4), three.text(3)) == (
        ["1", "2"],
        ["91", "125"],
        ["stalk", ""],
    )
    assert three.text(6)[0] == f"{(64 * 0.5 + 27 * 0.9) / 91:.2f}"
    assert three.text(7)[0] == "-"
    assert "edited but not saved" in three.page.title.text()
    three.select(1)
    three.page.actions_["split"].menu().actions()[0].trigger()
    three.wait()
    assert three.typed[-1] == "siren block split #1.1"
    assert three.text(4) == ["64", "125", "27"]
    three.select(2)
    three.press("delete")
    assert three.text(2) == ["1", "3"]
    for _ in range(3):
        three.press("undo")
    assert (three.text(2), three.text(6), three.text(7)) == (
        ["1", "2", "10"],
        ["0.50", "0.25", "0.90"],
        ["1.00", "0.80", "-"],
    )
    assert not three.page.actions_["undo"].isEnabled()
    three.press("redo")
    assert three.text(2) == ["1", "2"]
    assert three.errors == []


def test_after_an_edit_by_key_the_arrow_keys_go_on_from_its_place(three: Person) -> None:
    from Qt.QtCore import Qt

    view = three.page.view
    three.select(2)
    assert view.currentIndex().row() == 1
    three.press("delete")
    assert three.text(2) == ["1", "10"] and view.currentIndex().row() == 1
    press(view, Qt.Key.Key_Up)
    three.wait()
    assert [m.siren_block for m in three.page.chosen] == [1]
    three.press("undo")
    assert view.currentIndex().row() == 0


def test_edits_of_a_closed_set_are_not_offered_to_be_undone(three: Person) -> None:
    three.select(2)
    three.press("delete")
    group = three.page.blocks[0].parent
    assert three.page.actions_["undo"].isEnabled()
    three.session.models.close([group])
    three.wait()
    assert not three.page.actions_["undo"].isEnabled()


def test_the_erasers_sphere_splits_off_what_is_in_it(three: Person) -> None:
    from chimerax.geometry import translation
    from chimerax.map_eraser.eraser import SphereModel

    session = three.session
    three.select(2)
    three.page.actions_["split"].menu().actions()[1].trigger()
    assert three.typed[-1] == 'ui tool show "Map Eraser"'
    # with windows the tool has made its sphere; here its own class makes it
    sphere = next((m for m in session.models.list() if m.name == ERASER), None)
    if sphere is None:
        sphere = SphereModel(ERASER, session, (255, 153, 204, 128), (0, 0, 0), 1.0)
    sphere.radius = 4.5
    sphere.position = translation((40, 40, 40))  # the corner of block 2
    three.page.actions_["split"].menu().actions()[1].trigger()
    three.wait()
    assert three.typed[-1] == f"siren block split #1.2 center #{sphere.id_string} radius 4.5"
    assert three.text(4) == ["64", "121", "27", "4"]
    for tool in session.tools.list():
        if tool.tool_name == "Map Eraser":
            tool.delete()


def test_parts_erased_with_chimeraxs_own_command_are_seen_and_their_values_forgotten(
    three: Person,
) -> None:
    run_command(three.session, "volume erase #1.2 center 40,40,40 radius 4.5")
    three.wait()
    assert three.text(4)[1] == "121"
    assert three.text(6)[1] == three.text(7)[1] == "-"


def test_closed_and_opened_blocks_leave_and_enter_the_table(three: Person) -> None:
    run_command(three.session, "close #1.2")
    three.wait()
    assert three.text(2) == ["1", "10"]
    run_command(three.session, "close")
    three.wait()
    assert three.text(2) == []
    open_blocks(three.session, BLOCKS, FOLDER, table=TABLE)
    three.wait()
    assert three.text(2) == ["1", "2", "10"]
    open_blocks(three.session, BlockSet(GRID, {7: box(3, 3, 3, 3)}), Path("/other/run"))
    three.wait()
    assert three.text(2) == ["1", "2", "10"]


def test_the_slider_is_one_command_however_far_it_was_dragged(three: Person) -> None:
    three.page.slider.setSliderDown(True)
    for value in (10, 35, 60):
        three.page.slider.setSliderPosition(value)
        # it follows at once
        assert three.block(1).surfaces[0].rgba[3] == pytest.approx(1 - value / 100, abs=0.01)
    three.page.slider.setSliderDown(False)
    three.wait()
    assert three.typed == ["transparency #1.1-2,10 60 target s"]
    run_command(three.session, "transparency #1 25 target s")
    three.wait()
    assert three.page.slider.value() == 25
    assert len(three.typed) == 1


def test_the_commands_of_the_page_replayed_in_a_fresh_session_give_the_same_blocks(
    three: Person,
) -> None:
    three.select(1, 10)
    three.press("merge")
    three.select(2)
    three.press("rename")
    from Qt.QtCore import Qt

    three.page.model.setData(three.page.model.index(1, 3), "two", Qt.ItemDataRole.EditRole)
    three.press("undo")
    three.press("redo")
    after = [(m.name, m.voxels.tolist()) for m in three.page.blocks]
    typed = list(three.typed)
    run_command(three.session, "close")
    three.session.models._reset_next_id()
    three.session.undo.clear()
    open_blocks(three.session, BLOCKS, FOLDER, table=TABLE)
    for command in typed:
        run_command(three.session, command)
    three.wait()
    assert [(m.name, m.voxels.tolist()) for m in three.page.blocks] == after


def test_an_empty_page_tells_what_to_do_and_has_no_active_button(person: Person) -> None:
    assert "run a sketch" in person.page.title.text()
    assert not any(a.isEnabled() for name, a in person.page.actions_.items() if name != "undo")
    assert not person.page.expand_button.isEnabled()
    person.page.set_run(Path("/no/such/folder"))
    assert (
        person.page.title.text() == "/no/such/folder cannot be opened."
        or "no blocks" in person.page.title.text()
    )


@pytest.mark.slow
def test_a_run_whose_blocks_are_not_open_is_listed_opened_edited_saved_and_expanded(
    session: Any, person: Person, tmp_path: Path
) -> None:
    planted = write_planted(tmp_path / "volumes")
    run_command(
        session,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir "
        f"'{tmp_path}/out' statistic exact subsample 1 "
        "resamples 0 open false",
    )
    person.wait(lambda: (tmp_path / "out/00_sketch").is_dir())
    person.page.set_run(tmp_path / "out/00_sketch")
    assert person.text(4) == ["216", "125"]
    verdicts = pd.read_csv(tmp_path / "out/00_sketch/blocks.csv")["verdict"].tolist()
    assert person.text(8) == [v.partition(":")[0] for v in verdicts]
    assert person.page.title.text().endswith("not open")
    assert not person.page.actions_["all"].isEnabled()
    person.page.open_button.click()
    person.wait(lambda: len(person.page.blocks) == 2)
    person.wait()
    assert person.text(6) == ["0.60", "0.40"]
    person.select(1)
    person.press("delete")
    person.page.save_button.click()
    person.wait(lambda: bool(person.saved))
    assert person.saved == [tmp_path / "out/01_edited"]
    assert person.page.title.text() == "01_edited: 1 block, 125 voxels"
    person.page.expand_button.click()
    person.wait(lambda: (tmp_path / "out/02_expand").is_dir())
    assert person.typed[-2:] == ["siren block save #1.2", "siren expand #1.2"]
    assert person.errors == []
    # an expansion that was edited is saved first: its own expansion would take its place
    lines: list[list[str]] = []
    person.page.lines_wanted.connect(lines.append)
    person.page.set_run(tmp_path / "out/02_expand")
    person.wait(lambda: len(person.page.blocks) == 1)
    run_command(session, f"siren block grow #{person.page.blocks[0].id_string} by 1")
    person.wait()
    person.page.expand_button.click()
    spec = f"#{person.page.blocks[0].id_string}"
    assert lines == [[f"siren block save {spec}", f"siren expand {spec}"]]


def test_a_closed_page_disconnects_from_the_session(session: Any, three: Person) -> None:
    from chimerax.siren.panel.blocks import BlocksPage

    page = BlocksPage(session, three.execute)
    page.set_run(FOLDER)
    callbacks = len(three.block(1).change_callbacks)
    page.deleteLater()
    three.wait()
    assert len(three.block(1).change_callbacks) == callbacks - 1
    run_command(session, "color #1.1 red; close")
    three.wait()


@pytest.mark.slow
def test_the_table_of_many_large_blocks_is_up_in_a_moment(session: Any, person: Person) -> None:
    grid = Grid((64, 64, 64), (4.0, 4.0, 4.0))
    rng = np.random.default_rng(0)
    open_blocks(
        session,
        BlockSet(
            grid, {n: np.sort(rng.choice(grid.size, 500, replace=False)) for n in range(1, 31)}
        ),
        FOLDER,
    )
    person.page.set_run(FOLDER)
    spent = []
    for _ in range(3):
        computed = time.thread_time()  # of this thread; more of it where others use the caches
        person.page.refresh()
        spent.append(time.thread_time() - computed)
    assert min(spent) < 0.05
    assert len(person.text(2)) == 30


def test_a_hidden_set_has_no_ticks_and_ticking_one_block_shows_that_one_alone(
    three: Person,
) -> None:
    from Qt.QtCore import Qt

    run_command(three.session, "hide #!1 models")  # as a newer result does
    three.wait()
    states = [
        three.page.model.data(three.page.model.index(k, 0), Qt.ItemDataRole.CheckStateRole)
        for k in range(3)
    ]
    assert states == [Qt.CheckState.Unchecked] * 3
    three.page.model.setData(
        three.page.model.index(1, 0), Qt.CheckState.Checked, Qt.ItemDataRole.CheckStateRole
    )
    three.wait()
    assert [m.siren_block for m in three.page.blocks if m.visible] == [2]
    assert [r.shown for r in three.page.model.rows] == [False, True, False]


def test_of_two_sets_of_one_folder_the_table_has_the_one_that_is_seen(three: Person) -> None:
    newer = open_blocks(three.session, BlockSet(GRID, {7: box(3, 3, 3, 3)}), FOLDER)
    three.wait()
    assert three.text(2) == ["7"]
    newer.display = False
    three.wait()
    assert three.text(2) == ["1", "2", "10"]


def test_a_set_chosen_from_the_menu_is_seen_alone_and_asked_for(three: Person) -> None:
    """The page is alone here; in the panel the answer to what it asks is that run."""
    other = open_blocks(three.session, BlockSet(GRID, {7: box(3, 3, 3, 3)}), Path("/other/run"))
    other.name = "SIREn other"
    three.page._list_sets()
    (entry,) = (a for a in three.page.sets.menu().actions() if "SIREn other" in a.text())
    entry.trigger()
    assert three.saved == [Path("/other/run")]
    assert other.visible and not any(m.visible for m in three.page.blocks)
    assert three.typed[-1] == "hide #!1 models; show #!2 models"


def test_a_folder_of_blocks_is_opened_from_the_page(
    three: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(three.page, "_ask_folder", lambda: "/some where/00_sketch")
    three.page._list_sets()
    three.page.sets.menu().actions()[-1].trigger()
    assert three.typed[-1] == 'siren open "/some where/00_sketch"'


def test_a_merged_block_is_seen_though_the_first_of_them_was_doubtful(judged: Person) -> None:
    assert not judged.block(1).display  # doubtful, thus hidden and pale
    full = judged.block(1).siren_color
    judged.select(1, 2)
    judged.press("merge")
    assert judged.block(1).visible
    assert tuple(judged.block(1).surfaces[0].rgba[:3]) == pytest.approx(full, abs=0.005)


# --- tools for the shape of blocks


@pytest.fixture
def pieces(session: Any, person: Person) -> Person:
    """Block 1 is of two cubes, two voxels apart."""
    two = np.union1d(box(1, 1, 1, 4), box(1, 1, 6, 3))
    open_blocks(session, BlockSet(GRID, {1: two, 2: box(10, 10, 10, 5)}), FOLDER)
    person.page.set_run(FOLDER)
    person.wait()
    return person


def open_tool(person: Person, menu: str, text: str) -> None:
    """Choose an entry of the menu of a button."""
    (entry,) = (a for a in person.page.actions_[menu].menu().actions() if text in a.text())
    assert entry.isEnabled()
    entry.trigger()
    person.wait()


def painted(block: BlockMap) -> int:
    """How many colors its surface has."""
    colors = block.surfaces[0].vertex_colors
    return 1 if colors is None else len(np.unique(colors, axis=0))


def test_the_gap_slider_shows_the_pieces_and_split_runs_the_command_with_that_gap(
    pieces: Person,
) -> None:
    pieces.select(1)
    open_tool(pieces, "split", "gap")
    tool = pieces.page.tools.split
    assert tool.isVisibleTo(pieces.page)
    tool.gap.setValue(30)
    pieces.wait()
    assert painted(pieces.block(1)) == 1 and not tool.split_button.isEnabled()
    assert "one piece" in tool.note.text()
    tool.gap.setValue(15)
    pieces.wait()
    assert painted(pieces.block(1)) == 2 and "2 pieces" in tool.note.text()
    assert "64" in tool.note.text() and "27" in tool.note.text()
    typed = len(pieces.typed)
    tool.split_button.click()
    pieces.wait()
    assert pieces.typed[typed] == "siren block split #1.1 gap 1.5"
    assert sorted(pieces.text(4)) == ["125", "27", "64"]
    assert painted(pieces.block(1)) == 1
    tool.least.setValue(7)
    pieces.press("undo")
    tool.split_button.click()
    pieces.wait()
    assert "siren block split #1.1 gap 1.5 minSize 7" in pieces.typed


def test_closing_the_tool_or_the_page_ends_the_preview_and_so_does_escape(pieces: Person) -> None:
    from Qt.QtCore import QEvent, Qt
    from Qt.QtGui import QKeyEvent
    from Qt.QtWidgets import QApplication

    pieces.select(1)
    tools = pieces.page.tools
    escape = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Escape, Qt.KeyboardModifier.NoModifier)
    for end in (
        tools.split.close_button.click,
        lambda: QApplication.sendEvent(tools.split.gap, escape),
        pieces.page.leave,
    ):
        open_tool(pieces, "split", "gap")
        tools.split.gap.setValue(10)
        pieces.wait()
        assert painted(pieces.block(1)) == 2
        end()
        pieces.wait()
        assert painted(pieces.block(1)) == 1 and not tools.isVisibleTo(pieces.page)


def test_the_preview_follows_the_selected_row_and_ends_when_its_block_is_edited_elsewhere(
    pieces: Person,
) -> None:
    pieces.select(1)
    open_tool(pieces, "split", "gap")
    pieces.page.tools.split.gap.setValue(10)
    pieces.wait()
    pieces.select(2)
    assert painted(pieces.block(1)) == 1 and "Block 2" in pieces.page.tools.split.note.text()
    run_command(pieces.session, "siren block delete #1.2")
    pieces.wait()
    assert pieces.page.tools.current is None
    assert pieces.errors == []


def test_grow_and_shrink_work_on_the_selected_blocks_as_set(three: Person) -> None:
    three.select(1, 2)
    open_tool(three, "shape", "Grow")
    tool = three.page.tools.grow
    tool.by.setValue(1.5)
    tool.grow_button.click()
    three.wait()
    tool.shrink_button.click()
    three.wait()
    assert three.typed[-2:] == [
        "siren block grow #1.1-2 by 1.5",
        "siren block shrink #1.1-2 by 1.5",
    ]
    tool.into.setCurrentText("density")
    tool.grow_button.click()
    assert three.typed[-1] == "siren block grow #1.1-2 by 1.5 into density"
    assert "siren locate" in three.errors[-1]  # there is no such folder


def test_painting_takes_the_right_mouse_button_and_gives_it_back(three: Person) -> None:
    from chimerax.siren.session.paint_mode import NAME

    modes = three.session.ui.mouse_modes
    before = modes.mode("right", exact=True).name
    three.session.ui.is_gui, real = True, three.session.ui.is_gui
    try:
        three.select(2)
        open_tool(three, "shape", "Paint")
        tool, mode = three.page.tools.paint, modes.mode("right", exact=True)
        assert mode.name == NAME and mode.block is three.block(2)
        assert "right mouse button; with Shift to erase" in tool.note.text()
        tool.radius.setValue(4)
        tool.erase.setCurrentIndex(1)
        assert mode.radius == pytest.approx(8.0) and mode.erase  # 2 voxels of 4 A
        assert "with Shift to add" in tool.note.text()
        three.select(1)
        assert mode.block is three.block(1)
        tool.close_button.click()
        three.wait()
        assert modes.mode("right", exact=True).name == before and mode.block is None
        typed = [c for c in three.typed if "mousemode" in c]
        words = f'"{before}"' if " " in before else before  # such as the map eraser
        assert typed == [f'ui mousemode right "{NAME}"', f"ui mousemode right {words}"]
    finally:
        three.session.ui.is_gui = real


@pytest.mark.parametrize("tool", ["Paint", "Grow"])
def test_a_hidden_block_is_shown_to_be_worked_on(three: Person, tool: str) -> None:
    three.session.ui.is_gui, real = True, three.session.ui.is_gui
    try:
        run_command(three.session, "hide #1.2 models")
        three.wait()
        three.select(2)
        assert not three.block(2).visible
        open_tool(three, "shape", tool)
        assert "show #1.2 models" in three.typed and three.block(2).visible
        three.page.tools.shut()
    finally:
        three.session.ui.is_gui = real


def test_the_erasers_sphere_adds_and_erases(three: Person) -> None:
    from chimerax.map_eraser.eraser import SphereModel

    sphere = SphereModel("eraser sphere", three.session, (9, 9, 9, 99), (40, 40, 56), 9.0)
    three.select(2)
    open_tool(three, "shape", "Add what is in")
    assert three.typed[-1] == f"siren block paint #1.2 center #{sphere.id_string} radius 9"
    more = len(three.block(2).voxels)
    assert more > 125
    open_tool(three, "shape", "Erase what is in")
    assert three.typed[-1].endswith("radius 9 erase true")
    assert len(three.block(2).voxels) < 125


# --- labels, hidden sets, long names


def test_labels_and_the_legend_are_one_click(three: Person) -> None:
    from chimerax.siren.session.block_labels import BlockLabels

    open_tool(three, "label", "Numbers on blocks")
    assert three.typed[-1] == "siren block label #1.1-2,10 number"
    three.select(10)
    open_tool(three, "label", "No labels")
    (labels,) = three.session.models.list(type=BlockLabels)
    assert [m.siren_block for m in labels.labeled()] == [1, 2]
    open_tool(three, "label", "Legend")
    open_tool(three, "label", "No legend")
    assert three.typed[-2:] == ["siren block legend", "siren block legend false"]
    assert three.errors == []


def test_hidden_blocks_of_earlier_results_are_closed_by_one_entry(three: Person) -> None:
    for folder in ("/a/01", "/b/01"):
        open_blocks(three.session, BlockSet(GRID, {7: box(3, 3, 3, 3)}), Path(folder))
    run_command(three.session, "hide #!2-3 models")
    three.wait()
    open_tool_of_sets(three, "Close hidden blocks (2)")
    assert three.typed[-1] == "close #2 #3"
    assert three.text(2) == ["1", "2", "10"]
    three.page._list_sets()
    assert not any("Close hidden" in a.text() for a in three.page.sets.menu().actions())


def open_tool_of_sets(person: Person, text: str) -> None:
    person.page._list_sets()
    (entry,) = (a for a in person.page.sets.menu().actions() if a.text() == text)
    entry.trigger()
    person.wait()


def test_a_long_name_is_seen_whole_in_a_narrow_panel(three: Person) -> None:
    from Qt.QtCore import QRect, Qt

    name = "central protuberance with the long arm of its L1 stalk below"
    assert len(name) == 60
    three.page.resize(364, 400)
    run_command(three.session, f"siren block rename #1.2 '{name}'")
    three.wait()
    view = three.page.view
    row = three.text(3).index(name)
    cell = view.visualRect(three.page.sorted.index(row, 3))
    wrapped = view.fontMetrics().boundingRect(
        QRect(0, 0, cell.width() - 6, 1000), Qt.TextFlag.TextWordWrap, name
    )
    assert cell.height() >= wrapped.height() and cell.width() >= wrapped.width()
    other = view.visualRect(three.page.sorted.index(1 - row if row < 2 else 0, 3))
    assert other.height() < cell.height()
    three.page.resize(900, 400)
    three.wait()
    assert view.visualRect(three.page.sorted.index(row, 3)).height() == other.height()


def test_the_color_of_a_block_is_the_same_in_a_selected_row() -> None:
    from Qt.QtGui import QIcon

    from chimerax.siren.panel.blocks_table import swatch

    icon = swatch((0.9, 0.6, 0.0, 1.0))
    colors = {
        icon.pixmap(14, mode).toImage().pixelColor(6, 6).name()
        for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected)
    }
    assert colors == {"#e69900"}
