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


@dataclass(frozen=True)
class AnnotateParameters(Parameters):
    """Parameters of what of an atomic model lies in which block."""

    reach: float | None = parameter(
        None,
        "an atom explains the voxels within this distance in A, and lies in a block that has one "
        "of them; not given: the voxel edge, but at least 3 A, and more for blocks of a sample of "
        "the voxels",
        above=0,
        unit="A",
    )
    gap: int = parameter(
        4, "ranges of residues are joined over gaps of up to so many residues", minimum=0
    )
    min_run: int = parameter(
        3, "shorter ranges of residues are not told where there are longer ones", minimum=1
    )
    min_share: float = parameter(
        0.1,
        "a chain is told where this share of it lies in a block, or where it explains this share "
        "of the block",
        minimum=0,
        maximum=1,
    )
    min_explained: float = parameter(
        0.5,
        "a block is explained if at least this share of its voxels is near atoms",
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True)
class MaskParameters(Parameters):
    """Parameters of masks made from blocks."""

    dilate: float | None = parameter(
        None,
        "widen the blocks by so many A; not given: one voxel of the blocks",
        minimum=0,
        unit="A",
    )
    soft: float | None = parameter(
        None,
        "width in A of the edge on which the mask falls from 1 to 0 as a cosine; not given: three "
        "voxels of the blocks; 0 for a mask of 0 and 1",
        minimum=0,
        unit="A",
    )
    box: int | None = parameter(
        None,
        "voxels per side of the masks, if not those of the volumes: the box of the particles",
        minimum=8,
        maximum=4096,
    )
    voxel_size: float | None = parameter(
        None,
        "voxel edge of the masks in A, together with box; not given: such that the box is as large "
        "as that of the volumes",
        above=0,
        unit="A",
    )
    union: bool = parameter(False, "one mask of all blocks instead of one for each")


@dataclass(frozen=True)
class CompareParameters(Parameters):
    """Parameters of the comparison of two runs."""

    replication: bool = parameter(
        False,
        "say how well each block of A is found again in B, against random placements: for "
        "ensembles of two halves of the particles",
    )
    align: bool = parameter(
        True,
        "move the blocks of B onto A if the mean map of B is shifted or turned against that of A",
    )
    placements: int = parameter(
        999,
        "random placements of each block; the smallest p is 1 over one more",
        minimum=19,
        maximum=100_000,
        advanced=True,
    )
    seed: int = parameter(0, "seed of the random placements", minimum=0, advanced=True)


@dataclass(frozen=True)
class SubsetParameters(Parameters):
    """Parameters of what a set of volumes is compared with, and shown by."""

    against: str = parameter(
        "others",
        "what the average is compared with: all other volumes, or those with exactly the opposite "
        "(with 2 without 5: those without 2 and with 5)",
        choices=("others", "opposite"),
    )
    representatives: int = parameter(
        3,
        "volumes that stand for the set: the most typical one, then each time the one that is "
        "most unlike those chosen",
        minimum=1,
        maximum=100,
    )
    sd: float = parameter(
        3.0,
        "level of the difference surfaces, in standard deviations of the difference between "
        "random sets as large",
        above=0,
    )


@dataclass(frozen=True)
class SeriesParameters(Parameters):
    """Parameters of a series of volumes."""

    count: int = parameter(
        20,
        "volumes of the series, evenly over the order; of those about as far in it, the one most "
        "like the one before",
        minimum=2,
        maximum=1000,
    )


@dataclass(frozen=True)
class RelateParameters(StatesParameters):
    """Parameters of how blocks depend on each other."""

    effective_volumes: float | None = parameter(
        None,
        "how many independent volumes these are worth, in tests and intervals; not given: as the "
        "run measured it (effective_volumes in run.json)",
        minimum=1,
    )
    resamples: int = parameter(
        200, "resamples of the volumes for the order of assembly", minimum=1, maximum=100_000
    )
    seed: int = parameter(0, "seed of the resamples", minimum=0)


@dataclass(frozen=True)
class OccupancyParameters(StatesParameters):
    """Parameters of how much of each part is in each volume."""

    order: str = parameter(
        "share",
        "by what volumes and parts are clustered: the share of the voxels above the level, or "
        "MAVEn's measure",
        choices=("share", "maven"),
    )
    clusters: int | None = parameter(
        None,
        "groups of volumes; not given: where the heights of the tree make their largest step, at "
        "most 20",
        minimum=1,
    )
    within: float | None = parameter(
        None,
        "a voxel belongs to the chain whose nearest atom is at most so far; not given: 3, or 0.9 "
        "voxels if these are larger",
        above=0,
        unit="A",
    )
    seed: int = parameter(0, "of the test for two groups and of the intervals", minimum=0)
