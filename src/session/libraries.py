"""Libraries that are slow to import, loaded in a thread while the panel is already there.

Two threads must not import parts of one library at once. So what needs these libraries on the main
thread waits for that thread: commands when they are first used, pages of the panel when they are
first shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from importlib import import_module
from typing import Any

# what is read and computed with, and what figures are drawn with; in the order of loading
NUMBERS = (
    "pandas",
    "networkx",
    "scipy.special",
    "scipy.ndimage",
    "scipy.fft",
    "scipy.sparse.csgraph",
    "scipy.spatial.transform",
    "scipy.optimize",
    "scipy.cluster.hierarchy",
    ".core.runs.preview",  # ours, whose modules do not import each other in circles
    ".core.runs.steps",
)
FIGURES = ("matplotlib.figure", "matplotlib.backends.backend_qtagg", ".core.figures.draw")
PACKAGE = __name__.rpartition(".session.")[0]
GROUPS = (NUMBERS, FIGURES)
# how a person sees that a command waits for them; the panel adds its own
shown_waiting: list[Callable[[], AbstractContextManager[Any]]] = [nullcontext]
REST = 2.0  # s before the libraries of figures, unless they are waited for: others come first


class Loading:
    """The thread, and which groups it is through with."""

    def __init__(self, groups: tuple[tuple[str, ...], ...]):
        self._there = {group: threading.Event() for group in groups}
        self._hurry = threading.Event()
        threading.Thread(target=self._load, name="siren libraries", daemon=True).start()

    def _load(self) -> None:
        for number, (group, there) in enumerate(self._there.items()):
            if number:
                self._hurry.wait(REST)
            for name in group:
                with suppress(ImportError):  # whoever needs it says so
                    import_module(name, PACKAGE)
            there.set()

    def ready(self, group: tuple[str, ...], seconds: float | None = 0.0) -> bool:
        """Whether the libraries of a group are there; wait for them so long, None for ever."""
        there = self._there[group]
        if group != NUMBERS and not there.is_set():
            self._hurry.set()
        return there.wait(seconds)


@cache
def load() -> Loading:
    """Begin to load them, once."""
    return Loading(GROUPS)


def wait_for(group: tuple[str, ...] = GROUPS[-1]) -> None:
    """Wait until no thread imports a group of them, or those before it; by default, any."""
    if load.cache_info().currsize and not load().ready(group):  # else no thread was begun
        with shown_waiting[-1]():
            load().ready(group, None)
