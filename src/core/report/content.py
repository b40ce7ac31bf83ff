"""What a report says of a run: gathered from its folder, and from those it started from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.block_occupancy import States
from ..analysis.pair_tests import clopper_pearson
from ..analysis.relate import Related, relate
from ..blocks.blockset import BLOCKS_FILE, MEAN_FILE, BlockSet, read_blocks_file
from ..blocks.display import sampled_share
from ..blocks.editing import with_values_of
from ..common import constants
from ..common.errors import SirenError
from ..common.files import RECORD, read_json
from ..common.progress import Progress
from ..figures.colors import folder_colors
from ..figures.theme import Labels
from ..maps.mapfile import read_map
from ..runs.record import Record, read_record
from ..runs.steps import effective_volumes_of, run_states

BEYOND = 0.025  # probability of a share beyond either bound of its interval


@dataclass(frozen=True)
class Step:
    """One of the steps that led to the blocks.

    Attributes
    ----------
    folder : as its successor names it
    record : of the step
    versions : of the software that computed it, by name
    """

    folder: Path
    record: Record
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BlockRow:
    """What the table of blocks says of one block.

    Attributes
    ----------
    number, name : of the block
    voxels : its size
    volume : in A^3
    mass : in kDa
    present : volumes that have it
    share : of the volumes, 0 to 1
    low, high : bounds of the share, 95 %
    stability, verdict : None and "" if they are not known, as after an edit
    """

    number: int
    name: str
    voxels: int
    volume: float
    mass: float
    present: int
    share: float
    low: float
    high: float
    stability: float | None
    verdict: str


@dataclass(frozen=True)
class Report:
    """All that a report says, but for pictures and commands.

    Attributes
    ----------
    steps : from the first to the one that the blocks are of
    blocks : BlockSet, with evidence and stability where known
    states : of the blocks
    labels : names and colors of the blocks
    rows : a row for each block
    effective : how many independent volumes the volumes are worth; None if not known
    density : of protein, in Da/A^3, by which volumes become masses
    sampled : share of the voxels that were compared, 1 after an expansion
    edited : whether blocks have been changed since the run
    mean, level : the mean of the volumes (z, y, x) with its contour level; None if it is gone
    missing : what could not be read, a sentence each
    related : how the blocks depend on each other; None if there are none
    """

    steps: Sequence[Step]
    blocks: BlockSet
    states: States
    labels: Labels
    rows: Sequence[BlockRow]
    effective: float | None
    density: float
    sampled: float
    edited: bool = False
    mean: NDArray[np.float32] | None = None
    level: float = 0.0
    missing: Sequence[str] = ()
    related: Related | None = None

    @property
    def record(self) -> Record:
        """That of the run whose blocks these are."""
        return self.steps[-1].record

    @property
    def folder(self) -> Path:
        """That of the run whose blocks these are."""
        return self.steps[-1].folder


def gather(
    folder: Path,
    blocks: BlockSet | None = None,
    states: States | None = None,
    colors: Mapping[int, tuple[float, ...]] | None = None,
    density: float = constants.PROTEIN_DENSITY,
    progress: Progress | None = None,
) -> Report:
    """Gather what a report says of a run.

    Parameters
    ----------
    folder : of a sketch, an edited set or an expansion
    blocks : those shown, if they are not the run's: edited, or some of them
    states : of these blocks; read from the run, or measured in its volumes, by default
    colors : of the blocks; default: those they get when they are opened
    density : Da/A^3
    progress : Progress, optional

    Raises
    ------
    SirenError, Cancelled
        If the folder is not that of a run, or a volume is missing.
    """
    steps = history(folder)
    own = read_blocks_file(folder / BLOCKS_FILE)
    shown = own if blocks is None else with_values_of(blocks, own)
    edited = any(n not in own.blocks or not np.array_equal(v, own.blocks[n]) for n, v in shown)
    effective = next((e for s in reversed(steps) if (e := effective_volumes_of(s.record))), None)
    found = states or run_states(folder, shown, progress=progress)
    found = replace(found, effective_volumes=effective)
    record, missing, mean = steps[-1].record, [], None
    try:
        mean = read_map(folder / MEAN_FILE)[0]
    except SirenError as error:
        missing.append(str(error))
    if (steps[-1].record.source or "") and len(steps) == 1:
        missing.append(
            f"{record.source}, from which this run started, is gone: its parameters are not known."
        )
    return Report(
        steps,
        shown,
        found,
        Labels(shown.names, dict(colors or folder_colors(folder, own))),
        [_row(shown, found, number, effective, density) for number, _ in shown],
        effective,
        density,
        sampled_share(shown, record.sampled),
        edited,
        mean,
        float(np.mean([v["level"] for v in record.used])),
        missing,
        relate(found, progress=progress) if len(shown) else None,
    )


def history(folder: Path) -> list[Step]:
    """The steps that led to a run, the first one first, as far as their folders are still there.

    Raises
    ------
    SirenError
        If the folder itself is not that of a run.
    """
    steps = [Step(folder, read_record(folder), _versions(folder))]
    while (source := steps[0].record.source) and Path(source) not in {s.folder for s in steps}:
        try:
            before = Path(source)
            steps.insert(0, Step(before, read_record(before), _versions(before)))
        except SirenError:
            break
    return steps


def _versions(folder: Path) -> dict[str, str]:
    found: Any = read_json(folder / RECORD).get("versions")
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _row(
    blocks: BlockSet, states: States, number: int, effective: float | None, density: float
) -> BlockRow:
    voxels, evidence = len(blocks.blocks[number]), blocks.evidence.get(number)
    volume = voxels * blocks.grid.voxel_volume
    there = states.present[states.row(number)]
    low, high = share_interval(int(there.sum()), len(there), effective)
    return BlockRow(
        number,
        blocks.names.get(number, ""),
        voxels,
        volume,
        volume * density / 1000,
        int(there.sum()),
        float(there.mean()),
        low,
        high,
        blocks.stability.get(number),
        "" if evidence is None else evidence.verdict,
    )


def share_interval(count: int, volumes: int, effective: float | None = None) -> tuple[float, float]:
    """Bounds of a share of the volumes, 95 %: Clopper & Pearson 1934, doi 10.1093/biomet/26.4.404.

    Parameters
    ----------
    count : volumes that have a block
    volumes : all of them
    effective : how many independent volumes they are worth; as many as there are by default

    Example::

        from chimerax.siren.core.report.content import share_interval

        [round(b, 3) for b in share_interval(40, 100)]  # -> [0.303, 0.503]
        [round(b, 3) for b in share_interval(40, 100, effective=10)]  # -> [0.122, 0.738]
    """
    worth = float(min(volumes, effective or volumes))
    there, of = np.array([worth * count / volumes]), np.array([worth])
    low, high = clopper_pearson(there, of, BEYOND)
    return float(low[0]), float(high[0])
