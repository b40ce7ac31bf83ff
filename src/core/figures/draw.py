"""The figures by name, and how they become files.

Each ``draw_...`` fills a figure and returns a :class:`.theme.Drawn`, which identifies what is under
the mouse pointer.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from numpy.typing import NDArray

from ..analysis.block_occupancy import States, Tree, similar_together
from ..analysis.dependence import dependence
from ..analysis.landscape import Landscape, landscape
from ..analysis.relations import Relations, relations
from ..common.errors import SirenError
from ..common.files import atomic_file
from .graph import draw_graph, graph_size
from .levels import draw_thresholds
from .relations import draw_relations
from .scatter import draw_scatter
from .states import draw_states
from .theme import Drawn, Labels, Theme

KINDS = ("thresholds", "states", "correlation", "conditional", "graph", "scatter")
MATRICES = ("correlation", "conditional")
FIGURE_SIZE = (6.4, 4.8)  # inches


@dataclass(frozen=True)
class Content:
    """The data behind the figures of a run; computed once, as many volumes take seconds.

    Attributes
    ----------
    names, levels : all volumes and their contour levels, including volumes left out
    states, relations : of the blocks, or None if only the contour levels are known
    blocks, volumes : their hierarchical clustering
    landscape : the volumes as points
    """

    names: Sequence[str]
    levels: NDArray[np.float64]
    states: States | None = None
    relations: Relations | None = None
    blocks: Tree | None = None
    volumes: Tree | None = None
    landscape: Landscape | None = None

    @staticmethod
    def of(
        names: Sequence[str], levels: NDArray[np.float64], states: States | None = None
    ) -> Content:
        """Count pairs of blocks, and cluster blocks and volumes."""
        if states is None or not len(states.numbers):
            return Content(names, levels)
        return Content(
            names,
            levels,
            states,
            relations(states),
            similar_together(states.share),
            similar_together(states.share.T),
            landscape(states),
        )


def draw(
    figure: Figure,
    kind: str,
    content: Content,
    labels: Labels,
    theme: Theme,
    block: int | None = None,
) -> Drawn:
    """Draw one of the KINDS.

    Parameters
    ----------
    block : number of the block that colors the scatter; None: by the number of blocks

    Raises
    ------
    SirenError
        If there is nothing to draw.
    """
    c = content
    if isinstance(figure.get_layout_engine(), PlaceHolderLayoutEngine):  # after a graph
        figure.clear()
    # of a square picture, the space that is left is on both sides
    figure.set_layout_engine("compressed" if kind in MATRICES else "constrained")
    if kind == "thresholds":
        if not len(c.levels):
            raise SirenError("There are no contour levels yet.")
        return draw_thresholds(figure, c.names, c.levels, theme)
    if c.states is None or c.relations is None or c.blocks is None or c.volumes is None:
        raise SirenError("There are no blocks: the sketch found none.")
    if kind == "states":
        return draw_states(figure, c.states, c.blocks, c.volumes, labels, theme)
    if kind == "graph":
        return draw_graph(figure, dependence(c.relations), c.relations, labels, theme)
    if kind == "scatter":
        assert c.landscape is not None
        return draw_scatter(figure, c.states, c.landscape, labels, theme, block)
    return draw_relations(
        figure, c.states, c.relations, c.blocks, labels, theme, kind == "conditional"
    )


def size_of(kind: str, content: Content, labels: Labels) -> tuple[float, float]:
    """Width and height of a figure in a file, in inches."""
    if kind == "graph" and content.relations is not None:
        return graph_size(dependence(content.relations), content.relations, labels)
    return FIGURE_SIZE


def save_figure(
    path: Path, fill: Callable[[Any], Any], size: tuple[float, float] = FIGURE_SIZE
) -> None:
    """Save a figure, completely or not at all, with the same bytes every time.

    Parameters
    ----------
    path : PNG, SVG or PDF, by its suffix
    fill : draws into a figure
    size : width and height in inches
    """
    data = figure_bytes(fill, path.suffix, size)
    with atomic_file(path) as temporary:
        temporary.write_bytes(data)


def figure_bytes(
    fill: Callable[[Any], Any],
    suffix: str = ".png",
    size: tuple[float, float] = FIGURE_SIZE,
    dpi: float = 200,
    tight: bool = True,
) -> bytes:
    """The file of a figure, the same bytes every time.

    Parameters
    ----------
    fill : called with the figure
    suffix : ``.png``, ``.pdf`` or ``.svg``
    size : width and height in inches
    dpi : of a PNG
    tight : whether the size follows what is drawn: margins are cut off, long names are not
    """
    figure = Figure(figsize=size, layout="constrained")
    fill(figure)
    kind, content = suffix.lower().removeprefix("."), io.BytesIO()
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(kind)
    # 42: text of a PDF can be edited
    settings = {"svg.hashsalt": "siren", "svg.fonttype": "none", "pdf.fonttype": 42}
    box = "tight" if tight else None
    with matplotlib.rc_context(settings):
        figure.savefig(content, format=kind, dpi=dpi, metadata=undated, bbox_inches=box)
    return content.getvalue()
