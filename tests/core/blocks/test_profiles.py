"""The profile statistic and what it stands on: harmonized levels, junk, the noise's correlation,
the graph, the blocks.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage, stats

from chimerax.siren.core.blocks import distinct_blocks as distinct_blocks_module
from chimerax.siren.core.blocks import sketch as sketch_module
from chimerax.siren.core.blocks.candidates import split_in_half
from chimerax.siren.core.blocks.distinct_blocks import distinct_blocks, is_coherent, told_apart
from chimerax.siren.core.blocks.level_harmonization import binarize_harmonized, read_anchors
from chimerax.siren.core.blocks.noise import Noise, PairNoise, measure_noise, noise_distance
from chimerax.siren.core.blocks.occupancy import Occupancy, binarize, variable_voxels
from chimerax.siren.core.blocks.outliers import junk_volumes
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.presence import presence
from chimerax.siren.core.blocks.profiles import (
    block_profiles,
    correlations,
    grown_blocks,
    members,
    rest_correlations,
)
from chimerax.siren.core.blocks.significance import (
    differs,
    discoveries,
    shares_differ,
    significant_phi,
)
from chimerax.siren.core.blocks.similarity import SimilarityGraph, similarity_graph
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.blocks.statistics import statistic_named
from chimerax.siren.core.blocks.statistics.protocol import Observation
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.errors import Cancelled
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble
from chimerax.siren.core.maps.grid import Grid
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
SILENT = Noise(np.ones(1))


def simulated(parameters: ExampleParameters) -> tuple[Simulation, Ensemble]:
    s = simulate(parameters)
    return s, in_memory(np.stack([s.volume(i) for i in range(len(s))]), parameters.voxel_size)


def occupancy_of(rows: np.ndarray, shape: tuple[int, int, int]) -> Occupancy:
    """Occupancy from (N, V) 0/1 rows."""
    return Occupancy(
        tuple(map(str, range(rows.shape[1]))),
        np.ones(rows.shape[1]),
        np.packbits(rows.T.astype(bool), axis=1),
        Grid(shape, (1.0, 1.0, 1.0)),
        np.zeros(shape, np.float32),
    )


def told_blocks(
    occupancy: Occupancy, communities: list[np.ndarray], **measured: bool
) -> np.ndarray:
    """The block of each of 1,000 voxels, all sampled, in volumes without noise."""
    sample = np.arange(1000)
    return distinct_blocks(occupancy, sample, SILENT, communities, 6, 0.01, Progress(), **measured)


@pytest.fixture(scope="module")
def particle() -> tuple[Simulation, Ensemble]:
    return simulated(PARTICLE)


# --- thresholds


def spread(occupancy: Occupancy, s: Simulation) -> float:
    """SD of the log of level over true level."""
    return float(np.std(np.log(occupancy.levels / s.levels)))


@pytest.mark.parametrize("kind", ["jitter", "one"])
def test_wrong_thresholds_come_to_agree_with_the_scales(
    particle: tuple[Simulation, Ensemble], kind: str
) -> None:
    s, ensemble = particle
    given = (
        s.levels * np.random.default_rng(1).uniform(0.8, 1.2, len(s))
        if kind == "jitter"
        else np.full(len(s), s.level)
    )
    occupancy, _ = binarize_harmonized(ensemble, given, False, 0.01, Progress())
    assert np.std(np.log(given / s.levels)) > 0.1
    assert len(occupancy) == len(s) and spread(occupancy, s) < 0.05


def test_right_thresholds_stay_nearly_as_they_are_offsets_or_not() -> None:
    for offset in (0.0, 0.4):
        s, ensemble = simulated(replace(PARTICLE, offset_jitter=offset))
        occupancy, _ = binarize_harmonized(ensemble, s.levels, False, 0.01, Progress())
        assert np.std((occupancy.levels - s.levels) / (s.scale * s.level)) < 0.04


def test_harmonizing_twice_changes_nothing_more(particle: tuple[Simulation, Ensemble]) -> None:
    s, ensemble = particle
    given = s.levels * np.random.default_rng(1).uniform(0.8, 1.2, len(s))
    once, _ = binarize_harmonized(ensemble, given, False, 0.01, Progress())
    twice, _ = binarize_harmonized(ensemble, once.levels, False, 0.01, Progress())
    np.testing.assert_array_equal(once.levels, twice.levels)


def test_without_a_core_thresholds_stay_as_given() -> None:
    s, ensemble = simulated(replace(PARTICLE, core_residues=0))
    given = s.levels * np.random.default_rng(1).uniform(0.8, 1.2, len(s))
    occupancy, _ = binarize_harmonized(ensemble, given, False, 0.01, Progress())
    assert set(occupancy.levels) <= set(given)


# --- junk


def test_junk_volumes_are_left_out_with_a_reason_and_no_other() -> None:
    s, ensemble = simulated(replace(PARTICLE, junk=0.1))
    occupancy, _ = binarize_harmonized(ensemble, s.levels, False, 0.01, Progress())
    assert set(occupancy.left_out) == {n for n, j in zip(ensemble.names, s.junk, strict=True) if j}
    assert all("unlike" in reason for reason in occupancy.left_out.values())


def test_a_minority_whose_members_are_like_each_other_is_no_junk() -> None:
    rng = np.random.default_rng(0)
    rows = np.zeros((1000, 100))
    rows[:600, :94] = 1
    rows[500:900, 94:] = 1  # six volumes of another particle
    rows = np.abs(rows - (rng.random(rows.shape) < 0.05))
    rows[:, 50] = rng.random(1000) < 0.5  # and one of nothing
    occupancy = occupancy_of(rows, (10, 10, 10))
    assert np.flatnonzero(junk_volumes(occupancy, occupancy.union(0.01))).tolist() == [50]


@pytest.mark.parametrize("complete", [88, 1])
def test_complete_volumes_are_no_junk_where_edges_are_sharp(complete: int) -> None:
    rng = np.random.default_rng(1)
    rows = np.zeros((1000, 100))
    rows[:300] = 1  # the core, then eight blocks that come and go; the rest is empty
    for k in range(8):
        rows[300 + 50 * k : 350 + 50 * k] = rng.random(100) < 0.5
    rows[300:700, :complete] = 1
    rows[:, 99] = rng.random(1000) < 0.4  # a volume of nothing
    occupancy = occupancy_of(rows, (10, 10, 10))
    union = occupancy.union(0.01)
    assert rows[union, :complete].all()
    assert np.flatnonzero(junk_volumes(occupancy, union)).tolist() == [99]


@pytest.mark.parametrize("surroundings", [0, 100, 3000])
@pytest.mark.parametrize("occupancy", [0.1, 0.3, 0.8])
@pytest.mark.parametrize("complete", [1, 2, 10])
def test_complete_volumes_are_no_junk_however_few_and_tight_the_box(
    complete: int, occupancy: float, surroundings: int
) -> None:
    rng = np.random.default_rng(3)
    rows = np.zeros((1000 + surroundings, 100))
    rows[:80] = 1  # a small core: the others are small parts of a complete volume
    for k in range(8):
        rows[80 + 115 * k : 195 + 115 * k] = rng.random(100) < occupancy
    rows[:1000, :complete] = 1
    binary = occupancy_of(rows, (10, 10, len(rows) // 100))
    assert not junk_volumes(binary, binary.union(0.01)).any()


@pytest.mark.parametrize("density", [0.05, 0.3, 0.6])
def test_noise_beside_complete_volumes_is_junk(density: float) -> None:
    rng = np.random.default_rng(4)
    rows = np.zeros((2000, 100))
    rows[:300] = 1
    for k in range(8):
        rows[300 + 50 * k : 350 + 50 * k] = rng.random(100) < 0.4
    rows[:700, :20] = 1
    rows[:, 95:] = rng.random((2000, 5)) < density
    binary = occupancy_of(rows, (10, 10, 20))
    junk = junk_volumes(binary, np.arange(700))
    assert np.flatnonzero(junk).tolist() == [95, 96, 97, 98, 99]


def test_a_volume_whose_level_is_too_high_for_it_is_no_junk() -> None:
    rng = np.random.default_rng(2)
    depth = np.r_[np.linspace(1, 0, 700), np.zeros(300)]
    rows = depth[:, None] + 0.05 * rng.standard_normal((1000, 60)) > rng.uniform(0.2, 0.4, 60)
    rows[:, 7] = depth > 0.95  # its innermost 5 %
    rows[:, 8] = rng.random(1000) < rows[:, 7].mean()  # as many anywhere
    occupancy = occupancy_of(rows.astype(float), (10, 10, 10))
    assert np.flatnonzero(junk_volumes(occupancy, occupancy.union(0.01))).tolist() == [8]


def test_among_thousands_of_volumes_those_are_junk_that_a_comparison_of_all_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(6)
    rows = np.zeros((2000, 500))
    rows[:300] = 1
    for k in range(8):
        rows[300 + 50 * k : 350 + 50 * k] = rng.random(500) < 0.4
    rows[:700, :20] = 1  # complete ones
    rows[:1200, 20:35] = 0
    rows[700:1200, 20:35] = 1  # 3 % of another particle
    rows[:, 35:60] = rng.random((2000, 25)) < rng.uniform(0.1, 0.6, 25)
    rows[:1200] = np.abs(rows[:1200] - (rng.random((1200, 500)) < 0.03))
    binary = occupancy_of(rows, (10, 10, 20))
    all_compared = junk_volumes(binary, np.arange(1200))
    assert np.flatnonzero(all_compared).tolist() == list(range(35, 60))
    compared = 0
    rows_of = Occupancy.rows

    def counted(self: Occupancy, voxels: Any) -> Any:
        nonlocal compared
        compared += 1
        return rows_of(self, voxels)

    monkeypatch.setattr(Occupancy, "rows", counted)
    monkeypatch.setattr(constants, "SIMILARITY_VOLUMES_AT_ONCE", 100)
    assert (junk_volumes(binary, np.arange(1200)) == all_compared).all()
    assert compared <= 2  # of the five times that all of them take


# --- noise


def test_the_noises_correlation_is_measured_by_distance() -> None:
    rng = np.random.default_rng(2)
    white = rng.standard_normal((150, 24, 24, 24)).astype(np.float32)
    maps = np.stack([ndimage.gaussian_filter(w, 1.2, mode="wrap") for w in white])
    maps[:, 10:14, 10:14, 10:14] += 10
    ensemble = in_memory(maps)
    occupancy = binarize(ensemble, np.full(150, 5.0))
    noise = measure_noise(read_anchors(ensemble, occupancy, Progress()), ensemble.grid)
    offsets = np.sqrt((np.indices((13, 13, 13)).reshape(3, -1) - 6.0) ** 2).T
    length = np.linalg.norm(offsets, axis=1)
    # two Gaussians of SD 1.2 overlap as one of SD 1.2 * sqrt(2); a bin holds half a voxel either
    # way
    for d in (1, 2, 3, 4):
        expected = np.exp(-(length[np.rint(length) == d] ** 2) / (4 * 1.2**2)).mean()
        assert noise.correlation[d] == pytest.approx(expected, abs=0.04)
    assert noise.correlation[9:].max() < 0.02


def test_two_voxels_in_noise_are_no_more_alike_than_the_noise_says() -> None:
    rng = np.random.default_rng(3)
    for r in (0.2, 0.6):
        pairs = rng.multivariate_normal([0, 0], [[1, r], [r, 1]], 60_000)
        limit = Noise(np.array([1.0, r])).phi(np.array([1.0]))[0]
        for cut in (0.0, 1.0, 2.0):
            assert np.corrcoef((pairs > cut).T)[0, 1] < limit + 0.012
    assert Noise(np.array([1.0, 0.5])).phi(np.array([7.0])) == 0


def test_noise_goes_around_the_box() -> None:
    grid = Grid((10, 12, 8), (2.0, 1.0, 1.0))
    corner, far = np.array([0]), np.array([np.ravel_multi_index((9, 6, 5), grid.shape)])
    assert noise_distance(corner, far, grid)[0] == pytest.approx(np.sqrt(1 + 36 + (3 * 2) ** 2))


# --- the graph


# the test alone decides, not what was kept for looser ones
@pytest.mark.parametrize("asked", [0.01, 0.5])
def test_alike_pairs_are_those_of_plain_loops(asked: float) -> None:
    rng = np.random.default_rng(4)
    volumes, shape = 60, (4, 4, 4)
    state = rng.random((2, volumes)) < 0.4
    rows = np.where(
        np.arange(64)[:, None] % 3 == 2,
        rng.random((64, volumes)) < 0.3,
        state[np.arange(64) % 3 % 2] ^ (rng.random((64, volumes)) < 0.08),
    ).astype(float)
    rows[::7] = np.isin(np.arange(volumes), (4, 50)) | (rng.random((10, volumes)) < 0.005)
    noise = Noise(np.array([1.0, 0.3, 0.1]))
    sample = np.arange(64)
    found = similarity_graph(occupancy_of(rows, shape), sample, noise, asked, Progress())
    pairs, strength = found.at(0.01)
    margin = stats.norm.isf(0.01 / 64) / np.sqrt(volumes - 3)
    z = np.arctanh(np.corrcoef(rows) * (1 - np.eye(64)))
    strongest = np.zeros((64, 64))
    kept, expected, rare = set(), set(), 0
    for i in range(64):
        passing = []
        for j in range(64):
            apart = [
                abs(a - b)
                for a, b in zip(np.unravel_index(i, shape), np.unravel_index(j, shape), strict=True)
            ]
            distance = round(np.sqrt(sum(min(a, 4 - a) ** 2 for a in apart)))
            shared = 2 / np.pi * np.arcsin({0: 0.999, 1: 0.3, 2: 0.1}.get(distance, 0.0))
            strongest[i, j] = np.tanh(z[i, j] - np.arctanh(shared))
            if i != j and z[i, j] - np.arctanh(shared) > margin:
                passing.append(j)
        kept.update(
            (min(i, j), max(i, j))
            for j in sorted(passing, key=lambda j: -strongest[i, j])[: constants.NEIGHBORS]
        )
    for i in range(64):
        alone, alike = np.ones(64), np.ones(64)  # of all possible partners
        for j in (sum(pair) - i for pair in kept if i in pair):
            both, *each = int((rows[i] * rows[j]).sum()), int(rows[i].sum()), int(rows[j].sum())
            alone[j] = stats.hypergeom.sf(both - 1, volumes, *each)
            if (rows[i] != rows[j]).sum() <= 1:  # many such make up for few volumes
                alike[j] = alone[j]
        together = (stats.false_discovery_control(alike) <= 0.01) & (alike < 1)
        pairs_of = np.flatnonzero(together | (alone <= 0.01 / 64))
        expected.update((min(i, j), max(i, j)) for j in pairs_of)
        rare += int((together & (alone > 0.01 / 64)).sum())
    assert {tuple(p) for p in pairs.tolist()} == expected and len(expected) > 100
    assert rare > 10  # only together
    np.testing.assert_allclose(strength, strongest[tuple(pairs.T)], atol=1e-5)


def test_blocks_in_three_of_sixty_volumes_are_found_and_chance_makes_none() -> None:
    rng = np.random.default_rng(1)
    rows = rng.random((12 * 12 * 12, 60)) < 0.05
    place = np.indices((12, 12, 12)).reshape(3, -1)
    rare = ((place >= 2) & (place < 6)).all(axis=0)
    other = ((place >= 7) & (place < 11)).all(axis=0)
    rows[rare] = rng.random((64, 60)) < np.isin(np.arange(60), (7, 30, 51)) * 0.95
    rows[other] = rng.random((64, 60)) < np.isin(np.arange(60), (1, 2, 3, 40, 41)) * 0.95

    def found(rows: np.ndarray) -> list[np.ndarray]:
        occupancy = occupancy_of(rows.astype(float), (12, 12, 12))
        sample = variable_voxels(occupancy, 0.01)
        statistic = statistic_named("profile")
        observation = Observation(occupancy, sample, SILENT)
        rule = SketchParameters()
        graph = statistic.graph(observation, sample, rule, Progress())
        return statistic.blocks(observation, sample, graph, rule, Progress())

    blocks = found(rows)
    assert len(blocks) == 2
    for planted in (rare, other):
        shares = [planted[b].sum() / (len(b) + planted.sum() - planted[b].sum()) for b in blocks]
        assert max(shares) > 0.75
    mixed = np.stack([rng.permutation(row) for row in rows])
    assert found(mixed) == []


def test_voxels_that_hardly_vary_take_no_part() -> None:
    rows = np.zeros((8, 200))
    for voxel, count in enumerate((0, 1, 2, 3, 197, 198, 199, 200)):
        rows[voxel, :count] = 1
    assert variable_voxels(occupancy_of(rows, (2, 2, 2)), 0.01).tolist() == [3, 4]


# --- profiles and blocks


def test_correlations_are_pearsons() -> None:
    rng = np.random.default_rng(5)
    rows, profiles = (rng.random((6, 40)) < 0.5).astype(np.float32), rng.random((3, 40))
    rows[0] = 1
    expected = np.corrcoef(np.vstack([rows[1:], profiles]))[:5, 5:]
    np.testing.assert_allclose(correlations(rows, profiles)[1:], expected, atol=1e-6)
    assert (correlations(rows, profiles)[0] == 0).all()


def test_presence_cuts_each_profile_in_two() -> None:
    low, high = np.array([0.05, 0.1, 0.2]), np.array([0.7, 0.9])
    assert presence(np.concatenate([low, high])[None]).tolist() == [[False] * 3 + [True] * 2]


def test_a_member_is_occupied_in_most_volumes_with_the_block_and_empty_in_most_without() -> None:
    there = np.repeat([1.0, 0.0], 50)
    follows, often_missing, often_too_much = there.copy(), there.copy(), there.copy()
    follows[:20], often_missing[:26], often_too_much[50:76] = 0, 0, 1
    rows = np.stack([follows, often_missing, often_too_much, 1 - there]).astype(np.float32)
    assert members(rows, there[None], 0.1, len(rows)).tolist() == [0, -1, -1, -1]


def test_where_volumes_share_noise_a_correlation_decides_and_no_majority() -> None:
    there = np.repeat([1.0, 0.0], [20, 80])
    counts = {"in most with it, not in most without": (18, 35), "rim": (9, 0), "inside": (19, 5)}
    rows = np.zeros((3, 100), np.float32)
    for row, (with_block, without) in zip(rows, counts.values(), strict=True):
        row[:with_block], row[20 : 20 + without] = 1, 1
    correlation = np.corrcoef(np.vstack([rows, there]))[3, :3]
    np.testing.assert_allclose(correlation, [0.37, 0.63, 0.83], atol=0.01)
    assert members(rows, there[None], 0.1, 3).tolist() == [0, -1, 0]
    assert members(rows, there[None], 0.1, 3, dependent=True).tolist() == [-1, 0, 0]


def test_a_member_goes_to_the_block_it_is_most_like() -> None:
    base = np.repeat([1.0, 0.0], [60, 40])
    dependent = np.repeat([1.0, 0.0], [35, 65])
    assert members(
        np.stack([base, dependent]).astype(np.float32), np.stack([dependent, base]), 0.1, 2
    ).tolist() == [1, 0]


def test_discoveries_are_those_of_benjamini_and_hochberg() -> None:
    rng = np.random.default_rng(12)
    chance = np.concatenate([rng.random(4900), stats.norm.sf(3.4 + rng.standard_normal(100))])
    found = discoveries(chance, 0.05, len(chance))
    np.testing.assert_array_equal(found, stats.false_discovery_control(chance) <= 0.05)
    assert found[4900:].sum() > 30 and found[:4900].sum() < 10
    small = np.sort(chance)[:600]  # the others need not be shown, only counted
    np.testing.assert_array_equal(
        discoveries(small, 0.05, len(chance)), np.arange(600) < found.sum()
    )
    assert not discoveries(np.array([0.04]), 0.05, 1000).any()


def test_the_correlation_with_the_rest_is_that_of_a_block_without_the_voxel() -> None:
    rng = np.random.default_rng(3)
    block = (rng.random((7, 50)) < 0.4).astype(np.float32)
    total = block.sum(axis=0, dtype=np.float64)
    expected = [np.corrcoef(r, total - r)[0, 1] for r in block]
    np.testing.assert_allclose(rest_correlations(block, total[None])[:, 0], expected, atol=1e-6)


def test_independent_voxels_are_no_members_of_a_block_that_they_make_up() -> None:
    rng = np.random.default_rng(4)
    kept, naive = 0, 0
    for _ in range(100):
        rows = (rng.random((6, 200)) < 0.3).astype(np.float32)
        profile, inside = rows.mean(axis=0)[None].astype(float), np.ones((6, 1), bool)
        naive += (members(rows, profile, 0.01, 6) == 0).sum()
        kept += (members(rows, profile, 0.01, 6, np.array([6]), inside) == 0).sum()
    assert naive > 400 and kept <= 12  # of 600


def test_rare_voxels_are_judged_by_fishers_exact_test() -> None:
    profile, row = (np.arange(200) < 5).astype(float), np.zeros((1, 200), np.float32)
    row[0, :3] = 1  # the z of its correlation says 1e-46
    exact = stats.fisher_exact([[3, 0], [2, 195]], alternative="greater").pvalue
    assert exact == pytest.approx(7.6e-6, rel=0.01)
    for factor, expected in ((0.99, 0), (1.01, -1)):
        assert members(row, profile[None], 0.01, int(factor * 0.01 / exact))[0] == expected


def test_two_numbers_of_volumes_differ_where_two_rates_are_the_better_model() -> None:
    volumes = 200

    def bic(rates: int, counts: list[int]) -> float:
        means = [sum(counts) / 2 / volumes] * 2 if rates == 1 else [c / volumes for c in counts]
        logs = sum(stats.binom.logpmf(c, volumes, m) for c, m in zip(counts, means, strict=True))
        return rates * np.log(volumes) - 2 * logs

    for errors in (1, 5, 40):
        for counts in range(0, 120):
            two = counts > errors and bic(2, [counts, errors]) < bic(1, [counts, errors])
            assert differs(np.array(counts), np.array(errors), volumes) == two


def test_a_rare_block_and_a_rarer_one_that_needs_it_are_two_where_presence_never_errs() -> None:
    rare = np.arange(60) < 11
    rarer = np.arange(60) < 5
    others = np.random.default_rng(14).random((4, 60)) < 0.5
    occupancy = occupancy_of(planted_rows([rare, rarer, *others], [100] * 6, 0.02, 4), (10, 10, 10))
    communities = [np.arange(100 * k, 100 * k + 100) for k in range(6)]
    owner = told_blocks(occupancy, communities)
    assert owner.max() == 5 and owner[50] != owner[150]


def test_rare_blocks_of_one_state_stay_apart_beside_a_community_that_errs() -> None:
    # a part in 44 of 400 volumes, and two that need it in 24 each; the halves of a wavering
    # community agree in half of the volumes only, which must not make room for their differences
    number, rng = np.arange(400), np.random.default_rng(15)
    rare = [number < 44, number < 24, (number >= 20) & (number < 44)]
    one, other = rng.random((2, 400)) < 0.4
    states = [*rare, one, np.where(number < 200, one, other), rng.random(400) < 0.5]
    occupancy = occupancy_of(planted_rows(states, [100] * 6, 0.02, 5), (40, 5, 5))
    communities = [np.arange(100 * k, 100 * k + 100) for k in range(3)]
    communities += [np.arange(300, 500), np.arange(500, 600)]
    owner = told_blocks(occupancy, communities)
    assert len({owner[50], owner[150], owner[250]}) == 3


@pytest.mark.parametrize(
    ("volumes", "common", "independent", "blocks"),
    [(60, 5, True, 6), (60, 5, False, 5), (99, 12, True, 6), (100, 12, True, 5)],
)
def test_two_volumes_tell_blocks_apart_only_if_few_and_independent(
    volumes: int, common: int, independent: bool, blocks: int
) -> None:
    # a block and one in all of its volumes but two
    number = np.arange(volumes)
    rare, rarer = number < common, number < common - 2
    others = np.random.default_rng(14).random((4, volumes)) < 0.5
    rows = planted_rows([rare, *others, rarer], [100] * 6, 0.005, 4)
    communities = [np.arange(100 * k, 100 * k + 100) for k in range(6)]
    owner = told_blocks(occupancy_of(rows, (40, 5, 5)), communities, independent=independent)
    assert owner.max() + 1 == blocks and (owner[50] != owner[550]) == (blocks == 6)


def test_voxels_missed_in_the_same_two_volumes_are_told_apart_by_place_not_by_choice() -> None:
    # 200 voxels in 5 of 60 volumes; half of them are missed in two: of one side, or anywhere
    rng, grid = np.random.default_rng(16), Grid((10, 10, 10), (1.0, 1.0, 1.0))
    voxels = np.arange(200)
    where, silent = grid.points(voxels), PairNoise.of(SILENT, voxels, grid)
    for missed, expected in ((voxels < 100, True), (rng.permutation(voxels) < 100, False)):
        rows = np.zeros((200, 60), np.float32)
        rows[:, :5] = 1
        rows[missed, 3:5] = 0
        both = np.flatnonzero(~missed), np.flatnonzero(missed)
        assert told_apart(rows, where, silent, *both) == expected
        rows[missed, 3] = 1  # one volume alone may be a bad one
        assert not told_apart(rows, where, silent, *both)
    # voxels whose noise is one are few independent ones
    rows[:, 3:5] = (voxels >= 100)[:, None]
    alike = PairNoise.of(Noise(np.full(20, 0.999)), voxels, grid)
    halves = np.flatnonzero(voxels >= 100), np.flatnonzero(voxels < 100)
    assert told_apart(rows, where, silent, *halves)
    assert not told_apart(rows, where, alike, *halves)


def test_shares_differ_where_the_extended_bic_of_shares_of_their_own_is_lower() -> None:
    def ebic(shares: np.ndarray, free: int, occupied: np.ndarray, counted: np.ndarray) -> float:
        logs = stats.binom.logpmf(occupied, counted[:, None], shares).sum()
        return free * np.log(60) + 2 * np.log(math.comb(60, free)) - 2 * float(logs)

    counted, seen = np.array([10, 14]), set()
    for first in range(0, 11):
        for second in range(0, 15):
            occupied = np.array([[first, 8], [second, 4]])
            own = occupied / counted[:, None]
            one = np.broadcast_to(occupied.sum(axis=0) / counted.sum(), (2, 2))
            two = ebic(own, 2, occupied, counted) < ebic(one, 0, occupied, counted)
            assert shares_differ(own, counted, 60) == two
            seen.add(two)
    assert seen == {True, False}


def test_significance_is_that_of_correlated_coin_tosses() -> None:
    rng = np.random.default_rng(6)
    one, two = (rng.random((20_000, 100)) < 0.5 for _ in range(2))
    phi = (np.mean(one == two, axis=1) - 0.5) * 2
    assert np.mean(phi > significant_phi(100, 0.01)) == pytest.approx(0.01, abs=0.006)


@pytest.mark.parametrize(("volumes", "chosen"), [(40, False), (200, False), (200, True)])
def test_of_independent_voxels_no_community_even_comes_to_the_test(
    volumes: int, chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of coherence sees the volumes that chose the community, so it cannot be the only
    guard. Neither of all voxels, nor of those that are occupied more often than the background.
    """
    if not chosen:
        monkeypatch.setattr(sketch_module, "above_noise", lambda occupancy, union: union)
    tested: list[int] = []

    def spy(*arguments: Any) -> bool:
        tested.append(len(arguments[3]))
        return is_coherent(*arguments)

    monkeypatch.setattr(distinct_blocks_module, "is_coherent", spy)
    for seed in range(3):
        rng = np.random.default_rng([volumes, seed])
        often = rng.uniform(0.05, 0.95, (16, 16, 16))
        maps = (rng.random((volumes, 16, 16, 16)) < often).astype(np.float32)
        everything = SketchParameters(resamples=0, subsample=1)
        result = sketch(in_memory(maps), np.full(volumes, 0.5), everything)
        assert (50 < len(result.sample) < 300) if chosen else len(result.sample) > 3900
        assert not len(result.blocks)
    assert not tested


