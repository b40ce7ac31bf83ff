"""Particle files of other programs for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STARS = Path(__file__).parent / "core/particles/data/star"
KIND = [
    ("uid", "<u8"),
    ("blob/path", "S40"),
    ("blob/idx", "<u4"),
    ("ctf/df1_A", "<f4"),
    ("alignments3D/pose", "<f4", (3,)),
]


def star_text(name: str) -> str:
    """A star file as the program in its name lays it out."""
    return (STARS / f"{name}.star").read_text()


def particles(count: int = 20, seed: int = 1) -> NDArray[Any]:
    """Particles as cryoSPARC has them."""
    chance = np.random.default_rng(seed)
    found = np.zeros(count, KIND)
    found["uid"] = chance.permutation(np.arange(1 << 60, (1 << 60) + count))
    found["blob/path"] = b"J1/extract/a.mrc"
    found["blob/idx"] = np.arange(count)
    found["ctf/df1_A"] = chance.normal(size=count)
    found["alignments3D/pose"] = chance.normal(size=(count, 3))
    return found


def save(path: Path, array: NDArray[Any]) -> Path:
    """Write a .cs file."""
    with path.open("wb") as file:  # by a file, or numpy adds .npy
        np.save(file, array)
    return path
