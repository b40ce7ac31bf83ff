"""The ``siren ...`` commands: parse, call core, show. No mathematics here."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

from chimerax.core.commands import (
    BoolArg,
    CmdDesc,
    FloatArg,
    IntArg,
    OpenFileNameArg,
    OpenFolderNameArg,
    SaveFolderNameArg,
    register,
)
from chimerax.core.errors import UserError

from .commands.arguments import SELECTION, BlocksArg, VolumesArg, keywords_of
from .core.blocks.blockset import read_block_maps
from .core.blocks.expand import ExpandParameters
from .core.blocks.pair_counts import TestParameters
from .core.blocks.sketch import SketchParameters
from .core.common.errors import listed
from .core.common.progress import Progress
from .core.maps.ensemble import Ensemble, find_ensemble
from .core.runs.record import read_record
from .core.runs.steps import EXPAND_FOLDER, Run, inherited, open_run, run_expand, run_sketch
from .session.inputs import (
    PREDICTIONS_FILE,
    door,
    first_path,
    given,
    opened_blocks,
    output_folder,
    parameters_of,
    run_folder,
    sources_of,
    typed,
)
from .session.jobs import at_once, current_job, run_job

FEW_VOLUMES = 100  # below, finding nothing is no wonder: the published tool asks for 200 and more


def sketch(session: Any, volumes: list[Any], level: float | None = None, thresholds: str | None = None,
           output_dir: str | None = None, box: int | None = None, voxel_size: float | None = None,
           include: Sequence[str] = (), exclude: Sequence[str] = (), open: bool = True, reference: bool = False,
           **keywords: Any) -> Any:
    """Find the blocks that come and go together, write them, open them as surfaces."""
    parameters = parameters_of(SketchParameters, keywords)
    _either(level, thresholds, parameters)
    sources = sources_of(volumes)
    output = output_folder(volumes, output_dir)
    notes: list[str] = []

    def work(progress: Progress) -> Run:
        ensemble = find_ensemble(sources, voxel_size, progress, include=include, exclude=exclude)
        levels, where, flagged = _levels(ensemble, level, thresholds, output, volumes, notes, progress, parameters.filter == "flags")
        return run_sketch(ensemble.resampled(box), levels, where, parameters, output, voxel_size, progress, flagged)

    def show(run: Run) -> Generator[None, None, Run]:
        counts, used = run.record.counts, run.record.counts["volumes_used"]
        lines = [*notes, *run.notes, _volumes_line(run),
                 f"{counts['union_voxels']:,} voxels {_union_text(parameters)} of the {used:,} volumes; "
                 f"{counts['sampled_voxels']:,} sampled (seed {parameters.seed}), "
                 f"{counts['significant_pairs']:,} pairs go together (statistic {parameters.statistic}; counted on "
                 f"{run.record.counted_on})"]
        yield from _show_run(session, run, lines, open, reference)
        if len(run.blocks):
            from .session.surfaces import next_step, path_text
            next_step(session, "expand", f"siren expand {path_text(run.folder)}")
        return run

    return run_job(session, "siren sketch", work, show)


def expand(session: Any, blocks: Any, volumes: list[Any] | None = None, level: float | None = None,
           thresholds: str | None = None, sketch: str | None = None, output_dir: str | None = None,
           box: int | None = None, voxel_size: float | None = None, include: Sequence[str] = (),
           exclude: Sequence[str] = (), open: bool = True, reference: bool = False, **keywords: Any) -> Any:
    """Test every voxel against every block; write and open the expanded blocks."""
    source_folder = Path(sketch) if sketch else run_folder(session, blocks)
    record = door(read_record, source_folder)
    _either(level, thresholds)
    same_test = keywords.get("statistic") in (None, record.parameters.get("statistic"))  # another one has other parameters
    parameters = parameters_of(ExpandParameters, {**(inherited(record) if same_test else {}), **given(keywords)})
    output = output_folder([], output_dir) if output_dir else source_folder.parent
    if (output / EXPAND_FOLDER).resolve() in (source_folder.resolve(), *([] if isinstance(blocks, list) else [Path(blocks).resolve()])):
        raise UserError(f"{output / EXPAND_FOLDER} would be replaced by its own expansion: give another outputDir.")
    sources = sources_of(volumes) if volumes else None
    block_set = door(opened_blocks, blocks, record) if isinstance(blocks, list) else None
    notes: list[str] = []

    def work(progress: Progress) -> Run:
        chosen = block_set or read_block_maps(Path(blocks), record.grid)
        ensemble, levels, where = None, None, ""
        if sources is not None:
            ensemble = find_ensemble(sources, voxel_size or record.voxel_size, progress, include=include,
                                     exclude=exclude).resampled(box or record.box)
        elif include or exclude:
            ensemble = record.ensemble(progress).select(include, exclude)
        if level is not None or thresholds is not None:
            ensemble = ensemble or record.ensemble(progress)
            levels, where, flagged = _levels(ensemble, level, thresholds, output, [], notes, progress, parameters.filter == "flags")
            if flagged:
                taking_part = [n not in flagged for n in ensemble.names]
                ensemble, levels = ensemble.select(exclude=tuple(flagged)), levels[taking_part]
                notes.append(f"{len(flagged)} left out: " + "; ".join(f"{n} ({why})" for n, why in flagged.items()))
        return run_expand(chosen, record, parameters, output, ensemble, levels, where, source_folder, progress)

    def show(run: Run) -> Generator[None, None, Run]:
        before = run.record.counts["block_voxels_before"]
        lines = [*notes, *run.notes, _volumes_line(run),
                 f"{run.record.counts['union_voxels']:,} voxels tested against {len(run.blocks)} blocks of {before:,} voxels "
                 f"(statistic {parameters.statistic}; counted on {run.record.counted_on}); "
                 f"{run.record.counts['unassigned_voxels']:,} joined none"]
        yield from _show_run(session, run, lines, open, reference)
        return run

    return run_job(session, "siren expand", work, show)


def example(session: Any, folder: str, **keywords: Any) -> Any:
    """Write a simulated ensemble with known blocks."""
    from .core.simulation.example import ExampleParameters
    from .core.simulation.example_folder import write_example

    parameters = parameters_of(ExampleParameters, keywords)
    path = Path(folder).expanduser()

    def show(result: Any) -> Any:
        from .session.surfaces import next_step, path_text

        session.logger.info(f"{parameters.volumes} simulated volumes with {len(result.simulation.units)} planted blocks written "
                            f"to {path} (what is planted: truth.json)." + (" The earlier example was replaced." if result.replaced else ""))
        next_step(session, "predict", f"siren predict {path_text(path)}")
        return result

    return run_job(session, "siren example", lambda progress: write_example(path, parameters, progress), show)


def open_(session: Any, folder: str, reference: bool = False) -> Run:
    """Open the blocks of a finished sketch or expansion."""
    run = door(open_run, Path(folder))
    at_once(_show_run(session, run, [_volumes_line(run)], True, reference, written=False))
    return run


def show_(session: Any, volume: list[Any], level: float | None = None, voxel_size: float | None = None) -> Any:
    """Show one map of an ensemble at its level, in the place of the one shown before."""
    sources = sources_of(volume)
    ensemble = door(find_ensemble, sources, voxel_size, None, 1)
    if len(ensemble) != 1:
        raise UserError(f"siren show takes one map, and {typed(volume)} is {len(ensemble):,}: name one of them.")
    source = ensemble.sources[0]
    array = door(source.read)
    from .session.surfaces import show_map

    return show_map(session, source.name, array, ensemble.grid, level)


def stop(session: Any) -> None:
    """Stop the SIREn command that is running."""
    job = current_job(session)
    if job is None:
        session.logger.info("No SIREn command is running.")
    else:
        job.terminate()
        session.logger.status(f"Stopping {job.name} ...")


# --- from what was typed to what core takes


def _either(level: float | None, thresholds: str | None, parameters: TestParameters | None = None) -> None:
    if level is not None and thresholds is not None:
        raise UserError('Give either "level" or "thresholds", not both.')
    if parameters is not None and parameters.filter == "flags" and level is not None:
        raise UserError('"filter flags" needs the table of thresholds that has them: leave out "level", or "filter".')


def _levels(ensemble: Ensemble, level: float | None, thresholds: str | None, output: Path, volumes: Sequence[Any],
            notes: list[str], progress: Progress, by_flags: bool = False) -> tuple[Any, str, dict[str, str]]:
    """Levels (V,) of the volumes, where they came from, and volumes to leave out with the reason, where the table's flags say so."""
    import numpy as np

    from .core.thresholds.tables import read_flags, read_thresholds

    def read(table: Path, where: str) -> tuple[Any, str, dict[str, str]]:
        flagged = {name: f"flagged: {why}" for name, why in read_flags(table, ensemble).items()} if by_flags else {}
        return read_thresholds(table, ensemble, flagged), where, flagged

    if level is not None:
        return np.full(len(ensemble), level), f"level {level:g}", {}
    if thresholds is not None:
        return read(Path(thresholds), str(Path(thresholds).absolute()))
    folder = first_path(volumes)
    for table in [output / PREDICTIONS_FILE] + ([folder / PREDICTIONS_FILE] if folder else []):
        if table.is_file():
            notes.append(f"Thresholds from {table}")
            return read(table, str(table))
    from .core.thresholds.predict import PredictParameters, predict_levels
    from .core.thresholds.tables import write_predictions

    write_predictions(output / PREDICTIONS_FILE, predict_levels(ensemble, PredictParameters(), progress))
    notes.append(f"No thresholds were given, so they were predicted: {output / PREDICTIONS_FILE}")
    return read(output / PREDICTIONS_FILE, f"predicted by this command: {output / PREDICTIONS_FILE}")


