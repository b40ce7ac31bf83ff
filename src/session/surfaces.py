"""Models of a run in the session: blocks as colored surfaces, maps, and their contour levels."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from chimerax.core.models import Model
from chimerax.map import Volume
from chimerax.map.volume import default_settings
from chimerax.map_data import ArrayGridData
from numpy.typing import NDArray
from pandas import DataFrame
from scipy import ndimage
from scipy.spatial import cKDTree

from ..core.blocks.blockset import BlockSet, box_around
from ..core.blocks.verdicts import DOUBTFUL
from ..core.maps.grid import Grid
from .colors import block_colors, pale, scale_colors
from .jobs import at_once

V = TypeVar("V", bound=Volume)

GROUP_NAME = "SIREn blocks"
# together these make the surface of a 0/1 mask look like a map while keeping its volume
DISPLAY_SIGMA = 0.75  # voxels
DISPLAY_LEVEL = 0.35
DUST_VOXELS = 10  # smaller pieces are not drawn if the block has larger ones
MAP_COLOR = (0.7, 0.7, 0.7, 1.0)  # ChimeraX's color for the first map
REFERENCE_COLOR = (0.62, 0.62, 0.62, 0.3)


class BlockMap(Volume):
    """A block as a map of 0 and 1 (for saving, erasing and expanding) whose surface is drawn from
    the smoothed mask.

    Contoured at 0.5, a bare mask shows each voxel as an octahedron, and the mask of a sketch, a
    random half of the voxels, as gravel.

    Attributes
    ----------
    siren_folder : of the run that it belongs to
    siren_block : its number
    siren_name : given by the user, or ""
    siren_values : its row of blocks.csv by column, as long as it has the same voxels
    siren_strength : (n,) membership strength of its voxels, likewise
    """

    siren_folder = ""
    siren_block = 0
    siren_name = ""
    _siren_label = ""
    _voxels: NDArray[np.int64] | None = None

    def __init__(self, *arguments: Any, **keywords: Any):
        super().__init__(*arguments, **keywords)
        self.siren_values: dict[str, Any] = {}
        self.siren_strength: NDArray[np.float32] | None = None

    @property
    def given_name(self) -> str:
        """The name given by the user, with "siren block rename" or any other ChimeraX command."""
        return self.siren_name if self.name == self._siren_label else str(self.name)

    @property
    def verdict(self) -> str:
        """What its density says of it, with the reason; "" if unknown, as after an edit."""
        known = self.siren_values.get("voxels") == len(self.voxels)
        return str(self.siren_values.get("verdict", "")) if known else ""

    @property
    def doubtful(self) -> bool:
        """Whether it is probably not a part that comes and goes."""
        return self.verdict.startswith(DOUBTFUL)

    @property
    def voxels(self) -> NDArray[np.int64]:
        """Flat indices (z, y, x order) of its voxels, ascending; recomputed if the values
        change.
        """
        if self._forget not in self.change_callbacks:
            self.add_volume_change_callback(self._forget)
            self._voxels = None
        if self._voxels is None:
            self._voxels = np.flatnonzero(self.full_matrix() > 0.5).astype(np.int64)
        return self._voxels

    def _forget(self, _: Any, change: str) -> None:
        if change == "data values changed":
            self._voxels = None

    def label(self, count: int) -> None:
        """Set the model name to the block's number, given name and size."""
        name = f": {self.siren_name}" if self.siren_name else ""
        self.name = self._siren_label = (
            f"block {self.siren_block}{name} ({count:,} voxel{'s' * (count != 1)})"
        )

    def added_to_session(self, session: Any) -> None:
        """Log nothing: the table of blocks is in the log."""

    def matrix(
        self, read_matrix: bool = True, step: Any = None, subregion: Any = None
    ) -> NDArray[np.float32]:
        """The values to display, (z, y, x): smoothed, unless a step or subregion is given (as by
        full_matrix).
        """
        values = super().matrix(read_matrix, step, subregion)
        if step is not None or subregion is not None or values is None:
            return values
        return smooth_mask(values)

    def take_snapshot(self, session: Any, flags: int) -> dict[str, Any]:
        """Session data: that of a Volume, and the block's own."""
        return {
            **super().take_snapshot(session, flags),
            "siren folder": self.siren_folder,
            "siren block": self.siren_block,
            "siren name": self.siren_name,
            "siren label": self._siren_label,
            "siren values": self.siren_values,
            "siren strength": self.siren_strength,
        }

    @staticmethod
    def restore_snapshot(session: Any, data: dict[str, Any]) -> BlockMap | None:
        """Restore a Volume with ChimeraX's own code, whatever its version; then set the class."""
        volume = Volume.restore_snapshot(session, data)
        if volume is None:
            return None
        volume.__class__ = BlockMap
        volume.siren_folder = data.get("siren folder", "")
        # sessions of earlier versions hold only the model name
        number = re.match(r"block (\d+)", volume.name)
        volume.siren_block = data.get("siren block", int(number[1]) if number else 0)
        volume.siren_name = data.get("siren name", "")
        volume._siren_label = data.get("siren label", volume.name)
        volume.siren_values = data.get("siren values", {})
        volume.siren_strength = data.get("siren strength")
        volume.matrix_changed()
        return volume


