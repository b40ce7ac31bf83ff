"""``siren states``, ``siren plot`` and ``siren representatives``: which volumes contain which
blocks, as tables, figures and maps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from chimerax.core.commands import BoolArg, CmdDesc, EnumOf, IntArg, Or
from chimerax.core.errors import UserError
from chimerax.core.models import Model
from chimerax.geometry import translation
from numpy.typing import NDArray

from ..core.analysis.block_occupancy import States, representatives, states_csv
from ..core.analysis.parameters import StatesParameters
from ..core.analysis.relations import relations, relations_csv
from ..core.common.files import atomic_file
from ..core.common.progress import Progress
from ..core.maps.finding import common_folder
from ..core.particles.latent import VolumeLatent, volume_latent
from ..core.thresholds.tables import table_levels
from ..session.answers import also_answer
from ..session.commandline import OpenFile, SaveFile
from ..session.edits import group_of
from ..session.inputs import parameters_of, sources_of
from ..session.jobs import run_job
from ..session.log import html_table, link, log_lines
from ..session.series import COLOR, paint_of
from ..session.surfaces import BlockMap, plain_map
from ..session.words import counted
from .arguments import FIGURE_SUFFIXES, BlocksArg, RunArg, VolumesArg, check_suffix, keywords_of
from .chosen import Chosen, chosen_blocks, given_ensemble, paths_of, states_of

APART = 1.25  # spacing of maps side by side, in units of their width


def states(
    session: Any,
    blocks: Any,
    save_file: str | None = None,
    pairs_file: str | None = None,
    volumes: list[Any] | None = None,
    **keywords: Any,
) -> Any:
    """List which volumes contain each block and how blocks depend on each other; write tables."""
    chosen, parameters = chosen_blocks(session, blocks), parameters_of(StatesParameters, keywords)
    sources = sources_of(volumes) if volumes else None

    def work(progress: Progress) -> States:
        ensemble = given_ensemble(chosen.record, sources, progress)
        found = states_of(chosen, parameters, ensemble, progress)
        for name, text in (
            (save_file, states_csv),
            (pairs_file, lambda s: relations_csv(relations(s))),
        ):
            if name:
                with atomic_file(Path(name).expanduser().absolute()) as temporary:
                    temporary.write_bytes(text(found).encode("utf-8", "surrogateescape"))
        return found

    def show(found: States) -> States:
        also_answer(files=[name for name in (save_file, pairs_file) if name])
        _log_states(session, found, chosen)
        log_lines(session, [f"Written to {name}" for name in (save_file, pairs_file) if name])
        return found

    return run_job(session, "siren states", work, show)


def plot(
    session: Any,
    run: Any,
    kind: str,
    save_file: str | None = None,
    block: int | None = None,
    latent: bool | str = False,
    first: int | None = None,
    volumes: list[Any] | None = None,
    **keywords: Any,
) -> Any:
    """Draw a figure and save it as PNG, PDF or SVG, by the suffix of its name."""
    from ..core.figures.draw import Content, draw, save_figure, size_of
    from ..core.figures.theme import Labels, Theme

    path = Path(save_file or "").expanduser().absolute()
    check_suffix(path, FIGURE_SUFFIXES, what="The figure")
    table = (
        Path(run).expanduser()
        if not isinstance(run, list) and Path(run).expanduser().is_file()
        else None
    )
    if table is not None and kind != "thresholds":
        raise UserError(
            f'{table.name} is a file: "siren plot ... {kind}" needs the folder of a run.'
        )
    if block is not None and kind != "scatter":
        raise UserError('"block" colors the volumes of "scatter": leave it out for other figures.')
    if latent is not False and kind != "scatter":
        raise UserError('"latent" places the volumes of "scatter": leave it out for other figures.')
    if first is not None and latent is False:
        raise UserError('"first" says which row of "latent" a volume is: add "latent true".')
    given = Path(latent).expanduser().absolute() if isinstance(latent, str) else None
    chosen = None if table else chosen_blocks(session, run)
    parameters, sources = (
        parameters_of(StatesParameters, keywords),
        sources_of(volumes) if volumes else None,
    )

    def work(progress: Progress) -> VolumeLatent | None:
        levels = (
            table_levels(table)
            if table
            else chosen.record.known_levels
            if chosen
            else ([], np.empty(0))
        )
        found, places = None, None
        if chosen is not None and kind != "thresholds":
            ensemble = given_ensemble(chosen.record, sources, progress)
            found = states_of(chosen, parameters, ensemble, progress)
            if latent is not False:
                paths = paths_of(chosen.record, ensemble, found.names)
                places = volume_latent(found.names, *common_folder(paths), given, first)
        labels = Labels(chosen.blocks.names, chosen.colors) if chosen else Labels()
        content = Content.of(*levels, found)
        if places is not None:
            content = replace(content, landscape=places.landscape())
        size = size_of(kind, content, labels)
        save_figure(path, lambda figure: draw(figure, kind, content, labels, Theme(), block), size)
        return places

    def show(places: VolumeLatent | None) -> Path:
        if places is not None:
            log_lines(session, places.notes)
            also_answer(latent_files=[str(p) for p in places.files])
        log_lines(session, [f"Figure ({kind}) written to {path}"])
        return path

    return run_job(session, "siren plot", work, show)


def show_representatives(
    session: Any,
    blocks: Any,
    block: int | None = None,
    volumes: list[Any] | None = None,
    **keywords: Any,
) -> Any:
    """Open two volumes side by side, one with a block and one without, that differ as little as
    possible in all other blocks.
    """
    models = [m for m in blocks if isinstance(m, BlockMap)] if isinstance(blocks, list) else []
    if block is None and len(models) == 1:
        block = models[0].siren_block
    if block is None:
        raise UserError(
            'Which block? Name one, as in "siren representatives #2.1", or add "block 3".'
        )
    chosen = chosen_blocks(
        session, [group_of(models), *group_of(models).child_models()] if models else blocks
    )
    number, parameters = block, parameters_of(StatesParameters, keywords)
    sources = sources_of(volumes) if volumes else None

    def work(progress: Progress) -> tuple[States, tuple[int, int], list[NDArray[np.float32]]]:
        ensemble = given_ensemble(chosen.record, sources, progress)
        found = states_of(chosen, parameters, ensemble, progress)
        pair = representatives(found, number)
        names = [found.names[k] for k in pair]
        two = replace(
            chosen.record, volumes=[v for v in chosen.record.volumes if v["name"] in names]
        )
        read = dict(
            (ensemble.select(names) if ensemble else two.ensemble(progress)).read(
                progress, "reading maps"
            )
        )
        return found, pair, [read[n] for n in names]

    def show(result: tuple[States, tuple[int, int], list[NDArray[np.float32]]]) -> Model:
        found, pair, arrays = result
        also_answer(with_block=found.names[pair[0]], without_block=found.names[pair[1]])
        row = found.row(number)
        words = [
            f"{found.names[k]} ({100 * found.share[row, k]:.0f} % of its voxels)" for k in pair
        ]
        group = _open_pair(
            session,
            chosen,
            number,
            [found.names[k] for k in pair],
            arrays,
            [float(found.levels[k]) for k in pair],
        )
        others = np.abs(
            np.diff(np.delete(found.share, row, axis=0)[:, list(pair)], axis=1)
        ).ravel() @ np.delete(found.sizes, row)
        session.logger.info(
            f"Block {number} is in {escape(words[0])} and not in {escape(words[1])}; their other "
            f"blocks differ by {others:,.0f} voxels. "
            f"{link(f'close #{group.id_string}', 'Close both')}",
            is_html=True,
        )
        return group

    return run_job(session, "siren representatives", work, show)


def _open_pair(
    session: Any,
    chosen: Chosen,
    number: int,
    names: Sequence[str],
    arrays: Sequence[NDArray[np.float32]],
    levels: Sequence[float],
) -> Model:
    """Open two maps to the right of everything shown, colored by the block where the block is."""
    view = session.main_view
    right = np.asarray(view.camera.position.axes()[0])
    edge = _reach(view.drawing_bounds(), right)
    grid = chosen.record.grid
    seen = np.logical_or(*(array > level for array, level in zip(arrays, levels, strict=True)))
    paint = paint_of({number: chosen.blocks.blocks[number]}, chosen.colors, grid, seen)
    maps = []
    for name, array, level, word in zip(names, arrays, levels, ("with", "without"), strict=True):
        volume = plain_map(session, array, grid, f"{word} block {number}: {name}", level, COLOR)
        if paint is not None:
            paint.put_on(volume)
        maps.append(volume)
    ends = np.array([_reach(m.bounds(), right) for m in maps])
    low, width = ends[:, 0].min(), ends[:, 1].max() - ends[:, 0].min()
    shift = edge[1] + (APART - 1) * width - low if np.isfinite(edge[1]) else 0.0
    for k, volume in enumerate(maps):  # the same shift of the whole maps keeps them comparable
        volume.position = translation(right * (shift + k * APART * width))
    group = session.models.add_group(maps, name=f"block {number}: with and without")
    view.view_all()
    return group


def _reach(bounds: Any, direction: NDArray[np.float64]) -> tuple[float, float]:
    """Lowest and highest extent of bounds along a direction; -inf if nothing is shown."""
    if bounds is None:
        return -np.inf, -np.inf
    along = bounds.box_corners() @ direction
    return float(along.min()), float(along.max())


def _log_states(session: Any, found: States, chosen: Chosen) -> None:
    """Log for each block how many volumes contain it and which blocks it depends on."""
    related, many = relations(found), len(found.names)
    graph = related.graph()
    rows = ["<tr><th>block</th><th>volumes</th><th></th><th>relations</th></tr>"]
    for row, number in enumerate(found.numbers):
        name = chosen.blocks.names.get(number, "")
        words = [f"{word} {other}" for _, other, word in graph.edges(number, data="relation")]
        count = int(related.both[row, row])
        rows.append(
            f'<tr><td>{number} {escape(name)}</td><td align="right">{count:,}</td><td '
            f'align="right">{100 * count / many:.0f} %</td>'
            f"<td>{', '.join(words)}</td></tr>"
        )
    blocks = (
        f"{counted(len(found.numbers), 'block')} in {many:,} volumes (present: {found.cut_words})"
    )
    log_lines(session, [blocks, *([found.doubt] if found.doubt else []), related.counted_as()])
    session.logger.info(html_table(rows), is_html=True)


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    more = [("volumes", VolumesArg), *keywords_of(StatesParameters)]
    saved: list[tuple[str, Any]] = [("save_file", SaveFile)]

    def plot_desc() -> CmdDesc:
        from ..core.figures.draw import KINDS  # matplotlib takes a moment

        return CmdDesc(
            required=[("run", RunArg), ("kind", EnumOf(KINDS))],
            keyword=[
                *saved,
                ("block", IntArg),
                ("latent", Or(BoolArg, OpenFile)),
                ("first", IntArg),
                *more,
            ],
            required_arguments=["save_file"],
            synopsis="Draw contour levels, states or relations of blocks",
        )

    return {
        "siren states": (
            lambda: CmdDesc(
                required=[("blocks", BlocksArg)],
                keyword=[*saved, ("pairs_file", SaveFile), *more],
                synopsis="List which volumes contain each block",
            ),
            states,
        ),
        "siren plot": (plot_desc, plot),
        "siren representatives": (
            lambda: CmdDesc(
                required=[("blocks", BlocksArg)],
                keyword=[("block", IntArg), *more],
                synopsis="Open two volumes side by side, with and without a block",
            ),
            show_representatives,
        ),
    }
