"""Where the files of a record are: as found by hand-made trees of folders."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chimerax.siren.core import SketchParameters, find_ensemble, run_sketch
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.runs.moved import candidates, locate_volumes, moved_path, renamed
from chimerax.siren.core.runs.places import (
    HARMONIZED_NOTE,
    Borrowed,
    borrowed_volumes,
    file_now,
    folder_now,
    folders_of,
    mask_of,
    seen_from,
    table_of,
    volumes_now,
)
from chimerax.siren.core.runs.record import read_record
from ensembles import LEVEL, write_planted


def volume(path: Path | str, size: int = 3, left_out: str | None = None) -> dict[str, Any]:
    name = str(path).replace("\\", "/").rpartition("/")[2]
    return {"name": name, "path": str(path), "bytes": size, "level": 1.0, "left_out": left_out}


def put(path: Path, content: str = "map") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_folders_are_seen_through_links_and_with_slashes(tmp_path: Path) -> None:
    real = tmp_path / "disk/j42/siren/00_sketch"
    real.mkdir(parents=True)
    (tmp_path / "disk/j42/volumes").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "disk/j42")
    seen = seen_from(tmp_path / "home/siren/00_sketch", [str(tmp_path / "disk/j42/volumes")])
    assert list(seen.values()) == ["../../volumes"]


def test_the_place_beside_the_record_counts_first_if_it_has_the_file(tmp_path: Path) -> None:
    old, new = put(tmp_path / "a/volumes/v.mrc"), put(tmp_path / "b/volumes/v.mrc")
    record = tmp_path / "b/siren/00_sketch"
    record.mkdir(parents=True)
    seen = {str(old.parent): "../../volumes"}
    assert volumes_now([volume(old)], seen, record)[0]["path"] == str(new)
    new.write_text("another size")
    assert volumes_now([volume(old)], seen, record)[0]["path"] == str(old)
    old.unlink()
    assert volumes_now([volume(old)], seen, record)[0]["path"] == str(old)
    old.parent.rmdir()  # an error then names the folder that is there
    assert volumes_now([volume(old)], seen, record)[0]["path"] == str(new)


def test_a_record_of_an_earlier_version_is_believed_before_its_surroundings(
    tmp_path: Path,
) -> None:
    old, new = put(tmp_path / "a/volumes/v.mrc"), put(tmp_path / "b/volumes/v.mrc")
    record = tmp_path / "b/siren/00_sketch"
    record.mkdir(parents=True)
    assert volumes_now([volume(old)], None, record)[0]["path"] == str(old)
    old.unlink()
    assert volumes_now([volume(old)], None, record)[0]["path"] == str(new)


def test_volumes_of_several_folders_are_found_each_by_a_file_that_was_used(tmp_path: Path) -> None:
    rows = [
        volume("/gone/one/junk.mrc", left_out="junk"),
        volume("/gone/one/a.mrc"),
        volume("/gone/two/b.mrc"),
        {"name": "memory", "path": None, "bytes": None, "level": 1.0, "left_out": None},
    ]
    one, two = put(tmp_path / "p/one/a.mrc"), put(tmp_path / "p/two/b.mrc")
    record = tmp_path / "p/out/00_sketch"
    record.mkdir(parents=True)
    seen = {"/gone/one": "../../one", "/gone/two": "../../two"}
    found = [v["path"] for v in volumes_now(rows, seen, record)]
    assert found == [str(one.parent / "junk.mrc"), str(one), str(two), None]
    assert rows[1]["path"] == "/gone/one/a.mrc"


@pytest.mark.parametrize("old", [r"C:\Users\me\j42\volumes", r"\\server\share\volumes"])
def test_a_project_written_on_windows_is_found_elsewhere(tmp_path: Path, old: str) -> None:
    new = put(tmp_path / "volumes/v.mrc")
    record = tmp_path / "siren/00_sketch"
    record.mkdir(parents=True)
    rows = [volume(old + r"\v.mrc")]
    for seen in ({old: "../../volumes"}, None):
        assert volumes_now(rows, seen, record)[0]["path"] == str(new)
    assert folder_now(old.replace("volumes", "00_sketch"), None, record) == str(record)


def test_the_run_that_a_record_started_from_is_found_beside_it(tmp_path: Path) -> None:
    sketch, record = tmp_path / "b/siren/00_sketch", tmp_path / "b/siren/02_expand"
    for folder in (sketch, record):
        folder.mkdir(parents=True)
    old = str(tmp_path / "a/siren/00_sketch")
    for seen in ({old: "../00_sketch"}, None):
        assert folder_now(old, seen, record) == str(sketch)
    assert folder_now(None, None, record) is None
    assert folder_now(old, {}, record) == old


def test_what_was_renamed_is_found_for_everything_below_it(tmp_path: Path) -> None:
    old, new = renamed(Path("/a/j42/siren/00_sketch"), Path("/b/j43/siren/00_sketch"))
    assert moved_path(Path("/a/j42/volumes"), old, new) == Path("/b/j43/volumes")
    assert moved_path(Path("/a/j421/volumes"), old, new) is None
    assert renamed(Path("/a/j42/x"), Path("/b/j42/x")) == (Path("/a"), Path("/b"))
    run = put(tmp_path / "j43/siren/00_sketch/run.json").parent
    was = Path("/a/j42/siren/00_sketch")
    for place in (run, run.parent, run.parent.parent, run.parents[1] / "volumes"):
        assert candidates(was, place) == [run]
    assert candidates(was, tmp_path / "elsewhere/volumes") == []


def test_a_series_in_a_zip_file_is_found_in_another_folder(tmp_path: Path) -> None:
    planted = write_planted(tmp_path / "maps", 120)
    old, new = tmp_path / "old" / "series.zip", tmp_path / "new" / "series.zip"
    old.parent.mkdir()
    with zipfile.ZipFile(old, "w") as archive:
        for path in sorted(planted.folder.iterdir()):
            archive.write(path, f"J45/{path.name}")
    parameters = SketchParameters(statistic="exact", subsample=1, resamples=0)
    levels = np.full(120, LEVEL)
    output = tmp_path / "siren"
    run = run_sketch(find_ensemble([old]), levels, "level 0.5", parameters, output)
    old.parent.rename(new.parent)
    record = locate_volumes(run.folder, new.parent)
    assert [v["path"] for v in record.volumes][:1] == [str(new / "J45" / "vol_1.mrc")]
    names = [v["name"] for v in run.record.volumes]
    assert list(read_record(run.folder).ensemble().names) == names
    new.unlink()
    with pytest.raises(SirenError, match=r"has no vol_1\.mrc"):
        locate_volumes(run.folder, new.parent)


@pytest.mark.parametrize(
    ("run", "borrowed"),
    [
        ("a/siren/00_sketch", False),  # where it was made
        ("a/siren2/00_sketch", False),  # elsewhere in the same project
        ("b/siren/00_sketch", True),  # copied without the volumes
        ("alone/00_sketch", True),
    ],
)
def test_a_copied_run_borrows_volumes_that_it_shared_a_project_with(
    tmp_path: Path, run: str, borrowed: bool
) -> None:
    old = put(tmp_path / "a/volumes/v.mrc")
    (tmp_path / run).mkdir(parents=True)
    seen = {str(old.parent): "../../volumes"}
    rows = volumes_now([volume(old)], seen, tmp_path / run)
    assert rows[0]["path"] == str(old)
    own = (tmp_path / run / "../../volumes").resolve()
    expected = Borrowed(own, old.parent) if borrowed else None
    assert borrowed_volumes(rows, seen, tmp_path / run) == expected
    assert borrowed_volumes(rows, None, tmp_path / run) is None  # an earlier version's says nothing


def test_nothing_is_borrowed_from_another_disk_nor_of_what_came_along_or_is_gone(
    tmp_path: Path,
) -> None:
    data = put(tmp_path / "data/v.mrc")
    record = tmp_path / "home/copy/siren/00_sketch"
    record.mkdir(parents=True)
    # as seen from home/j42/siren/00_sketch: the volumes never were in the project
    seen = {str(data.parent): "../../../../data"}
    assert borrowed_volumes([volume(data)], seen, record) is None
    old, new = put(tmp_path / "a/volumes/v.mrc"), put(tmp_path / "home/copy/volumes/v.mrc")
    seen = {str(old.parent): "../../volumes"}
    rows = volumes_now([volume(old)], seen, record)
    assert rows[0]["path"] == str(new)
    assert borrowed_volumes(rows, seen, record) is None
    shutil.rmtree(old.parent)
    assert borrowed_volumes([volume(old)], seen, record) is None


@pytest.mark.parametrize("words", ["{}", "predicted by this command: {}", "{}" + HARMONIZED_NOTE])
def test_the_table_and_the_mask_of_a_moved_project_are_found_there(
    tmp_path: Path, words: str
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    run = old / "siren" / "00_sketch"
    run.mkdir(parents=True)
    table, mask = old / "siren" / "predictions.csv", old / "masks" / "outside.mrc"
    mask.parent.mkdir()
    for file in (table, mask):
        file.write_text("x")
    volumes = [{"path": str(old / "volumes" / "a.mrc"), "bytes": 1, "left_out": None}]
    text = words.format(table)
    assert table_of(text) == str(table)
    folders = seen_from(
        run, folders_of(volumes, None, (table_of(text), mask_of({"mask": str(mask)})))
    )
    old.rename(new)
    here = new / "siren" / "00_sketch"
    assert file_now(str(table), folders, here) == str(new / "siren" / "predictions.csv")
    assert file_now(str(mask), folders, here) == str(new / "masks" / "outside.mrc")
    assert file_now(str(table), None, here) == str(table)  # of an earlier version
    assert file_now("/elsewhere/t.csv", folders, here) == "/elsewhere/t.csv"


def test_levels_of_no_table_and_masks_that_are_open_maps_have_no_path() -> None:
    assert table_of("level 0.5") is None
    assert table_of("by eye") is None
    assert table_of("C:\\maps\\t.csv") == "C:\\maps\\t.csv"
    assert mask_of({"mask": "#5 mask.mrc"}) is None
    assert mask_of({"mask": None}) is None
    assert mask_of({}) is None
