"""Downsampled and normalized maps with their statistics, as by the published ``preprocess``.

Prediction does not need them: it prepares maps itself.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError, join_names, typed
from ..common.files import atomic_folder, keep_others
from ..common.partial import PREFIX, exchange, partial_folder
from ..common.progress import Progress
from ..maps.ensemble import Ensemble, Source
from ..maps.grid import Grid, to_box
from ..maps.mapfile import is_map_name, natural_key, write_map
from .labels import (
    LABEL_COLUMNS,
    Label,
    current_labels,
    match_labels,
    numbering_note,
    read_labels,
)
from .matching import stem
from .normalize import Range, normalize, normalize_level, value_range
from .parameters import PreprocessParameters
from .tables import STATISTICS_COLUMNS, write_table

DOWNSAMPLED_FOLDER, NORMALIZED_FOLDER = "downsampled", "normalised"
DOWNSAMPLED_TABLE, RAW_TABLE, LABELS_TABLE = (
    "map_stats_downsampled.csv",
    "map_stats_raw.csv",
    "normalized_labels.csv",
)
_TABLES = {DOWNSAMPLED_TABLE, RAW_TABLE, LABELS_TABLE}
_OURS = {DOWNSAMPLED_FOLDER, NORMALIZED_FOLDER, *_TABLES}


@dataclass(frozen=True)
class Preprocessed:
    """The files written by :func:`preprocess`.

    Attributes
    ----------
    folder : Path
        Has the folders ``downsampled`` (and ``normalised``) and the tables.
    grid : Grid
        Grid of the downsampled maps; if the maps were on different grids, of the last.
    files : tuple of Path
        The downsampled maps, in the ensemble's order.
    tables : tuple of Path
        The csv files.
    small : dict of Range
        Ranges of the downsampled maps, by file name.
    raw : dict of Range
        Ranges of the original maps, by file name; empty if these are not larger than the box.
    notes : tuple of str
        Labels that were left out, and how others were matched, one sentence each, for the log.
    """

    folder: Path
    grid: Grid
    files: tuple[Path, ...]
    tables: tuple[Path, ...]
    small: dict[str, Range] = field(default_factory=dict)
    raw: dict[str, Range] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def downsample(
    source: Source, array: NDArray[np.floating], grid: Grid, box: int
) -> tuple[NDArray[np.float32], Grid]:
    """Downsample a map to a cube of ``box`` voxels per side that overlays the original.

    A map that has this box is returned unchanged.

    Parameters
    ----------
    source : Source
        The map, for errors.
    array : (z, y, x) array
    grid : Grid
        Its grid.
    box : int

    Returns
    -------
    array : (box, box, box) float32, z, y, x
    grid : Grid

    Raises
    ------
    SirenError
        If values overflow.
    """
    if grid.shape == (box, box, box):
        return np.asarray(array, np.float32), grid
    small, small_grid = to_box(array, grid, box)
    if not np.isfinite(small).all():  # float32 overflows where values are near its limit
        raise SirenError(
            f"{source.name} has values too large to resample: rescale it, or use "
            f'"exclude {typed(source.name)}".'
        )
    return small, small_grid


def preprocess(
    ensemble: Ensemble,
    out_dir: Path,
    parameters: PreprocessParameters | None = None,
    progress: Progress | None = None,
) -> Preprocessed:
    """Write Fourier-cropped maps, optionally normalized ones, and tables of their statistics.

    Written are ``downsampled/NAME.mrc``, which overlay the originals, ``normalised/NAME.mrc``,
    ``map_stats_downsampled.csv``, ``map_stats_raw.csv`` if the maps are larger than the box, and
    ``normalized_labels.csv`` if labels are given. Labels are normalized by the range of the
    original map if it is larger than the box, as for the published network.

    Parameters
    ----------
    ensemble : Ensemble
        Maps on their original grids, which may differ; one is enough.
    out_dir : Path
        Output folder, created if missing.
    parameters : PreprocessParameters
    progress : Progress

    Returns
    -------
    Preprocessed

    Raises
    ------
    SirenError
        If a map cannot be read or normalized, labels do not match, the folder cannot be written, or
        it has the maps of other volumes.
        Nothing is written.
    Cancelled
        If ``progress`` was asked to stop. Nothing is written.

    References
    ----------
    Kinman et al. 2025, doi 10.1016/j.str.2025.02.004.
    """
    parameters, progress = parameters or PreprocessParameters(), progress or Progress()
    labels: list[tuple[str, Label]] = []
    notes = []
    labels_path = Path(parameters.labels or "").expanduser()
    if parameters.labels is not None:  # first, so that a wrong table is reported at once
        labels = match_labels(read_labels(labels_path), labels_path, ensemble.all_names)
        notes.append(numbering_note(labels, labels_path))
    names = [stem(name).replace("/", "_") + ".mrc" for name in ensemble.names]
    clash = (
        next((n for n in names if names.count(n) > 1), None)
        if len(set(names)) < len(names)
        else None
    )
    if clash:
        raise SirenError(
            f"Two volumes would both be written to {clash}: rename one, or leave one out."
        )
    _check_unmixed(out_dir, names)
    with _written_to(out_dir) as work:
        grid, small, raw = _write_maps(ensemble, names, work, parameters, progress)
        if labels:
            labels, stale = current_labels(labels, ensemble.fingerprints, labels_path)
            notes.append(stale)
        tables = _write_tables(ensemble, work, small, raw, labels)
        progress.step("preprocessing", 1.0)  # last chance to stop
    files = tuple(out_dir / DOWNSAMPLED_FOLDER / n for n in names)
    said = tuple(note for note in notes if note)
    return Preprocessed(out_dir, grid, files, tuple(out_dir / t for t in tables), small, raw, said)


def _check_unmixed(out_dir: Path, names: Collection[str]) -> None:
    """Raise SirenError if a folder holds maps of other volumes, which would be mixed with these."""
    known = {unicodedata.normalize("NFC", n) for n in names}
    others: list[str] = []
    for folder in (out_dir / DOWNSAMPLED_FOLDER, out_dir / NORMALIZED_FOLDER):
        if folder.is_dir():
            here = (p.name for p in folder.iterdir() if is_map_name(p.name))
            others += [n for n in here if unicodedata.normalize("NFC", n) not in known]
    if others:
        others = sorted(set(others), key=natural_key)
        raise SirenError(
            f"{out_dir} has the maps of other volumes from an earlier run ({join_names(others)}), "
            "which these would be mixed with: give another outputDir, or remove them."
        )


def _write_maps(
    ensemble: Ensemble,
    names: list[str],
    work: Path,
    parameters: PreprocessParameters,
    progress: Progress,
) -> tuple[Grid, dict[str, Range], dict[str, Range]]:
    box = parameters.box
    (work / DOWNSAMPLED_FOLDER).mkdir()
    if parameters.normalised:
        (work / NORMALIZED_FOLDER).mkdir()
    small_ranges, raw_ranges, grid = {}, {}, ensemble.grid
    for source, name, (_, array) in zip(
        ensemble.sources, names, ensemble.read(progress, "preprocessing"), strict=True
    ):
        small, grid = downsample(source, array, ensemble.grid_of(source), box)
        x, small_ranges[source.name] = normalize(small, source.name)
        if max(array.shape) > box:
            raw_ranges[source.name] = value_range(array, source.name)
        write_map(
            work / DOWNSAMPLED_FOLDER / name, small, grid, f"SIREn: {source.name} in a box of {box}"
        )
        if parameters.normalised:
            write_map(
                work / NORMALIZED_FOLDER / name,
                x,
                grid,
                f"SIREn: {source.name} normalised in a box of {box}",
            )
    return grid, small_ranges, raw_ranges


def _write_tables(
    ensemble: Ensemble,
    work: Path,
    small: dict[str, Range],
    raw: dict[str, Range],
    labels: list[tuple[str, Label]],
) -> list[str]:
    place = ensemble.vol_ids
    tables = []
    for table, ranges in ((DOWNSAMPLED_TABLE, small), (RAW_TABLE, raw)):
        if ranges:
            write_table(
                work / table,
                STATISTICS_COLUMNS,
                ((n, place[n], r.vol_min, r.vol_max) for n, r in ranges.items()),
            )
            tables.append(table)
    if labels:
        used = {**small, **raw}
        # labels of excluded volumes are left out: these have no statistics
        write_table(
            work / LABELS_TABLE,
            (*LABEL_COLUMNS, "normalized_label"),
            (
                (
                    place[n],
                    _blank(b.lower),
                    b.level,
                    _blank(b.upper),
                    n,
                    normalize_level(b.level, used[n]),
                )
                for n, b in labels
                if n in used
            ),
        )
        tables.append(LABELS_TABLE)
    return tables


def _blank(bound: float | None) -> float | str:
    return "" if bound is None else bound


@contextmanager
def _written_to(out_dir: Path) -> Iterator[Path]:
    """Yield a temporary folder; what is written there is then moved to the output folder, in one
    step unless that holds other results as well.

    Maps of earlier runs stay, as long as they are not replaced; tables would describe other maps.
    """
    others = {p.name for p in out_dir.iterdir()} - _OURS if out_dir.is_dir() else set()
    if not any(name for name in others if not name.startswith(PREFIX)):
        with atomic_folder(out_dir) as work:
            yield work
            keep_others(out_dir, work, _TABLES)
        return
    try:
        with partial_folder(out_dir) as work:
            yield work
            keep_others(out_dir, work, others | _TABLES)
            _move(work, out_dir)
    except OSError as error:
        raise SirenError(
            f"{out_dir} cannot be written ({error.strerror or error}): give another output folder."
        ) from error


def _move(work: Path, out_dir: Path) -> None:
    """Move the folders of maps, and then the tables that list them, to the output folder."""
    for folder in (p for p in work.iterdir() if p.is_dir()):
        target = out_dir / folder.name
        if not target.is_dir():
            folder.replace(target)
        elif not exchange(folder, target):  # a network drive: file by file
            for path in (p for p in folder.rglob("*") if not p.is_dir()):
                path.replace(target / path.relative_to(folder))
    for table in sorted(_TABLES):
        if (work / table).exists():
            (work / table).replace(out_dir / table)
        else:
            (out_dir / table).unlink(missing_ok=True)
