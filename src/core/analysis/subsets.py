"""The volumes that have some blocks and lack others: which stand for them, their average, and how
it differs from that of other volumes.

Averages are on the common scale of densities: 0 is a volume's background and 1 its contour level,
so that volumes of a decoder, whose scales differ, can be averaged. They are contoured at 1.

A difference of two averages is never zero. If the V volumes were parted at random into sets of n
and m, a voxel's difference would have the SD sqrt(S^2 (1 / n + 1 / m)), with S^2 its variance over
the volumes. The level of the difference surfaces is a multiple of that SD, as large as it is in
DIFFERENCE_PERCENTILE percent of the voxels that are ever occupied: what a random parting of the
same volumes hardly ever reaches anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..blocks.background import BackgroundReader
from ..blocks.blockset import BlockSet
from ..blocks.occupancy import Occupancy
from ..common import constants
from ..common.errors import SirenError
from ..common.files import atomic_folder, write_json
from ..common.progress import Progress
from ..common.tables import csv_text
from ..maps.ensemble import Ensemble
from ..maps.grid import Grid
from ..maps.mapfile import write_map
from .block_occupancy import BLOCK, FILE, LEVEL, States
from .parameters import SubsetParameters
from .selection import Selection

MEAN_LEVEL = 1.0  # contour level of averages on the common scale
SUBSET_FILES = ("mean.mrc", "mean_of_others.mrc", "difference.mrc", "volumes.csv", "subset.json")


@dataclass(frozen=True)
class Subset:
    """The volumes of a selection.

    Attributes
    ----------
    selection : blocks that they have and lack
    chosen : positions of the volumes that fit
    others : positions of those that they are compared with
    representatives : of the chosen, the most typical first
    """

    selection: Selection
    chosen: NDArray[np.intp]
    others: NDArray[np.intp]
    representatives: NDArray[np.intp]


def choose_volumes(
    states: States, selection: Selection, parameters: SubsetParameters | None = None
) -> Subset:
    """The volumes of a selection, those they are compared with, and a few that stand for them.

    Raises
    ------
    SirenError
        If no volume fits.
    """
    parameters = parameters or SubsetParameters()
    chosen = selection.volumes(states)
    if parameters.against == "opposite":
        fits = Selection(selection.lacking, selection.having).mask(states)
        fits &= ~selection.mask(states)
    else:
        fits = ~selection.mask(states)
    few = spread_volumes(states, chosen, parameters.representatives)
    return Subset(selection, chosen, np.flatnonzero(fits), few)


def spread_volumes(states: States, among: NDArray[np.integer], count: int) -> NDArray[np.intp]:
    """Volumes that stand for a set: the one that differs least from all others of the set, then
    each time the one that differs most from those chosen.

    Two volumes differ by the occupied voxels of their blocks. Of equals the first in order.

    Parameters
    ----------
    among : (n,) positions of the set
    count : at most so many

    Returns
    -------
    positions, fewer than ``count`` where the set has no more different ones
    """
    voxels = voxels_of(states)[among]
    center = voxels.mean(axis=0)
    first = int(np.abs(voxels - center).sum(axis=1).argmin())
    found = [first]
    far = np.abs(voxels - voxels[first]).sum(axis=1)
    while len(found) < min(count, len(among)) and far.max() > 0:
        found.append(int(far.argmax()))
        far = np.minimum(far, np.abs(voxels - voxels[found[-1]]).sum(axis=1))
    return np.asarray(among)[found]


def voxels_of(states: States) -> NDArray[np.float64]:
    """(V, B) occupied voxels of each block in each volume."""
    return np.asarray((states.share.astype(np.float64) * states.sizes[:, None]).T)


@dataclass(frozen=True)
class SubsetMaps:
    """Averages of a set and of what it is compared with, on the common scale of densities.

    Attributes
    ----------
    mean, others : (z, y, x) float32, contoured at MEAN_LEVEL; ``others`` is None if there are none
    difference : (z, y, x) float32, mean - others, or None
    level : of the difference surfaces, at plus and minus
    above, below : voxels of the difference beyond the level
    by_block : block number -> mean difference over its voxels
    """

    mean: NDArray[np.float32]
    others: NDArray[np.float32] | None
    difference: NDArray[np.float32] | None
    level: float
    above: int
    below: int
    by_block: dict[int, float]


def average_maps(
    subset: Subset,
    names: Sequence[str],
    blocks: BlockSet,
    ensemble: Ensemble,
    occupancy: Occupancy,
    parameters: SubsetParameters | None = None,
    progress: Progress | None = None,
) -> SubsetMaps:
    """Average the volumes of a subset and those it is compared with; one is in memory at a time.

    Parameters
    ----------
    names : (V,) of the volumes that positions in ``subset`` mean
    blocks : BlockSet on the ensemble's grid
    ensemble : Ensemble with these volumes
    occupancy : Occupancy of them, at the levels of the run

    Raises
    ------
    SirenError, Cancelled
        If a volume cannot be read or is not there, or ``progress`` was asked to stop.
    """
    parameters, progress = parameters or SubsetParameters(), progress or Progress()
    place = {name: v for v, name in enumerate(occupancy.names)}
    wanted = [names[k] for k in (*subset.chosen, *subset.others)]
    if lost := [n for n in wanted if n not in place]:
        raise SirenError(
            f"{lost[0]} is not among the volumes that were read: give all volumes of the run, as "
            'in "volumes FOLDER".'
        )
    mine = {names[k] for k in subset.chosen}
    reader, size = BackgroundReader(occupancy), ensemble.grid.size
    sums, squares = np.zeros((2, size)), np.zeros(size)
    chosen = ensemble.of(wanted)
    for name, array in chosen.read(progress, "averaging volumes"):
        base, height = reader.add(place[name], array.ravel()[reader.voxels])
        density = (array.ravel().astype(np.float64) - base) / height
        sums[int(name not in mine)] += density
        squares += density**2
    first, second = len(subset.chosen), len(subset.others)
    shape = ensemble.grid.shape
    mean = (sums[0] / first).astype(np.float32)
    if not second:
        return SubsetMaps(mean.reshape(shape), None, None, 0.0, 0, 0, {})
    other = (sums[1] / second).astype(np.float32)
    count = first + second
    variance = np.maximum(squares - sums.sum(axis=0) ** 2 / count, 0) / max(1, count - 1)
    sd = np.sqrt(variance * (1 / first + 1 / second))
    ever = sd[occupancy.frequency > 0]
    typical = float(np.percentile(ever, constants.DIFFERENCE_PERCENTILE)) if len(ever) else 0.0
    level = max(parameters.sd * typical, constants.MIN_DIFFERENCE)
    difference = mean - other
    return SubsetMaps(
        mean.reshape(shape),
        other.reshape(shape),
        difference.reshape(shape),
        level,
        int((difference > level).sum()),
        int((difference < -level).sum()),
        {n: float(difference[v].mean()) for n, v in blocks},
    )


def write_subset(
    folder: Path,
    run: Path,
    states: States,
    subset: Subset,
    maps: SubsetMaps,
    grid: Grid,
    parameters: SubsetParameters,
) -> None:
    """Write averages, their difference, the list of volumes and what was found: SUBSET_FILES.

    Parameters
    ----------
    folder : replaced as a whole
    run : the folder of the run, for the record

    Raises
    ------
    SirenError
        If the folder cannot be written.
    """
    words = subset.selection.words
    with atomic_folder(folder) as temporary:
        for name, array, label in zip(
            SUBSET_FILES,
            (maps.mean, maps.others, maps.difference),
            (f"mean of volumes {words}", f"mean of others than {words}", f"{words} minus others"),
            strict=False,
        ):
            if array is not None:
                write_map(temporary / name, array, grid, f"SIREn: {label}"[:79])
        text = subset_csv(states, subset)
        (temporary / SUBSET_FILES[3]).write_bytes(text.encode("utf-8", "surrogateescape"))
        facts = subset_facts(states, subset, maps)
        del facts["volumes"]
        content = {"run": str(run), **facts, "parameters": parameters.as_dict()}
        write_json(temporary / SUBSET_FILES[4], content)


def subset_facts(states: States, subset: Subset, maps: SubsetMaps | None) -> dict[str, Any]:
    """What was found, as plain values."""
    names = states.names
    facts: dict[str, Any] = {
        "selection": subset.selection.words,
        "volumes": [names[k] for k in subset.chosen],
        "count": len(subset.chosen),
        "compared_with": len(subset.others),
        "representatives": [names[k] for k in subset.representatives],
    }
    if maps is not None:
        facts["mean_level"] = MEAN_LEVEL
    if maps is not None and maps.difference is not None:
        facts |= {
            "difference_level": maps.level,
            "voxels_more": maps.above,
            "voxels_less": maps.below,
            "difference_by_block": {str(n): d for n, d in maps.by_block.items()},
        }
    return facts


def subset_csv(states: States, subset: Subset) -> str:
    """A row for each volume of the run: file, level, whether it is chosen or one of the others,
    place among the representatives, and the share of each block.
    """
    mine, others = set(subset.chosen.tolist()), set(subset.others.tolist())
    few = {k: n for n, k in enumerate(subset.representatives.tolist(), 1)}
    rows = []
    for k, (name, level) in enumerate(zip(states.names, states.levels, strict=True)):
        where = "chosen" if k in mine else "other" if k in others else ""
        shares = [f"{s:.4f}" for s in states.share[:, k]]
        rows.append([name, f"{level:.6g}", where, few.get(k, ""), *shares])
    blocks = [f"{BLOCK}{n}" for n in states.numbers]
    return csv_text([FILE, LEVEL, "set", "representative", *blocks], rows)
