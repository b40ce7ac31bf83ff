"""Projects that are renamed, moved or copied: every command works in the new place, sessions find
it or are told, and what is bound is the same run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chimerax.core.errors import UserError
from chimerax.core.logger import StringPlainTextLog

from chimerax.siren.core.maps.mapfile import read_map
from chimerax.siren.session.surfaces import BlockMap, own_color
from ensembles import LEVEL, write_planted

EXACT = f"level {LEVEL} statistic exact subsample 1 resamples 0"


@pytest.fixture(scope="module")
def made(_chimerax: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with volumes, sketch and expansion; "right" is block 1, "left" is block 2."""
    from chimerax.core.commands import run

    project = tmp_path_factory.mktemp("made") / "j42"
    write_planted(project / "volumes", 150)
    run(_chimerax, f"siren sketch '{project}/volumes' {EXACT} open false")
    run(_chimerax, f"siren expand '{project}/siren/00_sketch' open false")
    return project


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    """The project as its user knows it, in a place of its own."""
    from chimerax.siren.core.runs.moved import locate_volumes

    place = tmp_path / "home/j42"
    shutil.copytree(made, place)
    for name in ("00_sketch", "02_expand"):
        locate_volumes(place / "siren" / name, place / "volumes")
    return place


@pytest.fixture
def log(session: Any) -> Iterator[Any]:
    with StringPlainTextLog(session.logger) as log:
        yield log


def record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def blocks(session: Any) -> list[BlockMap]:
    return sorted(session.models.list(type=BlockMap), key=lambda m: m.id)


def reopen(session: Any, path: Path) -> None:
    from chimerax.core.commands import run

    run(session, "close")
    run(session, f"open '{path}'")


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "run.json"}


# ---- a project copied as a whole


@pytest.mark.parametrize("noted", [True, False], ids=["", "record_of_an_earlier_version"])
def test_every_command_works_in_a_copied_project_although_the_original_is_gone(
    session: Any, run: Any, project: Path, made: Path, tmp_path: Path, noted: bool
) -> None:
    copy = tmp_path / "other computer" / "renamed"
    shutil.copytree(project, copy)
    shutil.rmtree(project)
    sketch, siren = copy / "siren/00_sketch", copy / "siren"
    if not noted:
        for folder in (sketch, siren / "02_expand"):
            content = record(folder)
            del content["folders"]
            (folder / "run.json").write_text(json.dumps(content))
    before = files_of(siren / "02_expand")
    group = run(f"siren open '{sketch}'")
    assert group.folder == sketch and len(blocks(session)) == 2
    run(f"siren states '{siren}/02_expand' saveFile '{tmp_path}/all.csv'")
    for kind in ("thresholds", "states"):
        run(f"siren plot '{sketch}' {kind} saveFile '{tmp_path}/{kind}.png'")
    run(f"siren representatives '{sketch}' block 1")  # reads two volumes
    run("siren block rename #1.1 head")
    run("siren block merge #1.1#1.2")
    run(f"siren states #1 saveFile '{tmp_path}/edited.csv'")  # measures all volumes
    saved = run("siren block save #1")
    assert saved.folder == siren / "01_edited"
    expanded = run(f"siren expand '{sketch}'")
    assert expanded.folder == siren / "02_expand"
    assert files_of(expanded.folder) == before  # the same as in the first place
    for folder in (saved.folder, expanded.folder):
        content = record(folder)
        assert content["source"] == str(sketch)
        assert {str(Path(v["path"]).parent) for v in content["volumes"].values()} == {
            str((copy / "volumes").resolve())
        }
        assert set(content["folders"].values()) == {"../../volumes", "../00_sketch"}
    run("close")
    run(f"siren open '{expanded.folder}' reference true")
    assert {m.siren_volumes for m in blocks(session)} == {str((copy / "volumes").resolve())}


