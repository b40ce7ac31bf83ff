"""Everything on how the blocks of an ensemble depend on each other.

Example::

    from pathlib import Path

    from chimerax.siren.core import relate
    from chimerax.siren.core.runs.steps import run_states

    found = relate(run_states(Path("siren/02_expand")))
    found.relations.text(0, 1)  # one pair in a sentence
    found.graph.sentences()  # the minimal graph
    [(c.name, c.count) for c in found.combinations]  # which states there are
    found.order.text()  # what comes first
"""

from __future__ import annotations

from dataclasses import dataclass

from ..common.progress import Progress
from .assembly import Order, assembly_order
from .block_occupancy import States
from .combinations import Combination, combinations_of
from .dependence import Dependence, dependence
from .parameters import RelateParameters
from .relations import Relations, relations


@dataclass(frozen=True)
class Related:
    """How the blocks of an ensemble depend on each other.

    Attributes
    ----------
    states : which block is in which volume
    relations : of every pair
    graph : the minimal graph of what depends on what
    combinations : of blocks that are seen, the most frequent first
    order : the best supported order of assembly
    parameters : with which all this was found
    """

    states: States
    relations: Relations
    graph: Dependence
    combinations: tuple[Combination, ...]
    order: Order
    parameters: RelateParameters


def relate(
    states: States,
    parameters: RelateParameters | None = None,
    progress: Progress | None = None,
) -> Related:
    """Relate all blocks of an ensemble.

    Parameters
    ----------
    states : States of V volumes; what counts as present is theirs
    parameters : RelateParameters, optional
    progress : Progress, optional

    Raises
    ------
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters = parameters or RelateParameters()
    found = relations(states, parameters.effective_volumes)
    return Related(
        states,
        found,
        dependence(found),
        tuple(combinations_of(states, found.effective)),
        assembly_order(states, parameters, progress),
        parameters,
    )
