"""Prediction with networks of known output, and with the shipped weights on unseen maps."""

from __future__ import annotations

import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
from scipy import ndimage

from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Source, find_ensemble
from chimerax.siren.core.maps.grid import Grid, fourier_resample
from chimerax.siren.core.maps.mapfile import write_map
from chimerax.siren.core.simulation.example import simulate
from chimerax.siren.core.simulation.parameters import ExampleParameters
from chimerax.siren.core.thresholds import predict
from chimerax.siren.core.thresholds.network import compact_network, published_network, save_network
from chimerax.siren.core.thresholds.normalize import denormalize_level, value_range
from chimerax.siren.core.thresholds.parameters import PredictParameters
from chimerax.siren.core.thresholds.predict import choose_device, predict_levels
from molecules import molecule, sources
from waiting import DEADLINE

torch = pytest.importorskip("torch", reason="torch is not installed: prediction cannot be tested")
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
CPU = PredictParameters(device="cpu")
CARD = choose_device("auto", "published")


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def best_dice(array, truth):
    levels = np.linspace(0, array.max(), 300)[:-1]
    # voxels above each level, of the map and of the truth in it
    above, both = (
        values.size - np.searchsorted(np.sort(values), levels, "right")
        for values in (array.ravel(), array[truth])
    )
    return (2 * both / (above + truth.sum())).max()


@pytest.fixture
def constant(tmp_path):
    """Weights whose network always predicts one level, of SIREn's or the published architecture."""

    def make(value, kind="siren"):
        path = tmp_path / f"{kind}.pt"
        # equal scores predict the mean of the levels, which is set to the value
        if kind == "siren":
            network = compact_network()
            network.score.weight.data.zero_()
            network.levels.fill_(value)
            save_network(path, network, {})
        else:
            network = published_network()
            network.mlp[2].weight.data.zero_()
            network.mlp[2].bias.data.fill_(value)
            torch.save(
                {"model_state_dict": network.state_dict(), "loss": torch.nn.MSELoss(), "epoch": 1},
                path,
            )
        return PredictParameters(weights=str(path), device="cpu", batch_size=2)

    return make


def test_levels_use_the_range_of_the_64_cube(constant):
    arrays = [
        molecule(n, box)[0] * scale
        for n, (box, scale) in enumerate([(80, 1.0), (80, 1e-3), (80, 500.0)])
    ]
    result = predict_levels(find_ensemble(sources(arrays)), constant(-0.25))
    for row, array in zip(result.rows, arrays, strict=True):
        used = value_range(fourier_resample(array, (64,) * 3), "")
        assert row.prediction == pytest.approx(-0.25)
        assert row.range.vol_max == pytest.approx(used.vol_max, rel=1e-5)
        assert row.level == pytest.approx(denormalize_level(-0.25, used), rel=1e-4)
    assert [r.file for r in result.rows] == ["vol_1.mrc", "vol_2.mrc", "vol_3.mrc"]


@pytest.mark.slow
def test_published_weights_use_the_range_of_the_full_box(constant):
    array = molecule(1, 72)[0]
    row = predict_levels(
        find_ensemble(sources([array]), minimum=1), constant(0.5, "published")
    ).rows[0]
    assert row.range == value_range(array, "")
    assert row.level == pytest.approx(denormalize_level(0.5, value_range(array, "")), rel=1e-6)


def test_vol_id_counts_the_folder_and_not_the_selection(constant, tmp_path):
    for n in (1, 2, 10):
        write_map(
            tmp_path / f"vol_{n}.mrc",
            molecule(n, 32, noise=0.1)[0],
            Grid((32,) * 3, (4.0,) * 3),
            "test",
        )
    chosen = find_ensemble([tmp_path]).select(exclude=["vol_2"])
    assert [(r.file, r.vol_id) for r in predict_levels(chosen, constant(0.0)).rows] == [
        ("vol_1.mrc", 0),
        ("vol_10.mrc", 2),
    ]


