"""Counting pairs of voxels by matrix products."""

from __future__ import annotations

import numpy as np
import pytest

from chimerax.siren.core.compute import pair_tiles
from chimerax.siren.core.compute.pair_tiles import packed_columns, product_counter


@pytest.mark.parametrize("volumes", [5, 128, 255, 256, 500, 4095, 4096])
@pytest.mark.parametrize("full", [False, True])
def test_counts_of_pairs_are_exact_whatever_is_packed_into_one_product(
    volumes: int, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of voxels that are occupied in all volumes, where the counts are largest."""
    monkeypatch.setattr(pair_tiles, "PACKED_AT_ONCE", 7)  # several products, the last one smaller
    rng = np.random.default_rng(volumes)
    columns = np.ones((41, volumes)) if full else rng.random((41, volumes)) < rng.random((41, 1))
    rows = columns[3:9].astype(np.int64)
    count = product_counter(columns.astype(np.float32))
    for first in (0, 1, 20, 34, 40, 41):
        found = count(rows.astype(np.float32), first)
        assert found.dtype == np.float32
        assert np.array_equal(found, rows @ columns[first:].astype(np.int64).T)


def test_as_many_columns_are_packed_as_their_counts_have_room_in_single_precision() -> None:
    for volumes in range(1, 9000):
        packed, each = packed_columns(volumes), 1 << volumes.bit_length()
        largest = sum(volumes * each**k for k in range(packed))
        assert packed == 1 or largest < 2**24
    assert [packed_columns(v) for v in (60, 200, 500, 4000, 5000)] == [1, 3, 2, 2, 1]
