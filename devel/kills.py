"""Kill every command that writes, at any of its steps, and look at what is left:

    .venv/bin/python devel/kills.py [--seed 0] [--each 40] [--only NAME ...]      (or: make kills)

A kill leaves the earlier result or the new one, whole and under its own name; the next run removes
what the killed one left behind, and gives the new result. Edits of a person are kept through all
of it. Labels that several processes write at the same time are all there in the end.

A process is killed just before a step that changes files (open, rename, link, remove ...), chosen
at random with a fixed seed; Python's audit events tell of them. What needs a session of ChimeraX is
typed in one, of which each killed process is a copy. It prints a table, and ends with status 1 if
anything was lost.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from chimerax.siren.core.analysis.parameters import SubsetParameters
from chimerax.siren.core.analysis.selection import Selection
from chimerax.siren.core.analysis.subsets import average_maps, choose_volumes, write_subset
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.common.constants import MIN_LABELS
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.partial import PREFIX
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import write_map
from chimerax.siren.core.particles.choose import Sources, choose_particles, write_particles
from chimerax.siren.core.particles.places import Files
from chimerax.siren.core.report.content import gather
from chimerax.siren.core.report.page import CAPTIONS, write_report
from chimerax.siren.core.report.pictures import Picture, Pictures
from chimerax.siren.core.runs.moved import locate_volumes
from chimerax.siren.core.runs.steps import (
    occupancy_of,
    open_run,
    run_edit,
    run_expand,
    run_sketch,
    run_states,
)
from chimerax.siren.core.simulation.example_folder import write_example
from chimerax.siren.core.simulation.parameters import BlockPlan, ExampleParameters
from chimerax.siren.core.thresholds.evaluate import run_evaluation
from chimerax.siren.core.thresholds.labels import Label, read_labels, set_labels, write_template
from chimerax.siren.core.thresholds.normalize import Range
from chimerax.siren.core.thresholds.parameters import PreprocessParameters
from chimerax.siren.core.thresholds.preprocess import preprocess
from chimerax.siren.core.thresholds.tables import Prediction, Predictions, write_predictions

CHANGING = ("open", "os.", "shutil.", "ctypes.dlsym", "tempfile.")  # events of files
FIGURES = {kind: Picture(b"", kind) for kind in CAPTIONS}  # those of the report take seconds
EXAMPLE = ExampleParameters(
    volumes=16,
    box=16,
    voxel_size=12.0,
    resolution=30.0,
    core_residues=200,
    blocks=(BlockPlan("one", 200, 0.5), BlockPlan("two", 150, 0.4)),
)
LABELED = [f"vol_{n}.mrc" for n in range(MIN_LABELS)]  # for fine-tuning
WRITERS, LABELS_EACH = 4, 12  # processes that label at the same time, and labels of each
Work = Callable[[Path, int], object]
Wrong = tuple[int, list[str]]  # the number of kills, and what was wrong


FFMPEG = """#!/bin/sh
for a; do [ "$p" = -i ] && i=$a; p=$a; done
cat "$(dirname "$i")"/*.png > "$p"
"""  # in its place: the pictures, one after the other


@dataclass(frozen=True)
class Typed:
    """Commands, as a person types them in ChimeraX: ``{root}`` is the folder, ``{run}`` that of the
    sketch in it, ``{out}`` that of results, ``{n}`` the version.
    """

    commands: tuple[str, ...]

    def __call__(self, root: Path, version: int) -> None:
        from chimerax.core.commands import run

        out = root / "siren"
        for command in self.commands:
            run(session(), command.format(root=root, out=out, run=out / "00_sketch", n=version))


@cache
def session() -> Any:
    """The session of ChimeraX, with offscreen pictures."""
    from cxheadless import boot

    # copies of the process lack the threads with which Mesa would draw and keep its shaders
    os.environ |= {"LP_NUM_THREADS": "0", "MESA_SHADER_CACHE_DISABLE": "true"}
    found = boot.start(offscreen=True)
    programs = Path(os.environ["HOME"]) / "bin"
    programs.mkdir()
    (programs / "ffmpeg").write_text(FFMPEG)
    (programs / "ffmpeg").chmod(0o755)
    os.environ["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return found


@dataclass(frozen=True)
class Command:
    """What is killed.

    Attributes
    ----------
    name : of the command
    work : writes its result in a folder; the second argument (1 or 2) makes the result differ
    results : of the folder, that are to be there whole, each by itself
    prepare : done once in the folder, for what is copied to the processes that are killed
    """

    name: str
    work: Work
    results: tuple[str, ...]
    prepare: Callable[[Path], object] | None = None


def _sketch(root: Path, version: int) -> object:
    ensemble = find_ensemble([root / "volumes"])
    levels = np.full(len(ensemble), 0.4 + 0.1 * version)
    parameters = SketchParameters(statistic="exact", subsample=1, resamples=0)
    return run_sketch(ensemble, levels, f"version {version}", parameters, root / "siren")


def _expand(root: Path, version: int) -> object:
    run = open_run(root / "siren" / "00_sketch")
    parameters = ExpandParameters(statistic="exact", resamples=0, exp_frac=0.2 + 0.1 * version)
    return run_expand(run.blocks, run.record, parameters, root / "siren")


def _edit(root: Path, version: int) -> object:
    source = root / "siren" / "00_sketch"
    run = open_run(source)
    blocks = replace(run.blocks, names=dict.fromkeys(run.blocks.blocks, f"version {version}"))
    return run_edit(blocks, run.record, source, root / "siren" / "01_edited")


def _mask(root: Path, version: int) -> object:
    from chimerax.siren.core.analysis.masks import write_masks
    from chimerax.siren.core.analysis.parameters import MaskParameters

    run = open_run(root / "siren" / "00_sketch")
    parameters = MaskParameters(soft=4.0 * version)
    return write_masks(root / "siren" / "masks", run.blocks, run.record.grid, parameters)


def _maven(root: Path, version: int) -> object:
    from chimerax.siren.core.analysis.maven import write_maven

    run = open_run(root / "siren" / "00_sketch")
    levels = [(v["name"], v["level"] * version) for v in run.record.volumes]
    return write_maven(root / "maven", run.blocks, run.record.grid, levels)


def _volumes(root: Path, version: int) -> None:
    source = root / "siren" / "00_sketch"
    run, states = open_run(source), run_states(source)
    ensemble = run.record.ensemble()
    subset = choose_volumes(states, Selection((1,) * (version - 1)))
    maps = average_maps(
        subset, states.names, run.blocks, ensemble, occupancy_of(run.record, ensemble)
    )
    folder = root / "siren" / "volumes_with_1"
    write_subset(folder, source, states, subset, maps, run.record.grid, SubsetParameters())


def _relate(root: Path, version: int) -> None:
    from chimerax.siren.core.analysis.parameters import RelateParameters
    from chimerax.siren.core.analysis.relate import relate
    from chimerax.siren.core.figures.relation_files import write_relations

    states = run_states(root / "siren" / "00_sketch")
    found = relate(states, RelateParameters(resamples=2 * version))
    write_relations(root / "siren" / "00_sketch_relations", found)


def _report(root: Path, version: int) -> None:
    report = gather(root / "siren" / "00_sketch", density=float(version))
    write_report(report, root / "siren" / "report.html", Pictures([]), figures=FIGURES)


def _segmentation(root: Path, version: int) -> object:
    from chimerax.siren.core.analysis.segmentation import write_segmentation

    run = open_run(root / "siren" / "00_sketch")
    blocks = replace(run.blocks, names=dict.fromkeys(run.blocks.blocks, f"version {version}"))
    colors = dict.fromkeys(blocks.blocks, (0.2 * version, 0.5, 0.5, 1.0))
    return write_segmentation(root / "siren" / "segmentation.mrc", blocks, run.record.grid, colors)


def _occupancy(root: Path, version: int) -> None:
    from chimerax.siren.core.analysis.part_occupancy import measure_occupancies
    from chimerax.siren.core.analysis.parts import block_parts
    from chimerax.siren.core.figures.occupancies import write_occupancies

    run = open_run(root / "siren" / "00_sketch")
    ensemble = run.record.ensemble()
    found = measure_occupancies(block_parts(run.blocks), ensemble, 0.3 + 0.1 * version)
    write_occupancies(root / "siren" / "occupancy", found, ())


def _predict(root: Path, version: int) -> None:
    names = find_ensemble([root / "volumes"]).names
    rows = [Prediction(n, i, Range(0.0, 2.0), 0.1 * version) for i, n in enumerate(names)]
    write_predictions(root / "siren" / "predictions.csv", Predictions(tuple(rows)))


def _label(root: Path, version: int) -> None:
    names = find_ensemble([root / "volumes"]).names
    labels = [Label(str(i), n, float(version)) for i, n in enumerate(names[: 4 * version])]
    set_labels(root / "siren" / "labels.csv", labels)


def _template(root: Path, version: int) -> None:
    names = find_ensemble([root / "volumes"]).names
    write_template(root / "siren" / "template.csv", names[: 4 * version], names)


def _evaluate(root: Path, version: int) -> None:
    _predict(root, version)
    run_evaluation(
        root / "siren" / "labels.csv", root / "siren" / "predictions.csv", root / "siren"
    )


def _particles(root: Path, version: int) -> None:
    states = run_states(root / "siren" / "00_sketch")
    labels = root / "labels.csv"
    names = [states.names[n % len(states.names)] for n in range(50 * version)]
    labels.write_text("\n".join(["volume", *names]))
    found = choose_particles(states, Selection((1,)), Files(labels=labels))
    write_particles(found, Sources(), root / "siren" / "particles", replace=True)


def _preprocess(root: Path, version: int) -> None:
    ensemble = find_ensemble([root / "volumes"])
    preprocess(ensemble, root / "prepared", PreprocessParameters(box=16 + 8 * version))


def _finetune(root: Path, version: int) -> None:
    from chimerax.siren.core.thresholds import finetune
    from chimerax.siren.core.thresholds.parameters import FinetuneParameters

    ensemble = find_ensemble([root / "volumes"]).select(include=LABELED, minimum=1)
    parameters = FinetuneParameters(epochs=1, folds=1, seed=version, device="cpu")
    fit = finetune.Fit((1.0, 0.5 / version), (1.0, 0.6 / version), best=1)
    # what is read and learned takes seconds, and writes nothing
    with (
        mock.patch.object(finetune, "read_labeled_maps", return_value=_labeled_maps(root)),
        mock.patch.object(finetune, "tune", return_value=fit),
    ):
        finetune.run_finetune(ensemble, root / "tuning.csv", parameters, root / "siren")


@cache
def _labeled_maps(root: Path) -> Any:
    import torch

    from chimerax.siren.core.thresholds import finetune, network

    torch.set_num_threads(1)  # copies of the process lack the others
    labels = {label.file: label for label in read_labels(root / "tuning.csv")}
    ensemble = find_ensemble([root / "volumes"]).select(include=LABELED, minimum=1)
    loaded = network.load_network(network.default_weights())
    return finetune.read_labeled_maps(ensemble, labels, loaded, Progress())


def _locate(root: Path, version: int) -> None:
    now = root / f"moved_{version}"
    for there in (root / "volumes", root / "moved_1"):
        if there.is_dir() and not now.exists():
            there.rename(now)
    locate_volumes(root / "siren" / "00_sketch", now)


def _example(root: Path, version: int) -> None:
    write_example(root / "example", replace(EXAMPLE, seed=version, volumes=4 + 2 * version))


COMMANDS = (
    Command("example", _example, ("example",)),
    Command("preprocess", _preprocess, ("prepared",)),
    Command("predict", _predict, ("siren/predictions.csv",)),
    Command("label", _label, ("siren/labels.csv",)),
    Command("label template", _template, ("siren/template.csv",)),
    Command("evaluate", _evaluate, ("siren/predictions.csv", "siren/evaluation")),
    Command("sketch", _sketch, ("siren/00_sketch",)),
    Command("expand", _expand, ("siren/02_expand",)),
    Command("block save", _edit, ("siren/01_edited",)),
    Command(
        "particles",
        _particles,
        ("siren/particles/with_1.pkl", "siren/particles/with_1_rest.pkl"),
    ),
    Command("mask", _mask, ("siren/masks/mask_block_1.mrc", "siren/masks/masks.csv")),
    Command("mask maven", _maven, ("maven",)),
    Command("volumes", _volumes, ("siren/volumes_with_1",)),
    Command("relate", _relate, ("siren/00_sketch_relations",)),
    Command("report", _report, ("siren/report.html",)),
    Command(
        "mask segmentation", _segmentation, ("siren/segmentation.mrc", "siren/segmentation.csv")
    ),
    Command(
        "occupancy",
        _occupancy,
        ("siren/occupancy/occupancies.csv", "siren/occupancy/occupancies_parts.csv"),
    ),
    Command("locate", _locate, ("siren/00_sketch",)),
    Command("finetune", _finetune, ("siren/finetune",), _labeled_maps),
)
GROWN = ("siren open {run}", "siren block grow #1.1 by {n}")
TYPED = (
    Command(
        "states",
        Typed((*GROWN, "siren states #1 saveFile {out}/s.csv pairsFile {out}/p.csv present 0.5")),
        ("siren/s.csv", "siren/p.csv"),
    ),
    Command(
        "label redo",
        Typed(
            (
                "open {root}/volumes/vol_9.mrc",
                "volume #1 level 0.{n}",
                "siren label #1 labels {out}/labels.csv",
                "siren label undo",
                "siren label redo",
            )
        ),
        ("siren/labels.csv",),
    ),
    Command(
        "screen",
        Typed(
            (
                "siren screen {root}/volumes level 0.5 outputDir {out} statistic exact subsample 1 "
                "resamples 0 posp 0.00{n},0.01",
            )
        ),
        ("siren/screen.csv", "siren/screen.png"),
    ),
    Command(
        "compare",
        Typed((*GROWN, "siren compare #1 {run} saveFile {out}/c.json open false")),
        ("siren/c.json",),
    ),
    Command(
        "annotate",
        Typed(
            (
                "open {root}/model.pdb",
                "siren annotate {run} #1 reach 1{n} saveFile {out}/chains.csv",
            )
        ),
        ("siren/chains.csv",),
    ),
    Command(
        "relate tables",
        Typed((*GROWN, "siren relate #1 saveFile {out}/r.csv graphFile {out}/r.svg")),
        ("siren/r.csv", "siren/r.svg"),
    ),
    Command(
        "volumes table",
        Typed(("siren volumes {run} with {n} saveFile {out}/with.csv",)),
        ("siren/with.csv",),
    ),
    Command(
        "plot",
        Typed((*GROWN, "siren plot #1 states saveFile {out}/states.pdf")),
        ("siren/states.pdf",),
    ),
    Command(
        "figure", Typed(("siren figure {run} saveFile {out}/f.png dpi {n}00",)), ("siren/f.png",)
    ),
    Command(
        "movie frames",
        Typed(("siren movie {run} path 1 frames {n} size 60,40 framesDir {out}/frames",)),
        ("siren/frames",),
    ),
    Command(
        "movie",
        Typed(("siren movie {run} path 1 frames {n} size 60,40 saveFile {out}/film.mp4",)),
        ("siren/film.mp4",),
    ),
    Command(
        "predict by network",
        # those of the first are among those of the second, which goes on where it was killed
        Typed(("siren predict {root}/volumes include vol_?.mrc,vol_1[0-{n}].mrc outputDir {out}",)),
        ("siren/predictions.csv",),
    ),
)


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
        in_child(lambda: _sketch(root, 2), None, scratch / "steps")
        after = content(root / "siren" / "00_sketch")
        kills = kill_points(int((scratch / "steps").read_text()), each, chance)
        for kill_at in kills:
            shutil.rmtree(root)
            shutil.copytree(earlier, root)
            in_child(lambda: _sketch(root, 2), kill_at)
            if content(root / "siren" / "00_sketch") not in (edited, after):
                wrong.append(f"step {kill_at}: 00_sketch is neither the edited nor the new one")
            for when in ("", " after the next run"):
                seen = [p for p in (root / "siren").iterdir() if not p.name.startswith(".")]
                if edited not in map(content, seen):
                    wrong.append(f"step {kill_at}: the edits are lost{when}")
                in_child(lambda: _sketch(root, 2), None)
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


# in the Python that installs torch: kills pip before a step that changes files, or counts these
KILLED_PIP = """
import atexit, os, signal, sys
at, steps = int(os.environ.get("KILL_AT") or 0), [0]
def count(event, arguments):
    if event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR) == 0:
        return
    if event == "open" or event.startswith(("os.mkdir", "os.re", "os.ch", "os.link", "shutil.")):
        steps[0] += 1
        if steps[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
def tell():
    with open(os.environ["COUNT_TO"], "w") as file:
        file.write(str(steps[0]))
if "COUNT_TO" in os.environ:
    atexit.register(tell)
    sys.addaudithook(count)
"""
PARTS = 12  # modules of what stands for torch, and of what it needs


def make_wheel(folder: Path, name: str, number: str, needs: str = "") -> None:
    """Write a package that imports all of its modules, for pip."""
    imports = "".join(f"from {name}.part_{n} import number\n" for n in range(PARTS))
    more = f"import {needs}\n" if needs else ""
    modules = {f"{name}/part_0.py": "number = 0\n"}  # the first to be there
    modules[f"{name}/__init__.py"] = f"{imports}__version__ = {number!r}\n{more}"
    modules |= {f"{name}/part_{n}.py": f"number = {n}\n" for n in range(1, PARTS)}
    about = f"{name}-{number}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
    files = {
        **modules,
        f"{about}/METADATA": metadata + (f"Requires-Dist: {needs}\n" if needs else ""),
        f"{about}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{about}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)


def kill_install(each: int, chance: random.Random) -> Wrong:
    """Kill pip while it installs torch, for which a small package stands: the Python it is for
    starts as before, and the next "siren install torch" installs it.
    """
    from chimerax.siren.commands import install
    from chimerax.siren.core.common import torch_install

    scratch = Path(tempfile.mkdtemp(prefix="kills-"))
    wrong: list[str] = []
    try:
        wheels, root, fresh = scratch / "wheels", scratch / "root", scratch / "fresh"
        wheels.mkdir()
        make_wheel(wheels, "torch", "2.12.0", needs="needed")
        make_wheel(wheels, "needed", "1.0")
        subprocess.run([sys.executable, "-m", "venv", root], check=True)
        python = root / "bin" / "python"
        place = next(root.glob("lib/python*/site-packages"))
        (place / "sitecustomize.py").write_text(KILLED_PIP)
        shutil.copytree(root, fresh, symlinks=True)
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
        plain |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
        steps = scratch / "steps"

        def installed(kill_at: int) -> bool:
            def start(arguments: Sequence[str], folder: str) -> subprocess.Popen[str]:
                return subprocess.Popen(
                    [python, "-m", "pip", *arguments],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    env={
                        **plain,
                        "KILL_AT": str(kill_at),
                        "COUNT_TO": str(steps),
                        "TMPDIR": folder,
                    },
                )

            with mock.patch.object(install, "start_pip", start):
                try:
                    install.install_missing("cpu", Progress())
                except SirenError as error:
                    if "\n" in str(error):
                        wrong.append(f"step {kill_at}: {error}")
                    return False
            return True

        def find_torch() -> ModuleSpec | None:
            return PathFinder.find_spec("torch", [str(place)])

        def torch_record() -> Distribution | None:
            return next(iter(distributions(name="torch", path=[str(place)])), None)

        def runs(code: str) -> bool:
            done = subprocess.run([python, "-c", code], env=plain, capture_output=True)
            return done.returncode == 0

        with (
            mock.patch.object(torch_install, "install_place", return_value=place),
            mock.patch.object(torch_install, "in_virtual_environment", return_value=True),
            mock.patch.object(torch_install, "use_new_packages"),
            mock.patch.object(torch_install, "find_torch", find_torch),
            mock.patch.object(torch_install, "torch_record", torch_record),
        ):
            if not installed(0) or not runs("import torch; torch.__version__"):
                wrong.append("torch is not installed without a kill")
            # all over it: results take their places one after the other
            last = int(steps.read_text())
            kills = sorted(chance.sample(range(1, last + 1), min(each, last)))
            for kill_at in kills:
                shutil.rmtree(root)
                shutil.copytree(fresh, root, symlinks=True)
                PathFinder.invalidate_caches()
                installed(kill_at)
                if not runs("import pip"):
                    wrong.append(f"step {kill_at}: what was installed before is damaged")
                PathFinder.invalidate_caches()
                if not torch_install.torch_missing() and not runs(
                    "import torch; torch.__version__"
                ):
                    wrong.append(f"step {kill_at}: half of torch counts as torch")
                if not installed(0) or not runs("import torch; torch.__version__"):
                    wrong.append(f"step {kill_at}: the next install does not work")
        return len(kills), wrong
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def make_base(folder: Path) -> Path:
    """An ensemble with a sketch, predictions and labels, which all commands start from."""
    chance = np.random.default_rng(1)
    (folder / "volumes").mkdir(parents=True)
    grid = Grid((8, 9, 10), (4.0, 4.0, 4.0))
    for number in range(120):
        array = chance.normal(0, 0.01, grid.shape).astype(np.float32)
        array[1:3, 2:7, 2:7] += 1
        for part in (slice(4, 6), slice(6, 8)):
            array[part, 2:8, 2:8] += chance.random() < 0.5
        write_map(folder / "volumes" / f"vol_{number}.mrc", array, grid, "two parts")
    (folder / "model.pdb").write_text(
        "".join(
            f"ATOM  {n:5d}  CA  ALA A{n:4d}    {20.0:8.3f}{20.0:8.3f}{2.0 * n:8.3f}  1.00  0.00"
            "           C  \n"
            for n in range(1, 13)
        )
    )
    set_labels(folder / "tuning.csv", [Label("", name, 0.5) for name in LABELED])
    _predict(folder, 1)
    _label(folder, 2)
    _sketch(folder, 1)
    return folder


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
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="these commands")
    given = parser.parse_args()
    if unknown := set(given.only) - {c.name for c in (*COMMANDS, *TYPED)}:
        parser.error(f"no command of this table: {', '.join(sorted(unknown))}")
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
