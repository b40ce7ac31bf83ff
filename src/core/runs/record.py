"""The record of a run: what was done, to what, with which versions; enough to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..blocks.statistics import STATISTICS, statistic_named
from ..common.errors import SirenError
from ..common.files import RECORD, read_json, sha256, write_json
from ..common.progress import Progress
from ..common.versions import versions
from ..maps.ensemble import Ensemble, Source, find_ensemble
from ..maps.grid import Grid

FORMAT = "SIREn run 1"


@dataclass
class Record:
    """What run.json holds.

    Attributes
    ----------
    step : 'sketch', 'edit' (by hand) or 'expand'
    parameters : every parameter of the step, the seed among them
    volumes : for each volume chosen: name, path (None for a model in memory), bytes, level, and why
        it was left out (or None)
    thresholds : where the levels came from, in words
    grid : Grid of the volumes as they were used
    box : cube to which volumes were resampled on reading, or None
    voxel_size : the user's voxel size in place of the headers', or None
    counts : numbers of the run, by name
    timings : seconds by phase; the only part that differs between two equal runs
    source : folder that an edited set or an expansion started from, or None
    not_chosen : names of the volumes that include and exclude left out
    counted_on : the device or cluster; the result does not depend on it
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

    def write(self, folder: Path) -> None:
        """Write run.json, last of a folder's files: it lists the others with their hashes."""
        outputs = {p.name: sha256(p) for p in sorted(folder.iterdir()) if p.name != RECORD}
        write_json(
            folder / RECORD,
            {
                "format": FORMAT,
                "step": self.step,
                "parameters": self.parameters,
                "thresholds": self.thresholds,
                "grid": self.grid.as_json(),
                "box": self.box,
                "voxel_size_given": self.voxel_size,
                "source": self.source,
                "counts": self.counts,
                "volumes": {v["name"]: {k: v[k] for k in v if k != "name"} for v in self.volumes},
                "not_chosen": self.not_chosen,
                "counted_on": self.counted_on,
                "versions": versions(),
                "timings_s": {k: round(v, 3) for k, v in self.timings.items()},
                "outputs": outputs,
            },
        )

    @property
    def used(self) -> list[dict[str, Any]]:
        """The volumes that took part."""
        return [v for v in self.volumes if v["left_out"] is None]

    @property
    def harmonized(self) -> bool:
        """Whether the step brought the levels into line with each other, so that its levels
        agree.
        """
        name = self.parameters.get("statistic")
        return name in STATISTICS and statistic_named(name).harmonizes

    @property
    def known_levels(self) -> tuple[list[str], np.ndarray[Any, np.dtype[np.float64]]]:
        """Names and levels of all volumes that have one, those that were left out among them."""
        volumes = [v for v in self.volumes if v["level"] is not None]  # a flagged map may have none
        return [v["name"] for v in volumes], np.array([v["level"] for v in volumes], np.float64)

    def ensemble(self, progress: Progress | None = None) -> Ensemble:
        """Find again the volumes that took part.

        Raises
        ------
        SirenError
            If one is gone, was only in memory, or has another size than it had.
        """
        sources: list[Source | str | Path] = []
        for v in self.used:
            if v["path"] is None:
                raise SirenError(
                    f"{v['name']} was an open model without a file: name the volumes, "
                    "as in "
                    '"volumes #1-20".'
                )
            path = Path(v["path"])
            if not path.is_file():
                raise SirenError(
                    f"{path} is gone since the sketch: put it back, or say where the "
                    "volumes are now, as in "
                    '"volumes FOLDER".'
                )
            if path.stat().st_size != v["bytes"]:
                raise SirenError(f'{path} changed since the sketch: run "siren sketch" again.')
            sources.append(path)
        ensemble = find_ensemble(sources, self.voxel_size, progress).resampled(self.box)
        if ensemble.grid.shape != self.grid.shape:
            raise SirenError(f'{sources[0]} changed since the sketch: run "siren sketch" again.')
        return replace(ensemble, grid=self.grid)  # an open map's may have been set in ChimeraX

    def levels(self, ensemble: Ensemble) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(V,) level of each volume of an ensemble, by name.

        Raises
        ------
        SirenError
            If a volume was not in the sketch.
        """
        level = {v["name"]: v["level"] for v in self.volumes}
        missing = [n for n in ensemble.names if level.get(n) is None]
        if missing:
            raise SirenError(
                f"{missing[0]} has no threshold in the sketch's record: give "
                '"thresholds FILE.csv" or "level X".'
            )
        return np.array([level[n] for n in ensemble.names], np.float64)


def read_record(folder: Path) -> Record:
    """Read the run.json of a folder.

    Raises
    ------
    SirenError
        If there is none, or it is of another kind.
    """
    path = folder / RECORD
    if not path.is_file():
        raise SirenError(
            f'{folder} has no {RECORD}: give the folder that "siren sketch" wrote, '
            f"or a copy with its {RECORD}."
        )
    content = read_json(path)
    try:
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        grid = Grid.from_json(content["grid"])
        volumes = [
            {"name": name, **{k: v[k] for k in ("path", "bytes", "level", "left_out")}}
            for name, v in content["volumes"].items()
        ]
        return Record(
            content["step"],
            content["parameters"],
            volumes,
            content["thresholds"],
            grid,
            content["box"],
            content["voxel_size_given"],
            content["counts"],
            content["timings_s"],
            content["source"],
            content["not_chosen"],
            content.get("counted_on", "cpu"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SirenError(
            f'{path} is not a record that this version reads ({error}): run "siren sketch" again.'
        ) from error


def describe_volumes(
    ensemble: Ensemble, levels: np.ndarray[Any, np.dtype[np.float64]], left_out: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The record's rows for an ensemble's volumes; SirenError if a file is gone since it was
    read.
    """
    try:
        return [
            {
                "name": s.name,
                "path": None if s.path is None else str(s.path),
                "bytes": None if s.path is None else s.path.stat().st_size,
                "level": float(level) if np.isfinite(level) else None,
                "left_out": left_out.get(s.name),
            }
            for s, level in zip(ensemble.sources, levels, strict=True)
        ]
    except OSError as error:
        raise SirenError(
            f"{error.filename} went away during the run: put it back, and run the command again."
        ) from error
