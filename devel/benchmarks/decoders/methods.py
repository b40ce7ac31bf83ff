"""Methods under test: from an ensemble and levels to blocks. Add one to METHODS to have it run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .core_api import (
    BlockEvidence,
    Ensemble,
    ExpandParameters,
    Occupancy,
    SketchParameters,
    binarize,
    expand_sketch,
    sketch,
)

MOST_SAMPLED = 6_000  # voxels that the pair-counting statistics compare, so that they end


@dataclass(frozen=True)
class Found:
    """What a method found.

    Attributes
    ----------
    sketched, blocks : flat indices of each block by number, before and after expand
    occupancy : Occupancy of the volumes that took part, at harmonized levels
    stability, evidence : by block number, after expand
    """

    sketched: dict[int, NDArray[np.int64]]
    blocks: dict[int, NDArray[np.int64]]
    occupancy: Occupancy
    stability: dict[int, float] = field(default_factory=dict)
    evidence: dict[int, BlockEvidence] = field(default_factory=dict)


Method = Callable[[Ensemble, NDArray[np.float64], bool], Found]  # with stability, or without


class Seeded(Protocol):
    """A method, and a seed for what is drawn."""

    def __call__(
        self, ensemble: Ensemble, levels: NDArray[np.float64], stability: bool, seed: int = 0
    ) -> Found: ...


def by_statistic(statistic: str) -> Seeded:
    """Sketch and expand with a statistic of the core."""

    def run(
        ensemble: Ensemble, levels: NDArray[np.float64], stability: bool, seed: int = 0
    ) -> Found:
        more = {}
        if statistic != "profile":
            union = len(binarize(ensemble, levels).union(0.01))
            more["subsample"] = max(2, -(-union // MOST_SAMPLED))
        result = sketch(
            ensemble, levels, SketchParameters(statistic=statistic, resamples=0, seed=seed, **more)
        )
        sketched = dict(iter(result.blocks))
        if not sketched:
            return Found(sketched, sketched, result.occupancy)
        parameters = ExpandParameters(
            statistic=statistic, resamples=10 if stability else 0, seed=seed
        )
        grown = expand_sketch(ensemble, result, parameters)
        return Found(
            sketched,
            dict(iter(grown.blocks)),
            result.occupancy,
            dict(grown.blocks.stability or {}),
            dict(grown.blocks.evidence),
        )

    return run


METHODS: dict[str, Seeded] = {s: by_statistic(s) for s in ("profile", "exact", "published")}
