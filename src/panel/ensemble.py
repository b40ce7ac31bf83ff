"""The Ensemble page: look through the volumes and choose which take part."""

from __future__ import annotations

from itertools import pairwise
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING, Any

from Qt.QtCore import QModelIndex, Signal
from Qt.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ..core.analysis.selection import Selection
from ..core.common.errors import SirenError
from . import commands
from .block_chips import BlockChips
from .exports import UseButton
from .find import FindField
from .histogram import LevelHistogram
from .player import Player
from .state import PanelState
from .volumes import VolumesTable
from .widgets import MARGIN, Note, Page, add_key, plain_layout, single_shot

if TYPE_CHECKING:
    from ..core.maps.ensemble import Source

REST = 400  # ms on a row before its command is logged
BESIDE = 16  # pixels beside the text of a button, at least
SELECTED = 60  # ms of rest before others follow the selection
FRAME = 15  # ms between choosing a row and showing it: a held key skips rows rather than lags


class EnsemblePage(Page):
    """The list of volumes, the histogram of contour levels, and buttons to choose volumes."""

    shown = Signal(str)  # name of the volume now shown
    selected = Signal(list)  # names of the selected volumes

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.state = state
        self.table = VolumesTable(state, self)
        self.histogram = LevelHistogram(self)
        self.count = Note(parent=self)
        self.find = FindField(self.table.rows, self.table, self)
        self.find.setPlaceholderText("find by name, flag, blocks")
        self.find.setToolTip(
            f"{self.find.toolTip()}.\nBlocks: with 3 without 5, as in commands; or has 3, lacks 5"
        )
        self.chips = BlockChips(self)
        self.use = UseButton(
            state.session, state.execute, self._asked, lambda: state.run_folder, self
        )
        self.use.setEnabled(False)
        self.player = Player(self.table, self._is_ready, self)
        self._wanted: str | None = None
        self._wanted_level: float | None = None  # another than that of the run
        self._command = ""
        self._shown_place = ""  # of the volume shown last, as a command names it
        self._show_timer = single_shot(self, FRAME, self._show_wanted)
        self._log_timer = single_shot(self, REST, self._log_shown)
        self._select_timer = single_shot(self, SELECTED, self._tell_selected)
        layout = QVBoxLayout(self.content)
        plain_layout(layout, MARGIN // 2)
        above = QHBoxLayout()
        plain_layout(above)
        above.addWidget(self.find, 1)
        above.addWidget(self.player)
        layout.addLayout(above)
        asked = QHBoxLayout()
        plain_layout(asked)
        asked.addWidget(self.chips, 1)
        asked.addWidget(self.use)
        layout.addLayout(asked)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.histogram)
        layout.addWidget(self.count)
        layout.addLayout(self._buttons())
        self.table.selectionModel().currentRowChanged.connect(self._current_changed)
        self.table.clicked.connect(self._clicked)
        self.table.toggle_wanted.connect(self._toggle)
        self.table.untick_wanted.connect(self._untick)
        self.table.play_wanted.connect(self.player.toggle)
        self.table.row_hidden.connect(self.find.clear)
        self.table.selectionModel().selectionChanged.connect(self._selection_changed)
        self.find.found.connect(self._found)
        self.chips.asked.connect(self.ask_blocks)
        self.player.playing_changed.connect(self._log_where_it_rests)
        self.setFocusProxy(self.table)  # the keys of the page act there
        state.flags_changed.connect(self.find.again)
        state.states_changed.connect(self._states_changed)
        state.ensemble_changed.connect(self.player.pause)
        order = (
            self.find,
            *self.player.fields,
            self.chips,
            self.use,
            self.table,
            *self.buttons.values(),
        )
        for before, after in pairwise(order):
            self.setTabOrder(before, after)
        for signal in (
            state.ensemble_changed,
            state.levels_changed,
            state.selection_changed,
            state.flags_changed,
        ):
            signal.connect(self._refresh)
        state.levels_changed.connect(self._follow_level)
        self._refresh()

    def show_volume(self, name: str, level: float | None = None) -> None:
        """Show a volume in the model that all volumes share, at its contour level or another."""
        self._wanted, self._wanted_level = name, level
        self._show_timer.start()

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        plain_layout(row)
        self.buttons: dict[str, QPushButton] = {}
        for text, tip, keys, call in (
            ("Include", "Tick the selected volumes", "Alt+I", lambda: self._choose(True)),
            ("Exclude", "Untick the selected volumes", "Alt+X", lambda: self._choose(False)),
            (
                "Invert",
                "Tick the unticked volumes and untick the ticked ones",
                "Alt+N",
                self._invert,
            ),
            ("Exclude flagged", "Untick all volumes with a flag", "Alt+G", self._exclude_flagged),
        ):
            button = self.buttons[text] = QPushButton(text, self)
            button.setToolTip(tip)
            # styles ask for wider buttons than a narrow panel has room for
            widest = text + " (999)" * (text == "Exclude flagged")
            button.setMinimumWidth(button.fontMetrics().horizontalAdvance(widest) + BESIDE)
            button.clicked.connect(call)
            add_key(self, keys, button)
            row.addWidget(button)
        row.addStretch(1)
        return row

    # --- finding

    def _asked(self) -> Selection:
        return self.table.rows.selection

    def _found(self) -> None:
        self.chips.show_selection(self._asked())
        self.use.setEnabled(self._asked() != Selection() and not self.table.rows.problem)
        self._refresh()

    def _states_changed(self) -> None:
        self.chips.show_blocks(self.state.known)
        self.find.again()

    def ask_blocks(self, selection: Selection) -> None:
        """Write what is asked of blocks into the field, after the other words in it."""
        try:
            words = Selection.parse(self.find.text())[1]
        except SirenError:
            words = ""
        asked = selection.words if selection != Selection() else ""
        self.find.setText(f"{words} {asked}".strip())

    def select(self, names: list[str]) -> None:
        """Select these volumes in the list."""
        if not self.table.select(names) and names:
            self.state.tell("None of these volumes is in the list: choose their folder above.")

    def _selection_changed(self, *_: Any) -> None:
        self._select_timer.start()

    def _tell_selected(self) -> None:
        self.selected.emit(self.table.selected())
        self._refresh_count()

    # --- choosing

    def _choose(self, ticked: bool) -> None:
        names = set(self.table.selected())
        self.state.set_excluded(
            self.state.excluded - names if ticked else self.state.excluded | names
        )

    def _untick(self) -> None:
        self._choose(False)

    def _toggle(self) -> None:
        """Untick the selected volumes if all are ticked, else tick them; while playing, pause."""
        if self.player.playing:
            self.player.pause()
        else:
            self._choose(bool(set(self.table.selected()) & self.state.excluded))

    def _invert(self) -> None:
        self.state.set_excluded(set(self.state.names) - self.state.excluded)

    def _exclude_flagged(self) -> None:
        self.state.set_excluded(self.state.excluded | set(self.state.flags))

    def _refresh_count(self) -> None:
        names, state, rows = self.state.names, self.state, self.table.rows
        parts = []
        if rows.problem:
            parts = [rows.problem]
        elif names:
            parts = [f"{len(state.included):,} of {len(names):,} ticked"]
            parts += [f"{count:,} flagged"] if (count := len(self._flagged())) else []
            parts += [f"{rows.rowCount():,} found"] if rows.searching else []
            chosen = len(self.table.selected())
            parts += [f"{chosen:,} selected"] if chosen > 1 else []
            parts += [] if state.levels else ["no contour levels yet: run Predict"]
        self.count.setText(", ".join(parts))

    def _flagged(self) -> list[str]:
        listed = set(self.state.names)
        return [n for n in self.state.flags if n in listed]

    def _refresh(self) -> None:
        names, state = self.state.names, self.state
        self.histogram.set_levels(state.levels, state.excluded)
        waiting = [n for n in self._flagged() if n not in state.excluded]
        self._refresh_count()
        self.buttons["Exclude flagged"].setText(
            f"Exclude flagged ({len(waiting)})" if waiting else "Exclude flagged"
        )
        self.buttons["Exclude flagged"].setEnabled(bool(waiting))
        for text in ("Include", "Exclude", "Invert"):
            self.buttons[text].setEnabled(bool(names))

    # --- showing

    def _current_changed(self, index: QModelIndex, _: QModelIndex | None = None) -> None:
        name, self.table.volumes.box_clicked = self.table.name_at(index), False
        if name is not None and not self._is_shown(name):
            self.show_volume(name)

    def _clicked(self, index: QModelIndex) -> None:
        """Show the volume of a row, also if it is the current one and was hidden, closed or
        contoured at another level since; a click on its check box leaves it as it is.
        """
        name, volumes = self.table.name_at(index), self.table.volumes
        ticked, volumes.box_clicked = volumes.box_clicked, False
        if name is not None and not ticked and not self._is_shown(name):
            self.show_volume(name)

    def _is_shown(self, name: str) -> bool:
        """Whether a volume is seen at its contour level, or is about to be."""
        if self._show_timer.isActive():
            return name == self._wanted
        from ..session.shown_map import shown_map

        shown, source = shown_map(self.state.session), self.state.source_of(name)
        if shown is None or source is None or not (shown.visible and shown.shown()):
            return False
        level, levels = self.state.levels.get(name), [s.level for s in shown.surfaces]
        at_level = level is None or (len(levels) == 1 and isclose(levels[0], level, rel_tol=1e-4))
        return (
            shown.name in (name, Path(name).name)
            and self._shown_place == self._place_text(source)
            and at_level
        )

    def _follow_level(self) -> None:
        """Contour the shown volume at its new level."""
        name = self._wanted
        source = self.state.source_of(name) if name else None
        if name is None or source is None or name not in self.state.levels:
            return
        from ..session.shown_map import shown_map

        shown = shown_map(self.state.session)
        same = shown is not None and shown.name in (name, Path(name).name) and shown.visible
        if same and self._shown_place == self._place_text(source) and not self._is_shown(name):
            self.show_volume(name)

    def _show_wanted(self) -> None:
        source = self.state.source_of(self._wanted) if self._wanted else None
        if source is None or self._wanted is None:
            return
        level = self.state.levels.get(self._wanted)
        self.histogram.mark(level)
        if self._wanted_level is not None:
            level = self._wanted_level
        self._command = commands.join(
            "siren show",
            self._place_text(source),
            commands.keywords_text(
                level=None if level is None else float(f"{level:.6g}"),
                voxel_size=self.state.voxel_size,
            ),
        )
        if self.state.execute(self._command, log=False) is not None:
            self._shown_place = self._place_text(source)
            if not self.player.playing:
                self._log_timer.start()
            self.shown.emit(self._wanted)
            return
        self.player.pause()
        if source.path is not None and not source.path.is_file():
            self.state.tell(
                f"{source.path} no longer exists: restore it, or reload the folder "
                "(arrow beside Browse).",
                True,
            )

    def _is_ready(self) -> bool:
        """Whether nothing waits to be shown."""
        return not self._show_timer.isActive()

    def _log_where_it_rests(self, playing: bool) -> None:
        """The log gets the command for the volume at which playing was paused."""
        if not playing and self._command:
            self._log_timer.start()

    def _log_shown(self) -> None:
        self.state.log_only(self._command)

    def _place_text(self, source: Source) -> str:
        place = self.state.place_of(source.name)
        return commands.volumes_text(place if place.startswith("#") else str(Path(place)))