def block_spec(models: Sequence[BlockMap]) -> str:
    """The ChimeraX specifier of blocks of one group, such as ``#2.1-3,7``."""
    last = sorted(m.id[-1] for m in models)
    runs: list[list[int]] = []
    for n in last:
        if runs and n == runs[-1][-1] + 1:
            runs[-1].append(n)
        else:
            runs.append([n])
    parent = "".join(f"{n}." for n in models[0].id[:-1])
    return f"#{parent}" + ",".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)


class EnsembleMap(Volume):
    """The single model that ``siren show`` reuses for every map of an ensemble."""

    def added_to_session(self, session: Any) -> None:
        """Log nothing: there would be a line for every map shown."""

    @staticmethod
    def restore_snapshot(session: Any, data: dict[str, Any]) -> EnsembleMap | None:
        """Restore a Volume with ChimeraX's own code, then set the class."""
        volume = Volume.restore_snapshot(session, data)
        if volume is not None:
            volume.__class__ = EnsembleMap
        return volume


def show_map(
    session: Any, name: str, array: NDArray[np.float32], grid: Grid, level: float | None
) -> EnsembleMap:
    """Show a map of an ensemble in place of the previous one, keeping color, style and position.

    Parameters
    ----------
    array : (z, y, x)
    level : contour level; None keeps the previous one, or lets ChimeraX choose the first
    """
    shown = next(iter(session.models.list(type=EnsembleMap)), None)
    if shown is None or shown.data.size != grid.shape[::-1]:
        new = _volume(EnsembleMap, session, array, grid, name)
        _surface(
            new,
            new.initial_surface_levels()[0][0] if level is None else level,
            MAP_COLOR if shown is None else shown.surfaces[0].rgba,
        )
        if shown is not None:
            session.models.close([shown])
        session.models.add([new])
        return new
    shown.replace_data(ArrayGridData(array, origin=grid.origin, step=grid.voxel_size, name=name))
    shown.name = name
    if level is not None:
        set_level(shown, level)
    shown.display = True
    shown.update_drawings()
    return shown


def smooth_mask(mask: NDArray[np.floating]) -> NDArray[np.float32]:
    """Smooth a (z, y, x) 0/1 mask for contouring at DISPLAY_LEVEL, without specks."""
    inside = np.asarray(mask) > 0.5
    smooth = np.zeros(inside.shape, np.float32)
    # the filter reaches 4 SD; work on the part of the box that holds the block
    where = box_around(inside, 1 + int(4 * DISPLAY_SIGMA))
    if where is None:
        return smooth
    inside = inside[where]
    pieces, count = ndimage.label(inside, structure=np.ones((3, 3, 3)))
    if count > 1:
        size = np.bincount(pieces.ravel())
        size[0] = 0
        if size.max() >= DUST_VOXELS:
            inside = (size >= DUST_VOXELS)[pieces]
    smooth[where] = ndimage.gaussian_filter(inside.astype(np.float32), DISPLAY_SIGMA)
    return smooth


def open_blocks(
    session: Any,
    blocks: BlockSet,
    folder: Path,
    mean: NDArray[np.float32] | None = None,
    level: float = 0.0,
    table: DataFrame | None = None,
) -> Model:
    """Open blocks as a group of colored surfaces: :func:`opening_blocks` without pauses."""
    group: Model = at_once(opening_blocks(session, blocks, folder, mean, level, table))
    return group


def opening_blocks(
    session: Any,
    blocks: BlockSet,
    folder: Path,
    mean: NDArray[np.float32] | None = None,
    level: float = 0.0,
    table: DataFrame | None = None,
) -> Generator[None, None, Model]:
    """Open blocks as a group of colored surfaces, pausing before each so that windows can redraw.

    Parameters
    ----------
    blocks : BlockSet
    folder : of the run; each map keeps it so that "siren expand" finds the volumes
    mean : (z, y, x), opened at ``level`` as a transparent gray reference if given
    table : blocks.csv; each map keeps its row for the panel

    Returns
    -------
    the open group model
    """
    colors = block_colors(blocks)
    maps: list[Volume] = []
    for number, voxels in blocks:
        yield
        values = table_values(table, number, len(voxels))
        evidence = blocks.evidence.get(number)
        doubtful = evidence is not None and evidence.doubtful
        color = pale(colors[number]) if doubtful else colors[number]
        block = block_map(session, blocks, number, (*color, 1.0), str(folder), values)
        block.display = not doubtful
        maps.append(block)
    yield
    if mean is not None:
        maps.append(
            plain_map(session, mean, blocks.grid, "mean of the volumes", level, REFERENCE_COLOR)
        )
    group = session.models.add_group(maps, name=GROUP_NAME)
    return group


