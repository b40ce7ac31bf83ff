"""Single simulated molecules, made as no training map is, and maps in memory."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter

from chimerax.siren.core.maps.ensemble import Source
from chimerax.siren.core.maps.grid import Grid


@lru_cache(maxsize=64)
def molecule(seed, box=64, domains=7, noise=0.03, sigma=1.3):
    """Balls on sticks full of lumps, blurred, in colored noise; and where the molecule is. Made as
    no training map is.
    """
    rng = np.random.default_rng(seed)
    centres = box / 2 + rng.normal(0, 0.11 * box, (domains, 3))

    def near(point, radius):
        a, b, c = ((np.arange(box) - p) ** 2 for p in point)
        return a[:, None, None] + b[None, :, None] + c[None, None, :] < radius**2

    inside = np.zeros((box,) * 3, bool)
    for n, centre in enumerate(centres):
        inside |= near(centre, rng.uniform(4, 7))
        start = centres[max(0, n - 1)]
        for t in np.linspace(0, 1, 9):
            inside |= near(start + t * (centre - start), 2.2)
    lumps = gaussian_filter((rng.random((box,) * 3) < 0.1).astype(float), 0.8)
    density = gaussian_filter(inside * lumps / lumps.mean(), sigma)
    array = density + noise * gaussian_filter(rng.normal(size=(box,) * 3), 1.0) / 0.15
    return array.astype(np.float32), inside


def sources(arrays, voxel=4.0):
    return [
        Source(f"vol_{n + 1}.mrc", array=lambda a=a: a, grid=Grid(a.shape, (voxel,) * 3))
        for n, a in enumerate(arrays)
    ]


def snake(box):
    """(n, 3) z, y, x of the voxels of a box of slices, each beside the one before, as a chain that
    fills it.
    """
    path = []
    for layer, z in enumerate(range(box[0].start, box[0].stop)):
        rows = []
        for turn, y in enumerate(range(box[1].start, box[1].stop)):
            row = [(z, y, x) for x in range(box[2].start, box[2].stop)]
            rows += row[::-1] if turn % 2 else row
        path += rows[::-1] if layer % 2 else rows
    return np.array(path)


def pdb_text(chains):
    """A PDB file with an atom for each residue.

    Parameters
    ----------
    chains : by letter, (n, 3) x, y, z of the residues and (n,) their numbers
    """
    lines, serial = [], 0
    for chain, (points, numbers) in chains.items():
        for (x, y, z), number in zip(points, numbers, strict=True):
            serial += 1
            lines.append(
                f"ATOM  {serial:5d}  CA  ALA {chain}{number:4d}    "
                f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00           C  "
            )
        lines.append("TER")
    return "\n".join([*lines, "END", ""])
