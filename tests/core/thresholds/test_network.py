"""Networks and their weights files: SIREn's, the published format, and malicious files."""

from __future__ import annotations

import json
import os
import pickle
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy import ndimage

from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.thresholds import features
from chimerax.siren.core.thresholds.features import (
    LEVELS,
    expected_dice,
    level_bins,
    level_values,
    means_at_levels,
    network_input,
    share_above,
)
from chimerax.siren.core.thresholds.network import (
    FORMAT,
    compact_network,
    default_weights,
    load_network,
    published_network,
    save_network,
)
from chimerax.siren.core.thresholds.normalize import Range
from chimerax.siren.core.thresholds.voxel_size import encode_voxel_size, known_voxel_size

torch = pytest.importorskip("torch", reason="torch is not installed: networks cannot be tested")


def published_checkpoint(path, **changes):
    """A checkpoint as written by the published tool's trainer, with layers built here by hand."""
    nn = torch.nn
    torch.manual_seed(5)
    conv = nn.Sequential(
        nn.Conv3d(1, 32, 7, padding_mode="replicate"),
        nn.BatchNorm3d(32),
        nn.ReLU(),
        nn.Conv3d(32, 64, 5, padding_mode="replicate"),
        nn.BatchNorm3d(64),
        nn.ReLU(),
        nn.MaxPool3d(2),
        nn.Conv3d(64, 128, 5, padding_mode="replicate"),
        nn.BatchNorm3d(128),
        nn.ReLU(),
        nn.MaxPool3d(2),
        nn.Conv3d(128, 256, 3, padding_mode="replicate"),
        nn.BatchNorm3d(256),
        nn.ReLU(),
        nn.MaxPool3d(2),
        nn.Conv3d(256, 384, 1, padding_mode="replicate"),
        nn.ReLU(),
        nn.AvgPool3d(3, stride=2),
        nn.Dropout(0.3),
    )
    mlp = nn.Sequential(nn.Linear(384, 64), nn.ReLU(), nn.Linear(64, 1))
    model = nn.Module()
    model.conv, model.mlp = conv, mlp
    # as Adam writes it; a real one would import half of torch, which takes seconds
    parameters = list(range(len(list(model.parameters()))))
    optimizer = {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(2)}},
        "param_groups": [{"lr": 5e-6, "betas": (0.9, 0.999), "eps": 1e-8, "params": parameters}],
    }
    content = {
        "epoch": 7,
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": optimizer,
        "loss": nn.MSELoss(),
    }
    torch.save(content | changes, path)
    return conv.eval(), mlp.eval()


