"""``siren relate``: how blocks depend on each other, as tables, graph and order of assembly."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

from chimerax.core.commands import CmdDesc
from chimerax.core.errors import UserError

from ..core.analysis.parameters import RelateParameters, StatesParameters
from ..core.analysis.relate import Related, relate
from ..core.analysis.relations import DEPENDENT, NEEDED_BY, relations_csv
from ..core.blocks.background import vary_together
from ..core.common.files import atomic_file
from ..core.common.progress import Progress
from ..session.answers import also_answer
from ..session.commandline import SaveFile, SaveFolder
from ..session.inputs import output_folder, parameters_of, sources_of
from ..session.jobs import run_job
from ..session.log import log_lines, log_picture, log_table
from ..session.moved import is_gone
from ..session.words import counted
from .arguments import BlocksArg, VolumesArg, check_suffix, keywords_of
from .chosen import Chosen, chosen_blocks, given_ensemble, states_of

MOST_ROWS = 40  # of pairs in the log
MOST_COMBINATIONS = 12


def relate_blocks(
    session: Any,
    blocks: Any,
    save_file: str | None = None,
    graph_file: str | None = None,
    output_dir: str | None = None,
    volumes: list[Any] | None = None,
    **keywords: Any,
) -> Any:
    """Say how each pair of blocks depends on each other, draw the graph of dependences, list the
    states of the ensemble, and find the order of assembly.
    """
    from ..core.figures.relation_files import (  # matplotlib takes a moment
        FIGURES,
        FOLDER_END,
        GRAPHML,
        WrittenRelations,
        write_graph,
        write_relations,
    )
    from ..core.figures.theme import Labels

    chosen, parameters = chosen_blocks(session, blocks), parameters_of(RelateParameters, keywords)
    sources = sources_of(volumes) if volumes else None
    table, picture = (
        Path(name).expanduser().absolute() if name else None for name in (save_file, graph_file)
    )
    if picture is not None:
        check_suffix(picture, (*FIGURES, GRAPHML), "graphFile")
    folder = None
    if output_dir or not (table or picture):
        if not output_dir and is_gone(chosen.folder):
            raise UserError(
                f"{chosen.folder} is gone: say where to write, as in outputDir FOLDER, or what, as "
                "in saveFile pairs.csv."
            )
        parent = output_folder([], output_dir) if output_dir else chosen.folder.parent
        folder = parent / f"{chosen.folder.name}{FOLDER_END}{chosen.part}"

    def work(progress: Progress) -> tuple[Related, WrittenRelations | None]:
        ensemble = given_ensemble(chosen.record, sources, progress)
        states = states_of(chosen, StatesParameters(parameters.present), ensemble, progress)
        if not states.numbers:
            raise UserError(f"{chosen.folder} has no blocks to relate: the sketch found none.")
        found = relate(states, parameters, progress)
        labels = Labels(chosen.blocks.names, chosen.colors)
        if table:
            with atomic_file(table) as temporary:
                text = relations_csv(found.relations)
                temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
        if picture:
            write_graph(picture, found, labels)
        return found, write_relations(folder, found, labels, chosen.folder) if folder else None

    def show(result: tuple[Related, WrittenRelations | None]) -> Related:
        found, written = result
        files = [path for path in (table, picture) if path]
        also_answer(files=files, folder=folder, kept_as=written.aside if written else None)
        _log_related(session, found, chosen)
        if written is not None:
            log_picture(session, written.folder / "graph.png")
            if written.aside:
                log_lines(
                    session, [f"The earlier folder was edited: it is kept as {written.aside}."]
                )
            if written.replaced:
                log_lines(session, [f"The earlier files in {written.folder} are replaced."])
            names = ", ".join(sorted(p.name for p in written.folder.iterdir()))
            log_lines(session, [f"Written to {written.folder} ({names})."])
        log_lines(session, [f"Written to {path}" for path in files])
        return found

    return run_job(session, "siren relate", work, show)


def _log_related(session: Any, found: Related, chosen: Chosen) -> None:
    related, states = found.relations, found.states
    many = len(states.names)
    said = [f"{count} {word}" for word, count in related.tally().items()]
    hint = f'To take all for independent, add "effectiveVolumes {many}".'
    log_lines(
        session,
        [
            *([chosen.words] if chosen.words else []),
            f"{counted(len(states.numbers), 'block')} in {many:,} volumes "
            f"(present: {states.cut_words})",
            *([states.doubt] if states.doubt else []),
            related.counted_as(),
            *([hint] if vary_together(related.effective, many) else []),
            f"Pairs of blocks: {', '.join(said) or 'none'}",
        ],
    )
    if rows := _pair_rows(found, chosen):
        log_table(session, _PAIR_HEAD, rows[:MOST_ROWS])
        if rows[MOST_ROWS:]:
            log_lines(session, [f"{len(rows) - MOST_ROWS} more pairs: see the table in the files"])
    rows = [
        (
            c.name,
            f"{c.count:,}",
            f"{100 * c.count / many:.1f} %",
            f"{c.if_independent:.1f}",
            f"{c.by_errors:.1f}",
            "" if c.sure else "may be wrong calls",
            c.volume,
        )
        for c in found.combinations
    ]
    log_table(session, _STATE_HEAD, rows[:MOST_COMBINATIONS])
    lines = [f"{len(rows)} combinations of blocks in all"] if rows[MOST_COMBINATIONS:] else []
    log_lines(session, [*lines, found.order.text()])


_PAIR_HEAD = (
    *("block", "", "block", "a", "b", "both", "phi", "odds ratio", "b given a", "a given b"),
    *("p (adjusted)",),
)
_STATE_HEAD = (
    *("blocks", "volumes", "share", "if independent", "by wrong calls", "", "for example"),
)


def _pair_rows(found: Related, chosen: Chosen) -> list[tuple[str, ...]]:
    """A row for each pair that depends on each other; what needs is on the left."""
    related, rows = found.relations, []
    for pair in combinations(range(len(related.numbers)), 2):
        a, b = pair[::-1] if related.word(*pair) == NEEDED_BY else pair
        word = related.word(a, b)
        if word not in DEPENDENT:
            continue
        names = [f"{n} {chosen.blocks.names.get(n, '')}".strip() for n in related.numbers]
        rows.append(
            (
                names[a],
                word,
                names[b],
                *(f"{related.both[i, j]:,}" for i, j in ((a, a), (b, b), (a, b))),
                f"{related.phi[a, b]:.2f}",
                f"{related.odds_ratio[a, b]:.3g}",
                _share(found, b, a),
                _share(found, a, b),
                "follows" if related.follows(a, b) else f"{related.p_adjusted(a, b):.1g}",
            )
        )
    return rows


def _share(found: Related, a: int, b: int) -> str:
    related = found.relations
    shares = (related.given[a, b], related.given_low[a, b], related.given_high[a, b])
    share, low, high = (100 * s for s in shares)
    return f"{share:.0f} % ({low:.0f} to {high:.0f})"


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    return {
        "siren relate": (
            lambda: CmdDesc(
                required=[("blocks", BlocksArg)],
                keyword=[
                    ("save_file", SaveFile),
                    ("graph_file", SaveFile),
                    ("output_dir", SaveFolder),
                    ("volumes", VolumesArg),
                    *keywords_of(RelateParameters),
                ],
                synopsis="Find which blocks depend on which, and their order of assembly",
            ),
            relate_blocks,
        )
    }
