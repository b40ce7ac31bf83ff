"""The map of an ensemble that is being looked at: one model, which follows the list of volumes, is
always seen, and does not cover the blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, prod
from typing import Any
from weakref import WeakSet

import numpy as np
from chimerax.core.models import MODEL_DISPLAY_CHANGED, Model
from chimerax.map import Volume
from chimerax.map_data import ArrayGridData
from numpy.typing import NDArray

from ..core.maps.grid import Grid
from .log import log_uncovered
from .surfaces import SEEN_THROUGH, BlockMap, draw_surface, new_volume, restored_volume, set_level

MAP_COLOR = (0.7, 0.7, 0.7, 1.0)  # ChimeraX's color for the first map
OPAQUE = 0.5  # alpha above which they are not
VIEWER = "Volume Viewer"
# the surface of as many voxels is made in 14 ms; a larger map is drawn more coarsely while its
# level is dragged
QUICK_VOXELS = 100**3


class EnsembleMap(Volume):
    """The single model that ``siren show`` reuses for every map of an ensemble.

    Attributes
    ----------
    siren_faded : whether it was made transparent for the blocks, rather than by the user
    siren_place : the path of its file, or ""
    siren_region : the region to draw, while it is drawn more coarsely; or None
    """

    siren_faded = False
    siren_place = ""
    siren_region: Any = None

    def added_to_session(self, session: Any) -> None:
        """Log nothing: there would be a line for every map shown."""

    def take_snapshot(self, session: Any, flags: int) -> dict[str, Any]:
        """Session data: that of a Volume; its file, by which it can be labeled; and whether it is
        to be opaque again without blocks.
        """
        data = super().take_snapshot(session, flags)
        return {**data, "siren place": self.siren_place, "siren faded": self.siren_faded}

    @staticmethod
    def restore_snapshot(session: Any, data: dict[str, Any]) -> EnsembleMap | None:
        """Restore a Volume with ChimeraX's own code, then set the class."""
        volume = restored_volume(session, data)
        if volume is not None:
            volume.__class__ = EnsembleMap
            volume.siren_place = data.get("siren place", "")
            volume.siren_faded = data.get("siren faded", False)
            _watch_blocks(session)
        return volume


def shown_map(session: Any) -> EnsembleMap | None:
    """The map shown last, unless it was closed; it may be hidden."""
    return next(iter(session.models.list(type=EnsembleMap)), None)


def show_map(
    session: Any,
    name: str,
    array: NDArray[np.float32],
    grid: Grid,
    level: float | None,
    place: str = "",
) -> EnsembleMap:
    """Show a map of an ensemble in place of the previous one, keeping color, style and position.

    It is seen afterwards, however it was hidden before; and where blocks are shown, it starts
    transparent.

    Parameters
    ----------
    array : (z, y, x)
    level : contour level; None keeps the previous one, or lets ChimeraX choose the first
    place : the path of its file
    """
    _watch_blocks(session)
    shown = shown_map(session)
    if shown is None or shown.data.size != grid.shape[::-1]:
        new = new_volume(EnsembleMap, session, array, grid, name)
        draw_surface(
            new,
            new.initial_surface_levels()[0][0] if level is None else level,
            MAP_COLOR if shown is None or not shown.surfaces else shown.surfaces[0].rgba,
        )
        if shown is not None:
            new.siren_faded = shown.siren_faded
            session.models.close([shown])
        elif blocks_shown(session):
            _fade(new)
        new.siren_place = place
        session.models.add([new])
        return new
    shown.replace_data(ArrayGridData(array, origin=grid.origin, step=grid.voxel_size, name=name))
    shown.name, shown.siren_place = name, place
    if level is not None:
        set_level(shown, level)
    if shown.siren_faded and not blocks_shown(session):
        _restore(shown)
    _let_be_seen(shown)
    shown.update_drawings()
    _name_in_viewer(session, shown)
    return shown


def follow_levels(session: Any, levels: Mapping[str, float]) -> None:
    """Contour the shown map at its level, if it is one of these.

    Parameters
    ----------
    levels : by path of the map's file
    """
    shown = shown_map(session)
    if shown is not None and shown.siren_place in levels:
        set_level(shown, levels[shown.siren_place])


def contour_quickly(shown: EnsembleMap, level: float) -> None:
    """Contour a map while its level is dragged: more coarsely if it is large, until
    :func:`draw_whole`.
    """
    step = ceil((prod(shown.data.size) / QUICK_VOXELS) ** (1 / 3))
    if step > 1 and shown.siren_region is None:
        shown.siren_region = first, last, own = shown.region
        coarse = [max(step, int(s)) for s in own]
        shown.new_region(first, last, coarse, adjust_step=False, adjust_voxel_limit=False)
    set_level(shown, level)


def draw_whole(shown: EnsembleMap) -> None:
    """Draw a map as it was before its level was dragged."""
    if shown.siren_region is not None:
        region, shown.siren_region = shown.siren_region, None
        shown.new_region(*region, adjust_step=False, adjust_voxel_limit=False)


