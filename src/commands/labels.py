"""``siren label``, ``label template``, ``evaluate`` and ``finetune``: contour levels set by eye,
compared with predictions and learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chimerax.core.commands import (
    CmdDesc,
    FloatArg,
    IntArg,
)
from chimerax.core.errors import UserError

from ..core.common.errors import join_names
from ..core.common.progress import Progress
from ..core.maps.ensemble import find_ensemble
from ..session.commandline import OpenFile, SaveFileInNewFolder, SaveFolder, open_text
from ..session.inputs import (
    LABELS_FILE,
    PREDICTIONS_FILE,
    label_of,
    output_folder,
    output_place,
    parameters_of,
    shown_of_series,
    sources_of,
    typed,
    user_errors,
)
from ..session.jobs import run_job
from .arguments import SELECTION, OpenMapsArg, VolumesArg, keywords_of

MOST_ROWS = 30  # in the log's table


def evaluate(
    session: Any, labels: str, predictions: str | None = None, output_dir: str | None = None
) -> Any:
    """Compare predicted contour levels with levels set by eye: table, errors, sorted plot."""
    label_table = Path(labels).expanduser().absolute()
    table = (
        Path(predictions).expanduser().absolute()
        if predictions
        else label_table.parent / PREDICTIONS_FILE
    )
    output = output_folder([], output_dir) if output_dir else table.parent
    if not predictions and not table.is_file() and (output / PREDICTIONS_FILE).is_file():
        table = output / PREDICTIONS_FILE

    def work(progress: Progress) -> Any:
        from ..core.thresholds.evaluate import run_evaluation

        progress.step("comparing")
        return run_evaluation(label_table, table, output)

    def show(result: Any) -> Any:
        from ..session.log import log_lines, log_picture, log_table

        a = result.agreement
        log_table(
            session,
            ("volume", "label", "bounds", "predicted", "error", "normalized error", "flag"),
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
            [f"The {MOST_ROWS} largest errors of {a.count:,} are shown."] * (a.count > MOST_ROWS)
            + [a.text(), *a.notes],
        )
        if a.unpredicted:
            log_lines(
                session,
                [
                    f"{len(a.unpredicted):,} labeled but not predicted: "
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
        return [f"{result.folder.name} had been edited by hand and was kept as {result.aside}."]
    return [f"The earlier {result.folder} was replaced."] if result.replaced else []


def label(
    session: Any,
    volumes: list[Any],
    lower: float | None = None,
    upper: float | None = None,
    labels: str | None = None,
    output_dir: str | None = None,
) -> Any:
    """Record the contour levels of open maps, as set by eye, in a table of labels."""
    from ..session.answers import also_answer
    from ..session.labels import write_labels
    from ..session.log import log_lines, next_step
    from ..session.words import keywords_text, path_text

    if not volumes:
        raise UserError("No open map is named: open one, and name it, as in siren label #1.")
    volumes, aside = shown_of_series(volumes)
    if (lower is not None or upper is not None) and len(volumes) > 1:
        raise UserError(
            "lower and upper are bounds for a single map: name one map, or leave them out."
        )
    place = output_place(volumes, output_dir)
    output = place.path
    path = Path(labels).expanduser().absolute() if labels else output / LABELS_FILE
    new = [label_of(v, lower, upper) for v in volumes]
    before = write_labels(session, path, new)
    if not labels:
        user_errors(place.claim)
    log_lines(
        session,
        [
            *aside,
            *(
                f"{one.file}: level {one.level:.6g}"
                + (f", bounds {_bounds(one)}" if _bounds(one) else "")
                + (" (replaces its earlier label)" if again else "")
                for one, again in zip(new, before, strict=True)
            ),
        ],
    )
    log_lines(session, [f"Written to {path}."])
    also_answer(table=path)
    table = next(
        (f / PREDICTIONS_FILE for f in (path.parent, output) if (f / PREDICTIONS_FILE).is_file()),
        None,
    )
    if table is not None:
        given = keywords_text(
            predictions=table, output_dir=Path(output_dir).expanduser() if output_dir else None
        )
        next_step(session, "evaluate", f"siren evaluate {path_text(path)} {given}")
    return new


def label_undo(session: Any) -> Any:
    """Undo the last "siren label": its maps have the labels that they had before, or none."""
    return _undo_labels(session, "undo", "Undone")


def label_redo(session: Any) -> Any:
    """Redo the label that was last undone."""
    return _undo_labels(session, "redo", "Redone")


def _undo_labels(session: Any, word: str, done: str) -> Any:
    from ..session.labels import undo_labels
    from ..session.log import log_lines

    action = undo_labels(session, word)
    log_lines(session, [f"{done}: {action.name} ({action.path})."])
    return action


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
    """Choose the maps most worth labeling, and add them to a table of labels to fill in."""
    sources = sources_of(volumes, placed=False)
    place = output_place(volumes, output_dir)
    output = place.path
    path = Path(labels).expanduser().absolute() if labels else output / LABELS_FILE
    table = Path(predictions).expanduser().absolute() if predictions else output / PREDICTIONS_FILE
    if count < 1:
        raise UserError(f"count {count} is out of bounds: give at least 1.")

    def work(progress: Progress) -> tuple[Any, Any, Any, bool]:
        from ..core.thresholds.belonging import other_maps
        from ..core.thresholds.choose import choose_maps
        from ..core.thresholds.labels import write_template
        from ..core.thresholds.tables import read_predictions

        ensemble = find_ensemble(
            sources, voxel_size, progress, 1, exclude=exclude, include=include, any_grid=True
        )
        predicted = not predictions and not table.is_file()
        if predicted:
            from ..core.thresholds.merge import merge_predictions
            from ..core.thresholds.predict import predict_levels

            made = predict_levels(ensemble, None, progress)
            merge_predictions(table, made, ensemble.folder_vol_ids)
        known = read_predictions(table)
        expected = {r.file: r.fingerprint for r in known.rows if r.fingerprint}
        ensemble = ensemble.expecting(expected, other_maps(table))
        proposals = choose_maps(ensemble, known, count, progress)
        files = [p.file for p in proposals]
        added = write_template(path, files, ensemble.all_names, ensemble.fingerprints)
        place.claim()
        return ensemble, proposals, added, predicted

    def show(result: tuple[Any, Any, Any, bool]) -> Any:
        from ..session.answers import also_answer
        from ..session.log import log_lines, log_table
        from ..session.words import keywords_text

        ensemble, proposals, added, predicted = result
        also_answer(table=path, added=added)
        to = keywords_text(
            labels=path if labels else None, output_dir=output if output_dir else None
        )
        paths = {s.name: s.path for s in ensemble.sources}
        log_table(
            session,
            ("volume", "why", ""),
            [
                (
                    p.file,
                    p.reason,
                    _open_link(paths[p.file]),
                )
                for p in proposals
            ],
            links=True,
        )
        log_lines(
            session,
            [
                *(
                    [f"There were no predictions, so they were made now: {table}"]
                    if predicted
                    else []
                ),
                f"{len(proposals)} maps that span the predicted levels and differ from each other; "
                f"{len(added)} new rows in {path}.",
                "Open each map, set its contour level by eye, and run "
                f'"siren label #N{" " * bool(to)}{to}" (lower and upper bounds are optional).',
            ],
        )
        return proposals

    return run_job(session, "siren label template", work, show)


def _open_link(path: Path | None) -> str:
    """A link that opens a map; empty if it has no file, or one that no command can name."""
    from ..session.log import link

    command = None if path is None else open_text(path)
    return "" if command is None else link(command, "open")


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
    """Train the network further on levels set by eye; keep the new weights only if they are
    better.
    """
    from ..core.thresholds.parameters import FinetuneParameters

    parameters = parameters_of(FinetuneParameters, keywords)
    sources = sources_of(volumes, placed=False)
    place = output_place(volumes, output_dir)
    output = place.path

    def work(progress: Progress) -> Any:
        from ..core.thresholds.finetune import run_finetune

        ensemble = find_ensemble(
            sources, voxel_size, progress, 1, exclude=exclude, include=include, any_grid=True
        )
        result = run_finetune(ensemble, Path(labels).expanduser(), parameters, output, progress)
        place.claim()
        return result

    def show(result: Any) -> Any:
        from ..session.log import log_lines, log_picture, next_step
        from ..session.words import carried, keywords_text

        fit, p, sizes = (
            result.fit,
            result.parameters,
            [len(names) for names in result.parts.values()],
        )
        if fit.best:
            kept = (
                f"kept epoch {fit.best} of {p.epochs}: validation loss "
                f"{fit.validation[0]:.3g} before, {fit.validation[fit.best]:.3g} after"
            )
        elif fit.refused:
            kept = (
                f"epoch {fit.refused} of {p.epochs} was better on the validation maps but worse on "
                "the held-out maps: the weights are unchanged"
            )
        else:
            kept = (
                f"none of {p.epochs} epochs was significantly better on the validation maps: "
                "the weights are unchanged"
            )
        chose = (
            f", {sizes[1]} to choose the epoch"
            if sizes[1]
            else f" and to choose the epoch ({p.folds} folds)"
        )
        log_picture(session, result.plot)
        log_lines(
            session,
            [
                f"{sum(sizes)} labeled volumes: {sizes[0]} to train{chose}, {sizes[2]} held out "
                f"(seed {p.seed}); learning rate {p.learning_rate:g}, batches of {p.batch_size}",
                *result.notes,
                kept,
                f"held out, before: {result.before.text()}",
                f"held out, after: {result.after.text()}",
                *_replaced(result),
                f"Written to {result.folder} (finetuned_weights.pt, loss.csv, loss.png, loss.pdf, "
                "run.json).",
            ],
        )
        if fit.best:
            rest = carried(output_dir and str(output), voxel_size, include, exclude)
            next_step(
                session,
                "predict",
                f"siren predict {typed(volumes)} {keywords_text(weights=result.weights)}"
                f"{' ' * bool(rest)}{rest}",
            )
        return result

    return run_job(session, "siren finetune", work, show)


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    output, volumes = [("output_dir", SaveFolder)], [("volumes", VolumesArg)]

    def evaluate_desc() -> CmdDesc:
        return CmdDesc(
            required=[("labels", OpenFile)],
            keyword=[("predictions", OpenFile), *output],
            synopsis="Compare predicted contour levels with levels set by eye",
        )

    def label_desc() -> CmdDesc:
        return CmdDesc(
            required=[("volumes", OpenMapsArg)],
            keyword=[
                ("lower", FloatArg),
                ("upper", FloatArg),
                ("labels", SaveFileInNewFolder),
                *output,
            ],
            synopsis="Record the contour level of an open map in a table of labels",
        )

    def template_desc() -> CmdDesc:
        return CmdDesc(
            required=volumes,
            keyword=[
                ("count", IntArg),
                ("predictions", OpenFile),
                ("labels", SaveFileInNewFolder),
                *output,
                *SELECTION,
            ],
            synopsis="Choose the maps most worth labeling",
        )

    def finetune_desc() -> CmdDesc:
        from ..core.thresholds.parameters import FinetuneParameters

        return CmdDesc(
            required=volumes,
            keyword=[
                ("labels", OpenFile),
                *output,
                *SELECTION,
                *keywords_of(FinetuneParameters),
            ],
            required_arguments=["labels"],
            synopsis="Train the contour-level network further on levels set by eye",
        )

    return {
        "siren evaluate": (evaluate_desc, evaluate),
        "siren label": (label_desc, label),
        "siren label template": (template_desc, label_template),
        "siren label undo": (lambda: CmdDesc(synopsis='Undo the last "siren label"'), label_undo),
        "siren label redo": (
            lambda: CmdDesc(synopsis="Redo the label that was last undone"),
            label_redo,
        ),
        "siren finetune": (finetune_desc, finetune),
    }
