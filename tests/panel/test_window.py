"""The panel as a window among others: the mouse wheel, small screens, messages, and closing it
while something runs.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from keys import press
from Qt import qt_delete
from Qt.QtCore import QPoint, QPointF, Qt
from Qt.QtGui import QWheelEvent
from Qt.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDockWidget,
    QLabel,
    QMainWindow,
    QSlider,
    QSpinBox,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.panel import docking
from chimerax.siren.panel.docking import KeptHeight
from chimerax.siren.session.jobs import current_job, run_job, when_job_ends
from conftest import Desk
from cxheadless import boot
from ensembles import LEVEL, Planted

LAPTOP = 300  # pixels of height that a panel has beside ChimeraX's Log, at 1280 x 800
DOCK = 380  # pixels of its width


@pytest.fixture
def uncaught(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """Exceptions that no one catches, as in a slot of Qt."""
    caught: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, trace: caught.append(error))
    yield caught
    assert caught == []


def turn_wheel(widget: QWidget, steps: int = -1) -> None:
    """Turn the mouse wheel over a widget."""
    middle = QPointF(widget.rect().center())
    QApplication.sendEvent(
        widget,
        QWheelEvent(
            middle,
            widget.mapToGlobal(middle),
            QPoint(0, 0),
            QPoint(0, 120 * steps),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        ),
    )


def fields(area: QWidget) -> list[Any]:
    return [
        w
        for w in area.findChildren(QWidget)
        if isinstance(w, (QComboBox, QAbstractSpinBox, QSlider))
    ]


def value(field: Any) -> Any:
    return field.currentText() if isinstance(field, QComboBox) else field.value()


# ---- its place


@pytest.mark.parametrize(("height", "least"), [(1080, 520), (800, 360)])
def test_a_docked_panel_takes_the_height_that_it_asks_for_and_leaves_its_neighbors_theirs(
    desk: Desk, height: int, least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = desk.open(DOCK, 300)
    area = tool.tool_window.ui_area
    (kept,) = area.findChildren(KeptHeight)
    main = QMainWindow()
    main.setCentralWidget(QWidget())
    docks = [QDockWidget(name, main) for name in ("Log", "Models", "SIREn", "Volume Viewer")]
    for dock in docks:
        dock.setWidget(QTextEdit() if dock is not docks[2] else QWidget())
    for dock in docks[:3]:
        main.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    around = QVBoxLayout(docks[2].widget())
    around.addWidget(area)
    main.resize(1280, height)
    vertical, third = Qt.Orientation.Vertical, height // 3

    def rest() -> None:
        desk.wait()
        desk.wait(lambda: not kept._settled.isActive())
        desk.wait()

    kept._settled.setInterval(100_000)  # not before its neighbors have their heights
    main.show()
    desk.wait()
    main.resizeDocks(docks[:3], [third + 30, third - 30, third], vertical)
    desk.wait()
    evenly = docks[2].height()
    kept._settled.setInterval(1)
    rest()
    assert docks[2].height() >= least > evenly
    assert docks[2].height() <= 0.51 * height
    assert docks[0].height() >= 159
    assert abs(docks[1].height() - (third - 30)) < 20  # the tallest has given it
    with monkeypatch.context() as held:
        left = Qt.MouseButton.LeftButton
        held.setattr(docking.QApplication, "mouseButtons", lambda: left)  # on the line between
        main.resizeDocks(docks[1:3], [height - 500, 310], vertical)
        desk.wait()
    rest()
    given = docks[2].height()
    assert given < least  # by hand
    main.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, docks[3])
    for viewer in (300, 400):  # which grows with each of its maps
        main.resizeDocks(docks[2:], [200, viewer], vertical)
        rest()
        assert docks[2].height() > given and docks[3].height() >= 159
    docks[2].setFloating(True)
    docks[2].resize(400, 310)
    rest()
    assert docks[2].height() == 310  # a window of its own keeps its size
    area.setParent(None)
    main.close()


def test_a_panel_that_is_opened_again_on_a_laptop_is_as_high_as_before(desk: Desk) -> None:
    """While it was closed, Log and Models had its room; Qt does not give all of it back."""
    area = desk.open(DOCK, 300).tool_window.ui_area
    (kept,) = area.findChildren(KeptHeight)
    main = QMainWindow()
    main.setCentralWidget(QWidget())
    log, models, siren = docks = [QDockWidget(n, main) for n in ("Log", "Models", "SIREn")]
    for dock in docks:
        dock.setWidget(QWidget())
        main.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    QVBoxLayout(siren.widget()).addWidget(area)
    kept._settled.setInterval(1)
    above = QWidget()
    above.setFixedHeight(230)  # menus, toolbar and command line
    main.setMenuWidget(above)
    main.resize(1280, 780)
    main.show()
    main.resizeDocks(docks, [125, 139, 275], Qt.Orientation.Vertical)
    desk.wait()
    desk.wait(lambda: not kept._settled.isActive())
    desk.wait()
    assert abs(log.height() - 125) < 8 and 88 <= models.height() <= 100
    assert siren.height() >= 310
    area.setParent(None)
    main.close()


def test_the_log_keeps_a_few_lines_where_another_tool_takes_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Volume Viewer opens at 1280 x 800: the Log alone beside it would have its title left."""
    area = desk.open(DOCK, 300).tool_window.ui_area
    (kept,) = area.findChildren(KeptHeight)
    main = QMainWindow()
    main.setCentralWidget(QWidget())
    log, models, siren, viewer = docks = [QDockWidget(n, main) for n in ("L", "M", "S", "V")]
    for dock in docks:
        dock.setWidget(QWidget())
    QVBoxLayout(siren.widget()).addWidget(area)
    kept._settled.setInterval(1)
    for dock in docks:
        main.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    main.resize(1280, 587)
    main.show()

    def rest(heights: list[int]) -> None:
        main.resizeDocks(docks, heights, Qt.Orientation.Vertical)
        desk.wait()
        desk.wait(lambda: not kept._settled.isActive())
        desk.wait()

    rest([30, 90, 80, 370])
    assert log.height() >= 62 and models.height() >= 84
    assert siren.height() > 150 and viewer.height() >= 114
    with monkeypatch.context() as held:
        left = Qt.MouseButton.LeftButton
        held.setattr(docking.QApplication, "mouseButtons", lambda: left)  # on the line between
        rest([30, 90, 320, 130])
    rest([30, 90, 319, 131])
    assert log.height() < 40  # by hand
    area.setParent(None)
    main.close()


