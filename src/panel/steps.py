"""The commands for the panel's choices, and the time and memory they will take."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.blocks.statistics import DEFAULT
from ..core.common.errors import SirenError
from ..core.common.files import RECORD
from ..session.words import path_text
from . import commands
from .listed import ONE_LEVEL, PREDICTED, TABLE
from .state import PanelState

if TYPE_CHECKING:  # slow to import: not before there is something to read
    from ..core.runs.estimates import Estimate
    from ..core.runs.record import Record


def predict_command(state: PanelState) -> str:
    """``siren predict`` for all readable volumes, on whatever grid: unticked ones may be ticked
    later.
    """
    return commands.join(
        "siren predict",
        *_readable(state),
        commands.parameters_text(commands.STEPS["predict"], state.steps["predict"]),
    )


def template_command(state: PanelState, count: int) -> str:
    """``siren label template`` for all readable volumes."""
    return commands.join(
        "siren label template", *_readable(state), commands.keywords_text(count=count)
    )


def label_command(
    state: PanelState, model: str, lower: float | None = None, upper: float | None = None
) -> str:
    """``siren label`` for an open map."""
    table = state.labels_table if state.output else None
    return commands.join(
        f"siren label {model}", commands.keywords_text(lower=lower, upper=upper, labels=table)
    )


def evaluate_command(state: PanelState) -> str:
    """``siren evaluate`` of the levels that a sketch would take."""
    labels, table = state.labels_table, state.threshold_table
    if labels is None or not labels.is_file():
        raise SirenError("There are no labels yet: set a level by eye, and label it.")
    beside = table is None or table.parent == labels.parent
    return commands.join(
        "siren evaluate",
        path_text(labels),
        commands.keywords_text(
            predictions=None if beside else table, output_dir=None if beside else labels.parent
        ),
    )


def finetune_command(state: PanelState) -> str:
    """``siren finetune`` on the labels, starting from the weights of Predict."""
    labels = state.labels_table
    if labels is None or not labels.is_file():
        raise SirenError("There are no labels yet: set levels by eye, and label them.")
    return commands.join(
        "siren finetune",
        *_readable(state),
        commands.keywords_text(labels=labels, weights=state.steps["predict"].get("weights")),
    )


def _readable(state: PanelState) -> list[str]:
    """All readable volumes, with the output folder and the voxel size, as text for a command."""
    from ..core.runs.preview import UNREADABLE

    unusable = {name for name, flag in state.flags.items() if flag.kind == UNREADABLE}
    if state.found is not None:
        unusable |= state.excluded & set(state.found.companions)
    return [
        commands.volumes_text(state.volumes),
        _selection(state, unusable),
        _places(state),
        commands.keywords_text(voxel_size=state.voxel_size),
    ]


def sketch_command(state: PanelState, after_predict: bool = False) -> str:
    """``siren sketch`` for the ticked volumes."""
    level = state.level if state.source == ONE_LEVEL else None
    table: Path | None = state.threshold_table
    if state.source == PREDICTED and after_predict and state.output_path is not None:
        from ..session.inputs import PREDICTIONS_FILE

        table = state.output_path / PREDICTIONS_FILE
    return commands.join(
        "siren sketch",
        commands.volumes_text(state.volumes),
        _selection(state, state.excluded),
        commands.keywords_text(level=level, thresholds=table),
        _places(state),
        commands.keywords_text(voxel_size=state.voxel_size, box=state.box),
        commands.parameters_text(commands.STEPS["sketch"], state.steps["sketch"]),
    )


def expand_command(state: PanelState, folder: Path | None = None) -> str:
    """``siren expand`` for the blocks shown, or for those in a folder."""
    folder = folder or blocks_to_expand(state)
    if folder is None:
        raise SirenError("There are no blocks to expand: run Sketch first.")
    return commands.join(  # to where its sketch is, whatever the panel's volumes are
        "siren expand",
        commands.keywords_text(folder=folder).removeprefix("folder "),
        commands.parameters_text(commands.STEPS["expand"], state.steps["expand"], inherits=True),
    )


def all_commands(state: PanelState) -> list[str]:
    """All commands from volumes to expanded blocks; predicts if a ticked volume has no contour
    level.
    """
    predict = state.source == PREDICTED and not all(name in state.levels for name in state.included)
    if state.source == TABLE and not state.table:
        raise SirenError("Choose the table of contour levels (Run page, Contour levels).")
    if state.source == ONE_LEVEL and state.level is None:
        raise SirenError("Enter the contour level for all volumes (Run page, Contour levels).")
    assert state.output_path is not None
    from ..core.runs.steps import SKETCH_FOLDER

    lines = [predict_command(state)] if predict else []
    return [
        *lines,
        sketch_command(state, predict),
        expand_command(state, state.output_path / SKETCH_FOLDER),
    ]


def blocks_to_expand(state: PanelState) -> Path | None:
    """The folder of the blocks for Expand: the ones shown unless already expanded, else the
    sketch.
    """
    shown = state.run_folder
    if shown is None and state.output_path is None:
        return None
    from ..core.runs.steps import EXPAND_FOLDER, SKETCH_FOLDER

    if shown is not None and shown.name != EXPAND_FOLDER and shown.is_dir():
        return shown
    sketch = state.output_path / SKETCH_FOLDER if state.output_path else None
    if sketch is None and shown is not None:
        sketch = shown.parent / SKETCH_FOLDER
    return sketch if sketch is not None and (sketch / RECORD).is_file() else None


def record_to_expand(state: PanelState) -> Record | None:
    """The record of the blocks for Expand."""
    folder = blocks_to_expand(state)
    return read_cached(folder) if folder else None


def read_cached(folder: Path) -> Record | None:
    """The record of a folder, reread only if it has changed; None if there is none."""
    try:
        return _record(folder, (folder / RECORD).stat().st_mtime_ns)
    except (SirenError, OSError):
        return None


def expand_defaults(state: PanelState, record: Record | None) -> dict[str, Any]:
    """The defaults of ``siren expand``: the parameters of the sketch."""
    overridden = state.steps["expand"].get("statistic")
    if record is not None:
        from ..core.runs.steps import inherited_parameters

        return (
            {}
            if overridden not in (None, record.parameters.get("statistic"))
            else dict(inherited_parameters(record))
        )
    values = {
        k: v
        for k, v in state.steps["sketch"].items()
        if k in commands.STEPS["expand"].__dataclass_fields__ and k != "filter"
    }
    return {} if overridden not in (None, values.get("statistic", DEFAULT)) else values


def cost(state: PanelState, step: str, record: Record | None) -> Estimate | None:
    """Time and memory that a step will take; None while no volumes are listed."""
    if state.found is None or len(state.included) < 1:
        return None
    from ..core.maps.grid import Grid
    from ..core.maps.mapfile import is_packed
    from ..core.runs.estimates import Work, estimate

    grid = state.found.grid
    read = None
    if state.box and grid.shape != (state.box,) * 3:
        grid, read = Grid((state.box,) * 3, grid.voxel_size), grid.size
    values = {**state.steps["sketch"], **(state.steps[step] if step == "expand" else {})}
    counts = record.counts if record is not None and record.grid.shape == grid.shape else {}
    return estimate(
        Work(
            step,
            len(state.included),
            grid,
            values.get("statistic", DEFAULT),
            values.get("subsample"),
            values.get("resamples", 10),
            counts.get("union_voxels"),
            counts.get("block_voxels"),
            read,
            any(is_packed(Path(name)) for name in state.names),
        )
    )


@lru_cache(maxsize=4)
def _record(folder: Path, _: int) -> Record:
    from ..core.runs.record import read_record

    return read_record(folder)


def _selection(state: PanelState, excluded: set[str]) -> str:
    """``include`` or ``exclude``; half maps, masks and the like are left out by the command, unless
    they are ticked: then it needs all names.
    """
    companions = set(state.found.companions) if state.found is not None else set()
    if companions <= excluded:
        names = [n for n in state.names if n not in companions]
        return commands.selection_text(names, excluded)
    return commands.selection_text(state.names, excluded, listed=True)


def _places(state: PanelState) -> str:
    return commands.keywords_text(
        output_dir=Path(state.output).expanduser() if state.output else None
    )
