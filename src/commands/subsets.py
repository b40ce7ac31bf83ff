"""``siren volumes``: the volumes with some blocks and without others, their average, and what they
have more and less of than other volumes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from chimerax.core.commands import BoolArg, CmdDesc, IntArg, ListOf
from chimerax.core.errors import UserError
from chimerax.core.models import Model

from ..core.analysis.block_occupancy import States
from ..core.analysis.parameters import StatesParameters, SubsetParameters
from ..core.analysis.selection import Selection
from ..core.analysis.series import blocks_text
from ..core.analysis.subsets import (
    MEAN_LEVEL,
    SUBSET_FILES,
    Subset,
    SubsetMaps,
    average_maps,
    choose_volumes,
    subset_csv,
    subset_facts,
    write_subset,
)
from ..core.common import constants
from ..core.common.errors import join_names, printable
from ..core.common.files import atomic_file
from ..core.common.progress import Progress
from ..core.maps.grid import Grid
from ..core.runs.steps import occupancy_of
from ..session.answers import also_answer
from ..session.commandline import SaveFile, SaveFolder, path_text
from ..session.inputs import output_folder, sources_of
from ..session.jobs import run_job
from ..session.log import link, log_hidden_blocks, log_lines, log_table
from ..session.moved import beside
from ..session.series import hide_blocks
from ..session.surfaces import REFERENCE_COLOR, draw_surface, new_volume, plain_map
from .arguments import BlocksArg, VolumesArg, check_suffix, keywords_of
from .chosen import Chosen, chosen_blocks, given_ensemble, selection_of, split_keywords, states_of

LISTED = 20  # volumes in the log
MORE_COLOR, LESS_COLOR = (0.0, 0.447, 0.698, 0.7), (0.8, 0.2, 0.067, 0.7)  # blue, red
GROUP_NAME = "SIREn volumes"
LIST_SUFFIXES = (".csv", ".txt")
SELECT: list[tuple[str, Any]] = [("with", ListOf(IntArg)), ("without", ListOf(IntArg))]


@dataclass(frozen=True)
class Found:
    """What ``siren volumes`` found.

    Attributes
    ----------
    states, subset : of all volumes; those that were asked for
    paths : of the files of the volumes, by name
    maps, grid, folder : averages, their grid, and where they were written; None if not asked for
    """

    states: States
    subset: Subset
    paths: dict[str, str]
    maps: SubsetMaps | None = None
    grid: Grid | None = None
    folder: Path | None = None


def volumes_(
    session: Any,
    blocks: Any,
    with_: list[int] | None = None,  # what ChimeraX makes of "with", which is Python's
    without: list[int] | None = None,
    save_file: str | None = None,
    maps: bool = True,
    output_dir: str | None = None,
    open: bool = True,
    volumes: list[Any] | None = None,
    **keywords: Any,
) -> Any:
    """List the volumes with some blocks and without others; average them, and show how they differ
    from others.
    """
    selection = selection_of(with_, without)
    parameters, present = split_keywords(keywords, SubsetParameters)
    chosen = chosen_blocks(session, blocks)
    listed = Path(save_file).expanduser().absolute() if save_file else None
    if listed is not None:
        check_suffix(listed, LIST_SUFFIXES)
    folder = _folder(chosen, selection, output_dir) if maps else None
    sources = sources_of(volumes) if volumes else None

    def work(progress: Progress) -> Found:
        ensemble = given_ensemble(chosen.record, sources, progress)
        if maps and ensemble is None:
            ensemble = chosen.record.ensemble(progress)
        if ensemble is not None:
            ensemble = ensemble.cached(constants.CACHE_BYTES)
        states = states_of(chosen, present, ensemble, progress)
        subset = choose_volumes(states, selection, parameters)
        paths = {v["name"]: v["path"] or "" for v in chosen.record.volumes}
        if ensemble is not None:
            paths |= {s.name: str(s.path or "") for s in ensemble.sources}
        found = Found(states, subset, paths)
        if ensemble is not None and folder is not None:
            occupancy = occupancy_of(chosen.record, ensemble, progress)
            averages = average_maps(
                subset, states.names, chosen.blocks, ensemble, occupancy, parameters, progress
            )
            found = Found(states, subset, paths, averages, chosen.record.grid, folder)
            write_subset(
                folder, chosen.folder, states, subset, averages, chosen.record.grid, parameters
            )
        if listed is not None:
            names = listed.suffix.lower() == ".txt"
            text = names_text(found) if names else subset_csv(states, subset)
            with atomic_file(listed) as temporary:
                temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
        return found

    def show(found: Found) -> Found:
        _log_list(session, found)
        opened = open and found.maps is not None
        hidden = hide_blocks(session) if opened else []
        group = _open(session, found) if opened else None
        _log_maps(session, found, chosen, group, parameters)
        log_hidden_blocks(session, hidden, "them")
        written = [str(p) for p in (listed, found.folder) if p is not None]
        log_lines(session, [f"Written to {p}" for p in written])
        also_answer(**subset_facts(found.states, found.subset, found.maps), files=written)
        return found

    return run_job(session, "siren volumes", work, show)


def _folder(chosen: Chosen, selection: Selection, output_dir: str | None) -> Path:
    """Where averages are written; nothing else may be there."""
    if output_dir:
        place = output_folder([], output_dir)
    else:
        beside(chosen.folder, 'name a folder for the results, as in "outputDir FOLDER"')
        place = chosen.folder.parent
    folder = place / ("volumes_" + selection.words.replace(" ", "_").replace(",", "_"))
    foreign = (
        [p.name for p in folder.iterdir() if p.name not in SUBSET_FILES]
        if folder.is_dir()
        else ([folder.name] if folder.exists() else [])
    )
    if foreign:
        raise UserError(
            f"{folder} holds files of others ({printable(join_names(sorted(foreign)))}) and would "
            "be replaced: give another outputDir."
        )
    return folder


def names_text(found: Found) -> str:
    """The names of the chosen volumes, one a line."""
    return "".join(f"{found.states.names[k]}\n" for k in found.subset.chosen)


def _log_list(session: Any, found: Found) -> None:
    """Log how many volumes fit, and which, each with a link that shows it."""
    states, subset = found.states, found.subset
    count, few = len(subset.chosen), subset.representatives
    log_lines(
        session,
        [
            f"{count:,} of the {len(states.names):,} volumes: {subset.selection.words} (present: "
            f"{states.cut_words})"
        ],
    )
    rest = [k for k in subset.chosen if k not in set(few.tolist())]
    rows = []
    for k in (*few, *rest)[:LISTED]:
        name, level = states.names[k], float(states.levels[k])
        path = found.paths.get(name, "")
        show = link(f"siren show {path_text(path)} level {level:.6g}", "show") if path else ""
        word = "representative" if k in few else ""
        rows.append((name, f"{level:.4g}", blocks_text(states, int(k)), word, show))
    log_table(session, ("volume", "level", "it has", "", ""), rows, links=True)
    if count > len(rows):
        log_lines(session, [f"... and {count - len(rows):,} more: saveFile lists all."])
    log_lines(
        session,
        [
            "Representatives: the volume that differs least from all others of the set, by the "
            "occupied voxels of its blocks, then each time the one that differs most from those."
        ],
    )


def _open(session: Any, found: Found) -> Model:
    """Open average and difference."""
    maps, grid = found.maps, found.grid
    assert maps is not None and grid is not None
    words = found.subset.selection.words
    opened = [plain_map(session, maps.mean, grid, f"mean {words}", MEAN_LEVEL, REFERENCE_COLOR)]
    if maps.difference is not None:
        from chimerax.map import Volume

        difference = new_volume(Volume, session, maps.difference, grid, f"{words} minus others")
        draw_surface(difference, maps.level, MORE_COLOR)
        difference.set_parameters(
            surface_levels=[-maps.level, maps.level], surface_colors=[LESS_COLOR, MORE_COLOR]
        )
        difference.update_drawings()
        opened.append(difference)
    group: Model = session.models.add_group(opened, name=f"{GROUP_NAME}: {words}")
    return group


def _log_maps(
    session: Any, found: Found, chosen: Chosen, group: Model | None, parameters: SubsetParameters
) -> None:
    """Say what the averages show."""
    maps, subset = found.maps, found.subset
    if maps is None:
        return
    log_lines(
        session,
        [
            "The average is on a scale on which each volume has its background at 0 and its "
            f"contour level at 1: contour it at {MEAN_LEVEL:g}."
        ],
    )
    if maps.difference is None:
        log_lines(session, ["There are no other volumes to compare it with."])
        return
    what = (
        f"the {len(subset.others):,} other volumes"
        if parameters.against == "others"
        else f"the {len(subset.others):,} volumes with the opposite"
    )
    log_lines(
        session,
        [
            f"Difference from {what}, at +{maps.level:.2f} (blue, {maps.above:,} voxels more) and "
            f"-{maps.level:.2f} (red, {maps.below:,} voxels less). The level is "
            f"{parameters.sd:g} SD of the difference between random sets of as many volumes, at "
            f"least {constants.MIN_DIFFERENCE:g}."
        ],
    )
    if not maps.above and not maps.below:
        log_lines(
            session,
            [
                "Nothing differs by so much: the set is small, or the blocks asked for are faint. "
                '"sd 2" shows less certain differences.'
            ],
        )
    rows = sorted(maps.by_block.items(), key=lambda item: -abs(item[1]))
    names = chosen.blocks.names
    log_table(
        session,
        ("block", "mean difference"),
        [(f"{n} {names.get(n, '')}".strip(), f"{d:+.2f}") for n, d in rows],
    )
    if group is not None:
        close = link(f"close #{group.id_string}", "Close")
        session.logger.info(f"Opened as #{escape(group.id_string)}. {close}", is_html=True)


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""

    def volumes_desc() -> CmdDesc:
        keywords: Sequence[tuple[str, Any]] = [
            *SELECT,
            ("save_file", SaveFile),
            ("maps", BoolArg),
            ("output_dir", SaveFolder),
            ("open", BoolArg),
            ("volumes", VolumesArg),
            *keywords_of(SubsetParameters),
            *keywords_of(StatesParameters),
        ]
        return CmdDesc(
            required=[("blocks", BlocksArg)],
            keyword=keywords,
            synopsis="Average the volumes with and without blocks, and show how they differ",
        )

    return {"siren volumes": (volumes_desc, volumes_)}
