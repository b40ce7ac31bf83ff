"""Stability and membership strength, against numpy's own correlation and blocks that are there or
made up.
"""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from chimerax.siren.core.blocks.background import measure_background
from chimerax.siren.core.blocks.blockset import BlockSet, read_blocks_file
from chimerax.siren.core.blocks.expand import expand
from chimerax.siren.core.blocks.occupancy import Occupancy, binarize
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.blocks.stability import (
    COMING_BACK,
    draw_halves,
    halves_at_other_levels,
    recovery_rate,
    with_strength,
)
from chimerax.siren.core.blocks.statistics.profile import STATISTIC
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.errors import Cancelled
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.maps.grid import Grid
from ensembles import LEVEL, in_memory, write_planted

GRID = Grid((6, 6, 6), (2.0, 2.0, 2.0))


def occupancy_of(rows: NDArray[np.bool_]) -> Occupancy:
    """Occupancy from (N, V) rows."""
    names = tuple(f"{v}.mrc" for v in range(rows.shape[1]))
    return Occupancy(
        names,
        np.ones(len(names)),
        np.packbits(rows.T, axis=1),
        GRID,
        np.zeros(GRID.shape, np.float32),
    )


def test_strength_is_the_correlation_with_the_rest_of_the_block() -> None:
    rng = np.random.default_rng(3)
    rows = rng.random((216, 70)) < 0.4
    rows[10:30] ^= rows[5]
    rows[12] = True  # one that never varies
    voxels = np.arange(8, 32)
    found = with_strength(
        BlockSet(GRID, {4: voxels, 9: np.array([3])}), occupancy_of(rows)
    ).strength
    for position, voxel in enumerate(voxels):
        rest = rows[np.setdiff1d(voxels, voxel)].mean(axis=0)
        expected = 0 if voxel == 12 else np.corrcoef(rows[voxel], rest)[0, 1]
        assert found[4][position] == pytest.approx(expected, abs=1e-5)
    assert found[9].tolist() == [0]  # alone, it belongs to nothing


def test_halves_are_complementary_and_hold_some_voxels_of_each_block() -> None:
    blocks, others = [np.arange(100), np.arange(150, 161), np.arange(170, 173)], np.arange(173, 216)
    halves = draw_halves(blocks, others, 21, 7, 0)
    assert len(halves) == 7
    for (one, _), (other, _) in zip(halves[:6:2], halves[1:6:2], strict=True):
        assert not (one & other).any() and (one | other).all() and one.sum() in (10, 11)
    assert len({tuple(half) for half, _ in halves}) == 7
    for _, voxels in halves:
        assert [np.isin(b, voxels).sum() for b in blocks] == [50, 6, 2]
        assert np.isin(voxels, others).sum() == len(others) // 2 and len(np.unique(voxels)) == len(
            voxels
        )
    assert draw_halves([], others, 21, 7, 0) == draw_halves(blocks, others, 3, 7, 0) == []


def test_the_share_is_what_is_counted_by_hand() -> None:
    blocks = [np.arange(10), np.arange(20, 26)]
    drawn = [np.arange(0, 30, 2), np.arange(30), np.arange(30), np.arange(30)]
    # J 1, 0.8 and 0.5, 0.5, 10/19
    found = [
        [np.arange(0, 10, 2)],
        [np.arange(8), np.arange(20, 23)],
        [np.arange(5)],
        [np.arange(19)],
    ]
    assert recovery_rate(blocks, found, drawn) == [0.75, 0.0]
    assert recovery_rate(blocks, [], []) == [0.0, 0.0]


@pytest.mark.slow
def test_planted_blocks_come_back_and_a_made_up_one_does_not(tmp_path: Path) -> None:
    planted = write_planted(tmp_path / "volumes")  # with half of 120, the exact test finds nothing
    ensemble = find_ensemble([planted.folder])
    levels = np.full(len(ensemble), LEVEL)
    for statistic in ("profile", "exact"):
        found = sketch(ensemble, levels, SketchParameters(statistic=statistic)).blocks
        assert len(found) == 2
        assert all(s == 1 for s in found.stability.values())
    right = np.flatnonzero(planted.masks["right"])
    anywhere = np.random.default_rng(1).choice(ensemble.grid.size, 60, replace=False)
    noisy = replace(ExpandParameters(), union_fraction=0.0)
    grown = expand(
        ensemble,
        np.full(len(ensemble), 0.08),
        BlockSet(ensemble.grid, {1: right, 2: anywhere}),
        noisy,
    ).blocks
    assert grown.stability[1] == 1 and grown.stability[2] < 0.5
    assert grown.strength[1].mean() > 0.9 > 0.5 > grown.strength[2].mean()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_and_none_is_left_open(tmp_path: Path) -> None:
    planted = write_planted(tmp_path / "volumes", volumes=60)
    ensemble = find_ensemble([planted.folder])
    levels = np.full(len(ensemble), LEVEL)
    runs = [sketch(ensemble, levels, SketchParameters(seed=4)).blocks for _ in range(2)]
    assert runs[0].stability == runs[1].stability and len(runs[0].stability) == 2
    assert sketch(ensemble, levels, SketchParameters(resamples=0)).blocks.stability == {}


