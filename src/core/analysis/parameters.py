"""Parameters of the analysis of blocks. No numpy here, so that the help page can be written
anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..common.parameters import Parameters, parameter


@dataclass(frozen=True)
class StatesParameters(Parameters):
    """Parameters of what counts as present."""

    present: float | None = parameter(
        None,
        "a block is in a volume when more than this share of its voxels is occupied; not given: "
        "each block's own cut, "
        "between the volumes that have it and those that have not",
        minimum=0,
        maximum=1,
    )
