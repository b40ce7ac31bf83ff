"""``siren annotate``: what of an atomic model lies in which block."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from chimerax.core.commands import (
    Annotation,
    AnnotationError,
    BoolArg,
    CmdDesc,
    EnumOf,
    ObjectsArg,
)
from chimerax.core.errors import UserError
from chimerax.map import Volume

from ..core.analysis.annotation import Annotation as Annotated
from ..core.analysis.annotation import annotate, residue_blocks
from ..core.analysis.parameters import AnnotateParameters
from ..core.blocks.editing import rename as renamed
from ..core.common.files import atomic_file
from ..core.common.progress import Progress
from ..session.answers import also_answer
from ..session.atoms import color_by_block, core_atoms, models_of, polymer_atoms
from ..session.commandline import OpenFolder, SaveFile, path_text, split_models
from ..session.edits import edit, group_of
from ..session.inputs import parameters_of
from ..session.jobs import run_job
from ..session.log import html_table, link, log_lines
from ..session.surfaces import BlockMap, block_spec
from .arguments import keywords_of
from .chosen import chosen_blocks
from .edit import listed

UNNAMED, ALL = "unnamed", "all"
MOST_LINKED = 8  # chains of a block in the log; the table has all


class BlocksAndModelArg(Annotation):
    """A folder of blocks, or open blocks, with the model after them: ``#2 #3``."""

    name = "a folder of blocks, or open blocks and a model, like #2 #3"

    @staticmethod
    def parse(text: str, session: Any) -> tuple[Any, str, str]:
        """Return Objects, or a folder."""
        if not text.lstrip().startswith("#"):
            return OpenFolder.parse(text, session)
        spec, after = split_models(text)
        objects, used, rest = ObjectsArg.parse(spec, session)
        if not objects.models:
            raise AnnotationError(f"{used} matches no open model")
        objects.typed = spec
        return objects, used, rest + after


class ModelAtomsArg(Annotation):
    """Atoms of open models, after a folder."""

    name = "an open atomic model, or part of it, like #3/A-F"

    @staticmethod
    def parse(text: str, session: Any) -> tuple[Any, str, str]:
        """Return Objects."""
        if not text.lstrip().startswith("#"):
            raise AnnotationError("Expected an open atomic model")
        spec, after = split_models(text)
        objects, used, rest = ObjectsArg.parse(spec, session)
        objects.typed = spec
        return objects, used, rest + after


def annotate_blocks(
    session: Any,
    blocks: Any,
    model: Any = None,
    save_file: str | None = None,
    rename: str | None = None,
    label: bool = False,
    color: bool = False,
    **keywords: Any,
) -> Any:
    """List which chains and residues of a model lie in each block; name the blocks by them, and
    color the model by block.
    """
    parameters = parameters_of(AnnotateParameters, keywords)
    folder = isinstance(blocks, str)
    found = model if folder else blocks
    maps = [] if folder else [m for m in blocks.models if isinstance(m, Volume)]
    if found is None or not len(found.atoms):
        raise UserError(
            "No open atomic model is named after the blocks: open an mmCIF or PDB file, fit it in "
            'the volumes, and name it, as in "siren annotate #2 #3".'
        )
    if not folder and not maps:
        raise UserError('Name the blocks before the model, as in "siren annotate #2 #3".')
    chosen = chosen_blocks(session, blocks if folder else maps)
    opened = [m for m in maps if isinstance(m, BlockMap)]
    if (rename or label) and not opened:
        raise UserError(
            'Only open blocks can be named or labeled: open them with "siren open FOLDER".'
        )
    group = group_of(opened) if rename else None
    atoms = polymer_atoms(found.atoms)
    place = maps[0].scene_position if maps else _unmoved()
    given = core_atoms(atoms, place)
    path = Path(save_file).expanduser().absolute() if save_file else None

    def work(progress: Progress) -> Annotated:
        result = annotate(chosen.blocks, given, parameters, progress, sampled=chosen.record.sampled)
        if path:
            with atomic_file(path) as temporary:
                result.table().to_csv(temporary, index=False, lineterminator="\n")
        return result

    def show(result: Annotated) -> Annotated:
        structures = models_of(atoms)
        prefix = f"#{structures[0].id_string}" if len(structures) == 1 else ""
        typed = path_text(blocks) if folder else block_spec(opened) if opened else ""
        target = " ".join(f"#{s.id_string}" for s in structures)
        also_answer(
            files=[str(path)] if path else [], model=target, names=result.names(), prefix=prefix
        )
        _log(session, result, prefix, chosen.blocks.names)
        if color:
            color_by_block(session, atoms, residue_blocks(result, given), chosen.colors)
            log_lines(session, [f"Colored {target} by block; what is in none is gray."])
        elif typed:
            command = f"siren annotate {_again(typed, target, blocks, found)} color true"
            session.logger.info(f"Color the model by block: {link(command, command)}", is_html=True)
        if rename and group is not None:
            _rename(session, group, result, rename, target)
        if label:
            from ..session.block_labels import label_blocks

            label_blocks(session, [m for m in opened if not m.deleted])
        if path:
            log_lines(session, [f"Written to {path}"])
        return result

    return run_job(session, "siren annotate", work, show)


