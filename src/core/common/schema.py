"""What the content of a JSON file has to be, checked before anything uses it.

A check is a function of a value that returns it, or raises a :class:`Mismatch` that says where the
content differs and what belongs there::

    from chimerax.siren.core.common.schema import integer, listing, record

    point = record({"xyz": listing(integer(0), least=3, most=3)})
    point({"xyz": [1, 2, 3]})  # -> {'xyz': [1, 2, 3]}
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], Any]
LARGEST = 3.4e38  # of a 32-bit float: numbers of maps, their grids and levels
LONGEST = 10_000  # characters of a text


class Mismatch(ValueError):
    """Content of another kind than expected; ``where`` is the way to it."""

    def __init__(self, what: str, where: tuple[str, ...] = ()):
        super().__init__(what)
        self.what, self.where = what, where

    def __str__(self) -> str:
        return f"{' of '.join(reversed(self.where))} {self.what}".strip()

    def below(self, name: str) -> Mismatch:
        """The same, one level further out."""
        return Mismatch(self.what, (_shown(name), *self.where))


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= 40 else f"{text[:37]}..."


def _wrong(value: Any, expected: str) -> Mismatch:
    if isinstance(value, dict | list):
        return Mismatch(f"is a {'table' if isinstance(value, dict) else 'list'}, not {expected}")
    shown = "missing" if value is None else _shown(repr(value) if value == "" else value)
    return Mismatch(f"is {shown}, not {expected}")


def number(
    least: float = -LARGEST, most: float = LARGEST, above: float | None = None, finite: bool = True
) -> Check:
    """A number; with ``finite`` false, also infinity and NaN."""

    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(value, "a number")
        if not finite and isinstance(value, float) and not math.isfinite(value):
            return value
        if not (least <= value <= most) or (above is not None and value <= above):
            raise _wrong(value, f"a number {_bounds(least, most, above)}")
        return value

    return check


def _bounds(least: float, most: float, above: float | None) -> str:
    low = f"above {above:g}" if above is not None else f"from {least:g}"
    return f"{low} to {most:g}"


def integer(least: int = -(1 << 62), most: int = 1 << 62) -> Check:
    """A whole number."""

    def check(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _wrong(value, f"a whole number from {least:,} to {most:,}")
        return value

    return check


def text(value: Any) -> Any:
    """A text of bearable length."""
    if not isinstance(value, str):
        raise _wrong(value, "a text")
    if len(value) > LONGEST:
        raise Mismatch(f"is a text of {len(value):,} characters, more than {LONGEST:,}")
    return value


def one_of(*values: str) -> Check:
    """One of these texts."""

    def check(value: Any) -> Any:
        if value not in values:
            raise _wrong(value, " or ".join(values))
        return value

    return check


def optional(check: Check) -> Check:
    """The same or null."""
    return lambda value: None if value is None else check(value)


def plain(value: Any) -> Any:
    """A number, a text, true, false, null, or a list of these."""
    if isinstance(value, list):
        return listing(lambda v: plain(v) if not isinstance(v, list) else _refuse(v))(value)
    if isinstance(value, dict):
        _refuse(value)
    if isinstance(value, int):
        return value if isinstance(value, bool) else integer()(value)
    return text(value) if isinstance(value, str) else value


def _refuse(value: Any) -> Any:
    raise _wrong(value, "a number or a text")


def listing(check: Check, least: int = 0, most: int = 1_000_000) -> Check:
    """A list of values that pass ``check``."""

    def check_list(value: Any) -> Any:
        if not isinstance(value, list):
            raise _wrong(value, "a list")
        if not least <= len(value) <= most:
            count = f"{least:,}" if least == most else f"{least:,} to {most:,}"
            raise Mismatch(f"has {len(value):,} entries, not {count}")
        result = []
        for place, entry in enumerate(value):
            try:
                result.append(check(entry))
            except Mismatch as error:
                raise error.below(f"entry {place + 1}") from None
        return result

    return check_list


def mapping(check: Check, key: str = "", most: int = 1_000_000) -> Check:
    """An object of any keys, which ``key`` matches as a regular expression if given, whose values
    pass ``check``.
    """

    def check_mapping(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _wrong(value, "a table of names and values")
        if len(value) > most:
            raise Mismatch(f"has {len(value):,} entries, more than {most:,}")
        result = {}
        for name, entry in value.items():
            if key and not re.fullmatch(key, name):
                raise Mismatch(f"has an entry named {_shown(name)}")
            try:
                result[text(name)] = check(entry)
            except Mismatch as error:
                raise error.below(name) from None
        return result

    return check_mapping


def record(needed: Mapping[str, Check], more: Mapping[str, Check] | None = None) -> Check:
    """An object with these entries, and perhaps those of ``more``; others are ignored."""

    def check_record(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _wrong(value, "a table of names and values")
        result = {}
        for name, check in {**needed, **(more or {})}.items():
            if name not in value:
                if name in needed:
                    raise Mismatch(f"has no {name}")
                continue
            try:
                result[name] = check(value[name])
            except Mismatch as error:
                raise error.below(name) from None
        return result

    return check_record


BLOCK_NUMBER = r"0|[1-9][0-9]{0,8}"  # a key
ORIGIN = listing(number(), 3, 3)
GRID = record(
    {
        "shape_zyx": listing(integer(1, 65535), 3, 3),
        "voxel_size_xyz": listing(number(above=0), 3, 3),
        "origin_xyz": ORIGIN,
    }
)
