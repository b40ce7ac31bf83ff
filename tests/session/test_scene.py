"""Which set of blocks is seen, and in which colors, when there are several results."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.logger import StringPlainTextLog

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.verdicts import BlockEvidence
from chimerax.siren.core.figures.colors import PALETTE, block_colors, inherited_colors
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.last_reading import last_reading
from chimerax.siren.session.scene import keep_in_sight
from chimerax.siren.session.surfaces import BlockMap, open_blocks
from ensembles import LEVEL, Planted, write_planted

FAST = "statistic exact subsample 1"
Run = Callable[[str], Any]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "j1" / "siren"


def sketching(planted: Planted, out: Path, more: str = "") -> str:
    return f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{out}' {FAST} {more}"


def sketch(run: Run, planted: Planted, out: Path, more: str = "") -> Any:
    return run(sketching(planted, out, more))


def groups(session: Any) -> list[Any]:
    """Groups of blocks, by number: in the order in which they were opened, if none was closed."""
    return sorted({m.parent for m in session.models.list(type=BlockMap)}, key=lambda g: g.id)


def colors(group: Any) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Middle voxel and color of each block, by place: numbers may differ between results."""
    blocks = [m for m in group.child_models() if isinstance(m, BlockMap)]
    grid = Grid(blocks[0].data.size[::-1], (1, 1, 1))
    return sorted(
        (
            tuple(np.round(grid.points(m.voxels).mean(axis=0)).astype(int).tolist()),
            tuple(round(float(c), 2) for c in m.surfaces[0].rgba[:3]),
        )
        for m in blocks
    )


def log_of(session: Any, run: Run, command: str) -> str:
    with StringPlainTextLog(session.logger) as log:
        run(command)
    return re.sub(r"\s+", " ", log.getvalue())


# --- one set at a time


def test_a_new_result_hides_the_earlier_blocks_of_its_volumes_and_says_so(
    session, run, planted, out
):
    sketch(run, planted, out)
    said = log_of(session, run, f"siren expand '{out}/00_sketch'")
    first, second = groups(session)
    assert not first.visible and second.visible
    assert "hidden, not closed" in said and f"show #!{first.id_string} models" in said
    run(f"show #!{first.id_string} models")  # as the link does
    assert first.visible and all(m.display for m in first.child_models())
    assert first.name.endswith("j1/siren/00_sketch")
    assert second.name.endswith("j1/siren/02_expand")


def test_a_second_sketch_of_the_volumes_hides_the_first_wherever_it_is_written(
    session, run, planted, out, tmp_path
):
    sketch(run, planted, out)
    sketch(run, planted, out, "posp 0.01")
    sketch(run, planted, tmp_path / "elsewhere")
    assert [g.visible for g in groups(session)] == [False, False, True]
    assert groups(session)[0].name.endswith("00_sketch (earlier)")
    assert groups(session)[1].name.endswith("00_sketch")  # it can be opened again


def test_blocks_of_other_volumes_stay_and_the_log_offers_to_hide_them(
    session, run, planted, out, tmp_path
):
    other = write_planted(tmp_path / "j2/volumes")
    assert "other volumes" not in log_of(session, run, sketching(planted, out))
    said = log_of(session, run, sketching(other, tmp_path / "j2/siren"))
    first, second = groups(session)
    assert first.visible and second.visible
    assert "Blocks of other volumes are seen, too: SIREn blocks: " in said
    assert f"hide #!{first.id_string} models" in said
    run(f"hide #!{first.id_string} models")  # as the link does
    assert not first.visible and all(m.display for m in first.child_models())
    said = log_of(session, run, f"siren expand '{tmp_path / 'j2/siren/00_sketch'}'")
    assert "other volumes" not in said


def test_a_result_without_blocks_replaces_the_one_before_it_too(session, run, planted, out):
    sketch(run, planted, out)
    run(f"siren sketch '{planted.folder}' level -5 outputDir '{out}' {FAST}")
    assert [g.visible for g in groups(session)] == [False]


