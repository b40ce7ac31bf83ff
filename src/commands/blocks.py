"""``siren sketch``, ``siren expand`` and ``siren open``: find, expand and show blocks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from chimerax.core.commands import BoolArg, CmdDesc, IntArg
from chimerax.core.errors import UserError
from chimerax.core.models import Model

from ..core.blocks.background import vary_together
from ..core.blocks.blockset import read_block_maps
from ..core.blocks.parameters import (
    NO_MASK,
    ExpandParameters,
    PairTestParameters,
    SketchParameters,
)
from ..core.blocks.statistics import statistic_named
from ..core.common.errors import join_names
from ..core.common.progress import Progress
from ..core.maps.ensemble import find_ensemble
from ..core.maps.grid import Triple
from ..core.runs.steps import (
    EXPAND_FOLDER,
    Run,
    inherited_parameters,
    open_run,
    place_of_expansion,
    run_expand,
    run_sketch,
)
from ..session.commandline import OpenFolder, SaveFolder
from ..session.inputs import (
    OutputPlace,
    given,
    mask_of,
    opened_blocks,
    output_folder,
    output_place,
    parameters_of,
    place_of,
    run_folder,
    sources_of,
    user_errors,
)
from ..session.jobs import at_once, run_job
from ..session.moved import beside, keep_run, run_record, warn_borrowed
from ..session.words import counted, nothing_found
from .arguments import PLACED, BlocksArg, VolumesArg, keywords_of
from .levels import LEVELS, check_first, check_levels, chosen_levels

SHOW: list[tuple[str, Any]] = [("open", BoolArg), ("reference", BoolArg)]


def sketch(
    session: Any,
    volumes: list[Any],
    level: float | None = None,
    thresholds: str | None = None,
    output_dir: str | None = None,
    box: int | None = None,
    voxel_size: float | None = None,
    origin: Triple | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    open: bool = True,
    reference: bool = False,
    **keywords: Any,
) -> Any:
    """Find blocks in a sample of the voxels, write them, and open them as surfaces."""
    mask = mask_of(keywords, volumes)
    parameters = parameters_of(SketchParameters, keywords)
    check_levels(level, thresholds, parameters)
    sources, where_moved = sources_of(volumes), place_of(volumes)
    place = output_place(volumes, output_dir)
    notes = place.doubts()

    def work(progress: Progress) -> Run:
        ensemble = find_ensemble(
            sources, voxel_size, progress, include=include, exclude=exclude, origin=origin
        )
        check_first(parameters, ensemble.resampled(box), mask, place)
        chosen = chosen_levels(
            ensemble,
            level,
            thresholds,
            place,
            notes,
            progress,
            parameters.filter == "flags",
        )
        run = run_sketch(
            chosen.ensemble.resampled(box),
            chosen.levels,
            chosen.where,
            parameters,
            place.path,
            voxel_size,
            progress,
            chosen.flagged,
            mask,
            origin,
        )
        place.claim()
        return run

    def show(run: Run) -> Generator[None, None, Run]:
        counts, used = run.record.counts, run.record.counts["volumes_used"]
        lines = [
            *notes,
            *run.notes,
            _volumes_line(run),
            f"{counts['union_voxels']:,} voxels {_union_text(parameters)} of the {used:,} "
            f"volumes{_region_text(parameters)}; {counts['sampled_voxels']:,} sampled (seed "
            f"{parameters.seed}), "
            f"{counts['significant_pairs']:,} significant pairs (statistic "
            f"{parameters.statistic}; counted on {run.record.counted_on})",
        ]
        yield from _show_run(session, run, lines, open, reference, place=where_moved)
        if len(run.blocks):
            from ..session.log import next_step
            from ..session.words import path_text

            next_step(session, "expand", f"siren expand {path_text(run.folder)}")
        return run

    return run_job(session, "siren sketch", work, show)


def expand(
    session: Any,
    blocks: Any,
    volumes: list[Any] | None = None,
    level: float | None = None,
    thresholds: str | None = None,
    sketch: str | None = None,
    output_dir: str | None = None,
    box: int | None = None,
    voxel_size: float | None = None,
    origin: Triple | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    open: bool = True,
    reference: bool = False,
    **keywords: Any,
) -> Any:
    """Test every voxel against every block; write and open the expanded blocks."""
    source_folder = Path(sketch).expanduser().absolute() if sketch else run_folder(session, blocks)
    record = run_record(session, source_folder)
    check_levels(level, thresholds)
    mask = mask_of(keywords, volumes or (blocks if isinstance(blocks, list) else []))
    # the parameters of another statistic do not carry over
    same_test = keywords.get("statistic") in (None, record.parameters.get("statistic"))
    parameters = parameters_of(
        ExpandParameters,
        {
            **(inherited_parameters(record, source_folder) if same_test else {}),
            **given(keywords),
        },
    )
    if output_dir:
        output = output_folder([], output_dir)
    else:
        beside(source_folder, 'name a folder for the results, as in "outputDir FOLDER"')
        output = place_of_expansion(source_folder, record)
    if (output / EXPAND_FOLDER).resolve() in (
        source_folder.resolve(),
        *([] if isinstance(blocks, list) else [Path(blocks).resolve()]),
    ):
        raise UserError(
            f"{output / EXPAND_FOLDER} would be replaced by its own expansion: give another "
            'outputDir, or, of blocks that you edited, save them first ("siren block save").'
        )
    sources = sources_of(volumes) if volumes else None
    where_moved = place_of(volumes or (blocks if isinstance(blocks, list) else []))
    block_set = user_errors(opened_blocks, blocks, record) if isinstance(blocks, list) else None
    notes: list[str] = []

    def work(progress: Progress) -> Run:
        chosen = block_set or read_block_maps(Path(blocks), record.grid)
        ensemble, levels, where = None, None, ""
        if sources is not None:
            ensemble = find_ensemble(
                sources,
                voxel_size or record.voxel_size,
                progress,
                include=include,
                exclude=exclude,
                origin=origin or record.origin,
            ).resampled(box or record.box)
        elif include or exclude:
            ensemble = record.ensemble(progress).select(include, exclude)
        if level is not None or thresholds is not None:
            given_levels = chosen_levels(
                ensemble or record.ensemble(progress),
                level,
                thresholds,
                OutputPlace(output, None, True),
                notes,
                progress,
                parameters.filter == "flags",
            ).taking_part(notes)
            ensemble, levels = given_levels.ensemble, given_levels.levels
            where = given_levels.where
        return run_expand(
            chosen,
            record,
            parameters,
            output,
            ensemble,
            levels,
            where,
            source_folder,
            progress,
            mask,
        )

    def show(run: Run) -> Generator[None, None, Run]:
        before = run.record.counts["block_voxels_before"]
        lines = [
            *notes,
            *run.notes,
            _volumes_line(run),
            f"{run.record.counts['union_voxels']:,} voxels tested against "
            f"{counted(len(run.blocks), 'block')} of {before:,} voxels{_region_text(parameters)} "
            f"(statistic {parameters.statistic}; counted on {run.record.counted_on}); "
            f"{run.record.counts['unassigned_voxels']:,} joined no block",
        ]
        yield from _show_run(session, run, lines, open, reference, place=where_moved)
        return run

    return run_job(session, "siren expand", work, show)


def open_(session: Any, folder: str, reference: bool = False) -> Run:
    """Open the blocks of a finished sketch or expansion."""
    from ..session.opened import run_opened

    run = user_errors(open_run, Path(folder).expanduser().absolute())
    warn_borrowed(session, run.folder, run.record)
    at_once(_show_run(session, run, [_volumes_line(run)], True, reference, written=False))
    run_opened(session, run)
    return run


# --- the result, logged and opened


def _volumes_line(run: Run) -> str:
    left_out = [v["name"] for v in run.record.volumes if v["left_out"]]
    reasons = sorted({v["left_out"] for v in run.record.volumes if v["left_out"]})
    text = (
        f"{len(run.record.volumes):,} volumes, {run.record.grid.text()}; contour levels: "
        f"{run.record.thresholds}"
    )
    return text + (
        f"; {len(left_out)} left out ({join_names(left_out)}: {'; '.join(reasons)})"
        if left_out
        else ""
    )


def _show_run(
    session: Any,
    run: Run,
    lines: list[str],
    open: bool,
    reference: bool,
    written: bool = True,
    place: Any = None,
) -> Generator[None, None, None]:
    """Log and open what a run found, pausing so that windows can redraw (see
    :func:`.jobs.run_job`); ``place``: where the volumes were moved to, which the blocks follow.
    """
    from ..session.log import log_blocks, log_lines

    if run.aside is not None:
        lines.append(f"What {run.folder.name} held before was kept as {run.aside}.")
    elif run.replaced:
        lines.append(f"The earlier {run.folder} was replaced.")
    count, voxels = len(run.blocks), run.blocks.voxel_count
    lines.append(f"{count} block{'s' * (count != 1)}, {voxels:,} voxels")
    if count:
        lines += _doubts(run)
    else:
        lines.append(nothing_found(run.record))
    log_lines(session, lines)
    group = (yield from _opening(session, run, reference, written)) if open else None
    if group is not None and place is not None:
        group.scene_position = place
    yield
    log_blocks(session, run.table, group)
    if written:
        log_lines(
            session,
            [
                f"Written to {run.folder} (run.json, blocks.json, blocks.csv, "
                f"{counted(count, 'block map')}, mean.mrc, unassigned.mrc)."
            ],
        )


def _opening(
    session: Any, run: Run, reference: bool, written: bool
) -> Generator[None, None, Model | None]:
    """Open a run's blocks in place of earlier ones, where they can be seen; None if it has none."""
    from ..session import scene
    from ..session.log import log_beside, log_lines, log_pile, log_replaced, log_uncovered
    from ..session.shown_map import uncover
    from ..session.surfaces import opening_blocks

    volumes, group = scene.volumes_folder(run.record), None
    if not written and not reference:
        group = scene.saved_set(session, run)
    if group is not None:
        scene.show_set(group)
        log_lines(session, [f"These blocks were open: #{group.id_string} is shown again."])
    elif len(run.blocks):
        group = yield from opening_blocks(
            session,
            run.blocks,
            run.folder,
            run.mean if reference else None,
            run.level,
            run.table,
            scene.colors_for(session, run.blocks, run.folder, volumes, run.record.source),
            volumes,
            scene.set_name(run.folder, run.record.step),
            run.record.sampled,
        )
        scene.keep_in_sight(session, group, run.record.source)
        scene.note_contents(group)
        keep_run(session, run.folder, run.record, run.blocks)
    hidden = scene.hide_earlier(session, run.folder, volumes, group)
    log_replaced(session, hidden)
    closed = scene.close_older(session, hidden)
    log_pile(session, closed, [g for g in scene.hidden_sets(session) if not scene.edited(g)])
    if group is not None:
        log_beside(session, scene.beside(session, group))
        log_uncovered(session, *uncover(session, scene.blocks_of(group)))
    return group


