"""The dip test: by linear programming, by published critical values, and on planted distributions,
how often it is wrong and how often it finds two groups.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import linprog

from chimerax.siren.core.analysis.bimodality import dip_of, dip_test, spread_ties
from chimerax.siren.core.common.errors import Cancelled
from chimerax.siren.core.common.progress import Progress

SAMPLES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "uniform": lambda rng: rng.random(11),
    "normal": lambda rng: rng.normal(size=9),
    "two groups": lambda rng: np.concatenate([rng.normal(0, 0.1, 6), rng.normal(1, 0.2, 4)]),
    "skewed": lambda rng: rng.exponential(size=12),
    "ties": lambda rng: rng.integers(0, 5, 12) / 4,
    "equal ends": lambda rng: np.repeat([0.0, 0.5, 1.0], [4, rng.integers(1, 4), 4]),
    "ends": lambda rng: np.array([0.0] * 5 + [1.0] * 3 + [0.4]),
}


def dip_by_programming(sample: np.ndarray) -> float:
    """Of all distribution functions that are convex up to one of the values and concave after it,
    the smallest largest distance: a linear program for each place of the mode.
    """
    x, counts = np.unique(sample, return_counts=True)
    upper = np.cumsum(counts) / counts.sum()
    lower = np.concatenate([[0], upper[:-1]])
    k = len(x)
    best = np.inf
    for mode in range(k):
        # variables: G(x_i) for each i, then G just before the mode, then the distance
        rows, limits = [], []

        def before(i: int, mode: int = mode) -> int:
            return k if i == mode else i

        def add(terms: list[tuple[int, float]], limit: float, rows=rows, limits=limits) -> None:
            row = np.zeros(k + 2)
            for place, factor in terms:
                row[place] += factor
            rows.append(row)
            limits.append(limit)

        for i in range(k):
            for place, value in ((i, upper[i]), (before(i), lower[i])):
                add([(place, 1), (k + 1, -1)], value)
                add([(place, -1), (k + 1, -1)], -value)
        add([(k, 1), (mode, -1)], 0)  # a jump upward
        for i in range(k - 1):
            add([(i, 1), (before(i + 1), -1)], 0)  # never falls
        for i in range(1, k - 1):
            if i == mode:
                continue
            left, right = x[i] - x[i - 1], x[i + 1] - x[i]
            turn = 1 if i < mode else -1  # slopes rise, then fall
            here, after = i, before(i + 1)
            terms = [(here, turn / left), (i - 1, -turn / left)]
            add([*terms, (after, -turn / right), (here, turn / right)], 0)
        cost = np.zeros(k + 2)
        cost[-1] = 1
        found = linprog(cost, np.array(rows), limits, bounds=[(0, 1)] * (k + 2))
        best = min(best, found.fun)
    return float(best)


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_dip_is_the_smallest_distance_that_linear_programming_finds(kind: str) -> None:
    for seed in range(4):
        sample = SAMPLES[kind](np.random.default_rng(seed))
        assert dip_of(sample).dip == pytest.approx(dip_by_programming(sample), abs=1e-9)


# quantiles 0.5, 0.9, 0.95 and 0.99 of the dip of uniform samples: the table of Maechler's diptest,
# after table 1 of Hartigan & Hartigan 1985
CRITICAL = {
    20: (0.07334, 0.09723, 0.10513, 0.12062),
    50: (0.04885, 0.06491, 0.07027, 0.0812),
    100: (0.03546, 0.04715, 0.05113, 0.05902),
}


@pytest.mark.slow
@pytest.mark.parametrize("size", CRITICAL)
def test_dips_of_uniform_samples_have_the_published_critical_values(size: int) -> None:
    rng = np.random.default_rng(size)
    dips = np.array([dip_of(rng.random(size)).dip for _ in range(2000)])
    for quantile, expected in zip((0.5, 0.9, 0.95, 0.99), CRITICAL[size], strict=True):
        above = (dips > expected).mean()
        error = 4 * np.sqrt(quantile * (1 - quantile) / len(dips))
        assert above == pytest.approx(1 - quantile, abs=error)


def test_the_closest_distribution_has_one_mode_and_is_as_far_as_the_dip_times_two() -> None:
    rng = np.random.default_rng(7)
    sample = np.concatenate([rng.normal(0, 0.1, 60), rng.normal(1, 0.2, 40)])
    found = dip_of(sample)
    slopes = np.diff(found.cumulative) / np.diff(found.values)
    signs = np.sign(np.diff(slopes)[np.abs(np.diff(slopes)) > 1e-9])
    assert (np.diff(signs) <= 0).all()  # they rise, then fall
    assert found.cumulative[0] == 0 and found.cumulative[-1] == 1
    x = np.sort(sample)
    far = np.interp(x, found.values, found.cumulative) - np.arange(1, 101) / 100
    assert np.abs(far).max() <= 2 * found.dip + 0.01 + 1e-9


NULLS: dict[str, tuple[Callable[[np.random.Generator, int], np.ndarray], float]] = {
    "uniform": (lambda rng, n: rng.random(n), 0),
    "normal": (lambda rng, n: rng.normal(0.5, 0.15, n), 0),
    "exponential": (lambda rng, n: rng.exponential(0.1, n), 0),
    "heavy tails": (lambda rng, n: rng.standard_t(3, n), 0),
    "20 voxels, any share": (lambda rng, n: rng.integers(0, 21, n) / 20, 1 / 20),
    "20 voxels, rarely one": (lambda rng, n: rng.binomial(20, 0.02, n) / 20, 1 / 20),
    "cut off at 0": (lambda rng, n: np.maximum(rng.normal(0.2, 0.12, n), 0), 1 / 300),
    "cut off at 1": (lambda rng, n: np.minimum(rng.normal(0.95, 0.1, n), 1), 1 / 300),
}


@pytest.mark.slow
@pytest.mark.parametrize("size", [50, 200])
def test_of_distributions_with_one_mode_about_one_in_twenty_is_said_to_have_two(size: int) -> None:
    wrong = {}
    for name, (drawn, spacing) in NULLS.items():
        rng = np.random.default_rng(size)
        tests = [dip_test(drawn(rng, size), spacing, seed, 99) for seed in range(40)]
        wrong[name] = sum(t.p <= 0.05 for t in tests)
    # 40 tests at 5 %: 7 or more by chance once in 300
    assert max(wrong.values()) < 7, wrong
    assert sum(wrong.values()) <= 0.05 * 40 * len(wrong) + 7, wrong


def two_groups(rng: np.random.Generator, n: int, part: float) -> np.ndarray:
    """Shares of a part that is in some volumes: 0.85 +- 0.08 there and 0.1 +- 0.06 elsewhere."""
    there = rng.random(n) < part
    return np.clip(np.where(there, rng.normal(0.85, 0.08, n), rng.normal(0.1, 0.06, n)), 0, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "part", "least"),
    [(50, 0.5, 20), (100, 0.2, 17), (200, 0.2, 20), (200, 0.1, 12), (500, 0.1, 19)],
)
def test_two_groups_are_found_as_often_as_measured(size: int, part: float, least: int) -> None:
    rng = np.random.default_rng(3)
    tests = [dip_test(two_groups(rng, size, part), 1 / 300, seed, 199) for seed in range(20)]
    assert sum(t.p <= 0.05 for t in tests) >= least


@pytest.mark.slow
def test_parts_in_a_tenth_of_the_volumes_are_found_more_often_than_by_the_table() -> None:
    rng = np.random.default_rng(6)
    samples = [two_groups(rng, 200, 0.1) for _ in range(20)]
    found = [dip_test(s, 1 / 300, seed, 99) for seed, s in enumerate(samples)]
    by_table = sum(f.dip > 0.03684 for f in found)  # 5 % of uniform samples of 200
    assert sum(f.p <= 0.05 for f in found) >= by_table + 3


def test_the_same_sample_and_seed_give_the_same_p() -> None:
    sample = two_groups(np.random.default_rng(5), 60, 0.2)
    assert dip_test(sample, 0.01, 4).p == dip_test(sample, 0.01, 4).p


def test_without_variation_or_with_three_values_nothing_is_tested() -> None:
    assert dip_test(np.ones(50)).p == 1
    assert dip_test(np.array([0.0, 0.0, 1.0])).p == 1


def test_a_dip_beyond_any_unimodal_sample_needs_no_resamples() -> None:
    sample = np.repeat([0.0, 1.0], 100)
    found = dip_test(sample, 0, resamples=10**9)
    assert found.p == pytest.approx(2 * np.exp(-2 * 200 * 0.25**2))


def test_a_test_can_be_stopped() -> None:
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        dip_test(two_groups(np.random.default_rng(5), 60, 0.2), 0.01, stop=progress)


def test_equal_shares_are_spread_over_the_cell_between_two_voxels_and_end_ones_outward() -> None:
    spread = spread_ties(np.array([0.25, 0.25, 0.5, 0, 0, 1.0]), 0.25)
    assert spread[:3] == pytest.approx([0.1875, 0.3125, 0.5])
    assert spread[3:] == pytest.approx([-0.0625, 0.0625, 1.0])
    spread = spread_ties(np.array([0.0, 0.0, 1.0, 1.0]), 0.01)
    assert spread == pytest.approx([0.005 - 0.075, 0.005 - 0.025, 0.995 + 0.025, 0.995 + 0.075])