def _again(blocks: str, models: str, given: Any, found: Any) -> str:
    """Blocks and models, to name them again; part of a model as it was typed."""
    typed = getattr(found, "typed", "")
    if not typed or len(found.atoms) == sum(s.num_atoms for s in models_of(found.atoms)):
        return f"{blocks} {models}"
    return typed if found is given else f"{blocks} {typed}"


def _rename(session: Any, group: Any, result: Annotated, which: str, model: str) -> None:
    """Name the blocks, in one step that can be undone."""
    names = result.names()

    def change(now: Any) -> Any:
        for number, name in names.items():
            if number in now.blocks and (which == ALL or not now.names.get(number)):
                now = renamed(now, number, name)
        return now

    before = {m.siren_block: m.given_name for m in group.child_models() if isinstance(m, BlockMap)}
    after = edit(session, group, f"name blocks by {model}", change).names
    changed = [n for n in before if after.get(n, "") != before[n]]
    log_lines(
        session,
        [f'Named {len(changed)} blocks by the model ("siren block undo" takes this back).'],
    )


def _log(session: Any, result: Annotated, prefix: str, names: dict[int, str]) -> None:
    """Log a table of the blocks and their chains, with links that select the residues."""
    head = "".join(
        f"<th>{h}</th>"
        for h in ("block", "voxels", "explained", "chains (share of it; of the block's voxels)")
    )
    rows = [f"<tr>{head}</tr>"]
    for number, size, share in zip(result.numbers, result.sizes, result.explained, strict=True):
        own = result.of(number)
        cells = []
        for c in own[:MOST_LINKED]:
            title = f"{c.name} /{c.chain}" if c.name else c.chain
            where = "" if c.whole or not c.ranges else f":{c.range_words}"
            command = f"select {prefix}{c.spec}"
            cells.append(
                link(command, f"{title}{where}")
                + f" ({100 * c.share_of_residues:.0f} %; {100 * c.nearest:.0f} %)"
            )
        if len(own) > MOST_LINKED:
            cells.append(f"and {len(own) - MOST_LINKED} more")
        rows.append(
            f"<tr><td>{number} {escape(names.get(number, ''))}</td>"
            f'<td align="right">{size:,}</td><td align="right">{100 * share:.0f} %</td>'
            f"<td>{', '.join(cells) or 'none'}</td></tr>"
        )
    session.logger.info(html_table(rows), is_html=True)
    lines = [f"An atom explains the voxels within {result.reach:.3g} A."]
    if result.unexplained:
        many = len(result.unexplained) > 1
        lines.append(
            f"Block{'s' * many} {listed(result.unexplained)} {'are' if many else 'is'} not "
            "explained by the model: something it lacks, another conformation, or no part at all."
        )
    log_lines(session, lines)


def _unmoved() -> Any:
    from chimerax.geometry import Place

    return Place()


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    return {
        "siren annotate": (
            lambda: CmdDesc(
                required=[("blocks", BlocksAndModelArg)],
                optional=[("model", ModelAtomsArg)],
                keyword=[
                    ("save_file", SaveFile),
                    ("rename", EnumOf((UNNAMED, ALL))),
                    ("label", BoolArg),
                    ("color", BoolArg),
                    *keywords_of(AnnotateParameters),
                ],
                synopsis="Find what of an atomic model lies in each block",
            ),
            annotate_blocks,
        )
    }
