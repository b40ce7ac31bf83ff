"""State shared by the pages of the panel: volumes, choices, results, and how commands are run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimerax.core.commands import log_equivalent_command, run
from chimerax.core.errors import CancelOperation, NotABug
from Qt import qt_object_is_deleted
from Qt.QtCore import QObject, Signal

from ..core.common.errors import Cancelled, SirenError
from ..core.common.files import RECORD
from ..core.common.torch_install import SIZES, build_for_this_computer, torch_missing
from ..session.jobs import JobEnd, SessionClosed, run_in_turn, stopped_text, when_job_ends
from ..session.opened import blocks_are_open, when_folders_moved, when_run_opened
from ..session.words import nothing_found
from . import commands
from .reader import EnsembleReader
from .settings import panel_settings
from .widgets import while_alive

if TYPE_CHECKING:  # slow to import: not before there is something to read
    from ..core.maps.ensemble import Source
    from ..core.runs.preview import EnsemblePreview, Flag, MapPreview
    from ..core.runs.steps import Run

PREDICTED, TABLE, ONE_LEVEL = "predicted", "table", "level"  # sources of contour levels
# larger ensembles are read for pictures and flags only on request: the disk may be slow
AUTOMATIC_BYTES = 8e9


class PanelState(QObject):
    """The model behind the pages.

    Attributes
    ----------
    volumes : text of the volumes field: a folder, files, or open maps like ``#1-20``
    found : EnsemblePreview, or None while no volumes are listed
    previews, levels, flags : by name of the volume
    predicted_flags : flags of "siren predict", by name of the volume
    unread : bytes of the maps if there are too many to read without being asked, else 0
    excluded : names of unticked volumes
    output : the user's output folder, or "" for the default
    voxel_size, box : as the commands take them
    source, table, level : where contour levels come from (PREDICTED, TABLE, ONE_LEVEL), the table,
        the level
    steps : for predict, sketch and expand, the parameters that differ from their defaults
    run_folder, run : folder of the results shown, and its contents if read; or None
    """

    ensemble_changed = Signal()
    previews_changed = Signal(list)  # names
    levels_changed = Signal()
    flags_changed = Signal()
    selection_changed = Signal()
    choices_changed = Signal()
    run_changed = Signal()
    executed = Signal()  # a command was started or has ended
    job_ended = Signal(object)  # JobEnd
    said = Signal(str, bool)  # a sentence, and whether it is an error
    offered = Signal(str, str)  # a sentence, and the words of a button for what can be done

    def __init__(self, session: Any, parent: QObject | None = None):
        super().__init__(parent)
        self.session = session
        self.settings = panel_settings(session)
        self.volumes = ""
        self.found: EnsemblePreview | None = None
        self.previews: dict[str, MapPreview] = {}
        self.levels: dict[str, float] = {}
        self.flags: dict[str, Flag] = {}
        self.predicted_flags: dict[str, str] = {}
        self.excluded: set[str] = set()
        self.unread = 0.0
        self.run_folder: Path | None = None
        self.run: Run | None = None
        self._levels_read: Any = None
        self._places: list[Any] = []
        self._models: dict[str, Any] = {}  # open maps by the names of their volumes
        self._after_torch: list[str] = []  # commands that wait until torch is installed
        self._excluded_before: set[str] = set()  # to be applied once the volumes are listed
        self.set_choices({})
        self.reader = EnsembleReader(self)
        self.reader.previewed.connect(self._previewed)
        self.reader.looked.connect(self._looked)
        self.reader.flagged.connect(self._flagged)
        self.reader.opened.connect(lambda found: self.set_run(found.folder, found))
        self.reader.large.connect(self._large)
        self.reader.failed.connect(lambda text: self.tell(text, True))
        self._closed = False
        # they do nothing more where the window goes without the tool being asked
        self._handlers: list[Any] = [
            when_job_ends(session, while_alive(self, self._job_ended)),
            when_run_opened(session, while_alive(self, self._opened)),
            when_folders_moved(session, while_alive(self, self._follow_folders)),
        ]

    def close(self) -> None:
        """Disconnect from the session; a running job continues."""
        if not self.closed:
            self.reader.stop()
        self._closed = True
        for handler in self._handlers:
            handler.remove()
        self._handlers = []

    @property
    def closed(self) -> bool:
        """Whether the panel has been closed; commands that it started may still come back to it."""
        return self._closed or qt_object_is_deleted(self)

    # --- commands

    def execute(self, command: str, log: bool = True) -> Any:
        """Run a command as if typed, and show errors in the panel; None if it failed."""
        if self._offer_torch([command]):
            return None
        session = self.session
        try:
            return run(session, command, log=log)
        except NotABug as error:
            session.logger.warning(str(error))
            self.tell(str(error), True)
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
        try:
            run_in_turn(session, lines, _found_blocks)
        except NotABug as error:
            session.logger.warning(str(error))
            self.tell(str(error), True)
        finally:
            if not self.closed:
                self.executed.emit()

    def _offer_torch(self, lines: list[str]) -> bool:
        """Offer to install torch if these commands need it and it is missing."""
        if not any(map(self._needs_torch, lines)) or not torch_missing():
            return False
        self._after_torch = lines
        self.offered.emit(
            "Contour levels are predicted with torch, which is not installed yet "
            f"({SIZES[build_for_this_computer()]}).",
            "Install torch and go on",
        )
        return True

    def _needs_torch(self, line: str) -> bool:
        """Whether a command predicts contour levels, or trains the network."""
        if line.startswith(commands.WITH_TORCH):
            return True
        if not line.startswith("siren sketch") or self.source != PREDICTED:
            return False
        from ..session.inputs import PREDICTIONS_FILE

        beside = Path(self.volumes).expanduser() / PREDICTIONS_FILE
        return self.threshold_table is None and " thresholds " not in line and not beside.is_file()

    def install_torch(self) -> None:
        """Install torch, and then run the commands that needed it."""
        lines, self._after_torch = self._after_torch, []
        self.tell("")
        self.execute_in_turn([commands.INSTALL_TORCH, *lines])

    def tell(self, sentence: str, is_error: bool = False) -> None:
        """Show a sentence in the panel, if it is still there; "" takes the last one away."""
        if not self.closed:
            self.said.emit(sentence, is_error)

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
        """List these volumes; "" empties the panel.

        The choices on the Run page belong to the volumes: other volumes bring their own, those
        given or those of last time, or the defaults.
        """
        from ..commands.arguments import VolumesArg
        from ..core.maps.ensemble import Source
        from ..session.inputs import sources_of

        self.reader.stop()
        self._levels_read = None
        before = self.volumes
        self.volumes, self.found, self._places, self._models = (
            _tidied(volumes),
            None,
            [],
            {},
        )
        if self.volumes != before:
            self.tell("")  # what was said is about other volumes
        if choices is not None:
            self.set_choices(choices)
        elif self.volumes != before:
            self._recall_choices(before)
        self.previews, self.levels, self.flags, self.predicted_flags = {}, {}, {}, {}
        self.excluded, self._excluded_before = set(), excluded or set()
        if self.volumes:
            try:
                self._places = VolumesArg.parse(commands.volumes_text(self.volumes), self.session)[
                    0
                ]
                sources = sources_of(self._places, placed=False)
            except (NotABug, SirenError, ValueError) as error:
                self.tell(_volumes_missing(self.volumes, error), True)
            else:
                self._models = {
                    s.name: p
                    for p, s in zip(self._places, sources, strict=True)
                    if isinstance(s, Source)
                }
                self.settings.remember(self.volumes)
                self.unread = 0.0
                self.reader.read(sources, self.voxel_size, AUTOMATIC_BYTES)
        self.ensemble_changed.emit()
        self.find_run()

    def _recall_choices(self, before: str) -> None:
        """Set the choices made earlier for the volumes, and say so."""
        known = self.settings.choices_of.get(self.volumes)
        if known is None and not before:
            return  # chosen before the volumes were: it is for them
        self.set_choices(known or {})
        if words := self.changes_text():
            self.tell(f"As last time with these volumes: {words}. Reset them on the Run page.")

    def look_at_all(self) -> None:
        """Read the maps that were only listed because they are large."""
        self.unread, self.levels, self._levels_read, self._excluded_before = (
            0.0,
            {},
            None,
            set(self.excluded),
        )
        if self.found is not None:
            self.reader.read(self.found.sources, self.voxel_size)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all listed volumes."""
        return self.found.names if self.found else ()

    @property
    def included(self) -> list[str]:
        """Names of the ticked volumes."""
        return [n for n in self.names if n not in self.excluded]

    @property
    def output_path(self) -> Path | None:
        """The output folder, given or default; None while no volumes are listed."""
        if self.output:
            return Path(self.output).expanduser().absolute()
        if not self._places:
            return None
        from ..session.inputs import output_folder

        # open maps may have been closed since
        places = [p for p in self._places if not getattr(p, "deleted", False)]
        return output_folder(places, None) if places else None

    @property
    def predictions(self) -> Path | None:
        """The table of predictions, if it exists."""
        folder = self.output_path
        if folder is None:
            return None
        from ..session.inputs import PREDICTIONS_FILE

        return folder / PREDICTIONS_FILE if (folder / PREDICTIONS_FILE).is_file() else None

    @property
    def threshold_table(self) -> Path | None:
        """The table that contour levels are read from, if any."""
        if self.source == TABLE:
            return Path(self.table).expanduser() if self.table else None
        return self.predictions if self.source == PREDICTED else None

    def source_of(self, name: str) -> Source | None:
        """The source of a volume."""
        return next((s for s in self.found.sources if s.name == name), None) if self.found else None

    def place_of(self, name: str) -> str:
        """How a command names a volume: its file, or the open map."""
        model = self._models.get(name)
        if model is not None and not model.deleted:
            return f"#{model.id_string}"
        source = self.source_of(name)
        return str(source.path) if source is not None and source.path is not None else name

    def set_excluded(self, excluded: set[str]) -> None:
        """Untick these volumes and tick all others."""
        if excluded != self.excluded:
            self.excluded = excluded
            self.selection_changed.emit()

    def read_levels(self) -> None:
        """Reread contour levels and predicted flags if they changed, and look for odd volumes."""
        levels: dict[str, float] = {}
        flags: dict[str, str] = {}
        read = self._levels_to_read()
        if read == self._levels_read:
            return
        self._levels_read = read
        if self.found is not None:
            if self.source == ONE_LEVEL and self.level is not None:
                levels = dict.fromkeys(self.names, self.level)
            elif self.threshold_table is not None:
                from ..core.thresholds.tables import levels_by_name

                try:
                    levels, flags = levels_by_name(self.threshold_table, self.names)
                except SirenError as error:
                    self.tell(str(error), True)
        if (levels, flags) != (self.levels, self.predicted_flags):
            self.levels, self.predicted_flags = levels, flags
            self.levels_changed.emit()
            if self.found is not None and levels and not self.unread:
                self.reader.flag(self.found, levels, flags)

    def _levels_to_read(self) -> Any:
        """A key for everything that the contour levels depend on."""
        table = self.threshold_table
        stamp = table.stat().st_mtime_ns if table is not None and table.is_file() else None
        return (id(self.found), self.source, self.level, table, stamp)

    def _large(self, size: float) -> None:
        self.unread = size

    def _previewed(self, found: EnsemblePreview) -> None:
        self.found = found
        self.flags = {**found.companions, **found.problems}
        self.excluded = (self._excluded_before & set(found.names)) | set(self.flags)
        self.ensemble_changed.emit()
        self.read_levels()
        if found.problems:
            count = len(found.problems)
            self.tell(
                f"{count} of the {len(found.names):,} maps cannot be used and "
                f"{'are' if count > 1 else 'is'} not ticked: "
                f"{next(iter(found.problems.values())).reason}",
                True,
            )
        elif found.notes:
            self.tell(" ".join(found.notes))

    def _looked(self, items: list[Any]) -> None:
        from ..core.runs.preview import MapPreview

        names = []
        for item in items:
            if isinstance(item, MapPreview):
                self.previews[item.name] = item
                names.append(item.name)
            else:
                self.flags[item[0]] = item[1]
                self.set_excluded(self.excluded | {item[0]})
                names.append(item[0])
        self.previews_changed.emit(names)

    def _flagged(self, flags: dict[str, Flag]) -> None:
        self.flags = flags
        self.flags_changed.emit()

    # --- choices on the Run page

    def choices(self) -> dict[str, Any]:
        """The fields of the Run page, as plain values."""
        return {
            "output": self.output,
            "voxel_size": self.voxel_size,
            "box": self.box,
            "source": self.source,
            "table": self.table,
            "level": self.level,
            "steps": {step: dict(values) for step, values in self.steps.items()},
        }

    def set_choices(self, choices: dict[str, Any]) -> None:
        """Set the fields of the Run page; missing ones get their defaults."""
        self.output = str(choices.get("output") or "")
        self.voxel_size: float | None = choices.get("voxel_size")
        self.box: int | None = choices.get("box")
        self.source = choices.get("source", PREDICTED)
        self.table = str(choices.get("table") or "")
        self.level: float | None = choices.get("level")
        given = choices.get("steps", {})
        self.steps: dict[str, dict[str, Any]] = {
            step: dict(given.get(step, {})) for step in commands.STEPS
        }
        self.choices_changed.emit()

    def changed(self) -> None:
        """Remember a changed field for these volumes, and reread contour levels."""
        if self.volumes and not self.volumes.startswith("#"):  # open maps are others next time
            self.settings.remember_choices(self.volumes, self.choices())
        self.choices_changed.emit()
        self.read_levels()

    def reset(self, step: str) -> None:
        """Give all parameters of a step their defaults."""
        self.steps[step] = {}
        self.changed()

    def changes_text(self, step: str | None = None) -> str:
        """The parameters that differ from their defaults, of a step or of all, as keywords with
        their values; "" if there are none.
        """
        if step is not None:
            return commands.parameters_text(commands.STEPS[step], self.steps[step], ", ")
        parts = [(s.capitalize(), self.changes_text(s)) for s in commands.STEPS]
        return "; ".join(f"{name} with {words}" for name, words in parts if words)

    # --- results

    def find_run(self) -> None:
        """Show the blocks of these volumes that are seen in the session; else the results in the
        output folder: the expansion if there is one, else the sketch.
        """
        folder = self.output_path
        if folder is not None:
            from ..core.runs.steps import EXPAND_FOLDER, SKETCH_FOLDER

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

    def set_run(self, folder: Path | None, run: Run | None = None) -> None:
        """Show the results in a folder; pass ``run`` if it has been read already."""
        self.reader.open(None)
        self.run_folder, self.run = folder, run
        self.run_changed.emit()

    def show_open_blocks(self) -> None:
        """Show the blocks that are seen in the session, if there are any."""
        if not blocks_are_open(self.session):
            return
        from ..session.scene import folder_of, seen_set

        group = seen_set(self.session)
        if group is not None:
            self._show_folder(Path(folder_of(group)))

    def _show_folder(self, folder: Path) -> None:
        """Show the results of open blocks, whose folder may be gone, and read them if not."""
        self.set_run(folder)
        if (folder / RECORD).is_file():
            self.reader.open(folder)

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
            self.set_volumes(volumes, set(self.excluded) | self._excluded_before, choices)
        if shown:  # read anew: where its volumes are may have changed
            self._show_folder(Path(now(shown)))

    def _opened(self, run: Run) -> None:
        if not self.closed:
            self.set_run(run.folder, run)

    def _job_ended(self, end: JobEnd) -> None:
        if self.closed:
            return
        if isinstance(end.error, SessionClosed):
            pass  # of another session
        elif isinstance(end.error, (Cancelled, CancelOperation)):
            self.tell(stopped_text())
        elif end.error is not None:
            self.tell(str(end.error), True)
        elif is_run(end.result):
            self.set_run(end.result.folder, end.result)
            if not _found_blocks(end.result):
                self.tell(f"No blocks. {nothing_found(end.result.record)}")
        self.read_levels()
        self.job_ended.emit(end)


def is_run(result: Any) -> bool:
    """Whether this is the result of a sketch or an expansion."""
    from ..core.runs.steps import Run

    return isinstance(result, Run)


def _found_blocks(result: Any) -> bool:
    """False for a run without blocks, which leaves nothing to expand."""
    return not is_run(result) or len(result.blocks) > 0


def _tidied(volumes: str) -> str:
    """The entry of the volumes field, written one way: its choices are found by it."""
    text = os.path.expanduser(volumes.strip())
    return text.rstrip("/") or text


def _volumes_missing(volumes: str, error: Exception) -> str:
    text = str(error)
    return (
        f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
        if text
        else f"{volumes} cannot be read."
    )
