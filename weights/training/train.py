"""Train the threshold network on simulated maps.

Example::

    python weights/training/train.py ../shared/data/structures
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import package
import torch
from dataset import build
from decoder_maps import add_folders, build_decoder_maps
from example_maps import build_example_maps
from simulate import BOX

from core.thresholds import features
from core.thresholds.finetune import apply_symmetry
from core.thresholds.network import compact_network, load_network, save_network
from core.thresholds.voxel_size import encode_voxel_size

EACH = {"train": 3, "validation": 1}  # maps per molecule


@dataclass(frozen=True)
class TrainParameters:
    """Parameters of training; the defaults are those of the shipped weights."""

    train_maps: int = 13440
    validation_maps: int = 480
    data_seed: int = 1
    seed: int = 0
    members: int = 1  # networks trained from seeds seed, seed + 1 ... and averaged
    # first stage: the simulated maps, and volumes of that many decoders' ensembles
    epochs: int = 12
    batch_size: int = 64
    learning_rate: float = 2.5e-3
    decoder_ensembles: int = 192
    # second stage: from the weights of the first, voxel sizes hidden more often, fewer volumes of
    # decoders, and volumes of so many ensembles of ``siren example``
    second_epochs: int = 5
    second_learning_rate: float = 5e-4
    second_unknown_scale: float = 0.35
    second_decoder_ensembles: int = 96
    second_example_ensembles: int = 24
    second_share: float = 1.0  # of the second stage in the mean of the weights of both
    weight_decay: float = 0.05
    number_weight: float = (
        1.0  # of the smooth L1 loss of the level, in addition to the loss of the masks
    )
    score_weight: float = (
        0.03  # of the cross entropy between the scores of the levels and their Dice
    )
    inside_weight: float = 0.1  # of the cross entropy of the molecule's share at each level
    voxel_weight: float = 0.5  # of the cross entropy of the molecule's share of each voxel
    spread_weight: float = 0.05  # of the loss of the expected error
    # of maps as in ensembles (box 64, 3.5 A/pixel or more, or a decoder's), relative to others
    ensemble_weight: float = 2.0
    unknown_scale: float = 0.15  # share of the maps without voxel size, in the first stage
    blur: float = 0.03  # SD of the noise added to the profile in training
    averaging: float = 0.998  # decay of the running mean of the weights, which is what is saved


@dataclass
class Maps:
    """A set of n maps in memory: network inputs and ground truth.

    Attributes
    ----------
    profile : (n, 30, 96) float16
    coarse : (n, 2, 32, 32, 32) float16
    bins : (n, 1, 32, 32, 32) uint8
    scale : (n, 2) float32
        As in :class:`features.NetworkInput`; the scale of maps cut around the molecule is unknown.
    inside : (n, 32, 32, 32) uint8
        Share of the molecule in each 2^3 voxels, in 255ths.
    label : (n,) float32
    dice, volume : (n, 513) float32
    ensemble : (n,) bool
        Whether a map is like those of ensembles.
    facts : list of dict
        How each map was simulated.
    """

    profile: torch.Tensor
    coarse: torch.Tensor
    bins: torch.Tensor
    inside: torch.Tensor
    label: torch.Tensor
    dice: torch.Tensor
    volume: torch.Tensor
    ensemble: torch.Tensor
    scale: torch.Tensor
    facts: list[dict[str, Any]]

    def inputs(self, chosen: torch.Tensor) -> features.NetworkInput:
        """Network input of some of the maps."""
        return features.NetworkInput(
            self.profile[chosen].float(),
            self.scale[chosen],
            self.coarse[chosen].float(),
            self.bins[chosen],
        )

    def to(self, device: str) -> Maps:
        """The same on a device."""
        moved = {
            k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in vars(self).items()
        }
        return replace(self, **moved)


def cache_inputs(path: Path) -> Path:
    """Compute the network inputs of a file of maps, once for each version of the features."""
    version = hashlib.sha256(Path(features.__file__).read_bytes()).hexdigest()[:8]
    out = path.with_name(f"seen_{version}_{path.name}")
    if not out.exists():
        with np.load(path) as z:
            x = torch.from_numpy(z["above_background"].astype(np.float32))[:, None] - 1
            full = list(torch.from_numpy(z["full"]))
        torch.set_num_threads(1)
        with torch.inference_mode():
            parts = [
                features.network_input(
                    x[i : i + 5], torch.zeros(len(x[i : i + 5]), 2), full[i : i + 5]
                )
                for i in range(0, len(x), 5)
            ]
        temporary = out.with_name("." + out.name)
        with open(temporary, "wb") as file:
            np.savez(
                file,
                **{
                    k: torch.cat([getattr(q, k) for q in parts]).to(kind).numpy()
                    for k, kind in (
                        ("profile", torch.float16),
                        ("coarse", torch.float16),
                        ("bins", torch.uint8),
                    )
                },
            )
        os.replace(temporary, out)
    return out


def map_files(
    structures: Path, p: TrainParameters, cache: Path, ensembles: Path, processes: int
) -> dict[str, list[Path]]:
    """Make the maps of both splits and compute their network inputs, unless cached.

    ``decoders`` are volumes of decoders, whose ensembles are kept in the folder ``ensembles``;
    ``examples`` are volumes of ``siren example``.
    """
    files = {}
    for split, count, seed in (
        ("validation", p.validation_maps, p.data_seed + 1),
        ("train", p.train_maps, p.data_seed),
    ):
        files[split] = build(structures, split, count, seed, cache, processes, EACH[split])
    files["decoders"] = (
        build_decoder_maps(structures, "train", cache, ensembles, processes, p.decoder_ensembles)
        if p.decoder_ensembles
        else []
    )
    files["examples"] = build_example_maps(cache, p.second_example_ensembles, processes)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(cache_inputs, [f for part in files.values() for f in part], chunksize=1)
    return files


def load(paths: list[Path]) -> Maps:
    """Load all maps of the files, with their network inputs."""
    columns: dict[str, torch.Tensor] = {}
    facts: list[dict[str, Any]] = []
    first = count = 0
    for path in paths:
        with np.load(path) as z:
            count += len(z["label"])
    for path in paths:
        with np.load(path) as truth, np.load(cache_inputs(path)) as made:
            facts += json.loads(str(truth["facts"]))
            arrays = {k: made[k] for k in made.files} | {
                k: truth[k] for k in ("inside", "label", "dice", "volume")
            }
        for (
            key,
            array,
        ) in arrays.items():  # filled in place, since two copies would not fit in memory
            part = torch.from_numpy(array)
            column = columns.setdefault(key, torch.empty(count, *part.shape[1:], dtype=part.dtype))
            column[first : first + len(part)] = part
        first = len(facts)
    ensemble = torch.tensor(
        ["ensemble" in f or (f["box"] == BOX and f["pixel"] >= 3.5) for f in facts]
    )
    scale = encode_voxel_size([None if f["cut"] else f["pixel"] * f["box"] / BOX for f in facts])
    return Maps(**columns, ensemble=ensemble, scale=scale, facts=facts)


def dice_at(dice: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
    """(n,) Dice of each map at its level, interpolated in (n, 513); differentiable in the level."""
    position = ((level + 1) * ((dice.shape[1] - 1) / 2)).clamp(0, dice.shape[1] - 1.001)
    low = position.detach().long()
    left, right = dice.gather(1, low[:, None])[:, 0], dice.gather(1, low[:, None] + 1)[:, 0]
    return left + (right - left) * (position - low)


def curve_at(curve: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """(n, 96) values of recorded curves (n, 513) at the levels of the profile."""
    position = (levels + 1) * ((curve.shape[1] - 1) / 2)
    low = position.long().clamp(max=curve.shape[1] - 2)
    share = position - low
    return curve[:, low] * (1 - share) + curve[:, low + 1] * share


def training_loss(
    output: torch.Tensor,
    score: torch.Tensor,
    logit: torch.Tensor,
    inside: torch.Tensor,
    maps: Maps,
    chosen: torch.Tensor,
    levels: torch.Tensor,
    p: TrainParameters,
) -> torch.Tensor:
    """The loss, a sum of:

    - masks: 1 - Dice / best Dice;
    - number: smooth L1 of the level;
    - score: cross entropy with softmax(Dice / 0.01);
    - inside: cross entropy of the molecule's share of the voxels between two levels;
    - voxels: cross entropy of the molecule's share of each voxel (n, 32, 32, 32);
    - spread: Laplace likelihood of the error.
    """
    label, dice, volume = maps.label[chosen], maps.dice[chosen], maps.volume[chosen]
    level, log_spread = output[:, 0], output[:, 1].clamp(-6, 1)
    weight = 1 + (p.ensemble_weight - 1) * maps.ensemble[chosen].float()
    masks = 1 - dice_at(dice, level) / dice.amax(dim=1)
    number = torch.nn.functional.smooth_l1_loss(level, label, beta=0.05, reduction="none")
    dice_here, volume_here = curve_at(dice, levels), curve_at(volume, levels)
    score_loss = -((dice_here / 0.01).softmax(dim=1) * score[:, 0].log_softmax(dim=1)).sum(dim=1)
    common = dice_here * (1 + volume_here) / 2
    bulk = (volume_here[:, :-1] - volume_here[:, 1:]).clamp(min=0)
    share = ((common[:, :-1] - common[:, 1:]) / bulk.clamp(min=1e-6)).clamp(0, 1)
    amount = bulk.clamp(max=0.1) + 1e-6
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    inside_loss = (entropy(score[:, 1, :-1], share, reduction="none") * amount).sum(
        dim=1
    ) / amount.sum(dim=1)
    voxel_loss = entropy(logit, inside, reduction="none").mean(dim=(1, 2, 3))
    spread = (level - label).abs().detach() / log_spread.exp() + log_spread
    total = (
        masks
        + p.number_weight * number
        + p.score_weight * score_loss
        + p.inside_weight * inside_loss
        + p.voxel_weight * voxel_loss
    )
    return (weight * total).sum() / weight.sum() + p.spread_weight * spread.mean()


def predict(network: torch.nn.Module, maps: Maps, batch: int = 32) -> torch.Tensor:
    """(n, 2) outputs of a network for a set of maps."""
    network.eval()
    parts = torch.arange(len(maps.label), device=maps.label.device).split(batch)
    with torch.inference_mode():
        return torch.cat([network.heads(*network.features(maps.inputs(part))) for part in parts])


def metrics(level: torch.Tensor, maps: Maps) -> dict[str, float]:
    """Errors of the levels and of the masks for a set of maps."""
    ratio = dice_at(maps.dice, level) / maps.dice.amax(dim=1)
    error = level - maps.label
    return {
        "rmse": float(error.square().mean().sqrt()),
        "mae": float(error.abs().mean()),
        "dice_mean": float(ratio.mean()),
        "dice_p5": float(ratio.quantile(0.05)),
        "dice_worst": float(ratio.min()),
    }


def train(
    maps: Maps,
    validation: Maps,
    out: Path,
    p: TrainParameters,
    log: Path | None = None,
    make: Callable[[], Any] = compact_network,
    keep_last: bool = False,
    device: str = "cpu",
) -> dict[str, float]:
    """Train the network of ``make``; save its weights to ``out`` after each epoch.

    Saved are the weights of the epoch that is best on the validation set, or of the last one.

    Returns
    -------
    dict
        Metrics of the saved weights.
    """
    torch.manual_seed(p.seed)
    rng = np.random.default_rng(p.seed)
    network = make().to(device)
    maps, validation = maps.to(device), validation.to(device)
    running = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=p.learning_rate, weight_decay=p.weight_decay
    )
    steps = len(maps.label) // p.batch_size
    best: dict[str, float] = {}
    start = time.time()
    for epoch in range(p.epochs):
        network.train()
        order = torch.from_numpy(rng.permutation(len(maps.label))).to(device)
        total = torch.zeros((), device=device)
        for step in range(steps):
            done = (epoch + step / steps) / p.epochs
            for group in optimizer.param_groups:
                group["lr"] = p.learning_rate * rate_schedule(done)
            chosen = order[step * p.batch_size : (step + 1) * p.batch_size]
            loss = _step(network, maps, chosen, p, int(rng.integers(48)))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            total += loss.detach()
            _update_average(
                running, network, min(p.averaging, 1 - 1 / (1 + 0.1 * (epoch * steps + step + 1)))
            )
        now = metrics(predict(running, validation)[:, 0], validation)
        now |= {
            "member": p.seed,
            "epoch": epoch,
            "loss": float(total) / steps,
            "seconds": time.time() - start,
        }
        print(json.dumps({k: round(v, 4) for k, v in now.items()}), flush=True)
        if log:
            with open(log, "a", encoding="utf-8") as file:
                file.write(json.dumps(now) + "\n")
        if keep_last or not best or now["rmse"] < best["rmse"]:
            best = now
            save_network(out, running, {"validation": json.dumps(best)})
    return best


def _step(
    network: Any, maps: Maps, chosen: torch.Tensor, p: TrainParameters, symmetry: int
) -> torch.Tensor:
    """Loss of some maps, with augmentation and the 3D CNN in bfloat16.

    Augmentation is one of the 48 symmetries of the cube, noise on the profile, and voxel sizes
    changed or hidden.
    """
    inputs = maps.inputs(chosen)
    inputs = inputs._replace(
        profile=inputs.profile + p.blur * torch.randn_like(inputs.profile),
        scale=_augmented_scale(inputs.scale, p),
        coarse=apply_symmetry(inputs.coarse, symmetry),
        bins=apply_symmetry(inputs.bins, symmetry),
    )
    with torch.autocast(inputs.scale.device.type, torch.bfloat16):
        logit, fields, whole = network.voxels(inputs.coarse, inputs.scale)
    logit, fields = logit.float(), fields.float()
    whole = torch.cat([whole.float(), inputs.scale], dim=1)
    rows = network.rows(inputs, logit, fields)
    output, score = network.scores(rows, inputs.profile[:, -1], whole)
    inside = apply_symmetry(maps.inside[chosen][:, None], symmetry)[:, 0].float() / 255
    return training_loss(output, score, logit[:, 0], inside, maps, chosen, network.levels, p)


def average(
    paths: list[Path], validation: Maps, out: Path, p: TrainParameters, median_label: float
) -> dict[str, float]:
    """Combine networks into one file, and return its metrics on the validation set."""
    network = compact_network(len(paths))
    members = [load_network(path).network for path in paths]
    for mine, trained in zip(
        network.members if len(paths) > 1 else [network], members, strict=True
    ):
        mine.load_state_dict(trained.state_dict())
    found = metrics(predict(network, validation)[:, 0], validation)
    print(json.dumps({"average": {k: round(v, 4) for k, v in found.items()}}), flush=True)
    save_network(
        out,
        network,
        {
            "parameters": json.dumps(asdict(p)),
            "validation": json.dumps(found),
            "median_label": median_label,
            "torch": str(torch.__version__),
        },
    )
    return found


def _member(
    files: dict[str, list[Path]], out: Path, p: TrainParameters, log: Path | None, device: str
) -> float:
    """Train one member in a separate process, and return the median label.

    Both stages end with a rate of zero, so the last epoch of each is kept: the validation maps are
    simulated, and would choose the one that has learned least of the decoders' volumes. What is
    saved is the mean of the weights of both stages (Wortsman et al. 2022, arXiv 2109.01903).
    """
    torch.set_num_threads(1)  # same order of summation, whatever the number of cores
    validation = load(files["validation"])
    if not out.exists():  # else the first stage is given
        maps = load(files["train"] + files["decoders"])
        train(maps, validation, out, p, log, keep_last=True, device=device)
        del maps
    second = replace(
        p,
        epochs=p.second_epochs,
        learning_rate=p.second_learning_rate,
        unknown_scale=p.second_unknown_scale,
    )
    first, start = load_network(out).network, load_network(out).network
    decoders = files["decoders"][: p.second_decoder_ensembles]
    maps = load(files["train"] + decoders + files["examples"])
    if second.epochs:
        train(maps, validation, out, second, log, lambda: start, keep_last=True, device=device)
        _update_average(first, load_network(out).network, 1 - p.second_share)
        save_network(out, first, {})
    simulated = torch.tensor(["ensemble" not in f for f in maps.facts])
    return float(maps.label[simulated].median())


def _augmented_scale(scale: torch.Tensor, p: TrainParameters) -> torch.Tensor:
    """Voxel sizes with calibration errors of 2 %, and some hidden."""
    known = (torch.rand_like(scale[:, :1]) >= p.unknown_scale).float()
    changed = scale[:, :1] + 0.02 * torch.randn_like(scale[:, :1]) * scale[:, 1:]
    return torch.cat([changed, scale[:, 1:]], dim=1) * known


def rate_schedule(done: float) -> float:
    """Relative learning rate: a short warm-up, then cosine decay to zero."""
    return max(
        0.0, min(done / 0.05 + 0.05, 1.0) * 0.5 * (1 + float(np.cos(np.pi * min(1.0, done))))
    )


def _update_average(average: torch.nn.Module, network: torch.nn.Module, keep: float) -> None:
    with torch.no_grad():
        for a, b in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if a.is_floating_point():
                a.lerp_(b, 1 - keep)
            else:
                a.copy_(b)


def main() -> None:
    defaults = TrainParameters()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("structures", type=Path, help="folder with metadata.csv and npz/")
    parser.add_argument(
        "--out", type=Path, default=package.REPOSITORY / "weights" / "siren_thresholds.pt"
    )
    parser.add_argument(
        "--log", type=Path, default=None, help="file to which metrics are appended after each epoch"
    )
    add_folders(parser)
    parser.add_argument(
        "--start",
        type=Path,
        default=None,
        help="weights of the first stage, instead of training them; one member",
    )
    parser.add_argument(
        "--device", default="cpu", help="of torch: cpu, or cuda for a graphics card"
    )
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    for name, value in asdict(defaults).items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value)
    a = vars(parser.parse_args())
    p = TrainParameters(**{k: a[k] for k in asdict(defaults)})
    files = map_files(a["structures"], p, a["cache"], a["ensembles"], a["processes"])
    with tempfile.TemporaryDirectory() as work:
        paths = [Path(work) / f"{k}.pt" for k in range(p.members)]
        if a["start"]:
            shutil.copy(a["start"], paths[0])
        side_by_side = min(p.members, a["processes"])
        with ProcessPoolExecutor(side_by_side, multiprocessing.get_context("spawn")) as pool:
            median = list(
                pool.map(
                    _member,
                    [files] * p.members,
                    paths,
                    [replace(p, seed=p.seed + k) for k in range(p.members)],
                    [a["log"]] * p.members,
                    [a["device"]] * p.members,
                )
            )
        average(paths, load(files["validation"]), a["out"], p, median[0])


if __name__ == "__main__":
    main()
