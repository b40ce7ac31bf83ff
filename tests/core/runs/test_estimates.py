"""Estimates against measurements on the reference machine (README and devel/benchmarks)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.runs.estimates import Estimate, Work, estimate

TINY = Grid((32, 32, 32), (10.0, 10.0, 10.0))
SMALL = Grid((64, 64, 64), (5.0, 5.0, 5.0))
LARGE = Grid((128, 128, 128), (2.5, 2.5, 2.5))


@pytest.mark.parametrize(
    ("work", "seconds", "peak"),
    [
        # seconds on one core and peak memory in bytes, for the simulated example
        (Work("sketch", 500, SMALL, occupied=9536, resamples=0), 3.0, 250e6),
        (Work("sketch", 500, SMALL, occupied=9536, resamples=10), 3.4, 250e6),
        (Work("sketch", 200, SMALL, occupied=9365, resamples=0), 1.5, 183e6),
        (Work("sketch", 100, LARGE, occupied=55780), 4.1, 293e6),
        (Work("sketch", 10_000, TINY, occupied=939), 34.3, 714e6),
        (Work("expand", 10_000, TINY, occupied=939, block_voxels=500), 12.9, 484e6),
        (Work("expand", 500, SMALL, occupied=9536, block_voxels=2387), 1.2, None),
        (Work("expand", 200, SMALL, occupied=9365, block_voxels=2395), 0.7, None),
        (Work("predict", 500, SMALL), 10.4, None),
        # of other kinds, by the ratio to the first of these on one computer: graded, compressed
        (Work("sketch", 200, SMALL, occupied=8615), 1.8, None),
        (Work("sketch", 300, Grid((56,) * 3, (5.7,) * 3), occupied=39194), 9.5, None),
        (Work("sketch", 120, SMALL, occupied=6693, packed=True), 2.6, None),
        (Work("expand", 120, SMALL, occupied=6693, packed=True), 1.8, None),
    ],
)
def test_estimates_are_within_a_factor_of_two_of_what_was_measured(
    work: Work, seconds: float, peak: float | None
) -> None:
    expected = estimate(work)
    assert seconds / 2 < expected.seconds < 2 * seconds
    if peak is not None:
        assert peak / 2 < expected.memory < 2 * peak


@pytest.mark.parametrize(
    "change",
    [{"volumes": 1000}, {"occupied": 20_000}, {"subsample": 1}, {"resamples": 50}, {"grid": LARGE}],
)
def test_more_work_takes_longer(change: dict[str, object]) -> None:
    work = Work("sketch", 500, SMALL, occupied=9536)
    assert estimate(replace(work, **change)).seconds > estimate(work).seconds


def test_an_estimate_has_few_digits_and_scales_with_the_speed_of_the_computer() -> None:
    assert Estimate(6.3, 0.42e9).text() == "about 6 s, 0.4 GB"
    assert Estimate(6.3, 0.42e9).text(speed=4) == "about 30 s, 0.4 GB"
    assert Estimate(700, 12e9).text() == "about 12 min, 12.0 GB"
    assert Estimate(0.1, 1e6).text() == "about 1 s, 0.1 GB"


@pytest.mark.parametrize("step", ["sketch", "predict"])
def test_of_thousands_of_volumes_ten_times_as_many_take_about_ten_times_as_long(step: str) -> None:
    """The search for junk compares each with some of them."""
    some, many = (estimate(Work(step, v, SMALL)).seconds for v in (2_000, 20_000))
    assert 8 * some < many < 11 * some


def test_a_prediction_of_many_volumes_keeps_what_their_levels_enclose() -> None:
    few, many = (estimate(Work("predict", v, SMALL)).memory for v in (100, 10_100))
    assert many - few >= 10_000 * SMALL.size / 8