def test_halves_are_cut_across_the_longest_direction() -> None:
    points = np.array([[0, 0, z] for z in range(10)] + [[1, 0, z] for z in range(10)], float)
    half = split_in_half(points)
    assert (
        half.sum() == 10 and len({half[points[:, 2] < 5].min(), half[points[:, 2] < 5].max()}) == 1
    )


def test_two_patches_of_noise_that_are_alike_by_chance_are_no_block() -> None:
    rng = np.random.default_rng(7)
    volumes = 100
    shared = rng.standard_normal(volumes)

    # two patches of 8 voxels, each nearly one; correlation r between them
    def rows(r: float) -> np.ndarray:
        out = np.zeros((1000, volumes))
        for start, own in ((0, rng.standard_normal(volumes)), (540, rng.standard_normal(volumes))):
            patch = np.sqrt(r) * shared + np.sqrt(1 - r) * own
            out[start : start + 8] = patch + 0.2 * rng.standard_normal((8, volumes)) > 0
        return out

    voxels = np.concatenate([np.arange(8), np.arange(540, 548)])
    grid = Grid((10, 10, 10), (1.0, 1.0, 1.0))
    where, silent = grid.points(np.arange(1000)), PairNoise.of(SILENT, np.arange(1000), grid)
    assert not is_coherent(rows(0.5).astype(np.float32), where, silent, voxels, 1e-7)
    assert is_coherent(rows(0.97).astype(np.float32), where, silent, voxels, 1e-7)


