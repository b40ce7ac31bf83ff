"""Grids, and Fourier resampling against other resamplers and the published formula."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.ndimage
from numpy.typing import NDArray
from scipy import signal

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.grid import Grid, Shape, box_grid, fourier_resample, to_box

RESIZED: list[tuple[Shape, Shape]] = [  # down, up, odd, even, both at once
    ((16, 16, 16), (8, 8, 8)),
    ((8, 8, 8), (16, 16, 16)),
    ((15, 15, 15), (9, 9, 9)),
    ((9, 9, 9), (15, 15, 15)),
    ((16, 16, 16), (9, 9, 9)),
    ((15, 15, 15), (8, 8, 8)),
    ((9, 9, 9), (16, 16, 16)),
    ((8, 8, 8), (15, 15, 15)),
    ((12, 15, 18), (8, 9, 10)),
    ((12, 9, 10), (9, 14, 10)),
    ((20, 11, 8), (11, 20, 8)),
]


def band_limited(shape: Shape, frequencies: int, seed: int = 0) -> NDArray[np.float64]:
    """A sum of cosines with at most this many full waves along any axis."""
    rng = np.random.default_rng(seed)
    axes = [np.arange(n) / n for n in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    total = np.full(shape, 1.7)
    for _ in range(12):
        k = rng.integers(-frequencies, frequencies + 1, 3)
        total += rng.normal() * np.cos(2 * np.pi * (k[0] * z + k[1] * y + k[2] * x + rng.random()))
    return total


def blob(grid: Grid, center: tuple[float, float, float], sigma: float) -> NDArray[np.float64]:
    """A Gaussian of height 1 at a point x, y, z in A."""
    points = grid.points(np.arange(grid.size))
    return np.exp(-((points - center) ** 2).sum(axis=1) / (2 * sigma**2)).reshape(grid.shape)


def center_of_mass(array: NDArray[np.floating], grid: Grid, above: float) -> NDArray[np.float64]:
    weights = np.where(array > above, array, 0).ravel().astype(float)
    return (grid.points(np.arange(grid.size)) * weights[:, None]).sum(axis=0) / weights.sum()


# --- resampling


@pytest.mark.parametrize(("old", "new"), RESIZED)
def test_band_limited_maps_agree_with_scipys_resampler(old: Shape, new: Shape) -> None:
    array = band_limited(old, (min(*old, *new) - 1) // 2)
    expected = array
    for axis, n in enumerate(new):
        expected = signal.resample(expected, n, axis=axis)
    result = fourier_resample(array, new)
    assert result.shape == new
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=2e-5)


@pytest.mark.parametrize(("old", "new"), RESIZED)
def test_band_limited_maps_are_the_same_waves_on_the_new_grid(old: Shape, new: Shape) -> None:
    """Without any resampler: the cosines are evaluated on the new grid."""
    frequencies = (min(*old, *new) - 1) // 2
    np.testing.assert_allclose(
        fourier_resample(band_limited(old, frequencies), new),
        band_limited(new, frequencies),
        atol=2e-5,
    )


@pytest.mark.parametrize(("old", "new"), [(16, 8), (128, 64), (15, 9), (16, 9), (15, 8), (17, 16)])
def test_cropping_is_the_published_formula(old: int, new: int) -> None:
    """Cropped centered transform, inverse transform, times (new/old)^3, for all frequencies."""
    array = np.random.default_rng(old).normal(size=(old,) * 3)
    transform = np.fft.fftshift(np.fft.fftn(array))
    start = old // 2 - new // 2
    cropped = transform[(slice(start, start + new),) * 3]
    expected = np.fft.ifftn(np.fft.ifftshift(cropped)).real * (new / old) ** 3
    np.testing.assert_allclose(fourier_resample(array, (new,) * 3), expected, atol=1e-5)


@pytest.mark.parametrize(("old", "new"), RESIZED)
def test_the_mean_stays_the_same(old: Shape, new: Shape) -> None:
    array = np.random.default_rng(1).normal(3, 1, old)
    assert fourier_resample(array, new).mean() == pytest.approx(array.mean(), rel=1e-5)


@pytest.mark.parametrize("factor", [2, 3])
def test_finer_maps_keep_the_values_at_the_old_voxels(factor: int) -> None:
    array = np.random.default_rng(2).normal(size=(8, 7, 10))
    finer = fourier_resample(array, (8 * factor, 7 * factor, 10 * factor))
    np.testing.assert_allclose(finer[::factor, ::factor, ::factor], array, atol=1e-5)


def test_finer_and_back_is_the_same_map() -> None:
    array = np.random.default_rng(3).normal(size=(9, 11, 7)).astype(np.float32)
    np.testing.assert_allclose(
        fourier_resample(fourier_resample(array, (20, 17, 16)), (9, 11, 7)), array, atol=1e-5
    )


def test_the_same_shape_gives_the_same_values() -> None:
    array = np.random.default_rng(4).normal(size=(5, 6, 7)).astype(np.float32)
    np.testing.assert_array_equal(fourier_resample(array, (5, 6, 7)), array)


def test_the_input_is_not_changed() -> None:
    array = np.random.default_rng(5).normal(size=(12, 12, 12)).astype(np.float32)
    before = array.copy()
    fourier_resample(array, (8, 8, 8))
    to_box(array, Grid((12, 12, 12), (1, 1, 1)), 8)
    np.testing.assert_array_equal(array, before)


def zero_padded_or_cropped(array: NDArray[np.floating], shape: Shape) -> NDArray[np.float64]:
    """Independent of the code: a matrix per axis, an explicit sum over its lowest frequencies."""
    result: NDArray[np.complexfloating] = array.astype(np.complex128)
    for axis, (old, new) in enumerate(zip(array.shape, shape, strict=True)):
        kept = min(old, new)
        k = np.arange(kept) - kept // 2
        waves = (
            np.exp(2j * np.pi * np.outer(np.arange(new) / new, k))
            @ np.exp(-2j * np.pi * np.outer(k, np.arange(old) / old))
            / old
        )
        result = np.moveaxis(np.tensordot(waves, result, (1, axis)), 0, axis)
    return result.real


@pytest.mark.parametrize(
    "shape",
    [
        (32, 32, 32),
        (33, 33, 33),
        (63, 63, 63),
        (65, 65, 65),
        (100, 81, 97),
        (64, 99, 66),
        (127, 64, 32),
        (150, 150, 150),
    ],
)
def test_any_box_with_all_its_frequencies_is_resampled_to_64(shape: Shape) -> None:
    array = np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)
    result = fourier_resample(array, (64, 64, 64))
    np.testing.assert_allclose(
        result,
        zero_padded_or_cropped(array, (64, 64, 64)),
        atol=2e-5 * float(np.abs(result).max()) + 1e-6,
    )


@pytest.mark.parametrize("n", [32, 33, 96, 161])
def test_boxes_from_small_to_large_agree_with_scipys_resampler(n: int) -> None:
    """The map has no outermost frequency, which scipy treats differently in even boxes."""
    array = scipy.ndimage.gaussian_filter(
        np.random.default_rng(n).normal(size=(n,) * 3).astype(np.float32),
        0.04 * max(n, 64),
        mode="wrap",
    )
    expected = array
    for axis in range(3):
        expected = signal.resample(expected, 64, axis=axis)
    np.testing.assert_allclose(
        fourier_resample(array, (64,) * 3), expected, atol=1e-4 * float(np.abs(array).max())
    )


@pytest.mark.slow
def test_a_box_of_512_keeps_its_blob_and_takes_little_more_memory_than_the_map() -> None:
    n = 512
    z, y, x = (
        np.exp(-((np.arange(n, dtype=np.float32) - c) ** 2) / (2 * 20.0**2))
        for c in (256, 200, 300)
    )
    array = z[:, None, None] * y[None, :, None] * x[None, None, :]
    tracemalloc.start()
    small, grid = to_box(array, Grid((n,) * 3, (0.8,) * 3), 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * array.nbytes
    np.testing.assert_allclose(
        center_of_mass(small, grid, 0.02), (300 * 0.8, 200 * 0.8, 256 * 0.8), atol=0.02
    )
    # 300/8 lies between two voxels
    assert small.max() == pytest.approx(np.exp(-(4**2) / (2 * 20**2)), abs=1e-3)


# --- to_box: the result overlays the original


@pytest.mark.parametrize(
    ("shape", "size", "box"),
    [
        ((40, 40, 40), (2.0, 2.0, 2.0), 20),  # finer than needed
        ((41, 41, 41), (2.0, 2.0, 2.0), 32),  # odd
        ((24, 24, 24), (3.0, 3.0, 3.0), 48),  # below the box
        ((30, 44, 37), (2.0, 2.0, 2.0), 32),  # not cubic
        ((44, 30, 20), (2.0, 2.5, 3.0), 36),
    ],
)  # with voxels that are not cubic either
def test_a_blob_stays_at_its_point_and_height_in_a_box(
    shape: Shape, size: tuple[float, float, float], box: int
) -> None:
    grid = Grid(shape, size, (-13.5, 4.25, 100.0))
    center = (
        -13.5 + 0.4 * shape[2] * size[0],
        4.25 + 0.55 * shape[1] * size[1],
        100.0 + 0.5 * shape[0] * size[2],
    )
    sigma = 5.5
    small, new = to_box(blob(grid, center, sigma), grid, box)
    assert small.shape == new.shape == (box, box, box)
    assert new.origin == grid.origin
    np.testing.assert_allclose(center_of_mass(small, new, 0.02), center, atol=0.05)
    # a blob evaluated on the new grid is the same map, except for wrapped tails at the faces
    np.testing.assert_allclose(small, blob(new, center, sigma), atol=0.03)


def test_a_box_spans_the_longest_edge_with_voxels_of_extent_over_box() -> None:
    _, cube = to_box(np.zeros((100, 100, 100), np.float32), Grid((100, 100, 100), (1.35,) * 3), 64)
    assert cube.voxel_size == pytest.approx((1.35 * 100 / 64,) * 3)
    _, odd = to_box(np.zeros((66, 99, 64), np.float32), Grid((66, 99, 64), (1.4,) * 3), 64)
    assert odd.voxel_size == pytest.approx((1.4 * 99 / 64,) * 3)


def test_padding_is_background_and_not_zero() -> None:
    grid = Grid((10, 20, 10), (1.0, 1.0, 1.0))
    small, _ = to_box(
        np.full(grid.shape, 5.0) + 0.01 * np.random.default_rng(0).normal(size=grid.shape), grid, 16
    )
    np.testing.assert_allclose(small, 5, atol=0.1)


def test_a_box_too_small_gives_a_one_sentence_error_with_a_remedy() -> None:
    with pytest.raises(SirenError, match="box of 7 voxels is too small: give 8 or more") as caught:
        to_box(np.zeros((16, 16, 16)), Grid((16, 16, 16), (1, 1, 1)), 7)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "size",
    [
        (1.0, 1.0, 1000.0),  # a cube of 4 GB
        (1.0, 1e-3, 1.0),
        (1e-30, 1.0, 1.0),  # beyond any integer
        (1e300, 1.0, 1e-300),
        (float("inf"), 1.0, 1.0),
        (float("nan"), 1.0, 1.0),
    ],
)
def test_a_cell_that_lies_about_its_size_is_refused_in_one_sentence_before_memory_is_taken(
    size: tuple[float, float, float],
) -> None:
    grid = Grid((64, 64, 64), size)
    tracemalloc.start()
    for make in (
        lambda: to_box(np.ones(grid.shape, np.float32), grid, 64),
        lambda: box_grid(grid, 64),
    ):
        with pytest.raises(
            SirenError, match=r"A for voxels, .* cannot be: .* \"voxelSize\""
        ) as caught:
            make()
        assert "\n" not in str(caught.value)
    assert tracemalloc.get_traced_memory()[1] < 8e6
    tracemalloc.stop()


def test_flat_maps_and_voxels_that_differ_by_some_factor_are_no_lies() -> None:
    for shape, size in (((8, 64, 64), (2.0, 2.0, 2.0)), ((40, 40, 40), (1.0, 1.0, 6.0))):
        grid = Grid(shape, size)
        small, new = to_box(np.zeros(shape, np.float32), grid, 16)
        assert small.shape == (16, 16, 16) and new == box_grid(grid, 16)


# --- grids


def test_points_are_x_y_z_of_voxels_counted_in_z_y_x_order() -> None:
    grid = Grid((2, 3, 4), (1.0, 10.0, 100.0), (0.5, 0.25, -7.0))
    assert grid.points(np.array([0])).tolist() == [[0.5, 0.25, -7.0]]
    assert grid.points(np.array([1 * 12 + 2 * 4 + 3])).tolist() == [[3.5, 20.25, 93.0]]


def test_volume_and_text_of_a_grid() -> None:
    grid = Grid((66, 99, 64), (1.4, 1.4, 1.4))
    assert grid.size == 66 * 99 * 64
    assert grid.voxel_volume == pytest.approx(1.4**3)
    assert grid.text() == "64 x 99 x 66, 1.4 A/voxel"
    assert Grid((2, 3, 4), (1.0, 2.0, 3.0)).text() == "4 x 3 x 2, 1 x 2 x 3 A/voxel"


def test_a_grid_round_trips_through_json_exactly() -> None:
    grid = Grid((66, 99, 64), (6.550000190734863, 1 / 3, 2.5), (-118.44000244140626, 0.0, 1e-3))
    assert Grid.from_json(grid.as_json()) == grid


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape_zyx": [2, 2]},
        {"shape_zyx": [0, 2, 2]},
        {"voxel_size_xyz": [1, 1, 0]},
        {"voxel_size_xyz": [1, 1, float("nan")]},
        {"origin_xyz": "abc"},
        {"shape_zyx": 5},
    ],
)
def test_an_impossible_grid_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Grid.from_json({**Grid((2, 2, 2), (1, 1, 1)).as_json(), **wrong})