# --- what was found


def _volumes_line(run: Run) -> str:
    left_out = [v["name"] for v in run.record.volumes if v["left_out"]]
    reasons = sorted({v["left_out"] for v in run.record.volumes if v["left_out"]})
    text = f"{len(run.record.volumes):,} volumes, {run.record.grid.text()}; thresholds: {run.record.thresholds}"
    return text + (f"; {len(left_out)} left out ({listed(left_out)}: {'; '.join(reasons)})" if left_out else "")


def _show_run(session: Any, run: Run, lines: list[str], open: bool, reference: bool, written: bool = True) -> Generator[None, None, None]:
    """Log and open what a run found, with pauses in which a window can be drawn (see :func:`.jobs.run_job`)."""
    from .session.surfaces import log_blocks, log_lines, opening_blocks

    if run.aside is not None:
        lines.append(f"{run.folder.name} had been edited by hand: it is kept as {run.aside}.")
    elif run.replaced:
        lines.append(f"The earlier {run.folder} was replaced.")
    count, voxels = len(run.blocks), run.blocks.voxel_count
    lines.append(f"{count} block{'s' * (count != 1)}, {voxels:,} voxels")
    if not count:
        lines.append(_nothing_found(run))
    log_lines(session, lines)
    group = None
    if open and count:
        group = yield from opening_blocks(session, run.blocks, run.folder, run.mean if reference else None, run.level, run.table)
    yield
    log_blocks(session, run.table, group)
    if written:
        log_lines(session, [f"Written to {run.folder} (run.json, blocks.json, blocks.csv, {count} block maps, mean.mrc, "
                            "unassigned.mrc)."])


