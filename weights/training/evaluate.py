"""Figures of a weights file: on maps simulated from unseen structures, and on real maps.

Example::

    python weights/training/evaluate.py ../shared/data --maps 300
"""

from __future__ import annotations

import argparse
import gzip
import json
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import package  # noqa: F401  (puts src on the path)
from dataset import read
from numpy.typing import NDArray
from simulate import CUBIC_A_PER_DALTON, LEVELS, Lattice, Map, dice_curve, simulate
from structures import DALTON_PER_ATOM, SCATTERING, read_library

from core.ensemble import find_ensemble
from core.grid import Grid, to_box
from core.thresholds.network import default_weights, load_network
from core.thresholds.normalise import normalise_level, value_range
from core.thresholds.predict import PredictParameters, predict_levels

#: Real maps with a model in their frame: resolution in A at which the model's density makes the envelope.
WITH_MODEL = {"emd_3186.map": ("emd_3186__5fj6.pdb.gz", 7.0), "emd_1883.mrc": ("emd_1883__1WCM_fitted.pdb.gz", 20.9),
              "5fn5_box.ccp4": ("5fn5_box__5fn5.pdb.gz", 4.3)}
#: Levels known from elsewhere (the data's README).
KNOWN = {"emd_3186.map": 0.0140, "emd_1883.mrc": 0.00055, "ngl_betaGal.mrc": 0.089, "emd_1832.map": 0.42}


def rules(array: Map) -> dict[str, float]:
    """Levels by simple rules, in the map's units."""
    shell = array[~_ball(array.shape)]
    shell = shell if shell.std() > 0 else array.ravel()
    median = float(np.median(array))
    robust = 1.4826 * float(np.median(np.abs(array - median)))
    return {"mean + 3 SD of background (outside the sphere)": float(shell.mean() + 3 * shell.std()),
            "median + 3 robust SD": median + 3 * robust, "Otsu": otsu(array),
            "1 % of voxels (ChimeraX's default)": float(np.percentile(array, 99))}


def _ball(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    axes = [((np.arange(n) - (n - 1) / 2) / (n / 2)) ** 2 for n in shape]
    return axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] < 1


def otsu(array: Map) -> float:
    """Otsu's threshold on 256 bins."""
    counts, edges = np.histogram(array, 256)
    middle = (edges[1:] + edges[:-1]) / 2
    low, weighted = np.cumsum(counts), np.cumsum(counts * middle)
    high = low[-1] - low
    with np.errstate(divide="ignore", invalid="ignore"):
        between = low * high * (weighted / low - (weighted[-1] - weighted) / high) ** 2
    return float(middle[np.nanargmax(between[:-1])])


def _one(job: tuple[Path, int, int]) -> dict[str, Any]:
    structures, seed, number = job
    sample = simulate(read_library(structures, "validation"), np.random.default_rng([seed, number]))
    span = sample.scale[1] - sample.scale[0]
    levels = {k: 2 * (v - sample.scale[0]) / span - 1 for k, v in rules(sample.raw).items()}
    return {"x": sample.x.astype(np.float16), "label": sample.label, "dice": sample.dice, "volume": sample.volume,
            "facts": sample.facts, "levels": levels}


def row(name: str, level: NDArray[np.floating], samples: list[dict[str, Any]]) -> dict[str, Any]:
    """One line of the accuracy table."""
    label = np.array([s["label"] for s in samples])
    dice = np.array([np.interp(v, LEVELS, s["dice"]) for v, s in zip(level, samples, strict=True)])
    volume = np.array([np.interp(v, LEVELS, s["volume"]) for v, s in zip(level, samples, strict=True)])
    ratio = dice / np.array([np.max(s["dice"]) for s in samples])
    right = np.array([np.interp(v, LEVELS, s["volume"]) for v, s in zip(label, samples, strict=True)])
    off = np.maximum(volume / right, right / np.maximum(volume, 1e-9))
    clipped = np.clip(level, -1.5, 1.5)  # a rule may go anywhere; one wild value must not be the whole RMSE
    return {"row": name, "RMSE": float(np.sqrt(np.mean((clipped - label) ** 2))),
            "MAE": float(np.mean(np.abs(clipped - label))), "Dice ratio mean": float(ratio.mean()),
            "5th percentile": float(np.percentile(ratio, 5)),
            "worst": float(ratio.min()), "volume off by over 2x": float(np.mean(off > 2)), "ratio": ratio}


