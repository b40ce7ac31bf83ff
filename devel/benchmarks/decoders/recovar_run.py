"""Mean, components and latents by RECOVAR itself (Gilles & Singer 2025).

doi 10.1073/pnas.2419140122.

The package ``recovar`` 1.0.5 from PyPI runs on the CPU (``--accept-cpu``): 2,000 images of 32^2
took about 7 minutes of half a core. It is run as a command, in an environment of its own, as it
wants a newer numpy: set RECOVAR to its path, or have ``recovar`` on PATH.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import tempfile
from pathlib import Path

import mrcfile
import numpy as np
from numpy.typing import NDArray

from .core_api import Absent
from .particles import AMPLITUDE, SPHERICAL, VOLTAGE, Particles
from .subspace import Subspace


def images(particles: Particles, rng: np.random.Generator) -> NDArray[np.float32]:
    """(P, y, x) images in real space; frequencies beyond those simulated get noise as strong."""
    box, (x, y) = particles.box, particles.frequencies.T
    noise = rng.standard_normal((len(particles), box, box)) * np.sqrt(2) / box
    result = np.fft.fft2(noise) * box  # E|n|^2 = 2 box^2 as ifft2 divides by box^2
    result[:, y % box, x % box] = particles.data * box
    result[:, -y % box, -x % box] = particles.data.conj() * box
    result[:, 0, 0] = result[:, 0, 0].real
    real = np.fft.ifft2(result).real
    return np.roll(real, box // 2, (1, 2)).astype(np.float32)


def run(particles: Particles, voxel_size: float, dimensions: int, seed: int = 0) -> Subspace:
    """Run its pipeline on particles of known pose.

    Parameters
    ----------
    voxel_size : A
    dimensions : of the latents

    Raises
    ------
    Absent
        If the command is not found.
    """
    command = os.environ.get("RECOVAR") or shutil.which("recovar")
    if not command:
        raise Absent("recovar is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scale = float(np.abs(particles.filters).max()) * particles.box
        # Its contrast transfer has the other sign: protein is dark
        stack = -images(particles, np.random.default_rng([seed, 80]))
        with mrcfile.new(folder / "particles.mrcs") as file:
            file.set_data(stack)
            file.voxel_size = voxel_size
        count = len(particles)
        ctf = np.empty((count, 9))
        ctf[:] = [particles.box, voxel_size, 0, 0, 0, VOLTAGE / 1e3, SPHERICAL / 1e7, AMPLITUDE, 0]
        ctf[:, 2] = ctf[:, 3] = particles.defocus
        poses = particles.rotations.astype(np.float32), np.zeros((count, 2), np.float32)
        for file_name, content in (("ctf.pkl", ctf.astype(np.float32)), ("poses.pkl", poses)):
            (folder / file_name).write_bytes(pickle.dumps(content))
        subprocess.run(
            [command, "pipeline", "particles.mrcs", "-o", "out", "--poses", "poses.pkl", "--ctf",
             "ctf.pkl", "--mask", "sphere", "--zdim", str(dimensions), "--accept-cpu",
             "--low-memory-option", "--no-downsample", "--uninvert-data", "false"],
            cwd=folder, check=True, env={**os.environ, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return _read(folder / "out", dimensions, scale)


def _read(folder: Path, dimensions: int, scale: float) -> Subspace:
    """What it wrote, in units of the density; components of unit latent variance."""
    def volume(name: str) -> NDArray[np.float32]:
        return np.asarray(mrcfile.read(folder / "output" / "volumes" / name), np.float32) / scale

    latents = np.load(folder / "model" / f"zdim_{dimensions}" / "latent_coords.npy")
    components = np.stack([volume(f"eigen_pos{k:04d}.mrc") for k in range(dimensions)])
    spread = latents.std(axis=0)
    return Subspace(volume("mean_filt.mrc"), components * spread[:, None, None, None],
                    np.asarray(latents / spread, np.float32))
