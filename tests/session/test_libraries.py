"""Libraries that are imported in a thread: when they are there, and who waits for them."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from chimerax.siren.session import libraries
from chimerax.siren.session.libraries import FIGURES, NUMBERS, Loading
from waiting import DEADLINE


class Imports:
    """Notes what is imported; each import takes until the test lets it go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.begun: list[str] = []
        self.go = threading.Semaphore(0)
        monkeypatch.setattr(libraries, "import_module", self)

    def __call__(self, name: str, package: str) -> None:
        self.begun.append(name)
        assert self.go.acquire(timeout=DEADLINE)


def test_groups_are_loaded_one_after_the_other_and_figures_at_once_when_they_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(libraries, "REST", DEADLINE)
    imports = Imports(monkeypatch)
    loading = Loading((NUMBERS, FIGURES))
    assert not loading.ready(NUMBERS)
    for _ in NUMBERS:
        imports.go.release()
    assert loading.ready(NUMBERS, DEADLINE) and imports.begun == list(NUMBERS)
    time.sleep(0.05)
    assert imports.begun == list(NUMBERS)  # those of figures are not in the way of what comes first
    assert not loading.ready(FIGURES)  # wanted now
    for _ in FIGURES:
        imports.go.release()
    assert loading.ready(FIGURES, DEADLINE) and imports.begun == [*NUMBERS, *FIGURES]


def test_a_library_that_is_missing_does_not_keep_the_others_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str, package: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(libraries, "import_module", missing)
    assert Loading((NUMBERS,)).ready(NUMBERS, DEADLINE)


def test_nobody_waits_where_no_panel_has_begun_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    libraries.load.cache_clear()
    libraries.wait_for()
    assert libraries.load.cache_info().currsize == 0


@pytest.mark.processes
def test_all_that_is_loaded_exists_and_is_what_panel_and_commands_would_import() -> None:
    """In a Python of its own: afterwards, none of the slow libraries is still to be imported."""
    code = """
import sys
from chimerax.siren.session import libraries
assert libraries.load().ready(libraries.FIGURES, 300)
names = [*libraries.NUMBERS, *libraries.FIGURES]
names = ["chimerax.siren" + name if name.startswith(".") else name for name in names]
assert all(name in sys.modules for name in names), names
before = set(sys.modules)
from chimerax.siren.core.runs import preview, steps
from chimerax.siren.core.figures import draw
slow = ("pandas", "scipy", "networkx", "matplotlib")
print([n for n in sys.modules if n not in before and n.startswith(slow) and n.count(".") < 2])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
