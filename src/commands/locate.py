"""``siren locate``: where results and volumes are after they were moved or renamed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chimerax.core.commands import CmdDesc

from ..core.common.errors import SirenError, join_names
from ..core.common.files import RECORD
from ..core.common.progress import Progress
from ..core.runs.moved import locate_volumes, volumes_missing, wants_volumes
from ..core.runs.record import Record, read_record
from ..session.commandline import OpenFolder
from ..session.jobs import run_job
from ..session.log import log_lines
from ..session.moved import bind, find_again, gone_runs, log_bound, log_gone, open_folders
from ..session.opened import folders_moved
from ..session.scene import folder_of, sets_of_blocks, volumes_folder


@dataclass(frozen=True)
class Located:
    """What was found.

    Attributes
    ----------
    moves : new folder by old folder of results
    volumes : where the volumes of a run were, by folder of the run
    """

    moves: dict[str, str]
    volumes: dict[str, Path]


def locate(session: Any, folder: str, run: str | None = None) -> Any:
    """Bind open blocks to their results where these are now, and runs to their volumes."""
    place = Path(folder).expanduser().absolute()
    resolved = place.resolve()
    wanted = [] if run else gone_runs(session)
    there = [Path(run).expanduser().absolute()] if run else open_folders(session)

    def work(progress: Progress) -> Located:
        progress.step("comparing", 0)
        moves, problems = find_again(wanted, place)
        runs = [f for f in (*there, *map(Path, moves.values())) if run or f.is_dir()]
        before = {f: read_record(f) for f in dict.fromkeys(runs)}
        asked = [
            f for f, r in before.items() if wants_volumes(r) or (run and _place_of(r) != resolved)
        ]
        volumes = {}
        for one in progress.each(asked, "comparing", len(asked)):
            try:
                locate_volumes(one, place, progress)
                volumes[str(one)] = _place_of(before[one])
            except SirenError as error:
                problems.append(str(error))
        for one in _beside([Path(f) for f in volumes]):  # steps of one ensemble move together
            with suppress(SirenError):
                was = _place_of(read_record(one))
                locate_volumes(one, place, progress)
                volumes[str(one)] = was
        if moves or volumes:
            return Located(moves, volumes)
        if problems:
            raise SirenError(problems[0])
        if wanted:
            raise SirenError(
                f"{place} does not hold {wanted[0].folder.name}: give the folder that "
                f"{wanted[0].folder} is now, or one that holds it."
            )
        raise SirenError(
            f"Nothing is missing of {there[0]}."
            if there
            else 'No blocks are open: name the run whose volumes were moved, as in "siren locate '
            'VOLUMES run siren/00_sketch".'
        )

    def show(found: Located) -> Located:
        groups = bind(session, {**{f: f for f in found.volumes}, **found.moves})
        bound = [g for g in groups if folder_of(g) in found.moves.values()]
        log_bound(session, bound)
        if bound and session.session_file_path:
            log_lines(session, ["Save the session again: its file has the earlier folders."])
        log_lines(
            session,
            [
                f"The volumes of {f} are in {place} now, which its run.json says from now on"
                + (f"; so are those of {join_names(beside)} beside it." if beside else ".")
                for f, beside in _by_output(list(found.volumes)).items()
            ],
        )
        shown = {folder_of(g) for g in sets_of_blocks(session)}
        moved = {(was, place) for f, was in found.volumes.items() if f not in shown}
        if moved:  # those of open blocks are followed already
            folders_moved(session, sorted(moved))
        log_gone(session, [str(r.folder) for r in gone_runs(session)])
        return found

    return run_job(session, "siren locate", work, show)


def _place_of(record: Record) -> Path:
    """The folder of a run's volumes, or of those that are missing."""
    return volumes_missing(record) or Path(volumes_folder(record))


def _by_output(runs: list[str]) -> dict[str, list[str]]:
    """The first run of each output folder, with the names of the others there."""
    first: dict[Path, str] = {}
    others: dict[str, list[str]] = {}
    for run in runs:
        one = first.setdefault(Path(run).parent, run)
        others.setdefault(one, []).extend([Path(run).name] if run != one else [])
    return others


def _beside(runs: list[Path]) -> list[Path]:
    """Other runs in the output folders of these that do not know where their volumes are."""
    found = [f.parent for run in runs for f in sorted(run.parent.glob(f"*/{RECORD}"))]
    others = []
    for folder in dict.fromkeys(found):
        with suppress(SirenError):  # not a run of this version, or not one at all
            if folder not in runs and wants_volumes(read_record(folder)):
                others.append(folder)
    return others


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    return {
        "siren locate": (
            lambda: CmdDesc(
                required=[("folder", OpenFolder)],
                keyword=[("run", OpenFolder)],
                synopsis="Find the results or volumes of open blocks again after they were moved",
            ),
            locate,
        ),
    }
