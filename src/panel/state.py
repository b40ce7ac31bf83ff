"""State shared by the pages of the panel: the volumes, results, and how commands are run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimerax.core.commands import log_equivalent_command, run
from chimerax.core.errors import CancelOperation, NotABug
from Qt.QtCore import QObject, Signal
from Qt.QtWidgets import QWidget

from ..core.common.errors import Cancelled
from ..core.common.files import RECORD, restore_inside
from ..core.common.torch_install import SIZES, build_for_this_computer, torch_missing
from ..session.jobs import (
    JobEnd,
    SessionClosed,
    run_in_turn,
    shows_errors,
    stopped_text,
    when_job_ends,
)
from ..session.opened import blocks_are_open, when_folders_moved, when_run_opened
from ..session.words import borrowed_text, gone_text, nothing_found, path_text, say_in
from . import commands
from .listed import LOCATE, PREDICTED, ListedVolumes
from .reader import RUN
from .widgets import while_alive

if TYPE_CHECKING:  # slow to import: not before there is something to read
    from ..core.runs.steps import Run
    from .known_states import KnownStates

LOCATING = "siren locate"
LOOKS = ("siren show", "siren stop", "siren help")  # commands after which a message stays


class PanelState(ListedVolumes):
    """The model behind the pages.

    Attributes
    ----------
    run_folder, run : folder of the results shown, and its contents if read; or None
    known : which of its blocks are in which of the listed volumes, if this is known
    """

    run_changed = Signal()
    states_changed = Signal()  # which blocks are in which volumes, or their names or colors
    executed = Signal()  # a command was started or has ended
    job_ended = Signal(object)  # JobEnd

    def __init__(self, session: Any, parent: QObject | None = None):
        super().__init__(session, parent)
        self.run_folder: Path | None = None
        self.run: Run | None = None
        self.known: KnownStates | None = None
        self._located: Path | None = None  # where a person has just shown the volumes to be
        self._after_torch: list[str] = []  # commands that wait until torch is installed
        self.reader.opened.connect(lambda found: self.set_run(found.folder, found))
        self.reader.known.connect(self._know)
        self.reader.finished.connect(self._run_read)
        self.ensemble_changed.connect(self._list_known)
        self.run_changed.connect(self.review)
        shows_errors(self)
        # they do nothing more where the window goes without the tool being asked
        self._handlers: list[Any] = [
            when_job_ends(session, while_alive(self, self._job_ended)),
            when_run_opened(session, while_alive(self, self._opened)),
            when_folders_moved(session, while_alive(self, self._follow_folders)),
        ]

    def shows_errors(self) -> bool:
        """Whether a person sees here why a command failed."""
        area = None if self.closed else self.parent()
        return isinstance(area, QWidget) and bool(area.isVisible())

    def close(self) -> None:
        """Disconnect from the session; a running job continues."""
        if not self.closed:
            self.reader.stop()
        self._closed = True
        for handler in self._handlers:
            handler.remove()
        self._handlers = []

    # --- commands

    def execute(self, command: str, log: bool = True) -> Any:
        """Run a command as if typed, and show errors in the panel; None if it failed."""
        if self._offer_torch([command]):
            return None
        session = self.session
        if command.startswith("siren ") and not command.startswith(LOOKS):
            self.tell("")  # what was said is about an earlier command
        try:
            result = run(session, command, log=log)
            if self._failed:
                self.forget_problem()
            return result
        except NotABug as error:
            say_in(session.logger.warning, session, str(error))
            self.tell(str(error), True)
            self._failed = True
            return None
        finally:
            if not self.closed:  # the command may have closed the panel, or the whole session
                self.executed.emit()

    def execute_in_turn(self, lines: list[str]) -> None:
        """Run commands one after the other, in the background; a sketch without blocks is the
        last.
        """
        if lines[0] != commands.INSTALL_TORCH and self._offer_torch(lines):
            return
        session = self.session
        self.tell("")
        try:
            run_in_turn(session, lines, _found_blocks)
        except NotABug as error:
            say_in(session.logger.warning, session, str(error))
            self.tell(str(error), True)
        finally:
            if not self.closed:
                self.executed.emit()

    def _offer_torch(self, lines: list[str]) -> bool:
        """Offer to install torch if these commands need it and it is missing."""
        if not any(map(self._needs_torch, lines)) or not torch_missing():
            return False
        self._after_torch = lines
        self.offer(
            "Contour levels are predicted with torch, which is not installed yet "
            f"({SIZES[build_for_this_computer()]}).",
            "Install torch and go on",
            self.install_torch,
        )
        return True

    def _needs_torch(self, line: str) -> bool:
        """Whether a command predicts contour levels, or trains the network."""
        if line.startswith(commands.WITH_TORCH):
            return True
        if line.startswith("siren label template"):
            return self.predictions is None  # it predicts first
        if not line.startswith("siren sketch") or self.source != PREDICTED:
            return False
        from ..session.inputs import PREDICTIONS_FILE

        beside = Path(self.volumes).expanduser() / PREDICTIONS_FILE
        return self.threshold_table is None and " thresholds " not in line and not beside.is_file()

    def install_torch(self) -> None:
        """Install torch, and then run the commands that needed it."""
        lines, self._after_torch = self._after_torch, []
        self.execute_in_turn([commands.INSTALL_TORCH, *lines])

    def log_only(self, command: str) -> None:
        """Log a command that was run without logging, as while an arrow key was held."""
        log_equivalent_command(self.session, command)

    # --- volumes

    def set_volumes(
        self,
        volumes: str,
        excluded: set[str] | None = None,
        choices: dict[str, Any] | None = None,
    ) -> None:
        """List these volumes, and show their results; see :meth:`.ListedVolumes.set_volumes`."""
        super().set_volumes(volumes, excluded, choices)
        self.find_run()

    # --- results

    def find_run(self) -> None:
        """Show the blocks of these volumes that are seen in the session; else the results in the
        output folder: the expansion if there is one, else the sketch.
        """
        folder = self.output_path
        if folder is not None:
            from ..core.runs.steps import EXPAND_FOLDER, SKETCH_FOLDER

            restore_inside(folder)
            if self._seen_of(folder / SKETCH_FOLDER):
                self.show_open_blocks()
                return
        found = (
            [
                folder / name
                for name in (EXPAND_FOLDER, SKETCH_FOLDER)
                if (folder / name / RECORD).is_file()
            ]
            if folder
            else []
        )
        self.set_run(None)
        self.reader.open(found[0] if found else None)

    def set_run(self, folder: Path | None, run: Run | None = None, read: bool = False) -> None:
        """Show the results in a folder; pass ``run`` if it has been read already, or have it be
        read in the background.
        """
        self.reader.open(folder if read else None)
        self.run_folder, self.run = folder, run
        self.run_changed.emit()
        borrowed = None if run is None else run.record.borrowed
        if folder is not None and borrowed is not None:
            self.offer(
                borrowed_text(folder, borrowed, remedy=False),
                LOCATE,
                self.locating.emit,
                lambda: self.run_folder == folder and (self.run is None or self.run is run),
            )
        if folder is not None and (folder / RECORD).is_file():
            self.reader.read_states(folder, run)
        elif self.known is not None:
            self._know(None)

    def _know(self, known: KnownStates | None) -> None:
        if known is not None and known.folder != self.run_folder:
            return  # another run has been chosen since
        self.known = known
        if known is not None:
            self._follow_labels(known)
        self._list_known()

    def _list_known(self) -> None:
        """Look which of the listed volumes have known states."""
        if self.known is not None:
            self.known.follow(self.found.sources if self.found is not None else ())
        self.states_changed.emit()

    def follow_blocks(self) -> None:
        """Give blocks the names and colors of their open surfaces."""
        if self.known is not None and self._follow_labels(self.known):
            self.states_changed.emit()

    def _follow_labels(self, known: KnownStates) -> bool:
        """Whether names or colors of blocks are others than before."""
        if not blocks_are_open(self.session):
            return False
        from ..session.scene import open_labels

        before, known.labels = known.labels, open_labels(self.session, known.folder, known.labels)
        return known.labels != before

    def show_open_blocks(self) -> None:
        """Show the blocks that are seen in the session, if there are any."""
        if not blocks_are_open(self.session):
            return
        from ..session.scene import folder_of, seen_set

        group = seen_set(self.session)
        if group is not None:
            self.show_folder(Path(folder_of(group)))

    def show_folder(self, folder: Path) -> None:
        """Show the results of open blocks, whose folder may be gone, and read them if not."""
        self.set_run(folder, read=(folder / RECORD).is_file())

    def _run_read(self, kind: str) -> None:
        """Results whose reading failed are shown as far as they are known."""
        if kind == RUN and self.run is None and self.run_folder is not None:
            self.run_changed.emit()

    def _seen_of(self, folder: Path) -> bool:
        """Whether the blocks that are seen in the session are of these volumes, or of a run beside
        this folder.
        """
        if not blocks_are_open(self.session):
            return False
        from ..session.inputs import first_path
        from ..session.scene import related, seen_set

        group = seen_set(self.session)
        volumes = first_path([p for p in self._places if not getattr(p, "deleted", False)])
        return group is not None and related(group, folder, str(volumes or ""))

    def _follow_folders(self, moves: Sequence[tuple[Path, Path]]) -> None:
        """List the volumes, and show the results, where they are now."""
        if self.closed:
            return
        from ..core.runs.moved import moved_path

        def now(text: str) -> str:
            found = [moved_path(Path(text).expanduser(), *pair) for pair in moves] if text else []
            return next((str(p) for p in found if p is not None and p.exists()), text)

        shown = str(self.run_folder or "")
        choices = {**self.choices(), "output": now(self.output), "table": now(self.table)}
        volumes = now(self.volumes)
        if (volumes, choices) != (self.volumes, self.choices()):
            self.set_volumes(volumes, self.unticked, choices)
        if shown:  # read anew: where its volumes are may have changed
            self.show_folder(Path(now(shown)))

    def tell_gone(self, folder: Path) -> None:
        """Say that the results shown are not in their folder, and offer to show where they are."""
        self.offer(
            gone_text(folder),
            LOCATE,
            self.locating.emit,
            lambda: self.run_folder == folder and not (folder / RECORD).is_file(),
        )

    def locate(self, place: Path) -> None:
        """Have the volumes, and the results shown, be in another place: by ``siren locate`` if a
        run knows them; else the volumes there are listed, with the choices of these.
        """
        known, run = self._blocks_of_volumes(), None
        if not known and self.lost:
            from ..core.runs.results import results_folder

            output = Path(self.output).expanduser() if self.output else None
            output = output or results_folder(Path(self.volumes).expanduser())
            run = next((p.parent for p in sorted(output.glob(f"0*/{RECORD}"))), None)
        if known or run is not None:
            line = f"{LOCATING} {path_text(place)}"
            self._located = place
            self.execute(f"{line} run {path_text(run)}" if run is not None else line)
        else:
            self._list_located(place)

    def _list_located(self, place: Path) -> None:
        """List the volumes in the place where they are now, which may be the folder around them."""
        inside = place / Path(self.volumes).name
        volumes = inside if inside.exists() else place
        self.set_volumes(str(volumes), self.unticked, self.choices())

    def _blocks_of_volumes(self) -> bool:
        """Whether blocks of these volumes, or of the run shown, are open."""
        if not blocks_are_open(self.session):
            return False
        from ..session.scene import blocks_of, folder_of, same_folder, sets_of_blocks

        volumes, shown = Path(self.volumes or "").expanduser(), self.run_folder or ""
        return any(
            same_folder(folder_of(group), shown)
            or any(same_folder(m.siren_volumes, volumes) for m in blocks_of(group))
            for group in sets_of_blocks(self.session)
        )

    def _opened(self, run: Run) -> None:
        if not self.closed:
            self.set_run(run.folder, run)

    def _job_ended(self, end: JobEnd) -> None:
        if self.closed:
            return
        if isinstance(end.error, SessionClosed):
            pass  # of another session
        elif isinstance(end.error, (Cancelled, CancelOperation)):
            self.tell(stopped_text(end.error))
        elif end.error is not None:
            self.tell(str(end.error), True)
        else:
            self.forget_problem()
        if is_run(end.result):
            self.set_run(end.result.folder, end.result)
            if not _found_blocks(end.result):
                self.tell(f"No blocks. {nothing_found(end.result.record)}")
        if end.name == LOCATING:
            place, self._located = self._located, None
            if place is not None and end.error is None and self.lost:
                self._list_located(place)  # the run was found in other volumes than were listed
        self.read_levels()
        self.job_ended.emit(end)


def is_run(result: Any) -> bool:
    """Whether this is the result of a sketch or an expansion."""
    from ..core.runs.steps import Run

    return isinstance(result, Run)


def _found_blocks(result: Any) -> bool:
    """False for a run without blocks, which leaves nothing to expand."""
    return not is_run(result) or len(result.blocks) > 0
