"""The ensembles of the benchmarks contain what they claim to contain."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.simulation.example import simulate
from chimerax.siren.core.simulation.parameters import BlockPlan, ExampleParameters

DEVEL = Path(__file__).parents[2] / "devel"


@pytest.fixture(scope="module")
def ensembles() -> Iterator[ModuleType]:
    paths = [str(DEVEL), str(DEVEL / "benchmarks")]
    sys.path[:0] = paths
    yield importlib.import_module("planted")
    for path in paths:
        sys.path.remove(path)


SMALL = ExampleParameters(
    volumes=6,
    box=24,
    voxel_size=6.0,
    core_residues=300,
    seed=2,
    blocks=(BlockPlan("one", 120, 0.5),),
)


def test_a_cut_box_has_the_planted_voxels_where_they_were(ensembles: ModuleType) -> None:
    s = simulate(SMALL)
    part = (slice(2, 22, 2), slice(0, 24), slice(3, 20))
    case = ensembles.case_of(s, cut=part)
    planted = np.zeros(s.grid.size, bool)
    planted[s.units[0].voxels] = True
    expected = planted.reshape(s.grid.shape)[part]
    assert case.grid.shape == expected.shape and case.grid.voxel_size == (6.0, 6.0, 12.0)
    np.testing.assert_array_equal(case.planted.voxels[0], np.flatnonzero(expected))
    np.testing.assert_array_equal(case.volumes[3], s.volume(3)[part])


def test_levels_that_are_too_low_as_a_whole_make_the_planted_blocks_thicker(
    ensembles: ModuleType,
) -> None:
    s = simulate(SMALL)
    same, low = ensembles.case_of(s), ensembles.case_of(s, far=0.7)
    assert same.off == 1 and low.off == pytest.approx(0.7)
    assert len(low.planted.voxels[0]) > 1.1 * len(same.planted.voxels[0])
    np.testing.assert_allclose(low.levels, 0.7 * s.levels)


def test_a_tight_mask_leaves_exact_zeros_outside_and_the_particle_alone(
    ensembles: ModuleType,
) -> None:
    s = simulate(SMALL)
    volumes = ensembles.case_of(s, masked=True).volumes
    outside = (volumes == 0).all(axis=0)
    assert outside.mean() > 0.3 and not outside.ravel()[s.units[0].voxels].any()
    np.testing.assert_array_equal(volumes[0][~outside], s.volume(0)[~outside])


def parts_on_a_line(ensembles: ModuleType, count: int) -> tuple:
    rng = np.random.default_rng(0)
    return tuple(
        ensembles.Part(
            f"p{k}", rng.standard_normal((200, 3)) * 6 + [40 + 14 * k, 100, 100], np.full(200, 6)
        )
        for k in range(count)
    )


def test_parts_are_all_in_the_core_or_in_one_block(ensembles: ModuleType) -> None:
    parts = (
        *parts_on_a_line(ensembles, 9),
        ensembles.Part("ion", np.zeros((1, 3)), np.array([12])),
    )
    core, blocks = ensembles.grouped(parts, 5, 0.3, np.random.default_rng(1))
    points = np.concatenate([core.points, *(b.points for b in blocks)])
    everything = np.concatenate([p.points for p in parts])
    assert len(points) == len(everything) and {tuple(p) for p in points} == {
        tuple(p) for p in everything
    }
    assert (core.points == 0).all(axis=1).any() and core.mass >= 0.3 * sum(p.mass for p in parts)


def test_density_has_the_scattering_of_its_atoms_where_they_are(ensembles: ModuleType) -> None:
    grid = Grid((20, 20, 20), (5.0, 5.0, 5.0))
    part = ensembles.Part("atoms", np.array([[50.0, 40.0, 60.0]] * 3), np.array([6, 8, 15]))
    density = ensembles.density(part, grid, 15.0)
    assert np.unravel_index(density.argmax(), grid.shape) == (12, 8, 10)
    # the atoms' lattice is twice as fine: 8 of its points a voxel
    assert density.sum() * 8 == pytest.approx(2.509 + 1.983 + 5.488, rel=0.02)


def test_blocks_of_an_atomic_model_come_and_go_as_planned(ensembles: ModuleType) -> None:
    s = ensembles.from_parts(
        parts_on_a_line(ensembles, 7), Grid((32,) * 3, (6.0,) * 3), 3, volumes=40
    )
    assert len(s.units) >= 3
    for unit, plan in zip(s.units, s.parameters.blocks, strict=True):
        there = next((u.present for u in s.units if u.name == plan.only_with), np.ones(40, bool))
        assert (
            0.03 < unit.present.mean() < 0.97
            and not (unit.present & ~there).any()
            and len(unit.voxels)
        )


def test_the_real_subunit_has_its_parts_and_its_noise_falls_as_the_simulators(
    ensembles: ModuleType,
) -> None:
    if ensembles.SHARED is None:
        pytest.skip("../shared/data is not here")
    assert (
        130
        <= len([p for p in ensembles.ribosome() if len(p.points) >= ensembles.FEWEST_ATOMS])
        <= 136
    )
    from chimerax.siren.core.simulation.example import noise_power

    frequency = np.array([2, 4, 8, 16, 28]) / 64
    ratio = np.log(ensembles.real_spectrum()(frequency) / noise_power(frequency))
    assert np.ptp(ratio) < 1.0  # over five orders of magnitude


def test_residues_are_told_as_ranges_and_small_gaps_are_not(ensembles: ModuleType) -> None:
    runs_of = importlib.import_module("real_parts").runs_of
    assert runs_of([1, 2, 3, 7, 8, 20]) == "1-8+20-20"


def test_the_parts_of_the_real_subunit_have_names_of_their_own(ensembles: ModuleType) -> None:
    if ensembles.SHARED is None:
        pytest.skip("../shared/data is not here")
    names = importlib.import_module("real_parts").part_names()
    assert len(set(names)) == len(names) == len(ensembles.ribosome())
    sizes = {n: len(p.points) for n, p in zip(names, ensembles.ribosome(), strict=True)}
    assert max((n for n in names if "S " not in n), key=lambda n: sizes[n]) == "uL2"


def test_without_the_real_volumes_their_page_is_left_as_it_is(
    ensembles: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    page = importlib.import_module("real_verdicts")

    def absent() -> None:
        raise ensembles.Absent("../shared/data/real_ensemble is missing")

    monkeypatch.setattr(page, "real_volumes", absent)
    monkeypatch.setattr(page, "TABLE", tmp_path / "page.md")
    assert page.main() == 0
    assert "is missing" in capsys.readouterr().out and not (tmp_path / "page.md").exists()


def test_what_is_true_of_planted_dependences_is_what_many_drawn_volumes_show(
    ensembles: ModuleType,
) -> None:
    bench = importlib.import_module("relations")
    rng = np.random.default_rng(0)
    for _ in range(8):
        plan = bench.random_plan(rng, 0.3, 0.8)
        truth = bench.truth_of(plan)
        volumes = 20_000
        present = np.zeros((len(plan), volumes), bool)
        for k, block in enumerate(plan):  # volume by volume, as the plan says it
            present[k] = rng.random(volumes) < block.chance
            for n in block.needs:
                present[k] &= present[n]
            if block.never is not None:
                present[k] &= ~present[block.never]
            if block.twin is not None:
                present[k] = present[block.twin]
        drawn = truth.draw(rng, volumes, 0.0)
        np.testing.assert_allclose(drawn.mean(axis=1), present.mean(axis=1), atol=0.03)
        for (a, b), word in truth.words.items():
            both, one, other = ((present[a] & present[b]).sum(), *present[[a, b]].sum(axis=1))
            expected = {
                "together": both == one == other,
                "only with": both == one < other,
                "needed by": both == other < one,
                "never with": both == 0,
            }
            assert all(shown == (word == name) for name, shown in expected.items() if both or one)
            if word == "independent":
                assert abs(np.corrcoef(present[a], present[b])[0, 1]) < 0.04
            elif not any(expected.values()):
                phi = np.corrcoef(present[a], present[b])[0, 1]
                assert (phi > -0.03) if word == "more often with" else (phi < 0.03)
