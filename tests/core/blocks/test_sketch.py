"""Sketch: the published rule voxel by voxel in plain loops, planted blocks by the default,
parameters, seeds, the record.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from scipy import stats

from chimerax.siren.core.blocks.expand import expand_sketch
from chimerax.siren.core.blocks.occupancy import binarize
from chimerax.siren.core.blocks.parameters import ExpandParameters, SketchParameters
from chimerax.siren.core.blocks.sampling import above_noise, draw_sample
from chimerax.siren.core.blocks.sketch import compare, sketch
from chimerax.siren.core.blocks.statistics import statistic_named
from chimerax.siren.core.blocks.statistics.protocol import Observation
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble, Source, find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.maps.mapfile import write_map
from chimerax.siren.core.runs.steps import run_expand, run_sketch
from chimerax.siren.core.simulation.example import Simulation, simulate
from chimerax.siren.core.simulation.parameters import BlockPlan, ExampleParameters

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


def in_memory(
    volumes: np.ndarray, voxel_size: float = 6.0, names: tuple[str, ...] | None = None
) -> Ensemble:
    """An ensemble of (V, z, y, x) arrays."""

    def reader(i: int) -> Callable[[], np.ndarray]:
        return lambda: volumes[i]

    grid = Grid(volumes.shape[1:], (voxel_size,) * 3)
    names = names or tuple(f"vol_{i:03d}.mrc" for i in range(len(volumes)))
    return Ensemble(
        tuple(Source(n, None, reader(i), grid) for i, n in enumerate(names)), grid, names
    )


@pytest.fixture(scope="module")
def particle() -> tuple[Simulation, Ensemble]:
    s = simulate(PARTICLE)
    return s, in_memory(np.stack([s.volume(i) for i in range(len(s))]), names=s.names)


def coin_blocks(seed: int = 0, volumes: int = 150) -> Ensemble:
    """6 x 6 x 6 voxels of 9 A, of which two thirds follow one of two states."""
    rng = np.random.default_rng(seed)
    state = rng.random((2, volumes)) < np.array([[0.3], [0.5]])
    kind = rng.integers(0, 3, (6, 6, 6))
    maps = rng.random((volumes, 6, 6, 6)) < 0.3
    for k in (0, 1):
        maps[:, kind == k] = state[k][:, None]
    return in_memory((maps ^ (rng.random(maps.shape) < 0.03)).astype(np.float32), 9.0)


def plain_pairs(
    ensemble: Ensemble, statistic: str, sample: np.ndarray, posp: float, negp: float
) -> set[tuple[int, int]]:
    """The pairs that go together, by the words of the paper; floor and maximum as statistics.py
    says.
    """
    rows = np.stack([array.ravel()[sample] > 0.5 for _, array in ensemble.read()], axis=1)
    volumes, count = rows.shape[1], len(sample)
    tests = count * (count - 1) // 2
    floor = 1 - 0.5 ** (1 / 1000) if statistic == "published" else 0

    def cutoff(p: float, tail: float) -> int:
        return int(
            np.flatnonzero(stats.binom.sf(np.arange(volumes + 1), volumes, p) <= max(tail, floor))[
                0
            ]
        )

    found = set()
    for i in range(count):
        for j in range(i + 1, count):
            f1, f2 = int(rows[i].sum()), int(rows[j].sum())
            both, empty = int((rows[i] & rows[j]).sum()), int((~rows[i] & ~rows[j]).sum())
            d = 9.0 * np.linalg.norm(
                np.subtract(
                    np.unravel_index(sample[i], (6, 6, 6)), np.unravel_index(sample[j], (6, 6, 6))
                )
            )
            factor = 1.0 if statistic == "exact" else max(1.25, 0.02 * d + 0.95) if d < 40 else 1.75
            cut = factor * cutoff(f1 * f2 / volumes**2, posp / tests)
            low = cutoff((1 - f1 / volumes) * (1 - f2 / volumes), negp / tests)
            if statistic == "published":
                cut, low = min(cut, min(f1, f2)), min(low, volumes - max(f1, f2))
            if both > cut and empty > low:
                found.add((i, j))
    return found


@pytest.mark.parametrize("statistic", ["published", "exact"])
def test_pairs_and_blocks_by_counting_are_those_of_plain_loops(statistic: str) -> None:
    ensemble = coin_blocks()
    result = sketch(
        ensemble, np.full(150, 0.5), SketchParameters(statistic=statistic, subsample=3, seed=4)
    )
    pairs = plain_pairs(ensemble, statistic, result.sample, 0.01, 0.05)
    assert {tuple(e) for e in result.edges.tolist()} == pairs and len(pairs) > 50
    graph = nx.Graph()
    graph.add_nodes_from(range(len(result.sample)))
    graph.add_edges_from(sorted(pairs))
    expected = [c for c in nx.community.label_propagation_communities(graph) if len(c) > 5]
    assert {frozenset(v.tolist()) for _, v in result.blocks} == {
        frozenset(result.sample[sorted(c)].tolist()) for c in expected
    }


def test_tiles_do_not_change_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = SketchParameters(statistic="exact")
    result = sketch(coin_blocks(), np.full(150, 0.5), parameters)
    monkeypatch.setattr("chimerax.siren.core.common.constants.TILE_PAIRS", 500)
    observation = Observation(result.occupancy, result.union)
    again = statistic_named("exact").graph(observation, result.sample, parameters, Progress())
    np.testing.assert_array_equal(again.at(parameters.posp, parameters.negp)[0], result.edges)


@pytest.mark.parametrize("statistic", ["exact", "published", "profile"])
@pytest.mark.slow
def test_a_stricter_test_of_what_was_counted_is_that_of_counting_anew(
    statistic: str, particle: tuple[Simulation, Ensemble]
) -> None:
    ensemble, levels = (
        (particle[1], particle[0].levels)
        if statistic == "profile"
        else (coin_blocks(), np.full(150, 0.5))
    )
    loose = SketchParameters(
        statistic=statistic, posp=0.5, **({} if statistic == "profile" else {"negp": 0.5})
    )
    compared = compare(ensemble, levels, loose, Progress())
    sizes = set()
    for posp in (1e-30, 1e-6, 0.01):
        strict = SketchParameters(statistic=statistic, posp=posp)
        anew = sketch(ensemble, levels, strict)
        np.testing.assert_array_equal(compared.graph.at(strict.posp, strict.negp)[0], anew.edges)
        blocks = compared.blocks(strict, Progress())
        assert [b.tolist() for b in blocks] == [v.tolist() for _, v in anew.blocks]
        sizes.add(len(anew.edges))
    # the published cutoffs hardly follow p
    assert len(sizes) > (1 if statistic != "published" else 0)


def test_the_default_finds_the_planted_blocks_and_no_other(
    particle: tuple[Simulation, Ensemble],
) -> None:
    s, ensemble = particle
    result = sketch(ensemble, s.levels)
    assert len(result.blocks) == 3
    for unit in s.units:
        wanted = np.intersect1d(unit.voxels, result.sample)
        shares = [
            len(np.intersect1d(wanted, v)) / len(np.union1d(wanted, v)) for _, v in result.blocks
        ]
        assert max(shares) > 0.75


def test_blocks_are_numbered_from_the_largest_and_the_rest_is_unassigned(
    particle: tuple[Simulation, Ensemble],
) -> None:
    s, ensemble = particle
    result = sketch(ensemble, s.levels)
    sizes = [len(v) for _, v in result.blocks]
    assert list(result.blocks.blocks) == [1, 2, 3] and sizes == sorted(sizes, reverse=True)
    everything = np.sort(np.concatenate([*(v for _, v in result.blocks), result.blocks.unassigned]))
    np.testing.assert_array_equal(everything, result.sample)


def test_one_level_for_all_volumes_is_that_level_for_each(tmp_path: Path) -> None:
    ensemble = coin_blocks()
    rule = SketchParameters(statistic="exact", subsample=1, resamples=0)
    one = run_sketch(ensemble, 0.5, "one", rule, tmp_path / "one")
    each = run_sketch(ensemble, np.full(len(ensemble), 0.5), "one", rule, tmp_path / "each")
    for name in ("blocks.json", "states.csv"):
        assert (one.folder / name).read_bytes() == (each.folder / name).read_bytes()
    assert len(one.blocks) == 2
    assert list(sketch(ensemble, 0.5, rule).blocks.blocks) == [1, 2]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_blocks_and_another_another_sample(
    particle: tuple[Simulation, Ensemble],
) -> None:
    s, ensemble = particle
    one, two, other = (
        sketch(ensemble, s.levels, SketchParameters(seed=seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.sample, two.sample)
    assert [v.tolist() for _, v in one.blocks] == [v.tolist() for _, v in two.blocks]
    assert not np.array_equal(one.sample, other.sample) and len(other.blocks) == 3


def test_a_sample_is_a_share_of_the_union_in_order() -> None:
    sample = draw_sample(np.arange(100, 300), 4, 0)
    assert (
        len(sample) == 50
        and (np.diff(sample) > 0).all()
        and np.isin(sample, np.arange(100, 300)).all()
    )
    with pytest.raises(SirenError, match="thresholds are too high"):
        draw_sample(np.arange(1), 2, 0)


NOISY = ExampleParameters(
    volumes=160, box=48, voxel_size=6.6, resolution=17.0, noise=4.0, noise_edge=1.0, seed=7
)


def test_where_noise_is_everywhere_voxels_of_the_particle_are_compared_and_their_blocks_found() -> (
    None
):
    s = simulate(NOISY)
    ensemble = in_memory(np.stack([s.volume(i) for i in range(len(s))]))
    result = sketch(ensemble, s.levels, SketchParameters(resamples=0))
    assert len(result.union) > 0.9 * ensemble.grid.size
    planted = np.unique(np.concatenate([u.voxels for u in s.units]))
    share = np.isin(result.sample, planted).mean()
    assert share > 5 * len(planted) / ensemble.grid.size
    found = expand_sketch(ensemble, result).blocks
    assert len(found) == len(s.units)
    for unit in s.units:
        assert (
            max(
                len(np.intersect1d(unit.voxels, v)) / len(np.union1d(unit.voxels, v))
                for _, v in found
            )
            > 0.5
        )


def test_the_published_rule_and_few_volumes_draw_from_all_that_count() -> None:
    s = simulate(NOISY)
    volumes = np.stack([s.volume(i) for i in range(len(s))])
    few = binarize(in_memory(volumes[:90]), s.levels[:90])
    union = few.union(0.01)
    assert above_noise(few, union) is union
    all_ = binarize(in_memory(volumes), s.levels)
    assert len(above_noise(all_, all_.union(0.01))) < 0.3 * len(union)
    drawn = sketch(
        in_memory(volumes),
        s.levels,
        SketchParameters(statistic="published", subsample=40, resamples=0),
    )
    assert np.isin(drawn.sample, above_noise(all_, all_.union(0.01))).mean() < 0.3


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"negp": 0.01}, "negp"),
        ({"posp_factor": 1.5}, "pospFactor"),
        ({"negp_factor": 1.1}, "negpFactor"),
    ],
)
def test_parameters_of_the_counting_rules_are_refused_with_profile(
    parameters: dict, word: str
) -> None:
    assert SketchParameters().statistic == "profile"
    with pytest.raises(SirenError, match=f"no {word}.*published"):
        SketchParameters(**parameters)
    SketchParameters(statistic="published", **parameters)


def test_exp_frac_is_refused_with_profile() -> None:
    with pytest.raises(SirenError, match="no expFrac"):
        ExpandParameters(exp_frac=0.5)


@pytest.mark.slow
def test_the_record_holds_the_levels_that_were_used_and_what_was_left_out(tmp_path: Path) -> None:
    s = simulate(ExampleParameters(**{**vars(PARTICLE), "junk": 0.1}))
    for i, name in enumerate(s.names):
        write_map(tmp_path / name, s.volume(i), s.grid, "test")
    ensemble = find_ensemble([tmp_path])
    given = s.levels * np.random.default_rng(1).uniform(0.8, 1.2, len(s))
    run = run_sketch(ensemble, given, "a table", SketchParameters(), tmp_path / "out")
    level = {v["name"]: v["level"] for v in run.record.volumes}
    out = {v["name"] for v in run.record.volumes if v["left_out"]}
    assert out == {n for n, j in zip(s.names, s.junk, strict=True) if j}
    kept = [i for i, n in enumerate(s.names) if n not in out]
    used = np.array([level[s.names[i]] for i in kept])
    assert np.std(np.log(used / s.levels[kept])) < 0.5 * np.std(
        np.log(given[kept] / s.levels[kept])
    )
    assert all(level[n] == g for n, g in zip(s.names, given, strict=True) if n in out)
    assert run.record.thresholds == "a table, adjusted so that the always occupied part agrees"
    grown = run_expand(run.blocks, run.record, ExpandParameters(), tmp_path / "out")
    assert {v["name"]: v["level"] for v in grown.record.volumes} == {
        n: level[n] for n in level if n not in out
    }
    assert grown.record.thresholds == "a table, adjusted so that the always occupied part agrees"


def test_levels_below_all_density_are_refused_so_that_no_earlier_result_is_replaced(
    tmp_path: Path,
) -> None:
    ensemble = in_memory(np.random.default_rng(4).normal(size=(20, 8, 8, 8)).astype(np.float32))
    with pytest.raises(SirenError, match="levels are too low"):
        run_sketch(ensemble, np.full(20, -50.0), "mine", SketchParameters(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_mean_that_is_known_changes_nothing_and_is_dropped_where_a_volume_is_empty() -> None:
    maps = np.random.default_rng(3).normal(size=(20, 8, 8, 8)).astype(np.float32)
    ensemble, levels = in_memory(maps), np.full(20, 0.5)
    plain = binarize(ensemble, levels)
    known = binarize(ensemble, levels, mean=plain.mean)
    assert known.names == plain.names and np.array_equal(known.bits, plain.bits)
    assert np.array_equal(known.frequency, (maps > 0.5).sum(axis=0).ravel())
    levels[4] = 100.0  # above all of its voxels
    fewer = binarize(ensemble, levels, mean=plain.mean)
    assert len(fewer) == 19
    np.testing.assert_allclose(fewer.mean, np.delete(maps, 4, axis=0).mean(axis=0), atol=1e-6)