def planted_rows(
    states: list[np.ndarray], counts: list[int], flips: float, seed: int
) -> np.ndarray:
    """Rows of voxels that follow states but for random flips; the rest of 1,000 voxels are coin
    tosses.
    """
    rng = np.random.default_rng(seed)
    rows = np.concatenate([np.tile(s, (n, 1)) for s, n in zip(states, counts, strict=True)]).astype(
        float
    )
    rows = np.abs(rows - (rng.random(rows.shape) < flips))
    return np.concatenate([rows, rng.random((1000 - len(rows), rows.shape[1])) < 0.3]).astype(float)


def test_communities_of_one_block_are_merged_and_those_of_two_are_not() -> None:
    rng = np.random.default_rng(8)
    a = rng.random(120) < 0.5
    b = a & (rng.random(120) < 0.7)
    occupancy = occupancy_of(planted_rows([a, b], [200, 200], 0.15, 1), (10, 10, 10))
    communities = [
        np.arange(0, 110),
        np.arange(110, 200),
        np.arange(200, 300),
        np.arange(300, 400),
        np.arange(500, 520),
    ]
    owner = told_blocks(occupancy, communities)
    assert owner.max() == 1 and owner[0] != owner[300] and (owner[400:] == -1).all()
    assert np.mean(owner[:200] == owner[0]) > 0.97 and np.mean(owner[200:400] == owner[300]) > 0.97


