"""The volumes that the panel lists, and the choices on the Run page, which belong to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimerax.core.errors import NotABug
from Qt import qt_object_is_deleted
from Qt.QtCore import QObject, Signal

from ..core.common.errors import SirenError
from . import commands
from .reader import EnsembleReader
from .settings import panel_settings

if TYPE_CHECKING:  # slow to import: not before there is something to read
    from ..core.maps.ensemble import Source
    from ..core.runs.preview import EnsemblePreview, Flag, MapPreview

LOCATE = "Locate folder..."
PREDICTED, TABLE, ONE_LEVEL = "predicted", "table", "level"  # sources of contour levels
# larger ensembles are read for pictures and flags only on request: the disk may be slow
AUTOMATIC_BYTES = 8e9


def file_stamp(path: Path | None) -> int | None:
    """When a file was last changed; None if there is none."""
    return path.stat().st_mtime_ns if path is not None and path.is_file() else None


class ListedVolumes(QObject):
    """The volumes of the panel, read in the background, and what is chosen for them.

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
    """

    ensemble_changed = Signal()
    previews_changed = Signal(list)  # names
    levels_changed = Signal()
    flags_changed = Signal()
    selection_changed = Signal()
    choices_changed = Signal()
    said = Signal(str, bool)  # a sentence, and whether it is an error
    offered = Signal(str, str)  # a sentence, and the words of a button for what can be done
    locating = Signal()  # the person wants to show where the volumes are now

    def __init__(self, session: Any, parent: QObject | None = None):
        super().__init__(parent)
        self.session = session
        self.settings = panel_settings(session)
        self._problem = False  # whether what was said last is one
        self._failed = False  # whether it is of a command that failed
        self._as_long: Callable[[], bool] | None = None  # whether it is still true
        self._act: Callable[[], Any] | None = None  # what its button does
        self.volumes = ""
        self.found: EnsemblePreview | None = None
        self.previews: dict[str, MapPreview] = {}
        self.levels: dict[str, float] = {}
        self.flags: dict[str, Flag] = {}
        self.predicted_flags: dict[str, str] = {}
        self.excluded: set[str] = set()
        self.unread = 0.0
        self._levels_read: Any = None
        self._fingerprints: dict[str, str] = {}  # of the maps that the levels are for, by name
        self._places: list[Any] = []
        self._models: dict[str, Any] = {}  # open maps by the names of their volumes
        self._excluded_before: set[str] = set()  # to be applied once the volumes are listed
        self._closed = False
        for changed in (self.choices_changed, self.ensemble_changed):
            changed.connect(self.review)
        self.set_choices(self._usual_choices())
        self.reader = EnsembleReader(self)
        self.reader.previewed.connect(self._previewed)
        self.reader.looked.connect(self._looked)
        self.reader.flagged.connect(self._flagged)
        self.reader.large.connect(self._large)
        self.reader.failed.connect(lambda text: self.tell(text, True))

    @property
    def closed(self) -> bool:
        """Whether the panel has been closed; commands that it started may still come back to it."""
        return self._closed or qt_object_is_deleted(self)

    def tell(
        self, sentence: str, is_error: bool = False, as_long: Callable[[], bool] | None = None
    ) -> None:
        """Show a sentence in the panel, if it is still there; "" takes the last one away.

        Parameters
        ----------
        as_long : whether the sentence is still true; it goes when it is not
        """
        self._problem, self._failed = is_error and bool(sentence), False
        self._as_long, self._act = as_long, None
        if not self.closed:
            self.said.emit(sentence, is_error)

    def offer(
        self,
        sentence: str,
        words: str,
        act: Callable[[], Any],
        as_long: Callable[[], bool] | None = None,
    ) -> None:
        """Show a sentence, and a button with words for what can be done."""
        self.tell("", as_long=as_long)
        self._act = act
        if not self.closed:
            self.offered.emit(sentence, words)

    def accept_offer(self) -> None:
        """Do what was offered last."""
        if self._act is not None:
            self._act()

    def review(self, *_: Any) -> None:
        """Take away what was said if it is no longer true."""
        if self._as_long is not None and not self._as_long():
            self.tell("")

    def forget_problem(self) -> None:
        """Take a problem away that was said, as something has succeeded since."""
        if self._problem:
            self.tell("")

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
            commands.tidied(volumes),
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
                if self.lost and (choices is not None or self.volumes in self.settings.recent):
                    self.offer_to_locate()
                else:
                    self.tell(_sentence(self.volumes, error), True)
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

    def _recall_choices(self, before: str) -> None:
        """Set the choices made earlier for the volumes, and say so."""
        known = self.settings.choices_of.get(self.volumes)
        if known is None and not before:
            return  # chosen before the volumes were: it is for them
        self.set_choices(self._usual_choices() if known is None else known)
        if known is None:
            return
        if words := self.changes_text():
            self.tell(
                f"As last time with these volumes: {words}. Reset them on the Run page.",
                as_long=lambda: self.changes_text() == words,
            )

    @property
    def lost(self) -> bool:
        """Whether the volumes were a file or a folder that is not there any more."""
        text = self.volumes
        return bool(text) and not self._places and not text.startswith("#") and not _exists(text)

    def offer_to_locate(self) -> None:
        """Say that the volumes are gone, and offer to show where they are now."""
        gone = self.volumes
        self.offer(
            f"{gone} was moved, renamed or deleted: choose other volumes above, or show where "
            "these are now.",
            LOCATE,
            self.locating.emit,
            lambda: self.volumes == gone and self.lost,
        )

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
    def unticked(self) -> set[str]:
        """Names of unticked volumes, also while these are not listed yet, or are gone."""
        return set(self.excluded if self.found else self._excluded_before)

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
    def labels_table(self) -> Path | None:
        """The table of labels, which need not exist; None while no volumes are listed."""
        folder = self.output_path
        if folder is None:
            return None
        from ..session.inputs import LABELS_FILE

        return folder / LABELS_FILE

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
        fingerprints: dict[str, str] = {}
        read = self._levels_to_read()
        if read == self._levels_read:
            return
        self._levels_read = read
        if self.found is not None:
            if self.source == ONE_LEVEL and self.level is not None:
                levels = dict.fromkeys(self.names, self.level)
            elif self.threshold_table is not None:
                from ..core.thresholds.tables import read_table

                try:
                    table = read_table(self.threshold_table, self.names)
                except SirenError as error:
                    self.tell(str(error), True)
                else:
                    levels, flags = table.levels, table.flags
                    fingerprints = table.fingerprints
        self._fingerprints = fingerprints
        levels = {n: v for n, v in levels.items() if not self._is_other(n)}
        if (levels, flags) != (self.levels, self.predicted_flags):
            self.levels, self.predicted_flags = levels, flags
            self.levels_changed.emit()
            if self.found is not None and levels and not self.unread:
                self.reader.flag(self.found, levels, flags)

    def _is_other(self, name: str) -> bool:
        """Whether a map, if it was read, is not the one that its level in the table is for."""
        preview, known = self.previews.get(name), self._fingerprints.get(name)
        return preview is not None and known is not None and preview.fingerprint != known

    def _levels_to_read(self) -> Any:
        """A key for everything that the contour levels depend on."""
        table = self.threshold_table
        return (id(self.found), self.source, self.level, table, file_stamp(table))

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
        others = [n for n in names if n in self.levels and self._is_other(n)]
        if others:
            self.levels = {n: v for n, v in self.levels.items() if n not in others}
            self.levels_changed.emit()
            self.tell(
                f"{others[0]} is not the map that {self.threshold_table} has a contour level for, "
                'so the level is not used: press "Predict". (If the files changed while they were '
                'listed here, "Reload" them first, in the menu beside Browse.)',
                True,
            )

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
        """Set the fields of the Run page; missing ones get SIREn's defaults."""
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

    def _usual_choices(self) -> dict[str, Any]:
        """The choices with which other volumes start: the user's own defaults."""
        return {"steps": self.settings.own_defaults}

    def set_steps(self, steps: dict[str, dict[str, Any]]) -> None:
        """Set the parameters of all steps; missing ones get SIREn's defaults."""
        self.steps = {step: dict(steps.get(step, {})) for step in commands.STEPS}
        self.changed()

    def changed(self) -> None:
        """Remember a changed field for these volumes, and reread contour levels."""
        if self.volumes and not self.volumes.startswith("#"):  # open maps are others next time
            self.settings.remember_choices(self.volumes, self.choices())
        self.choices_changed.emit()
        self.read_levels()

    def reset(self, step: str, mine: bool = False) -> None:
        """Give all parameters of a step SIREn's defaults, or the user's own."""
        self.steps[step] = dict(self.settings.own_defaults.get(step, {})) if mine else {}
        self.changed()

    def changes_text(self, step: str | None = None) -> str:
        """The parameters that differ from their defaults, of a step or of all, as keywords with
        their values; "" if there are none.
        """
        if step is not None:
            return commands.parameters_text(
                commands.STEPS[step], self.steps[step], ", ", inherits=step == "expand"
            )
        parts = [(s.capitalize(), self.changes_text(s)) for s in commands.STEPS]
        return "; ".join(f"{name} with {words}" for name, words in parts if words)


def _exists(volumes: str) -> bool:
    path = Path(volumes).expanduser()
    return path.exists() or any(c in volumes for c in ",*?[")  # several files, or a pattern


def _sentence(volumes: str, error: Exception) -> str:
    text = str(error)
    return (
        f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
        if text
        else f"{volumes} cannot be read."
    )
