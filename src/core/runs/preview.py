"""Preview of an ensemble before a run: a thumbnail of each map, its enclosed volume, and flags.

Example::

    from pathlib import Path

    from chimerax.siren.core.runs.preview import find_flags, preview_ensemble, preview_map
    from chimerax.siren.core.thresholds.tables import read_table

    found = preview_ensemble(["volumes"])
    preview = preview_map(found.sources[0], found.grid)
    preview.enclosed_volume(0.81)  # cubic Angstrom above this level
    table = read_table(Path("siren/predictions.csv"), found.names)
    # what is odd, by name: Flag("junk", "unlike all other volumes ...")
    find_flags(found, table.levels)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..blocks import alignment
from ..blocks.alignment import find_misaligned
from ..blocks.occupancy import Occupancy, within_two_sd
from ..blocks.outliers import UNLIKE, junk_volumes
from ..common import constants
from ..common.errors import SirenError
from ..common.progress import Progress
from ..maps.agreement import check_same_grid
from ..maps.companions import find_companions
from ..maps.ensemble import Source, find_sources, nan_outside
from ..maps.finding import refuse_results
from ..maps.fingerprint import fingerprint
from ..maps.grid import Grid
from ..maps.mapfile import natural_key, with_voxel_size

THUMBNAIL_SIZE = 48  # pixels per side at most
BINS = 16_384  # of the values: enclosed volumes to 0.1 %
COARSE = 96  # voxels per side at most when volumes are compared: 500 volumes take 55 MB
OUTLIER, EMPTY, JUNK, UNREADABLE = "outlier", "empty", "junk", "unusable"  # kinds of flags
OTHER_GRID, MIRRORED, SHIFTED = "other grid", "mirrored", "shifted"


@dataclass(frozen=True)
class Flag:
    """Why a volume needs attention.

    Attributes
    ----------
    kind : str
        One word for the list, or several if there are several reasons.
    reason : str
        The full explanation.
    """

    kind: str
    reason: str


@dataclass(frozen=True)
class EnsemblePreview:
    """The maps of an ensemble, including those that cannot be used.

    Attributes
    ----------
    sources : tuple of Source
        In natural order of their names.
    grid : Grid
        Grid of the majority.
    problems : dict of Flag
        The maps that cannot be used, by name.
    companions : dict of Flag
        The maps that are no states of the ensemble, by name, such as half maps and masks: left out
        unless asked for.
    notes : tuple of str
        Assumptions that were made, one sentence each.
    """

    sources: tuple[Source, ...]
    grid: Grid
    problems: dict[str, Flag] = field(default_factory=dict)
    companions: dict[str, Flag] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """File names of all maps."""
        return tuple(s.name for s in self.sources)


@dataclass(frozen=True)
class MapPreview:
    """What the volume list shows of one map.

    Attributes
    ----------
    name : str
    thumbnail : (n, m) uint8
        Mean along z, seen from the front: rows from the top (y decreases), columns along x.
    low, high : float
        Lowest and highest value.
    above : (BINS + 1,) int64
        Number of voxels at or above each of the evenly spaced values from ``low`` to ``high``.
    voxel_volume : float
        Cubic Angstrom.
    fingerprint : str
        Of the map, see :mod:`..maps.fingerprint`; "" if unknown.
    """

    name: str
    thumbnail: NDArray[np.uint8]
    low: float
    high: float
    above: NDArray[np.int64]
    voxel_volume: float
    fingerprint: str = ""

    def enclosed_volume(self, level: float) -> float:
        """Volume above a contour level, cubic Angstrom, interpolated between the counted levels."""
        place = (level - self.low) / (self.high - self.low) * BINS
        return float(np.interp(place, np.arange(BINS + 1), self.above)) * self.voxel_volume


def preview_ensemble(
    inputs: Sequence[str | Path | Source],
    voxel_size: float | None = None,
    progress: Progress | None = None,
) -> EnsemblePreview:
    """Find the maps in folders and files, and list those that cannot be used with the reason.

    Parameters
    ----------
    inputs : sequence of str, Path or Source
        Folders, map files, or :class:`.ensemble.Source` objects for maps in memory.
    voxel_size : float, optional
        Angstrom per voxel, overriding the headers.
    progress : Progress, optional

    Raises
    ------
    SirenError
        If an input does not exist or has no maps, two maps have the same name, or no map can be
        read.
    Cancelled
        If ``progress`` was asked to stop.
    """
    progress = progress or Progress()
    refuse_results(inputs)
    sources = tuple(sorted(find_sources(inputs), key=lambda s: natural_key(s.name)))
    problems: dict[str, Flag] = {}
    grids: dict[str, Grid] = {}
    for source in progress.each(sources, "checking volumes", len(sources)):
        if source.name in grids or source.name in problems:
            raise SirenError(
                f"More than one of the volumes is called {source.name}, and volumes "
                "are identified by name: give one folder, or rename."
            )
        try:
            grids[source.name] = source.read_grid()
        except SirenError as error:
            problems[source.name] = Flag(UNREADABLE, str(error))
    if not grids:
        raise SirenError(next(iter(problems.values())).reason)
    found = find_companions(sources, progress=progress)
    if voxel_size is not None:
        grids = {name: with_voxel_size(grid, voxel_size) for name, grid in grids.items()}
    states = [g for n, g in grids.items() if n not in found.kinds] or list(grids.values())
    common = Counter(states).most_common(1)[0][0]
    example = next(name for name, grid in grids.items() if grid == common)
    for name, grid in grids.items():
        try:
            check_same_grid(name, grid, example, common)
        except SirenError as error:
            problems[name] = Flag(OTHER_GRID, str(error))
    companions = {
        name: Flag(kind, f"a {kind}, no state of the ensemble: left out unless it is ticked")
        for name, kind in found.kinds.items()
        if name not in problems
    }
    usable = [s for s in sources if s.name not in problems and s.name not in companions]
    read, outside = nan_outside(usable)
    by_name = {s.name: s for s in read}
    return EnsemblePreview(
        tuple(by_name.get(s.name, s) for s in sources),
        common,
        problems,
        companions,
        (*found.notes(), *([outside] if outside else [])),
    )


def preview_map(source: Source, grid: Grid) -> MapPreview:
    """Read one map and make its preview.

    Parameters
    ----------
    source : Source
    grid : Grid
        Grid of the ensemble, for the voxel volume.

    Raises
    ------
    SirenError
        If the map cannot be read.
    JunkMap
        If it is constant or has non-finite values.
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
    return MapPreview(
        source.name, thumbnail(array), low, high, above, grid.voxel_volume, fingerprint(array)
    )


