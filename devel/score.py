"""Compare found blocks with the planted ones of an example: ``python devel/score.py EXAMPLE_FOLDER
BLOCKS_FOLDER``.

``BLOCKS_FOLDER`` holds the ``blocks.json`` written by ``siren sketch`` or ``siren expand``. Voxels
are flat indices in z, y, x order.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chimerax.siren.core.blocks.occupancy import Occupancy, binarize
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.ensemble import find_ensemble
from chimerax.siren.core.simulation.example import Simulation
from chimerax.siren.core.simulation.example_folder import TRUTH

Voxels = NDArray[np.integer]


@dataclass(frozen=True)
class Planted:
    """The ground truth of an ensemble: U planted blocks (each position of a moving block is one), V
    volumes.

    Attributes
    ----------
    names : (U,) names of the blocks
    voxels : (U,) flat indices of each
    present : (U, V) bool
    shape : voxels along z, y, x
    files : (V,) file names
    levels : (V,) true levels
    junk : (V,) bool
    """

    names: tuple[str, ...]
    voxels: tuple[Voxels, ...]
    present: NDArray[np.bool_]
    shape: tuple[int, int, int]
    files: tuple[str, ...]
    levels: NDArray[np.float64]
    junk: NDArray[np.bool_]


def planted_of(simulation: Simulation) -> Planted:
    """The ground truth of a simulation in memory."""
    units = simulation.units
    present = np.array([u.present for u in units], bool).reshape(len(units), len(simulation))
    return Planted(
        tuple(u.name for u in units),
        tuple(u.voxels for u in units),
        present,
        simulation.grid.shape,
        simulation.names,
        simulation.levels,
        simulation.junk,
    )


def read_planted(folder: str | Path) -> Planted:
    """The ground truth of an example on disk."""
    truth = _read_json(Path(folder).expanduser() / TRUTH)
    shape = _shape(truth)
    blocks, volumes = truth["blocks"], truth["volumes"]
    return Planted(
        names=tuple(b["name"] for b in blocks),
        voxels=tuple(_flat(b["voxels"], shape) for b in blocks),
        present=np.array([b["present"] for b in blocks], bool).reshape(len(blocks), len(volumes)),
        shape=shape,
        files=tuple(v["file"] for v in volumes),
        levels=np.array([v["level"] for v in volumes]),
        junk=np.array([v["junk"] for v in volumes], bool),
    )


def read_found(folder: str | Path, shape: tuple[int, int, int] | None = None) -> dict[str, Voxels]:
    """Read blocks by number from ``blocks.json`` in a folder (or the file itself); its grid must
    have this shape if given.
    """
    path = Path(folder).expanduser()
    blocks = _read_json(path / "blocks.json" if path.is_dir() else path)
    found_shape = _shape(blocks)
    if shape is not None and found_shape != shape:
        raise SirenError(
            f"{path}: blocks on a grid of {found_shape} voxels do not fit the example's {shape}: "
            "give the blocks that were found in it."
        )
    return {number: _flat(voxels, found_shape) for number, voxels in blocks["blocks"].items()}


@dataclass(frozen=True)
class Score:
    """Comparison of U planted with F found blocks.

    Attributes
    ----------
    names, found_names : (U,), (F,)
    iou : (U, F) intersection over union of the voxel sets
    best : (U,) best IoU of each planted block, 0 if nothing was found
    best_found : (U,) name of the found block with that IoU, "" if none overlaps
    splits : surplus found blocks. A found block belongs to the planted block with most of its
        voxels if these are half of either block; all but one per planted block count
    merges : surplus planted blocks. A found block merges the planted blocks of which it holds
        half; all but one per found block count
    spurious : names of found blocks whose IoU is below 0.1 with every planted block and that are
        no fragment of one (less than half of their voxels in any single one)
    rand : adjusted Rand index over the voxels in any planted or found block ("in none" is a class)
    """

    names: tuple[str, ...]
    found_names: tuple[str, ...]
    iou: NDArray[np.float64]
    best: NDArray[np.float64]
    best_found: tuple[str, ...]
    splits: int
    merges: int
    spurious: tuple[str, ...]
    rand: float

    @property
    def mean(self) -> float:
        """Mean best IoU over the planted blocks; NaN if none was planted."""
        return float(self.best.mean()) if len(self.best) else float("nan")


def score(planted: Planted, found: Mapping[str, Voxels]) -> Score:
    """Compare found blocks (flat voxel indices by name) with the planted ones."""
    found = {name: np.unique(np.asarray(v, np.int64)) for name, v in found.items()}
    names = tuple(found)
    both = np.array(
        [[len(np.intersect1d(p, f)) for f in found.values()] for p in planted.voxels], float
    )
    both = both.reshape(len(planted.names), len(found))
    planted_size = np.array([len(p) for p in planted.voxels], float)
    found_size = np.array([len(f) for f in found.values()], float)
    iou = both / np.maximum(planted_size[:, None] + found_size - both, 1)
    of_planted, of_found = (
        both / np.maximum(planted_size[:, None], 1),
        both / np.maximum(found_size, 1),
    )

    best = iou.max(axis=1, initial=0.0)
    best_found = tuple(names[int(row.argmax())] if row.max(initial=0) > 0 else "" for row in iou)
    splits, spurious = 0, list(names)
    merges = int(np.maximum((of_planted >= 0.5).sum(axis=0) - 1, 0).sum())
    if len(planted.names):
        home = both.argmax(axis=0)
        columns = np.arange(len(names))
        belongs = (of_found[home, columns] >= 0.5) | (of_planted[home, columns] >= 0.5)
        splits = int(np.maximum(np.bincount(home[belongs], minlength=1) - 1, 0).sum())
        foreign = (iou.max(axis=0) < 0.1) & (of_found.max(axis=0) < 0.5)
        spurious = [n for n, f in zip(names, foreign, strict=True) if f]
    return Score(
        planted.names,
        names,
        iou,
        best,
        best_found,
        splits,
        merges,
        tuple(spurious),
        adjusted_rand(planted.voxels, tuple(found.values()), int(np.prod(planted.shape))),
    )


def adjusted_rand(one: tuple[Voxels, ...], two: tuple[Voxels, ...], size: int) -> float:
    """Adjusted Rand index of two sets of blocks over the voxels of either; a voxel in several
    blocks counts for the last.
    """
    labels = np.zeros((2, size), np.int64)
    for row, blocks in zip(labels, (one, two), strict=True):
        for k, voxels in enumerate(blocks, 1):
            row[voxels] = k
    a, b = labels[:, labels.any(axis=0)]
    table = np.zeros((len(one) + 1, len(two) + 1))
    np.add.at(table, (a, b), 1)

    def pairs(n: NDArray[np.float64]) -> float:
        return float((n * (n - 1) / 2).sum())

    together, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    expected = rows * columns / max(pairs(np.array([len(a)], float)), 1)
    most = (rows + columns) / 2
    return 1.0 if most == expected else (together - expected) / (most - expected)


@dataclass(frozen=True)
class Ceiling:
    """The best achievable result: each voxel assigned by the true states of the blocks.

    Attributes
    ----------
    cut : correlation above which a voxel is assigned (the one with the best mean)
    best : (U,) IoU of each planted block
    """

    cut: float
    best: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean over the planted blocks."""
        return float(self.best.mean()) if len(self.best) else float("nan")


