"""Ensembles: find, check, select and read maps that share one grid.

Example::

    from chimerax.siren.core import find_ensemble

    ensemble = find_ensemble(["volumes"]).select(exclude=["vol_017.mrc"])
    highest = {name: array.max() for name, array in ensemble.read()}
"""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError, join_names
from ..common.progress import Progress
from .agreement import as_given, grid_difference, implausible_size, not_one_grid
from .companions import Companions, find_companions
from .excerpt import Excerpt, Parts
from .finding import find_sources as find_sources
from .finding import (
    left_below,
    left_in_other_formats,
    left_packed,
    refuse_one_other_file,
    refuse_results,
)
from .fingerprint import fingerprint
from .grid import Grid, Triple, box_grid, to_box
from .last_reading import LastReading, forget, keep, last_reading
from .mapfile import natural_key
from .source import Source as Source
from .source import Stamp


@dataclass(frozen=True)
class Expected:
    """What an earlier step knows of the maps that it read.

    Attributes
    ----------
    fingerprints : mapping of str
        By name of the map.
    sentence : str
        The error if a map has another fingerprint; ``{name}`` is the map.
    """

    fingerprints: Mapping[str, str]
    sentence: str


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
    mixed : bool
        Whether the maps are on different grids; ``grid`` is then that of most, and only what looks
        at each map alone can use them.
    cache : dict or None
        Maps already read, by name, see :meth:`cached`.
    fingerprints : dict of str
        Fingerprint of each map read so far, by name, see :mod:`.fingerprint`.
    stamps : dict of tuple
        Of each file read so far, by name of the map, see :meth:`.source.Source.stamp`.
    expected : tuple of Expected
        The fingerprints that maps must have, see :meth:`expecting`.
    excerpt : Excerpt or None
        Voxels that are kept, see :meth:`keeping`.
    """

    sources: tuple[Source, ...]
    grid: Grid
    all_names: tuple[str, ...]
    box: int | None = None
    notes: tuple[str, ...] = field(default=())
    mixed: bool = False
    cache: dict[str, NDArray[np.float32]] | None = field(default=None, repr=False, compare=False)
    fingerprints: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    stamps: dict[str, Stamp] = field(default_factory=dict, repr=False, compare=False)
    expected: tuple[Expected, ...] = field(default=(), repr=False, compare=False)
    excerpt: Excerpt | None = field(default=None, repr=False, compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """File names of the selected maps."""
        return tuple(s.name for s in self.sources)

    @property
    def vol_ids(self) -> dict[str, int]:
        """Index of every map found, before selection, by name: the ``vol_id`` of tables."""
        return {name: n for n, name in enumerate(self.all_names)}

    @property
    def folder_vol_ids(self) -> dict[str, int]:
        """:attr:`vol_ids` among all maps of the folder, also if only some of them were given."""
        folders = {s.path.parent if s.path else None for s in self.sources}
        folder = folders.pop()
        try:
            numbers = {} if folders or folder is None else folder_numbers(folder)
        except SirenError:
            numbers = {}
        return numbers if set(self.names) <= set(numbers) else self.vol_ids

    def __len__(self) -> int:
        return len(self.sources)

    def grid_of(self, source: Source) -> Grid:
        """The grid of one map, as it is read."""
        return source.read_grid() if self.mixed and self.box is None else self.grid

    @property
    def largest(self) -> int:
        """Voxels along the longest side of any map."""
        return max(max(self.grid_of(s).shape) for s in self.sources)

    def grid_text(self) -> str:
        """The grid as text, or the range of sizes if the maps are on different grids."""
        if not self.mixed:
            return self.grid.text()
        grids = [self.grid_of(s) for s in self.sources]
        sides = sorted(max(g.shape) for g in grids)
        edges = sorted(g.voxel_size[0] for g in grids)

        def span(low: float, high: float) -> str:
            return f"{low:.4g}" if f"{low:.4g}" == f"{high:.4g}" else f"{low:.4g} to {high:.4g}"

        return (
            f"{len(set(grids)):,} different grids: {span(sides[0], sides[-1])} voxels a side, "
            f"{span(edges[0], edges[-1])} A/voxel"
        )

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

    def read_voxels(
        self,
        voxels: NDArray[np.int64] | Parts,
        progress: Progress | None = None,
        phase: str = "reading",
    ) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Iterate over the maps: name and the (n,) float32 values of (n,) flat indices, or of
        parts; these are good until the next map.

        Maps are not read again where these are kept, see :meth:`keeping`.

        Raises
        ------
        SirenError, JunkMap, Cancelled
            As :meth:`read`.
        """
        progress, kept = progress or Progress(), self.excerpt
        parts = voxels if isinstance(voxels, Parts) else Parts(1, np.empty(0, np.int64), voxels)
        known = None if kept is None else kept.parts_of(parts)
        out = np.empty(len(parts), np.float32)
        for source in progress.each(self.sources, phase, len(self.sources)):
            values = None if kept is None else kept.values.get(source.name)
            if known is not None and values is not None:
                known.take(values, out)
            else:
                flat = self.array(source).ravel()
                if kept is not None:
                    kept.fill(source.name, flat)
                parts.take(flat, out)
            yield source.name, out

    def keeping(self, excerpt: Excerpt | None) -> Ensemble:
        """The same ensemble; the voxels of an excerpt are kept once :meth:`read_voxels` has read
        any, or were so by an earlier step.
        """
        return self if excerpt is None else replace(self, excerpt=excerpt)

    @property
    def in_files(self) -> bool:
        """Whether all maps are in files, whose changes are seen."""
        return all(s.path is not None for s in self.sources)

    def array(self, source: Source) -> NDArray[np.float32]:
        """Read one map: (z, y, x) float32, resampled if ``box`` is set.

        Raises
        ------
        SirenError, JunkMap
            As :meth:`Source.read`, or if the file changed since its header was read, or since the
            step whose fingerprints are expected.
        """
        if self.cache is not None and source.name in self.cache:
            return self.cache[source.name]
        stamp = source.stamp()
        seen = stamp is not None and self.stamps.get(source.name) == stamp
        array = source.read(seen)
        if not seen:
            self._check_fingerprint(source.name, array, stamp)
        if self.box is not None:
            array = to_box(array, source.read_grid(), self.box)[0]
        if array.shape != self.grid_of(source).shape:
            raise SirenError(f"{source.name} changed while it was read: run the command again.")
        if self.cache is not None:
            self.cache[source.name] = array
        return array

    def _check_fingerprint(
        self, name: str, array: NDArray[np.float32], stamp: Stamp | None
    ) -> None:
        known = self.fingerprints.get(name)
        if known is not None and stamp is None:
            return
        found = fingerprint(array)
        self.check_expected(name, found)
        if known not in (None, found):
            forget()  # or it would be found to have changed again
            raise SirenError(f"{name} changed while it was read: run the command again.")
        self.fingerprints[name] = found
        if stamp is not None:
            self.stamps[name] = stamp

    def check_expected(self, name: str, fingerprint: str) -> None:
        """Check that the map of this fingerprint is the one that an earlier step read.

        Raises
        ------
        SirenError
            If it is not.
        """
        for e in self.expected:
            if e.fingerprints.get(name, fingerprint) != fingerprint:
                raise SirenError(e.sentence.replace("{name}", name))

    def expecting(self, fingerprints: Mapping[str, str], sentence: str) -> Ensemble:
        """The same ensemble; reading a map that has another fingerprint is an error.

        No pass over the files is needed for that: each map is looked at when it is read.

        Parameters
        ----------
        fingerprints : mapping of str
            By name; other maps may be as they like.
        sentence : str
            The error, with ``{name}`` for the map.
        """
        if not fingerprints:
            return self
        return replace(
            self,
            fingerprints={},
            stamps={},
            expected=(*self.expected, Expected(fingerprints, sentence)),
        )

    @property
    def is_slow(self) -> bool:
        """Whether reading a map takes far longer than to copy its file: maps are compressed,
        resampled, or not in files.
        """
        return self.box is not None or any(s.is_slow for s in self.sources)

    def cached(self, most_bytes: float) -> Ensemble:
        """The same ensemble, with maps kept in memory once read if all fit in ``most_bytes`` and
        reading them is slow. Other files the operating system keeps, and copying them again from
        there takes no longer than to look at kept ones: memory that is new costs more.
        """
        fits = 4 * self.grid.size * len(self) <= most_bytes
        keep = fits and self.cache is None and self.is_slow
        return replace(self, cache={}) if keep else self

    def keep(self, made_with: Hashable, value: Any, size: float) -> None:
        """Keep a result of all maps, which have been read, for the next step.

        Parameters
        ----------
        made_with : hashable
            What the result depends on besides the maps.
        value : object
        size : float
            Bytes of the result; see :mod:`.last_reading`.
        """
        key = self._key(made_with, self.stamps)
        if key is None:
            forget()
        else:
            keep(LastReading(key, {n: self.fingerprints[n] for n in self.names}, value), size)

    def recall(self, made_with: Hashable) -> Any:
        """The result that :meth:`keep` was given for these maps, in this step or an earlier one;
        None if there is none. One of other maps is dropped.

        Raises
        ------
        SirenError
            If the maps are not those that are expected, see :meth:`expecting`.
        """
        last = last_reading()
        if last is None:
            return None
        key = self._key(made_with, {s.name: s.stamp() for s in self.sources})
        if key is None or last.key != key:
            forget()
            return None
        for name, found in last.fingerprints.items():
            self.check_expected(name, found)
            self.fingerprints.setdefault(name, found)  # to which it is compared when it is read
        return last.value

    def _key(
        self, made_with: Hashable, stamps: Mapping[str, Stamp | None]
    ) -> tuple[Hashable, ...] | None:
        """None if some maps are in memory, or not a number (NaN) where all are."""
        if any(stamps.get(s.name) is None or s.outside is not None for s in self.sources):
            return None
        files = tuple((s.name, s.path, stamps[s.name]) for s in self.sources)
        return (files, self.grid, self.box, made_with)

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
                or [n for n in self.names if pattern in _short_names(n)]
                or [
                    n
                    for n in self.names
                    if any(fnmatch.fnmatchcase(text, pattern) for text in (n, *_short_names(n)))
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
    any_grid: bool = False,
    everything: bool = False,
    origin: Triple | None = None,
) -> Ensemble:
    """Find maps in folders and files, select among them, and check that they share one grid.

    Half maps, masks, means and what else programs leave beside the states are left out, see
    :mod:`.companions`, unless ``include`` names them and nothing else.

    Parameters
    ----------
    inputs : sequence of str, Path or Source
        Folders, zip files, map files, or :class:`.source.Source` objects for maps in memory.
    voxel_size : float, optional
        Angstrom per voxel, overriding the headers, also where these disagree.
    progress : Progress, optional
    minimum : int
        Minimum number of maps.
    include, exclude : sequence of str
        Names or patterns, see :meth:`Ensemble.select`. They are applied before the grids are
        compared, so that a map on another grid can be excluded.
    any_grid : bool
        Take maps on different grids, too, for what looks at each map alone.
    everything : bool
        Take half maps, masks and the like as volumes, too.
    origin : tuple of float, optional
        Position x, y, z of voxel (0, 0, 0) of all maps, in Angstrom, overriding the headers, also
        where these disagree.

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
    refuse_results(inputs)
    names = tuple(s.name for s in sources)
    twice = sorted({n for n, following in pairwise(names) if n == following}, key=natural_key)
    if twice:
        raise SirenError(
            f"{join_names(twice)}: more than one of the volumes has this name, and volumes are "
            "identified by name. Give one folder, or rename."
        )
    if minimum > 1:
        refuse_one_other_file(sources)
    _check_count(tuple(sources), f"in {_input_text(inputs)}", minimum)
    whole = ensemble = Ensemble(tuple(sources), Grid((1, 1, 1), (1.0, 1.0, 1.0)), names)
    if include or exclude:
        ensemble = whole.select(include, exclude, minimum)
    companions = Companions()
    if not everything:
        found = find_companions(sources, minimum, progress)
        asked = _asked(whole, include, set(found.kinds))
        companions = found.without(asked).among(ensemble.names)
        kept = tuple(s for s in ensemble.sources if s.name not in companions.kinds)
        _check_count(kept, "after half maps, masks and the like were left out", minimum)
        ensemble = replace(ensemble, sources=kept)
    grids = [
        s.read_grid() for s in progress.each(ensemble.sources, "checking volumes", len(ensemble))
    ]
    headers = sorted({g.voxel_size[0] for g in grids})
    origins = len({g.origin for g in grids})
    grids = as_given(grids, voxel_size, origin)
    # the grid of the majority, so that the error names the map that differs
    common = Counter(grids).most_common(1)[0][0]
    example = ensemble.sources[grids.index(common)].name
    apart = {
        s.name: said
        for s, grid in zip(ensemble.sources, grids, strict=True)
        if (said := grid_difference(s.name, grid, example, common))
    }
    mixed = bool(apart)
    if apart and not any_grid:
        raise not_one_grid(apart, len(ensemble))
    sources = [replace(s, grid=g) for s, g in zip(ensemble.sources, grids, strict=True)]
    sources, outside = nan_outside(sources)
    packed = left_packed(inputs)
    notes = [
        *companions.notes(),
        *([outside] if outside else []),
        *left_below(inputs),
        *left_in_other_formats(inputs),
        *(
            [
                f"{join_names(packed)}: not used, since maps packed like this are not read. "
                "Unpack them if they belong to the ensemble."
            ]
            if packed
            else []
        ),
        *(
            f"{a} and {b} look like the same volume; both are used. Exclude one if they are."
            for (a, stem), (b, other) in pairwise((n, _stem(n)) for n in ensemble.names)
            if stem == other and Path(a).parent == Path(b).parent
        ),
    ]
    if voxel_size is not None:
        before = " to ".join(dict.fromkeys(f"{v:.4g}" for v in (headers[0], headers[-1])))
        notes.append(
            f"Voxel size {voxel_size:g} A as given, instead of {before} A in the headers; block "
            "maps have it too. "
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
    else:
        notes += implausible_size(common)
    if origin is not None:
        place = ",".join(f"{o:.12g}" for o in origin)
        notes.append(
            f"Origin {place} A as given, instead of "
            f"{f'{origins:,} different ones' if origins > 1 else 'that'} in the headers; block "
            f'maps have it too. To overlay the volumes in ChimeraX, use "volume #N origin {place}".'
        )
    return replace(ensemble, sources=tuple(sources), grid=common, notes=tuple(notes), mixed=mixed)


def _asked(ensemble: Ensemble, include: Sequence[str], companions: set[str]) -> set[str]:
    """The half maps, masks and the like that the user named: by a name, or by a pattern that means
    no states.
    """
    asked: set[str] = set()
    for pattern in include:
        hits = set(ensemble.select([pattern], minimum=0).names) if companions else set()
        if hits <= companions:
            asked |= hits
    return asked


def nan_outside(sources: Sequence[Source]) -> tuple[list[Source], str]:
    """Where maps are not a number (NaN) in the same voxels, as outside a mask, take these as 0.

    Three of them tell which voxels: where another has a number, it stays, and where it has none
    elsewhere, it is refused when it is read.

    Returns
    -------
    sources : list of Source
    note : str
        What was assumed, one sentence for the log; "" if nothing was.
    """
    some = [sources[i] for i in sorted({0, len(sources) // 2, len(sources) - 1}) if sources]
    try:
        if not some or not all(s.has_nan_corner() for s in some):
            return list(sources), ""
        outside = np.isnan(some[0].read_as_is())
        for s in some[1:]:
            other = np.isnan(s.read_as_is())
            if other.shape != outside.shape:
                return list(sources), ""
            outside &= other
    except SirenError:  # reading all of them says what is wrong
        return list(sources), ""
    return [replace(s, outside=outside) for s in sources], (
        f"{outside.mean():.0%} of the voxels are not a number (NaN) in the first, the middle and "
        "the last volume, as outside a mask: where they are, they are taken as 0."
    )


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


def folder_numbers(folder: Path) -> dict[str, int]:
    """Number of each map of a folder, by name: its place in natural order, from 0."""
    names = sorted((s.name for s in find_sources([folder])), key=natural_key)
    return {name: n for n, name in enumerate(names)}


def _short_names(name: str) -> tuple[str, ...]:
    """A map's name without suffix, with its folder and without."""
    return (Path(name).with_name(_stem(name)).as_posix(), _stem(name))


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
