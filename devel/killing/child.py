"""Work in a process of its own, killed at one of its steps, and what is left of it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chimerax.siren.core.common.partial import PREFIX

CHANGING = ("open", "os.", "shutil.", "ctypes.dlsym", "tempfile.")  # events of files
Wrong = tuple[int, list[str]]  # the number of kills, and what was wrong


def content(path: Path) -> str | None:
    """A hash of a file or folder, without the seconds that a run took; None if it is not there."""
    if not path.exists():
        return None
    total = hashlib.sha256()
    for file in sorted([path] if path.is_file() else path.rglob("*")):
        if file.name.startswith(PREFIX):  # see leftovers
            continue
        total.update(str(file.relative_to(path)).encode())
        if file.name == "run.json":
            record = json.loads(file.read_text())
            record.pop("timings_s", None)
            total.update(json.dumps(record).encode())
        elif file.is_file():
            total.update(file.read_bytes())
    return total.hexdigest()


def leftovers(root: Path) -> list[str]:
    """What killed processes have left behind, beside their results and in the temporary folder."""
    found = [*root.rglob(".siren-*"), *temporary_folder(root).glob("*")]
    return [os.path.relpath(p, root) for p in found]


def temporary_folder(root: Path) -> Path:
    """The folder for temporary files of what is killed."""
    return root.with_name("temporary")


def in_child(
    work: Callable[[], object],
    kill_at: int | None,
    count_to: Path | None = None,
    temporary: Path | None = None,
) -> bool:
    """Do something in another process, and kill it before its step ``kill_at``; whether it lived.

    The number of its steps is written to ``count_to``; its temporary files are in ``temporary``.
    """
    sys.stdout.flush()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return False
        if os.waitstatus_to_exitcode(status):
            raise RuntimeError(f"{work} failed")
        return True
    if temporary is not None:
        temporary.mkdir(exist_ok=True)
        tempfile.tempdir = str(temporary)
    steps = [0]

    def count(event: str, arguments: Any) -> None:
        if event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR) == 0:
            return
        if event.startswith(CHANGING) and not event.startswith(("os.listdir", "os.scandir")):
            steps[0] += 1
            if steps[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    try:
        work()
        done = steps[0]
        if count_to is not None:
            count_to.write_text(str(done))
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def kill_points(steps: int, each: int, chance: random.Random) -> list[int]:
    """Steps to kill at: the last ones, where results take their places, and others at random."""
    last = range(max(1, steps - each // 2 + 1), steps + 1)
    others = [n for n in range(1, steps + 1) if n not in last]
    return sorted({*last, *chance.sample(others, min(len(others), each - len(last)))})
