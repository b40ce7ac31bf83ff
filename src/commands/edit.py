"""``siren block ...``: edit the open blocks of a sketch or expansion, and save the edited set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from chimerax.core.commands import (
    BoolArg,
    Bounded,
    CenterArg,
    CmdDesc,
    EnumOf,
    FloatArg,
    IntArg,
)
from chimerax.core.errors import UserError

from ..core.blocks.blockset import BlockSet
from ..core.blocks.editing import clean_name, delete, inside_sphere, merge, pieces, rename, split
from ..core.blocks.parameters import SplitParameters
from ..core.common.progress import Progress
from ..core.runs.steps import EDIT_FOLDER, Run, run_edit
from ..session.commandline import NameArg, SaveFolder
from ..session.edits import (
    blocks_changed,
    edit,
    grid_of,
    group_of,
    redo_edit,
    undo_edit,
)
from ..session.inputs import (
    opened_blocks,
    output_folder,
    parameters_of,
    run_folder,
    sources_of,
    user_errors,
)
from ..session.jobs import run_job
from ..session.log import link, log_blocks, log_lines, log_pile, next_step
from ..session.moved import beside, is_gone, keep_run, kept_run, run_record
from ..session.scene import blocks_of, close_older, note_contents, outdate, set_name
from ..session.strength import color_by_strength, key_command, show_key
from ..session.surfaces import (
    BlockMap,
    block_spec,
    color_by_stability,
    follow_verdict,
    model_words,
    show_own_color,
    table_values,
)
from ..session.words import counted, keywords_text, path_text
from .arguments import BlockModelsArg, VolumesArg, keywords_of


def merge_blocks(session: Any, blocks: Sequence[BlockMap]) -> BlockSet:
    """Merge blocks into one, which keeps the number, model and color of the lowest-numbered."""
    group, numbers = group_of(blocks), [b.siren_block for b in blocks]
    first, shown = min(blocks, key=lambda b: b.siren_block), any(b.display for b in blocks)
    after = edit(
        session,
        group,
        f"merge blocks {listed(numbers)}",
        lambda before: user_errors(merge, before, numbers),
        {min(numbers): _merged_values(blocks)},
    )
    first.display = shown  # a doubtful block that was hidden may be the first
    log_lines(
        session,
        [
            f"Merged blocks {listed(numbers)} into block {min(numbers)}{model_words(first)}, "
            f"{len(after.blocks[min(numbers)]):,} voxels."
        ],
    )
    return after


def split_block(
    session: Any,
    block: Sequence[BlockMap],
    center: Any = None,
    radius: float | None = None,
    **keywords: Any,
) -> BlockSet:
    """Split a block into its separate pieces, or split off the part inside a sphere."""
    model = one_block(block)
    if (center is None) != (radius is None):
        raise UserError("Give center and radius together, or neither to split separate pieces.")
    if center is not None and any(v is not None for v in keywords.values()):
        raise UserError(
            "gap and minSize apply to separate pieces: leave them out with center and radius."
        )
    number, grid = model.siren_block, grid_of(model)
    if center is not None and radius is not None:
        xyz = model.scene_position.inverse() * center.scene_coordinates()
        parts = inside_sphere(model.voxels, grid, xyz, radius)
        if not all(len(p) for p in parts):
            raise UserError(
                f"The sphere contains {'no' if len(parts[0]) else 'every'} voxel of block "
                f"{number}: move it, or change its radius."
            )
    else:
        parts = pieces(model.voxels, grid, parameters_of(SplitParameters, keywords))
    before = {b.siren_block for b in blocks_of(group_of(block))}
    after = edit(
        session,
        group_of(block),
        f"split block {number}",
        lambda blocks: user_errors(split, blocks, number, parts),
    )
    models = {b.siren_block: b for b in blocks_of(group_of(block))}
    new = [
        f"block {n}{model_words(models[n])}, {len(v):,} voxels" for n, v in after if n not in before
    ]
    log_lines(
        session,
        [
            f"Split block {number}{model_words(model)}, which keeps "
            f"{len(after.blocks[number]):,} voxels; new: {'; '.join(new)}."
        ],
    )
    return after


def delete_blocks(session: Any, blocks: Sequence[BlockMap]) -> BlockSet:
    """Remove blocks from the open set; no file is touched."""
    numbers = [b.siren_block for b in blocks]
    which = f"block{'s' * (len(numbers) > 1)} {listed(numbers)}"
    after = edit(
        session,
        group_of(blocks),
        f"delete {which}",
        lambda before: user_errors(delete, before, numbers),
    )
    log_lines(
        session, [f'Deleted {which}; {len(after)} left ("siren block undo" takes this back).']
    )
    return after


def rename_block(session: Any, block: Sequence[BlockMap], name: str) -> BlockSet:
    """Name a block; saved and expanded sets carry the name in blocks.json and blocks.csv."""
    model = one_block(block)
    name, number = user_errors(clean_name, name), model.siren_block
    return edit(
        session,
        group_of(block),
        f"rename block {number}",
        lambda before: user_errors(rename, before, number, name),
    )


def undo(session: Any) -> None:
    """Undo the last edit of blocks."""
    log_lines(session, [f"Undone: {undo_edit(session)}."])


def redo(session: Any) -> None:
    """Redo the edit that was last undone."""
    log_lines(session, [f"Redone: {redo_edit(session)}."])


def color(session: Any, blocks: Sequence[BlockMap], by: str) -> None:
    """Color each block in its own color, by its stability, or by the strength of its voxels; values
    with their color key.
    """
    if by == "block":
        for block in blocks:
            show_own_color(block)
        show_key(session)
        return
    paint = color_by_strength if by == "strength" else color_by_stability
    left = [block.siren_block for block in blocks if not paint(block)]
    if left:
        log_lines(
            session,
            [
                f"The {by} of block{'s' * (len(left) > 1)} {listed(left)} is not known: edited "
                'blocks, and blocks found with "resamples 0", have none. "siren block save" '
                "measures strengths again."
            ],
        )
    if len(left) < len(blocks):
        smooth = ", smoothed over the surface" * (by == "strength")
        more = (
            f"to remove the key: {link('key delete', 'key delete')}"
            if show_key(session)
            else link(key_command(), "show color key")
        )
        session.logger.info(
            f"Colored by {by}{smooth}, from 0 (violet) to 1 (yellow); {more}", is_html=True
        )


def label(
    session: Any,
    blocks: Sequence[BlockMap],
    words: str = "both",
    size: int | None = None,
) -> None:
    """Show numbers or names on blocks, which follow them; "none" removes them."""
    from ..session.block_labels import NONE, label_blocks

    label_blocks(session, blocks, words, size)
    if words != NONE:
        command = f"siren block label {block_spec(blocks_of(group_of(blocks[:1])))} {NONE}"
        session.logger.info(
            f"The labels follow the blocks. To remove them: {link(command, command)}",
            is_html=True,
        )


def legend(session: Any, show: bool = True) -> None:
    """Show or remove a legend of the blocks that are seen, which follows them."""
    from ..session.legend import hide_legend, show_legend

    if not show:
        hide_legend(session)
        return
    show_legend(session)
    command = "siren block legend false"
    session.logger.info(
        f"The legend lists the blocks that are seen. To remove it: {link(command, command)}",
        is_html=True,
    )


def save(
    session: Any,
    blocks: Sequence[BlockMap],
    folder: str | None = None,
    volumes: list[Any] | None = None,
    output_dir: str | None = None,
) -> Any:
    """Write the open blocks to a complete folder, like that of a sketch."""
    if folder and output_dir:
        raise UserError(f"Give either a folder or outputDir, in which it is {EDIT_FOLDER}.")
    group, source = group_of(blocks), run_folder(session, list(blocks))
    record = run_record(session, source)
    chosen = user_errors(opened_blocks, list(blocks), record)
    if folder:
        target = Path(folder).expanduser().absolute()
    elif output_dir:
        target = output_folder([], output_dir) / EDIT_FOLDER
    else:
        remedy = f'name another folder, as in "siren block save #{group.id_string} FOLDER"'
        target = beside(source, remedy) / EDIT_FOLDER
    kept = kept_run(session, source)
    sources = sources_of(volumes) if volumes else None

    def work(progress: Progress) -> Run:
        ensemble = record.find(sources, progress).resampled(record.box) if sources else None
        known = kept.blocks if kept is not None and is_gone(source) else None
        return run_edit(chosen, record, source, target, ensemble, progress, known)

    def show(run: Run) -> Run:
        whole = len(blocks) == len(blocks_of(group)) if not group.deleted else False
        # from now on the open blocks belong to the new folder
        for model in blocks if whole else ():
            if not model.deleted:
                model.siren_folder = str(run.folder)
                model.siren_values = table_values(run.table, model.siren_block, len(model.voxels))
                model.siren_strength = run.blocks.strength.get(model.siren_block)
                follow_verdict(model)
        if whole:
            keep_run(session, run.folder, run.record, run.blocks)
            group.name = set_name(run.folder, run.record.step)
            note_contents(group)
            outdate(session, run.folder, group)
            log_pile(session, close_older(session, []), [])
        if run.aside is not None:
            log_lines(session, [f"What {run.folder.name} held before was kept as {run.aside}."])
        elif run.replaced:
            log_lines(session, [f"The earlier {run.folder} was replaced."])
        log_blocks(session, run.table, group if whole else None)
        log_lines(session, [f"{counted(len(run.blocks), 'block')} written to {run.folder}."])
        given = keywords_text(output_dir=Path(output_dir).expanduser() if output_dir else None)
        next_step(
            session, "expand", f"siren expand {path_text(run.folder)}{' ' * bool(given)}{given}"
        )
        if whole:
            blocks_changed(session, group.id)
        return run

    return run_job(session, "siren block save", work, show)


def one_block(blocks: Sequence[BlockMap]) -> BlockMap:
    """The only one of these blocks.

    Raises
    ------
    UserError
        If there are several.
    """
    if len(blocks) != 1:
        raise UserError(f"This works on one block at a time, but {len(blocks)} were named.")
    return blocks[0]


def _merged_values(blocks: Sequence[BlockMap]) -> dict[str, float]:
    """The row of blocks.csv for the merged block, as far as it follows from those of its parts:
    mean occupancy is a mean over voxels.
    """
    voxels = [b.voxels for b in blocks]
    known = [b.siren_values.get("mean_occupancy", np.nan) for b in blocks]
    own = all(b.siren_values.get("voxels") == len(v) for b, v in zip(blocks, voxels, strict=True))
    total = sum(map(len, voxels))
    if not own or not np.isfinite(known).all() or len(np.unique(np.concatenate(voxels))) < total:
        return {}
    return {
        "voxels": total,
        "mean_occupancy": sum(k * len(v) for k, v in zip(known, voxels, strict=True)) / total,
    }


def listed(numbers: Sequence[int]) -> str:
    """Numbers in words: ``1, 2 and 5``."""
    words = [str(n) for n in sorted(numbers)]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    blocks, block = [("blocks", BlockModelsArg)], [("block", BlockModelsArg)]
    return {
        "siren block merge": (
            lambda: CmdDesc(required=blocks, synopsis="Merge blocks into one"),
            merge_blocks,
        ),
        "siren block split": (
            lambda: CmdDesc(
                required=block,
                keyword=[
                    ("center", CenterArg),
                    ("radius", FloatArg),
                    *keywords_of(SplitParameters),
                ],
                synopsis="Split a block into its separate pieces",
            ),
            split_block,
        ),
        "siren block delete": (
            lambda: CmdDesc(required=blocks, synopsis="Remove blocks from the open set"),
            delete_blocks,
        ),
        "siren block rename": (
            lambda: CmdDesc(required=[*block, ("name", NameArg)], synopsis="Name a block"),
            rename_block,
        ),
        "siren block color": (
            lambda: CmdDesc(
                required=[*blocks, ("by", EnumOf(("block", "strength", "stability")))],
                synopsis="Color blocks by membership strength or stability",
            ),
            color,
        ),
        "siren block label": (
            lambda: CmdDesc(
                required=blocks,
                optional=[("words", EnumOf(("number", "name", "both", "none")))],
                keyword=[("size", Bounded(IntArg, min=4, max=200))],
                synopsis="Show numbers or names on blocks",
            ),
            label,
        ),
        "siren block legend": (
            lambda: CmdDesc(
                optional=[("show", BoolArg)],
                synopsis="Show a legend of the blocks in the picture",
            ),
            legend,
        ),
        "siren block undo": (lambda: CmdDesc(synopsis="Undo the last edit of blocks"), undo),
        "siren block redo": (lambda: CmdDesc(synopsis="Redo the last undone edit of blocks"), redo),
        "siren block save": (
            lambda: CmdDesc(
                required=blocks,
                optional=[("folder", SaveFolder)],
                keyword=[("volumes", VolumesArg), ("output_dir", SaveFolder)],
                synopsis="Save the open blocks as a folder that can be opened and expanded",
            ),
            save,
        ),
    }
