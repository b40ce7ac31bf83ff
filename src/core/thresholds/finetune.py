"""Fine-tuning of a network on levels set by eye; the result is kept only if it is better.

Example::

    from pathlib import Path

    from chimerax.siren.core import PredictParameters, find_ensemble, predict_levels
    from chimerax.siren.core.thresholds.finetune import run_finetune
    from chimerax.siren.core.thresholds.parameters import FinetuneParameters

    ensemble = find_ensemble(["volumes"])
    parameters = FinetuneParameters(epochs=1, folds=1)  # for a first try
    result = run_finetune(ensemble, Path("siren/labels.csv"), parameters, Path("siren"))
    nine = ensemble.select(include=["vol_00*"])
    predict_levels(nine, PredictParameters(weights=str(result.weights)))
"""

from __future__ import annotations

import copy
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..common import constants
from ..common.errors import JunkMap, SirenError
from ..common.files import (
    RECORD,
    atomic_folder,
    file_as_input,
    set_edits_aside,
    sha256,
    write_json,
)
from ..common.progress import Progress
from ..common.versions import versions
from ..maps.ensemble import Ensemble
from .agreement import Agreement, LabeledPrediction
from .features import network_input
from .labels import Label, current_labels, match_labels, numbering_note, read_labels
from .network import LoadedNetwork, default_weights, import_torch, load_network, save_network
from .normalize import normalize_level
from .parameters import FinetuneParameters
from .plots import loss_plot, write_figure
from .predict import PreparedMap, choose_device, prepare_map, restored_torch_threads
from .tables import Prediction, write_table
from .voxel_size import encode_voxel_size

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

FINETUNE_FOLDER = "finetune"
WEIGHTS_FILE, TABLE_FILE, PLOT_STEM = "finetuned_weights.pt", "loss.csv", "loss"
SHARPNESS = 10.0  # of the soft masks
LOWEST, BINS = -1.5, 5000  # of the histograms that represent maps: bins of 0.0005 up to 1
SYMMETRIES = [(order, flips) for order in permutations((-3, -2, -1)) for flips in range(8)]
PARTS = ("train", "validation", "held out")


@dataclass(frozen=True)
class LabeledMaps:
    """Labeled maps, prepared for training.

    Attributes
    ----------
    maps : tuple of (Prediction, Label)
        The n maps with their labels.
    inputs : tuple of (n, ...) tensors
        Input of the trained part of the network: of its heads, or, for the published network, the
        normalized maps (n, 1, 64, 64, 64).
    histogram : (n, BINS) float32
        Share of each map's voxels in bins of the normalized value.
    label : (n,) float32
        Normalized levels.
    """

    maps: tuple[tuple[Prediction, Label], ...]
    inputs: tuple[Tensor, ...]
    histogram: Tensor
    label: Tensor

    def only(self, names: Container[str]) -> LabeledMaps:
        """The maps of these names."""
        at = [i for i, (row, _) in enumerate(self.maps) if row.file in names]
        return LabeledMaps(
            tuple(self.maps[i] for i in at),
            tuple(v[at] for v in self.inputs),
            self.histogram[at],
            self.label[at],
        )


@dataclass(frozen=True)
class Fit:
    """Course of a training.

    Attributes
    ----------
    train, validation : tuple of float
        Losses by epoch; epoch 0 is the initial weights.
    best : int
        The epoch that was kept; 0 for the initial weights.
    refused : int
        The epoch that was best for the validation maps but made the held-out maps worse, so that
        the initial weights were kept; else 0.
    """

    train: tuple[float, ...]
    validation: tuple[float, ...]
    best: int
    refused: int = 0


@dataclass(frozen=True)
class Finetuned:
    """A finished fine-tuning.

    Attributes
    ----------
    folder : Path
        Output folder.
    parts : dict of list of str
        Names of the labeled volumes by PARTS: used for training, for validation only (none with
        several folds), and held out.
    fit : Fit
    before, after : Agreement
        Agreement of the held-out volumes with the initial and with the final weights.
    parameters : FinetuneParameters
        With all defaults filled in.
    aside : Path or None
        New path of an earlier folder of this name that was edited by hand.
    replaced : bool
        Whether the folder of an earlier fine-tuning was replaced.
    notes : tuple of str
        Labels that were left out, and how others were matched, one sentence each, for the log.
    """

    folder: Path
    parts: dict[str, list[str]]
    fit: Fit
    before: Agreement
    after: Agreement
    parameters: FinetuneParameters
    aside: Path | None
    replaced: bool
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> Path:
        """The new weights file."""
        return self.folder / WEIGHTS_FILE

    @property
    def plot(self) -> Path:
        """The loss plot, as PNG."""
        return self.folder / f"{PLOT_STEM}.png"


