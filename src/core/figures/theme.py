"""How a figure looks, and what it answers to a mouse pointer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # matplotlib takes a moment: not for the names and colors of blocks alone
    from matplotlib.colors import LinearSegmentedColormap


@dataclass(frozen=True)
class Theme:
    """Colors of a figure, in matplotlib's notation.

    Attributes
    ----------
    background, text, faint, accent, warn, band
        Of the background, text, secondary lines, bars, bars of outliers, and the +-2 SD band.
    dark : whether the background is dark
    """

    background: str = "#ffffff"
    text: str = "#202020"
    faint: str = "#9a9a9a"
    accent: str = "#0072B2"
    warn: str = "#D55E00"
    band: str = "#0072B222"
    dark: bool = False

    @staticmethod
    def on(background: str, text: str) -> Theme:
        """The theme for a window with these colors, ``#rrggbb``."""
        dark = sum(int(background[i : i + 2], 16) for i in (1, 3, 5)) < 3 * 128
        if not dark:
            return Theme(background, text)
        return Theme(background, text, "#8a8a8a", "#56B4E9", "#E69F00", "#56B4E930", True)

    @property
    def muted(self) -> str:
        """Of writing that is less important, and still to be read."""
        return "#b8b8b8" if self.dark else "#5a5a5a"

    @property
    def pale(self) -> str:
        """What is not there, on the background."""
        return "#666666" if self.dark else "#c0c0c0"

    @property
    def strong(self) -> tuple[str, str]:
        """The middle and the upper end of a scale."""
        return ("#2f6f9f", "#9fdcff") if self.dark else ("#7db8da", "#08306b")

    @property
    def sequential(self) -> LinearSegmentedColormap:
        """From the background (0) to a strong blue (1)."""
        return _scale("share", self.background, *self.strong)

    @property
    def diverging(self) -> LinearSegmentedColormap:
        """Orange (-1), background (0), blue (1): distinguishable with any color vision."""
        low, high = ("#f0a040", "#6ec0ff") if self.dark else ("#b35806", "#08519c")
        return _scale("phi", low, self.background, high)


def _scale(name: str, *colors: str) -> LinearSegmentedColormap:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, list(colors))


@dataclass(frozen=True)
class Pick:
    """What is under the mouse pointer.

    Attributes
    ----------
    text : one sentence
    volume : file name to show, or None
    block : number, or None
    """

    text: str
    volume: str | None = None
    block: int | None = None


@dataclass(frozen=True)
class Points:
    """Volumes as points of a figure.

    Attributes
    ----------
    axes : in which they are
    names : V volumes
    places : (V, 2) where each is, in data coordinates
    """

    axes: Any
    names: tuple[str, ...]
    places: NDArray[np.float64]

    def inside(self, outline: NDArray[np.float64]) -> list[str]:
        """The volumes inside an outline (n, 2) in data coordinates."""
        from matplotlib.path import Path

        if len(outline) < 3:
            return []
        found = Path(outline).contains_points(self.places)
        return [name for name, is_in in zip(self.names, found.tolist(), strict=True) if is_in]


@dataclass(frozen=True)
class Areas:
    """Blocks as areas of a figure.

    Attributes
    ----------
    axes : in which they are
    boxes : left, upper, right and lower edge of each, in data coordinates, by block number
    """

    axes: Any
    boxes: dict[int, tuple[float, float, float, float]]


@dataclass(frozen=True)
class Drawn:
    """A finished figure.

    Attributes
    ----------
    caption : one sentence on the whole figure
    pick : called with axes, x, y (data coordinates); returns a Pick or None
    points : the volumes, where they are points; or None
    areas : the blocks, where they are areas; or None
    """

    caption: str
    pick: Callable[[Any, float, float], Pick | None] = field(default=lambda axes, x, y: None)
    points: Points | None = None
    areas: Areas | None = None


@dataclass(frozen=True)
class Labels:
    """Names of blocks, and their colors (r, g, b, 0 to 1), by number.

    Attributes
    ----------
    names, colors : of blocks
    parts : names of parts that are no blocks; they stand alone, without the number
    """

    names: dict[int, str] = field(default_factory=dict)
    colors: dict[int, tuple[float, ...]] = field(default_factory=dict)
    parts: dict[int, str] = field(default_factory=dict)

    def text(self, number: int, most: int = 22) -> str:
        """Number and name, of which at most about ``most`` letters."""
        if number in self.parts:  # what differs may be at either end
            part = self.parts[number]
            half = (most - 3) // 2
            return part if len(part) <= most else f"{part[:half]}...{part[-half - 1 :]}"
        name = self.names.get(number, "")
        cut = name[: most - 2] + "..." if len(name) > most else name
        return f"{number}  {cut}" if name else str(number)

    def words(self, number: int) -> str:
        """Number and name for a sentence."""
        if number in self.parts:
            return self.parts[number]
        name = self.names.get(number, "")
        return f"{number} ({name})" if name else str(number)

    def in_sentence(self, sentence: str) -> str:
        """A sentence with the names after the numbers of its blocks."""
        return re.sub(
            r"(?<=[Bb]lock )\d+|(?<=[Bb]locks )\d+|(?<=\d and )\d+",
            lambda number: self.words(int(number[0])),
            sentence,
        )
