"""Ensembles: find, check, select and read maps that share one grid.

Example::

    from chimerax.siren.core import find_ensemble

    ensemble = find_ensemble(["volumes"]).select(exclude=["vol_017.mrc"])
    highest = {name: array.max() for name, array in ensemble.read()}
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..common.errors import JunkMap, SirenError, join_names
from ..common.progress import Progress
from .grid import Grid, Triple, box_grid, to_box
from .mapfile import is_map_name, natural_key, read_grid, read_map, with_voxel_size


@dataclass(frozen=True)
class Source:
    """One map: a file, or an array in memory (an open model).

    Attributes
    ----------
    name : str
        File name, by which the map is identified.
    path : Path or None
        The file; None for a map in memory.
    array : callable or None
        Returns the (z, y, x) array of a map in memory.
    grid : Grid or None
        Grid of a map in memory; a file's is read from its header.
    """

    name: str
    path: Path | None = None
    array: Callable[[], NDArray[np.floating]] | None = None
    grid: Grid | None = None

    def read_grid(self) -> Grid:
        """The grid, without reading the values.

        Raises
        ------
        SirenError
            If the file is not a readable map.
        """
        if self.grid is not None:
            return self.grid
        assert self.path is not None
        return read_grid(self.path)

    def read(self) -> NDArray[np.float32]:
        """Read the values: (z, y, x) float32.

        Raises
        ------
        SirenError
            If the map cannot be read.
        JunkMap
            If it has non-finite values or is constant.
        """
        if self.array is not None:
            data = np.asarray(self.array(), np.float32)
        else:
            assert self.path is not None
            data = read_map(self.path)[0]
        low, high = float(data.min()), float(data.max())  # any NaN or infinity shows in one of them
        if not (np.isfinite(low) and np.isfinite(high)):
            raise JunkMap(
                f'{self.name} has values that are not finite numbers: use "exclude {self.name}".',
                "values not finite",
            )
        if low == high:
            raise JunkMap(
                f'{self.name} is constant (every voxel is {low:g}): use "exclude {self.name}".',
                "constant",
            )
        return data


@dataclass(frozen=True)
class Ensemble:
    """Maps that share one grid, in natural order of their names.

    Attributes
    ----------
    sources : tuple of Source
        The selected maps, at least 2.
    grid : Grid
        Their common grid, after resampling if ``box`` is set.
    all_names : tuple of str
        Names of all maps found, before selection; ``vol_id`` of a published predictions table is
        the index in this list.
    box : int or None
        Voxels per side of the cube to which maps are resampled on reading.
    notes : tuple of str
        Assumptions that were made, one sentence each, for the log.
    cache : dict or None
        Maps already read, by name, see :meth:`cached`.
    """

    sources: tuple[Source, ...]
    grid: Grid
    all_names: tuple[str, ...]
    box: int | None = None
    notes: tuple[str, ...] = field(default=())
    cache: dict[str, NDArray[np.float32]] | None = field(default=None, repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """File names of the selected maps."""
        return tuple(s.name for s in self.sources)

    @property
    def vol_ids(self) -> dict[str, int]:
        """Index of every map found, before selection, by name: the ``vol_id`` of tables."""
        return {name: n for n, name in enumerate(self.all_names)}

    def __len__(self) -> int:
        return len(self.sources)

    def read(
        self, progress: Progress | None = None, phase: str = "reading"
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Iterate over the maps: name and (z, y, x) float32 array.

        One map is held in memory at a time, unless the ensemble is :meth:`cached`.

        Raises
        ------
        SirenError, JunkMap
            As :meth:`array`.
        Cancelled
            If ``progress`` was asked to stop.
        """
        progress = progress or Progress()
        for source in progress.each(self.sources, phase, len(self.sources)):
            yield source.name, self.array(source)

    def array(self, source: Source) -> NDArray[np.float32]:
        """Read one map: (z, y, x) float32, resampled if ``box`` is set.

        Raises
        ------
        SirenError, JunkMap
            As :meth:`Source.read`, or if the file changed since its header was read.
        """
        if self.cache is not None and source.name in self.cache:
            return self.cache[source.name]
        array = source.read()
        if self.box is not None:
            array = to_box(array, source.read_grid(), self.box)[0]
        if array.shape != self.grid.shape:
            raise SirenError(f"{source.name} changed while it was read: run the command again.")
        if self.cache is not None:
            self.cache[source.name] = array
        return array

    def cached(self, most_bytes: float) -> Ensemble:
        """The same ensemble, with maps kept in memory once read if all fit in ``most_bytes``."""
        fits = 4 * self.grid.size * len(self) <= most_bytes
        return replace(self, cache={}) if fits and self.cache is None else self

    def of(self, names: Sequence[str]) -> Ensemble:
        """The maps of these full names, in the order they have here; itself if these are all."""
        if len(names) == len(self):
            return self
        wanted = set(names)
        return replace(self, sources=tuple(s for s in self.sources if s.name in wanted))

    def select(
        self, include: Sequence[str] = (), exclude: Sequence[str] = (), minimum: int = 2
    ) -> Ensemble:
        """Select the maps in ``include`` (all if empty) except those in ``exclude``.

        Names are file names, with or without suffix, or patterns with ``*`` and ``?``.

        Raises
        ------
        SirenError
            If a name matches no map, or fewer than ``minimum`` maps are left.
        """
        chosen = set(self._matching(include, "include")) if include else set(self.names)
        chosen -= set(self._matching(exclude, "exclude"))
        kept = tuple(s for s in self.sources if s.name in chosen)
        _check_count(kept, "after include and exclude", minimum)
        return replace(self, sources=kept)

    def _matching(self, patterns: Sequence[str], word: str) -> Iterator[str]:
        for pattern in patterns:
            hits = (
                [n for n in self.names if n == pattern]
                or [n for n in self.names if _stem(n) == pattern]
                or [
                    n
                    for n in self.names
                    if fnmatch.fnmatchcase(n, pattern) or fnmatch.fnmatchcase(_stem(n), pattern)
                ]
            )
            if not hits:
                raise SirenError(
                    f'"{word} {pattern}" matches none of the {len(self)} volumes (the '
                    f"first is {self.names[0]}): give file names as they are in the folder."
                )
            yield from hits

    def resampled(self, box: int | None) -> Ensemble:
        """The same ensemble, with maps resampled on reading to a cube of ``box`` voxels per side.

        Raises
        ------
        SirenError
            If the box is too small.
        """
        if box is None or self.grid.shape == (box, box, box):
            return self
        return replace(self, box=box, grid=box_grid(self.grid, box))


