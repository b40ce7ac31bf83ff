"""Fine-tuning: loss against a sum over all voxels, a planted habit learned, a good model kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.simulation.example import simulate
from chimerax.siren.core.simulation.parameters import ExampleParameters
from chimerax.siren.core.thresholds import finetune
from chimerax.siren.core.thresholds.finetune import (
    BINS,
    LOWEST,
    apply_symmetry,
    mask_loss,
    read_labeled_maps,
    run_finetune,
)
from chimerax.siren.core.thresholds.labels import Label, set_label
from chimerax.siren.core.thresholds.network import (
    LoadedNetwork,
    default_weights,
    load_network,
    published_network,
    save_network,
)
from chimerax.siren.core.thresholds.normalize import denormalize_level, normalize, value_range
from chimerax.siren.core.thresholds.parameters import FinetuneParameters, PredictParameters
from chimerax.siren.core.thresholds.predict import predict_levels
from molecules import molecule, sources

torch = pytest.importorskip("torch", reason="torch is not installed: fine-tuning cannot be tested")
CPU = PredictParameters(device="cpu")


@pytest.fixture(scope="module")
def volumes():
    """30 volumes of an ensemble, and their levels predicted by the shipped network."""
    s = simulate(ExampleParameters(volumes=30, seed=11))
    ensemble = find_ensemble(sources([s.volume(i) for i in range(30)]))
    return ensemble, np.array([r.level for r in predict_levels(ensemble, CPU).rows])


def labeled(path, ensemble, levels):
    for n, (name, level) in enumerate(zip(ensemble.names, levels, strict=False)):
        set_label(path, Label(str(n), name, float(level)))
    return path


@pytest.mark.parametrize(("a", "b"), [(-0.4, -0.3), (-0.9, 0.2), (0.1, 0.1)])
def test_the_loss_is_that_of_all_voxels(a, b):
    x, _ = normalize(molecule(5)[0], "")
    histogram = np.histogram(x.clip(LOWEST, 1), BINS, (LOWEST, 1))[0].astype(np.float32) / x.size
    sigmoid = [1 / (1 + np.exp(-10 * (x.astype(float) - level))) for level in (a, b)]
    expected = np.mean((sigmoid[0] - sigmoid[1]) ** 2)
    loss = float(mask_loss(torch.from_numpy(histogram[None]), torch.tensor([a]), torch.tensor([b])))
    assert loss == pytest.approx(expected, rel=2e-3, abs=1e-12)


@pytest.mark.slow
def test_a_habit_of_higher_levels_is_learned_for_held_out_volumes(volumes, tmp_path):
    ensemble, own = volumes
    labels = labeled(
        tmp_path / "l.csv",
        ensemble,
        1.3 * own[:24] * np.exp(0.03 * np.random.default_rng(0).standard_normal(24)),
    )
    p = FinetuneParameters(epochs=4, folds=2, device="cpu")
    result = run_finetune(ensemble, labels, p, tmp_path / "out")
    assert result.fit.best > 0
    assert result.after.mae < 0.5 * result.before.mae
    assert [len(names) for names in result.parts.values()] == [19, 0, 5]
    # six volumes without any label, by the weights file that was written
    new = [
        r.level
        for r in predict_levels(
            ensemble, PredictParameters(weights=str(result.weights), device="cpu")
        ).rows
    ]
    before, after = (np.abs(np.log(v[24:] / (1.3 * own[24:]))).mean() for v in (own, np.array(new)))
    assert after < 0.5 * before
    assert sorted(f.name for f in result.folder.iterdir()) == [
        "finetuned_weights.pt",
        "loss.csv",
        "loss.pdf",
        "loss.png",
        "run.json",
    ]
    record = json.loads((result.folder / "run.json").read_text())
    assert record["kept_epoch"] == result.fit.best
    assert record["held_out_after"]["normalized_mae"] == pytest.approx(result.after.mae)
    assert (
        load_network(result.weights).metadata["finetuned"]["start"]["name"] == "siren_thresholds.pt"
    )


@pytest.mark.slow
def test_the_same_labels_and_seed_give_the_same_bytes_on_any_number_of_cores(volumes, tmp_path):
    ensemble, own = volumes
    labels = labeled(tmp_path / "l.csv", ensemble, 1.3 * own[:12])
    parameters = FinetuneParameters(epochs=2, folds=1, device="cpu")
    before, made = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            folder = run_finetune(ensemble, labels, parameters, tmp_path / "out").folder
            assert torch.get_num_threads() == threads  # as whoever called had it
            made.append({p.name: p.read_bytes() for p in folder.iterdir()})
    finally:
        torch.set_num_threads(before)
    assert made[0] == made[1]
    assert json.loads(made[0]["run.json"])["threads"] == 1


def test_tuned_weights_are_those_that_predict():
    arrays = [molecule(n, 80, noise=0.05)[0] for n in range(1, 4)]
    ensemble = find_ensemble(sources(arrays, 3.2))
    loaded = load_network(default_weights())
    data = read_labeled_maps(
        ensemble,
        {n: Label(str(k), n, 0.5) for k, n in enumerate(ensemble.names)},
        loaded,
        Progress(),
    )
    with torch.inference_mode():
        levels = loaded.network.heads(*data.inputs)[:, 0].tolist()
    assert levels == pytest.approx(
        [r.prediction for r in predict_levels(ensemble, CPU).rows], abs=1e-5
    )


def test_symmetries_are_the_48_of_the_cube_and_move_fields_alike():
    v = torch.arange(2 * 27, dtype=torch.float32).reshape(1, 2, 3, 3, 3)
    poses = [apply_symmetry(v, k) for k in range(48)]
    assert len({tuple(p.flatten().tolist()) for p in poses}) == 48
    for p in poses:
        # both fields transformed alike
        assert torch.equal(p[:, 1] - p[:, 0], torch.full((1, 3, 3, 3), 27.0))
        assert p[0, 0, 1, 1, 1] == 13  # the center stays


@pytest.mark.slow
def test_a_good_model_is_left_unchanged(volumes, tmp_path):
    ensemble, own = volumes
    labels = labeled(
        tmp_path / "l.csv",
        ensemble,
        own * np.exp(0.05 * np.random.default_rng(1).standard_normal(30)),
    )
    result = run_finetune(
        ensemble, labels, FinetuneParameters(epochs=4, folds=2, device="cpu"), tmp_path / "out"
    )
    assert result.fit.best == 0
    start, kept = (
        load_network(p).network.state_dict() for p in (default_weights(), result.weights)
    )
    assert all(torch.equal(start[k], kept[k]) for k in start)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_another_split(volumes, tmp_path):
    ensemble, own = volumes
    labels = labeled(tmp_path / "l.csv", ensemble, 1.3 * own[:10])
    runs = [
        run_finetune(
            ensemble,
            labels,
            FinetuneParameters(epochs=1, folds=2, seed=s, device="cpu"),
            tmp_path / f"{k}",
        )
        for k, s in enumerate((3, 3, 4))
    ]
    for name in ("finetuned_weights.pt", "loss.csv", "loss.png", "loss.pdf", "run.json"):
        assert (runs[0].folder / name).read_bytes() == (runs[1].folder / name).read_bytes(), name
    assert runs[0].parts != runs[2].parts
    assert sorted(name for part in runs[0].parts.values() for name in part) == sorted(
        ensemble.names[:10]
    )


@pytest.mark.slow
def test_too_few_labels_junk_and_other_volumes_are_reported_and_write_nothing(volumes, tmp_path):
    ensemble, own = volumes
    few = labeled(tmp_path / "few.csv", ensemble, own[:9])
    junk = find_ensemble(
        sources([molecule(n)[0] for n in range(1, 10)] + [np.full((64,) * 3, 2.0)])
    )
    flat = labeled(tmp_path / "flat.csv", junk, [0.2] * 10)
    other = labeled(
        tmp_path / "other.csv", find_ensemble(sources([molecule(1)[0]] * 31)), [0.2] * 31
    )
    for volumes_, table, says in (
        (ensemble, few, r"few\.csv has 9 labels .*too few to tell"),
        (junk, flat, r"vol_10\.mrc has a label but no density"),
        (ensemble, other, r"label for vol_31\.mrc"),
    ):
        with pytest.raises(SirenError, match=says):
            run_finetune(volumes_, table, FinetuneParameters(device="cpu"), tmp_path / "out")
    with pytest.raises(
        SirenError,
        match=r"loss diverged in epoch 1: give a smaller "
        r"learningRate",
    ):
        run_finetune(
            ensemble,
            labeled(tmp_path / "l.csv", ensemble, own[:10]),
            FinetuneParameters(learning_rate=1e30, device="cpu"),
            tmp_path / "out",
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_weights_that_make_the_held_out_maps_worse_are_not_kept(volumes, tmp_path):
    ensemble, own = volumes
    p = FinetuneParameters(epochs=12, folds=2, device="cpu")
    factor = np.full(20, 1.3)
    factor[finetune._split(20, p.filled("siren"))[2]] = 0.8  # training moves these away
    labels = labeled(tmp_path / "l.csv", ensemble, factor * own[:20])
    result = run_finetune(ensemble, labels, p, tmp_path / "out")
    assert result.fit.refused > 0 and result.fit.best == 0
    assert result.after.mae == result.before.mae
    start, kept = (
        load_network(path).network.state_dict() for path in (default_weights(), result.weights)
    )
    assert all(torch.equal(start[k], kept[k]) for k in start)


@pytest.mark.slow
def test_labels_of_maps_that_changed_since_are_left_out_and_named(volumes, tmp_path):
    ensemble, own = volumes
    for count in (11, 10):
        path = labeled(tmp_path / f"{count}.csv", ensemble, own[:count])
        label = Label("2", ensemble.names[2], float(own[2]), fingerprint="another")
        set_label(path, label)
        p = FinetuneParameters(epochs=1, folds=2, device="cpu")
        if count == 10:  # too few are left
            with pytest.raises(SirenError, match=r"9 labels .*1 label in 10\.csv is of other maps"):
                run_finetune(ensemble, path, p, tmp_path / "few")
            return
        result = run_finetune(ensemble, path, p, tmp_path / "out")
        assert all(ensemble.names[2] not in names for names in result.parts.values())
        assert ensemble.names[2] in result.notes[0]


@pytest.mark.slow
def test_a_stopped_fine_tuning_writes_nothing(volumes, tmp_path):
    ensemble, own = volumes
    progress = Progress(
        lambda phase, fraction: (
            progress.cancel() if phase == "fine-tuning" and fraction > 0.3 else None
        ),
        interval=0,
    )
    with pytest.raises(Cancelled):
        run_finetune(
            ensemble,
            labeled(tmp_path / "l.csv", ensemble, 1.3 * own[:10]),
            FinetuneParameters(epochs=5, device="cpu"),
            tmp_path / "out",
            progress,
        )
    assert not (tmp_path / "out").exists()


def test_defaults_are_those_published_for_the_published_architecture():
    p = FinetuneParameters().filled("published")
    assert (p.epochs, p.learning_rate, p.batch_size, p.folds, p.validation, p.held_out) == (
        5,
        1e-6,
        4,
        1,
        0.1,
        0.1,
    )
    assert FinetuneParameters(epochs=2).filled("published").epochs == 2


@pytest.mark.slow
def test_one_fold_validates_on_a_part_and_a_network_without_heads_is_tuned(tmp_path, monkeypatch):
    """Stand-in for the published architecture, which is slow: one level shared by all maps."""

    class Constant(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.level = torch.nn.Parameter(torch.tensor(0.8))

        def forward(self, x):
            return self.level.expand(len(x))

    monkeypatch.setattr(
        finetune, "load_network", lambda path: LoadedNetwork(Constant().eval(), "published")
    )
    ensemble = find_ensemble(sources([molecule(n)[0] for n in range(1, 11)]))
    ranges = [value_range(molecule(n)[0], "") for n in range(1, 11)]
    labels = labeled(tmp_path / "l.csv", ensemble, [denormalize_level(-0.4, r) for r in ranges])
    p = FinetuneParameters(epochs=20, learning_rate=0.1, validation=0.3, held_out=0.2, device="cpu")
    result = run_finetune(ensemble, labels, p, tmp_path)
    assert [len(names) for names in result.parts.values()] == [5, 3, 2]
    assert result.after.mae < 0.1 < 1 < result.before.mae
    assert result.fit.validation[result.fit.best] == min(result.fit.validation)
    state = torch.load(result.weights, weights_only=True)["model_state_dict"]
    assert float(state["level"]) == pytest.approx(-0.4, abs=0.1)


def test_the_published_architectures_file_is_read_again(tmp_path):
    network = published_network()
    save_network(
        tmp_path / "w.pt", network, {"finetuned": {"kept_epoch": 2}}, "published", half=False
    )
    loaded = load_network(tmp_path / "w.pt")
    assert (loaded.kind, loaded.metadata) == ("published", {"finetuned": {"kept_epoch": 2}})
    assert all(
        torch.equal(v, network.state_dict()[k]) for k, v in loaded.network.state_dict().items()
    )
