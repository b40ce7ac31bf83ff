"""SIREn for ChimeraX. Here is only what ChimeraX asks of a bundle; everything else is imported when it is used."""

try:
    from chimerax.core.toolshed import BundleAPI
except ModuleNotFoundError:  # plain Python: chimerax.siren.core works without ChimeraX
    bundle_api = None
else:

    class _SirenAPI(BundleAPI):  # type: ignore[misc]
        api_version = 1

        @staticmethod
        def register_command(bundle_info, command_info, logger):
            from . import cmd
            cmd.register_command(command_info.name, logger)

        @staticmethod
        def get_class(class_name):
            from . import show
            return {"BlockMap": show.BlockMap}.get(class_name)

    bundle_api = _SirenAPI()
