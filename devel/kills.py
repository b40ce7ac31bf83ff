"""Kill every command that writes, at any of its steps, and look at what is left:

    .venv/bin/python devel/kills.py [--seed 0] [--each 40] [--steps] [--only NAME ...]

A kill leaves the earlier result or the new one, whole and under its own name; the next run removes
what the killed one left behind, and gives the new result. Edits of a person are kept through all
of it. Labels that several processes write at the same time are all there in the end.

A process is killed just before a step that changes files (open, rename, link, remove ...), chosen
at random with a fixed seed; Python's audit events tell of them. What needs a session of ChimeraX is
typed in one, of which each killed process is a copy. With --steps folders are exchanged in two
steps, as on NFS: the earlier one may wait under another name until a command reads it. It prints a
table, and ends with status 1 if anything was lost. (Or: make kills)
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from chimerax.siren.core.common import files
from chimerax.siren.core.common.partial import PREFIX
from chimerax.siren.core.thresholds.labels import Label, read_labels, set_labels
from killing.child import Wrong, content, in_child, kill_points, leftovers, temporary_folder
from killing.commands import COMMANDS, TYPED, Command, Typed, make_base, session, sketch
from killing.install import kill_install

WRITERS, LABELS_EACH = 4, 12  # processes that label at the same time, and labels of each


def kill_command(base: Path, command: Command, each: int, chance: random.Random) -> Wrong:
    """Kill a command at several of its steps; the number of kills, and what was wrong."""
    if isinstance(command.work, Typed):
        session()
    scratch = Path(tempfile.mkdtemp(prefix="kills-"))
    wrong: list[str] = []
    try:
        # results name their folder: all are made in the same one
        earlier, root = scratch / "earlier", scratch / "root"

        def results() -> list[str | None]:
            for name in command.results:
                files.restore(root / name)  # as every command does with the paths that it is given
            return [content(root / name) for name in command.results]

        def work(version: int, kill_at: int | None = None, count_to: Path | None = None) -> bool:
            temporary = temporary_folder(root)
            return in_child(lambda: command.work(root, version), kill_at, count_to, temporary)

        shutil.copytree(base, root)
        if command.prepare is not None:
            command.prepare(root)
        at_first = results()
        work(1)
        shutil.copytree(root, earlier)
        before = results()
        steps = scratch / "steps"
        work(2, count_to=steps)
        after = results()
        if before == after:
            wrong.append("the two versions do not differ")
        kills = kill_points(int(steps.read_text()), each, chance)
        for number, kill_at in enumerate(kills):
            there = number % 3 != 0  # else there is no earlier result, for most commands
            shutil.rmtree(root)
            shutil.copytree(earlier if there else base, root)
            lived = work(2, kill_at)
            if lived and there:
                wrong.append(f"step {kill_at}: was not reached")
            for name, old, fine, found in zip(
                command.results, before if there else at_first, after, results(), strict=True
            ):
                if found not in (old, fine):
                    what = "is gone" if found is None else "is neither the earlier nor the new one"
                    wrong.append(f"step {kill_at}: {name} {what}")
            work(2)
            if results() != after:
                wrong.append(f"step {kill_at}: the next run gives another result")
            if left := leftovers(root):
                wrong.append(f"step {kill_at}: the next run leaves {', '.join(left)}")
        return len(kills), wrong
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def kill_over_edits(base: Path, each: int, chance: random.Random) -> Wrong:
    """Kill a sketch that replaces one that a person has edited: the edits are there, visible."""
    scratch = Path(tempfile.mkdtemp(prefix="kills-"))
    wrong: list[str] = []
    try:
        root, earlier = scratch / "root", scratch / "earlier"
        shutil.copytree(base, root)
        (root / "siren" / "00_sketch" / "notes.txt").write_text("drawn by hand")
        edited = content(root / "siren" / "00_sketch")
        shutil.copytree(root, earlier)
        in_child(lambda: sketch(root, 2), None, scratch / "steps")
        after = content(root / "siren" / "00_sketch")
        kills = kill_points(int((scratch / "steps").read_text()), each, chance)
        for kill_at in kills:
            shutil.rmtree(root)
            shutil.copytree(earlier, root)
            in_child(lambda: sketch(root, 2), kill_at)
            if content(root / "siren" / "00_sketch") not in (edited, after):
                wrong.append(f"step {kill_at}: 00_sketch is neither the edited nor the new one")
            for when in ("", " after the next run"):
                seen = [p for p in (root / "siren").iterdir() if not p.name.startswith(".")]
                if edited not in map(content, seen):
                    wrong.append(f"step {kill_at}: the edits are lost{when}")
                in_child(lambda: sketch(root, 2), None)
            if left := leftovers(root):
                wrong.append(f"step {kill_at}: the next run leaves {', '.join(left)}")
        return len(kills), wrong
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def kill_among_writers(chance: random.Random) -> Wrong:
    """Several processes write labels into one table, and one of them is killed now and then."""
    scratch = Path(tempfile.mkdtemp(prefix="kills-"))
    table = scratch / "labels.csv"
    try:
        children = []
        for writer in range(WRITERS):
            child = os.fork()
            if child:
                children.append(child)
                continue
            try:
                for n in range(LABELS_EACH):
                    set_labels(table, [Label("", f"{writer}_{n}.mrc", float(n))])
                os._exit(0)
            except BaseException:
                os._exit(1)
        kills = 0
        for _ in range(LABELS_EACH):  # while they write
            steps = chance.randrange(1, 12)
            kills += not in_child(
                lambda: set_labels(table, [Label("", "killed.mrc", 1.0)]), kill_at=steps
            )
        wrong = [
            f"a writer ended with {status}"
            for status in (os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children)
            if status
        ]
        set_labels(table, [Label("", "last.mrc", 1.0)])
        found = {label.file for label in read_labels(table)}
        expected = {f"{w}_{n}.mrc" for w in range(WRITERS) for n in range(LABELS_EACH)}
        if lost := sorted(expected - found):
            wrong.append(f"lost: {', '.join(lost)}")
        if left := leftovers(scratch):
            wrong.append(f"left: {', '.join(left)}")
        return kills, wrong
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def run(seed: int, each: int, only: Collection[str] = ()) -> Iterator[tuple[str, int, list[str]]]:
    """Kill each command ``each`` times: its name, the number of kills, and what was wrong."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        base = make_base(Path(folder) / "base")
        for command in (*COMMANDS, *TYPED):
            if not only or command.name in only:
                yield command.name, *kill_command(base, command, each, chance)
        if not only:
            yield "sketch over edits", *kill_over_edits(base, each, chance)
            yield "labels by several", *kill_among_writers(chance)
            yield "install torch", *kill_install(each, chance)


def main() -> int:
    """Print a table of the kills."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=40, help="kills of each command")
    parser.add_argument("--steps", action="store_true", help="exchange folders in two steps")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="these commands")
    given = parser.parse_args()
    if unknown := set(given.only) - {c.name for c in (*COMMANDS, *TYPED)}:
        parser.error(f"no command of this table: {', '.join(sorted(unknown))}")
    if given.steps:
        files.exchange = lambda one, other: False
    total, bad = 0, 0
    for name, kills, wrong in run(given.seed, given.each, given.only):
        verdict = "fine" if not wrong else f"{len(wrong)} wrong"
        print(f"{name:20} {kills:4} kills  {verdict}", flush=True)
        for line in wrong[:10]:
            print(f"    {line}")
        total, bad = total + kills, bad + len(wrong)
    print(f"{total} kills, {bad} wrong (seed {given.seed}; leftovers begin with {PREFIX})")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