def test_a_written_block_file_keeps_them(tmp_path: Path) -> None:
    blocks = BlockSet(
        GRID,
        {1: np.array([1, 5]), 3: np.array([7])},
        stability={1: 0.9, 3: 0.1},
        strength={1: np.array([0.25, 1], np.float32), 3: np.array([0], np.float32)},
    )
    blocks.write(
        tmp_path, blocks.table(np.zeros(GRID.size, int), 2), np.zeros(GRID.shape, np.float32)
    )
    back = read_blocks_file(tmp_path / "blocks.json")
    assert back.stability == blocks.stability
    assert {n: s.tolist() for n, s in back.strength.items()} == {1: [0.25, 1.0], 3: [0.0]}


def test_it_stops_when_asked(tmp_path: Path) -> None:
    planted = write_planted(tmp_path / "volumes", volumes=60)
    ensemble = find_ensemble([planted.folder])
    progress = Progress(lambda phase, fraction: progress.cancel() if phase == COMING_BACK else None)
    with pytest.raises(Cancelled):
        sketch(ensemble, np.full(len(ensemble), LEVEL), progress=progress)


def test_halves_are_binarized_at_levels_between_the_background_and_the_density() -> None:
    rng = np.random.default_rng(2)
    maps = rng.normal(5, 0.1, (8, *GRID.shape)).astype(np.float32)  # a background of 5
    maps[:, 2:4, 2:4, 2:4] = rng.uniform(5, 8, (8, 2, 2, 2))  # what is above it
    levels = np.linspace(6.0, 7.0, 8)
    ensemble = in_memory(maps)
    occupancy = binarize(ensemble, levels)
    voxels = np.array([3, 86, 87, 92, 93, 215])
    halves = [(np.arange(8) % 2 == k % 2, voxels[k:]) for k in range(5)]
    background = measure_background(ensemble, occupancy, Progress())
    found = halves_at_other_levels(ensemble, occupancy, background, halves, Progress())
    base = np.median(maps.reshape(8, -1)[:, occupancy.frequency == 0], axis=1)
    for part, (half, needed), factor in zip(
        found, halves, (*constants.LEVEL_FACTORS, constants.LEVEL_FACTORS[0]), strict=True
    ):
        cut = (base + factor * (levels - base))[half]
        expected = maps.reshape(8, -1)[half][:, needed] > cut[:, None]
        np.testing.assert_array_equal(part.rows(needed), expected.T)
        np.testing.assert_allclose(part.levels, cut)
        assert len(part) == 4 and part.names == tuple(np.array(ensemble.names)[half])
        counts = np.zeros(216, int)
        counts[needed] = expected.sum(axis=0)
        np.testing.assert_array_equal(part.frequency, counts)
    assert any(part.bits.any() for part in found)


def test_a_surface_that_moves_across_the_level_does_not_come_back_at_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both halves of the volumes show it: only the level tells it from a part."""
    rng = np.random.default_rng(5)
    shape = (24, 24, 24)
    z, y, x = np.indices(shape) - 11.5
    radius = np.sqrt(z**2 + y**2 + x**2)
    maps = rng.normal(0, 0.02, (120, *shape))
    breathes, there = rng.random(120) < 0.5, rng.random(120) < 0.5
    part = (np.abs(z - 6) < 3) & (np.abs(y) < 3) & (np.abs(x) < 3)
    ball = 2 / (1 + np.exp((radius - 5) / 1.5))
    for v in range(120):
        maps[v] += np.where(part, 0, ball) * (1.1 if breathes[v] else 0.95) + 2 * part * there[v]
    shell = (radius > 4.5) & (radius < 5.5) & ~part
    ensemble = in_memory(maps.astype(np.float32))
    blocks = BlockSet(ensemble.grid, {1: np.flatnonzero(part), 2: np.flatnonzero(shell)})
    grown = expand(ensemble, np.ones(120), blocks, agreed=True).blocks
    assert grown.stability[1] == 1 and grown.stability[2] < 0.5
    monkeypatch.setattr(constants, "LEVEL_FACTORS", (1.0,))
    grown = expand(ensemble, np.ones(120), blocks, agreed=True).blocks
    assert grown.stability[1] == 1 and grown.stability[2] > 0.8


def test_blocks_grow_by_correlation_where_volumes_share_noise_but_come_back_by_majorities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A correlation hardly depends on the level; which voxels are in most volumes does."""
    rng = np.random.default_rng(6)
    shape, latents = (20, 20, 20), rng.standard_normal((80, 3))
    maps = np.tensordot(0.05 * latents, rng.standard_normal((3, *shape)), 1)
    maps[:, 8:14, 8:14, 8:14] += 2
    maps[:, 8:14, 8:14, 3:7] += 2 * (latents[:, 0] > 0)[:, None, None, None]
    ensemble = in_memory(maps.astype(np.float32))
    part = np.zeros(shape, bool)
    part[9:13, 9:13, 4:6] = True
    blocks = BlockSet(ensemble.grid, {1: np.flatnonzero(part)})
    asked: list[tuple[int, bool]] = []
    join = STATISTIC.join

    def recorded(occupancy: Occupancy, *given: Any, **named: Any) -> Any:
        known = signature(join).bind(occupancy, *given, **named).arguments
        asked.append((len(occupancy), known.get("dependent", False)))
        return join(occupancy, *given, **named)

    monkeypatch.setattr(type(STATISTIC), "join", staticmethod(recorded))
    grown = expand(ensemble, np.ones(80), blocks, ExpandParameters(resamples=4), agreed=True)
    assert asked == [(80, True), *[(40, False)] * 4]
    assert len(grown.blocks.blocks[1]) == 6 * 6 * 4 and grown.blocks.stability[1] == 1
