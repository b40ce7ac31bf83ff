"""Parameters of the simulated example. No numpy, so that the help page can be built anywhere."""

from __future__ import annotations

from dataclasses import dataclass

from ..common.errors import SirenError
from ..common.parameters import Parameters, parameter


@dataclass(frozen=True)
class BlockPlan:
    """Size of a planted block, and in which volumes it is present.

    Attributes
    ----------
    name : str
        Unique name.
    residues : int
        Total over all its places, at least 30 in each.
    occupancy : float
        Share of the volumes with the block, *among those that its conditions allow* (0 to 1).
    only_with : str or None
        Earlier block without which this one is never present.
    never_with : str or None
        Earlier block with which this one is never present.
    places : int
        Number of separate places, occupied together.
    positions : tuple of float
        For a moving block, the share of each position among the volumes with the block. Each
        position is planted as a block of its own, named ``name/1``, ``name/2``, ...
    """

    name: str
    residues: int = 600
    occupancy: float = 0.4
    only_with: str | None = None
    never_with: str | None = None
    places: int = 1
    positions: tuple[float, ...] = (1.0,)


DEFAULT_BLOCKS = (
    BlockPlan("swing", 450, 1.0, positions=(0.6, 0.4)),
    BlockPlan("mostly", 750, 0.87),
    BlockPlan("base", 700, 0.55),
    BlockPlan("dependent", 500, 0.55, only_with="base"),
    BlockPlan("pair", 900, 0.40, places=2),
    BlockPlan("rare", 450, 0.20),
    BlockPlan("third", 600, 0.33),
)


@dataclass(frozen=True)
class ExampleParameters(Parameters):
    """Parameters of a simulated ensemble."""

    volumes: int = parameter(200, "number of volumes", minimum=2, maximum=100_000)
    box: int = parameter(64, "voxels per side", minimum=16, maximum=512, unit="voxels")
    voxel_size: float = parameter(5.0, "voxel edge", minimum=0.5, maximum=50, unit="A")
    resolution: float = parameter(
        13.0, "resolution of the noise-free density", minimum=2, maximum=100, unit="A"
    )
    core_residues: int = parameter(
        3600, "residues present in every volume", minimum=0, maximum=100_000
    )
    noise: float = parameter(
        1.0, "noise relative to that of real decoder volumes", minimum=0, maximum=100
    )
    noise_edge: float = parameter(
        0.15,
        "noise at the faces of the box, relative to its center; 1 for uniform noise",
        above=0,
        maximum=1,
    )
    scale_jitter: float = parameter(
        0.12, "SD of the log of each volume's scale", minimum=0, maximum=1
    )
    offset_jitter: float = parameter(
        0.0, "SD of each volume's offset, relative to the level", minimum=0, maximum=10
    )
    junk: float = parameter(0.0, "share of junk volumes", minimum=0, maximum=0.9)
    seed: int = parameter(0, "seed of states, scales and noise, and of the structure", minimum=0)
    structure_seed: int | None = parameter(None, "separate seed of the structure", minimum=0)
    blocks: tuple[BlockPlan, ...] = DEFAULT_BLOCKS

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_plan(self.blocks)
        if self.core_residues == 0 and not self.blocks:
            raise SirenError(
                "An example without a core and without blocks is empty: give "
                "coreResidues, or blocks."
            )


def _check_plan(blocks: tuple[BlockPlan, ...]) -> None:
    known: set[str] = set()
    for b in blocks:
        where = f'Block "{b.name}" of the example'
        if not b.name or b.name in known or set(b.name) & set('/,"\n'):
            raise SirenError(f"{where} needs a unique name without slash, comma or quote.")
        if not 0 <= b.occupancy <= 1:
            raise SirenError(
                f"{where} has an occupancy of {b.occupancy:g}: give a share from 0 to 1."
            )
        if b.places < 1 or b.residues < 30 * b.places:
            raise SirenError(
                f"{where} has {b.residues} residues in {b.places} places: give at least 30 for "
                "each."
            )
        if not b.positions or min(b.positions) <= 0 or abs(sum(b.positions) - 1) > 1e-6:
            raise SirenError(
                f"{where} has positions {b.positions}: give shares above 0 that sum to 1."
            )
        if len(b.positions) > 1 and b.places > 1:
            raise SirenError(
                f"{where} cannot both move and be in {b.places} places: plan two blocks."
            )
        for other in (b.only_with, b.never_with):
            if other is not None and other not in known:
                raise SirenError(
                    f'{where} refers to "{other}", which is no earlier block: plan that one first.'
                )
        known.add(b.name)
