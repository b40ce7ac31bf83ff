"""``siren predict``, ``preprocess``, ``evaluate``, ``label`` and ``finetune``: contour levels, and
how far to trust them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from chimerax.core.commands import (
    BoolArg,
    CmdDesc,
    FloatArg,
    IntArg,
    OpenFileNameArg,
    SaveFileNameArg,
    SaveFolderNameArg,
)
from chimerax.core.errors import UserError
from chimerax.map import MapsArg, Volume

from ..core.common.errors import join_names
from ..core.common.progress import Progress
from ..core.maps.ensemble import find_ensemble
from ..session.inputs import (
    LABELS_FILE,
    PREDICTIONS_FILE,
    label_of,
    output_folder,
    parameters_of,
    sources_of,
    typed,
    user_errors,
)
from ..session.jobs import run_job
from .arguments import SELECTION, VolumesArg, keywords_of

MOST_FLAGS = 5  # flagged volumes that the log names
MOST_ROWS = 30  # of the table in the log


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
    """Predict the contour level of each map, write predictions.csv, set the levels of open maps
    that were named.
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
        from ..session.log import log_lines, next_step, path_text
        from ..session.surfaces import set_level

        ensemble, predictions, agreement = result
        level_of = predictions.levels
        if set_levels:
            for source, volume in zip(sources, volumes, strict=True):
                if isinstance(volume, Volume) and not volume.deleted and source.name in level_of:
                    set_level(volume, level_of[source.name])
        log_lines(
            session,
            [
                f"{len(ensemble):,} volume{'s' * (len(ensemble) > 1)}, {ensemble.grid.text()}; "
                "weights "
                f"{predictions.weights}; device "
                f"{predictions.device}",
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
    """Levels, how far to trust them, and what was flagged, for the log."""
    levels = sorted(predictions.levels.values())
    text = (
        f"levels {levels[0]:.4g} to {levels[-1]:.4g}, median {median(levels):.4g}"
        if levels[1:]
        else f"level {levels[0]:.4g}"
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
            f'{len(flagged):,} flagged: {shown}{more}. "filter flags" leaves them out of a sketch.'
        )
    return lines


def evaluate(
    session: Any, labels: str, predictions: str | None = None, output_dir: str | None = None
) -> Any:
    """Compare predicted levels with levels set by eye: table, figures of error, sorted plot."""
    label_table = Path(labels).expanduser().absolute()
    table = (
        Path(predictions).expanduser().absolute()
        if predictions
        else label_table.parent / PREDICTIONS_FILE
    )
    output = output_folder([], output_dir) if output_dir else table.parent

    def work(progress: Progress) -> Any:
        from ..core.thresholds.evaluate import run_evaluation

        progress.step("comparing")
        return run_evaluation(label_table, table, output)

    def show(result: Any) -> Any:
        from ..session.log import log_lines, log_picture, log_table

        a = result.agreement
        log_table(
            session,
            ("volume", "label", "bounds", "predicted", "error", "normalised error", "flag"),
            [
                (
                    r.prediction.file,
                    f"{r.label.level:.4g}",
                    _bounds(r.label),
                    f"{r.prediction.level:.4g}",
                    f"{r.error:+.3g}",
                    f"{r.prediction.prediction - r.normalized_label:+.3f}",
                    "; ".join(r.prediction.flags),
                )
                for r in sorted(
                    a.rows, key=lambda r: -abs(r.prediction.prediction - r.normalized_label)
                )[:MOST_ROWS]
            ],
        )
        log_lines(
            session,
            [f"the {MOST_ROWS} largest errors of {a.count:,}"] * (a.count > MOST_ROWS) + [a.text()],
        )
        if a.unpredicted:
            log_lines(
                session,
                [
                    f"{len(a.unpredicted):,} labelled without a prediction: "
                    f"{join_names(list(a.unpredicted))}"
                ],
            )
        log_picture(session, result.plot)
        log_lines(
            session,
            [
                *_replaced(result),
                f"Written to {result.folder} (evaluation.csv, "
                "evaluation.png, evaluation.pdf, run.json).",
            ],
        )
        return result

    return run_job(session, "siren evaluate", work, show)


def _bounds(label: Any) -> str:
    low, high = ("" if v is None else f"{v:.4g}" for v in (label.lower, label.upper))
    return f"{low} to {high}" if low or high else ""


def _replaced(result: Any) -> list[str]:
    if result.aside is not None:
        return [f"{result.folder.name} had been edited by hand: it is kept as {result.aside}."]
    return [f"The earlier {result.folder} was replaced."] if result.replaced else []


def label(
    session: Any,
    volumes: list[Any],
    lower: float | None = None,
    upper: float | None = None,
    labels: str | None = None,
) -> Any:
    """Write the contour level of open maps, as set by eye, into a table of labels."""
    from ..core.thresholds.labels import set_label
    from ..session.log import log_lines, next_step, path_text

    if (lower is not None or upper is not None) and len(volumes) > 1:
        raise UserError("lower and upper are bounds of one map: name one, or leave them out.")
    new = [label_of(v, lower, upper) for v in volumes]
    path = (
        Path(labels).expanduser().absolute()
        if labels
        else output_folder(volumes, None) / LABELS_FILE
    )
    before = [user_errors(set_label, path, one) for one in new]
    log_lines(
        session,
        [
            f"{one.file}: level {one.level:.6g}"
            + (f", bounds {_bounds(one)}" if _bounds(one) else "")
            + (" (in place of its earlier label)" if again else "")
            for one, again in zip(new, before, strict=True)
        ],
    )
    log_lines(session, [f"Written to {path}."])
    if (path.parent / PREDICTIONS_FILE).is_file():
        next_step(
            session,
            "evaluate",
            f"siren evaluate {path_text(path)} predictions "
            f"{path_text(path.parent / PREDICTIONS_FILE)}",
        )
    return new


def label_template(
    session: Any,
    volumes: list[Any],
    count: int = 20,
    predictions: str | None = None,
    labels: str | None = None,
    output_dir: str | None = None,
    voxel_size: float | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Any:
    """Choose the maps whose labels would teach most, and write a table of labels to fill in."""
    sources = sources_of(volumes)
    output = output_folder(volumes, output_dir)
    path = Path(labels).expanduser().absolute() if labels else output / LABELS_FILE
    table = Path(predictions).expanduser().absolute() if predictions else output / PREDICTIONS_FILE
    if count < 1:
        raise UserError(f"count {count} is out of bounds: give at least 1.")

    def work(progress: Progress) -> tuple[Any, Any, Any, bool]:
        from ..core.thresholds.choose import choose_maps
        from ..core.thresholds.labels import write_template
        from ..core.thresholds.tables import read_predictions

        ensemble = find_ensemble(
            sources, voxel_size, progress, minimum=1, include=include, exclude=exclude
        )
        predicted = not predictions and not table.is_file()
        if predicted:
            from ..core.thresholds.predict import predict_levels
            from ..core.thresholds.tables import write_predictions

            write_predictions(table, predict_levels(ensemble, None, progress))
        proposals = choose_maps(ensemble, read_predictions(table), count, progress)
        return (
            ensemble,
            proposals,
            write_template(path, [p.file for p in proposals], ensemble.all_names),
            predicted,
        )

    def show(result: tuple[Any, Any, Any, bool]) -> Any:
        from ..session.log import link, log_lines, log_table, path_text

        ensemble, proposals, added, predicted = result
        paths = {s.name: s.path for s in ensemble.sources}
        log_table(
            session,
            ("volume", "why", ""),
            [
                (
                    p.file,
                    p.reason,
                    link(f"open {path_text(paths[p.file])}", "open") if paths[p.file] else "",
                )
                for p in proposals
            ],
            links=True,
        )
        log_lines(
            session,
            [
                *([f"There were no predictions, so they were made: {table}"] if predicted else []),
                f"{len(proposals)} maps, spread over the predicted levels and unlike each other; "
                f"{len(added)} new rows in {path}.",
                'Open each, set its level by eye, and run "siren label #N" (with lower and upper, '
                "if "
                "you like).",
            ],
        )
        return proposals

    return run_job(session, "siren label template", work, show)


def finetune(
    session: Any,
    volumes: list[Any],
    labels: str,
    output_dir: str | None = None,
    voxel_size: float | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    **keywords: Any,
) -> Any:
    """Train the network further on levels set by eye; keep the new weights as far as they help."""
    from ..core.thresholds.parameters import FinetuneParameters

    parameters = parameters_of(FinetuneParameters, keywords)
    sources = sources_of(volumes)
    output = output_folder(volumes, output_dir)

    def work(progress: Progress) -> Any:
        from ..core.thresholds.finetune import run_finetune

        ensemble = find_ensemble(
            sources, voxel_size, progress, minimum=1, include=include, exclude=exclude
        )
        return run_finetune(ensemble, Path(labels).expanduser(), parameters, output, progress)

    def show(result: Any) -> Any:
        from ..session.log import log_lines, log_picture, next_step, path_text

        fit, p, sizes = (
            result.fit,
            result.parameters,
            [len(names) for names in result.parts.values()],
        )
        kept = (
            f"epoch {fit.best} of {p.epochs} was kept: loss of the validation maps "
            f"{fit.validation[0]:.3g} before, "
            f"{fit.validation[fit.best]:.3g} after"
            if fit.best
            else f"no epoch of {p.epochs} was significantly better on the validation maps, so the "
            "weights are kept as they were"
        )
        chose = (
            f", {sizes[1]} chose the epoch"
            if sizes[1]
            else (f" and chose the epoch ({p.folds} folds)")
        )
        log_picture(session, result.plot)
        log_lines(
            session,
            [
                f"{sum(sizes)} labelled volumes: {sizes[0]} trained{chose}, {sizes[2]} were held "
                "out "
                f"(seed {p.seed}); learning rate "
                f"{p.learning_rate:g}, batches of {p.batch_size}",
                kept,
                f"held out, before: {result.before.text()}",
                f"held out, after: {result.after.text()}",
                *_replaced(result),
                f"Written to {result.folder} (finetuned_weights.pt, loss.csv, loss.png, loss.pdf, "
                "run.json).",
            ],
        )
        if fit.best:
            next_step(
                session,
                "predict",
                f"siren predict {typed(volumes)} weights {path_text(result.weights)}",
            )
        return result

    return run_job(session, "siren finetune", work, show)


def preprocess(
    session: Any,
    volumes: list[Any],
    output_dir: str | None = None,
    voxel_size: float | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    **keywords: Any,
) -> Any:
    """Write resampled (and normalised) copies of the maps with their statistics, for other
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
            synopsis="Resample and normalise maps for other programs",
        )

    def evaluate_desc() -> CmdDesc:
        return CmdDesc(
            required=[("labels", OpenFileNameArg)],
            keyword=[("predictions", OpenFileNameArg), *output],
            synopsis="Compare predicted levels with levels set by eye",
        )

    def label_desc() -> CmdDesc:
        return CmdDesc(
            required=[("volumes", MapsArg)],
            keyword=[("lower", FloatArg), ("upper", FloatArg), ("labels", SaveFileNameArg)],
            synopsis="Note the level of an open map, as set by eye, in a table of labels",
        )

    def template_desc() -> CmdDesc:
        return CmdDesc(
            required=volumes,
            keyword=[
                ("count", IntArg),
                ("predictions", OpenFileNameArg),
                ("labels", SaveFileNameArg),
                *output,
                *SELECTION,
            ],
            synopsis="Choose the maps whose labels would teach most",
        )

    def finetune_desc() -> CmdDesc:
        from ..core.thresholds.parameters import FinetuneParameters

        return CmdDesc(
            required=volumes,
            keyword=[
                ("labels", OpenFileNameArg),
                *output,
                *SELECTION,
                *keywords_of(FinetuneParameters),
            ],
            required_arguments=["labels"],
            synopsis="Train the network further on levels set by eye",
        )

    return {
        "siren predict": (predict_desc, predict),
        "siren preprocess": (preprocess_desc, preprocess),
        "siren evaluate": (evaluate_desc, evaluate),
        "siren label": (label_desc, label),
        "siren label template": (template_desc, label_template),
        "siren finetune": (finetune_desc, finetune),
    }