def _let_be_seen(shown: EnsembleMap) -> None:
    """Undo ``hide #1 models``, which hides a map's surface and the groups it is in as well."""
    if not shown.shown():
        for drawn in shown.surfaces or shown.child_models():
            drawn.display = True
    model: Model | None = shown
    while model is not None:
        model.display = True
        model = model.parent


def _name_in_viewer(session: Any, shown: EnsembleMap) -> None:
    """ChimeraX's Volume Viewer writes a map's name only when it first lists it."""
    for tool in session.tools.list() if session.ui.is_gui else ():
        if tool.tool_name == VIEWER:
            panel = getattr(tool, "thresholds_panel", None)
            for pane in getattr(panel, "histogram_panes", ()):
                if getattr(pane, "volume", None) is shown and hasattr(pane, "show_data_name"):
                    pane.show_data_name()


# --- blocks and the maps around them


def uncover(session: Any, blocks: Iterable[BlockMap]) -> tuple[EnsembleMap | None, list[Volume]]:
    """Let blocks be seen: the map shown by ``siren show`` becomes transparent.

    Returns
    -------
    that map, if it was opaque until now; and the user's own opaque maps at the same place, which
    stay as they are
    """
    blocks = list(blocks)
    shown, faded = shown_map(session), None
    if shown is not None and blocks and _opaque(shown):
        _fade(shown)
        faded = shown
    return faded, _opaque_maps_at(session, blocks)


def cover_again(session: Any) -> None:
    """Make the map shown by ``siren show`` opaque again that :func:`uncover` made transparent."""
    shown = shown_map(session)
    if shown is not None and shown.siren_faded:
        _restore(shown)
        shown.siren_faded = blocks_shown(session)  # it was opaque beside these by a person's wish


_watching: WeakSet[Any] = WeakSet()  # sessions


def _watch_blocks(session: Any) -> None:
    """Let blocks be seen through the map also when hidden ones are shown again, by any command."""
    if session in _watching:
        return
    _watching.add(session)

    def displayed(_: str, model: Model) -> None:
        ours = (model, *model.child_models())
        if model.display and any(isinstance(m, BlockMap) for m in ours):
            _show_through(session)

    session.triggers.add_handler(MODEL_DISPLAY_CHANGED, displayed)


def _show_through(session: Any) -> None:
    """Make the map transparent where blocks are seen, unless a person wanted it opaque there."""
    shown = shown_map(session)
    if shown is None or shown.siren_faded or not shown.visible or not blocks_shown(session):
        return
    if _opaque(shown):
        _fade(shown)
        if shown not in _told:  # once for each map, not whenever blocks come and go
            _told.add(shown)
            log_uncovered(session, shown, ())


_told: WeakSet[Volume] = WeakSet()  # maps of the user of which it was said that they may cover


def covering_first(session: Any, shown: EnsembleMap) -> list[Volume]:
    """The user's own opaque maps where a map is shown, which stay as they are; each is named only
    once, not with every map that is shown.
    """
    covering = [m for m in _opaque_maps_at(session, [shown]) if m not in _told]
    _told.update(covering)
    return covering


def _opaque_maps_at(session: Any, models: Sequence[Volume]) -> list[Volume]:
    """The user's own opaque maps that are seen where models of ours lie."""
    ours = {m.parent for m in models if isinstance(m, BlockMap)}
    return [
        m
        for m in session.models.list(type=Volume)
        if not isinstance(m, BlockMap | EnsembleMap)
        and m.parent not in ours
        and m.visible
        and _opaque(m)
        and any(_meet(m, other) for other in models)
    ]


def hide_others(session: Any, source: Volume) -> list[Volume]:
    """Hide the open maps that lie where a copy of one of them is shown, and return them."""
    covering = [
        m
        for m in session.models.list(type=Volume)
        if not isinstance(m, BlockMap | EnsembleMap)
        and not any(isinstance(other, BlockMap) for other in m.parent.child_models())
        and m.data.size == source.data.size
        and m.scene_position.same(source.scene_position)
        and m.visible
        and m.shown()
    ]
    for model in covering:
        model.display = False
    return covering


def blocks_shown(session: Any) -> bool:
    """Whether any blocks are seen."""
    return any(m.visible for m in session.models.list(type=BlockMap))


def _opaque(volume: Volume) -> bool:
    return any(s.display and s.style == "surface" and s.rgba[3] > OPAQUE for s in volume.surfaces)


def _fade(shown: EnsembleMap) -> None:
    shown.set_transparency(_ALPHA)
    shown.siren_faded = True


def _restore(shown: EnsembleMap) -> None:
    """Make a map opaque again, unless the user has changed its transparency meanwhile."""
    shown.siren_faded = False
    if all(round(255 * s.rgba[3]) == _ALPHA for s in shown.surfaces):
        shown.set_transparency(255)


def _meet(one: Model, other: Model) -> bool:
    """Whether two models lie at the same place, as far as their bounds tell."""
    first, second = one.bounds(), other.bounds()
    if first is None or second is None:
        return False
    return bool(
        (
            np.maximum(first.xyz_min, second.xyz_min) < np.minimum(first.xyz_max, second.xyz_max)
        ).all()
    )


_ALPHA = round(255 * (1 - SEEN_THROUGH / 100))
