"""Readers of the folder of a run, and of the truth of an example."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from chimerax.siren.core.analysis.parameters import RelateParameters
from chimerax.siren.core.analysis.relate import relate
from chimerax.siren.core.analysis.selection import Selection
from chimerax.siren.core.analysis.subsets import choose_volumes
from chimerax.siren.core.blocks.parameters import ExpandParameters
from chimerax.siren.core.report.content import gather, history
from chimerax.siren.core.runs.comparison import read_side
from chimerax.siren.core.runs.moved import locate_volumes
from chimerax.siren.core.runs.record import read_record
from chimerax.siren.core.runs.steps import inherited_parameters, read_blocks, run_states
from chimerax.siren.core.simulation.example_folder import earlier_example
from fuzzing.changes import changed_bytes, changed_json
from fuzzing.good import Good, Reader, one_sentence


def in_run(
    name: str, change: Callable[[DataObject, str], bytes], *uses: Callable[[Path], object]
) -> Reader:
    """What reads a run, with one of its files changed."""

    def read(good: Good, folder: Path, data: DataObject) -> None:
        content = change(data, good.text(f"siren/00_sketch/{name}"))
        if data.draw(st.integers(0, 5)) == 0:
            content = changed_bytes(data, content)
        path = good.run / name
        before = path.read_bytes()
        path.write_bytes(content)
        try:
            for use in uses:
                one_sentence(use, good.run)
        finally:
            path.write_bytes(before)

    return read


def parameters(folder: Path) -> object:
    """What an expansion takes over from its sketch."""
    return ExpandParameters(**inherited_parameters(read_record(folder)))  # type: ignore[arg-type]


def blocks_alone(folder: Path) -> object:
    """The blocks, without the record of their run."""
    return read_blocks(folder / "blocks.json")


def truth(good: Good, folder: Path, data: DataObject) -> None:
    """What was planted in an example."""
    (folder / "truth.json").write_bytes(changed_json(data, good.text("truth.json")))
    one_sentence(earlier_example, folder)
    one_sentence(read_side, folder / "truth.json")


def related(folder: Path) -> object:
    """What siren relate, volumes and movie take from a run."""
    states = run_states(folder)
    choose_volumes(states, Selection((1,)))
    return relate(states, RelateParameters(resamples=1))


def report(folder: Path) -> object:
    """What the report is made of."""
    return gather(folder), history(folder)


def found_again(folder: Path) -> object:
    """A run whose volumes were moved."""
    return locate_volumes(folder, folder.parents[1] / "volumes")
