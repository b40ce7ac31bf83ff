"""The actions of the Blocks page; each runs a command on the selected blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from Qt.QtCore import QObject, Qt
from Qt.QtGui import QAction, QColor, QKeySequence
from Qt.QtWidgets import QColorDialog, QMenu, QTableView

from ..session.edits import surface_color
from ..session.surfaces import BlockMap, block_spec
from .blocks_table import NAME
from .widgets import key_text

MENU = (
    "show",
    "hide",
    "only",
    "all",
    "",
    "color",
    "by",
    "label",
    "rename",
    "zoom",
    "pair",
    "",
    "merge",
    "split",
    "shape",
    "delete",
    "",
    "undo",
    "redo",
)
ENTER = key_text("Return")
ERASER = "eraser sphere"  # model name of the sphere of ChimeraX's Map Eraser


class BlockActions(QObject):
    """The actions behind buttons, context menu and keys of the Blocks page.

    Parameters
    ----------
    session : ChimeraX session
    view : the table; also the parent of the actions
    execute : runs a command and logs it
    chosen, blocks : return the open blocks of the selected rows, and of all rows
    tell : shows a sentence on the page
    open_tool : opens one of the tools below the table: split, grow or paint

    Attributes
    ----------
    by_name : the actions by short name
    """

    def __init__(
        self,
        session: Any,
        view: QTableView,
        execute: Callable[[str], Any],
        chosen: Callable[[], list[BlockMap]],
        blocks: Callable[[], list[BlockMap]],
        tell: Callable[[str], None],
        open_tool: Callable[[str], None],
    ):
        super().__init__(view)
        self._session, self._view, self._execute = session, view, execute
        self._chosen, self._blocks, self._tell = chosen, blocks, tell
        self._open_tool = open_tool
        self._make_actions()

    def _make_actions(self) -> None:
        def action(text: str, tip: str, do: Callable[[], Any] | None, keys: str = "") -> QAction:
            made = QAction(text, self)
            made.setToolTip(f"{tip} ({key_text(keys)})" if keys else tip)
            if do is not None:
                made.triggered.connect(lambda *_: do())
            if keys:
                made.setShortcut(QKeySequence(keys))
                made.setShortcutContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                self._view.addAction(made)
            return made

        self.by_name = {
            "show": action(
                "Show", "Show the selected blocks", lambda: self.display("show", self._chosen())
            ),
            "hide": action(
                "Hide", "Hide the selected blocks", lambda: self.display("hide", self._chosen())
            ),
            "only": action(
                "Only", f"Show the selected blocks and hide the others ({ENTER})", self.only
            ),
            "all": action("All", f"Show all blocks (Shift+{ENTER})", self.all),
            "color": action(
                "Color...", "Choose a color for the selected blocks", self.recolor, "C"
            ),
            "zoom": action(
                "Zoom to",
                "Fit the selected blocks to the window",
                lambda: self.do("view", self._chosen()),
                "Z",
            ),
            "legend": action(
                "Legend",
                "Show a legend of the blocks in the picture (siren block legend)",
                lambda: self._execute("siren block legend"),
            ),
            "merge": action(
                "Merge",
                "Merge the selected blocks into one (siren block merge)",
                lambda: self.do("siren block merge", self._chosen()),
                "M",
            ),
            "split": action(
                "Split off", "Split parts off the selected block (siren block split)", None
            ),
            "shape": action("Shape", "Grow, shrink or paint the selected blocks", None),
            "label": action("Label", "Numbers and names in the picture", None),
            "delete": action(
                "Delete",
                "Remove the selected blocks from the set; no file is touched (siren block delete)",
                lambda: self.do("siren block delete", self._chosen()),
                "Del",
            ),
            "rename": action(
                "Rename",
                "Name the selected block (siren block rename)",
                self._edit_name,
                "F2",
            ),
            "undo": action(
                "Undo",
                "Undo the last edit (siren block undo)",
                lambda: self._execute("siren block undo"),
                "U",
            ),
            "redo": action(
                "Redo",
                "Redo the last undone edit (siren block redo)",
                lambda: self._execute("siren block redo"),
                "Shift+U",
            ),
            "pair": action(
                "Volumes with and without it",
                "Open a volume with the block and one without it side by side "
                "(siren representatives)",
                lambda: self.do("siren representatives", self._chosen()),
            ),
        }
        split = QMenu(self._view)
        split.addAction(
            action(
                "Separate pieces",
                "Make each separate piece a block of its own",
                lambda: self.do("siren block split", self._chosen()),
                "P",
            )
        )
        split.addAction(
            action(
                "Part inside the Map Eraser sphere",
                "Place the sphere with ChimeraX's Map Eraser first",
                lambda: self._with_sphere("siren block split"),
            )
        )
        split.addAction(
            action(
                "Choose the gap...",
                "See the pieces in the picture while a slider changes the gap",
                lambda: self._open_tool("split"),
                "Shift+P",
            )
        )
        self.by_name["split"].setMenu(split)
        shape = QMenu(self._view)
        for text, tip, do, key in (
            ("Grow or shrink...", "siren block grow, siren block shrink", self._tool("grow"), "G"),
            ("Paint with the mouse...", "siren block paint", self._tool("paint"), "B"),
            (
                "Add what is in the Map Eraser sphere",
                "Place the sphere with ChimeraX's Map Eraser first",
                partial(self._with_sphere, "siren block paint"),
                "",
            ),
            (
                "Erase what is in the Map Eraser sphere",
                "Place the sphere with ChimeraX's Map Eraser first",
                partial(self._with_sphere, "siren block paint", " erase true"),
                "",
            ),
        ):
            shape.addAction(action(text, tip, do, key))
        self.by_name["shape"].setMenu(shape)
        label = QMenu(self._view)
        for word, text in (
            ("number", "Numbers on blocks"),
            ("name", "Names on blocks"),
            ("both", "Numbers and names on blocks"),
            ("none", "No labels on blocks"),
        ):
            do = partial(self._label, word)
            label.addAction(action(text, f"siren block label ... {word}", do))
        label.addSeparator()
        label.addAction(self.by_name["legend"])
        label.addAction(
            action(
                "No legend",
                "siren block legend false",
                lambda: self._execute("siren block legend false"),
            )
        )
        self.by_name["label"].setMenu(label)
        by = QMenu("Color by", self._view)
        for word, text in (
            ("block", "Block"),
            ("strength", "Strength of each voxel"),
            ("stability", "Stability"),
        ):
            by.addAction(
                action(text, f"siren block color ... {word}", partial(self._color_by, word))
            )
        self.by_name["by"] = by.menuAction()

    def menu(self, place: Any) -> None:
        """Show the context menu at a position in the table."""
        menu, a = QMenu(self._view), self.by_name
        for name in MENU:
            menu.addAction(a[name]) if name else menu.addSeparator()
        menu.exec(self._view.viewport().mapToGlobal(place))

    def do(self, command: str, models: Sequence[BlockMap], more: str = "") -> None:
        """Run a command on these blocks, if there are any."""
        if models:
            self._execute(f"{command} {block_spec(models)}{more}")

    def display(self, word: str, models: Sequence[BlockMap]) -> None:
        """``show`` or ``hide`` these blocks; none of a hidden set is shown along with them."""
        if not models:
            return
        others = [m for m in self._blocks() if m.display and m not in models]
        hide = ""
        if word == "show" and others and not models[0].parent.visible:
            hide = f"hide {block_spec(others)} models; "
        self._execute(f"{hide}{word} {block_spec(models)} models")

    def toggle(self) -> None:
        """Hide the selected blocks, or show them if one of them is hidden."""
        chosen = self._chosen()
        seen = bool(chosen) and all(m.display and m.parent.visible for m in chosen)
        self.display("hide" if seen else "show", chosen)

    def all(self) -> None:
        """Show all blocks."""
        self.display("show", self._blocks())

    def only(self) -> None:
        """Show the selected blocks and hide the others."""
        chosen = self._chosen()
        if not chosen:
            return
        others = [m for m in self._blocks() if m not in chosen]
        hide = f"hide {block_spec(others)} models; " if others else ""
        self._execute(f"{hide}show {block_spec(chosen)} models")

    def _edit_name(self) -> None:
        rows = self._view.selectionModel().selectedRows(NAME)
        if rows:
            self._view.edit(rows[0])

    def recolor(self) -> None:
        """Ask for a color and apply it to the selected blocks."""
        chosen = self._chosen()
        if chosen:
            color = self._ask_color(QColor.fromRgbF(*surface_color(chosen[0])[:3]))
            if color.isValid():
                self._execute(f"color {block_spec(chosen)} {color.name()} target s")

    def _color_by(self, word: str) -> None:
        models = self._chosen() or self._blocks()
        if models:
            self._execute(f"siren block color {block_spec(models)} {word}")

    def _ask_color(self, now: QColor) -> QColor:
        return QColorDialog.getColor(now, self._view, "Block color")

    def _label(self, word: str) -> None:
        self.do("siren block label", self._chosen() or self._blocks(), f" {word}")

    def _tool(self, name: str) -> Callable[[], None]:
        return lambda: self._open_tool(name)

    def _with_sphere(self, command: str, more: str = "") -> None:
        """Run a command with the place of the Map Eraser's sphere, which is shown if it is not."""
        sphere = next((m for m in self._session.models.list() if m.name == ERASER), None)
        if sphere is None:
            self._execute('ui tool show "Map Eraser"')
            self._tell("Move the Map Eraser sphere where it is wanted, then choose this again.")
        else:
            place = f" center #{sphere.id_string} radius {sphere.radius:.4g}"
            self.do(command, self._chosen(), place + more)