class Trap:
    """Unpickling it would create a folder."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_published_architecture_has_its_number_of_weights():
    assert sum(p.numel() for p in published_network().parameters()) == 2_300_545


def test_published_architecture_has_its_names():
    keys = [k for k in published_network().state_dict() if k.endswith("weight")]
    assert keys == [
        "conv.0.weight",
        "conv.1.weight",
        "conv.3.weight",
        "conv.4.weight",
        "conv.7.weight",
        "conv.8.weight",
        "conv.11.weight",
        "conv.12.weight",
        "conv.15.weight",
        "mlp.0.weight",
        "mlp.2.weight",
    ]


def test_published_checkpoint_is_read_and_computes_what_it_did(tmp_path):
    conv, mlp = published_checkpoint(tmp_path / "weights_5e6.pth")
    loaded = load_network(tmp_path / "weights_5e6.pth")
    assert loaded.kind == "published"
    assert loaded.metadata["epoch"] == 7
    # layer by layer on small inputs: the whole network takes seconds
    parts = [
        (loaded.network.conv[:11], conv[:11], (1, 1, 24, 24, 24)),
        (loaded.network.mlp, mlp, (2, 384)),
        (loaded.network.conv[11:], conv[11:], (1, 128, 11, 11, 11)),
    ]
    with torch.inference_mode():
        for ours, theirs, shape in parts:
            x = torch.rand(shape)
            assert torch.allclose(ours(x), theirs(x), atol=1e-6)
    assert not loaded.network.training


def test_published_weights_alone_or_wrapped_are_read_too(tmp_path):
    state = published_network().state_dict()
    torch.save(state, tmp_path / "a.pth")
    torch.save(OrderedDict(("module." + k, v) for k, v in state.items()), tmp_path / "b.pth")
    for name in ("a.pth", "b.pth"):
        loaded = load_network(tmp_path / name)
        assert all(torch.equal(v, state[k]) for k, v in loaded.network.state_dict().items())


@pytest.mark.parametrize("place", ["loss", "model_state_dict", "extra"])
def test_poisoned_checkpoint_is_refused_and_nothing_runs(tmp_path, place):
    published_checkpoint(tmp_path / "bad.pth", **{place: Trap(tmp_path / "sprung")})
    with pytest.raises(SirenError, match=r"^bad\.pth was refused: opening it could run code"):
        load_network(tmp_path / "bad.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_poisoned_plain_pickle_is_refused_and_nothing_runs(tmp_path, protocol):
    (tmp_path / "bad.pth").write_bytes(
        pickle.dumps({"model_state_dict": Trap(tmp_path / "sprung")}, protocol=protocol)
    )
    with pytest.raises(SirenError, match=r"^bad\.pth"):
        load_network(tmp_path / "bad.pth")
    assert not (tmp_path / "sprung").exists()


def test_the_poison_would_have_worked(tmp_path):
    """Otherwise the tests above would prove nothing."""
    published_checkpoint(tmp_path / "bad.pth", loss=Trap(tmp_path / "sprung"))
    torch.load(tmp_path / "bad.pth", weights_only=False)
    assert (tmp_path / "sprung").exists()


def test_loading_leaves_no_class_allowed_for_others(tmp_path):
    published_checkpoint(tmp_path / "good.pth")
    before = set(torch.serialization.get_safe_globals())
    load_network(tmp_path / "good.pth")
    assert set(torch.serialization.get_safe_globals()) == before


def _other(path):
    torch.save(torch.nn.Linear(3, 4).state_dict(), path)


def _shapes(path):
    state = published_network().state_dict()
    state["mlp.0.weight"] = torch.zeros(32, 384)
    torch.save({"model_state_dict": state}, path)


def _diverged(path):
    network = compact_network()
    network.enter.weight.data[0, 0] = float("nan")
    save_network(path, network, {})


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda p: p.write_text("vol_id,level\n1,2\n"), "cannot be read"),
        (lambda p: p.write_bytes(b""), "cannot be read"),
        (lambda p: p.write_bytes(b"PK\x03\x04" + bytes(200)), "cannot be read"),
        (lambda p: torch.save([1, 2], p), "no network weights"),
        (lambda p: torch.save({"model_state_dict": {"conv.0.weight": 3}}, p), "no network weights"),
        (
            lambda p: torch.save({"format": "siren-thresholds-3", "state_dict": {}}, p),
            "another version of SIREn",
        ),
        (_other, "another network"),
        (_shapes, "another network"),
        (_diverged, "not finite"),
    ],
    ids=[
        "text",
        "empty",
        "broken zip",
        "list",
        "numbers",
        "version",
        "other",
        "shapes",
        "diverged",
    ],
)
def test_wrong_files_give_a_one_sentence_error(tmp_path, write, says):
    path = tmp_path / "w.pth"
    write(path)
    with pytest.raises(SirenError, match=says) as error:
        load_network(path)
    assert str(error.value).startswith("w.pth ")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(SirenError, match="no such file"):
        load_network(tmp_path / "none.pt")


def test_without_torch_one_sentence_tells_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(
        SirenError,
        match=r'^torch is not installed: "siren predict" needs it\. '
        r'Install it with "siren install torch" ',
    ):
        load_network(Path("any.pt"))


def test_our_weights_file_round_trip(tmp_path):
    torch.manual_seed(1)
    network = compact_network().eval()
    save_network(tmp_path / "w.pt", network, {"seed": 1})
    loaded = load_network(tmp_path / "w.pt")
    x = torch.rand(2, 1, 64, 64, 64) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(loaded.network(x), network(x), atol=2e-3)  # stored in half precision
    assert loaded.kind == "siren"
    assert loaded.metadata == {"seed": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["w.pt"]


def test_profile_matches_its_definition():
    x = (
        torch.rand(2, 1, 64, 64, 64, generator=torch.Generator().manual_seed(0)) * 2.2 - 1.1
    ).float()
    profile, levels = (
        network_input(x, encode_voxel_size([None, None])).profile.numpy(),
        level_values().numpy(),
    )
    full = x.numpy()[:, 0].clip(-1, 1)
    cells = full.reshape(2, 32, 2, 32, 2, 32, 2)
    mean, peak = cells.mean(axis=(2, 4, 6)), cells.max(axis=(2, 4, 6))
    cube = np.ones((1, 3, 3, 3), bool)
    for j in (40, 78, 84, 90):
        above, above_half = full > levels[j], mean > levels[j]
        eroded = ndimage.binary_erosion(above, cube, border_value=1)
        opened_half = ndimage.binary_dilation(
            ndimage.binary_erosion(above_half, cube, border_value=1), cube
        )
        for channel, mask in (
            (0, above),
            (1, above_half),
            (3, peak > levels[j]),
            (4, eroded),
            (7, opened_half),
        ):
            share = mask.reshape(2, -1).mean(axis=1)
            assert np.allclose(
                profile[:, channel, j], (np.log10(share + 1e-6) + 3) / 2, atol=2e-3
            ), (channel, j)
        parted = sum(
            (np.diff(above_half, axis=a) != 0).reshape(2, -1).sum(axis=1) for a in (1, 2, 3)
        ) / (31 * 32**2)
        share = above_half.reshape(2, -1).mean(axis=1)
        assert np.allclose(profile[:, 14, j], np.log10((parted + 1e-6) / (share + 1e-6)), atol=5e-3)


def test_means_near_a_level_are_those_over_the_voxels_of_five_bins():
    """Of the difference from the mean of 2^3 voxels, and of the span of bins among neighbors."""
    v = torch.rand(1, 1, 64, 64, 64, generator=torch.Generator().manual_seed(1)) ** 3 * 1.5
    profile = network_input(v - 1, encode_voxel_size([None])).profile[0].numpy()
    bins = level_bins(v)[0, 0].numpy().astype(int)
    cells = v[0, 0].numpy().reshape(32, 2, 32, 2, 32, 2).mean(axis=(1, 3, 5))
    around = level_bins(torch.from_numpy(cells)).numpy().astype(int)
    around = around.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    step = np.log(1.7 / 0.004) / 95  # between two levels
    change = np.minimum(np.exp((around - bins) * step) - 1, 4)
    cube = (3, 3, 3)
    span = ndimage.maximum_filter(bins, cube) - ndimage.minimum_filter(bins, cube)
    for j in (20, 50, 80, 90):  # bin j + 1 is just above level j
        weight = np.array([1, 2, 3, 2, 1])[(bins - j + 1).clip(0, 4)]
        weight[abs(bins - j - 1) > 2] = 0
        for row, value in (
            (18, change),
            (19, abs(change)),
            (20, span / 24),
            (21, np.exp(-span / 4)),
        ):
            expected = (weight * value).sum() / weight.sum()
            assert profile[row, j] == pytest.approx(expected, rel=2e-3), (row, j)


def test_higher_peaks_only_shift_the_profile():
    axis = np.arange(64) - 31.5
    r = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    ball = 0.2 / (1 + np.exp((r - 15) / 1.5))
    step = np.log(1.7 / 0.004) / 95  # between two levels
    low, high = (
        network_input(torch.from_numpy(v * 2 - 1).float()[None, None], encode_voxel_size([None]))
        .profile[0, :28]
        .numpy()
        for v in (ball, ball * np.exp(10 * step))
    )
    assert np.allclose(low[:, 20:60], high[:, 30:70], atol=0.05)


@pytest.mark.parametrize("shape", [(96, 96, 96), (200, 200, 200), (80, 120, 100), (40, 200, 100)])
def test_share_above_counts_voxels_of_the_original_grid(shape):
    array = np.random.default_rng(3).normal(5, 1, shape).astype(np.float32)
    x = (array - 4.0) / (9.0 - 4.0) * 2 - 1
    z, y, x_step = (2 if n > 160 else 1 for n in shape)
    counted = x[::z, ::y, ::x_step]
    found = share_above(array, Range(4.0, 9.0)).numpy()
    for j in (40, 70, 90):  # a map that is not cubic counts as padded with empty voxels
        share = (counted > level_values()[j].item()).mean() * array.size / max(shape) ** 3
        assert found[j] == pytest.approx((np.log10(share + 1e-6) + 3) / 2, abs=1e-3)


@pytest.mark.parametrize("learning", [False, True])
def test_output_of_the_3d_network_is_averaged_by_level(learning):
    rng = np.random.default_rng(4)
    v = (rng.random((2, 1, 16, 16, 16)) ** 2 * 1.9).astype(np.float32)
    inside = rng.random((2, 16**3)).astype(np.float32)
    bins = level_bins(torch.from_numpy(v)).flatten(1)
    dice, volume = (
        a.detach().numpy()
        for a in expected_dice(bins, torch.from_numpy(inside).requires_grad_(learning))
    )
    for n in range(2):
        for j in (30, 60, 90):
            above = v[n].ravel() > level_values()[j].item() + 1
            expected = 2 * inside[n][above].sum() / (above.sum() + inside[n].sum() + 1)
            assert dice[n, j] == pytest.approx(expected, abs=1e-4)
            assert volume[n, j] == pytest.approx(
                np.log10((above.sum() + 1) / (inside[n].sum() + 1)), abs=1e-4
            )


def test_means_at_levels_smooth_over_five_bins():
    bins = torch.tensor([[10, 12, 12, 40]])
    at = means_at_levels(bins, torch.tensor([[[1.0, 4.0, 7.0, 5.0]]]))[0, 0].numpy()
    # level 10 follows bin 11; weights 1 2 3 2 1 of bins 9 to 13 and a constant 1 below
    assert at[10] == pytest.approx((2 * 1 + 2 * (4 + 7)) / (2 + 2 * 2 + 1))
    assert at[39] == pytest.approx(3 * 5 / (3 + 1))
    assert at[70] == 0


def test_3d_network_depends_on_the_position_of_density_and_not_on_its_scale():
    torch.manual_seed(3)
    network = compact_network().eval()
    x = torch.rand(1, 1, 64, 64, 64) ** 4
    seen = network_input(x, encode_voxel_size([3.0]))
    with torch.no_grad():
        same = network.voxels(seen.coarse / 2, seen.scale)[0]
        turned = network.voxels(seen.coarse.flip(2), seen.scale)[0].flip(2)
        one = network.voxels(seen.coarse, seen.scale)[0]
        other = network.voxels(seen.coarse, encode_voxel_size([None]))[0]
    assert one.shape[2:] == (32, 32, 32)
    assert torch.allclose(same, one, atol=1e-4)
    assert not torch.allclose(turned, one, atol=1e-2)
    assert not torch.allclose(other, one, atol=1e-3)


def test_prediction_folds_batch_normalization_into_the_convolutions_and_changes_nothing():
    """What is folded without gradients is torch's own normalization with them."""
    torch.manual_seed(6)
    network = compact_network()
    seen = network_input(torch.rand(3, 1, 64, 64, 64) ** 3, encode_voxel_size([2.0, None, 7.0]))
    for _ in range(3):  # statistics of their own
        network.voxels(seen.coarse, seen.scale)
    network.eval()
    plain = network.voxels(seen.coarse, seen.scale)
    assert plain[0].requires_grad
    with torch.inference_mode():
        folded = network.voxels(seen.coarse, seen.scale)
    for a, b in zip(plain, folded, strict=True):
        assert a.std() > 1e-3
        assert torch.allclose(a, b, atol=1e-4)


