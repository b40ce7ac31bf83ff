"""The stringency slider: pairs are counted once, and each position shows the blocks found at it."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

import numpy as np
from chimerax.core.errors import NotABug
from Qt.QtCore import Qt, QTimer
from Qt.QtGui import QPalette
from Qt.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSlider, QVBoxLayout, QWidget

from ..core.blocks.parameters import SketchParameters
from ..core.common.errors import Cancelled, SirenError
from ..core.common.progress import Progress
from ..session.jobs import current_job, run_job
from . import steps
from .state import PanelState
from .widgets import Line, plain_layout, single_shot, while_alive

if TYPE_CHECKING:  # slow to import: not before something is screened
    from ..core.blocks.blockset import BlockSet
    from ..session.surfaces import BlockMap

LOOSEST, STRICTEST = 0.2, 1e-8  # posp at the ends of the slider
PER_DECADE = 10  # slider positions per factor of ten
REST = 700  # ms at one position before its command is logged
TICK = 15  # ms between checks for results of the thread
NAME = "SIREn blocks while screening"
JOB = "siren screening"
HINT = "Screen: preview the blocks at any stringency."
START_TIP = (
    "Count all pairs of voxels once; the slider then shows the blocks at any stringency immediately"
)
END_TIP = "End the screening: its surfaces close, and the blocks that it hid are shown again"
NO_LEVELS = "Needs a contour level for every ticked volume: run Predict, or give levels"


class Stringency(Protocol):
    """Finds the blocks at a stringency, in well under half a second."""

    def __call__(self, posp: float, progress: Progress) -> BlockSet:
        """Return the blocks at ``posp``, which is at most LOOSEST."""
        ...


class ScreeningBar(QWidget):
    """The slider and its buttons: ``Screen`` counts pairs, after which the slider works until the
    volumes or settings change.

    Attributes
    ----------
    latency : s from the last move of the slider to its surfaces
    """

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.state = state
        self.session = state.session
        self.latency = 0.0
        self._ask: Stringency | None = None
        self._counted_for = ""
        self._hidden: list[Any] = []
        self._met: WeakSet[Any] = WeakSet()  # sets of blocks that have been open while screening
        self._group: Any = None
        self._faded = False  # whether the shown map was opaque until the slider's blocks opened
        self._colors: dict[int, tuple[float, float, float]] = {}
        self._blocks: BlockSet | None = None
        self._known: dict[float, BlockSet] = {}  # found at earlier positions, by posp
        self._wanted: float | None = None
        self._asked_at = 0.0
        self._token = Progress()
        self._busy = False
        self._drawing: Generator[None, None, Any] | None = None
        self._found: queue.SimpleQueue[tuple[float, Any]] = queue.SimpleQueue()
        self._build()
        self._tick = QTimer(self)
        self._tick.setInterval(TICK)
        self._tick.timeout.connect(self._look)
        self._rest = single_shot(self, REST, self._offer)
        for signal in (
            state.ensemble_changed,
            state.selection_changed,
            state.levels_changed,
            state.choices_changed,
        ):
            signal.connect(self.refresh)
        state.job_ended.connect(self._job_ended)
        self.refresh()

    def _build(self) -> None:
        self.count = QPushButton("Screen", self)
        self.count.clicked.connect(lambda: self.give_up() if self.alive else self.start())
        self.slider = QSlider(Qt.Orientation.Horizontal, self)
        self.slider.setRange(0, round(PER_DECADE * math.log10(LOOSEST / STRICTEST)))
        self.slider.setToolTip(
            "p-value (posp) for significance: from 0.2 (left, loose) to 1e-8 (right, strict)"
        )
        self.slider.valueChanged.connect(self._moved)
        self.keep = QPushButton("Sketch", self)
        self.keep.setToolTip("Run siren sketch at this stringency to write these blocks")
        self.keep.clicked.connect(self._sketch)
        self.result = Line(self)
        self.result.setForegroundRole(QPalette.ColorRole.PlaceholderText)
        row = QHBoxLayout()
        plain_layout(row)
        for widget in (self.count, QLabel("loose", self)):
            row.addWidget(widget)
        row.addWidget(self.slider, 1)
        for widget in (QLabel("strict", self), self.keep):
            row.addWidget(widget)
        layout = QVBoxLayout(self)
        plain_layout(layout, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.result)

    @property
    def posp(self) -> float:
        """The p-value at the slider's position, to two digits."""
        return float(f"{LOOSEST * 10 ** (-self.slider.value() / PER_DECADE):.1e}")

    @property
    def alive(self) -> bool:
        """Whether the slider shows blocks."""
        return self._ask is not None

    @property
    def settled(self) -> bool:
        """Whether the blocks at the slider's position are on the screen."""
        return not self._busy and self._drawing is None and self._wanted is None

    def refresh(self) -> None:
        """Enable the slider if it can be used; drop the counts if volumes or settings changed."""
        if self._ask is not None and self._counted_for != self._command(None):
            self.give_up()
        included = self.state.included
        ready = len(included) > 1 and all(n in self.state.levels for n in included)
        busy = current_job(self.session) is not None
        self.count.setText("End" if self.alive else "Screen")
        self.count.setEnabled(self.alive or (ready and not busy))
        self.count.setToolTip(
            END_TIP if self.alive else START_TIP if ready or not included else NO_LEVELS
        )
        for widget in (self.slider, self.keep):
            widget.setEnabled(self.alive)
        if not self.alive:
            self.result.say(HINT)

    def start(self) -> None:
        """Count in the background; the bar below shows the progress."""
        try:
            count = counting(self.state)
        except SirenError as error:
            self.state.tell(str(error), True)
            return
        command = self._command(None)

        # the panel may be closed meanwhile
        show = while_alive(self, lambda ask: self.use(ask, command))
        try:
            run_job(self.session, JOB, count, show)
        except NotABug as error:
            self.state.tell(str(error), True)
        self.state.executed.emit()

    def use(self, ask: Stringency, command: str) -> None:
        """Use the counts, made for the choices behind this command."""
        if self.state.closed:
            return
        self._ask, self._counted_for, self._known = ask, command, {}
        self.refresh()
        if self.alive:
            now = self.state.steps["sketch"].get("posp", SketchParameters().posp)
            self.slider.blockSignals(True)
            self.slider.setValue(round(PER_DECADE * math.log10(LOOSEST / min(now, LOOSEST))))
            self.slider.blockSignals(False)
            self._moved()

    def give_up(self) -> None:
        """Drop the counts, and leave the scene as it was."""
        self._token.cancel()
        self._ask, self._wanted, self._drawing, self._blocks = None, None, None, None
        self._rest.stop()
        self._tick.stop()
        self.put_back()
        self.refresh()

    def put_back(self, replaced: bool = False) -> None:
        """Close the slider's surfaces, show the blocks hidden meanwhile, and let the shown map be
        as opaque as it was; also where the window is gone already.

        Parameters
        ----------
        replaced : whether the blocks of a new run take the place of all these
        """
        hidden = [] if replaced else self._hidden
        shown_again = self._not_replaced(self._opened_since()) if hidden else []
        if self._group is not None and not self._group.deleted:
            self.session.models.close([self._group])
        self._group = None
        for group in shown_again:
            group.display = True
        if self._faded:
            from ..session.shown_map import blocks_shown, cover_again

            if not (replaced and blocks_shown(self.session)):
                cover_again(self.session)
        self._hidden, self._faded = [], False
        self._met.clear()

    # --- from the slider to surfaces

    def _moved(self) -> None:
        self._wanted, self._asked_at = self.posp, time.monotonic()
        self.result.say(f"p {self.posp:g} …")
        self._rest.start()
        self._next()

    def _next(self) -> None:
        """Compute the blocks at the slider's position, once any earlier position is finished."""
        if self._ask is None or self._wanted is None or self._busy or self._drawing is not None:
            return
        ask, posp, token, known = self._ask, self._wanted, Progress(), self._known
        self._token, self._wanted, self._busy = token, None, True

        def work() -> None:
            try:
                result: Any = known.get(posp) or ask(posp, token)
                known[posp] = result
            except Cancelled:
                result = None
            except Exception as error:  # from core, or a bug: reported in the panel either way
                result = error
            self._found.put((posp, result))

        threading.Thread(target=work, name="siren screening", daemon=True).start()
        self._tick.start()

    def _look(self) -> None:
        """Draw the next piece of the result; called until everything is drawn."""
        if self._drawing is not None:
            try:
                next(self._drawing)
                self._tick.setInterval(0)  # as fast as events are handled
                return
            except StopIteration:
                self._drawing = None
                self._tick.setInterval(TICK)
                self.latency = time.monotonic() - self._asked_at
        with suppress(queue.Empty):
            posp, result = self._found.get_nowait()
            self._busy = False
            if isinstance(result, Exception):
                self.state.tell(str(result), True)
            elif result is not None and self._ask is not None:
                self._drawing = self._draw(posp, result)
                return
        self._next()
        if not self._busy and self._drawing is None:
            self._tick.stop()

    def _draw(self, posp: float, blocks: BlockSet) -> Generator[None, None, None]:
        from ..core.blocks.display import sampled_share
        from ..core.figures.colors import carried_colors
        from ..core.runs.steps import SKETCH_FOLDER
        from ..session.scene import colors_for
        from ..session.surfaces import block_map

        volumes = self._volumes_folder()
        if self._blocks is None:
            folder = (self.state.output_path or Path()) / SKETCH_FOLDER
            self._colors = colors_for(self.session, blocks, folder, volumes)
        else:
            self._colors = carried_colors(blocks, self._blocks, self._colors)
        self._blocks = blocks
        before = (
            {m.voxels.tobytes(): m for m in self._group.child_models()}
            if self._group and not self._group.deleted
            else {}
        )
        new: list[BlockMap] = []
        share = sampled_share(blocks)
        for number, voxels in blocks:
            same = before.pop(voxels.tobytes(), None)
            if same is None:
                yield
                new.append(
                    block_map(
                        self.session,
                        blocks,
                        number,
                        (*self._colors[number], 1.0),
                        "",
                        share=share,
                    )
                )
                new[-1].siren_volumes = volumes
            else:
                same.siren_block = number
                same.label(len(voxels))
        yield
        self._hide_others()
        self._open(new, list(before.values()))
        count = len(blocks)
        waiting = " …" * (self._wanted is not None)  # the slider has moved on
        self.result.say(
            f"p {posp:g}: {count} block{'s' * (count != 1)}, {blocks.voxel_count:,} voxels{waiting}"
        )

    def _opened_since(self) -> list[Any]:
        """The sets of blocks that are seen and were not when the last position was drawn: all at
        first, then those just opened, as by ``siren open``. One that the user shows again beside
        the slider's blocks is not among them.
        """
        from ..session.scene import sets_of_blocks

        own = self._group
        replaced = own is not None and not own.deleted and not own.display  # by a set just opened
        return [
            g
            for g in sets_of_blocks(self.session)
            if g is not own and g.display and (replaced or g not in self._met)
        ]

    def _hide_others(self) -> None:
        """Hide the sets of blocks opened since the last position, to be shown again in the end
        instead of those that they replace.
        """
        from ..session.scene import sets_of_blocks

        opened = self._opened_since()
        self._hidden = self._not_replaced(opened) + opened
        for group in opened:
            group.display = False
        self._met.update(g for g in sets_of_blocks(self.session) if g is not self._group)

    def _not_replaced(self, opened: list[Any]) -> list[Any]:
        """The hidden sets that none of the others replaces."""
        from ..session.scene import replaces

        return [
            g
            for g in self._hidden
            if not g.deleted and g not in opened and not any(replaces(o, g) for o in opened)
        ]

    def _open(self, new: list[BlockMap], gone: list[BlockMap]) -> None:
        """Open the new surfaces and close the old ones."""
        from ..session.log import log_uncovered
        from ..session.shown_map import uncover

        models = self.session.models
        if self._group is None or self._group.deleted:
            self._group = models.add_group(new, name=NAME) if new else None
            faded, covering = uncover(self.session, new)
            self._faded = self._faded or faded is not None
            log_uncovered(self.session, faded, covering)
        else:
            models.add(new, parent=self._group)
            self._group.display = True
        models.close(gone)

    def _volumes_folder(self) -> str:
        sources = self.state.found.sources if self.state.found else ()
        return next((str(s.path.parent) for s in sources if s.path is not None), "")

    # --- from the slider to commands

    def _command(self, posp: float | None) -> str:
        """The ``siren sketch`` command at this p-value; with None, the part that all positions
        share.
        """
        before = self.state.steps["sketch"]
        values = {k: v for k, v in before.items() if k not in ("posp", "resamples")}
        self.state.steps["sketch"] = values if posp is None else {**before, "posp": posp}
        try:
            return steps.sketch_command(self.state)
        finally:
            self.state.steps["sketch"] = before

    def _offer(self) -> None:
        if self.alive:
            from ..session.log import link

            command = self._command(self.posp)
            self.session.logger.info(
                f"To write these blocks: {link(command, command)}", is_html=True
            )

    def _sketch(self) -> None:
        posp, command = self.posp, self._command(self.posp)
        own = {k: v for k, v in self.state.steps["sketch"].items() if k != "posp"}
        usual = posp == SketchParameters().posp
        self.state.steps["sketch"] = own if usual else {**own, "posp": posp}
        self.state.changed()
        self.state.execute(command)

    def _job_ended(self, end: Any) -> None:
        if self.alive and end.name in ("siren sketch", "siren expand") and end.error is None:
            self.put_back(replaced=True)
            self.give_up()
        self.refresh()


def counting(state: PanelState) -> Callable[[Progress], Stringency]:
    """The work of counting pairs for the panel's choices, to be run in a thread.

    Raises
    ------
    SirenError
        If the choices do not allow a sketch.
    """
    from ..core.blocks.screening import prepare_screening
    from ..core.maps.ensemble import find_ensemble

    parameters = SketchParameters(**{**state.steps["sketch"], "posp": LOOSEST, "resamples": 0})
    excluded, voxel_size, box, levels = (
        tuple(state.excluded),
        state.voxel_size,
        state.box,
        dict(state.levels),
    )
    sources = list(state.found.sources) if state.found else []
    chosen = [s for s in sources if s.name not in excluded]

    def work(progress: Progress) -> Stringency:
        ensemble = find_ensemble(chosen, voxel_size, progress, everything=True).resampled(box)
        screening = prepare_screening(
            ensemble, np.array([levels[n] for n in ensemble.names]), parameters, progress
        )

        def ask(posp: float, progress: Progress) -> BlockSet:
            return screening.at(posp, progress=progress).blocks

        return ask

    return work
