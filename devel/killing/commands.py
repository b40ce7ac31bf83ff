"""The commands that are killed, and the ensemble that they start from."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from chimerax.siren.core.analysis.parameters import SubsetParameters
from chimerax.siren.core.analysis.selection import Selection
from chimerax.siren.core.analysis.subsets import average_maps, choose_volumes, write_subset
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.common.constants import MIN_LABELS
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.maps.grid import Grid
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
from two_parts import write_two_parts

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
Work = Callable[[Path, int], object]

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


def sketch(root: Path, version: int) -> object:
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
    Command("sketch", sketch, ("siren/00_sketch",)),
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
PARTICLES = "siren particles {run} with {n} labels {root}/labels.csv name chosen outputDir {out}/p"
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
        "particles of RELION",
        Typed((f"{PARTICLES} replace true particleFile {{root}}/particles.star",)),
        ("siren/p/chosen.star", "siren/p/chosen_rest.star", "siren/p/chosen.json"),
    ),
    Command(
        "particles of cryoSPARC",
        Typed(
            (
                f"{PARTICLES} replace true particleFile {{root}}/p.cs passthrough "
                "{root}/passthrough.cs",
            )
        ),
        ("siren/p/chosen.cs", "siren/p/chosen_passthrough.cs", "siren/p/chosen.csg"),
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


def _write_particles(folder: Path, names: Sequence[str]) -> None:
    """Three particles of each volume, as tables of RELION and cryoSPARC."""
    (folder / "labels.csv").write_text("\n".join(["volume", *names * 3]))
    rows = "".join(f"{i + 1}@stack.mrcs {i}.5\n" for i in range(3 * len(names)))
    (folder / "particles.star").write_text(
        f"data_particles\n\nloop_\n_rlnImageName #1\n_rlnDefocusU #2\n{rows}"
    )
    table = np.zeros(3 * len(names), [("uid", "<u8"), ("blob/idx", "<u4")])
    table["uid"] = np.arange(1, len(table) + 1) << 40
    for name, rows_of in (("p", table), ("passthrough", table[::-1])):
        with (folder / f"{name}.cs").open("wb") as file:  # by a file, or numpy adds .npy
            np.save(file, rows_of)


def make_base(folder: Path) -> Path:
    """An ensemble with a sketch, predictions and labels, which all commands start from."""
    names = [f"vol_{number}.mrc" for number in range(120)]
    write_two_parts(folder / "volumes", names, Grid((8, 9, 10), (4.0, 4.0, 4.0)))
    (folder / "model.pdb").write_text(
        "".join(
            f"ATOM  {n:5d}  CA  ALA A{n:4d}    {20.0:8.3f}{20.0:8.3f}{2.0 * n:8.3f}  1.00  0.00"
            "           C  \n"
            for n in range(1, 13)
        )
    )
    _write_particles(folder, names)
    set_labels(folder / "tuning.csv", [Label("", name, 0.5) for name in LABELED])
    _predict(folder, 1)
    _label(folder, 2)
    sketch(folder, 1)
    return folder
