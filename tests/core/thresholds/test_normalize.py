"""The published normalization, against numbers computed by hand and by another method."""

from __future__ import annotations

import numpy as np
import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.thresholds.normalize import (
    Range,
    denormalize_level,
    low_percentile,
    normalize,
    normalize_level,
    value_range,
)


def by_the_book(array):
    """The formula of the paper, step by step, in double precision."""
    v = np.clip(array.astype(float), np.percentile(array, 0.001), np.percentile(array, 99.999))
    v[v < 0] = 0
    low, high = v[v > 0].min(), v.max()
    return 2 * (v - low) / (high - low) - 1, low, high


@pytest.mark.parametrize("offset", [0.0, 3.0, 10.0])
@pytest.mark.parametrize("scale", [1e-5, 1.0, 1e4])
def test_equals_the_formula_step_by_step(offset, scale):
    array = (np.random.default_rng(3).normal(offset, 1, (30, 41, 52)) * scale).astype(np.float32)
    x, used = normalize(array, "a.mrc")
    expected, low, high = by_the_book(array)
    assert np.allclose(x, expected, atol=2e-5)
    assert used.vol_min == pytest.approx(low, rel=1e-6)
    assert used.vol_max == pytest.approx(high, rel=1e-6)
    assert value_range(array, "a.mrc") == used
    assert x.dtype == np.float32


def test_small_map_by_hand():
    array = np.zeros((4, 4, 4), np.float32)
    array[0, 0, :3] = [1.0, 2.0, 3.0]
    array[1, 1, 1] = -5.0
    x, used = normalize(array, "a.mrc")
    # 99.999 percentile of 64 values: 0.00063 of the way from the highest to the next
    top = 3 - 63 * 1e-5 * 1
    assert used.vol_min == 1.0
    assert used.vol_max == pytest.approx(top, abs=1e-6)
    assert x[0, 0, 0] == pytest.approx(-1)
    assert x[0, 0, 2] == pytest.approx(1)
    assert x[0, 0, 1] == pytest.approx(2 * 1 / (top - 1) - 1, abs=1e-6)
    # negative values as zero
    assert x[1, 1, 1] == x[2, 2, 2] == pytest.approx(2 * -1 / (top - 1) - 1, abs=1e-6)


def test_levels_round_trip():
    used = Range(0.2, 4.2)
    assert normalize_level(0.2, used) == -1
    assert normalize_level(4.2, used) == 1
    assert normalize_level(2.2, used) == pytest.approx(0)
    assert denormalize_level(normalize_level(1.7, used), used) == pytest.approx(1.7)


@pytest.mark.parametrize(
    "array",
    [np.full((8, 8, 8), -1.0), np.zeros((8, 8, 8)), -np.random.default_rng(0).random((8, 8, 8))],
)
def test_a_map_without_positive_values_is_reported(array):
    with pytest.raises(
        SirenError,
        match=r"^vol_3\.mrc has no positive density.*exclude "
        r"vol_3\.mrc",
    ):
        normalize(array.astype(np.float32), "vol_3.mrc")


def test_one_positive_voxel_among_many_is_not_density():
    array = np.full((64, 64, 64), -1, np.float32)
    array[3, 3, 3] = 1
    with pytest.raises(SirenError, match="no positive density"):
        normalize(array, "vol_3.mrc")


def test_a_mask_is_reported_to_have_a_single_value():
    array = np.zeros((8, 8, 8), np.float32)
    array[2:5] = 1
    with pytest.raises(SirenError, match="single positive value"):
        normalize(array, "mask.mrc")


def test_nonfinite_values_are_reported():
    array = np.random.default_rng(0).random((8, 8, 8)).astype(np.float32)
    array[0, 0, 0] = np.nan
    with pytest.raises(SirenError, match="not finite"):
        normalize(array, "vol_3.mrc")


def test_the_input_array_is_not_modified():
    array = np.random.default_rng(0).normal(size=(9, 9, 9)).astype(np.float32)
    before = array.copy()
    normalize(array, "a.mrc")
    assert (array == before).all()


@pytest.mark.parametrize("size", [1, 2, 3, 10, 1000, 64**3, 65**3, 100003])
@pytest.mark.parametrize("percentile", [0.001, 0.1, 5, 50, 100])
def test_low_percentile_is_numpys(size, percentile):
    rng = np.random.default_rng(size)
    normal = rng.normal(size=size).astype(np.float32)
    for array in (
        normal,
        np.maximum(normal, 0),
        rng.integers(0, 4, size).astype(np.float32),
        np.sort(normal),
    ):
        assert low_percentile(array, percentile) == pytest.approx(
            np.percentile(array, percentile), rel=1e-6, abs=1e-9
        )
