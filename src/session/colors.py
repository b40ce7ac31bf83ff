"""Colors of blocks, and the color scale for values from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..core.blocks.blockset import BlockSet, touching_blocks

# Okabe & Ito 2008, then Paul Tol's muted set: distinguishable with any color vision.
PALETTE = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#332288",
    "#44AA99",
    "#882255",
    "#999933",
    "#DDCC77",
    "#117733",
    "#AA4499",
)
SCALE = ("#440154", "#3B528B", "#21918C", "#5EC962", "#FDE725")  # viridis, for values from 0 to 1


def block_colors(blocks: BlockSet) -> dict[int, tuple[float, float, float]]:
    """A color for each block, (r, g, b) from 0 to 1; touching blocks differ if the palette
    allows.
    """
    touching: dict[int, set[int]] = {n: set() for n, _ in blocks}
    for a, b in touching_blocks(blocks):
        touching[a].add(b)
        touching[b].add(a)
    chosen: dict[int, int] = {}
    used = [0] * len(PALETTE)
    for number, _ in blocks:
        near = [chosen[other] for other in touching[number] if other in chosen]
        color = min(range(len(PALETTE)), key=lambda c: (near.count(c), used[c], c))
        chosen[number] = color
        used[color] += 1
    return {n: _rgb(PALETTE[c]) for n, c in chosen.items()}


def _rgb(color: str) -> tuple[float, float, float]:
    """Red, green and blue, 0 to 1, of a hex color like ``#E69F00``."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def carried_colors(
    blocks: BlockSet, before: BlockSet | None, colors: Mapping[int, tuple[float, float, float]]
) -> dict[int, tuple[float, float, float]]:
    """Colors for blocks that replace others: each inherits the color of the earlier block with
    which it shares the most voxels.

    Parameters
    ----------
    before : the earlier blocks, None if there are none
    colors : of the earlier blocks, by number
    """
    fresh = block_colors(blocks)
    if before is None:
        return fresh
    shared = sorted(
        (
            (len(np.intersect1d(voxels, other, True)), new, old)
            for new, voxels in blocks
            for old, other in before
        ),
        reverse=True,
    )
    kept: dict[int, int] = {}
    for count, new, old in shared:
        if count and new not in kept and old not in kept.values():
            kept[new] = old
    used = {colors[old] for old in kept.values()}
    free = [c for c in fresh.values() if c not in used]
    result = {}
    for number, _ in blocks:
        if number in kept:
            result[number] = colors[kept[number]]
        else:
            result[number] = fresh[number] if fresh[number] not in used or not free else free.pop(0)
    return result


def scale_colors(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Values (n,) from 0 to 1 as red, green, blue (n, 3) on SCALE."""
    stops = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in SCALE])
    at = np.linspace(0, 1, len(SCALE))
    return (
        np.stack([np.interp(values, at, channel) for channel in stops.T], axis=1)
        .round()
        .astype(np.uint8)
    )
