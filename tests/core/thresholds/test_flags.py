"""Flags and expected errors of predictions: planted junk is flagged, molecules are not."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.simulation.example import simulate
from chimerax.siren.core.simulation.parameters import ExampleParameters
from chimerax.siren.core.thresholds.flags import enclosed_region
from chimerax.siren.core.thresholds.parameters import PredictParameters
from chimerax.siren.core.thresholds.predict import predict_levels
from chimerax.siren.core.thresholds.tables import read_flags, read_thresholds, write_predictions
from molecules import molecule, sources

pytest.importorskip("torch", reason="torch is not installed: prediction cannot be tested")
CPU = PredictParameters(device="cpu")


def noise(seed, sigma):
    return gaussian_filter(np.random.default_rng(seed).normal(size=(64,) * 3), sigma).astype(
        np.float32
    )


@pytest.mark.parametrize("sigma", [0, 0.8, 1.5, 3])
def test_noise_alone_is_flagged(sigma):
    row = predict_levels(find_ensemble(sources([noise(1, sigma)]), minimum=1), CPU).rows[0]
    assert row.flags, row


@pytest.mark.parametrize("level", [0.5, 1.5, 3.0])
def test_noise_is_called_noise_at_any_level_that_encloses_something(level):
    array = noise(2, 1.5)
    array /= array.std()
    assert any(f.startswith("mostly noise") for f in enclosed_region(array, level, 0.0, None).flags)


@pytest.mark.parametrize("amount", [0.02, 0.1])
def test_molecules_have_no_flag(amount):
    rows = predict_levels(
        find_ensemble(sources([molecule(n, noise=amount)[0] for n in range(1, 7)])), CPU
    ).rows
    assert [r.flags for r in rows] == [()] * 6


@pytest.mark.parametrize(
    ("level", "prediction", "says"),
    [
        (
            99.0,
            1.4,
            ["level outside the map's range", "level encloses nothing (0 of 262,144 voxels)"],
        ),
        (0.3, 0.0, ["level encloses 64% of the box"]),
    ],
)
def test_impossible_levels_are_flagged(level, prediction, says):
    z = np.indices((64,) * 3)[0] / 64.0 + 0.002
    assert (
        list(
            enclosed_region(
                (z - (z < 0.35) * 0.2).astype(np.float32), level, prediction, None
            ).flags
        )[: len(says)]
        == says
    )


def test_a_fragmented_map_and_an_uncertain_level_are_flagged():
    array = np.zeros((64,) * 3, np.float32)
    array[4:60:8, 4:60:8, 4:60:8] = 1  # 343 single voxels
    flags = enclosed_region(array, 0.5, 0.0, 0.4).flags
    assert flags[0].startswith("in pieces (the largest holds 0%")
    assert flags[1] == "uncertain (expected error 0.40 of a range of 2)"


@pytest.mark.slow
def test_junk_volumes_of_an_ensemble_are_flagged_and_good_ones_are_not():
    s = simulate(ExampleParameters(volumes=40, junk=0.2, seed=5))
    rows = predict_levels(find_ensemble(sources([s.volume(i) for i in range(40)])), CPU).rows
    flagged = np.array([bool(r.flags) for r in rows])
    assert flagged[s.junk].all()
    assert flagged[~s.junk].sum() <= 1
    assert any("unlike all other volumes" in r.flags for r in rows)


def test_a_volume_ten_times_as_large_as_the_others_is_flagged():
    arrays = [molecule(1, noise=0.02)[0] + noise(n, 1) * 0.01 for n in range(9)]
    z, y, x = np.indices((64,) * 3) - 31.5
    grain = 0.8 + 0.4 * np.random.default_rng(0).random((64,) * 3)
    arrays[4] = gaussian_filter((z**2 + y**2 + x**2 < 26**2) * grain, 1).astype(np.float32)
    rows = predict_levels(find_ensemble(sources(arrays)), CPU).rows
    assert any(
        f.startswith("encloses ") and f.endswith("times the volume that is usual here")
        for f in rows[4].flags
    )
    assert not any(r.flags for r in rows[:4] + rows[5:])


def test_the_table_has_uncertainty_in_both_units_and_flags_and_is_read_back(tmp_path):
    arrays = [molecule(1)[0], np.full((64,) * 3, 3.0), molecule(2)[0] * np.float32(100)]
    ensemble = find_ensemble(sources(arrays))
    result = predict_levels(ensemble, CPU)
    write_predictions(tmp_path / "p.csv", result)
    with open(tmp_path / "p.csv", newline="") as file:
        read = list(csv.DictReader(file))
    for row in (read[0], read[2]):
        scale = (float(row["vol_max"]) - float(row["vol_min"])) / 2
        assert float(row["uncertainty"]) == pytest.approx(
            float(row["normalized_uncertainty"]) * scale
        )
        assert 0.002 < float(row["normalized_uncertainty"]) < 0.3
    assert read[1]["flag"] == "constant"
    assert read[1]["denormalized_predictions"] == read[1]["uncertainty"] == ""
    assert read_flags(tmp_path / "p.csv", ensemble) == {"vol_2.mrc": "constant"}
    with pytest.raises(
        SirenError,
        match=r"no threshold for vol_2\.mrc \(flagged: constant\): use "
        r'"filter flags", or "exclude vol_2\.mrc"',
    ):
        read_thresholds(tmp_path / "p.csv", ensemble)
    levels = read_thresholds(tmp_path / "p.csv", ensemble, {"vol_2.mrc"})
    assert np.isnan(levels[1])
    assert levels[[0, 2]].tolist() == [result.rows[0].level, result.rows[2].level]


def test_a_table_without_flags_cannot_filter_by_them(tmp_path):
    (tmp_path / "p.csv").write_text("vol_id,denormalized_predictions\n0,1\n1,1\n")
    with pytest.raises(SirenError, match=r"p\.csv has no flags to filter by"):
        read_flags(tmp_path / "p.csv", find_ensemble(sources([molecule(1)[0]] * 2)))
