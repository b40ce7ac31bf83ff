"""Cutoffs and tails, against scipy's distributions and the published rule in plain loops."""

from __future__ import annotations

import math
from functools import cache
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.significance import binomial_cutoff, hypergeometric_tail
from chimerax.siren.core.blocks.statistics import STATISTICS, statistic_named
from chimerax.siren.core.blocks.statistics.exact import STATISTIC as exact
from chimerax.siren.core.blocks.statistics.protocol import Statistic
from chimerax.siren.core.blocks.statistics.published import DRAWS, maximum_tail, published_factor
from chimerax.siren.core.blocks.statistics.published import STATISTIC as published

FOLDER = Path(__file__).parents[3] / "src/core/blocks/statistics"


def test_the_table_of_statistics_names_each_module_beside_it() -> None:
    modules = {file.stem for file in FOLDER.glob("*.py")} - {"__init__", "protocol"}
    assert sorted(STATISTICS) == sorted(modules)


@pytest.mark.parametrize("name", STATISTICS)
def test_every_statistic_is_as_the_protocol_says(name: str) -> None:
    statistic = statistic_named(name)
    for attribute in Statistic.__annotations__:
        assert hasattr(statistic, attribute), attribute
    methods = [m for m in vars(Statistic) if not m.startswith("_") and callable(vars(Statistic)[m])]
    assert len(methods) == 6
    for method in methods:
        wanted = [p.name for p in signature(getattr(Statistic, method)).parameters.values()][1:]
        found = signature(getattr(statistic, method)).parameters
        assert list(found)[: len(wanted)] == wanted, method


@cache
def plain_cutoff(n: int, p: float, tail: float) -> int:
    """Smallest k with P(X > k) <= tail, counted up from 0."""
    return next(k for k in range(n + 1) if stats.binom.sf(k, n, p) <= tail)


@pytest.mark.parametrize("tail", [0.5, 0.01, 1e-6, 1e-12])
def test_the_binomial_cutoff_is_the_smallest_count_whose_tail_is_small_enough(tail: float) -> None:
    p = np.array([0.001, 0.02, 0.3, 0.5, 0.93, 0.999])
    for n in (1, 7, 60):
        assert binomial_cutoff(n, p, tail).tolist() == [plain_cutoff(n, q, tail) for q in p]


def test_the_published_cutoff_is_the_median_of_the_largest_of_1000_draws() -> None:
    n, p = 200, 0.3
    largest = np.random.default_rng(0).binomial(n, p, (4000, DRAWS)).max(axis=1)
    assert binomial_cutoff(n, np.array([p]), maximum_tail())[0] == pytest.approx(
        np.median(largest), abs=1
    )


def test_the_published_factor_grows_with_distance_and_jumps_at_40_angstrom() -> None:
    for d, wanted in (
        (0, 1.25),
        (14.9, 1.25),
        (20, 1.35),
        (39.99, 1.7498),
        (40, 1.75),
        (300, 1.75),
    ):
        assert published_factor(np.array(float(d))) == pytest.approx(wanted)


