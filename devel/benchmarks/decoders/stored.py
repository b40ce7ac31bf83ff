"""An ensemble as a mean, components and scores, with its truth: a compact ``.npz`` file.

The same arrays as in ``../shared/data/decoders``, so that one loader reads both. Volumes of a
nonlinear decoder are stored by their singular vectors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .core_api import Ensemble, Grid, in_memory


@dataclass(frozen=True)
class Stored:
    """V volumes of a decoder, of K components; B planted blocks.

    Attributes
    ----------
    mean : (z, y, x) float32
    components : (K, z, y, x) float16
    scores : (V, K) float32; volume = mean + scores @ components
    level : contour level by hand: the mean map encloses as many voxels as the true mean density
    apix : A
    truth : (z, y, x) int8: planted block of a voxel; -2 core, -1 empty, -3 swept by a moving domain
    soft : (V, B) share of the particles around each volume's latent point that have the block
    par : (B,) block that a block depends on, -1 for none
    dens : (U, z, y, x) float16: core, then the blocks (of a moving domain: what is fixed, then
        the domain at each angle)
    made : how it was made, JSON values
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float16]
    scores: NDArray[np.float32]
    level: float
    apix: float
    truth: NDArray[np.int8]
    soft: NDArray[np.float32]
    par: NDArray[np.int64]
    dens: NDArray[np.float16]
    made: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def grid(self) -> Grid:
        """The lattice."""
        return Grid(self.truth.shape, (self.apix,) * 3)

    def volumes(self) -> NDArray[np.float32]:
        """(V, z, y, x)."""
        flat = self.components.reshape(len(self.components), -1).astype(np.float32)
        return (self.mean.ravel() + self.scores @ flat).reshape(-1, *self.truth.shape)

    def ensemble(self) -> Ensemble:
        """The volumes as an ensemble in memory, ``vol_001.mrc`` and so on."""
        return in_memory(self.volumes(), self.grid, self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """(V,) file names."""
        return tuple(f"vol_{i:03d}.mrc" for i in range(1, len(self) + 1))


def save(path: Path, stored: Stored) -> None:
    """Write a file; whole or not at all."""
    count = len(stored.components)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(
        part,
        mean=stored.mean.ravel(),
        components=stored.components.reshape(count, -1),
        scores=stored.scores,
        level=stored.level,
        apix=stored.apix,
        truth=stored.truth,
        soft=stored.soft,
        par=stored.par,
        dens=stored.dens,
        made=json.dumps(dict(stored.made)),
    )
    part.replace(path)


def load(path: str | Path) -> Stored:
    """Read a file, ours or one of ../shared/data/decoders (whose ``made`` says its name alone)."""
    path = Path(path)
    with np.load(path, allow_pickle=False) as z:
        shape = z["truth"].shape
        made = json.loads(str(z["made"])) if "made" in z else {"id": path.stem}
        return Stored(
            z["mean"].reshape(shape).astype(np.float32),
            z["components"].reshape(-1, *shape),
            z["scores"].astype(np.float32),
            float(z["level"]),
            float(z["apix"]),
            z["truth"],
            z["soft"].astype(np.float32),
            z["par"].astype(np.int64),
            z["dens"],
            made,
        )


def from_volumes(
    volumes: NDArray[np.floating],
    kept: float = 0.9995,
) -> tuple[NDArray[np.float32], NDArray[np.float16], NDArray[np.float32]]:
    """Mean, components and scores of (V, z, y, x) volumes that hold the share ``kept`` of variance.

    Components are scaled so that scores have a variance of 1.
    """
    mean = volumes.mean(axis=0, dtype=np.float64)
    flat = (volumes - mean).reshape(len(volumes), -1)
    variance, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    variance, vectors = np.maximum(variance[::-1], 0), vectors[:, ::-1]
    share = np.cumsum(variance) / max(variance.sum(), 1e-30)
    count = min(int(np.searchsorted(share, kept)) + 1, len(volumes))
    scores = vectors[:, :count] * np.sqrt(len(volumes))
    components = (scores.T @ flat / len(volumes)).reshape(count, *volumes.shape[1:])
    return mean.astype(np.float32), components.astype(np.float16), scores.astype(np.float32)
