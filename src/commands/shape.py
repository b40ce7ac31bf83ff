"""``siren block grow``, ``shrink`` and ``paint``: change the shape of open blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from chimerax.core.commands import BoolArg, CenterArg, CmdDesc, PositiveFloatArg, RepeatOf
from chimerax.core.errors import UserError

from ..core.blocks.blockset import BlockSet
from ..core.blocks.editing import grow, paint, shrink
from ..core.blocks.growing import voxels_to_grow_into
from ..core.blocks.parameters import ANYTHING, GrowParameters, ShrinkParameters
from ..core.common import constants
from ..core.common.progress import Progress
from ..core.runs.record import read_record
from ..core.runs.steps import occupancy_of
from ..session.edits import block_set, edit, group_of
from ..session.inputs import parameters_of, run_folder, sources_of, user_errors
from ..session.jobs import run_job
from ..session.log import log_lines
from ..session.surfaces import BlockMap
from .arguments import BlockModelsArg, VolumesArg, keywords_of
from .edit import listed, one_block


def grow_blocks(
    session: Any, blocks: Sequence[BlockMap], volumes: list[Any] | None = None, **keywords: Any
) -> Any:
    """Add the voxels around blocks to them: any, or those that the volumes bear out."""
    parameters = parameters_of(GrowParameters, keywords)
    group, numbers = group_of(blocks), [b.siren_block for b in blocks]
    before = block_set(group)

    def change(allowed: dict[int, Any] | None) -> BlockSet:
        return _changed(
            session,
            group,
            f"grow {_named(numbers)}",
            f"Grew {{}} by {parameters.by:g} voxel{'s' * (parameters.by != 1)}",
            numbers,
            lambda now: user_errors(grow, now, numbers, parameters.by, allowed),
        )

    if parameters.into == ANYTHING:
        return change(None)
    record = user_errors(read_record, run_folder(session, list(blocks)))
    sources = sources_of(volumes) if volumes else None

    def work(progress: Progress) -> dict[int, Any]:
        ensemble = record.find(sources, progress).resampled(record.box) if sources else None
        occupancy = occupancy_of(record, ensemble, progress)
        share = record.parameters.get("union_fraction", constants.UNION_FRACTION)
        return voxels_to_grow_into(before, numbers, occupancy, parameters, share, progress)

    return run_job(session, "siren block grow", work, change)


def shrink_blocks(session: Any, blocks: Sequence[BlockMap], **keywords: Any) -> BlockSet:
    """Take the outer layer off blocks."""
    parameters = parameters_of(ShrinkParameters, keywords)
    numbers = [b.siren_block for b in blocks]
    return _changed(
        session,
        group_of(blocks),
        f"shrink {_named(numbers)}",
        f"Shrank {{}} by {parameters.by:g} voxel{'s' * (parameters.by != 1)}",
        numbers,
        lambda now: user_errors(shrink, now, numbers, parameters),
    )


def paint_block(
    session: Any, block: Sequence[BlockMap], center: list[Any], radius: float, erase: bool = False
) -> BlockSet:
    """Add what is inside spheres to a block, or erase it."""
    model = one_block(block)
    number, place = model.siren_block, model.scene_position.inverse()
    centers = np.array([place * c.scene_coordinates() for c in center])
    return _changed(
        session,
        group_of(block),
        f"{'erase part of' if erase else 'paint'} block {number}",
        f"{'Erased part of' if erase else 'Painted'} {{}}",
        [number],
        lambda now: user_errors(paint, now, number, centers, radius, erase),
    )


def _changed(
    session: Any,
    group: Any,
    what: str,
    done: str,
    numbers: list[int],
    change: Callable[[BlockSet], BlockSet],
) -> BlockSet:
    """Edit blocks, and log how many voxels they have now."""
    if group.deleted:  # meanwhile, by whoever could not wait for the volumes
        raise UserError('The blocks were closed: open them again with "siren open FOLDER".')
    before = block_set(group)
    after = edit(session, group, what, change)
    log_lines(
        session,
        [
            f"{done.format(f'block {n}')}: {len(after.blocks[n]):,} voxels, "
            f"{len(after.blocks[n]) - len(before.blocks[n]):+,}."
            for n in sorted(numbers)
        ],
    )
    return after


def _named(numbers: Sequence[int]) -> str:
    return f"block{'s' * (len(numbers) > 1)} {listed(numbers)}"


def descriptions() -> dict[str, tuple[Callable[[], CmdDesc], Callable[..., Any]]]:
    """The commands of this module: name -> description, function."""
    blocks, block = [("blocks", BlockModelsArg)], [("block", BlockModelsArg)]
    return {
        "siren block grow": (
            lambda: CmdDesc(
                required=blocks,
                keyword=[*keywords_of(GrowParameters), ("volumes", VolumesArg)],
                synopsis="Add the voxels around blocks to them",
            ),
            grow_blocks,
        ),
        "siren block shrink": (
            lambda: CmdDesc(
                required=blocks,
                keyword=keywords_of(ShrinkParameters),
                synopsis="Take the outer layer off blocks",
            ),
            shrink_blocks,
        ),
        "siren block paint": (
            lambda: CmdDesc(
                required=block,
                keyword=[
                    ("center", RepeatOf(CenterArg)),
                    ("radius", PositiveFloatArg),
                    ("erase", BoolArg),
                ],
                required_arguments=["center", "radius"],
                synopsis="Add what is inside spheres to a block, or erase it",
            ),
            paint_block,
        ),
    }
