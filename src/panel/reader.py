"""Reads an ensemble for the list in a thread, and hands over in small portions on the main
thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from Qt.QtCore import QObject, QTimer, Signal

from ..core.common.errors import Cancelled, SirenError
from ..core.common.progress import Progress
from ..core.maps.ensemble import Source
from ..core.runs.preview import (
    UNREADABLE,
    EnsemblePreview,
    Flag,
    find_flags,
    preview_ensemble,
    preview_map,
)
from ..core.runs.steps import open_run

WORK, REST = 0.1, 0.05  # s of reading, and of leaving the processor to the window
PORTION = 0.015  # seconds of the main thread at a time
INTERVAL = 60  # milliseconds between two portions


class SurveyReader(QObject):
    """What is known of the volumes arrives by signals, all on the main thread.

    The threads touch no Qt: they put messages into a queue that a timer empties, so that nothing
    reaches a closed panel.
    """

    surveyed = Signal(object)  # EnsemblePreview
    looked = Signal(list)  # of MapPreview, or (name, Flag) where a map cannot be read
    flagged = Signal(dict)  # Flag by name
    opened = Signal(object)  # Run
    failed = Signal(str)  # one sentence
    # bytes of maps that were not looked at, since they are more than was allowed
    large = Signal(float)
    finished = Signal(str)  # "look", "flag" or "run"

    def __init__(self, parent: QObject | None = None):
        super().__init__(parent)
        self._messages: queue.SimpleQueue[tuple[Progress, str, Any]] = queue.SimpleQueue()
        self._tokens: dict[str, Progress] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(INTERVAL)
        self._timer.timeout.connect(self._deliver)

    def read(self, sources: Sequence[Any], voxel_size: float | None, most: float = inf) -> None:
        """List the maps and then look at each, if they have no more than ``most`` bytes; what was
        being read before is forgotten.
        """
        self.stop()
        self._begin("look", lambda token: self._read(token, sources, voxel_size, most))

    def flag(
        self, found: EnsemblePreview, levels: Mapping[str, float], predicted: Mapping[str, str]
    ) -> None:
        """Look for odd volumes at these levels, beside those that the prediction flagged."""
        self._begin(
            "flag",
            lambda token: self._messages.put(
                (token, "flagged", find_flags(found, dict(levels), token, dict(predicted)))
            ),
        )

    def open(self, folder: Path | None) -> None:
        """Read the results in a folder; None forgets those that are being read."""
        if "run" in self._tokens:
            self._tokens.pop("run").cancel()
        if folder is not None:
            self._begin(
                "run", lambda token: self._messages.put((token, "opened", open_run(folder)))
            )

    @property
    def busy(self) -> bool:
        """Whether something is still being read."""
        return bool(self._tokens)

    def stop(self) -> None:
        """Forget what is being read; the threads end at their next step."""
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
            except Exception as error:  # a bug: the list stays incomplete, and says why
                self._messages.put(
                    (token, "failed", f"The volumes could not be read to the end ({error!r}).")
                )
            self._messages.put((token, "finished", kind))

        threading.Thread(target=run, name=f"siren {kind}", daemon=True).start()
        self._timer.start()

    def _read(
        self, token: Progress, sources: Sequence[Source], voxel_size: float | None, most: float
    ) -> None:
        found = preview_ensemble(sources, voxel_size, token)
        size = 4.0 * found.grid.size * len(found.sources)
        if size > most:
            self._messages.put((token, "large", size))
        self._messages.put((token, "surveyed", found))
        if size > most:
            return
        rest = time.monotonic() + WORK
        for source in found.sources:
            token.step("reading")
            # Python runs one thread at a time: the window is drawn in between
            if time.monotonic() > rest:
                time.sleep(REST)
                rest = time.monotonic() + WORK
            if source.name in found.problems:
                continue
            try:
                self._messages.put((token, "looked", preview_map(source, found.grid)))
            except SirenError as error:
                self._messages.put((token, "looked", (source.name, Flag(UNREADABLE, str(error)))))

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
