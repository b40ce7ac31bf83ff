"""The commands that repeat a run, from its record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.blocks.parameters import NO_MASK, ExpandParameters, SketchParameters
from ..core.report.content import Step
from ..core.report.inputs import levels_table
from ..core.runs.record import Record
from ..core.runs.steps import inherited_parameters
from .inputs import PREDICTIONS_FILE
from .words import keywords_text, parameters_text, path_text, selection_text

OPEN_MAPS = "VOLUMES"


def commands_of(steps: Sequence[Step]) -> list[str]:
    """The commands of the steps that led to a run, a line each; what no command does is a comment.

    Parameters
    ----------
    steps : the first one first
    """
    lines: list[str] = []
    for place, step in enumerate(steps):
        before = steps[place - 1] if place else None
        if step.record.step == "sketch":
            lines += _sketch(step)
        elif step.record.step == "expand":
            lines += _expand(step, before)
        else:
            lines.append(f"# {step.folder} was edited by hand; edits are not repeated by commands")
    return lines


def _sketch(step: Step) -> list[str]:
    record, parameters = step.record, step.record.parameters
    volumes, lines = _volumes(record), []
    if volumes == OPEN_MAPS:
        lines.append(f"# {OPEN_MAPS} were open maps, or such that had been moved")
    table = levels_table(record)
    if table is not None and table.name == PREDICTIONS_FILE:
        place = keywords_text(output_dir=table.parent)
        lines.append(f"# if {table} is gone: siren predict {volumes} {place}")
    lines.append(
        _joined(
            f"siren sketch {volumes}",
            _selection(record),
            _levels(record),
            keywords_text(voxel_size=record.voxel_size, origin=record.origin, box=record.box),
            parameters_text(SketchParameters, parameters),
            keywords_text(output_dir=step.folder.parent),
        )
    )
    return lines


def _expand(step: Step, before: Step | None) -> list[str]:
    record, lines = step.record, []
    source = Path(record.source) if record.source else None
    if source is None:
        return [f"# {step.folder} was expanded from blocks that were open, or not from a folder"]
    expected: dict[str, Any] = {}
    if before is None:
        lines.append(f"# {source} is gone: the parameters that it had are not known")
    else:
        expected = inherited_parameters(before.record, before.folder)
    plain = ExpandParameters().as_dict()
    changed = {n: v for n, v in record.parameters.items() if v != expected.get(n, plain.get(n))}
    other = before is None or _taken(before.record) != _taken(record)
    lines.append(
        _joined(
            f"siren expand {path_text(source)}",
            f"volumes {_volumes(record)} {_selection(record)}".strip() if other else "",
            _levels(record) if before and before.record.thresholds != record.thresholds else "",
            parameters_text(ExpandParameters, changed, inherits=True),
            f"mask {NO_MASK}" if expected.get("mask") and not record.parameters.get("mask") else "",
            keywords_text(output_dir=step.folder.parent),
        )
    )
    return lines


def _volumes(record: Record) -> str:
    paths = [v["path"] for v in record.volumes]
    if not all(paths):
        return OPEN_MAPS
    folders = dict.fromkeys(Path(path).parent for path in paths)
    ends = "/" if len(folders) > 1 else ""  # several folders are written with a slash
    return " ".join(path_text(f"{folder}{ends}") for folder in folders)


def _selection(record: Record) -> str:
    names = [v["name"] for v in record.volumes]
    return selection_text([*names, *record.not_chosen], set(record.not_chosen))


def _taken(record: Record) -> set[str | None]:
    return {v["path"] for v in record.used}


def _levels(record: Record) -> str:
    if record.thresholds.startswith("level "):
        return record.thresholds.split(",")[0]
    table = levels_table(record)
    return "" if table is None else keywords_text(thresholds=table)


def _joined(*words: str) -> str:
    return " ".join(word for word in words if word)
