"""What the density says of a block, and the verdict in words. Measured in :mod:`.evidence`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..common import constants

SOLID, GRADED, MOVING, DOUBTFUL = "solid", "graded", "moving", "doubtful"


@dataclass(frozen=True)
class BlockEvidence:
    """What the density says of one block; see :mod:`.evidence` for how it is measured.

    Attributes
    ----------
    contrast : (present - absent) / present, of the block's mean density
    rise : present - absent, in contour levels above the background
    solidity : share of its voxels in solid pieces, 0 to 1
    exchange : density that leaves over density that comes, as the block comes, here and around it:
        about 0 for a part that comes and goes, about 1 for one that moves
    separation : share of the variance of its mean density over the volumes that is between volumes
        with and without it: 1 for two sharp groups; a cut in two makes up to 0.75 of one group that
        is symmetric, up to 8/9 of a skewed one
    noise : SD over the volumes of a voxel that should not vary, in levels, that a block must rise
        above; 0 if the volumes are independent enough for statistics
    symmetry : how much density rises at the same distances from the middle of the box, over all
        directions, over ``rise``: about 1 for what is the same from all sides
    passing : density that is there only while the block is half there, between what comes and what
        leaves, over density that comes: 0 for what fades in, more for what moves
    peak : share of its voxels from which the rise climbs to a peak in the block: about 1 for a
        part, about 0 for the edge of one, or for the seam of two
    negative : how far its voxels are below the background where they are lowest, over how far above
        it where they are highest: about 0 for a part that comes and goes, about 1 for noise
    """

    contrast: float
    rise: float
    solidity: float
    exchange: float
    separation: float = 1.0
    noise: float = 0.0
    symmetry: float = 0.0
    passing: float = 0.0
    peak: float = 1.0
    negative: float = 0.0

    @property
    def verdict(self) -> str:
        """SOLID, GRADED, MOVING, or DOUBTFUL followed by the reason."""
        moves = constants.MOVING_EXCHANGE < self.exchange < 1 / constants.MOVING_EXCHANGE
        clearly = moves and self.separation >= constants.MOVING_SEPARATION
        if self.contrast < (constants.MOVING_CONTRAST if clearly else constants.MIN_CONTRAST):
            return (
                f"{DOUBTFUL}: its density changes by {100 * max(self.contrast, 0):.0f} % only, as "
                "where a surface moves across the contour level"
            )
        if self.solidity < constants.MIN_SOLIDITY:
            return f"{DOUBTFUL}: {100 * (1 - self.solidity):.0f} % of it is scattered, like noise"
        one_group = self.separation < constants.ONE_GROUP
        needed = constants.GRADED_RISE if one_group and not clearly else constants.NOISE_RISE
        if self.rise < needed * self.noise:
            return f"{DOUBTFUL}: background or core vary too much in these few effective volumes"
        if self.noise > 0 and self.separation < constants.MIN_SEPARATION:
            return f"{DOUBTFUL}: a few volumes stand out by degrees, not as a group of their own"
        if self.noise > 0 and one_group and self.symmetry > constants.MAX_SYMMETRY:
            return (
                f"{DOUBTFUL}: the middle of the box, where a decoder puts what it cannot explain, "
                "changes alike in all directions"
            )
        if self.noise > 0 and self.negative > constants.MAX_NEGATIVE:
            return (
                f"{DOUBTFUL}: where it is gone, its density is far below the background, as noise "
                "is; a part that is gone leaves none"
            )
        passes = self.passing > constants.MIN_PASSING
        if moves or (self.noise > 0 and passes and self.exchange > constants.PASSING_EXCHANGE):
            return MOVING
        if self.peak < constants.MIN_PEAK:
            return (
                f"{DOUBTFUL}: what comes and goes has its peak beside it, as at the edge of "
                "another part"
            )
        return GRADED if one_group or self.contrast < constants.SOLID_CONTRAST else SOLID

    @property
    def doubtful(self) -> bool:
        """Whether the block is probably not a part that comes and goes."""
        return self.verdict.startswith(DOUBTFUL)

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, to four digits, and the verdict."""
        return {**{k: round(v, 4) for k, v in asdict(self).items()}, "verdict": self.verdict}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> BlockEvidence:
        """From :meth:`as_json`; the verdict is made anew."""
        return cls(**{k: float(content[k]) for k in cls.__dataclass_fields__ if k in content})
