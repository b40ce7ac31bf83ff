"""``siren screen``: the blocks at several stringencies, from a single count of the volumes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from chimerax.core.commands import CmdDesc, FloatArg, IntArg, ListOf

from ..core.blocks.parameters import SketchParameters
from ..core.blocks.screening import Setting, prepare_screening, write_screen
from ..core.blocks.screening import screen as run_screen
from ..core.common.parameters import camel_case
from ..core.common.progress import Progress
from ..core.maps.ensemble import find_ensemble
from ..core.maps.grid import Triple
from ..session.commandline import SaveFolder, value_text
from ..session.inputs import (
    given,
    mask_of,
    output_place,
    parameters_of,
    sources_of,
    typed,
    user_errors,
)
from ..session.jobs import run_job
from ..session.words import carried, keywords_text
from .arguments import PLACED, VolumesArg, keywords_of
from .levels import LEVELS, check_first, check_levels, chosen_levels

# default settings: that of siren sketch, and two steps either side
POSP = (0.0001, 0.001, 0.01, 0.05, 0.2)


def screen(
    session: Any,
    volumes: list[Any],
    level: float | None = None,
    thresholds: str | None = None,
    posp: Sequence[float] | None = None,
    negp: Sequence[float] | None = None,
    output_dir: str | None = None,
    box: int | None = None,
    voxel_size: float | None = None,
    origin: Triple | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    **keywords: Any,
) -> Any:
    """Find the blocks at several stringencies; write and log a table and a figure."""
    posp = posp or POSP
    as_typed = {**keywords, "mask": _mask_text(keywords.get("mask"))}
    mask = mask_of(keywords, volumes)
    limits = {"posp": max(posp), **({"negp": max(negp)} if negp else {})}
    parameters = parameters_of(SketchParameters, {**keywords, **limits})
    negp = negp or (parameters.negp,)
    # check the bounds of every setting now, not after the work
    for p, n in ((p, n) for p in posp for n in negp):
        user_errors(replace, parameters, posp=p, negp=n)
    check_levels(level, thresholds, parameters)
    sources, place = sources_of(volumes), output_place(volumes, output_dir)
    notes: list[str] = []

    def work(progress: Progress) -> tuple[list[Setting], list[str], Path, Path]:
        from ..core.figures.colors import PALETTE

        ensemble = find_ensemble(
            sources, voxel_size, progress, include=include, exclude=exclude, origin=origin
        )
        check_first(parameters, ensemble.resampled(box), mask, place)
        chosen = chosen_levels(
            ensemble,
            level,
            thresholds,
            place,
            notes,
            progress,
            parameters.filter == "flags",
        ).taking_part(notes)
        ensemble = chosen.ensemble
        screening = prepare_screening(
            ensemble.resampled(box), chosen.levels, parameters, progress, mask
        )
        settings = run_screen(screening, posp, negp, progress)
        compared = screening.compared
        lines = [
            *notes,
            *ensemble.notes,
            f"{len(compared.occupancy):,} of {len(ensemble):,} "
            f"volumes, {ensemble.grid.text()}; contour levels: {chosen.where}",
            f"{len(compared.sample):,} of {len(compared.observation.union):,} "
            f"voxels counted once, in {sum(progress.seconds.values()):.1f} s; "
            f"{sum(s.seconds for s in settings) / len(settings):.2f} s for each of the "
            f"{len(settings)} settings",
        ]
        written = write_screen(place.path, settings, PALETTE)
        place.claim()
        return settings, lines, *written

    def show(result: tuple[list[Setting], list[str], Path, Path]) -> list[Setting]:
        from ..session.answers import also_answer
        from ..session.log import FITTED, log_lines

        settings, lines, table, picture = result
        also_answer(table=table, figure=picture)
        again = _again(
            volumes,
            level,
            thresholds,
            output_dir,
            box,
            voxel_size,
            origin,
            include,
            exclude,
            as_typed,
        )
        log_lines(session, lines)
        session.logger.info(
            _table(settings, again, len(negp) > 1)
            + f'<img src="{picture.as_uri()}" width="480" {FITTED}>',
            is_html=True,
        )
        log_lines(session, [f"Written to {table} and {picture.name}."])
        return settings

    return run_job(session, "siren screen", work, show)


def _again(
    volumes: Sequence[Any],
    level: float | None,
    thresholds: str | None,
    output_dir: str | None,
    box: int | None,
    voxel_size: float | None,
    origin: Triple | None,
    include: Sequence[str],
    exclude: Sequence[str],
    keywords: dict[str, Any],
) -> str:
    """The ``siren sketch`` command for the same volumes, without posp and negp."""
    kinds = {f.name: f.metadata["word"] for f in dataclasses.fields(SketchParameters)}
    words = [
        f"siren sketch {typed(volumes)}",
        keywords_text(thresholds=Path(thresholds) if thresholds else None),
        carried(output_dir, voxel_size, include, exclude),
        keywords_text(origin=origin, level=level, box=box),
        *(f"{camel_case(k)} {value_text(v, kinds[k])}" for k, v in given(keywords).items()),
    ]
    return " ".join(word for word in words if word)


def _mask_text(mask: Any) -> str | None:
    return mask if mask is None or isinstance(mask, str) else typed([mask])


def _table(settings: Sequence[Setting], again: str, both: bool) -> str:
    """HTML for the log: one row per setting, with a link to sketch at it."""
    from ..session.log import html_table, link

    rows = [
        "<tr><th>posp</th>"
        + "<th>negp</th>" * both
        + "<th>blocks</th><th>voxels</th><th>stability</th><th></th></tr>"
    ]
    for s in settings:
        stable = [
            f"{s.blocks.stability[n]:.1f}" if n in s.blocks.stability else "-" for n, _ in s.blocks
        ]
        command = f"{again} posp {s.parameters.posp:g}" + f" negp {s.parameters.negp:g}" * both
        cells = (
            f"{s.parameters.posp:g}",
            *((f"{s.parameters.negp:g}",) if both else ()),
            f"{len(s.blocks)}",
            " ".join(f"{len(v)}" for _, v in s.blocks),
            " ".join(stable),
        )
        rows.append(
            "<tr>"
            + "".join(f"<td>{escape(c)}</td>" for c in cells)
            + f"<td>{link(command, 'sketch')}</td></tr>"
        )
    return html_table(rows)


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""

    def desc() -> CmdDesc:
        own = [k for k in keywords_of(SketchParameters) if k[0] not in ("posp", "negp")]
        return CmdDesc(
            required=[("volumes", VolumesArg)],
            keyword=[
                *LEVELS,
                ("posp", ListOf(FloatArg)),
                ("negp", ListOf(FloatArg)),
                ("output_dir", SaveFolder),
                ("box", IntArg),
                *PLACED,
                *own,
            ],
            synopsis="Find blocks at several stringencies from a single count",
        )

    return {"siren screen": (desc, screen)}
