"""Panel settings that persist between ChimeraX sessions."""

from __future__ import annotations

from typing import Any, ClassVar

from chimerax.core.settings import Settings

MOST_RECENT = 8  # folders


class PanelSettings(Settings):
    """Saved with ChimeraX's settings as soon as one is set.

    Attributes
    ----------
    recent : recent entries of the volumes field, latest first
    choices : the fields of the Run page, see :meth:`.state.PanelState.choices`
    speed : time each step took on this computer, as a multiple of the estimate
    """

    recent: list[str]
    choices: dict[str, Any]
    speed: dict[str, float]

    AUTO_SAVE: ClassVar[dict[str, Any]] = {"recent": [], "choices": {}, "speed": {}}

    def remember(self, volumes: str) -> None:
        """Move volumes to the top of the recent ones."""
        self.recent = [volumes, *(v for v in self.recent if v != volumes)][:MOST_RECENT]


def panel_settings(session: Any) -> PanelSettings:
    """The panel's settings in this ChimeraX."""
    return PanelSettings(session, "SIREn")
