"""The runs whose blocks are open, kept in the session, so that blocks have their table, and can be
edited and saved, although their folder is gone; and their new place, once it is known.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chimerax.core.errors import UserError
from chimerax.core.models import Model
from chimerax.core.state import StateManager
from chimerax.core.triggerset import DEREGISTER

from ..core.blocks.blockset import BLOCKS_FILE, BlockSet, read_blocks_file
from ..core.common.errors import SirenError
from ..core.common.files import RECORD, restore
from ..core.maps.grid import Grid
from ..core.runs.moved import candidates, difference, has_blocks_of, moved_path, renamed
from ..core.runs.places import Borrowed, seen_from
from ..core.runs.record import Record, read_record, record_of
from .edits import block_set, blocks_changed
from .inputs import user_errors
from .log import link
from .opened import folders_moved
from .scene import (
    EARLIER,
    as_saved,
    blocks_of,
    folder_of,
    set_name,
    sets_of_blocks,
    volumes_folder,
)
from .words import borrowed_text, gone_text, say_in

RUNS = "siren runs"  # name of the session's state manager
VERSION = 1


@dataclass(frozen=True)
class KeptRun:
    """What the session keeps of a run: its record, and its blocks as they are in its folder."""

    record: Record
    blocks: BlockSet


class KeptRuns(StateManager):
    """The runs of all open blocks, by folder; saved with the session.

    With them the session file notes where the folders are as seen from the file itself, so that a
    session finds them again that was moved or copied along with them.
    """

    def __init__(self) -> None:
        self.runs: dict[str, KeptRun] = {}
        self.told: set[tuple[str, Borrowed]] = set()  # of which volumes of others it was said

    def take_snapshot(self, session: Any, flags: int) -> dict[str, Any]:
        """Override for ChimeraX."""
        runs = {f: run for f in _folders(session) if (run := kept_run(session, f)) is not None}
        path = session.session_file_path
        return {
            "version": VERSION,
            "runs": {folder: _plain(run) for folder, run in runs.items()},
            "relative": seen_from(Path(path).absolute().parent, runs) if path else {},
        }

    @classmethod
    def restore_snapshot(cls, session: Any, data: dict[str, Any]) -> KeptRuns:
        """Override for ChimeraX."""
        manager = cls()
        if session.restore_options.get("combine"):
            manager.runs.update(_manager(session).runs)
        for folder, content in data["runs"].items():
            with suppress(SirenError):
                manager.runs[folder] = _from_plain(content, folder)
        relative = data["relative"]

        def follow(*_: Any) -> Any:
            _follow_file(session, relative)
            return DEREGISTER

        session.triggers.add_handler("end restore session", follow)
        return manager

    def reset_state(self, session: Any) -> None:
        """Override for ChimeraX."""
        self.runs.clear()
        self.told.clear()


def _plain(run: KeptRun) -> dict[str, Any]:
    blocks = run.blocks
    return {
        "record": json.dumps(run.record.content()),
        "grid": json.dumps(blocks.grid.as_json()),
        "blocks": {str(n): v for n, v in blocks},
        "unassigned": blocks.unassigned,
        "stability": {str(n): float(v) for n, v in blocks.stability.items()},
        "strength": {str(n): v for n, v in blocks.strength.items()},
        "names": {str(n): name for n, name in blocks.names.items()},
    }


def _from_plain(content: dict[str, Any], folder: str) -> KeptRun:
    def by_number(name: str) -> dict[int, Any]:
        return {int(n): v for n, v in content[name].items()}

    blocks = BlockSet(
        Grid.from_json(json.loads(content["grid"])),
        by_number("blocks"),
        content["unassigned"],
        by_number("stability"),
        by_number("strength"),
        by_number("names"),
    )
    return KeptRun(record_of(json.loads(content["record"]), Path(folder) / RECORD), blocks)


def _manager(session: Any) -> KeptRuns:
    try:
        manager = session.get_state_manager(RUNS)
    except KeyError:
        manager = None
    if not isinstance(manager, KeptRuns):
        manager = KeptRuns()
        session.add_state_manager(RUNS, manager)
    return manager


def _folders(session: Any) -> list[str]:
    """The folders of all open sets of blocks, each once."""
    return list(dict.fromkeys(f for g in sets_of_blocks(session) if (f := folder_of(g))))


# --- what is known of a run


def keep_run(session: Any, folder: Path, record: Record, blocks: BlockSet) -> None:
    """Keep a run whose blocks were opened or saved."""
    _manager(session).runs[str(folder)] = KeptRun(record, blocks)


def kept_run(session: Any, folder: str | Path) -> KeptRun | None:
    """What is known of a run, from the session or from its folder; None if it is in neither."""
    runs = _manager(session).runs
    if str(folder) not in runs:
        path = Path(folder)
        try:
            runs[str(folder)] = KeptRun(read_record(path), read_blocks_file(path / BLOCKS_FILE))
        except SirenError:
            return None
    return runs[str(folder)]


def is_gone(folder: str | Path) -> bool:
    """Whether a run is no longer in its folder."""
    restore(Path(folder))
    return not (Path(folder) / RECORD).is_file()


def run_record(session: Any, folder: Path) -> Record:
    """The record of a run: from its folder, or as the session keeps it if the folder is gone. The
    log says if it uses the volumes of another project.

    Raises
    ------
    UserError
        If neither has one that can be read.
    """
    kept = _manager(session).runs.get(str(folder)) if is_gone(folder) else None
    record: Record = kept.record if kept is not None else user_errors(read_record, folder)
    warn_borrowed(session, folder, record)
    return record


def warn_borrowed(session: Any, folder: Path, record: Record) -> None:
    """Say once in a session that a copied run uses the volumes of the original project."""
    told, borrowed = _manager(session).told, record.borrowed
    if borrowed is not None and (str(folder), borrowed) not in told:
        told.add((str(folder), borrowed))
        say_in(session.logger.warning, session, borrowed_text(folder, borrowed))


def beside(folder: Path, remedy: str) -> Path:
    """The output folder of a run, for results that are to be written beside it.

    Parameters
    ----------
    remedy : another way, with an example

    Raises
    ------
    UserError
        If the folder is gone: its place would be made anew where no one looks for it.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder} was moved, renamed or deleted: say where it is now with "
            f'"siren locate FOLDER", or {remedy}.'
        )
    return folder.parent


