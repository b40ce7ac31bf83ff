"""Which volume is which cluster: by the numbers in the file names, never by places in a list.

Programs number clusters from 0. The volume of cluster 0 is vol_000.mrc in cryoDRGN up to 3.4, in
tomoDRGN and (as center000.mrc) in RECOVAR, but vol_001.mrc in cryoDRGN since 3.5. Which of the two,
the numbers of all files beside each other tell: 20 volumes are 0 to 19, or 1 to 20. Where they do
not, because some files are not there, the user has to say it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ..common.errors import SirenError, join_names

_LAST_NUMBER = re.compile(r"(.*?)(\d{1,9})", re.ASCII | re.DOTALL)
_STARTS = (0, 1)  # of the programs
PARTICLES_CSV = "a csv of particle and volume"


@dataclass(frozen=True)
class Numbering:
    """Which cluster each volume is of.

    Attributes
    ----------
    first : the number in the file name of the volume of cluster 0
    clusters : of each volume, by name
    why : how that is known, a few words
    what : what is numbered: clusters, or rows of a file
    """

    first: int
    clusters: dict[str, int]
    why: str
    what: str = "cluster"

    @property
    def words(self) -> str:
        """The mapping, with its first and last volume."""
        ends = sorted(self.clusters.items(), key=lambda item: item[1])
        shown = [ends[0], ends[-1]] if len(ends) > 1 else ends
        text = " to ".join(f"{name} = {self.what} {cluster}" for name, cluster in shown)
        return f"{text} ({self.why})"


def number_in(name: str) -> tuple[str, int] | None:
    """The number at the end of a file name, without suffixes, and what is before it."""
    found = _number_text(name)
    return (found[0], int(found[1])) if found else None


def _number_text(name: str) -> tuple[str, str] | None:
    stem = name
    while (suffix := PurePosixPath(stem).suffix) and not suffix[1:].isdigit():
        stem = stem[: -len(suffix)]
    found = _LAST_NUMBER.fullmatch(stem)
    return (found[1], found[2]) if found else None


def numbering(
    names: Sequence[str],
    beside: Collection[str],
    clusters: int,
    first: int | None,
    source: str,
    what: str = "cluster",
    otherwise: str = PARTICLES_CSV,
) -> Numbering:
    """Map volumes to clusters.

    Parameters
    ----------
    names : of the volumes
    beside : names of all maps in their folder
    clusters : how many there are
    first : as the user gave it
    source : name of the file with the clusters, for errors
    what : what is numbered there
    otherwise : what to give instead of a file of numbered lines, for errors

    Raises
    ------
    SirenError
        If the names have no numbers, or the numbers leave it open, or do not fit.
    """
    numbers = _numbers(names, source, otherwise)
    prefix = next(iter(numbers.values()))[0]
    others = {n[1] for name in beside if (n := number_in(name)) and n[0] == prefix}
    known = others | {n for _, n in numbers.values()}
    low, high = min(known), max(known)
    span = f"{_example(names, low)} to {_example(names, high)}"
    if first is None:
        starts = {*_STARTS, *((low,) if high - low + 1 == clusters else ())}
        fits = sorted(s for s in starts if s <= low and high <= s + clusters - 1)
        if len(fits) > 1:
            raise SirenError(
                f"Which volume is {what} 0 of {source} is open: it has {clusters:,} {what}s, and "
                f'there are {span}; add "first 0" if {_example(names, 0)} is {what} 0, '
                f'or "first 1" if {_example(names, 1)} is.'
            )
        why = f"{source} has {clusters:,} {what}s, the files are {span}"
    else:
        fits, why = [first] if first <= low and high <= first + clusters - 1 else [], "as given"
    if not fits:
        given = "" if first is None else f' with "first {first}"'
        raise SirenError(
            f"{source} has {clusters:,} {what}s, which does not fit the volumes {span}{given}: "
            f"give the list that belongs to these volumes, or {otherwise}."
        )
    return Numbering(fits[0], {name: n - fits[0] for name, (_, n) in numbers.items()}, why, what)


def _numbers(names: Sequence[str], source: str, otherwise: str) -> dict[str, tuple[str, int]]:
    """Prefix and number of each name, all with one prefix."""
    found = {name: number_in(name) for name in names}
    without = [name for name, n in found.items() if n is None]
    if without:
        raise SirenError(
            f"{join_names(without)}: the file name has no number at its end, so the cluster in "
            f"{source} is unknown; give {otherwise} instead."
        )
    numbers = {name: n for name, n in found.items() if n is not None}
    prefixes = list(dict.fromkeys(prefix for prefix, _ in numbers.values()))
    if len(prefixes) > 1:
        raise SirenError(
            f"The volumes are of several series ({join_names([p + '...' for p in prefixes])}), and "
            f"{source} is of one: give {otherwise} instead."
        )
    if len({n for _, n in numbers.values()}) < len(numbers):
        raise SirenError(
            f"Two volumes have the same number in their names, so the cluster in {source} is "
            f"unknown; give {otherwise} instead."
        )
    return numbers


def _example(names: Sequence[str], number: int) -> str:
    """The name that the volume of a number has, or would have."""
    texts = {name: _number_text(name) for name in names}
    for name, text in texts.items():
        if text is not None and int(text[1]) == number:
            return name
    name, (prefix, digits) = next((n, t) for n, t in texts.items() if t is not None)
    padded = any(t[1].startswith("0") for t in texts.values() if t is not None)
    after = name[len(prefix) + len(digits) :]
    return f"{prefix}{number:0{len(digits) if padded else 1}d}{after}"
