"""The tools below the table of blocks that change their shape: split by gap, grow, paint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

from Qt.QtCore import Qt
from Qt.QtGui import QColor
from Qt.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ..core.blocks.parameters import (
    ANYTHING,
    GROW_INTO,
    GrowParameters,
    ShrinkParameters,
    SplitParameters,
)
from ..core.common.parameters import Parameters
from ..session.commandline import name_text
from ..session.paint_mode import NAME, RADIUS, PaintMode, paint_mode
from ..session.split_preview import SplitPreview
from ..session.surfaces import BlockMap, block_spec
from .widgets import Note, plain_layout, single_shot

TENTHS = 10  # steps of the gap's slider in a voxel
HALVES = 2  # steps of the radius's slider in a voxel
MOST_RADIUS = 12  # voxels
SOON = 30  # ms, so that the slider does not wait for each preview
SEVERAL = 8  # pieces that are listed; the others are counted


class BlockTool(QWidget):
    """A tool for the selected blocks, shown below the table until it is closed.

    Parameters
    ----------
    execute : runs a command and logs it
    """

    def __init__(self, execute: Callable[[str], Any], parent: QWidget):
        super().__init__(parent)
        self.execute = execute
        self.note = Note(parent=self)
        self.close_button = QPushButton("Close", self)
        self.layout_ = QVBoxLayout(self)
        plain_layout(self.layout_, 0, 3)

    def row(self, *items: QWidget | None) -> None:
        """Add a row of widgets; None is a stretch."""
        row = QHBoxLayout()
        row.setSpacing(4)
        for item in items:
            if item is None:
                row.addStretch(1)
            else:
                row.addWidget(item, 1 if isinstance(item, (Note, QSlider)) else 0)
        self.layout_.addLayout(row)

    def begin(self, blocks: list[BlockMap]) -> None:
        """Start to work on these blocks, or go over to them."""
        raise NotImplementedError

    def check(self) -> bool:
        """Whether there is still something to work on."""
        return True

    def end(self) -> None:
        """Stop, and leave everything as it was before."""


class SplitTool(BlockTool):
    """Split a block into its separate pieces: they are shown in the scene while the gap changes."""

    def __init__(self, execute: Callable[[str], Any], parent: QWidget):
        super().__init__(execute, parent)
        self._preview: SplitPreview | None = None
        gap, least = (_field(SplitParameters, name) for name in ("gap", "min_size"))
        self.gap = QSlider(Qt.Orientation.Horizontal, self)
        self.gap.setRange(round(TENTHS * gap["minimum"]), round(TENTHS * gap["maximum"]))
        self.gap.setValue(round(TENTHS * SplitParameters().gap))
        self.gap.setToolTip(f"gap: {gap['help']}")
        self.value = QLabel(self)
        self.least = QSpinBox(self)
        self.least.setRange(int(least["minimum"]), 100_000)
        self.least.setValue(SplitParameters().min_size)
        self.least.setToolTip(f"minSize: {least['help']}, in voxels")
        self.split_button = QPushButton("Split", self)
        self.row(QLabel("Gap", self), self.gap, self.value, QLabel("smallest", self), self.least)
        self.row(self.note, self.split_button, self.close_button)
        self._soon = single_shot(self, SOON, self._show)
        self.gap.valueChanged.connect(self._changed)
        self.least.valueChanged.connect(self._changed)
        self.split_button.clicked.connect(self._split)

    @property
    def parameters(self) -> SplitParameters:
        """As set."""
        return SplitParameters(gap=self.gap.value() / TENTHS, min_size=self.least.value())

    def begin(self, blocks: list[BlockMap]) -> None:
        """Preview the pieces of a block."""
        if len(blocks) != 1:
            return
        if self.check() and self._preview is not None and blocks[0] is self._preview.block:
            return
        self.end()
        self._preview = SplitPreview(blocks[0])
        self._show()

    def check(self) -> bool:
        """Whether the block is still there as it was."""
        return self._preview is not None and self._preview.holds

    def end(self) -> None:
        """Color the block as before."""
        self._soon.stop()
        preview, self._preview = self._preview, None
        if preview is not None:
            preview.end()

    def _changed(self, *_: Any) -> None:
        self.value.setText(f"{self.parameters.gap:.1f}")
        self._soon.start()

    def _show(self) -> None:
        preview = self._preview
        if preview is None or not preview.holds:
            return
        found = preview.show(self.parameters)
        self.value.setText(f"{self.parameters.gap:.1f}")
        self.split_button.setEnabled(len(found) > 1)
        self.note.setText(_pieces_text(preview.block, found))

    def _split(self, *_: Any) -> None:
        preview, parameters = self._preview, self.parameters
        if preview is None or not preview.holds:
            return
        self.end()
        least = parameters.min_size
        self.execute(
            f"siren block split {block_spec([preview.block])} gap {parameters.gap:g}"
            + (f" minSize {least}" if least != SplitParameters().min_size else "")
        )


class GrowTool(BlockTool):
    """Add layers of voxels to the selected blocks, or take them off."""

    def __init__(self, execute: Callable[[str], Any], parent: QWidget):
        super().__init__(execute, parent)
        self._blocks: list[BlockMap] = []
        by, into = (_field(GrowParameters, name) for name in ("by", "into"))
        self.by = QDoubleSpinBox(self)
        self.by.setRange(by["minimum"], by["maximum"])
        self.by.setSingleStep(0.5)
        self.by.setDecimals(1)
        self.by.setValue(GrowParameters().by)
        self.by.setToolTip(f"by: {by['help']}, or taken off, in voxels")
        self.into = QComboBox(self)
        self.into.addItems(list(GROW_INTO))
        self.into.setToolTip(f"into: {into['help']}")
        self.grow_button = QPushButton("Grow", self)
        self.shrink_button = QPushButton("Shrink", self)
        self.grow_button.setToolTip(
            "Add voxels around the selected blocks; those of other blocks stay there "
            "(siren block grow)"
        )
        holes = _field(ShrinkParameters, "gap")["help"].partition(";")[0]
        self.shrink_button.setToolTip(
            f"Take the outer layer off the selected blocks; {holes} (siren block shrink)"
        )
        self.row(
            QLabel("By", self),
            self.by,
            QLabel("voxels into", self),
            self.into,
            None,
            self.grow_button,
        )
        self.row(self.note, self.shrink_button, self.close_button)
        self.grow_button.clicked.connect(self._grow)
        self.shrink_button.clicked.connect(self._shrink)

    def begin(self, blocks: list[BlockMap]) -> None:
        """Work on these blocks."""
        self._blocks = blocks
        self.note.setText(_named(blocks) if blocks else "Select the blocks.")
        for button in (self.grow_button, self.shrink_button):
            button.setEnabled(bool(blocks))

    def check(self) -> bool:
        """Whether the blocks are still there."""
        return not any(m.deleted for m in self._blocks)

    def _grow(self, *_: Any) -> None:
        into = self.into.currentText()
        self._do("grow", f" into {into}" if into != ANYTHING else "")

    def _shrink(self, *_: Any) -> None:
        self._do("shrink", "")

    def _do(self, word: str, more: str) -> None:
        if self._blocks and self.check():
            spec = block_spec(self._blocks)
            self.execute(f"siren block {word} {spec} by {self.by.value():g}{more}")


class PaintTool(BlockTool):
    """Paint on a block with the right mouse button, which gets back its own mode afterwards."""

    def __init__(self, session: Any, execute: Callable[[str], Any], parent: QWidget):
        super().__init__(execute, parent)
        self._session = session
        self._mode: PaintMode | None = None
        self._before = ""
        self.radius = QSlider(Qt.Orientation.Horizontal, self)
        self.radius.setRange(HALVES, HALVES * MOST_RADIUS)
        self.radius.setValue(round(HALVES * RADIUS))
        self.radius.setToolTip("Radius of the sphere that paints")
        self.value = QLabel(self)
        self.erase = QComboBox(self)
        self.erase.addItems(["Add", "Erase"])
        self.erase.setToolTip("What dragging does; with the shift key it does the other")
        self.row(QLabel("Radius", self), self.radius, self.value, self.erase)
        self.row(self.note, self.close_button)
        self.radius.valueChanged.connect(self._set)
        self.erase.currentIndexChanged.connect(self._set)

    def begin(self, blocks: list[BlockMap]) -> None:
        """Paint on a block."""
        if len(blocks) != 1:
            return
        if self._mode is None:
            self._mode = paint_mode(self._session)
            bound = self._session.ui.mouse_modes.mode("right", exact=True)
            self._before = bound.name if bound is not None else "none"
            self.execute(f"ui mousemode right {name_text(NAME)}")
        self._mode.block = blocks[0]
        self.note.setText(
            f"Drag over {_named(blocks)} with the right mouse button; with Shift to "
            f"{'add' if self.erase.currentIndex() else 'erase'}."
        )
        self._set()

    def check(self) -> bool:
        """Whether the block is still there."""
        return (
            self._mode is not None
            and self._mode.block is not None
            and not (self._mode.block.deleted)
        )

    def end(self) -> None:
        """Give the mouse button back."""
        mode, self._mode = self._mode, None
        if mode is None:
            return
        mode.block = None
        bound = self._session.ui.mouse_modes.mode("right", exact=True)
        if bound is mode and self._before != NAME:  # nobody has bound another meanwhile
            self.execute(f"ui mousemode right {name_text(self._before)}")

    def _set(self, *_: Any) -> None:
        if self._mode is None or self._mode.block is None or self._mode.block.deleted:
            return
        step = float(sum(self._mode.block.data.step)) / 3
        self._mode.radius = self.radius.value() / HALVES * step
        self._mode.erase = bool(self.erase.currentIndex())
        self.value.setText(f"{self._mode.radius:.3g} Å")
        other = "add" if self._mode.erase else "erase"
        self.note.setText(self.note.text().rpartition(" to ")[0] + f" to {other}.")


class BlockTools(QFrame):
    """The place of the tools; one is open at a time, or none.

    Parameters
    ----------
    session : ChimeraX session
    execute : runs a command and logs it
    chosen : returns the open blocks of the selected rows
    show_blocks : shows these blocks
    """

    def __init__(
        self,
        session: Any,
        execute: Callable[[str], Any],
        chosen: Callable[[], list[BlockMap]],
        show_blocks: Callable[[list[BlockMap]], None],
        parent: QWidget,
    ):
        super().__init__(parent)
        self._chosen, self._show_blocks = chosen, show_blocks
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.split = SplitTool(execute, self)
        self.grow = GrowTool(execute, self)
        self.paint = PaintTool(session, execute, self)
        self.current: BlockTool | None = None
        layout = QVBoxLayout(self)
        plain_layout(layout, 4)
        for tool in (self.split, self.grow, self.paint):
            layout.addWidget(tool)
            tool.close_button.clicked.connect(self.shut)
            tool.hide()
        self.hide()

    def open(self, tool: BlockTool) -> None:
        """Open a tool on the selected blocks."""
        if tool is not self.current:
            self.shut()
            self.current = tool
        chosen = self._chosen()
        self._uncover(chosen)
        tool.begin(chosen)
        tool.show()
        self.show()

    def _uncover(self, blocks: list[BlockMap]) -> None:
        """Show the blocks to work on: nobody sees what is done to a hidden one."""
        hidden = [m for m in blocks if not m.visible]
        if hidden:
            self._show_blocks(hidden)

    def shut(self, *_: Any) -> None:
        """Close the tool that is open."""
        tool, self.current = self.current, None
        self.hide()
        if tool is not None:
            tool.hide()
            tool.end()

    def follow(self) -> None:
        """Go over to the blocks that are selected now; close where there is nothing left to do."""
        if self.current is None:
            return
        chosen = self._chosen()
        if chosen:
            self.current.begin(chosen)
        if not self.current.check():
            self.shut()

    def keyPressEvent(self, event: Any) -> None:
        """Override for Qt: Escape closes the tool."""
        if event.key() == Qt.Key.Key_Escape and self.current is not None:
            self.shut()
        else:
            super().keyPressEvent(event)


def _field(kind: type[Parameters], name: str) -> Any:
    return next(f.metadata for f in fields(kind) if f.name == name)


def _named(blocks: list[BlockMap]) -> str:
    numbers = ", ".join(str(m.siren_block) for m in blocks)
    return f"block{'s' * (len(blocks) > 1)} {numbers}"


def _pieces_text(block: BlockMap, found: list[tuple[int, Any]]) -> str:
    """The pieces with their colors and sizes, as rich text."""
    if len(found) == 1:
        return f"Block {block.siren_block}: one piece at this gap."
    listed = " ".join(
        f'<span style="color:{QColor.fromRgbF(*color).name()}">&#9632;</span>&nbsp;{voxels:,}'
        for voxels, color in found[:SEVERAL]
    )
    more = f" and {len(found) - SEVERAL} more" if len(found) > SEVERAL else ""
    return f"Block {block.siren_block}: {len(found)} pieces {listed}{more}"
