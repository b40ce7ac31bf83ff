"""The networks that predict a threshold from a normalised 64^3 map, and how their weights are read.

torch is imported when a network is made, never before: everything else works without it.
"""

from __future__ import annotations

import io
import json
import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.errors import SirenError
from ..common.files import whole_file
from .features import CHANNELS, LEVELS, Seen, at_levels, bins_of, dice_above, level_values, seen_of
from .voxel_size import scale_of

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

BOX = 64
FORMATS = "siren-thresholds-"  # and a number, which changes with the network
FORMAT = f"{FORMATS}3"
DEFAULT_NAME = "siren_thresholds.pt"
FILTERS = (8, 24, 48, 64)  # of the 3D CNN at 32^3, 16^3, 8^3 and 4^3
FIELDS, WHOLE = 6, 32  # numbers that it says of each voxel, and of the whole
# profile without its shells, levels, fields, expected Dice and volume
ROWS = CHANNELS - 1 + 1 + FIELDS + 2
WIDTH = 64
LOG_SPREAD = (-6.0, 1.0)  # bounds of the logarithm of the expected error
_FIT = "give a weights file of this program, or the published checkpoint (weights_5e6.pth)"


@dataclass(frozen=True)
class LoadedNetwork:
    """A network ready to predict.

    Attributes
    ----------
    network : torch.nn.Module
        In evaluation mode, on the CPU: (n, 1, 64, 64, 64) float32 to (n,) levels on the normalised
        scale.
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
        raise SirenError(
            'torch is not installed: "siren predict" needs it. Install it with: pip '
            "install torch (about 200 MB). "
            '"siren sketch" works without, with "level" or "thresholds".'
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
    """The network of this program, or the mean of several.

    It looks at a map in two ways. A 3D CNN (an encoder and decoder, 32^3 to 4^3 and back) says of
    each voxel how likely it is of the molecule, and a few numbers more. The profile, see
    :func:`.features.seen_of`, says how what lies above each of 96 levels is made up; what the CNN
    says of the voxels at each level, and the Dice that each level is expected to have by it, joins
    the profile. Convolutions along it, told also the size of the voxels and what the CNN sees of
    the whole, score each level; the answer is the mean of the levels weighted by the softmax of
    their scores. A second number is the logarithm of the expected absolute error. Both count on the
    normalised scale.

    ``features`` does all that depends on the map's voxels, ``heads`` the rest: fine-tuning trains
    the latter.

    Parameters
    ----------
    members : networks of one kind, trained from different starts, whose answers are averaged
    """
    torch = import_torch()
    nn = torch.nn

    def convolved(before: int, after: int, stride: int = 1) -> Module:
        return nn.Sequential(
            nn.Conv3d(before, after, 3, stride, padding=1, bias=False),
            nn.BatchNorm3d(after),
            nn.ReLU(),
        )

    class Voxels(nn.Module):  # type: ignore[name-defined]
        """The 3D CNN: (n, 2, 32, 32, 32) and scale (n, 2) to FIELDS numbers a voxel, the first its
        logit, and WHOLE of the whole.
        """

        def __init__(self) -> None:
            super().__init__()
            sizes = FILTERS
            self.enter, self.told = convolved(3, sizes[0]), nn.Linear(2, sizes[0])
            self.first = convolved(sizes[0], sizes[0])
            self.down = nn.ModuleList(
                nn.Sequential(convolved(a, b, 2), convolved(b, b)) for a, b in pairwise(sizes)
            )
            self.narrow = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in pairwise(sizes))
            self.up = nn.ModuleList(convolved(a, a) for a in sizes[:-1])
            self.fields = nn.Conv3d(sizes[0], FIELDS, 1)
            self.whole = nn.Sequential(nn.Linear(2 * sizes[-1], WHOLE), nn.ReLU(), nn.Dropout(0.2))

        def forward(self, coarse: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
            mean, peak = coarse[:, :1], coarse[:, 1:]
            # in units of the density where there is much of it: noise and single peaks hardly move
            # it
            unit = (mean**3).sum(dim=(1, 2, 3, 4), keepdim=True) / (mean**2).sum(
                dim=(1, 2, 3, 4), keepdim=True
            ).clamp(min=1e-12)
            mean, peak = mean / unit.clamp(min=1e-6), peak / unit.clamp(min=1e-6)
            seen = torch.cat(
                [(mean + 0.02).log() / 2, mean.clamp(max=4), peak.clamp(max=8) / 2], dim=1
            )
            seen = seen.contiguous(memory_format=torch.channels_last_3d)
            h = self.first(self.enter(seen) + self.told(scale)[:, :, None, None, None])
            skipped = []
            for layer in self.down:
                skipped.append(h)
                h = layer(h)
            whole = self.whole(torch.cat([h.mean(dim=(2, 3, 4)), h.amax(dim=(2, 3, 4))], dim=1))
            for skip, narrow, layer in zip(
                skipped[::-1], list(self.narrow)[::-1], list(self.up)[::-1], strict=True
            ):
                h = layer(
                    skip + nn.functional.interpolate(narrow(h), scale_factor=2, mode="nearest")
                )
            return self.fields(h), whole

    class CompactNetwork(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.voxels = Voxels()
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
            """(n, 1, 64, 64, 64) normalised maps to (n,) levels."""
            return self.heads(*self.features(seen_of(x, scale_of([None] * len(x)))))[:, 0]

        def features(self, seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
            """Rows (n, 1, ROWS, 96), shells (n, 96) and the whole (n, 1, WHOLE + 2) of maps."""
            fields, whole = self.voxels(seen.coarse, seen.scale)
            return (
                self.rows(seen, fields)[:, None],
                seen.profile[:, -1],
                torch.cat([whole, seen.scale], dim=1)[:, None],
            )

        def rows(self, seen: Seen, fields: Tensor) -> Tensor:
            """Rows (n, ROWS, 96) of maps, with what the 3D CNN says of their voxels (n, FIELDS, 32,
            32, 32).
            """
            half = bins_of(seen.coarse[:, 0])
            at = at_levels(half.flatten(1).long(), fields.flatten(2))
            inside = fields[:, :1].sigmoid()
            inside = nn.functional.interpolate(inside, scale_factor=2, mode="nearest")
            dice, volume = dice_above(seen.bins.flatten(1), inside.flatten(1))
            levels = self.levels.expand(len(at), 1, -1)
            return torch.cat(
                [seen.profile[:, :-1], levels, at, dice[:, None], volume[:, None]], dim=1
            )

        def heads(self, rows: Tensor, shells: Tensor, whole: Tensor) -> Tensor:
            """(n, 2): level, and logarithm of its expected absolute error."""
            return self.scores(rows[:, 0], shells, whole[:, 0])[0]

        def scores(self, rows: Tensor, shells: Tensor, whole: Tensor) -> tuple[Tensor, Tensor]:
            """The heads (n, 2), and for each level (n, 2, 96) its score and the logit that a voxel
            at it is of the molecule.
            """
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
        def __init__(self) -> None:
            super().__init__()
            self.members = nn.ModuleList(CompactNetwork() for _ in range(members))

        def forward(self, x: Tensor) -> Tensor:
            """(n, 1, 64, 64, 64) normalised maps to (n,) levels."""
            return self.heads(*self.features(seen_of(x, scale_of([None] * len(x)))))[:, 0]

        def features(self, seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
            """Rows (n, members, ROWS, 96), shells (n, 96) and the whole (n, members, WHOLE + 2) of
            maps.
            """
            rows, shells, whole = zip(
                *(member.features(seen) for member in self.members), strict=True
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
    """The published architecture, 2,300,545 weights; module names and numbering as in its
    checkpoints.

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
            """(n, 1, 64, 64, 64) normalised maps to (n,) levels."""
            return self.mlp(self.conv(x).flatten(1))[:, 0]

    return PublishedNetwork()


