"""Harmonized levels follow the volumes' scales better, and nothing changes unless asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.simulation.example import simulate
from chimerax.siren.core.simulation.parameters import ExampleParameters
from chimerax.siren.core.thresholds.consensus import consensus_levels
from chimerax.siren.core.thresholds.normalize import normalize_level, value_range
from chimerax.siren.core.thresholds.parameters import PredictParameters
from chimerax.siren.core.thresholds.predict import predict_levels
from chimerax.siren.core.thresholds.tables import Prediction, Predictions, write_predictions
from molecules import sources


@pytest.fixture(scope="module")
def planted():
    """An ensemble, its true levels, and predictions with errors of 15 %."""
    s = simulate(ExampleParameters(volumes=40, box=32, voxel_size=10.0, resolution=25.0, seed=4))
    arrays = [s.volume(i) for i in range(40)]
    levels = s.levels * np.exp(0.15 * np.random.default_rng(1).standard_normal(40))
    ranges = [value_range(a, "") for a in arrays]
    ensemble = find_ensemble(sources(arrays))
    rows = [
        Prediction(n, i, r, normalize_level(float(level), r), 0.05)
        for i, (n, r, level) in enumerate(zip(ensemble.names, ranges, levels, strict=True))
    ]
    return ensemble, s.levels, rows


def scatter(rows, truth):
    return float(np.std(np.log([r.level / t for r, t in zip(rows, truth, strict=True)])))


def test_harmonized_levels_scatter_far_less_about_the_truth(planted):
    ensemble, truth, rows = planted
    together, note = consensus_levels(ensemble, rows, Progress())
    assert scatter(together, truth) < 0.4 * scatter(rows, truth)
    assert [r.own for r in together] == [r.prediction for r in rows]
    assert note.startswith("Levels of 40 volumes were harmonized")


def test_flagged_volumes_are_excluded_and_keep_their_level(planted):
    ensemble, truth, rows = planted
    junk = replace(rows[3], prediction=0.9, flags=("mostly noise",))
    together, _ = consensus_levels(ensemble, [*rows[:3], junk, *rows[4:]], Progress())
    assert together[3] == junk
    without = [i for i in range(40) if i != 3]
    assert scatter([together[i] for i in without], truth[without]) < 0.4 * scatter(
        [rows[i] for i in without], truth[without]
    )


def test_two_volumes_are_left_unchanged_with_a_note(planted):
    ensemble, _, rows = planted
    same, note = consensus_levels(
        ensemble.select(include=list(ensemble.names[:2])), rows[:2], Progress()
    )
    assert same == rows[:2]
    assert "2 volumes without a flag are too few" in note


def test_own_level_is_a_column_only_where_levels_changed(planted, tmp_path):
    ensemble, _, rows = planted
    write_predictions(tmp_path / "own.csv", Predictions(tuple(rows)))
    write_predictions(
        tmp_path / "both.csv", Predictions(tuple(consensus_levels(ensemble, rows, Progress())[0]))
    )
    own, both = ((tmp_path / n).read_text().splitlines() for n in ("own.csv", "both.csv"))
    assert both[0] == own[0] + ",own_level"
    assert float(both[1].split(",")[-1]) == pytest.approx(rows[0].level)


@pytest.mark.slow
def test_predict_harmonizes_only_on_request(planted):
    pytest.importorskip("torch", reason="torch is not installed: prediction cannot be tested")
    ensemble = planted[0].select(include=list(planted[0].names[:10]))
    own = predict_levels(ensemble, PredictParameters(device="cpu"))
    asked = predict_levels(ensemble, PredictParameters(device="cpu", together=True))
    assert own.notes == () and len(asked.notes) == 1
    assert all(r.own is None for r in own.rows)
    changed = [r for r in asked.rows if r.own is not None]
    assert changed
    assert [r.own for r in changed] == [
        r.prediction for r in own.rows if r.file in {c.file for c in changed}
    ]
