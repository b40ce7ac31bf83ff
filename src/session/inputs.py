"""Turn the arguments of commands into inputs for core: open maps and blocks, and their runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chimerax.core.commands import concise_model_spec
from chimerax.core.errors import UserError
from chimerax.map import Volume

from ..core.blocks.blockset import BlockSet, blocks_from_masks, check_on_grid
from ..core.blocks.region import Mask
from ..core.common.errors import SirenError, join_names, printable
from ..core.common.files import restore_inside
from ..core.common.parameters import Parameters
from ..core.maps.ensemble import Source, folder_numbers
from ..core.maps.fingerprint import fingerprint
from ..core.maps.grid import Grid
from ..core.maps.mapfile import SUFFIXES, is_map_name
from ..core.maps.placement import is_moved, resampled_onto
from ..core.runs.record import Record
from ..core.runs.results import DEFAULT_OUTPUT, claim_results, owner_of, results_folder
from ..core.runs.steps import SKETCH_FOLDER
from ..core.thresholds.labels import Label

PREDICTIONS_FILE = "predictions.csv"
LABELS_FILE = "labels.csv"


def user_errors(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call a function of core and turn its SirenError into ChimeraX's UserError."""
    try:
        return function(*arguments, **keywords)
    except SirenError as error:
        raise UserError(str(error)) from None


def given(keywords: dict[str, Any]) -> dict[str, Any]:
    """The keywords that the user gave."""
    return {k: v for k, v in keywords.items() if v is not None}


def parameters_of(kind: type[Parameters], keywords: dict[str, Any]) -> Any:
    """The parameters of a step: the keywords given, and defaults for the others."""
    return user_errors(kind, **given(keywords))


def sources_of(volumes: Sequence[Any], placed: bool = True) -> list[Any]:
    """Paths unchanged; open maps as sources that can be read in a thread.

    ``placed``: maps that were moved against the first one, by ``move`` or ``fitmap``, are resampled
    on its grid, and the log says so; not for what looks at each map alone.
    """
    names: dict[str, int] = {}
    for v in volumes:
        if isinstance(v, Volume):
            names[map_name(v)] = names.get(map_name(v), 0) + 1
    sources = [
        user_errors(map_source, v, names[map_name(v)] > 1) if isinstance(v, Volume) else v
        for v in volumes
    ]
    return _placed(volumes, sources) if placed else sources


def _placed(volumes: Sequence[Any], sources: list[Any]) -> list[Any]:
    """Sources of open maps as they lie on the grid of the first map."""
    first = next((n for n, v in enumerate(volumes) if isinstance(v, Volume)), None)
    if first is None:
        return sources
    back, target = volumes[first].scene_position.inverse(), sources[first].grid
    result, moved = list(sources), []
    for n, (volume, source) in enumerate(zip(volumes, sources, strict=True)):
        if not isinstance(volume, Volume):
            continue
        placement = (back * volume.scene_position).matrix
        if is_moved(source.grid, placement):
            result[n] = _moved_source(source, placement, target)
            moved.append(source.name)
    if moved:
        volumes[first].session.logger.info(
            f"{join_names(moved)}: moved in the scene against {sources[first].name}, so resampled "
            f"on its grid. To use them as they are in their files, put them back with "
            '"view initial".'
        )
    return result


def mask_of(keywords: dict[str, Any], volumes: Sequence[Any]) -> Mask | None:
    """An open map given as ``mask``, whose entry becomes its name; None for a file.

    It lies relative to the first of open volumes, or to maps read from files, which lie where they
    would be opened.
    """
    volume = keywords.get("mask")
    if not isinstance(volume, Volume):
        return None
    source = user_errors(map_source, volume, False)
    keywords["mask"] = f"#{volume.id_string} {source.name}"
    first = next((v for v in volumes if isinstance(v, Volume)), None)
    placement = volume.scene_position
    if first is not None:
        placement = first.scene_position.inverse() * placement
    shown = [float(s.level) for s in volume.surfaces] if volume.surface_shown else []
    return Mask(source, min(shown, default=None), placement.matrix)


def place_of(models: Sequence[Any]) -> Any:
    """Where the first of open maps lies in the scene, or None if it was never moved."""
    first = next((m for m in models if isinstance(m, Volume)), None)
    return None if first is None or first.scene_position.is_identity() else first.scene_position


def _moved_source(source: Source, placement: Any, target: Grid) -> Source:
    def read() -> Any:
        assert source.grid is not None
        return resampled_onto(source.read_as_is(), source.grid, placement, target)

    return Source(source.name, None, array=read, grid=target)


def map_name(volume: Volume) -> str:
    """The file name of an open map, or its model name if it has no file."""
    path = volume.data.path
    return os.path.basename(path) if isinstance(path, str) and path else str(volume.name)


