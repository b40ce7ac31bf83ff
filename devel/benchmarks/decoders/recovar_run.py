"""Mean, components and latents by RECOVAR itself (Gilles & Singer 2025, doi 10.1073/pnas.2419140122).

The package ``recovar`` 1.0.5 from PyPI, as a command on the CPU. It wants a newer numpy than the rest, so
it has an environment of its own: RECOVAR names that environment's Python.

On a CPU its reconstruction needs one repair, see :data:`COMMAND`: its GPU kernels scale frequencies
to a finer Fourier grid, ``relion_interp.backproject``, which stands in for them, does not, and the
mean of the (always twofold finer) grid comes out magnified twice.

Volumes are its mean and eigenvolumes at its latents (what it calls reprojection), not its kernel
regression, which takes minutes a volume without a GPU.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .core_api import Absent
from .files import command, write
from .particles import Particles
from .subspace import Subspace

# A rotation times the fineness of the grid scales the frequencies that it turns. Radii are clipped
# before that.
COMMAND = """
from recovar.core import relion_interp

def scaled(function):
    def call(values, rotations, image_shape, volume_shape, **options):
        finer = volume_shape[0] // image_shape[0]
        return function(values, rotations * finer, image_shape, volume_shape, **options)
    return call

relion_interp.backproject = scaled(relion_interp.backproject)
relion_interp.project = scaled(relion_interp.project)
from recovar.command_line import main_commands
main_commands()
"""


def python() -> str:
    """The Python that has RECOVAR.

    Raises
    ------
    Absent
        If there is none.
    """
    if importlib.util.find_spec("recovar") is not None:
        return sys.executable
    if not os.environ.get("RECOVAR"):
        raise Absent("recovar is not installed; RECOVAR names the Python that has it")
    return os.environ["RECOVAR"]


def run(
    particles: Particles, dimensions: int, seed: int = 0, folder: Path | None = None
) -> Subspace:
    """Run its pipeline on particles of known pose.

    Parameters
    ----------
    dimensions : zdim
    folder : what it writes stays there; none: a temporary one

    Raises
    ------
    Absent
        If it is not installed.
    """
    interpreter = python()
    with tempfile.TemporaryDirectory() as name:
        folder = folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        write(folder, particles, particles.box, -1, seed)
        command(
            [
                *(interpreter, "-c", COMMAND, "pipeline", "particles.mrcs", "-o", "out"),
                *("--poses", "poses.pkl", "--ctf", "ctf.pkl", "--mask", "sphere"),
                *("--zdim", str(dimensions), "--uninvert-data", "false"),
                *("--accept-cpu", "--low-memory-option", "--no-downsample"),
            ],
            folder,
            JAX_PLATFORMS="cpu",
        )
        return read(folder / "out", dimensions, particles.scale * particles.box)


def read(folder: Path, dimensions: int, scale: float) -> Subspace:
    """What it wrote, in units of the density; components of unit latent variance."""
    latents = np.load(folder / "model" / f"zdim_{dimensions}" / "latent_coords.npy")
    spread = latents.std(axis=0)
    names = [f"eigen_pos{k:04d}" for k in range(dimensions)]
    components = np.stack([_volume(folder, name) / scale for name in names])
    return Subspace(
        _volume(folder, "mean") / np.float32(scale),
        np.asarray(components * spread[:, None, None, None], np.float32),
        np.asarray(latents / spread, np.float32),
    )


def _volume(folder: Path, name: str) -> NDArray[np.float32]:
    import mrcfile

    return np.asarray(mrcfile.read(folder / "output" / "volumes" / f"{name}.mrc"), np.float32)
