"""Parts of maps are the values that indexing gives, read or kept."""

from __future__ import annotations

import numpy as np
import pytest

from chimerax.siren.core.maps.excerpt import Excerpt, Parts


@pytest.mark.parametrize("size", [512, 500, 510, 343])
def test_parts_are_what_indexing_gives_and_come_from_what_is_kept(size: int) -> None:
    rng = np.random.default_rng(size)
    flat = rng.normal(size=size).astype(np.float32)
    dense = np.unique(np.concatenate([np.arange(100, 160), np.arange(300, 333), [size - 1]]))
    sparse = rng.choice(size, 20)
    parts = Parts.around(dense, sparse, size=size)
    assert set(dense) <= set(parts.voxels) and len(parts) == len(parts.voxels)
    out = np.empty(len(parts), np.float32)
    parts.take(flat, out)
    np.testing.assert_array_equal(out, flat[parts.voxels])

    excerpt = Excerpt.around(dense, sparse, size)
    excerpt.fill("map", flat)
    held = excerpt.values["map"]
    np.testing.assert_array_equal(held, flat[excerpt.parts.voxels])
    within = excerpt.parts_of(parts)
    assert within is not None
    again = np.empty(len(parts), np.float32)
    within.take(held, again)
    np.testing.assert_array_equal(again, out)
    places = excerpt.places(dense)
    assert places is not None
    np.testing.assert_array_equal(held[places], flat[dense])


def test_what_is_not_kept_is_not_found() -> None:
    excerpt = Excerpt.around(np.arange(64, 128), np.array([300]), 512)
    none = np.empty(0, np.int64)
    assert excerpt.places(np.array([64, 301])) is None
    assert excerpt.parts_of(Parts(8, np.array([8, 40]), none)) is None
    assert excerpt.parts_of(Parts(8, np.array([8]), np.array([301]))) is None
    assert excerpt.parts_of(Parts(4, np.array([16]), none)) is None
    assert excerpt.parts_of(Parts(1, none, np.array([300, 70]))) is not None
    assert Excerpt.around(none, none, 512).parts_of(Parts(8, np.array([1]), none)) is None
