"""Networks that predict the contour level of a normalized 64^3 map, and their weights files.

torch is imported only when a network is made; everything else works without it.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.errors import SirenError
from ..common.files import atomic_file
from ..common.reading import open_file
from ..common.torch_install import without_torch_text
from .features import (
    CHANNELS,
    LEVELS,
    NetworkInput,
    expected_dice,
    level_bins,
    level_values,
    means_at_levels,
    network_input,
)
from .voxel_size import encode_voxel_size

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

BOX = 64
MOST_BYTES, MOST_MEMBERS, MOST_ENTRIES = 512 << 20, 16, 10_000  # of a weights file
FORMATS = "siren-thresholds-"  # followed by a number that changes with the architecture
FORMAT = f"{FORMATS}4"
DEFAULT_NAME = "siren_thresholds.pt"
FILTERS = (16, 16, 64, 96)  # channels of the 3D CNN: twice at 16^3, at 8^3 and 4^3
FIELDS, WHOLE = 6, 32  # its output channels per voxel, and for the whole map
# profile without its shells, levels, fields, expected Dice and volume
ROWS = CHANNELS - 1 + 1 + FIELDS + 2
WIDTH = 64
LOG_SPREAD = (-6.0, 1.0)  # bounds of the log of the expected error
_FIT = "give a weights file of this program, or the published checkpoint (weights_5e6.pth)"


@dataclass(frozen=True)
class LoadedNetwork:
    """A network ready to predict.

    Attributes
    ----------
    network : torch.nn.Module
        In evaluation mode, on the CPU: (n, 1, 64, 64, 64) float32 to (n,) normalized levels.
    kind : str
        ``siren`` or ``published``.
    metadata : dict
        Metadata of the file: numbers and strings.
    """

    network: Module
    kind: str
    metadata: dict[str, Any] = field(default_factory=dict)


def import_torch() -> Any:
    """Import torch.

    Raises
    ------
    SirenError
        If torch is not installed, or cannot be loaded.
    """
    try:
        import torch
    except (ImportError, OSError) as error:  # the latter where one of its DLLs does not load
        raise SirenError(
            without_torch_text('"siren predict"', error)
            + ' "siren sketch" works without, with "level" or "thresholds".'
        ) from error
    return torch


def default_weights() -> Path:
    """The shipped weights file, in the folder ``weights``: in the plain Python package, in
    ChimeraX's, or beside ``src`` in a checkout.

    Raises
    ------
    SirenError
        If it is in none of them.
    """
    module = Path(__file__)
    for path in (module, module.resolve()):  # a link may lead into a checkout
        for folder in path.parents[1:4]:
            if (folder / "weights" / DEFAULT_NAME).is_file():
                return folder / "weights" / DEFAULT_NAME
    raise SirenError(
        f"{DEFAULT_NAME} is missing from {module.parents[2] / 'weights'}: install SIREn again, or "
        'give "weights FILE".'
    )


def compact_network(members: int = 1) -> Module:
    """SIREn's network, or an average of several.

    It combines two views of a map. A 3D CNN (encoder and decoder, from 16^3 to 4^3 and back) gives
    for each voxel the logit of belonging to the molecule, and a few more numbers. The profile, see
    :func:`.features.network_input`, describes the region above each of 96 levels; it is extended by
    the mean output of the CNN at each level, and by the Dice coefficient that this predicts for
    each level. A 1D CNN along the profile, which is also given the voxel size and the CNN's summary
    of the whole map, scores each level. The predicted level is the mean of the levels weighted by
    the softmax of their scores; a second output is the log of its expected absolute error. Both are
    on the normalized scale.

    ``features`` does everything that depends on the voxels of the map, ``heads`` the rest, which
    fine-tuning trains.

    Parameters
    ----------
    members : int
        Number of networks, trained from different seeds, whose outputs are averaged.

    Returns
    -------
    torch.nn.Module
        With ``forward``, ``features`` and ``heads``.

    Raises
    ------
    SirenError
        If torch is not installed.
    """
    torch = import_torch()
    nn = torch.nn

    class Convolved(nn.Sequential):  # type: ignore[name-defined]
        """Convolution, batch normalization, ReLU; to predict, the first two are one convolution."""

        def __init__(self, before: int, after: int, stride: int = 1, kernel: int = 3) -> None:
            super().__init__(
                nn.Conv3d(before, after, kernel, stride, padding=1, bias=False),
                nn.BatchNorm3d(after),
                nn.ReLU(inplace=True),
            )

        def forward(self, x: Tensor) -> Tensor:
            convolution, even, _ = self
            if self.training or torch.is_grad_enabled():
                return super().forward(x)
            scale = even.weight / (even.running_var + even.eps).sqrt()
            weight = convolution.weight * scale[:, None, None, None, None]
            bias = even.bias - even.running_mean * scale
            y = nn.functional.conv3d(x, weight, bias, convolution.stride, convolution.padding)
            return y.relu_()

    class VoxelNetwork(nn.Module):  # type: ignore[name-defined]
        """The 3D CNN.

        From (n, 2, 32, 32, 32) and voxel size (n, 2) to logits (n, 1, 32, 32, 32), fields
        (n, FIELDS, 16, 16, 16), and (n, WHOLE).
        """

        def __init__(self) -> None:
            super().__init__()
            first, *deep = FILTERS
            self.enter, self.told = Convolved(3, first, 2, 4), nn.Linear(2, first)
            self.first = Convolved(first, deep[0])
            self.down = nn.ModuleList(
                nn.Sequential(Convolved(a, b, 2), Convolved(b, b)) for a, b in pairwise(deep)
            )
            self.narrow = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in pairwise(deep))
            self.up = nn.ModuleList(Convolved(a, a) for a in deep[:-1])
            # the first 8 are the logits of the 2^3 finer voxels
            self.fields = nn.Conv3d(first + deep[0], 8 + FIELDS, 1)
            self.whole = nn.Sequential(nn.Linear(2 * deep[-1], WHOLE), nn.ReLU(), nn.Dropout(0.2))

        def forward(self, coarse: Tensor, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            mean, peak = coarse[:, :1], coarse[:, 1:]
            # in units of the typical strong density, which noise and single peaks hardly change
            square = mean * mean
            unit = (square * mean).sum(dim=(1, 2, 3, 4), keepdim=True) / square.sum(
                dim=(1, 2, 3, 4), keepdim=True
            ).clamp(min=1e-12)
            unit = 1 / unit.clamp(min=1e-6)
            mean, peak = mean * unit, peak * unit
            seen = torch.cat(
                [(mean + 0.02).log() / 2, mean.clamp(max=4), peak.clamp(max=8) / 2], dim=1
            )
            seen = seen.contiguous(memory_format=torch.channels_last_3d)
            entered = self.enter(seen) + self.told(scale)[:, :, None, None, None]
            h = self.first(entered)
            skipped = []
            for layer in self.down:
                skipped.append(h)
                h = layer(h)
            whole = self.whole(torch.cat([h.mean(dim=(2, 3, 4)), h.amax(dim=(2, 3, 4))], dim=1))
            for skip, narrow, layer in zip(
                skipped[::-1], list(self.narrow)[::-1], list(self.up)[::-1], strict=True
            ):
                # in the order of the sum's other half, or all is copied twice
                coarse = narrow(h).contiguous(memory_format=torch.channels_last_3d)
                h = layer(skip + nn.functional.interpolate(coarse, scale_factor=2, mode="nearest"))
            made = self.fields(torch.cat([h, entered], dim=1))
            n, size = len(made), made.shape[-1]
            finer = made[:, :8].reshape(n, 2, 2, 2, size, size, size)
            finer = finer.permute(0, 4, 1, 5, 2, 6, 3).reshape(n, 1, 2 * size, 2 * size, 2 * size)
            return finer, made[:, 8:], whole

    class CompactNetwork(nn.Module):  # type: ignore[name-defined]
        """One network; see :func:`compact_network`."""

        def __init__(self) -> None:
            super().__init__()
            self.voxels = VoxelNetwork()
            self.shells = nn.Sequential(
                nn.Linear(LEVELS, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 32), nn.ReLU()
            )
            self.even = nn.BatchNorm1d(ROWS)
            self.enter = nn.Conv1d(ROWS + 32 + WHOLE + 2, WIDTH, 1)
            self.along = nn.ModuleList(
                nn.Sequential(
                    nn.BatchNorm1d(WIDTH),
                    nn.ReLU(),
                    nn.Dropout(0.1),
                    nn.Conv1d(WIDTH, WIDTH, 5, padding=2 * step, dilation=step),
                )
                for step in (1, 2, 4, 8, 4, 1)
            )
            self.score = nn.Conv1d(WIDTH, 2, 1)
            self.spread = nn.Sequential(nn.Linear(2 * WIDTH, 32), nn.ReLU(), nn.Linear(32, 1))
            self.register_buffer("levels", level_values())

        def forward(self, x: Tensor) -> Tensor:
            """(n, 1, 64, 64, 64) normalized maps to (n,) levels."""
            return self.heads(*self.features(network_input(x, encode_voxel_size([None] * len(x)))))[
                :, 0
            ]

        def features(self, inputs: NetworkInput) -> tuple[Tensor, Tensor, Tensor]:
            """Rows (n, 1, ROWS, 96), shells (n, 96) and summary (n, 1, WHOLE + 2) of n maps."""
            logit, fields, whole = self.voxels(inputs.coarse, inputs.scale)
            return (
                self.rows(inputs, logit, fields)[:, None],
                inputs.profile[:, -1],
                torch.cat([whole, inputs.scale], dim=1)[:, None],
            )

        def rows(self, inputs: NetworkInput, logit: Tensor, fields: Tensor) -> Tensor:
            """Rows (n, ROWS, 96) from the profile, and the CNN's logits (n, 1, 32, 32, 32) and
            fields (n, FIELDS, 16, 16, 16).
            """
            quarter = level_bins(nn.functional.avg_pool3d(inputs.coarse[:, :1], 2))
            at = means_at_levels(quarter.flatten(1).long(), fields.flatten(2))
            dice, volume = expected_dice(inputs.bins.flatten(1), logit.sigmoid().flatten(1))
            levels = self.levels.expand(len(at), 1, -1)
            return torch.cat(
                [inputs.profile[:, :-1], levels, at, dice[:, None], volume[:, None]], dim=1
            )

        def heads(self, rows: Tensor, shells: Tensor, whole: Tensor) -> Tensor:
            """(n, 2): level, and logarithm of its expected absolute error."""
            return self.scores(rows[:, 0], shells, whole[:, 0])[0]

        def scores(self, rows: Tensor, shells: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
            """The heads (n, 2), and (n, 2, 96) score and molecule logit of each level."""
            common = torch.cat([self.shells(shells), whole], dim=1)
            h = self.enter(
                torch.cat([self.even(rows), common[:, :, None].expand(-1, -1, LEVELS)], dim=1)
            )
            for layer in self.along:
                h = h + layer(h)
            score = self.score(h)
            level = (score[:, 0].softmax(dim=1) * self.levels).sum(dim=1, keepdim=True)
            spread = self.spread(torch.cat([h.mean(dim=2), h.amax(dim=2)], dim=1).detach())
            return torch.cat([level, spread], dim=1), score

    class Averaged(nn.Module):  # type: ignore[name-defined]
        """Several networks, whose outputs are averaged."""

        def __init__(self) -> None:
            super().__init__()
            self.members = nn.ModuleList(CompactNetwork() for _ in range(members))

        def forward(self, x: Tensor) -> Tensor:
            """(n, 1, 64, 64, 64) normalized maps to (n,) levels."""
            return self.heads(*self.features(network_input(x, encode_voxel_size([None] * len(x)))))[
                :, 0
            ]

        def features(self, inputs: NetworkInput) -> tuple[Tensor, Tensor, Tensor]:
            """Rows (n, members, ROWS, 96), shells (n, 96), summary (n, members, WHOLE + 2)."""
            rows, shells, whole = zip(
                *(member.features(inputs) for member in self.members), strict=True
            )
            return torch.cat(rows, dim=1), shells[0], torch.cat(whole, dim=1)

        def heads(self, rows: Tensor, shells: Tensor, whole: Tensor) -> Tensor:
            """(n, 2): level, and logarithm of its expected absolute error."""
            each = [
                m.scores(rows[:, k], shells, whole[:, k])[0] for k, m in enumerate(self.members)
            ]
            return torch.stack(each).mean(dim=0)

    return CompactNetwork() if members == 1 else Averaged()


def published_network() -> Module:
    """The published architecture, 2,300,545 weights, with the module names of its checkpoints.

    Raises
    ------
    SirenError
        If torch is not installed.

    References
    ----------
    Kinman et al. 2025, doi 10.1016/j.str.2025.02.004.
    """
    torch = import_torch()
    nn = torch.nn

    def conv(before: int, after: int, kernel: int) -> Module:
        return nn.Conv3d(before, after, kernel, padding=0, padding_mode="replicate")

    class PublishedNetwork(nn.Module):  # type: ignore[name-defined]
        """The published network; see :func:`published_network`."""

        def __init__(self) -> None:
            super().__init__()
            layers: list[Module] = [conv(1, 32, 7), nn.BatchNorm3d(32), nn.ReLU()]
            for before, after, kernel in ((32, 64, 5), (64, 128, 5), (128, 256, 3)):
                layers += [
                    conv(before, after, kernel),
                    nn.BatchNorm3d(after),
                    nn.ReLU(),
                    nn.MaxPool3d(2),
                ]
            layers += [conv(256, 384, 1), nn.ReLU(), nn.AvgPool3d(3, stride=2), nn.Dropout(0.3)]
            self.conv = nn.Sequential(*layers)
            self.mlp = nn.Sequential(nn.Linear(384, 64), nn.ReLU(), nn.Linear(64, 1))

        def forward(self, x: Tensor) -> Tensor:
            """(n, 1, 64, 64, 64) normalized maps to (n,) levels."""
            return self.mlp(self.conv(x).flatten(1))[:, 0]

    return PublishedNetwork()


def network_output(
    network: Module,
    x: Tensor,
    voxel_size: Sequence[float | None],
    full: Sequence[Tensor | None] | None = None,
) -> Tensor:
    """Predict levels and their expected absolute errors, both on the normalized scale.

    Parameters
    ----------
    network : torch.nn.Module
        As from :func:`compact_network` or :func:`published_network`.
    x : (n, 1, 64, 64, 64) float32
        Normalized maps.
    voxel_size : sequence of float or None
        Voxel size in A of each map at 64^3; None if unknown.
    full : sequence, optional
        See :func:`.features.network_input`.

    Returns
    -------
    (n, 2) float32
        Level and error; the error is NaN for the published network, which has none.
    """
    torch = import_torch()
    if not hasattr(network, "heads"):
        level = network(x)
        return torch.stack([level, torch.full_like(level, float("nan"))], dim=1)
    model: Any = network
    both = model.heads(*model.features(network_input(x, encode_voxel_size(voxel_size), full)))
    # clamped to the range of training
    return torch.stack([both[:, 0], both[:, 1].clamp(*LOG_SPREAD).exp()], dim=1)


def load_network(path: Path) -> LoadedNetwork:
    """Read a weights file of SIREn or a published checkpoint, without running code from it.

    Raises
    ------
    SirenError
        If torch is not installed, or the file is missing, is not a weights file, belongs to another
        architecture, or contains anything but numbers, strings and the loss object of published
        checkpoints.
    """
    torch = import_torch()
    content = _read(torch, path)
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise SirenError(f"{path.name} holds no network weights: {_FIT}.")
    if (
        isinstance(content.get("format"), str)
        and content["format"].startswith(FORMATS)
        and content["format"] != FORMAT
    ):
        raise SirenError(
            f"{path.name} was written by another version of SIREn with a different network: "
            "fine-tune again, or "
            'leave "weights" out for the shipped ones.'
        )
    state: Any
    metadata: dict[str, Any]
    if isinstance(content.get("format"), str) and content["format"] == FORMAT:
        state, metadata = content.get("state_dict"), _plain(content.get("metadata"))
        members = _members(state)
        if members > MOST_MEMBERS:
            raise SirenError(
                f"{path.name} holds {members:,} networks, more than {MOST_MEMBERS}: {_FIT}."
            )
        network, kind = compact_network(members), "siren"
    else:
        network, kind, state, metadata = published_network(), "published", content, {}
        if "model_state_dict" in content:
            state = content["model_state_dict"]
        metadata = (
            {"epoch": content["epoch"]} if isinstance(content.get("epoch"), int) else {}
        ) | _plain(content.get("metadata"))
        state = _renumbered(state, network) if _named(state) else state
    if not _named(state) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise SirenError(f"{path.name} holds no network weights: {_FIT}.")
    try:
        network.load_state_dict(state)
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        raise SirenError(
            f"{path.name} holds the weights of another network, unknown to this program: {_FIT}."
        ) from error
    if not all(bool(torch.isfinite(v).all()) for v in network.state_dict().values()):
        raise SirenError(
            f"{path.name} has weights that are not finite numbers, as after a "
            f"training that diverged: {_FIT}."
        )
    return LoadedNetwork(network.eval(), kind, metadata)


def _read(torch: Any, path: Path) -> Any:
    if not path.exists() or path.is_dir():
        raise SirenError(
            f"{path}: there is no such file. Give a weights file, or leave "
            '"weights" out for the shipped one.'
        )
    _check_size(path)
    # published checkpoints contain a pickled loss object; besides tensors and plain values, only
    # this class is allowed
    try:
        with (
            open_file(path) as file,
            warnings.catch_warnings(),
            torch.serialization.safe_globals([torch.nn.modules.loss.MSELoss]),
        ):
            warnings.simplefilter("ignore")  # torch warns about the pickle protocol
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "unsupported global" in str(error).lower() or "unsupported class" in str(error).lower():
            raise SirenError(
                f"{path.name} was refused: opening it could run code, which no "
                "weights file needs. Do not "
                "open it with other programs; get it again from its authors."
            ) from error
        raise SirenError(f"{path.name} cannot be read as network weights: {_FIT}.") from error
    except Exception as error:  # torch raises many types for damaged archives
        raise SirenError(f"{path.name} cannot be read as network weights: {_FIT}.") from error


def _check_size(path: Path) -> None:
    """Refuse what would unpack to far more than any network: weights are not compressed."""
    try:
        with open_file(path) as file:
            unpacked = os.fstat(file.fileno()).st_size
            if zipfile.is_zipfile(file):
                unpacked = max(unpacked, sum(i.file_size for i in zipfile.ZipFile(file).infolist()))
    except SirenError:
        raise
    except Exception:  # a damaged archive: torch says so
        return
    if unpacked > MOST_BYTES:
        raise SirenError(
            f"{path.name} holds {unpacked / (1 << 20):,.0f} MB, more than any weights file "
            f"({MOST_BYTES >> 20} MB): {_FIT}."
        )


def _named(state: Any) -> bool:
    return isinstance(state, dict) and all(isinstance(key, str) for key in state)


def _plain(metadata: Any) -> dict[str, Any]:
    """The numbers, texts, lists and tables of a file's metadata that could be written as JSON."""
    left = [MOST_ENTRIES]  # tables that contain each other grow without end

    def plain(value: Any, depth: int) -> Any:
        left[0] -= 1
        if left[0] < 0 or depth > 8:
            return None
        if isinstance(value, dict):
            return {k: plain(v, depth + 1) for k, v in value.items() if isinstance(k, str)}
        if isinstance(value, list | tuple):
            return [plain(v, depth + 1) for v in value]
        return value if isinstance(value, int | float | str) else None

    return plain(metadata, 0) if isinstance(metadata, dict) and len(metadata) < MOST_ENTRIES else {}


