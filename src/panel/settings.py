"""What the panel remembers from one start of ChimeraX to the next."""

from __future__ import annotations

from typing import Any, ClassVar

from chimerax.core.settings import Settings

MOST_RECENT = 8  # folders


class PanelSettings(Settings):
    """Kept among ChimeraX's settings as soon as one is set.

    Attributes
    ----------
    recent : what stood in the field of the volumes, latest first
    choices : the fields of the run page, as :meth:`.state.PanelState.choices` gives them
    speed : for each step, how many times the estimate it took on this computer
    """

    recent: list[str]
    choices: dict[str, Any]
    speed: dict[str, float]

    AUTO_SAVE: ClassVar[dict[str, Any]] = {"recent": [], "choices": {}, "speed": {}}

    def remember(self, volumes: str) -> None:
        """Put volumes at the head of the recent ones."""
        self.recent = [volumes, *(v for v in self.recent if v != volumes)][:MOST_RECENT]


def panel_settings(session: Any) -> PanelSettings:
    """The settings of this ChimeraX."""
    return PanelSettings(session, "SIREn")
