"""Edits of open blocks: core computes the new blocks, the models follow, and undo is possible."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import ref

import numpy as np
from chimerax.core.errors import UserError
from chimerax.core.models import Model
from chimerax.core.undo import UndoAction
from numpy.typing import NDArray

from ..core.blocks.blockset import BlockSet
from ..core.figures.colors import PALETTE, RGB, rgb_of
from ..core.maps.grid import Grid
from .inputs import map_source
from .scene import blocks_of, folder_of, same_folder
from .surfaces import BlockMap, block_map, follow_verdict, own_color
from .undo import name_of_last, step

# session trigger for an edit, an undo, or a save of blocks; its data is the id of their group
BLOCKS_CHANGED = "siren blocks changed"


@dataclass(frozen=True)
class BlockState:
    """Everything needed to restore an open block.

    Attributes
    ----------
    id : of the model, such as (2, 1)
    number, name, voxels : as in a BlockSet
    rgba : of the surface, 0 to 1
    display : whether it is shown
    folder, volumes : of the run, and of its volumes
    color : r, g, b, see :func:`.surfaces.own_color`
    values : its row of blocks.csv, as long as it has the same voxels
    strength : (n,) of its voxels, likewise; or None
    """

    id: tuple[int, ...] | None
    number: int
    name: str
    voxels: NDArray[np.int64]
    rgba: tuple[float, ...]
    display: bool
    folder: str
    volumes: str
    color: RGB
    values: dict[str, Any] = field(default_factory=dict)
    strength: NDArray[np.float32] | None = None


def group_of(blocks: Sequence[BlockMap]) -> Model:
    """The group model of open blocks.

    Raises
    ------
    UserError
        If they belong to more than one group.
    """
    groups = {b.parent for b in blocks}
    if len(groups) != 1:
        raise UserError("These blocks belong to different groups: edit one group at a time.")
    return groups.pop()


def block_set(group: Model) -> BlockSet:
    """The open blocks of a group as a BlockSet.

    Raises
    ------
    UserError
        If two blocks have the same number.
    """
    models = blocks_of(group)
    numbers = [m.siren_block for m in models]
    twice = next((n for n in numbers if numbers.count(n) > 1), None)
    if twice is not None:
        raise UserError(f"Two open blocks have the number {twice}: close one of them.")
    voxels = {m.siren_block: m.voxels for m in models}
    return BlockSet(
        grid_of(models[0]),
        voxels,
        names={m.siren_block: m.given_name for m in models if m.given_name},
    )


def grid_of(model: BlockMap) -> Grid:
    """The grid of an open block."""
    grid = map_source(model, False).grid
    assert grid is not None
    return grid


def edit(
    session: Any,
    group: Model,
    what: str,
    change: Callable[[BlockSet], BlockSet],
    values: dict[int, dict[str, Any]] | None = None,
) -> BlockSet:
    """Edit open blocks, such that ``siren block undo`` and ChimeraX's own undo can revert it.

    Parameters
    ----------
    what : the edit in words, for the undo menu
    change : maps the blocks before the edit to those after it
    values : number -> row of blocks.csv, where it is known although the voxels change

    Returns
    -------
    the blocks after the edit
    """
    models = blocks_of(group)
    before, grid = [_state(m) for m in models], grid_of(models[0])
    after = change(block_set(group))
    old = {s.number: s for s in before}
    states: list[BlockState] = []
    for number, voxels in after:
        state, name = old.get(number), after.names.get(number, "")
        if state is None:
            rgba = _free_color([s.color for s in (*before, *states)])
            states.append(
                BlockState(
                    None,
                    number,
                    name,
                    voxels,
                    rgba,
                    True,
                    before[0].folder,
                    before[0].volumes,
                    rgba[:3],
                    (values or {}).get(number, {}),
                )
            )
        else:
            same = np.array_equal(state.voxels, voxels)
            states.append(
                BlockState(
                    state.id,
                    number,
                    name,
                    voxels,
                    state.rgba,
                    state.display,
                    state.folder,
                    state.volumes,
                    state.color,
                    state.values if same else (values or {}).get(number, {}),
                    state.strength if same else None,
                )
            )
    action = EditAction(session, what, group, grid, before, states)
    action.redo()
    session.undo.register(action)
    return after


class EditAction(UndoAction):
    """One edit: the blocks of a group before and after it."""

    def __init__(
        self,
        session: Any,
        name: str,
        group: Model,
        grid: Grid,
        before: list[BlockState],
        after: list[BlockState],
    ):
        super().__init__(name)
        self._session, self._group, self._grid = session, ref(group), grid
        self._number = group.id
        self._before, self._after = before, after

    def _open_group(self) -> Model | None:
        """The set, or that of the same folder opened in its place since; None if it is closed."""
        group = self._group()
        if group is not None and not group.deleted:
            return group
        there = next((m for m in self._session.models.list() if m.id == self._number), None)
        if there is None or not same_folder(folder_of(there), self._before[0].folder):
            return None
        return there

    @property
    def possible(self) -> bool:
        """Whether its blocks are open: another set may have their number now."""
        return self._open_group() is not None

    @property
    def where(self) -> str:
        """A word about a set that is not seen, such as one that a new result has replaced."""
        group = self._open_group()
        if group is None or group.visible:
            return ""
        return f" (in {group.name}, #{group.id_string}, which is hidden)"

    def undo(self) -> None:
        """Restore the blocks before the edit."""
        self._show(self._before)

    def redo(self) -> None:
        """Restore the blocks after the edit."""
        self._after = self._show(self._after)

    def _show(self, states: list[BlockState]) -> list[BlockState]:
        """Make the open blocks match ``states``; models that stay keep their color and display."""
        models = self._session.models
        group = self._open_group()
        if group is None:
            raise UserError('The blocks were closed: open them again with "siren open FOLDER".')
        current = {m.siren_block: m for m in blocks_of(group)}
        # the set may have been saved to another folder since
        folder = next((m.siren_folder for m in current.values()), "")
        share = next((m.siren_share for m in current.values()), None)
        wanted = BlockSet(
            self._grid,
            {s.number: s.voxels for s in states},
            names={s.number: s.name for s in states if s.name},
        )
        shown = []
        for state in states:
            model = current.pop(state.number, None)
            if model is None:
                model = block_map(
                    self._session,
                    wanted,
                    state.number,
                    state.rgba,
                    folder or state.folder,
                    dict(state.values),
                    share,
                )
                _make_room(group, state.number)
                numbered = (*group.id, state.number)
                free = (i for i in (numbered, state.id) if i and not models.have_id(i))
                model.id = next(free, None)
                models.add([model], parent=group)
                model.display, model.siren_strength = state.display, state.strength
                model.siren_color, model.siren_volumes = state.color, state.volumes
            else:
                _change(model, state)
            shown.append(_state(model))
        models.close(list(current.values()))
        blocks_changed(self._session, group.id)
        return shown


def _make_room(group: Model, number: int) -> None:
    """Move a map that is no block, such as the mean, from the model number of a new block."""
    children = group.child_models()
    for model in children:
        if model.id[-1] == number and not isinstance(model, BlockMap):
            last = max(m.id[-1] for m in children)
            group.session.models.assign_id(model, (*group.id, last + 1))


def _change(model: BlockMap, state: BlockState) -> None:
    """Set voxels, name and values of an open block."""
    if not np.array_equal(model.voxels, state.voxels):
        model.data.array.ravel()[:] = 0
        model.data.array.ravel()[state.voxels] = 1
        model.data.values_changed()
        for surface in model.surfaces:  # colors by strength no longer fit the voxels
            surface.vertex_colors, surface.auto_recolor_vertices = None, None
        model.update_drawings()
    model.siren_name, model.siren_values, model.siren_strength = (
        state.name,
        dict(state.values),
        state.strength,
    )
    model.label(len(state.voxels))
    follow_verdict(model)


def undo_edit(session: Any) -> str:
    """Undo the last edit of blocks, whatever else was done since, and return its name.

    Raises
    ------
    UserError
        If there is none.
    """
    return _named(step(session, EditAction, "undo", "edit of blocks"))


def redo_edit(session: Any) -> str:
    """Redo the last undone edit of blocks, and return its name.

    Raises
    ------
    UserError
        If there is none.
    """
    return _named(step(session, EditAction, "redo", "edit of blocks"))


def can_undo(session: Any) -> tuple[str, str]:
    """Names of the edits that undo and redo would apply to, or ""."""
    stacks = (session.undo.undo_stack, session.undo.redo_stack)
    undo, redo = (name_of_last(stack, EditAction) for stack in stacks)
    return undo, redo


def _named(action: EditAction) -> str:
    return f"{action.name}{action.where}"


def blocks_changed(session: Any, group: tuple[int, ...]) -> None:
    """Notify the panel."""
    add_trigger(session)
    session.triggers.activate_trigger(BLOCKS_CHANGED, group)


def add_trigger(session: Any) -> None:
    """Add the trigger to the session unless it has it."""
    if not session.triggers.has_trigger(BLOCKS_CHANGED):
        session.triggers.add_trigger(BLOCKS_CHANGED)


def _state(model: BlockMap) -> BlockState:
    return BlockState(
        model.id,
        model.siren_block,
        model.given_name,
        model.voxels,
        surface_color(model),
        model.display,
        model.siren_folder,
        model.siren_volumes,
        own_color(model),
        dict(model.siren_values),
        model.siren_strength,
    )


def surface_color(model: BlockMap) -> tuple[float, ...]:
    """Color (r, g, b, a) of a block's surface, 0 to 1."""
    return (
        tuple(float(c) for c in model.surfaces[0].rgba) if model.surfaces else (0.7, 0.7, 0.7, 1.0)
    )


def free_colors(group: Model, count: int) -> list[RGB]:
    """The colors that the next new blocks of a group will get."""
    used = [own_color(m) for m in blocks_of(group)]
    colors: list[RGB] = []
    for _ in range(count):
        colors.append(_free_color([*used, *colors])[:3])
    return colors


def _free_color(used: list[RGB]) -> tuple[float, float, float, float]:
    """The palette color farthest from all colors in use."""
    farthest = max(
        map(rgb_of, PALETTE),
        key=lambda c: min(
            (sum((a - b) ** 2 for a, b in zip(c, u, strict=False)) for u in used), default=0.0
        ),
    )
    return (*farthest, 1.0)
