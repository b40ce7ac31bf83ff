"""Models of a run in the session: blocks as colored surfaces, maps, and their contour levels."""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from chimerax.core.models import Model
from chimerax.map import Volume
from chimerax.map import volume as volume_module
from chimerax.map.volume import default_settings
from chimerax.map_data import ArrayGridData
from numpy.typing import NDArray

from ..core.blocks.blockset import BlockSet
from ..core.blocks.display import DISPLAY_LEVEL, sampled_share, smooth_mask
from ..core.blocks.verdicts import DOUBTFUL
from ..core.figures.colors import ALIKE, RGB, block_colors, pale, scale_colors
from ..core.maps.grid import Grid
from .jobs import at_once

if TYPE_CHECKING:  # slow to import
    from pandas import DataFrame

V = TypeVar("V", bound=Volume)

GROUP_NAME = "SIREn blocks"
UNKNOWN_COLOR = (0.7, 0.7, 0.7)
OPENS_VIEWER = "show_volume_dialog"  # the function of ChimeraX that a restored map calls
SEEN_THROUGH = 70  # percent of transparency with which blocks are seen through a map
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
    siren_volumes : the folder of the volumes that it was found in, "" if they were only in memory
    siren_color : red, green and blue, 0 to 1, that it got when it was opened; see :func:`own_color`
    siren_values : its row of blocks.csv by column, as long as it has the same voxels
    siren_strength : (n,) membership strength of its voxels, likewise
    siren_share : of the voxels around that were compared, see :func:`.display.sampled_share`
    """

    siren_folder = ""
    siren_volumes = ""
    siren_color: RGB | None = None
    siren_block = 0
    siren_name = ""
    siren_share = 1.0
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
        return smooth_mask(values, self.siren_share)

    def take_snapshot(self, session: Any, flags: int) -> dict[str, Any]:
        """Session data: that of a Volume, and the block's own."""
        return {
            **super().take_snapshot(session, flags),
            "siren folder": self.siren_folder,
            "siren volumes": self.siren_volumes,
            "siren color": self.siren_color,
            "siren block": self.siren_block,
            "siren name": self.siren_name,
            "siren label": self._siren_label,
            "siren values": self.siren_values,
            "siren strength": self.siren_strength,
            "siren share": self.siren_share,
        }

    @staticmethod
    def restore_snapshot(session: Any, data: dict[str, Any]) -> BlockMap | None:
        """Restore a Volume with ChimeraX's own code, whatever its version; then set the class."""
        volume = restored_volume(session, data)
        if volume is None:
            return None
        volume.__class__ = BlockMap
        volume.siren_folder = data.get("siren folder", "")
        volume.siren_volumes = data.get("siren volumes", "")
        volume.siren_color = data.get("siren color")
        # sessions of earlier versions hold only the model name
        number = re.match(r"block (\d+)", volume.name)
        volume.siren_block = data.get("siren block", int(number[1]) if number else 0)
        volume.siren_name = data.get("siren name", "")
        volume._siren_label = data.get("siren label", volume.name)
        volume.siren_values = data.get("siren values", {})
        volume.siren_strength = data.get("siren strength")
        volume.siren_share = data.get("siren share", 1.0)
        volume.matrix_changed()
        return volume


def restored_volume(session: Any, data: dict[str, Any]) -> Volume | None:
    """A map of a session, as ChimeraX restores it; but without Volume Viewer, which ChimeraX opens
    for each: a laptop has no room for it beside the panel, which lists these maps itself.
    """
    opens = getattr(volume_module, OPENS_VIEWER, None)
    if opens is None:  # another version, which may do without
        return Volume.restore_snapshot(session, data)
    setattr(volume_module, OPENS_VIEWER, lambda session: None)
    try:
        return Volume.restore_snapshot(session, data)
    finally:
        setattr(volume_module, OPENS_VIEWER, opens)


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
    colors: Mapping[int, RGB] | None = None,
    volumes: str = "",
    name: str = GROUP_NAME,
    sampled: bool = True,
) -> Generator[None, None, Model]:
    """Open blocks as a group of colored surfaces, pausing before each so that windows can redraw.

    Parameters
    ----------
    blocks : BlockSet
    folder : of the run; each map keeps it so that "siren expand" finds the volumes
    mean : (z, y, x), opened at ``level`` as a transparent gray reference if given
    table : blocks.csv; each map keeps its row for the panel
    colors : by number, see :func:`.scene.colors_for`; by default those of a first result
    volumes : the folder of the volumes
    name : of the group
    sampled : whether the blocks are a part of their voxels, as :attr:`.record.Record.sampled`

    Returns
    -------
    the open group model
    """
    colors = block_colors(blocks) if colors is None else colors
    maps: list[Volume] = []
    share = sampled_share(blocks, sampled)
    for number, voxels in blocks:
        yield
        values = table_values(table, number, len(voxels))
        evidence = blocks.evidence.get(number)
        doubtful = evidence is not None and evidence.doubtful
        color = pale(colors[number]) if doubtful else colors[number]
        block = block_map(session, blocks, number, (*color, 1.0), str(folder), values, share)
        block.siren_color, block.siren_volumes = colors[number], volumes
        block.display = not doubtful
        maps.append(block)
    yield
    if mean is not None:
        maps.append(
            plain_map(session, mean, blocks.grid, "mean of the volumes", level, REFERENCE_COLOR)
        )
    group: Model = session.models.add_group(maps, name=name)
    _number_models(session, group, maps)
    return group