def _doubts(run: Run) -> list[str]:
    """How far the ensemble supports blocks, and which of them are doubtful."""
    lines = []
    used, effective = run.record.counts["volumes_used"], run.record.counts.get("effective_volumes")
    if vary_together(effective, used):
        lines.append(
            f"The {used:,} volumes vary together, like {effective:.0f} independent ones, as "
            "those of a decoder do: significance means little there. The verdicts rest on the "
            "density of the blocks."
        )
    doubtful = [n for n, e in run.blocks.evidence.items() if e.doubtful]
    if doubtful and len(doubtful) == len(run.blocks):
        lines.append(
            "All blocks are doubtful: this ensemble may show one state. More particles, "
            "or two trainings on halves of the particles that find the same blocks, would tell: "
            'compare them with "siren compare A B replication true".'
        )
    elif doubtful:
        lines.append(
            f"{len(doubtful)} of the {len(run.blocks)} blocks "
            f"{'are' if len(doubtful) > 1 else 'is'} doubtful: {', '.join(map(str, doubtful))}."
        )
    return lines


def _region_text(parameters: PairTestParameters) -> str:
    """Where blocks were looked for, if not everywhere."""
    if parameters.mask in (None, NO_MASK):
        return ""
    return f", {parameters.mask_side} the mask {Path(str(parameters.mask)).name}"


