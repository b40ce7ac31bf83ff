"""Real volumes redrawn: ten maps of 50S assembly intermediates, each drawn many times with noise,
and the blocks found in them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chimerax.siren.core.blocks.expand import expand_sketch
from chimerax.siren.core.blocks.occupancy import Occupancy
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.maps.ensemble import Ensemble
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.simulation.example import NOISE_SD, spectral_filter
from planted import REAL_LEVEL, Absent, density, in_memory, real_spectrum, real_volumes, ribosome

VOLUMES = 300
JITTER = 0.08  # SD of the log of scales and of contour levels
VARIES = 0.15  # a part comes and goes if its presence has a larger SD over the ten volumes
BELONGS = 0.5  # share of its voxels that a part must have in a block


def redrawn_lines(seed: int = 1) -> list[str]:
    """The table: a row per block, and how many of the parts that come and go are where they
    belong.
    """
    try:
        volumes, grid = real_volumes()
        bodies = part_bodies(grid)
    except Absent as reason:
        return [f"Real volumes redrawn: left out here, {reason}."]
    ensemble, levels, drawn = redraw(volumes, grid, seed)
    result = sketch(ensemble, levels, SketchParameters(resamples=0))
    blocks = expand_sketch(ensemble, result).blocks
    names = [p.name for p in ribosome()]
    own = np.array(
        [[(v.ravel()[b] > REAL_LEVEL).mean() if len(b) else 0.0 for v in volumes] for b in bodies]
    )
    number = {n: k for n, k in zip(ensemble.names, drawn, strict=True)}
    return _lines(
        dict(blocks),
        result.occupancy,
        np.array([number[n] for n in result.occupancy.names]),
        names,
        bodies,
        own,
    )


def redraw(
    volumes: NDArray[np.float32], grid: Grid, seed: int = 1
) -> tuple[Ensemble, NDArray[np.float64], NDArray[np.int64]]:
    """Draw from some volumes many times, with noise of their own spectrum, scales and levels.

    Returns
    -------
    The ensemble, its levels (VOLUMES,), and (VOLUMES,) which of the volumes each was drawn from
    """
    rng = np.random.default_rng([seed, 20])
    weights = spectral_filter(grid.shape[0], real_spectrum())
    drawn = rng.permutation(np.arange(VOLUMES) % len(volumes))
    maps = np.empty((VOLUMES, *grid.shape), np.float32)
    for i, k in enumerate(drawn):
        noise = np.fft.irfftn(np.fft.rfftn(rng.standard_normal(grid.shape)) * weights, grid.shape)
        maps[i] = (volumes[k] + NOISE_SD * REAL_LEVEL * noise) * np.exp(
            JITTER * rng.standard_normal()
        )
    levels = REAL_LEVEL * np.exp(JITTER * rng.standard_normal(VOLUMES))
    return in_memory(maps, grid, (f"vol_{i:03d}.mrc" for i in range(VOLUMES))), levels, drawn


def part_bodies(grid: Grid) -> list[NDArray[np.int64]]:
    """Flat indices of the voxels of each part of the 50S at the level of the real volumes."""
    return [np.flatnonzero(density(p, grid, 13.0).ravel() > REAL_LEVEL) for p in ribosome()]


def _lines(
    blocks: dict[int, NDArray[np.int64]],
    occupancy: Occupancy,
    source: NDArray[np.int64],
    names: list[str],
    bodies: list[NDArray[np.int64]],
    own: NDArray[np.float64],
) -> list[str]:
    """The table, from the blocks, the parts' ``own`` presence (parts, 10), and ``source``, which of
    the ten each volume was drawn from.
    """
    profiles = {
        n: np.array(
            [occupancy.rows(v).mean(axis=0)[source == k].mean() for k in range(own.shape[1])]
        )
        for n, v in blocks.items()
    }
    lines = [
        "| block | voxels | its parts (with half or more of their voxels in it) | correlation of "
        "its profile with theirs: mean, lowest |",
        "|---|---|---|---|",
    ]
    varies = own.std(axis=1) > VARIES
    held = np.array(
        [[len(np.intersect1d(b, v)) / max(len(b), 1) for v in blocks.values()] for b in bodies]
    ).reshape(len(bodies), -1)
    together = np.array(
        [
            [np.corrcoef(o, p)[0, 1] if o.std() and p.std() else 0.0 for p in profiles.values()]
            for o in own
        ]
    )
    together = together.reshape(len(own), -1)
    for column, (n, voxels) in enumerate(blocks.items()):
        its = np.flatnonzero(held[:, column] >= BELONGS)
        phi = together[its, column]
        text = (
            f"{phi.mean():.2f}, {phi.min():.2f} ({names[its[phi.argmin()]]})" if len(its) else "-"
        )
        lines.append(
            f"| {n} | {len(voxels):,} | {', '.join(names[k] for k in its) or '-'} | {text} |"
        )
    assigned = held.max(axis=1, initial=0) >= BELONGS
    rightly = (
        assigned & (together[np.arange(len(own)), held.argmax(axis=1)] > 0.9)
        if len(blocks)
        else assigned
    )
    at_best = (
        assigned
        & (together[np.arange(len(own)), held.argmax(axis=1)] >= together.max(axis=1) - 0.05)
        if len(blocks)
        else assigned
    )
    lines += [
        "",
        f"Ten real volumes redrawn {len(source)} times with noise of their own spectrum, "
        f"scales and contour levels varying by {JITTER:.0%}: {len(blocks)} blocks. "
        f"Of the {int(varies.sum())} parts that come and go (the share of their voxels above "
        f"the level has an SD above {VARIES:g}), {int((assigned & varies).sum())} have half or "
        f"more of their voxels in a block, {int((rightly & varies).sum())} of them with a "
        "correlation of own presence and block profile above 0.9, "
        f"{int((at_best & varies).sum())} in the block that fits their presence best (or "
        f"within 0.05 of it); of the other {int((~varies).sum())} parts, "
        f"{int((assigned & ~varies).sum())} are in a block.",
    ]
    return lines