@pytest.mark.parametrize(("dependent", "found"), [(False, 0), (True, 60)])
def test_a_part_in_a_community_of_dust_is_found_where_volumes_share_noise(
    dependent: bool, found: int
) -> None:
    # a part in one place, and twice as many voxels beside it that are rarely occupied
    rng = np.random.default_rng(17)
    part = rng.random(120) < 0.3
    rows = planted_rows([part], [60], 0.05, 3)
    rows[60:180] = rng.random((120, 120)) < 0.08
    communities = [np.arange(180)]
    owner = told_blocks(occupancy_of(rows, (40, 5, 5)), communities, dependent=dependent)
    assert np.count_nonzero(owner[:60] == 0) == found and (owner[60:] == -1).all()


@pytest.mark.parametrize(("dependent", "blocks"), [(False, 1), (True, 2)])
def test_blocks_that_are_not_related_stay_two_however_much_their_halves_err(
    dependent: bool, blocks: int
) -> None:
    # two of graded shares, whose halves follow each other, but only loosely
    rng, shares = np.random.default_rng(19), []
    for _ in range(2):
        common = rng.normal(size=200)
        halves = common + 0.9 * rng.normal(size=(2, 200))
        shares.extend(stats.norm.cdf(2 * halves / np.sqrt(1 + 0.9**2) - 2))
    rows = np.repeat(shares, 100, axis=0) > np.tile(rng.random((100, 1)), (4, 1))
    rows = np.concatenate([rows.astype(float), np.zeros((600, 200))])
    assert abs(np.corrcoef(rows[:200].mean(axis=0), rows[200:400].mean(axis=0))[0, 1]) < 0.2
    occupancy = occupancy_of(rows, (40, 5, 5))
    communities = [np.arange(200), np.arange(200, 400)]
    owner = told_blocks(occupancy, communities, dependent=dependent)
    assert owner.max() + 1 == blocks