def _union_text(parameters: SketchParameters) -> str:
    share = f"{100 * parameters.union_fraction:g} %"
    return statistic_named(parameters.statistic).union_words.format(share=share)


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    output, volumes = [("output_dir", SaveFolder)], [("volumes", VolumesArg)]

    def sketch_desc() -> CmdDesc:
        keywords = [
            *LEVELS,
            *output,
            ("box", IntArg),
            *PLACED,
            *SHOW,
            *keywords_of(SketchParameters),
        ]
        return CmdDesc(
            required=volumes, keyword=keywords, synopsis="Find blocks in a sample of the voxels"
        )

    def expand_desc() -> CmdDesc:
        sketch = ("sketch", OpenFolder)
        keywords = [
            *volumes,
            *LEVELS,
            sketch,
            *output,
            ("box", IntArg),
            *PLACED,
            *SHOW,
            *keywords_of(ExpandParameters),
        ]
        return CmdDesc(
            required=[("blocks", BlocksArg)],
            keyword=keywords,
            synopsis="Expand blocks by testing every voxel against every block",
        )

    def open_desc() -> CmdDesc:
        return CmdDesc(
            required=[("folder", OpenFolder)],
            keyword=[("reference", BoolArg)],
            synopsis="Open blocks found earlier as colored surfaces",
        )

    return {
        "siren sketch": (sketch_desc, sketch),
        "siren expand": (expand_desc, expand),
        "siren open": (open_desc, open_),
    }
