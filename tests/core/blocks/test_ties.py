"""Many voxels of one profile, and many ties: the same blocks, in the memory that was said."""

from __future__ import annotations

import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from chimerax.siren.core.blocks import similarity
from chimerax.siren.core.blocks.background import measure_background
from chimerax.siren.core.blocks.communities import voxel_communities
from chimerax.siren.core.blocks.dilation import dilated
from chimerax.siren.core.blocks.evidence import measure_evidence
from chimerax.siren.core.blocks.expand import expand
from chimerax.siren.core.blocks.occupancy import Occupancy, binarize
from chimerax.siren.core.blocks.outliers import junk_volumes
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.blocks.similarity import SimilarityGraph
from chimerax.siren.core.blocks.sketch import SketchResult, compare, sketch
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.compute import resources
from chimerax.siren.core.compute.resources import pair_requirements, reading_memory
from chimerax.siren.core.maps.ensemble import Ensemble
from chimerax.siren.core.maps.grid import Grid
from ensembles import in_memory

BOX, VOLUMES = 36, 60


def clean(kind: str, volumes: int = VOLUMES, seed: int = 0) -> tuple[Ensemble, list[np.ndarray]]:
    """Sharp parts in empty space, all voxels of a part alike; or a ball of many sizes."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((volumes, BOX, BOX, BOX), np.float32)
    zyx = np.indices((BOX,) * 3) - BOX / 2
    radius = np.sqrt((zyx**2).sum(axis=0))
    parts = []
    if kind == "parts":
        for number, corner in enumerate(((2, 2, 2), (20, 4, 20), (20, 22, 4))):
            part = np.zeros((BOX,) * 3, bool)
            part[tuple(slice(c, c + 12) for c in corner)] = True
            parts.append(part)
            maps[rng.permutation(volumes) < (0.3 + 0.2 * number) * volumes] += part
        maps += radius < 4
    else:
        for one in maps:
            one[radius < 8 + 8 * rng.random()] = 1
    return in_memory(np.minimum(maps, 1)), parts


def test_a_clean_block_is_found_whole_with_a_pair_a_voxel_and_not_with_all_pairs() -> None:
    ensemble, parts = clean("parts")
    result = sketch(ensemble, np.full(VOLUMES, 0.5), SketchParameters(resamples=4))
    assert len(result.blocks) == 3
    for part in parts:
        drawn = np.intersect1d(np.flatnonzero(part), result.sample)
        assert any(np.array_equal(np.sort(voxels), drawn) for _, voxels in result.blocks)
    assert len(result.edges) < len(result.sample)
    assert set(result.blocks.stability.values()) == {1.0}


def peak(ensemble: Ensemble, progress: Progress) -> tuple[float, SketchResult]:
    tracemalloc.start()
    result = sketch(ensemble, np.full(len(ensemble), 0.5), SketchParameters(resamples=2), progress)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used, result


@pytest.mark.parametrize(("kind", "volumes"), [("parts", 60), ("sizes", 60), ("sizes", 15)])
@pytest.mark.slow
def test_clean_volumes_take_no_more_memory_than_was_said(kind: str, volumes: int) -> None:
    ensemble, _ = clean(kind, volumes)
    used, result = peak(ensemble, Progress())
    count = len(result.sample)
    said = reading_memory(volumes, ensemble.grid.size)
    said += pair_requirements(count, volumes, constants.NEIGHBORS * count).memory
    assert used < said
    assert len(result.edges) <= 2 * constants.NEIGHBORS * count


def plain_strongest(
    value: np.ndarray, least: float, count: int, copies: np.ndarray
) -> set[tuple[int, int]]:
    """By sorting each row of voxels, with ties."""
    kept = set()
    for row, line in enumerate(value):
        above = [c for c in range(len(line)) if line[c] > least]
        every = sorted((line[c] for c in above for _ in range(copies[c])), reverse=True)
        cut = every[count - 1] if len(every) >= count else -np.inf
        kept |= {(row, c) for c in above if line[c] >= cut}
    return kept


@pytest.mark.parametrize("most", [1, 4, 40])
@pytest.mark.parametrize("values", [10**6, 30])
def test_the_strongest_partners_are_those_of_plain_loops_with_copies_and_ties(
    most: int, values: int
) -> None:
    rng = np.random.default_rng(most)
    value = (rng.integers(0, values, (20, 90)) / values).astype(np.float32)
    copies = rng.integers(1, most + 1, 90)
    row, column = np.nonzero(value > 0.6)
    kept = similarity._strongest(
        row.astype(np.int32),
        column.astype(np.int32),
        value[row, column],
        7,
        None if most == 1 else copies,
    )
    found = set(zip(row[kept].tolist(), column[kept].tolist(), strict=True))
    assert found == plain_strongest(value, 0.6, 7, copies)


def test_of_very_many_ties_the_nearest_are_kept() -> None:
    column = np.arange(100, dtype=np.int32)
    kept = similarity._strongest(np.full(100, 50, np.int32), column, np.ones(100, np.float32), 6)
    np.testing.assert_array_equal(column[kept], np.arange(44, 56))


def test_one_node_for_many_gives_the_communities_of_all_of_them() -> None:
    """Two cliques of 40 and 60, and 30 nodes of which 20 go with the first."""
    rng = np.random.default_rng(2)
    cliques = [np.arange(40), np.arange(40, 100)]
    pairs = [(a, b) for clique in cliques for a in clique for b in clique if a < b]
    few = [(int(rng.choice(cliques[0])), n) for n in range(100, 120) for _ in range(8)]
    loose = [(n, n + 1) for n in range(100, 119)] + [(n, n + 1) for n in range(120, 129)]
    edges = np.unique(np.array(pairs + few + loose), axis=0)
    all_of_them = voxel_communities(130, edges, np.ones(len(edges)), 6)
    stand_in = np.arange(130)
    stand_in[:40], stand_in[40:100] = 0, 40
    one = np.unique(stand_in[np.array(few + loose)], axis=0)
    found = voxel_communities(130, one, np.ones(len(one)), 6, stand_in=stand_in)
    assert {frozenset(c.tolist()) for c in found} == {frozenset(c.tolist()) for c in all_of_them}


def test_voxels_that_are_alike_by_chance_do_not_stand_for_each_other() -> None:
    """Two volumes that share 40 voxels of noise make 40 voxels of one profile."""
    rng = np.random.default_rng(3)
    maps = np.zeros((40, 12, 12, 12), np.float32)
    maps[:, 3:8, 3:8, 3:8] = rng.random((40, 1, 1, 1)) < 0.5
    maps[:2, 10, 2:6, 2:12] = 1
    maps[:, 0, 0, 0] = 1  # no map is empty
    compared = compare(
        in_memory(maps), np.full(40, 0.5), SketchParameters(subsample=1, posp=0.001), Progress()
    )
    assert isinstance(compared.graph, SimilarityGraph)
    speck = np.isin(compared.sample, np.flatnonzero(maps[0] * (maps[2:].sum(axis=0) == 0)))
    own = np.arange(len(speck))
    assert speck.sum() == 40
    standing = compared.graph.standing_for(0.001)
    np.testing.assert_array_equal(standing[speck], own[speck])
    assert len(np.unique(standing[~speck])) == 1


# --- in parts, and in fewer readings


def noisy(seed: int = 1) -> Ensemble:
    maps = clean("parts", seed=seed)[0]
    rng = np.random.default_rng(seed)
    arrays = np.stack([a for _, a in maps.read()])
    return in_memory(arrays + rng.normal(0, 0.25, arrays.shape).astype(np.float32))


def test_strips_and_tiles_do_not_change_junk_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble, levels = noisy(), np.full(VOLUMES, 0.5)
    arrays = np.stack([a for _, a in ensemble.read()])
    arrays[7] = np.random.default_rng(0).random(arrays[7].shape) * 2
    occupancy = binarize(in_memory(arrays), levels)
    junk = junk_volumes(occupancy, occupancy.union(0.01))
    result = sketch(ensemble, levels, SketchParameters(resamples=2))
    grown = expand(ensemble, levels, result.blocks, ExpandParameters(resamples=2))
    assert junk[7] and not junk.all() and len(grown.blocks) == 3
    monkeypatch.setattr(constants, "SIMILARITY_VOLUMES_AT_ONCE", 7)
    monkeypatch.setattr(constants, "SIMILARITY_VALUES_AT_ONCE", 1000)
    monkeypatch.setattr(constants, "TILE_VALUES", 100 * VOLUMES)
    np.testing.assert_array_equal(junk_volumes(occupancy, occupancy.union(0.01)), junk)
    again = sketch(ensemble, levels, SketchParameters(resamples=2))
    more = expand(ensemble, levels, result.blocks, ExpandParameters(resamples=2))
    for one, other in ((result, again), (grown, more)):
        assert one.blocks.stability == other.blocks.stability
        for (_, a), (_, b) in zip(one.blocks, other.blocks, strict=True):
            np.testing.assert_array_equal(a, b)


def test_counts_are_sums_of_rows() -> None:
    ensemble = noisy()
    occupancy = binarize(ensemble, np.full(VOLUMES, 0.5))
    voxels = np.random.default_rng(0).permutation(ensemble.grid.size)[:5000]
    np.testing.assert_array_equal(occupancy.counts(voxels), occupancy.rows(voxels).sum(axis=0))
    some = Occupancy(
        occupancy.names,
        occupancy.levels,
        np.packbits(occupancy.rows(np.sort(voxels)).T.astype(bool), axis=1),
        occupancy.grid,
        occupancy.mean,
        among=np.sort(voxels),
    )
    np.testing.assert_array_equal(some.counts(voxels[:99]), occupancy.counts(voxels[:99]))


@pytest.mark.parametrize("shape", [(20, 30, 25), (12, 12, 12)])
def test_voxels_around_a_block_are_those_within_reach_of_a_distance_transform(
    shape: tuple[int, int, int],
) -> None:
    rng = np.random.default_rng(0)
    for count in (1, 3, 40):
        mask = np.zeros(shape, bool)
        mask.ravel()[rng.choice(mask.size, count, replace=False)] = True
        near = ndimage.distance_transform_edt(~mask) <= constants.MASS_REACH
        found = dilated(np.flatnonzero(mask), Grid(shape, (1.0,) * 3), constants.MASS_REACH)
        np.testing.assert_array_equal(found, np.flatnonzero(near))


def test_one_reading_gives_the_background_and_the_evidence_of_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ensemble, levels = noisy(), np.full(VOLUMES, 0.5)
    result = sketch(ensemble, levels, SketchParameters(resamples=0))
    background = measure_background(ensemble, result.occupancy, Progress())
    readings = []
    plain = Ensemble.read_voxels

    def counted(self: Ensemble, *arguments: object) -> object:
        readings.append(1)
        return plain(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Ensemble, "read_voxels", counted)
    once = measure_evidence(result.blocks, result.occupancy, ensemble)
    assert len(readings) == 1
    twice = measure_evidence(result.blocks, result.occupancy, ensemble, background)
    assert once.blocks == twice.blocks and once.noise == twice.noise
    np.testing.assert_array_equal(once.background.base, background.base)
    np.testing.assert_array_equal(once.background.height, background.height)


def test_an_expansion_that_does_not_fit_is_refused_before_a_map_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ensemble, levels = noisy(), np.full(VOLUMES, 0.5)
    blocks = sketch(ensemble, levels, SketchParameters(resamples=0)).blocks
    monkeypatch.setattr(resources, "free_memory", lambda: 1e6)
    monkeypatch.setattr(Ensemble, "read", None)
    with pytest.raises(SirenError, match=r'needs about .* are free: use "box 32", or fewer'):
        expand(ensemble, levels, blocks)


def test_the_box_that_a_refusal_names_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid((900, 900, 900), (1.0, 1.0, 1.0))
    ensemble = replace(noisy(), grid=grid)
    monkeypatch.setattr(resources, "free_memory", lambda: 2e9)
    with pytest.raises(SirenError, match=r'use "box (\d+)"') as refusal:
        resources.check_reading(ensemble, 1, Progress())
    (box,) = map(int, re.findall(r"box (\d+)", str(refusal.value)))
    needed = reading_memory(len(ensemble), box**3)
    assert resources.fits_in_memory(resources.Requirements(needed, 0.0))
    assert not resources.fits_in_memory(
        resources.Requirements(reading_memory(len(ensemble), (2 * box) ** 3), 0.0)
    )
