"""Whether the volumes of an ensemble share one grid, and what is said where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..common import constants
from ..common.errors import SirenError, typed
from .grid import Grid, Triple
from .mapfile import with_voxel_size

ORIGIN = "its origin at"


def implausible_size(grid: Grid) -> list[str]:
    """A sentence for the log where no molecule has the size that the headers say."""
    widest = max(n * s for n, s in zip(grid.shape[::-1], grid.voxel_size, strict=True))
    if constants.LEAST_BOX <= widest <= constants.MOST_BOX:
        return []
    return [
        f"The box is {widest:.3g} A wide by the headers ({grid.voxel_size[0]:.3g} A/voxel), which "
        "no cryo-EM box is; they may be in another unit, such as nm. If so, give the voxel size "
        'in A, as in "voxelSize 4"; only distances and volumes in A are affected.'
    ]


def as_given(
    grids: Sequence[Grid], voxel_size: float | None, origin: Triple | None = None
) -> list[Grid]:
    """The grids with a voxel size and an origin that the user gave.

    Without an origin given, theirs are scaled with the voxels, unless that takes apart what is in
    one place: headers that disagree on the voxel size only, as where it was set in some of them
    later.

    Raises
    ------
    SirenError
        If these cannot be.
    """
    if origin is not None and not np.isfinite(origin).all():
        raise SirenError(f"An origin of {origin} A is not possible: give x,y,z in Angstrom.")
    if voxel_size is not None:
        grids = _with_size_given(grids, voxel_size)
    return list(grids) if origin is None else [replace(g, origin=origin) for g in grids]


def _with_size_given(grids: Sequence[Grid], voxel_size: float) -> list[Grid]:
    first = grids[0]
    tolerance = 0.01 * min(min(g.voxel_size) for g in grids)
    together = len({g.voxel_size for g in grids}) > 1 and all(
        np.allclose(g.origin, first.origin, rtol=1e-5, atol=tolerance) for g in grids
    )
    scaled = [with_voxel_size(g, voxel_size) for g in grids]
    return [replace(g, origin=first.origin) for g in scaled] if together else scaled


def not_one_grid(apart: dict[str, str], volumes: int) -> SirenError:
    """Some of the volumes are on other grids than most: what each says of itself, by name."""
    name, said = next(iter(apart.items()))
    given = ""
    if "A/voxel" in said:
        given = ', or give the voxel size of all, as in "voxelSize 4"'
    elif ORIGIN in said:
        given = (
            ", or, if they lie on each other voxel by voxel and only their headers differ, give "
            'the origin of all, as in "origin 0,0,0"'
        )
    if len(apart) == 1:
        return SirenError(f'{said} Use "exclude {typed(name)}", or resample it{given}.')
    return SirenError(
        f"{said} {len(apart):,} of the {volumes:,} volumes differ from the others like this or "
        f'otherwise: choose those of one grid ("include", "exclude"), or resample them{given}.'
    )


def check_same_grid(name: str, grid: Grid, first_name: str, first: Grid) -> None:
    """Check that two maps have the same shape, voxel size (to 0.1 %) and origin (to 0.01 voxel).

    Raises
    ------
    SirenError
        If they differ.
    """
    if said := grid_difference(name, grid, first_name, first):
        raise not_one_grid({name: said}, 2)


def grid_difference(name: str, grid: Grid, first_name: str, first: Grid) -> str:
    """What tells a map's grid from that of another, a sentence; "" if nothing does, see
    :func:`check_same_grid`.
    """

    def sizes(g: Grid) -> str:
        return " x ".join(str(n) for n in g.shape[::-1])

    def triple(t: Triple) -> str:
        return f"{t[0]:.4g}" if len(set(t)) == 1 else " x ".join(f"{v:.4g}" for v in t)

    must = "all volumes must share one grid."
    if grid == first:
        return ""
    if grid.shape != first.shape:
        return f"{name} is {sizes(grid)} but {first_name} is {sizes(first)}: {must}"
    if not np.allclose(grid.voxel_size, first.voxel_size, rtol=1e-3):
        return (
            f"{name} has {triple(grid.voxel_size)} A/voxel but {first_name} has "
            f"{triple(first.voxel_size)}: {must}"
        )
    tolerance = 0.01 * min(first.voxel_size)
    if not np.allclose(grid.origin, first.origin, rtol=1e-5, atol=tolerance):
        return (
            f"{name} has {ORIGIN} ({', '.join(f'{o:.4g}' for o in grid.origin)}) "
            f"A but {first_name} at "
            f"({', '.join(f'{o:.4g}' for o in first.origin)}): {must}"
        )
    return ""
