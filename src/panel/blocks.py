"""The Blocks page: a table that follows the open surfaces, and the edits of ``siren block``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from chimerax.core.models import (
    ADD_MODELS,
    MODEL_DISPLAY_CHANGED,
    MODEL_NAME_CHANGED,
    MODEL_SELECTION_CHANGED,
    REMOVE_MODELS,
    Model,
)
from Qt.QtCore import QEvent, QItemSelection, QItemSelectionModel, Qt, Signal
from Qt.QtGui import QAction
from Qt.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSlider,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ..core.common.errors import SirenError
from ..core.runs.moved import wants_volumes
from ..core.runs.steps import Run, open_run
from ..session.commandline import name_text
from ..session.edits import BLOCKS_CHANGED, add_trigger, can_undo
from ..session.log import BESIDE, hidden_text, hide_sets
from ..session.moved import is_gone, kept_run
from ..session.scene import (
    as_saved,
    beside,
    blocks_of,
    edited,
    folder_of,
    hidden_sets,
    same_folder,
    set_of,
    sets_of_blocks,
)
from ..session.surfaces import BlockMap, block_spec
from ..session.words import nothing_found, path_text
from .block_actions import BlockActions
from .block_tools import BlockTools
from .blocks_table import (
    COLOR,
    NUMBER,
    BlocksModel,
    SortedBlocks,
    rows_of_models,
    rows_of_run,
    table_view,
)
from .exports import ExportButton
from .listed import LOCATE
from .widgets import Note, Page, ask_folder, key_text, single_shot, while_alive

REFRESH_DELAY = 60  # ms; changes in quick succession are shown together
SELECT_DELAY = 300  # ms of rest, as when arrow keys are held, before the surfaces are selected


class BlocksPage(Page):
    """The blocks of a run: view, name, color, select, edit, save and expand them.

    Parameters
    ----------
    session : ChimeraX session
    execute : runs a command and logs it; it also reports errors
    """

    volume_requested = Signal(str)  # never emitted here; the tool connects all pages alike
    refreshed = Signal()  # blocks may have other names or colors
    run_changed = Signal(object)  # Path of the new set after the edited blocks were saved
    lines_wanted = Signal(list)  # commands to run one after the other

    def __init__(self, session: Any, execute: Callable[[str], Any], parent: QWidget | None = None):
        super().__init__(parent)
        self.session, self._execute = session, execute
        self._folder: Path | None = None
        self._waits = False  # for the run to be read
        self._run: Run | None = None
        self._watched: WeakKeyDictionary[BlockMap, bool] = WeakKeyDictionary()
        self._from_session = False  # True while the selection of rows follows that of surfaces
        self.model = BlocksModel(self._show_one, self._rename)
        self.model.setParent(self)
        self._build()
        self._refresh_soon, self._select_soon = (
            single_shot(self, REFRESH_DELAY, self.refresh),
            single_shot(self, SELECT_DELAY, self._select_models),
        )
        self._listen()
        self.set_run(None)

    def set_run(self, folder: Path | None, run: Run | None = None, waits: bool = False) -> None:
        """Show a finished run; its blocks may be open, edited or closed. Pass ``run`` if the
        folder has been read already, or ``waits`` if it is being read.
        """
        self._folder, self._run, self._waits = folder, run, waits
        if folder is not None and run is None and not waits:
            with suppress(SirenError):  # blocks may still be open although their folder is gone
                self._run = open_run(folder)
        self.refresh()

    @property
    def blocks(self) -> list[BlockMap]:
        """The open blocks shown in the table: those of this run's set."""
        group = None if self._folder is None else set_of(self.session, self._folder)
        return [] if group is None else blocks_of(group)

    @property
    def chosen(self) -> list[BlockMap]:
        """The open blocks of the selected rows."""
        rows = sorted(
            {self.sorted.mapToSource(i).row() for i in self.view.selectionModel().selectedRows()}
        )
        return [m for r in rows if (m := self.model.rows[r].model) is not None and not m.deleted]

    def _hidden(self) -> list[BlockMap]:
        """The open blocks that are doubtful and hidden."""
        return [r.model for r in self.model.rows if r.model and r.doubtful and not r.model.display]

    # --- widgets

    def _build(self) -> None:
        self.title = QLabel(self)
        self.title.setWordWrap(True)
        self.open_button = QPushButton("Open as surfaces", self, clicked=self._open)
        self.locate_button = QPushButton(LOCATE, self, clicked=self._locate)
        self.locate_button.setToolTip(
            "The folder of these blocks, or of their volumes, is gone, or was not copied along: "
            "show where it is now (siren locate)"
        )
        self.sets = QToolButton(self)
        self.sets.setText("Open blocks")
        self.sets.setToolTip("Show another set of open blocks here, or open a folder of blocks")
        self.sets.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.sets.setMenu(QMenu(self.sets))
        self.sets.menu().aboutToShow.connect(self._list_sets)
        self.sorted = SortedBlocks(self)
        self.sorted.setSourceModel(self.model)
        self.view = table_view(self, self.sorted)
        self.view.selectionModel().selectionChanged.connect(self._selected)
        self.view.clicked.connect(self._clicked)
        self.edits = BlockActions(
            self.session,
            self.view,
            self._execute,
            lambda: self.chosen,
            lambda: self.blocks,
            self.title.setText,
            self._open_tool,
        )
        self.view.toggle_wanted.connect(self.edits.toggle)
        self.view.only_wanted.connect(self.edits.only)
        self.view.all_wanted.connect(self.edits.all)
        self.setFocusProxy(self.view)  # the keys of the page act there
        self.tools = BlockTools(
            self.session,
            self._execute,
            lambda: self.chosen,
            partial(self.edits.display, "show"),
            self,
        )
        self.doubts = Note(parent=self)
        self.doubts.linkActivated.connect(self._follow_link)
        self.view.customContextMenuRequested.connect(self.edits.menu)
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setRange(0, 100)
        self.slider.setToolTip(
            "Transparency in percent of the selected blocks, or of all if none is selected"
        )
        self.slider.valueChanged.connect(self._fade)
        self.slider.sliderReleased.connect(self._fade_done)
        self.save_button = QPushButton("Save set", self, clicked=self._save)
        self.save_button.setToolTip("Save the open blocks to a new folder (siren block save)")
        self.expand_button = QPushButton("Expand set", self, clicked=self._expand)
        self.expand_button.setToolTip(
            "Test every voxel against the blocks as edited (siren expand)"
        )
        self.export_button = ExportButton(
            self.session, self._execute, self._chosen_text, self._all_text, self
        )
        a = self.actions_ = self.edits.by_name
        view = [
            a["show"],
            a["hide"],
            a["only"],
            a["all"],
            None,
            QLabel("Transparency", self),
            self.slider,
        ]
        edit = [a["merge"], a["split"], a["delete"], a["rename"], None, a["undo"], a["redo"]]
        rows = [
            [self.title, self.locate_button, self.open_button, self.sets],
            view,
            [self.view],
            [self.doubts],
            edit,
            [self.tools],
            [
                a["shape"],
                a["label"],
                self.export_button,
                None,
                self.save_button,
                self.expand_button,
            ],
        ]
        layout = QVBoxLayout(self.content)
        layout.setContentsMargins(2, 4, 2, 4)
        layout.setSpacing(4)
        for row in rows:
            layout.addLayout(self._row(row), 1 if self.view in row else 0)

    def _row(self, items: Sequence[Any]) -> QHBoxLayout:
        """A row of widgets and of buttons for actions; None is a stretch."""
        row = QHBoxLayout()
        row.setSpacing(3)
        stretched = (self.title, self.doubts, self.view, self.slider, self.tools)
        for item in items:
            if item is None:
                row.addStretch(1)
            elif isinstance(item, QAction):
                button = QToolButton(self)
                button.setDefaultAction(item)
                if item.menu() is not None:
                    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
                row.addWidget(button)
            else:
                row.addWidget(item, 1 if item in stretched else 0)
        return row

    # --- from the session to the table

    def _listen(self) -> None:
        add_trigger(self.session)
        triggers = self.session.triggers
        names = (
            ADD_MODELS,
            REMOVE_MODELS,
            MODEL_DISPLAY_CHANGED,
            MODEL_NAME_CHANGED,
            MODEL_SELECTION_CHANGED,
            BLOCKS_CHANGED,
        )
        session_changed = while_alive(self, self._session_changed)
        for name in names:
            triggers.add_handler(name, session_changed)
        self._volume_callback = while_alive(self, self._volume_changed)

    def leave(self) -> None:
        """Listen to the open blocks no more, before the page is deleted."""
        self.tools.shut()
        for model in list(self._watched):
            if not model.deleted:
                model.remove_volume_change_callback(self._volume_callback)
        self._watched.clear()

    def event(self, event: QEvent) -> bool:
        """Override for Qt."""
        if event.type() == QEvent.Type.DeferredDelete:
            self.leave()
        return bool(super().event(event))

    def _session_changed(self, trigger: str, _: Any) -> None:
        if trigger == BLOCKS_CHANGED and self._folder is not None:
            self._follow_save()
        self._refresh_soon.start()

    def _follow_save(self) -> None:
        """Switch to the new folder if the blocks shown have been saved to one."""
        shown = next(
            (r.model for r in self.model.rows if r.model is not None and not r.model.deleted), None
        )
        if shown is not None and not same_folder(shown.siren_folder, self._folder or ""):
            self.set_run(Path(shown.siren_folder))
            self.run_changed.emit(self._folder)

    def _volume_changed(self, _: Any, change: str) -> None:
        if change in ("data values changed", "colors changed", "displayed"):
            self._refresh_soon.start()

    def refresh(self) -> None:
        """Show the current state of the blocks."""
        models = self.blocks
        for model in models:
            if model not in self._watched:
                model.add_volume_change_callback(self._volume_callback)
                self._watched[model] = True
        rows = rows_of_models(models) if models else rows_of_run(self._run) if self._run else []
        self._from_session = True
        current = self.view.currentIndex().row()
        try:
            self.model.set_rows(rows)
            self._select_rows()
            self._keep_current(current)
        finally:
            self._from_session = False
        self.view.fit_rows()
        self.tools.follow()
        self.open_button.setVisible(bool(rows) and not models)
        self.locate_button.setVisible(bool(models) and self._lost())
        self.title.setText(self._summary(bool(models)))
        self._note(len(rows))
        self._enable()
        if models and not self.slider.isSliderDown():
            self.slider.blockSignals(True)
            self.slider.setValue(
                round(100 * (1 - (next((r.color[3] for r in rows if r.color), 1.0))))
            )
            self.slider.blockSignals(False)
        self.refreshed.emit()

    def _note(self, rows: int) -> None:
        """Say which blocks are hidden, and whether others are in their place, each with a link."""
        notes, commands = [], []
        if hidden := self._hidden():
            notes.append(f'{hidden_text(len(hidden), rows)}: <a href="show">show</a>')
            commands.append(f"show {block_spec(hidden)} models")
        if others := self._beside():
            notes.append(f'{BESIDE}: <a href="hide">hide</a>')
            commands.append(hide_sets(others))
        self.doubts.setVisible(bool(notes))
        self.doubts.setText(". ".join(notes))
        self.doubts.setToolTip("\n".join(commands))

    def _beside(self) -> list[Model]:
        """The sets of other volumes that are seen together with this one."""
        group = next((m.parent for m in self.blocks if m.visible), None)
        return [] if group is None else beside(self.session, group)

    def _follow_link(self, link: str) -> None:
        if link == "show":
            self.edits.display("show", self._hidden())
        elif others := self._beside():
            self._execute(hide_sets(others))

    def _lost(self) -> bool:
        """Whether the folder of the run, or that of its volumes, is no longer there."""
        assert self._folder is not None
        if is_gone(self._folder):
            return True
        return self._run is not None and wants_volumes(self._run.record)

    def _summary(self, is_open: bool) -> str:
        if self._folder is None:
            return "No blocks of these volumes yet: run a sketch, or open blocks found earlier."
        rows = self.model.rows
        if not rows and self._waits:
            return f"{self._folder.name} …"
        if not rows:
            reason = nothing_found(self._run.record) if self._run else ""
            return f"{self._folder.name}: no blocks. {reason}".rstrip()
        text = (
            f"{self._folder.name}: {len(rows)} block{'s' * (len(rows) > 1)}, "
            f"{sum(r.voxels for r in rows):,} voxels"
        )
        edited = is_open and self._edited()
        apart = is_open and not any(m.parent.visible for m in self.blocks if m.parent)
        return (
            text
            + (", edited but not saved" if edited else "" if is_open else ", not open")
            + (", hidden" if apart else "")
            + (", folder not found" if is_open and is_gone(self._folder) else "")
        )

    def _edited(self) -> bool:
        """Whether the open blocks differ from those of the run; also if these are not known."""
        assert self._folder is not None
        kept = self._run or kept_run(self.session, self._folder)
        group = set_of(self.session, self._folder)
        return group is not None and (kept is None or not as_saved(group, kept.blocks))

    def _enable(self) -> None:
        count, some = len(self.chosen), bool(self.blocks)
        undo, redo = can_undo(self.session)
        enabled = {
            "all": some,
            "by": some,
            "label": some,
            "legend": some,
            "merge": count > 1,
            "undo": undo,
            "redo": redo,
            **dict.fromkeys(("show", "hide", "only", "color", "zoom", "delete", "shape"), count),
            **dict.fromkeys(("split", "rename", "pair"), count == 1),
        }
        for name, able in enabled.items():
            self.actions_[name].setEnabled(bool(able))
        for name, edit in (("undo", undo), ("redo", redo)):
            action = self.actions_[name]
            tip = f"{name.capitalize()}: {edit}" if edit else f"No edit to {name}"
            action.setToolTip(f"{tip} ({key_text(action.shortcut())})")
        for widget in (self.slider, self.save_button, self.expand_button):
            widget.setEnabled(some)
        self.export_button.setEnabled(bool(self.model.rows))

    def _select_rows(self) -> None:
        """Select the rows of the blocks selected in the session."""
        if self._select_soon.isActive():
            return  # the user is selecting rows
        wanted = {
            k
            for k, r in enumerate(self.model.rows)
            if r.model is not None and r.model.get_selected(include_children=True)
        }
        if wanted == {
            self.sorted.mapToSource(i).row() for i in self.view.selectionModel().selectedRows()
        }:
            return
        selection = QItemSelection()
        for k in wanted:
            index = self.sorted.mapFromSource(self.model.index(k, NUMBER))
            selection.select(index, index)
        mode = (
            QItemSelectionModel.SelectionFlag.ClearAndSelect
            | QItemSelectionModel.SelectionFlag.Rows
        )
        self.view.selectionModel().select(selection, mode)
        if wanted:
            self.view.scrollTo(self.sorted.mapFromSource(self.model.index(min(wanted), NUMBER)))

    def _keep_current(self, row: int) -> None:
        """Have the arrow keys go on from the selected row, or from that in the place of the
        current one, after other rows have replaced all.
        """
        count = self.sorted.rowCount()
        if self.view.currentIndex().isValid() or row < 0 or not count:
            return
        selected = [i.row() for i in self.view.selectionModel().selectedRows()]
        place = min(selected, default=min(row, count - 1))
        self.view.selectionModel().setCurrentIndex(
            self.sorted.index(place, NUMBER), QItemSelectionModel.SelectionFlag.NoUpdate
        )

    # --- from the table to the session

    def _selected(self, *_: Any) -> None:
        self._enable()
        self.tools.follow()
        if not self._from_session:
            self._select_soon.start()

    def _select_models(self) -> None:
        chosen = self.chosen
        now = [m for m in self.blocks if m.get_selected(include_children=True)]
        if chosen != now:
            self._execute(f"select {block_spec(chosen)}" if chosen else "select clear")

    def _clicked(self, index: Any) -> None:
        if index.column() == COLOR:
            self.edits.recolor()

    def _show_one(self, model: BlockMap, show: bool) -> None:
        self.edits.display("show" if show else "hide", [model])

    def _rename(self, model: BlockMap, name: str) -> None:
        self._execute(f"siren block rename {block_spec([model])} {name_text(name.strip())}")

    def _fade(self, percent: int) -> None:
        """Fade the surfaces while the slider is dragged; one command follows at the end."""
        if not self.slider.isSliderDown():
            self._fade_done()
            return
        for model in self.chosen or self.blocks:
            model.set_transparency(255 - round(2.55 * percent))

    def _fade_done(self) -> None:
        models = self.chosen or self.blocks
        if models:
            self._execute(f"transparency {block_spec(models)} {self.slider.value()} target s")

    def _open(self) -> None:
        self._execute(f"siren open {path_text(self._folder)}" if self._folder else "")

    def _open_tool(self, name: str) -> None:
        self.tools.open(getattr(self.tools, name))

    def _list_sets(self) -> None:
        """Fill the menu of sets of blocks with those open now."""
        menu = self.sets.menu()
        menu.clear()
        shown = self.blocks[0].parent if self.blocks else None
        for group in sets_of_blocks(self.session):
            if folder_of(group):
                action = menu.addAction(f"#{group.id_string}  {group.name}")
                action.setCheckable(True)
                action.setChecked(group is shown)
                action.triggered.connect(partial(self._choose_set, group))
        menu.addSeparator()
        if hidden := hidden_sets(self.session):
            changed = sum(bool(edited(g)) for g in hidden)
            text = f"{len(hidden)}, {changed} with edits not saved" if changed else len(hidden)
            close = menu.addAction(f"Close hidden blocks ({text})")
            close.triggered.connect(self._close_hidden)
        menu.addAction("Open a folder of blocks...").triggered.connect(self._open_folder)

    def _choose_set(self, group: Any, *_: Any) -> None:
        """Show a set in the table, and alone in the scene."""
        others = [g for g in sets_of_blocks(self.session) if g is not group and g.display]
        hide = f"hide {' '.join(f'#!{g.id_string}' for g in others)} models; " if others else ""
        self._execute(f"{hide}show #!{group.id_string} models")
        self.run_changed.emit(Path(folder_of(group)))

    def _close_hidden(self, *_: Any) -> None:
        hidden = " ".join(f"#{g.id_string}" for g in hidden_sets(self.session))
        self._execute(f"close {hidden}" if hidden else "")

    def _open_folder(self, *_: Any) -> None:
        folder = self._ask_folder()
        if folder:
            self._execute(f"siren open {path_text(Path(folder))}")

    def _ask_folder(self, title: str = "Folder of a sketch or expansion") -> str:
        return ask_folder(self, title, str(self._folder or ""))

    def _locate(self) -> None:
        folder = self._ask_folder("Where the folder of these blocks or volumes is now")
        if folder:
            self._execute(f"siren locate {path_text(Path(folder))}")

    def _chosen_text(self) -> str:
        """The selected blocks, or all, as a command names them."""
        models = self.chosen or self.blocks
        return block_spec(models) if models else self._all_text()

    def _all_text(self) -> str:
        return block_spec(self.blocks) if self.blocks else path_text(self._folder or Path())

    def _save(self) -> None:
        self.edits.do("siren block save", self.blocks)

    def _expand(self) -> None:
        blocks = self.blocks
        if blocks and self._edited() and self._run and self._run.record.step == "expand":
            # its folder is where the expansion goes: what was edited is saved beside it first
            spec = block_spec(blocks)
            self.lines_wanted.emit([f"siren block save {spec}", f"siren expand {spec}"])
        else:
            self.edits.do("siren expand", blocks)
