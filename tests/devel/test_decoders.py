"""The benchmark of decoders: particles, subspaces, truths and measures against what is known."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

BENCHMARKS = str(Path(__file__).parents[2] / "devel" / "benchmarks")
sys.path.insert(0, BENCHMARKS)
from decoders import files, measures, summary  # noqa: E402
from decoders.core_api import Ensemble, Grid, Part, binarize  # noqa: E402
from decoders.design import CARD, WIDE, recipe  # noqa: E402
from decoders.harness import BAD, rows_of  # noqa: E402
from decoders.making import AROUND, Recipe, chosen_points, level_by_hand, soft_shares  # noqa: E402
from decoders.methods import METHODS, Found  # noqa: E402
from decoders.molecules import (  # noqa: E402
    CORE,
    EMPTY,
    SWEPT,
    TRAINING,
    VALIDATION,
    low_pass,
    placed,
    split_of,
    truth_of,
)
from decoders.particles import (  # noqa: E402
    Imaging,
    Particles,
    ctf,
    half_plane,
    simulate_particles,
    slices,
    views,
)
from decoders.smooth import features, phase_randomized, smooth_noise  # noqa: E402
from decoders.stored import Stored, from_volumes, load, save  # noqa: E402
from decoders.subspace import fit, sphere  # noqa: E402

BOX = 20
CLEAN = Imaging(particles=1500, snr=50, preferred=0, tilt_error=0, shift_error=0)


def blob(x: float, y: float, z: float, sigma: float = 1.6, box: int = BOX) -> NDArray[np.float32]:
    """A Gaussian at a point, in voxels from the box's center."""
    axis = np.arange(box) - box // 2
    far = (axis[:, None, None] - z) ** 2 + (axis[:, None] - y) ** 2 + (axis - x) ** 2
    return np.exp(-far / (2 * sigma**2)).astype(np.float32)


def two_states() -> tuple[NDArray[np.float32], NDArray[np.float32], Particles]:
    """A core and two blocks that come and go on their own: densities, states, particles."""
    rng = np.random.default_rng(4)
    densities = np.stack([blob(0, 0, 0, 2.5), blob(4, 1, 0), blob(-2, -4, 2)])
    states = np.ones((CLEAN.particles, 3), np.float32)
    states[:, 1:] = rng.random((CLEAN.particles, 2)) < [0.5, 0.3]
    return densities, states, simulate_particles(densities, states, 6.0, CLEAN, rng)


@pytest.fixture(scope="module")
def known() -> tuple[NDArray[np.float32], NDArray[np.float32], Particles]:
    return two_states()


def test_a_gaussians_projections_are_the_analytic_ones() -> None:
    rng = np.random.default_rng(0)
    sigma, center = 2.0, np.array([3.0, -2.0, 1.0])
    rotations, frequencies = views(40, 0.5, rng), half_plane(BOX, 0.8)
    found = slices(blob(*center, sigma)[None], np.ones((40, 1)), rotations, frequencies)
    k = frequencies / BOX
    moved = np.einsum("pij,j->pi", rotations[:, :2], center)
    expected = (2 * np.pi * sigma**2) ** 1.5 * np.exp(-2 * (np.pi * sigma) ** 2 * (k**2).sum(1))
    expected = expected * np.exp(-2j * np.pi * moved @ k.T)
    assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()


def test_a_mixture_is_the_sum_of_its_densities() -> None:
    rotations, frequencies = views(5, 0, np.random.default_rng(1)), half_plane(BOX, 0.5)
    one, other = blob(2, 0, 0), blob(0, -3, 1)
    both = slices(np.stack([one, other]), np.tile([1.0, 0.5], (5, 1)), rotations, frequencies)
    whole = slices((one + other / 2)[None], np.ones((5, 1)), rotations, frequencies)
    np.testing.assert_allclose(both, whole, atol=1e-3)


def test_views_are_rotations_and_prefer_three_of_them() -> None:
    turned = views(3000, 0.7, np.random.default_rng(2))
    np.testing.assert_allclose(
        turned @ turned.transpose(0, 2, 1), np.tile(np.eye(3), (3000, 1, 1)), atol=1e-12
    )
    assert np.allclose(np.linalg.det(turned), 1)
    near = (turned[:, 2] @ turned[:, 2].T > np.cos(np.radians(20))).mean(axis=1)
    assert near.max() > 0.15  # even views: 3 % within 20 degrees


