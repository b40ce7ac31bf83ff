"""Named sets of parameters, and defaults of one's own: in the user's settings, and in a menu of the
Run page.

The parameters of the panel are those that differ from SIREn's own defaults, wherever they came
from, and each is written in the command. So a log says all that is needed to repeat a run, also to
someone with other presets and defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from Qt.QtGui import QAction
from Qt.QtWidgets import QInputDialog, QMenu, QToolButton, QWidget

from ..core.common.errors import SirenError
from ..core.common.parameters import Parameters
from . import commands
from .settings import PanelSettings
from .state import PanelState

Steps = dict[str, dict[str, Any]]  # parameters that differ from SIREn's defaults, by step

# Built-in presets need a measured reason, given here.
BUILT_IN: dict[str, tuple[Steps, str]] = {
    "Published rule": (
        {"sketch": {"statistic": "published"}},
        "The pair test of Kinman et al. 2025, to compare with earlier results. In simulated "
        "ensembles of 200 volumes it recovers 0.57 of the planted blocks, the default 0.93 "
        "(devel/benchmarks/blocks.md)",
    ),
}
SIREN, MINE, CHANGED = "SIREn's defaults", "my defaults", "changed"


def tidied(steps: Mapping[str, Any]) -> Steps:
    """The parameters of the steps that this version knows and allows; others are left out, as of
    settings written by another version.
    """
    result: Steps = {}
    for step, kind in commands.STEPS.items():
        kept: dict[str, Any] = {}
        fields = kind.__dataclass_fields__
        given = steps.get(step)
        for name, value in given.items() if isinstance(given, dict) else ():
            if name in fields and value != fields[name].default and _allowed(kind, name, value):
                kept[name] = value
        try:
            kind(**kept)
        except SirenError:  # values that exclude each other
            kept = {}
        if kept:
            result[step] = kept
    return result


def _allowed(kind: type[Parameters], name: str, value: Any) -> bool:
    """Whether a value is of the parameter's type and within its bounds."""
    f = kind.__dataclass_fields__[name]
    types: dict[str, Any] = {"bool": bool, "int": int, "float": (int, float), "str": str}
    words = [w for w in str(f.type).split(" | ") if w in types]
    number = not isinstance(value, bool)  # which Python counts as a whole one
    if not any(isinstance(value, types[w]) and (number or w == "bool") for w in words):
        return False
    owners = f.metadata["statistics"]
    try:
        kind(**({"statistic": owners[0]} if owners else {}), **{name: value})
    except SirenError:
        return False
    return True


def text_of(steps: Mapping[str, dict[str, Any]]) -> str:
    """The parameters of a preset, as keywords with their values."""
    parts = [
        (step.capitalize(), commands.parameters_text(commands.STEPS[step], steps[step], ", "))
        for step in commands.STEPS
        if steps.get(step)
    ]
    return "; ".join(f"{name} with {words}" for name, words in parts if words)


def name_now(settings: PanelSettings, steps: Mapping[str, dict[str, Any]]) -> str:
    """What the parameters are called: a preset, one of the defaults, or CHANGED."""
    now = tidied(steps)
    if not now:
        return SIREN
    if now == tidied(settings.own_defaults):
        return MINE
    known = {**{n: s for n, (s, _) in BUILT_IN.items()}, **settings.presets}
    return next((name for name, values in known.items() if now == tidied(values)), CHANGED)


class PresetMenu(QToolButton):
    """The menu of the Run page; its text says which parameters are chosen now."""

    def __init__(self, state: PanelState, parent: QWidget | None = None):
        super().__init__(parent)
        self.state = state
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setMenu(QMenu(self))
        self.menu().setToolTipsVisible(True)
        self.menu().aboutToShow.connect(self.fill)
        state.choices_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the state."""
        name = name_now(self.state.settings, self.state.steps)
        self.setText(f"Parameters: {name}  ")  # the arrow of the menu is over the end
        words = self.state.changes_text()
        self.setToolTip(
            "Presets of the parameters of Predict, Sketch and Expand, and your own defaults. "
            + (f"Not SIREn's defaults: {words}" if words else "All are SIREn's defaults")
        )

    def fill(self) -> None:
        """Make the entries of the menu."""
        state, menu = self.state, self.menu()
        settings = state.settings
        now, own = tidied(state.steps), tidied(settings.own_defaults)
        name = name_now(settings, state.steps)
        menu.clear()
        self._add(menu, "SIREn's defaults", {}, "All parameters as SIREn has them", name == SIREN)
        if own:
            self._add(menu, "My defaults", own, text_of(own), name == MINE)
        menu.addSeparator()
        for title, (steps, reason) in BUILT_IN.items():
            self._add(menu, title, steps, reason, name == title)
        for title, steps in sorted(settings.presets.items()):
            self._add(menu, title, steps, text_of(tidied(steps)), name == title)
        menu.addSeparator()
        save = menu.addAction("Save as a preset…", self.save)
        save.setEnabled(bool(now))
        if settings.presets:
            delete = menu.addMenu("Delete a preset")
            for title in sorted(settings.presets):
                delete.addAction(title, partial(self.delete_preset, title))
        menu.addSeparator()
        mine = menu.addAction("Save as my defaults", self.save_as_own)
        mine.setToolTip("Start other volumes with these parameters; commands still show them all")
        mine.setEnabled(now != own)
        if own:
            forget = menu.addAction("Forget my defaults", self.forget_own)
            forget.setToolTip("Start other volumes with SIREn's defaults again")

    def _add(
        self, menu: QMenu, title: str, steps: Mapping[str, Any], tip: str, chosen: bool
    ) -> QAction:
        action = menu.addAction(title, partial(self.choose, steps))
        action.setToolTip(tip)
        action.setCheckable(True)
        action.setChecked(chosen)
        return action

    def choose(self, steps: Mapping[str, Any], *_: object) -> None:
        """Set the parameters of a preset, and SIREn's defaults for all others."""
        self.state.set_steps(tidied(steps))

    def save(self) -> None:
        """Ask for a name, and save the parameters under it."""
        name, given = QInputDialog.getText(
            self, "Save as a preset", "Name (a preset of yours with this name is replaced)"
        )
        if given:
            self.save_preset(name)

    def save_preset(self, name: str) -> None:
        """Save the parameters under a name."""
        settings, name = self.state.settings, " ".join(name.split())
        taken = {n.lower() for n in (*BUILT_IN, SIREN, MINE, CHANGED)}
        if not name or name.lower() in taken:
            self.state.tell(
                f"{name} is a name of SIREn's own: give the preset another."
                if name
                else "Give the preset a name.",
                True,
            )
            return
        settings.presets = {**settings.presets, name: tidied(self.state.steps)}
        self.refresh()

    def delete_preset(self, name: str, *_: object) -> None:
        """Delete a preset; the parameters stay as they are."""
        settings = self.state.settings
        settings.presets = {n: s for n, s in settings.presets.items() if n != name}
        self.refresh()

    def save_as_own(self) -> None:
        """Make the parameters the defaults of this user."""
        self.state.settings.own_defaults = tidied(self.state.steps)
        self.state.choices_changed.emit()

    def forget_own(self) -> None:
        """Have SIREn's defaults again; the parameters stay as they are."""
        self.state.settings.own_defaults = {}
        self.state.choices_changed.emit()