def run_finetune(
    ensemble: Ensemble,
    labels: Path,
    parameters: FinetuneParameters | None,
    output: Path,
    progress: Progress | None = None,
) -> Finetuned:
    """Fine-tune on the labels of an ensemble and write ``output``/finetune.

    The folder has the weights, the losses, a plot of them, and the record. The labels are split at
    random (seeded) into training, validation and held-out maps, see :func:`tune`. The epoch with
    the lowest validation loss is kept if it is significantly better than the initial weights, and
    not worse for the held-out maps; otherwise these are kept. The held-out maps measure the errors
    before and after.

    Parameters
    ----------
    ensemble : Ensemble
        Includes all labeled volumes.
    labels : Path
        Labels table as ``template.csv``, with constants.MIN_LABELS rows or more.
    parameters : FinetuneParameters or None
    output : Path
        Folder, created if missing.
    progress : Progress, optional

    Raises
    ------
    SirenError
        If there are too few labels, a label matches no volume, its map has nothing to contour, or
        the loss diverges. Nothing is written.
    Cancelled
        If ``progress`` was asked to stop. Nothing is written.

    References
    ----------
    Loss and defaults of Kinman et al. 2025, doi 10.1016/j.str.2025.02.004.
    """
    torch = import_torch()
    with restored_torch_threads(torch):
        return _run_finetune(
            ensemble, labels, parameters or FinetuneParameters(), output, progress or Progress()
        )


def _run_finetune(
    ensemble: Ensemble,
    labels: Path,
    parameters: FinetuneParameters,
    output: Path,
    progress: Progress,
) -> Finetuned:
    """See :func:`run_finetune`."""
    matched = match_labels(read_labels(labels), labels, ensemble.all_names)
    chosen = {name: label for name, label in matched if name in set(ensemble.names)}
    torch = import_torch()
    path = (
        Path(parameters.weights).expanduser()
        if parameters.weights is not None
        else default_weights()
    )
    loaded = load_network(path)
    if loaded.kind != "published":
        # sums over several threads depend on how many there are, and each computer has its own. The
        # network is so small that it gains nothing by them, unlike the published one
        torch.set_num_threads(1)
    device = choose_device(parameters.device, loaded.kind)
    parameters = parameters.filled(loaded.kind)
    _check_enough(len(chosen), labels)
    labeled = ensemble.select(include=list(chosen), minimum=1)
    data = read_labeled_maps(labeled, chosen, loaded, progress)
    current, stale = current_labels(list(chosen.items()), labeled.fingerprints, labels)
    if stale:
        _check_enough(len(current), labels, stale)
        data = data.only({name for name, _ in current})
        chosen = dict(current)
    split = _split(len(chosen), parameters)
    torch.manual_seed(parameters.seed)
    loaded.network.to(device)
    start = copy.deepcopy(loaded.network.state_dict())
    before = _agreement(loaded, data, split[2], device)
    fit = tune(loaded.network, data, split, parameters, device, progress)
    after = _agreement(loaded, data, split[2], device)
    if fit.best and after.mae > before.mae:
        loaded.network.load_state_dict(start)
        after, fit = before, replace(fit, best=0, refused=fit.best)
    if int(parameters.folds or 1) > 1:
        split = [np.sort(np.concatenate(split[:2])), split[1][:0], split[2]]
    parts = {
        part: [data.maps[i][0].file for i in at] for part, at in zip(PARTS, split, strict=True)
    }
    record = {
        "format": "SIREn finetune 1",
        "parameters": parameters.as_dict(),
        "kept_epoch": fit.best,
        "refused_epoch": fit.refused,
        "start": {"name": path.name, "sha256": sha256(path)},
        "labels": file_as_input(labels, output / FINETUNE_FOLDER),
        "label_of": {r.file: label.level for r, label in data.maps},
        "split": parts,
        "held_out_before": before.metrics,
        "held_out_after": after.metrics,
        "versions": versions() | {"torch": str(torch.__version__)},
        "threads": torch.get_num_threads(),
    }
    folder = output / FINETUNE_FOLDER
    with atomic_folder(folder) as temporary:
        _write(temporary, loaded, fit, record)
        progress.step("writing", 1.0)  # last chance to stop
        aside = set_edits_aside(folder)
        replaced = aside is None and folder.exists()
    notes = tuple(note for note in (numbering_note(matched, labels), stale) if note)
    return Finetuned(folder, parts, fit, before, after, parameters, aside, replaced, notes)


