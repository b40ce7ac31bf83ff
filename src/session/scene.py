"""The rules for what is seen of several results: which set of blocks, and in which colors.

A set is the group of models of one result. A new result takes the place of the earlier ones of its
volumes or output folder, which are hidden; of those that were in one folder, the last is kept and
those before it are closed. And its blocks keep the colors that they had there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from chimerax.core.models import REMOVE_MODELS, Model
from numpy.typing import NDArray

from ..core.blocks.blockset import BlockSet
from ..core.figures.colors import RGB, block_colors, folder_colors, inherited_colors
from ..core.maps.grid import Grid
from ..core.maps.last_reading import forget
from ..core.runs.record import Record
from ..core.runs.steps import Run
from .surfaces import GROUP_NAME, BlockMap, own_color

if TYPE_CHECKING:  # matplotlib takes a moment
    from ..core.figures.theme import Labels

PLACES = 3  # last parts of a path that tell one run from another, as in j42/siren/02_expand
EARLIER = " (earlier)"


def set_name(folder: Path, step: str) -> str:
    """The name of a set's group: its folder, and the step unless the folder says it."""
    place = "/".join(folder.parts[-PLACES:]).replace("//", "/")
    return f"{GROUP_NAME}: {place}" + ("" if step in folder.name else f" ({step})")


def volumes_folder(record: Record) -> str:
    """The folder of a run's volumes; "" if they were open maps without files."""
    path = next((v["path"] for v in record.volumes if v["path"]), None)
    return os.path.dirname(path) if path else ""


def sets_of_blocks(session: Any) -> list[Model]:
    """The groups of open blocks, oldest first: not by number, since those of closed models are
    given again.
    """
    groups = {m.parent for m in session.models.list(type=BlockMap)}
    return [m for m in session.models.list() if m in groups]


def blocks_of(group: Model) -> list[BlockMap]:
    """The open blocks of a set, in order of model number."""
    return sorted((m for m in group.child_models() if isinstance(m, BlockMap)), key=lambda m: m.id)


def folder_of(group: Model) -> str:
    """The folder of a set; "" while screening."""
    return next((m.siren_folder for m in blocks_of(group) if m.siren_folder), "")


def set_of(session: Any, folder: Path) -> Model | None:
    """The set of a folder: one that is seen rather than a hidden one, then the newest."""
    found = [g for g in sets_of_blocks(session) if same_folder(folder_of(g), folder)]
    return max(reversed(found), key=lambda g: bool(g.visible), default=None)


def open_labels(session: Any, folder: Path | None, labels: Labels) -> Labels:
    """Names and colors of a run's blocks, as those of them have that are open."""
    group = None if folder is None else set_of(session, folder)
    models = [] if group is None else blocks_of(group)
    return replace(
        labels,
        names={**labels.names, **{m.siren_block: m.given_name for m in models}},
        colors={**labels.colors, **{m.siren_block: own_color(m) for m in models}},
    )


def seen_set(session: Any) -> Model | None:
    """The newest set of a run that is seen."""
    seen = [g for g in sets_of_blocks(session) if g.visible and folder_of(g)]
    return seen[-1] if seen else None


