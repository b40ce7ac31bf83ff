"""Parameters of the choice of particles. No numpy here, so that the help page can be written
anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..common.parameters import Parameters, parameter


@dataclass(frozen=True)
class ParticlesParameters(Parameters):
    """How lists of particles, volumes and rows of a particle file fit together."""

    first: int | None = parameter(
        None,
        "the number in the file name of the volume of cluster 0: 0 if vol_000.mrc is cluster 0, 1 "
        "if vol_001.mrc is; only needed where the file names leave it open",
        minimum=0,
    )
    tilts: bool | None = parameter(
        None,
        "whether rows of the particle file with one group name (rlnGroupName) are the tilt images "
        "of one particle; not given: as the training or the numbers of rows and particles say",
    )
    rest: bool = parameter(
        True, "also write the particles of all other volumes, as a second set of files"
    )