def test_a_block_that_was_merged_or_shown_stays_in_sight_when_its_expansion_is_doubtful(session):
    doubtful = BlockEvidence(contrast=0.2, rise=2.0, solidity=1.0, exchange=0.0)
    blocks = rows(6, 5, 4, 3)
    source = open_blocks(session, blocks, Path("/j/siren/01_edited"))
    solid, shown, _, hidden = source.child_models()  # the third is not judged
    solid.siren_values = {"voxels": 6, "verdict": "solid"}
    shown.siren_values = {"voxels": 5, "verdict": doubtful.verdict}
    hidden.display = False
    expanded = replace(blocks, evidence=dict.fromkeys((1, 2, 3, 4), doubtful))
    new = open_blocks(session, expanded, Path("/j/siren/02_expand"))
    assert not any(m.display for m in new.child_models())
    keep_in_sight(session, new, "/j/siren/01_edited")
    assert [m.display for m in new.child_models()] == [False, True, True, False]


def test_a_result_that_is_not_opened_hides_nothing(session, run, planted, out):
    sketch(run, planted, out)
    run(f"siren expand '{out}/00_sketch' open false")
    assert [g.visible for g in groups(session)] == [True]


def test_a_set_that_is_open_is_shown_again_rather_than_opened_twice(session, run, planted, out):
    sketch(run, planted, out)
    run(f"siren expand '{out}/00_sketch'")
    said = log_of(session, run, f"siren open '{out}/00_sketch'")
    first, second = groups(session)
    assert first.visible and not second.visible and "shown again" in said
    run("siren block delete #1.2")  # edited: it is not what the folder holds
    run(f"siren open '{out}/00_sketch'")
    assert [g.visible for g in groups(session)] == [False, False, True]


def test_a_saved_set_has_the_name_of_its_folder_and_of_its_step(session, run, planted, out):
    sketch(run, planted, out)
    run("siren block delete #1.2")
    run("siren block save #1")
    assert groups(session)[0].name.endswith("j1/siren/01_edited")
    run(f"siren block save #1 '{out}/mine'")
    assert groups(session)[0].name.endswith("j1/siren/mine (edit)")


def test_undo_of_an_edit_that_is_not_seen_says_where_it_was(session, run, planted, out):
    sketch(run, planted, out)
    run("siren block merge #1")
    assert "hidden" not in log_of(session, run, "siren block undo")
    run("siren block redo")
    run("siren expand #1")
    said = log_of(session, run, "siren block undo")
    assert "00_sketch, #1, which is hidden" in said


def test_a_relative_path_is_opened_as_the_folder_it_is(session, run, planted, out, monkeypatch):
    sketch(run, planted, out, "open false")
    monkeypatch.chdir(out.parent)
    run("siren open siren/00_sketch")
    assert {Path(m.siren_folder) for m in session.models.list(type=BlockMap)} == {out / "00_sketch"}


def test_the_rule_holds_for_sets_from_a_saved_session(session, run, planted, out, tmp_path):
    sketch(run, planted, out)
    run("color #1.1 #ff00ff target s")
    before = colors(groups(session)[0])
    run(f"save '{tmp_path}/s.cxs'")
    run("close")
    run(f"open '{tmp_path}/s.cxs'")
    run(f"siren expand '{out}/00_sketch'")
    first, second = groups(session)
    assert not first.visible and second.visible
    assert colors(first) == colors(second) == before


# --- no pile of hidden sets


def names(session: Any) -> list[str]:
    return [g.name.rpartition("/")[2] for g in groups(session)]


def test_of_the_results_of_one_folder_the_one_before_is_kept_and_older_ones_are_closed(
    session, run, planted, out
):
    sketch(run, planted, out, "resamples 0")
    sketch(run, planted, out, "resamples 0")
    assert names(session) == ["00_sketch (earlier)", "00_sketch"]
    first = groups(session)[0]
    said = log_of(session, run, f"siren expand '{out}/00_sketch'")
    assert names(session) == ["00_sketch (earlier)", "00_sketch", "02_expand"]
    assert "2 sets of blocks are hidden. To close them: [close #1 #2](cxcmd:close #1 #2)" in said
    for _ in range(3):
        said = log_of(
            session,
            run,
            f"siren sketch '{planted.folder}' level {LEVEL} {FAST} outputDir '{out}' resamples 0",
        )
        run(f"siren expand '{out}/00_sketch' resamples 0")
    assert first.deleted
    assert "Closed, since the result that replaced them was replaced: SIREn blocks: " in said
    assert sorted(names(session)) == [
        "00_sketch",
        "00_sketch (earlier)",
        "02_expand",
        "02_expand (earlier)",
    ]
    assert [g.visible for g in groups(session)].count(True) == 1
    run("close " + " ".join(f"#{g.id_string}" for g in groups(session) if not g.visible))
    assert names(session) == ["02_expand"]


