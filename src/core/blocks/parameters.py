"""Parameters of sketch, expand and of editing blocks. No numpy here, so that the help page can be
written anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..common import constants
from ..common.devices import CPU, DEVICES
from ..common.errors import SirenError
from ..common.parameters import Parameters, camel_case, parameter
from .statistics import DEFAULT, STATISTICS

ANYTHING, DENSITY, CORRELATED = GROW_INTO = ("anything", "density", "correlated")
INSIDE, OUTSIDE = "inside", "outside"  # sides of a mask
NO_MASK = "none"


@dataclass(frozen=True)
class PairTestParameters(Parameters):
    """What sketch and expand both need to decide whether two voxels go together."""

    statistic: str = parameter(
        DEFAULT,
        "rule by which voxels go together: by the likeness of their profiles, or by counting "
        "pairs against chance (exact, published)",
        choices=STATISTICS,
    )
    posp: float = parameter(
        0.01,
        "p for a false block, and share of false members (profile statistic); p for both-occupied, "
        "before "
        "Bonferroni correction (published and exact statistic)",
        above=0,
        maximum=1,
        label="p-value",
    )
    negp: float = parameter(
        0.05,
        "p for both-empty, before Bonferroni correction (published and exact statistic)",
        above=0,
        maximum=1,
        advanced=True,
        statistics=("published", "exact"),
        label="p-value, both empty",
    )
    posp_factor: float | None = parameter(
        None,
        "fixed factor on the both-occupied cutoff, in place of the one that grows with distance "
        "(published statistic)",
        above=0,
        advanced=True,
        statistics=("published",),
        label="factor, both occupied",
    )
    negp_factor: float = parameter(
        1.0,
        "factor on the both-empty cutoff (published statistic)",
        above=0,
        advanced=True,
        statistics=("published",),
        label="factor, both empty",
    )
    filter: bool | str = parameter(
        False,
        "leave out volumes whose threshold is beyond mean +- 2 SD; flags: those that siren predict "
        "flagged in the table of thresholds",
        words=("flags",),
        label="leave out odd volumes",
    )
    union_fraction: float = parameter(
        0.01,
        "a voxel counts when occupied in more than this share of the volumes",
        minimum=0,
        maximum=1,
        advanced=True,
        label="least share of volumes",
    )
    resamples: int = parameter(
        10,
        "random halves of the volumes in which blocks are looked for again, for their stability; 0 "
        "for none",
        minimum=0,
        maximum=1000,
        label="halves for stability",
    )
    device: str = parameter(
        CPU,
        "where pairs are counted, with the same result: the processor, or a graphics card by "
        "torch; auto takes "
        "a card where there is one",
        choices=DEVICES,
        advanced=True,
    )
    scheduler: str | None = parameter(
        None,
        "address of a Dask scheduler, as in tcp://host:8786, whose workers count the pairs, with "
        "the same result",
        word="address",
        advanced=True,
        label="Dask scheduler",
    )
    mask: str | None = parameter(
        None,
        "look for blocks only inside a mask: a map file, or an open map like #5; none: everywhere, "
        "also in the expansion of a sketch that had a mask",
        word="map",
        advanced=True,
    )
    mask_level: float | None = parameter(
        None,
        "contour level of the mask, above which is inside; not given: of an open map, the level at "
        "which it is shown, of a file, half of its maximum",
        advanced=True,
        label="level of the mask",
    )
    mask_side: str = parameter(
        INSIDE,
        "the side of the mask that counts; outside leaves out what the mask encloses, such as a "
        "micelle",
        choices=(INSIDE, OUTSIDE),
        advanced=True,
        label="side of the mask",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scheduler is not None and self.device != CPU:
            raise SirenError(
                'The workers of a cluster count on their processors: leave out either "device" or '
                '"scheduler".'
            )
        if self.mask in (None, NO_MASK) and (
            self.mask_level is not None or self.mask_side != INSIDE
        ):
            raise SirenError('"maskLevel" and "maskSide" are of a mask: give it by "mask".')
        for f in fields(self):
            owners = f.metadata["statistics"]
            if owners and self.statistic not in owners and getattr(self, f.name) != f.default:
                raise SirenError(
                    f"The {self.statistic} statistic has no {camel_case(f.name)}: leave it out, "
                    f'or use "statistic {owners[0]}".'
                )


MASK_NAMES = frozenset({"mask", "mask_level", "mask_side"})
# the filter was applied already; the device and the cluster may not be there any more; the mask of
# a sketch goes on as the voxels that it let in
INHERITED = frozenset(f.name for f in fields(PairTestParameters)) - (
    MASK_NAMES | {"filter", "device", "scheduler"}
)


@dataclass(frozen=True)
class SketchParameters(PairTestParameters):
    """Parameters of :func:`.sketch.sketch`."""

    subsample: int | None = parameter(
        None,
        "use one in this many of the occupied voxels, drawn at random; not given: 2, or more where "
        "there are too many to compare",
        minimum=1,
        label="use 1 voxel in",
    )
    min_size: int = parameter(
        6, "smallest community that is a block", minimum=2, unit="voxels", label="smallest block"
    )
    seed: int = parameter(0, "seed of the random sample", minimum=0, advanced=True)


@dataclass(frozen=True)
class ExpandParameters(PairTestParameters):
    """Parameters of :func:`.expand.expand`."""

    exp_frac: float = parameter(
        0.25,
        "share of a block's voxels that a voxel must go with to join (published and exact "
        "statistic)",
        above=0,
        maximum=1,
        statistics=("published", "exact"),
        label="share of block to join",
    )
    seed: int = parameter(0, "seed of the random halves for stability", minimum=0, advanced=True)


@dataclass(frozen=True)
class SplitParameters(Parameters):
    """Parameters of :func:`.editing.pieces`."""

    gap: float = parameter(
        2.0,
        "voxels of one piece may lie this far apart: a sketch's blocks are a random part of their "
        "voxels",
        minimum=1,
        maximum=5,
        unit="voxels",
    )
    min_size: int = parameter(
        6, "smaller pieces stay with the nearest larger one", minimum=1, unit="voxels"
    )


@dataclass(frozen=True)
class GrowParameters(Parameters):
    """Parameters of :func:`.editing.grow` and :func:`.growing.voxels_to_grow_into`."""

    by: float = parameter(
        1.0, "how far from the block voxels are added", minimum=1, maximum=20, unit="voxels"
    )
    into: str = parameter(
        ANYTHING,
        "what may be added: anything; density, occupied in some volumes; or correlated, density "
        "that comes and goes with the block",
        choices=GROW_INTO,
    )
    strength: float = parameter(
        constants.MEMBER_PHI,
        "least correlation with the block, with into correlated",
        above=0,
        maximum=1,
        label="least correlation",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strength != constants.MEMBER_PHI and self.into != CORRELATED:
            raise SirenError(f'strength goes with "into {CORRELATED}": add it, or leave it out.')


@dataclass(frozen=True)
class ShrinkParameters(Parameters):
    """Parameters of :func:`.editing.shrink`."""

    by: float = parameter(
        1.0, "depth of the layer that is taken off", minimum=1, maximum=20, unit="voxels"
    )
    gap: float = parameter(
        3.0,
        "holes up to this wide count as inside: a sketch's blocks are a random part of their "
        "voxels; 1 for none",
        minimum=1,
        maximum=5,
        unit="voxels",
    )
