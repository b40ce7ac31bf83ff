"""``siren locate``: where results and volumes are after they were moved or renamed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chimerax.core.commands import CmdDesc

from ..core.common.errors import SirenError
from ..core.common.progress import Progress
from ..core.runs.moved import locate_volumes, volumes_missing
from ..core.runs.record import read_record
from ..session.commandline import OpenFolder
from ..session.jobs import run_job
from ..session.log import log_lines
from ..session.moved import bind, find_again, gone_runs, log_bound, log_gone, open_folders
from ..session.scene import folder_of


@dataclass(frozen=True)
class Located:
    """What was found: new folder by old folder of results; folders of runs whose volumes were."""

    moves: dict[str, str]
    volumes: list[str]


def locate(session: Any, folder: str, run: str | None = None) -> Any:
    """Bind open blocks to their results where these are now, and runs to their volumes."""
    place = Path(folder).expanduser().absolute()
    wanted = [] if run else gone_runs(session)
    there = [Path(run).expanduser().absolute()] if run else open_folders(session)

    def work(progress: Progress) -> Located:
        progress.step("comparing", 0)
        moves, problems = find_again(wanted, place)
        runs = [f for f in (*there, *map(Path, moves.values())) if run or f.is_dir()]
        incomplete = [f for f in dict.fromkeys(runs) if volumes_missing(read_record(f)) is not None]
        volumes = []
        for one in progress.each(incomplete, "comparing", len(incomplete)):
            try:
                locate_volumes(one, place, progress)
                volumes.append(str(one))
            except SirenError as error:
                problems.append(str(error))
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
        log_bound(session, [g for g in groups if folder_of(g) in found.moves.values()])
        log_lines(
            session,
            [
                f"The volumes of {f} are in {place} now, which its run.json says from now on."
                for f in found.volumes
            ],
        )
        log_gone(session, [str(r.folder) for r in gone_runs(session)])
        return found

    return run_job(session, "siren locate", work, show)


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