def simulated(structures: Path, weights: Path, count: int, seed: int, cache: Path, processes: int) -> None:
    """The table on maps simulated from the validation split with their own seed."""
    import torch

    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        samples = pool.map(_one, [(structures, seed, i) for i in range(count)], chunksize=10)
    network = load_network(weights).network
    with torch.inference_mode():
        batches = [np.stack([s["x"] for s in samples[i:i + 8]])[:, None] for i in range(0, count, 8)]
        predicted = np.concatenate([network(torch.from_numpy(b).float()).numpy() for b in batches])
    labels = [part["label"] for part in read(sorted(cache.glob("train_*.npz")))]
    table = [row("this network", predicted, samples)]
    if labels:
        constant = float(np.median(np.concatenate([np.asarray(v) for v in labels])))
        table.append(row(f"constant median of the training labels ({constant:.3f})", np.full(count, constant), samples))
    for name in samples[0]["levels"]:
        table.append(row(name, np.array([s["levels"][name] for s in samples]), samples))
    keys = [k for k in table[0] if k != "ratio"]
    print("| " + " | ".join(keys) + " |\n|" + "---|" * len(keys))
    for line in table:
        print("| " + " | ".join(f"{line[k]:.3f}" if isinstance(line[k], float) else str(line[k]) for k in keys) + " |")
    ratio = np.asarray(table[0]["ratio"])
    facts = [s["facts"] for s in samples]
    print("\n| maps | count | Dice ratio mean | 5th percentile |\n|---|---|---|---|")
    for name, chosen in _kinds(facts):
        if chosen.any():
            print(f"| {name} | {chosen.sum()} | {ratio[chosen].mean():.3f} | {np.percentile(ratio[chosen], 5):.3f} |")
    spread = np.percentile([s["label"] for s in samples], [1, 5, 25, 50, 75, 95, 99])
    print("\nlabels: percentiles 1/5/25/50/75/95/99", np.round(spread, 2))
    for i in np.argsort(ratio)[:6]:
        print("worst:", round(float(ratio[i]), 3), round(float(predicted[i]), 3),
              json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in facts[i].items()}))


