"""Colors of blocks, and the color scale for values from 0 to 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..blocks.blockset import BLOCKS_FILE, BlockSet, read_blocks_file, touching_blocks
from ..common.errors import SirenError
from ..maps.grid import Grid
from ..runs.record import read_record

RGB = tuple[float, float, float]
ALIKE = 0.02  # colors of surfaces are rounded to 8 bits

# Okabe & Ito 2008 with a red in place of their second orange; then colors far from all before
# them, also to people who see no red or no green.
PALETTE = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#CC3311",
    "#CC79A7",
    "#332288",
    "#7FFFD4",
    "#661100",
    "#005F56",
    "#A6CEE3",
    "#B8E186",
    "#8A3FFC",
)
SCALE = ("#440154", "#3B528B", "#21918C", "#5EC962", "#FDE725")  # viridis, for values from 0 to 1


def block_colors(blocks: BlockSet, kept: Mapping[int, RGB] | None = None) -> dict[int, RGB]:
    """A color for each block, (r, g, b) from 0 to 1; touching blocks differ if the palette
    allows.

    Parameters
    ----------
    kept : colors that some of the blocks have already, by number; no other block gets one of
        them as long as the palette has others
    """
    palette = [rgb_of(c) for c in PALETTE]
    kept = {n: c for n, c in (kept or {}).items() if n in blocks.blocks}
    # a color chosen by hand counts as the palette's color that it resembles, if any
    chosen = {n: k for n, c in kept.items() if (k := _like(c, palette)) is not None}
    used = [list(chosen.values()).count(k) for k in range(len(palette))]
    touching: dict[int, set[int]] = {n: set() for n, _ in blocks}
    for a, b in touching_blocks(blocks) if len(kept) < len(blocks) else ():
        touching[a].add(b)
        touching[b].add(a)
    colors = {}
    for number, _ in blocks:
        if number in kept:
            colors[number] = kept[number]
            continue
        near = [chosen[other] for other in touching[number] if other in chosen]
        color = min(range(len(palette)), key=lambda c: (near.count(c), used[c], c))
        chosen[number] = color
        used[color] += 1
        colors[number] = palette[color]
    return colors


def same_grid(one: Grid, other: Grid) -> bool:
    """Whether voxels of two grids are the same places."""
    return one.shape == other.shape and bool(
        np.allclose(one.voxel_size, other.voxel_size, rtol=1e-3)
        and np.allclose(one.origin, other.origin, atol=0.01 * min(one.voxel_size))
    )


def _like(color: Sequence[float], palette: Sequence[RGB]) -> int | None:
    """Which color of the palette this is, or all but is."""
    far = [float(np.abs(np.subtract(color[:3], other)).max()) for other in palette]
    nearest = int(np.argmin(far))
    return nearest if far[nearest] < ALIKE else None


def pale(color: RGB) -> RGB:
    """The color of a doubtful block: the same, mixed with as much white."""
    red, green, blue = ((1 + c) / 2 for c in color)
    return red, green, blue


def rgb_of(color: str) -> RGB:
    """Red, green and blue, 0 to 1, of a hex color like ``#E69F00``."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return red, green, blue


def carried_colors(
    blocks: BlockSet, before: BlockSet | None, colors: Mapping[int, RGB]
) -> dict[int, RGB]:
    """Colors for blocks that replace others: each inherits the color of the earlier block with
    which it shares the most voxels.

    Parameters
    ----------
    before : the earlier blocks, None if there are none
    colors : of the earlier blocks, by number
    """
    kept = {} if before is None else inherited_colors(blocks, [(before, colors)])
    return block_colors(blocks, kept)


def inherited_colors(
    blocks: BlockSet, earlier: Iterable[tuple[BlockSet, Mapping[int, RGB]]]
) -> dict[int, RGB]:
    """The colors of those blocks that share voxels with earlier ones, by number; no two inherit
    one color.

    Parameters
    ----------
    earlier : sets with their colors; the first counts most. Those on another grid count nothing.
    """
    kept: dict[int, RGB] = {}
    for before, colors in earlier:
        if not same_grid(before.grid, blocks.grid):
            continue
        left = [(n, v) for n, v in blocks if n not in kept]
        shared = []
        inside = np.zeros(blocks.grid.size, bool)
        for old, voxels in before if left else ():
            inside[voxels] = True
            shared += [(int(inside[v].sum()), -new, old) for new, v in left]
            inside[voxels] = False
        given: set[int] = set()
        for count, new, old in sorted(shared, reverse=True):
            if count and -new not in kept and old not in given and old in colors:
                given.add(old)
                if colors[old] not in kept.values():
                    kept[-new] = colors[old]
    return kept


def folder_colors(
    folder: Path, blocks: BlockSet | None = None, came_from: tuple[Path, ...] = ()
) -> dict[int, RGB]:
    """Colors of the blocks of a run, by number: those of the run that it started from, where its
    folder is still there.

    Parameters
    ----------
    blocks : of the run, if they have been read already
    came_from : folders that started from this one, which are not asked again
    """
    own = read_blocks_file(folder / BLOCKS_FILE) if blocks is None else blocks
    came_from = (*came_from, folder)
    try:
        source = Path(read_record(folder).source or folder)
        if source in came_from:
            return block_colors(own)
        before = read_blocks_file(source / BLOCKS_FILE)
        return carried_colors(own, before, folder_colors(source, before, came_from))
    except SirenError:  # the record, or the folder before, is gone
        return block_colors(own)


def scale_colors(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Values (n,) from 0 to 1 as red, green, blue (n, 3) on SCALE."""
    stops = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in SCALE])
    at = np.linspace(0, 1, len(SCALE))
    return (
        np.stack([np.interp(values, at, channel) for channel in stops.T], axis=1)
        .round()
        .astype(np.uint8)
    )
