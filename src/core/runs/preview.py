"""What a person should see of an ensemble before computing with it: a picture of each map, its
enclosed volume, and what is odd.

Example::

    from pathlib import Path

    from chimerax.siren.core.runs.preview import find_flags, look, survey
    from chimerax.siren.core.thresholds.tables import levels_by_name

    found = survey(["volumes"])
    preview = look(found.sources[0], found.grid)
    preview.enclosed(0.81)  # cubic Angstrom above this level
    levels, _ = levels_by_name(Path("siren/predictions.csv"), found.names)
    find_flags(found, levels)  # what is odd, by name: Flag("junk", "unlike all other volumes ...")
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..blocks.occupancy import Occupancy, within_two_sd
from ..blocks.outliers import UNLIKE, junk_volumes
from ..common import constants
from ..common.errors import SirenError
from ..common.progress import Progress
from ..maps.ensemble import Source, check_same, sources_at
from ..maps.grid import Grid
from ..maps.mapfile import natural_key, with_voxel_size

PICTURE = 48  # pixels a side at most
BINS = 16_384  # of the values: enclosed volumes to a tenth of a per cent
COARSE = 96  # voxels a side at most when volumes are compared: 500 of them then take 55 MB
OUTLIER, EMPTY, JUNK, UNREADABLE = "outlier", "empty", "junk", "unusable"  # kinds of flags


@dataclass(frozen=True)
class Flag:
    """Why a volume should be looked at: a word for the list (two, where there are two reasons), and
    the whole sentence.
    """

    kind: str
    reason: str


@dataclass(frozen=True)
class Survey:
    """The maps of an ensemble, those that cannot take part among them.

    Attributes
    ----------
    sources : tuple of Source, in natural order of their names
    grid : Grid of the majority
    problems : Flag by name, of the maps that cannot take part
    """

    sources: tuple[Source, ...]
    grid: Grid
    problems: dict[str, Flag] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """File names of all maps."""
        return tuple(s.name for s in self.sources)


@dataclass(frozen=True)
class Preview:
    """What a list shows of one map.

    Attributes
    ----------
    name : str
    picture : (n, m) uint8, mean along z, seen from the front: rows from the top (y falls), columns
        x
    low, high : lowest and highest value
    above : (BINS + 1,) number of voxels at or above each of the evenly spaced values from ``low``
        to ``high``
    voxel_volume : cubic Angstrom
    """

    name: str
    picture: NDArray[np.uint8]
    low: float
    high: float
    above: NDArray[np.int64]
    voxel_volume: float

    def enclosed(self, level: float) -> float:
        """Volume above a contour level, cubic Angstrom, interpolated between the counted levels."""
        place = (level - self.low) / (self.high - self.low) * BINS
        return float(np.interp(place, np.arange(BINS + 1), self.above)) * self.voxel_volume


def survey(
    places: Sequence[str | Path | Source],
    voxel_size: float | None = None,
    progress: Progress | None = None,
) -> Survey:
    """Find the maps in folders and files; unlike :func:`.ensemble.find_ensemble`, keep going at
    those that do not fit.

    Parameters
    ----------
    places : folders, map files, or :class:`.ensemble.Source` objects for maps in memory
    voxel_size : Angstrom per voxel, in place of what the headers say

    Raises
    ------
    SirenError
        If a place does not exist or has no maps, or no map can be read.
    """
    progress = progress or Progress()
    sources = tuple(sorted(sources_at(places), key=lambda s: natural_key(s.name)))
    problems: dict[str, Flag] = {}
    grids: dict[str, Grid] = {}
    for source in progress.each(sources, "checking volumes", len(sources)):
        if source.name in grids or source.name in problems:
            raise SirenError(
                f"More than one of the volumes is called {source.name}, and volumes "
                "are told apart by name: give one "
                "folder, or rename."
            )
        try:
            grids[source.name] = source.read_grid()
        except SirenError as error:
            problems[source.name] = Flag(UNREADABLE, str(error))
    if not grids:
        raise SirenError(next(iter(problems.values())).reason)
    common = Counter(grids.values()).most_common(1)[0][0]
    example = next(name for name, grid in grids.items() if grid == common)
    for name, grid in grids.items():
        try:
            check_same(name, grid, example, common)
        except SirenError as error:
            problems[name] = Flag(UNREADABLE, str(error))
    return Survey(
        sources, common if voxel_size is None else with_voxel_size(common, voxel_size), problems
    )


def look(source: Source, grid: Grid) -> Preview:
    """Read one map and make its preview.

    Raises
    ------
    SirenError
        If the map cannot be read, is constant, or has values that are not finite.
    """
    array = source.read()
    low, high = float(array.min()), float(array.max())
    counts = np.zeros(BINS, np.int64)
    flat = array.ravel()
    for start in range(0, flat.size, constants.PREVIEW_VOXELS_AT_ONCE):
        bins = (
            (flat[start : start + constants.PREVIEW_VOXELS_AT_ONCE] - np.float32(low))
            * np.float32(BINS / (high - low))
        ).astype(np.int32)
        counts += np.bincount(np.minimum(bins, BINS - 1), minlength=BINS)
    above = np.append(np.cumsum(counts[::-1])[::-1], 0)
    return Preview(source.name, picture(array), low, high, above, grid.voxel_volume)


def picture(array: NDArray[np.floating], size: int = PICTURE) -> NDArray[np.uint8]:
    """A small grey picture of a (z, y, x) map, mean along z; see :class:`Preview`."""
    flat = array.mean(axis=0)
    step = max(1, -(-max(flat.shape) // size))
    height, width = (n // step * step for n in flat.shape)
    small = (
        flat[:height, :width].reshape(height // step, step, width // step, step).mean(axis=(1, 3))
    )
    dark, bright = np.percentile(small, (1, 99.5))
    grey = np.clip((small - dark) / max(bright - dark, 1e-12), 0, 1)
    return np.ascontiguousarray((255 * grey[::-1]).astype(np.uint8))


def find_flags(
    found: Survey,
    levels: Mapping[str, float],
    progress: Progress | None = None,
    predicted: Mapping[str, str] | None = None,
) -> dict[str, Flag]:
    """What is odd about the volumes at their levels: what ``siren sketch`` leaves out, or would
    with ``filter``.

    Large maps are compared on every second, third ... voxel.

    Parameters
    ----------
    levels : contour level by name; volumes without one are not compared
    predicted : what "siren predict" wrote about volumes, by name; it is said beside what is found
        here

    Returns
    -------
    Flag by name, those of ``found.problems`` among them.
    """
    progress = progress or Progress()
    flags = dict(found.problems)
    sources = [s for s in found.sources if s.name in levels and s.name not in flags]
    chosen = np.array([levels[s.name] for s in sources], np.float64)
    for source, inside in zip(
        sources, within_two_sd(chosen) if len(sources) > 1 else [True] * len(sources), strict=True
    ):
        if not inside:
            flags[source.name] = Flag(
                OUTLIER,
                f"threshold {levels[source.name]:.3g} is beyond "
                "mean +- 2 SD "
                f"({chosen.mean() - 2 * chosen.std():.3g} to "
                f"{chosen.mean() + 2 * chosen.std():.3g})",
            )
    step = -(-max(found.grid.shape) // COARSE)
    shape = tuple(-(-n // step) for n in found.grid.shape)
    grid = Grid((shape[0], shape[1], shape[2]), found.grid.voxel_size)
    names: list[str] = []
    bits: list[NDArray[np.uint8]] = []
    for source in progress.each(sources, "comparing volumes", len(sources)):
        try:
            mask = source.read() > levels[source.name]
        except SirenError as error:
            flags[source.name] = Flag(UNREADABLE, str(error))
            continue
        if not mask.any():
            flags[source.name] = _also(
                flags,
                source.name,
                EMPTY,
                f"no voxel is above its threshold {levels[source.name]:.3g}",
            )
            continue
        names.append(source.name)
        bits.append(np.packbits(mask[::step, ::step, ::step]))
    if len(names) > 1:
        occupancy = Occupancy(
            tuple(names),
            np.array([levels[n] for n in names]),
            np.stack(bits),
            grid,
            np.zeros((1, 1, 1), np.float32),
        )
        junk = junk_volumes(occupancy, occupancy.union(0.01))
        flags.update(
            {
                name: _also(flags, name, JUNK, UNLIKE)
                for name, bad in zip(names, junk, strict=True)
                if bad
            }
        )
    for name, text in (predicted or {}).items():
        short = [
            part.split(" (")[0]
            for part in text.split("; ")
            if part != "unlike all other volumes" or name not in flags
        ]
        flags[name] = (
            _also(flags, name, ", ".join(short), f"siren predict says: {text}")
            if short
            else flags[name]
        )
    return flags


def _also(flags: Mapping[str, Flag], name: str, kind: str, reason: str) -> Flag:
    """A flag, added to the one that a volume has already."""
    before = flags.get(name)
    return (
        Flag(kind, reason)
        if before is None
        else Flag(f"{before.kind}, {kind}", f"{before.reason}; {reason}")
    )
