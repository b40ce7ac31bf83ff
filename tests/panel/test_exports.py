"""Menus that hand results on: their entries are commands as a person would type them, and only
those that are there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chimerax.core.commands import run
from Qt.QtGui import QGuiApplication
from Qt.QtWidgets import QFileDialog, QMenu

from conftest import Desk
from ensembles import LEVEL, Planted

COMMANDS = ("siren mask", "siren report", "siren particles", "siren volumes")


@pytest.fixture
def known_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands of the menus are there."""
    from chimerax.siren.panel import exports

    monkeypatch.setattr(exports, "has_command", lambda session, name: name in COMMANDS)


@pytest.fixture(scope="module")
def sketch(_chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    run(
        _chimerax,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{folder}' "
        "statistic exact subsample 1 resamples 0 open false",
    )
    return folder / "00_sketch"


def entries(menu: QMenu) -> dict[str, Callable[[], Any]]:
    menu.aboutToShow.emit()
    return {a.text(): a.trigger for a in menu.actions()}


def listed(desk: Desk, planted: Planted, sketch: Path) -> list[str]:
    """List the volumes with their blocks open; the commands that the panel would run."""
    desk.open()
    state = desk.list(planted.folder)
    run(desk.session, f"siren open '{sketch}'")
    desk.wait(lambda: not state.reader.busy and state.known is not None)
    typed: list[str] = []
    state.execute = lambda command, log=True: typed.append(command)
    return typed


def test_a_command_is_known_by_its_words_and_another_is_not(desk: Desk) -> None:
    from chimerax.siren.panel.exports import has_command

    assert has_command(desk.session, "siren states")
    assert not has_command(desk.session, "siren nonsense")


def test_what_is_found_goes_into_commands_as_it_was_asked(
    desk: Desk,
    planted: Planted,
    sketch: Path,
    tmp_path: Path,
    known_commands: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    typed = listed(desk, planted, sketch)
    page = desk.tool.ensemble
    page.use._execute = typed.append
    assert not page.use.isEnabled()
    page.find.setText("vol has 1, lacks 2")
    assert page.use.isEnabled()
    menu = entries(page.use.menu())
    assert list(menu) == [
        "Copy \u201cwith 1 without 2\u201d",
        "Averages and their difference",
        "Particles of a .star or .cs file...",
        "Indices of their particles",
    ]
    star = tmp_path / "my particles.star"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(star), ""))
    for call in menu.values():
        call()
    assert QGuiApplication.clipboard().text() == "with 1 without 2"
    assert typed == [
        f"siren volumes {sketch} with 1 without 2",
        f'siren particles {sketch} with 1 without 2 particleFile "{star}"',
        f"siren particles {sketch} with 1 without 2",
    ]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    entries(page.use.menu())["Particles of a .star or .cs file..."]()
    assert len(typed) == 3  # the dialog was canceled
    page.find.setText("with 1 without 1")
    assert not page.use.isEnabled()


def test_masks_are_of_the_selected_blocks_and_a_report_of_all(
    desk: Desk,
    planted: Planted,
    sketch: Path,
    tmp_path: Path,
    known_commands: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listed(desk, planted, sketch)
    blocks = desk.tool.blocks
    typed: list[str] = []
    button = blocks.export_button
    button._execute = typed.append
    number = blocks.blocks[0].parent.id_string
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "m"))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "r"), ""))
    blocks.view.selectRow(1)
    for call in entries(button.menu()).values():
        call()
    blocks.view.clearSelection()
    entries(button.menu())["Masks..."]()
    assert typed == [
        f"siren mask #{number}.2 {tmp_path / 'm'}",
        f"siren mask #{number}.2 maven {tmp_path / 'm'}",
        f"siren report #{number}.1-2 saveFile {tmp_path / 'r.html'}",
        f"siren mask #{number}.1-2 {tmp_path / 'm'}",
    ]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    for call in entries(button.menu()).values():
        call()
    assert len(typed) == 4


def test_blocks_that_are_not_open_are_those_of_their_folder(
    desk: Desk, planted: Planted, sketch: Path, known_commands: None
) -> None:
    desk.open()
    state = desk.list(planted.folder)
    state.set_run(sketch)
    desk.wait(lambda: not state.reader.busy)
    assert desk.tool.blocks._chosen_text() == str(sketch)


def test_where_there_are_no_such_commands_there_is_no_button_and_no_entry(
    desk: Desk, planted: Planted, sketch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chimerax.siren.panel import exports

    monkeypatch.setattr(exports, "has_command", lambda session, name: False)
    listed(desk, planted, sketch)
    assert desk.tool.blocks.export_button.isHidden()
    desk.tool.ensemble.find.setText("with 1")
    assert list(entries(desk.tool.ensemble.use.menu())) == ["Copy \u201cwith 1\u201d"]