@pytest.mark.parametrize(("noise", "least", "mean"), [(0.02, 0.87, 0.91), (0.1, 0.94, 0.96)])
def test_shipped_weights_find_an_unseen_molecule(noise, least, mean):
    maps = [molecule(seed, noise=noise) for seed in range(1, 9)]
    rows = predict_levels(find_ensemble(sources([array for array, _ in maps])), CPU).rows
    ratios = [
        dice(array > row.level, inside) / best_dice(array, inside)
        for (array, inside), row in zip(maps, rows, strict=True)
    ]
    assert min(ratios) > least
    assert np.mean(ratios) > mean


@pytest.mark.slow
def test_shipped_weights_contour_an_example_ensemble_at_its_true_levels():
    made = simulate(ExampleParameters(volumes=6, seed=11))
    levels = np.array(
        [
            r.level
            for r in predict_levels(
                find_ensemble(sources([made.volume(i) for i in range(6)], 5.0)), CPU
            ).rows
        ]
    )
    # a ratio of 0.74 once made blocks too large
    assert abs(np.mean(levels / made.levels) - 1) < 0.06
    assert np.std(levels / made.levels) < 0.08
    for i in range(6):
        found, truth = made.volume(i) > levels[i], made.density(i) > made.level
        assert (found & truth).sum() / (found | truth).sum() > 0.8


def test_scale_does_not_matter():
    array = molecule(2)[0]
    a, b = predict_levels(find_ensemble(sources([array, array * np.float32(4096)])), CPU).rows
    assert b.level == pytest.approx(4096 * a.level, rel=1e-3)


def test_same_input_gives_the_same_bits():
    ensemble = find_ensemble(sources([molecule(n)[0] for n in range(3)]))
    assert predict_levels(ensemble, CPU) == predict_levels(ensemble, CPU)


@pytest.mark.slow
def test_batch_size_does_not_change_levels():
    ensemble = find_ensemble(sources([molecule(n)[0] for n in range(5)]))
    results = [
        predict_levels(ensemble, PredictParameters(device="cpu", batch_size=b)) for b in (1, 3, 8)
    ]
    levels = [[r.level for r in result.rows] for result in results]
    assert np.allclose(levels[0], levels[1], rtol=1e-4)
    assert np.allclose(levels[0], levels[2], rtol=1e-4)


@pytest.mark.skipif(CARD == "cpu", reason="torch finds no graphics card here")
def test_levels_of_a_graphics_card_are_those_of_the_processor_but_for_rounding():
    ensemble = find_ensemble(sources([molecule(n)[0] for n in range(8)]))
    here, card = (predict_levels(ensemble, PredictParameters(device=d)) for d in ("auto", CARD))
    assert (here.device, card.device) == ("cpu", CARD)
    off = [a.prediction - b.prediction for a, b in zip(here.rows, card.rows, strict=True)]
    assert 0 < np.abs(off).max() < 1e-3  # of -1 to 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"device": "tpu"}, "device tpu is not known: give auto or cpu or cuda or mps"),
        ({"batch_size": 0}, "batchSize 0 is out of bounds"),
        ({"weights": "/nowhere/w.pt"}, "no such file"),
    ],
)
def test_wrong_parameters_are_reported(wrong, says):
    with pytest.raises(SirenError, match=says):
        predict_levels(
            find_ensemble(sources([molecule(1)[0]]), minimum=1),
            PredictParameters(**({"device": "cpu"} | wrong)),
        )