def _kinds(facts: list[dict[str, float | str]]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    def of(key: str) -> NDArray[np.generic]:
        return np.array([f[key] for f in facts])

    for mask in ("none", "soft", "tight", "sphere"):
        yield f"mask: {mask}", of("mask") == mask
    yield "micelle", of("micelle") == 1
    for low, high in ((0.01, 0.05), (0.05, 0.2), (0.2, 0.6)):
        yield f"noise {low:g} to {high:g} of the level", (of("noise") >= low) & (of("noise") < high)
    for low, high in ((2, 6), (6, 12), (12, 26)):
        yield f"resolution {low} to {high} A", (of("resolution") >= low) & (of("resolution") < high)
    for box in (48, 64, 96, 128):
        yield f"box {box}", of("box") == box
    for low, high in ((0, 0.35), (0.35, 0.6), (0.6, 1)):
        yield f"particle {low:g} to {high:g} of the box", (of("fraction") >= low) & (of("fraction") < high)
    yield "box 64, 3 to 8 A/pixel (as cryoDRGN)", (of("box") == 64) & (of("pixel") >= 3)


def read_pdb(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heavy atoms of a gzipped PDB: xyz (n, 3) in A and scattering weights (n,)."""
    numbers = {"C": 6, "N": 7, "O": 8, "P": 15, "S": 16}
    xyz, weight = [], []
    with gzip.open(path, "rt") as file:
        for line in file:
            if line.startswith("ENDMDL"):
                break
            element = line[76:78].strip() or line[12:14].strip(" 0123456789")
            if line.startswith(("ATOM", "HETATM")) and element != "H":
                xyz.append([float(line[c:c + 8]) for c in (30, 38, 46)])
                weight.append(SCATTERING.get(numbers.get(element, 0), 1.2))
    return np.array(xyz, np.float32), np.array(weight, np.float32)


def model_envelope(path: Path, grid: Grid, resolution: float) -> NDArray[np.bool_]:
    """The envelope of simulate.py for a model in a map's frame."""
    xyz, weight = read_pdb(path)
    shape, voxel = grid.shape, grid.voxel_size[0]
    lattice = Lattice(max(shape), voxel)
    density = lattice.inverse(lattice.splat(xyz - np.array(grid.origin), weight) * lattice.gauss(0.225 * resolution))
    density = density[: shape[0], : shape[1], : shape[2]]
    count = round(len(xyz) * DALTON_PER_ATOM * CUBIC_A_PER_DALTON / voxel**3)
    return density >= np.partition(density.ravel(), -count)[-count]


def real(data: Path, weights: Path) -> None:
    """Levels predicted for the real maps, and their Dice where a model is known."""
    p = PredictParameters(weights=str(weights), device="cpu")
    print("\n| map | predicted level | known level | volume, 1,000 A^3 | Dice at predicted | best Dice | at level |")
    print("|" + "---|" * 7)
    for path in sorted(q for q in (data / "real_maps").iterdir() if q.suffix in (".map", ".mrc", ".ccp4")):
        ensemble = find_ensemble([path], least=1)
        level = predict_levels(ensemble, p).rows[0].level
        array = next(ensemble.read())[1]
        volume = (array > level).sum() * ensemble.grid.voxel_volume / 1000
        cells = [path.name, f"{level:.4g}", str(KNOWN.get(path.name, "-")), f"{volume:.0f}"]
        if path.name in WITH_MODEL:
            model, resolution = WITH_MODEL[path.name]
            envelope = model_envelope(path.parent / model, ensemble.grid, resolution)
            cells += _agreement(array, envelope, level, ensemble.grid)
        else:
            cells += ["-"] * 3
        print("| " + " | ".join(cells) + " |")
    ensemble = find_ensemble([data / "real_ensemble"])
    print("\n| real ensemble | level | normalised | volume, 1,000 A^3 | Dice with the whole 50S | best | at level |")
    print("|" + "---|" * 7)
    parts = [read_pdb(q) for q in sorted((data / "ribosome_50S").glob("*.pdb.gz"))]
    xyz, weight = np.concatenate([q[0] for q in parts]), np.concatenate([q[1] for q in parts])
    lattice = Lattice(ensemble.grid.shape[0], ensemble.grid.voxel_size[0])
    density = lattice.inverse(lattice.splat(xyz, weight) * lattice.gauss(0.225 * 2 * lattice.pixel))
    count = round(len(xyz) * DALTON_PER_ATOM * CUBIC_A_PER_DALTON / lattice.pixel**3)
    envelope = density >= np.partition(density.ravel(), -count)[-count]
    for prediction, (name, array) in zip(predict_levels(ensemble, p).rows, ensemble.read(), strict=True):
        volume = (array > prediction.level).sum() * ensemble.grid.voxel_volume / 1000
        print("| " + " | ".join([name, f"{prediction.level:.3f}", f"{prediction.prediction:.3f}", f"{volume:.0f}",
                                 *_agreement(array, envelope, prediction.level, ensemble.grid)]) + " |")


def _agreement(array: Map, envelope: NDArray[np.bool_], level: float, grid: Grid) -> list[str]:
    used = value_range(to_box(array, grid, 64)[0] if max(grid.shape) > 64 else array, "map")
    dice, _ = dice_curve(array, envelope, used.vol_min, used.vol_max)
    best = int(dice.argmax())
    at = float(np.interp(normalise_level(level, used), LEVELS, dice))
    return [f"{at:.3f}", f"{dice[best]:.3f}", f"{(LEVELS[best] + 1) / 2 * (used.vol_max - used.vol_min) + used.vol_min:.4g}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with structures/, real_maps/, real_ensemble/, ribosome_50S/")
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--maps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=3, help="not the seed of the maps that training stopped by (2)")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "siren-training")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    a = parser.parse_args()
    weights = a.weights or default_weights()
    simulated(a.data / "structures", weights, a.maps, a.seed, a.cache, a.processes)
    real(a.data, weights)


if __name__ == "__main__":
    main()
