"""Sketch: from a sample of the occupied voxels to the blocks that come and go together.

:func:`sketch` is the method of Kinman et al. in its steps; what each step does for a statistic is
in :mod:`.statistics`.

Example::

    from chimerax.siren.core import ExampleParameters, SketchParameters, simulate, sketch

    example = simulate(ExampleParameters(volumes=100, box=32, voxel_size=10))
    result = sketch(example.ensemble(), example.levels, SketchParameters(seed=1))
    len(result.blocks), result.blocks.stability, result.occupancy.left_out

Method of Kinman, Carreira, Powell & Davis, Structure 33:974-987, 2025, doi
10.1016/j.str.2025.02.004.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..common import constants
from ..common.devices import CPU
from ..common.progress import Progress
from ..compute.backends import open_backend
from ..compute.resources import check_reading, judging_seconds
from ..maps.ensemble import Ensemble
from ..maps.grid import Grid
from .background import Background
from .blockset import BlockSet
from .evidence import Evidence, sketched_evidence
from .kept import kept_with, near_blocks
from .occupancy import Occupancy
from .parameters import SketchParameters
from .region import Mask, region_of, within
from .sampling import above_noise, affordable_sample
from .stability import (
    COMING_BACK,
    draw_halves,
    halves_at_other_levels,
    recovery_rate,
    with_strength,
)
from .statistics import statistic_named
from .statistics.protocol import Graph, Observation, Statistic


@dataclass(frozen=True)
class SketchResult:
    """What :func:`sketch` found.

    Attributes
    ----------
    blocks : BlockSet, largest block first; ``unassigned`` holds the sampled voxels in no block
    occupancy : Occupancy of the volumes that took part
    union : flat indices of the voxels that count
    sample : those of them that were compared
    edges : (e, 2) int32, the pairs that go together (profile statistic: the most alike of them), as
        positions in ``sample``
    parameters : SketchParameters it was made with
    counted_on : the device or cluster
    evidence : what the densities say; None where blocks were not judged, as in screening
    region : (N,) bool, where blocks were looked for, or None for everywhere
    """

    blocks: BlockSet
    occupancy: Occupancy
    union: NDArray[np.int64]
    sample: NDArray[np.int64]
    edges: NDArray[np.int32]
    parameters: SketchParameters
    counted_on: str = CPU
    evidence: Evidence | None = None
    region: NDArray[np.bool_] | None = None


def sketch(
    ensemble: Ensemble,
    levels: NDArray[np.float64] | float,
    parameters: SketchParameters | None = None,
    progress: Progress | None = None,
    mask: Mask | None = None,
) -> SketchResult:
    """Find blocks in an ensemble.

    Parameters
    ----------
    ensemble : Ensemble of V volumes
    levels : (V,) contour level of each volume, in the maps' units; or one for all
    parameters : SketchParameters
    progress : Progress, optional
    mask : Mask, optional
        In place of the file that ``parameters.mask`` names.

    Raises
    ------
    SirenError
        If fewer than 2 volumes are left, no voxel varies, or the device or cluster is not there or
        gives up.
    Cancelled
        If ``progress`` was asked to stop.
    """
    parameters, progress = parameters or SketchParameters(), progress or Progress()
    ensemble = ensemble.cached(constants.CACHE_BYTES)
    levels = np.broadcast_to(np.asarray(levels, np.float64), (len(ensemble),))
    compared = compare(ensemble, levels, parameters, progress, mask)
    with progress.timed("clustering"):
        found = compared.blocks(parameters, progress)
    blocks = number_blocks(compared.occupancy.grid, found, compared.sample)
    with progress.timed("evidence"):
        union = compared.observation.union
        ensemble = near_blocks(ensemble.of(compared.occupancy.names), compared.occupancy, union)
        joins = compared.statistic.joins_shells
        blocks, evidence = sketched_evidence(
            blocks, compared.occupancy, ensemble, compared.share, joins, progress
        )
        found = list(blocks.blocks.values())
    with progress.timed("stability"):
        if parameters.resamples:
            halves = compared.halves(ensemble, evidence.background, found, parameters, progress)
            blocks = replace(blocks, stability=stability_in(halves, found, parameters, progress))
        blocks = with_strength(blocks, compared.occupancy, progress)
    return replace(compared.result(blocks, parameters), evidence=evidence)


def compare(
    ensemble: Ensemble,
    levels: NDArray[np.float64],
    parameters: SketchParameters,
    progress: Progress,
    mask: Mask | None = None,
) -> Comparison:
    """Read an ensemble and compare its voxels with each other: the longer part of a sketch.

    Parameters
    ----------
    ensemble, levels : as :func:`sketch`
    parameters : with the loosest ``posp`` and ``negp`` of interest

    Raises
    ------
    SirenError, Cancelled
        As :func:`sketch`.
    """
    region = region_of(parameters, ensemble, mask, progress)
    statistic = statistic_named(parameters.statistic)
    # first of all, so that a device that is missing is reported before anything is read
    with open_backend(parameters.device, parameters.scheduler, progress) as compute:
        judging = judging_seconds(len(ensemble), ensemble.grid.size)
        judging = judging if statistic.harmonizes else 0.0
        check_reading(ensemble, statistic.passes, progress, judging)
        with progress.timed("reading"):
            observation = statistic.observe(ensemble, levels, parameters, progress)
            union = within(observation.union, region, parameters.mask)
            observation = replace(observation, union=union)
            observation.occupancy.remember(union, kept_with(observation.occupancy).occupancy)
            among = union
            if observation.independent:
                among = above_noise(observation.occupancy, union)
            sample = affordable_sample(statistic, observation, parameters, progress, among)
            share = len(sample) / max(1, len(among))
        with progress.timed("testing"):
            graph = statistic.graph(observation, sample, parameters, progress, compute)
    return Comparison(statistic, observation, sample, share, graph, compute.name, region)


@dataclass(frozen=True)
class Comparison:
    """An ensemble whose voxels are compared with each other: from here, blocks at any stringency
    come quickly.

    Attributes
    ----------
    statistic : by which they are compared
    observation : the volumes that take part, and the voxels that count
    sample : those of them that are compared, flat indices, ascending
    share : of those from which they were drawn, above 0 to 1
    graph : pairs that go together at the loosest stringency asked for
    counted_on : the device or cluster
    region : (N,) bool, where blocks are looked for, or None for everywhere
    """

    statistic: Statistic
    observation: Observation
    sample: NDArray[np.int64]
    share: float
    graph: Graph
    counted_on: str = CPU
    region: NDArray[np.bool_] | None = None

    @property
    def occupancy(self) -> Occupancy:
        """Of the volumes that take part."""
        return self.observation.occupancy

    def blocks(self, parameters: SketchParameters, progress: Progress) -> list[NDArray[np.int64]]:
        """Flat indices of each block's voxels, largest first, at this ``posp`` and ``negp``, no
        looser than was compared.
        """
        return self.statistic.blocks(
            self.observation, self.sample, self.graph, parameters, progress
        )

    def result(self, blocks: BlockSet, parameters: SketchParameters) -> SketchResult:
        """These blocks with what they come from."""
        edges, _ = self.graph.at(parameters.posp, parameters.negp)
        union = self.observation.union
        return SketchResult(
            blocks,
            self.occupancy,
            union,
            self.sample,
            edges,
            parameters,
            self.counted_on,
            region=self.region,
        )

    def halves(
        self,
        ensemble: Ensemble,
        background: Background,
        blocks: list[NDArray[np.int64]],
        parameters: SketchParameters,
        progress: Progress,
    ) -> list[Comparison]:
        """Random halves of the volumes with some voxels of each block, read and compared anew, see
        :mod:`.stability`.

        Always in this process: each is a strip or two.
        """
        others = np.setdiff1d(self.sample, np.concatenate(blocks)) if blocks else self.sample
        drawn = draw_halves(
            blocks, others, len(self.occupancy), parameters.resamples, parameters.seed
        )
        parts = halves_at_other_levels(ensemble, self.occupancy, background, drawn, progress)
        both = zip(parts, drawn, strict=True)
        return [
            self._of(part, voxels, parameters, progress.quiet())
            for part, (_, voxels) in progress.each(
                both, "counting halves of the volumes", len(drawn)
            )
        ]

    def _of(
        self,
        occupancy: Occupancy,
        voxels: NDArray[np.int64],
        parameters: SketchParameters,
        progress: Progress,
    ) -> Comparison:
        part = replace(self.observation, occupancy=occupancy)
        occupancy.remember(voxels)
        graph = self.statistic.graph(part, voxels, parameters, progress)
        return replace(self, observation=part, sample=voxels, graph=graph)


def stability_in(
    halves: Sequence[Comparison],
    blocks: list[NDArray[np.int64]],
    parameters: SketchParameters,
    progress: Progress,
) -> dict[int, float]:
    """How often each of the blocks, numbered from 1, comes back in :meth:`Comparison.halves`."""
    found = [
        half.blocks(parameters, progress.quiet())
        for half in progress.each(halves, COMING_BACK, len(halves))
    ]
    return dict(enumerate(recovery_rate(blocks, found, [half.sample for half in halves]), 1))


def number_blocks(
    grid: Grid, blocks: list[NDArray[np.int64]], tested: NDArray[np.int64]
) -> BlockSet:
    """Number blocks from 1, largest first; the tested voxels in none are unassigned."""
    inside = np.concatenate(blocks) if blocks else np.empty(0, np.int64)
    return BlockSet(
        grid, {n: np.sort(b) for n, b in enumerate(blocks, 1)}, np.setdiff1d(tested, inside)
    )