# ---- keys


def test_the_tab_key_goes_down_the_panel_as_it_is_seen(desk: Desk) -> None:
    tool = desk.open(430, 600)
    bar, screening = tool.run_bar, tool.screening
    wanted = [screening.count, screening.slider, screening.keep, bar.run_all, bar.stop]
    found, widget = [], screening.count
    while len(found) < len(wanted):
        if widget in wanted:
            found.append(widget)
        widget = widget.nextInFocusChain()
        assert widget is not screening.count
    assert found == wanted


def test_return_clicks_the_button_with_the_focus_and_never_reaches_the_command_line(
    desk: Desk, planted: Planted
) -> None:
    """ChimeraX forwards keys that a tool leaves to its command line, which would run the last
    command again.
    """
    tool = desk.open(430, 600)
    desk.list(planted.folder)
    area = tool.tool_window.ui_area
    forwarded: list[int] = []
    area.keyPressEvent = lambda event: forwarded.append(event.key())
    invert = tool.ensemble.buttons["Invert"]
    for widget in (invert, tool.ensemble.table, tool.screening.count, tool.tabs.tabBar()):
        for key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            widget.setFocus()
            press(widget, key)
            desk.wait()
    assert forwarded == []
    assert len(tool.state.included) == 150  # inverted twice
    invert.setFocus()
    press(invert, Qt.Key.Key_Return)
    assert len(tool.state.included) == 0
    press(invert, Qt.Key.Key_A)  # a command that is typed, as in any tool of ChimeraX
    assert forwarded == [Qt.Key.Key_A]


# ---- the mouse wheel


