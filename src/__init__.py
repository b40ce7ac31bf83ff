"""SIREn for ChimeraX. Here is only what ChimeraX asks of a bundle; everything else is imported when it is used."""

from typing import Any

try:
    from chimerax.core.toolshed import BundleAPI
except ModuleNotFoundError:  # plain Python: chimerax.siren.core works without ChimeraX
    bundle_api = None
else:

    class _SirenAPI(BundleAPI):
        api_version = 1

        @staticmethod
        def register_command(bundle_info: Any, command_info: Any, logger: Any) -> None:
            from . import cmd
            cmd.register_command(command_info.name, logger)

        @staticmethod
        def get_class(class_name: str) -> Any:
            from . import show
            return {"BlockMap": show.BlockMap}.get(class_name)

    bundle_api = _SirenAPI()
