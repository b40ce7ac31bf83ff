"""Maps proposed for labeling span all levels and are diverse and uncertain; hand-made ensembles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.thresholds.choose import choose_maps
from chimerax.siren.core.thresholds.normalize import Range
from chimerax.siren.core.thresholds.tables import Prediction, Predictions
from molecules import sources


def shapes(kinds):
    """Maps of 16^3 with a bar whose axis and position depend on the kind."""
    arrays = []
    for n, kind in enumerate(kinds):
        array = np.random.default_rng(n).normal(0, 0.01, (16,) * 3).astype(np.float32)
        array[(kind * 3) % 14 : (kind * 3) % 14 + 2, 4:12, 4:12] += 1
        arrays.append(array)
    return find_ensemble(sources(arrays))


def predictions(ensemble, levels, spreads):
    return Predictions(
        tuple(
            Prediction(n, i, Range(0.0, 1.0), level, spread)
            for i, (n, level, spread) in enumerate(
                zip(ensemble.names, levels, spreads, strict=True)
            )
        )
    )


def test_every_range_of_levels_gives_one_map():
    ensemble = shapes([n % 4 for n in range(24)])
    levels = np.random.default_rng(0).permutation(np.linspace(-0.9, 0.1, 24))
    chosen = choose_maps(ensemble, predictions(ensemble, levels, [0.1] * 24), 6)
    level_of = dict(zip(ensemble.names, levels, strict=True))
    ranks = [int(np.searchsorted(np.sort(levels), level_of[p.file])) // 4 for p in chosen]
    assert ranks == [0, 1, 2, 3, 4, 5]


def test_uncertain_and_dissimilar_maps_are_preferred():
    ensemble = shapes(
        [0, 0, 0, 0, 0, 1]
    )  # two groups of three; only the last map is of another kind
    chosen = choose_maps(
        ensemble, predictions(ensemble, np.linspace(-0.5, 0, 6), [0.1, 0.3, 0.1, 0.1, 0.1, 0.1]), 2
    )
    assert [p.file for p in chosen] == ["vol_2.mrc", "vol_6.mrc"]
    assert "+- 0.300" in chosen[0].reason


def test_flagged_maps_are_skipped_and_fewer_maps_than_asked_are_all_chosen():
    ensemble = shapes([0, 1, 2, 3])
    p = predictions(ensemble, [-0.5, -0.4, -0.3, -0.2], [0.1] * 4)
    p = Predictions((*p.rows[:2], replace(p.rows[2], flags=("mostly noise",)), p.rows[3]))
    assert [c.file for c in choose_maps(ensemble, p, 20)] == ["vol_1.mrc", "vol_2.mrc", "vol_4.mrc"]


def test_expected_errors_are_optional_and_the_choice_is_deterministic():
    ensemble = shapes(range(12))
    p = predictions(ensemble, np.linspace(-0.9, 0, 12), [None] * 12)
    assert choose_maps(ensemble, p, 4) == choose_maps(ensemble, p, 4)
    assert len(choose_maps(ensemble, p, 4)) == 4


def test_missing_predictions_and_only_junk_are_reported():
    ensemble = shapes([0, 1])
    p = predictions(ensemble, [-0.5, -0.4], [0.1, 0.1])
    with pytest.raises(SirenError, match=r"No prediction for vol_2\.mrc"):
        choose_maps(ensemble, Predictions(p.rows[:1]), 2)
    with pytest.raises(SirenError, match="Every map is flagged"):
        choose_maps(
            ensemble, Predictions(tuple(replace(r, flags=("constant",)) for r in p.rows)), 2
        )
