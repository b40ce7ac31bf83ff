"""Volumes of cryoDRGN as its own command ``cryodrgn train_vae`` trains it.

The command gets what :mod:`.files` writes, downsampled to the simulated frequencies. The network is
smaller than its default (3 x 128 in place of 3 x 1024), for one core, and learns five times as fast,
for thousands of particles where users have 100,000; all else is its default, batches of 8 images and
beta = 1 / zdim among it. :mod:`.cryodrgn_net` is the same network in a loop of ours.
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
        return np.stack([resampled(v.numpy(), self.box) for v in own]) / np.float32(self.scale)


def train(
    particles: Particles,
    dimensions: int,
    epochs: int = 25,
    seed: int = 0,
    folder: Path | None = None,
) -> Own:
    """Train on particles of known pose.

    Parameters
    ----------
    dimensions : zdim
    epochs : passes over the images
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
                *("--enc-layers", str(LAYERS), "--enc-dim", str(WIDTH)),
                *("--dec-layers", str(LAYERS), "--dec-dim", str(WIDTH)),
                *("--lr", str(RATE), "-n", str(epochs), "--seed", str(seed)),
                *("--no-window", "--no-amp", "--no-analysis", "--checkpoint", "0"),
            ],
            folder,
        )
        made = config.load(str(folder / "out" / "config.yaml"))
        model, lattice = models.HetOnlyVAE.load(made, str(folder / "out" / "weights.pkl"))
        with (folder / "out" / "z.pkl").open("rb") as file:
            latents = np.asarray(pickle.load(file), np.float32)
    model.eval()
    norm = float(made["dataset_args"]["norm"][0]), float(made["dataset_args"]["norm"][1])
    scale = particles.scale * box * (particles.box / box) ** 3
    return Own(latents, model.decoder, lattice, norm, particles.box, scale)
