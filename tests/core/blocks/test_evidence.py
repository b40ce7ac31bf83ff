"""Evidence and verdicts, on densities whose truth is known, and against scipy's own labels."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage, stats

from chimerax.siren.core.blocks.background import (
    are_independent,
    effective_by,
    effective_volumes,
    measure_background,
    vary_together,
)
from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.evidence import (
    Evidence,
    joined_shells,
    measure_evidence,
    negative_share,
    sketched_evidence,
    solid_share,
)
from chimerax.siren.core.blocks.level_harmonization import read_anchors
from chimerax.siren.core.blocks.motion import half_there
from chimerax.siren.core.blocks.occupancy import Occupancy, binarize
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.blocks.verdicts import (
    DOUBTFUL,
    GRADED,
    MOVING,
    SOLID,
    BlockEvidence,
)
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble, ensemble_from_arrays
from chimerax.siren.core.maps.grid import Grid

SHAPE = (24, 24, 24)
GRID = Grid(SHAPE, (5.0, 5.0, 5.0))
VOLUMES = 60


def blob(x: float, y: float, z: float, size: float = 2.0) -> np.ndarray:
    """(z, y, x) Gaussian of height 2 about a point in voxels."""
    place = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    square = sum((p - c) ** 2 for p, c in zip(place, (z, y, x), strict=True))
    return 2 * np.exp(-square / (2 * size**2))


def volumes_of(
    weights: dict[tuple[float, float, float], np.ndarray], noise: float = 0.05
) -> Ensemble:
    """A constant blob, and blobs at points with a weight in each volume, in independent noise."""
    rng = np.random.default_rng(0)
    maps = rng.normal(0, noise, (VOLUMES, *SHAPE)) + blob(6, 12, 12, 3.0)
    for point, weight in weights.items():
        maps += weight[:, None, None, None] * blob(*point)
    return ensemble_from_arrays(maps.astype(np.float32), 5.0)


def voxels_near(x: float, y: float, z: float, above: float = 1.0) -> np.ndarray:
    return np.flatnonzero(blob(x, y, z) > above)


def evidence_of(ensemble: Ensemble, *blocks: np.ndarray, level: float = 1.0) -> list[BlockEvidence]:
    occupancy = binarize(ensemble, np.full(len(ensemble), level))
    found = measured(BlockSet(GRID, dict(enumerate(blocks, 1))), occupancy, ensemble)
    return list(found.blocks.values())


def measured(blocks: BlockSet, occupancy: Occupancy, ensemble: Ensemble) -> Evidence:
    background = measure_background(ensemble, occupancy, Progress())
    return measure_evidence(blocks, occupancy, ensemble, background)


HALF = (np.arange(VOLUMES) % 2).astype(float)


def test_a_part_that_comes_and_goes_is_solid_with_its_contrast_in_levels() -> None:
    ensemble = volumes_of({(17, 12, 12): HALF})
    (found,) = evidence_of(ensemble, voxels := voxels_near(17, 12, 12))
    mean = blob(17, 12, 12).ravel()[voxels].mean()  # the level is 1 and the background 0
    # the background's median is that of the edge of the blobs, too
    assert found.rise == pytest.approx(mean, abs=0.025)
    assert found.contrast == pytest.approx(1, abs=0.03)
    assert found.solidity == 1 and abs(found.exchange) < 0.1
    assert found.verdict == SOLID


def test_a_part_that_is_never_quite_gone_is_graded() -> None:
    ensemble = volumes_of({(17, 12, 12): 0.45 + 0.55 * HALF})
    (found,) = evidence_of(ensemble, voxels_near(17, 12, 12))
    assert found.contrast == pytest.approx(0.55, abs=0.02) and found.verdict == GRADED


NORMAL = stats.norm.ppf((np.arange(VOLUMES) + 0.5) / VOLUMES)


@pytest.mark.parametrize(
    ("weight", "least", "most", "verdict"),
    [
        (HALF, 0.99, 1, SOLID),
        (np.linspace(-0.2, 1.4, VOLUMES), 0.68, 0.75, GRADED),  # of a uniform one: 3/4
        (0.6 + 0.4 * NORMAL, 0.55, 2 / np.pi, GRADED),  # of a normal one: 2 / pi
    ],
)
def test_any_distribution_can_be_cut_in_two_but_the_variance_tells_two_groups(
    weight: np.ndarray, least: float, most: float, verdict: str
) -> None:
    ensemble = volumes_of({(17, 12, 12): weight}, noise=0.005)
    (found,) = evidence_of(ensemble, voxels_near(17, 12, 12))
    assert least <= found.separation <= most + 0.01 and found.verdict == verdict


def test_the_scale_and_the_offset_of_a_volume_do_not_count() -> None:
    rng = np.random.default_rng(1)
    scale, offset = rng.uniform(0.5, 2, VOLUMES), rng.normal(0, 3, VOLUMES)
    plain = volumes_of({(17, 12, 12): HALF})
    arrays = np.stack([a * s + o for (_, a), s, o in zip(plain.read(), scale, offset, strict=True)])
    changed = ensemble_from_arrays(arrays, 5.0)
    blocks = BlockSet(GRID, {1: voxels_near(17, 12, 12)})
    before = measured(blocks, binarize(plain, np.ones(VOLUMES)), plain)
    after = measured(blocks, binarize(changed, scale + offset), changed)
    assert after.blocks[1].contrast == pytest.approx(before.blocks[1].contrast, abs=1e-3)
    assert after.noise == pytest.approx(before.noise, abs=1e-3)


def test_a_surface_that_moves_across_the_level_is_doubtful() -> None:
    breath = 1 + 0.15 * (2 * HALF - 1)
    ensemble = volumes_of({(17, 12, 12): breath}, noise=0.005)
    density = blob(17, 12, 12)
    shell = np.flatnonzero((density > 1 / 1.15) & (density < 1 / 0.85))
    (found,) = evidence_of(ensemble, shell)
    assert found.contrast == pytest.approx(1 - 0.85 / 1.15, abs=0.02)
    assert found.verdict.startswith(f"{DOUBTFUL}: its density changes by ")


def test_scattered_voxels_are_doubtful() -> None:
    rng = np.random.default_rng(2)
    dust = np.sort(rng.choice(np.arange(5000, 13000), 60, replace=False))
    maps = rng.normal(0, 0.05, (VOLUMES, *SHAPE)).astype(np.float32)
    maps += blob(6, 12, 12).astype(np.float32)
    maps.reshape(VOLUMES, -1)[:, dust] += 2 * HALF[:, None]
    (found,) = evidence_of(ensemble_from_arrays(maps, 5.0), dust)
    assert found.solidity < 0.3 and found.verdict.endswith("is scattered, like noise")


def test_a_part_that_moves_is_moving() -> None:
    ensemble = volumes_of({(17, 10, 12): HALF, (17, 14.5, 12): 1 - HALF})
    first = np.setdiff1d(voxels_near(17, 10, 12), voxels_near(17, 14.5, 12))
    (found,) = evidence_of(ensemble, first)
    assert found.exchange == pytest.approx(1, abs=0.1) and found.verdict == MOVING


def test_the_margin_of_a_part_that_moves_a_little_is_moving() -> None:
    one, other = (17, 12 - 0.7, 12), (17, 12 + 0.7, 12)
    ensemble = volumes_of({one: HALF, other: 1 - HALF})
    margin = np.setdiff1d(voxels_near(*one), voxels_near(*other))
    (found,) = evidence_of(ensemble, margin)
    assert constants.MOVING_CONTRAST < found.contrast < constants.MIN_CONTRAST
    assert found.exchange == pytest.approx(1, abs=0.1) and found.verdict == MOVING


@pytest.mark.parametrize(
    ("contrast", "exchange", "separation", "noise", "expected"),
    [
        (0.40, 0.8, 0.65, 0.10, MOVING),
        (0.40, 0.8, 0.55, 0.10, DOUBTFUL),  # one group, as noise is
        (0.40, 0.3, 0.65, 0.10, DOUBTFUL),  # little leaves near by
        (0.36, 0.8, 0.65, 0.10, DOUBTFUL),
        (0.40, 0.8, 0.65, 0.11, DOUBTFUL),  # less than 5 SD
    ],
)
def test_a_smaller_contrast_will_do_for_what_clearly_moves(
    contrast: float, exchange: float, separation: float, noise: float, expected: str
) -> None:
    found = BlockEvidence(contrast, 0.52, 0.9, exchange, separation, noise)
    assert found.verdict.startswith(expected)


def test_a_block_in_all_volumes_has_no_contrast() -> None:
    ensemble = volumes_of({})
    (found,) = evidence_of(ensemble, voxels_near(6, 12, 12))
    assert found.contrast == 0 and found.doubtful


def test_solid_pieces_are_those_of_scipys_labels() -> None:
    rng = np.random.default_rng(3)
    mask = rng.random(SHAPE) < 0.12
    label, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    sizes = np.bincount(label.ravel())[1:]
    share = sizes[sizes >= constants.SOLID_PIECE].sum() / mask.sum()
    assert 0.1 < share < 0.9  # the case tells something
    assert solid_share(np.flatnonzero(mask), GRID) == pytest.approx(share)


@pytest.mark.parametrize("sampled", [0.5, 0.2])
def test_a_sample_of_a_solid_block_is_solid_and_one_of_dust_is_not(sampled: float) -> None:
    rng = np.random.default_rng(4)
    block = np.flatnonzero(blob(12, 12, 12, 4.0) > 1)
    some = np.sort(rng.choice(block, round(sampled * len(block)), replace=False))
    dust = np.sort(rng.choice(int(np.prod(SHAPE)), len(some), replace=False))
    assert solid_share(some, GRID, sampled) > 0.95
    assert solid_share(dust, GRID, sampled) < 0.3


def test_independent_volumes_count_one_each_and_points_of_a_plane_hardly_any() -> None:
    rng = np.random.default_rng(5)
    voxels = np.sort(rng.choice(int(np.prod(SHAPE)), 400, replace=False))
    independent = rng.normal(size=(200, 400))
    plane = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 400))
    assert 150 < effective_volumes(independent, voxels, GRID) <= 200
    assert effective_volumes(plane, voxels, GRID) < 8
    assert np.isnan(effective_volumes(np.zeros((200, 400)), voxels, GRID))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # copies of one volume: their SD is no zero but a rounding error
        same = np.tile(rng.normal(size=400).astype(np.float32), (12, 1))
        assert np.isnan(effective_volumes(same, voxels, GRID))


def test_nested_shells_of_a_graded_part_are_joined_and_a_dependent_part_is_not() -> None:
    rng = np.random.default_rng(6)
    graded = rng.random(VOLUMES)
    needs = np.where(graded > 0.5, HALF, 0.0)
    ensemble = volumes_of({(15, 12, 12): graded, (19.5, 12, 12): needs}, noise=0.01)
    density = blob(15, 12, 12).ravel()
    outer = np.flatnonzero((density > 1.1) & (density <= 1.5))
    inner = np.flatnonzero(density > 1.5)
    other = np.setdiff1d(voxels_near(19.5, 12, 12), np.flatnonzero(density > 1.1))
    blocks = BlockSet(GRID, {1: outer, 2: inner, 3: other})
    occupancy = binarize(ensemble, np.ones(VOLUMES))
    joined = joined_shells(blocks, measured(blocks, occupancy, ensemble))
    assert sorted(joined.blocks) == [1, 3]
    np.testing.assert_array_equal(joined.blocks[1], np.union1d(outer, inner))
    np.testing.assert_array_equal(joined.blocks[3], other)


def test_the_edge_of_a_part_that_is_there_by_degrees_is_doubtful_and_its_middle_is_not() -> None:
    by_degrees = np.linspace(0, 1.4, VOLUMES)
    ensemble = volumes_of({(17, 12, 12): by_degrees}, noise=0.005)
    density = blob(17, 12, 12)
    middle = np.flatnonzero(density > 1.2)
    edge = np.flatnonzero((density > 0.75) & (density <= 1.2))
    part, margin = evidence_of(ensemble, middle, edge)
    assert part.peak == 1 and part.verdict == GRADED
    assert margin.peak == 0 and margin.verdict.startswith(f"{DOUBTFUL}: what comes and goes has")
    assert replace(margin, peak=1.0).verdict == GRADED  # nothing else speaks against it


def test_the_seam_of_two_parts_is_doubtful() -> None:
    rng = np.random.default_rng(9)
    first, second = (rng.random((2, VOLUMES)) < 0.5).astype(float)
    one, other = (17, 9, 12), (17, 15, 12)
    ensemble = volumes_of({one: first, other: second}, noise=0.005)
    parts = [voxels_near(*point) for point in (one, other)]
    both = np.flatnonzero(blob(*one) + blob(*other) > 1)
    seam = np.setdiff1d(both, np.concatenate(parts))
    seam = seam[np.abs(np.unravel_index(seam, SHAPE)[1] - 12) < 2]
    found = evidence_of(ensemble, *parts, seam)
    assert [round(e.peak, 1) for e in found] == [1, 1, 0]
    assert len(seam) > 10 and "its peak beside it" in found[2].verdict


def test_a_part_that_needs_its_neighbor_has_a_peak_of_its_own() -> None:
    graded = np.random.default_rng(6).random(VOLUMES)
    needs = np.where(graded > 0.5, HALF, 0.0)
    ensemble = volumes_of({(15, 12, 12): graded, (19.5, 12, 12): needs}, noise=0.01)
    one = voxels_near(15, 12, 12)
    other = np.setdiff1d(voxels_near(19.5, 12, 12), one)
    found = evidence_of(ensemble, one, other)[1]
    assert found.peak > 0.9 and found.verdict == SOLID


def test_in_a_sketch_an_edge_has_no_peak_either() -> None:
    ensemble = volumes_of({(17, 12, 12): np.linspace(0, 1.4, VOLUMES)}, noise=0.005)
    density = blob(17, 12, 12)
    rng = np.random.default_rng(10)
    middle, edge = (
        rng.permutation(np.flatnonzero(v))[: np.count_nonzero(v) // 2]
        for v in (density > 1.2, (density > 0.75) & (density <= 1.2))
    )
    blocks = BlockSet(GRID, {1: np.sort(middle), 2: np.sort(edge)})
    occupancy = binarize(ensemble, np.ones(VOLUMES))
    found = measure_evidence(blocks, occupancy, ensemble, None, 0.5).blocks
    assert found[1].peak == 1 and found[2].peak == 0


def test_what_moves_passes_in_between_and_what_fades_in_does_not() -> None:
    way = np.linspace(0, 1, VOLUMES)
    rng = np.random.default_rng(11)
    constant = rng.normal(0, 0.005, (VOLUMES, *SHAPE)) + blob(4, 12, 12, 3.0)
    moves = constant + np.stack([blob(15, 7 + 8 * w, 12) for w in way])
    fades = constant + np.stack([w * blob(15, 15, 12) + (1 - w) * blob(15, 7, 12) for w in way])
    block = voxels_near(15, 15, 12)
    found = {}
    for name, maps in (("moves", moves), ("fades", fades)):
        (found[name],) = evidence_of(ensemble_from_arrays(maps.astype(np.float32), 5.0), block)
    assert found["moves"].passing > 0.1 and found["fades"].passing == 0
    assert min(e.exchange for e in found.values()) > constants.PASSING_EXCHANGE


@pytest.mark.parametrize(
    ("exchange", "passing", "noise", "expected"),
    [
        (0.2, 0.02, 0.1, MOVING),
        (0.2, 0.0, 0.1, SOLID),  # another part leaves
        (0.05, 0.02, 0.1, SOLID),  # hardly anything leaves
        (0.2, 0.02, 0.0, SOLID),  # independent volumes: noise of a few passes, too
    ],
)
def test_what_leaves_too_far_away_to_be_seen_moves_if_something_passes(
    exchange: float, passing: float, noise: float, expected: str
) -> None:
    found = BlockEvidence(0.9, 1.5, 0.9, exchange, 0.9, noise, passing=passing)
    assert found.verdict == expected


def test_a_block_is_half_there_in_the_middle_half_of_the_way() -> None:
    shares = np.array([[0.0, 0.1, 0.32, 0.5, 0.68, 0.9, 1.0], [0, 0, 0, 0, 0, 0, 0]])
    present = np.array([[0, 0, 0, 0, 1, 1, 1], [0] * 7], bool)
    low, high = shares[0, :4].mean(), shares[0, 4:].mean()
    expected = (shares[0] > low + (high - low) / 4) & (shares[0] < high - (high - low) / 4)
    half = half_there(shares, present)
    assert half[0].tolist() == expected.tolist() and 0 < half[0].sum() < 4
    assert not half[1].any()


def test_doubtful_blocks_stand_last_whatever_their_size() -> None:
    ensemble = volumes_of({(17, 12, 12): HALF})
    dust = np.arange(0, 13000, 90)  # more voxels than the part, all empty
    blocks = BlockSet(GRID, {1: dust, 2: voxels_near(17, 12, 12)})
    occupancy = binarize(ensemble, np.ones(VOLUMES))
    numbered, evidence = sketched_evidence(blocks, occupancy, ensemble, 1.0)
    np.testing.assert_array_equal(numbered.blocks[2], dust)
    assert evidence.blocks[2].doubtful and not evidence.blocks[1].doubtful


def test_background_that_varies_as_much_in_few_effective_volumes_is_a_reason_for_doubt() -> None:
    strong = BlockEvidence(contrast=0.9, rise=1.5, solidity=0.9, exchange=0.0, noise=0.4)
    assert "background" in strong.verdict
    assert BlockEvidence(0.9, 1.5, 0.9, 0.0, noise=0.1).verdict == SOLID
    # noise varies by degrees: where the block does, it must stand out more
    assert BlockEvidence(0.9, 1.5, 0.9, 0.0, 1.0, noise=0.25).verdict == SOLID
    assert BlockEvidence(0.9, 1.5, 0.9, 0.0, 0.6, noise=0.27).verdict.startswith(DOUBTFUL)
    assert BlockEvidence(0.9, 1.5, 0.9, 0.0, 0.6, noise=0.2).verdict == GRADED
    # the tail of one group, in volumes that depend on each other
    assert "by degrees" in BlockEvidence(0.9, 1.5, 0.9, 0.0, 0.3, noise=0.1).verdict
    assert BlockEvidence(0.9, 1.5, 0.9, 0.0, 0.3).verdict == GRADED


@pytest.mark.parametrize(
    ("point", "least", "most"), [((12, 12, 12), 0.8, 1.1), ((17, 12, 12), 0, 0.2)]
)
def test_only_what_changes_alike_in_all_directions_from_the_middle_is_symmetric(
    point: tuple[float, float, float], least: float, most: float
) -> None:
    ensemble = volumes_of({point: HALF}, noise=0.005)
    (found,) = evidence_of(ensemble, voxels := voxels_near(*point))
    place = np.stack(np.meshgrid(*(np.arange(n) - n // 2 for n in SHAPE), indexing="ij"))
    shell = np.rint(np.linalg.norm(place, axis=0)).astype(int).ravel()
    density = blob(*point).ravel()
    mean = np.bincount(shell, density) / np.bincount(shell)
    expected = mean[shell[voxels]].mean() / density[voxels].mean()
    assert found.symmetry == pytest.approx(expected, abs=0.05)
    assert least <= found.symmetry <= most


def test_the_middle_of_the_box_is_doubted_where_it_changes_by_degrees_and_alike_all_round() -> None:
    def verdict(separation: float, noise: float, symmetry: float) -> str:
        return BlockEvidence(0.9, 1.5, 0.9, 0.0, separation, noise, symmetry).verdict

    assert "in all directions" in verdict(0.6, 0.1, 0.9)
    assert verdict(0.6, 0.1, 0.2) == GRADED
    assert verdict(0.6, 0.0, 0.9) == GRADED  # independent volumes: statistics decide
    assert verdict(0.95, 0.1, 0.9) == SOLID  # cargo of a cage comes and goes


def test_noise_of_the_molecule_alone_is_seen_in_the_core() -> None:
    """As in masked volumes of a decoder: outside there is nothing to measure it by."""
    rng = np.random.default_rng(3)
    fields = ndimage.gaussian_filter(rng.normal(size=(9, *SHAPE)), (0, 2, 2, 2))
    waves = np.tensordot(rng.normal(size=(VOLUMES, 9)), fields / fields.std(), 1) / 3
    particle = blob(12, 12, 12, 5.0)
    maps = particle * (1 + 0.1 * waves)  # an SD of a tenth of the density
    maps[:, particle < 0.3] = 0
    ensemble = ensemble_from_arrays(maps.astype(np.float32), 5.0)
    background = measure_background(ensemble, binarize(ensemble, np.ones(VOLUMES)), Progress())
    assert background.dependent and background.effective_volumes < 20
    core = (maps > 1).mean(axis=0) >= 0.97
    expected = np.median(maps[:, core].std(axis=0) / maps[:, core].mean(axis=0))
    assert background.noise == pytest.approx(expected, rel=0.05) and expected > 0.05


def test_volumes_whose_background_or_core_varies_together_are_not_independent() -> None:
    rng = np.random.default_rng(8)
    particle, noise = blob(12, 12, 12, 5.0), rng.normal(size=(VOLUMES, *SHAPE))
    waves = np.tensordot(rng.normal(size=(VOLUMES, 3)), rng.normal(size=(3, *SHAPE)), 1)
    kinds = {"all": noise, "none": waves}
    kinds["background"] = np.where(particle < 0.5, noise, waves)
    kinds["core"] = np.where(particle < 0.5, waves, noise)
    told = {}
    for kind, field in kinds.items():
        ensemble = ensemble_from_arrays((particle + 0.1 * field).astype(np.float32), 5.0)
        occupancy = binarize(ensemble, np.ones(VOLUMES))
        effective = effective_by(read_anchors(ensemble, occupancy, Progress()), occupancy)
        told[kind] = are_independent(effective, VOLUMES), vary_together(effective, VOLUMES)
    together = (False, True)
    assert told == {
        "all": (True, False),
        "none": together,
        "background": together,
        "core": together,
    }
    few = binarize(ensemble.of(ensemble.names[:25]), np.ones(25))  # half of 25 are no p-values
    effective = effective_by(read_anchors(ensemble.of(few.names), few, Progress()), few)
    assert not are_independent(effective, 25)


def test_evidence_is_written_and_read_as_it_is() -> None:
    one = BlockEvidence(0.75, 1.25, 0.5, 0.125, 0.0625, 0.25, 0.5, 0.375, 0.875)
    assert BlockEvidence.from_json(one.as_json()) == one
    assert one.as_json()["verdict"] == one.verdict


def test_blocks_of_independent_volumes_are_solid_after_a_sketch() -> None:
    rng = np.random.default_rng(7)
    first, second = (rng.random((2, VOLUMES)) < 0.5).astype(float)
    ensemble = volumes_of({(17, 6, 12): first, (17, 18, 12): second}, noise=0.2)
    result = sketch(ensemble, np.ones(VOLUMES))
    assert [e.verdict for e in result.blocks.evidence.values()] == [SOLID, SOLID]
    assert result.evidence is not None and result.evidence.effective_volumes > 40


def test_what_is_as_often_below_the_background_as_above_it_is_doubtful() -> None:
    rng = np.random.default_rng(12)
    latent = rng.standard_normal(VOLUMES)
    place = (17, 12, 12)
    one_latent = rng.normal(0, 1, SHAPE).ravel() * 0.02  # what makes all volumes vary together
    maps = blob(6, 12, 12, 3.0) + (latent[:, None] * one_latent).reshape(VOLUMES, *SHAPE)
    noise = maps + latent[:, None, None, None] * blob(*place)
    part = maps + (latent > 0)[:, None, None, None] * blob(*place)
    block = voxels_near(*place)
    noise_found, part_found = (
        evidence_of(ensemble_from_arrays(m.astype(np.float32), 5.0), block)[0]
        for m in (noise, part)
    )
    assert noise_found.noise > 0 and part_found.noise > 0  # these volumes are worth few
    assert noise_found.negative > 0.8 and abs(part_found.negative) < 0.2
    assert noise_found.verdict.startswith(f"{DOUBTFUL}: where it is gone, its density is far below")
    assert replace(noise_found, negative=0.0).verdict in (SOLID, GRADED)  # nothing else is wrong
    assert replace(noise_found, noise=0.0).verdict in (SOLID, GRADED)  # volumes are independent
    assert part_found.verdict in (SOLID, GRADED)


@pytest.mark.parametrize("there", [3, 20, 57])
def test_the_share_below_the_background_is_that_of_the_sorted_values(there: int) -> None:
    rng = np.random.default_rng(there)
    values = rng.normal(0.2, 1, (VOLUMES, 7)).astype(np.float32)
    present = np.arange(VOLUMES) < there
    some = min(6, there, VOLUMES - there)
    by_hand = []
    for voxel in values.T.astype(float):
        ordered = sorted(voxel)
        by_hand.append(-sum(ordered[:some]) / sum(ordered[-some:]))
    assert negative_share(values, present) == pytest.approx(float(np.median(by_hand)), rel=1e-5)


@pytest.mark.parametrize("present", [np.zeros(5, bool), np.ones(5, bool)])
def test_what_is_always_there_or_never_is_not_below_the_background(present: np.ndarray) -> None:
    assert negative_share(-np.ones((5, 3), np.float32), present) == 0.0