def _check_enough(count: int, labels: Path, stale: str = "") -> None:
    """Raise SirenError if there are too few labels to tell whether training helps."""
    if count < constants.MIN_LABELS:
        raise SirenError(
            f"{labels.name} has {count} label{'s' * (count != 1)} of these volumes, too few to "
            "tell whether fine-tuning makes the network better or worse: label "
            f"{constants.MIN_LABELS} at least, better 20 to 40 "
            '("siren label template FOLDER" proposes which).' + f" {stale}" * bool(stale)
        )


def read_labeled_maps(
    ensemble: Ensemble, labels: dict[str, Label], loaded: LoadedNetwork, progress: Progress
) -> LabeledMaps:
    """Read the labeled maps and prepare them for training.

    The loss depends on the voxels of a map only through their histogram, which therefore replaces
    the map.

    Parameters
    ----------
    ensemble : Ensemble
        The labeled volumes.
    labels : dict of Label
        By file name.
    loaded : LoadedNetwork
    progress : Progress

    Raises
    ------
    SirenError
        If a map cannot be read, or has nothing to contour.
    Cancelled
        If ``progress`` was asked to stop.
    """
    torch = import_torch()
    place = ensemble.vol_ids
    maps: list[tuple[Prediction, Label]] = []
    inputs: list[tuple[Tensor, ...]] = []
    histogram: list[NDArray[np.float32]] = []
    for source in progress.each(ensemble.sources, "reading labeled maps", len(ensemble)):
        try:
            m = prepare_map(ensemble, source, place[source.name], loaded.kind)
        except JunkMap as error:
            raise SirenError(
                f"{source.name} has a label but no density to contour "
                f"({error.reason}): remove its row."
            ) from error
        maps.append((Prediction(m.name, m.vol_id, m.range, np.nan), labels[m.name]))
        inputs.append(_inputs(loaded, m))
        histogram.append(
            np.histogram(m.x.clip(LOWEST, 1), BINS, (LOWEST, 1))[0].astype(np.float32) / m.x.size
        )
    level = [normalize_level(label.level, row.range) for row, label in maps]
    return LabeledMaps(
        tuple(maps),
        tuple(torch.cat(parts) for parts in zip(*inputs, strict=True)),
        torch.from_numpy(np.stack(histogram)),
        torch.tensor(level, dtype=torch.float32),
    )


def _inputs(loaded: LoadedNetwork, m: PreparedMap) -> tuple[Tensor, ...]:
    torch = import_torch()
    x = torch.from_numpy(m.x[None, None])
    network: Any = loaded.network
    if not hasattr(network, "heads"):
        return (x,)
    with torch.no_grad():
        inputs: tuple[Tensor, ...] = network.features(
            network_input(x, encode_voxel_size([m.voxel_size]), [m.full])
        )
    return inputs


def mask_loss(histogram: Tensor, prediction: Tensor, label: Tensor) -> Tensor:
    """Mean square difference, over a map's voxels, of the soft masks of two levels.

    The soft mask is sigmoid(10 (x - level)).

    Parameters
    ----------
    histogram : (n, BINS) float32
        Share of the voxels in bins of the normalized value x.
    prediction, label : (n,) float32
        Normalized levels.

    Returns
    -------
    (n,) float32
    """
    torch = import_torch()
    edges = torch.linspace(LOWEST, 1, BINS + 1, device=histogram.device)
    x = (edges[1:] + edges[:-1]) / 2
    difference = torch.sigmoid(SHARPNESS * (x - prediction[:, None])) - torch.sigmoid(
        SHARPNESS * (x - label[:, None])
    )
    return (histogram * difference**2).sum(dim=1)


