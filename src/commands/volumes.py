"""``siren show``: look through the maps of an ensemble; ``siren stop``: end the running command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chimerax.core.commands import CmdDesc, FloatArg
from chimerax.core.errors import UserError
from chimerax.map import Volume

from ..core.maps.ensemble import find_ensemble
from ..session.inputs import sources_of, typed, user_errors
from ..session.jobs import current_job
from .arguments import VolumesArg


def show_(
    session: Any, volume: list[Any], level: float | None = None, voxel_size: float | None = None
) -> Any:
    """Show one map of an ensemble in place of the one shown before."""
    sources = sources_of(volume)
    ensemble = user_errors(find_ensemble, sources, voxel_size, None, 1, everything=True)
    if len(ensemble) != 1:
        raise UserError(
            f"siren show takes one map, but {typed(volume)} is {len(ensemble):,}: name one of them."
        )
    source = ensemble.sources[0]
    array = user_errors(source.read)
    from ..session.log import log_covering, log_may_cover
    from ..session.shown_map import covering_first, hide_others, show_map

    shown = show_map(
        session, source.name, array, ensemble.grid, level, str(source.path) if source.path else ""
    )
    if isinstance(volume[0], Volume):
        log_covering(session, hide_others(session, volume[0]))
    else:
        log_may_cover(session, covering_first(session, shown))
    return shown


def stop(session: Any) -> None:
    """Stop the SIREn command that is running."""
    job = current_job(session)
    if job is None:
        session.logger.info("No SIREn command is running.")
    else:
        job.terminate()
        session.logger.status(f"Stopping {job.name} ...")


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""

    def show_desc() -> CmdDesc:
        return CmdDesc(
            required=[("volume", VolumesArg)],
            keyword=[("level", FloatArg), ("voxel_size", FloatArg)],
            synopsis="Show one map of an ensemble in place of the previous one",
        )

    def stop_desc() -> CmdDesc:
        return CmdDesc(synopsis="Stop the SIREn command that is running")

    return {"siren show": (show_desc, show_), "siren stop": (stop_desc, stop)}