# --- a new place


@dataclass(frozen=True)
class Wanted:
    """A run that is gone, and what is known of it.

    Attributes
    ----------
    folder : where it was
    kept : the run itself; None in sessions of earlier versions
    shown : its open blocks then, which may have been edited
    """

    folder: Path
    kept: KeptRun | None
    shown: BlockSet | None

    def problem(self, place: Path) -> str:
        """Why the run in a folder is not this one; "" if it is."""
        if self.kept is not None:
            return difference(self.kept.record, self.kept.blocks, place)
        same = self.shown is not None and has_blocks_of(self.shown, place)
        return "" if same else "its blocks are others"


def gone_runs(session: Any) -> list[Wanted]:
    """The runs of open blocks that are no longer in their folders. A folder that never held one, as
    that of masks to which blocks were compared, is no run.
    """
    runs = _manager(session).runs
    return [
        Wanted(Path(f), runs.get(f), None if f in runs else block_set(g))
        for g in sets_of_blocks(session)
        if (f := folder_of(g)) and is_gone(f) and (f in runs or not os.path.isdir(f))
    ]


def open_folders(session: Any) -> list[Path]:
    """The folders of open blocks that are where they were."""
    return [Path(f) for f in _folders(session) if not is_gone(f)]


def find_again(wanted: list[Wanted], place: Path) -> tuple[dict[str, str], list[str]]:
    """Look for runs that are gone in and beside a folder.

    Returns
    -------
    moves : new folder by old folder, of those that are the same
    problems : what was found instead, one sentence each
    """
    moves: dict[str, str] = {}
    problems: list[str] = []
    for run in wanted:
        elsewhere = [renamed(Path(old), Path(new)) for old, new in moves.items()]
        others = [p for o, n in elsewhere if (p := moved_path(run.folder, o, n)) is not None]
        found = [p for p in others if not is_gone(p)] + candidates(run.folder, place)
        for folder in dict.fromkeys(found):
            try:
                problem = run.problem(folder)
            except SirenError as error:
                problem = str(error)
            if not problem:
                moves[str(run.folder)] = str(folder)
                break
            problems.append(f"{folder} is not what {run.folder} was: {problem}.")
    return moves, problems


