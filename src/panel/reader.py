"""Read an ensemble in a thread, and deliver it in small portions on the main thread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from Qt.QtCore import QObject, QTimer, Signal

from ..core.common.errors import Cancelled, SirenError
from ..core.common.progress import Progress
from ..session import libraries

if TYPE_CHECKING:  # slow to import: not before there is something to read
    from ..core.maps.ensemble import Source
    from ..core.runs.preview import EnsemblePreview
    from ..core.runs.steps import Run

WORK, REST = 0.1, 0.05  # s of reading, and of leaving the interpreter to the main thread
PORTION = 0.015  # s on the main thread at a time
RUN = "run"  # what is read: the results in a folder
INTERVAL = 60  # ms between portions


class EnsembleReader(QObject):
    """Reads maps in threads; results arrive as signals on the main thread.

    The threads do not touch Qt: they put messages into a queue that a timer empties, so that
    nothing reaches a closed panel.
    """

    previewed = Signal(object)  # EnsemblePreview
    looked = Signal(list)  # of MapPreview, or (name, Flag) where a map cannot be read
    flagged = Signal(dict)  # Flag by name
    opened = Signal(object)  # Run
    known = Signal(object)  # KnownStates, or None where there is no table of states
    failed = Signal(str)  # one sentence
    large = Signal(float)  # bytes of maps listed only, because they exceed the limit
    finished = Signal(str)  # "look", "flag", "run" or "states"

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._messages: queue.SimpleQueue[tuple[Progress, str, Any]] = queue.SimpleQueue()
        self._tokens: dict[str, Progress] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL)
        self._timer.timeout.connect(self._deliver)

    def read(self, sources: Sequence[Any], voxel_size: float | None, most: float = inf) -> None:
        """List the maps, then preview each unless they exceed ``most`` bytes in total; cancels any
        earlier reading.
        """
        self.stop()
        # not in the thread: two threads must not import parts of one library at once
        libraries.wait_for(libraries.NUMBERS)
        from ..core.runs import preview

        self._begin("look", lambda token: self._read(token, preview, sources, voxel_size, most))

    def flag(
        self, found: EnsemblePreview, levels: Mapping[str, float], predicted: Mapping[str, str]
    ) -> None:
        """Flag odd volumes at these contour levels, in addition to those flagged by the
        prediction.
        """

        from ..core.runs.preview import find_flags

        def work(token: Progress) -> None:
            flags = find_flags(found, dict(levels), token, dict(predicted))
            self._messages.put((token, "flagged", flags))

        self._begin("flag", work)

    def open(self, folder: Path | None) -> None:
        """Read the results in a folder; None cancels the reading of results."""
        if self.reads_run:
            self._tokens.pop(RUN).cancel()
        if folder is None:
            return

        from ..core.runs.steps import open_run

        def work(token: Progress) -> None:
            self._messages.put((token, "opened", open_run(folder)))

        self._begin(RUN, work)

    def read_states(self, folder: Path, run: Run | None) -> None:
        """Read which blocks are in which volumes of a run; pass it if it has been read already."""
        from .known_states import read_known_states

        self._begin(
            "states",
            lambda token: self._messages.put((token, "known", read_known_states(folder, run))),
        )

    @property
    def reads_run(self) -> bool:
        """Whether results are still being read."""
        return RUN in self._tokens

    @property
    def busy(self) -> bool:
        """Whether anything is still being read."""
        return bool(self._tokens)

    def stop(self) -> None:
        """Cancel all reading; the threads end at their next step."""
        for token in self._tokens.values():
            token.cancel()
        self._tokens.clear()
        self._timer.stop()

    def _begin(self, kind: str, work: Callable[[Progress], None]) -> None:
        if kind in self._tokens:
            self._tokens[kind].cancel()
        token = self._tokens[kind] = Progress()

        def run() -> None:
            try:
                work(token)
            except Cancelled:
                return
            except SirenError as error:
                self._messages.put((token, "failed", str(error)))
            except Exception as error:  # a bug: report why the list stays incomplete
                self._messages.put((token, "failed", f"Not all volumes could be read ({error!r})."))
            self._messages.put((token, "finished", kind))

        threading.Thread(target=run, name=f"siren {kind}", daemon=True).start()
        self._timer.start()

    def _read(
        self,
        token: Progress,
        preview: Any,
        sources: Sequence[Source],
        voxel_size: float | None,
        most: float,
    ) -> None:
        found = preview.preview_ensemble(sources, voxel_size, token)
        size = 4.0 * found.grid.size * len(found.sources)
        if size > most:
            self._messages.put((token, "large", size))
        self._messages.put((token, "previewed", found))
        if size > most:
            return
        rest = time.monotonic() + WORK
        for source in found.sources:
            token.step("reading")
            # Python runs one thread at a time: let the window redraw in between
            if time.monotonic() > rest:
                time.sleep(REST)
                rest = time.monotonic() + WORK
            if source.name in found.problems:
                continue
            try:
                self._messages.put((token, "looked", preview.preview_map(source, found.grid)))
            except SirenError as error:
                self._messages.put(
                    (token, "looked", (source.name, preview.Flag(preview.UNREADABLE, str(error))))
                )

    def _deliver(self) -> None:
        end = time.monotonic() + PORTION
        looked: list[Any] = []
        while time.monotonic() < end:
            try:
                token, kind, what = self._messages.get_nowait()
            except queue.Empty:
                break
            if token.cancelled:
                continue
            if kind == "looked":
                looked.append(what)
                continue
            if looked:
                self.looked.emit(looked)
                looked = []
            if kind == "finished":
                self._tokens.pop(what, None)
            getattr(self, kind).emit(what)
        if looked:
            self.looked.emit(looked)
        if not self._tokens and self._messages.empty():
            self._timer.stop()
