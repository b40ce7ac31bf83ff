"""A kill at any step loses nothing: a short run of make kills, and that it would find a loss."""

from __future__ import annotations

import importlib
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

DEVEL = Path(__file__).parents[2] / "devel"
pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
KILLS = 3


@pytest.fixture(scope="module")
def kills() -> Iterator[Any]:
    sys.path.insert(0, str(DEVEL))
    yield importlib.import_module("kills")
    sys.path.remove(str(DEVEL))


@pytest.fixture(scope="module")
def base(kills: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kills.make_base(tmp_path_factory.mktemp("kills") / "base")


COMMANDS = (
    *("example", "preprocess", "predict", "label", "label template", "evaluate"),
    *("sketch", "expand", "block save", "particles"),
    *("mask", "mask maven", "volumes", "relate", "report", "mask segmentation", "occupancy"),
    *("locate", "finetune"),
)
TYPED = (
    *("states", "label redo", "screen", "compare", "annotate", "relate tables", "volumes table"),
    *("plot", "particles of RELION", "particles of cryoSPARC"),
    *("figure", "movie frames", "movie", "predict by network"),
)


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=COMMANDS)
def test_a_killed_command_leaves_the_earlier_result_or_the_new_one(
    kills: Any, base: Path, number: int
) -> None:
    assert tuple(c.name for c in kills.COMMANDS) == COMMANDS
    if COMMANDS[number] == "finetune":
        pytest.importorskip("torch", reason="torch is not installed: fine-tuning cannot be killed")
    count, wrong = kills.kill_command(base, kills.COMMANDS[number], KILLS, random.Random(0))
    assert (count, wrong) == (KILLS, [])


@pytest.mark.parametrize("name", ["sketch", "block save", "preprocess"])
def test_a_command_killed_where_folders_are_exchanged_in_two_steps_leaves_one_that_reading_finds(
    kills: Any, base: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on NFS, where the system has no exchange in one step."""
    monkeypatch.setattr(kills.files, "exchange", lambda one, other: False)
    command = kills.COMMANDS[COMMANDS.index(name)]
    count, wrong = kills.kill_command(base, command, 4 * KILLS, random.Random(1))
    assert (count, wrong) == (4 * KILLS, [])


@pytest.fixture(scope="module")
def typed(_chimerax: Any) -> dict[str, str]:
    """What the table says of each command that is typed in ChimeraX, killed in a process of its
    own: this one has drawn pictures, with threads that copies of it would lack.
    """
    names = [n for n in TYPED if n != "predict by network" or find_spec("torch")]
    program = [sys.executable, str(DEVEL / "kills.py"), "--each", str(KILLS), "--only", *names]
    done = subprocess.run(program, capture_output=True, text=True, timeout=600)
    rows = re.findall(r"^(\S.*?) +(\d+ kills  .*(?:\n    .*)*)", done.stdout, re.MULTILINE)
    return {**dict(rows), "": done.stdout + done.stderr}


@pytest.mark.parametrize("name", TYPED)
def test_a_killed_command_of_chimerax_leaves_the_earlier_result_or_the_new_one(
    kills: Any, typed: dict[str, str], name: str
) -> None:
    assert tuple(c.name for c in kills.TYPED) == TYPED
    if name == "predict by network" and not find_spec("torch"):
        pytest.skip("torch is not installed: prediction cannot be killed")
    assert typed.get(name, typed[""]) == f"{KILLS} kills  fine"


def test_a_killed_sketch_over_an_edited_one_keeps_the_edits(kills: Any, base: Path) -> None:
    assert kills.kill_over_edits(base, KILLS, random.Random(0)) == (KILLS, [])


def test_several_writers_of_labels_lose_none_though_some_are_killed(kills: Any) -> None:
    count, wrong = kills.kill_among_writers(random.Random(0))
    assert count and not wrong


@pytest.mark.usefixtures("_chimerax")
def test_torch_can_be_installed_after_pip_was_killed(kills: Any) -> None:
    assert kills.kill_install(KILLS, random.Random(0)) == (KILLS, [])


def test_a_command_that_writes_in_place_is_found(kills: Any, base: Path) -> None:
    def in_place(root: Path, version: int) -> None:
        with open(root / "siren" / "notes.txt", "w") as file:
            file.write(str(version))
        (root / "siren" / ".siren-part-mine").touch()
        with open(root / "siren" / "notes.txt", "a") as file:
            file.write("end")

        if not list(Path(tempfile.gettempdir()).glob("mine-*")):
            tempfile.mkdtemp(prefix="mine-")

    command = kills.Command("notes", in_place, ("siren/notes.txt",))
    _, wrong = kills.kill_command(base, command, 3, random.Random(0))
    assert any("neither the earlier nor the new one" in line for line in wrong)
    assert any("leaves siren/.siren-part-mine, ../temporary/mine-" in line for line in wrong)


def test_an_unlocked_table_of_labels_is_found(kills: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import contextlib
    import time

    from chimerax.siren.core.common import partial
    from chimerax.siren.core.thresholds import labels

    @contextlib.contextmanager
    def nobody_waits(folder: Path) -> Iterator[None]:
        yield

    rows = labels._rows

    def slow(path: Path) -> Any:
        found = rows(path)
        time.sleep(0.01)  # until another has written
        return found

    monkeypatch.setattr(partial, "only_writer", nobody_waits)
    monkeypatch.setattr(labels, "_rows", slow)
    _, wrong = kills.kill_among_writers(random.Random(0))
    assert any(line.startswith("lost:") for line in wrong)
