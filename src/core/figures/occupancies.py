"""Occupancies as files: tables, and a heat map of each measure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..analysis.occupancy_tables import (
    OCCUPANCIES_FILE,
    ORDER_FILE,
    PARTS_FILE,
    occupancies_csv,
    order_csv,
    parts_csv,
)
from ..analysis.part_occupancy import Occupancies
from ..common.files import atomic_files
from .draw import figure_bytes
from .states import draw_occupancies, heat_map_size, part_labels
from .theme import Theme

TABLES = {OCCUPANCIES_FILE: occupancies_csv, PARTS_FILE: parts_csv, ORDER_FILE: order_csv}


def write_occupancies(
    folder: Path,
    found: Occupancies,
    formats: Sequence[str] = ("png",),
    colors: dict[int, tuple[float, ...]] | None = None,
) -> list[Path]:
    """Write all tables and figures to a folder, or none; other files there stay.

    Parameters
    ----------
    formats : suffixes of the figures, such as png, svg, pdf
    colors : of the blocks, by number

    Returns
    -------
    The files.

    Raises
    ------
    SirenError
        If the folder cannot be written to.
    """
    drawn = [(m, suffix) for m in found.measures for suffix in dict.fromkeys(formats)]
    files = [folder / name for name in TABLES]
    files += [folder / f"occupancies_{measure}.{suffix}" for measure, suffix in drawn]
    labels, size = part_labels(found, colors), heat_map_size(len(found.parts))
    with atomic_files(*files) as temporary:
        for path, text in zip(temporary, TABLES.values(), strict=False):
            path.write_bytes(text(found).encode("utf-8", "surrogateescape"))
        for path, (measure, _) in zip(temporary[len(TABLES) :], drawn, strict=True):
            fill = partial(
                draw_occupancies, found=found, measure=measure, labels=labels, theme=Theme()
            )
            path.write_bytes(figure_bytes(fill, path.suffix, size))
    return files
