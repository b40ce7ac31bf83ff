"""Stand-in for the part of ``chimerax.ui`` that a tool panel needs, which the wheel lacks.

Our own small version of its documented interface: real Qt widgets in windows that are drawn into
memory, without docking. Call ``install(session)`` first; then, inside ``with gui(session)``, start
a panel, use its widgets, and let ``events(session)`` process what they trigger.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cxheadless.nogui import start_offscreen_qt

if TYPE_CHECKING:
    from chimerax.core.session import Session
    from chimerax.core.tools import ToolInstance


class ToolWindow:
    """A window of a tool, with its widgets in ``ui_area``."""

    placements = ("side", "right", "left", "top", "bottom")

    def __init__(
        self,
        tool_instance: ToolInstance,
        title: str,
        *,
        close_destroys: bool = True,
        hide_title_bar: bool = False,
        statusbar: bool = False,
    ) -> None:
        from Qt.QtWidgets import QWidget

        self.tool_instance = tool_instance
        self.session = tool_instance.session
        self.title = title
        self.close_destroys = close_destroys
        self.ui_area = QWidget()
        self.ui_area.setWindowTitle(title)
        self.session.ui.windows.setdefault(tool_instance, []).append(self)

    def manage(
        self,
        placement: str | ToolWindow | None = None,
        fixed_size: bool = False,
        allowed_areas: object = None,
        initially_hidden: bool = False,
    ) -> None:
        self.shown = not initially_hidden

    @property
    def shown(self) -> bool:
        return self.ui_area is not None and self.ui_area.isVisible()

    @shown.setter
    def shown(self, shown: bool) -> None:
        self.ui_area.setVisible(shown)
        self.shown_changed(shown)

    def shrink_to_fit(self) -> None:
        self.ui_area.adjustSize()

    def status(self, *args: Any, **kw: Any) -> None:
        self.session.logger.status(*args, **kw)

    def destroy(self) -> None:
        if self.ui_area is None:
            return
        self.cleanup()
        windows = self.session.ui.windows.get(self.tool_instance, [])
        if self in windows:
            windows.remove(self)
        self.ui_area.close()
        self.ui_area.deleteLater()
        self.ui_area = None

    # ---- for tools to override

    def shown_changed(self, shown: bool) -> None:
        pass

    def cleanup(self) -> None:
        pass

    def confirm_close(self) -> bool:
        return True

    def fill_context_menu(self, menu: Any, x: float, y: float) -> None:
        pass


class ChildToolWindow(ToolWindow):
    pass


class MainToolWindow(ToolWindow):
    def __init__(self, tool_instance: ToolInstance, **kw: Any) -> None:
        super().__init__(tool_instance, tool_instance.display_name, **kw)

    def create_child_window(
        self, title: str, *, window_class: type[ChildToolWindow] = ChildToolWindow, **kw: Any
    ) -> ChildToolWindow:
        return window_class(self.tool_instance, title, **kw)


class _MainWindow:
    """Records what tools register with the main window."""

    def __init__(self) -> None:
        self.menu_entries: list[tuple[tuple[str, ...], str, Callable[[], object]]] = []
        self.settings_options: list[tuple[str, Any]] = []

    def add_menu_entry(
        self, menu_names: list[str], entry_name: str, callback: Callable[[], object], **kw: Any
    ) -> None:
        self.menu_entries.append((tuple(menu_names), entry_name, callback))

    def add_settings_option(self, category: str, option: Any) -> None:
        self.settings_options.append((category, option))


def install(session: Session) -> Any:
    """Give ``session.ui`` an offscreen Qt application and windows, and provide the modules
    ``chimerax.ui...``. If it has them, nothing is done.
    """
    from chimerax.core.triggerset import TriggerSet

    ui: Any = session.ui
    if hasattr(ui, "windows"):
        return ui
    ui.app = start_offscreen_qt()
    if ui.app is None:
        raise ImportError("Qt is not installed")
    ui.windows = {}
    ui.main_window = _MainWindow()
    ui.triggers = TriggerSet()
    for name in ("ready", "tool window show", "tool window hide"):
        ui.triggers.add_trigger(name)

    def remove_tool(tool: ToolInstance) -> None:
        for window in ui.windows.pop(tool, []):
            window.destroy()

    def set_tool_shown(tool: ToolInstance, shown: bool) -> None:
        for window in ui.windows.get(tool, []):
            if isinstance(window, MainToolWindow):
                window.shown = shown

    ui.remove_tool = remove_tool
    ui.set_tool_shown = set_tool_shown
    ui.update_undo = lambda undo: None
    _supply_modules(session)
    from chimerax.mouse_modes import MouseModes

    ui.mouse_modes = MouseModes(session)  # the real ones; tests give them events
    import chimerax.map.volume

    # with windows, opening or restoring a map shows ChimeraX's own volume panel, which needs more
    # than this stand-in offers
    chimerax.map.volume.show_volume_dialog = lambda session: None
    return ui


def _supply_modules(session: Session) -> None:
    import chimerax

    windows = {
        "ToolWindow": ToolWindow,
        "MainToolWindow": MainToolWindow,
        "ChildToolWindow": ChildToolWindow,
    }
    top = ModuleType("chimerax.ui")
    top.__dict__.update(
        windows,
        __path__=[],
        shrink_font=lambda widget, fraction=0.8: None,
        tool_user_error=lambda msg, **kw: session.logger.error(msg),
    )
    gui_module = ModuleType("chimerax.ui.gui")
    gui_module.__dict__.update(windows)
    ask_module = ModuleType("chimerax.ui.ask")
    # tests set the user's answer
    ask_module.__dict__.update(answer="yes", ask=lambda *args, **kw: ask_module.answer)
    for name, module in {"gui": gui_module, "ask": ask_module}.items():
        sys.modules[module.__name__] = module
        setattr(top, name, module)
    sys.modules["chimerax.ui"] = chimerax.ui = top


@contextmanager
def gui(session: Session) -> Iterator[Any]:
    """Set ``ui.is_gui`` to true while a panel is started or used."""
    session.ui.is_gui = True
    try:
        yield session.ui
    finally:
        session.ui.is_gui = False


def events(session: Session, until: Callable[[], bool] | None = None, timeout: float = 5.0) -> bool:
    """Process Qt's events and the waiting calls of threads; with ``until``, keep going until it
    holds, and return whether it did.
    """
    from Qt.QtCore import QCoreApplication, QEvent

    end = time.monotonic() + timeout
    while True:
        session.ui.app.processEvents()
        # as a running event loop does
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        session.ui.pump()
        if until is None or until():
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
