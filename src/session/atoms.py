"""Atoms of open models: as core takes them, and colored by the block in which they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from chimerax.atomic import AtomicStructure
from chimerax.core.errors import UserError
from chimerax.core.undo import UndoState
from numpy.typing import NDArray

from ..core.analysis.annotation import Atoms

OUTSIDE = (178, 178, 178, 255)  # atoms in no block


def polymer_atoms(atoms: Any) -> Any:
    """Of a collection of atoms those of proteins and nucleic acids: water and ions have the chain
    of their neighbors. If there are none, all atoms but the solvent's.
    """
    polymer = atoms.filter(atoms.residues.polymer_types > 0)
    if len(polymer):
        return polymer
    return atoms.filter(atoms.structure_categories != "solvent")


def core_atoms(atoms: Any, place: Any) -> Atoms:
    """Atoms of open models in the frame of blocks.

    Chains are named by their letters; of several models by these and the model, as ``#3/A``.

    Parameters
    ----------
    atoms : chimerax.atomic.Atoms
    place : where the blocks lie in the scene

    Raises
    ------
    UserError
        If there are none.
    """
    if not len(atoms):
        raise UserError("The model has no atoms of proteins, nucleic acids or ligands.")
    residues = atoms.residues
    chains = np.asarray(residues.chain_ids, str)
    structures = models_of(atoms)
    names: dict[str, str] = {}
    for structure in structures:
        prefix = f"#{structure.id_string}/" if len(structures) > 1 else ""
        for chain in structure.chains:
            if chain.description:
                names[prefix + chain.chain_id] = str(chain.description)
    if len(structures) > 1:
        ids = np.array([f"#{s.id_string}/" for s in residues.structures])
        chains = np.char.add(ids, chains)
    points = place.inverse() * np.asarray(atoms.scene_coords, np.float64)
    return Atoms(points, chains, np.asarray(residues.numbers, np.int64), names)


def models_of(atoms: Any) -> list[AtomicStructure]:
    """The models that atoms belong to, by number."""
    return sorted(atoms.unique_structures, key=lambda s: s.id)


def color_by_block(
    session: Any, atoms: Any, blocks: NDArray[np.integer], colors: Mapping[int, Sequence[float]]
) -> None:
    """Give atoms, and the ribbons of their residues, the colors of blocks; others of these models
    turn gray. ChimeraX's own undo takes it back.

    Parameters
    ----------
    atoms : chimerax.atomic.Atoms, (n,)
    blocks : (n,) the block of each atom's residue, 0 for none
    """
    shown = [
        (owner, name, getattr(owner, name).copy())
        for structure in models_of(atoms)
        for owner, name in ((structure.atoms, "colors"), (structure.residues, "ribbon_colors"))
    ]
    for owner, name, before in shown:
        setattr(owner, name, np.full_like(before, OUTSIDE))
    for number in np.unique(blocks[blocks > 0]):
        rgba = np.array([*(round(255 * c) for c in colors[int(number)][:3]), 255], np.uint8)
        inside = atoms.filter(blocks == number)
        inside.colors = np.tile(rgba, (len(inside), 1))
        inside.unique_residues.ribbon_colors = np.tile(rgba, (len(inside.unique_residues), 1))
    state = UndoState("color model by block")
    for owner, name, before in shown:
        state.add(owner, name, before, getattr(owner, name).copy())
    session.undo.register(state)
