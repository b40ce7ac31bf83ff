"""The blocks that a command is given, of a run or open, with their volumes and states."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from chimerax.core.errors import UserError

from ..core.analysis.block_occupancy import States, measure_states
from ..core.analysis.parameters import StatesParameters
from ..core.analysis.selection import Selection
from ..core.blocks.blockset import BLOCKS_FILE, BlockSet, read_blocks_file
from ..core.common.errors import join_names, printable
from ..core.common.files import RECORD
from ..core.common.progress import Progress
from ..core.maps.ensemble import Ensemble
from ..core.runs.record import Record
from ..core.runs.steps import effective_volumes_of, occupancy_of, run_states
from ..session.inputs import opened_blocks, parameters_of, run_folder, user_errors
from ..session.moved import is_gone, run_record
from ..session.scene import shown_colors
from ..session.surfaces import BlockMap, own_color
from ..session.words import counted

NAMED_BLOCKS = 6  # in the name of a folder; more are counted


@dataclass(frozen=True)
class Chosen:
    """The blocks given to a command.

    Attributes
    ----------
    folder : of their run
    record : of that run
    blocks : the open blocks if models were given, else those of the run
    colors : of the surfaces (those they would get if they are not open), by block number
    part : end of the names of results that are not of all blocks of the run as it has them, so that
        these stay; empty if they are
    words : which open blocks these are, for the log; empty if a folder was given
    """

    folder: Path
    record: Record
    blocks: BlockSet
    colors: dict[int, tuple[float, ...]]
    part: str = ""
    words: str = ""


def chosen_blocks(session: Any, blocks: Any) -> Chosen:
    """The blocks that BLOCKS names: those of a run, or open ones, edited or not.

    Raises
    ------
    UserError
        If the folder does not hold a run, or the models are not its blocks.
    """
    if not isinstance(blocks, list):
        folder = Path(blocks).expanduser().absolute()
        record = run_record(session, folder)
        own = user_errors(read_blocks_file, folder / BLOCKS_FILE)
        return Chosen(folder, record, own, dict(shown_colors(session, folder, own)))
    folder = run_folder(session, blocks)
    if folder.is_dir() and not (folder / RECORD).is_file():
        raise UserError(
            f"These blocks were not found by a run, they are those of {printable(str(folder))}: "
            "name blocks of a sketch, an edited set or an expansion."
        )
    record = run_record(session, folder)
    found = user_errors(opened_blocks, blocks, record)
    colors: dict[int, tuple[float, ...]] = {
        m.siren_block: own_color(m) for m in blocks if isinstance(m, BlockMap)
    }
    return Chosen(folder, record, found, colors, *_part_of_run(session, folder, found))


def _part_of_run(session: Any, folder: Path, found: BlockSet) -> tuple[str, str]:
    """``part`` and ``words`` of :class:`Chosen` for open blocks."""
    if is_gone(folder):
        return "", f"Open blocks of {folder}, which is gone"
    if not (folder / BLOCKS_FILE).is_file():
        return "_edited", f"Open blocks of {folder}, which has none any more"
    own = user_errors(read_blocks_file, folder / BLOCKS_FILE).blocks
    numbers = found.blocks
    if any(n not in own or not np.array_equal(v, own[n]) for n, v in numbers.items()):
        return "_edited", f"Open blocks of {folder}, edited since: results have a name of their own"
    if len(numbers) == len(own):
        return "", f"Open blocks of {folder}, all of them"
    few = len(numbers) <= NAMED_BLOCKS
    end = "_".join(map(str, numbers)) if few else f"{len(numbers)}_blocks"
    named = ", ".join(map(str, numbers)) if few else f"{len(numbers):,}"
    words = f"Open blocks of {folder}: {named} of {len(own):,}; results have a name of their own"
    return f"_{end}", words


def given_ensemble(
    record: Record, sources: list[Any] | None, progress: Progress
) -> Ensemble | None:
    """The volumes the user gave in place of the record's, without those that the run passed over,
    chosen or left out; None if none were given.
    """
    if not sources:
        return None
    ensemble = record.find(sources, progress).resampled(record.box)
    passed = {v["name"] for v in record.volumes if v["left_out"] is not None}
    passed = (passed | set(record.not_chosen)) & set(ensemble.names)
    if not passed or len(passed) == len(ensemble):
        return ensemble
    names = [n for n in ensemble.names if n in passed]
    progress.say(
        f"{counted(len(names), 'volume')} that the run did not use {'are' if names[1:] else 'is'} "
        f"passed over here, too: {join_names(names)}"
    )
    return ensemble.select(exclude=tuple(names))


def states_of(
    chosen: Chosen, parameters: StatesParameters, ensemble: Ensemble | None, progress: Progress
) -> States:
    """The states of blocks; measured in the volumes if their folder is gone."""
    if is_gone(chosen.folder):
        occupancy = occupancy_of(chosen.record, ensemble, progress)
        found = measure_states(chosen.blocks, occupancy, parameters, progress)
        return replace(found, effective_volumes=effective_volumes_of(chosen.record))
    return run_states(chosen.folder, chosen.blocks, parameters, ensemble, progress)


def paths_of(
    record: Record, ensemble: Ensemble | None, names: Collection[str]
) -> list[Path | None]:
    """The files of these volumes: of the ensemble given, or as the record has them."""
    if ensemble is None:
        return record.paths(names)
    wanted = set(names)
    return [s.path for s in ensemble.sources if s.name in wanted]


def selection_of(having: list[int] | None, lacking: list[int] | None) -> Selection:
    """The selection that ``with`` and ``without`` ask for."""
    chosen: Selection = user_errors(Selection, tuple(having or ()), tuple(lacking or ()))
    return chosen


def split_keywords(keywords: dict[str, Any], kind: Any) -> tuple[Any, Any]:
    """Parameters of a kind, and those of the states."""
    own = {k: keywords.pop(k) for k in list(keywords) if k in kind.__dataclass_fields__}
    return parameters_of(kind, own), parameters_of(StatesParameters, keywords)