def _union_text(parameters: SketchParameters) -> str:
    share = f"{100 * parameters.union_fraction:g} %"
    vary = parameters.statistic == "profile"  # that statistic also leaves out what is nearly always occupied
    return f"that vary: occupied, and empty, in more than {share}" if vary else f"occupied in more than {share}"


def _nothing_found(run: Run) -> str:
    used = run.record.counts["volumes_used"]
    if run.record.counts["union_voxels"] < 2 and used >= FEW_VOLUMES:
        return "Every voxel is occupied in nearly all volumes or in nearly none: the levels are too low or too high for these maps."
    if used < FEW_VOLUMES:
        return f"No voxels go together significantly: {used} volumes are few, and significance needs hundreds."
    return ("No voxels go together significantly. Look at some volumes at their level (siren predict #1-5 sets it), "
            "or allow more with a larger posp.")


# --- registration

_THRESHOLDS: list[tuple[str, Any]] = [("level", FloatArg), ("thresholds", OpenFileNameArg)]
_SHOW: list[tuple[str, Any]] = [("open", BoolArg), ("reference", BoolArg)]


def _descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    from .commands import analysis as state_commands
    from .commands import edit as block_commands
    from .commands import screen as screen_command
    from .commands import thresholds as threshold_commands

    output = [("output_dir", SaveFolderNameArg)]
    volumes = [("volumes", VolumesArg)]

    def example_desc() -> CmdDesc:
        from .core.simulation.example import ExampleParameters
        return CmdDesc(required=[("folder", SaveFolderNameArg)], keyword=keywords_of(ExampleParameters),
                       synopsis="Write a simulated ensemble to try SIREn on")

    def sketch_desc() -> CmdDesc:
        return CmdDesc(required=volumes, keyword=[*_THRESHOLDS, *output, ("box", IntArg), *SELECTION, *_SHOW,
                                                  *keywords_of(SketchParameters)],
                       synopsis="Find blocks that come and go together")

    def expand_desc() -> CmdDesc:
        return CmdDesc(required=[("blocks", BlocksArg)],
                       keyword=[("volumes", VolumesArg), *_THRESHOLDS, ("sketch", OpenFolderNameArg), *output, ("box", IntArg),
                                *SELECTION, *_SHOW, *keywords_of(ExpandParameters)],
                       synopsis="Test every voxel against every block")

    def open_desc() -> CmdDesc:
        return CmdDesc(required=[("folder", OpenFolderNameArg)], keyword=[("reference", BoolArg)],
                       synopsis="Open blocks found earlier as coloured surfaces")

    def show_desc() -> CmdDesc:
        return CmdDesc(required=[("volume", VolumesArg)], keyword=[("level", FloatArg), ("voxel_size", FloatArg)],
                       synopsis="Show one map of an ensemble in the place of the one before")

    def stop_desc() -> CmdDesc:
        return CmdDesc(synopsis="Stop the SIREn command that is running")

    return {"siren sketch": (sketch_desc, sketch), "siren expand": (expand_desc, expand),
            "siren example": (example_desc, example),
            "siren open": (open_desc, open_), "siren show": (show_desc, show_), "siren stop": (stop_desc, stop),
            **block_commands.descriptions(), **screen_command.descriptions(), **state_commands.descriptions(),
            **threshold_commands.descriptions()}


def register_command(name: str, logger: Any) -> None:
    """Register one of the commands; called by ChimeraX when it is first used."""
    description, function = _descriptions()[name]
    register(name, description(), function, logger=logger)