def test_ctf_is_that_of_the_microscope() -> None:
    frequency, defocus = np.array([0.0, 0.02, 0.05]), np.array([15_000.0])
    assert ctf(frequency, defocus)[0, 0] == pytest.approx(0.1)
    # 300 kV: 0.0197 A; the first zero lies where the phase is pi less the shift by amplitudes
    fine = np.linspace(0.02, 0.07, 2000)
    zero = fine[np.flatnonzero(np.diff(np.sign(ctf(fine, defocus)[0])))[0]]
    shift = np.arctan2(0.1, np.sqrt(0.99))
    assert zero == pytest.approx(np.sqrt((1 - shift / np.pi) / (0.01969 * 15_000)), rel=0.01)


def test_the_noise_is_as_strong_as_the_snr_says() -> None:
    imaging = replace(CLEAN, particles=400, snr=0.1, reach=0.99)
    made = simulate_particles(
        blob(0, 0, 0, 2)[None], np.ones((400, 1)), 6.0, imaging, np.random.default_rng(3)
    )
    radius = np.linalg.norm(made.frequencies, axis=1)
    pure = slices(blob(0, 0, 0, 2)[None], np.ones((400, 1)), made.rotations, made.frequencies)
    rest = made.data - made.filters * pure
    assert np.mean(np.abs(rest) ** 2) == pytest.approx(2, rel=0.02)
    # both variances by Parseval, over the whole plane: noise has 2 at each of box^2 frequencies
    signal = 2 * (np.abs(made.filters * pure)[:, radius > 0] ** 2).sum(axis=1).mean()
    assert signal / (2 * BOX**2) == pytest.approx(0.1, rel=0.03)


def test_without_noise_the_mean_comes_back(
    known: tuple[NDArray[np.float32], NDArray[np.float32], Particles],
) -> None:
    densities, states, particles = known
    true = np.tensordot(states.mean(axis=0), densities, 1) * sphere(BOX)
    mean = fit(particles, 0).mean
    assert np.corrcoef(mean.ravel(), true.ravel())[0, 1] > 0.985
    assert (mean * true).sum() / (true * true).sum() == pytest.approx(1, abs=0.12)


def test_the_subspace_of_planted_blocks_is_found(
    known: tuple[NDArray[np.float32], NDArray[np.float32], Particles],
) -> None:
    densities, states, particles = known
    found = fit(particles, 2, prior=0.1)
    own = np.linalg.qr(found.components.reshape(2, -1).T)[0]
    true = np.linalg.qr((densities[1:] * sphere(BOX)).reshape(2, -1).T)[0]
    assert np.linalg.svd(own.T @ true, compute_uv=False).min() > 0.95  # cosines of principal angles
    for block in (1, 2):
        design = np.column_stack([found.latents, np.ones(len(states))])
        rest = np.linalg.lstsq(design, states[:, block], rcond=None)[1][0]
        assert 1 - rest / (states[:, block].var() * len(states)) > 0.9
    assert (found.components[0] ** 2).sum() >= (found.components[1] ** 2).sum()


def test_the_same_seed_gives_the_same_subspace_and_another_does_not() -> None:
    def once(seed: int) -> NDArray[np.float32]:
        imaging = replace(CLEAN, particles=200, snr=0.5, contrast=0.1, junk=0.1, blurred=0.2)
        made = simulate_particles(
            blob(0, 1, 0)[None], np.ones((200, 1)), 6.0, imaging, np.random.default_rng(seed)
        )
        return fit(made, 2, rounds=2, seed=seed).components

    np.testing.assert_allclose(once(5), once(5), atol=1e-5)  # sums may differ in their last bits
    assert not np.allclose(once(5), once(6))


def test_images_show_the_particle_where_its_pose_puts_it() -> None:
    center, scale = np.array([3.0, -4.0, 1.0]), 1e4  # noise beyond the frequencies is far weaker
    imaging = replace(CLEAN, particles=12, reach=0.9)
    made = simulate_particles(
        blob(*center)[None], np.ones((12, 1)), 6.0, imaging, np.random.default_rng(14)
    )
    pure = slices(blob(*center)[None], np.ones((12, 1)), made.rotations, made.frequencies)
    for box in (BOX, files.smallest_box(made)):
        stack = files.images(replace(made, data=pure * scale), box, np.random.default_rng(15))
        axis = np.arange(box) - box // 2
        weight = np.maximum(stack - 0.3 * stack.max(axis=(1, 2), keepdims=True), 0)
        found = [
            [(w.sum(axis=0) * axis).sum() / w.sum(), (w.sum(axis=1) * axis).sum() / w.sum()]
            for w in weight
        ]
        expected = made.rotations[:, :2] @ center * box / BOX
        np.testing.assert_allclose(found, expected, atol=0.3)


