"""``profile``, the default: voxels whose occupancy over the volumes, their *profile*, is alike form
a block.

Significance says that two voxels are related, not how strongly: with hundreds of volumes, a block
and another that depends on it are significantly related. So the strength, the correlation phi of
two voxels' occupancies, decides who belongs to whom; a test decides who takes part.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...common import constants
from ...common.progress import Progress
from ...compute.pair_tiles import Backend
from ...maps.ensemble import Ensemble
from ..background import effective_by
from ..communities import voxel_communities
from ..distinct_blocks import distinct_blocks
from ..level_harmonization import binarize_harmonized
from ..noise import measure_noise
from ..occupancy import Occupancy, binarize, variable_voxels
from ..parameters import ExpandParameters, PairTestParameters, SketchParameters
from ..profiles import grown_blocks, held
from ..similarity import SimilarityGraph, similarity_graph
from .protocol import Graph, Observation, Statistic


class ProfileStatistic:
    """See the module; the attributes and methods are :class:`.protocol.Statistic`'s."""

    passes = 5
    counts_in_expand = False  # each voxel against a few profiles: less work than sending them
    harmonizes = True
    joins_shells = True
    nothing_varies_is_a_result = True
    union_words = "that vary: occupied, and empty, in more than {share}"

    def most_sampled(self, subsample: int | None) -> int | None:
        """MAX_SAMPLED_VOXELS whatever the user asks for: more adds time and nothing else."""
        return constants.MAX_SAMPLED_VOXELS

    def observe(
        self,
        ensemble: Ensemble,
        levels: NDArray[np.float64],
        parameters: PairTestParameters,
        progress: Progress,
        agreed: bool = False,
    ) -> Observation:
        """Binarize at levels that agree, without junk; the voxels that vary count."""
        by_sd = parameters.filter is True
        noise, effective = None, float("nan")
        if agreed:
            occupancy = binarize(ensemble, levels, by_sd, progress)
        else:
            occupancy, anchors = binarize_harmonized(
                ensemble, levels, by_sd, parameters.union_fraction, progress
            )
            noise = measure_noise(anchors, occupancy.grid, progress)
            effective = effective_by(anchors, occupancy, progress)
        union = variable_voxels(occupancy, parameters.union_fraction)
        return Observation(occupancy, union, noise, effective)

    def edges_expected(
        self,
        observation: Observation,
        sample: NDArray[np.int64],
        parameters: PairTestParameters,
        seed: int,
        progress: Progress,
    ) -> float:
        """NEIGHBORS of each voxel."""
        return float(constants.NEIGHBORS * len(sample))

    def graph(
        self,
        observation: Observation,
        sample: NDArray[np.int64],
        parameters: PairTestParameters,
        progress: Progress,
        compute: Backend | None = None,
    ) -> SimilarityGraph:
        """Each voxel with the voxels most alike to it, beyond what the noise explains."""
        assert observation.noise is not None
        return similarity_graph(
            observation.occupancy, sample, observation.noise, parameters.posp, progress, compute
        )

    def blocks(
        self,
        observation: Observation,
        sample: NDArray[np.int64],
        graph: Graph,
        parameters: SketchParameters,
        progress: Progress,
    ) -> list[NDArray[np.int64]]:
        """Communities of that graph; those that no volume tells apart are one, and those that
        chance makes are none.
        """
        assert observation.noise is not None and isinstance(graph, SimilarityGraph)
        edges, strength = graph.between(parameters.posp)
        communities = voxel_communities(
            len(sample),
            edges,
            strength,
            parameters.min_size,
            parameters.seed,
            progress,
            graph.standing_for(parameters.posp),
        )
        owner = distinct_blocks(
            observation.occupancy,
            sample,
            observation.noise,
            communities,
            parameters.min_size,
            parameters.posp,
            progress,
            observation.independent,
            observation.dependent,
        )
        blocks = (sample[owner == b] for b in range(owner.max(initial=-1) + 1))
        return sorted(blocks, key=len, reverse=True)

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
        """Each voxel joins the block whose profile it follows best, one at most. In this process,
        always.
        """
        owner = grown_blocks(
            occupancy, voxels, seeds, parameters.posp, progress, dependent=dependent
        )
        # a person may have merged what the profiles would tell apart: it stays
        for block, seed in enumerate(seeds):
            owner[held(np.sort(seed), voxels)] = block
        return [voxels[owner == b] for b in range(len(seeds))]


STATISTIC: Statistic = ProfileStatistic()
