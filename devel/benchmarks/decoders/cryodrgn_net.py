"""Volumes of cryoDRGN's own network (Zhong et al. 2021, doi 10.1038/s41592-020-01049-4).

Encoder and decoder are the classes of the package ``cryodrgn`` (4.3.1, ``HetOnlyVAE`` with residual
layers, positional encoding, its loss and its weight of the divergence, 1 / zdim). The loop around
them is ours, six times as fast as its own, which :mod:`.train_vae` runs: a step compares a draw of
one half-plane's coefficients, not all of both halves. The network is smaller than its default (3 x 128 in place of 3 x 1024) and trained for few epochs, so it is undertrained.
Seconds a recipe: some 100 to 300 on one core.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .core_api import Absent
from .particles import Particles

LAYERS, WIDTH = 3, 128  # hidden layers of encoder and decoder, and their size
BATCH, RATE = 32, 1e-3
SEEN = 128  # coefficients of an image that a step compares: a random draw of them
POINTS = 40_000  # evaluated together


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
        axis = np.fft.fftfreq(box, 1 / box).astype(int)
        z, y, x = np.meshgrid(axis, axis, np.arange(box // 2 + 1), indexing="ij")
        inside = z**2 + y**2 + x**2 <= self.reach**2
        points = torch.tensor(np.stack([x, y, z], -1)[inside] / box, dtype=torch.float32)
        result = np.empty((len(latents), box, box, box), np.float32)
        self.model.eval()
        with torch.no_grad():
            for volume, latent in zip(result, torch.tensor(latents), strict=True):
                rows = torch.hstack([points, latent.expand(len(points), -1)])
                found = torch.vstack([self.model.decoder.decode(p) for p in rows.split(POINTS)])
                whole = np.zeros(inside.shape, np.complex64)
                whole[inside] = torch.complex(found[:, 0], found[:, 1]).numpy() / self.scale
                volume[:] = np.roll(np.fft.irfftn(whole, (box,) * 3), box // 2, (0, 1, 2))
        return result


def train(particles: Particles, dimensions: int, epochs: int = 25, seed: int = 0) -> Trained:
    """Train on particles of known pose.

    Parameters
    ----------
    dimensions : zdim
    epochs : passes over the images

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
    model = models.HetOnlyVAE(
        lattice.Lattice(particles.box + 1, extent=0.5),
        LAYERS,
        WIDTH,
        LAYERS,
        WIDTH,
        2 * wide,
        dimensions,
        enc_type="geom_lowf",
    )
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    beta = 1 / dimensions
    model.train()
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = RATE * (1 if epoch < 0.7 * epochs else 0.2)
        for batch in torch.randperm(count).split(BATCH):
            mean, log_variance = model.encode(seen[batch])
            latent = model.reparameterize(mean, log_variance)
            some = torch.randperm(wide)[:SEEN]
            rows = model.cat_z(coordinates[batch][:, some], latent)
            rest = model.decoder.decode(rows) * filters[batch][:, some, None] - data[batch][:, some]
            divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
            loss = (rest**2).mean() + beta * divergence / (2 * wide)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        latents = model.encode(seen)[0].numpy().astype(np.float32)
    reach = float(np.linalg.norm(particles.frequencies, axis=1).max())
    return Trained(latents, model, particles.box, reach, scale)


def package() -> tuple[Any, Any]:
    """``cryodrgn.models`` and ``cryodrgn.lattice``."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("cryodrgn") is None:
        raise Absent("cryodrgn and torch are not installed")
    import cryodrgn.lattice
    import cryodrgn.models

    return cryodrgn.models, cryodrgn.lattice
