"""A legend in the picture: color, number and name of the blocks that are seen."""

from __future__ import annotations

from typing import Any

from chimerax.core.errors import UserError
from chimerax.core.state import StateManager
from chimerax.label.label2d import Label, LabelModel, all_labels

from .scene import blocks_of, sets_of_blocks
from .surfaces import GROUP_NAME, surface_bytes

NAME = "SIREn legend"  # and a number: labels of ChimeraX need names of their own
TAG = "siren legend"  # of the session's state manager
NEW_FRAME = "new frame"
LEFT, TOP = 0.02, 0.97  # of the window
SIZE, LINE = 18, 1.7  # pixels of the letters, and lines apart by this times as much
SMALLEST = 7  # pixels
GAP = 2.5  # from the left of a swatch to that of its text, by this times the size of the letters
SWATCH = "    "  # on a background of the block's color

Entry = tuple[str, tuple[int, ...]]


class LegendLabel(LabelModel):
    """A label of the legend that stays inside saved pictures, whatever their shape.

    ChimeraX scales a label as the width of a saved picture, and places it above the middle by the
    same scale: in a picture that is wider than the window, what is at the top would be cut off.
    This one is placed from the top left, and is no larger than both width and height allow.
    """

    def draw(self, renderer: Any, draw_pass: Any) -> None:
        """Override for ChimeraX: while a picture is saved, the label has the place and size with
        which ChimeraX's own rules lead to those wanted.
        """
        if not getattr(renderer, "image_save", False):
            super().draw(renderer, draw_pass)
            return
        label = self.label
        own = (label.xpos, label.ypos, label.size)
        size = (self.session.main_view.window_size, renderer.render_size())
        label.xpos, label.ypos, label.size = _in_picture(*own, *size)
        self.needs_update = True
        try:
            super().draw(renderer, draw_pass)
        finally:
            label.xpos, label.ypos, label.size = own
            self.needs_update = True  # before it is drawn in the window again


def _in_picture(
    xpos: float, ypos: float, letters: float, window: tuple[int, int], size: tuple[int, int]
) -> tuple[float, float, float]:
    """What xpos, ypos and size of a label have to be while a picture is saved.

    Parameters
    ----------
    xpos, ypos, letters : of the label in the window
    window, size : width and height of the window, and of the picture
    """
    (across, down), (width, height) = window, size
    scale, chimeras = min(width / across, height / down), width / across
    left, below = xpos * across * scale / width, 1 - (1 - ypos) * down * scale / height
    aspect = width * down / (height * across)  # by which ChimeraX stretches from the middle
    return left, 0.5 + (below - 0.5) / aspect, letters * scale / chimeras


class Legend(StateManager):
    """Two labels a block, renewed with the next frame when blocks are shown, hidden, colored or
    edited; it ends when its labels are closed, and goes on in a session that is saved and opened.
    """

    def __init__(self, session: Any):
        self._session = session
        self._labels: list[Label] = []
        self._drawn: Any = None
        self._handler: Any = session.triggers.add_handler(NEW_FRAME, self._follow)
        session.add_state_manager(TAG, self)

    def _follow(self, *_: Any) -> None:
        self.update()

    def update(self) -> None:
        """Draw the legend again if what it says has changed."""
        if self._session.main_view.render is None:
            return
        if self._labels and any(x.drawing is None or x.drawing.deleted for x in self._labels):
            self.close()
            return
        entries, window = seen_blocks(self._session), self._session.main_view.window_size
        if (entries, window) != self._drawn:
            self._remove()
            self._drawn = (entries, window)
            self._draw(entries, *window)

    def close(self) -> None:
        """Remove the legend."""
        self._handler.remove()
        self._remove()
        if shown_legend(self._session) is self:
            self._session.remove_state_manager(TAG)

    def _remove(self) -> None:
        self._labels = []
        # by name, since those of a restored session are not known otherwise
        for label in [x for x in all_labels(self._session) if (x.name or "").startswith(NAME)]:
            label.delete()

    def _draw(self, entries: list[Entry], width: int, height: int) -> None:
        size = max(SMALLEST, min(SIZE, int(TOP * height / (LINE * max(1, len(entries))))))
        for line, (text, color) in enumerate(entries, 1):
            y = TOP - line * LINE * size / height
            swatch = [(SWATCH, LEFT, {"background": color})] if color else []
            place = LEFT + GAP * size / width if color else LEFT
            for part, x, more in (*swatch, (text, place, {})):
                name = f"{NAME} {len(self._labels) + 1}"
                label = Label(self._session, name, part, size=size, xpos=x, ypos=y, **more)
                label.drawing.__class__ = LegendLabel
                self._labels.append(label)

    def reset_state(self, session: Any) -> None:
        """Override for ChimeraX: the legend ends with its session."""
        self.close()

    def take_snapshot(self, session: Any, flags: int) -> dict[str, Any]:
        """Override for ChimeraX: that there is a legend says it all."""
        return {"version": 1}

    @classmethod
    def restore_snapshot(cls, session: Any, data: dict[str, Any]) -> Legend:
        """Override for ChimeraX: the first frame replaces the labels that the session holds."""
        return cls(session)


def shown_legend(session: Any) -> Legend | None:
    """The legend of a session, if there is one."""
    try:
        legend = session.get_state_manager(TAG)
    except KeyError:
        return None
    return legend if isinstance(legend, Legend) else None


def seen_blocks(session: Any) -> list[Entry]:
    """Text and color (r, g, b, a, 0 to 255) of each block that is seen, by number; if they are of
    several sets, below the name of each, which has no color.
    """
    sets: dict[str, list[Entry]] = {}
    for group in sorted(sets_of_blocks(session), key=lambda g: g.id):
        seen = [m for m in blocks_of(group) if m.visible and m.surfaces]
        entries: list[Entry] = [
            (f"{m.siren_block} {m.given_name}".strip(), (*surface_bytes(m), 255))
            for m in sorted(seen, key=lambda m: m.siren_block)
        ]
        if entries:
            sets.setdefault(group.name.removeprefix(f"{GROUP_NAME}: "), []).extend(entries)
    if len(sets) < 2:
        return [entry for entries in sets.values() for entry in entries]
    return [e for name, entries in sets.items() for e in ((name, ()), *entries)]


def show_legend(session: Any) -> Legend:
    """Show the legend, and keep it up to date.

    Raises
    ------
    UserError
        If no block is seen, or nothing can be drawn.
    """
    if session.main_view.render is None:
        raise UserError("A legend needs graphics: start ChimeraX with windows, or --offscreen.")
    if not seen_blocks(session):
        raise UserError('No block is shown: open blocks with "siren open FOLDER".')
    hide_legend(session)
    legend = Legend(session)
    legend.update()
    return legend


def hide_legend(session: Any) -> None:
    """Remove the legend, also one that came with a session of an earlier version."""
    legend = shown_legend(session) or Legend(session)
    legend.close()
