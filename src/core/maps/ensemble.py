"""A set of maps on one grid: find, check, select, read one at a time.

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

from ..common.errors import JunkMap, SirenError, listed
from ..common.progress import Progress
from .grid import Grid, Triple, to_box
from .mapfile import is_map_name, natural_key, read_grid, read_map, with_voxel_size


@dataclass(frozen=True)
class Source:
    """One map: a file, or an array that somebody holds (an open model).

    Attributes
    ----------
    name : str
        The map's identity: its file name.
    path : Path or None
        The file; None for a map that is only in memory.
    array : callable or None
        Gives the (z, y, x) array of a map in memory.
    grid : Grid or None
        Lattice of a map in memory; a file's is read from its header.
    """

    name: str
    path: Path | None = None
    array: Callable[[], NDArray[np.floating]] | None = None
    grid: Grid | None = None

    def read_grid(self) -> Grid:
        """The lattice alone."""
        if self.grid is not None:
            return self.grid
        assert self.path is not None
        return read_grid(self.path)

    def read(self) -> NDArray[np.float32]:
        """The values, (z, y, x) float32.

        Raises
        ------
        SirenError
            If the map cannot be read; JunkMap if it has values that are not finite, or is constant.
        """
        if self.array is not None:
            data = np.asarray(self.array(), np.float32)
        else:
            assert self.path is not None
            data = read_map(self.path)[0]
        low, high = float(data.min()), float(data.max())  # NaN and infinities show in one of them
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
        The chosen maps, at least 2.
    grid : Grid
        Their lattice (of the resampled maps where ``box`` is set).
    all_names : tuple of str
        Names of all maps that were found, before any selection: their order is what a published
        predictions table's ``vol_id`` counts.
    box : int or None
        Cube to which each map is resampled on reading.
    notes : tuple of str
        What was assumed, one sentence each, for the log.
    kept : dict or None
        Maps as they were read, by name, see :meth:`keeping`.
    """

    sources: tuple[Source, ...]
    grid: Grid
    all_names: tuple[str, ...]
    box: int | None = None
    notes: tuple[str, ...] = field(default=())
    kept: dict[str, NDArray[np.float32]] | None = field(default=None, repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """File names of the chosen maps."""
        return tuple(s.name for s in self.sources)

    @property
    def places(self) -> dict[str, int]:
        """Place of every map that was found, by name: what ``vol_id`` counts."""
        return {name: n for n, name in enumerate(self.all_names)}

    def __len__(self) -> int:
        return len(self.sources)

    def read(
        self, progress: Progress | None = None, phase: str = "reading"
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Name and (z, y, x) float32 array of each map; one is held in memory at a time, unless
        :meth:`keeping`.
        """
        progress = progress or Progress()
        for source in progress.each(self.sources, phase, len(self.sources)):
            yield source.name, self.array(source)

    def array(self, source: Source) -> NDArray[np.float32]:
        """(z, y, x) float32 of one of the maps, resampled where the ensemble is; raises as
        :meth:`Source.read`.
        """
        if self.kept is not None and source.name in self.kept:
            return self.kept[source.name]
        array = source.read()
        if self.box is not None:
            array = to_box(array, source.read_grid(), self.box)[0]
        if array.shape != self.grid.shape:  # the file changed since its header was read
            raise SirenError(f"{source.name} changed while it was read: run the command again.")
        if self.kept is not None:
            self.kept[source.name] = array
        return array

    def keeping(self, most_bytes: float) -> Ensemble:
        """The same; if all its maps fit into so much memory, they stay there once read, for those
        who read twice.
        """
        fits = 4 * self.grid.size * len(self) <= most_bytes
        return replace(self, kept={}) if fits and self.kept is None else self

    def select(
        self, include: Sequence[str] = (), exclude: Sequence[str] = (), least: int = 2
    ) -> Ensemble:
        """Keep the maps named in ``include`` (all when empty) less those in ``exclude``.

        A name is a file name, with or without its suffix, or a pattern with ``*`` and ``?``.

        Raises
        ------
        SirenError
            If a name fits no map, or fewer than ``least`` maps are left.
        """
        chosen = set(self._matching(include, "include")) if include else set(self.names)
        chosen -= set(self._matching(exclude, "exclude"))
        kept = tuple(s for s in self.sources if s.name in chosen)
        _check_count(kept, "after include and exclude", least)
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
                    f'"{word} {pattern}" fits none of the {len(self)} volumes (the '
                    "first is "
                    f"{self.names[0]}): give file names as they are in the folder."
                )
            yield from hits

    def resampled(self, box: int | None) -> Ensemble:
        """The same ensemble, each map resampled on reading to a cube of ``box`` voxels a side."""
        if box is None or self.grid.shape == (box, box, box):
            return self
        # an empty map is enough to learn the grid; cheap beside one real map
        grid = to_box(np.zeros(self.grid.shape, np.float32), self.grid, box)[1]
        return replace(self, box=box, grid=grid)


def find_ensemble(
    places: Sequence[str | Path | Source],
    voxel_size: float | None = None,
    progress: Progress | None = None,
    least: int = 2,
    exclude: Sequence[str] = (),
    include: Sequence[str] = (),
) -> Ensemble:
    """Find the maps in folders and files, check that they share one grid, and choose among them.

    Parameters
    ----------
    places : folders, map files, or :class:`Source` objects for maps in memory.
    voxel_size : float, optional
        Angstrom per voxel, in place of what the headers say.
    least : int
        Fewest maps that make sense for the caller.
    include, exclude : names or patterns, see :meth:`Ensemble.select`.
        Applied before the grids are compared, so that a map which does not fit can be left out.

    Raises
    ------
    SirenError
        If a place does not exist or has no maps, two maps have one name, a map cannot be read, or
        the maps differ in shape, voxel size or origin.
    """
    progress = progress or Progress()
    sources = sorted(sources_at(places), key=lambda s: natural_key(s.name))
    names = tuple(s.name for s in sources)
    twice = sorted({n for n, following in pairwise(names) if n == following}, key=natural_key)
    if twice:
        raise SirenError(
            f"{listed(twice)}: more than one of the volumes has this name, and "
            "volumes are told apart by "
            "name. Give one folder, or rename."
        )
    _check_count(tuple(sources), f"in {_place_text(places)}", least)
    ensemble = Ensemble(tuple(sources), Grid((1, 1, 1), (1.0, 1.0, 1.0)), names)
    if include or exclude:
        ensemble = ensemble.select(include, exclude, least)
    grids = [
        s.read_grid() for s in progress.each(ensemble.sources, "checking volumes", len(ensemble))
    ]
    # of the majority: the odd one out is the one to name
    first = Counter(grids).most_common(1)[0][0]
    example = ensemble.sources[grids.index(first)].name
    for source, grid in zip(ensemble.sources, grids, strict=True):
        check_same(source.name, grid, example, first)
    notes = [
        f"{a} and {b} look like one volume twice; both are used. Exclude one if they are the same."
        for a, b in pairwise(ensemble.names)
        if _stem(a) == _stem(b)
    ]
    if voxel_size is not None:
        first = with_voxel_size(first, voxel_size)
        ensemble = replace(
            ensemble, sources=tuple(_override(s, voxel_size) for s in ensemble.sources)
        )
        notes.append(
            f"Voxel size {voxel_size:g} A as given, in place of "
            f"{grids[0].voxel_size[0]:.4g} in the headers; block "
            'maps carry it too. To overlay the volumes in ChimeraX, give them "volume #N '
            f'voxelSize {voxel_size:g}".'
        )
    elif first.voxel_size == (1.0, 1.0, 1.0):
        notes.append(
            "All volumes say 1.00 A/voxel, which is usually a header that was never set: "
            'give "voxelSize 6.55" '
            "(your value) if you know it. Going on with 1.00; only distances and volumes "
            "in A are affected."
        )
    return replace(ensemble, grid=first, notes=tuple(notes))


def ensemble_from_arrays(
    arrays: Sequence[NDArray[np.floating]] | NDArray[np.floating],
    voxel_size: float | Triple,
    origin: Triple = (0.0, 0.0, 0.0),
    names: Sequence[str] | None = None,
) -> Ensemble:
    """An ensemble of maps in memory, without files.

    Parameters
    ----------
    arrays : (V, z, y, x), or V arrays (z, y, x) of one shape, V of 2 or more; they are not copied
    voxel_size, origin : x, y, z in Angstrom
    names : of the maps, each once; ``map_001`` and so on where not given

    Raises
    ------
    SirenError
        If there are fewer than 2 arrays, they differ in shape, or the names are not as many, or not
        different.

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


def sources_at(places: Sequence[str | Path | Source]) -> Iterator[Source]:
    for place in places:
        if isinstance(place, Source):
            yield place
            continue
        try:
            path = Path(place).expanduser()
            paths = _maps_at(path)
        except (OSError, RuntimeError) as error:  # no permission, a name too long, no such user
            raise SirenError(
                f"{place} cannot be read "
                f"({getattr(error, 'strerror', None) or error}): give a folder of "
                "maps, or "
                "map files."
            ) from error
        if not paths:
            raise SirenError(
                f"{path} holds no maps (.mrc, .map, .ccp4, also .gz): give the folder "
                "of the volumes."
            )
        # a link keeps its own name, which is the map's identity
        yield from (Source(p.name, p.parent.resolve() / p.name) for p in paths)


def _maps_at(path: Path) -> list[Path]:
    if path.is_dir():  # links that lead nowhere are kept: reading them says so
        return [p for p in path.iterdir() if is_map_name(p.name) and not p.is_dir()]
    if path.is_file():
        return [path]
    raise SirenError(
        f"{path}: there is no such file or folder; give a folder of maps, or map files."
    )


def _stem(name: str) -> str:
    return Path(Path(name).stem if name.lower().endswith((".gz", ".bz2")) else name).stem


def _place_text(places: Sequence[str | Path | Source]) -> str:
    paths = [str(p) for p in places if not isinstance(p, Source)]
    return listed(paths, 1) if paths else "the open models"


def _check_count(sources: tuple[Source, ...], where: str, least: int = 2) -> None:
    if len(sources) < least:
        count = (
            "no volume" if not sources else f"only {len(sources)} volume" + "s" * (len(sources) > 1)
        )
        raise SirenError(
            f"There is {count} {where}: an ensemble needs at least {least}"
            f"{', and hundreds for significance' if least > 1 else ''}."
        )


def check_same(name: str, grid: Grid, first_name: str, first: Grid) -> None:
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
