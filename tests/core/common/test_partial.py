"""Files being written: those of killed writers are removed, those of living ones are not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.files import atomic_file, atomic_folder
from chimerax.siren.core.common.partial import (
    PREFIX,
    exchange,
    only_writer,
    partial_file,
    partial_folder,
)
from chimerax.siren.core.common.reading import open_file, read_bytes
from chimerax.siren.core.common.schema import (
    GRID,
    Mismatch,
    integer,
    listing,
    mapping,
    number,
    optional,
    record,
    text,
)

pytest.importorskip("fcntl", reason="Windows keeps files that are open")


def test_what_a_killed_writer_left_is_removed_by_the_next_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}abc.csv").write_text("half")
    (tmp_path / f"{PREFIX}def" / "below").mkdir(parents=True)
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "gone")
    (tmp_path / ".mine").write_text("not of ours")
    with atomic_file(tmp_path / "a.csv") as temporary:
        temporary.write_text("x")
    found = {p.name for p in tmp_path.iterdir()}
    assert found == {"a.csv", ".mine", f"{PREFIX}link"}  # links are never followed nor judged


def test_what_another_process_is_writing_stays(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from chimerax.siren.core.common.partial import partial_file, partial_folder\n"
        "here = Path(sys.argv[1])\n"
        "with partial_file(here, '.csv') as a, partial_folder(here) as b:\n"
        "    print('writing', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdin is not None and other.stdout is not None
    assert other.stdout.readline() == "writing\n"
    with atomic_folder(tmp_path / "result"):
        pass
    assert len([p for p in tmp_path.iterdir() if p.name.startswith(PREFIX)]) == 2
    other.kill()
    other.wait()
    with atomic_folder(tmp_path / "result"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["result"]


def test_writers_of_one_process_leave_each_other_alone(tmp_path: Path) -> None:
    with partial_file(tmp_path, ".a") as one, partial_folder(tmp_path) as two:
        with partial_file(tmp_path, ".b") as three:
            assert one.exists() and two.is_dir() and three.exists()
        assert one.exists() and two.is_dir() and not three.exists()


def test_exchange_swaps_files_and_folders_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").touch()
    (tmp_path / "b").write_text("file")
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot")
    assert (tmp_path / "a").read_text() == "file" and (tmp_path / "b" / "x").exists()


def test_only_one_thread_at_a_time_is_the_only_writer(tmp_path: Path) -> None:
    order: list[str] = []
    inside, waiting = threading.Event(), threading.Event()

    def second() -> None:
        inside.wait()
        waiting.set()
        with only_writer(tmp_path):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with only_writer(tmp_path):
        inside.set()
        waiting.wait()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


# --- reading


def test_only_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, word in (
        (tmp_path / "pipe", "named pipe"),
        (Path("/dev/zero"), "device"),
        (tmp_path, "folder"),
    ):
        with pytest.raises(SirenError, match=word):
            open_file(path)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"abc")
    assert read_bytes(tmp_path / "link", 3) == b"abc"
    with pytest.raises(SirenError, match="longer than"):
        read_bytes(tmp_path / "link", 2)


# --- schemas


POINT = record({"xyz": listing(integer(0, 9), 3, 3)}, {"name": optional(text)})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, "has no xyz"),
        ([], "is a list, not a table of names and values"),
        ({"xyz": [1, 2]}, "xyz has 2 entries, not 3"),
        ({"xyz": [1, 2, 10]}, "entry 3 of xyz is 10, not a whole number from 0 to 9"),
        ({"xyz": [1, True, 1]}, "entry 2 of xyz is True"),
        ({"xyz": [1, 1.0, 1]}, "entry 2 of xyz is 1.0"),
        ({"xyz": "abc"}, "xyz is abc, not a list"),
        ({"xyz": [1, 2, 3], "name": 4}, "name is 4, not a text"),
        ({"xyz": [1, 2, 3], "name": "x" * 10_001}, "name is a text of 10,001 characters"),
    ],
)
def test_a_mismatch_says_where_and_what_belongs_there(value: object, says: str) -> None:
    with pytest.raises(Mismatch) as caught:
        POINT(value)
    assert str(caught.value).startswith(says)


def test_what_passes_is_returned_without_what_is_not_known() -> None:
    assert POINT({"xyz": [1, 2, 3], "name": None, "more": 1}) == {"xyz": [1, 2, 3], "name": None}


@pytest.mark.parametrize(
    "value", [float("inf"), float("nan"), 1e39, -1, 0, "1", None, True, 10**400]
)
def test_numbers_of_grids_are_finite_and_in_bounds(value: object) -> None:
    with pytest.raises(Mismatch):
        number(above=0)(value)
    grid = {"shape_zyx": [1, 2, 3], "voxel_size_xyz": [1, 1.5, value], "origin_xyz": [0, 0, 0]}
    with pytest.raises(Mismatch):
        GRID(grid)


@pytest.mark.parametrize("key", ["01", "-1", "1.0", "", "\u0661", "9" * 10, "1\n"])
def test_odd_keys_are_refused(key: str) -> None:
    with pytest.raises(Mismatch, match="entry named"):
        mapping(integer(), r"0|[1-9][0-9]{0,8}")({key: 1})
