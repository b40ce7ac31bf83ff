"""The contour levels a command works at: given, from a table, or predicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from chimerax.core.commands import FloatArg, OpenFileNameArg
from chimerax.core.errors import UserError

from ..core.blocks.parameters import PairTestParameters
from ..core.common.progress import Progress
from ..core.maps.ensemble import Ensemble
from ..session.inputs import PREDICTIONS_FILE, first_path

#: Keywords of every command that binarizes volumes.
LEVELS: list[tuple[str, Any]] = [("level", FloatArg), ("thresholds", OpenFileNameArg)]


def check_levels(
    level: float | None, thresholds: str | None, parameters: PairTestParameters | None = None
) -> None:
    """Refuse keywords that contradict each other."""
    if level is not None and thresholds is not None:
        raise UserError('Give either "level" or "thresholds", not both.')
    if parameters is not None and parameters.filter == "flags" and level is not None:
        raise UserError(
            '"filter flags" needs a table of thresholds with flags: leave out "level" or "filter".'
        )


def chosen_levels(
    ensemble: Ensemble,
    level: float | None,
    thresholds: str | None,
    output: Path,
    volumes: Sequence[Any],
    notes: list[str],
    progress: Progress,
    by_flags: bool = False,
) -> tuple[Any, str, dict[str, str]]:
    """Find the contour level of each volume.

    Parameters
    ----------
    volumes : as the user named them; their folder may hold predictions.csv
    notes : gets a line for the log if the levels were looked up or predicted
    by_flags : leave out the volumes flagged in the table

    Returns
    -------
    levels : (V,)
    where : the source of the levels, in words
    flagged : volumes to leave out, and why
    """
    from ..core.thresholds.tables import read_flags, read_thresholds

    def read(table: Path, where: str) -> tuple[Any, str, dict[str, str]]:
        flagged = (
            {name: f"flagged: {why}" for name, why in read_flags(table, ensemble).items()}
            if by_flags
            else {}
        )
        return read_thresholds(table, ensemble, flagged), where, flagged

    if level is not None:
        return np.full(len(ensemble), level), f"level {level:g}", {}
    if thresholds is not None:
        return read(Path(thresholds), str(Path(thresholds).absolute()))
    folder = first_path(volumes)
    for table in [output / PREDICTIONS_FILE] + ([folder / PREDICTIONS_FILE] if folder else []):
        if table.is_file():
            notes.append(f"Contour levels from {table}")
            return read(table, str(table))
    from ..core.thresholds.parameters import PredictParameters
    from ..core.thresholds.predict import predict_levels
    from ..core.thresholds.tables import write_predictions

    write_predictions(
        output / PREDICTIONS_FILE, predict_levels(ensemble, PredictParameters(), progress)
    )
    notes.append(
        f"No contour levels were given, so they were predicted: {output / PREDICTIONS_FILE}"
    )
    return read(
        output / PREDICTIONS_FILE, f"predicted by this command: {output / PREDICTIONS_FILE}"
    )
