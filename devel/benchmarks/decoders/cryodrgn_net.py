"""Volumes of cryoDRGN's own network (Zhong et al. 2021, doi 10.1038/s41592-020-01049-4).

Encoder and decoder are the classes of the package ``cryodrgn`` (4.3.1, ``HetOnlyVAE`` with residual
layers, positional encoding, its loss and its weight of the divergence, 1 / zdim). The loop around
them is ours, six times as fast as its own, which :mod:`.train_vae` runs: a step compares one
half-plane's coefficients, not both halves.

On a processor the network is smaller than its default (3 x 128 in place of 3 x 1024), a step sees a
draw of the coefficients, and few epochs leave it undertrained: 100 to 300 seconds a recipe. On a
graphics card it is as users train it: up to 3 x 1024, Gaussian encoding, mixed precision, all
coefficients; there a whole step is recorded once and replayed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .core_api import Absent
from .particles import Particles

LAYERS, WIDTH = 3, 128  # hidden layers of encoder and decoder, and their size on a processor
BATCH, RATE = 32, 1e-3
LARGER = 2  # batches on a card; the rate grows by its root
SLOWER = 0.75  # the rate falls by this power of the width
SEEN = 128  # coefficients of an image that a step on a processor compares: a random draw of them
POINTS = 40_000  # evaluated together
SPREAD = 0.5  # of the Gaussian encoding, cryoDRGN's default


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes
    ----------
    latents : (P, K) float32, means of the encoder's posterior
    model : cryodrgn.models.HetOnlyVAE
    box : voxels a side
    reach : greatest radius in Fourier space, cycles a box
    scale : that of the network's output over the transform of the density
    """

    latents: NDArray[np.float32]
    model: Any
    box: int
    reach: float
    scale: float

    def volumes(self, latents: NDArray[np.floating]) -> NDArray[np.float32]:
        """(V, z, y, x) densities at (V, K) latents."""
        import torch

        box = self.box
        device = next(self.model.parameters()).device
        axis = np.fft.fftfreq(box, 1 / box).astype(int)
        z, y, x = np.meshgrid(axis, axis, np.arange(box // 2 + 1), indexing="ij")
        inside = z**2 + y**2 + x**2 <= self.reach**2
        points = torch.tensor(np.stack([x, y, z], -1)[inside] / box, dtype=torch.float32)
        points = points.to(device)
        result = np.empty((len(latents), box, box, box), np.float32)
        self.model.eval()
        with torch.no_grad():
            rows_of = torch.tensor(latents, device=device)
            for volume, latent in zip(result, rows_of, strict=True):
                rows = torch.hstack([points, latent.expand(len(points), -1)])
                found = torch.vstack([_decoded(self.model, p) for p in rows.split(POINTS)])
                found = found.cpu()
                whole = np.zeros(inside.shape, np.complex64)
                whole[inside] = torch.complex(found[:, 0], found[:, 1]).numpy() / self.scale
                volume[:] = np.roll(np.fft.irfftn(whole, (box,) * 3), box // 2, (0, 1, 2))
        return result


def train(
    particles: Particles,
    dimensions: int,
    epochs: int = 25,
    seed: int = 0,
    width: int = WIDTH,
    device: str = "cpu",
    turn: AbstractContextManager[Any] | None = None,
) -> Trained:
    """Train on particles of known pose.

    Parameters
    ----------
    dimensions : zdim
    epochs : passes over the images
    width : of the hidden layers
    device : ``cpu`` or ``cuda``
    turn : held while the device is used, for processes side by side

    Raises
    ------
    Absent
        If torch or cryodrgn is not installed.
    """
    models, lattice = package()
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    count, wide = particles.data.shape
    scale = float(np.abs(particles.filters).max())
    data = torch.tensor(np.stack([particles.data.real, particles.data.imag], -1))
    filters = torch.tensor(particles.filters / scale)
    points = particles.frequencies @ particles.rotations[:, :2] / particles.box
    coordinates = torch.tensor(points, dtype=torch.float32)
    # What its encoder sees: phase-flipped images in Hartley space, both halves of the plane
    flipped = data * torch.sign(filters)[..., None]
    seen = torch.cat([flipped[..., 0] - flipped[..., 1], flipped[..., 0] + flipped[..., 1]], 1)
    seen = seen / seen.std()
    card = device != "cpu"
    with turn or nullcontext():
        model = models.HetOnlyVAE(
            lattice.Lattice(particles.box + 1, extent=0.5),
            LAYERS,
            width,
            LAYERS,
            width,
            2 * wide,
            dimensions,
            enc_type="gaussian" if card else "geom_lowf",
            feat_sigma=SPREAD if card else None,
        ).to(device)
        data, filters, coordinates, seen = (
            t.to(device) for t in (data, filters, coordinates, seen)
        )
        size = BATCH * (LARGER if card else 1)
        first = RATE * (WIDTH / width) ** SLOWER * (size / BATCH) ** 0.5
        rate = torch.tensor(first, device=device) if card else first
        optimizer = torch.optim.Adam(model.parameters(), rate, fused=card, capturable=card)
        beta = 1 / dimensions

        def step(batch: Any) -> None:
            mean, log_variance = model.encode(seen[batch])
            latent = model.reparameterize(mean, log_variance)
            some = slice(None) if card else torch.randperm(wide)[:SEEN]
            found = _decoded(model, model.cat_z(coordinates[batch][:, some], latent))
            rest = found * filters[batch][:, some, None] - data[batch][:, some]
            divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
            loss = (rest**2).mean() + beta * divergence / (2 * wide)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        model.train()
        run = _recorded(step, size, device) if card else step
        for epoch in range(epochs):
            now = first * (1 if epoch < 0.7 * epochs else 0.2)
            if card:
                rate.fill_(now)
            else:
                optimizer.param_groups[0]["lr"] = now
            for batch in torch.randperm(count, device=device).split(size):
                run(batch)
        model.eval()
        with torch.no_grad():
            latents = torch.cat([model.encode(s)[0] for s in seen.split(count)]).cpu().numpy()
    reach = float(np.linalg.norm(particles.frequencies, axis=1).max())
    return Trained(latents.astype(np.float32), model, particles.box, reach, scale)


def _decoded(model: Any, rows: Any) -> Any:
    """What ``FTPositionalDecoder.decode`` gives, without its masks, which no graph can record."""
    import torch

    sign = 1 - 2 * (rows[..., 2:3] > 0).to(rows.dtype)
    rows = torch.cat([rows[..., :3] * sign, rows[..., 3:]], -1)
    decoder = model.decoder
    found = decoder.decoder(decoder.positional_encoding_geom(rows))
    return torch.stack([found[..., 0], found[..., 1] * sign[..., 0]], -1)


def _recorded(step: Callable[[Any], None], size: int, device: str) -> Callable[[Any], None]:
    """A step in mixed precision, recorded once: a replay starts it without a call a kernel."""
    import torch

    rows = torch.arange(size, device=device)

    def mixed() -> None:
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            step(rows)

    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            mixed()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        mixed()

    def replay(batch: Any) -> None:
        if len(batch) == size:  # the last of an epoch is shorter, and left out
            rows.copy_(batch)
            graph.replay()

    return replay


def package() -> tuple[Any, Any]:
    """``cryodrgn.models`` and ``cryodrgn.lattice``."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("cryodrgn") is None:
        raise Absent("cryodrgn and torch are not installed")
    import cryodrgn.lattice
    import cryodrgn.models

    return cryodrgn.models, cryodrgn.lattice
