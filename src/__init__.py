"""SIREn for ChimeraX.

Only the bundle API is here; everything else is imported when it is first used.
"""

from typing import Any

try:
    from chimerax.core.toolshed import BundleAPI
except ModuleNotFoundError:  # plain Python: chimerax.siren.core needs no ChimeraX
    bundle_api = None
else:

    class _SirenAPI(BundleAPI):
        api_version = 1

        @staticmethod
        def initialize(session: Any, bundle_info: Any) -> None:
            if session.ui.is_gui:  # the mouse mode can be given to a button from the start
                from .session.paint_mode import paint_mode

                paint_mode(session)

        @staticmethod
        def register_command(bundle_info: Any, command_info: Any, logger: Any) -> None:
            from . import cmd

            cmd.register_command(command_info.name, logger)

        @staticmethod
        def start_tool(session: Any, bundle_info: Any, tool_info: Any) -> Any:
            from .tool import SirenTool

            return SirenTool.get_singleton(session)

        @staticmethod
        def run_provider(session: Any, name: str, manager: Any, **keywords: Any) -> None:
            from .tool import run_toolbar_button

            run_toolbar_button(session, name)

        @staticmethod
        def get_class(class_name: str) -> Any:
            if class_name == "SirenTool":
                from .tool import SirenTool

                return SirenTool
            from .session.block_labels import BlockLabels
            from .session.legend import Legend, LegendLabel
            from .session.moved import KeptRuns
            from .session.shown_map import EnsembleMap
            from .session.surfaces import BlockMap

            saved = (BlockMap, EnsembleMap, BlockLabels, Legend, LegendLabel, KeptRuns)
            return next((c for c in saved if c.__name__ == class_name), None)

    bundle_api = _SirenAPI()