def bind(session: Any, moves: Mapping[str, str]) -> list[Model]:
    """Let open blocks belong to the folders where their runs and volumes are now, and tell the
    panel.

    Returns
    -------
    the groups of the blocks
    """
    if not moves:
        return []
    runs = _manager(session).runs
    changed: list[Model] = []
    renames = {renamed(Path(old), Path(new)) for old, new in moves.items() if old != new}
    for old, new in moves.items():
        runs.pop(old, None)
        runs.pop(new, None)  # to be read anew
        record = user_errors(read_record, Path(new))
        for group in sets_of_blocks(session):
            if folder_of(group) != old:
                continue
            volumes = volumes_folder(record)
            for block in blocks_of(group):
                if block.siren_volumes and block.siren_volumes != volumes:
                    renames.add((Path(block.siren_volumes), Path(volumes)))
                block.siren_folder, block.siren_volumes = new, volumes
            earlier = EARLIER if group.name.endswith(EARLIER) else ""
            group.name = set_name(Path(new), record.step) + earlier
            changed.append(group)
        kept_run(session, new)
    # the longest first: the volumes may have gone elsewhere than the rest
    folders_moved(session, sorted(renames, key=lambda pair: -len(pair[0].parts)))
    for group in changed:
        blocks_changed(session, group.id)
    return changed


def _follow_file(session: Any, relative: Mapping[str, str]) -> None:
    """After a session was opened: bind its blocks to the folders that were moved along with its
    file, and say which are gone.
    """
    path, moves = session.session_file_path, {}
    for old, seen in relative.items() if path else ():
        here = os.path.normpath(os.path.join(os.path.realpath(os.path.dirname(path)), seen))
        kept = _manager(session).runs.get(old)
        if here == os.path.realpath(old) or kept is None or is_gone(here):
            continue
        with suppress(SirenError):  # not a run of this version
            if not difference(kept.record, kept.blocks, Path(here)):
                moves[old] = here
    log_bound(session, bind(session, moves))
    moved = _with_other_volumes(session)
    bind(session, {f: f for f in moved})
    for folder, place in moved.items():
        say_in(session.logger.info, session, f"The volumes of {folder} are in {place} now.")
    for group in sets_of_blocks(session):  # a panel may have been restored before this was known
        blocks_changed(session, group.id)
    log_gone(session, [str(run.folder) for run in gone_runs(session)])


def _with_other_volumes(session: Any) -> dict[str, str]:
    """The runs of open blocks whose volumes are no longer where the session has them, since the run
    was told where they are; with the folder that it was told.
    """
    found = {}
    for group in sets_of_blocks(session):
        folder, known = folder_of(group), {m.siren_volumes for m in blocks_of(group)}
        if folder and not is_gone(folder) and not any(v and os.path.isdir(v) for v in known):
            with suppress(SirenError):  # not a run of this version
                place = volumes_folder(read_record(Path(folder)))
                if place not in known and os.path.isdir(place):
                    found[folder] = place
    return found


def unsaved(session: Any, group: Model) -> bool:
    """Whether open blocks differ from those in their folder, as far as those are known."""
    run = kept_run(session, folder_of(group))
    return run is not None and not as_saved(group, run.blocks)


# --- in the log


def log_bound(session: Any, groups: Sequence[Model]) -> None:
    """Say to which folders open blocks were bound, and offer to save those that were edited."""
    for group in groups:
        say_in(
            session.logger.info,
            session,
            f"#{group.id_string} belongs to {folder_of(group)} now: the same blocks and volumes.",
        )
        if unsaved(session, group):
            command = f"siren block save #{group.id_string}"
            session.logger.info(
                f"It has edits that are not saved. To save them: {link(command, command)}",
                is_html=True,
            )


def log_gone(session: Any, folders: Iterable[str]) -> None:
    """Say which folders of open blocks are gone, and what still works."""
    for folder in dict.fromkeys(folders):
        say_in(session.logger.warning, session, gone_text(folder))