def test_the_newest_set_is_the_one_opened_last_though_it_has_the_number_of_a_closed_one(
    session, run, planted, out, tmp_path
):
    from chimerax.siren.session.scene import set_of, sets_of_blocks

    for folder in ("a", "b"):
        sketch(run, planted, out / folder, "resamples 0")
    run("close #1")
    newest = sketch(run, planted, out / "b", "resamples 0")
    assert [g.id for g in sets_of_blocks(session)] == [(2,), (1,)]
    run("show #!2 models")
    assert set_of(session, newest.folder).id == (1,)
    run(f"save '{tmp_path}/s.cxs'")
    run(f"open '{tmp_path}/s.cxs'")
    assert [g.id for g in sets_of_blocks(session)] == [(2,), (1,)]


@pytest.mark.parametrize("edit", ["merge #1", "rename #1.1 head", "delete #1.2", "grow #1.1"])
def test_a_hidden_set_with_edits_that_were_not_saved_is_not_closed(
    session, run, planted, out, edit
):
    sketch(run, planted, out, "resamples 0")
    run(f"siren block {edit}")
    for _ in range(3):
        said = log_of(
            session,
            run,
            f"siren sketch '{planted.folder}' level {LEVEL} {FAST} outputDir '{out}' resamples 0",
        )
    assert len(groups(session)) == 3 and groups(session)[0].id == (1,)
    assert "close #1" not in said
    run("siren block undo")
    sketch(run, planted, out, "resamples 0")
    assert (1,) not in [g.id for g in groups(session)]


def test_a_hidden_set_that_was_edited_and_saved_is_closed_like_another(session, run, planted, out):
    for _ in range(3):
        sketch(run, planted, out, "resamples 0")
        (newest,) = (g for g in groups(session) if g.visible)
        run(f"siren block delete #{newest.id_string}.2")
        run(f"siren block save #{newest.id_string}")
    assert names(session) == ["01_edited (earlier)", "01_edited"]


def test_a_set_that_is_shown_again_or_was_in_a_saved_session_is_not_closed(
    session, run, planted, out, tmp_path
):
    sketch(run, planted, out, "resamples 0")
    sketch(run, planted, out, "resamples 0")
    run("show #!1 models")
    sketch(run, planted, out, "resamples 0")
    assert len(groups(session)) == 3
    run(f"save '{tmp_path}/s.cxs'")
    run(f"open '{tmp_path}/s.cxs'")
    sketch(run, planted, out, "resamples 0")
    sketch(run, planted, out, "resamples 0")
    assert len(groups(session)) == 5


# --- colors


def test_colors_given_by_hand_go_through_expand_merge_undo_save_and_reopening(
    session, run, planted, out
):
    sketch(run, planted, out)
    run("color #1.1 #ff00ff target s; color #1.2 #00ffff target s")
    mine = colors(groups(session)[0])
    run("siren expand #1")
    expanded = groups(session)[1]
    assert [c for _, c in colors(expanded)] == [c for _, c in mine]
    spec = f"#{expanded.id_string}"
    run(f"siren block merge {spec}")
    (kept,) = (m for m in expanded.child_models() if isinstance(m, BlockMap))
    assert tuple(kept.surfaces[0].rgba[:3]) == (1, 0, 1)
    run("siren block undo")
    assert [c for _, c in colors(expanded)] == [c for _, c in mine]
    run(f"siren block save {spec}")
    run("close")
    run(f"siren open '{out}/01_edited'")
    assert [c for _, c in colors(groups(session)[0])] == [c for _, c in mine]