def block_map(
    session: Any,
    blocks: BlockSet,
    number: int,
    rgba: Sequence[float],
    folder: str,
    values: dict[str, Any] | None = None,
) -> BlockMap:
    """One block as a map with its surface, not yet opened."""
    block = _volume(BlockMap, session, blocks.mask(number), blocks.grid, f"block {number}")
    block.siren_folder, block.siren_block, block.siren_name = (
        folder,
        number,
        blocks.names.get(number, ""),
    )
    block.siren_values = values or {}
    block.siren_strength = blocks.strength.get(number)
    block.label(len(blocks.blocks[number]))
    _surface(block, DISPLAY_LEVEL, rgba)
    return block


def table_values(table: DataFrame | None, number: int, voxels: int) -> dict[str, Any]:
    """The numbers and the verdict of a block's row in blocks.csv; none if its voxel count
    differs.
    """
    if table is None:
        return {}
    rows = table[(table["block"] == number) & (table["voxels"] == voxels)]
    if len(rows) != 1:
        return {}
    numbers = rows.select_dtypes("number").iloc[0]
    verdict = verdict_text(rows.iloc[0].get("verdict"))
    return {
        **{str(k): float(v) for k, v in numbers.items() if np.isfinite(v)},
        **({"verdict": verdict} if verdict else {}),
    }


def verdict_text(cell: Any) -> str:
    """A verdict from a cell of blocks.csv, which pandas reads as NaN if it is empty."""
    return cell if isinstance(cell, str) else ""


def plain_map(
    session: Any,
    array: NDArray[np.float32],
    grid: Grid,
    name: str,
    level: float,
    rgba: Sequence[float],
) -> Volume:
    """A map from a (z, y, x) array with its surface, not yet opened."""
    volume = _volume(Volume, session, array, grid, name)
    _surface(volume, level, rgba)
    return volume


def _volume(kind: type[V], session: Any, array: NDArray[np.float32], grid: Grid, name: str) -> V:
    data = ArrayGridData(array, origin=grid.origin, step=grid.voxel_size, name=name)
    volume = kind(
        session, data, rendering_options=default_settings(session).rendering_option_defaults()
    )
    volume.name = name
    volume.new_region(ijk_step=(1, 1, 1), adjust_step=False)
    return volume


def _surface(volume: Volume, level: float, rgba: Sequence[float]) -> None:
    volume.set_parameters(surface_levels=[level], surface_colors=[tuple(rgba)], cap_faces=False)
    volume.set_display_style("surface")
    volume.update_drawings()  # now, not with the next frame: a script may measure or view it


def color_by(block: BlockMap, value: str) -> bool:
    """Color a block's surface on SCALE by ``strength`` (each vertex by its nearest voxel) or
    ``stability`` (the whole surface).

    Returns
    -------
    False, with nothing changed, if the value is unknown for the block's current voxels.
    """
    if not block.surfaces:
        return False
    surface, voxels = block.surfaces[0], block.voxels
    if value == "stability":
        if "stability" not in block.siren_values:
            return False
        surface.vertex_colors, surface.auto_recolor_vertices = None, None
        r, g, b = scale_colors(np.array([block.siren_values["stability"]]))[0] / 255
        block.set_parameters(surface_colors=[(r, g, b, surface.rgba[3])])
        return True
    strength = block.siren_strength
    if strength is None or len(strength) != len(voxels):
        return False
    tree = cKDTree(np.stack(np.unravel_index(voxels, block.data.size[::-1]), axis=1)[:, ::-1])

    def recolor() -> None:  # called again whenever ChimeraX recomputes the surface
        nearest = tree.query(block.data.xyz_to_ijk(surface.vertices))[1]
        alpha = np.full((len(nearest), 1), round(255 * surface.rgba[3]), np.uint8)
        surface.vertex_colors = np.hstack([scale_colors(strength[nearest]), alpha])
        surface.auto_recolor_vertices = recolor  # setting vertex colors clears it

    recolor()
    return True


def set_level(volume: Volume, level: float) -> None:
    """Set an open map to a single contour level, keeping its color."""
    colors = [s.rgba for s in volume.surfaces][:1]
    volume.set_parameters(surface_levels=[level], **({"surface_colors": colors} if colors else {}))
