"""Particles as the files that cryoDRGN and RECOVAR read: a stack, poses.pkl and ctf.pkl.

Conventions of both, checked by a mean that correlates with the true density:

- ``poses.pkl``: rotations whose rows are the image's x, y and viewing direction in the particle's
  frame, as ours; shifts as shares of the box.
- ``ctf.pkl``: nine columns: box, A, twice the defocus in A, angle, kV, mm, amplitude contrast, phase.
- Their CTF is minus ours. With protein bright, as here, images are what cryoDRGN expects (it turns
  the sign itself unless told ``--uninvert-data``), and minus what RECOVAR expects.
"""

from __future__ import annotations

import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .particles import AMPLITUDE, SPHERICAL, VOLTAGE, Particles


def smallest_box(particles: Particles) -> int:
    """The even box that just holds all simulated frequencies, as ``cryodrgn downsample`` makes."""
    return 2 * (int(np.abs(particles.frequencies).max()) + 1)


def images(particles: Particles, box: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(P, y, x) images with the particle at pixel ``box // 2``, downsampled to a box.

    Frequencies beyond those simulated get noise as strong. The transform of an image is
    ``particles.scale * box`` times that of a projection, CTF included, and noise of E|n|^2 = 2 box^2.
    """
    x, y = particles.frequencies.T
    noise = rng.standard_normal((len(particles), box, box)) * np.sqrt(2)
    whole = np.fft.fft2(noise)  # E|n|^2 = 2 box^2
    whole[:, y % box, x % box] = particles.data * box
    whole[:, -y % box, -x % box] = particles.data.conj() * box
    whole[:, 0, 0] = whole[:, 0, 0].real
    return np.roll(np.fft.ifft2(whole).real, box // 2, (1, 2)).astype(np.float32)


def write(folder: Path, particles: Particles, box: int, sign: int, seed: int = 0) -> None:
    """``particles.mrcs``, ``poses.pkl`` and ``ctf.pkl`` in a folder; images times ``sign``."""
    import mrcfile

    count, pixel = len(particles), particles.voxel_size * particles.box / box
    with mrcfile.new(folder / "particles.mrcs") as file:
        file.set_data(sign * images(particles, box, np.random.default_rng([seed, 80])))
        file.voxel_size = pixel
    ctf = np.empty((count, 9), np.float32)
    ctf[:] = box, pixel, 0, 0, 0, VOLTAGE / 1e3, SPHERICAL / 1e7, AMPLITUDE, 0
    ctf[:, 2] = ctf[:, 3] = particles.defocus
    poses = particles.rotations.astype(np.float32), np.zeros((count, 2), np.float32)
    (folder / "ctf.pkl").write_bytes(pickle.dumps(ctf))
    (folder / "poses.pkl").write_bytes(pickle.dumps(poses))


def resampled(volume: NDArray[np.floating], box: int) -> NDArray[np.float32]:
    """A density on a finer lattice of the same field, by its transform; same values."""
    small = volume.shape[0]
    middle = slice(box // 2 - small // 2, box // 2 - small // 2 + small)
    whole = np.zeros((box,) * 3, np.complex128)
    centered = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(volume)))
    centered[0], centered[:, 0], centered[:, :, 0] = 0, 0, 0  # of Nyquist there is but one side
    whole[middle, middle, middle] = centered
    fine = np.fft.fftshift(np.fft.ifftn(np.fft.ifftshift(whole))).real
    return np.asarray(fine * (box / small) ** 3, np.float32)


def command(arguments: list[str], folder: Path, **environment: str) -> None:
    """Run a program in a folder, without its output.

    Raises
    ------
    RuntimeError
        If it fails; the message ends with the end of what it wrote.
    """
    done = subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (folder / "output.log").write_text(done.stdout, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} failed: {done.stdout[-2000:]}")
