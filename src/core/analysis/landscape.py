"""The volumes as points of a plane: near each other where they are alike.

Example::

    import numpy as np

    from chimerax.siren.core.analysis.block_occupancy import States
    from chimerax.siren.core.analysis.landscape import landscape

    share = np.array([[1, 1, 0, 0], [1, 0, 1, 0]], np.float32)
    states = States(tuple("abcd"), np.ones(4), (1, 2), np.array([50, 40]), share)
    landscape(states).points  # (4, 2): with two blocks, the shares themselves
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError
from .block_occupancy import States


@dataclass(frozen=True)
class Landscape:
    """Volumes in a plane.

    Attributes
    ----------
    names : V volumes
    points : (V, 2) where each is
    axes : what the two axes are, in words
    near : which volumes are near each other, in words
    """

    names: tuple[str, ...]
    points: NDArray[np.float64]
    axes: tuple[str, str]
    near: str = "those that are alike near each other"


def landscape(states: States) -> Landscape:
    """The volumes by the shares of their blocks.

    With three blocks and more their first two principal components; every block counts alike,
    whatever its size. Two blocks are the axes themselves, and with one the volumes are side by side
    in their order.

    Raises
    ------
    SirenError
        If there are no blocks.
    """
    if not states.numbers:
        raise SirenError("There are no blocks: the sketch found none.")
    words = [f"share of block {n}" for n in states.numbers]
    return plane_of(states.names, states.share.T, words, "block shares")


def plane_of(
    names: Sequence[str], values: NDArray[np.floating], words: Sequence[str], what: str
) -> Landscape:
    """Volumes by the values of each, such as the coordinates in the latent space of a decoder.

    Parameters
    ----------
    names : V volumes
    values : (V, D)
    words : what each of the D values is
    what : what they are together, for the axes: ``block shares``, ``latent``
    """
    values = np.asarray(values, np.float64)
    if values.shape[1] == 1:
        points = np.column_stack([values[:, 0], np.arange(1, len(values) + 1)])
        return Landscape(tuple(names), points, (words[0], "volume"))
    if values.shape[1] == 2:
        return Landscape(tuple(names), values, (words[0], words[1]))
    centered = values - values.mean(axis=0)
    spread, directions = np.linalg.eigh(centered.T @ centered)
    first = directions[:, [-1, -2]]
    # either sign of a direction would do: its largest part is positive
    first = first * np.sign(first[np.abs(first).argmax(axis=0), [0, 1]])
    share = 100 * spread[[-1, -2]].clip(0) / max(spread.clip(0).sum(), 1e-300)
    axes = [f"component {k} of the {what} ({p:.0f} %)" for k, p in enumerate(share, 1)]
    return Landscape(tuple(names), centered @ first, (axes[0], axes[1]))
