"""Pictures of blocks, rendered without a trace: camera, background, lighting, clipping and labels
of the session are as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from chimerax.core.errors import UserError
from chimerax.geometry import Place, place, rotation, union_bounds
from chimerax.graphics import OrthographicCamera
from chimerax.graphics.opengl import Lighting
from chimerax.label.label3d import ObjectLabels
from chimerax.map import Volume
from numpy.typing import NDArray

from ..core.blocks.blockset import BlockSet
from ..core.blocks.display import sampled_share
from ..core.figures.picture import visible_points
from .surfaces import BlockMap, block_map, plain_map

WHITE = (1.0, 1.0, 1.0, 1.0)
MEAN_COLOR = (0.72, 0.72, 0.72, 0.28)
SUPERSAMPLE = 3
MARGIN = 0.06  # of the picture, around everything
OUTLINE = 1 / 900  # width of silhouettes, as a share of that of the picture
VIEWS: Mapping[str, Place] = {
    "front": rotation((0, 1, 0), 0),
    "side": rotation((0, 1, 0), 90),
    "back": rotation((0, 1, 0), 180),
    "top": rotation((1, 0, 0), -90),
}


@dataclass(frozen=True)
class Shot:
    """A rendered picture, in orthographic projection, so that one scale holds at every depth.

    Attributes
    ----------
    image : (height, width, 3) uint8
    pixel : its size in A
    camera : its Place: x to the right, y up
    """

    image: NDArray[np.uint8]
    pixel: float
    camera: Place

    def at(self, point: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
        """Pixels from the left and from the top of a point x, y, z of the scene."""
        x, y, _ = self.camera.inverse() * np.asarray(point, np.float64)
        height, width = self.image.shape[:2]
        return width / 2 + float(x) / self.pixel, height / 2 - float(y) / self.pixel

    def places(
        self, blocks: Mapping[int, NDArray[np.float64]], step: float
    ) -> dict[int, tuple[float, float]]:
        """Where each block is seen, in pixels: points (n, 3) in the scene, ``step`` A apart."""
        axes = np.asarray(self.camera.axes())
        return {n: self.at(point) for n, point in visible_points(blocks, axes, step).items()}


class FramingCamera(OrthographicCamera):
    """An orthographic camera that shows bounds, whatever else is open."""

    def __init__(self, field_width: float, position: Place, depth: float):
        super().__init__(field_width)
        self.position = position
        self._near_far = (1e-3 * depth, 2 * depth)

    def projection_matrix(self, near_far_clip: Any, view_num: Any, window_size: Any) -> Any:
        """Override for ChimeraX, which knows the depth of open models only."""
        return super().projection_matrix(self._near_far, view_num, window_size)


def can_render(session: Any) -> bool:
    """Whether there are graphics: windows, or offscreen rendering."""
    return session.main_view.render is not None


@contextmanager
def studio(session: Any, outline: float, clipped: bool = True) -> Iterator[None]:
    """White background, plain light and outlines, without labels, for the time of the ``with``
    block.

    Parameters
    ----------
    outline : width of the silhouettes in pixels
    clipped : whether clipping planes stay
    """
    view = session.main_view
    silhouette = view.silhouette
    hidden = [d for d in _labels(session) if d.display]
    before = (view.background_color, view.lighting, silhouette.enabled, silhouette.thickness)
    planes = list(view.clip_planes.planes())
    light = Lighting()
    light.depth_cue = False
    try:
        view.background_color, view.lighting = WHITE, light
        silhouette.enabled, silhouette.thickness = True, max(1.0, outline)
        if not clipped:
            view.clip_planes.replace_planes([])
        for drawing in hidden:
            drawing.display = False
        yield
    finally:
        view.background_color, view.lighting, silhouette.enabled, silhouette.thickness = before
        if not clipped:
            view.clip_planes.replace_planes(planes)
        for drawing in hidden:
            if not getattr(drawing, "was_deleted", False):
                drawing.display = True
        view.redraw_needed = True


def _labels(session: Any) -> list[Any]:
    """What is drawn over the scene: 2D labels, color keys, and 3D labels."""
    return [*session.main_view.overlays(), *session.models.list(type=ObjectLabels)]


def shoot(
    session: Any,
    size: tuple[int, int],
    bounds: Any,
    turned: Place,
    field_width: float | None = None,
    center: Sequence[float] | None = None,
    drawings: Sequence[Any] | None = None,
) -> Shot:
    """Render a picture; call it in a :func:`studio`.

    Parameters
    ----------
    size : width and height in pixels
    bounds : of what is to be in the picture
    turned : rotation of the camera
    field_width : of the picture in A; wide enough for the bounds by default
    center : of the picture, x, y, z; the middle of the bounds by default
    drawings : that are drawn, open or not; all that are open by default

    Raises
    ------
    UserError
        If the graphics cannot make a picture of this size.
    """
    width, height = size
    axes = np.asarray(turned.axes())
    corners = np.asarray(bounds.box_corners()) @ axes.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    if field_width is None:
        reach = max(high[0] - low[0], (high[1] - low[1]) * width / height)
        field_width = float(reach) / (1 - 2 * MARGIN) or 1.0
    middle = np.asarray(bounds.center() if center is None else center, np.float64)
    depth = float(bounds.radius()) * 4 + 1.0
    eye = middle + axes[2] * depth
    position = place.Place(axes=turned.axes(), origin=eye)
    camera = FramingCamera(field_width, position, depth)
    image = None
    session.main_view.render.make_current()
    if max(size) <= session.main_view.render.max_framebuffer_size():
        image = session.main_view.image_rgba(
            width, height, supersample=SUPERSAMPLE, camera=camera, drawings=drawings
        )
    if image is None:
        raise UserError(
            f"The graphics cannot draw {width:,} x {height:,} pixels: give a smaller width or dpi."
        )
    return Shot(image[::-1, :, :3], field_width / width, position)


def shoot_window(session: Any, width: int, height: int | None = None) -> Shot:
    """Render what the window shows: everything in it is in the picture.

    Parameters
    ----------
    width, height : in pixels; the height follows the window by default

    Raises
    ------
    UserError
        If nothing is shown.
    """
    view = session.main_view
    bounds = view.drawing_bounds()
    if bounds is None:
        raise UserError('Nothing is shown: open blocks with "siren open FOLDER".')
    window_width, window_height = view.window_size
    height = height or round(width * window_height / window_width)
    seen = float(view.camera.view_width(bounds.center()))
    field_width = max(seen, seen * window_height / window_width * width / height)
    turned = Place(axes=view.camera.position.axes())
    # the point of the bounds' depth that is in the middle of the window
    ahead, origin = view.camera.view_direction(), view.camera.position.origin()
    middle = origin + ahead * float(np.dot(bounds.center() - origin, ahead))
    with studio(session, width * OUTLINE):
        return shoot(session, (width, height), bounds, turned, field_width, middle)


class BlockModels:
    """Blocks as surfaces that are not open, and the mean map around them; delete it after use.

    Attributes
    ----------
    blocks : surfaces by number

    Parameters
    ----------
    share : of the voxels that were compared; measured if not given
    """

    def __init__(
        self,
        session: Any,
        blocks: BlockSet,
        colors: Mapping[int, tuple[float, ...]],
        mean: NDArray[np.float32] | None,
        level: float,
        share: float | None = None,
    ):
        share = sampled_share(blocks) if share is None else share
        self._session = session
        self.blocks: dict[int, BlockMap] = {
            n: block_map(session, blocks, n, (*colors[n][:3], 1.0), "", None, share)
            for n, _ in blocks
        }
        self._mean: Volume | None = (
            None
            if mean is None
            else plain_map(session, mean, blocks.grid, "mean of the volumes", level, MEAN_COLOR)
        )

    def delete(self) -> None:
        """Free the surfaces."""
        for model in self._all():
            model.delete()

    def shoot(self, numbers: Sequence[int], turned: Place, size: tuple[int, int]) -> Shot:
        """A picture of some blocks in the mean map.

        Parameters
        ----------
        numbers : of the blocks
        turned : rotation of the camera
        size : width and height in pixels
        """
        drawn: list[Any] = [self.blocks[n] for n in numbers]
        drawn += [self._mean] if self._mean is not None else []
        bounds = union_bounds([b for d in self._all() if (b := d.bounds()) is not None])
        with studio(self._session, size[0] * OUTLINE, clipped=False):
            return shoot(self._session, size, bounds, turned, drawings=drawn)

    def _all(self) -> list[Any]:
        return [*self.blocks.values(), *([self._mean] if self._mean is not None else [])]


def screen_turn(session: Any) -> Place:
    """How the window is turned."""
    return Place(axes=session.main_view.camera.position.axes())
