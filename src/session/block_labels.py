"""Numbers and names on the surfaces of blocks: 3D labels of ChimeraX, one model for each set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from chimerax.core.errors import UserError
from chimerax.core.models import Model
from chimerax.label.label3d import ObjectLabel, ObjectLabels
from numpy.typing import NDArray

from ..core.blocks.display import middle_point
from ..core.figures.placing import place_apart
from .edits import grid_of
from .legend import NEW_FRAME
from .scene import blocks_of
from .surfaces import BlockMap, surface_bytes

NUMBER, NAME, BOTH, NONE = WORDS = ("number", "name", "both", "none")
SIZE = 20  # points of the letters; labels are drawn at this size whatever the zoom
GAP = 2  # pixels between two labels
OPACITY = 225  # of 255: what is below a label can be guessed


class BlockLabel(ObjectLabel):
    """The label of a block, on a tag of its color; ``object`` is the block."""

    words = BOTH
    _inside: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None

    @property
    def text(self) -> str:
        """Number, name or both; the number alone if there is no name."""
        number, name = str(self.object.siren_block), self.object.given_name
        if not name or self.words == NUMBER:
            return number
        return name if self.words == NAME else f"{number} {name}"

    def location(self, scene_position: Any = None) -> Any:
        """Override for ChimeraX: x, y, z of the block's voxel nearest to its centroid, so that the
        label of a ring is on the ring.
        """
        block = self.object
        return None if block.deleted else block.position * self._middle()

    def _middle(self) -> NDArray[np.float64]:
        """The same in the frame of the block."""
        block, voxels = self.object, self.object.voxels
        if self._inside is None or self._inside[0] is not voxels:
            self._inside = voxels, middle_point(voxels, grid_of(block))
        return self._inside[1]

    def default_offset(self) -> tuple[float, float, float]:
        """Override for ChimeraX: the label's middle, not its corner, is at its location."""
        width, height = getattr(self, "_label_size", (0, 0))
        pixel = self.view.pixel_size(self.object.scene_position * self._middle())
        return (-pixel * width / 2, -pixel * height / 2, 0.0)

    def visible(self) -> bool:
        """Override for ChimeraX."""
        return not self.object.deleted and bool(self.object.visible)


