"""What a report says of the input of a run: where the volumes were, their names, the defaults."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from ..blocks.parameters import ExpandParameters, SketchParameters
from ..runs.places import HARMONIZED_NOTE, PREDICTED
from ..runs.record import Record

_KINDS = {"sketch": SketchParameters, "edit": SketchParameters, "expand": ExpandParameters}


def default_of(step: str, name: str) -> Any:
    """The default of a parameter of a step; None if there is none."""
    fields = {f.name: f.default for f in dataclasses.fields(_KINDS.get(step, SketchParameters))}
    return fields.get(name)


def levels_table(record: Record) -> Path | None:
    """The table that the contour levels of a run are from; None if one level was given for all."""
    text = record.thresholds.removesuffix(HARMONIZED_NOTE).removeprefix(PREDICTED)
    return None if text.startswith("level ") or not text else Path(text)


def places_of(record: Record) -> str:
    """The folders of the volumes, in words."""
    folders = dict.fromkeys(str(Path(v["path"]).parent) for v in record.volumes if v["path"])
    return ", ".join(folders) or "open maps without files"


def names_in_runs(names: Sequence[str]) -> list[str]:
    """Names, with those that are numbered one after the other drawn together.

    Example::

        from chimerax.siren.core.report.inputs import names_in_runs

        names_in_runs(["v_1.mrc", "v_2.mrc", "v_3.mrc"])  # -> ['v_1.mrc to v_3.mrc (3)']
    """
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", name, re.S) for name in names]

    def run(place: int) -> tuple[Any, ...]:
        match = parts[place]
        if match is None:
            return (place,)
        return match[1], match[3], int(match[2]) - place

    found = []
    for _, group in groupby(range(len(names)), run):
        places = list(group)
        first, last = names[places[0]], names[places[-1]]
        if len(places) > 2:
            found.append(f"{first} to {last} ({len(places):,})")
        else:
            found += [names[k] for k in places]
    return found
