"""Which volume each particle belongs to, and which row of the particle file it is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..common.errors import SirenError
from ..common.progress import Progress
from ..common.tables import read_table
from .arrays import points, read_value, whole_numbers
from .numbering import Numbering, number_in, numbering
from .places import HALVES, Files

VOLUME, PARTICLE = "volume", "particle"  # columns of a csv
NEARBY = 0.5  # share of centers that are in their own cluster, below which lists do not fit
BATCH = 100_000  # particles between two reports


@dataclass(frozen=True)
class Assignment:
    """The volume of each particle.

    Attributes
    ----------
    names : V volumes
    volume : (P,) position in ``names``; -1 if the volume is not among them, -2 if the particle has
        none
    rows : (P,) row of each particle in the particle file, from 0
    open_end : whether the particle file may have rows after the last of ``rows``
    numbering : which cluster each volume is; None if the list names volumes
    nearest : whether it is the nearest volume in latent space, not the cluster of the particle
    files : that were read
    notes : what was assumed, one sentence each
    """

    names: tuple[str, ...]
    volume: NDArray[np.int64]
    rows: NDArray[np.int64]
    open_end: bool
    numbering: Numbering | None
    nearest: bool
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def assign(
    files: Files,
    names: Sequence[str],
    beside: Collection[str] = (),
    first: int | None = None,
    progress: Progress | None = None,
) -> Assignment:
    """Read which volume each particle belongs to.

    Parameters
    ----------
    files : Files
        See :func:`.places.find_files`.
    names : sequence of str
        File names of the volumes.
    beside : collection of str
        Names of all maps in their folder, which tell whether numbers start at 0 or 1.
    first : int, optional
        The number in the file name of the volume of cluster 0.
    progress : Progress, optional

    Raises
    ------
    SirenError
        If a file cannot be read, files do not fit together or with the volumes, or it is open which
        volume is which cluster.
    """
    progress = progress or Progress()
    beside = {*beside, *names}
    open_end, notes, found = False, list(files.notes), None
    used: NDArray[np.int64] | None = None
    if files.labels is not None:
        path = files.labels
        if path.suffix.lower() == ".csv":
            volume, used = _from_table(path, names)
        else:
            clusters, centers, open_end = _clusters(path)
            found = numbering(names, beside, centers, first, path.name)
            volume = _positions(clusters, found, names)
        read = [path]
    else:
        assert files.latent is not None and files.centers is not None
        volume, found = _nearest(files.latent, files.centers, names, beside, first, progress)
        read = [files.latent, files.centers]
        notes.append(
            "Particles are taken to belong to the volume nearest in latent space (Euclidean "
            f"distance of {files.latent.name} to {files.centers.name}); no program says so."
        )
    if files.indices is not None:
        if used is not None or open_end:
            what = "names its particles" if used is not None else "counts the rows themselves"
            raise SirenError(f'{read[0].name} {what}: leave out "indices".')
        rows = _indices(files.indices)
        if len(rows) != len(volume):
            raise SirenError(
                f"{files.indices.name} has {len(rows):,} rows for the {len(volume):,} particles of "
                f"{read[0].name}: give the indices that this training was given."
            )
        read.append(files.indices)
        open_end = True
    else:
        rows = np.arange(len(volume), dtype=np.int64) if used is None else used
        open_end = open_end or used is not None or files.leading == len(volume)
    return Assignment(
        tuple(names),
        volume,
        rows,
        open_end,
        found,
        files.labels is None,
        tuple(read),
        tuple(notes),
    )


def _clusters(path: Path) -> tuple[NDArray[np.int64], int, bool]:
    """The cluster of each particle (-1: none), the number of clusters, and whether the list ends
    with the last particle that was used.
    """
    content = read_value(path)
    if isinstance(content, dict):  # RECOVAR: labels in the order of the particle file
        if not {"labels", "centers"} <= set(content):
            raise SirenError(
                f"{path.name} has no labels and centers: give labels.pkl, or kmeans_result.pkl of "
                "RECOVAR."
            )
        clusters = _recovar_clusters(content["labels"], path)
        centers = len(points(content["centers"], path, "centers"))
        _check_range(clusters, centers, path, "its centers")
        return clusters, centers, True
    clusters = whole_numbers(content, path, "clusters, one for each particle")
    centers = int(clusters.max()) + 1
    place = path.parent / "centers_ind.txt"
    if place.is_file():
        own = whole_numbers(read_value(place), place, "particles, one for each center")
        centers = len(own)
        _check_range(clusters, centers, path, place.name)
        fits = own[(own >= 0) & (own < len(clusters))]
        right = int((clusters[fits] == np.flatnonzero((own >= 0) & (own < len(clusters)))).sum())
        if right < NEARBY * len(own):
            raise SirenError(
                f"Of the {len(own):,} centers in {place.name}, {right:,} are in their own cluster "
                f"of {path.name}: the two are of different runs or numbered otherwise; give the "
                "labels.pkl that was written with these volumes."
            )
    return clusters, centers, False


def _recovar_clusters(labels: Any, path: Path) -> NDArray[np.int64]:
    """RECOVAR's list has a place for each row of the particle file. Rows that it did not use are
    NaN made whole: the lowest number there is, or 0 on some processors; its list of rows tells.
    """
    if isinstance(labels, np.ndarray) and labels.dtype.kind == "i":
        labels = np.maximum(labels, -1)
    clusters = whole_numbers(labels, path, "clusters, one for each particle")
    for place in (path.parent.parent, path.parent.parent.parent):
        halves = place / "model" / HALVES
        if not halves.is_file():
            continue
        used = _indices(halves)
        if int(used.max()) + 1 != len(clusters):
            raise SirenError(
                f"{path.name} has {len(clusters):,} particles, but {halves} goes to row "
                f"{int(used.max()) + 1:,}: give the list that was written with these volumes."
            )
        there = np.zeros(len(clusters), bool)
        there[used] = True
        return np.where(there, clusters, -1)
    return clusters


def _check_range(clusters: NDArray[np.int64], centers: int, path: Path, place: str) -> None:
    if int(clusters.max()) >= centers:
        raise SirenError(
            f"{path.name} numbers clusters up to {int(clusters.max()):,}, but {place} has "
            f"{centers:,}, from 0: give the list that was written with these volumes."
        )


def _positions(
    clusters: NDArray[np.int64], found: Numbering, names: Sequence[str]
) -> NDArray[np.int64]:
    """Position of the volume of each particle."""
    table = np.full(int(max(clusters.max(), *found.clusters.values())) + 2, -1, np.int64)
    table[-1] = -2  # what cluster -1 gets
    for at, name in enumerate(names):
        table[found.clusters[name]] = at
    return table[clusters]


def _from_table(path: Path, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Volume and row of each particle that a csv lists."""
    table = read_table(path, [VOLUME], "table of the volume of each particle", [VOLUME])
    places = places_by_name(names)
    position = np.empty(len(table.rows), np.int64)
    for n, row in enumerate(table.rows):
        cell = row[VOLUME].strip()
        position[n] = -2 if cell.lower() in ("", "nan", "none") else places.get(cell, -1)
    if not (position >= 0).any():
        raise SirenError(
            f"{path.name} names none of the {len(names):,} volumes (the first is {names[0]}): give "
            f"file names, or the numbers in them, in the column '{VOLUME}'."
        )
    if PARTICLE not in table.columns:
        return position, np.arange(len(position), dtype=np.int64)
    try:
        rows = [int(row[PARTICLE]) for row in table.rows]
        order = np.array(rows, np.int64)
    except (ValueError, OverflowError) as error:
        raise SirenError(
            f"{path.name} has a '{PARTICLE}' that is no whole number: give rows of the particle "
            "file, from 0."
        ) from error
    _check_rows(order, path)
    return position, order