def tune(
    network: Module,
    data: LabeledMaps,
    split: Sequence[NDArray[np.intp]],
    parameters: FinetuneParameters,
    device: str,
    progress: Progress,
) -> Fit:
    """Train in place, and keep the epoch with the best validation loss, or the initial weights.

    With one fold, the second part of the split is used for validation. With more, the first two
    parts are cross-validated, and the network is then trained on both for the number of epochs that
    was best over all folds. Batch normalization and dropout stay in evaluation mode: a few maps
    would spoil the running statistics.

    Parameters
    ----------
    network : torch.nn.Module
    data : LabeledMaps
    split : three (n,) int arrays
        Indices of training, validation and held-out maps.
    parameters : FinetuneParameters
        With all defaults filled in.
    device : str
        The network's torch device.
    progress : Progress

    Raises
    ------
    SirenError
        If the loss diverges.
    Cancelled
        If ``progress`` was asked to stop.
    """
    folds = min(int(parameters.folds or 1), len(split[0]) + len(split[1]))
    every = np.sort(np.concatenate(split[:2]))
    parts = (
        [split[1]]
        if folds == 1
        else np.array_split(np.random.default_rng([parameters.seed, 2]).permutation(every), folds)
    )
    start = copy.deepcopy(network.state_dict())
    trainings = []
    for n, part in enumerate(parts):
        network.load_state_dict(start)
        span = (n / (folds + (folds > 1)), 1 / (folds + (folds > 1)))
        trainings.append(
            _train(
                network, data, np.setdiff1d(every, part), part, parameters, device, progress, span
            )
        )
    train = tuple(np.mean([t.train for t in trainings], axis=0).tolist())
    validation = np.concatenate([t.validation for t in trainings], axis=1)
    best = int(validation.mean(axis=1).argmin())
    if not _significantly_lower(validation[0], validation[best]):
        best = 0
    network.load_state_dict(trainings[0].best_state if best and folds == 1 else start)
    if best and folds > 1:
        _train(
            network,
            data,
            every,
            every[:0],
            replace(parameters, epochs=best),
            device,
            progress,
            (folds / (folds + 1), 1 / (folds + 1)),
        )
    return Fit(train, tuple(validation.mean(axis=1).tolist()), best)


@dataclass(frozen=True)
class _Training:
    """Losses (epochs + 1,), validation losses (epochs + 1, n) and best weights of a training."""

    train: list[float]
    validation: NDArray[np.float64]
    best_state: dict[str, Any]


