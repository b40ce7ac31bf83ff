"""``siren report`` and ``siren figure``: what was found, as a file for a colleague or a paper."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from chimerax.core.commands import BoolArg, Bounded, CmdDesc, EnumOf, FloatArg, IntArg, Or
from chimerax.core.errors import UserError
from numpy.typing import NDArray

from ..core.blocks.blockset import BlockSet
from ..core.blocks.display import sampled_share
from ..core.blocks.verdicts import DOUBTFUL
from ..core.common import constants
from ..core.common.files import atomic_file
from ..core.common.progress import Progress
from ..core.figures.picture import Mark, annotated
from ..core.report.content import Report, gather
from ..core.report.doubts import doubts
from ..core.report.page import drawn_figures, write_report
from ..core.report.pictures import Picture, Pictures, pictured_alone, projected
from ..core.runs.steps import open_run
from ..session.answers import also_answer
from ..session.commandline import SaveFile
from ..session.edits import grid_of
from ..session.inputs import sources_of, user_errors
from ..session.jobs import run_job
from ..session.landscape import known_landscape
from ..session.log import log_lines
from ..session.moved import is_gone
from ..session.pictures import VIEWS, BlockModels, Shot, can_render, screen_turn, shoot_window
from ..session.repeat import commands_of
from ..session.surfaces import BlockMap
from ..session.words import counted, gone_text
from .arguments import FIGURE_SUFFIXES, BlocksArg, VolumesArg, check_suffix
from .chosen import Chosen, chosen_blocks, given_ensemble, paths_of, states_of

REPORT_SUFFIXES = (".html", ".htm")
VIEW_PIXELS, ALONE_PIXELS = (960, 800), (320, 280)
VIEW_MM = 80.0  # at which the numbers in a view are as large as the text around it
QUALITY = 90  # of JPEG
WIDTHS = {"single": 85.0, "double": 180.0}  # mm, columns of most journals
DPI = 300
MOST_DPI, MOST_MM = 1200, 500.0
HEIGHT_SHARE = 0.8  # of the width, of a figure of a folder


def report(
    session: Any,
    blocks: Any,
    save_file: str | None = None,
    density: float = constants.PROTEIN_DENSITY,
    volumes: list[Any] | None = None,
) -> Any:
    """Write all that is known of blocks as one HTML file that can be sent by mail."""
    from ..core.analysis.parameters import StatesParameters

    chosen = chosen_blocks(session, blocks)
    if is_gone(chosen.folder):
        raise UserError(gone_text(chosen.folder))
    path = (
        Path(save_file).expanduser().absolute()
        if save_file
        else chosen.folder.with_name(f"{chosen.folder.name}_report.html")
    )
    if path.suffix.lower() not in REPORT_SUFFIXES:
        raise UserError(f"{path.name} is no name for a report: give one that ends in .html.")
    sources = sources_of(volumes) if volumes else None
    rendered = can_render(session)

    def work(progress: Progress) -> tuple[Report, dict[str, Picture], Pictures | None]:
        ensemble = given_ensemble(chosen.record, sources, progress)
        found = states_of(chosen, StatesParameters(), ensemble, progress)
        content = gather(chosen.folder, chosen.blocks, found, chosen.colors, density, progress)
        landscape = known_landscape(found.names, paths_of(chosen.record, ensemble, found.names))
        figures = drawn_figures(content, progress, landscape)
        return content, figures, None if rendered else projected(content, progress)

    def show(
        result: tuple[Report, dict[str, Picture], Pictures | None],
    ) -> Generator[None, None, Path]:
        content, figures, pictures = result
        if pictures is None:
            pictures = yield from _rendered(session, content)
        commands = commands_of(content.steps)
        write_report(content, path, pictures, commands, f"{date.today():%Y-%m-%d}", figures)
        found = doubts(content)
        also_answer(
            blocks=len(content.rows),
            rendered=rendered,
            doubts=[{"about": d.about, "text": d.text} for d in found],
        )
        size = path.stat().st_size / 1e6
        lines = [f"Report written to {path} ({size:.1f} MB): send it as it is."]
        if not rendered:
            lines.append(
                "ChimeraX has no graphics here, so the report has flat drawings of the blocks: "
                "start it with windows, or with --offscreen, for rendered ones."
            )
        log_lines(session, lines)
        return path

    return run_job(session, "siren report", work, show)


def _rendered(session: Any, content: Report) -> Generator[None, None, Pictures]:
    """Pictures of the blocks by ChimeraX, one at a time."""
    solid = [r.number for r in content.rows if not r.verdict.startswith(DOUBTFUL)]
    together = solid or [r.number for r in content.rows]
    left_out = len(content.rows) - len(together)
    turned, views, alone = screen_turn(session), [], {}
    models = BlockModels(
        session,
        content.blocks,
        content.labels.colors,
        content.mean,
        content.level,
        content.sampled,
    )
    words = ", ".join(content.labels.words(n) for n in together)
    points, step = _points(content.blocks, together)
    try:
        for name, turn in VIEWS.items():
            yield
            shot = models.shoot(together, turned * turn, VIEW_PIXELS)
            colors = content.labels.colors
            places = shot.places(points, step).items()
            marks = [Mark(*place, n, str(n), colors[n]) for n, place in places]
            data = annotated(shot.image, shot.pixel, marks, VIEW_MM, legend=False)
            views.append(
                Picture(
                    _jpeg(data),
                    f"Surfaces of blocks {words} in their colors on the transparent mean of the "
                    f"volumes, seen from the {name}.",
                    f"From the {name}",
                )
            )
        for number in pictured_alone(content):
            yield
            shot = models.shoot([number], turned, ALONE_PIXELS)
            alone[number] = Picture(
                _jpeg(_png(shot)),
                f"Block {content.labels.words(number)} alone on the mean of the volumes.",
            )
    finally:
        models.delete()
    note = (
        "Rendered by ChimeraX in orthographic projection: blocks in color, the mean of the volumes "
        "in gray; scale bars in Å. The first view is turned as the window was."
    )
    if left_out:
        note += f" The {left_out} doubtful blocks are pictured alone only."
    return Pictures(views, alone, note)


def _png(shot: Shot) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(shot.image).save(content, "PNG")
    return content.getvalue()


def _jpeg(data: bytes) -> bytes:
    """A PNG as JPEG, which is a fifth of it."""
    from PIL import Image

    content = io.BytesIO()
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.save(content, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return content.getvalue()


def figure(
    session: Any,
    blocks: Any,
    save_file: str | None = None,
    width: Any = "single",
    height: float | None = None,
    dpi: int = DPI,
    words: str = "number",
    legend: bool = True,
    scale_bar: Any = True,
    unit: str = "A",
) -> Path:
    """Save a picture of blocks for a paper, at the size of print."""
    path = Path(save_file or "").expanduser().absolute()
    check_suffix(path, FIGURE_SUFFIXES, what="The figure")
    if not can_render(session):
        raise UserError("A figure needs graphics: start ChimeraX with windows, or --offscreen.")
    chosen = chosen_blocks(session, blocks)
    wide = WIDTHS.get(width) if isinstance(width, str) else width
    assert wide is not None
    across = round(wide / 25.4 * dpi)
    down = None if height is None else round(height / 25.4 * dpi)
    if isinstance(blocks, list):
        shown = sorted((m for m in blocks if isinstance(m, BlockMap) and m.visible), key=_number)
        if not shown:
            raise UserError("None of these blocks is shown: show some, or give their folder.")
        shot = shoot_window(session, across, down)
        grid = grid_of(shown[0])
        points = {m.siren_block: m.scene_position * grid.points(m.voxels) for m in shown}
        places = shot.places(points, max(grid.voxel_size))
    else:
        shot, places = _shot_of_folder(session, chosen, across, down)
    marks = [
        Mark(
            *place,
            number,
            _label(number, chosen.blocks.names.get(number, ""), words),
            chosen.colors[number],
            f"{number} {chosen.blocks.names.get(number, '')}".strip(),
        )
        for number, place in places.items()
    ]
    length = None if isinstance(scale_bar, bool) else float(scale_bar) * (10 if unit == "nm" else 1)
    if length is not None and length > 0.9 * across * shot.pixel:
        raise UserError(
            f"A scale bar of {scale_bar:g} {unit} does not fit into the picture, which is "
            f"{across * shot.pixel / (10 if unit == 'nm' else 1):.3g} {unit} wide: give less."
        )
    data = annotated(
        shot.image,
        shot.pixel,
        marks,
        wide,
        path.suffix.lower(),
        legend,
        length,
        scale_bar is not False,
        unit == "nm",
    )

    def write() -> None:
        with atomic_file(path) as temporary:
            temporary.write_bytes(data)

    user_errors(write)
    also_answer(width_mm=wide, pixel_A=shot.pixel, blocks=sorted(places))
    log_lines(
        session,
        [
            f"Figure of {counted(len(places), 'block')} written to {path}: {wide:g} mm wide, "
            f"{dpi} dpi, {shot.pixel:.3g} A per pixel."
        ],
    )
    return path


def _shot_of_folder(
    session: Any, chosen: Chosen, across: int, down: int | None
) -> tuple[Shot, dict[int, tuple[float, float]]]:
    """The blocks of a folder, whether they are open or not, on the mean of the volumes: all but the
    doubtful ones, as when they are opened.
    """
    if is_gone(chosen.folder):
        raise UserError(gone_text(chosen.folder))
    run = user_errors(open_run, chosen.folder)
    evidence = run.blocks.evidence
    numbers = [n for n, _ in run.blocks if n not in evidence or not evidence[n].doubtful]
    numbers = numbers or list(run.blocks.blocks)
    if not numbers:
        raise UserError(f"{chosen.folder} has no blocks to show.")
    share = sampled_share(run.blocks, run.record.sampled)
    models = BlockModels(session, run.blocks, chosen.colors, run.mean, run.level, share)
    try:
        size = (across, down or round(across * HEIGHT_SHARE))
        shot = models.shoot(numbers, screen_turn(session), size)
    finally:
        models.delete()
    return shot, shot.places(*_points(run.blocks, numbers))


def _points(
    blocks: BlockSet, numbers: Sequence[int]
) -> tuple[dict[int, NDArray[np.float64]], float]:
    """The positions of the voxels of blocks, and how far apart they are."""
    grid = blocks.grid
    return {n: grid.points(blocks.blocks[n]) for n in numbers}, max(grid.voxel_size)


def _number(block: BlockMap) -> int:
    return block.siren_block


def _label(number: int, name: str, words: str) -> str:
    if words == "none":
        return ""
    if not name or words == "number":
        return str(number)
    return name if words == "name" else f"{number} {name}"


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    blocks = [("blocks", BlocksArg)]
    return {
        "siren report": (
            lambda: CmdDesc(
                required=blocks,
                keyword=[
                    ("save_file", SaveFile),
                    ("density", Bounded(FloatArg, min=0.01, max=100)),
                    ("volumes", VolumesArg),
                ],
                synopsis="Write a report on blocks as one file to send to a colleague",
            ),
            report,
        ),
        "siren figure": (
            lambda: CmdDesc(
                required=blocks,
                keyword=[
                    ("save_file", SaveFile),
                    ("width", Or(EnumOf(tuple(WIDTHS)), Bounded(FloatArg, min=10, max=MOST_MM))),
                    ("height", Bounded(FloatArg, min=10, max=MOST_MM)),
                    ("dpi", Bounded(IntArg, min=50, max=MOST_DPI)),
                    ("words", EnumOf(("number", "name", "both", "none"))),
                    ("legend", BoolArg),
                    ("scale_bar", Or(BoolArg, Bounded(FloatArg, min=0.1))),
                    ("unit", EnumOf(("A", "nm"))),
                ],
                required_arguments=["save_file"],
                synopsis="Save a picture of blocks for a paper, with numbers and scale bar",
            ),
            figure,
        ),
    }
