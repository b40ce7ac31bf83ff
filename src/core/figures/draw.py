"""The figures by name, and how they become files.

Each ``draw_...`` fills a figure and returns a :class:`.theme.Drawn`, which identifies what is under
the mouse pointer.
"""

from __future__ import annotations

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
from ..analysis.relations import Relations, relations
from ..common.errors import SirenError
from ..common.files import atomic_file
from .graph import draw_graph, graph_size
from .levels import draw_thresholds
from .relations import draw_relations
from .states import draw_states
from .theme import Drawn, Labels, Theme

KINDS = ("thresholds", "states", "correlation", "conditional", "graph")
FIGURE_SIZE = (6.4, 4.8)  # inches


@dataclass(frozen=True)
class Content:
    """The data behind the figures of a run; computed once, as many volumes take seconds.

    Attributes
    ----------
    names, levels : all volumes and their contour levels, including volumes left out
    states, relations : of the blocks, or None if only the contour levels are known
    blocks, volumes : their hierarchical clustering
    """

    names: Sequence[str]
    levels: NDArray[np.float64]
    states: States | None = None
    relations: Relations | None = None
    blocks: Tree | None = None
    volumes: Tree | None = None

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
        )


def draw(figure: Figure, kind: str, content: Content, labels: Labels, theme: Theme) -> Drawn:
    """Draw one of the KINDS.

    Raises
    ------
    SirenError
        If there is nothing to draw.
    """
    c = content
    if isinstance(figure.get_layout_engine(), PlaceHolderLayoutEngine):  # after a graph
        figure.clear()
        figure.set_layout_engine("constrained")
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
    with atomic_file(path) as temporary:
        write_figure(temporary, fill, size)


def write_figure(
    path: Path, fill: Callable[[Any], Any], size: tuple[float, float] = FIGURE_SIZE
) -> None:
    """Write a figure to a path that an atomic file or folder lent."""
    figure = Figure(figsize=size, layout="constrained")
    fill(figure)
    undated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    with matplotlib.rc_context({"svg.hashsalt": "siren", "svg.fonttype": "none"}):
        # tight: a long name is not cut at the edge
        figure.savefig(path, dpi=200, metadata=undated, bbox_inches="tight")