def thumbnail(array: NDArray[np.floating], size: int = THUMBNAIL_SIZE) -> NDArray[np.uint8]:
    """Small gray picture of a (z, y, x) map, mean along z; see :class:`MapPreview`."""
    flat = array.mean(axis=0)
    step = max(1, -(-max(flat.shape) // size))
    height, width = (n // step * step for n in flat.shape)
    small = (
        flat[:height, :width].reshape(height // step, step, width // step, step).mean(axis=(1, 3))
    )
    dark, bright = np.percentile(small, (1, 99.5))
    gray = np.clip((small - dark) / max(bright - dark, 1e-12), 0, 1)
    return np.ascontiguousarray((255 * gray[::-1]).astype(np.uint8))


def find_flags(
    found: EnsemblePreview,
    levels: Mapping[str, float],
    progress: Progress | None = None,
    predicted: Mapping[str, str] | None = None,
) -> dict[str, Flag]:
    """Flag volumes that ``siren sketch`` excludes at these levels, or would with ``filter``.

    Large maps are compared on every second, third ... voxel along each axis.

    Parameters
    ----------
    found : EnsemblePreview
    levels : mapping of float
        Contour level by name; volumes without one are not compared.
    progress : Progress, optional
    predicted : mapping of str, optional
        Flags of "siren predict" by name, added to those found here.

    Returns
    -------
    dict of Flag
        By name, including ``found.problems``.

    Raises
    ------
    Cancelled
        If ``progress`` was asked to stop.
    """
    progress = progress or Progress()
    flags = {**found.companions, **found.problems}
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
        for name, text in find_misaligned(occupancy, progress).items():
            kind = MIRRORED if text == alignment.MIRRORED else SHIFTED
            flags[name] = _also(flags, name, kind, text)
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
    """A flag, appended to the one that a volume already has."""
    before = flags.get(name)
    return (
        Flag(kind, reason)
        if before is None
        else Flag(f"{before.kind}, {kind}", f"{before.reason}; {reason}")
    )
