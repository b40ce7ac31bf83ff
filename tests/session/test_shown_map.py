"""The map that ``siren show`` shows: it is seen, it follows, and it does not cover the blocks."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from chimerax.core.logger import StringPlainTextLog

from chimerax.siren.session.shown_map import EnsembleMap
from chimerax.siren.session.surfaces import BlockMap
from ensembles import LEVEL, Planted, write_planted

Run = Callable[[str], Any]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes")


@pytest.fixture(scope="module")
def found(planted: Planted, _chimerax: Any) -> Path:
    """The folder of a sketch."""
    from chimerax.core.commands import run

    out = planted.folder.parent / "siren"
    run(
        _chimerax,
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' statistic exact "
        "subsample 1 open false",
    )
    return out / "00_sketch"


def show(run: Run, planted: Planted, volume: int, level: float = LEVEL) -> EnsembleMap:
    shown: EnsembleMap = run(f"siren show '{planted.folder}/vol_{volume}.mrc' level {level}")
    return shown


def alpha(model: Any) -> float:
    return float(model.surfaces[0].rgba[3])


def log_of(session: Any, run: Run, command: str) -> str:
    with StringPlainTextLog(session.logger) as log:
        run(command)
    return re.sub(r"\s+", " ", log.getvalue())


def colored_pixels(run: Run, path: Path) -> int:
    """Pixels of the picture that are not gray: of blocks, which have colors, and not of maps."""
    from PIL import Image

    run("set bgColor white; lighting simple; graphics silhouettes false; view")
    run(f"save '{path}' width 200 height 200")
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return int((np.ptp(pixels, axis=2) > 30).sum())


def test_blocks_are_seen_through_the_shown_map_which_says_how_to_bring_it_back(
    session, run, planted, found, tmp_path
):
    run("view initial")
    # a map that encloses the whole box of the blocks
    shown = show(run, planted, 1, -0.05)
    assert colored_pixels(run, tmp_path / "map.png") == 0
    said = log_of(session, run, f"siren open '{found}'")
    assert colored_pixels(run, tmp_path / "both.png") > 500
    command = f"transparency #{shown.id_string} 0 target s"
    assert command in said and "transparent" in said
    run(command)
    assert alpha(shown) == 1
    assert shown.visible and shown.surfaces[0].level == pytest.approx(-0.05)


def test_a_map_shown_after_the_blocks_starts_transparent_and_is_opaque_without_them(
    session, run, planted, found
):
    run(f"siren open '{found}'")
    shown = show(run, planted, 1)
    assert alpha(shown) < 0.5
    assert alpha(show(run, planted, 2)) < 0.5
    run("hide #1 models")  # the blocks
    assert alpha(show(run, planted, 3)) == 1


def test_a_map_made_transparent_is_opaque_again_without_blocks_in_a_session_that_was_opened(
    session, run, planted, found, tmp_path
):
    show(run, planted, 1)
    run(f"siren open '{found}'")
    for command in (f"save '{tmp_path}/s.cxs'", "close session", f"open '{tmp_path}/s.cxs'"):
        run(command)
    (shown,) = session.models.list(type=EnsembleMap)
    assert alpha(shown) < 0.5
    run("hide #2 models")  # the blocks
    assert alpha(show(run, planted, 2)) == 1


def test_what_the_user_chose_of_the_maps_transparency_stays(session, run, planted, found):
    shown = show(run, planted, 1)
    run("transparency #1 80 target s")
    assert "transparent" not in log_of(session, run, f"siren open '{found}'")
    assert alpha(shown) == pytest.approx(0.2, abs=0.01)
    run("transparency #1 0 target s")
    show(run, planted, 2)
    assert alpha(shown) == 1  # next to the blocks, too: it is what the user asked for last


def test_maps_of_the_user_stay_and_the_log_offers_to_see_through_them(session, run, planted, found):
    (mine,) = run(f"open '{planted.folder}/vol_1.mrc'")
    run("volume #1 style surface level -0.05")  # encloses the whole box
    said = log_of(session, run, f"siren open '{found}'")
    assert alpha(mine) == 1 and mine.visible
    assert "#1 is opaque" in said and "transparency #1 70 target s" in said
    run("transparency #1 70 target s; close #2")
    assert "opaque" not in log_of(session, run, f"siren open '{found}'")


def test_a_hidden_map_is_seen_again_when_the_next_is_shown(session, run, planted):
    shown = show(run, planted, 1)
    run("hide #1 models")
    assert not shown.surfaces[0].display
    show(run, planted, 2)
    assert shown.visible and shown.surfaces[0].visible
    run("close #1")
    again = show(run, planted, 2)
    assert again.visible and session.models.list(type=EnsembleMap) == [again]


def test_a_mesh_stays_a_mesh_when_it_was_hidden(session, run, planted):
    shown = show(run, planted, 1)
    run("volume #1 style mesh")
    run("hide #1 models")
    show(run, planted, 2)
    assert shown.surfaces[0].style == "mesh" and shown.surfaces[0].visible


def test_of_many_open_maps_the_one_shown_is_not_lost_among_the_others(session, run, planted):
    run(f"open '{planted.folder}/vol_1?.mrc'")
    run(f"open '{planted.folder}/vol_2.mrc'")
    said = log_of(session, run, f"siren show #1.3 level {LEVEL}")
    (shown,) = session.models.list(type=EnsembleMap)
    from chimerax.map import Volume

    seen = [m for m in session.models.list(type=Volume) if m.visible]
    assert seen == [shown] and shown.name == "vol_12.mrc"
    link = re.search(r"show #[^ ]+ models", said)
    assert link is not None
    run(link[0])
    assert all(m.visible for m in session.models.list(type=Volume))


def test_maps_of_the_user_stay_when_a_file_is_shown_and_the_log_says_once_how_to_hide_them(
    session, run, planted
):
    (mine,) = run(f"open '{planted.folder}/vol_1.mrc'")
    run("volume #1 style surface level -0.05")  # encloses the whole box
    said = log_of(session, run, f"siren show '{planted.folder}/vol_2.mrc' level {LEVEL}")
    assert mine.visible and alpha(mine) == 1
    assert "#1, opened by you, stays as it is" in said
    link = re.search(r"hide #[^ ]+ models", said)
    assert link is not None
    again = log_of(session, run, f"siren show '{planted.folder}/vol_3.mrc' level {LEVEL}")
    assert "opened by you" not in again  # not with every map that is looked at
    run(link[0])
    (shown,) = session.models.list(type=EnsembleMap)
    assert not mine.visible and shown.visible


def test_a_map_that_can_be_seen_through_is_not_said_to_hide_the_one_shown(session, run, planted):
    run(f"open '{planted.folder}/vol_1.mrc'")
    run("transparency #1 70 target s")
    said = log_of(session, run, f"siren show '{planted.folder}/vol_2.mrc' level {LEVEL}")
    assert "opened by you" not in said


def test_the_shown_map_gets_the_level_that_is_predicted_for_it(session, run, planted):
    pytest.importorskip("torch")
    shown = show(run, planted, 3, 0.9)
    found = run(
        f"siren predict '{planted.folder}' outputDir '{planted.folder.parent}/predicted' "
        "include vol_2.mrc,vol_3.mrc,vol_4.mrc"
    )
    levels = found.levels if hasattr(found, "levels") else found[1].levels
    assert [s.level for s in shown.surfaces] == pytest.approx([levels["vol_3.mrc"]])


def test_chimeraxs_volume_viewer_has_the_name_of_the_map_that_is_shown(
    session, run, planted, monkeypatch
):
    """Its pane writes the name of a map once, unless it is told that it has changed."""
    from chimerax.core.commands import run as run_command

    shown = show(run, planted, 1)
    names: list[str] = []
    pane = SimpleNamespace(volume=shown, show_data_name=lambda: names.append(shown.name))
    viewer = SimpleNamespace(
        tool_name="Volume Viewer", thresholds_panel=SimpleNamespace(histogram_panes=[pane])
    )
    monkeypatch.setattr(session.ui, "is_gui", True)
    monkeypatch.setattr(session.tools, "list", lambda: [viewer, SimpleNamespace(tool_name="Log")])
    # no frame is drawn: without its window, ChimeraX would stop drawing for good
    run_command(session, f"siren show '{planted.folder}/vol_2.mrc' level {LEVEL}")
    assert names == ["vol_2.mrc"]


def test_the_names_that_the_volume_viewer_is_told_by_are_those_of_chimerax():
    from pathlib import Path as P

    import chimerax.map

    text = (P(chimerax.map.__file__).parent / "volume_viewer.py").read_text()
    for name in ("self.thresholds_panel", "self.histogram_panes", "def show_data_name"):
        assert name in text


def test_blocks_of_a_screening_are_seen_through_the_map_too(session, run, planted, found):
    from chimerax.siren.session.shown_map import uncover

    run(f"siren open '{found}'")
    blocks = session.models.list(type=BlockMap)
    shown = show(run, planted, 1)
    run(f"transparency #{shown.id_string} 0 target s")
    assert uncover(session, blocks)[0] is shown
    assert uncover(session, blocks) == (None, [])


def test_only_maps_of_others_open_volume_viewer_with_a_session(
    session: Any,
    run: Run,
    planted: Planted,
    found: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from chimerax.map import volume as module

    opened: list[Any] = []
    monkeypatch.setattr(module, "show_volume_dialog", opened.append)
    run(f"siren open '{found}'")
    show(run, planted, 1)
    run(f"save '{tmp_path}/ours.cxs'")
    run("close session")
    run(f"open '{tmp_path}/ours.cxs'")
    assert len(session.models.list(type=BlockMap)) == 2
    assert len(session.models.list(type=EnsembleMap)) == 1
    assert opened == []
    run(f"open '{planted.folder}/vol_2.mrc'")
    run(f"save '{tmp_path}/theirs.cxs'")
    run("close session")
    opened.clear()
    run(f"open '{tmp_path}/theirs.cxs'")
    assert opened == [session]


def test_blocks_that_are_shown_again_are_seen_through_the_map_unless_it_was_made_opaque(
    session: Any, run: Run, planted: Planted, found: Path
) -> None:
    run(f"siren open '{found}'")
    run("hide #!1 models")
    shown = show(run, planted, 1)
    assert alpha(shown) == 1
    said = log_of(session, run, "show #!1 models")
    assert alpha(shown) < 0.5 and "transparency #2 0 target s" in said
    run("hide #!1 models")
    show(run, planted, 2)
    assert alpha(shown) == 1
    said = log_of(session, run, "show #1.1 models")  # one of them
    assert alpha(shown) < 0.5 and "transparency" not in said  # it was told
    run("transparency #2 0 target s")
    run("hide #!1 models; show #!1 models")
    assert alpha(shown) == 1  # as a person wants it