def test_shipped_weights_are_small_and_load():
    path = default_weights()
    assert path.stat().st_size < 10_000_000
    loaded = load_network(path)
    assert loaded.kind == "siren"
    assert "validation" in loaded.metadata


def test_several_members_are_averaged_and_saved_together(tmp_path):
    torch.manual_seed(2)
    network = compact_network(3).eval()
    save_network(tmp_path / "w.pt", network, {}, half=False)
    loaded = load_network(tmp_path / "w.pt").network
    seen = network_input(torch.rand(2, 1, 64, 64, 64) * 2 - 1, encode_voxel_size([3.0, None]))
    with torch.no_grad():
        singly = torch.stack([m.heads(*m.features(seen)) for m in network.members]).mean(dim=0)
        assert torch.allclose(loaded.heads(*loaded.features(seen)), singly, atol=1e-5)


def test_voxel_size_of_one_counts_as_unknown():
    assert known_voxel_size(Grid((64, 64, 64), (1.0, 1.0, 1.0)), 64) is None
    assert known_voxel_size(Grid((128, 100, 256), (1.5, 1.5, 1.5)), 64) == pytest.approx(6.0)
    assert encode_voxel_size([3.0, None, 6.0]).tolist() == [
        [0, 1],
        [0, 0],
        [pytest.approx(np.log(2)), 1],
    ]