def map_path(volume: Volume) -> str:
    """The file of an open map, also of the one that ``siren show`` has read; "" if it has none."""
    path = volume.data.path
    if isinstance(path, str) and path:
        return path
    return str(getattr(volume, "siren_place", ""))


def map_source(volume: Volume, ambiguous: bool) -> Source:
    """An open map as a source of an ensemble; ``ambiguous`` if others have the same file name."""
    data = volume.data
    angles_straight = all(abs(a - 90) < 0.01 for a in data.cell_angles)
    if not angles_straight or tuple(map(tuple, data.rotation)) != ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
        raise SirenError(
            f'{volume.name} is on a rotated or skewed grid: resample it with "volume resample".'
        )
    name = map_name(volume)
    # distinguish open maps with the same file name by model number
    if ambiguous:
        name = f"{name} #{volume.id_string}"
    (nx, ny, nz), (sx, sy, sz), (ox, oy, oz) = (
        data.size,
        map(float, data.step),
        map(float, data.origin),
    )
    grid = Grid((nz, ny, nx), (sx, sy, sz), (ox, oy, oz))
    path = data.path if isinstance(data.path, str) else ""
    # read the file itself only if the open map is all of it, unedited
    atomic_file = type(data).__module__.startswith("chimerax.map_data.mrc")
    if atomic_file and path.lower().endswith(SUFFIXES) and os.path.isfile(path):
        return Source(name, Path(path), grid=grid)

    def read() -> Any:  # bypass ChimeraX's cache, which belongs to the main thread
        return data.read_matrix((0, 0, 0), data.size, (1, 1, 1), None)

    return Source(name, None, array=read, grid=grid)


def run_folder(session: Any, blocks: Any) -> Path:
    """The folder of the run that blocks came from."""
    if not isinstance(blocks, list):
        folder = Path(blocks).expanduser().absolute()
        restore_inside(folder.parent)
        for candidate in (folder, folder.parent / SKETCH_FOLDER):
            if (candidate / "run.json").is_file():
                return candidate
        raise UserError(
            f"{printable(str(folder))} has no run.json, and there is no {SKETCH_FOLDER} beside it: "
            'name the sketch of these blocks, as in "siren expand FOLDER sketch siren/00_sketch".'
        )
    from .surfaces import BlockMap

    named = {m.siren_folder for m in blocks if isinstance(m, BlockMap)}
    # a map merged by other commands does not know its run, but the blocks still open do
    opened = [m for m in session.models.list(type=BlockMap) if m.siren_folder]
    seen = [m for m in opened if m.parent.visible]  # a new result hides the earlier ones
    folders = named or {m.siren_folder for m in seen or opened}
    if len(folders) != 1:
        which = (
            "No SIREn blocks are open" if not folders else f"Blocks of {len(folders)} runs are open"
        )
        raise UserError(
            f"Which sketch do these blocks belong to? {which}: name the sketch, as in "
            '"siren expand #2 sketch siren/00_sketch".'
        )
    return Path(folders.pop())


def opened_blocks(models: Sequence[Any], record: Record) -> BlockSet:
    """Blocks from open models, without the mean map that was opened with them."""
    from .surfaces import BlockMap

    maps = [m for m in models if isinstance(m, Volume)]
    if any(isinstance(m, BlockMap) for m in maps):
        maps = [m for m in maps if isinstance(m, BlockMap) or m.name != "mean of the volumes"]
    if not maps:
        raise SirenError(
            'None of these models is a map: name the block models, as in "siren expand #2".'
        )
    check_together([m for m in maps if isinstance(m, BlockMap)])
    masks: list[tuple[str, Any]] = []
    names: dict[int, str] = {}
    for volume in maps:
        source = map_source(volume, False)
        assert source.grid is not None
        check_on_grid(volume.name, source.grid, record.grid)
        block = isinstance(volume, BlockMap)
        if block:
            names.setdefault(volume.siren_block, volume.given_name)
        masks.append(
            (f"block {volume.siren_block}" if block else volume.name, volume.full_matrix())
        )
    blocks = blocks_from_masks(masks, record.grid)
    return replace(blocks, names={n: name for n, name in sorted(names.items()) if name})


def check_together(blocks: Sequence[Volume]) -> None:
    """Check that no block was moved against the others: its voxels would not be where they seem.

    Raises
    ------
    SirenError
        If one was.
    """
    for block in blocks[1:]:
        grid = map_source(block, False).grid
        assert grid is not None
        if is_moved(grid, (blocks[0].scene_position.inverse() * block.scene_position).matrix):
            raise SirenError(
                f"{block.name} was moved in the scene against {blocks[0].name}: put them back with "
                f'"view initial", or move all together.'
            )


