"""Work in a thread for a page of the panel: one piece at a time, the newest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from Qt.QtCore import QObject, Signal

from ..core.common.errors import Cancelled, SirenError
from ..core.common.progress import Progress


class Background(QObject):
    """Runs a function in a thread, and gives its result to the main thread. Nothing of it reaches a
    page that has been closed, or that has asked for something else since.

    Attributes
    ----------
    token : the Progress of the work under way; None at rest
    """

    done = Signal(object)  # the result
    said = Signal(str)  # how far it is, or why it failed
    _told = Signal(object, object, bool)  # from the thread: its Progress, what, whether it is done

    def __init__(self, parent: QObject):
        super().__init__(parent)
        self.token: Progress | None = None
        self._told.connect(self._take)

    def start(self, name: str, work: Callable[[Progress], Any]) -> None:
        """Do this, and cancel what was done before."""
        self.cancel()
        mine = Progress(
            lambda phase, fraction: self._tell(
                mine, f"{phase[:1].upper()}{phase[1:]}: {100 * fraction:.0f} %", False
            )
        )
        self.token = mine
        threading.Thread(target=self._work, args=(mine, work), name=name, daemon=True).start()

    def cancel(self) -> None:
        """Stop at the next step."""
        if self.token is not None:
            self.token.cancel()
            self.token = None

    def _work(self, mine: Progress, work: Callable[[Progress], Any]) -> None:
        try:
            result = work(mine)
        except Cancelled:
            return
        except SirenError as error:
            self._tell(mine, error, True)
            return
        self._tell(mine, result, True)

    def _tell(self, mine: Progress, what: Any, is_done: bool) -> None:
        with suppress(RuntimeError):  # the page has been closed
            self._told.emit(mine, what, is_done)

    def _take(self, mine: Progress, what: Any, is_done: bool) -> None:
        if mine is not self.token:
            return
        if not is_done:
            self.said.emit(what)
            return
        self.token = None
        if isinstance(what, SirenError):
            self.said.emit(str(what))
        else:
            self.done.emit(what)
