"""The networks that predict a threshold from a normalised 64^3 map, and how their weights are read.

torch is imported when a network is made, never before: everything else works without it.
"""

from __future__ import annotations

import io
import json
import pickle
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SirenError
from ..files import whole_file

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

BOX = 64
FORMAT = "siren-thresholds-1"
DEFAULT_NAME = "siren_thresholds.pt"
#: Levels, from -1 up, at which the compact network counts the share of voxels above.
HISTOGRAM_LEVELS = 64
LOOK_CHANNELS, PROFILE_CHANNELS = 4, 9
_SMALLEST_SHARE = 1e-6
LOG_SPREAD = (-6.0, 1.0)  # bounds of the logarithm of the expected error
_FIT = "give a weights file of this program, or the published checkpoint (weights_5e6.pth)"


@dataclass(frozen=True)
class LoadedNetwork:
    """A network ready to predict.

    Attributes
    ----------
    network : torch.nn.Module
        In evaluation mode, on the CPU: (n, 1, 64, 64, 64) float32 to (n,) levels on the normalised scale.
    kind : str
        ``siren`` or ``published``.
    metadata : dict
        What the file says of itself: plain numbers and texts.
    """

    network: Module
    kind: str
    metadata: dict[str, Any] = field(default_factory=dict)


def import_torch() -> Any:
    """The torch module.

    Raises
    ------
    SirenError
        If torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise SirenError('torch is not installed: "siren predict" needs it. Install it with: pip install torch (about 200 MB). '
                         '"siren sketch" works without, with "level" or "thresholds".') from error
    return torch


def default_weights() -> Path:
    """The shipped weights file: in the installed package's ``weights``, or beside ``src`` in a checkout.

    Raises
    ------
    SirenError
        If it is in neither place.
    """
    package = Path(__file__).parents[2]
    places = [package / "weights", package.parent / "weights", Path(__file__).resolve().parents[3] / "weights"]
    for place in places:
        if (place / DEFAULT_NAME).is_file():
            return place / DEFAULT_NAME
    raise SirenError(f'{DEFAULT_NAME} is missing from {places[0]}: install ChimeraX-SIREn again, or give "weights FILE".')


def compact_network() -> Module:
    """The network of this program: 454,642 weights.

    What is seen of a 64^3 map is twofold. Its profile: at each of 64 levels how much lies above it at full, half and
    quarter resolution, how ragged and how compact the part above is (noise is ragged, a molecule is not). And its look at
    16^3: mean and maximum, for a few 3x3x3 convolutions. Convolutions along the profile, told of the look, score each
    level; the answer is the mean of the levels weighted by the softmax of their scores. A second number is the logarithm
    of the expected absolute error. Both count on the normalised scale.
    """
    torch = import_torch()
    nn = torch.nn

    class CompactNetwork(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            layers: list[Module] = []
            before = LOOK_CHANNELS
            for channels, stride in ((16, 1), (32, 2), (48, 1), (64, 2), (64, 1)):
                layers += [nn.Conv3d(before, channels, 3, stride, 1, bias=False), nn.BatchNorm3d(channels), nn.ReLU()]
                before = channels
            self.look = nn.Sequential(*layers)
            self.summary = nn.Sequential(nn.Linear(2 * before, 48), nn.ReLU())
            self.enter = nn.Conv1d(PROFILE_CHANNELS + 1 + 48, 96, 1)
            self.along = nn.ModuleList(
                nn.Sequential(nn.BatchNorm1d(96), nn.ReLU(), nn.Conv1d(96, 96, 5, padding=2 * step, dilation=step))
                for step in (1, 2, 4, 8))
            self.score = nn.Conv1d(96, 1, 1)
            self.spread = nn.Sequential(nn.Linear(2 * 96, 32), nn.ReLU(), nn.Linear(32, 1))
            self.register_buffer("levels", torch.linspace(-1, 1, HISTOGRAM_LEVELS + 1)[:-1])

        def forward(self, x: Tensor) -> Tensor:
            """(n, 1, 64, 64, 64) normalised maps to (n,) levels."""
            return self.heads(*self.features(x))[:, 0]

        @staticmethod
        def features(x: Tensor) -> tuple[Tensor, Tensor]:
            """The look (n, 4, 16, 16, 16) and the profile (n, 9, 64) of normalised maps (n, 1, 64, 64, 64)."""
            return look_and_profile(x)

        def heads(self, look: Tensor, profile: Tensor) -> Tensor:
            """(n, 2): level, and logarithm of its expected absolute error."""
            space = self.look(look)
            summary = self.summary(torch.cat([space.mean(dim=(2, 3, 4)), space.amax(dim=(2, 3, 4))], dim=1))
            levels = self.levels.expand(len(profile), 1, -1)
            h = self.enter(torch.cat([profile, levels, summary[:, :, None].expand(-1, -1, profile.shape[2])], dim=1))
            for layer in self.along:
                h = h + layer(h)
            level = (self.score(h)[:, 0].softmax(dim=1) * self.levels).sum(dim=1, keepdim=True)
            return torch.cat([level, self.spread(torch.cat([h.mean(dim=2), h.amax(dim=2)], dim=1))], dim=1)

    return CompactNetwork()


def look_and_profile(x: Tensor) -> tuple[Tensor, Tensor]:
    """What the compact network sees of normalised maps (n, 1, 64, 64, 64).

    Returns
    -------
    look : (n, 4, 16, 16, 16)
        Mean and maximum of the 32^3 means, mean and maximum of the 32^3 maxima.
    profile : (n, 9, 64)
        At levels -1 + 2 j / 64: log10 of the share of voxels above, of the map and of its means and maxima at 32^3 and
        means at 16^3; log10 of neighbours (at distance 1 and 2 at 32^3, 1 at 16^3) that the level parts over those above;
        radius of gyration of what is above, in boxes, at 32^3; and log10 of the share of it in the box's inner half.
    """
    torch = import_torch()
    functional = torch.nn.functional
    # rounded to half precision, as what the network learned from was kept
    mean, peak = functional.avg_pool3d(x, 2).half().to(x.dtype), functional.max_pool3d(x, 2).half().to(x.dtype)
    coarse = functional.avg_pool3d(mean, 2)
    look = torch.cat([coarse, functional.max_pool3d(mean, 2), functional.avg_pool3d(peak, 2),
                      functional.max_pool3d(peak, 2)], dim=1)
    above = [_above(v) / v[0].numel() for v in (x, mean, peak, coarse)]
    ragged = [_parted(v, step) / v[0].numel() for v, step in ((mean, 1), (mean, 2), (coarse, 1))]
    tiny = _SMALLEST_SHARE
    axis = torch.linspace(-1, 1, mean.shape[-1], device=x.device, dtype=x.dtype)
    weight = (mean + 1).clamp(min=0) ** 2
    weight = weight / weight.sum(dim=(1, 2, 3, 4), keepdim=True).clamp(min=1e-9)
    r2 = torch.zeros_like(mean)
    for dim in (2, 3, 4):
        along = axis.reshape([-1 if d == dim else 1 for d in range(5)])
        r2 = r2 + (along - (weight * along).sum(dim=(1, 2, 3, 4), keepdim=True)) ** 2
    size = _above(mean, r2) / (_above(mean) + 1e-3)
    inner = _above(mean, (r2 < 0.25).to(x.dtype)) / mean[0].numel()
    profile = [(torch.log10(a + tiny) + 3) / 2 for a in above]
    profile += [torch.log10((r + tiny) / (a + tiny)) for r, a in zip(ragged, (above[1], above[1], above[3]), strict=True)]
    profile += [size.sqrt(), torch.log10((inner + tiny) / (above[1] + tiny))]
    return look, torch.stack(profile, dim=1)


def _above(v: Tensor, weight: Tensor | None = None) -> Tensor:
    """(n, 64) number, or sum of weights, of the values of each map that lie above each level."""
    torch = import_torch()
    levels, n = HISTOGRAM_LEVELS, len(v)
    # values sorted into bins by one pass, all maps at once; a value is above level j when its bin is above j
    bins = torch.ceil((v.flatten(1) + 1) * (levels / 2)).clamp_(0, levels).to(torch.int64)
    bins += torch.arange(n, device=v.device)[:, None] * (levels + 1)
    flat = None if weight is None else weight.flatten()
    counts = torch.bincount(bins.flatten(), flat, minlength=n * (levels + 1)).reshape(n, levels + 1)
    return counts.flip(1).cumsum(1).flip(1)[:, 1:].to(v.dtype)


def _parted(v: Tensor, step: int) -> Tensor:
    """(n, 64) number of pairs of voxels ``step`` apart along an axis of which one is above each level and one is not."""
    torch = import_torch()
    total = _above(v) * 0
    for dim in (2, 3, 4):
        a, b = v.narrow(dim, 0, v.shape[dim] - step), v.narrow(dim, step, v.shape[dim] - step)
        total = total + _above(torch.maximum(a, b)) - _above(torch.minimum(a, b))
    return total


def published_network() -> Module:
    """The published architecture, 2,300,545 weights; module names and numbering as in its checkpoints.

    References
    ----------
    Kinman et al. 2025, doi 10.1016/j.str.2025.02.004.
    """
    torch = import_torch()
    nn = torch.nn

    def conv(before: int, after: int, kernel: int) -> Module:
        return nn.Conv3d(before, after, kernel, padding=0, padding_mode="replicate")

    class PublishedNetwork(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            layers: list[Module] = [conv(1, 32, 7), nn.BatchNorm3d(32), nn.ReLU()]
            for before, after, kernel in ((32, 64, 5), (64, 128, 5), (128, 256, 3)):
                layers += [conv(before, after, kernel), nn.BatchNorm3d(after), nn.ReLU(), nn.MaxPool3d(2)]
            layers += [conv(256, 384, 1), nn.ReLU(), nn.AvgPool3d(3, stride=2), nn.Dropout(0.3)]
            self.conv = nn.Sequential(*layers)
            self.mlp = nn.Sequential(nn.Linear(384, 64), nn.ReLU(), nn.Linear(64, 1))

        def forward(self, x: Tensor) -> Tensor:
            """(n, 1, 64, 64, 64) normalised maps to (n,) levels."""
            return self.mlp(self.conv(x).flatten(1))[:, 0]

    return PublishedNetwork()


def answers(network: Module, x: Tensor) -> Tensor:
    """What a network says of normalised maps (n, 1, 64, 64, 64): (n, 2), each level and its expected absolute error.

    Both on the normalised scale; the error is NaN for a network that gives none, as the published one.
    """
    torch = import_torch()
    if not hasattr(network, "heads"):
        level = network(x)
        return torch.stack([level, torch.full_like(level, float("nan"))], dim=1)
    seen: Any = network
    both = seen.heads(*seen.features(x))
    # as far as it was trained
    return torch.stack([both[:, 0], both[:, 1].clamp(*LOG_SPREAD).exp()], dim=1)


def load_network(path: Path) -> LoadedNetwork:
    """Read a weights file: this program's, or a published checkpoint. Nothing in the file is ever run.

    Raises
    ------
    SirenError
        If the file is missing, is not a weights file, holds anything but numbers, texts and the loss object of a
        published checkpoint, or belongs to another architecture.
    """
    torch = import_torch()
    content = _read(torch, path)
    if isinstance(content, dict) and content.get("format") == FORMAT:
        network, kind, state = compact_network(), "siren", content.get("state_dict")
        metadata = content.get("metadata") or {}
    else:
        network, kind, state, metadata = published_network(), "published", content, {}
        if isinstance(content, dict) and "model_state_dict" in content:
            state = content["model_state_dict"]
        if isinstance(content, dict) and isinstance(content.get("epoch"), int):
            metadata = {"epoch": content["epoch"]}
        if isinstance(content, dict) and isinstance(content.get("metadata"), dict):
            metadata = metadata | content["metadata"]
        state = _renumbered(state, network) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise SirenError(f"{path.name} holds no network weights: {_FIT}.")
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise SirenError(f"{path.name} holds the weights of another network than this program knows: {_FIT}.") from error
    if not all(bool(torch.isfinite(v).all()) for v in network.state_dict().values()):
        raise SirenError(f"{path.name} has weights that are not finite numbers, as after a training that diverged: {_FIT}.")
    return LoadedNetwork(network.eval(), kind, metadata)


def _read(torch: Any, path: Path) -> Any:
    if not path.is_file():
        raise SirenError(f"{path}: there is no such file. Give a weights file, or leave \"weights\" out for the shipped one.")
    # A published checkpoint pickles its loss object; this class alone is let in beside tensors and plain values.
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([torch.nn.modules.loss.MSELoss]):
            warnings.simplefilter("ignore")  # torch remarks on a pickle's protocol
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "unsupported global" in str(error).lower() or "unsupported class" in str(error).lower():
            raise SirenError(f"{path.name} was refused: opening it could run code, which no weights file needs. Do not "
                             "open it with other programs; get it again from its authors.") from error
        raise SirenError(f"{path.name} cannot be read as network weights: {_FIT}.") from error
    except Exception as error:  # whatever a damaged archive makes torch's readers raise
        raise SirenError(f"{path.name} cannot be read as network weights: {_FIT}.") from error


def _renumbered(state: dict[str, Any], network: Module) -> dict[str, Any]:
    """Keys as in ``network``: layers without weights may be counted differently, and a wrapper's ``module.`` goes."""
    ours = [key.rsplit(".", 1)[0] for key in network.state_dict()]
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    names: dict[str, str] = {}
    for group in ("conv", "mlp"):
        theirs = {k.rsplit(".", 1)[0] for k in state if k.startswith(group + ".")}
        order = sorted(theirs, key=lambda n: (int(n.split(".")[1]) if n.split(".")[1].isdigit() else -1, n))
        names |= dict(zip(order, dict.fromkeys(o for o in ours if o.startswith(group + ".")), strict=False))
    return {names.get(k.rsplit(".", 1)[0], k.rsplit(".", 1)[0]) + "." + k.rsplit(".", 1)[-1]: v for k, v in state.items()}


def save_network(path: Path, network: Module, metadata: dict[str, Any], kind: str = "siren", half: bool = True) -> None:
    """Write a weights file: weights and plain metadata; whole or not at all, the same bytes for the same content.

    Parameters
    ----------
    path : Path
    network : torch.nn.Module
        As from :func:`compact_network`, or :func:`published_network`.
    metadata : dict of plain numbers and texts
    kind : ``siren``, or ``published``: a checkpoint with ``model_state_dict``, which the published tool reads
    half : half-precision weights
    """
    torch = import_torch()
    state = {k: v.detach().cpu() for k, v in network.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    plain = json.loads(json.dumps(metadata))  # a subclass of str, as torch's version is, would be refused on reading
    content = {"model_state_dict": state} if kind == "published" else {"format": FORMAT, "state_dict": state}
    buffer = io.BytesIO()  # saved to a path, the file would hold the path's name
    torch.save({**content, "metadata": plain}, buffer)
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
