"""Volumes of cryoDRGN as its own command ``cryodrgn train_vae`` trains it.

The command gets what :mod:`.files` writes, downsampled to the simulated frequencies. On a processor
the network is smaller than its default (3 x 128 in place of 3 x 1024), for one core, and learns five
times as fast, for thousands of particles where users have 100,000; all else is its default, batches
of 16 images and beta = 1 / zdim among it. On a graphics card all is its default but for the window,
which the images do not need. :mod:`.cryodrgn_net` is the same network in a loop of ours.
"""

from __future__ import annotations

import pickle
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cryodrgn_net import package
from .files import command, resampled, smallest_box, write
from .particles import Particles

LAYERS, WIDTH, RATE = 3, 128, 5e-4
# Its command line as a whole imports a web server, so its subcommand is run alone
COMMAND = """
import argparse
from cryodrgn.commands import train_vae
parser = argparse.ArgumentParser()
train_vae.add_args(parser)
train_vae.main(parser.parse_args())
"""


@dataclass(frozen=True)
class Own:
    """What ``train_vae`` trained.

    Attributes
    ----------
    latents : (P, K) float32, means of the encoder's posterior
    decoder : cryodrgn.models.Decoder
    lattice : cryodrgn.lattice.Lattice
    norm : mean and SD by which it normalized the images' transforms
    box : voxels a side of the volumes
    scale : that of its volumes over the density
    """

    latents: NDArray[np.float32]
    decoder: Any
    lattice: Any
    norm: tuple[float, float]
    box: int
    scale: float

    def volumes(self, latents: NDArray[np.floating]) -> NDArray[np.float32]:
        """(V, z, y, x) densities at (V, K) latents, as ``cryodrgn eval_vol`` makes them."""
        lattice = self.lattice
        own = (
            self.decoder.eval_volume(lattice.coords, lattice.D, lattice.extent, self.norm, latent)
            for latent in latents
        )
        own = (resampled(v.cpu().numpy(), self.box) for v in own)
        return np.stack(list(own)) / np.float32(self.scale)


def train(
    particles: Particles,
    dimensions: int,
    epochs: int = 25,
    seed: int = 0,
    width: int = WIDTH,
    device: str = "cpu",
    folder: Path | None = None,
) -> Own:
    """Train on particles of known pose.

    Parameters
    ----------
    dimensions : zdim
    epochs : passes over the images
    width : of the hidden layers
    device : ``cpu`` or ``cuda``
    folder : what it writes stays there; none: a temporary one

    Raises
    ------
    Absent
        If torch or cryodrgn is not installed.
    """
    models, _ = package()
    import torch
    from cryodrgn import config

    torch.set_num_threads(1)
    box = smallest_box(particles)
    with tempfile.TemporaryDirectory() as name:
        folder = folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, particles, box, 1, seed)
        command(
            [
                *(sys.executable, "-c", COMMAND, "particles.mrcs", "-o", "out"),
                *("--poses", "poses.pkl", "--ctf", "ctf.pkl", "--zdim", str(dimensions)),
                *("--enc-layers", str(LAYERS), "--enc-dim", str(width)),
                *("--dec-layers", str(LAYERS), "--dec-dim", str(width)),
                *("-n", str(epochs), "--seed", str(seed)),
                *(("--lr", str(RATE), "--no-amp") if device == "cpu" else ()),
                *("--no-window", "--no-analysis", "--checkpoint", "0"),
            ],
            folder,
        )
        made = config.load(str(folder / "out" / "config.yaml"))
        model, lattice = models.HetOnlyVAE.load(
            made, str(folder / "out" / "weights.pkl"), torch.device(device)
        )
        with (folder / "out" / "z.pkl").open("rb") as file:
            latents = np.asarray(pickle.load(file), np.float32)
    model.eval()
    norm = float(made["dataset_args"]["norm"][0]), float(made["dataset_args"]["norm"][1])
    scale = particles.scale * box * (particles.box / box) ** 3
    return Own(latents, model.decoder, lattice, norm, particles.box, scale)
