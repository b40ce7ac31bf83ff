"""Find maps in folders, their sub-folders, zip files and lists of files, and name them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..common.errors import SirenError, join_names
from .mapfile import SUFFIXES, ZIP, is_map_name, natural_key, zip_maps, zip_member
from .source import Source

# what SIREn itself writes into a folder: no volumes
OWN_FILES = ("run.json", "blocks.json")
OWN_FOLDERS = ("downsampled", "normalised")
MANY_BELOW = 4  # times as many maps in sub-folders as in a folder: fewer may be masks, references
#: Maps that are packed in a way that is not read here, nor by ChimeraX
PACKED = tuple(m + s for m in SUFFIXES for s in (".xz", ".zst", ".7z", ".rar", ".lz4", ".z"))
#: Formats of maps that are not read here
OTHER_MAPS = (
    *(".mrcs", ".st", ".hdf", ".spi", ".em", ".vol", ".sit", ".situs", ".xplor", ".cmap"),
    *(".dx", ".mha", ".img", ".npy", ".tif", ".tiff", ".tar", ".tgz", ".tar.gz"),
)


VOLUME_FORMATS = (".em", ".vol", ".spi", ".stk", ".hdf", ".xplor", ".situs")  # never others' files


def find_sources(inputs: Sequence[str | Path | Source]) -> list[Source]:
    """Find the maps in folders, zip files and files, without reading them.

    A folder without maps stands for the maps in its sub-folders, as those of cryoDRGN's
    ``analyze``. Maps are named by their files; where folders have the same file names, by folder
    and file: ``kmeans20/vol_000.mrc``.

    Raises
    ------
    SirenError
        If an input does not exist, cannot be read, or has no maps.
    """
    sources: list[Source] = []
    for item in inputs:
        if isinstance(item, Source):
            sources.append(item)
            continue
        try:
            path = Path(item).expanduser()
            paths = _maps_at(path)
        except (OSError, RuntimeError) as error:  # no permission, a name too long, no such user
            place = getattr(error, "filename", None) or item  # a sub-folder, perhaps
            raise SirenError(
                f"{place} cannot be read "
                f"({getattr(error, 'strerror', None) or error}): give a folder of "
                "maps, or map files."
            ) from error
        if not paths:
            raise SirenError(_no_maps(path))
        # a symbolic link keeps its own name, which identifies the map
        folders = {parent: parent.resolve() for parent in {p.parent for p in paths}}
        sources += [Source(p.name, folders[p.parent] / p.name) for p in paths]
    return _distinct_names(sources)


def refuse_results(inputs: Sequence[str | Path | Source]) -> None:
    """Raise an error where the results of a run are given as the volumes of an ensemble.

    Raises
    ------
    SirenError
        Its maps are blocks.
    """
    for item in inputs:
        path = None if isinstance(item, Source) else Path(item).expanduser()
        if path is not None and all((path / name).is_file() for name in OWN_FILES):
            raise SirenError(
                f"{path} holds the results of a sketch, an edit or an expansion, and its maps are "
                "blocks: give the folder of the volumes, or map files."
            )


def common_folder(paths: Iterable[Path | None]) -> tuple[Path | None, list[str]]:
    """The one folder that holds maps, or the zip file with them, and the names of all maps in it;
    None if there is no such folder.
    """
    folders = {path.parent if path else None for path in paths}
    folder = folders.pop() if len(folders) == 1 else None
    if folder is None:
        return None, []
    if folder.suffix.lower() == ZIP and folder.is_file():
        return folder.parent, []
    try:
        return folder, [p.name for p in folder.iterdir() if is_map_name(p.name)]
    except NotADirectoryError:
        return None, []
    except OSError:  # gone, or no permission to list it
        return (folder if folder.is_dir() else None), []


def _distinct_names(sources: list[Source]) -> list[Source]:
    """Name the files by their folders, too, if maps of different folders have the same name."""
    files = [s for s in sources if s.path is not None and s.name == s.path.name]
    if len({s.name for s in files}) == len(files):
        return sources
    counts = Counter(s.path for s in files)
    if counts.most_common(1)[0][1] > 1:  # one file, named twice: its folder says nothing
        return sources
    top = Path(os.path.commonpath([s.path.parent for s in files if s.path is not None]))
    return [
        replace(s, name=s.path.relative_to(top).as_posix())
        if s.path is not None and s.name == s.path.name
        else s
        for s in sources
    ]


def _maps_at(path: Path) -> list[Path]:
    if path.is_dir():
        return _maps_in(path) or _maps_below(path)
    if zip_member(path) is not None:
        return [path]
    if path.is_file():
        return zip_maps(path) if path.suffix.lower() == ZIP else [path]
    raise SirenError(
        f"{path}: there is no such file or folder; give a folder of maps, or map files."
    )


def _maps_in(folder: Path) -> list[Path]:
    # broken links are kept; reading them raises the error
    with os.scandir(folder) as entries:  # asks nothing of each file, unlike Path.is_dir
        return [
            folder / e.name
            for e in entries
            if is_map_name(e.name) and not (Path(e.path).is_dir() if e.is_symlink() else e.is_dir())
        ]


def _maps_below(folder: Path) -> list[Path]:
    """The maps of the sub-folders, and of the zip files, of a folder without maps of its own."""
    found: list[Path] = []
    for place in sorted(folder.iterdir(), key=lambda p: natural_key(p.name)):
        if place.name.startswith("."):
            continue
        if place.suffix.lower() == ZIP and place.is_file():
            found += zip_maps(place)
        elif place.is_dir() and not _is_own(place):
            found += _maps_in(place)
    return found


def _no_maps(folder: Path) -> str:
    """Why nothing was found in a folder, and what to do with what is there instead."""
    said = f"{folder} holds no maps (.mrc, .map, .ccp4, also .gz), nor do its sub-folders: "
    counts: Counter[str] = Counter()
    for place in folder.iterdir() if folder.is_dir() else ():
        name = place.name.lower()
        if not name.startswith("."):
            counts.update(s for s in (*PACKED, *OTHER_MAPS) if name.endswith(s))
    if not counts:
        return f"{said}give the folder of the volumes."
    kind, number = counts.most_common(1)[0]
    remedy = (
        "unpack them"
        if kind in PACKED
        else 'save each as .mrc, as with ChimeraX\'s "open" and "save", or with e2proc3d.py'
    )
    return f"{said}it has {number:,} file{'s' * (number > 1)} {kind}, so {remedy}."


def refuse_one_other_file(sources: Sequence[Source]) -> None:
    """Raise an error where a single file was given that is no map by its name: its kind is wrong,
    not its number.

    Raises
    ------
    SirenError
        It is an archive, a table, a series in one file ...
    """
    path = sources[0].path if len(sources) == 1 else None
    if path is not None and zip_member(path) is None and not is_map_name(path.name):
        packed = path.name.lower().endswith((*PACKED, ".tar", ".tgz", ".tar.gz"))
        raise SirenError(
            f"{path.name} is not a map (.mrc, .map, .ccp4, also .gz) or a .zip of maps: "
            f"{'unpack it, and ' if packed else ''}give the folder of the volumes."
        )


def left_packed(inputs: Sequence[str | Path | Source]) -> list[str]:
    """Files beside the maps that would be maps if they were unpacked, by an archive's suffix."""
    found = []
    for item in inputs:
        folder = None if isinstance(item, Source) else Path(item).expanduser()
        if folder is not None and folder.is_dir():
            found += [
                p.name for p in folder.iterdir() if p.name.lower().endswith(PACKED) and p.is_file()
            ]
    return sorted(found, key=natural_key)


