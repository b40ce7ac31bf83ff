"""The contour levels a command works at: given, from a table, or predicted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from chimerax.core.commands import FloatArg
from chimerax.core.errors import UserError
from numpy.typing import NDArray

from ..core.blocks.parameters import PairTestParameters
from ..core.blocks.region import Mask, region_of
from ..core.common.files import check_writable
from ..core.common.progress import Progress
from ..core.maps.ensemble import Ensemble
from ..core.runs.places import PREDICTED
from ..core.runs.results import results_folder
from ..session.commandline import OpenFile
from ..session.inputs import PREDICTIONS_FILE, OutputPlace

#: Keywords of every command that binarizes volumes.
LEVELS: list[tuple[str, Any]] = [("level", FloatArg), ("thresholds", OpenFile)]


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


def check_first(
    parameters: PairTestParameters, ensemble: Ensemble, mask: Mask | None, place: OutputPlace
) -> None:
    """Refuse a mask that leaves nothing, and an output folder that cannot be written to, before
    levels are predicted, which may take minutes.

    Raises
    ------
    SirenError
        If the mask cannot be read or leaves no voxels, or the folder cannot be written to.
    """
    check_writable(place.path)
    region_of(parameters, ensemble, mask)


@dataclass(frozen=True)
class ChosenLevels:
    """The contour levels that a command works at.

    Attributes
    ----------
    ensemble : of the V volumes; reading one that the levels are not for is an error
    levels : (V,)
    where : the source of the levels, in words
    flagged : volumes to leave out, and why
    """

    ensemble: Ensemble
    levels: NDArray[np.float64]
    where: str
    flagged: dict[str, str]

    def taking_part(self, notes: list[str]) -> ChosenLevels:
        """Without the flagged volumes, which is said in ``notes``."""
        if not self.flagged:
            return self
        kept = [n not in self.flagged for n in self.ensemble.names]
        notes.append(
            f"{len(self.flagged)} left out: "
            + "; ".join(f"{n} ({why})" for n, why in self.flagged.items())
        )
        chosen = self.ensemble.select(exclude=tuple(self.flagged))
        return ChosenLevels(chosen, self.levels[kept], self.where, {})


def chosen_levels(
    ensemble: Ensemble,
    level: float | None,
    thresholds: str | None,
    place: OutputPlace,
    notes: list[str],
    progress: Progress,
    by_flags: bool = False,
) -> ChosenLevels:
    """Find the contour level of each volume.

    Parameters
    ----------
    place : of the output and of the volumes; either folder may hold predictions.csv, and that of
        the volumes' results
    notes : gets a line for the log if the levels were looked up or predicted
    by_flags : leave out the volumes flagged in the table
    """
    from ..core.thresholds.belonging import of_these_maps
    from ..core.thresholds.tables import levels_of, read_flags, read_table

    def read(path: Path, where: str) -> ChosenLevels:
        table = read_table(path, ensemble.all_names, ensemble.names)
        flagged = (
            {name: f"flagged: {why}" for name, why in read_flags(path, ensemble).items()}
            if by_flags
            else {}
        )
        levels = levels_of(table, ensemble, flagged)
        checked, doubts = of_these_maps(table, ensemble)
        notes.extend([*table.notes, *doubts])
        return ChosenLevels(checked, levels, where, flagged)

    if level is not None:
        return ChosenLevels(ensemble, np.full(len(ensemble), level), f"level {level:g}", {})
    if thresholds is not None:
        return read(Path(thresholds), str(Path(thresholds).absolute()))
    own = place.path / PREDICTIONS_FILE
    folders = [place.volumes, results_folder(place.volumes)] if place.volumes else []
    for table in [own, *(folder / PREDICTIONS_FILE for folder in folders)]:
        if table.is_file():
            notes.append(f"Contour levels from {table}")
            return read(table, str(table))
    from ..core.thresholds.merge import merge_predictions
    from ..core.thresholds.parameters import PredictParameters
    from ..core.thresholds.predict import predict_levels

    predictions = predict_levels(ensemble, PredictParameters(), progress)
    merge_predictions(own, predictions, ensemble.folder_vol_ids)
    place.claim()
    notes.append(f"No contour levels were given, so they were predicted: {own}")
    return read(own, f"{PREDICTED}{own}")