def test_the_written_ctf_is_minus_ours_in_the_formula_of_cryodrgn(tmp_path: Path) -> None:
    pytest.importorskip("mrcfile")
    made = simulate_particles(
        blob(0, 0, 0)[None],
        np.ones((5, 1)),
        6.0,
        replace(CLEAN, particles=5, reach=0.6),
        np.random.default_rng(16),
    )
    box = files.smallest_box(made)
    files.write(tmp_path, made, box, 1)
    columns = pickle.loads((tmp_path / "ctf.pkl").read_bytes()).astype(float)
    side, pixel, defocus, _, _, kilovolts, millimeters, amplitude, _ = columns.T
    assert (side == box).all()
    square = (made.frequencies**2).sum(axis=1) / (side * pixel)[:, None] ** 2
    volts = 1e3 * kilovolts[:, None]
    wave = 12.2639 / np.sqrt(volts + 0.97845e-6 * volts**2)
    gamma = (
        2
        * np.pi
        * (
            -defocus[:, None] * wave * square / 2
            + 1e7 * millimeters[:, None] * wave**3 * square**2 / 4
        )
    )
    theirs = np.sqrt(1 - amplitude**2)[:, None] * np.sin(gamma) - amplitude[:, None] * np.cos(gamma)
    np.testing.assert_allclose(-theirs * made.scale, made.filters, atol=2e-3 * made.scale)
    rotations, shifts = pickle.loads((tmp_path / "poses.pkl").read_bytes())
    np.testing.assert_allclose(rotations, made.rotations, atol=1e-6)
    assert shifts.shape == (5, 2) and not shifts.any()


def test_a_density_on_a_finer_lattice_is_the_same_density() -> None:
    fine = files.resampled(blob(2, -3, 1, 2.0), 30)
    np.testing.assert_allclose(fine, blob(3, -4.5, 1.5, 3.0, 30), atol=0.01)


def test_soft_shares_are_those_of_the_nearest_particles() -> None:
    rng = np.random.default_rng(6)
    latents, states = rng.standard_normal((300, 3)), (rng.random((300, 2)) < 0.4).astype(float)
    junk, chosen = rng.random(300) < 0.1, np.array([4, 17, 250])
    found = soft_shares(latents, chosen, states, junk)
    for row, center in zip(found, chosen, strict=True):
        near = sorted(range(300), key=lambda p: float(((latents[p] - latents[center]) ** 2).sum()))
        expected = np.mean([states[p] * (not junk[p]) for p in near[:AROUND]], axis=0)
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_volumes_lie_at_different_particles() -> None:
    latents = np.random.default_rng(7).standard_normal((500, 4)).astype(np.float32)
    chosen = chosen_points(latents, 60, 0)
    assert 50 < len(chosen) <= 60 and len(np.unique(chosen)) == len(chosen)


def test_our_loop_and_cryodrgns_own_command_get_the_same_particles() -> None:
    for number in range(CARD["own"]):
        own, twin = recipe("own", number), recipe("twin", number)
        assert own.decoder == "train_vae" and twin.decoder == "cryodrgn"
        assert replace(own, name="", decoder="") == replace(twin, name="", decoder="")


def test_networks_of_users_size_are_half_of_one_state_and_each_kind_in_either_split() -> None:
    made = [recipe("wide", number) for number in range(2 * len(WIDE))]
    assert sum(r.null for r in made) == len(WIDE)
    for split in ("train", "validation"):
        assert {r.kind for r in made if split_of(r.molecule) == split} == set(WIDE)


def test_the_level_by_hand_encloses_the_true_number_of_voxels() -> None:
    true = blob(0, 0, 0, 3)
    level = level_by_hand(0.5 * true + 0.1, true, 0.4)
    assert level == pytest.approx(0.3, abs=0.01)


def test_truth_is_core_blocks_empty_and_swept() -> None:
    core, one, other = blob(0, 0, 0), blob(5, 0, 0), blob(5, 1, 0) * 0.5
    truth = truth_of(np.stack([core, one, other]), 0.5, False)
    assert truth[10, 10, 10] == CORE and truth[10, 10, 15] == 0 and truth[0, 0, 0] == EMPTY
    assert not ((truth >= 0) & (core > 0.5)).any() and (truth != SWEPT).all()
    swept = truth_of(np.stack([core, one, blob(5, 3, 0)]), 0.5, True)
    assert swept[10, 10, 15] == SWEPT and swept[10, 10, 10] == CORE and (swept < 0).all()


