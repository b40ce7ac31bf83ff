"""Averages of volumes with and without blocks, against plain loops and random partings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chimerax.siren.core.analysis.block_occupancy import States
from chimerax.siren.core.analysis.parameters import SubsetParameters
from chimerax.siren.core.analysis.selection import Selection
from chimerax.siren.core.analysis.subsets import average_maps, choose_volumes, spread_volumes
from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.occupancy import binarize
from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble
from ensembles import in_memory

SHAPE, VOLUMES = (14, 15, 16), 60
LEVEL = 0.5


def states_of(present: np.ndarray) -> States:
    """States (B, V) of blocks of 100, 50, 50 ... voxels."""
    count, volumes = present.shape
    names = tuple(f"vol_{i:03d}.mrc" for i in range(volumes))
    sizes = np.array([100, *[50] * (count - 1)])
    share = present.astype(np.float32)
    return States(names, np.full(volumes, LEVEL), tuple(range(1, count + 1)), sizes, share)


def planted(
    seed: int = 0, scales: bool = False
) -> tuple[Ensemble, States, BlockSet, np.ndarray, np.ndarray]:
    """Two blocks in a noisy box; of each volume scale and offset may differ."""
    rng = np.random.default_rng(seed)
    present = rng.random((2, VOLUMES)) < 0.5
    maps = rng.normal(0, 0.05, (VOLUMES, *SHAPE))
    maps[:, 5:9, 5:9, 5:9] += 1
    boxes = (slice(1, 4), slice(1, 4), slice(2, 6)), (slice(10, 13), slice(9, 13), slice(9, 12))
    for k, box in enumerate(boxes):
        maps[(slice(None), *box)] += present[k][:, None, None, None]
    factor = rng.uniform(0.5, 2, VOLUMES) if scales else np.ones(VOLUMES)
    offset = rng.uniform(-1, 1, VOLUMES) if scales else np.zeros(VOLUMES)
    maps = factor[:, None, None, None] * maps + offset[:, None, None, None]
    ensemble = in_memory(maps.astype(np.float32))
    voxels = []
    for box in boxes:
        mask = np.zeros(SHAPE, bool)
        mask[box] = True
        voxels.append(np.flatnonzero(mask))
    blocks = BlockSet(ensemble.grid, dict(enumerate(voxels, 1)))
    levels = factor * LEVEL + offset
    return ensemble, replace(states_of(present), levels=levels), blocks, maps, present


def averaged(seed: int = 0, scales: bool = False, selection: Selection | None = None, **more):
    ensemble, states, blocks, maps, present = planted(seed, scales)
    subset = choose_volumes(states, selection or Selection((1,)), SubsetParameters(**more))
    occupancy = binarize(ensemble, states.levels)
    found = average_maps(
        subset, states.names, blocks, ensemble, occupancy, SubsetParameters(**more)
    )
    return found, subset, maps, present


def test_averages_are_those_of_the_volumes_on_a_scale_with_the_level_at_one():
    found, subset, maps, present = averaged()
    assert np.array_equal(subset.chosen, np.flatnonzero(present[0]))
    assert np.array_equal(subset.others, np.flatnonzero(~present[0]))
    # noise has a median of 0, up to some thousandths
    assert found.mean == pytest.approx(maps[present[0]].mean(axis=0) / LEVEL, abs=0.02)
    assert found.others == pytest.approx(maps[~present[0]].mean(axis=0) / LEVEL, abs=0.02)
    assert found.difference == pytest.approx(found.mean - found.others, abs=1e-6)
    assert found.by_block[1] == pytest.approx(1 / LEVEL, abs=0.05)
    assert found.above >= 27 and abs(found.by_block[2]) < found.level


def test_the_scales_of_volumes_do_not_matter_where_their_levels_follow():
    plain, scaled = averaged()[0], averaged(scales=True)[0]
    assert scaled.mean == pytest.approx(plain.mean, abs=0.01)
    assert scaled.difference == pytest.approx(plain.difference, abs=0.01)


def test_the_level_is_that_of_random_partings_of_the_same_volumes():
    found, subset, maps, _ = averaged(sd=1.0)
    rng = np.random.default_rng(1)
    ever = (maps > LEVEL).any(axis=0)
    many = []
    for _ in range(1500):
        order = rng.permutation(VOLUMES)
        some, rest = np.split(order, [len(subset.chosen)])
        many.append((maps[some].mean(axis=0) - maps[rest].mean(axis=0))[ever] / LEVEL)
    expected = np.percentile(np.std(many, axis=0), 95)
    assert found.level == pytest.approx(expected, rel=0.05)
    assert averaged(sd=3.0)[0].level == pytest.approx(3 * found.level)


def test_random_sets_show_hardly_any_voxel_beyond_the_level():
    ensemble, states, blocks, _, _ = planted()
    occupancy = binarize(ensemble, states.levels)
    rng = np.random.default_rng(3)
    beyond = 0
    for _ in range(20):
        mixed = replace(states, share=rng.permuted(states.share, axis=1))
        subset = choose_volumes(mixed, Selection((1,)))
        found = average_maps(subset, states.names, blocks, ensemble, occupancy)
        beyond += found.above + found.below
    assert beyond < 20 * 0.01 * (occupancy.frequency > 0).sum()


def test_opposite_compares_with_those_that_lack_what_the_others_have():
    _, subset, _, present = averaged(selection=Selection((1,), (2,)), against="opposite")
    assert np.array_equal(subset.chosen, np.flatnonzero(present[0] & ~present[1]))
    assert np.array_equal(subset.others, np.flatnonzero(~present[0] & present[1]))


def test_all_volumes_have_no_others_to_be_compared_with():
    found, subset, maps, _ = averaged(selection=Selection())
    assert len(subset.others) == 0 and found.difference is None and found.others is None
    assert found.mean == pytest.approx(maps.mean(axis=0) / LEVEL, abs=0.02)


def test_the_first_representative_is_typical_and_each_next_one_the_most_different():
    present = np.zeros((3, 7), bool)
    present[0, 1:] = present[1, 2:] = True
    present[2, 6] = True
    states = states_of(present)
    voxels = (states.share * states.sizes[:, None]).T.astype(float)
    found = spread_volumes(states, np.arange(7), 3)
    mean = voxels.mean(axis=0)
    assert found[0] == min(range(7), key=lambda v: abs(voxels[v] - mean).sum())
    for n in (1, 2):
        far = [min(abs(voxels[v] - voxels[k]).sum() for k in found[:n]) for v in range(7)]
        assert found[n] == far.index(max(far))
    # as many as differ: four states
    assert len(spread_volumes(states, np.arange(7), 9)) == 4


def test_a_volume_that_is_not_there_is_named():
    ensemble, states, blocks, _, _ = planted()
    fewer = ensemble.of(ensemble.names[:50])
    occupancy = binarize(fewer, states.levels[:50])
    subset = choose_volumes(states, Selection((1,)))
    with pytest.raises(SirenError, match=r"^vol_05\d.mrc is not among the volumes"):
        average_maps(subset, states.names, blocks, fewer, occupancy)


def test_averaging_can_be_stopped_between_two_volumes():
    ensemble, states, blocks, _, _ = planted()
    occupancy, progress = binarize(ensemble, states.levels), Progress()
    progress._report = lambda phase, fraction: progress.cancel()
    with pytest.raises(Cancelled):
        average_maps(
            choose_volumes(states, Selection((1,))),
            states.names,
            blocks,
            ensemble,
            occupancy,
            progress=progress,
        )
