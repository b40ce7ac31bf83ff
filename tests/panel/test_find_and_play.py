"""Finding volumes in the list, playing through it, and the keys of the panel."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from keys import CTRL, SHIFT, holding, press, shortcut
from Qt.QtCore import QEvent, Qt
from Qt.QtGui import QKeyEvent
from Qt.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QTableView,
    QWidget,
)

from chimerax.siren.panel.find import matches
from chimerax.siren.panel.map_histogram import MapHistogram
from chimerax.siren.session.shown_map import shown_map
from conftest import Desk
from ensembles import LEVEL, Planted


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", ["vol_1.mrc", "vol_10.mrc junk unlike", "Vol[2].mrc unticked"]),
        ("VOL", ["vol_1.mrc", "vol_10.mrc junk unlike", "Vol[2].mrc unticked"]),
        ("_1", ["vol_1.mrc", "vol_10.mrc junk unlike"]),
        ("_1.", ["vol_1.mrc"]),
        ("v*k u", ["vol_10.mrc junk unlike", "Vol[2].mrc unticked"]),
        ("junk vol_", ["vol_10.mrc junk unlike"]),
        ("vol_?.mrc", ["vol_1.mrc"]),
        ("[2]", ["Vol[2].mrc unticked"]),
        ("nothing", []),
    ],
)
def test_a_search_finds_all_words_in_any_order_and_case(pattern: str, found: list[int]) -> None:
    texts = ["vol_1.mrc", "vol_10.mrc junk unlike", "Vol[2].mrc unticked"]
    assert [t for t in texts if matches(pattern, t)] == found


def listed(desk: Desk) -> list[str]:
    table = desk.tool.ensemble.table
    return [table.name_at(table.model().index(r, 0)) for r in range(table.model().rowCount())]


def current(desk: Desk) -> str:
    table = desk.tool.ensemble.table
    return str(table.name_at(table.currentIndex()))


@pytest.fixture
def page(desk: Desk, planted: Planted) -> Any:
    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    return desk.tool.ensemble


def test_the_list_shows_what_is_found_by_name_by_tick_and_by_flag(desk: Desk, page: Any) -> None:
    from chimerax.siren.core.runs.preview import Flag

    page.find.setText("_12")
    assert listed(desk) == ["vol_12.mrc", *(f"vol_{n}.mrc" for n in range(120, 130))]
    assert "11 found" in page.count.text()
    page.table.selectAll()
    page.buttons["Exclude"].click()  # only what is seen
    assert len(desk.tool.state.excluded) == 11
    page.find.setText("unticked 9.")
    assert listed(desk) == ["vol_129.mrc"]
    page.find.setText("flagged")
    assert listed(desk) == []
    desk.tool.state._flagged({"vol_3.mrc": Flag("outlier", "far from the others")})
    assert listed(desk) == ["vol_3.mrc"]
    press(page.find, Qt.Key.Key_Escape)
    assert len(listed(desk)) == 150 and "found" not in page.count.text()


def test_enter_goes_from_the_search_to_the_list_and_shows_the_first(desk: Desk, page: Any) -> None:
    page.find.setText("_77")
    press(page.find, Qt.Key.Key_Return)
    desk.wait(lambda: shown_map(desk.session) is not None)
    assert shown_map(desk.session).name == current(desk) == "vol_77.mrc"


def test_a_volume_asked_for_elsewhere_is_gone_to_though_the_search_left_it_out(
    desk: Desk, page: Any
) -> None:
    page.find.setText("_77")
    desk.tool.show_volume("vol_5.mrc")
    assert current(desk) == "vol_5.mrc" and page.find.text() == ""


def test_playing_shows_one_volume_after_the_other_in_the_order_of_the_list_round_and_round(
    desk: Desk, page: Any
) -> None:
    page.find.setText("_7?.")
    page.table.sortByColumn(0, Qt.SortOrder.DescendingOrder)
    player, shown = page.player, []
    page.shown.connect(shown.append)
    player._timer.setInterval(0)  # as fast as can be
    player.play.click()
    assert player.playing
    desk.wait(lambda: len(shown) > 12)
    player.play.click()
    assert not player.playing
    order = [f"vol_{n}.mrc" for n in range(79, 69, -1)]
    assert shown[:12] == (order * 2)[:12]
    desk.wait(lambda: not page._show_timer.isActive() and not page._log_timer.isActive())
    showing = [c for c in desk.typed if c.startswith("siren show")]
    assert len(showing) == 1 and current(desk) in showing[0]  # the log has where it was paused
    desk.wait()
    assert len(shown) in (13, 14)


def test_steps_go_back_and_forth_and_pause(desk: Desk, page: Any) -> None:
    player = page.player
    page.table.selectRow(1)
    player.forward.click()
    assert current(desk) == "vol_3.mrc"
    press(player.play, Qt.Key.Key_Left)
    press(player.play, Qt.Key.Key_Left)
    assert current(desk) == "vol_1.mrc"
    player.back.click()
    assert current(desk) == "vol_150.mrc"
    press(player.speed.parentWidget().play, Qt.Key.Key_Space)
    assert player.playing
    player.forward.click()
    assert not player.playing
    player.speed.setCurrentIndex(0)
    assert player._timer.interval() == 1000


def test_rows_played_while_a_block_is_picked_in_the_scene_by_ctrl_are_selected_alone(
    desk: Desk, page: Any
) -> None:
    page.table.selectRow(1)
    with holding(page.table, CTRL):
        page.player.forward.click()
        assert page.table.selected() == ["vol_3.mrc"]
        desk.tool.show_volume("vol_20.mrc")
        assert page.table.selected() == ["vol_20.mrc"]


def test_space_ticks_the_selected_rows_shift_space_plays_and_delete_unticks(
    desk: Desk, page: Any
) -> None:
    table, state = page.table, desk.tool.state
    table.selectRow(3)
    press(table, Qt.Key.Key_Down, SHIFT)
    press(table, Qt.Key.Key_Space)
    assert state.excluded == {"vol_4.mrc", "vol_5.mrc"}
    press(table, Qt.Key.Key_Space)
    assert state.excluded == set()
    press(table, Qt.Key.Key_Delete)
    assert state.excluded == {"vol_4.mrc", "vol_5.mrc"}
    press(table, Qt.Key.Key_Space, SHIFT)
    assert page.player.playing
    press(table, Qt.Key.Key_Space)  # now it pauses
    assert not page.player.playing and state.excluded == {"vol_4.mrc", "vol_5.mrc"}


def test_playing_ends_with_the_page_with_the_panel_and_where_a_map_is_gone(
    desk: Desk, page: Any, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    player = page.player
    player.toggle()
    desk.tool.tabs.setCurrentIndex(2)
    assert not player.playing
    desk.tool.tabs.setCurrentIndex(0)
    player.toggle()
    monkeypatch.setattr(desk.tool.state, "execute", lambda line, log=True: None)
    desk.wait(lambda: not player.playing)
    player.toggle()
    timer = player._timer
    desk.close()
    assert not timer.isActive()


# ---- keys


def inputs(page: QWidget) -> list[QWidget]:
    """What a person can use on a page, as it is seen."""
    kinds = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QTableView, MapHistogram)
    return [
        w
        for w in page.findChildren(QWidget)
        if isinstance(w, kinds)
        and w.isVisible()
        and w.isEnabled()
        and not isinstance(w.parentWidget(), (QComboBox, QAbstractSpinBox, QLineEdit))
        and not w.objectName().startswith("qt_")
    ]


def chain(first: QWidget) -> list[QWidget]:
    """The widgets that Tab goes through, from the first on."""
    found, widget = [], first
    while widget not in found:
        found.append(widget)
        widget = widget.nextInFocusChain()
    return found


@pytest.mark.parametrize("name", ["ensemble", "levels", "run", "plots"])
def test_tab_reaches_everything_on_a_page_from_top_to_bottom(
    desk: Desk, planted: Planted, name: str
) -> None:
    tool = desk.open(430, 900)
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    tool.tabs.setCurrentWidget(tool.pages[name])
    desk.wait()
    page = tool.pages[name]
    wanted = inputs(page)
    assert wanted
    reached = [w for w in chain(tool.header.field) if w in wanted]
    missed = [w for w in wanted if w not in reached or w.focusPolicy() == Qt.FocusPolicy.NoFocus]
    assert missed == []
    tops = [w.mapTo(page.content, w.rect().topLeft()).y() for w in reached]
    steps = zip(pairwise(reached), pairwise(tops), strict=True)
    backward = [pair for pair, (above, below) in steps if below < above - 8]
    assert backward == []


def test_keys_turn_pages_run_and_stop_and_tooltips_say_them(
    desk: Desk, planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chimerax.siren.panel.widgets import key_text

    tool = desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    area = tool.run_bar.parentWidget()
    for number in range(tool.tabs.count(), 0, -1):
        shortcut(area, f"Alt+{number}")
        assert tool.tabs.currentIndex() == number - 1
        _ = tool.pages
        assert key_text(f"Alt+{number}") in tool.tabs.tabToolTip(number - 1)
    page = tool.ensemble
    for text, keys in (("Include", "Alt+I"), ("Exclude", "Alt+X"), ("Invert", "Alt+N")):
        assert key_text(keys) in page.buttons[text].toolTip()
    shortcut(page, "Alt+N")
    assert tool.state.included == []
    shortcut(page, "Alt+N")
    ran: list[Any] = []
    monkeypatch.setattr(tool.state, "execute_in_turn", ran.append)
    shortcut(area, "Ctrl+Return")
    assert len(ran) == 1 and ran[0][0].startswith("siren sketch")
    assert key_text("Ctrl+Return") in tool.run_bar.run_all.toolTip()
    assert key_text("Ctrl+.") in tool.run_bar.stop.toolTip()
    monkeypatch.setattr(tool.state, "execute", ran.append)
    shortcut(area, "F1")
    assert ran[-1] == "help help:user/tools/siren.html#ensemble"


@pytest.mark.parametrize("name", ["ensemble", "levels"])
def test_the_key_of_a_search_is_the_panels_own_where_the_focus_is_in_it(
    desk: Desk, planted: Planted, name: str
) -> None:
    """ChimeraX fetches files by the same key."""
    desk.open()
    desk.list(planted.folder)
    page = desk.tool.pages[name]
    desk.tool.tabs.setCurrentWidget(page)
    ctrl = Qt.KeyboardModifier.ControlModifier
    for key, taken in ((Qt.Key.Key_F, True), (Qt.Key.Key_O, False)):
        override = QKeyEvent(QEvent.Type.ShortcutOverride, key, ctrl)
        override.ignore()
        QApplication.sendEvent(page, override)
        assert override.isAccepted() == taken
    found = []
    page.find.setFocus = lambda: found.append(True)
    press(page, Qt.Key.Key_F, ctrl)
    assert found == [True]
    assert page.focusProxy() is page.table  # Alt and its number lead there


def test_the_key_of_a_search_outside_of_the_lists_goes_to_that_of_the_ensemble(
    desk: Desk, planted: Planted
) -> None:
    tool = desk.open()
    desk.list(planted.folder)
    for page in ("ensemble", "run", "blocks"):
        tool.tabs.setCurrentWidget(tool.pages[page])
        for focus in (tool.header.field, tool.run_bar, tool.pages[page]):
            found: list[int] = []
            tool.ensemble.find.setFocus = lambda found=found: found.append(tool.tabs.currentIndex())
            press(focus, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
            assert found == [0], (page, focus)
            tool.tabs.setCurrentWidget(tool.pages[page])


@pytest.mark.parametrize("key", ["Up", "Down", "Left", "Right", "Home", "End", "PageUp"])
def test_a_list_at_its_end_keeps_the_key_that_would_go_beyond_it(
    desk: Desk, planted: Planted, key: str
) -> None:
    """ChimeraX would take it, and the focus, to its command line."""
    desk.open()
    desk.list(planted.folder)
    for page in desk.tool.pages.values():
        event = QKeyEvent(QEvent.Type.KeyPress, Qt.Key[f"Key_{key}"], Qt.KeyboardModifier(0))
        event.ignore()
        QApplication.sendEvent(page.content, event)
        assert event.isAccepted()