def test_molecules_fill_the_box_as_asked_and_splits_have_nothing_in_common() -> None:
    points = np.array([[0.0, 0, 0], [100.0, 0, 0], [50.0, 20, 0]])
    (part,), grid = placed([Part("p", points, np.full(3, 6))], 40, 0.8)
    assert grid == Grid((40,) * 3, (grid.voxel_size[0],) * 3)
    assert np.ptp(part.points[:, 0]) / (40 * grid.voxel_size[0]) == pytest.approx(0.8, rel=0.02)
    assert not set(TRAINING) & set(VALIDATION)


def test_smooth_features_have_the_correlation_of_a_gaussian_process() -> None:
    rng = np.random.default_rng(8)
    latents = np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 0.0]])
    kernel = np.mean([f @ f.T for f in (features(latents, 1.0, rng) for _ in range(300))], axis=0)
    np.testing.assert_allclose(
        kernel, [[1, np.exp(-0.5), 0], [np.exp(-0.5), 1, 0], [0, 0, 1]], atol=0.08
    )


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_smooth_noise_is_as_strong_as_asked(scale: float) -> None:
    particle = blob(0, 0, 0, 3, 32)
    components, scores = smooth_noise(
        particle, 0.5, 400, 6, scale, 2.0, True, np.random.default_rng(9)
    )
    flat = components.reshape(len(components), -1).astype(np.float32)
    assert (scores @ flat).std() == pytest.approx(2 * 0.22 * 0.5, rel=0.3)


def test_redrawn_phases_keep_strength_and_spectrum_but_not_the_place() -> None:
    components = np.stack([blob(4, 0, 0, box=32), blob(0, -4, 0, box=32)])
    mask = sphere(32)
    drawn = phase_randomized(components, mask, np.random.default_rng(10)).astype(float)
    inside = mask > 0.5
    np.testing.assert_allclose(
        drawn[:, inside].std(axis=1), components[:, inside].std(axis=1), rtol=0.01
    )
    assert abs(np.corrcoef(drawn[0].ravel(), components[0].ravel())[0, 1]) < 0.5
    assert (drawn[:, mask == 0] == 0).all()


def test_an_ensemble_comes_back_from_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    volumes = np.tensordot(
        rng.standard_normal((30, 2)), np.stack([blob(3, 0, 0), blob(0, 3, 0)]), 1
    ) + blob(0, 0, 0)
    mean, components, scores = from_volumes(volumes)
    assert len(components) == 2
    recipe = Recipe("x", "blocks")
    truth = np.full((BOX,) * 3, -1, np.int8)
    stored = Stored(
        mean,
        components,
        scores,
        0.4,
        6.0,
        truth,
        np.zeros((30, 1), np.float32),
        np.array([-1]),
        np.zeros((2, *truth.shape), np.float16),
        {"name": recipe.name, "kind": recipe.kind},
    )
    save(tmp_path / "x.npz", stored)
    again = load(tmp_path / "x.npz")
    np.testing.assert_allclose(again.volumes(), volumes, atol=0.01)
    assert again.made["kind"] == "blocks" and len(again.ensemble()) == 30
    assert again.grid.voxel_size == (6.0, 6.0, 6.0)


def test_contrast_is_the_difference_of_the_means() -> None:
    volumes = np.full((10, 50), 0.2, np.float32)
    volumes[:4, :20] = 2.0
    levels = np.full(10, 0.5)
    found = measures.contrast(volumes, levels, np.arange(20))
    assert (found.present, found.there, found.gone) == (4, pytest.approx(4), pytest.approx(0.4))
    assert found.levels == pytest.approx(3.6) and found.share == pytest.approx(0.9)
    shell = np.linspace(1.1, 1.4, 10)[:, None] * np.ones(50)  # always occupied: split in the middle
    assert measures.contrast(shell, np.ones(10), np.arange(20)).present == 5


def test_solid_pieces_are_counted_and_dust_is_not() -> None:
    mask = np.zeros((12, 12, 12), bool)
    mask[1:4, 1:4, 1:4] = mask[7:10, 7:10, 7:10] = True
    mask[4, 4, 4] = True  # touches by a corner
    mask[0, 11, 0] = mask[11, 0, 0] = True
    solid, largest = measures.solidity(np.flatnonzero(mask), mask.shape)
    assert solid == pytest.approx(55 / 57) and largest == pytest.approx(28 / 57)