def answers(
    network: Module,
    x: Tensor,
    voxel_size: Sequence[float | None],
    full: Sequence[Tensor | None] | None = None,
) -> Tensor:
    """What a network says of normalised maps (n, 1, 64, 64, 64): (n, 2), each level and its
    expected absolute error.

    Both answers are on the normalised scale; the error is NaN for a network that gives none, as the
    published one.

    Parameters
    ----------
    network : as from :func:`compact_network` or :func:`published_network`
    x : (n, 1, 64, 64, 64)
    voxel_size : edge in A of each map's voxels in its 64^3 box, None where it is not known
    full : see :func:`.features.seen_of`
    """
    torch = import_torch()
    if not hasattr(network, "heads"):
        level = network(x)
        return torch.stack([level, torch.full_like(level, float("nan"))], dim=1)
    ours: Any = network
    both = ours.heads(*ours.features(seen_of(x, scale_of(voxel_size), full)))
    # as far as it was trained
    return torch.stack([both[:, 0], both[:, 1].clamp(*LOG_SPREAD).exp()], dim=1)


def load_network(path: Path) -> LoadedNetwork:
    """Read a weights file: this program's, or a published checkpoint. Nothing in the file is ever
    run.

    Raises
    ------
    SirenError
        If the file is missing, is not a weights file, holds anything but numbers, texts and the
        loss object of a published checkpoint, or belongs to another architecture.
    """
    torch = import_torch()
    content = _read(torch, path)
    if (
        isinstance(content, dict)
        and str(content.get("format")).startswith(FORMATS)
        and content["format"] != FORMAT
    ):
        raise SirenError(
            f"{path.name} was written by another version of SIREn, whose network this "
            "one does not know: fine-tune again, or "
            'leave "weights" out for the shipped ones.'
        )
    if isinstance(content, dict) and content.get("format") == FORMAT:
        state = content.get("state_dict")
        network, kind = compact_network(_members(state)), "siren"
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
        raise SirenError(
            f"{path.name} holds the weights of another network than this program knows: {_FIT}."
        ) from error
    if not all(bool(torch.isfinite(v).all()) for v in network.state_dict().values()):
        raise SirenError(
            f"{path.name} has weights that are not finite numbers, as after a "
            f"training that diverged: {_FIT}."
        )
    return LoadedNetwork(network.eval(), kind, metadata)


