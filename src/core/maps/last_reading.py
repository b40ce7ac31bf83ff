"""What was last made of an ensemble, kept for the next step of the same session or script.

A sketch binarizes the volumes at levels that agree, and an expansion that follows needs the very
same. :meth:`.Ensemble.recall` finds it here as long as no file has changed: each is asked for its
stamp again (:meth:`.Source.stamp`), and whoever then reads a file compares its fingerprint, too.
Nothing is kept of maps in memory, which may change without a trace.

One result is kept, of KEPT_BYTES at most, until another ensemble is read, memory is short, or the
session is closed.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from ..common import constants


@dataclass(frozen=True)
class LastReading:
    """A result and what it was made of.

    Attributes
    ----------
    key : hashable
        The files, with their stamps, and what else the result depends on.
    fingerprints : mapping of str
        Of each map, by name.
    value : object
        The result.
    """

    key: Hashable
    fingerprints: Mapping[str, str]
    value: Any


_last: LastReading | None = None  # replaced as a whole: steps run in threads


def keep(reading: LastReading, size: float) -> None:
    """Keep a result of so many bytes, if these are not too many, in place of the last one."""
    global _last
    _last = reading if size <= constants.KEPT_BYTES else None


def last_reading() -> LastReading | None:
    """What is kept."""
    return _last


def forget() -> None:
    """Free the memory of what is kept."""
    global _last
    _last = None
