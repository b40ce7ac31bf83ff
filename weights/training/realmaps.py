"""Predicted levels of the real maps and the real ensemble in ../shared/data.

Where an atomic model is known, they are compared with the level of best Dice.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from lattice import Lattice, Map
from numpy.typing import NDArray
from scipy.optimize import nnls
from simulate import CUBIC_A_PER_DALTON, LEVELS, dice_curve
from structures import DALTON_PER_ATOM, SCATTERING

from core.maps.ensemble import find_ensemble
from core.maps.grid import Grid, to_box
from core.thresholds.normalize import denormalize_level, normalize_level, value_range
from core.thresholds.parameters import PredictParameters
from core.thresholds.predict import predict_levels

#: Real maps with a fitted model, and the resolution in A of the model's density for the envelope.
WITH_MODEL = {
    "emd_3186.map": ("emd_3186__5fj6.pdb.gz", 7.0),
    "emd_1883.mrc": ("emd_1883__1WCM_fitted.pdb.gz", 20.9),
    "5fn5_box.ccp4": ("5fn5_box__5fn5.pdb.gz", 4.3),
}
#: Levels known from other sources (README of the data).
KNOWN = {
    "emd_3186.map": 0.0140,
    "emd_1883.mrc": 0.00055,
    "ngl_betaGal.mrc": 0.089,
    "emd_1832.map": 0.42,
}
#: Minimum fitted occupancy for a part of the 50S to count as present in a volume, relative to the
#: best parts.
PRESENT = 0.4
_NUMBERS = {"C": 6, "N": 7, "O": 8, "P": 15, "S": 16}
Table = list[list[str]]


def read_pdb(path: Path) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Heavy atoms of a gzipped PDB file by chain: xyz (n, 3) in A, scattering weights (n,)."""
    chains: dict[str, list[list[float]]] = {}
    with gzip.open(path, "rt") as file:
        for line in file:
            if line.startswith("ENDMDL"):
                break
            element = line[76:78].strip() or line[12:14].strip(" 0123456789")
            if line.startswith(("ATOM", "HETATM")) and element != "H":
                xyz = [float(line[c : c + 8]) for c in (30, 38, 46)]
                chains.setdefault(line[21], []).append(
                    [*xyz, SCATTERING.get(_NUMBERS.get(element, 0), 1.2)]
                )
    return {
        k: (np.array(v, np.float32)[:, :3], np.array(v, np.float32)[:, 3])
        for k, v in chains.items()
    }


def _top(density: Map, atoms: int, voxel_volume: float) -> NDArray[np.bool_]:
    count = round(atoms * DALTON_PER_ATOM * CUBIC_A_PER_DALTON / voxel_volume)
    return np.asarray(density >= np.partition(density.ravel(), -count)[-count])


def model_envelope(path: Path, grid: Grid, resolution: float) -> NDArray[np.bool_]:
    """The envelope, as in simulate.py, of a model fitted to a map."""
    chains = read_pdb(path).values()
    xyz, weight = np.concatenate([c[0] for c in chains]), np.concatenate([c[1] for c in chains])
    lattice = Lattice(max(grid.shape), grid.voxel_size[0])
    density = lattice.inverse(
        lattice.splat(xyz - np.array(grid.origin, np.float32), weight)
        * lattice.gauss(0.225 * resolution)
    )
    z, y, x = grid.shape
    return _top(density[:z, :y, :x], len(xyz), grid.voxel_volume)


def agreement(
    array: Map, envelope: NDArray[np.bool_], level: float, grid: Grid
) -> tuple[float, float, float]:
    """Dice at a level, the best Dice of all levels, and that level in the map's units."""
    used = value_range(to_box(array, grid, 64)[0] if grid.shape != (64, 64, 64) else array, "map")
    dice, _ = dice_curve(array, envelope, used.vol_min, used.vol_max)
    best = int(dice.argmax())
    at = float(np.interp(normalize_level(level, used), LEVELS, dice))
    return at, float(dice[best]), denormalize_level(float(LEVELS[best]), used)


