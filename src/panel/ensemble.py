"""The Ensemble page: look through the volumes and choose which take part."""

from __future__ import annotations

from html import escape
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING

from Qt.QtCore import QModelIndex, QTimer, Signal
from Qt.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from . import commands
from .histogram import LevelHistogram
from .state import PanelState
from .volumes import VolumesTable
from .widgets import MARGIN, Note, Page, plain_layout

if TYPE_CHECKING:
    from ..core.maps.ensemble import Source

REST = 400  # ms on a row before its command is logged
BESIDE = 16  # pixels beside the text of a button, at least
FRAME = 15  # ms between choosing a row and showing it: a held key skips rows rather than lags


class EnsemblePage(Page):
    """The list of volumes, the histogram of contour levels, and buttons to choose volumes."""

    shown = Signal(str)  # name of the volume now shown

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.state = state
        self.table = VolumesTable(state, self)
        self.histogram = LevelHistogram(self)
        self.count = Note(parent=self)
        self._wanted: str | None = None
        self._command = ""
        self._shown_place = ""  # of the volume shown last, as a command names it
        self._show_timer = self._timer(FRAME, self._show_wanted)
        self._log_timer = self._timer(REST, self._log_shown)
        layout = QVBoxLayout(self.content)
        plain_layout(layout, MARGIN // 2)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.histogram)
        layout.addWidget(self.count)
        layout.addLayout(self._buttons())
        self.table.selectionModel().currentRowChanged.connect(self._current_changed)
        self.table.clicked.connect(self._clicked)
        for signal in (
            state.ensemble_changed,
            state.levels_changed,
            state.selection_changed,
            state.flags_changed,
        ):
            signal.connect(self._refresh)
        state.levels_changed.connect(self._follow_level)
        self._refresh()

    def show_volume(self, name: str) -> None:
        """Show a volume at its contour level, in the model that all volumes share."""
        self._wanted = name
        self._show_timer.start()

    def _timer(self, milliseconds: int, call: object) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(call)
        return timer

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        plain_layout(row)
        self.buttons: dict[str, QPushButton] = {}
        for text, tip, call in (
            ("Include", "Tick the selected volumes", lambda: self._choose(True)),
            ("Exclude", "Untick the selected volumes", lambda: self._choose(False)),
            ("Invert", "Tick the unticked volumes and untick the ticked ones", self._invert),
            ("Exclude flagged", "Untick all volumes with a flag", self._exclude_flagged),
        ):
            button = self.buttons[text] = QPushButton(text, self)
            button.setToolTip(tip)
            # styles ask for wider buttons than a narrow panel has room for
            widest = text + " (999)" * (text == "Exclude flagged")
            button.setMinimumWidth(button.fontMetrics().horizontalAdvance(widest) + BESIDE)
            button.clicked.connect(call)
            row.addWidget(button)
        row.addStretch(1)
        return row

    # --- choosing

    def _choose(self, ticked: bool) -> None:
        names = set(self.table.selected())
        self.state.set_excluded(
            self.state.excluded - names if ticked else self.state.excluded | names
        )

    def _invert(self) -> None:
        self.state.set_excluded(set(self.state.names) - self.state.excluded)

    def _exclude_flagged(self) -> None:
        self.state.set_excluded(self.state.excluded | set(self.state.flags))

    def _refresh(self) -> None:
        names, state = self.state.names, self.state
        self.histogram.set_levels(state.levels, state.excluded)
        flagged = [n for n in state.flags if n in set(names)]
        waiting = [n for n in flagged if n not in state.excluded]
        if names:
            parts = [f"{len(state.included):,} of {len(names):,} ticked"]
            parts += [f"{len(flagged):,} flagged"] if flagged else []
            parts += [] if state.levels else ["no contour levels yet: run Predict"]
            self.count.setText(", ".join(parts))
        else:
            self.count.setText("")
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
            self._log_timer.start()
            self.shown.emit(self._wanted)
        elif source.path is not None and not source.path.is_file():
            self.state.tell(
                f"{escape(str(source.path))} no longer exists: restore it, or reload the folder "
                "(arrow beside Browse).",
                True,
            )

    def _log_shown(self) -> None:
        self.state.log_only(self._command)

    def _place_text(self, source: Source) -> str:
        place = self.state.place_of(source.name)
        return commands.volumes_text(place if place.startswith("#") else str(Path(place)))
