"""The stringency slider: it shows what a sketch would find, keeps colors, and restores the
session.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.figures.colors import carried_colors
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session.jobs import current_job
from chimerax.siren.session.surfaces import BlockMap
from conftest import Desk
from ensembles import LEVEL, Planted

GRID = Grid((12, 12, 12), (2.0, 2.0, 2.0))


def settled(desk: Desk) -> None:
    bar = desk.tool.screening
    desk.wait(lambda: bar.settled)


def screen(desk: Desk) -> Any:
    bar = desk.tool.screening
    desk.run_to_end(bar.count)
    desk.wait(lambda: bar.alive)
    settled(desk)
    return bar


def shown(desk: Desk) -> dict[int, np.ndarray]:
    maps = [m for m in desk.session.models.list(type=BlockMap) if m.parent.display]
    return {m.siren_block: m.voxels for m in maps}


@pytest.mark.slow
def test_the_slider_shows_what_a_sketch_of_that_stringency_finds(
    desk: Desk, planted: Planted
) -> None:
    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    desk.tool.run_page.sections["sketch"].common.inputs["statistic"].setCurrentText("exact")
    bar = screen(desk)
    found = {}
    for place in (10, 30, 60):
        bar.slider.setValue(place)
        settled(desk)
        found[place] = (bar.posp, shown(desk))
    sizes = [sum(map(len, blocks.values())) for _, blocks in found.values()]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) > 1  # stricter finds less
    for place, (posp, blocks) in found.items():
        bar.slider.setValue(place)
        settled(desk)
        (end,) = desk.run_to_end(bar.keep)
        assert end.error is None and end.result.record.parameters["posp"] == posp
        assert f"posp {posp:g}" in desk.typed[-1]
        assert {n: v.tolist() for n, v in end.result.blocks} == {
            n: v.tolist() for n, v in blocks.items()
        }
        screen(desk)


def test_a_place_at_rest_offers_its_command_in_the_log(desk: Desk, planted: Planted) -> None:
    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    bar = screen(desk)
    bar.slider.setValue(33)
    settled(desk)
    desk.wait(lambda: not bar._rest.isActive())
    said = re.sub(r"\s+", " ", desk.log.text)
    assert f"siren sketch {planted.folder} level {LEVEL:g} posp {bar.posp:g}" in said


@pytest.mark.slow
def test_blocks_of_a_run_are_hidden_meanwhile_and_shown_again(desk: Desk, planted: Planted) -> None:
    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    desk.run_to_end(desk.tool.run_page.sections["sketch"].button)
    before = set(desk.session.models.list())
    bar = screen(desk)
    groups = {m.parent for m in before if isinstance(m, BlockMap)}
    assert groups and not any(g.display for g in groups)
    desk.tool.state.set_excluded({"vol_1.mrc"})  # the counts are of other volumes now
    assert not bar.alive and not bar.slider.isEnabled()
    assert set(desk.session.models.list()) == before and all(g.display for g in groups)


def test_screening_is_ended_by_its_button_and_ticks_say_what_is_seen(
    desk: Desk, planted: Planted
) -> None:
    from Qt.QtCore import Qt

    from chimerax.siren.panel.blocks_table import SHOWN

    tool = desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    bar = tool.screening
    assert bar.count.text() == "Screen"
    desk.run_to_end(tool.run_page.sections["sketch"].button)
    page = tool.blocks

    def ticks() -> set[Any]:
        desk.wait(lambda: not page._refresh_soon.isActive())
        model = page.model
        role = Qt.ItemDataRole.CheckStateRole
        return {model.data(model.index(r, SHOWN), role) for r in range(model.rowCount())}

    before = desk.session.models.list()
    assert ticks() == {Qt.CheckState.Checked}
    screen(desk)
    assert bar.count.text() == "End" and bar.count.isEnabled()
    assert ticks() == {Qt.CheckState.Unchecked}  # the group of the sketch is hidden
    assert page.title.text().endswith(", hidden")
    bar.count.click()
    assert not bar.alive and bar.count.text() == "Screen" and not bar.slider.isEnabled()
    assert desk.session.models.list() == before
    assert ticks() == {Qt.CheckState.Checked} and "hidden" not in page.title.text()


def test_blocks_shown_again_while_a_slider_screens_stay_shown(desk: Desk, planted: Planted) -> None:
    from Qt.QtCore import Qt

    from chimerax.siren.panel.blocks_table import SHOWN

    tool = desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    desk.run_to_end(tool.run_page.sections["sketch"].button)
    bar = screen(desk)
    model = tool.blocks.model
    assert model.setData(
        model.index(0, SHOWN), Qt.CheckState.Checked.value, Qt.ItemDataRole.CheckStateRole
    )
    assert model.rows[0].model.visible
    bar.slider.setValue(30)
    settled(desk)
    assert model.rows[0].model.visible


@pytest.mark.parametrize("then", ["End", "the slider and End"])
def test_a_set_opened_while_a_slider_screens_replaces_the_one_hidden_before(
    desk: Desk, planted: Planted, tmp_path: Path, then: str
) -> None:
    from chimerax.core.commands import run

    with desk.session.in_script:
        run(
            desk.session,
            f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{tmp_path}' open false",
            log=False,
        )
    tool = desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    desk.run_to_end(tool.run_page.sections["sketch"].button)
    (first,) = {m.parent for m in desk.session.models.list(type=BlockMap)}
    bar = screen(desk)
    run(desk.session, f"siren open '{tmp_path}/00_sketch'", log=False)
    desk.wait()
    (second,) = {m.parent for m in desk.session.models.list(type=BlockMap) if m.parent.display}
    assert second is not first  # and the slider's blocks are hidden
    if then != "End":
        bar.slider.setValue(30)
        settled(desk)
        assert not second.display and bar._group.display
    bar.count.click()
    assert second.display and not first.display


def test_counting_can_be_stopped_and_screening_begun_again(desk: Desk, planted: Planted) -> None:
    tool = desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    bar = tool.screening
    bar.count.click()
    tool.run_bar.refresh()
    assert not bar.count.isEnabled() and tool.run_bar.stop.isEnabled()
    tool.run_bar.stop.click()
    desk.wait(lambda: current_job(desk.session) is None)
    tool.run_bar.refresh()
    assert not bar.alive and bar.count.isEnabled()
    screen(desk)
    assert bar.alive


def test_the_place_of_one_ensemble_is_not_that_of_the_next(
    desk: Desk, planted: Planted, tmp_path: Path
) -> None:
    from ensembles import write_planted

    other = write_planted(tmp_path / "other", 20).folder
    tool = desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    bar = screen(desk)
    bar.slider.setValue(40)
    settled(desk)
    posp = bar.posp
    desk.run_to_end(bar.keep)
    assert tool.state.steps["sketch"] == {"posp": posp}
    assert f"posp {posp:g}" in tool.run_page.sections["sketch"].changes.text()
    desk.list(other)
    assert tool.state.steps["sketch"] == {}


def test_closing_the_panel_ends_the_screening(desk: Desk, planted: Planted) -> None:
    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    screen(desk)
    desk.close()
    desk.wait()
    assert desk.session.models.list(type=BlockMap) == []


def test_a_block_keeps_its_color_when_its_number_changes() -> None:
    before = BlockSet(GRID, {1: np.arange(0, 60), 2: np.arange(100, 140), 3: np.arange(500, 520)})
    colors = {1: (1.0, 0.0, 0.0), 2: (0.0, 1.0, 0.0), 3: (0.0, 0.0, 1.0)}
    after = BlockSet(GRID, {1: np.arange(98, 141), 2: np.arange(0, 40), 3: np.arange(900, 930)})
    carried = carried_colors(after, before, colors)
    assert carried[1] == colors[2] and carried[2] == colors[1]
    assert carried[3] not in (colors[1], colors[2])


def shown_opaque(desk: Desk, planted: Planted) -> Any:
    """A map in the scene, as ``siren show`` shows it."""
    from chimerax.core.commands import run

    return run(desk.session, f"siren show '{planted.folder}/vol_1.mrc' level {LEVEL}", log=False)


def alpha(model: Any) -> float:
    return float(model.surfaces[0].rgba[3])


@pytest.mark.parametrize("way", ["End", "other volumes", "panel closed", "window gone first"])
def test_every_way_out_of_screening_leaves_the_shown_map_as_it_was(
    desk: Desk, planted: Planted, way: str
) -> None:
    tool = desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    shown = shown_opaque(desk, planted)
    assert alpha(shown) == 1
    bar = screen(desk)
    assert alpha(shown) < 0.5  # the slider's blocks are seen through it
    if way == "End":
        bar.count.click()
    elif way == "other volumes":
        tool.state.set_excluded({"vol_1.mrc"})
    else:
        if way == "window gone first":
            tool.state.close()  # nothing of Qt may be used any more
        desk.close()
    desk.wait()
    assert alpha(shown) == 1 and shown.visible
    assert desk.session.models.list(type=BlockMap) == []


def test_a_map_that_a_person_made_transparent_or_that_new_blocks_need_so_stays_it(
    desk: Desk, planted: Planted
) -> None:
    from chimerax.core.commands import run

    tool = desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    shown = shown_opaque(desk, planted)
    bar = screen(desk)
    run(desk.session, f"transparency #{shown.id_string} 50 target s", log=False)
    bar.count.click()
    assert alpha(shown) == pytest.approx(0.5, abs=0.01)
    run(desk.session, f"transparency #{shown.id_string} 0 target s", log=False)
    screen(desk)
    assert alpha(shown) < 0.5
    desk.run_to_end(bar.keep)  # writes these blocks, and opens them
    assert not bar.alive and desk.session.models.list(type=BlockMap)
    assert alpha(shown) < 0.5
    assert tool.message.text == ""
