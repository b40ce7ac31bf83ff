"""How much of each part is in each volume, and what that says of the part.

Two measures: the share of the part's voxels that are above the contour level of the volume, and
that of MAVEn, the density in the part's mask by that of a reference: sum(mask x volume) /
sum(reference).

Example::

    import numpy as np

    from chimerax.siren.core import ensemble_from_arrays
    from chimerax.siren.core.analysis.part_occupancy import measure_occupancies
    from chimerax.siren.core.analysis.parts import part_from_array

    rng = np.random.default_rng(0)
    mask = np.zeros((12, 12, 12), np.float32)
    mask[4:8, 4:8, 4:8] = 1
    there = rng.random(100) < 0.4
    maps = rng.normal(0, 0.1, (100, 12, 12, 12)) + there[:, None, None, None] * mask
    found = measure_occupancies(
        [part_from_array("stalk", mask, reference=mask)], ensemble_from_arrays(maps, 4.0), 0.5
    )
    found.calls[0].call  # -> 'two groups'
    found.calls[0].present == there.sum()  # -> True
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster

from ..blocks.presence import are_two_groups, cut_intervals, separation
from ..blocks.significance import discoveries
from ..common import constants
from ..common.errors import SirenError, join_names
from ..common.progress import Progress
from ..maps.ensemble import Ensemble
from .bimodality import dip_test
from .block_occupancy import States, Tree, similar_together
from .parameters import OccupancyParameters
from .parts import Part, distinct_parts

TWO_GROUPS, GRADED, UNDECIDED = "two groups", "graded", "undecided"
IN_ALL, IN_NONE = "in all", "in none"
BY_REFERENCE, BY_MASK = "sum(mask x volume) / sum(reference)", "sum(mask x volume) / sum(mask)"


@dataclass(frozen=True)
class Distribution:
    """How one measure of a part is distributed over the volumes.

    Attributes
    ----------
    mean, sd : of the volumes
    dip : distance from the closest distribution with one mode, see :mod:`.bimodality`
    p : chance of that if there is one mode
    bimodal : whether there are two, at a false discovery rate of BIMODAL_P among the parts
    """

    mean: float
    sd: float
    dip: float
    p: float
    bimodal: bool


@dataclass(frozen=True)
class Call:
    """What is said of a part.

    Attributes
    ----------
    call : TWO_GROUPS (volumes with it and without), GRADED (all degrees), IN_ALL, IN_NONE, or
        UNDECIDED (it looks like two groups, but the volumes are too few to show it; or its share
        is about half everywhere)
    cut : it is present where the share is above, see :mod:`..blocks.presence`
    low, high : interval of the cut, CUT_CONFIDENCE
    present, absent, uncertain : volumes; the uncertain ones, whose share is within that interval,
        are counted in one of the others, too
    share, maven : distribution of each measure
    """

    call: str
    cut: float
    low: float
    high: float
    present: int
    absent: int
    uncertain: int
    share: Distribution
    maven: Distribution


@dataclass(frozen=True)
class Order:
    """Volumes and parts side by side with similar ones, as a figure shows them.

    Attributes
    ----------
    by : "share" or "maven"
    volumes, parts : hierarchical clustering
    cluster : (V,) group of each volume, from 1, in the order of the figure
    """

    by: str
    volumes: Tree
    parts: Tree
    cluster: NDArray[np.int64]


@dataclass(frozen=True)
class PartInVolume:
    """One part in one volume, for a list of volumes.

    Attributes
    ----------
    part : name
    share : of its voxels above the level
    maven : MAVEn's measure
    present : whether it is in the volume
    certain : whether that would be said at any cut within its interval
    """

    part: str
    share: float
    maven: float
    present: bool
    certain: bool


@dataclass(frozen=True)
class Occupancies:
    """How much of each of P parts is in each of V volumes.

    Attributes
    ----------
    parts : P
    names : V volumes
    levels : (V,) contour level of each
    share : (P, V) share of the voxels, weighted by the mask, above the level
    maven : (P, V) sum(mask x volume), by sum(reference), or by sum(mask) for a part without one
    calls : P
    order : of the figure
    parameters : OccupancyParameters
    """

    parts: tuple[Part, ...]
    names: tuple[str, ...]
    levels: NDArray[np.float64]
    share: NDArray[np.float64]
    maven: NDArray[np.float64]
    calls: tuple[Call, ...]
    order: Order
    parameters: OccupancyParameters

    @cached_property
    def states(self) -> States:
        """The shares as the states that selections, relations and figures take; blocks keep their
        numbers, other parts get the numbers that follow.
        """
        return _states(self.parts, self.names, self.levels, self.share, self.parameters)

    @property
    def uncertain(self) -> NDArray[np.bool_]:
        """(P, V), whether a share is within the interval of its part's cut."""
        low, high = (
            np.array([getattr(c, k) for c in self.calls])[:, None] for k in ("low", "high")
        )
        return _within(self.share, low, high, self.parameters.present)

    @property
    def measures(self) -> dict[str, NDArray[np.float64]]:
        """(P, V) values of both measures, by name."""
        return {"share": self.share, "maven": self.maven}

    @property
    def maven_words(self) -> str:
        """How MAVEn's measure was computed."""
        with_reference = sum(p.reference is not None for p in self.parts)
        if with_reference == len(self.parts):
            return BY_REFERENCE
        if not with_reference:
            return f"{BY_MASK}, as there is no reference"
        bare = [p.name for p in self.parts if p.reference is None]
        return f"{BY_REFERENCE}; for {join_names(bare)}, without reference, {BY_MASK}"


