"""A series of volumes in the session: one shown at a time, each at its own contour level, with its
name in the picture; and the same recorded, picture by picture.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from chimerax.core.commands import run
from chimerax.core.errors import UserError
from chimerax.core.models import Model
from chimerax.geometry import Bounds
from chimerax.label.label2d import Label
from chimerax.map import Volume
from chimerax.map_data import ArrayGridData
from chimerax.map_series import MapSeries
from numpy.typing import NDArray
from scipy import ndimage

from ..core.common.errors import printable
from ..core.maps.grid import Grid, box_faces
from .commandline import foreign_path_text
from .log import Quiet, log_lines
from .scene import sets_of_blocks
from .shown_map import shown_map
from .surfaces import new_volume, plain_map

COLOR = (0.78, 0.78, 0.78, 1.0)
BLOCK_COLOR = (0.9, 0.6, 0.0)  # of a block that has none
LABEL = "SIREn series"  # name of the label
LETTERS, SMALLEST = 0.032, 8  # of the height of the picture; pixels
WIDE = 0.6  # of a letter, of its height, on average
LEFT, BOTTOM = 0.03, 0.03  # of the picture
NEAR = 2.0  # voxels: so far around a block's voxels the surface has its color
PATTERN = "frame_*"  # of pictures; * is a number
FULL = 1.0  # contour level of volumes on the common scale
SHARP = 3  # pixels that are averaged for one of a picture, along each side
PNG_END = b"IEND\xaeB`\x82"  # of each picture that was written whole
NO_ROOM = 1 << 20  # bytes: less on a disk is none
PAD = 0.1  # of the picture, around the volumes


@dataclass(frozen=True)
class Step:
    """One volume of a series.

    Attributes
    ----------
    name : of the volume
    array : (z, y, x)
    level : its contour level
    text : for the picture
    """

    name: str
    array: NDArray[np.float32]
    level: float
    text: str

    def on_common_scale(self) -> NDArray[np.float32]:
        """The volume with its contour level at 1 and the median of the box's faces at 0: what lies
        between two such volumes has its surface at 1, too, whatever their scales are.
        """
        base = float(np.median(box_faces(self.array)))
        height = self.level - base if self.level > base else max(abs(self.level), 1e-30)
        return np.asarray((self.array - base) / height, np.float32)


@dataclass(frozen=True)
class Paint:
    """Colors of the places of blocks: (n, 3) points x, y, z, and (n, 4) uint8 of each."""

    points: NDArray[np.float64]
    colors: NDArray[np.uint8]
    distance: float

    def put_on(self, volume: Volume) -> None:
        """Color the surfaces of a map where the blocks are, also those it gets later."""
        from chimerax.surface.colorzone import color_zone

        far = (255 * np.array(COLOR)).astype(np.uint8)
        for surface in volume.surfaces:
            color_zone(
                surface,
                self.points,
                self.colors,
                self.distance,
                far_color=far,
                auto_update=True,
            )


def paint_of(
    blocks: Mapping[int, NDArray[np.integer]],
    colors: Mapping[int, Sequence[float]],
    grid: Grid,
    seen: NDArray[np.bool_],
) -> Paint | None:
    """Colors of the places of blocks; gray for what is seen near them and is in none, or the core
    beside a block that is absent would look like that block. None without blocks.

    Parameters
    ----------
    blocks : flat indices of voxels, by number
    colors : of blocks, by number
    grid : of the volumes and blocks
    seen : (z, y, x) what is above the level in any of the volumes
    """
    if not blocks:
        return None
    held = np.zeros(grid.shape, bool)
    for voxels in blocks.values():
        held.ravel()[voxels] = True
    # a voxel farther off is near no surface that a block colors
    none = seen & ndimage.binary_dilation(held, iterations=round(4 * NEAR)) & ~held
    places: list[tuple[Any, Sequence[float]]] = [(np.flatnonzero(none), COLOR)]
    places += [(v, colors.get(n, BLOCK_COLOR)) for n, v in blocks.items()]
    painted = [
        np.tile((255 * np.array([*color[:3], 1.0])).astype(np.uint8), (len(voxels), 1))
        for voxels, color in places
    ]
    points = [grid.points(voxels) for voxels, _ in places]
    return Paint(np.concatenate(points), np.concatenate(painted), NEAR * max(grid.voxel_size))


def open_series(
    session: Any, steps: Sequence[Step], grid: Grid, name: str, paint: Paint | None
) -> Model:
    """Open volumes as a series of ChimeraX, which "vseries play" and its slider go through."""
    maps = []
    for step in steps:
        volume = plain_map(session, step.array, grid, step.text, step.level, COLOR)
        if paint is not None:
            paint.put_on(volume)
        maps.append(volume)
    series: Model = MapSeries(name, maps, session)
    session.models.add([series])
    if session.main_view.render is not None:
        SeriesLabel(session, series)
    if session.ui.is_gui and not any(series in _served(t) for t in session.tools.list()):
        run(session, f"vseries slider #{series.id_string}", log=False)
    return series


def _served(tool: Any) -> Sequence[Any]:
    """The series that a tool steps through: ChimeraX may open a slider for a series by itself."""
    return getattr(tool, "series", ()) if type(tool).__name__ == "MapSeriesSlider" else ()


def open_morph(
    session: Any,
    steps: Sequence[Step],
    grid: Grid,
    name: str,
    frames: int,
) -> Model:
    """Open volumes on their common scale, and ChimeraX's morph through them."""
    maps = [plain_map(session, s.on_common_scale(), grid, s.text, FULL, COLOR) for s in steps]
    group: Model = session.models.add_group(maps, name=name)
    total = max(2, frames * (len(steps) - 1))
    run(
        session,
        f"volume morph #{group.id_string}.1-{len(maps)} frames {total} playStep {1 / total:.6g}",
    )
    return group


