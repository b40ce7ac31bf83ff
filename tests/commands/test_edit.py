"""siren block ...: open blocks are edited as the user intends, and edits can be undone, saved and
expanded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session.surfaces import BlockMap, open_blocks
from ensembles import LEVEL, ORIGIN, VOXEL_SIZE, Planted, write_planted

GRID = Grid((20, 22, 24), (4.0, 4.0, 4.0), ORIGIN)
Contents = dict[str, tuple[str, list[int]]]


def box(*corners: int) -> np.ndarray:
    mask = np.zeros(GRID.shape, bool)
    z, y, x, size = corners
    mask[z : z + size, y : y + size, x : x + size] = True
    return np.flatnonzero(mask)


ONE, TWO, THREE = box(1, 1, 1, 4), box(10, 10, 10, 5), box(1, 12, 1, 3)
TABLE = pd.DataFrame(
    {
        "block": [1, 2, 3],
        "voxels": [64, 125, 27],
        "mean_occupancy": [0.5, 0.2, 0.9],
        "stability": [1.0, 0.8, 0.1],
    }
)


@pytest.fixture
def three(session: Any) -> Any:
    """Three blocks in group #1."""
    session.undo.clear()
    return open_blocks(
        session,
        BlockSet(GRID, {1: ONE, 2: TWO, 3: THREE}),
        Path("/somewhere/00_sketch"),
        table=TABLE,
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return write_planted(tmp_path_factory.mktemp("ensemble") / "volumes")


@pytest.fixture
def sketched(session: Any, run: Any, planted: Planted, tmp_path: Path) -> Path:
    """The planted ensemble's two blocks, open as #1.1 and #1.2."""
    session.undo.clear()
    run(
        f"siren sketch '{planted.folder}' level {LEVEL} outputDir '{tmp_path}/out' statistic exact "
        "subsample 1 resamples 0"
    )
    return tmp_path / "out"


def contents(session: Any) -> Contents:
    return {
        m.id_string: (m.name, m.voxels.tolist())
        for m in sorted(session.models.list(type=BlockMap), key=lambda m: m.id)
    }


def model(session: Any, id_string: str) -> BlockMap:
    return next(m for m in session.models.list(type=BlockMap) if m.id_string == id_string)


def test_merged_blocks_are_one_surface_with_all_voxels_and_the_first_color(session, run, three):
    color = tuple(model(session, "1.1").surfaces[0].color)
    run("siren block merge #1.1#1.3")
    assert list(contents(session)) == ["1.1", "1.2"]
    merged = model(session, "1.1")
    assert merged.voxels.tolist() == np.union1d(ONE, THREE).tolist()
    assert merged.name == "block 1 (91 voxels)"
    assert tuple(merged.surfaces[0].color) == color
    # the other box is now part of this surface
    corner = np.array(ORIGIN) + 4 * np.array([1, 12, 1])
    assert np.abs(merged.surfaces[0].vertices - corner).max(axis=1).min() < 4


def test_merging_keeps_what_is_known_of_the_whole_and_splitting_forgets_it(session, run, three):
    run("siren block merge #1.1#1.2")
    values = model(session, "1.1").siren_values
    assert values["mean_occupancy"] == pytest.approx((64 * 0.5 + 125 * 0.2) / 189)
    assert "stability" not in values
    run("siren block split #1.1")
    assert model(session, "1.1").siren_values == {}


def test_strength_goes_with_the_voxels_and_comes_back_with_them(session, run, sketched):
    before = {m.siren_block: m.siren_strength.copy() for m in session.models.list(type=BlockMap)}
    run("siren block color #1 strength")
    assert model(session, "1.1").surfaces[0].vertex_colors is not None
    run("siren block merge #1.1#1.2")
    assert model(session, "1.1").siren_strength is None
    assert model(session, "1.1").surfaces[0].vertex_colors is None
    run("siren block undo")
    after = {m.siren_block: m.siren_strength for m in session.models.list(type=BlockMap)}
    assert all(np.array_equal(after[n], before[n]) for n in (1, 2))
    run("siren block merge #1.1#1.2")
    run("siren block save #1")
    assert len(model(session, "1.1").siren_strength) == len(before[1]) + len(before[2])


@pytest.mark.parametrize(
    "edit",
    [
        "merge #1.1#1.3",
        "merge #1",
        "delete #1.2",
        "delete #1.1#1.2",
        "rename #1.2 'a b'",
        "split #1.2 center 42,72,57 radius 9",
        "grow #1.1#1.3 by 2",
        "shrink #1.2 by 1",
        "paint #1.1 center 42,72,57 center 30,60,40 radius 9",
        "paint #1.2 center 42,72,57 radius 9 erase true",
    ],
)
def test_every_edit_is_taken_back_and_done_again_by_either_undo(session, run, three, edit):
    before = contents(session)
    colors = {m.id_string: tuple(m.surfaces[0].color) for m in session.models.list(type=BlockMap)}
    values = {m.id_string: m.siren_values for m in session.models.list(type=BlockMap)}
    run(f"siren block {edit}")
    after = contents(session)
    assert after != before
    for back, again in (("siren block undo", "siren block redo"), ("undo", "redo")):
        run(back)
        assert contents(session) == before
        assert {
            m.id_string: tuple(m.surfaces[0].color) for m in session.models.list(type=BlockMap)
        } == colors
        assert {m.id_string: m.siren_values for m in session.models.list(type=BlockMap)} == values
        run(again)
        assert contents(session) == after


def test_an_edit_of_a_closed_set_is_not_undone_in_another_that_has_its_number_now(
    session, run, three
):
    run("siren block delete #1.2")
    run("close #1")
    open_blocks(session, BlockSet(GRID, {1: TWO, 2: THREE}), Path("/elsewhere/00_sketch"))
    before = contents(session)
    assert set(before)  # in #1
    with pytest.raises(UserError, match="closed: open them again"):
        run("siren block undo")
    assert contents(session) == before


def test_edits_are_undone_one_after_the_other_whatever_else_was_done(session, run, three):
    start = contents(session)
    run("siren block delete #1.1")
    middle = contents(session)
    run("siren block merge #1.2#1.3")
    run("hide #1.2 models")  # ChimeraX's own undo would take this back first, where it can
    run("siren block undo")
    assert contents(session) == middle
    run("siren block undo")
    assert contents(session) == start
    with pytest.raises(UserError, match="no edit of blocks to undo"):
        run("siren block undo")


def test_edits_of_blocks_that_were_closed_meanwhile_say_so(session, run, three):
    run("siren block merge #1.1#1.2")
    run("close #1")
    with pytest.raises(UserError, match="closed: open them again"):
        run("siren block undo")


def test_pieces_are_split_off_and_the_largest_keeps_number_name_and_color(session, run, three):
    run("siren block rename #1.1 stalk")
    run("siren block merge #1.1#1.2#1.3")
    run("siren block split #1.1")
    assert {n: len(v) for n, (_, v) in contents(session).items()} == {
        "1.1": 125,
        "1.2": 64,
        "1.3": 27,
    }
    assert model(session, "1.1").name == "block 1: stalk (125 voxels)"
    assert len({tuple(m.surfaces[0].color) for m in session.models.list(type=BlockMap)}) == 3


def test_what_is_in_a_sphere_is_split_off_in_angstrom_whether_by_numbers_or_by_a_model(
    session, run, three
):
    x, y, z = np.array(ORIGIN) + 4 * np.array([10, 10, 10])
    run(f"siren block split #1.2 center {x},{y},{z} radius 4.1")
    assert len(model(session, "1.4").voxels) == 4  # the corner and its three neighbors
    run("siren block undo")
    run(f"marker #5 position {x},{y},{z}")
    run("siren block split #1.2 center #5 radius 4.1")
    assert len(model(session, "1.4").voxels) == 4


def test_a_moved_block_is_split_where_it_is_seen(session, run, three):
    run("move x 40 models #1")
    x, y, z = np.array(ORIGIN) + 4 * np.array([10, 10, 10]) + (40, 0, 0)
    run(f"siren block split #1.2 center {x},{y},{z} radius 4.1")
    assert len(model(session, "1.4").voxels) == 4


def test_the_block_that_was_clicked_is_the_selected_one(session, run, three):
    x, y, _ = np.array(ORIGIN) + 4 * np.array([12, 12, 0])
    session.main_view.picked_object_on_segment(
        np.array([x, y, -300.0]), np.array([x, y, 300.0])
    ).select()
    run("siren block rename sel clicked")
    assert model(session, "1.2").given_name == "clicked"


def test_a_name_given_by_chimeraxs_own_rename_counts(session, run, three):
    run("rename #1.2 head")
    run("siren block delete #1.1")
    run("siren block undo")
    assert model(session, "1.2").given_name == "head"
    run("siren block rename #1.2 ''")
    assert model(session, "1.2").name == "block 2 (125 voxels)"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("merge #1.1", "name two or more"),
        ("split #1.1", "one piece: give a smaller gap"),
        ("split #1.1 radius 3", "center and radius together"),
        ("split #1.1 center 0,0,0 radius 1", "contains no voxel"),
        ("split #1.1 center 0,0,0 radius 999", "contains every voxel"),
        ("split #1.1 center 0,0,0 radius 9 gap 2", "leave them out"),
        ("split #1.1#1.2", "one block at a time"),
        ("split #1.1 gap 0", "gap 0"),
        ("grow #1.1 by 0", "by 0"),
        ("grow #1.1 strength 0.4", 'goes with "into correlated"'),
        ("grow #1.1 into density", "siren locate"),
        ("grow #1.1#2.1", "different groups"),
        ("shrink #1.3 by 2", "Nothing would be left of block 3: no voxel of it is more than 2"),
        ("paint #1.1 center 999,0,0 radius 5", "no voxel to add in the sphere"),
        ("paint #1.1 center 0,0,0 radius 5 erase true", "no voxel to erase"),
        ("paint #1.1#1.2 center 0,0,0 radius 5", "one block at a time"),
        ("rename #1.1 " + "x" * 70, "70 characters"),
        ("delete #7", "no open block"),
        ("merge #1.1#2.1", "different groups"),
        ("save #1", "renamed or deleted. Say where it is now: .siren locate FOLDER"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(
    session, run, three, command, said
):
    open_blocks(session, BlockSet(GRID, {1: ONE}), Path("/somewhere/else"))
    before = contents(session)
    with pytest.raises(UserError, match=said) as caught:
        run(f"siren block {command}")
    assert "\n" not in str(caught.value).strip()
    assert contents(session) == before


def test_names_and_edits_survive_a_saved_session(session, run, three, tmp_path):
    run("siren block rename #1.2 'central protuberance'")
    run("siren block merge #1.1#1.3")
    before, values = contents(session), model(session, "1.2").siren_values
    run(f"save '{tmp_path}/s.cxs'")
    run("close")
    run(f"open '{tmp_path}/s.cxs'")
    assert contents(session) == before
    assert model(session, "1.2").given_name == "central protuberance"
    assert model(session, "1.2").siren_values == values
    run("siren block merge #1.1#1.2")  # and they can be edited on
    assert list(contents(session)) == ["1.1"]


def test_a_saved_set_is_complete_opens_expands_and_keeps_names(session, run, sketched, planted):
    run("siren block rename #1.2 'left box'")
    run("siren block delete #1.1")
    saved = run("siren block save #1")
    assert saved.folder == sketched / "01_edited"
    assert {p.name for p in saved.folder.iterdir()} == {
        "block_2.mrc",
        "blocks.json",
        "blocks.csv",
        "mean.mrc",
        "unassigned.mrc",
        "states.csv",
        "run.json",
    }
    record = json.loads((saved.folder / "run.json").read_text())
    assert (record["step"], record["source"]) == ("edit", str(sketched / "00_sketch"))
    sketch, edited = (
        pd.read_csv(f / "blocks.csv").set_index("block")
        for f in (sketched / "00_sketch", saved.folder)
    )
    assert edited.loc[2, "mean_occupancy"] == sketch.loc[2, "mean_occupancy"]
    assert edited.loc[2, "name"] == "left box"
    unassigned = json.loads((saved.folder / "blocks.json").read_text())["unassigned"]
    assert len(unassigned) >= len(
        json.loads((sketched / "00_sketch/blocks.json").read_text())["blocks"]["1"]
    )
    run("close")
    run(f"siren open '{saved.folder}'")
    assert [m.given_name for m in session.models.list(type=BlockMap)] == ["left box"]
    result = run(f"siren expand '{saved.folder}' open false resamples 0")
    assert result.blocks.names == {2: "left box"}
    assert result.folder == sketched / "02_expand"
    assert pd.read_csv(result.folder / "blocks.csv").loc[0, "name"] == "left box"


def test_expanding_open_blocks_gives_what_expanding_the_saved_set_gives(session, run, sketched):
    run("siren block rename #1.1 right")
    run("siren block merge #1.1#1.2")
    run(f"siren expand #1 open false resamples 0 outputDir '{sketched}/a'")
    run("siren block save #1")
    run(f"siren expand '{sketched}/01_edited' open false resamples 0 outputDir '{sketched}/b'")
    for name in ("blocks.json", "blocks.csv", "states.csv"):
        assert (sketched / "a/02_expand" / name).read_bytes() == (
            sketched / "b/02_expand" / name
        ).read_bytes()


def test_open_blocks_belong_to_the_saved_set_and_a_second_save_follows_undo(session, run, sketched):
    run("siren block merge #1.1#1.2")
    first = run("siren block save #1")
    assert {m.siren_folder for m in session.models.list(type=BlockMap)} == {str(first.folder)}
    assert model(session, "1.1").siren_values["mean_occupancy"] == pytest.approx(
        first.table.mean_occupancy[0]
    )
    run("siren block undo")
    assert {m.siren_folder for m in session.models.list(type=BlockMap)} == {str(first.folder)}
    second = run("siren block save #1")
    assert list(second.blocks.blocks) == [1, 2]
    assert second.replaced
    assert second.record.source == str(sketched / "00_sketch")


def test_a_set_edited_in_its_folder_is_kept_when_another_takes_its_place(session, run, sketched):
    run("siren block delete #1.2")
    folder = run("siren block save #1").folder
    (folder / "notes.txt").write_text("mine")
    with StringPlainTextLog(session.logger) as log:
        run("siren block save #1")
    assert "kept as" in log.getvalue()
    assert (sketched / "01_edited_edited_1/notes.txt").read_text() == "mine"


def test_a_sketch_is_not_replaced_by_its_own_edited_set(session, run, sketched):
    before = (sketched / "00_sketch/blocks.json").read_bytes()
    run("siren block delete #1.1")
    with pytest.raises(UserError, match="would be replaced: give another folder"):
        run(f"siren block save #1 '{sketched}/00_sketch'")
    assert (sketched / "00_sketch/blocks.json").read_bytes() == before


def test_a_set_whose_volumes_moved_is_saved_when_they_are_named(session, run, planted, tmp_path):
    import shutil

    shutil.copytree(planted.folder, tmp_path / "v")
    run(
        f"siren sketch '{tmp_path}/v' level {LEVEL} outputDir '{tmp_path}/out' statistic exact "
        "subsample 1 resamples 0"
    )
    (tmp_path / "v").rename(tmp_path / "moved")
    with pytest.raises(UserError, match="is gone since the sketch"):
        run("siren block save #1")
    saved = run(f"siren block save #1 volumes '{tmp_path}/moved'")
    assert (saved.folder / "states.csv").read_bytes() == (
        tmp_path / "out/00_sketch/states.csv"
    ).read_bytes()


def test_voxel_size_is_that_of_the_planted_maps(sketched, session):
    assert model(session, "1.1").data.step == pytest.approx((VOXEL_SIZE,) * 3)


def test_a_block_grows_by_a_layer_around_it_and_shrinks_to_what_it_was(session, run, three):
    run("siren block grow #1.2")
    x, y, z = np.meshgrid(*[np.arange(n) for n in (24, 22, 20)], indexing="ij")
    inside = [np.clip(np.abs(v - 12) - 2, 0, None) for v in (x, y, z)]
    cross = (sum(d**2 for d in inside) <= 1).transpose(2, 1, 0)
    assert model(session, "1.2").voxels.tolist() == np.flatnonzero(cross).tolist()
    run("siren block shrink #1.2")
    assert model(session, "1.2").voxels.tolist() == TWO.tolist()
    assert contents(session)["1.1"][1] == ONE.tolist()


def test_paint_is_in_angstrom_where_the_block_is_seen_and_takes_nothing_from_others(
    session, run, three
):
    run("move x 40 models #1")
    place = np.array(ORIGIN) + 4 * np.array([5, 5, 5]) + (40, 0, 0)
    run(f"siren block paint #1.1 center {','.join(map(str, place))} radius 4.1")
    added = np.setdiff1d(model(session, "1.1").voxels, ONE)
    z, y, x = np.unravel_index(added, GRID.shape)
    assert ((z - 5) ** 2 + (y - 5) ** 2 + (x - 5) ** 2 <= 1).all() and len(added) == 7
    run("siren block paint #1.1 center #1.2 radius 200")
    assert len(model(session, "1.1").voxels) == GRID.size - len(TWO) - len(THREE)
    assert model(session, "1.2").voxels.tolist() == TWO.tolist()


def test_a_block_grows_back_into_what_comes_and_goes_with_it(session, run, sketched, planted):
    whole = model(session, "1.1").voxels
    other = model(session, "1.2").voxels
    run("siren block shrink #1.1 by 1")
    kept = model(session, "1.1").voxels
    assert 0 < len(kept) < len(whole)
    run("siren block grow #1.1 by 3 into density")
    dense = model(session, "1.1").voxels
    run("siren block undo")
    run("siren block grow #1.1 by 3 into correlated")
    grown = model(session, "1.1").voxels
    assert np.isin(kept, grown).all() and np.isin(grown, dense).all()
    assert np.isin(whole, grown).mean() > 0.95 and np.isin(grown, whole).mean() > 0.95
    assert not np.isin(dense, other).any()
    saved = run("siren block save #1")
    assert saved.blocks.blocks[1].tolist() == grown.tolist()


def test_growth_into_moved_volumes_says_what_to_give(session, run, planted, tmp_path):
    import shutil

    shutil.copytree(planted.folder, tmp_path / "v")
    run(
        f"siren sketch '{tmp_path}/v' level {LEVEL} outputDir '{tmp_path}/out' statistic exact "
        "subsample 1 resamples 0"
    )
    (tmp_path / "v").rename(tmp_path / "moved")
    run("siren block shrink #1.1")
    with pytest.raises(UserError, match="is gone since the sketch"):
        run("siren block grow #1.1 into density")
    run(f"siren block grow #1.1 into density volumes '{tmp_path}/moved'")


def test_edits_of_shape_say_how_many_voxels_there_are_now(session, run, three):
    with StringPlainTextLog(session.logger) as log:
        run("siren block grow #1.1#1.3 by 2")
        run("siren block shrink #1.2")
    n = {k: len(v) for k, (_, v) in contents(session).items()}
    assert f"Grew block 3 by 2 voxels: {n['1.3']} voxels, +{n['1.3'] - 27}." in log.getvalue()
    assert "Shrank block 2 by 1 voxel: 27 voxels, -98." in log.getvalue()


def test_edits_of_a_sketch_that_was_opened_again_do_not_replace_the_first_edits(
    session, run, sketched
):
    run("siren block rename #1.1 mine")
    first = run("siren block save #1").folder
    kept = (first / "blocks.json").read_bytes()
    run("close")
    run(f"siren open '{sketched}/00_sketch'")
    run("siren block delete #1.1")
    with StringPlainTextLog(session.logger) as log:
        again = run("siren block save #1")
    assert again.folder == first
    assert (sketched / "01_edited_edited_1/blocks.json").read_bytes() == kept
    assert "01_edited_edited_1" in log.getvalue()
    # its own later save replaces it, as before
    run("siren block undo")
    assert run("siren block save #1").replaced
    assert not (sketched / "01_edited_edited_2").exists()
