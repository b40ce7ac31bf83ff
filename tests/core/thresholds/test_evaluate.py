"""Predictions against labels: metrics by numpy and scipy, hand-made tables, reproducible plots."""

from __future__ import annotations

import csv
import json

import matplotlib.image
import numpy as np
import pytest
from scipy import stats

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.thresholds.evaluate import evaluate, run_evaluation
from chimerax.siren.core.thresholds.normalize import Range
from chimerax.siren.core.thresholds.tables import Prediction, Predictions, write_predictions

HEAD = "vol_id,lower_bound,contour_level,upper_bound,map_file\n"


@pytest.fixture
def tables(tmp_path):
    """Labels of 12 of 20 volumes and predictions of all; levels and errors of the 12."""
    rng = np.random.default_rng(0)
    low, high, prediction = (
        rng.uniform(0, 0.1, 20),
        rng.uniform(1, 2, 20),
        rng.uniform(-0.8, 0.2, 20),
    )
    rows = [
        Prediction(
            f"vol_{n:02d}.mrc",
            n,
            Range(low[n], high[n]),
            prediction[n],
            0.05,
            ("mostly noise",) if n == 3 else (),
        )
        for n in range(20)
    ]
    write_predictions(tmp_path / "predictions.csv", Predictions(tuple(rows)))
    level = np.array([r.level for r in rows])[:12] * rng.uniform(0.8, 1.1, 12)
    (tmp_path / "labels.csv").write_text(
        HEAD
        + "".join(
            f"{n},{level[n] * 0.9 if n < 8 else ''},{level[n]},{level[n] * 1.1 if n < 8 else ''},"
            f"/data/vol_{n:02d}.mrc\n"
            for n in range(12)
        )
    )
    return tmp_path, rows[:12], level


def test_metrics_agree_with_numpy_and_scipy(tables):
    folder, rows, level = tables
    f = evaluate(folder / "labels.csv", folder / "predictions.csv").metrics
    predicted = np.array([r.level for r in rows])
    scaled = np.array(
        [
            2 * (v - r.range.vol_min) / (r.range.vol_max - r.range.vol_min) - 1
            for v, r in zip(level, rows, strict=True)
        ]
    )
    for prefix, error in (
        ("", predicted - level),
        ("normalized_", np.array([r.prediction for r in rows]) - scaled),
    ):
        assert f[prefix + "rmse"] == pytest.approx(np.linalg.norm(error) / 12**0.5)
        assert f[prefix + "mae"] == pytest.approx(np.abs(error).mean())
        assert f[prefix + "bias"] == pytest.approx(error.mean())
    assert f["correlation"] == pytest.approx(stats.pearsonr(level, predicted)[0])
    within = [0.9 * v <= p <= 1.1 * v for v, p in zip(level[:8], predicted[:8], strict=True)]
    assert (f["within_bounds"], f["with_bounds"], f["count"]) == (sum(within), 8, 12)
    assert 0 < sum(within) < 8


@pytest.mark.slow
def test_table_record_and_plots_are_sorted_and_reproducible(tables):
    folder, _, _ = tables
    first = run_evaluation(folder / "labels.csv", folder / "predictions.csv", folder / "a")
    second = run_evaluation(folder / "labels.csv", folder / "predictions.csv", folder / "b")
    names = ["evaluation.csv", "evaluation.pdf", "evaluation.png", "run.json"]
    assert sorted(p.name for p in first.folder.iterdir()) == names
    for name in names:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
    with open(first.folder / "evaluation.csv", newline="") as file:
        read = list(csv.DictReader(file))
    labels = [float(r["normalized_label"]) for r in read]
    assert labels == sorted(labels)
    assert {r["file"]: r["flag"] for r in read}["vol_03.mrc"] == "mostly noise"
    assert json.loads((first.folder / "run.json").read_text())["figures"]["count"] == 12
    picture = matplotlib.image.imread(first.plot)
    assert picture.shape[0] > 400 and picture[..., :3].std() > 0.01  # not blank
    assert (first.folder / "evaluation.pdf").read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in (first.folder / "evaluation.pdf").read_bytes()
    assert run_evaluation(folder / "labels.csv", folder / "predictions.csv", folder / "a").replaced


@pytest.mark.slow
def test_an_evaluation_edited_by_hand_is_kept(tables):
    folder, _, _ = tables
    first = run_evaluation(folder / "labels.csv", folder / "predictions.csv", folder)
    (first.folder / "notes.txt").write_text("mine")
    second = run_evaluation(folder / "labels.csv", folder / "predictions.csv", folder)
    assert second.aside is not None and (second.aside / "notes.txt").read_text() == "mine"


def test_the_published_tables_are_matched_by_vol_id(tmp_path):
    (tmp_path / "p.csv").write_text(
        "vol_id,vol_min,vol_max,prediction,int_predictions,denormalized_predictions\n"
        "0,0,2,-0.5,0.25,0.5\n1,0,2,0,0.5,1\n2,0,4,0,0.5,2\n"
    )
    (tmp_path / "l.csv").write_text(HEAD + "2,1,1.5,2,c.mrc\n0,,0.5,,a.mrc\n7,,3,,h.mrc\n")
    a = evaluate(tmp_path / "l.csv", tmp_path / "p.csv")
    assert [(r.prediction.file, r.error) for r in a.rows] == [("2", 0.5), ("0", 0.0)]
    assert a.unpredicted == ("h.mrc",)
    assert a.metrics["correlation"] is None  # only two pairs
    (tmp_path / "n.csv").write_text("vol_id,contour_level\n1,0.8\n")  # labels without file names
    assert evaluate(tmp_path / "n.csv", tmp_path / "p.csv").rows[0].error == pytest.approx(0.2)


def test_other_maps_with_the_same_number_are_not_confused(tables):
    folder, _, _ = tables
    (folder / "l.csv").write_text(HEAD + "0,,0.5,,other.mrc\n")
    with pytest.raises(
        SirenError,
        match=r"predictions\.csv has no prediction for any labeled "
        r"volume \(other\.mrc\)",
    ):
        run_evaluation(folder / "l.csv", folder / "predictions.csv", folder / "out")
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file,denormalized_predictions\na.mrc,1\n", "no column 'vol_min'"),
        ("vol_min,vol_max,prediction,denormalized_predictions\n0,1,0,1\n", "which row is which"),
        (
            "file,vol_min,vol_max,prediction,denormalized_predictions\na.mrc,0,1,x,1\n",
            '"x", not a number',
        ),
        (
            "file,vol_min,vol_max,prediction,denormalized_predictions\na.mrc,0,1,0,1\na.mrc,0,1,0,1\n",
            "two rows for a.mrc",
        ),
    ],
)
def test_wrong_predictions_are_reported(tmp_path, text, says):
    (tmp_path / "p.csv").write_text(text)
    (tmp_path / "l.csv").write_text(HEAD + "0,,0.5,,a.mrc\n")
    with pytest.raises(SirenError, match=says):
        evaluate(tmp_path / "l.csv", tmp_path / "p.csv")