def real_maps(folder: Path, weights: Path) -> Table:
    """Table of the real maps in a folder."""
    table = [
        [
            "map",
            "predicted level",
            "known level",
            "volume, 1,000 A^3",
            "Dice",
            "best Dice",
            "at level",
            "ratio",
        ]
    ]
    for path in sorted(q for q in folder.iterdir() if q.suffix in (".map", ".mrc", ".ccp4")):
        ensemble = find_ensemble([path], minimum=1)
        level = (
            predict_levels(ensemble, PredictParameters(weights=str(weights), device="cpu"))
            .rows[0]
            .level
        )
        array = next(ensemble.read())[1]
        volume = (array > level).sum() * ensemble.grid.voxel_volume / 1000
        cells = [path.name, f"{level:.4g}", str(KNOWN.get(path.name, "-")), f"{volume:.0f}"]
        if path.name in WITH_MODEL:
            model, resolution = WITH_MODEL[path.name]
            at, best, where = agreement(
                array,
                model_envelope(folder / model, ensemble.grid, resolution),
                level,
                ensemble.grid,
            )
            cells += [f"{at:.3f}", f"{best:.3f}", f"{where:.4g}", f"{at / best:.3f}"]
        else:
            cells += ["-"] * 4
        table.append(cells)
    return table


def real_ensemble(data: Path, weights: Path) -> Table:
    """Table of ten volumes of the 50S, against all of it and against the parts present in each.

    The densities of all 136 chains are fitted to the volume by non-negative least squares; present
    are those with at least PRESENT times the occupancy of the best quartile (by atoms).
    """
    ensemble = find_ensemble([data / "real_ensemble"])
    grid = ensemble.grid
    chains = [
        c for q in sorted((data / "ribosome_50S").glob("*.pdb.gz")) for c in read_pdb(q).values()
    ]
    lattice = Lattice(grid.shape[0], grid.voxel_size[0])
    gauss = lattice.gauss(0.225 * 2 * lattice.pixel)
    parts = np.stack(
        [lattice.inverse(lattice.splat(xyz, weight) * gauss).ravel() for xyz, weight in chains],
        axis=1,
    )
    atoms = np.array([len(xyz) for xyz, _ in chains])
    total = parts.sum(axis=1)
    used = np.flatnonzero(total > 0.05 * total.max())
    design = np.concatenate([parts[used], np.ones((len(used), 1), np.float32)], axis=1)
    table = [
        [
            "volume",
            "level",
            "normalized",
            "volume, 1,000 A^3",
            "share of the 50S present",
            "Dice with the parts present",
            "best",
            "at level",
            "ratio",
            "ratio for the whole 50S",
        ]
    ]
    predictions = predict_levels(ensemble, PredictParameters(weights=str(weights), device="cpu"))
    for row, (name, array) in zip(predictions.rows, ensemble.read(), strict=True):
        occupancy = nnls(design, array.ravel()[used].astype(float))[0][:-1]
        present = occupancy >= PRESENT * np.percentile(np.repeat(occupancy, atoms // 50 + 1), 75)
        cells = [
            name,
            f"{row.level:.3f}",
            f"{row.prediction:.3f}",
            f"{(array > row.level).sum() * grid.voxel_volume / 1000:.0f}",
            f"{atoms[present].sum() / atoms.sum():.2f}",
        ]
        envelope = _top(
            parts[:, present].sum(axis=1), int(atoms[present].sum()), grid.voxel_volume
        ).reshape(array.shape)
        at, best, where = agreement(array, envelope, row.level, grid)
        whole = agreement(
            array,
            _top(total, int(atoms.sum()), grid.voxel_volume).reshape(array.shape),
            row.level,
            grid,
        )
        table.append(
            [
                *cells,
                f"{at:.3f}",
                f"{best:.3f}",
                f"{where:.3g}",
                f"{at / best:.3f}",
                f"{whole[0] / whole[1]:.3f}",
            ]
        )
    return table
