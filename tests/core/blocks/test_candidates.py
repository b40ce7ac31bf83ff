"""What is worked out once of each set of voxels that may be a block."""

from __future__ import annotations

import numpy as np
import pytest

from chimerax.siren.core.blocks import candidates as candidates_module
from chimerax.siren.core.blocks.candidates import Candidates, split_in_half
from chimerax.siren.core.blocks.presence import presence


def test_a_candidate_is_that_of_plain_means_and_is_made_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    rows = rng.random((600, 77)) < rng.random((600, 1))
    points = rng.random((600, 3))
    owner = rng.integers(-1, 4, 600)
    owner[:300] = np.where(owner[:300] == 3, -1, 3)  # more voxels than a byte counts
    made = Candidates(np.packbits(rows, axis=1), 77, points)
    found = made.of(owner)
    assert len(found) == 4
    for number, candidate in enumerate(found):
        own = owner == number
        assert candidate.voxels.tolist() == np.flatnonzero(own).tolist()
        share = rows[own].mean(axis=0)
        halves = [rows[own][candidate.halves.side == k].mean(axis=0) for k in (0, 1)]
        np.testing.assert_array_equal(candidate.profile, share)
        np.testing.assert_array_equal(candidate.present, presence(share[None])[0])
        np.testing.assert_array_equal(candidate.halves.profiles, halves)
        one, other = (presence(h[None])[0] for h in halves)
        assert candidate.halves.errors == (one != other).sum()
        assert candidate.halves.volumes == presence(np.mean(halves, axis=0)[None]).sum()
        np.testing.assert_array_equal(candidate.halves.side, split_in_half(points[own]))
        assert np.array_equal(candidate.box, (points[own].min(axis=0), points[own].max(axis=0)))
    monkeypatch.setattr(candidates_module, "presence", None)  # is not called again
    assert all(a is b for a, b in zip(found, made.of(owner), strict=True))
    assert made.of(np.full(600, -1)) == []
