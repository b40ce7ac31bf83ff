"""Fine-tune a network on levels that a person set by eye, and keep the result only as far as it
helps.

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
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ..common import constants
from ..common.errors import JunkMap, SirenError
from ..common.files import RECORD, set_edits_aside, sha256, whole_folder, write_json
from ..common.progress import Progress
from ..common.versions import versions
from ..maps.ensemble import Ensemble
from .agreement import Agreement, Compared
from .features import seen_of
from .labels import Label, match_labels, read_labels
from .network import LoadedNetwork, default_weights, import_torch, load_network, save_network
from .normalize import normalise_level
from .parameters import FinetuneParameters
from .plots import loss_plot, write_figure
from .predict import Shrunk, choose_device, shrink
from .tables import Prediction, write_table
from .voxel_size import scale_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

FINETUNE_FOLDER = "finetune"
WEIGHTS_FILE, TABLE_FILE, PLOT_STEM = "finetuned_weights.pt", "loss.csv", "loss"
SHARPNESS = 10.0  # of the soft masks
LOWEST, BINS = -1.5, 5000  # of the histograms that stand for maps: bins of 0.0005 up to 1
SYMMETRIES = [(order, flips) for order in permutations((-3, -2, -1)) for flips in range(8)]
PARTS = ("train", "validation", "held out")


@dataclass(frozen=True)
class Labelled:
    """Maps with labels, as a network learns from them.

    Attributes
    ----------
    maps : n of them, with their label
    inputs : what the network's last part takes, (n, ...) each; of the published one the normalised
        maps (n, 1, 64, 64, 64)
    histogram : (n, BINS) share of each map's voxels in bins of the normalised value
    label : (n,) normalised level
    """

    maps: tuple[tuple[Prediction, Label], ...]
    inputs: tuple[Tensor, ...]
    histogram: Tensor
    label: Tensor


@dataclass(frozen=True)
class Fit:
    """A training's course.

    Attributes
    ----------
    train, validation : losses by epoch, from 0: the weights as they were
    best : the epoch that was kept
    """

    train: tuple[float, ...]
    validation: tuple[float, ...]
    best: int


@dataclass(frozen=True)
class Finetuned:
    """A finished fine-tuning.

    Attributes
    ----------
    folder : where it was written
    parts : names of the labelled volumes that trained, that validated alone (none with several
        folds), and that were held out
    fit : Fit
    before, after : Agreement of the held-out volumes with the weights as they were, and with those
        written
    parameters : FinetuneParameters, all filled in
    aside : where an earlier, hand-edited folder of this name was moved, or None
    replaced : whether an earlier fine-tuning was replaced
    """

    folder: Path
    parts: dict[str, list[str]]
    fit: Fit
    before: Agreement
    after: Agreement
    parameters: FinetuneParameters
    aside: Path | None
    replaced: bool

    @property
    def weights(self) -> Path:
        """The new weights file."""
        return self.folder / WEIGHTS_FILE

    @property
    def plot(self) -> Path:
        """Picture of the losses."""
        return self.folder / f"{PLOT_STEM}.png"


def run_finetune(
    ensemble: Ensemble,
    labels: Path,
    parameters: FinetuneParameters | None,
    output: Path,
    progress: Progress | None = None,
) -> Finetuned:
    """Fine-tune on an ensemble's labels and write ``output``/finetune: weights, losses, plot,
    record.

    The labels are split at random (seeded). Some train; after each epoch, others measure the loss.
    The epoch with the lowest is kept if it betters the weights as they were significantly, else
    these are kept. See :func:`tune` for which are which. Those held out take no part in this, and
    say before and after how large the errors are.

    Parameters
    ----------
    ensemble : Ensemble, all volumes of the labels among them
    labels : csv as ``template.csv``, constants.FEWEST_LABELS rows or more
    parameters : FinetuneParameters
    output : folder, made where missing
    progress : asked before each map and each step

    Raises
    ------
    SirenError
        If there are too few labels, one fits no volume or its map holds nothing, or the loss is no
        number. Nothing is written.
    Cancelled
        If the progress says so. Nothing is written.

    References
    ----------
    Loss and defaults of Kinman et al. 2025, doi 10.1016/j.str.2025.02.004.
    """
    progress = progress or Progress()
    parameters = parameters or FinetuneParameters()
    matched = match_labels(read_labels(labels), labels, ensemble.all_names)
    chosen = {name: label for name, label in matched if name in set(ensemble.names)}
    torch = import_torch()
    device = choose_device(parameters.device)
    path = (
        Path(parameters.weights).expanduser()
        if parameters.weights is not None
        else default_weights()
    )
    loaded = load_network(path)
    parameters = parameters.filled(loaded.kind)
    if len(chosen) < constants.FEWEST_LABELS:
        raise SirenError(
            f"{labels.name} has {len(chosen)} labels of these volumes: label "
            f"{constants.FEWEST_LABELS} at least, better 20 to 40 "
            '("siren label template FOLDER" proposes which).'
        )
    data = read_labelled(ensemble.select(include=list(chosen), least=1), chosen, loaded, progress)
    split = _split(len(chosen), parameters)
    torch.manual_seed(parameters.seed)
    loaded.network.to(device)
    before = _agreement(loaded, data, split[2], device)
    fit = tune(loaded.network, data, split, parameters, device, progress)
    after = _agreement(loaded, data, split[2], device)
    if int(parameters.folds or 1) > 1:
        split = [np.sort(np.concatenate(split[:2])), split[1][:0], split[2]]
    parts = {
        part: [data.maps[i][0].file for i in at] for part, at in zip(PARTS, split, strict=True)
    }
    record = {
        "format": "SIREn finetune 1",
        "parameters": parameters.as_dict(),
        "kept_epoch": fit.best,
        "start": {"name": path.name, "sha256": sha256(path)},
        "labels": {"path": str(labels.absolute()), "sha256": sha256(labels)},
        "label_of": {r.file: label.level for r, label in data.maps},
        "split": parts,
        "held_out_before": before.figures,
        "held_out_after": after.figures,
        "versions": versions() | {"torch": str(torch.__version__)},
    }
    folder = output / FINETUNE_FOLDER
    with whole_folder(folder) as temporary:
        _write(temporary, loaded, fit, record)
        progress.step("writing", 1.0)  # the last moment to stop
        aside = set_edits_aside(folder)
        replaced = folder.exists()
    return Finetuned(folder, parts, fit, before, after, parameters, aside, replaced)


def read_labelled(
    ensemble: Ensemble, labels: dict[str, Label], loaded: LoadedNetwork, progress: Progress
) -> Labelled:
    """Read the labelled maps and reduce them to what a network and the loss need.

    The loss over voxels depends on a map only by how often each value occurs, so a histogram stands
    for it.
    """
    torch = import_torch()
    place = ensemble.places
    maps: list[tuple[Prediction, Label]] = []
    inputs: list[tuple[Tensor, ...]] = []
    histogram: list[NDArray[np.float32]] = []
    for source in progress.each(ensemble.sources, "reading labelled maps", len(ensemble)):
        try:
            m = shrink(ensemble, source, place[source.name], loaded.kind)
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
    level = [normalise_level(label.level, row.range) for row, label in maps]
    return Labelled(
        tuple(maps),
        tuple(torch.cat(parts) for parts in zip(*inputs, strict=True)),
        torch.from_numpy(np.stack(histogram)),
        torch.tensor(level, dtype=torch.float32),
    )


def _inputs(loaded: LoadedNetwork, m: Shrunk) -> tuple[Tensor, ...]:
    torch = import_torch()
    x = torch.from_numpy(m.x[None, None])
    network: Any = loaded.network
    if not hasattr(network, "heads"):
        return (x,)
    with torch.no_grad():
        seen: tuple[Tensor, ...] = network.features(seen_of(x, scale_of([m.voxel_size]), [m.full]))
    return seen


def mask_loss(histogram: Tensor, prediction: Tensor, label: Tensor) -> Tensor:
    """(n,) mean square, over a map's voxels, of the difference of the soft masks sigmoid(10 (x -
    level)) at two levels.

    Parameters
    ----------
    histogram : (n, BINS) share of the voxels in bins of the normalised value x
    prediction, label : (n,) normalised levels
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
    data: Labelled,
    split: Sequence[NDArray[np.intp]],
    parameters: FinetuneParameters,
    device: str,
    progress: Progress,
) -> Fit:
    """Train in place; the network is left with the epoch that is best on maps that did not train,
    or as it was.

    With one fold, the second part of the split validates. With more, that part trains too: each
    fold of both validates a training on the others, and the epoch that is best on all of them
    together is how long the network is then trained on both. Running statistics of batch
    normalisation and dropout are left as in prediction: a few maps would spoil the former.
    """
    folds = min(int(parameters.folds or 1), len(split[0]) + len(split[1]))
    every = np.sort(np.concatenate(split[:2]))
    parts = (
        [split[1]]
        if folds == 1
        else np.array_split(np.random.default_rng([parameters.seed, 2]).permutation(every), folds)
    )
    start = copy.deepcopy(network.state_dict())
    courses = []
    for n, part in enumerate(parts):
        network.load_state_dict(start)
        span = (n / (folds + (folds > 1)), 1 / (folds + (folds > 1)))
        courses.append(
            _course(
                network, data, np.setdiff1d(every, part), part, parameters, device, progress, span
            )
        )
    train = tuple(np.mean([c.train for c in courses], axis=0).tolist())
    validation = np.concatenate([c.validation for c in courses], axis=1)
    best = int(validation.mean(axis=1).argmin())
    if not _better(validation[0], validation[best]):
        best = 0
    network.load_state_dict(courses[0].best_state if best and folds == 1 else start)
    if best and folds > 1:
        _course(
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
class _Course:
    """One training: losses of the training maps (epochs + 1,), of each validation map (epochs + 1,
    n), the best epoch's weights.
    """

    train: list[float]
    validation: NDArray[np.float64]
    best_state: dict[str, Any]


def _course(
    network: Module,
    data: Labelled,
    trains: NDArray[np.intp],
    validates: NDArray[np.intp],
    parameters: FinetuneParameters,
    device: str,
    progress: Progress,
    span: tuple[float, float],
) -> _Course:
    """Train in place for all epochs; ``span`` says where the progress of it begins, and how far it
    goes.
    """
    torch = import_torch()
    epochs, rate = int(parameters.epochs or 1), float(parameters.learning_rate or 0)
    rng = np.random.default_rng(parameters.seed)
    network.eval()
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    train, validation = (
        [float(_losses(network, data, trains, device).mean())],
        [_losses(network, data, validates, device)],
    )
    best, best_state = 0, copy.deepcopy(network.state_dict())
    for epoch in range(1, epochs + 1):
        order = rng.permutation(trains)
        total = 0.0
        for first in range(0, len(order), parameters.batch_size):
            progress.step(
                "fine-tuning", span[0] + span[1] * (epoch - 1 + first / len(order)) / epochs
            )
            at = order[first : first + parameters.batch_size]
            level = _levels(network, data, at, device, int(rng.integers(48)))
            loss = mask_loss(data.histogram[at].to(device), level, data.label[at].to(device)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(at)
        train.append(total / len(order))
        validation.append(_losses(network, data, validates, device))
        if not np.isfinite(train[-1]) or not np.isfinite(validation[-1]).all():
            raise SirenError(
                f"The loss became no number in epoch {epoch}: give a smaller "
                f"learningRate than {rate:g}."
            )
        if len(validates) and validation[-1].mean() < validation[best].mean():
            best, best_state = epoch, copy.deepcopy(network.state_dict())
    return _Course(train, np.stack(validation), best_state)


def _better(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether losses of the same maps fell significantly: a t-test of their ratios' logarithms,
    one-sided, at constants.SIGNIFICANT_GAIN.

    Ratios, since the loss of a large particle is large whatever its level.
    """
    if not after.mean() < before.mean():
        return False
    gain = np.log(before + constants.NO_LOSS) - np.log(after + constants.NO_LOSS)
    return len(gain) < 2 or bool(
        stats.ttest_1samp(gain, 0.0, alternative="greater").pvalue < constants.SIGNIFICANT_GAIN
    )


def _split(count: int, parameters: FinetuneParameters) -> list[NDArray[np.intp]]:
    """Places that train, choose the epoch, and are held out; each at least one, ascending."""
    order = np.random.default_rng([parameters.seed, 1]).permutation(count)
    held, chooses = (
        max(1, round(float(share or 0) * count))
        for share in (parameters.held_out, parameters.validation)
    )
    if held + chooses >= count:
        raise SirenError(
            f"Of {count} labels none would be left to train on: give smaller shares "
            "heldOut and validation."
        )
    return [
        np.sort(part)
        for part in (order[held + chooses :], order[held : held + chooses], order[:held])
    ]


def posed(v: Tensor, symmetry: int) -> Tensor:
    """Maps (n, k, m, m, m) in one of the 48 poses of the cube (0 to 47): a level does not depend on
    the pose.
    """
    order, flips = SYMMETRIES[symmetry]
    axes = [axis for bit, axis in enumerate((-3, -2, -1)) if flips >> bit & 1]
    return v.permute(0, 1, *(5 + a for a in order)).flip(axes).contiguous()


def _levels(
    network: Module, data: Labelled, at: NDArray[np.intp], device: str, symmetry: int = 0
) -> Tensor:
    """(n,) levels of some maps; those that are still voxels are seen in one of the 48 poses."""
    inputs = [(posed(v[at], symmetry) if v.ndim == 5 else v[at]).to(device) for v in data.inputs]
    seen: Any = network
    level: Tensor = seen.heads(*inputs)[:, 0] if hasattr(network, "heads") else seen(*inputs)
    return level


def _losses(
    network: Module, data: Labelled, at: NDArray[np.intp], device: str
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
    loaded: LoadedNetwork, data: Labelled, at: NDArray[np.intp], device: str
) -> Agreement:
    torch = import_torch()
    with torch.inference_mode():
        levels = _levels(loaded.network, data, at, device).cpu().tolist()
    return Agreement(
        tuple(
            Compared(data.maps[i][1], replace(data.maps[i][0], prediction=level))
            for i, level in zip(at.tolist(), levels, strict=True)
        )
    )


def _write(folder: Path, loaded: LoadedNetwork, fit: Fit, record: dict[str, Any]) -> None:
    """All files of a fine-tuning; the record last, since it lists the others."""
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
