"""Files and folders are written completely or not at all, and edits are never lost."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chimerax.siren.core.common import files
from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.files import (
    RECORD,
    atomic_file,
    atomic_files,
    atomic_folder,
    check_writable,
    read_json,
    set_edits_aside,
    sha256,
    write_json,
)
from chimerax.siren.core.common.partial import PREFIX


def everything(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, including hidden ones, with its content; None for folders."""
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in sorted(folder.rglob("*"))
    }


def run_folder(path: Path, **contents: str) -> Path:
    """A folder as written by a run: files, and a record with their hashes."""
    path.mkdir(parents=True)
    for name, text in contents.items():
        (path / f"{name}.txt").write_text(text)
    write_json(path / RECORD, {"outputs": {p.name: sha256(p) for p in path.iterdir()}})
    return path


def write_file(path: Path, text: str, error: BaseException | None = None) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text(text)
        if error:
            raise error


def write_folder(path: Path, text: str, error: BaseException | None = None) -> None:
    with atomic_folder(path) as temporary:
        (temporary / "a.txt").write_text(text)
        (temporary / "below").mkdir()
        (temporary / "below" / "b.txt").write_text(text)
        if error:
            raise error


WRITERS = [write_file, write_folder]
Writer = Callable[..., None]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    "error", [ValueError("wrong"), Cancelled("Stopped."), KeyboardInterrupt(), SirenError("Bad.")]
)
def test_an_exception_leaves_nothing_behind_and_passes_through(
    tmp_path: Path, write: Writer, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        write(tmp_path / "new" / "deep" / "result", "half", error)
    assert caught.value is error
    assert everything(tmp_path) == {}  # parent folders included


@pytest.mark.parametrize("write", WRITERS)
def test_an_exception_leaves_an_earlier_result_as_it_was(tmp_path: Path, write: Writer) -> None:
    write(tmp_path / "result", "first")
    (tmp_path / "other").write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(RuntimeError):
        write(tmp_path / "result", "half", RuntimeError())
    assert everything(tmp_path) == before


@pytest.mark.parametrize("write", WRITERS)
def test_a_result_replaces_the_earlier_one_and_nothing_else_is_left(
    tmp_path: Path, write: Writer
) -> None:
    write(tmp_path / "result", "first")
    write(tmp_path / "result", "second")
    texts = {k: v for k, v in everything(tmp_path).items() if v is not None}
    assert set(texts.values()) == {b"second"}
    assert {p.name for p in tmp_path.iterdir()} == {"result"}


def test_a_new_folder_has_none_of_the_earlier_ones_files(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "block_9.mrc").write_text("of an earlier run")
    write_folder(tmp_path / "result", "new")
    assert set(everything(tmp_path / "result")) == {"a.txt", "below", "below/b.txt"}


@pytest.mark.parametrize("write", WRITERS)
def test_the_earlier_result_stays_until_the_new_one_is_complete(
    tmp_path: Path, write: Writer
) -> None:
    write(tmp_path / "result", "first")
    before = everything(tmp_path / "result") or (tmp_path / "result").read_bytes()
    manager = (atomic_file if write is write_file else atomic_folder)(tmp_path / "result")
    with manager as temporary:
        if write is write_file:
            temporary.write_text("second")
        else:
            (temporary / "a.txt").write_text("second")
        assert (everything(tmp_path / "result") or (tmp_path / "result").read_bytes()) == before
        assert temporary.parent == tmp_path  # same file system: moving is atomic
        assert temporary.name.startswith(".")


@pytest.mark.parametrize("write", WRITERS)
def test_results_have_the_permissions_of_the_umask(tmp_path: Path, write: Writer) -> None:
    old = os.umask(0o027)
    try:
        write(tmp_path / "result", "x")
    finally:
        assert os.umask(old) == 0o027  # unchanged
    mode = stat.S_IMODE((tmp_path / "result").stat().st_mode)
    assert mode == (0o640 if write is write_file else 0o750)


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_that_cannot_be_written_to_gives_a_one_sentence_error(
    tmp_path: Path, write: Writer
) -> None:
    (tmp_path / "out").write_text("a file where the folder should be")
    before = everything(tmp_path)
    with pytest.raises(SirenError) as caught:
        write(tmp_path / "out" / "result", "x")
    message = str(caught.value)
    assert str(tmp_path / "out" / "result") in message
    assert message.endswith("give another output folder.")
    assert "\n" not in message
    assert everything(tmp_path) == before


@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_gives_a_one_sentence_error_and_leaves_nothing(
    tmp_path: Path, write: Writer
) -> None:
    with pytest.raises(
        SirenError,
        match=r"result cannot be written \(No space left on device\): "
        r"give another output folder",
    ):
        write(tmp_path / "result", "x", OSError(28, "No space left on device"))
    assert everything(tmp_path) == {}


def test_a_folder_in_the_place_of_a_file_gives_a_one_sentence_error(tmp_path: Path) -> None:
    (tmp_path / "predictions.csv" / "kept").mkdir(parents=True)
    with pytest.raises(SirenError, match=r"predictions\.csv cannot be written"):
        write_file(tmp_path / "predictions.csv", "x")
    assert set(everything(tmp_path)) == {"predictions.csv", "predictions.csv/kept"}


def test_an_earlier_folder_is_back_in_its_place_when_the_new_one_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "result", "first")
    before = everything(tmp_path)
    monkeypatch.setattr(files, "exchange", lambda new, path: False)  # as on a network drive
    move = Path.replace

    def fail_for_the_new(self: Path, target: Any) -> Path:
        if Path(target) == tmp_path / "result" and self.name.startswith(PREFIX):
            raise PermissionError(13, "Permission denied")
        return move(self, target)

    monkeypatch.setattr(Path, "replace", fail_for_the_new)
    with pytest.raises(SirenError, match="Permission denied"):
        write_folder(tmp_path / "result", "second")
    assert everything(tmp_path) == before