def measure_occupancies(
    parts: Sequence[Part],
    ensemble: Ensemble,
    levels: NDArray[np.floating] | Sequence[float] | float,
    parameters: OccupancyParameters | None = None,
    progress: Progress | None = None,
) -> Occupancies:
    """Measure parts in volumes; one volume is in memory at a time.

    Parameters
    ----------
    parts : on the grid of the volumes, see :mod:`.parts`
    ensemble : Ensemble of V volumes
    levels : (V,) contour level of each, or one for all

    Raises
    ------
    SirenError
        If two parts have one name, there is none, or a level is no number.
    """
    parameters, progress = parameters or OccupancyParameters(), progress or Progress()
    parts = distinct_parts(parts)
    levels = np.broadcast_to(np.asarray(levels, np.float64), (len(ensemble),)).copy()
    bad = [n for n, level in zip(ensemble.names, levels, strict=True) if not np.isfinite(level)]
    if bad:
        raise SirenError(
            f"The threshold of {join_names(bad)} is not a number: correct the table, or "
            "exclude the volume."
        )
    share, maven = (np.empty((len(parts), len(ensemble))) for _ in range(2))
    weights = [p.weights.astype(np.float64) for p in parts]
    counted = [np.clip(w, 0, 1) for w in weights]
    for v, (_, array) in enumerate(ensemble.read(progress, "reading volumes")):
        flat = array.ravel()
        for k, part in enumerate(parts):
            values = flat[part.voxels]
            share[k, v] = (counted[k] @ (values > levels[v])) / counted[k].sum()
            whole = part.total if part.reference is None else part.reference
            maven[k, v] = (weights[k] @ values.astype(np.float64)) / whole
    share = np.clip(share, 0, 1)  # sums of fractions may be a hair above 1
    return Occupancies(
        tuple(parts),
        ensemble.names,
        levels,
        share,
        maven,
        _calls(parts, ensemble.names, levels, share, maven, parameters, progress),
        ordered(share if parameters.order == "share" else maven, parameters),
        parameters,
    )


def occupancy_of_volume(found: Occupancies, volume: str) -> tuple[PartInVolume, ...]:
    """Every part in one volume, as a list of volumes shows it beside the name.

    Raises
    ------
    SirenError
        If there is no such volume.
    """
    if volume not in found.names:
        raise SirenError(f'{volume} was not measured: run "siren occupancy" with it.')
    v = found.names.index(volume)
    return tuple(
        PartInVolume(p.name, float(s), float(m), bool(there), not doubt)
        for p, s, m, there, doubt in zip(
            found.parts,
            found.share[:, v],
            found.maven[:, v],
            found.states.present[:, v],
            found.uncertain[:, v],
            strict=True,
        )
    )


