"""A legend in the picture: color, number and name of the blocks that are seen."""

from __future__ import annotations

from typing import Any

from chimerax.core.errors import UserError
from chimerax.core.state import StateManager
from chimerax.label.label2d import Label, all_labels

from .scene import blocks_of, sets_of_blocks
from .surfaces import surface_bytes

NAME = "SIREn legend"  # and a number: labels of ChimeraX need names of their own
TAG = "siren legend"  # of the session's state manager
NEW_FRAME = "new frame"
LEFT, TOP = 0.02, 0.97  # of the window
SIZE, LINE = 18, 1.7  # pixels of the letters, and lines apart by this times as much
SMALLEST = 7  # pixels
GAP = 2.5  # from the left of a swatch to that of its text, by this times the size of the letters
SWATCH = "    "  # on a background of the block's color

Entry = tuple[str, tuple[int, ...]]


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
            for part, x, more in (
                (SWATCH, LEFT, {"background": color}),
                (text, LEFT + GAP * size / width, {}),
            ):
                name = f"{NAME} {len(self._labels) + 1}"
                self._labels.append(
                    Label(self._session, name, part, size=size, xpos=x, ypos=y, **more)
                )

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
    """Text and color (r, g, b, a, 0 to 255) of each block that is seen, by number."""
    seen = [m for g in sets_of_blocks(session) for m in blocks_of(g) if m.visible and m.surfaces]
    return [
        (f"{m.siren_block} {m.given_name}".strip(), (*surface_bytes(m), 255))
        for m in sorted(seen, key=lambda m: (m.parent.id, m.siren_block))
    ]


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
