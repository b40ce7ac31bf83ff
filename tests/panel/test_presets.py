"""Presets of parameters and defaults of one's own; commands that say all that is not SIREn's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chimerax.siren.core.runs.record import read_record
from chimerax.siren.panel import presets
from chimerax.siren.panel.steps import expand_command, predict_command, sketch_command
from conftest import Desk
from ensembles import LEVEL, Planted, write_planted

STRICT = {"sketch": {"posp": 0.001, "min_size": 9}, "predict": {"together": True}}


@pytest.fixture
def menu(desk: Desk, planted: Planted) -> Any:
    """The menu of the Run page of a panel with volumes."""
    desk.open()
    desk.list(planted.folder)
    desk.use_level(LEVEL)
    return desk.tool.run_page.presets


def entries(menu: Any) -> dict[str, Any]:
    menu.fill()
    return {a.text(): a for a in menu.menu().actions() if a.text()}


def set_field(desk: Desk, name: str, text: str, step: str = "sketch") -> None:
    """Type into a field of the Run page."""
    section = desk.tool.run_page.sections[step]
    for fields in (section.common, section.advanced):
        if name in fields.inputs:
            widget = fields.inputs[name]
            if hasattr(widget, "setValue"):
                widget.setValue(int(text))
            else:
                widget.setText(text)
                widget.editingFinished.emit()


def test_a_preset_is_saved_by_name_chosen_from_the_menu_and_deleted(
    desk: Desk, menu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not entries(menu)["Save as a preset…"].isEnabled()  # there is nothing to save
    set_field(desk, "posp", "0.001")
    set_field(desk, "min_size", "9")
    assert menu.text().strip() == "Parameters: changed"
    monkeypatch.setattr(presets.QInputDialog, "getText", lambda *_: ("  my   strict ", True))
    entries(menu)["Save as a preset…"].trigger()
    assert menu.text().strip() == "Parameters: my strict"
    desk.list(write_planted(tmp_path / "other", 12).folder)
    assert menu.text().strip() == "Parameters: SIREn's defaults"
    assert "posp" not in sketch_command(desk.tool.state)
    entries(menu)["my strict"].trigger()
    assert sketch_command(desk.tool.state).endswith("posp 0.001 minSize 9")
    assert entries(menu)["my strict"].isChecked()
    assert "Sketch with posp 0.001, minSize 9" in entries(menu)["my strict"].toolTip()
    (delete,) = entries(menu)["Delete a preset"].menu().actions()
    delete.trigger()
    assert "my strict" not in entries(menu) and desk.tool.state.settings.presets == {}
    assert "posp 0.001" in sketch_command(desk.tool.state)  # what was chosen stays


def test_presets_outlive_the_panel_and_hold_no_inputs(desk: Desk, menu: Any) -> None:
    desk.tool.state.set_steps(STRICT)
    menu.save_preset("a")
    desk.tool.state.settings.choices_of = {}
    desk.close()
    desk.open()
    menu = desk.tool.run_page.presets
    entries(menu)["a"].trigger()
    state = desk.tool.state
    assert {s: v for s, v in state.steps.items() if v} == STRICT
    assert (state.level, state.output, state.box) == (None, "", None)


@pytest.mark.parametrize("name", ["", "Published rule", "my defaults"])
def test_a_preset_needs_a_name_that_is_not_one_of_sirens(desk: Desk, menu: Any, name: str) -> None:
    desk.tool.state.set_steps(STRICT)
    menu.save_preset(name)
    assert desk.tool.state.settings.presets == {} and desk.tool.message.text.endswith(".")


def test_own_defaults_begin_other_volumes_and_are_in_every_command(
    desk: Desk, menu: Any, planted: Planted, tmp_path: Path
) -> None:
    state = desk.tool.state
    state.set_steps(STRICT)
    entries(menu)["Save as my defaults"].trigger()
    assert menu.text().strip() == "Parameters: my defaults"
    other = write_planted(tmp_path / "other", 12).folder
    desk.list(other)
    desk.use_level(LEVEL)
    assert sketch_command(state).endswith("posp 0.001 minSize 9")
    assert predict_command(state).endswith("together true")
    section = desk.tool.run_page.sections["sketch"]
    assert section.changes.text().startswith("My defaults: posp 0.001, minSize 9.")
    set_field(desk, "posp", "0.05")
    assert "Changed: posp 0.05, minSize 9" in section.changes.text()
    section.changes.linkActivated.emit("mine")
    assert sketch_command(state).endswith("posp 0.001 minSize 9")
    section.changes.linkActivated.emit("reset")
    assert sketch_command(state).endswith(f"level {LEVEL}")
    desk.list(planted.folder)  # these have choices of their own
    assert state.steps["sketch"] == STRICT["sketch"]
    desk.list(other)
    assert state.steps["sketch"] == {}
    entries(menu)["Forget my defaults"].trigger()
    desk.list(write_planted(tmp_path / "third", 12).folder)
    assert not any(state.steps.values()) and "My defaults" not in entries(menu)


def test_a_new_panel_begins_with_own_defaults(desk: Desk, menu: Any) -> None:
    desk.tool.state.set_steps(STRICT)
    menu.save_as_own()
    desk.tool.state.settings.choices_of = {}
    desk.close()
    desk.open()
    assert {s: v for s, v in desk.tool.state.steps.items() if v} == STRICT


def test_the_record_of_a_run_with_own_defaults_is_that_of_the_typed_command(
    desk: Desk, menu: Any, tmp_path: Path
) -> None:
    from chimerax.core.commands import run

    desk.tool.state.settings.own_defaults = {"sketch": {"resamples": 2, "min_size": 5}}
    desk.list(write_planted(tmp_path / "v/volumes", 40).folder)
    desk.use_level(LEVEL)
    (end,) = desk.run_to_end(desk.tool.run_page.sections["sketch"].button)
    typed = next(c for c in desk.typed if c.startswith("siren sketch"))
    again = typed + f" open false outputDir '{tmp_path}/again'"
    with desk.session.in_script:
        other = run(desk.session, again, log=False)
    one, two = (read_record(f).parameters for f in (end.result.folder, other.folder))
    assert one == two and (one["resamples"], one["min_size"]) == (2, 5)


def test_expand_says_a_default_of_sirens_where_its_sketch_has_another(
    desk: Desk, menu: Any, tmp_path: Path
) -> None:
    desk.list(write_planted(tmp_path / "v/volumes", 40).folder)
    desk.use_level(LEVEL)
    set_field(desk, "posp", "0.001")
    set_field(desk, "resamples", "0")
    desk.run_to_end(desk.tool.run_page.sections["sketch"].button)
    assert "posp" not in expand_command(desk.tool.state)  # as in the sketch
    set_field(desk, "posp", "0.01", "expand")  # SIREn's default
    assert expand_command(desk.tool.state).endswith("posp 0.01")
    assert "posp 0.01" in desk.tool.run_page.sections["expand"].changes.text()


def test_settings_of_another_version_are_used_as_far_as_they_are_known() -> None:
    given = {
        "sketch": {"posp": 0.5, "gone": 1, "min_size": "many", "resamples": -3, "negp": 0.2},
        "expand": {"seed": 0},
        "unknown": {"a": 1},
        "predict": "text",
    }
    assert presets.tidied(given) == {}  # negp belongs to other statistics than the default
    del given["sketch"]["negp"]
    assert presets.tidied(given) == {"sketch": {"posp": 0.5}}


def test_every_built_in_preset_is_allowed_and_its_figures_are_those_measured() -> None:
    page = (Path(__file__).parents[2] / "devel/benchmarks/blocks.md").read_text(encoding="utf-8")
    plain = next(line for line in page.splitlines() if line.startswith("| plain, structure 1 |"))
    for steps, reason in presets.BUILT_IN.values():
        assert presets.tidied(steps) == steps
        for figure in ("0.57", "0.93"):
            assert figure in reason and f" {figure} (" in plain