class BlockLabels(ObjectLabels):
    """The labels of a set, a child of its group; it follows edits, names, colors and places, is
    saved with sessions, and ends when it is closed.

    Attributes
    ----------
    numbers : of the labeled blocks; None for all of the set, also those that edits add
    words : what the labels say
    size : points
    """

    def __init__(self, session: Any):
        super().__init__(session)
        self.numbers: set[int] | None = None
        self.words, self.size = BOTH, SIZE
        self.allow_depth_cue = False  # text is not blurred by fog
        self._told: Any = None
        self._handler: Any = session.triggers.add_handler(NEW_FRAME, self._follow)

    def delete(self) -> None:
        """Override for ChimeraX."""
        if self._handler is not None:
            self._handler.remove()
            self._handler = None
        super().delete()

    def labeled(self) -> list[BlockMap]:
        """The open blocks that have a label."""
        blocks = blocks_of(self.parent) if self.parent is not None else []
        return [m for m in blocks if self.numbers is None or m.siren_block in self.numbers]

    def _follow(self, *_: Any) -> None:
        if not self.deleted:
            self.refresh()

    def refresh(self) -> None:
        """Draw the labels again if what they say, their colors or their places have changed."""
        blocks = self.labeled()
        told = [
            (
                m,
                m.siren_block,
                m.given_name,
                surface_bytes(m),
                bool(m.visible),
                id(m.voxels),
                m.position.matrix.tobytes(),
            )
            for m in blocks
        ]
        if [*told, self.words, self.size] == self._told:
            return
        self._told = [*told, self.words, self.size]
        gone = [m for m in self.labeled_objects() if m not in blocks]
        for m in blocks:
            looks = {"background": (*surface_bytes(m), OPACITY), "size": self.size, "height": None}
            self.add_labels([m], BlockLabel, self.session.main_view, looks)
        for label in self.labels(blocks):
            label.words = self.words
        if gone and blocks:  # without any, ChimeraX would close the labels; undo may bring some
            self.delete_labels(gone)
        self.update_labels()

    def _label_vertices(self) -> NDArray[np.float32]:
        """Override for ChimeraX: labels that would lie on each other are placed apart, as seen."""
        vertices: NDArray[np.float32] = super()._label_vertices()
        labels = [x for x in self.labels() if not x.object_deleted]
        if len(vertices) != 4 * len(labels):  # a later ChimeraX has others
            return vertices
        corners = vertices.reshape(-1, 4, 3)
        seen = np.array([x.visible() for x in labels], bool)
        if seen.sum() < 2:
            return vertices
        view, place = self.session.main_view, self.scene_position
        camera = view.camera.position
        middles = place.transform_points(corners[seen].mean(axis=1).astype(np.float64))
        pixel = np.array([view.pixel_size(p) for p in middles])[:, None]
        pixels = camera.inverse().transform_points(middles)[:, :2] / pixel
        sizes = [np.add(x._label_size, GAP) for x, s in zip(labels, seen, strict=True) if s]
        moved = (place_apart(pixels, sizes) - pixels) * pixel
        way = camera.transform_vectors(np.pad(moved, ((0, 0), (0, 1))))
        corners[seen] += place.inverse().transform_vectors(way)[:, None]
        return vertices

    def take_snapshot(self, session: Any, flags: int) -> dict[str, Any]:
        """Session data: the blocks are known from the set."""
        return {
            "model state": Model.take_snapshot(self, session, flags),
            "numbers": None if self.numbers is None else sorted(self.numbers),
            "words": self.words,
            "size": self.size,
            "version": 1,
        }

    @staticmethod
    def restore_snapshot(session: Any, data: dict[str, Any]) -> BlockLabels:
        """The labels appear with the first frame, when the blocks are there."""
        labels = BlockLabels(session)
        Model.set_state_from_snapshot(labels, session, data["model state"])
        labels.numbers = None if data["numbers"] is None else set(data["numbers"])
        labels.words, labels.size = data["words"], data["size"]
        return labels


def labels_of(group: Model) -> BlockLabels | None:
    """The labels of a set of blocks, if it has any."""
    return next((m for m in group.child_models() if isinstance(m, BlockLabels)), None)


def label_blocks(
    session: Any,
    blocks: Sequence[BlockMap],
    words: str = BOTH,
    size: int | None = None,
) -> None:
    """Show or remove the labels of blocks.

    Parameters
    ----------
    words : one of WORDS, "none" to remove the labels
    size : points; as before if not given

    Raises
    ------
    UserError
        If nothing can be drawn.
    """
    if words != NONE and session.main_view.render is None:
        raise UserError("Labels need graphics: start ChimeraX with windows, or --offscreen.")
    for group in dict.fromkeys(m.parent for m in blocks):
        _label_set(session, group, {m.siren_block for m in blocks if m.parent is group}, words)
        labels = labels_of(group)
        if labels is not None:
            labels.size = size or labels.size
            labels.refresh()


def _label_set(session: Any, group: Model, chosen: set[int], words: str) -> None:
    labels, every = labels_of(group), {m.siren_block for m in blocks_of(group)}
    now = set() if labels is None else {m.siren_block for m in labels.labeled()}
    wanted = now - chosen if words == NONE else now | chosen
    if not wanted:
        if labels is not None:
            session.models.close([labels])
        return
    if labels is None:
        labels = BlockLabels(session)
        labels.name = "labels"
        session.models.add([labels], parent=group)
    labels.numbers = None if wanted == every else wanted
    labels.words = labels.words if words == NONE else words
