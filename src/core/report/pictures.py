"""The pictures of a report: rendered ones that are given, or projections drawn without graphics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..common.progress import Progress
from ..figures.draw import figure_bytes
from ..figures.projections import draw_projections
from ..figures.theme import Theme
from .content import Report

MOST_ALONE = 60  # blocks that are pictured alone; with more, the file would be too large to mail


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes
    ----------
    data : PNG or JPEG
    alt : what it shows, in words, for those who do not see it
    caption : what is written below it
    """

    data: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Pictures:
    """All pictures of the blocks.

    Attributes
    ----------
    views : of all blocks together
    alone : of each block alone, by number
    note : how they were made, one sentence
    """

    views: Sequence[Picture]
    alone: Mapping[int, Picture] = field(default_factory=dict)
    note: str = ""


def pictured_alone(report: Report) -> list[int]:
    """Numbers of the blocks that are pictured alone."""
    return [row.number for row in report.rows][:MOST_ALONE]


def projected(report: Report, progress: Progress | None = None) -> Pictures:
    """Pictures without 3D graphics: projections of the mean map with the blocks' outlines."""
    progress, theme = progress or Progress(), Theme()

    def drawn(size: tuple[float, float], dpi: float, **which: Any) -> tuple[bytes, str]:
        said: list[str] = []

        def fill(figure: Any) -> None:
            found = draw_projections(
                figure,
                report.mean,
                report.blocks,
                report.labels,
                theme,
                report.level,
                share=report.sampled,
                **which,
            )
            said.append(found.caption)

        return figure_bytes(fill, ".png", size, dpi), said[0]

    data, alt = drawn((9.0, 3.6), 160)
    alone = {}
    numbers = pictured_alone(report)
    for number in progress.each(numbers, "drawing blocks", len(numbers)):
        small, words = drawn((2.0, 2.0), 110, only=[number], along=("z",))
        alone[number] = Picture(small, words)
    return Pictures(
        [Picture(data, alt, "Maximum projections of the mean of the volumes, blocks in color.")],
        alone,
        "ChimeraX could not render here, so these are flat drawings: projections of the mean map, "
        "with the outlines of the blocks. What is in front of what, they do not show.",
    )