# --- damaged and malicious files


def weights_sentence(path: Path) -> str:
    with pytest.raises(SirenError) as caught:
        load_network(path)
    said = str(caught.value)
    assert path.name in said and "\n" not in said and said.endswith(".")
    return said


def test_a_weights_file_that_unpacks_to_far_more_is_refused_before_it_is_unpacked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("bomb/data.pkl", b"\x80\x02}q\x00.")
        with archive.open("bomb/data/0", "w", force_zip64=True) as file:
            for _ in range(600):
                file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 23
    assert "600 MB, more than any weights file" in weights_sentence(path)


def test_thousands_of_networks_in_a_file_are_refused_before_they_are_made(tmp_path: Path) -> None:
    path = tmp_path / "many.pt"
    state = {f"members.{n}.x": torch.zeros(1) for n in range(3000)}
    torch.save({"format": FORMAT, "state_dict": state}, path)
    assert "3,000 networks" in weights_sentence(path)


class Shared:
    """A list of itself twice, so often that it could never be written out."""

    value: ClassVar[Any] = []
    for _ in range(200):
        value = [value, value]


@pytest.mark.parametrize(
    "content",
    [
        {3: torch.zeros(2)},
        {(1, (2, 3)): torch.zeros(2)},
        {"format": FORMAT},
        {"format": FORMAT, "state_dict": [1, 2]},
        {"format": FORMAT, "state_dict": {5: torch.zeros(1)}},
        {"format": ["siren"], "state_dict": {}},
        {"model_state_dict": {"conv.0.weight": "text"}},
        {"model_state_dict": {"conv.0.weight": torch.zeros(2, dtype=torch.complex64)}},
        {"model_state_dict": {"conv.0.weight": torch.zeros(1).expand(1 << 40)}},
        {"model_state_dict": {1: 2}},
        [torch.zeros(1)],
        "text",
    ],
)
def test_every_other_content_of_a_weights_file_is_one_sentence(
    tmp_path: Path, content: Any
) -> None:
    torch.save(content, tmp_path / "odd.pt")
    weights_sentence(tmp_path / "odd.pt")