class SeriesLabel:
    """The name of the map of a series that is shown, in the picture, until the series is closed.

    It is no part of a saved session: the names of the maps are.
    """

    def __init__(self, session: Any, series: Model):
        self._session, self._series = session, series
        self._text = ""
        self._label: Label | None = None
        self._handler = session.triggers.add_handler("new frame", self._follow)
        self._follow()

    def _follow(self, *_: Any) -> None:
        if self._series.deleted or self._series.id is None:
            self._handler.remove()
            self._remove()
            return
        shown = [m for m in self._series.child_models() if m.display and self._series.visible]
        text = shown[0].name if len(shown) == 1 else ""
        if text != self._text:
            self._remove()
            self._text = text
            if text:
                self._label = put_label(self._session, text)

    def _remove(self) -> None:
        if self._label is not None:
            _delete(self._label)
        self._label = None


def put_label(session: Any, text: str, picture: tuple[int, int] | None = None) -> Label:
    """A line of text at the bottom left of the picture, in place of the one before.

    Parameters
    ----------
    picture : width and height of a picture of another size than the window
    """
    from chimerax.label.label2d import all_labels

    for label in [x for x in all_labels(session) if x.name == LABEL]:
        label.delete()
    window = session.main_view.window_size
    width, height = picture or window
    letters = min(LETTERS * height, (1 - 2 * LEFT) * width / (WIDE * max(1, len(text))))
    # ChimeraX scales letters with the width of a picture, and their place with its shape
    shape = width * window[1] / (height * window[0])
    size = max(SMALLEST, letters) * window[0] / width
    bottom = ((2 * BOTTOM - 1) / shape + 1) / 2
    return Label(session, LABEL, text, size=max(1, round(size)), xpos=LEFT, ypos=bottom)


def _delete(label: Label) -> None:
    if label.drawing is not None and not label.drawing.deleted:
        label.delete()


# --- recording


def check_recording(session: Any, movie: Path | None) -> None:
    """Raise UserError if pictures cannot be made here, or no film of them."""
    if session.main_view.render is None:
        raise UserError("A movie needs graphics: start ChimeraX with windows, or --offscreen.")
    if getattr(session, "movie", None) is not None:
        raise UserError(
            'Another movie is being recorded: end it with "movie encode" or "movie reset".'
        )
    if movie is None:
        return
    suffixes = movie_suffixes()
    if movie.suffix.lower() not in suffixes:
        raise UserError(
            f"{movie.name} cannot be written: give saveFile a name that ends in "
            f"{', '.join(suffixes)}, or framesDir a folder for pictures."
        )
    if ffmpeg() is None:
        raise UserError(
            "ffmpeg, with which ChimeraX makes movies, is not on this computer: give framesDir "
            "a folder for pictures instead of saveFile."
        )


def movie_suffixes() -> list[str]:
    """Of the movies that ChimeraX writes."""
    from chimerax.movie.formats import formats

    return list(dict.fromkeys(f".{f['suffix']}" for f in formats.values()))


def ffmpeg() -> str | None:
    """The program ffmpeg where ChimeraX looks for it: its own, or one on the path."""
    from chimerax import app_bin_dir

    return shutil.which("ffmpeg", path=str(app_bin_dir)) or shutil.which("ffmpeg")


