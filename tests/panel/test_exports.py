"""Menus that hand results on: their entries are commands as a person would type them, and only
those that are there.
"""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from chimerax.core.commands import run
from chimerax.core.errors import UserError
from Qt.QtGui import QGuiApplication
from Qt.QtWidgets import QFileDialog, QMenu

from chimerax.siren.session.jobs import current_job, when_job_ends
from conftest import Desk, run_to_the_end
from ensembles import LEVEL, Planted

COMMANDS = (
    *("siren mask", "siren occupancy", "siren figure", "siren movie", "siren report"),
    *("siren compare", "siren annotate", "siren particles", "siren volumes"),
)


@pytest.fixture(scope="module")
def sketch(_chimerax: Any, planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    run_to_the_end(
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


def test_what_is_found_goes_into_commands_as_it_was_asked(
    desk: Desk,
    planted: Planted,
    sketch: Path,
    tmp_path: Path,
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
        "Series of them",
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
        f"siren movie {sketch} with 1 without 2",
        f'siren particles {sketch} with 1 without 2 particleFile "{star}" name '
        '"my particles_with_1_without_2"',
        f"siren particles {sketch} with 1 without 2",
    ]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    entries(page.use.menu())["Particles of a .star or .cs file..."]()
    assert len(typed) == 4  # the dialog was canceled
    page.find.setText("with 1 without 1")
    assert not page.use.isEnabled()


def test_masks_and_occupancies_are_of_the_selected_blocks_and_all_else_of_all(
    desk: Desk,
    planted: Planted,
    sketch: Path,
    tmp_path: Path,
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
        f"siren occupancy #{number}.2 outputDir {tmp_path / 'm'} figures png",
        f"siren figure #{number}.1-2 saveFile {tmp_path / 'r.png'}",
        f"siren movie #{number}.1-2 saveFile {tmp_path / 'r.mp4'}",
        f"siren report #{number}.1-2 saveFile {tmp_path / 'r.html'}",
        f"siren compare #{number}.1-2 {tmp_path / 'm'}",
        f"siren mask #{number}.1-2 {tmp_path / 'm'}",
    ]
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    for call in entries(button.menu()).values():
        call()
    assert len(typed) == 8


def test_each_open_atomic_model_has_an_entry_for_what_of_it_lies_in_the_blocks(
    desk: Desk, planted: Planted, sketch: Path, tmp_path: Path
) -> None:
    listed(desk, planted, sketch)
    button, typed = desk.tool.blocks.export_button, list[str]()
    button._execute = typed.append
    before = set(entries(button.menu()))
    line = "ATOM  {0:5d}  CA  ALA A{0:4d}    {1:8.3f}{1:8.3f}{1:8.3f}  1.00  0.00           C\n"
    path = tmp_path / "helix.pdb"
    path.write_text("".join(line.format(k, 3.8 * k) for k in range(1, 9)) + "END\n")
    (model,) = run(desk.session, f"open '{path}'")
    number = desk.tool.blocks.blocks[0].parent.id_string
    found = entries(button.menu())
    name = f"Parts of #{model.id_string} helix.pdb"
    assert set(found) - before == {name}
    found[name]()
    assert typed == [f"siren annotate #{number}.1-2 #{model.id_string}"]
    run(desk.session, f"close #{model.id_string}")
    assert set(entries(button.menu())) == before


def test_blocks_that_are_not_open_are_those_of_their_folder(
    desk: Desk, planted: Planted, sketch: Path
) -> None:
    desk.open()
    state = desk.list(planted.folder)
    state.set_run(sketch)
    desk.wait(lambda: not state.reader.busy)
    assert desk.tool.blocks._chosen_text() == str(sketch)


def error_of(desk: Desk, command: str) -> str:
    """Run a command to its end; its error, or ""."""
    ends: list[Any] = []
    handler = when_job_ends(desk.session, ends.append)
    try:
        run(desk.session, command)
        desk.wait(lambda: current_job(desk.session) is None)
    except UserError as error:
        return str(error)
    finally:
        handler.remove()
    return next((str(e.error) for e in ends if e.error), "")


@pytest.mark.slow
@pytest.mark.parametrize("opened", [True, False], ids=["open", "folder"])
def test_every_entry_is_a_command_that_does_what_it_says(
    desk: Desk,
    planted: Planted,
    sketch: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: bool,
) -> None:
    """The real commands run as the entries give them, without stand-ins."""
    desk.open()
    state = desk.list(planted.folder)
    if opened:
        run(desk.session, f"siren open '{sketch}'")
        desk.wait(lambda: not state.reader.busy and state.known is not None)
    else:
        state.set_run(sketch)
        desk.wait(lambda: not state.reader.busy and state.known is not None)
    other = tmp_path / "other run"
    shutil.copytree(sketch, other)
    labels = np.random.default_rng(7).integers(0, 150, 600).astype(np.int32)
    pickled = planted.folder / "labels.pkl"
    pickled.write_bytes(pickle.dumps(labels))
    star = tmp_path / "all particles.star"
    rows = "".join(f"{n + 1:06d}@s.mrcs {n}.50\n" for n in range(600))
    star.write_text(f"data_particles\n\nloop_\n_rlnImageName #1\n_rlnX #2\n{rows}")
    out = tmp_path / "out"
    folders = {
        "other run": other,
        "masks": out / "m",
        "MAVEn": out / "maven",
        "occupancies": out / "occ",
    }
    monkeypatch.setattr(
        QFileDialog,
        "getExistingDirectory",
        lambda _, title: str(next(f for word, f in folders.items() if word in title)),
    )
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda _, title, name, formats: (str(out / name), "")
    )
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(star), ""))
    out.mkdir()
    typed: list[str] = []
    blocks, page = desk.tool.blocks, desk.tool.ensemble
    blocks.export_button._execute = page.use._execute = typed.append
    for call in entries(blocks.export_button.menu()).values():
        call()
    page.find.setText("with 1 without 2")
    for call in entries(page.use.menu()).values():
        call()
    tried = set(COMMANDS) - {"siren annotate"}  # needs an atomic model
    assert {name for name in COMMANDS if any(t.startswith(name) for t in typed)} == tried
    assert len(typed) == 11
    refused = {}
    if find_spec("chimerax.map_series.slider") is None:  # a ChimeraX without its windows
        slider = ModuleType("chimerax.map_series.slider")
        slider.MapSeriesSlider = Mock()
        monkeypatch.setitem(sys.modules, slider.__name__, slider)
    try:
        for command in typed:
            if error := error_of(desk, command):
                refused[" ".join(command.split()[:2])] = error
        chosen = {p.name: p.read_bytes() for p in (sketch.parent / "particles").iterdir()}
    finally:
        pickled.unlink()
        shutil.rmtree(sketch.parent / "particles", ignore_errors=True)
        run(desk.session, "close")
    assert "all particles_with_1_without_2.star" in chosen
    assert all("needs graphics" in e or "ffmpeg" in e for e in refused.values()), refused
    assert set(refused) <= {"siren figure", "siren movie"}
    assert {p.name for p in (out / "m").glob("*.mrc")} == {
        "mask_block_1.mrc",
        "mask_block_2.mrc",
    }
    assert len(list((out / "maven").rglob("Mask_*.mrc"))) == 2
    assert (out / "occ/occupancies.csv").is_file()
    assert "</html>" in (out / "report.html").read_text("utf-8")
    assert "siren figure" in refused or (out / "blocks.png").stat().st_size > 1000
    assert "siren movie" in refused or (out / "blocks.mp4").stat().st_size > 1000
    fits = planted.present["right"] & ~planted.present["left"]
    particles = pickle.loads(chosen["with_1_without_2.pkl"])
    assert particles.tolist() == np.flatnonzero(fits[labels]).tolist()
