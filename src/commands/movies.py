"""``siren movie``: volumes in the order in which a part comes, as a series, a morph or a film."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from chimerax.core.commands import BoolArg, Bounded, CmdDesc, FloatArg, Int2Arg, IntArg, ListOf
from chimerax.core.errors import UserError
from chimerax.core.models import Model

from ..core.analysis.parameters import SeriesParameters, StatesParameters
from ..core.analysis.series import blocks_text, series_of
from ..core.common.errors import Cancelled, join_names, printable
from ..core.common.files import atomic_file, atomic_folder
from ..core.common.partial import partial_folder
from ..core.common.progress import Progress
from ..core.common.tables import csv_text
from ..core.maps.grid import Grid
from ..session.answers import also_answer
from ..session.commandline import SaveFile, SaveFolder
from ..session.inputs import sources_of
from ..session.jobs import run_job
from ..session.log import link, log_hidden_blocks, log_lines, log_table
from ..session.series import (
    Paint,
    Step,
    abandon,
    check_recording,
    end_recording,
    hide_blocks,
    open_morph,
    open_series,
    paint_of,
    recording,
)
from .arguments import BlocksArg, VolumesArg, keywords_of
from .chosen import Chosen, chosen_blocks, given_ensemble, selection_of, split_keywords, states_of
from .subsets import SELECT

GROUP_NAME = "SIREn series"
MOST_BYTES = 4e9  # of maps that are open together
FRAMES_TABLE = "frames.csv"


@dataclass(frozen=True)
class Series:
    """A series of volumes.

    Attributes
    ----------
    steps : in order
    grid : Grid of all
    order : in words
    """

    steps: tuple[Step, ...]
    grid: Grid
    order: str


def movie(
    session: Any,
    blocks: Any,
    block: int | None = None,
    path: list[int] | None = None,
    with_: list[int] | None = None,  # what ChimeraX makes of "with", which is Python's
    without: list[int] | None = None,
    save_file: str | None = None,
    frames_dir: str | None = None,
    frames: int = 10,
    framerate: float = 25.0,
    size: tuple[int, int] | None = None,
    label: bool = True,
    color: bool = True,
    morph: bool = False,
    open: bool | None = None,
    volumes: list[Any] | None = None,
    **keywords: Any,
) -> Any:
    """Open volumes as a series, in the order in which a block or all blocks come, or record it."""
    selection = selection_of(with_, without)
    parameters, present = split_keywords(keywords, SeriesParameters)
    chosen = chosen_blocks(session, blocks)
    film, folder = (Path(p).expanduser().absolute() if p else None for p in (save_file, frames_dir))
    if film is not None and folder is not None:
        raise UserError("Give saveFile for a movie, or framesDir for its pictures, not both.")
    recorded = film is not None or folder is not None
    opened = not recorded if open is None else open
    if recorded:
        check_recording(session, film)
    if folder is not None:
        _check_folder(folder)
    sources = sources_of(volumes) if volumes else None
    progress_of: list[Progress] = []

    def work(progress: Progress) -> Series:
        progress_of.append(progress)
        ensemble = given_ensemble(chosen.record, sources, progress)
        states = states_of(chosen, present, ensemble, progress)
        found = series_of(states, block, tuple(path or ()), selection, parameters.count)
        ensemble = ensemble or chosen.record.ensemble(progress)
        wanted = [states.names[k] for k in found]
        if 4.0 * chosen.record.grid.size * len(set(wanted)) > MOST_BYTES:
            raise UserError(
                f"{len(found)} volumes of {chosen.record.grid.text()} do not fit into memory "
                'together: give a smaller "count".'
            )
        arrays = dict(ensemble.of(wanted).read(progress, "reading volumes"))
        steps = [
            Step(n, arrays[n], float(states.levels[k]), f"{n}: {blocks_text(states, int(k))}")
            for n, k in zip(wanted, found, strict=True)
        ]
        order = _order(block, path, selection.words)
        return Series(tuple(steps), chosen.record.grid, order)

    def show(series: Series) -> Generator[None, None, Series]:
        paint = _paint(chosen, series) if color else None
        files: list[str] = []
        _log_steps(session, series)
        if recorded:
            made = _record(
                session, series, film, folder, frames, framerate, size, label, paint, progress_of[0]
            )
            files = yield from made
            log_lines(session, [f"Written to {film or folder}"])
        model: Model | None = None
        if opened:
            hidden = hide_blocks(session)
            name = f"{GROUP_NAME}: {series.order}"
            if morph:
                model = open_morph(session, series.steps, series.grid, name, frames)
            else:
                model = open_series(session, series.steps, series.grid, name, paint)
            _log_opened(session, model, morph, hidden)
        also_answer(
            model=f"#{model.id_string}" if model is not None else None,
            files=files,
        )
        return series

    return run_job(session, "siren movie", work, show)


def _order(block: int | None, path: list[int] | None, words: str) -> str:
    if path:
        text = f"along block{'s' * (len(path) > 1)} {', '.join(map(str, path))}"
    elif block is not None:
        text = f"by block {block}"
    else:
        text = "by the number of blocks"
    return text if words == "all volumes" else f"{text}, {words}"


def _paint(chosen: Chosen, series: Series) -> Paint | None:
    """Colors of the places of all blocks."""
    seen = np.zeros(series.grid.shape, bool)
    for step in series.steps:
        seen |= step.array > step.level
    return paint_of(dict(chosen.blocks), chosen.colors, series.grid, seen)


def _check_folder(folder: Path) -> None:
    """Raise UserError if a folder for pictures holds anything else."""
    if not folder.exists():
        return
    foreign = (
        [p.name for p in folder.iterdir() if not _is_frame(p.name)]
        if folder.is_dir()
        else [folder.name]
    )
    if foreign:
        raise UserError(
            f"{folder} holds files of others ({printable(join_names(sorted(foreign)))}) and would "
            "be replaced: give a new or empty folder as framesDir."
        )


def _is_frame(name: str) -> bool:
    return name == FRAMES_TABLE or (name.startswith("frame_") and name.endswith(".png"))


def _record(
    session: Any,
    series: Series,
    film: Path | None,
    folder: Path | None,
    frames: int,
    rate: float,
    size: tuple[int, int] | None,
    labeled: bool,
    paint: Paint | None,
    progress: Progress,
) -> Generator[None, None, list[str]]:
    """Record pictures in a folder that appears whole, or a film of them."""

    def check() -> None:
        if progress.cancelled:
            raise Cancelled("Stopped.")

    def pictures(place: Path) -> Generator[None, None, None]:
        written = yield from recording(
            session, series.steps, series.grid, place, frames, size, labeled, paint, check
        )
        rows = ((*names, f"{part:.4g}") for *names, part in written)
        table = csv_text(("frame", "from", "to", "part"), rows)
        (place / FRAMES_TABLE).write_text(table, encoding="utf-8", newline="\n")

    try:
        if folder is not None:
            with atomic_folder(folder) as temporary:
                yield from pictures(temporary)
                end_recording(session, None, rate)
            return [str(folder)]
        assert film is not None
        # the next film removes the pictures of one that was killed
        with partial_folder(Path(tempfile.gettempdir())) as place, atomic_file(film) as new:
            yield from pictures(place)
            end_recording(session, new, rate)
        return [str(film)]
    finally:
        abandon(session)


def _log_steps(session: Any, series: Series) -> None:
    log_lines(
        session,
        [
            f"{len(series.steps)} volumes, {series.order}: the order is cut into equal parts, and "
            "of each the volume is shown that is most like the one before in the other blocks. "
            "Each is at its own contour level."
        ],
    )
    rows = [(str(n), s.text, f"{s.level:.4g}") for n, s in enumerate(series.steps, 1)]
    log_table(session, ("", "volume", "level"), rows)


def _log_opened(session: Any, model: Model, morph: bool, hidden: list[Model]) -> None:
    spec = f"#{model.id_string}"
    if not morph:
        play = f"vseries play {spec} direction oscillate loop true maxFrameRate 5"
        stop = f"vseries stop {spec}"
        session.logger.info(
            f"Opened as {escape(spec)}. {link(play, 'Play')} {link(stop, 'Stop')} "
            f"{link(f'vseries slider {spec}', 'Slider')} {link(f'close {spec}', 'Close')}",
            is_html=True,
        )
    log_hidden_blocks(session, hidden, "the series")


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""

    def movie_desc() -> CmdDesc:
        return CmdDesc(
            required=[("blocks", BlocksArg)],
            keyword=[
                ("block", IntArg),
                ("path", ListOf(IntArg)),
                *SELECT,
                *keywords_of(SeriesParameters),
                ("save_file", SaveFile),
                ("frames_dir", SaveFolder),
                ("frames", Bounded(IntArg, 1, 1000)),
                ("framerate", Bounded(FloatArg, 1, 240)),
                ("size", Int2Arg),
                ("label", BoolArg),
                ("color", BoolArg),
                ("morph", BoolArg),
                ("open", BoolArg),
                ("volumes", VolumesArg),
                *keywords_of(StatesParameters),
            ],
            synopsis="Open or record volumes in the order in which blocks come",
        )

    return {"siren movie": (movie_desc, movie)}
