"""``siren predict``, ``preprocess``, ``evaluate``, ``label`` and ``finetune``: contour levels, and how far to trust them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from chimerax.core.commands import BoolArg, CmdDesc, OpenFileNameArg, SaveFolderNameArg
from chimerax.map import Volume

from .arguments import SELECTION, VolumesArg, keywords_of
from .core.ensemble import find_ensemble
from .core.progress import Progress
from .inputs import PREDICTIONS_FILE, output_folder, parameters_of, sources_of, typed
from .jobs import run_job


def predict(session: Any, volumes: list[Any], output_dir: str | None = None, labels: str | None = None, set_levels: bool = True,
            voxel_size: float | None = None, include: Sequence[str] = (), exclude: Sequence[str] = (), **keywords: Any) -> Any:
    """Predict the contour level of each map, write predictions.csv, set the levels of open maps that were named."""
    from .core.thresholds.predict import PredictParameters

    parameters = parameters_of(PredictParameters, keywords)
    sources = sources_of(volumes)
    output = output_folder(volumes, output_dir)

    def work(progress: Progress) -> tuple[Any, Any, Any]:
        from .core.thresholds.evaluate import compare
        from .core.thresholds.predict import predict_levels
        from .core.thresholds.tables import write_predictions

        ensemble = find_ensemble(sources, voxel_size, progress, least=1, include=include, exclude=exclude)
        predictions = predict_levels(ensemble, parameters, progress)
        agreement = compare(predictions, Path(labels), ensemble) if labels else None
        write_predictions(output / PREDICTIONS_FILE, predictions)
        return ensemble, predictions, agreement

    def show(result: tuple[Any, Any, Any]) -> Any:
        from .show import log_lines, next_step, path_text, set_level

        ensemble, predictions, agreement = result
        level_of = predictions.levels
        if set_levels:
            for source, volume in zip(sources, volumes, strict=True):
                if isinstance(volume, Volume) and not volume.deleted and source.name in level_of:
                    set_level(volume, level_of[source.name])
        levels = sorted(level_of.values())
        found = f"levels {levels[0]:.4g} to {levels[-1]:.4g}, median {median(levels):.4g}" if levels[1:] else f"level {levels[0]:.4g}"
        log_lines(session, [
            f"{len(levels):,} volume{'s' * (len(levels) > 1)}, {ensemble.grid.text()}; weights {predictions.weights}; device "
            f"{predictions.device}", *ensemble.notes,
            found,
            *([agreement.text()] if agreement else []),
            f"Written to {output / PREDICTIONS_FILE}."])
        if len(levels) > 1:
            to = f" outputDir {path_text(output)}" if output_dir else ""
            next_step(session, "sketch", f"siren sketch {typed(volumes)} thresholds {path_text(output / PREDICTIONS_FILE)}{to}")
        return predictions

    return run_job(session, "siren predict", work, show)


def preprocess(session: Any, volumes: list[Any], output_dir: str | None = None, voxel_size: float | None = None,
               include: Sequence[str] = (), exclude: Sequence[str] = (), **keywords: Any) -> Any:
    """Write resampled (and normalised) copies of the maps with their statistics, for other programs."""
    from .core.thresholds.preprocess import PreprocessParameters

    parameters = parameters_of(PreprocessParameters, keywords)
    sources = sources_of(volumes)
    output = output_folder(volumes, output_dir)

    def work(progress: Progress) -> Any:
        from .core.thresholds.preprocess import preprocess as run

        ensemble = find_ensemble(sources, voxel_size, progress, least=1, include=include, exclude=exclude)
        return ensemble, run(ensemble, output, parameters, progress)

    def show(result: Any) -> Any:
        from .show import log_lines

        ensemble, outcome = result
        log_lines(session, [f"{len(ensemble):,} volume{'s' * (len(ensemble) > 1)}, {ensemble.grid.text()}", *ensemble.notes,
                            f"Written to {output}: {len(outcome.files):,} maps ({outcome.grid.text()}), "
                            + ", ".join(t.name for t in outcome.tables)])
        return outcome

    return run_job(session, "siren preprocess", work, show)


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    output, volumes = [("output_dir", SaveFolderNameArg)], [("volumes", VolumesArg)]

    def predict_desc() -> CmdDesc:
        from .core.thresholds.predict import PredictParameters
        return CmdDesc(required=volumes, keyword=[*output, ("labels", OpenFileNameArg), ("set_levels", BoolArg), *SELECTION,
                                                  *keywords_of(PredictParameters)],
                       synopsis="Predict the contour level of each map")

    def preprocess_desc() -> CmdDesc:
        from .core.thresholds.preprocess import PreprocessParameters
        return CmdDesc(required=volumes, keyword=[*output, *SELECTION, *keywords_of(PreprocessParameters)],
                       synopsis="Resample and normalise maps for other programs")

    return {"siren predict": (predict_desc, predict), "siren preprocess": (preprocess_desc, preprocess)}
