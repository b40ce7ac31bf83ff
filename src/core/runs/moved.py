"""Find the results and volumes of a run again after they were moved, and make sure that they are
the same.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.block_occupancy import STATES_FILE, measure_states, read_states
from ..blocks.blockset import BLOCKS_FILE, MEAN_FILE, BlockSet, read_blocks_file
from ..common import constants
from ..common.errors import SirenError
from ..common.files import RECORD, atomic_file, read_json, write_json
from ..common.progress import Progress
from ..maps.mapfile import ZIP, stored_size
from .record import Record, read_record
from .steps import occupancy_of

PARTS = 4  # last parts of an old path by which results are sought in the place that was named
CHECKED = 3  # volumes that are read to see that they are those of the run


def candidates(old: Path, place: Path) -> list[Path]:
    """Folders with a record where a moved run may be, if a person names ``place``: the folder
    itself, one that holds it, or one beside it.

    Parameters
    ----------
    old : the folder of the run before it was moved
    """
    tails = [Path(*old.parts[len(old.parts) - n :]) for n in range(PARTS) if n < len(old.parts)]
    found = (root / tail for root, tail in product((place, place.parent), tails))
    return list(dict.fromkeys(p for p in found if (p / RECORD).is_file()))


def difference(record: Record, blocks: BlockSet, folder: Path) -> str:
    """How the run in a folder differs from one that is known, in words; "" if it is the same.

    The blocks are compared voxel by voxel; the volumes by name, size, contour level and mean.

    Raises
    ------
    SirenError
        If the folder is not that of a run.
    """
    found, own = read_record(folder), read_blocks_file(folder / BLOCKS_FILE)
    if found.step != record.step:
        return f"it is of another step ({found.step})"
    if own.grid != blocks.grid or list(own.blocks) != list(blocks.blocks):
        return "its blocks are others"
    for number, voxels in blocks:
        if not np.array_equal(voxels, own.blocks[number]):
            return f"its block {number} is another"
    # names, sizes and even blocks of two trainings may be the same: their mean is not
    known, mean = record.outputs.get(MEAN_FILE), found.outputs.get(MEAN_FILE)
    if _volumes(found) != _volumes(record) or (known and mean and known != mean):
        return "it was found in other volumes"
    return ""


def _volumes(record: Record) -> list[tuple[Any, ...]]:
    return [(v["name"], v["bytes"], v["level"], v["left_out"]) for v in record.volumes]


def volumes_missing(record: Record) -> Path | None:
    """The folder of the first volume that is not where the record says; None if all of their
    folders have theirs.
    """
    looked: set[str] = set()
    for v in record.used:
        place = os.path.dirname(v["path"] or "")
        if v["path"] and place not in looked:
            looked.add(place)
            if not os.path.isfile(v["path"]):
                return Path(place)
    return None


def wants_volumes(record: Record) -> bool:
    """Whether a run should be told where its volumes are: they are missing, or it uses those of the
    project that it was copied from.
    """
    return record.borrowed is not None or volumes_missing(record) is not None


def locate_volumes(folder: Path, volumes: Path, progress: Progress | None = None) -> Record:
    """Write into the record of a run where its volumes are now.

    Parameters
    ----------
    folder : of the run
    volumes : the folder that holds them now

    Returns
    -------
    Record
        With the new paths.

    Raises
    ------
    SirenError, Cancelled
        If a volume is missing there, or is another than that of the run: of another size, or with
        other blocks at its contour level, as read from a few of them. Nothing is written then.
    """
    record = read_record(folder)
    volumes = volumes.resolve()
    rows, found = [], False
    for v in record.volumes:
        new = volumes / _inside(v["name"], Path(v["path"])) if v["path"] else None
        size = stored_size(new) if new is not None else None
        if size is not None:
            if v["bytes"] is not None and size != v["bytes"]:
                raise SirenError(
                    f"{new} is not the volume of {folder}: it has {size:,} bytes, "
                    f"not {v['bytes']:,}. Give the folder of the volumes of that run."
                )
            rows.append({**v, "path": str(new)})
            found = True
        elif new is not None and v["left_out"] is None and stored_size(Path(v["path"])) is None:
            raise SirenError(
                f"{volumes} has no {new.name}, a volume of {folder}: give the folder that holds "
                "all of them."
            )
        else:
            rows.append(v)
    if not found:
        raise SirenError(
            f"{volumes} holds no volume of {folder}: give the folder that holds all of them."
        )
    record.volumes = rows
    _check_density(record, folder, progress or Progress())
    content = read_json(folder / RECORD)
    for row in rows:
        content["volumes"][row["name"]]["path"] = row["path"]
    content["source"], content["thresholds"] = record.source, record.thresholds
    content["parameters"] = record.parameters
    content["folders"] = record.folders(folder)
    with atomic_file(folder / RECORD) as temporary:
        write_json(temporary, content)
    return record


def _inside(name: str, path: Path) -> str:
    """The place of a volume in the folder of the volumes: in a sub-folder, if that is part of its
    name, or in the zip file of a series.
    """
    if "/" in name:
        return name
    series = next((p for p in path.parents if p.suffix.lower() == ZIP), None)
    return path.name if series is None else path.relative_to(series.parent).as_posix()


def _check_density(record: Record, folder: Path, progress: Progress) -> None:
    """Raise SirenError unless a few volumes have the blocks that the run's table says."""
    used, blocks = record.used, read_blocks_file(folder / BLOCKS_FILE)
    if len(used) < CHECKED or not len(blocks) or not (folder / STATES_FILE).is_file():
        return
    known = read_states(folder / STATES_FILE, blocks)
    some = [used[k] for k in (0, len(used) // 2, len(used) - 1)]
    few = replace(record, volumes=some)
    other = (
        f"{{name}} has the name and size of a volume of {folder}, but other density: give the "
        "folder of the volumes of that run."
    )
    ensemble = few.ensemble(progress, other)  # a fingerprint tells, in records that have them
    found = measure_states(blocks, occupancy_of(few, ensemble, progress))
    for k, name in enumerate(found.names):
        at = known.names.index(name) if name in known.names else None
        apart = np.inf if at is None else np.abs(found.share[:, k] - known.share[:, at])
        if (apart > constants.SAME_SHARE + constants.SAME_VOXELS / known.sizes).any():
            path = next(v["path"] for v in some if v["name"] == name)
            raise SirenError(other.replace("{name}", str(path)))


def has_blocks_of(blocks: BlockSet, folder: Path) -> bool:
    """Whether a run may be where these blocks come from, though some were edited since: the grid
    is the same, and so is at least one block.

    Raises
    ------
    SirenError
        If the folder is not that of a run.
    """
    own = read_blocks_file(folder / BLOCKS_FILE)
    return own.grid == blocks.grid and any(
        number in own.blocks and np.array_equal(voxels, own.blocks[number])
        for number, voxels in blocks
    )


def renamed(old: Path, new: Path) -> tuple[Path, Path]:
    """The folders that were renamed or moved, given one path before and after it: /a/j42 and /b/j43
    for /a/j42/siren/00_sketch and /b/j43/siren/00_sketch.
    """
    while old.name and old.name == new.name:
        old, new = old.parent, new.parent
    return old, new


def moved_path(path: Path, old: Path, new: Path) -> Path | None:
    """Where a path is after a folder was renamed; None if it is not in that folder."""
    return new / path.relative_to(old) if path.is_relative_to(old) else None