def test_a_seam_between_two_blocks_is_no_block() -> None:
    rng = np.random.default_rng(9)
    a, b = rng.random((2, 120)) < 0.5
    occupancy = occupancy_of(planted_rows([a, a & b, b], [200, 30, 200], 0.1, 2), (10, 10, 10))
    communities = [np.arange(0, 200), np.arange(200, 230), np.arange(230, 430)]
    owner = told_blocks(occupancy, communities)
    assert owner.max() == 1 and owner[0] != owner[400]


def test_growing_ends_with_every_voxel_where_it_belongs() -> None:
    rng = np.random.default_rng(10)
    a, b = rng.random((2, 100)) < 0.5
    occupancy = occupancy_of(planted_rows([a, b], [150, 150], 0.2, 3), (10, 10, 10))
    owner = grown_blocks(
        occupancy, np.arange(1000), [np.arange(5), np.arange(150, 156)], 0.01, Progress()
    )
    assert (
        np.mean(owner[:150] == 0) > 0.97
        and np.mean(owner[150:300] == 1) > 0.97
        and (owner[300:] == -1).all()
    )


# --- the whole


def test_block_profiles_are_mean_occupancies() -> None:
    rows = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1]], np.float32)
    assert block_profiles(rows, np.array([0, 0, -1]), 1).tolist() == [[1, 0.5, 0.5]]


