"""``siren predict``: the contour level of each map; ``siren preprocess``: resampled copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from chimerax.core.commands import BoolArg, CmdDesc, OpenFileNameArg, SaveFolderNameArg
from chimerax.map import Volume

from ..core.common.progress import Progress
from ..core.maps.ensemble import find_ensemble
from ..session.inputs import PREDICTIONS_FILE, output_folder, parameters_of, sources_of, typed
from ..session.jobs import run_job
from .arguments import SELECTION, VolumesArg, keywords_of

MOST_FLAGS = 5  # flagged volumes named in the log


def predict(
    session: Any,
    volumes: list[Any],
    output_dir: str | None = None,
    labels: str | None = None,
    set_levels: bool = True,
    voxel_size: float | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    **keywords: Any,
) -> Any:
    """Predict the contour level of each map, write predictions.csv, and apply the levels to open
    maps given as VOLUMES.
    """
    from ..core.thresholds.parameters import PredictParameters

    parameters = parameters_of(PredictParameters, keywords)
    sources = sources_of(volumes)
    output = output_folder(volumes, output_dir)

    def work(progress: Progress) -> tuple[Any, Any, Any]:
        from ..core.thresholds.evaluate import compare
        from ..core.thresholds.predict import predict_levels
        from ..core.thresholds.tables import write_predictions

        ensemble = find_ensemble(
            sources, voxel_size, progress, minimum=1, include=include, exclude=exclude
        )
        predictions = predict_levels(ensemble, parameters, progress)
        agreement = compare(predictions, Path(labels), ensemble) if labels else None
        write_predictions(output / PREDICTIONS_FILE, predictions)
        return ensemble, predictions, agreement

    def show(result: tuple[Any, Any, Any]) -> Any:
        from ..session.answers import also_answer
        from ..session.log import log_lines, next_step
        from ..session.shown_map import follow_levels
        from ..session.surfaces import set_level
        from ..session.words import path_text

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
                f"{len(ensemble):,} volume{'s' * (len(ensemble) > 1)}, {ensemble.grid.text()}; "
                f"weights {predictions.weights}; device {predictions.device}",
                *ensemble.notes,
                *predictions.notes,
                *_found(predictions),
                *([agreement.text()] if agreement else []),
                f"Written to {output / PREDICTIONS_FILE}.",
            ],
        )
        if len(ensemble) > 1:
            to = f" outputDir {path_text(output)}" if output_dir else ""
            without = " filter flags" * bool(predictions.flagged)
            next_step(
                session,
                "sketch",
                f"siren sketch {typed(volumes)} thresholds "
                f"{path_text(output / PREDICTIONS_FILE)}{without}{to}",
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
    sources = sources_of(volumes)
    output = output_folder(volumes, output_dir)

    def work(progress: Progress) -> Any:
        from ..core.thresholds.preprocess import preprocess as run

        ensemble = find_ensemble(
            sources, voxel_size, progress, minimum=1, include=include, exclude=exclude
        )
        return ensemble, run(ensemble, output, parameters, progress)

    def show(result: Any) -> Any:
        from ..session.log import log_lines

        ensemble, outcome = result
        log_lines(
            session,
            [
                f"{len(ensemble):,} volume{'s' * (len(ensemble) > 1)}, {ensemble.grid.text()}",
                *ensemble.notes,
                f"Written to {output}: {len(outcome.files):,} maps "
                f"({outcome.grid.text()}), " + ", ".join(t.name for t in outcome.tables),
            ],
        )
        return outcome

    return run_job(session, "siren preprocess", work, show)


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    output, volumes = [("output_dir", SaveFolderNameArg)], [("volumes", VolumesArg)]

    def predict_desc() -> CmdDesc:
        from ..core.thresholds.parameters import PredictParameters

        return CmdDesc(
            required=volumes,
            keyword=[
                *output,
                ("labels", OpenFileNameArg),
                ("set_levels", BoolArg),
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