def ordered(values: NDArray[np.floating], parameters: OccupancyParameters) -> Order:
    """Cluster parts and volumes by (P, V) values.

    Without ``parameters.clusters`` there are as many groups of volumes, at most MOST_CLUSTERS, as
    where the height of the tree makes its largest step.
    """
    volumes, parts = similar_together(values.T), similar_together(values)
    heights = volumes.links[:, 2] if len(volumes.links) else np.empty(0)
    wanted = parameters.clusters
    if wanted is None and len(heights) > 1 and heights[-1] > 0:
        steps = np.diff(heights)[::-1][: constants.MOST_CLUSTERS - 1]  # from 2 groups on
        wanted = 2 + int(steps.argmax())
    group = np.ones(len(volumes.order), np.int64)
    if len(volumes.links) and wanted is not None and wanted > 1:
        group = fcluster(volumes.links, wanted, "maxclust").astype(np.int64)
    seen = list(dict.fromkeys(group[volumes.order].tolist()))
    return Order(
        parameters.order, volumes, parts, np.array([seen.index(g) + 1 for g in group], np.int64)
    )


def _states(
    parts: Sequence[Part],
    names: tuple[str, ...],
    levels: NDArray[np.float64],
    share: NDArray[np.float64],
    parameters: OccupancyParameters,
) -> States:
    after = max((p.number for p in parts if p.number is not None), default=0)
    numbers = []
    for part in parts:
        after += part.number is None
        numbers.append(after if part.number is None else part.number)
    sizes = np.array([len(p.voxels) for p in parts], np.int64)
    return States(
        names, levels, tuple(numbers), sizes, share.astype(np.float32), parameters.present
    )


def _within(
    share: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    cut: float | None,
) -> NDArray[np.bool_]:
    """Whether shares could be called either way; none can at a cut that the user gave."""
    if cut is not None:
        return np.zeros(share.shape, bool)
    return (share >= low) & (share <= high)


def _calls(
    parts: Sequence[Part],
    names: tuple[str, ...],
    levels: NDArray[np.float64],
    share: NDArray[np.float64],
    maven: NDArray[np.float64],
    parameters: OccupancyParameters,
    progress: Progress,
) -> tuple[Call, ...]:
    states = _states(parts, names, levels, share, parameters)
    spacing = [1 / _effective(p.weights) for p in parts]
    by_share = _distributions(share, spacing, parameters.seed, progress, 0)
    by_maven = _distributions(maven, [0.0] * len(parts), parameters.seed, progress, 1)
    intervals = cut_intervals(states.share, parameters.present, parameters.seed)
    uncertain = _within(share, intervals[:, :1], intervals[:, 1:], parameters.present)
    grouped, present = are_two_groups(states.share), states.present
    calls = []
    for k, cut in enumerate(states.cuts):
        there = int(present[k].sum())
        parted = separation(states.share[k].astype(np.float64), present[k])
        if not grouped[k]:
            word = {0: IN_NONE, len(names): IN_ALL}.get(there, UNDECIDED)
        elif by_share[k].bimodal:
            word = TWO_GROUPS
        else:
            word = UNDECIDED if parted >= constants.ONE_GROUP else GRADED
        calls.append(
            Call(
                word,
                float(cut),
                float(intervals[k, 0]),
                float(intervals[k, 1]),
                there,
                len(names) - there,
                int(uncertain[k].sum()),
                by_share[k],
                by_maven[k],
            )
        )
    return tuple(calls)


def _distributions(
    values: NDArray[np.float64], spacing: Sequence[float], seed: int, progress: Progress, turn: int
) -> list[Distribution]:
    """Of each row; the p-values of all rows are looked at together."""
    tests = []
    for k, row in enumerate(values):
        progress.step("testing for two groups", (turn + k / len(values)) / 2)
        tests.append(dip_test(row, spacing[k], seed, stop=progress))
    significant = discoveries(np.array([t.p for t in tests]), constants.BIMODAL_P, len(tests))
    return [
        Distribution(float(row.mean()), float(row.std()), t.dip, t.p, bool(found))
        for row, t, found in zip(values, tests, significant, strict=True)
    ]


def _effective(weights: NDArray[np.float32]) -> float:
    """As many voxels of weight 1 would average as well."""
    w = np.clip(weights.astype(np.float64), 0, 1)
    return float(w.sum() ** 2 / (w**2).sum())