def recording(
    session: Any,
    steps: Sequence[Step],
    grid: Grid,
    folder: Path,
    between: int,
    size: tuple[int, int] | None,
    labeled: bool,
    paint: Paint | None,
    check: Callable[[], None],
) -> Generator[None, None, list[tuple[str, str, str, float]]]:
    """Record a series as PNG pictures with ChimeraX's movie command, pausing after each volume.

    Blocks and the map shown last are hidden meanwhile; what else is seen stays in the picture.

    Parameters
    ----------
    folder : for the pictures, which is there
    between : pictures from one volume to the next; values are interpolated on the common scale
    size : width and height in pixels; default that of the window
    check : called before each volume; raises if the user stopped

    Returns
    -------
    name of the picture, the two volumes it lies between, and how far it is from one to the other
    """
    hidden = hide_blocks(session)
    alone = not any(m.visible for m in session.models.list(type=Volume))
    volume = new_volume(Volume, session, steps[0].on_common_scale(), grid, "movie")
    volume.set_parameters(surface_levels=[FULL], surface_colors=[COLOR], cap_faces=False)
    volume.set_display_style("surface")
    volume.update_drawings()
    session.models.add([volume])
    label: Label | None = None
    written: list[tuple[str, str, str, float]] = []
    spec = foreign_path_text(folder)
    if spec is None:
        raise UserError(
            f"ChimeraX cannot write pictures to {printable(str(folder))}, whose name its commands "
            "cannot hold: give another folder."
        )
    record = f"movie record directory {spec} pattern {PATTERN} format png supersample {SHARP}"
    if size is not None:
        record += f" size {size[0]},{size[1]}"
    try:
        if paint is not None:
            paint.put_on(volume)
        if alone:
            view = session.main_view
            view.camera.view_all(_bounds(steps, grid), size or view.window_size, PAD)
        before = steps[0].on_common_scale()
        for n, step in enumerate(steps):
            check()
            after = before if n == 0 else step.on_common_scale()
            parts = [1.0] if n == 0 else [(k + 1) / between for k in range(between)]
            for part in parts:
                array = after if part == 1 else (1 - part) * before + part * after
                data = ArrayGridData(
                    np.asarray(array, np.float32),
                    origin=grid.origin,
                    step=grid.voxel_size,
                    name="movie",
                )
                volume.replace_data(data)
                volume.set_parameters(surface_levels=[FULL])
                volume.update_drawings()
                # the name of the volume that is nearer
                near = step if part >= 0.5 else steps[n - 1]
                if labeled:
                    label = put_label(session, near.text, size)
                # start and stop for each picture: what is drawn meanwhile is not recorded
                with Quiet(session):
                    for command in (record, "wait 1", "movie stop"):
                        run(session, command, log=False)
                picture = f"frame_{len(written):05d}.png"
                _check_whole(folder / picture)
                written.append((picture, steps[max(0, n - 1)].name, step.name, part))
            before = after
            yield
        return written
    finally:
        if label is not None:
            _delete(label)
        if not volume.deleted:
            session.models.close([volume])
        for group in hidden:
            group.display = True


def _check_whole(picture: Path) -> None:
    """ChimeraX goes on where a picture cannot be written, and leaves none, or part of it."""
    try:
        whole = picture.read_bytes().endswith(PNG_END)
    except OSError:
        whole = False
    if not whole:
        raise UserError(
            f"{picture.name} could not be written to {picture.parent.parent}"
            f"{_if_full(picture.parent)}: make room there, or give another folder."
        )


def _if_full(folder: Path) -> str:
    """That there is no room in a folder, in brackets; "" if there is."""
    try:
        return " (no space left on device)" if shutil.disk_usage(folder).free < NO_ROOM else ""
    except OSError:
        return ""


def _bounds(steps: Sequence[Step], grid: Grid) -> Bounds:
    """The box around the surfaces of all volumes."""
    above = np.zeros(grid.shape, bool)
    for step in steps:
        above |= step.array > step.level
    points = grid.points(np.flatnonzero(above))
    if not len(points):
        points = grid.points(np.array([0, grid.size - 1]))
    return Bounds(points.min(axis=0).astype(np.float32), points.max(axis=0).astype(np.float32))


def end_recording(session: Any, movie: Path | None, rate: float) -> None:
    """Make a film of the pictures, or leave them.

    Raises
    ------
    UserError
        If ffmpeg fails.
    """
    if movie is None:
        abandon(session)
        return
    spec = foreign_path_text(movie)
    if spec is None:
        abandon(session)
        raise UserError(f"ChimeraX cannot write to {movie}: give another saveFile.")
    # it would name the temporary file, and print all that ffmpeg says
    with Quiet(session) as quiet:
        run(session, f"movie encode {spec} framerate {rate:g} resetMode keep", log=False)
    if not movie.is_file() or not movie.stat().st_size:
        abandon(session)
        log_lines(session, quiet.said)
        raise UserError(
            f"ffmpeg did not write the film{_if_full(movie.parent)}: give framesDir a folder for "
            "pictures instead."
        )


def abandon(session: Any) -> None:
    """Forget a recording that was not ended."""
    if getattr(session, "movie", None) is not None:
        with Quiet(session):
            run(session, "movie reset keep", log=False)


def hide_blocks(session: Any) -> list[Model]:
    """Hide the blocks and the map shown last, which would cover the series; those that were
    seen.
    """
    shown = shown_map(session)
    models = [*sets_of_blocks(session), *([] if shown is None else [shown])]
    hidden = [m for m in models if m.display]
    for model in hidden:
        model.display = False
    return hidden
