"""Where the files of a record are now: a project may have been moved or copied as a whole.

A record names each folder by its full path, and as seen from the record's own folder. The second
still holds after the project has been renamed, or copied to another computer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from ..common.files import relative_path
from ..maps.mapfile import stored_size

PREDICTED = "predicted by this command: "  # before the path of a table, in a record
HARMONIZED_NOTE = ", adjusted so that the always occupied part agrees"  # see level_harmonization.py


def seen_from(folder: Path, places: Iterable[str]) -> dict[str, str]:
    """Each of these folders as a relative path with slashes, as seen from ``folder``; links are
    resolved. Folders of another drive are left out.
    """
    seen = {place: relative_path(place, folder) for place in sorted(set(places))}
    return {place: relative for place, relative in seen.items() if relative is not None}


def folders_of(
    volumes: Iterable[Mapping[str, Any]], source: str | None, files: Iterable[str | None] = ()
) -> set[str]:
    """The folders that a record names: those of its volumes and of single files, and the run that
    it started from.
    """
    named = {_split(v["path"])[0] for v in volumes if v["path"]}
    named |= {_split(path)[0] for path in files if path}
    return named | ({source} if source else set())


def table_of(thresholds: str) -> str | None:
    """The path of the table in the words for where contour levels come from; None if they are no
    table's, or of a caller of the API who gave no full path.
    """
    path = thresholds.removesuffix(HARMONIZED_NOTE).removeprefix(PREDICTED)
    return path if _is_full(path) else None


def mask_of(parameters: Mapping[str, Any]) -> str | None:
    """The path of the mask among the parameters of a step; None if there is none, or an open map
    was given.
    """
    path = parameters.get("mask")
    return path if isinstance(path, str) and _is_full(path) else None


def file_now(path: str | None, relative: Mapping[str, str] | None, folder: Path) -> str | None:
    """The path that a single file of a record has now; see :func:`volumes_now`."""
    if path is None or relative is None:
        return path
    place, name = _split(path)
    if place not in relative:
        return path
    here = _joined(folder, relative[place]) / name
    # where neither is there, the folder that moved along is named
    missing = here.parent.is_dir() and not os.path.isdir(place)
    return str(here) if here.is_file() or missing else path


def volumes_now(
    volumes: list[dict[str, Any]], relative: Mapping[str, str] | None, folder: Path
) -> list[dict[str, Any]]:
    """Rows of a record with the paths that its files have now.

    The place relative to the record counts first: the copy of a project uses its own volumes even
    where the original is still there. One file is looked at in each folder, by its size.

    Parameters
    ----------
    volumes : rows of the record; they are not changed
    relative : as of :func:`seen_from`; None for records of earlier versions, whose volumes are
        also sought where the commands expect them, beside the output folder
    folder : of the record
    """
    first: dict[str, tuple[str, Any]] = {}
    for v in sorted(volumes, key=lambda v: v["left_out"] is not None):
        if v["path"]:
            place, name = _split(v["path"])
            first.setdefault(place, (name, v["bytes"]))
    now = {}
    for place, (name, size) in first.items():
        guess = f"../../{_split(place)[1]}" if relative is None else relative.get(place)
        here = None if guess is None else _joined(folder, guess)
        there = _holds(Path(place), name, size)
        usable = here is not None and _holds(here, name, size)
        if relative is None and there:  # no more than a guess
            usable = False
        # where neither has the file, an error names the folder that is there
        missing = not there and here is not None and here.is_dir() and not os.path.isdir(place)
        now[place] = str(here) if usable or missing else place

    def path_of(path: str) -> str:
        place, name = _split(path)
        return path if now[place] == place else os.path.join(now[place], name)

    return [{**v, "path": path_of(v["path"]) if v["path"] else v["path"]} for v in volumes]


@dataclass(frozen=True)
class Borrowed:
    """Volumes that a copied or moved run uses where the original project has them.

    Attributes
    ----------
    own : the folder where they would be, had they come along
    used : the folder where they are
    """

    own: Path
    used: Path


def borrowed_volumes(
    volumes: Iterable[Mapping[str, Any]], relative: Mapping[str, str] | None, folder: Path
) -> Borrowed | None:
    """The first folder of volumes that a run has left behind, and uses there; None if there is
    none. Volumes that were never in one project with the run, as those on another disk, are not
    left behind.

    Parameters
    ----------
    volumes : as of :func:`volumes_now`
    relative, folder : as it takes them
    """
    for place in dict.fromkeys(_split(v["path"])[0] for v in volumes if v["path"]):
        seen = (relative or {}).get(place)
        if seen is None or not os.path.isdir(place):
            continue
        inside = [part for part in PurePosixPath(seen).parts if part != ".."]
        project = Path(place).parents[len(inside) - 1] if inside else Path(place)
        if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(project)):
            return Borrowed(_joined(folder, seen), Path(place))
    return None


def folder_now(place: str | None, relative: Mapping[str, str] | None, folder: Path) -> str | None:
    """The folder of the run that a record started from, where it is now; see
    :func:`volumes_now`.
    """
    if not place:
        return place
    guess = f"../{_split(place)[1]}" if relative is None else relative.get(place)
    here = None if guess is None else _joined(folder, guess)
    if here is None or not here.is_dir() or (relative is None and os.path.isdir(place)):
        return place
    return str(here)


def _is_full(path: str) -> bool:
    """Whether a path begins at a root, as here or on Windows."""
    return path.startswith("/") or _is_windows(path)


def _is_windows(path: str) -> bool:
    """Whether a path begins at a drive or a share, as on Windows."""
    return path[1:3] in (":\\", ":/") or path.startswith("\\\\")


def _split(path: str) -> tuple[str, str]:
    """Folder and name of a path, which may have been written on Windows."""
    pure = PureWindowsPath(path) if _is_windows(path) else PurePosixPath(path)
    return str(pure.parent), pure.name


def _joined(folder: Path, relative: str) -> Path:
    return Path(os.path.normpath(os.path.join(os.path.realpath(folder), relative)))


def _holds(folder: Path, name: str, size: Any) -> bool:
    found = stored_size(folder / name)  # in a zip file, too
    return found is not None and found == size