def test_in_a_new_session_an_expansion_has_the_colors_of_its_sketch(
    session, run, planted, out, tmp_path
):
    """Blocks 1 and 2 of the sketch change places in the expansion, as they do where sizes change
    order.
    """
    from dataclasses import replace

    from chimerax.siren.core.runs.record import read_record
    from chimerax.siren.core.runs.steps import open_run, run_edit

    first = sketch(run, planted, out, "open false")
    swapped = replace(first.blocks, blocks={1: first.blocks.blocks[2], 2: first.blocks.blocks[1]})
    run_edit(swapped, read_record(first.folder), first.folder, out / "01_edited")
    assert len(open_run(out / "01_edited").blocks.blocks[1]) < len(first.blocks.blocks[1])
    run(f"siren open '{out}/01_edited'")
    after = colors(groups(session)[0])
    run("close")
    run(f"siren open '{out}/00_sketch'")
    assert colors(groups(session)[0]) == after


def test_a_block_colored_by_stability_keeps_its_own_color_for_what_follows(
    session, run, planted, out
):
    sketch(run, planted, out, "resamples 10")
    mine = colors(groups(session)[0])
    run("siren block color #1 stability")
    assert colors(groups(session)[0]) != mine
    run(f"siren expand '{out}/00_sketch'")
    assert [c for _, c in colors(groups(session)[1])] == [c for _, c in mine]
    run("siren block color #1 block")
    assert colors(groups(session)[0]) == mine


GRID = Grid((6, 6, 40), (2.0, 2.0, 2.0))


def rows(*lengths: int) -> BlockSet:
    """Blocks along x, one after the other."""
    starts = np.cumsum([0, *lengths])
    return BlockSet(
        GRID, {n: np.arange(starts[n - 1], starts[n]) for n in range(1, len(lengths) + 1)}
    )


def test_new_blocks_get_none_of_the_colors_that_others_keep():
    kept = {2: (1.0, 0.0, 1.0), 3: block_colors(rows(5, 5, 5, 5))[1]}
    given = block_colors(rows(5, 5, 5, 5), kept)
    assert {n: given[n] for n in kept} == kept
    assert len(set(given.values())) == 4


def test_two_blocks_that_were_one_do_not_both_inherit_its_color_and_another_grid_gives_none():
    one = BlockSet(GRID, {1: np.arange(20)})
    color = {1: (1.0, 0.0, 1.0)}
    assert inherited_colors(rows(12, 8), [(one, color)]) == {1: (1.0, 0.0, 1.0)}
    shifted = Grid(GRID.shape, GRID.voxel_size, (5.0, 0.0, 0.0))
    assert inherited_colors(rows(12, 8), [(BlockSet(shifted, one.blocks), color)]) == {}


def test_what_the_set_before_lacks_is_inherited_from_the_one_before_that():
    first, second = rows(10, 10), BlockSet(GRID, {1: np.arange(10)})
    red, green, blue = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    found = inherited_colors(rows(10, 10), [(second, {1: blue}), (first, {1: red, 2: green})])
    assert found == {1: blue, 2: green}


# Viénot, Brettel & Mollon 1999: what is seen without red or without green receptors, linear RGB
WITHOUT = {
    "nothing": np.eye(3),
    "red": np.array([[0.1124, 0.8876, 0], [0.1124, 0.8876, 0], [0.004, -0.004, 1]]),
    "green": np.array([[0.2927, 0.7073, 0], [0.2927, 0.7073, 0], [-0.0223, 0.0223, 1]]),
}


def lab(hex_color: str, seen: np.ndarray) -> np.ndarray:
    """CIE L*a*b*, with lightness counted half: shading changes it on every surface."""
    srgb = np.array([int(hex_color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(seen @ linear, 0, 1)
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ linear / (to_xyz @ np.ones(3))
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([(116 * f[1] - 16) / 2, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize(("without", "least"), [("nothing", 16), ("red", 8), ("green", 8)])
def test_any_two_colors_of_the_palette_are_told_apart_even_on_shaded_surfaces(without, least):
    seen = {c: lab(c, WITHOUT[without]) for c in PALETTE}
    far = {(a, b): float(np.linalg.norm(seen[a] - seen[b])) for a, b in combinations(PALETTE, 2)}
    closest = min(far, key=far.__getitem__)
    assert far[closest] > least, (closest, far[closest])


def test_what_a_sketch_kept_of_its_volumes_is_freed_when_all_is_closed(
    run: Run, planted: Planted, out: Path
) -> None:
    sketch(run, planted, out)
    assert last_reading() is not None
    run("close")
    assert last_reading() is None