def test_metadata_of_a_weights_file_are_bounded(tmp_path: Path) -> None:
    network = compact_network()
    content = {
        "format": FORMAT,
        "state_dict": network.state_dict(),
        "metadata": {"good": 0.5, "bomb": Shared.value, 3: 4, "nested": {"list": [1, "a"]}},
    }
    torch.save(content, tmp_path / "w.pt")
    metadata = load_network(tmp_path / "w.pt").metadata
    assert metadata["good"] == 0.5 and metadata["nested"] == {"list": [1, "a"]}
    assert len(json.dumps(metadata)) < 1_000_000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_named_pipe_as_weights_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pt")
    assert "named pipe" in weights_sentence(tmp_path / "w.pt")


@pytest.mark.parametrize("shape", [(2, 1, 64, 64, 64), (2, 1, 5, 6, 7)])
def test_voxels_are_counted_and_boundaries_found_as_by_a_plain_loop(shape) -> None:
    rng = np.random.default_rng(len(shape))
    bins = np.minimum(rng.integers(0, LEVELS + 1, shape), rng.integers(0, LEVELS + 1, shape))
    counts = features._counts(torch.from_numpy(bins.astype(np.uint8)))
    for one, found in zip(bins, counts.numpy(), strict=True):
        assert found.tolist() == np.bincount(one.ravel(), minlength=LEVELS + 1).tolist()
    found = features._boundary_share(torch.from_numpy(bins.astype(np.uint8)), 2, counts)
    for j in (0, 7, 40):
        above = bins > j
        pairs = [
            np.take(above, range(2, n), a) != np.take(above, range(n - 2), a)
            for a, n in enumerate(shape)
            if a > 1
        ]
        share = sum(p.reshape(2, -1).mean(axis=1) for p in pairs)
        np.testing.assert_allclose(found[:, j], share, atol=1e-5)