def ceiling(planted: Planted, occupancy: Occupancy, fraction: float = 0.01) -> Ceiling:
    """Mean best IoU when each union voxel goes to the block whose true presence its occupancy
    correlates with best.

    The correlation (phi) is over the volumes of ``occupancy`` that are not junk; the best of the
    cutoffs 0.05, 0.10 ... 0.95 on it is used. The same cutoff serves all blocks, so a single block
    may be found better than its own ceiling: the mean is what counts.

    Parameters
    ----------
    planted : the ground truth
    occupancy : the binarized ensemble, its volumes named as in ``planted``
    fraction : union voxels are occupied in more than this share of the volumes
    """
    number = {name: i for i, name in enumerate(planted.files)}
    columns = np.array([number[n] for n in occupancy.names])
    good = ~planted.junk[columns]
    states = planted.present[:, columns[good]]
    # a constant block correlates with nothing
    kept = np.flatnonzero(states.any(axis=1) & ~states.all(axis=1))
    voxels = occupancy.union(fraction)
    best_phi, best_unit = np.zeros(len(voxels)), np.zeros(len(voxels), np.int64)
    profiles = _standard(states[kept].astype(np.float64))
    for start in range(0, len(voxels), 20_000):
        part = slice(start, start + 20_000)
        phi = _standard(occupancy.rows(voxels[part])[:, good].astype(np.float64)) @ profiles.T
        if len(kept):
            best_phi[part], best_unit[part] = phi.max(axis=1), kept[phi.argmax(axis=1)]
    results = []
    for cut in np.arange(0.05, 0.96, 0.05):
        chosen = best_phi > cut
        assigned = {str(u): voxels[chosen & (best_unit == u)] for u in kept}
        results.append(Ceiling(round(float(cut), 2), score(planted, assigned).best))
    return max(results, key=lambda c: c.best.sum())


