"""Panel settings that persist between ChimeraX sessions."""

from __future__ import annotations

from typing import Any, ClassVar

from chimerax.core.settings import Settings

MOST_RECENT = 8  # entries of the volumes field


class PanelSettings(Settings):
    """Saved with ChimeraX's settings as soon as one is set.

    Attributes
    ----------
    recent : recent entries of the volumes field, latest first
    choices_of : the fields of the Run page by entry of the volumes field, see
        :meth:`.state.PanelState.choices`
    presets : parameters that differ from SIREn's defaults, by name of the preset and step
    own_defaults : the same, by step, with which other volumes start
    speed : time each step took on this computer, as a multiple of the estimate
    """

    recent: list[str]
    choices_of: dict[str, dict[str, Any]]
    presets: dict[str, dict[str, dict[str, Any]]]
    own_defaults: dict[str, dict[str, Any]]
    speed: dict[str, float]

    AUTO_SAVE: ClassVar[dict[str, Any]] = {
        "recent": [],
        "choices_of": {},
        "presets": {},
        "own_defaults": {},
        "speed": {},
    }

    def remember(self, volumes: str) -> None:
        """Move volumes to the top of the recent ones."""
        self.recent = [volumes, *(v for v in self.recent if v != volumes)][:MOST_RECENT]

    def remember_choices(self, volumes: str, choices: dict[str, Any]) -> None:
        """Keep the choices made for these volumes; those of volumes long unused are dropped."""
        kept = {v: c for v, c in self.choices_of.items() if v in self.recent}
        self.choices_of = {**kept, volumes: choices}


def panel_settings(session: Any) -> PanelSettings:
    """The panel's settings in this ChimeraX."""
    return PanelSettings(session, "SIREn")
