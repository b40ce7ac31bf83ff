"""Volumes that are mirrored or shifted against most others are found; aligned ones are not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from chimerax.siren.core.blocks.alignment import (
    MIRRORED,
    SHIFTED,
    find_misaligned,
    fit_maps,
    misalignment_note,
)
from chimerax.siren.core.blocks.occupancy import Occupancy, binarize
from chimerax.siren.core.maps.ensemble import ensemble_from_arrays, find_ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.simulation.example import simulate
from chimerax.siren.core.simulation.parameters import ExampleParameters
from ensembles import LEVEL, write_planted
from molecules import molecule

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
Change = Callable[[NDArray[np.floating]], NDArray[np.floating]]
CHANGES: dict[str, tuple[Change, str]] = {
    "flipped along z": (lambda a: a[::-1], MIRRORED),
    "flipped along x": (lambda a: a[:, :, ::-1], MIRRORED),
    "inverted through the center": (lambda a: a[::-1, ::-1, ::-1], MIRRORED),
    "shifted by 4 voxels": (lambda a: np.roll(a, 4, 2), SHIFTED),
    "shifted by 3 voxels along two axes": (lambda a: np.roll(a, (3, -3), (0, 1)), SHIFTED),
}


def occupancy(arrays: list[NDArray[np.floating]], levels: NDArray[np.float64]) -> Occupancy:
    return binarize(ensemble_from_arrays(arrays, 4.0), levels)


@pytest.fixture(scope="module")
def example() -> tuple[list[NDArray[np.floating]], NDArray[np.float64]]:
    s = simulate(ExampleParameters(volumes=60, box=48, voxel_size=6.7, noise=2.0, seed=4))
    return [s.volume(n) for n in range(60)], s.levels


@pytest.mark.parametrize("share", [2, 10])
@pytest.mark.parametrize("change", CHANGES)
def test_the_volumes_that_were_changed_are_found_and_no_other(
    example: tuple[list[NDArray[np.floating]], NDArray[np.float64]], change: str, share: int
) -> None:
    arrays, levels = example
    made, kind = CHANGES[change]
    changed = {n for n in range(len(arrays)) if n % share == 1}
    mixed = [made(a) if n in changed else a for n, a in enumerate(arrays)]
    found = find_misaligned(occupancy(mixed, levels))
    assert set(found.values()) == {kind}
    numbers = {int(name.split("_")[1]) - 1 for name in found}
    # of two halves, either may be called the others
    assert numbers == changed or (share == 2 and numbers == set(range(60)) - changed)
    (note,) = misalignment_note(found, 60)
    assert f"{len(changed)} of the 60 volumes look like" in note
    assert ("mirror images" in note) == (kind == MIRRORED)


def test_aligned_volumes_are_not_flagged_whatever_comes_and_goes(
    example: tuple[list[NDArray[np.floating]], NDArray[np.float64]],
) -> None:
    assert find_misaligned(occupancy(*example)) == {}
    assert misalignment_note({}, 60) == []


@pytest.mark.parametrize("noise", [0.0, 4.0])
def test_noise_of_volumes_is_not_taken_for_misalignment(noise: float) -> None:
    s = simulate(ExampleParameters(volumes=40, box=32, voxel_size=10.0, noise=noise, seed=8))
    assert find_misaligned(binarize(s.ensemble(), s.levels)) == {}


def test_a_molecule_that_is_its_own_mirror_image_has_no_hand() -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(0, 0.1, (40, 12, 24, 24))
    half[:, 4:, 6:18, 6:18] += 1
    half[:, 2:4, 8:12, 6:18] += rng.random((40, 1, 1, 1)) < 0.5
    arrays = list(np.concatenate([half, half[:, ::-1]], axis=1))
    flipped = [a[::-1] if n % 2 else a for n, a in enumerate(arrays)]
    assert find_misaligned(occupancy(flipped, np.full(40, 0.5))) == {}


def test_few_volumes_have_no_majority(
    example: tuple[list[NDArray[np.floating]], NDArray[np.float64]],
) -> None:
    arrays, levels = example
    assert find_misaligned(occupancy([arrays[0][::-1], *arrays[1:7]], levels[:7])) == {}


@pytest.mark.skipif(
    not SHARED.is_dir(), reason="real volumes and decoders' are in ../shared/data, not here"
)
@pytest.mark.parametrize(
    "name", ["real_ensemble", "subspace_8_blocks.npz", "subspace_one_state.npz"]
)
def test_real_volumes_and_those_of_decoders_are_aligned_and_found_when_flipped(name: str) -> None:
    if name.endswith(".npz"):
        sys.path.insert(0, str(SHARED / "decoders"))
        try:
            from load_decoder import load
        finally:
            sys.path.pop(0)
        volumes, info = load(SHARED / "decoders" / name)
        arrays, level = list(volumes[::4]), float(info["level"])
    else:
        arrays, level = [a for _, a in find_ensemble([SHARED / name]).read()], 0.9
    levels = np.full(len(arrays), level)
    assert find_misaligned(occupancy(arrays, levels)) == {}
    flipped = [a[::-1] if n % 3 == 0 else a for n, a in enumerate(arrays)]
    found = find_misaligned(occupancy(flipped, levels))
    assert set(found.values()) == {MIRRORED}
    assert {int(n.split("_")[1]) - 1 for n in found} == set(range(0, len(arrays), 3))


def test_parts_on_both_sides_of_a_molecule_are_not_taken_for_its_mirror_image(
    tmp_path: Path,
) -> None:
    """A volume with the left part alone is like the mirror image of one with the right alone."""
    ensemble = find_ensemble([write_planted(tmp_path / "v", 60).folder])
    assert find_misaligned(binarize(ensemble, np.full(60, LEVEL))) == {}


@pytest.mark.parametrize("first", [1, 11, 31, 51])
def test_maps_of_different_molecules_are_not_misaligned(first: int) -> None:
    arrays = [molecule(n)[0] for n in range(first, first + 10)]
    levels = np.array([np.percentile(a, 97) for a in arrays])
    assert find_misaligned(occupancy(arrays, levels)) == {}


def lumps(grid: Grid, move: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """(z, y, x) density without any symmetry, turned about the middle of the box and moved."""
    points = grid.points(np.arange(grid.size)) - grid.points(np.arange(grid.size)).mean(axis=0)
    places = np.array([[0, 0, 0], [30, 5, -10], [-15, 25, 12], [8, -28, 20], [-20, -10, -25]])
    total = np.zeros(grid.size)
    for place, width in zip(places, (16, 8, 7, 9, 6), strict=True):
        off = points - turn @ place - move
        total += np.exp(-(off**2).sum(axis=1) / (2 * width**2))
    return total.reshape(grid.shape).astype(np.float32)


@pytest.mark.parametrize(
    ("move", "vector"),
    [((0, 0, 0), (0, 0, 0)), ((11, -7, 4), (0, 0, 0)), ((3, 2, -4), (4, -3, 6))],
)
def test_a_shift_and_a_small_rotation_are_found_to_a_tenth_of_a_voxel_and_half_a_degree(
    move, vector
):
    grid = Grid((40, 36, 44), (3.0, 3.0, 3.0), (7.0, -20.0, 1.0))
    rng = np.random.default_rng(0)
    turn = Rotation.from_rotvec(np.radians(vector)).as_matrix()
    reference = lumps(grid, np.zeros(3), np.eye(3)) + rng.normal(0, 0.02, grid.shape)
    moved = lumps(grid, np.array(move), turn) + rng.normal(0, 0.02, grid.shape)
    fit = fit_maps(moved, reference, grid)
    assert fit.placement[:, :3] == pytest.approx(turn.T, abs=np.radians(0.5))
    # what brings it back: turned, too
    assert fit.shift == pytest.approx(-turn.T @ move, abs=0.3)
    assert fit.is_moved(grid) == any((*move, *vector)) and not fit.mirrored
    assert fit.after >= fit.before - 1e-6 and fit.after > 0.95


def test_a_mirrored_map_is_no_shifted_one():
    grid = Grid((40, 36, 44), (3.0, 3.0, 3.0))
    reference = lumps(grid, np.zeros(3), np.eye(3))
    assert fit_maps(reference[::-1], reference, grid).mirrored