def places_by_name(names: Sequence[str]) -> dict[str, int]:
    """Position of a volume by its file name, the name without suffix, or the number in it."""
    places: dict[str, int | None] = {}
    for at, name in enumerate(names):
        number = number_in(name)
        stem = name[: len(name) - len("".join(Path(name).suffixes))] if "." in name else name
        texts = {name, stem}
        if number:
            texts |= {str(number[1]), name[len(number[0]) :].split(".")[0]}
        for text in texts:
            places[text] = None if text in places else at  # of two volumes: of none
    for at, name in enumerate(names):
        places[name] = at
    return {text: at for text, at in places.items() if at is not None}


def _nearest(
    latent: Path,
    centers: Path,
    names: Sequence[str],
    beside: Collection[str],
    first: int | None,
    progress: Progress,
) -> tuple[NDArray[np.int64], Numbering]:
    """The nearest of the volumes at hand to each particle, in latent space."""
    particles = points(read_value(latent), latent, "latent coordinates, one row for each particle")
    volumes = points(read_value(centers), centers, "latent coordinates, one row for each volume")
    if volumes.shape[1] != particles.shape[1] and volumes.shape[0] == 1:
        volumes = volumes.T
    if volumes.shape[1] != particles.shape[1]:
        raise SirenError(
            f"{latent.name} has {particles.shape[1]} coordinates for each particle, but "
            f"{centers.name} has {volumes.shape[1]}: give two files of one training."
        )
    found = numbering(names, beside, len(volumes), first, centers.name, "row")
    tree = cKDTree(volumes)
    cluster = np.empty(len(particles), np.int64)
    for start in range(0, len(particles), BATCH):
        progress.step("nearest volumes", start / len(particles))
        cluster[start : start + BATCH] = tree.query(particles[start : start + BATCH])[1]
    return _positions(cluster, found, names), found


def _indices(path: Path) -> NDArray[np.int64]:
    """The rows of the particle file that a training used, in its order."""
    content = read_value(path)
    if path.name == HALVES and isinstance(content, list | tuple) and len(content) == 2:
        halves = [whole_numbers(half, path, "rows of the particle file") for half in content]
        rows = np.sort(np.concatenate(halves))
    elif isinstance(content, np.ndarray) and content.dtype.kind == "b" and content.ndim == 1:
        rows = np.flatnonzero(content).astype(np.int64)
    else:
        rows = whole_numbers(content, path, "rows of the particle file")
    if not len(rows):
        raise SirenError(f"{path.name} has no rows: give the indices of the training.")
    _check_rows(rows, path)
    return rows


def _check_rows(rows: NDArray[np.int64], path: Path) -> None:
    if (rows < 0).any():
        raise SirenError(f"{path.name} has rows below 0: give rows of the particle file, from 0.")
    values, counts = np.unique(rows, return_counts=True)
    if (counts > 1).any():
        raise SirenError(
            f"{path.name} has row {int(values[counts > 1][0]):,} twice: give each particle once."
        )


def as_json(found: Assignment) -> dict[str, Any]:
    """The mapping, for programs."""
    return {
        "files": [str(path) for path in found.files],
        "nearest_in_latent_space": found.nearest,
        "first": found.numbering.first if found.numbering else None,
        "clusters": found.numbering.clusters if found.numbering else None,
    }
