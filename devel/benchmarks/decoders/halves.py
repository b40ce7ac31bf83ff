"""Blocks of two ensembles from halves of the particles: made once, kept as ``.npz`` files.

``python devel/benchmarks/decoders/halves.py FOLDER --kind blocks=4 --kind "one state=4"``
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from decoders.core_api import (
    Absent,
    Grid,
    SketchParameters,
    expand_sketch,
    predicted_levels,
    sketch,
)
from decoders.design import recipes
from decoders.make import kinds_of
from decoders.making import Recipe, make_halves
from decoders.stored import Stored, load, save


@dataclass(frozen=True)
class Half:
    """The blocks of one half.

    Attributes
    ----------
    stored : the ensemble with its truth
    blocks : flat indices by number
    doubtful : numbers of those with a doubtful verdict
    unassigned : voxels that were tested and joined none
    mean : (z, y, x) of the volumes
    """

    stored: Stored
    blocks: dict[int, NDArray[np.int64]]
    doubtful: set[int]
    unassigned: NDArray[np.int64]
    mean: NDArray[np.float32]

    @property
    def grid(self) -> Grid:
        """Of the volumes."""
        return self.stored.grid


def halves(folder: Path, recipe: Recipe) -> tuple[Half, Half]:
    """Both halves of a recipe, made if they are not there.

    Raises
    ------
    Absent
        If the molecule is not on this machine.
    """
    paths = [folder / f"{recipe.name}-half-{h}.npz" for h in (1, 2)]
    if not all(p.exists() for p in paths):
        for path, stored in zip(paths, make_halves(recipe), strict=True):
            save(path, stored)
    first, second = (_half(p) for p in paths)
    return first, second


def _half(path: Path) -> Half:
    stored, kept = load(path), path.with_suffix(".blocks.npz")
    if not kept.exists():
        _find(stored, kept)
    with np.load(kept, allow_pickle=False) as z:
        parts = np.split(z["voxels"], np.cumsum(z["sizes"]))[:-1]
        return Half(
            stored,
            dict(zip(z["numbers"].tolist(), parts, strict=True)),
            set(z["doubtful"].tolist()),
            z["unassigned"],
            z["mean"].reshape(stored.truth.shape),
        )


def _find(stored: Stored, kept: Path) -> None:
    """Sketch and expand at predicted levels, as a user does."""
    ensemble = stored.ensemble()
    found = sketch(ensemble, predicted_levels(ensemble), SketchParameters(resamples=0))
    blocks, used = found.blocks, found.occupancy
    if len(blocks):
        blocks = expand_sketch(ensemble, found).blocks
    part = kept.with_suffix(".part.npz")
    np.savez_compressed(
        part,
        numbers=np.array([n for n, _ in blocks], np.int64),
        sizes=np.array([len(v) for _, v in blocks], np.int64),
        voxels=np.concatenate([np.empty(0, np.int64), *(v for _, v in blocks)]),
        doubtful=np.array([n for n, e in blocks.evidence.items() if e.doubtful], np.int64),
        unassigned=blocks.unassigned,
        mean=used.mean,
    )
    part.replace(kept)


def main(arguments: list[str] | None = None) -> int:
    """Make what is missing, a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kind", action="append", help="kind=number, see design.py")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    for recipe in recipes(kinds_of(options.kind)):
        try:
            both = halves(options.folder, recipe)
        except Absent as reason:
            print(f"{recipe.name}: left out, {reason}", flush=True)
            continue
        print(f"{recipe.name}: {' and '.join(str(len(h.blocks)) for h in both)} blocks", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
