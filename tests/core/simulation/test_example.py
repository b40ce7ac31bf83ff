"""The simulated ensemble is as documented, checked from its files and arrays alone."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy import ndimage

from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.simulation.example import Simulation, noise_power, simulate
from chimerax.siren.core.simulation.example_folder import write_example
from chimerax.siren.core.simulation.parameters import DEFAULT_BLOCKS, BlockPlan, ExampleParameters

SMALL = ExampleParameters(
    volumes=12,
    box=32,
    voxel_size=6.0,
    core_residues=300,
    blocks=(BlockPlan("one", 150, 0.5), BlockPlan("two", 150, 0.5, only_with="one")),
)


@pytest.fixture(scope="module")
def default() -> Simulation:
    return simulate()


def presence(simulation: Simulation, name: str) -> np.ndarray:
    return next(u.present for u in simulation.units if u.name == name)


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


# --- what is planted


def test_each_block_is_in_the_planned_share_of_the_volumes(default: Simulation) -> None:
    assert presence(default, "mostly").mean() == pytest.approx(0.87, abs=0.005)
    assert presence(default, "base").mean() == pytest.approx(0.55, abs=0.005)
    assert presence(default, "rare").mean() == pytest.approx(0.20, abs=0.005)


def test_a_dependent_block_is_present_only_with_the_other_and_not_always(
    default: Simulation,
) -> None:
    base, dependent = presence(default, "base"), presence(default, "dependent")
    assert not (dependent & ~base).any()
    assert dependent[base].mean() == pytest.approx(0.55, abs=0.01)


def test_the_moving_block_is_in_one_position_at_a_time(default: Simulation) -> None:
    first, second = presence(default, "swing/1"), presence(default, "swing/2")
    assert (first ^ second).all()
    assert first.mean() == pytest.approx(0.6, abs=0.005)


def test_blocks_that_exclude_each_other_never_meet() -> None:
    blocks = (BlockPlan("a", 100, 0.5), BlockPlan("b", 100, 0.8, never_with="a"))
    s = simulate(
        ExampleParameters(volumes=40, box=32, voxel_size=6, core_residues=200, blocks=blocks)
    )
    assert not (presence(s, "a") & presence(s, "b")).any()
    assert presence(s, "b").sum() == 16


def test_the_block_of_two_places_is_two_separate_pieces(default: Simulation) -> None:
    pair = next(u for u in default.units if u.name == "pair")
    pieces, count = ndimage.label(pair.density > default.level)
    sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
    assert count >= 2 and sizes[1] > 0.3 * sizes.sum()


def test_voxel_sets_are_disjoint_and_large_enough_to_find(default: Simulation) -> None:
    voxels = np.concatenate([*(u.voxels for u in default.units), default.shared])
    assert len(np.unique(voxels)) == len(voxels)
    assert len(default.units) >= 6 and min(len(u.voxels) for u in default.units) > 250


def test_in_noise_free_volumes_a_truth_voxel_is_occupied_exactly_where_its_block_is(
    default: Simulation,
) -> None:
    for i in range(25):
        occupied = (
            default.density(i) * default.scale[i] + default.offset[i] > default.levels[i]
        ).ravel()
        for unit in default.units:
            assert (occupied[unit.voxels] == unit.present[i]).all()


def test_every_variable_voxel_of_the_noise_free_ensemble_is_in_a_block_or_shared(
    default: Simulation,
) -> None:
    occupied = np.array([default.density(i).ravel() > default.level for i in range(0, 200, 4)])
    variable = np.flatnonzero(occupied.any(axis=0) & ~occupied.all(axis=0))
    assert np.isin(
        variable, np.concatenate([*(u.voxels for u in default.units), default.shared])
    ).all()


def test_the_level_encloses_the_volume_of_the_residues(default: Simulation) -> None:
    residues = 3600 + sum(b.residues for b in DEFAULT_BLOCKS)
    whole = default.core + sum(u.density for u in default.units if u.name != "swing/2")
    assert np.count_nonzero(whole > default.level) * 125.0 == pytest.approx(
        residues * 111 * 1.21, rel=0.01
    )


def test_blocks_touch_the_particle_but_do_not_run_into_it(default: Simulation) -> None:
    for unit in default.units:
        assert np.minimum(unit.density, default.core).sum() < 0.25 * unit.density.sum()
    whole = default.core + sum(u.density for u in default.units)
    pieces, _ = ndimage.label(whole > default.level, np.ones((3, 3, 3)))
    assert np.bincount(pieces.ravel())[1:].max() > 0.95 * np.count_nonzero(pieces)


def test_the_particle_stays_away_from_the_faces_of_the_box(default: Simulation) -> None:
    whole = default.core + sum(u.density for u in default.units)
    z, y, x = np.nonzero(whole > 0.1 * default.level)
    assert min(z.min(), y.min(), x.min()) >= 1 and max(z.max(), y.max(), x.max()) <= 62


# --- noise, scale, junk


def test_the_noise_has_the_spectrum_of_the_formula() -> None:
    s = simulate(ExampleParameters(volumes=4, noise_edge=1.0, core_residues=200, blocks=()))
    power = np.mean([np.abs(np.fft.fftn(s.noise(i).astype(float))) ** 2 for i in range(4)], axis=0)
    f = np.fft.fftfreq(64)
    frequency = np.sqrt(f[:, None, None] ** 2 + f[:, None] ** 2 + f**2)
    shell = np.round(frequency * 64).astype(int).ravel()
    count = np.bincount(shell)[3:33]
    measured, wanted = (
        np.bincount(shell, w.ravel())[3:33] / count for w in (power, noise_power(frequency))
    )
    assert measured / measured.mean() == pytest.approx(wanted / wanted.mean(), rel=0.15)
    assert noise_power(np.array(0.024)) / noise_power(np.array(0.0)) == pytest.approx(2**-1.4)


def test_noise_at_the_center_of_the_box_is_22_percent_of_the_level_and_fades_to_the_faces() -> None:
    s = simulate(ExampleParameters(volumes=30, core_residues=200, blocks=()))
    noise = np.array([s.noise(i) for i in range(30)])
    assert noise[:, 27:37, 27:37, 27:37].std() == pytest.approx(0.22 * s.level, rel=0.1)
    faces = np.concatenate([noise[:, 0, 28:36, 28:36], noise[:, 28:36, 0, 28:36]])
    assert faces.std() == pytest.approx(0.15 * 0.22 * s.level, rel=0.3)


def test_noise_scales_with_its_parameter_and_differs_between_volumes() -> None:
    one = simulate(ExampleParameters(volumes=2, core_residues=200, blocks=()))
    four = simulate(ExampleParameters(volumes=2, core_residues=200, blocks=(), noise=4))
    np.testing.assert_allclose(four.noise(1), 4 * one.noise(1), rtol=1e-5, atol=1e-7)
    assert abs(np.corrcoef(one.noise(0).ravel(), one.noise(1).ravel())[0, 1]) < 0.1


def test_scales_are_log_normal_and_levels_follow_them(default: Simulation) -> None:
    assert np.log(default.scale).std() == pytest.approx(0.12, rel=0.15)
    np.testing.assert_allclose(default.levels, default.scale * default.level)


def test_an_offset_moves_volume_and_level_alike() -> None:
    s = simulate(
        ExampleParameters(volumes=5, core_residues=200, blocks=(), offset_jitter=0.5, noise=0)
    )
    assert np.std(s.offset) > 0
    for i in range(5):
        assert ((s.volume(i) > s.levels[i]) == (s.density(i) > s.level)).mean() > 0.9999


@pytest.mark.slow
def test_junk_volumes_have_no_block_and_do_not_look_like_the_particle() -> None:
    s = simulate(ExampleParameters(volumes=20, junk=0.2, core_residues=1500))
    assert s.junk.sum() == 4
    assert not any(u.present[s.junk].any() for u in s.units)
    core = (s.core > s.level).ravel()
    share = [(s.volume(i) > s.levels[i]).ravel()[core].mean() for i in range(20)]
    assert max(np.array(share)[s.junk]) < 0.8 < min(np.array(share)[~s.junk])


# --- seeds


def test_more_volumes_leave_structure_and_noise_as_they_were() -> None:
    few, many = (
        simulate(ExampleParameters(volumes=v, core_residues=300, blocks=())) for v in (3, 9)
    )
    assert (few.core == many.core).all() and (few.noise(2) == many.noise(2)).all()


def test_another_seed_is_another_structure_unless_that_has_its_own_seed() -> None:
    def core(seed: int, structure: int | None) -> np.ndarray:
        plan = ExampleParameters(
            volumes=2, core_residues=300, blocks=(), seed=seed, structure_seed=structure
        )
        return simulate(plan).core

    assert not np.allclose(core(1, None), core(2, None))
    assert (core(1, 5) == core(2, 5)).all()


# --- the folder


def test_files_and_truth_say_the_same_as_the_simulation(tmp_path: Path) -> None:
    example = write_example(tmp_path / "new" / "example", SMALL)
    s, folder = example.simulation, tmp_path / "new" / "example"
    names = [f"vol_{i:03d}.mrc" for i in range(1, 13)]
    assert sorted(p.name for p in folder.iterdir()) == ["truth.csv", "truth.json", *names]
    with mrcfile.open(folder / "vol_007.mrc") as mrc:
        np.testing.assert_array_equal(mrc.data, s.volume(6))
        assert float(mrc.voxel_size.x) == 6.0
    assert mrcfile.validate(folder / "vol_001.mrc")
    truth = json.loads((folder / "truth.json").read_text())
    assert [v["level"] for v in truth["volumes"]] == s.levels.tolist()
    for block, unit in zip(truth["blocks"], s.units, strict=True):
        assert block["present"] == unit.present.astype(int).tolist()
        assert (
            np.ravel_multi_index(np.transpose(block["voxels"]), (32, 32, 32)).tolist()
            == unit.voxels.tolist()
        )
    rows = list(csv.DictReader((folder / "truth.csv").read_text().splitlines()))
    assert [r["file"] for r in rows] == list(s.names)
    assert [int(r["two"]) for r in rows] == s.units[1].present.astype(int).tolist()
    assert [float(r["denormalized_predictions"]) for r in rows] == pytest.approx(s.levels.tolist())


def test_same_parameters_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    write_example(tmp_path / "a", SMALL)
    write_example(tmp_path / "b", SMALL)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    write_example(tmp_path / "c", ExampleParameters(**{**vars(SMALL), "seed": 1}))
    assert not set(digests(tmp_path / "a").values()) & set(digests(tmp_path / "c").values())


def test_an_earlier_example_is_replaced_completely_and_other_files_stay(tmp_path: Path) -> None:
    folder = tmp_path / "example"
    write_example(folder, SMALL)
    (folder / "notes.txt").write_text("mine")
    again = write_example(folder, ExampleParameters(**{**vars(SMALL), "volumes": 5}))
    assert again.replaced
    names = [f"vol_{i:03d}.mrc" for i in range(1, 6)]
    assert sorted(p.name for p in folder.iterdir()) == [
        "notes.txt",
        "truth.csv",
        "truth.json",
        *names,
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["example"]


@pytest.mark.parametrize("name", ["vol_001.mrc", "mine.map.gz", "truth.json", "truth.csv"])
def test_a_folder_with_other_maps_is_refused_and_left_as_it_was(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"a user's own")
    with pytest.raises(SirenError, match=name):
        write_example(tmp_path, SMALL)
    assert [p.name for p in tmp_path.iterdir()] == [name] and (
        tmp_path / name
    ).read_bytes() == b"a user's own"


def test_a_map_of_the_users_beside_an_earlier_example_is_refused(tmp_path: Path) -> None:
    write_example(tmp_path / "e", SMALL)
    before = digests(tmp_path / "e")
    (tmp_path / "e" / "mine.mrc").write_bytes(b"x")
    with pytest.raises(SirenError, match=r"mine\.mrc"):
        write_example(tmp_path / "e", SMALL)
    (tmp_path / "e" / "mine.mrc").unlink()
    assert digests(tmp_path / "e") == before


def test_a_file_in_place_of_the_folder_gives_a_one_sentence_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SirenError, match="give"):
            write_example(place, SMALL)


@pytest.mark.parametrize(
    "phase", ["building the particle", "rendering the particle", "writing the example"]
)
@pytest.mark.slow
def test_cancel_in_any_phase_leaves_nothing_behind(tmp_path: Path, phase: str) -> None:
    asked: list[float] = []

    def report(name: str, fraction: float) -> None:
        if name == phase and not progress.cancelled:
            asked.append(time.thread_time())
            progress.cancel()

    progress = Progress(report, interval=0)
    with pytest.raises(Cancelled):
        write_example(tmp_path / "deep" / "example", progress=progress)
    # what this thread still does: CPU time, which does not depend on what else the computer does
    assert time.thread_time() - asked[0] < 0.5
    assert list(tmp_path.iterdir()) == []


# --- invalid parameters


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"volumes": 1}, "volumes 1"),
        ({"noise": -1}, "noise -1"),
        ({"blocks": (), "core_residues": 0}, "empty"),
        ({"blocks": (BlockPlan("a"), BlockPlan("a"))}, "unique name"),
        ({"blocks": (BlockPlan("a", occupancy=1.2),)}, "share from 0 to 1"),
        ({"blocks": (BlockPlan("a", only_with="b"), BlockPlan("b"))}, "no earlier block"),
        ({"blocks": (BlockPlan("a", positions=(0.5, 0.6)),)}, "sum to 1"),
        ({"blocks": (BlockPlan("a", residues=20),)}, "at least 30"),
        ({"blocks": (BlockPlan("a", places=2, positions=(0.5, 0.5)),)}, "plan two blocks"),
    ],
)
def test_wrong_parameters_are_refused_in_one_sentence(wrong: dict, words: str) -> None:
    with pytest.raises(SirenError, match=words):
        ExampleParameters(**wrong)


def test_a_particle_too_large_for_its_box_is_refused() -> None:
    with pytest.raises(SirenError, match="does not fit"):
        simulate(ExampleParameters(box=24))


@pytest.mark.parametrize("box", [33, 40])
def test_other_boxes_and_ensembles_without_a_core_work(box: int) -> None:
    s = simulate(
        ExampleParameters(volumes=3, box=box, voxel_size=6, core_residues=0, blocks=SMALL.blocks)
    )
    assert (
        s.volume(2).shape == (box,) * 3
        and s.core.max() == 0
        and all(len(u.voxels) for u in s.units)
    )