def find_ensemble(
    inputs: Sequence[str | Path | Source],
    voxel_size: float | None = None,
    progress: Progress | None = None,
    minimum: int = 2,
    exclude: Sequence[str] = (),
    include: Sequence[str] = (),
) -> Ensemble:
    """Find maps in folders and files, select among them, and check that they share one grid.

    Parameters
    ----------
    inputs : sequence of str, Path or Source
        Folders, map files, or :class:`Source` objects for maps in memory.
    voxel_size : float, optional
        Angstrom per voxel, overriding the headers.
    progress : Progress, optional
    minimum : int
        Minimum number of maps.
    include, exclude : sequence of str
        Names or patterns, see :meth:`Ensemble.select`. They are applied before the grids are
        compared, so that a map on another grid can be excluded.

    Raises
    ------
    SirenError
        If an input does not exist or has no maps, two maps have the same name, a map cannot be
        read, too few maps are left, or the maps differ in shape, voxel size or origin.
    Cancelled
        If ``progress`` was asked to stop.
    """
    progress = progress or Progress()
    sources = sorted(find_sources(inputs), key=lambda s: natural_key(s.name))
    names = tuple(s.name for s in sources)
    twice = sorted({n for n, following in pairwise(names) if n == following}, key=natural_key)
    if twice:
        raise SirenError(
            f"{join_names(twice)}: more than one of the volumes has this name, and volumes are "
            "identified by name. Give one folder, or rename."
        )
    _check_count(tuple(sources), f"in {_input_text(inputs)}", minimum)
    ensemble = Ensemble(tuple(sources), Grid((1, 1, 1), (1.0, 1.0, 1.0)), names)
    if include or exclude:
        ensemble = ensemble.select(include, exclude, minimum)
    grids = [
        s.read_grid() for s in progress.each(ensemble.sources, "checking volumes", len(ensemble))
    ]
    # the grid of the majority, so that the error names the map that differs
    common = Counter(grids).most_common(1)[0][0]
    example = ensemble.sources[grids.index(common)].name
    for source, grid in zip(ensemble.sources, grids, strict=True):
        check_same_grid(source.name, grid, example, common)
    notes = [
        f"{a} and {b} look like the same volume; both are used. Exclude one if they are."
        for a, b in pairwise(ensemble.names)
        if _stem(a) == _stem(b)
    ]
    if voxel_size is not None:
        common = with_voxel_size(common, voxel_size)
        ensemble = replace(
            ensemble, sources=tuple(_override(s, voxel_size) for s in ensemble.sources)
        )
        notes.append(
            f"Voxel size {voxel_size:g} A as given, instead of "
            f"{grids[0].voxel_size[0]:.4g} A in the headers; block maps have it too. "
            'To overlay the volumes in ChimeraX, use "volume #N '
            f'voxelSize {voxel_size:g}".'
        )
    elif common.voxel_size == (1.0, 1.0, 1.0):
        notes.append(
            "All volumes have 1.00 A/voxel, which usually means that the header was never set: "
            'give "voxelSize 6.55" '
            "(your value) if you know it. Continuing with 1.00; only distances and volumes "
            "in A are affected."
        )
    return replace(ensemble, grid=common, notes=tuple(notes))


