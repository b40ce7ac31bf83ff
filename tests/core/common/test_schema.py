"""Checks of values from files that others may have written."""

from __future__ import annotations

import math

import pytest

from chimerax.siren.core.common.schema import Mismatch, number


@pytest.mark.parametrize("value", [10**400, -(10**400)])
def test_a_whole_number_too_large_for_a_float_is_out_of_bounds_also_where_infinity_is_allowed(
    value: int,
) -> None:
    for finite in (True, False):
        with pytest.raises(Mismatch):
            number(finite=finite)(value)


def test_infinity_and_nan_are_numbers_only_where_they_are_allowed() -> None:
    check = number(finite=False)
    assert check(math.inf) == math.inf and math.isnan(check(math.nan))
    for value in (math.inf, math.nan):
        with pytest.raises(Mismatch):
            number()(value)
