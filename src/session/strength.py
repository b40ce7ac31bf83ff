"""Blocks colored by a value from 0 to 1: membership strength smoothed over the surface, and the
color key in the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from chimerax.color_key.model import get_model
from chimerax.core.colors import Color
from chimerax.core.models import REMOVE_MODELS
from chimerax.label.label2d import Label, all_labels
from numpy.typing import NDArray
from scipy import ndimage

from ..core.blocks.blockset import box_around
from ..core.figures.colors import SCALE, scale_colors
from .edits import BLOCKS_CHANGED, add_trigger
from .surfaces import BlockMap

# Strengths of neighboring voxels differ by chance, which a surface would show as blotches. In the
# example, the step between neighboring vertices falls from 0.11 to 0.02, and regions of a block
# still differ by 0.18; with 2 voxels, the firm inside of a block hides what its surface shows.
SIGMA = 1.0  # voxels
REACH = 4  # SD
TITLE = "SIREn key"  # name of the label over the key
TITLE_SIZE = 20  # pixels
TITLE_GAP = 0.01  # of the window's height, between key and title
WORDS = ("0", "", "0.5", "", " 1 ")  # at the colors; ChimeraX cuts off the last without spaces

Sample = Callable[[NDArray[np.floating]], NDArray[np.float64]]


def smooth_strength(
    voxels: NDArray[np.int64], strength: NDArray[np.floating], shape: tuple[int, int, int]
) -> Sample:
    """The membership strength of a block as a smooth function of the place: at each, the mean over
    the block's voxels, weighted by a Gaussian of their distance.

    Parameters
    ----------
    voxels : (n,) flat indices, in z, y, x order
    strength : (n,) of each, from 0 to 1
    shape : z, y, x of the grid

    Returns
    -------
    A function of places (k, 3), in voxels x, y, z, that returns (k,) values.
    """
    inside = np.zeros(shape, bool)
    inside.ravel()[voxels] = True
    where = box_around(inside, 1 + int(REACH * SIGMA))
    if where is None:
        return lambda ijk: np.zeros(len(ijk))
    values = np.zeros(shape, np.float32)
    values.ravel()[voxels] = strength
    near = ndimage.gaussian_filter(
        inside[where].astype(np.float32), SIGMA, mode="constant", truncate=REACH
    )
    summed = ndimage.gaussian_filter(values[where], SIGMA, mode="constant", truncate=REACH)
    start = [s.start for s in where]

    def sample(ijk: NDArray[np.floating]) -> NDArray[np.float64]:
        places = np.asarray(ijk, np.float64)[:, ::-1].T - np.array(start, np.float64)[:, None]
        weight, total = (
            ndimage.map_coordinates(field, places, np.float64, order=1, mode="nearest")
            for field in (near, summed)
        )
        mean = float(np.mean(strength))  # far from all voxels, where no surface is
        return np.clip(np.where(weight > 1e-6, total / np.maximum(weight, 1e-6), mean), 0, 1)

    return sample


def color_by_strength(block: BlockMap) -> bool:
    """Color a block's surface on SCALE by the smoothed membership strength.

    Returns
    -------
    False, with nothing changed, if the strength is unknown for the block's current voxels.
    """
    strength, voxels = block.siren_strength, block.voxels
    if not block.surfaces or strength is None or len(strength) != len(voxels):
        return False
    surface = block.surfaces[0]
    sample = smooth_strength(voxels, strength, block.data.size[::-1])

    def recolor() -> None:  # called again whenever ChimeraX recomputes the surface
        values = sample(block.data.xyz_to_ijk(surface.vertices))
        alpha = np.full((len(values), 1), round(255 * surface.rgba[3]), np.uint8)
        surface.vertex_colors = np.hstack([scale_colors(values), alpha])
        surface.auto_recolor_vertices = recolor  # setting vertex colors clears it

    recolor()
    return True


# --- the key


_keys: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()  # handlers of a session's key


def key_command() -> str:
    """The command that shows a key of SCALE."""
    values = np.linspace(0, 1, len(SCALE))
    return "key " + " ".join(f"{c}:{v:g}" for c, v in zip(SCALE, values, strict=True))


def colored_by(block: BlockMap) -> str:
    """``strength`` or ``stability`` if a block's surface shows it, else ""."""
    if not block.surfaces:
        return ""
    surface = block.surfaces[0]
    if surface.vertex_colors is not None:
        return "strength" if block.siren_strength is not None else ""
    stability, own = block.siren_values.get("stability"), block.siren_color
    if stability is None or own is None:
        return ""
    scale = scale_colors(np.array([stability]))[0] / 255
    return "stability" if np.abs(scale - surface.rgba[:3]).max() < 0.01 else ""


def show_key(session: Any) -> bool:
    """Show the key of the values by which open blocks are colored, or remove it if there are none.

    Returns
    -------
    Whether it is shown: not without graphics, nor in the place of a key that the user has made.
    """
    if session.main_view.render is None:
        return False
    shown = sorted({colored_by(b) for b in session.models.list(type=BlockMap)} - {""})
    if not shown:
        hide_key(session)
        return False
    key = get_model(session, create=False)
    if key is not None and not _ours(key):
        return False
    _remove_title(session)
    key = get_model(session)
    key.rgbas_and_labels = list(zip(_scale(), WORDS, strict=True))
    _write_title(session, key, " and ".join(shown))
    if session not in _keys:
        _follow(session, key)
    return True


def hide_key(session: Any) -> None:
    """Remove our key, also one that came with a saved session; a user's own stays."""
    _remove_title(session)
    key = get_model(session, create=False)
    if key is not None and _ours(key):
        key.delete()
    _forget(session)


def _follow(session: Any, key: Any) -> None:
    """End the key with the last block that it belongs to, and its title with the key."""
    add_trigger(session)

    def renew(trigger: str, models: Any) -> None:
        closed_blocks = trigger == REMOVE_MODELS and any(isinstance(m, BlockMap) for m in models)
        if session in _keys and (closed_blocks or trigger == BLOCKS_CHANGED):
            show_key(session)

    def closed(*_: Any) -> None:
        _remove_title(session)
        _forget(session)

    _keys[session] = [
        session.triggers.add_handler(REMOVE_MODELS, renew),
        session.triggers.add_handler(BLOCKS_CHANGED, renew),
        key.triggers.add_handler("key closed", closed),
    ]


def _forget(session: Any) -> None:
    for handler in _keys.pop(session, []):
        handler.remove()


def _scale() -> list[tuple[float, ...]]:
    return [tuple(float(v) for v in Color(c).rgba) for c in SCALE]


def _ours(key: Any) -> bool:
    colors = [tuple(rgba) for rgba, _ in key.rgbas_and_labels]
    return len(colors) == len(SCALE) and bool(np.allclose(colors, _scale(), atol=0.01))


def _write_title(session: Any, key: Any, text: str) -> None:
    left, bottom = key.pos
    Label(
        session,
        TITLE,
        text,
        size=TITLE_SIZE,
        xpos=left,
        ypos=bottom + key.size[1] + TITLE_GAP,
    )


def _remove_title(session: Any) -> None:
    for label in [x for x in all_labels(session) if x.name == TITLE]:
        label.delete()