def ensemble_from_arrays(
    arrays: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    voxel_size: float | Triple,
    origin: Triple = (0.0, 0.0, 0.0),
    names: Sequence[str] | None = None,
) -> Ensemble:
    """Make an ensemble of arrays in memory, without files.

    Parameters
    ----------
    arrays : (V, z, y, x) array, or V arrays (z, y, x) of one shape
        Two maps or more; they are not copied.
    voxel_size : float or tuple of float
        Angstrom, one number or x, y, z.
    origin : tuple of float
        Position of voxel (0, 0, 0), x, y, z in Angstrom.
    names : sequence of str, optional
        Unique names of the maps; default ``map_001``, ``map_002``, ...

    Raises
    ------
    SirenError
        If there are fewer than 2 arrays, they differ in shape, or the names are too few, too many
        or not unique.

    Example::

        import numpy as np

        from chimerax.siren.core import ensemble_from_arrays

        maps = np.random.default_rng(0).normal(size=(10, 16, 16, 16)).astype(np.float32)
        ensemble_from_arrays(maps, 4.0).grid.text()  # -> '16 x 16 x 16, 4 A/voxel'
    """
    width = max(3, len(str(len(arrays))))
    given = (
        tuple(names)
        if names is not None
        else tuple(f"map_{n:0{width}}" for n in range(1, len(arrays) + 1))
    )
    if len(given) != len(arrays) or len(set(given)) != len(given):
        raise SirenError(
            f"{len(arrays)} maps need as many different names, and {len(set(given))} were given."
        )
    shapes = {np.shape(a) for a in arrays}
    shape = next(iter(shapes), ())
    if len(shapes) > 1 or (len(arrays) and len(shape) != 3):
        raise SirenError(
            f"All maps must be (z, y, x) arrays of one shape, and these have {sorted(shapes)}."
        )
    edges = (float(voxel_size),) * 3 if isinstance(voxel_size, int | float) else voxel_size
    grid = Grid(
        (1, 1, 1) if not shape else (shape[0], shape[1], shape[2]),
        (edges[0], edges[1], edges[2]),
        origin,
    )
    sources = tuple(
        Source(n, None, partial(np.asarray, a), grid) for n, a in zip(given, arrays, strict=True)
    )
    _check_count(sources, "in memory")
    return Ensemble(sources, grid, given)