def _read(torch: Any, path: Path) -> Any:
    if not path.is_file():
        raise SirenError(
            f"{path}: there is no such file. Give a weights file, or leave "
            '"weights" out for the shipped one.'
        )
    # A published checkpoint pickles its loss object; this class alone is let in beside tensors and
    # plain values.
    try:
        with (
            warnings.catch_warnings(),
            torch.serialization.safe_globals([torch.nn.modules.loss.MSELoss]),
        ):
            warnings.simplefilter("ignore")  # torch remarks on a pickle's protocol
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "unsupported global" in str(error).lower() or "unsupported class" in str(error).lower():
            raise SirenError(
                f"{path.name} was refused: opening it could run code, which no "
                "weights file needs. Do not "
                "open it with other programs; get it again from its authors."
            ) from error
        raise SirenError(f"{path.name} cannot be read as network weights: {_FIT}.") from error
    except Exception as error:  # whatever a damaged archive makes torch's readers raise
        raise SirenError(f"{path.name} cannot be read as network weights: {_FIT}.") from error


def _members(state: Any) -> int:
    """How many networks a file of this program holds."""
    names = [str(key).split(".") for key in state] if isinstance(state, dict) else []
    return max(1, len({n[1] for n in names if n[0] == "members" and len(n) > 2}))


def _renumbered(state: dict[str, Any], network: Module) -> dict[str, Any]:
    """Keys as in ``network``: layers without weights may be counted differently, and a wrapper's
    ``module.`` goes.
    """
    ours = [key.rsplit(".", 1)[0] for key in network.state_dict()]
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    names: dict[str, str] = {}
    for group in ("conv", "mlp"):
        theirs = {k.rsplit(".", 1)[0] for k in state if k.startswith(group + ".")}
        order = sorted(
            theirs, key=lambda n: (int(n.split(".")[1]) if n.split(".")[1].isdigit() else -1, n)
        )
        names |= dict(
            zip(order, dict.fromkeys(o for o in ours if o.startswith(group + ".")), strict=False)
        )
    return {
        names.get(k.rsplit(".", 1)[0], k.rsplit(".", 1)[0]) + "." + k.rsplit(".", 1)[-1]: v
        for k, v in state.items()
    }


def save_network(
    path: Path, network: Module, metadata: dict[str, Any], kind: str = "siren", half: bool = True
) -> None:
    """Write a weights file: weights and plain metadata; whole or not at all, the same bytes for the
    same content.

    Parameters
    ----------
    path : Path
    network : torch.nn.Module
        As from :func:`compact_network`, or :func:`published_network`.
    metadata : dict of plain numbers and texts
    kind : ``siren``, or ``published``: a checkpoint with ``model_state_dict``, which the published
        tool reads
    half : half-precision weights
    """
    torch = import_torch()
    state = {k: v.detach().cpu() for k, v in network.state_dict().items()}
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    # a subclass of str, as torch's version is, would be refused on reading
    plain = json.loads(json.dumps(metadata))
    content = (
        {"model_state_dict": state}
        if kind == "published"
        else {"format": FORMAT, "state_dict": state}
    )
    buffer = io.BytesIO()  # saved to a path, the file would hold the path's name
    torch.save({**content, "metadata": plain}, buffer)
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.getvalue())
