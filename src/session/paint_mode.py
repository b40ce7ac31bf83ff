"""The mouse mode that paints on a block. Quick to import: ChimeraX does so when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from chimerax.core.commands import run
from chimerax.core.errors import NotABug
from chimerax.geometry import Places
from chimerax.graphics import Drawing
from chimerax.mouse_modes import MouseMode
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .surfaces import BlockMap

NAME = "paint block"
RADIUS = 3.0  # voxels, unless the user says otherwise
STEP = 0.5  # of the radius, from one sphere of a stroke to the next
TRIANGLES = 200  # of the sphere shown
ADD, ERASE = (110, 200, 110, 140), (225, 90, 90, 140)  # colors of the sphere


class PaintMode(MouseMode):
    """Paints spheres on a block while the mouse is dragged; the command that does it runs when the
    button is released, so that a stroke is one line in the log and one step to undo. The shift key
    erases, or adds where the mode erases.

    Attributes
    ----------
    block : the block that is painted; None for the selected one, else that under the mouse
    radius : in A; None for RADIUS
    erase : whether to erase
    """

    name = NAME
    icon_file = "../icons/paint.png"  # from this module

    def __init__(self, session: Any):
        super().__init__(session)
        self.block: BlockMap | None = None
        self.radius: float | None = None
        self.erase = False
        self._painted: BlockMap | None = None
        self._erasing = False
        self._centers: list[NDArray[np.float64]] = []
        self._spheres: Drawing | None = None

    def mouse_down(self, event: Any) -> None:
        """Override for ChimeraX."""
        super().mouse_down(event)
        self._forget()
        self._painted = self._block_at(*event.position())
        self._erasing = self.erase != event.shift_down()
        if self._painted is not None:
            self._add(*event.position())

    def mouse_drag(self, event: Any) -> None:
        """Override for ChimeraX."""
        super().mouse_drag(event)
        if self._painted is not None:
            self._add(*event.position())

    def mouse_up(self, event: Any) -> None:
        """Override for ChimeraX: run the command."""
        super().mouse_up(event)
        command = self._command()
        self._forget()
        if command:
            try:
                run(self.session, command)
            except NotABug as error:  # as with an eraser where there is nothing
                self.session.logger.status(str(error), color="red")
                self.session.logger.warning(str(error))

    def reach(self, block: BlockMap) -> float:
        """The radius on this block, A."""
        return self.radius or RADIUS * float(np.mean(block.data.step))

    def _command(self) -> str:
        block = self._painted
        if block is None or block.deleted or not self._centers:
            return ""
        centers = " ".join(f"center {x:.2f},{y:.2f},{z:.2f}" for x, y, z in self._centers)
        return f"siren block paint #{block.id_string} {centers} radius {self.reach(block):.4g}" + (
            " erase true" if self._erasing else ""
        )

    def _block_at(self, x: float, y: float) -> BlockMap | None:
        """The block to paint on."""
        from .surfaces import BlockMap

        if self.block is not None and not self.block.deleted:
            return self.block
        blocks = [m for m in self.session.models.list(type=BlockMap) if m.visible]
        selected = [m for m in blocks if m.get_selected(include_children=True)]
        if len(selected) == 1:
            return selected[0]
        hit = [(place[0], n) for n, m in enumerate(blocks) if (place := self._hit(m, x, y))]
        return blocks[min(hit)[1]] if hit else None

    def _hit(self, block: BlockMap, x: float, y: float) -> tuple[float, Any] | None:
        """Where the line of sight first meets a block: how far, 0 to 1, and the scene point."""
        near, far = self.view.clip_plane_points(x, y)
        if near is None or not block.surfaces:
            return None
        to_map = block.scene_position.inverse()
        pick = block.surfaces[0].first_intercept(to_map * near, to_map * far)
        return None if pick is None else (pick.distance, near + pick.distance * (far - near))

    def _place(self, x: float, y: float) -> NDArray[np.float64] | None:
        """The scene point under the mouse: on the block; beside it, as deep as the last one."""
        assert self._painted is not None
        hit = self._hit(self._painted, x, y)
        if hit is not None:
            return np.asarray(hit[1], np.float64)
        near, far = self.view.clip_plane_points(x, y)
        if near is None:
            return None
        if not self._centers:  # the first is beside the block: on whatever is there
            pick = self.view.picked_object(x, y)
            place = getattr(pick, "position", None)
            return None if place is None else np.asarray(place, np.float64)
        toward = self.camera_position.z_axis()
        along = np.dot(far - near, toward)
        share = np.dot(self._centers[-1] - near, toward) / along if along else 0.0
        return np.asarray(near + share * (far - near), np.float64)

    def _add(self, x: float, y: float) -> None:
        assert self._painted is not None
        place, reach = self._place(x, y), self.reach(self._painted)
        if place is None or any(np.linalg.norm(place - c) < STEP * reach for c in self._centers):
            return
        self._centers.append(place)
        self._show(reach)

    def _show(self, reach: float) -> None:
        """Draw the spheres of the stroke."""
        if self._spheres is None:
            from chimerax.surface import sphere_geometry2

            self._spheres = Drawing(NAME)
            self._spheres.pickable = self._spheres.casts_shadows = False
            self._spheres.skip_bounds = True
            vertices, normals, triangles = sphere_geometry2(TRIANGLES)
            self._spheres.set_geometry(reach * vertices, normals, triangles)
            self._spheres.color = ERASE if self._erasing else ADD
            self.view.drawing.add_drawing(self._spheres)
        places = np.array([(*c, 1.0) for c in self._centers], np.float32)
        self._spheres.positions = Places(shift_and_scale=places)

    def _forget(self) -> None:
        """End the stroke."""
        self._centers, self._painted = [], None
        if self._spheres is not None:
            self.view.drawing.remove_drawing(self._spheres)
            self._spheres = None


def paint_mode(session: Any) -> PaintMode:
    """The session's mouse mode, made known to ChimeraX if it is not yet."""
    modes = session.ui.mouse_modes
    mode = modes.named_mode(NAME)
    if mode is None:
        mode = PaintMode(session)
        modes.add_mode(mode)
    assert isinstance(mode, PaintMode)
    return mode
