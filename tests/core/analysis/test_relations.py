"""What is said of pairs of blocks: tests and intervals are scipy's and published ones, words are
right at their limits, and independent blocks are seldom said to depend.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from chimerax.siren.core.analysis.pair_tests import (
    by_adjusted,
    change_interval,
    clopper_pearson,
    closure,
    fisher_tails,
)
from chimerax.siren.core.analysis.relations import (
    DEPENDENT,
    Relations,
    relations_csv,
    relations_of_presence,
)
from chimerax.siren.core.common import constants


def related(*rows: np.ndarray, effective: float | None = None) -> Relations:
    return relations_of_presence(tuple(range(1, len(rows) + 1)), np.array(rows, bool), effective)


def dependences(found: Relations) -> int:
    pairs = combinations(range(len(found.numbers)), 2)
    return sum(found.word(a, b) in DEPENDENT for a, b in pairs)


def test_counts_of_fewer_effective_volumes_are_tested_as_if_there_were_so_many() -> None:
    both = np.array([[80.0, 60], [60, 100]])
    more, less = fisher_tails(both, 200, 100.0)
    table = [[30, 10], [20, 40]]  # half of everything
    assert more[0, 1] == pytest.approx(stats.fisher_exact(table, "greater")[1])
    assert less[0, 1] == pytest.approx(stats.fisher_exact(table, "less")[1])


def test_bounds_of_a_share_are_those_of_scipy() -> None:
    for count, of in ((0, 7), (7, 7), (3, 20), (19, 20), (150, 200)):
        low, high = clopper_pearson(np.array(float(count)), np.array(float(of)))
        both = stats.binomtest(count, of).proportion_ci(0.90)  # 95 % each
        assert (float(low), float(high)) == pytest.approx((both.low, both.high), abs=1e-9)
    assert [float(x) for x in clopper_pearson(np.array(0.0), np.array(0.0))] == [0.0, 1.0]


def test_the_interval_of_a_difference_is_that_of_newcombes_paper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(constants, "BOUND", 0.025)  # table II of the paper has 95 % intervals
    # 56 of 70 and 48 of 80: block a in 104 of 150 volumes, b in 70, both in 56
    low, high = change_interval(np.array([[104.0, 56], [56, 70]]), 150)
    assert (low[0, 1], high[0, 1]) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_adjusted_p_values_are_those_of_scipy() -> None:
    chance = np.random.default_rng(0).random(40) ** 3
    expected = stats.false_discovery_control(chance, method="by")
    np.testing.assert_allclose(by_adjusted(chance), expected)
    assert not len(by_adjusted(np.empty(0)))


def test_the_closure_is_what_can_be_reached_step_by_step() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        step = rng.random((7, 7)) < 0.15
        reach, power = step.copy(), step.copy()
        for _ in range(7):
            power = (power.astype(int) @ step) > 0
            reach |= power
        assert np.array_equal(closure(step), reach)


@pytest.mark.parametrize(("exceptions", "word"), [(9, "only with"), (10, "more often with")])
def test_only_with_allows_as_many_exceptions_as_a_share_of_95_percent_does(
    exceptions: int, word: str
) -> None:
    assert (stats.binom.cdf(100 - exceptions, 100, 0.95) >= 0.05) == (word == "only with")
    volume = np.arange(400)
    needed = (volume < 100 - exceptions) | (volume >= 340)
    found = related(volume < 100, needed)
    assert found.word(0, 1) == word
    low = stats.binomtest(100 - exceptions, 100, alternative="greater").proportion_ci(0.95).low
    assert found.given_low[1, 0] == pytest.approx(low)
    if word == "only with":
        assert f"at least {100 * low:.0f} % of the time, at 95 % confidence" in found.text(0, 1)


def test_few_volumes_that_all_have_another_block_do_not_need_it_surely() -> None:
    volume = np.arange(200)
    words = {n: related(volume < n, volume < 40).word(0, 1) for n in (2, 5, 8, 20)}
    assert words[2] == "undecided" and words[20] == "only with"
    assert words[5] == "more often with"  # 0.5^5 = 0.03 is no proof over both directions


def test_what_follows_from_others_is_said_and_marked() -> None:
    volume = np.arange(200)
    base, middle, rare = volume < 150, volume < 50, volume < 12
    alone = related(base, rare)
    assert alone.word(1, 0) == "undecided"  # 12 of 12 where three in four have it
    found = related(base, middle, rare)
    assert [found.word(2, 0), found.word(0, 2)] == ["only with", "needed by"]
    assert found.follows(2, 0) and found.follows(0, 2) and not found.follows(2, 1)
    assert "as follows from others" in found.text(2, 0)
    excluded = (volume >= 150) & (volume < 190)
    found = related(base, middle, rare, excluded)
    assert found.word(2, 3) == found.word(3, 2) == "never with" and found.follows(2, 3)


def test_what_follows_is_not_said_where_the_volumes_contradict_it() -> None:
    volume = np.arange(1000)
    base = volume < 500
    middle = (volume >= 23) & (volume < 520)  # 20 of 497 without base
    last = (volume >= 490) & (volume < 521)  # 1 of 31 without middle, 21 of 31 without base
    found = related(base, middle, last)
    assert (found.word(1, 0), found.word(2, 1)) == ("together", "only with")
    assert found.word(2, 0) != "only with"


def test_a_test_that_does_not_reject_is_no_proof_of_independence() -> None:
    volume = np.arange(200)
    found = related(volume % 2 == 0, volume % 4 < 2)
    assert found.word(0, 1) == "independent" and "within 25 %" in found.text(0, 1)
    few = np.arange(20)
    assert related(few % 2 == 0, few % 4 < 2).word(0, 1) == "undecided"
    # within the band, and yet never together as far as seen
    assert related(volume < 8, (volume >= 8) & (volume < 20)).word(0, 1) == "undecided"


def test_volumes_that_are_worth_few_decide_nothing() -> None:
    volume = np.arange(200)
    rows = (volume < 120, volume < 60, volume % 2 == 0)
    assert related(*rows).word(1, 0) == "only with"
    found = related(*rows, effective=6.0)
    assert set(found.tally()) == {"undecided"}
    assert "count as 6 independent ones" in found.counted_as() and "too few" in found.counted_as()
    assert "All 200 volumes" in related(*rows, effective=500.0).counted_as()


def test_independent_blocks_are_seldom_said_to_depend() -> None:
    rng = np.random.default_rng(2)
    false = [dependences(related(*(rng.random((6, 100)) < 0.5))) > 0 for _ in range(200)]
    assert sum(false) <= 10  # 5 % of them; about 1 % is usual


def test_volumes_drawn_from_few_do_not_make_relations() -> None:
    rng = np.random.default_rng(3)
    false, taken_for_independent = 0, 0
    for _ in range(60):
        few = rng.random((6, 30)) < 0.5
        drawn = few[:, rng.integers(0, 30, 200)]
        false += dependences(related(*drawn, effective=30.0)) > 0
        taken_for_independent += dependences(related(*drawn)) > 0
    assert false <= 3 and taken_for_independent > 50


def test_blocks_that_are_apart_or_together_by_chance_are_not_said_to_depend() -> None:
    one, other = np.eye(10, dtype=bool)[:2]
    assert related(one, other).word(0, 1) == related(one, one).word(0, 1) == "undecided"


def test_every_pair_has_a_word_that_is_the_reverse_of_the_other_way() -> None:
    rng = np.random.default_rng(4)
    back = {"only with": "needed by", "needed by": "only with"}
    for _ in range(10):
        rows = rng.random((7, 150)) < rng.random((7, 1))
        rows[1] &= rows[0]
        found = related(*rows)
        for a, b in combinations(range(7), 2):
            assert found.word(a, b) and found.word(b, a) == back.get(
                found.word(a, b), found.word(a, b)
            )
        assert sum(found.tally().values()) == 21


def test_the_table_keeps_its_columns_and_adds_others_behind() -> None:
    volume = np.arange(40)
    head, row = relations_csv(related(volume < 20, volume < 15)).splitlines()
    assert head.startswith(
        "a,b,both,only_a,only_b,neither,phi,a_given_b,b_given_a,a_given_b_low,b_given_a_low,"
        "relation,"
    )
    values = dict(zip(head.split(","), row.split(","), strict=True))
    assert values["relation"] == "needed by" and values["follows"] == "no"
    assert float(values["odds_ratio"]) == pytest.approx(15.5 * 20.5 / (5.5 * 0.5), rel=1e-3)
    assert float(values["p_more"]) == pytest.approx(
        stats.fisher_exact([[15, 5], [0, 20]], "greater")[1], rel=1e-2
    )
    assert float(values["effective_volumes"]) == 40
