"""A rendered picture with the numbers of blocks, a legend and a scale bar, at the size of print.

Text stays text in PDF and SVG, so that an editor can move it.

Example::

    import numpy as np

    from chimerax.siren.core.figures.picture import Mark, annotated

    white = np.full((300, 400, 3), 255, np.uint8)
    data = annotated(white, 0.5, [Mark(200, 150, 3, "3 stalk", (0.9, 0.6, 0.0))], width=85)
    data[:4]  # -> b'\\x89PNG'
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from scipy import ndimage

from .draw import figure_bytes
from .placing import place_apart
from .scale_bar import bar_length, length_text
from .theme import Theme

MM = 1 / 25.4  # inch
POINT = 1 / 72  # inch
TEXT, LINE = 7.0, 1.55  # points of all text, and lines apart by this times as much
LETTER = 0.56  # width of a letter, by its size
EDGE = 2.0  # mm from the edge of the picture to the scale bar
BAR_SHARE = 0.25  # of the width of the picture, at most, that the scale bar takes


@dataclass(frozen=True)
class Mark:
    """A block in the picture.

    Attributes
    ----------
    x, y : pixels from the left and from the top, of a point in the block
    number : of the block
    text : what is written there; "" for nothing
    color : red, green and blue, 0 to 1
    legend : what the legend says of it; the number by default
    """

    x: float
    y: float
    number: int
    text: str
    color: tuple[float, ...]
    legend: str = ""


def annotated(
    image: NDArray[np.uint8],
    pixel: float,
    marks: Sequence[Mark],
    width: float,
    suffix: str = ".png",
    legend: bool = True,
    bar: float | None = None,
    show_bar: bool = True,
    nanometers: bool = False,
) -> bytes:
    """The file of a picture with numbers, legend and scale bar.

    Parameters
    ----------
    image : (height, width, 3), the rendered picture
    pixel : its size in A
    marks : the blocks
    width : of the figure in mm; the legend makes it higher than the picture
    suffix : ``.png``, ``.pdf`` or ``.svg``
    legend : whether there is a legend below the picture
    bar : length of the scale bar in A; a round one by default
    show_bar : whether there is a scale bar
    nanometers : whether its length is said in nm
    """
    rows, columns = image.shape[:2]
    dpi = columns / (width * MM)
    high = rows / dpi
    entries = [(m.legend or str(m.number), m.color) for m in marks] if legend else []
    lines = _lines([words for words, _ in entries], width * MM)
    below = (len(lines) * LINE + 0.8) * TEXT * POINT if lines else 0.0
    below = math.ceil(below * dpi) / dpi  # whole pixels, so that the picture is not resampled
    size = (width * MM, high + below)

    def fill(figure: Figure) -> None:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0.0, below / size[1], 1.0, high / size[1]))
        axes.imshow(image, interpolation="none", aspect="auto", extent=(0, columns, rows, 0))
        axes.set(xlim=(0, columns), ylim=(rows, 0))
        axes.axis("off")
        for mark in apart([m for m in marks if m.text], dpi, (columns, rows)):
            _draw_mark(axes, mark)
        if show_bar:
            _draw_bar(axes, columns, rows, pixel, dpi, bar, nanometers)
        if lines:
            _draw_legend(figure, entries, lines, size, below)

    return figure_bytes(fill, suffix, size, dpi, tight=False)


def apart(marks: Sequence[Mark], dpi: float, size: tuple[int, int]) -> list[Mark]:
    """Marks pushed apart, as little as it takes, so that none covers another; all in the picture.

    Parameters
    ----------
    dpi : pixels per inch, which says how large text is
    size : width and height of the picture in pixels
    """
    if not marks:
        return []
    sizes = [_size(m.text, dpi) for m in marks]
    place = place_apart([(m.x, m.y) for m in marks], sizes, size)
    return [
        replace(m, x=float(x), y=float(y)) for m, (x, y) in zip(marks, place.tolist(), strict=True)
    ]


def visible_points(
    blocks: Mapping[int, NDArray[np.float64]], axes: NDArray[np.float64], step: float
) -> dict[int, NDArray[np.float64]]:
    """A point of each block that no other block hides, in the middle of what is seen of it; the
    middle of all of it, where nothing is seen.

    Parameters
    ----------
    blocks : points (n, 3) of each block, by number
    axes : (3, 3), one each row: to the right, up, and toward the viewer
    step : distance of neighboring points
    """
    numbers = list(blocks)
    if not numbers:
        return {}
    owner = np.repeat(np.arange(len(numbers)), [len(blocks[n]) for n in numbers])
    points = np.concatenate([blocks[n] for n in numbers])
    x, y, near = axes @ points.T
    column, row = (np.rint((v - v.min()) / step).astype(int) for v in (x, y))
    cells = np.full((row.max() + 3, column.max() + 3), -1)
    order = np.argsort(near, kind="stable")  # the nearest is written last
    cells[row[order] + 1, column[order] + 1] = order
    places = {}
    for k, number in enumerate(numbers):
        seen = (cells >= 0) & (owner[cells] == k)
        pieces, count = ndimage.label(seen)
        chosen = points[owner == k].mean(axis=0)
        if count:
            largest = int(np.bincount(pieces.ravel())[1:].argmax()) + 1
            depth = ndimage.distance_transform_edt(pieces == largest)
            chosen = points[cells[np.unravel_index(int(depth.argmax()), depth.shape)]]
        places[number] = np.asarray(chosen, np.float64)
    return places


def _size(words: str, dpi: float) -> tuple[float, float]:
    """Width and height of a mark in pixels."""
    size = TEXT * POINT * dpi
    return (LETTER * len(words) + 0.9) * size, 1.6 * size


def _draw_mark(axes: Axes, mark: Mark) -> None:
    axes.text(
        mark.x,
        mark.y,
        mark.text.replace("$", r"\$"),  # no formulas
        fontsize=TEXT,
        ha="center",
        va="center",
        color=on_color(mark.color),
        bbox={
            "boxstyle": "round,pad=0.22,rounding_size=0.5",
            "facecolor": mark.color[:3],
            "edgecolor": "white",
            "linewidth": 0.6,
        },
    )


def on_color(color: Sequence[float]) -> str:
    """Black or white, whichever is read better on a color."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"