def _train(
    network: Module,
    data: LabeledMaps,
    training: NDArray[np.intp],
    validating: NDArray[np.intp],
    parameters: FinetuneParameters,
    device: str,
    progress: Progress,
    span: tuple[float, float],
) -> _Training:
    """Train in place for all epochs; ``span`` is the start and length of its share of progress."""
    torch = import_torch()
    epochs, rate = int(parameters.epochs or 1), float(parameters.learning_rate or 0)
    rng = np.random.default_rng(parameters.seed)
    network.eval()
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    train, validation = (
        [float(_losses(network, data, training, device).mean())],
        [_losses(network, data, validating, device)],
    )
    best, best_state = 0, copy.deepcopy(network.state_dict())
    for epoch in range(1, epochs + 1):
        order = rng.permutation(training)
        total = 0.0
        for first in range(0, len(order), parameters.batch_size):
            progress.step(
                "fine-tuning", span[0] + span[1] * (epoch - 1 + first / len(order)) / epochs
            )
            at = order[first : first + parameters.batch_size]
            level = _levels(network, data, at, device, int(rng.integers(48)))
            loss = mask_loss(data.histogram[at].to(device), level, data.label[at].to(device)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(at)
        train.append(total / len(order))
        validation.append(_losses(network, data, validating, device))
        if not np.isfinite(train[-1]) or not np.isfinite(validation[-1]).all():
            raise SirenError(
                f"The loss diverged in epoch {epoch}: give a smaller learningRate than {rate:g}."
            )
        if len(validating) and validation[-1].mean() < validation[best].mean():
            best, best_state = epoch, copy.deepcopy(network.state_dict())
    return _Training(train, np.stack(validation), best_state)


def _significantly_lower(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether the losses of the same maps are significantly lower after training.

    One-sided t-test of the logarithm of the ratios, at constants.SIGNIFICANT_GAIN; ratios, since
    the loss of a large particle is large whatever its level. One map alone cannot tell.
    """
    if not after.mean() < before.mean():
        return False
    gain = np.log(before + constants.LOSS_FLOOR) - np.log(after + constants.LOSS_FLOOR)
    return len(gain) > 1 and bool(
        stats.ttest_1samp(gain, 0.0, alternative="greater").pvalue < constants.SIGNIFICANT_GAIN
    )


def _split(count: int, parameters: FinetuneParameters) -> list[NDArray[np.intp]]:
    """Indices of the training, validation and held-out maps, ascending; at least one of each."""
    order = np.random.default_rng([parameters.seed, 1]).permutation(count)
    held, choosing = (
        max(1, round(float(share or 0) * count))
        for share in (parameters.held_out, parameters.validation)
    )
    if held + choosing >= count:
        raise SirenError(
            f"Of {count} labels, none would be left to train on: give smaller shares "
            "heldOut and validation."
        )
    return [
        np.sort(part)
        for part in (order[held + choosing :], order[held : held + choosing], order[:held])
    ]


def apply_symmetry(v: Tensor, symmetry: int) -> Tensor:
    """Apply one of the 48 symmetries of the cube (0 to 47) to maps (n, k, m, m, m).

    It does not change their level.
    """
    order, flips = SYMMETRIES[symmetry]
    axes = [axis for bit, axis in enumerate((-3, -2, -1)) if flips >> bit & 1]
    return v.permute(0, 1, *(5 + a for a in order)).flip(axes).contiguous()


def _levels(
    network: Module, data: LabeledMaps, at: NDArray[np.intp], device: str, symmetry: int = 0
) -> Tensor:
    """(n,) predicted levels of some maps; a symmetry is applied to inputs that are voxels."""
    inputs = [
        (apply_symmetry(v[at], symmetry) if v.ndim == 5 else v[at]).to(device) for v in data.inputs
    ]
    model: Any = network
    level: Tensor = model.heads(*inputs)[:, 0] if hasattr(network, "heads") else model(*inputs)
    return level


def _losses(
    network: Module, data: LabeledMaps, at: NDArray[np.intp], device: str
) -> NDArray[np.float64]:
    """(n,) loss of each of some maps."""
    torch = import_torch()
    if not len(at):
        return np.empty(0)
    with torch.inference_mode():
        level = torch.cat(
            [_levels(network, data, at[i : i + 8], device) for i in range(0, len(at), 8)]
        ).cpu()
        losses: NDArray[np.float64] = (
            mask_loss(data.histogram[at], level, data.label[at]).double().numpy()
        )
    return losses


def _agreement(
    loaded: LoadedNetwork, data: LabeledMaps, at: NDArray[np.intp], device: str
) -> Agreement:
    torch = import_torch()
    with torch.inference_mode():
        levels = _levels(loaded.network, data, at, device).cpu().tolist()
    return Agreement(
        tuple(
            LabeledPrediction(data.maps[i][1], replace(data.maps[i][0], prediction=level))
            for i, level in zip(at.tolist(), levels, strict=True)
        )
    )


def _write(folder: Path, loaded: LoadedNetwork, fit: Fit, record: dict[str, Any]) -> None:
    """Write all files of a fine-tuning; the record is last, since it lists the others."""
    save_network(
        folder / WEIGHTS_FILE,
        loaded.network,
        {"finetuned": record, "start": loaded.metadata},
        loaded.kind,
        half=False,
    )
    write_table(
        folder / TABLE_FILE,
        ("epoch", "train", "validation", "kept"),
        (
            (n, a, b, "yes" if n == fit.best else "")
            for n, (a, b) in enumerate(zip(fit.train, fit.validation, strict=True))
        ),
    )
    write_figure(folder / PLOT_STEM, loss_plot(fit.train, fit.validation, fit.best))
    write_json(
        folder / RECORD,
        {**record, "outputs": {p.name: sha256(p) for p in sorted(folder.iterdir())}},
    )
