"""``siren example``: a simulated ensemble with known blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from chimerax.core.commands import CmdDesc

from ..session.commandline import SaveFolder
from ..session.inputs import parameters_of
from ..session.jobs import run_job
from .arguments import keywords_of


def example(session: Any, folder: str, **keywords: Any) -> Any:
    """Write a simulated ensemble with known blocks."""
    from ..core.simulation.example_folder import write_example
    from ..core.simulation.parameters import ExampleParameters

    parameters = parameters_of(ExampleParameters, keywords)
    path = Path(folder).expanduser()

    def show(result: Any) -> Any:
        from ..session.log import log_lines, next_step
        from ..session.words import path_text

        log_lines(
            session,
            [
                f"{parameters.volumes} simulated volumes with "
                f"{len(result.simulation.units)} planted blocks written "
                f"to {path} (the planted blocks are listed in truth.json)."
                + (" The earlier example was replaced." if result.replaced else "")
            ],
        )
        next_step(session, "predict", f"siren predict {path_text(path)}")
        return result

    return run_job(
        session, "siren example", lambda progress: write_example(path, parameters, progress), show
    )


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""

    def example_desc() -> CmdDesc:
        from ..core.simulation.parameters import ExampleParameters

        return CmdDesc(
            required=[("folder", SaveFolder)],
            keyword=keywords_of(ExampleParameters),
            synopsis="Simulate an ensemble to try SIREn on",
        )

    return {"siren example": (example_desc, example)}