def _number_models(session: Any, group: Model, maps: Sequence[Volume]) -> None:
    """Give each block the model number of its own number, as #2.4 for block 4 of #2, also where
    there are gaps; other maps come after them.
    """
    numbers = [m.siren_block if isinstance(m, BlockMap) else 0 for m in maps]
    free = max(numbers, default=0)
    for k, number in enumerate(numbers):
        if not number:
            numbers[k] = free = free + 1
    if numbers != sorted(set(numbers)):
        return
    for volume, number in reversed(list(zip(maps, numbers, strict=True))):  # none is in use then
        session.models.assign_id(volume, (*group.id, number))


def model_words(block: BlockMap) -> str:
    """The model of a block, if its number is not the block's, for a message: `` (#2.5)``."""
    return "" if block.id is None or block.id[-1] == block.siren_block else f" (#{block.id_string})"


def block_map(
    session: Any,
    blocks: BlockSet,
    number: int,
    rgba: Sequence[float],
    folder: str,
    values: dict[str, Any] | None = None,
    share: float | None = None,
) -> BlockMap:
    """One block as a map with its surface, not yet opened; ``share`` of the voxels that were
    compared, measured if not given.
    """
    block = new_volume(BlockMap, session, blocks.mask(number), blocks.grid, f"block {number}")
    block.siren_folder, block.siren_block, block.siren_name = (
        folder,
        number,
        blocks.names.get(number, ""),
    )
    block.siren_values = values or {}
    block.siren_share = sampled_share(blocks) if share is None else share
    block.siren_strength = blocks.strength.get(number)
    block.siren_color = (rgba[0], rgba[1], rgba[2])
    block.label(len(blocks.blocks[number]))
    draw_surface(block, DISPLAY_LEVEL, rgba)
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
    volume = new_volume(Volume, session, array, grid, name)
    draw_surface(volume, level, rgba)
    return volume


def new_volume(kind: type[V], session: Any, array: NDArray[np.float32], grid: Grid, name: str) -> V:
    """A map from a (z, y, x) array, not yet opened nor drawn."""
    data = ArrayGridData(array, origin=grid.origin, step=grid.voxel_size, name=name)
    volume = kind(
        session, data, rendering_options=default_settings(session).rendering_option_defaults()
    )
    volume.name = name
    volume.new_region(ijk_step=(1, 1, 1), adjust_step=False)
    return volume


def draw_surface(volume: Volume, level: float, rgba: Sequence[float]) -> None:
    """Draw a map as a surface at one level."""
    volume.set_parameters(surface_levels=[level], surface_colors=[tuple(rgba)], cap_faces=False)
    volume.set_display_style("surface")
    volume.update_drawings()  # now, not with the next frame: a script may measure or view it


def color_by_stability(block: BlockMap) -> bool:
    """Color a block's whole surface on SCALE by its stability.

    Returns
    -------
    False, with nothing changed, if it is unknown for the block's current voxels.
    """
    if not block.surfaces or "stability" not in block.siren_values:
        return False
    surface = block.surfaces[0]
    block.siren_color = own_color(block)
    surface.vertex_colors, surface.auto_recolor_vertices = None, None
    r, g, b = scale_colors(np.array([block.siren_values["stability"]]))[0] / 255
    block.set_parameters(surface_colors=[(r, g, b, surface.rgba[3])])
    return True


def own_color(block: BlockMap) -> RGB:
    """The color of a block, whatever its surface shows now: neither paler because it is doubtful
    nor that of its stability. A color given with ChimeraX's own commands counts.
    """
    given = block.siren_color
    if not block.surfaces:
        return given or UNKNOWN_COLOR
    r, g, b = (float(c) for c in block.surfaces[0].rgba[:3])
    if given is None:  # from a session of an earlier version
        return (
            (max(0, 2 * r - 1), max(0, 2 * g - 1), max(0, 2 * b - 1))
            if block.doubtful
            else (r, g, b)
        )
    ours = [given, pale(given)]
    if "stability" in block.siren_values:
        ours.append(tuple(scale_colors(np.array([block.siren_values["stability"]]))[0] / 255))
    return given if any(np.allclose((r, g, b), c, atol=ALIKE) for c in ours) else (r, g, b)


def surface_bytes(block: BlockMap) -> tuple[int, int, int]:
    """The color that a block's surface has now: red, green and blue, 0 to 255."""
    rgb = block.surfaces[0].rgba[:3] if block.surfaces else own_color(block)
    r, g, b = (round(255 * float(c)) for c in rgb)
    return r, g, b


def follow_verdict(block: BlockMap) -> None:
    """Make the color of a block pale or full, as its verdict is now; other colors stay."""
    surface, color = (block.surfaces or [None])[0], block.siren_color
    if surface is None or color is None or surface.vertex_colors is not None:
        return
    own, faint = color, pale(color)
    shown = surface.rgba
    if any(np.allclose(shown[:3], c, atol=ALIKE) for c in (own, faint)):
        block.set_parameters(surface_colors=[(*(faint if block.doubtful else own), shown[3])])


def show_own_color(block: BlockMap) -> None:
    """Give a block's surface its own color, paler if the block is doubtful."""
    if not block.surfaces:
        return
    surface, color = block.surfaces[0], own_color(block)
    block.siren_color = color
    surface.vertex_colors, surface.auto_recolor_vertices = None, None
    rgb = pale(color) if block.doubtful else color
    block.set_parameters(surface_colors=[(*rgb, surface.rgba[3])])


def set_level(volume: Volume, level: float) -> None:
    """Set an open map to a single contour level, keeping its color."""
    colors = [s.rgba for s in volume.surfaces][:1]
    volume.set_parameters(surface_levels=[level], **({"surface_colors": colors} if colors else {}))