def _standard(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardize rows to mean 0 and length 1; constant rows become 0."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-9)


def table(planted: Planted, result: Score, limit: Ceiling | None = None) -> str:
    """The comparison as text: a row per planted block, then a summary."""
    shown = planted.present[:, ~planted.junk].mean(axis=1) if planted.names else []
    head = f"{'planted':<14}{'voxels':>8}{'occupancy':>11}{'found as':>10}{'IoU':>7}"
    lines = [head + (f"{'ceiling':>9}" if limit else "")]
    for u, name in enumerate(planted.names):
        row = f"{name:<14}{len(planted.voxels[u]):>8,}{shown[u]:>11.2f}"
        row += f"{result.best_found[u] or '-':>10}"
        lines.append(f"{row}{result.best[u]:>7.2f}" + (f"{limit.best[u]:>9.2f}" if limit else ""))
    lines.append(
        f"{'mean':<14}{'':>29}{result.mean:>7.2f}" + (f"{limit.mean:>9.2f}" if limit else "")
    )
    spurious = f" ({', '.join(result.spurious)})" if result.spurious else ""
    lines.append(
        f"{len(result.found_names)} blocks found for {len(planted.names)} planted: "
        f"{result.splits} split off, "
        f"{result.merges} merged, {len(result.spurious)} spurious{spurious}; "
        f"adjusted Rand index {result.rand:.2f}"
    )
    return "\n".join(lines)


def true_occupancy(folder: str | Path, planted: Planted) -> Occupancy:
    """The ensemble of an example, binarized at its true levels, without junk."""
    ensemble = find_ensemble([folder])
    junk = [f for f, j in zip(planted.files, planted.junk, strict=True) if j]
    if junk:
        ensemble = ensemble.select(exclude=junk)
    level = dict(zip(planted.files, planted.levels, strict=True))
    return binarize(ensemble, np.array([level[n] for n in ensemble.names]))


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SirenError(f"{path}: there is no such file.") from None
    except ValueError as error:
        raise SirenError(f"{path} is not JSON ({error}): write it again.") from None
    assert isinstance(content, dict)
    return content


def _shape(content: dict) -> tuple[int, int, int]:
    z, y, x = content["grid"]["shape_zyx"]
    return int(z), int(y), int(x)


def _flat(zyx: list, shape: tuple[int, int, int]) -> Voxels:
    return np.ravel_multi_index(tuple(np.asarray(zyx, np.int64).reshape(-1, 3).T), shape)


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("example", help="folder written by siren example")
    parser.add_argument("blocks", help="folder with blocks.json")
    parser.add_argument(
        "--no-ceiling", action="store_true", help="skip the ceiling, which reads the whole ensemble"
    )
    options = parser.parse_args(arguments)
    try:
        planted = read_planted(options.example)
        found = read_found(options.blocks, planted.shape)
        limit = (
            None
            if options.no_ceiling
            else ceiling(planted, true_occupancy(options.example, planted))
        )
    except SirenError as error:
        print(error, file=sys.stderr)
        return 1
    print(table(planted, score(planted, found), limit))
    return 0


if __name__ == "__main__":
    sys.exit(main())