def test_the_effective_number_of_volumes_is_theirs_where_they_are_independent() -> None:
    rng = np.random.default_rng(12)
    shape = (16, 16, 16)
    frequency = np.zeros(4096, int)
    frequency[:100] = 100
    alone = rng.standard_normal((100, 4096)).astype(np.float32)
    assert measures.effective_volumes(alone, frequency, shape) == pytest.approx(100, rel=0.1)
    few = (rng.standard_normal((100, 8)) @ rng.standard_normal((8, 4096))).astype(np.float32)
    assert measures.effective_volumes(few, frequency, shape) < 15


def test_the_ceiling_finds_blocks_whose_states_are_known() -> None:
    rng = np.random.default_rng(13)
    soft = (rng.random((80, 2)) < 0.5).astype(float)
    occupied = rng.random((80, 300)) < 0.5
    planted = [np.arange(40), np.arange(100, 150)]
    for b, voxels in enumerate(planted):
        occupied[:, voxels] = soft[:, b, None] > 0
    np.testing.assert_allclose(measures.ceiling(occupied, soft, planted), [1, 1])


def test_overlaps() -> None:
    assert measures.overlap(np.arange(10), np.arange(5, 15)) == pytest.approx(1 / 3)
    others = [np.arange(20, 30), np.arange(2, 10)]
    assert measures.best_overlap(np.arange(10), others) == (0.8, 1)
    assert measures.best_overlap(np.arange(10), []) == (0.0, -1)


def test_shares_in_and_near_a_part_are_those_of_the_part_with_most() -> None:
    truth = np.full((9, 9, 9), -1, np.int8)
    truth[4, 4, 2], truth[4, 4, 7] = 0, 1
    line = np.ravel_multi_index((4, 4, np.arange(1, 7)), truth.shape)  # x of 1 to 6
    assert measures.share_in_part(line, truth, 2) == pytest.approx((1 / 6, 4 / 6))
    assert measures.share_in_part(line, truth, 0) == (0, 0)


def test_unmatched_blocks_are_pieces_margins_or_spurious() -> None:
    def row(in_part: float, near_part: float, verdict: str) -> dict[str, str]:
        numbers = {"in_part": in_part, "near_part": near_part, "best_iou": 0.1}
        words = {"null": "0", "kind": "blocks", "verdict": verdict}
        return {k: str(v) for k, v in numbers.items()} | words

    rows = [row(0.6, 1, "graded"), row(0.4, 0.9, "doubtful: x"), row(0.4, 0.8, "solid")]
    rows += [row(0.1, 0.2, "moving"), row(0.6, 1, "solid") | {"best_iou": "0.3"}]
    assert list(summary.unmatched_lines(rows))[2:5] == [
        "| piece | 1 | 1 | 0 | 0 |",
        "| margin | 2 | 1 | 0 | 1 |",
        "| spurious | 1 | 0 | 1 | 0 |",
    ]


def test_a_low_pass_keeps_what_is_below_and_takes_what_is_beyond() -> None:
    axis = 2 * np.pi * np.arange(24) / 24
    slow, fast = np.cos(3 * axis), np.cos(10 * axis)  # 0.25 and 0.83 of Nyquist
    density = slow[:, None, None] + fast[:, None] + np.zeros(24)
    expected = np.broadcast_to(slow[:, None, None], density.shape)
    np.testing.assert_allclose(low_pass(density, 0.5), expected, atol=1e-6)
    np.testing.assert_allclose(low_pass(density, 1.0), density, atol=1e-6)


pytestmark = pytest.mark.slow
KEPT = sorted((Path(BENCHMARKS) / "decoders" / "kept").glob("*.npz"))


@pytest.mark.parametrize("path", KEPT, ids=lambda p: p.stem)
def test_kept_ensembles_are_whole(path: Path) -> None:
    stored = load(path)
    volumes, blocks = stored.volumes(), stored.soft.shape[1]
    assert np.isfinite(volumes).all() and len(volumes) == len(stored.soft) >= 200
    assert stored.made["name"] == path.stem and set(np.unique(stored.truth)) <= {
        SWEPT,
        CORE,
        EMPTY,
        *range(blocks),
    }
    assert (stored.soft >= 0).all() and (stored.soft <= 1).all() and len(stored.par) == blocks
    if blocks:  # nothing is there without what it depends on
        for block, parent in enumerate(stored.par):
            assert parent < 0 or (stored.soft[:, block] <= stored.soft[:, parent] + 1e-6).all()
    core = stored.truth == CORE
    assert (stored.mean > stored.level)[core].mean() > 0.8
    assert (stored.mean > stored.level)[stored.truth == EMPTY].mean() < 0.1


