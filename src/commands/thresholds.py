"""``siren predict``: the contour level of each map; ``siren preprocess``: resampled copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from chimerax.core.commands import BoolArg, CmdDesc
from chimerax.map import Volume

from ..core.common.progress import Progress
from ..core.maps.ensemble import Ensemble, find_ensemble
from ..core.maps.grid import Grid
from ..session.commandline import OpenFile, SaveFolder
from ..session.inputs import (
    PREDICTIONS_FILE,
    output_place,
    parameters_of,
    sources_of,
    typed,
)
from ..session.jobs import run_job
from .arguments import SELECTION, VolumesArg, keywords_of

MOST_FLAGS = 5  # flagged volumes named in the log


def predict(
    session: Any,
    volumes: list[Any],
    output_dir: str | None = None,
    labels: str | None = None,
    set_levels: bool = True,
    keep_edited: bool = True,
    voxel_size: float | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    **keywords: Any,
) -> Any:
    """Predict the contour level of each map, write it into predictions.csv, where the rows of other
    volumes stay, and apply the levels to open maps given as VOLUMES.
    """
    from ..core.thresholds.parameters import PredictParameters

    parameters = parameters_of(PredictParameters, keywords)
    sources = sources_of(volumes, placed=False)
    place = output_place(volumes, output_dir)
    output, doubts = place.path, place.doubts()

    def work(progress: Progress) -> tuple[Any, Any, Any]:
        from ..core.common.files import check_writable
        from ..core.thresholds.evaluate import compare
        from ..core.thresholds.merge import merge_predictions
        from ..core.thresholds.predict import predict_levels
        from ..core.thresholds.resume import UNFINISHED_FILE

        check_writable(output)
        ensemble = find_ensemble(
            sources, voxel_size, progress, 1, exclude=exclude, include=include, any_grid=True
        )
        unfinished = output / UNFINISHED_FILE
        predictions = predict_levels(ensemble, parameters, progress, unfinished)
        agreement = compare(predictions, Path(labels), ensemble) if labels else None
        predictions = merge_predictions(
            output / PREDICTIONS_FILE, predictions, ensemble.folder_vol_ids, keep_edited
        )
        place.claim()
        unfinished.unlink(missing_ok=True)
        return ensemble, predictions, agreement

    def show(result: tuple[Any, Any, Any]) -> Any:
        from ..session.answers import also_answer
        from ..session.log import log_lines, next_step
        from ..session.shown_map import follow_levels
        from ..session.surfaces import set_level
        from ..session.words import carried, path_text

        ensemble, predictions, agreement = result
        also_answer(table=output / PREDICTIONS_FILE, agreement=agreement and agreement.metrics)
        level_of = predictions.levels
        if set_levels:
            for source, volume in zip(sources, volumes, strict=True):
                if isinstance(volume, Volume) and not volume.deleted and source.name in level_of:
                    set_level(volume, level_of[source.name])
            follow_levels(
                session,
                {str(s.path): level_of[s.name] for s in ensemble.sources if s.name in level_of},
            )
        log_lines(
            session,
            [
                f"{len(ensemble):,} volume{'s' * (len(ensemble) > 1)}, {ensemble.grid_text()}; "
                f"weights {predictions.weights}; device {predictions.device}",
                *ensemble.notes,
                *predictions.notes,
                *_found(predictions),
                *([agreement.text(), *agreement.notes] if agreement else []),
                *doubts,
                f"Written to {output / PREDICTIONS_FILE}.",
            ],
        )
        if len(ensemble) > 1 and not ensemble.mixed:
            without = " filter flags" * bool(predictions.flagged)
            rest = carried(output_dir and str(output), voxel_size, include, exclude)
            next_step(
                session,
                "sketch",
                f"siren sketch {typed(volumes)} thresholds "
                f"{path_text(output / PREDICTIONS_FILE)}{without}{' ' * bool(rest)}{rest}",
            )
        return predictions

    return run_job(session, "siren predict", work, show)


def _found(predictions: Any) -> list[str]:
    """Lines for the log: the levels, their expected error, and flagged volumes."""
    levels = sorted(predictions.levels.values())
    text = (
        f"contour levels {levels[0]:.4g} to {levels[-1]:.4g}, median {median(levels):.4g}"
        if levels[1:]
        else f"contour level {levels[0]:.4g}"
    )
    errors = [
        abs(r.uncertainty / r.level)
        for r in predictions.rows
        if r.uncertainty is not None and r.level
    ]
    lines = [
        text
        + (
            f"; expected error {median(errors):.0%}" + " (median)" * (len(errors) > 1)
            if errors
            else ""
        )
    ]
    flagged = predictions.flagged
    if flagged:
        shown = "; ".join(f"{name} ({why})" for name, why in list(flagged.items())[:MOST_FLAGS])
        more = (
            f"; and {len(flagged) - MOST_FLAGS:,} more, see the table"
            if len(flagged) > MOST_FLAGS
            else ""
        )
        lines.append(
            f'{len(flagged):,} flagged: {shown}{more}. To leave them out of a sketch, add "filter '
            'flags".'
        )
    return lines


def preprocess(
    session: Any,
    volumes: list[Any],
    output_dir: str | None = None,
    voxel_size: float | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    **keywords: Any,
) -> Any:
    """Write resampled (and normalized) copies of the maps, and their statistics, for other
    programs.
    """
    from ..core.thresholds.parameters import PreprocessParameters

    parameters = parameters_of(PreprocessParameters, keywords)
    sources = sources_of(volumes, placed=False)
    place = output_place(volumes, output_dir)
    output = place.path

    def work(progress: Progress) -> Any:
        from ..core.thresholds.preprocess import preprocess as run

        ensemble = find_ensemble(
            sources, voxel_size, progress, 1, exclude=exclude, include=include, any_grid=True
        )
        outcome = run(ensemble, output, parameters, progress)
        place.claim()
        return ensemble, outcome

    def show(result: Any) -> Any:
        from ..session.log import log_lines

        ensemble, outcome = result
        log_lines(
            session,
            [
                f"{len(ensemble):,} volume{'s' * (len(ensemble) > 1)}, {ensemble.grid_text()}",
                *ensemble.notes,
                *outcome.notes,
                f"Written to {output}: {len(outcome.files):,} maps "
                f"({_box_text(ensemble, outcome.grid)}), "
                + ", ".join(t.name for t in outcome.tables),
            ],
        )
        return outcome

    return run_job(session, "siren preprocess", work, show)


def _box_text(ensemble: Ensemble, grid: Grid) -> str:
    """The grid of the downsampled maps; the box alone if their voxel sizes differ."""
    return " x ".join(map(str, grid.shape)) if ensemble.mixed else grid.text()


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    output, volumes = [("output_dir", SaveFolder)], [("volumes", VolumesArg)]

    def predict_desc() -> CmdDesc:
        from ..core.thresholds.parameters import PredictParameters

        return CmdDesc(
            required=volumes,
            keyword=[
                *output,
                ("labels", OpenFile),
                ("set_levels", BoolArg),
                ("keep_edited", BoolArg),
                *SELECTION,
                *keywords_of(PredictParameters),
            ],
            synopsis="Predict the contour level of each map",
        )

    def preprocess_desc() -> CmdDesc:
        from ..core.thresholds.parameters import PreprocessParameters

        return CmdDesc(
            required=volumes,
            keyword=[*output, *SELECTION, *keywords_of(PreprocessParameters)],
            synopsis="Resample and normalize maps for other programs",
        )

    return {
        "siren predict": (predict_desc, predict),
        "siren preprocess": (preprocess_desc, preprocess),
    }