@pytest.mark.parametrize("k", range(16))
def test_nothing_is_found_where_nothing_is(k: int) -> None:
    """A constant particle in noise: true levels, one level for varying scales, varying levels; and
    independent voxels.
    """
    rng = np.random.default_rng(k)
    volumes = (50, 100, 200)[k % 3]
    if k % 4 == 0:
        bits = rng.random((volumes, 16, 16, 16)) < rng.beta(0.7, 0.7, (16, 16, 16))
        assert not len(sketch(in_memory(bits.astype(np.float32)), np.full(volumes, 0.5)).blocks)
        return
    s, ensemble = simulated(
        ExampleParameters(
            volumes=volumes,
            box=24,
            voxel_size=6.0,
            core_residues=350,
            blocks=(),
            seed=k,
            noise=(0.5, 1, 2, 4)[k // 4],
            noise_edge=(0.15, 1)[k % 2],
            scale_jitter=0.15,
        )
    )
    levels = {
        1: s.levels,
        2: np.full(volumes, s.level),
        3: s.levels * rng.uniform(0.8, 1.2, volumes),
    }[k % 4]
    assert not len(sketch(ensemble, levels).blocks)


@pytest.mark.parametrize(
    "phase", ["reading scales", "comparing voxels", "clustering", "telling blocks apart"]
)
def test_every_phase_can_be_cancelled(particle: tuple[Simulation, Ensemble], phase: str) -> None:
    s, ensemble = particle
    progress = Progress(lambda name, _: progress.cancel() if name == phase else None, interval=0)
    with pytest.raises(Cancelled):
        sketch(ensemble, s.levels, None, progress)


@pytest.mark.parametrize("remembered", [0, 300, 10**6])
@pytest.mark.parametrize("copies", [False, True])
def test_pairs_counted_once_are_those_counted_twice(
    remembered: int, copies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    states = rng.random((6, 150)) < 0.4
    rows = states[rng.integers(6, size=343)] ^ (rng.random((343, 150)) < 0.1)
    if copies:
        rows[50:120] = rows[50]
    occupancy, sample = occupancy_of(rows, (7, 7, 7)), np.arange(343)

    def graph() -> SimilarityGraph:
        noise = Noise(np.array([1.0, 0.3]))
        return similarity_graph(occupancy, sample, noise, 0.01, Progress())

    whole = graph()  # a single strip, all pairs of which are counted
    assert len(whole.pairs) > 1000
    monkeypatch.setattr(constants, "TILE_PAIRS", 343 * 20)
    monkeypatch.setattr(constants, "MIRRORED_PAIRS", remembered)
    tiled = graph()
    for name in ("pairs", "strength", "chance", "differing", "stand_in"):
        np.testing.assert_array_equal(getattr(tiled, name), getattr(whole, name))


def test_voxels_that_are_remembered_are_the_same() -> None:
    rng = np.random.default_rng(8)
    rows = rng.random((343, 300)) < 0.4
    plain, some = occupancy_of(rows, (7, 7, 7)), np.flatnonzero(rng.random(343) < 0.95)
    occupancy = occupancy_of(rows, (7, 7, 7))
    occupancy.remember(some)
    for voxels in (some, some[::-3], np.arange(343), some[:0]):
        np.testing.assert_array_equal(occupancy.rows(voxels), rows[voxels])
        np.testing.assert_array_equal(occupancy.counts(voxels), rows[voxels].sum(axis=0))
        np.testing.assert_array_equal(occupancy.packed(voxels), plain.packed(voxels))
    left = occupancy.without(np.arange(300) < 10)
    np.testing.assert_array_equal(left.rows(some), rows[some, 10:])
