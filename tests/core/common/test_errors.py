"""Errors raised in other processes."""

from __future__ import annotations

import pickle

from chimerax.siren.core.common.errors import JunkMap


def test_a_junk_map_error_survives_pickling():
    error = pickle.loads(pickle.dumps(JunkMap("a.mrc is constant.", "constant")))
    assert (type(error), str(error), error.reason) == (JunkMap, "a.mrc is constant.", "constant")