def _draw_bar(
    axes: Axes,
    columns: int,
    rows: int,
    pixel: float,
    dpi: float,
    given: float | None,
    nanometers: bool,
) -> None:
    length = given or bar_length(columns * pixel, BAR_SHARE)
    edge = EDGE * MM * dpi
    right, bottom = columns - edge, rows - edge
    axes.add_patch(
        Rectangle(
            (right - length / pixel, bottom - 0.5 * MM * dpi),
            length / pixel,
            0.5 * MM * dpi,
            facecolor="black",
            edgecolor="none",
        )
    )
    axes.text(
        right - length / pixel / 2,
        bottom - 0.9 * MM * dpi,
        length_text(length, nanometers),
        fontsize=TEXT,
        ha="center",
        va="bottom",
        color="black",
    )


def _lines(words: Sequence[str], width: float) -> list[list[int]]:
    """Which entries of the legend are on which line; ``width`` in inches."""
    lines: list[list[int]] = []
    left = 0.0
    for k, word in enumerate(words):
        takes = _entry_width(word)
        if not lines or left + takes > width - 2 * EDGE * MM:
            lines.append([])
            left = 0.0
        lines[-1].append(k)
        left += takes
    return lines


def _entry_width(word: str) -> float:
    return (LETTER * len(word) + 3.2) * TEXT * POINT


def _draw_legend(
    figure: Figure,
    entries: Sequence[tuple[str, tuple[float, ...]]],
    lines: Sequence[Sequence[int]],
    size: tuple[float, float],
    below: float,
) -> None:
    theme = Theme()
    axes = figure.add_axes((0.0, 0.0, 1.0, below / size[1]))
    axes.set(xlim=(0, size[0]), ylim=(0, below))
    axes.axis("off")
    side = TEXT * POINT
    for row, line in enumerate(lines):
        x, y = EDGE * MM, below - (row + 1) * LINE * side
        for k in line:
            words, color = entries[k]
            axes.add_patch(Rectangle((x, y), side, side, facecolor=color[:3], edgecolor="none"))
            more: dict[str, Any] = {"fontsize": TEXT, "va": "center", "color": theme.text}
            axes.text(x + 1.45 * side, y + side / 2, words.replace("$", r"\$"), **more)
            x += _entry_width(words)