def test_the_wheel_changes_no_field_of_any_page(desk: Desk, planted: Planted) -> None:
    tool = desk.open(430, 400)
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    tool.state.settings.recent = [str(planted.folder), "/elsewhere", "/farther"]
    tool.header.refresh()
    found = []
    for name, page in tool.pages.items():
        tool.tabs.setCurrentWidget(page)
        desk.wait()
        for field in fields(page):
            if not field.isEnabled():
                continue
            before = value(field)
            for steps in (-1, 1, 1):
                turn_wheel(field, steps)
            assert value(field) == before, (name, field.toolTip())
            assert field.focusPolicy() == Qt.FocusPolicy.StrongFocus  # nor does it take the focus
            found.append(type(field))
    assert {QComboBox, QSpinBox} <= set(found) and len(found) > 12
    turn_wheel(tool.header.field)
    assert tool.header.field.currentText() == str(planted.folder)


def test_the_wheel_over_a_field_scrolls_the_run_page(desk: Desk) -> None:
    tool = desk.open(430, 320)
    tool.tabs.setCurrentWidget(tool.run_page)
    tool.run_page.sections["sketch"].fold.unfolded = True
    desk.wait()
    bar = tool.run_page.verticalScrollBar()
    for name in ("min_size", "statistic"):
        bar.setValue(0)
        desk.wait()
        turn_wheel(tool.run_page.sections["sketch"].common.inputs[name])
        assert bar.value() > 0
    # such a field would have changed
    loose = QSpinBox()
    loose.setValue(5)
    turn_wheel(loose, 1)
    assert loose.value() == 6