def test_what_is_planted_is_scored_as_found() -> None:
    stored = load(next(p for p in KEPT if p.name.startswith("blocks")))
    planted = {
        b + 1: np.flatnonzero(stored.truth.ravel() == b) for b in range(stored.soft.shape[1])
    }

    def perfect(ensemble: Ensemble, levels: NDArray[np.float64], stability: bool) -> Found:
        return Found(planted, planted, binarize(ensemble, levels))

    rows, whole = rows_of(stored, "perfect", perfect, "true")
    assert [r["best_iou"] for r in rows] == [1] * len(planted)
    assert [r["best_planted"] for r in rows] == list(range(len(planted)))
    assert all(r["in_core"] == r["in_empty"] == 0 for r in rows)
    assert whole["mean_best_iou"] == 1 and whole["bad"] == 0 and 0.2 < whole["ceiling"] < 1
    assert np.median([r["true_correlation"] for r in rows]) > 0.7


def test_a_networks_volumes_follow_the_states_of_its_particles() -> None:
    stored = load(Path(BENCHMARKS) / "decoders" / "kept" / "network-002-6fml.npz")
    assert stored.made["decoder"] == "cryodrgn"
    volumes = stored.volumes().reshape(len(stored), -1)
    profile = np.stack(
        [volumes[:, stored.truth.ravel() == b].mean(axis=1) for b in range(stored.soft.shape[1])]
    )
    count = len(profile)
    both = np.corrcoef(profile, stored.soft.T)[:count, count:]
    clear = stored.soft.std(axis=0) > 0.2  # the latents tell these states apart
    assert clear.sum() == 2
    assert (np.diag(both)[clear] > 0.7).all()  # of its own block
    assert (both[clear].argmax(axis=1) == np.flatnonzero(clear)).all()


def verdicts_of(stored: Stored) -> list[tuple[str, NDArray[np.int64]]]:
    """Verdict and voxels of each block after expand, at the true level."""
    found = METHODS["profile"](stored.ensemble(), np.full(len(stored), stored.level), False)
    return [(found.evidence[n].verdict, voxels) for n, voxels in found.blocks.items()]


@pytest.mark.parametrize("name", ["one-state-000-50S", "smooth-001-1oel", "wide-000-50S"])
def test_where_nothing_comes_and_goes_every_block_is_doubtful(name: str) -> None:
    verdicts = verdicts_of(load(Path(BENCHMARKS) / "decoders" / "kept" / f"{name}.npz"))
    assert verdicts  # there are blocks to judge
    assert all(verdict.startswith("doubtful: ") for verdict, _ in verdicts)


@pytest.mark.parametrize(("name", "least"), [("blocks-001-1oel", 3), ("network-002-6fml", 1)])
def test_blocks_that_stand_match_a_planted_one_each(name: str, least: int) -> None:
    stored = load(Path(BENCHMARKS) / "decoders" / "kept" / f"{name}.npz")
    planted = [np.flatnonzero(stored.truth.ravel() == b) for b in range(stored.soft.shape[1])]
    standing = [voxels for v, voxels in verdicts_of(stored) if v.startswith(("solid", "graded"))]
    assert len(standing) >= least
    assert all(measures.best_overlap(voxels, planted)[0] >= BAD for voxels in standing)


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "decoders"


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data/decoders is absent")
def test_in_the_shared_ensembles_seven_of_eight_parts_stand_and_none_of_none() -> None:
    stored = load(SHARED / "subspace_8_blocks.npz")
    planted = [np.flatnonzero(stored.truth.ravel() == b) for b in range(stored.soft.shape[1])]
    standing = [voxels for v, voxels in verdicts_of(stored) if v.startswith(("solid", "graded"))]
    found = [measures.best_overlap(part, standing)[0] >= BAD for part in planted]
    assert sum(found) == 7
    alone = [v for v in standing if measures.best_overlap(v, planted)[0] < BAD]
    assert len(alone) <= 1  # a piece of one of the parts
    assert all(
        v.startswith("doubtful") for v, _ in verdicts_of(load(SHARED / "subspace_one_state.npz"))
    )
