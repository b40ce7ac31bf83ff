"""Which blocks of the run shown are in which of the listed volumes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.analysis.block_occupancy import STATES_FILE, States, read_states
from ..core.analysis.selection import Selection
from ..core.blocks.blockset import BLOCKS_FILE, read_blocks_file
from ..core.figures.colors import folder_colors
from ..core.figures.theme import Labels
from ..core.runs.record import read_record

if TYPE_CHECKING:
    from ..core.maps.ensemble import Source
    from ..core.runs.steps import Run


@dataclass
class KnownStates:
    """The states of a run, by the names of the volumes in the list.

    Attributes
    ----------
    folder : of the run
    states
    labels : names and colors of the blocks, which follow those of open surfaces
    places : folder of each volume of the run, by its name; "" if it is not known
    columns : position among the states, by name of a listed volume
    """

    folder: Path
    states: States
    labels: Labels
    places: dict[str, str]
    columns: dict[str, int] = field(default_factory=dict)

    def follow(self, sources: Sequence[Source]) -> None:
        """Look which of the listed volumes are those of the run: of equal names, and in one
        folder.
        """
        position = {name: k for k, name in enumerate(self.states.names)}
        folders: dict[str, str] = {}
        self.columns = {}
        for source in sources:
            column = position.get(source.name)
            if column is None:
                continue
            parent = "" if source.path is None else os.path.dirname(source.path)
            if parent not in folders:
                folders[parent] = os.path.realpath(parent) if parent else ""
            expected = self.places.get(source.name, "")
            if not expected or not folders[parent] or expected == folders[parent]:
                self.columns[source.name] = column

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the blocks."""
        return self.states.numbers

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(V,) blocks in each volume."""
        return np.asarray(self.states.present.sum(axis=0), np.int64)

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """(V,) place of each volume by number of blocks, and by which these are."""
        present = self.states.present
        keys = [*(~present[::-1]), self.counts]
        order = np.lexsort(keys)
        changed = np.any([np.diff(key[order]) != 0 for key in keys], axis=0)
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.concatenate([[0], np.cumsum(changed)])
        return ranks

    def fitting(self, selection: Selection) -> frozenset[str]:
        """The listed volumes that have and lack these blocks.

        Raises
        ------
        SirenError
            If a block is not there.
        """
        fits = selection.mask(self.states)
        return frozenset(name for name, column in self.columns.items() if fits[column])

    def blocks_of(self, name: str) -> list[int]:
        """Numbers of the blocks in a listed volume."""
        present = self.states.present[:, self.columns[name]]
        return [n for n, there in zip(self.numbers, present, strict=True) if there]

    def words(self, name: str) -> str:
        """Which blocks are in a listed volume and how much of each, which are not."""
        if name not in self.columns:
            return "not among the volumes of the run"
        here = set(self.blocks_of(name))
        shares = self.states.share[:, self.columns[name]]
        lines = []
        for word, some in (("with", True), ("without", False)):
            parts = [
                f"{self.labels.words(n)}: {100 * share:.0f} %"
                for n, share in zip(self.numbers, shares, strict=True)
                if (n in here) == some
            ]
            lines += [f"{word} block{'s' * (len(parts) > 1)} {', '.join(parts)}"] if parts else []
        return "\n".join(lines)


def read_known_states(folder: Path, run: Run | None) -> KnownStates | None:
    """The states of a run, if they have been written; they are not measured here.

    Parameters
    ----------
    run : if it has been read already

    Raises
    ------
    SirenError
        If the folder cannot be read.
    """
    table = folder / STATES_FILE
    blocks = read_blocks_file(folder / BLOCKS_FILE) if run is None else run.blocks
    if not table.is_file() or not len(blocks):
        return None
    record = read_record(folder) if run is None else run.record
    states = read_states(table, blocks)
    known = KnownStates(
        folder,
        states,
        Labels(blocks.names, dict(folder_colors(folder, blocks))),
        _folders(record.volumes),
    )
    _ = known.ranks, known.counts  # here, in the thread
    return known


def _folders(volumes: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Folder of each volume of a record; "" where it is not there any more."""
    found: dict[str, str] = {}
    real: dict[str, str] = {}
    for volume in volumes:
        parent = os.path.dirname(volume["path"] or "")
        if parent not in real:
            real[parent] = os.path.realpath(parent) if parent and os.path.isdir(parent) else ""
        found[volume["name"]] = real[parent]
    return found
