"""Volumes by their blocks: those with some blocks and without others.

Example::

    import numpy as np

    from chimerax.siren.core.analysis.block_occupancy import States
    from chimerax.siren.core.analysis.selection import Selection

    share = np.array([[1, 1, 0, 0], [1, 0, 1, 0]], np.float32)
    states = States(tuple("abcd"), np.ones(4), (1, 2), np.array([50, 40]), share)
    Selection((1,), (2,)).volumes(states)  # with block 1, without block 2: those at these places
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError

if TYPE_CHECKING:  # scipy takes a moment, and the panel takes selections apart from the start
    from .block_occupancy import States

_ASKED = re.compile(
    r"(?<!\S)(with|has|have|without|lacks|lack)\s+(\d+(?:\s*,\s*\d+)*)(?=[\s,;]|$)[,;]?",
    re.IGNORECASE,
)
_LACKING = ("without", "lacks", "lack")


@dataclass(frozen=True)
class Selection:
    """Blocks that a volume must have, and blocks that it must lack.

    Attributes
    ----------
    having, lacking : numbers of blocks; both empty: every volume

    Raises
    ------
    SirenError
        If a block is in both.
    """

    having: tuple[int, ...] = ()
    lacking: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "having", tuple(dict.fromkeys(self.having)))
        object.__setattr__(self, "lacking", tuple(dict.fromkeys(self.lacking)))
        if both := [n for n in self.having if n in self.lacking]:
            raise SirenError(
                f"Block {both[0]} is asked for both with and without: name it in one of them."
            )

    @staticmethod
    def parse(text: str) -> tuple[Selection, str]:
        """Take what is asked of blocks out of a text: ``with 2,3 without 5``, ``has 2, lacks 5``.

        Returns
        -------
        selection
        rest of the text

        Raises
        ------
        SirenError
            If a block is asked for both with and without.
        """
        numbers: dict[bool, list[int]] = {True: [], False: []}
        for word, listed in _ASKED.findall(text):
            numbers[word.lower() not in _LACKING] += map(int, listed.split(","))
        rest = " ".join(_ASKED.sub(" ", text).split())
        return Selection(tuple(numbers[True]), tuple(numbers[False])), rest

    @property
    def words(self) -> str:
        """As in a command: ``with 2,3 without 5``; ``all volumes`` if nothing is asked."""
        parts = [
            f"{word} {','.join(map(str, numbers))}"
            for word, numbers in (("with", self.having), ("without", self.lacking))
            if numbers
        ]
        return " ".join(parts) or "all volumes"

    @property
    def stem(self) -> str:
        """A name for files: ``with_2_3_without_5``."""
        return self.words.replace(" ", "_").replace(",", "_")

    def mask(self, states: States) -> NDArray[np.bool_]:
        """(V,), whether each volume fits.

        Raises
        ------
        SirenError
            If a block is not there.
        """
        present = states.present
        fits = np.ones(len(states.names), bool)
        for number in self.having:
            fits &= present[states.row(number)]
        for number in self.lacking:
            fits &= ~present[states.row(number)]
        return fits

    def volumes(self, states: States) -> NDArray[np.intp]:
        """Positions of the volumes that fit.

        Raises
        ------
        SirenError
            If a block is not there, or no volume fits.
        """
        found = np.flatnonzero(self.mask(states))
        if not len(found):
            raise SirenError(
                f"None of the {len(states.names):,} volumes is {self.words} "
                f"(present: {states.cut_words}): ask for fewer blocks."
            )
        return found