def _members(state: Any) -> int:
    """Number of networks in a weights file of SIREn."""
    names = [key.split(".") for key in state] if _named(state) else []
    return max(1, len({n[1] for n in names if n[0] == "members" and len(n) > 2}))


def _renumbered(state: dict[str, Any], network: Module) -> dict[str, Any]:
    """Map the keys of a checkpoint to those of ``network``.

    Layers without weights may be numbered differently; the prefix ``module.`` of a wrapper is
    removed.
    """
    ours = [key.rsplit(".", 1)[0] for key in network.state_dict()]
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    names: dict[str, str] = {}
    for group in ("conv", "mlp"):
        theirs = {k.rsplit(".", 1)[0] for k in state if k.startswith(group + ".")}
        order = sorted(theirs, key=lambda n: (_layer(n), n))
        names |= dict(
            zip(order, dict.fromkeys(o for o in ours if o.startswith(group + ".")), strict=False)
        )
    return {
        names.get(k.rsplit(".", 1)[0], k.rsplit(".", 1)[0]) + "." + k.rsplit(".", 1)[-1]: v
        for k, v in state.items()
    }


def _layer(name: str) -> int:
    number = re.match(r"[a-z]+\.([0-9]{1,6})(\.|$)", name)
    return int(number[1]) if number else -1


def save_network(
    path: Path, network: Module, metadata: dict[str, Any], kind: str = "siren", half: bool = True
) -> None:
    """Write a weights file, completely or not at all; equal content gives equal bytes.

    Parameters
    ----------
    path : Path
    network : torch.nn.Module
        As from :func:`compact_network` or :func:`published_network`.
    metadata : dict
        Numbers and strings.
    kind : str
        ``siren``, or ``published`` for a checkpoint with ``model_state_dict``, which the published
        tool reads.
    half : bool
        Write half-precision weights.

    Raises
    ------
    SirenError
        If the file cannot be written.
    """
    torch = import_torch()
    state = {k: v.detach().cpu() for k, v in network.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    # subclasses of str, such as torch's version, would be refused on reading
    plain = json.loads(json.dumps(metadata))
    content = (
        {"model_state_dict": state}
        if kind == "published"
        else {"format": FORMAT, "state_dict": state}
    )
    buffer = io.BytesIO()  # saved to a path, the file would contain its name
    torch.save({**content, "metadata": plain}, buffer)
    with atomic_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