@pytest.mark.parametrize("there", [(), ("cuda",), ("mps",)])
def test_auto_takes_a_card_for_the_published_network_alone(there, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    assert choose_device("auto") == choose_device("auto", "siren") == "cpu"
    assert choose_device("auto", "published") == (*there, "cpu")[0]


def test_a_missing_device_is_reported():
    name = "mps" if not torch.backends.mps.is_available() else "cuda"
    if name == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has every device")
    with pytest.raises(SirenError, match=f"^{name} is not available here: use device cpu.$"):
        predict_levels(
            find_ensemble(sources([molecule(1)[0]]), minimum=1), PredictParameters(device=name)
        )


def test_maps_without_density_get_a_flag_instead_of_a_level():
    nan = np.where(np.indices((64,) * 3)[0] == 3, np.nan, 1.0)
    arrays = [
        molecule(1)[0],
        -1 - np.abs(molecule(2)[0]),
        np.full((64,) * 3, 2.0),
        nan,
        molecule(3)[0],
        (molecule(4)[1] * 1.0),
    ]
    rows = predict_levels(
        find_ensemble(sources(arrays)), PredictParameters(device="cpu", batch_size=1)
    ).rows
    assert ["; ".join(r.flags) for r in rows] == [
        "",
        "inverted contrast: no positive density",
        "constant",
        "values not finite",
        "",
        "a single positive value",
    ]
    assert [bool(np.isfinite(r.level)) for r in rows] == [True, False, False, False, True, False]


@pytest.mark.parametrize(
    ("count", "shift", "factor", "said"),
    [
        (1, -1, -1, r"^vol_1\.mrc has no positive density"),
        (3, -1, -1, r"^None of the 3 volumes has a level \(inverted contrast.*multiply it by -1"),
        (3, -9, 1, r"^None of .*\(no positive density; the first is vol_1\.mrc\).*scale #N shift"),
    ],
)
def test_an_ensemble_without_density_is_an_error(count, shift, factor, said):
    array = shift + factor * np.abs(molecule(2)[0])
    with pytest.raises(SirenError, match=said) as caught:
        predict_levels(find_ensemble(sources([array] * count), minimum=1), CPU)
    assert count == 1 or "exclude" not in str(caught.value)


def test_cancel_is_answered_at_the_next_map(monkeypatch):
    """A thread that has just been told to go on reads one map more, or shows the network what it
    has read; then it ends.
    """
    threads, maps, shown, asked = 2, [], [], []

    def array():
        maps.append(molecule(1)[0])
        return maps[-1]

    def numbers(*arguments):
        shown.append(1)
        return plain(*arguments)

    def report(phase, fraction):
        if fraction > 0.05 and not asked:
            progress.cancel()
            asked.append((len(maps), len(shown)))

    plain = predict._predict_batch
    monkeypatch.setattr(predict, "_predict_batch", numbers)
    monkeypatch.setattr(predict, "_cores", lambda: threads)
    grid = Grid((64,) * 3, (4.0,) * 3)
    ensemble = find_ensemble([Source(f"{n}.mrc", array=array, grid=grid) for n in range(60)])
    progress = Progress(report, interval=0)
    with pytest.raises(Cancelled):
        predict_levels(ensemble, CPU, progress)
    ((read, answered),) = asked
    assert 0 < read <= len(maps) <= read + threads < len(ensemble) // 2
    assert len(shown) <= answered + threads


@pytest.mark.skipif(
    not SHARED.exists(), reason="../shared/data is absent: the real ensemble cannot be tested"
)
def test_real_volumes_get_levels_that_enclose_a_ribosomal_subunit():
    ensemble = find_ensemble([SHARED / "real_ensemble"])
    rows = predict_levels(ensemble, CPU).rows
    for row, (_, array) in zip(rows, ensemble.read(), strict=True):
        volume = float((array > row.level).sum()) * ensemble.grid.voxel_volume
        # a whole 50S is about 1.4 MDa, 1.7 million A^3; these are assembly intermediates, less than
        # that
        assert 0.5e6 < volume < 2.6e6


@pytest.mark.parametrize(
    "shape",
    [
        (32, 32, 32),
        (64, 99, 66),
        (33, 33, 33),
        (97, 97, 97),
        (101, 64, 80),
        pytest.param((128, 128, 128), marks=pytest.mark.slow),
    ],
)
def test_any_box_gets_the_level_of_the_same_molecule_in_its_64_box(shape):
    """The molecule is resampled to the other grid by splines; into the low corner if not cubic."""
    array, _ = molecule(3, noise=0.02)
    edge = max(shape)
    axes = [np.arange(n) * 64 / edge for n in shape]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    drawn = ndimage.map_coordinates(array, points, order=3, mode="grid-wrap").astype(np.float32)
    part = np.zeros_like(array)  # the part inside the other box, on the grid of 64
    kept = tuple(slice(0, round(n * 64 / edge)) for n in shape)
    part[kept] = array[kept]
    expected = predict_levels(find_ensemble(sources([part]), minimum=1), CPU).rows[0].level
    level = (
        predict_levels(find_ensemble(sources([drawn], 4.0 * 64 / edge), minimum=1), CPU)
        .rows[0]
        .level
    )
    # at 32 and 33, the finest details are lost
    assert level == pytest.approx(expected, rel=0.25 if edge < 64 else 0.08)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_noncubic_voxels_do_not_change_the_level(axis):
    array, _ = molecule(2, noise=0.02)
    places = [np.arange(64, dtype=float)] * 3
    places[axis] = np.arange(128) / 2
    drawn = ndimage.map_coordinates(
        array, np.stack(np.meshgrid(*places, indexing="ij")), order=3, mode="grid-wrap"
    ).astype(np.float32)
    voxel = [4.0, 4.0, 4.0]  # x, y, z
    voxel[2 - axis] = 2.0
    expected, found = (
        predict_levels(
            find_ensemble([Source("m.mrc", array=lambda a=a: a, grid=Grid(a.shape, v))], minimum=1),
            CPU,
        ).rows[0]
        for a, v in ((array, (4.0, 4.0, 4.0)), (drawn, tuple(voxel)))
    )
    # 0.03 and more if voxels were taken as cubic
    assert found.prediction == pytest.approx(expected.prediction, abs=0.005)


@pytest.mark.slow
def test_the_network_is_given_the_share_above_levels_on_the_original_grid(monkeypatch):
    ensemble = find_ensemble(sources([molecule(1, 128, noise=0.1)[0]], 2.0), minimum=1)
    told = predict_levels(ensemble, CPU).rows[0].prediction
    monkeypatch.setattr(predict, "share_above", lambda *a: None)
    assert abs(predict_levels(ensemble, CPU).rows[0].prediction - told) > 1e-3


@pytest.mark.parametrize("cores", [1, 3])
@pytest.mark.slow
def test_any_number_of_threads_gives_the_same_rows_in_order(cores, monkeypatch):
    arrays = [molecule(n)[0] for n in range(1, 8)]
    arrays[3] = np.full((64,) * 3, 2.0)
    ensemble = find_ensemble(sources(arrays))
    p = PredictParameters(device="cpu", batch_size=2)
    expected = predict_levels(ensemble, p)
    used = set()
    together = threading.Barrier(cores)  # the first map of each thread waits for the others'

    def shrink(*arguments):
        thread = threading.current_thread().name
        if thread not in used:
            used.add(thread)
            together.wait(DEADLINE)
        return plain(*arguments)

    plain = predict.prepare_map
    monkeypatch.setattr(predict, "_cores", lambda: cores)
    monkeypatch.setattr(predict, "prepare_map", shrink)
    found = predict_levels(ensemble, p)
    assert [(r.file, r.prediction, r.flags) for r in found.rows if r.flags != ("constant",)] == [
        (r.file, r.prediction, r.flags) for r in expected.rows if r.flags != ("constant",)
    ]
    assert [r.file for r in found.rows] == list(ensemble.names)
    assert found.rows[3].flags == ("constant",)
    assert len(used) == cores


def test_an_error_in_a_thread_is_raised_and_torchs_threads_are_as_before(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        ensemble = find_ensemble(sources([molecule(n)[0] for n in range(1, 7)]))

        def fail(source, *options):
            raise SirenError(f"{source.name} cannot be read.")

        monkeypatch.setattr(Source, "read", fail)
        with pytest.raises(SirenError, match=r"vol_1\.mrc cannot be read"):
            predict_levels(ensemble, CPU)
        monkeypatch.undo()
        predict_levels(ensemble, CPU)
        # a new thread inherits the setting of the process
        with ThreadPoolExecutor(1) as pool:
            assert [torch.get_num_threads(), pool.submit(torch.get_num_threads).result()] == [2, 2]
    finally:
        torch.set_num_threads(before)


def test_junk_maps_do_not_stay_in_memory():
    junk, alive = [], []

    def array():
        made = np.full((64,) * 3, -1.0, np.float32)
        made[0] = -2
        alive.append(weakref.ref(made))
        return made

    grid = Grid((64,) * 3, (4.0,) * 3)
    good = molecule(1)[0]
    places = [Source("good.mrc", array=lambda: good, grid=grid)] + [
        Source(f"junk_{n}.mrc", array=array, grid=grid) for n in range(6)
    ]
    progress = Progress(
        lambda phase, fraction: junk.append(sum(r() is not None for r in alive)), interval=0
    )
    rows = predict_levels(
        find_ensemble(places), PredictParameters(device="cpu", batch_size=1), progress
    ).rows
    reason = ("inverted contrast: no positive density",)
    assert sum(r.flags == reason for r in rows) == len(alive) == 6
    assert junk[-1] == 0  # reported after the last map, while all rows are still held


def test_a_large_map_is_read_and_shrunk_once_and_the_network_sees_64_cubed(monkeypatch):
    """Which is why a map of 256^3 takes less than a second; `make bench-thresholds` measures it."""
    calls, seen = [], []

    def counted(module, name):
        plain = getattr(module, name)

        def call(*arguments, **keywords):
            calls.append(name)
            return plain(*arguments, **keywords)

        monkeypatch.setattr(module, name, call)

    def network(loaded, batch, *others):
        seen.append(tuple(batch.shape))
        return answers(loaded, batch, *others)

    n, box = 256, 64
    ensemble = find_ensemble(sources([np.tile(molecule(1)[0], (4, 4, 4))]), minimum=1)
    counted(Source, "read")
    counted(predict, "downsample")
    counted(predict, "share_above")
    answers = predict.network_output
    monkeypatch.setattr(predict, "network_output", network)
    transformed = []  # numbers that go through a Fourier transform, axis by axis
    for name, axes in (("fft", 1), ("ifftn", 3)):
        plain = getattr(scipy.fft, name)
        monkeypatch.setattr(
            scipy.fft,
            name,
            lambda x, *a, plain=plain, axes=axes, **k: (
                transformed.append(axes * np.size(x)),
                plain(x, *a, **k),
            )[1],
        )
    predict_levels(ensemble, CPU)
    assert sorted(calls) == ["downsample", "read", "share_above"]
    assert seen == [(1, 1, box, box, box)]
    # each axis is cropped as soon as it is transformed; back in the small box
    assert sum(transformed) == n**3 + box * n**2 + box**2 * n + 3 * box**3


@pytest.mark.processes
@pytest.mark.slow
def test_torch_is_imported_only_for_prediction():
    code = (
        "import sys; import chimerax.siren.core.thresholds.predict, "
        "chimerax.siren.core.thresholds.evaluate, "
        "chimerax.siren.core.thresholds.finetune, chimerax.siren.core.thresholds.choose, "
        "chimerax.siren.core.blocks.sketch; "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'matplotlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_maps_of_any_sizes_together_get_the_levels_that_each_gets_alone(tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    grids = {
        "a.mrc": Grid((64, 64, 64), (4.0, 4.0, 4.0)),
        "b.mrc": Grid((48, 48, 48), (5.3, 5.3, 5.3)),
        "c.mrc": Grid((70, 80, 72), (1.0, 1.0, 1.0)),
        "d.mrc": Grid((64, 64, 64), (2.0, 2.0, 2.0)),
    }
    for n, (name, grid) in enumerate(grids.items()):
        array = fourier_resample(molecule(n)[0], grid.shape)
        write_map(folder / name, array, grid, "test")
    together = predict_levels(find_ensemble([folder], any_grid=True), CPU)
    for name in grids:
        alone = predict_levels(find_ensemble([folder / name], minimum=1), CPU)
        assert alone.levels[name] == pytest.approx(together.levels[name], rel=1e-5)
    with pytest.raises(SirenError, match="to harmonize their levels they must share one grid"):
        predict_levels(
            find_ensemble([folder], any_grid=True), PredictParameters(device="cpu", together=True)
        )


def test_mirrored_maps_are_flagged_by_prediction():
    arrays = [molecule(1, noise=0.02 + 0.001 * n)[0] for n in range(10)]
    mixed = [a[::-1] if n in (2, 5, 6) else a for n, a in enumerate(arrays)]
    rows = predict_levels(find_ensemble(sources(mixed)), CPU).rows
    flagged = [n for n, r in enumerate(rows) if "mirror image of most others" in r.flags]
    assert flagged == [2, 5, 6]
