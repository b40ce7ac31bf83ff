"""Expand: the published rule in plain loops, planted blocks by the default, and what a person did
to the blocks in between.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.expand import expand
from chimerax.siren.core.blocks.parameters import ExpandParameters
from chimerax.siren.core.blocks.sketch import SketchResult, sketch
from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble
from chimerax.siren.core.simulation.example import Simulation, simulate
from chimerax.siren.core.simulation.parameters import BlockPlan, ExampleParameters
from ensembles import in_memory

PARTICLE = ExampleParameters(
    volumes=100,
    box=32,
    voxel_size=6.0,
    core_residues=600,
    seed=3,
    blocks=(
        BlockPlan("one", 250, 0.6),
        BlockPlan("two", 200, 0.5, only_with="one"),
        BlockPlan("three", 250, 0.3),
    ),
)
Ready = tuple[Simulation, Ensemble, SketchResult]


@pytest.fixture(scope="module")
def ready() -> Ready:
    s = simulate(PARTICLE)
    ensemble = in_memory(np.stack([s.volume(i) for i in range(len(s))]))
    return s, ensemble, sketch(ensemble, s.levels)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return len(np.intersect1d(a, b)) / len(np.union1d(a, b))


@pytest.mark.parametrize("statistic", ["published", "exact"])
def test_joining_by_counting_is_that_of_plain_loops(statistic: str) -> None:
    rng = np.random.default_rng(1)
    volumes, shape = 120, (5, 5, 5)
    kind = rng.integers(0, 3, shape)
    state = rng.random((2, volumes)) < np.array([[0.3], [0.5]])
    maps = rng.random((volumes, *shape)) < 0.3
    for k in (0, 1):
        maps[:, kind == k] = state[k][:, None]
    maps ^= rng.random(maps.shape) < 0.05
    seeds = {n: np.flatnonzero(kind.ravel() == n - 1)[:8] for n in (1, 2)}
    ensemble = in_memory(maps.astype(np.float32), 9.0)
    parameters = ExpandParameters(statistic=statistic, exp_frac=0.5)
    found = expand(
        ensemble, np.full(volumes, 0.5), BlockSet(ensemble.grid, seeds), parameters
    ).blocks

    rows = maps.reshape(volumes, -1).T
    union = np.flatnonzero(rows.sum(axis=1) > 0.01 * volumes)
    tests = len(union) * 16
    floor = 1 - 0.5 ** (1 / 1000) if statistic == "published" else 0

    def cutoff(p: float, tail: float) -> int:
        return int(
            np.flatnonzero(stats.binom.sf(np.arange(volumes + 1), volumes, p) <= max(tail, floor))[
                0
            ]
        )

    def place(voxel: int) -> np.ndarray:
        return 9.0 * np.array(np.unravel_index(voxel, shape), float)

    for number, members in seeds.items():
        middle = np.median([place(m) for m in members], axis=0)
        expected = set(members.tolist())
        for v in union.tolist():
            d = float(np.linalg.norm(place(v) - middle))
            factor = (
                1.0
                if d == 0 or statistic == "exact"
                else max(1.25, 0.02 * d + 0.95)
                if d < 40
                else 1.75
            )
            goes = 0
            for m in members.tolist():
                f1, f2 = int(rows[v].sum()), int(rows[m].sum())
                both, empty = int((rows[v] & rows[m]).sum()), int((~rows[v] & ~rows[m]).sum())
                cut = factor * cutoff(f1 * f2 / volumes**2, 0.01 / tests)
                low = cutoff((1 - f1 / volumes) * (1 - f2 / volumes), 0.05 / tests)
                if statistic == "published":
                    cut, low = min(cut, min(f1, f2)), min(low, volumes - max(f1, f2))
                goes += both > cut and empty > low
            if goes >= 0.5 * len(members):
                expected.add(v)
        assert set(found.blocks[number].tolist()) == expected
    assert len(found.blocks[1]) + len(found.blocks[2]) > 20  # some joined


def test_expanded_blocks_are_the_planted_ones(ready: Ready) -> None:
    s, ensemble, sketched = ready
    result = expand(ensemble, s.levels, sketched.blocks)
    assert list(result.blocks.blocks) == [1, 2, 3]
    for unit in s.units:
        assert max(iou(unit.voxels, v) for _, v in result.blocks) > 0.85


def test_every_tested_voxel_is_in_a_block_or_unassigned(ready: Ready) -> None:
    s, ensemble, sketched = ready
    result = expand(ensemble, s.levels, sketched.blocks)
    inside = np.concatenate([v for _, v in result.blocks])
    assert len(np.unique(inside)) == len(inside)
    assert set(result.union) == (set(inside) | set(result.blocks.unassigned)) & set(result.union)


def test_a_deleted_block_does_not_come_back_and_numbers_stay(ready: Ready) -> None:
    s, ensemble, sketched = ready
    kept = BlockSet(sketched.blocks.grid, {n: v for n, v in sketched.blocks if n != 2})
    result = expand(ensemble, s.levels, kept)
    assert list(result.blocks.blocks) == [1, 3]


def test_pieces_of_one_block_merged_by_hand_grow_as_one(ready: Ready) -> None:
    s, ensemble, sketched = ready
    whole = sketched.blocks.blocks[1]
    result = expand(
        ensemble,
        s.levels,
        replace(sketched.blocks, blocks={1: np.union1d(whole[:10], whole[-10:])}),
    )
    assert max(iou(u.voxels, result.blocks.blocks[1]) for u in s.units) > 0.8


def test_two_blocks_merged_by_hand_stay_together_whole(ready: Ready) -> None:
    s, ensemble, sketched = ready
    merged = np.union1d(sketched.blocks.blocks[1], sketched.blocks.blocks[2])
    result = expand(
        ensemble,
        s.levels,
        replace(sketched.blocks, blocks={1: merged, 3: sketched.blocks.blocks[3]}),
    )
    assert np.isin(merged, result.blocks.blocks[1]).all()


def test_voxels_drawn_by_hand_stay_even_where_nothing_is_ever_occupied(ready: Ready) -> None:
    s, ensemble, sketched = ready
    drawn = np.union1d(sketched.blocks.blocks[1], [0, 1, 2])
    result = expand(
        ensemble, s.levels, replace(sketched.blocks, blocks={1: drawn, 2: np.array([5, 6])})
    )
    assert np.isin(drawn, result.blocks.blocks[1]).all() and result.blocks.blocks[2].tolist() == [
        5,
        6,
    ]


def test_blocks_of_other_volumes_are_refused(ready: Ready) -> None:
    s, ensemble, _ = ready
    for parameters in (ExpandParameters(), ExpandParameters(statistic="published")):
        with pytest.raises(SirenError, match="belong to these volumes"):
            expand(ensemble, s.levels, BlockSet(ensemble.grid, {1: np.array([0, 1])}), parameters)
        with pytest.raises(SirenError, match="no block to expand"):
            expand(ensemble, s.levels, BlockSet(ensemble.grid, {}), parameters)


def test_expanding_can_be_cancelled(ready: Ready) -> None:
    s, ensemble, sketched = ready
    progress = Progress(
        lambda name, _: progress.cancel() if name == "expanding blocks" else None, interval=0
    )
    with pytest.raises(Cancelled):
        expand(ensemble, s.levels, sketched.blocks, None, progress)