def _override(source: Source, voxel_size: float) -> Source:
    return replace(source, grid=with_voxel_size(source.read_grid(), voxel_size))


def find_sources(inputs: Sequence[str | Path | Source]) -> Iterator[Source]:
    """Find the maps in folders and files, without reading them.

    Raises
    ------
    SirenError
        If an input does not exist, cannot be read, or has no maps.
    """
    for item in inputs:
        if isinstance(item, Source):
            yield item
            continue
        try:
            path = Path(item).expanduser()
            paths = _maps_at(path)
        except (OSError, RuntimeError) as error:  # no permission, a name too long, no such user
            raise SirenError(
                f"{item} cannot be read "
                f"({getattr(error, 'strerror', None) or error}): give a folder of "
                "maps, or map files."
            ) from error
        if not paths:
            raise SirenError(
                f"{path} holds no maps (.mrc, .map, .ccp4, also .gz): give the folder "
                "of the volumes."
            )
        # a symbolic link keeps its own name, which identifies the map
        yield from (Source(p.name, p.parent.resolve() / p.name) for p in paths)


def _maps_at(path: Path) -> list[Path]:
    if path.is_dir():  # broken links are kept; reading them raises the error
        return [p for p in path.iterdir() if is_map_name(p.name) and not p.is_dir()]
    if path.is_file():
        return [path]
    raise SirenError(
        f"{path}: there is no such file or folder; give a folder of maps, or map files."
    )


def _stem(name: str) -> str:
    return Path(Path(name).stem if name.lower().endswith((".gz", ".bz2")) else name).stem


def _input_text(inputs: Sequence[str | Path | Source]) -> str:
    paths = [str(p) for p in inputs if not isinstance(p, Source)]
    return join_names(paths, 1) if paths else "the open models"


def _check_count(sources: tuple[Source, ...], where: str, minimum: int = 2) -> None:
    if len(sources) < minimum:
        count = (
            "no volume" if not sources else f"only {len(sources)} volume" + "s" * (len(sources) > 1)
        )
        raise SirenError(
            f"There is {count} {where}: an ensemble needs at least {minimum}"
            f"{', and hundreds for significance' if minimum > 1 else ''}."
        )


def check_same_grid(name: str, grid: Grid, first_name: str, first: Grid) -> None:
    """Check that two maps have the same shape, voxel size (to 0.1 %) and origin (to 0.01 voxel).

    Raises
    ------
    SirenError
        If they differ.
    """

    def sizes(g: Grid) -> str:
        return " x ".join(str(n) for n in g.shape[::-1])

    def triple(t: Triple) -> str:
        return f"{t[0]:.4g}" if len(set(t)) == 1 else " x ".join(f"{v:.4g}" for v in t)

    remedy = f'Use "exclude {name}", or resample it.'
    if grid.shape != first.shape:
        raise SirenError(
            f"{name} is {sizes(grid)} but {first_name} is {sizes(first)}: all volumes "
            "must share one grid. "
            f"{remedy}"
        )
    if not np.allclose(grid.voxel_size, first.voxel_size, rtol=1e-3):
        raise SirenError(
            f"{name} has {triple(grid.voxel_size)} A/voxel but {first_name} has "
            f"{triple(first.voxel_size)}: all "
            f"volumes must share one grid. {remedy}"
        )
    tolerance = 0.01 * min(first.voxel_size)
    if not np.allclose(grid.origin, first.origin, rtol=1e-5, atol=tolerance):
        raise SirenError(
            f"{name} has its origin at ({', '.join(f'{o:.4g}' for o in grid.origin)}) "
            f"A but {first_name} at "
            f"({', '.join(f'{o:.4g}' for o in first.origin)}): all volumes must share "
            f"one grid. {remedy}"
        )
