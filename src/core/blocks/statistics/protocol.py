"""What a statistic must do, and what passes between its steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...common.progress import Progress
from ...compute.pair_tiles import Backend
from ...maps.ensemble import Ensemble
from ..background import are_independent, vary_together
from ..noise import Noise
from ..occupancy import Occupancy
from ..parameters import ExpandParameters, PairTestParameters, SketchParameters


@dataclass(frozen=True)
class Observation:
    """A binarized ensemble and the voxels of it that count.

    Attributes
    ----------
    occupancy : Occupancy of the volumes that take part
    union : flat indices, ascending, of the voxels that count
    noise : how the noise of two voxels correlates; None where the statistic does not ask
    effective : how many independent volumes they are worth; NaN where that is not known
    """

    occupancy: Occupancy
    union: NDArray[np.int64]
    noise: Noise | None = None
    effective: float = float("nan")

    @property
    def independent(self) -> bool:
        """Whether the volumes were measured to be independent."""
        return are_independent(self.effective, len(self.occupancy))

    @property
    def dependent(self) -> bool:
        """Whether they were measured to share their noise."""
        return vary_together(self.effective, len(self.occupancy))


class Graph(Protocol):
    """Pairs of voxels that go together, with what it takes to test them again at a stricter p."""

    def at(self, posp: float, negp: float) -> tuple[NDArray[np.int32], NDArray[Any]]:
        """(e, 2) int32 positions in the sample, first < second, ascending, and (e,) weights, at
        these p.
        """


class Statistic(Protocol):
    """A rule by which voxels form blocks: what the steps of sketch and expand are for it.

    Attributes
    ----------
    passes : times that a sketch reads each map if the maps do not fit into memory; the last two
        for background and evidence, and for the stability
    counts_in_expand : whether expanding compares pairs of voxels, so that a graphics card or a
        cluster can help
    harmonizes : whether it harmonizes the levels, and leaves junk volumes out
    joins_shells : whether nested shells of one graded part become one block
    nothing_varies_is_a_result : whether fewer than 2 voxels that count are a result, no block, and
        not an error in the levels
    union_words : which voxels count, in words, for the log; ``{share}`` is the parameter
        unionFraction
    """

    passes: int
    counts_in_expand: bool
    harmonizes: bool
    joins_shells: bool
    nothing_varies_is_a_result: bool
    union_words: str

    def most_sampled(self, subsample: int | None) -> int | None:
        """How many voxels it compares at most where the user asks for one in ``subsample``; None:
        as many as that gives.
        """

    def observe(
        self,
        ensemble: Ensemble,
        levels: NDArray[np.float64],
        parameters: PairTestParameters,
        progress: Progress,
        agreed: bool = False,
    ) -> Observation:
        """Binarize the volumes and choose the voxels that count.

        Parameters
        ----------
        levels : (V,) contour level of each volume
        agreed : the levels agree already and junk is out, as after a sketch by a statistic that
            harmonizes
        """

    def edges_expected(
        self,
        observation: Observation,
        sample: NDArray[np.int64],
        parameters: PairTestParameters,
        seed: int,
        progress: Progress,
    ) -> float:
        """How many edges the graph of a sample will have, without making it."""

    def graph(
        self,
        observation: Observation,
        sample: NDArray[np.int64],
        parameters: PairTestParameters,
        progress: Progress,
        compute: Backend | None = None,
    ) -> Graph:
        """The pairs of sampled voxels that go together at the parameters' p, the loosest that will
        be asked for.
        """

    def blocks(
        self,
        observation: Observation,
        sample: NDArray[np.int64],
        graph: Graph,
        parameters: SketchParameters,
        progress: Progress,
    ) -> list[NDArray[np.int64]]:
        """Flat indices of each block's voxels, largest block first, at this ``posp`` and
        ``negp``.
        """

    def join(
        self,
        occupancy: Occupancy,
        voxels: NDArray[np.int64],
        seeds: list[NDArray[np.int64]],
        parameters: ExpandParameters,
        progress: Progress,
        compute: Backend | None = None,
        dependent: bool = False,
    ) -> list[NDArray[np.int64]]:
        """Which of the voxels, (n,) flat indices, join the block of each of the seeds: flat
        indices.

        ``dependent``: the volumes share their noise, as those of a decoder do, so that a
        correlation is that of the density.
        """