def left_in_other_formats(inputs: Sequence[str | Path | Source]) -> list[str]:
    """A sentence for each format of maps that is not read, of which files lie beside the maps."""
    counts: Counter[str] = Counter()
    for item in inputs:
        folder = None if isinstance(item, Source) else Path(item).expanduser()
        if folder is not None and folder.is_dir():
            suffixes = (p.suffix.lower() for p in folder.iterdir())
            counts.update(s for s in suffixes if s in VOLUME_FORMATS)
    return [
        f"{n:,} file{'s' * (n > 1)} {suffix}: not used, since maps of this format are not read. "
        f"Save {'them' if n > 1 else 'it'} as .mrc if {'they belong' if n > 1 else 'it belongs'} "
        "to the ensemble."
        for suffix, n in sorted(counts.items())
    ]


def left_below(inputs: Sequence[str | Path | Source]) -> list[str]:
    """A sentence for each folder whose own maps are used while its sub-folders hold many more, as
    where the means of clusters lie beside the folders of their members.
    """
    notes = []
    for item in inputs:
        folder = None if isinstance(item, Source) else Path(item).expanduser()
        if folder is None or not folder.is_dir():
            continue
        own, counts = len(_maps_in(folder)), {}
        for place in folder.iterdir() if own else ():
            if place.is_dir() and not place.name.startswith(".") and not _is_own(place):
                with suppress(OSError):  # not for us to read
                    counts[place.name] = len(_maps_in(place))
        names = sorted((name for name, count in counts.items() if count), key=natural_key)
        below = sum(counts.values())
        if below >= MANY_BELOW * own > 0:
            notes.append(
                f"The {own:,} maps in {folder.name} are used, and the {below:,} in its sub-folders "
                f"({join_names(names)}) are not: give these folders if they hold the volumes."
            )
    return notes


def _is_own(folder: Path) -> bool:
    return folder.name in OWN_FOLDERS or any((folder / name).exists() for name in OWN_FILES)
