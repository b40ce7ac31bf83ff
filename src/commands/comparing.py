"""``siren compare``: which block of one run is which of another, or of a known truth, and whether
blocks are found again in an independent ensemble.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from chimerax.core.commands import Annotation, AnnotationError, BoolArg, CmdDesc, next_token
from chimerax.core.models import Model
from chimerax.geometry import Place

from ..core.analysis.parameters import CompareParameters
from ..core.analysis.replication import NOT_FOUND, PARTLY, REPLICATED
from ..core.blocks.blockset import BlockSet
from ..core.common.errors import SirenError, join_names
from ..core.common.files import RECORD, atomic_file
from ..core.common.progress import Progress
from ..core.figures.colors import RGB, block_colors
from ..core.runs.comparison import Comparison, Side, compare, read_side, side_of
from ..session.answers import also_answer, plain
from ..session.commandline import SaveFile, path_word
from ..session.inputs import parameters_of, user_errors
from ..session.jobs import run_job
from ..session.log import log_lines, log_table
from ..session.scene import blocks_of, set_name, set_of, shown_colors
from ..session.surfaces import BlockMap, opening_blocks
from .arguments import BlocksArg, check_suffix, keywords_of
from .chosen import chosen_blocks

TABLE_SUFFIXES = (".csv", ".json")


class SideArg(Annotation):
    """What is compared: a run, its open blocks, a truth.json, a folder of masks, a labeled map."""

    name = "the folder of a run, open blocks like #2, a truth.json, masks or a labeled map"

    @staticmethod
    def parse(text: str, session: Any) -> tuple[Any, str, str]:
        """Return a list of models, or a path."""
        if text.lstrip().startswith("#"):
            # one word: "#1 #2" are two sides
            word, used, rest = next_token(text)
            return BlocksArg.parse(word, session)[0], used, rest
        path, used, rest = path_word(text)
        if not os.path.exists(path):  # also of a name that is too long
            raise AnnotationError(f"there is no file or folder {path}")
        return path, used, rest


def compare_(
    session: Any,
    first: Any,
    second: Any,
    save_file: str | None = None,
    open: bool = True,
    **keywords: Any,
) -> Any:
    """Match the blocks of two runs, or of a run and a truth, and open those of the second in the
    colors of their matches.
    """
    parameters = parameters_of(CompareParameters, keywords)
    table = Path(save_file).expanduser().absolute() if save_file else None
    if table is not None:
        check_suffix(table, TABLE_SUFFIXES)
    sides = [_side(session, s) for s in (first, second)]
    colors = _colors(session, sides[0], first)

    def work(progress: Progress) -> Comparison:
        found = compare(sides[0], sides[1], parameters, progress)
        if table is not None:
            text = (
                found.csv()
                if table.suffix.lower() == ".csv"
                else json.dumps(plain(_facts(found)), indent=1) + "\n"
            )
            with atomic_file(table) as temporary:
                temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
        return found

    def show(found: Comparison) -> Generator[None, None, Comparison]:
        matched = _matched_colors(sides[1].blocks, found, colors)
        if open:
            yield from _open(session, sides[1], second, found, matched)
        _log(session, found, colors, parameters)
        log_lines(session, [f"Written to {table}"] if table is not None else [])
        also_answer(**_facts(found), files=[] if table is None else [table])
        return found

    return run_job(session, "siren compare", work, show)


def _side(session: Any, given: Any) -> Side:
    """A side that a path names, or open blocks, edited or not."""
    if not isinstance(given, list):
        side: Side = user_errors(read_side, Path(given).expanduser().absolute())
        return side
    chosen = chosen_blocks(session, given)
    sampled = chosen.record.step == "sketch" or "subsample" in chosen.record.parameters
    try:
        saved = read_side(chosen.folder)
    except SirenError:  # its folder is gone: what is open is all that is known
        return replace(side_of(chosen.folder, chosen.blocks, None), sampled=sampled)
    same = {
        n
        for n, v in chosen.blocks
        if n in saved.blocks.blocks and np.array_equal(v, saved.blocks.blocks[n])
    }
    return replace(
        saved,
        blocks=replace(
            chosen.blocks,
            evidence={n: e for n, e in saved.blocks.evidence.items() if n in same},
        ),
        present={n: p for n, p in saved.present.items() if n in same},
        region=np.union1d(saved.region, np.concatenate([v for _, v in chosen.blocks])),
    )


def _colors(session: Any, side: Side, given: Any) -> dict[int, RGB]:
    """The colors of the blocks of A: those they have in the scene, else would get."""
    if isinstance(given, list):
        own = chosen_blocks(session, given).colors
        known = {n: (c[0], c[1], c[2]) for n, c in own.items() if n in side.blocks.blocks}
        return block_colors(side.blocks, known)
    if (side.place / RECORD).is_file():
        return shown_colors(session, side.place, side.blocks)
    return block_colors(side.blocks)


def _matched_colors(
    blocks: BlockSet, found: Comparison, colors: Mapping[int, RGB]
) -> dict[int, RGB]:
    """The colors of B: of its match in A, and others for what is new."""
    kept = {b: colors[a] for a, b in found.match.pairs if a in colors}
    # no new block gets the color of one that is gone
    palette = block_colors(blocks, kept)
    return {n: palette[n] for n, _ in blocks}


def _open(
    session: Any, side: Side, given: Any, found: Comparison, colors: Mapping[int, RGB]
) -> Generator[None, None, None]:
    """Open the blocks of B in these colors, or color those that are open."""
    group = _open_set(session, side, given)
    if group is not None:
        for block in blocks_of(group):
            if block.siren_block in colors:
                _recolor(block, colors[block.siren_block])
        log_lines(session, [f"#{group.id_string} has the colors of the matches in A now."])
        return
    folder = side.place if side.place.is_dir() else side.place.parent
    step = "" if (side.place / RECORD).is_file() else side.place.name
    group = yield from opening_blocks(
        session,
        side.blocks,
        folder,
        colors=colors,
        name=set_name(folder, step or folder.name),
        sampled=side.sampled,
    )
    shown = f"{side.place.name} is open as #{group.id_string}, in the colors of the matches in A."
    log_lines(session, [shown])
    if found.moved:
        assert found.fit is not None
        group.scene_position = Place(found.fit.placement)


def _open_set(session: Any, side: Side, given: Any) -> Model | None:
    if isinstance(given, list):
        return next((m.parent for m in given if isinstance(m, BlockMap)), None)
    return set_of(session, side.place)


def _recolor(block: BlockMap, color: RGB) -> None:
    """Give a block a color of its own."""
    block.siren_color = color
    for surface in block.surfaces[:1]:
        surface.vertex_colors, surface.auto_recolor_vertices = None, None
        block.set_parameters(surface_colors=[(*color, surface.rgba[3])])


def _facts(found: Comparison) -> dict[str, Any]:
    match, fit = found.match, found.fit
    return {
        "first": str(found.first.place),
        "second": str(found.second.place),
        "blocks": found.rows(),
        "splits": {str(a): list(parts) for a, parts in match.splits.items()},
        "merges": {str(b): list(parts) for b, parts in match.merges.items()},
        "gone": list(match.gone),
        "new": list(match.new),
        "common_volumes": found.common,
        "alignment": None
        if fit is None
        else {
            "shift_A": list(fit.shift),
            "angle_degrees": fit.angle,
            "correlation": fit.before,
            "correlation_moved": fit.after,
            "mirrored": fit.mirrored,
            "moved": found.moved,
        },
        "notes": list(found.notes),
    }


def _log(
    session: Any,
    found: Comparison,
    colors: Mapping[int, RGB],
    parameters: CompareParameters,
) -> None:
    """Log matches, what was split, merged, is new or gone, and how well blocks are found again."""
    lines = [f"A: {found.first.place}", f"B: {found.second.place}", *found.notes]
    log_lines(session, lines)
    columns = ["A", "voxels", "B", "voxels", "IoU", ""]
    columns += ["volumes agree"] * bool(found.agreement)
    columns += ["score", "by chance", "p", "found again"] * bool(found.replication)
    rows = []
    for row in found.rows():
        cells = [
            _named(row["block"], row["name"]),
            _number(row["voxels"], ","),
            _named(row["match"], row["match_name"]),
            _number(row["match_voxels"], ","),
            _number(row["iou"], ".2f"),
            row["change"],
        ]
        if found.agreement:
            agree, kappa = row["volumes_agree"], row["kappa"]
            cells.append("" if agree is None else f"{100 * agree:.0f} % (kappa {kappa:.2f})")
        if found.replication:
            cells += [
                _number(row["score"], ".2f"),
                _number(row["chance"], ".2f"),
                _number(row["p"], ".3f"),
                row["verdict"] or "",
            ]
        rows.append([str(c) for c in cells])
    log_table(session, columns, rows)
    log_lines(session, found.match.sentences())
    if found.common and found.agreement:
        log_lines(session, [f"{found.common:,} volumes are in both, by name."])
    if found.replication:
        verdicts = [r.verdict for r in found.replication.values()]
        counts = [f"{verdicts.count(v)} {v}" for v in (REPLICATED, PARTLY, NOT_FOUND)]
        log_lines(
            session,
            [
                f"Of {len(verdicts)} blocks of A: {', '.join(counts)} in B. Score: overlap with "
                "the match, where surfaces may be a voxel off, on a scale from 0 (the mean of "
                f"{parameters.placements:,} random placements of the block where blocks can be) "
                "to 1 (the same voxels). Replicated: score above 0.5, and p, corrected for the "
                "number of blocks, at most 0.05.",
                "What is found again is in the data; it may still be an artifact that both "
                "ensembles share, such as errors of the poses.",
            ],
        )
        evidence = found.first.blocks.evidence
        again = [n for n, r in found.replication.items() if r.verdict == REPLICATED]
        doubtful = [str(n) for n in again if n in evidence and evidence[n].doubtful]
        if doubtful:
            log_lines(
                session,
                [f"Replicated, but doubtful by their density: {join_names(doubtful, 20)}."],
            )


def _named(number: int | None, name: str | None) -> str:
    return "-" if number is None else f"{number} {name or ''}".strip()


def _number(value: float | None, form: str) -> str:
    return "" if value is None else f"{value:{form}}"


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""

    def compare_desc() -> CmdDesc:
        return CmdDesc(
            required=[("first", SideArg), ("second", SideArg)],
            keyword=[
                ("save_file", SaveFile),
                ("open", BoolArg),
                *keywords_of(CompareParameters),
            ],
            synopsis="Compare the blocks of two runs, or of a run and a known truth",
        )

    return {"siren compare": (compare_desc, compare_)}