def test_the_copy_of_a_project_uses_its_own_volumes_while_the_original_is_there(
    session: Any, run: Any, project: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    expanded = run(f"siren expand '{copy}/siren/00_sketch' open false")
    assert {str(Path(v["path"]).parent) for v in expanded.record.volumes} == {
        str((copy / "volumes").resolve())
    }
    shutil.copytree(project / "siren/00_sketch", tmp_path / "results/alone")  # without its volumes
    expanded = run(f"siren expand '{tmp_path}/results/alone' open false")
    assert {str(Path(v["path"]).parent) for v in expanded.record.volumes} == {
        str((project / "volumes").resolve())
    }


def test_a_session_that_was_copied_with_its_project_belongs_to_the_copy(
    session: Any, run: Any, project: Path, tmp_path: Path, log: Any
) -> None:
    run(f"siren open '{project}/siren/00_sketch'")
    run("siren block rename #1.2 tail")
    run(f"save '{project}/figures.cxs'")
    copy = tmp_path / "usb/stick"
    shutil.copytree(project, copy)
    reopen(session, copy / "figures.cxs")  # the original is still there
    assert {m.siren_folder for m in blocks(session)} == {str(copy / "siren/00_sketch")}
    shutil.rmtree(project)
    reopen(session, copy / "figures.cxs")
    assert {m.siren_folder for m in blocks(session)} == {str(copy / "siren/00_sketch")}
    assert {m.siren_volumes for m in blocks(session)} == {str((copy / "volumes").resolve())}
    assert "siren block save #1" in log.getvalue()  # the name is not in its folder
    saved = run("siren block save #1")
    assert saved.folder == copy / "siren/01_edited" and saved.blocks.names == {2: "tail"}


# ---- a session whose folders were renamed


def test_edits_go_on_in_a_session_whose_project_was_renamed_and_are_saved_once_it_is_located(
    session: Any, run: Any, project: Path, tmp_path: Path, log: Any
) -> None:
    run(f"siren open '{project}/siren/02_expand'")
    run("siren block rename #1.2 tail")
    run("color #1.2 #123456 target s")
    run(f"save '{tmp_path}/s.cxs'")
    reference = run("siren block save #1")  # what saving writes where nothing was moved
    expected = files_of(reference.folder)
    shutil.rmtree(reference.folder)
    new = project.with_name("j43")
    project.rename(new)
    reopen(session, tmp_path / "s.cxs")
    assert f"{project}/siren/02_expand was moved, renamed or deleted" in log.getvalue()
    assert blocks(session)[1].given_name == "tail"
    assert np.allclose(own_color(blocks(session)[1]), (0x12 / 255, 0x34 / 255, 0x56 / 255))
    assert {"voxels", "mean_occupancy", "verdict"} <= set(blocks(session)[1].siren_values)
    run("siren block merge #1.1#1.2")
    run("siren block undo")
    for command in ("siren block save #1", "siren expand #1"):
        with pytest.raises(UserError, match="siren locate FOLDER"):
            run(command)
    assert not project.exists()  # and its old place is not made anew
    run(f"siren locate '{new}'")
    assert {m.siren_folder for m in blocks(session)} == {str(new / "siren/02_expand")}
    assert blocks(session)[0].parent.name.endswith("j43/siren/02_expand")
    assert "Save the session again" in log.getvalue()
    saved = run("siren block save #1")
    assert saved.folder == new / "siren/01_edited"
    assert files_of(saved.folder) == expected


def test_edits_of_blocks_without_their_folder_can_be_saved_elsewhere(
    session: Any, run: Any, project: Path, tmp_path: Path
) -> None:
    run(f"siren open '{project}/siren/00_sketch'")
    run("siren block delete #1.2")
    run(f"save '{tmp_path}/s.cxs'")
    reference = files_of(run("siren block save #1").folder)
    new = project.with_name("j43")
    project.rename(new)
    reopen(session, tmp_path / "s.cxs")
    with pytest.raises(UserError, match=r"vol_1\.mrc is gone"):
        run(f"siren block save #1 '{tmp_path}/kept'")
    saved = run(f"siren block save #1 '{tmp_path}/kept' volumes '{new}/volumes'")
    assert saved.folder == tmp_path / "kept" and files_of(saved.folder) == reference
    assert {m.siren_folder for m in blocks(session)} == {str(tmp_path / "kept")}
    run("siren expand #1")  # and go on from there
    assert (tmp_path / "02_expand/run.json").is_file()


def test_states_and_pairs_of_blocks_without_their_folder_are_read_from_the_volumes(
    session: Any, run: Any, project: Path, tmp_path: Path
) -> None:
    run(f"siren open '{project}/siren/00_sketch'")
    run(f"siren states #1 saveFile '{tmp_path}/before.csv'")
    run(f"save '{tmp_path}/s.cxs'")
    shutil.rmtree(project / "siren")
    reopen(session, tmp_path / "s.cxs")
    run(f"siren states #1 saveFile '{tmp_path}/after.csv'")
    assert (tmp_path / "after.csv").read_bytes() == (tmp_path / "before.csv").read_bytes()
    run(f"siren plot #1 correlation saveFile '{tmp_path}/x.svg'")
    run("siren representatives #1.1")


@pytest.mark.parametrize("named", [".", "siren", "siren/00_sketch", "volumes"])
def test_any_folder_of_a_project_locates_all_its_open_blocks(
    session: Any, run: Any, project: Path, named: str
) -> None:
    for name in ("00_sketch", "02_expand"):
        run(f"siren open '{project}/siren/{name}'")
    new = project.with_name("j43")
    project.rename(new)
    found = run(f"siren locate '{new / named}'")
    assert found.moves == {
        str(project / "siren" / n): str(new / "siren" / n) for n in ("00_sketch", "02_expand")
    }
    assert {m.siren_folder for m in blocks(session)} == set(found.moves.values())


def test_blocks_are_bound_to_no_other_run(
    session: Any, run: Any, project: Path, tmp_path: Path
) -> None:
    run(f"siren open '{project}/siren/00_sketch'")
    other, changed = tmp_path / "other", tmp_path / "changed"
    write_planted(other / "volumes", 150, seed=8)
    run(f"siren sketch '{other}/volumes' {EXACT} open false")
    shutil.copytree(project, changed)
    content = json.loads((changed / "siren/00_sketch/blocks.json").read_text())
    content["blocks"]["2"] = content["blocks"]["2"][1:]
    content["strength"].pop("2", None)
    (changed / "siren/00_sketch/blocks.json").write_text(json.dumps(content))
    project.rename(project.with_name("j43"))
    (tmp_path / "empty").mkdir()
    for place, said in (
        (other, "00_sketch is not what .*: (it was found in other volumes|its block 1 is another)"),
        (changed, "its block 2 is another"),
        (tmp_path / "empty", "does not hold 00_sketch: give the folder"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            run(f"siren locate '{place}'")
        assert "\n" not in str(caught.value)
    assert {m.siren_folder for m in blocks(session)} == {str(project / "siren/00_sketch")}


def test_a_session_of_an_earlier_version_is_located_by_its_blocks(
    session: Any, run: Any, project: Path, tmp_path: Path
) -> None:
    run(f"siren open '{project}/siren/00_sketch'")
    run("siren block delete #1.1")
    session.get_state_manager("siren runs").runs.clear()  # such a session has none
    project.rename(project.with_name("j43"))
    other = tmp_path / "other"
    shutil.copytree(project.with_name("j43"), other)
    content = json.loads((other / "siren/00_sketch/blocks.json").read_text())
    content["blocks"]["2"], content["strength"] = content["blocks"]["2"][1:], {}
    (other / "siren/00_sketch/blocks.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="its blocks are others"):
        run(f"siren locate '{other}'")
    run(f"siren locate '{project.parent}/j43'")
    assert {m.siren_folder for m in blocks(session)} == {
        str(project.parent / "j43/siren/00_sketch")
    }


# ---- volumes alone


def test_renamed_volumes_are_located_and_the_record_says_where_they_are(
    session: Any, run: Any, project: Path
) -> None:
    folder = project / "siren/00_sketch"
    run(f"siren open '{folder}'")
    before, untouched = record(folder), files_of(folder)
    (project / "volumes").rename(project / "maps")
    with pytest.raises(UserError, match="siren locate FOLDER"):
        run("siren expand #1")
    run(f"siren locate '{project}/maps'")
    after = record(folder)
    assert files_of(folder) == untouched
    assert after["folders"] == {str((project / "maps").resolve()): "../../maps"}
    assert list(after) == list(before) and after["outputs"] == before["outputs"]
    assert {m.siren_volumes for m in blocks(session)} == {str((project / "maps").resolve())}
    run("siren expand #1")
    with pytest.raises(UserError, match="Nothing is missing"):
        run(f"siren locate '{project}/maps'")


def test_volumes_are_located_for_a_run_whose_blocks_are_not_open(
    session: Any, run: Any, project: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="No blocks are open"):
        run(f"siren locate '{tmp_path}'")
    (project / "volumes").rename(tmp_path / "data")
    run(f"siren locate '{tmp_path}/data' run '{project}/siren/00_sketch'")
    run(f"siren expand '{project}/siren/00_sketch' open false")


@pytest.mark.parametrize("fault", ["density", "size", "missing"])
def test_other_volumes_are_refused_and_the_record_stays_as_it_was(
    session: Any, run: Any, project: Path, fault: str
) -> None:
    folder, maps = project / "siren/00_sketch", project / "maps"
    run(f"siren open '{folder}'")
    (project / "volumes").rename(maps)
    one = maps / "vol_1.mrc"  # the first; what is read are the first, the middle and the last
    if fault == "density":  # the volumes of another training have the same names and sizes
        array = np.ascontiguousarray(read_map(one)[0][::-1], np.float32)
        one.write_bytes(one.read_bytes()[:1024] + array.tobytes())
    elif fault == "size":
        one.write_bytes(one.read_bytes() + b"0")
    else:
        one.unlink()
    before = (folder / "run.json").read_bytes()
    with pytest.raises(UserError, match=r"vol_1\.mrc") as caught:
        run(f"siren locate '{maps}'")
    assert "Give the folder" in str(caught.value) or "give the folder" in str(caught.value)
    assert (folder / "run.json").read_bytes() == before


def test_a_folder_without_the_volumes_is_refused_although_they_are_elsewhere(
    session: Any, run: Any, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    folder = project / "siren/00_sketch"
    before = (folder / "run.json").read_bytes()
    with pytest.raises(UserError, match="holds no volume"):
        run(f"siren locate '{tmp_path}/empty' run '{folder}'")
    with pytest.raises(UserError, match="Nothing is missing"):
        run(f"siren locate '{project}/volumes' run '{folder}'")
    assert (folder / "run.json").read_bytes() == before


def test_all_steps_beside_a_run_are_told_where_the_volumes_are(
    session: Any, run: Any, project: Path, log: Any
) -> None:
    sketch, expand = project / "siren/00_sketch", project / "siren/02_expand"
    run(f"siren open '{expand}'")
    (project / "volumes").rename(project / "maps")
    run(f"siren locate '{project}/maps'")
    for folder in (sketch, expand):
        assert record(folder)["folders"][str((project / "maps").resolve())] == "../../maps"
    said = " ".join(log.getvalue().split())
    assert f"The volumes of {expand} are in {project / 'maps'} now" in said
    assert "so are those of 00_sketch beside it." in said
    run(f"siren expand '{sketch}' open false")


def test_a_session_saved_before_volumes_were_located_knows_where_they_are_when_it_is_opened(
    session: Any, run: Any, project: Path, tmp_path: Path, log: Any
) -> None:
    from chimerax.siren.session.opened import when_folders_moved

    folder, old, new = project / "siren/00_sketch", project / "volumes", project / "maps"
    run(f"siren open '{folder}'")
    run(f"save '{tmp_path}/s.cxs'")
    old.rename(new)
    run(f"siren locate '{new}'")  # and the session is not saved again
    moves: list[Any] = []
    handler = when_folders_moved(session, moves.extend)
    reopen(session, tmp_path / "s.cxs")
    handler.remove()
    assert {m.siren_volumes for m in blocks(session)} == {str(new.resolve())}
    assert moves == [(old.resolve(), new.resolve())]
    assert f"The volumes of {folder} are in {new.resolve()} now." in log.getvalue()


def test_a_run_copied_without_its_volumes_says_whose_it_uses_and_can_be_bound_to_others(
    session: Any, run: Any, project: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(project / "siren", copy / "siren")
    folder, own = copy / "siren/00_sketch", (copy / "volumes").resolve()
    original = str((project / "volumes").resolve())
    with StringPlainTextLog(session.logger) as log:
        run(f"siren open '{folder}'")
        run("siren states #1")
    said = log.getvalue()
    assert said.count("without its volumes") == 1  # once, not with every command
    assert str(own) in said and original in said
    assert f"siren locate VOLUMES run {folder}" in said
    shutil.copytree(project / "volumes", tmp_path / "disk")
    run(f"siren locate '{tmp_path}/disk'")
    assert {m.siren_volumes for m in blocks(session)} == {str((tmp_path / "disk").resolve())}
    run("close session")
    with StringPlainTextLog(session.logger) as log:
        run(f"siren open '{folder}'")
        run(f"siren states '{copy}/siren/02_expand'")  # located with it
    assert "without its volumes" not in log.getvalue()


def test_the_borrowed_volumes_can_be_kept(
    session: Any, run: Any, project: Path, tmp_path: Path
) -> None:
    shutil.copytree(project / "siren/00_sketch", tmp_path / "results/alone")
    volumes = f"'{project}/volumes' run '{tmp_path}/results/alone'"
    run(f"siren locate {volumes}")
    with StringPlainTextLog(session.logger) as log:
        run(f"siren open '{tmp_path}/results/alone'")
    assert "without its volumes" not in log.getvalue()
    with pytest.raises(UserError, match="Nothing is missing"):
        run(f"siren locate {volumes}")


# ---- a run that was killed where folders are exchanged in two steps, as on NFS


@pytest.mark.parametrize(
    "command",
    [
        "siren open {out}/00_sketch",
        "siren expand {out}/00_sketch open false",
        "siren states 'file:{out}/00_sketch'",
        "siren compare {out}/00_sketch {out}/02_expand",
        "siren mask {out}/00_sketch {project}/masks",
        "siren report {out}/02_expand saveFile {project}/r.html",
    ],
)
def test_a_sketch_that_a_kill_left_hidden_is_found_by_whatever_reads_it(
    session: Any, run: Any, project: Path, command: str
) -> None:
    out = project / "siren"
    (out / "00_sketch").rename(out / ".siren-old-00_sketch")
    run(command.format(out=out, project=project))
    if "report" not in command:  # which reads it for its parameters alone
        assert sorted(p.name for p in out.iterdir() if p.name.startswith(("0", ".")))[0][0] == "0"
    assert (out / "00_sketch" / "run.json").is_file()


def test_blocks_that_are_open_go_on_with_a_folder_that_was_left_hidden(
    session: Any, run: Any, project: Path
) -> None:
    out = project / "siren"
    run(f"siren open '{out}/00_sketch'")
    (out / "00_sketch").rename(out / ".siren-old-00_sketch")
    run("siren states #1")
    assert (out / "00_sketch" / "run.json").is_file()


# ---- tables and masks that a record names


def test_the_report_of_a_copied_project_names_its_own_table_and_mask(
    session: Any, run: Any, project: Path, tmp_path: Path, log: Any
) -> None:
    volumes, old = project / "volumes", project / "siren"
    run(f"siren sketch '{volumes}' {EXACT} open false")
    shutil.copy(old / "00_sketch" / "block_1.mrc", project / "inside.mrc")
    rows = "".join(f"{p.name},{LEVEL}\n" for p in sorted(volumes.iterdir()))
    (project / "levels.csv").write_text("map_file,denormalized_predictions\n" + rows)
    run(
        f"siren sketch '{volumes}' thresholds '{project}/levels.csv' mask '{project}/inside.mrc' "
        "maskSide outside statistic exact subsample 1 resamples 0 open false"
    )
    run(f"siren expand '{old}/00_sketch' open false")
    new = tmp_path / "home/j43"
    project.rename(new)
    log.getvalue()
    run(f"siren report '{new}/siren/02_expand' saveFile '{tmp_path}/r.html'")
    said = (tmp_path / "r.html").read_text()
    assert str(project) not in said
    assert f"thresholds {new}/levels.csv" in said and f"mask {new}/inside.mrc" in said


def test_masks_that_blocks_were_compared_to_are_not_called_moved(
    session: Any, run: Any, project: Path, log: Any
) -> None:
    """Their folder never held a run."""
    sketch = project / "siren/00_sketch"
    run(f"siren mask '{sketch}' '{project}/masks'")
    run(f"siren compare '{sketch}' '{project}/masks'")
    assert str(project / "masks") in {m.siren_folder for m in blocks(session)}
    run(f"save '{project}/s.cxs'")
    log.getvalue()
    reopen(session, project / "s.cxs")
    assert "moved, renamed or deleted" not in log.getvalue()