def test_a_slider_that_was_clicked_follows_the_wheel(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    slider = desk.open().screening.slider
    slider.setEnabled(True)
    slider.blockSignals(True)
    turn_wheel(slider)
    assert slider.value() == 0
    monkeypatch.setattr(slider, "hasFocus", lambda: True)
    slider.setValue(30)
    turn_wheel(slider)
    assert slider.value() != 30


# ---- laptops


def layout_of(desk: Desk) -> dict[str, Any]:
    tool = desk.tool
    parts = {"tabs": tool.tabs, "run": tool.run_bar, "stop": tool.run_bar.stop}
    return {name: (w.geometry().getRect(), w.isVisible()) for name, w in parts.items()} | {
        "least": tool.run_bar.parentWidget().minimumSizeHint().height()
    }


def test_the_panel_fits_beside_the_log_of_a_laptop(desk: Desk, planted: Planted) -> None:
    tool = desk.open(DOCK, LAPTOP)
    area = tool.tool_window.ui_area
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    for page in tool.pages.values():
        tool.tabs.setCurrentWidget(page)
        desk.wait()
        least, hint = tool.run_bar.parentWidget().minimumSizeHint(), area.sizeHint()
        assert least.height() < LAPTOP and least.width() <= DOCK
        assert hint.width() <= DOCK
        desk.resize(DOCK, LAPTOP)
        assert (area.width(), area.height()) == (DOCK, LAPTOP)
        assert tool.run_bar.geometry().bottom() < LAPTOP
    # what does not fit can be scrolled to
    tool.tabs.setCurrentWidget(tool.ensemble)
    desk.wait()
    tool.ensemble.ensureWidgetVisible(tool.ensemble.buttons["Invert"])
    assert not tool.ensemble.buttons["Invert"].visibleRegion().isEmpty()


def test_the_panel_can_be_squeezed_so_that_the_main_window_does_not_outgrow_the_screen(
    desk: Desk, planted: Planted
) -> None:
    """Volume Viewer opens with 370 of the 587 pixels that tools have at 1280 x 800, of which the
    Log and Models need 110 and frames 37.
    """
    tool = desk.open(DOCK, LAPTOP)
    desk.list(planted.folder)
    area = tool.tool_window.ui_area
    assert area.minimumSizeHint().height() <= 587 - 370 - 110 - 37
    desk.resize(DOCK, 66)
    desk.wait()
    assert area.height() == 66
    parts = (tool.header, tool.tabs, tool.screening, tool.run_bar)  # nothing is on another
    for above, below in pairwise(parts):
        assert above.geometry().bottom() < below.geometry().top()
    tool.state.tell("A message.")
    panel = tool.run_bar.parentWidget().parentWidget().parentWidget()
    panel.ensureWidgetVisible(tool.run_bar.run_all)
    assert not tool.run_bar.run_all.visibleRegion().isEmpty()  # what is cut off can be scrolled to
    assert tool.message.geometry().bottom() < tool.run_bar.geometry().top()
    desk.resize(DOCK, LAPTOP)
    desk.wait()
    assert panel.verticalScrollBar().maximum() == 0


def test_a_figure_is_seen_whole_where_the_panel_is_docked_on_a_laptop(
    desk: Desk, planted: Planted
) -> None:
    """At 1280 x 800 the docked panel is 575 x 305 pixels."""
    tool = desk.open(575, 305)
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    tool.tabs.setCurrentWidget(tool.plots)
    desk.wait()
    canvas = tool.plots.canvas
    assert canvas.visibleRegion().boundingRect() == canvas.rect() and canvas.height() >= 120
    assert not tool.screening.isVisible()  # its room is the figure's
    tool.tabs.setCurrentWidget(tool.ensemble)
    desk.wait()
    assert tool.screening.isVisible()
    tool.tabs.setCurrentWidget(tool.plots)
    desk.resize(575, 600)
    desk.wait()
    assert tool.screening.isVisible() and canvas.height() > 200


def test_the_table_of_blocks_keeps_rows_beside_volume_viewer_on_a_laptop(
    desk: Desk, planted: Planted
) -> None:
    """At 1280 x 800 the panel is 280 pixels high then."""
    tool = desk.open(575, 280)
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    desk.run_to_end(tool.run_page.sections["sketch"].button)
    tool.tabs.setCurrentWidget(tool.blocks)
    desk.wait()
    view = tool.blocks.view
    seen = view.viewport().visibleRegion().boundingRect().height()
    assert seen >= 3 * view.rowHeight(0)
    tool.tabs.setCurrentWidget(tool.ensemble)
    desk.wait()
    assert tool.screening.isVisible()
    desk.resize(575, 400)
    tool.tabs.setCurrentWidget(tool.blocks)
    desk.wait()
    assert tool.screening.isVisible()


def test_messages_levels_and_runs_do_not_move_the_page(desk: Desk, planted: Planted) -> None:
    tool = desk.open(DOCK, 480)
    desk.list(planted.folder)
    before = layout_of(desk)
    tool.state.tell(
        "Block 3 is one piece: give a smaller gap, or a center and a radius. " * 3, True
    )
    desk.wait()
    strip = tool.message
    assert strip.isVisible() and strip.text.startswith("Block 3")
    assert strip.height() > 2 * strip.fontMetrics().lineSpacing()  # all of it can be read
    assert not strip.geometry().intersects(tool.run_bar.geometry())
    assert layout_of(desk) == before
    tool.state.tell("")
    desk.use_level(LEVEL)  # screening becomes possible
    assert layout_of(desk) == before
    job = run_job(desk.session, "siren test", _forever, lambda r: r)
    desk.wait(lambda: "working" in tool.run_bar.text.text())
    assert layout_of(desk) == before
    job.terminate()
    desk.wait(lambda: current_job(desk.session) is None)


@pytest.mark.parametrize("width", [DOCK, 430, 567])
def test_a_message_is_shown_as_it_is_and_whole(desk: Desk, width: int) -> None:
    strip = desk.open(width, LAPTOP).message
    strip.offer("A short one before it.", "Do it")
    desk.wait()
    sentence = (
        "torch could not be installed (nothing found for setuptools>=77.0.3 & <b>): check the "
        'network connection and the free disk space, and type "siren install torch" again.'
    )
    strip.say(sentence, True)
    desk.wait()
    text = strip.findChild(QLabel, "text")
    assert text.text() == sentence and text.textFormat() == Qt.TextFormat.PlainText
    assert text.height() >= text.heightForWidth(text.width())  # no line is cut


def test_a_short_message_covers_no_row_in_part_and_its_buttons_stay_below_it(desk: Desk) -> None:
    tool = desk.open(DOCK, 560)
    strip, bar = tool.message, tool.screening
    strip.say("There is no file or folder ~/j42/volumes.", True)
    desk.wait()
    assert bar.isVisible() and strip.geometry().top() <= bar.geometry().top()
    assert strip.geometry().top() > bar.geometry().top() - 8  # nor of the page
    assert strip.geometry().bottom() < tool.run_bar.geometry().top()
    bar.hide()
    desk.wait()
    assert strip.height() <= strip.heightForWidth(strip.width())


def test_a_problem_is_taken_away_once_something_succeeds_and_other_messages_stay(
    desk: Desk,
) -> None:
    tool = desk.open()
    assert tool.state.execute("close #99 models") is None and tool.message.text
    tool.state.execute("version")
    assert tool.message.text == ""
    tool.state.tell("No blocks. Give more volumes.")
    tool.state.execute("version")
    assert tool.message.text == "No blocks. Give more volumes."


def test_an_error_of_a_job_that_the_panel_shows_opens_no_dialog_besides(desk: Desk) -> None:
    def fail(_: Any) -> None:
        raise SirenError("There is no such folder: give another.")

    tool = desk.open()
    run_job(desk.session, "siren test", fail, lambda r: r)
    desk.wait(lambda: current_job(desk.session) is None)
    assert tool.message.text == "There is no such folder: give another."
    assert desk.log.errors == [] and "There is no such folder" in desk.log.text
    desk.close()
    run_job(desk.session, "siren test", fail, lambda r: r)
    desk.wait(lambda: current_job(desk.session) is None)
    assert desk.log.errors == ["There is no such folder: give another."]


def test_a_message_follows_the_width_of_the_panel(desk: Desk) -> None:
    tool = desk.open(600, 480)
    tool.state.tell("A sentence that is long enough to need several lines when it is narrow. " * 2)
    desk.wait()
    wide = tool.message.height()
    desk.resize(DOCK, 480)
    assert tool.message.height() > wide
    words = tool.message._text
    assert words.height() >= words.heightForWidth(words.width())  # the last line is seen whole
    assert tool.message.geometry().right() < DOCK


def test_what_was_said_of_other_volumes_is_taken_away(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    desk.open()
    desk.list(planted.folder)
    desk.tool.state.tell("Something is wrong with these volumes.", True)
    desk.list(tmp_path / "missing")
    assert "missing" in desk.tool.message.text
    desk.list(planted.folder)
    assert desk.tool.message.text == ""


def test_what_was_said_of_an_earlier_command_goes_with_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chimerax.siren.panel import state as module

    tool, typed = desk.open(), []
    monkeypatch.setattr(module, "run", lambda session, line, log=True: typed.append(line))
    tool.state.tell("Save the blocks first.", True)
    for line in ("siren show a.mrc", "select clear", "hide #1 models"):  # a look around
        tool.state.execute(line)
        assert tool.message.text == "Save the blocks first."
    tool.state.execute("siren block save #1")
    assert tool.message.text == "" and len(typed) == 4


# ---- closing it


def _forever(progress: Any) -> None:
    import time

    while True:
        progress.step("working", 0.5)
        time.sleep(0.01)


def _sketch(desk: Desk, planted: Planted, tmp_path: Path) -> Any:
    tool = desk.open()
    desk.list(planted.folder)
    tool.run_page.input.output.value = str(tmp_path / "out")
    desk.use_level(LEVEL)
    return tool


@pytest.mark.parametrize("how", ["as the user does", "its widgets first"])
def test_a_panel_closed_around_a_running_job_is_heard_of_no_more(
    desk: Desk, uncaught: list[BaseException], how: str
) -> None:
    tool = desk.open()
    tool.blocks, tool.plots  # noqa: B018 - with all its pages
    job = run_job(desk.session, "siren test", _forever, lambda r: r)
    desk.wait(lambda: "working" in tool.run_bar.text.text())
    area, state, bar = tool.tool_window.ui_area, tool.state, tool.run_bar
    if how == "its widgets first":  # as when ChimeraX or Python drops the window
        qt_delete(area)
        assert state.closed
    else:
        tool.delete()
        desk.wait()
    # whoever still holds on to its parts
    bar.refresh()
    state.tell("too late")
    state.execute("siren stop")
    desk.wait(lambda: current_job(desk.session) is None)
    assert job.error is not None
    desk.wait()
    if how == "its widgets first":
        if hasattr(desk.session.ui, "windows"):  # the stand-in's window is gone already
            desk.session.ui.windows.pop(tool, None)
        tool.delete()  # as a session does that is closed later
    assert tool not in desk.session.tools.list()
    desk.tool = None


def test_a_command_that_closes_the_panel_is_no_error_of_the_panel(
    desk: Desk, uncaught: list[BaseException]
) -> None:
    tool = desk.open()
    assert tool.state.execute("close session") is None
    desk.wait()
    assert tool not in desk.session.tools.list() and desk.log.errors == []


def test_a_panel_closed_by_another_listener_when_a_job_ends(
    desk: Desk, uncaught: list[BaseException]
) -> None:
    """The listener is called first: the trigger has the panel's turn still to come."""
    closing = when_job_ends(desk.session, lambda end: desk.tool.delete())
    tool = desk.open()
    run_job(desk.session, "siren test", lambda progress: 1, lambda r: r)
    desk.wait(lambda: current_job(desk.session) is None)
    desk.wait()
    closing.remove()
    assert tool.state.closed
    desk.tool = None


@pytest.mark.slow
def test_closing_the_session_in_run_all_leaves_the_next_one_empty(
    desk: Desk, planted: Planted, tmp_path: Path, uncaught: list[BaseException]
) -> None:
    from chimerax.core.commands import run

    tool = _sketch(desk, planted, tmp_path)
    ends: list[Any] = []
    handler = when_job_ends(desk.session, ends.append)
    tool.run_bar.run_all.click()
    run(desk.session, "close session", log=False)
    again = desk.open()
    desk.wait(lambda: bool(ends))
    desk.wait(lambda: current_job(desk.session) is None)
    desk.wait()
    handler.remove()
    assert [e.name for e in ends] == ["siren sketch"]  # and Expand did not begin
    assert [m for m in desk.session.models.list() if "SIREn" in m.name] == []
    assert again.message.text == ""


# ---- opening it


@pytest.mark.skipif(boot.given is not None, reason="starts a ChimeraX of make env")
def test_opening_the_panel_imports_none_of_the_slow_libraries() -> None:
    """In a ChimeraX of its own, with the thread that loads some in the background held back."""
    code = """
import sys
from cxheadless import boot, ui_shim
session = boot.start(offscreen=True)
ui_shim.install(session)
before = set(sys.modules)
from chimerax.siren.session import libraries
libraries.import_module = lambda name, package: None
with ui_shim.gui(session):
    session.toolshed.find_bundle("ChimeraX-SIREn", session.logger).start_tool(session, "SIREn")
    panel = session.tools.list()[0]
    slow = ("pandas", "scipy", "networkx", "matplotlib", "mrcfile", "torch")
    print([name for name in slow if name in set(sys.modules) - before])
    # nor what only a figure needs, as the modules of all commands of ChimeraX do
    panel.blocks, panel.blocks.export_button.fill(), panel.ensemble.use.fill()
    figures = ("matplotlib", "chimerax.siren.commands.report")
    print([name for name in figures if name in sys.modules])
    panel.plots
    print([name for name in slow if name in set(sys.modules) - before][:3])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    lines = done.stdout.splitlines()
    assert lines[-3:] == ["[]", "[]", "['pandas', 'scipy', 'networkx']"], done.stdout + done.stderr


def test_progress_is_drawn_with_everything_else_and_not_at_once(desk: Desk) -> None:
    from Qt.QtCore import QEvent, QObject

    tool = desk.open()
    job = run_job(desk.session, "siren test", _forever, lambda r: r)
    desk.wait(lambda: "working" in tool.run_bar.text.text())
    painted: list[QEvent] = []

    class Watch(QObject):
        def eventFilter(self, widget: Any, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Paint:
                painted.append(event.type())
            return False

    watch = Watch()
    tool.run_bar.bar.installEventFilter(watch)
    tool.run_bar.bar.setValue(900)
    assert painted  # what Qt does by itself
    desk.wait()
    painted.clear()
    tool.run_bar.refresh()
    assert tool.run_bar.bar.value() == 500 and not painted
    desk.wait(lambda: bool(painted))
    job.terminate()
    desk.wait(lambda: current_job(desk.session) is None)
