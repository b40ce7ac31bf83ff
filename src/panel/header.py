"""The top of the panel: which volumes to work on."""

from __future__ import annotations

from pathlib import Path

from chimerax.core.commands import concise_model_spec
from Qt.QtCore import Qt, Signal
from Qt.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from .listed import LOCATE
from .state import PanelState
from .widgets import Note, plain_layout

HINT = (
    "SIREn finds the parts that come and go in hundreds of aligned maps. Choose the folder of "
    'your maps above. No data at hand? <a href="example">Try the example</a>'
)


def short(path: str) -> str:
    """A path with ~ for the home folder, to fit a narrow panel."""
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path == home or path.startswith(home + "/") else path


class Header(QWidget):
    """The field for the volumes with its menu, a one-line summary, and a hint for first use."""

    example_wanted = Signal()

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.state = state
        self._shown = ""  # the volumes that the field has shown last
        self._text = ""  # what was written or entered there last
        self.field = QComboBox(self)
        self.field.setEditable(True)
        self.field.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.field.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.field.setToolTip(
            "A folder of maps, map files (commas and wildcards work), or open maps like #1-20"
        )
        self.field.lineEdit().setPlaceholderText("folder of maps, or open maps like #1-20")
        self.field.lineEdit().returnPressed.connect(self._entered)
        self.field.activated.connect(lambda _: self._entered())
        label = QLabel("Volumes", self)
        label.setBuddy(self.field)
        browse = QToolButton(self)
        browse.setText("Browse")
        browse.setToolTip("Choose a folder of maps; click the arrow for map files and open maps")
        browse.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        browse.clicked.connect(self._browse_folder)
        menu = QMenu(browse)
        menu.addAction("Folder of maps…", self._browse_folder)
        menu.addAction("Map files…", self._browse_files)
        menu.addAction("Open maps", self._use_open_maps)
        menu.addSeparator()
        menu.addAction("Reload", lambda: state.set_volumes(state.volumes, state.excluded))
        browse.setMenu(menu)
        row = QHBoxLayout()
        plain_layout(row)
        row.addWidget(label)
        row.addWidget(self.field, 1)
        row.addWidget(browse)
        self.summary = Note(parent=self)
        self.summary.linkActivated.connect(self._follow_link)
        self.hint = QLabel(HINT, self)
        self.hint.setWordWrap(True)
        self.hint.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.hint.linkActivated.connect(lambda _: self.example_wanted.emit())
        layout = QVBoxLayout(self)
        plain_layout(layout, 0, 2)
        layout.addLayout(row)
        layout.addWidget(self.summary)
        layout.addWidget(self.hint)
        state.ensemble_changed.connect(self.refresh)
        state.reader.finished.connect(lambda _: self.refresh())
        state.previews_changed.connect(lambda _: self.refresh())
        self.refresh()

    @property
    def typing(self) -> bool:
        """Whether the field holds what is not entered yet. Qt's own mark for it is taken away by
        each completion.
        """
        return str(self.field.currentText()) != self._text

    def refresh(self) -> None:
        """Show the state."""
        state, found = self.state, self.state.found
        # what is being typed stays, whatever is read meanwhile, unless other volumes are chosen
        if state.volumes != self._shown or not self.typing:
            self._shown = state.volumes
            recent = [short(v) for v in state.settings.recent]
            if [self.field.itemText(i) for i in range(self.field.count())] != recent:
                self.field.clear()
                self.field.addItems(recent)
            self._text = short(state.volumes)
            # writing would undo a selection, which the next key is to replace
            if self.field.currentText() != self._text:
                self.field.setEditText(self._text)
                if self.field.lineEdit().hasFocus():  # the next key is to replace it
                    self.field.lineEdit().selectAll()
        self.hint.setVisible(not state.volumes)
        self.summary.setVisible(bool(state.volumes))
        if found is None:
            if state.lost:
                self.summary.setText(
                    f'Not there: moved, renamed or deleted? <a href="locate">{LOCATE}</a>'
                )
                return
            self.summary.setText("Listing the maps …" if state.reader.busy else "No maps listed.")
            return
        text = f"{len(found.names):,} volumes, {found.grid.text().replace('A/voxel', 'Å/voxel')}"
        read = len(state.previews) + sum(1 for n in state.flags if n not in state.previews)
        if state.reader.busy and read < len(found.names):
            text += f"; reading {read:,} of {len(found.names):,}"
        if state.unread:
            from ..core.compute.resources import format_size

            text += (
                f'. <a href="look">Read all {format_size(state.unread)} for pictures and flags</a>'
            )
        self.summary.setText(text)

    def _follow_link(self, address: str) -> None:
        if address == "locate":
            self.state.locating.emit()
        else:
            self.state.look_at_all()

    def _entered(self) -> None:
        self._text = str(self.field.currentText())
        self.state.set_volumes(self._text)

    def _browse_folder(self) -> None:
        start = self.state.volumes if Path(self.state.volumes or "?").is_dir() else str(Path.home())
        folder = QFileDialog.getExistingDirectory(self, "Folder of the maps", start)
        if folder:
            self.state.set_volumes(folder)

    def _browse_files(self) -> None:
        from ..core.maps.mapfile import COMPRESSIONS, SUFFIXES

        patterns = " ".join(f"*{s}{c}" for s in SUFFIXES for c in COMPRESSIONS)
        files, _ = QFileDialog.getOpenFileNames(
            self, "Map files", self.state.volumes or str(Path.home()), f"Maps ({patterns})"
        )
        if files:
            self.state.set_volumes(",".join(files))

    def _use_open_maps(self) -> None:
        from chimerax.map import Volume

        from ..session.shown_map import EnsembleMap
        from ..session.surfaces import BlockMap

        maps = [
            m
            for m in self.state.session.models.list(type=Volume)
            if not isinstance(m, (BlockMap, EnsembleMap))
        ]
        if len(maps) < 2:
            self.state.tell(
                "Fewer than 2 maps are open: choose a folder of maps, or open more.", True
            )
            return
        spec = concise_model_spec(self.state.session, maps, allow_empty_spec=False)
        self.state.set_volumes(str(spec).replace("!", ""))