# --- edits by hand


def test_a_folder_as_its_run_left_it_is_not_set_aside(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "00_sketch", a="1", b="2")
    (folder / ".DS_Store").write_bytes(b"written by the Finder")
    (folder / ".siren-part-1.json").write_bytes(b"left behind by a kill")
    assert set_edits_aside(folder) is None
    assert folder.is_dir()
    assert set_edits_aside(tmp_path / "02_expand") is None


def edit(folder: Path) -> None:
    (folder / "a.txt").write_text("9")


def add(folder: Path) -> None:
    (folder / "c.txt").write_text("drawn by hand")


def add_folder(folder: Path) -> None:
    (folder / "old").mkdir()


def delete(folder: Path) -> None:
    (folder / "a.txt").unlink()


def rename(folder: Path) -> None:
    (folder / "a.txt").rename(folder / "c.txt")


def lose_record(folder: Path) -> None:
    (folder / RECORD).unlink()


def spoil_record(folder: Path) -> None:
    (folder / RECORD).write_text("[]")


@pytest.mark.parametrize(
    "change", [edit, add, add_folder, delete, rename, lose_record, spoil_record]
)
def test_a_copy_of_an_edited_folder_is_kept_completely(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = run_folder(tmp_path / "00_sketch", a="1", b="2")
    change(folder)
    before = everything(folder)
    aside = set_edits_aside(folder)
    assert aside == tmp_path / "00_sketch_edited_1"
    assert everything(aside) == before
    assert everything(folder) == before  # it is there until the new one takes its place


def test_a_second_folder_set_aside_does_not_replace_the_first(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        shutil.rmtree(tmp_path / "00_sketch", ignore_errors=True)
        folder = run_folder(tmp_path / "00_sketch", a=str(number))
        add(folder)
        assert set_edits_aside(folder) == tmp_path / f"00_sketch_edited_{number}"
    assert [(tmp_path / f"00_sketch_edited_{n}" / "a.txt").read_text() for n in (1, 2, 3)] == [
        "1",
        "2",
        "3",
    ]


def test_a_file_of_the_folders_name_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "00_sketch").write_text("my notes")
    aside = set_edits_aside(tmp_path / "00_sketch")
    assert aside is not None
    assert aside.read_text() == "my notes"


def test_a_folder_that_cannot_be_written_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("a file")
    for folder in (tmp_path / "notes", tmp_path / "notes/siren/out"):
        with pytest.raises(SirenError, match=re.escape(f"{folder} cannot be written")):
            check_writable(folder)
    check_writable(tmp_path / "new/deep")
    assert [p.name for p in tmp_path.iterdir()] == ["notes"]


# --- JSON


def test_json_round_trip(tmp_path: Path) -> None:
    content = {
        "a": {"b": [1, 2.5, None, True], "c": {}, "ä": "ü\n"},
        "d": [[1, 2, 3], [4, 5, 6]],
        "e": 1e-300,
        "f": "x",
    }
    write_json(tmp_path / "a.json", content)
    assert (
        read_json(tmp_path / "a.json") == content == json.loads((tmp_path / "a.json").read_text())
    )


def test_json_has_one_line_for_each_list_and_plain_line_ends(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": {"b": [1, 2], "c": [[1, 2], [3, 4]]}})
    assert (tmp_path / "a.json").read_bytes() == (
        b'{\n  "a": {\n    "b": [1, 2],\n    "c": [[1, 2], [3, 4]]\n  }\n}\n'
    )


def test_values_that_json_cannot_hold_are_a_programming_error(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": np.zeros(3)})


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1, 2]", b"3", b"\xff\xfe\x00", b"vol_id,level\n"]
)
def test_a_file_that_is_not_a_json_object_gives_a_one_sentence_error(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SirenError) as caught:
        read_json(tmp_path / "a.json")
    assert "a.json" in str(caught.value)
    assert str(caught.value).endswith("run the step that writes it again.")
    assert "\n" not in str(caught.value)


def test_a_missing_json_file_gives_a_one_sentence_error(tmp_path: Path) -> None:
    with pytest.raises(SirenError, match=r"gone\.json cannot be read .*run the step"):
        read_json(tmp_path / "gone.json")


def test_hashes_are_those_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert (
        files.sha256(tmp_path / "a")
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


@pytest.mark.parametrize("held", ["one.csv", "two.csv"])
def test_a_table_that_excel_holds_open_on_windows_is_named_and_none_of_its_company_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    paths = tmp_path / "one.csv", tmp_path / "two.csv"
    for path in paths:
        path.write_text("earlier")
    replace = os.replace

    def windows(source: Path, target: Path) -> None:
        if Path(target).name == held:
            error = PermissionError(13, "Access is denied", str(source), None, str(target))
            error.winerror = 5  # type: ignore[attr-defined]
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", windows)

    def write_both() -> None:
        with atomic_files(*paths) as temporary:
            for path in temporary:
                path.write_text("new")

    with pytest.raises(SirenError) as caught:
        write_both()
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / held} cannot be replaced (Access is denied): close it")
    assert said.endswith("or give another output folder.") and "\n" not in said
    assert everything(tmp_path) == {"one.csv": b"earlier", "two.csv": b"earlier"}


def test_a_file_that_stays_open_on_a_network_drive_does_not_stop_the_next_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, folders are not exchanged in one step, and one with an open file cannot be removed."""
    monkeypatch.setattr(files, "exchange", lambda one, other: False)
    remove = shutil.rmtree
    write_folder(tmp_path / "result", "first")
    monkeypatch.setattr(shutil, "rmtree", lambda path, ignore_errors=False: None)
    for text in ("second", "third"):
        write_folder(tmp_path / "result", text)
        assert (tmp_path / "result" / "a.txt").read_text() == text
    monkeypatch.setattr(shutil, "rmtree", remove)
    write_folder(tmp_path / "result", "fourth")  # it was closed
    assert set(everything(tmp_path / "result")) == {"a.txt", "below", "below/b.txt"}
    assert {p.name for p in tmp_path.iterdir()} == {"result"}


def test_what_a_kill_left_of_an_earlier_replacement_does_not_stop_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "exchange", lambda one, other: False)
    for name in ("result", ".siren-old-result"):
        write_folder(tmp_path / name, name)
    write_folder(tmp_path / "result", "new")
    assert (tmp_path / "result" / "a.txt").read_text() == "new"
    assert {p.name for p in tmp_path.iterdir()} == {"result"}


def kill_between_two_steps(path: Path) -> None:
    """As where folders are not exchanged in one step: the earlier one waits under another name."""
    path.rename(path.with_name(f".siren-old-{path.name}"))


def test_a_folder_that_a_kill_left_hidden_gets_its_name_back_also_below_another(
    tmp_path: Path,
) -> None:
    write_folder(tmp_path / "out" / "result", "first")
    kill_between_two_steps(tmp_path / "out" / "result")
    kill_between_two_steps(tmp_path / "out")
    files.restore(tmp_path / "out" / "result" / "a.txt")
    assert (tmp_path / "out" / "result" / "a.txt").read_text() == "first"
    files.restore(tmp_path / "never" / "there")
    assert {p.name for p in tmp_path.iterdir()} == {"out"}
    kill_between_two_steps(tmp_path / "out" / "result")
    files.restore_inside(tmp_path / "out")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"result"}
    files.restore_inside(tmp_path / "nowhere")


def test_a_hidden_folder_does_not_replace_one_that_is_there(tmp_path: Path) -> None:
    write_folder(tmp_path / "result", "old")
    kill_between_two_steps(tmp_path / "result")
    write_file(tmp_path / "result", "a file of a person")
    files.restore(tmp_path / "result")
    assert (tmp_path / "result").read_text() == "a file of a person"


def test_a_reader_that_restores_a_folder_while_it_is_replaced_does_not_stop_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "exchange", lambda one, other: False)
    write_folder(tmp_path / "result", "first")
    move, readers = Path.replace, iter(range(2))

    def read_in_between(self: Path, target: Any) -> Path:
        moved = move(self, target)
        if Path(target).name == ".siren-old-result" and next(readers, None) is not None:
            files.restore(tmp_path / "result")
        return moved

    monkeypatch.setattr(Path, "replace", read_in_between)
    write_folder(tmp_path / "result", "second")
    assert (tmp_path / "result" / "a.txt").read_text() == "second"
    assert next(readers, None) is None
    assert {p.name for p in tmp_path.iterdir()} == {"result"}
