"""The record of a run: step, parameters, input and versions, enough to repeat it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..blocks.blockset import BLOCKS_FILE
from ..blocks.statistics import STATISTICS, statistic_named
from ..common import schema
from ..common.errors import SirenError
from ..common.files import RECORD, read_json, restore, restore_inside, sha256, write_json
from ..common.progress import Progress
from ..common.schema import ORIGIN, Mismatch, integer, listing, mapping, optional, text
from ..common.versions import versions
from ..maps.agreement import as_given
from ..maps.ensemble import Ensemble, Source, find_ensemble
from ..maps.grid import Grid, Triple, box_grid
from ..maps.mapfile import read_grid, stored_size
from .places import (
    Borrowed,
    borrowed_volumes,
    file_now,
    folder_now,
    folders_of,
    mask_of,
    seen_from,
    table_of,
    volumes_now,
)

FORMAT = "SIREn run 1"
# the error if a volume is not that of the run; {name} is the volume
CHANGED = (
    '{name} changed since the sketch: predict its level and run "siren sketch" again, or name the '
    'volumes, as in "volumes FOLDER", to use them as they are.'
)
STEPS = ("sketch", "edit", "expand")
_COUNT = integer(0, 1 << 53)
_VOLUME = schema.record(
    {
        "path": optional(text),
        "bytes": optional(_COUNT),
        "level": optional(schema.number()),
        "left_out": optional(text),
    },
    {"fingerprint": optional(text)},  # not before 0.2
)
_SCHEMA = schema.record(
    {
        "step": schema.one_of(*STEPS),
        "parameters": mapping(schema.plain),
        "thresholds": text,
        "grid": schema.GRID,
        "box": optional(integer(1, 65535)),
        "voxel_size_given": optional(schema.number(above=0)),
        "source": optional(text),
        "counts": mapping(optional(schema.number())),
        "volumes": mapping(_VOLUME),
        "not_chosen": listing(text),
        "timings_s": mapping(schema.number()),
    },
    {
        "origin_given": optional(ORIGIN),
        "counted_on": text,
        "folders": mapping(text),
        "outputs": mapping(text),
    },
)
_NEEDED_COUNTS = ("volumes_used", "union_voxels", "blocks")


@dataclass
class Record:
    """The content of run.json.

    Attributes
    ----------
    step : str
        'sketch', 'edit' (by hand) or 'expand'.
    parameters : dict
        All parameters of the step, including the seed.
    volumes : list of dict
        For each selected volume: name, path (None for a map in memory), bytes, level, why it was
        left out (or None), and fingerprint (None if it was not read, or before 0.2). In a record
        that was read, the path is where the file is now, if record and volumes have been moved or
        copied together.
    thresholds : str
        Origin of the levels, in words.
    grid : Grid
        Grid of the volumes, after resampling.
    box : int or None
        Cube to which volumes were resampled on reading.
    voxel_size : float or None
        Voxel size given by the user, overriding the headers.
    origin : tuple of float or None
        Origin given by the user, x, y, z in Angstrom, overriding the headers.
    counts : dict
        Numbers of the run, by name.
    timings : dict of float
        Seconds by phase; the only part that differs between equal runs.
    source : str or None
        Folder from which an edited set or an expansion started.
    not_chosen : list of str
        Names of the volumes that include and exclude removed.
    counted_on : str
        Device or cluster; the result does not depend on it.
    outputs : dict of str
        SHA-256 of the other files in the folder, by name.
    borrowed : Borrowed or None
        If the run was copied or moved without its volumes, and uses those of the original project;
        not written.
    """

    step: str
    parameters: dict[str, Any]
    volumes: list[dict[str, Any]]
    thresholds: str
    grid: Grid
    box: int | None
    voxel_size: float | None
    counts: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    source: str | None = None
    not_chosen: list[str] = field(default_factory=list)
    counted_on: str = "cpu"
    outputs: dict[str, str] = field(default_factory=dict)
    borrowed: Borrowed | None = None
    origin: Triple | None = None

    def write(self, folder: Path) -> None:
        """Write run.json, the last file of a folder: it lists the others with their hashes."""
        self.outputs = {p.name: sha256(p) for p in sorted(folder.iterdir()) if p.name != RECORD}
        content, folders = self.content(), self.folders(folder)
        last = {name: content.pop(name) for name in ("timings_s", "outputs")}
        write_json(
            folder / RECORD,
            {
                **content,
                "folders": folders,
                "versions": versions(),
                **last,
            },
        )

    def folders(self, folder: Path) -> dict[str, str]:
        """The folders that the record names, as seen from that in which it is, see
        :mod:`.places`.
        """
        files = (table_of(self.thresholds), mask_of(self.parameters))
        return seen_from(folder, folders_of(self.volumes, self.source, files))

    def content(self) -> dict[str, Any]:
        """The record as plain values, which :func:`record_of` reads."""
        return {
            "format": FORMAT,
            "step": self.step,
            "parameters": self.parameters,
            "thresholds": self.thresholds,
            "grid": self.grid.as_json(),
            "box": self.box,
            "voxel_size_given": self.voxel_size,
            **({} if self.origin is None else {"origin_given": list(self.origin)}),
            "source": self.source,
            "counts": self.counts,
            "volumes": {v["name"]: {k: v[k] for k in v if k != "name"} for v in self.volumes},
            "not_chosen": self.not_chosen,
            "counted_on": self.counted_on,
            "timings_s": {k: round(v, 3) for k, v in self.timings.items()},
            "outputs": self.outputs,
        }

    @property
    def used(self) -> list[dict[str, Any]]:
        """The volumes that were used."""
        return [v for v in self.volumes if v["left_out"] is None]

    def paths(self, names: Collection[str]) -> list[Path | None]:
        """Where these volumes are; None for one in memory."""
        wanted = set(names)
        return [Path(v["path"]) if v["path"] else None for v in self.used if v["name"] in wanted]

    @property
    def sampled(self) -> bool:
        """Whether the blocks are a random part of their voxels, as those of a sketch.

        The parameters of an edited set are those of what was edited.
        """
        return self.step == "sketch" or "subsample" in self.parameters

    @property
    def harmonized(self) -> bool:
        """Whether the step harmonized the levels."""
        name = str(self.parameters.get("statistic"))
        return name in STATISTICS and statistic_named(name).harmonizes

    @property
    def known_levels(self) -> tuple[list[str], np.ndarray[Any, np.dtype[np.float64]]]:
        """Names and levels of all volumes with a level, including those left out."""
        volumes = [
            v for v in self.volumes if v["level"] is not None
        ]  # flagged maps may have no level
        return [v["name"] for v in volumes], np.array([v["level"] for v in volumes], np.float64)

    def ensemble(self, progress: Progress | None = None, otherwise: str = "") -> Ensemble:
        """Find the volumes that were used.

        Parameters
        ----------
        progress : Progress, optional
        otherwise : str
            The error if a volume that is read is another than that of the run, with ``{name}`` for
            it; default: that it changed since.

        Raises
        ------
        SirenError
            If one is missing, was only in memory, or has changed in size. Reading one whose values
            changed is an error, too.
        Cancelled
            If ``progress`` was asked to stop.
        """
        sources: list[Source] = []
        for v in self.used:
            if v["path"] is None:
                raise SirenError(
                    f"{v['name']} was an open model without a file, or was moved: specify the "
                    'volumes, as in "volumes #1-20".'
                )
            path = Path(v["path"])
            size = stored_size(path)
            if size is None:
                raise SirenError(
                    f"{path} is gone since the sketch: put it back, or say where the volumes are "
                    'now: "siren locate FOLDER", or "volumes FOLDER" for this command alone.'
                )
            if size != v["bytes"]:
                raise SirenError(CHANGED.format(name=path))
            sources.append(Source(v["name"], path))
        ensemble = self.find(sources, progress, everything=True)
        ensemble = ensemble.resampled(self.box)
        if ensemble.grid.shape != self.grid.shape:
            raise SirenError(CHANGED.format(name=sources[0].path))
        ensemble = ensemble.expecting(self.fingerprints, otherwise or CHANGED)
        return replace(ensemble, grid=self.grid)  # the voxel size may have been set in ChimeraX

    def find(
        self, inputs: Sequence[str | Path | Source], progress: Progress | None, **keywords: Any
    ) -> Ensemble:
        """:func:`.ensemble.find_ensemble`, with the voxel size and origin given for this run."""
        return find_ensemble(inputs, self.voxel_size, progress, origin=self.origin, **keywords)

    def volumes_grid(self) -> Grid | None:
        """The grid of the volumes in their files, which were resampled if ``box`` is set.

        None if that was so and the first volume is gone, or is another one.
        """
        if self.box is None:
            return self.grid
        path = next((Path(v["path"]) for v in self.used if v["path"]), None)
        try:
            if path is None:
                return None
            grid = read_grid(path)
            (grid,) = as_given([grid], self.voxel_size, self.origin)
            resampled = box_grid(grid, self.box)
        except SirenError:
            return None
        same = np.allclose(resampled.voxel_size, self.grid.voxel_size, rtol=1e-3)
        return grid if same else None

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of the volumes that were read, by name."""
        return {v["name"]: v["fingerprint"] for v in self.volumes if v.get("fingerprint")}

    def changed(self, ensemble: Ensemble) -> list[str]:
        """Names of the volumes of an ensemble, read since, that are not those of this run."""
        known, found = self.fingerprints, ensemble.fingerprints
        return [n for n in ensemble.names if n in known and found.get(n, known[n]) != known[n]]

    def levels(self, ensemble: Ensemble) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(V,) contour level of each volume of an ensemble, matched by name.

        Raises
        ------
        SirenError
            If the record has no level for a volume.
        """
        level = {v["name"]: v["level"] for v in self.volumes}
        missing = [n for n in ensemble.names if level.get(n) is None]
        if missing:
            raise SirenError(
                f"{missing[0]} has no threshold in the sketch's record: give "
                '"thresholds FILE.csv" or "level X".'
            )
        return np.array([level[n] for n in ensemble.names], np.float64)


def _run_inside(folder: Path) -> str:
    """The latest step in a folder of results, for someone who gave that."""
    runs = (p.parent for p in folder.glob(f"0*/{BLOCKS_FILE}"))
    steps = sorted(p.name for p in runs if (p / RECORD).is_file())
    return f", as {folder / steps[-1]}" if steps else ""


def read_record(folder: Path) -> Record:
    """Read the run.json of a folder.

    Raises
    ------
    SirenError
        If the file is missing, or not a record that this version reads.
    """
    restore(folder)
    path = folder / RECORD
    if folder.is_file():
        raise SirenError(f"{folder} is a file: give its folder, {folder.parent}.")
    if not folder.is_dir():
        raise SirenError(
            f"{folder} is not there: it was moved, renamed or deleted. Say where it is now: "
            '"siren locate FOLDER".'
        )
    if not os.path.lexists(path):
        restore_inside(folder)
        raise SirenError(
            f"{folder} has no {RECORD}: give the folder of a sketch, an edited set or an expansion"
            f"{_run_inside(folder)}, or a copy with its {RECORD}."
        )
    return record_of(read_json(path), path)


def record_of(content: Mapping[str, Any], path: Path) -> Record:
    """The record with this content.

    Parameters
    ----------
    content : of run.json
    path : of the file, to find what was moved along with it, and for messages

    Raises
    ------
    SirenError
        If it is not a record that this version reads.
    """
    try:
        if content.get("format") != FORMAT:
            raise Mismatch(f"format {schema.plain(content.get('format'))}")
        content = _SCHEMA(content)
        relative = content.get("folders")
        volumes = [
            {"name": name, "fingerprint": None, **v} for name, v in content["volumes"].items()
        ]
        for count in _NEEDED_COUNTS:
            _COUNT(content["counts"].get(count))
        if all(v["left_out"] is not None for v in volumes):
            raise Mismatch("no volume was used")
        if any(v["level"] is None for v in volumes if v["left_out"] is None):
            raise Mismatch("a volume that was used has no level")
        now = volumes_now(volumes, relative, path.parent)
        origin = content.get("origin_given")
        parameters, thresholds = content["parameters"], content["thresholds"]
        if mask := mask_of(parameters):
            parameters = {**parameters, "mask": file_now(mask, relative, path.parent)}
        if table := table_of(thresholds):
            moved = file_now(table, relative, path.parent)
            thresholds = thresholds.replace(table, str(moved))
        return Record(
            content["step"],
            parameters,
            now,
            thresholds,
            Grid.from_json(content["grid"]),
            content["box"],
            content["voxel_size_given"],
            content["counts"],
            content["timings_s"],
            folder_now(content["source"], relative, path.parent),
            content["not_chosen"],
            content.get("counted_on", "cpu"),
            content.get("outputs", {}),
            borrowed_volumes(now, relative, path.parent),
            None if origin is None else (origin[0], origin[1], origin[2]),
        )
    except ValueError as error:
        raise SirenError(
            f"{path} is not a record that this version reads ({error}): give the folder of a "
            'sketch, an edited set or an expansion; if it is one, run "siren sketch" again.'
        ) from error


def _size(path: Path) -> int:
    size = stored_size(path)
    return path.stat().st_size if size is None else size  # the latter raises, with the file's name


def describe_volumes(
    ensemble: Ensemble, levels: np.ndarray[Any, np.dtype[np.float64]], left_out: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Rows of the record for the volumes of an ensemble.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    levels : (V,) float64
        Contour levels; NaN where unknown.
    left_out : mapping of str
        Reasons by name.

    Raises
    ------
    SirenError
        If a file has disappeared since it was read.
    """
    try:
        return [
            {
                "name": s.name,
                "path": None if s.path is None else str(s.path),
                "bytes": None if s.path is None else _size(s.path),
                "level": float(level) if np.isfinite(level) else None,
                "left_out": left_out.get(s.name),
                "fingerprint": ensemble.fingerprints.get(s.name),
            }
            for s, level in zip(ensemble.sources, levels, strict=True)
        ]
    except OSError as error:
        raise SirenError(
            f"{error.filename} disappeared during the run: put it back, and run the command again."
        ) from error