def first_path(volumes: Sequence[Any]) -> Path | None:
    """The folder of the volumes, or None if the maps are only in memory."""
    for v in volumes:
        path = map_path(v) if isinstance(v, Volume) else v
        if isinstance(path, str) and path:
            full = Path(path).expanduser().resolve()
            return full if full.is_dir() else full.parent
    return None


def output_folder(volumes: Sequence[Any], output_dir: str | None) -> Path:
    """The output folder: as given, else that of the folder of the volumes, see
    :mod:`..core.runs.results`.
    """
    if output_dir:
        output = Path(output_dir).expanduser().absolute()
        existing = next(p for p in (output, *output.parents) if p.exists())
        if not existing.is_dir():  # refuse now, not after the work
            raise UserError(
                f"{printable(str(existing))} is a file, not a folder: give another outputDir."
            )
        return output
    folder = first_path(volumes)
    return results_folder(folder) if folder else Path.cwd() / DEFAULT_OUTPUT


@dataclass(frozen=True)
class OutputPlace:
    """Where a command writes.

    Attributes
    ----------
    path : the output folder
    volumes : the folder of the volumes; None if they are only in memory
    given : whether the user gave the output folder
    """

    path: Path
    volumes: Path | None
    given: bool

    def claim(self) -> None:
        """Note in the output folder, once something was written, whose results these are, unless
        the user chose it.
        """
        if not self.given:
            claim_results(self.path, self.volumes)

    def doubts(self) -> list[str]:
        """A sentence if the user chose a folder that holds the results of other volumes."""
        owner = owner_of(self.path) if self.given else None
        if owner is None or self.volumes is None or not owner.is_dir():
            return []
        own = self.volumes.resolve()
        if own.is_relative_to(owner) or owner.is_relative_to(own):
            return []
        return [
            f"{self.path} holds results of {owner}, and now those of {own}, too: to keep them "
            "apart, leave out outputDir, or give another folder."
        ]


def output_place(volumes: Sequence[Any], output_dir: str | None) -> OutputPlace:
    """Where a command on these volumes writes."""
    place = OutputPlace(output_folder(volumes, output_dir), first_path(volumes), bool(output_dir))
    restore_inside(place.path)
    return place


def typed(volumes: Sequence[Any]) -> str:
    """Volumes as text for a command."""
    from .words import path_text

    if isinstance(volumes[0], Volume):
        return str(concise_model_spec(volumes[0].session, volumes, allow_empty_spec=False))
    return " ".join(path_text(Path(v)) for v in volumes)


def shown_of_series(volumes: Sequence[Volume]) -> tuple[list[Volume], list[str]]:
    """Of a volume series named as a whole, the maps that are shown: no level was set by eye for the
    others.

    Returns
    -------
    volumes : list of Volume
    notes : list of str
        What was left aside, a sentence for each series.

    Raises
    ------
    UserError
        If a series shows none of its maps.
    """
    aside: set[Volume] = set()
    notes: list[str] = []
    for series in dict.fromkeys(s for v in volumes if (s := getattr(v, "series", None))):
        maps = [m for m in series.maps if m is not None and not m.deleted]
        if len(maps) < 2 or not set(maps) <= set(volumes):
            continue
        hidden = [m for m in maps if not m.display]
        if len(hidden) == len(maps):
            raise UserError(
                f"#{series.id_string} is a volume series that shows none of its maps: show the one "
                f'whose level you set, as with "vseries play #{series.id_string} jumpTo 0".'
            )
        aside |= set(hidden)
        if hidden:
            notes.append(
                f"#{series.id_string} is a volume series: only what it shows is labeled, "
                f"{len(maps) - len(hidden)} of {len(maps):,} maps."
            )
    return [v for v in volumes if v not in aside], notes


def label_of(volume: Volume, lower: float | None, upper: float | None) -> Label:
    """The contour level of an open map, as a label.

    Raises
    ------
    UserError
        If it is a block, does not come from a map file, or does not have exactly one contour level.
    """
    from .surfaces import BlockMap

    if isinstance(volume, BlockMap):
        raise UserError(
            f"#{volume.id_string} is a block, and labels are contour levels of maps: name an open "
            "map of the ensemble."
        )
    path = Path(map_path(volume)) if map_path(volume) else None
    if path is None or not is_map_name(path.name) or not path.is_file():
        raise UserError(
            f"{volume.name} is not from a map file (.mrc, .map, .ccp4): save it first, since "
            "labels are stored by file name."
        )
    levels = [float(s.level) for s in volume.surfaces]
    if len(levels) != 1:
        raise UserError(
            f"{volume.name} has {len(levels)} contour levels: show it as a surface at one level, "
            f'as with "volume #{volume.id_string} style surface level X".'
        )
    number = folder_numbers(path.parent).get(path.name, "")
    source = map_source(volume, False)
    return Label(
        str(number), path.name, levels[0], lower, upper, fingerprint(user_errors(source.read))
    )