@pytest.mark.parametrize("factor", [None, 1.1])
def test_the_published_rule_is_what_plain_loops_give(factor: float | None) -> None:
    rng = np.random.default_rng(3)
    volumes, count = 120, 30
    state = rng.random((3, volumes)) < np.array([[0.2], [0.4], [0.85]])
    rows = (state[rng.integers(0, 3, count)] ^ (rng.random((count, volumes)) < 0.04)).astype(
        np.float32
    )
    frequency = rows.sum(axis=1).astype(int)
    distance = rng.uniform(0, 60, (count, count))
    posp, negp, tests, negfactor = 0.01, 0.05, 435, 1.05
    test = published.pair_test(
        frequency,
        volumes,
        tests,
        SketchParameters(
            statistic="published", posp=posp, negp=negp, posp_factor=factor, negp_factor=negfactor
        ),
    )
    index = test.index(frequency)
    found = test.significant(rows @ rows.T, index[:, None], index, test.factor(lambda: distance))
    floor = 1 - 0.5 ** (1 / 1000)
    expected = np.zeros_like(found)
    for i in range(count):
        for j in range(count):
            f1, f2 = frequency[i], frequency[j]
            both = sum(1 for v in range(volumes) if rows[i, v] and rows[j, v])
            empty = sum(1 for v in range(volumes) if not rows[i, v] and not rows[j, v])
            d = distance[i, j]
            scale = (
                factor if factor is not None else (max(1.25, 0.02 * d + 0.95) if d < 40 else 1.75)
            )
            together = plain_cutoff(volumes, f1 * f2 / volumes**2, max(posp / tests, floor))
            apart = plain_cutoff(
                volumes, (1 - f1 / volumes) * (1 - f2 / volumes), max(negp / tests, floor)
            )
            expected[i, j] = both > min(scale * together, min(f1, f2)) and empty > min(
                negfactor * apart, volumes - max(f1, f2)
            )
    np.testing.assert_array_equal(found, expected)
    assert 10 < expected.sum() < 400  # the case tells something


def test_the_exact_rule_is_the_binomial_tail_of_both_counts() -> None:
    rng = np.random.default_rng(4)
    volumes, tests = 60, 190
    state = rng.random(volumes) < 0.5
    rows = np.where(
        np.arange(20)[:, None] < 10,
        state ^ (rng.random((20, volumes)) < 0.1),
        rng.random((20, volumes)) < 0.3,
    ).astype(np.float32)
    frequency = rows.sum(axis=1).astype(int)
    test = exact.pair_test(
        frequency, volumes, tests, SketchParameters(statistic="exact", posp=0.01, negp=0.05)
    )
    index = test.index(frequency)
    found = test.significant(rows @ rows.T, index[:, None], index, None)
    for i in range(20):
        for j in range(20):
            f1, f2 = frequency[i] / volumes, frequency[j] / volumes
            both = float(rows[i] @ rows[j])
            empty = float((1 - rows[i]) @ (1 - rows[j]))
            assert found[i, j] == (
                stats.binom.sf(both - 1, volumes, f1 * f2) <= 0.01 / tests
                and stats.binom.sf(empty - 1, volumes, (1 - f1) * (1 - f2)) <= 0.05 / tests
            )


def test_the_hypergeometric_tail_is_fishers_exact_test() -> None:
    rng = np.random.default_rng(5)
    volumes = 120
    first, second = rng.integers(1, volumes, (2, 400))
    both = np.array(
        [
            rng.integers(max(0, a + b - volumes), min(a, b) + 1)
            for a, b in zip(first, second, strict=True)
        ]
    )
    expected = [
        stats.hypergeom.sf(k - 1, volumes, a, b)
        for k, a, b in zip(both, first, second, strict=True)
    ]
    np.testing.assert_allclose(
        hypergeometric_tail(both, first, second, volumes), expected, rtol=1e-7, atol=1e-250
    )


def test_a_tail_that_is_enough_stays_above_it_and_all_others_are_exact() -> None:
    rng = np.random.default_rng(4)
    first, second = rng.integers(1, 100, (2, 2000))
    both = (rng.random(2000) * np.minimum(first, second)).astype(int)
    exact = hypergeometric_tail(both, first, second, 100)
    found = hypergeometric_tail(both, first, second, 100, enough=0.01)
    above = exact > 0.01
    assert above.any() and not above.all() and (found[above] != exact[above]).any()
    assert np.array_equal(found[~above], exact[~above]) and (found[above] > 0.01).all()


def test_the_hypergeometric_tail_of_a_perfect_match_counts_the_ways() -> None:
    tail = hypergeometric_tail(np.array([10]), np.array([10]), np.array([10]), 50)
    assert tail[0] == pytest.approx(1 / math.comb(50, 10), rel=1e-9)