def same_folder(one: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one folder, which need not exist."""
    if not str(one) or not str(other):
        return False
    return os.path.realpath(os.path.expanduser(one)) == os.path.realpath(os.path.expanduser(other))


def related(group: Model, folder: Path, volumes: str) -> bool:
    """Whether a set is of these volumes, or of a run in the same output folder."""
    blocks = blocks_of(group)
    return any(same_folder(m.siren_volumes, volumes) for m in blocks) or any(
        m.siren_folder and same_folder(Path(m.siren_folder).parent, folder.parent) for m in blocks
    )


def replaces(new: Model, group: Model) -> bool:
    """Whether a set takes the place of another: it is of the same volumes or output folder."""
    block = next(iter(blocks_of(new)), None)
    return (
        block is not None
        and new is not group
        and related(group, Path(folder_of(new)), block.siren_volumes)
    )


def beside(session: Any, new: Model) -> list[Model]:
    """The sets of other volumes that are seen together with one, and may lie where it is."""
    return [
        g
        for g in sets_of_blocks(session)
        if g is not new and g.visible and folder_of(g) and not replaces(new, g)
    ]


def hide_earlier(session: Any, folder: Path, volumes: str, new: Model | None) -> list[Model]:
    """Hide the sets that a new result replaces, and return those that were seen until now.

    Parameters
    ----------
    folder, volumes : of the new result, and of its volumes
    new : its group; None if it has no blocks
    """
    hidden = []
    outdate(session, folder, new)
    for group in sets_of_blocks(session):
        if group is new or not related(group, folder, volumes):
            continue
        if group.display:
            group.display = False
            if folder_of(group):  # not that of the screening, which closes its own
                hidden.append(group)
    return hidden


def outdate(session: Any, folder: Path, new: Model | None) -> None:
    """Mark the sets that a folder held before a new one."""
    for group in sets_of_blocks(session):
        if group is not new and same_folder(folder_of(group), folder):
            group.name = group.name.removesuffix(EARLIER) + EARLIER


def close_older(session: Any, hidden: Sequence[Model]) -> list[str]:
    """Close the sets that a folder held before the one that its last result replaced, so that they
    do not pile up; not those just hidden, nor those with edits that were not saved, or that may
    have some.

    Parameters
    ----------
    hidden : the sets that were seen until now

    Returns
    -------
    Their names.
    """
    kept: list[str] = []
    older: list[Model] = []
    for group in reversed(sets_of_blocks(session)):
        if group.display or not group.name.endswith(EARLIER):
            continue
        folder = folder_of(group)
        if group in hidden or edited(group) is not False:
            kept.append(folder)
        elif any(same_folder(folder, k) for k in kept):
            older.append(group)
        else:
            kept.append(folder)
    names = [f"{g.name} (#{g.id_string})" for g in reversed(older)]
    session.models.close(older)
    return names


def hidden_sets(session: Any) -> list[Model]:
    """The sets of runs that are hidden, oldest first."""
    return [g for g in sets_of_blocks(session) if not g.display and folder_of(g)]


_contents: WeakKeyDictionary[Model, dict[int, tuple[str, NDArray[np.int64]]]] = WeakKeyDictionary()


def note_contents(group: Model) -> None:
    """Remember that a set is as its folder has it."""
    _contents[group] = {m.siren_block: (m.given_name, m.voxels) for m in blocks_of(group)}


def edited(group: Model) -> bool | None:
    """Whether a set differs from what was opened or saved last; None if that is not known, as in a
    session that was opened.
    """
    known = _contents.get(group)
    if known is None:
        return None
    now = {m.siren_block: (m.given_name, m.voxels) for m in blocks_of(group)}
    return now.keys() != known.keys() or any(
        now[n][0] != name or not np.array_equal(now[n][1], voxels)
        for n, (name, voxels) in known.items()
    )


def saved_set(session: Any, run: Run) -> Model | None:
    """The open set of a run, if it is exactly as in the folder."""
    for group in reversed(sets_of_blocks(session)):
        if same_folder(folder_of(group), run.folder) and as_saved(group, run.blocks):
            return group
    return None


def as_saved(group: Model, saved: BlockSet) -> bool:
    """Whether open blocks are exactly these: the same numbers, voxels and names."""
    blocks = blocks_of(group)
    return sorted(m.siren_block for m in blocks) == sorted(saved.blocks) and all(
        m.given_name == saved.names.get(m.siren_block, "")
        and np.array_equal(m.voxels, saved.blocks[m.siren_block])
        for m in blocks
    )


def keep_in_sight(session: Any, new: Model, source: str | None) -> None:
    """Show also the doubtful blocks of an expansion that are seen in the set that it started from
    though they are doubtful there, or edited and not judged yet: what a person has just merged must
    not vanish.

    Parameters
    ----------
    new : the expansion
    source : the folder of the set that it started from
    """
    group = None if source is None else set_of(session, Path(source))
    for block in [] if group is None else blocks_of(group):
        if block.visible and (block.doubtful or not block.verdict):
            for expanded in blocks_of(new):
                if expanded.siren_block == block.siren_block:
                    expanded.display = True


def show_set(group: Model) -> None:
    """Show a set as if it had just been opened: all but the doubtful blocks."""
    group.display = True
    for block in blocks_of(group):
        block.display = not block.doubtful


# --- colors


@dataclass
class Closed:
    """Blocks of a folder that were closed, with their colors."""

    blocks: BlockSet
    colors: dict[int, RGB]


_closed: WeakKeyDictionary[Any, dict[str, Closed]] = WeakKeyDictionary()  # there by folder


def colors_for(
    session: Any, blocks: BlockSet, folder: Path, volumes: str, source: str | None = None
) -> dict[int, RGB]:
    """Colors for a result that is to be opened: those that its blocks have in the open sets of the
    same volumes or output folder, or had before they were closed, or have in the runs that it
    started from; and new ones for the others.

    Parameters
    ----------
    folder : of the result
    volumes : the folder of its volumes
    source : the folder of the run that it started from, whose colors count most
    """
    watch(session)
    groups = [g for g in sets_of_blocks(session) if related(g, folder, volumes)]
    groups.sort(
        key=lambda g: (source is not None and same_folder(folder_of(g), source), bool(g.visible))
    )
    earlier = [(_voxels(blocks_of(g)), _colors(blocks_of(g))) for g in reversed(groups)]
    closed = _closed.get(session, {})
    for place in (str(folder), source):
        if place in closed:
            earlier.append((closed[place].blocks, closed[place].colors))
    kept = inherited_colors(blocks, earlier)
    if len(kept) == len(blocks) or not (folder / "run.json").is_file():
        return block_colors(blocks, kept)
    known = folder_colors(folder, blocks)
    taken = set(kept.values())
    return block_colors(blocks, {**{n: c for n, c in known.items() if c not in taken}, **kept})


def shown_colors(session: Any, folder: Path, blocks: BlockSet) -> dict[int, RGB]:
    """The colors of a run's blocks for a figure: those of its open set, else as when opened."""
    group = set_of(session, folder)
    known = {} if group is None else _colors(blocks_of(group))
    if group is None and (closed := _closed.get(session, {}).get(str(folder))) is not None:
        known = inherited_colors(blocks, [(closed.blocks, closed.colors)])
    return {**folder_colors(folder, blocks), **known}


def watch(session: Any) -> None:
    """Remember the colors of blocks that are closed from now on; free what the last step kept of
    its volumes when nothing is open any more.
    """
    if session in _closed:
        return
    _closed[session] = {}

    def removed(_: str, models: Sequence[Model]) -> None:
        for model in models:
            if isinstance(model, BlockMap) and model.siren_folder:
                group = model.parent
                if group is None or not group.name.endswith(EARLIER):
                    _remember(session, model)
        if not session.models.list():  # the session is closed, or begins anew
            forget()

    session.triggers.add_handler(REMOVE_MODELS, removed)


def _remember(session: Any, block: BlockMap) -> None:
    known = _closed[session].get(block.siren_folder)
    grid = _grid(block)
    if known is None or known.blocks.grid != grid:
        known = _closed[session][block.siren_folder] = Closed(BlockSet(grid, {}), {})
    known.blocks.blocks[block.siren_block] = block.voxels
    known.colors[block.siren_block] = own_color(block)


def _grid(block: BlockMap) -> Grid:
    (nx, ny, nz), origin, step = block.data.size, block.data.origin, block.data.step
    (x, y, z), (sx, sy, sz) = map(float, origin), map(float, step)
    return Grid((nz, ny, nx), (sx, sy, sz), (x, y, z))


def _voxels(blocks: Sequence[BlockMap]) -> BlockSet:
    return BlockSet(_grid(blocks[0]), {m.siren_block: m.voxels for m in blocks})


def _colors(blocks: Sequence[BlockMap]) -> dict[int, RGB]:
    return {m.siren_block: own_color(m) for m in blocks}
