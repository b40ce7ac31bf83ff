"""Waiting for what another thread or process does, on a machine of any speed."""

from __future__ import annotations

import time
from collections.abc import Callable

DEADLINE = 240.0  # s: turns what would never end into a failure, and says nothing of speed


def until(happened: Callable[[], bool], what: str = "it") -> None:
    """Return as soon as something has happened."""
    end = time.monotonic() + DEADLINE
    while not happened():
        assert time.monotonic() < end, f"{what} never happened"
        time.sleep(0.005)
