"""Nulls of other laws: ``python devel/benchmarks/decoders/kernels.py`` (``make bench-kernels``) writes
``kernels.md`` in the folder above.

Nothing comes and goes. A constant particle lies in noise, and what the noise is of a volume's
latents follows a law that no cut of the verdicts was set on: rough and smooth Gaussian processes,
networks, polynomials, classes, a walk. So does where it is: everywhere, in proportion to the
density, in rings, beside the molecule alone; or sharpness, a mask, a missing wedge vary. And
controls: blocks that come and go in the same noise. Volumes are made in memory; their levels
enclose the particle's mass. ``../shared/data`` is needed: the molecules come from there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from decoders.core_api import GRADED, MOVING, SOLID, BlockEvidence, Grid, constants, in_memory
from decoders.measures import best_overlap
from decoders.methods import METHODS, Found
from decoders.molecules import Model, draw_states, model
from decoders.summary import upper_bound

TABLE = Path(__file__).resolve().parents[1] / "kernels.md"
MOLECULES = ("7t9k", "5h64", "5iyz", "1bvs", "6o1m", "3iyd", "4wj3", "6fsz")
VOLUMES, BOX, BLOCKS, SEED = 250, 48, 5, 20261126
WHITE = 0.01  # levels, independent noise in every other ensemble
CUTS = (0.3, 0.36, 0.42, 0.48, 0.55)
MATCHED = 0.5  # IoU with a planted block

Array = NDArray[np.float32]


# --- laws: what a volume's latents make of its scores


def _process(correlation: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Law:
    """Draws of a Gaussian process, from the correlation of two volumes at a distance."""

    def draw(at: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        squared = ((at[:, None] - at[None]) ** 2).mean(axis=-1)
        length = rng.uniform(0.3, 2.0)
        values, vectors = np.linalg.eigh(correlation(np.sqrt(squared) / length))
        root = vectors * np.sqrt(np.maximum(values, 0))
        return np.asarray(root @ rng.standard_normal((len(at), count)))

    return draw


def _network(layers: int, bend: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Law:
    """A network of random weights, 64 wide."""

    def draw(at: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
        hidden = at
        for _ in range(layers):
            weights = rng.standard_normal((hidden.shape[1], 64)) * 1.7 / np.sqrt(hidden.shape[1])
            hidden = bend(hidden @ weights + 0.3 * rng.standard_normal(64))
        return np.asarray(hidden @ rng.standard_normal((64, count)))

    return draw


def _cubic(at: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Polynomials of degree 3: heavy tails."""
    products = [at[:, [k]] * at[:, : k + 1] for k in range(at.shape[1])]
    terms = np.concatenate([at, *products, at**3 / 3], axis=1)
    return np.asarray(terms @ rng.standard_normal((terms.shape[1], count)))


def _classes(at: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Six classes, hardly varying within."""
    of = rng.integers(0, 6, len(at))
    return np.asarray(
        rng.standard_normal((6, count))[of] + 0.15 * rng.standard_normal((len(at), count))
    )


def _walk(at: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A random walk from volume to volume, as along a trajectory."""
    return np.cumsum(rng.standard_normal((len(at), count)), axis=0)


Law = Callable[[NDArray[np.float64], int, np.random.Generator], NDArray[np.float64]]
LAWS: dict[str, Law] = {
    "exponential": _process(lambda d: np.exp(-d)),
    "Matern 3/2": _process(lambda d: (1 + np.sqrt(3) * d) * np.exp(-np.sqrt(3) * d)),
    "rational quadratic": _process(lambda d: (1 + d**2) ** -0.5),
    "periodic": _process(lambda d: np.exp(-2 * np.sin(np.pi * d / 2) ** 2)),
    "network of 2 layers": _network(2, np.tanh),
    "network of 4 layers": _network(4, np.tanh),
    "rectified network": _network(2, lambda x: np.maximum(x, 0)),
    "cubic": _cubic,
    "classes": _classes,
    "walk": _walk,
}


def scores(law: str, rng: np.random.Generator) -> Array:
    """(V, K) scores of mean 0 and SD 1, K of 3 to 13, of 1 to 8 latents."""
    at = rng.standard_normal((VOLUMES, int(rng.integers(1, 9))))
    found = LAWS[law](at, int(rng.integers(3, 14)), rng)
    return np.asarray((found - found.mean(axis=0)) / (found.std(axis=0) + 1e-9), np.float32)


# --- places: where it shows


@dataclass(frozen=True)
class Scene:
    """What noise is added to.

    Attributes
    ----------
    density : (z, y, x) of the particle
    level : contour level
    rng : of everything that is drawn
    """

    density: Array
    level: float
    rng: np.random.Generator

    @property
    def axes(self) -> tuple[Array, Array, Array]:
        """z, y, x of each voxel from the middle, to broadcast."""
        line = np.arange(BOX, dtype=np.float32) - BOX // 2
        return line[:, None, None], line[None, :, None], line[None, None]

    @property
    def radius(self) -> Array:
        """(z, y, x) from the middle, voxels."""
        return np.asarray(np.sqrt(sum(a**2 for a in self.axes)), np.float32)

    @property
    def near(self) -> Array:
        """(z, y, x) 1 in and near the molecule, 0 elsewhere."""
        wide = ndimage.binary_dilation(self.density > self.level, iterations=3)
        return np.asarray(ndimage.gaussian_filter(wide.astype(np.float32), 1.5))

    def grains(self, count: int, size: float) -> Array:
        """(count, z, y, x) noise of SD 1 that varies over ``size`` voxels."""
        white = self.rng.standard_normal((count, BOX, BOX, BOX), dtype=np.float32)
        found = ndimage.gaussian_filter(white, (0, size, size, size), mode="wrap")
        return np.asarray(found / found.std(), np.float32)

    def noise(self, given: Array, where: Array, size: float, strength: float) -> Array:
        """(V, z, y, x) noise of an SD of ``strength`` contour levels where ``where`` is 1."""
        components = self.grains(given.shape[1], size) * where * (strength * self.level)
        return np.asarray(np.tensordot(given / np.sqrt(given.shape[1]), components, 1))


Place = Callable[[Scene, Array], Array]  # scene, (V, K) scores -> (V, z, y, x)


def _grain(size: float) -> Place:
    """Noise near the molecule, and less elsewhere."""

    def add(scene: Scene, given: Array) -> Array:
        where = 0.3 + 0.7 * scene.near
        return scene.density + scene.noise(given, where, size, scene.rng.uniform(0.1, 0.5))

    return add


def _in_proportion(scene: Scene, given: Array) -> Array:
    where = scene.density / scene.level
    return scene.density + scene.noise(given, where, 2, scene.rng.uniform(0.03, 0.15))


def _sharpness(scene: Scene, given: Array) -> Array:
    """Blurred by 0 to 1.6 voxels, by another amount in each volume, and somewhat in each place."""
    steps = np.stack([ndimage.gaussian_filter(scene.density, s) for s in (0.0, 0.8, 1.6)])
    local = np.tensordot(given[:, 1:3], scene.grains(2, 6), 1) * 0.3
    result = np.empty_like(local)
    for v, place in enumerate(local):
        amount = np.clip(1 + np.tanh(given[v, 0]) + place, 0, 1.999)
        low = amount.astype(int)
        less, more = (np.take_along_axis(steps, (low + k)[None], 0)[0] for k in (0, 1))
        result[v] = less + (more - less) * (amount - low)
    return result + scene.noise(given, np.ones_like(scene.density), 1, 0.1)


def _mask(scene: Scene, given: Array) -> Array:
    """A soft round mask of changing radius outside of the molecule, over noise that all share."""
    shared = scene.density + scene.grains(1, 1)[0] * (0.3 * scene.level)
    reach = scene.radius[scene.density > scene.level].max() + 3
    radius = reach + 0.06 * BOX * (1 + np.tanh(given[:, 0]))[:, None, None, None]
    masked = shared / (1 + np.exp(scene.radius - radius))
    return np.asarray(masked + scene.noise(given, scene.near, 1, 0.1), np.float32)


def _wedge(scene: Scene, given: Array) -> Array:
    """Views that lack about a direction, which turns."""
    across, along = np.fft.fftfreq(BOX), np.fft.rfftfreq(BOX)
    z, y, x = across[:, None, None], across[None, :, None], along[None, None]
    length = np.sqrt(z**2 + y**2 + x**2) + 1e-6
    whole = np.fft.rfftn(scene.density)
    result = np.empty((len(given), BOX, BOX, BOX), np.float32)
    for v, (a, b) in enumerate(given[:, :2] * 0.5):
        cosine = np.abs(z * np.sin(a) + y * np.cos(a) * np.sin(b) + x * np.cos(a) * np.cos(b))
        lost = 0.8 * np.exp(-(1 - cosine / length) / 0.08)
        result[v] = np.fft.irfftn(whole * (1 - lost), scene.density.shape)
    return result + scene.noise(given, np.ones_like(scene.density), 1, 0.1)


def _rings(scene: Scene, given: Array) -> Array:
    """Waves around the middle of the box."""
    falls = np.exp(-((2 * scene.radius / BOX) ** 2)) * (0.4 * scene.level)
    waves = [np.cos(2 * np.pi * scene.radius / (4 + 2 * k) + k) for k in range(given.shape[1])]
    return np.asarray(
        scene.density + np.tensordot(given / np.sqrt(given.shape[1]), np.stack(waves) * falls, 1),
        np.float32,
    )


def _halo(scene: Scene, given: Array) -> Array:
    """Contrast, and a haze around the molecule, vary."""
    haze = ndimage.gaussian_filter(scene.density, 0.07 * BOX)
    haze *= scene.level / haze.max()
    contrast, strength = (np.tanh(given[:, k])[:, None, None, None] for k in (0, 1))
    hazy = scene.density * (1 + 0.1 * contrast) + haze * (0.6 + 0.3 * strength)
    return np.asarray(hazy + scene.noise(given, scene.near, 1, 0.1), np.float32)


def _beside(where: Callable[[Scene], NDArray[np.floating]], low: float, high: float) -> Place:
    """Noise of ``low`` to ``high`` contour levels in one place alone."""

    def add(scene: Scene, given: Array) -> Array:
        there = np.asarray(where(scene), np.float32)
        size, strength = scene.rng.uniform(0.6, 3.5), scene.rng.uniform(low, high)
        return scene.density + scene.noise(given, there, size, strength)

    return add


def _shell(scene: Scene) -> NDArray[np.floating]:
    at, width = scene.rng.uniform(0.2, 0.42), scene.rng.uniform(0.03, 0.12)
    return np.asarray(np.exp(-(((scene.radius / BOX - at) / width) ** 2)))


def _belt(scene: Scene) -> NDArray[np.floating]:
    z, y, x = scene.axes
    around = (np.sqrt(y**2 + x**2) / BOX - 0.3) / 0.07
    along = (z / BOX - scene.rng.uniform(-0.1, 0.1)) / 0.1
    return np.asarray(np.exp(-(around**2) - along**2))


def _balls(scene: Scene) -> NDArray[np.floating]:
    total = np.zeros_like(scene.density, np.float64)
    for center in scene.rng.uniform(-0.4, 0.4, (8, 3)) * BOX:
        squared = sum((a - c) ** 2 for a, c in zip(scene.axes, center, strict=True))
        total += np.exp(-squared / (2 * (0.08 * BOX) ** 2))
    return np.minimum(total, 1)


def _side(scene: Scene) -> NDArray[np.floating]:
    edge = (scene.axes[0] - BOX * scene.rng.uniform(-0.1, 0.2)) / 1.5
    return np.asarray(np.exp(-((scene.radius / (0.45 * BOX)) ** 8)) / (1 + np.exp(-edge)))


def _outside(scene: Scene) -> NDArray[np.floating]:
    return np.asarray((1 - scene.near) * np.exp(-((scene.radius / (0.4 * BOX)) ** 6)))


PLACES: dict[str, Place] = {
    "grains of 1 voxel": _grain(1),
    "grains of 2 voxels": _grain(2),
    "grains of 4 voxels": _grain(4),
    "in proportion to the density": _in_proportion,
    "sharpness": _sharpness,
    "a mask": _mask,
    "a missing wedge": _wedge,
    "rings": _rings,
    "contrast and a halo": _halo,
}


REGIONS: dict[str, Callable[[Scene], NDArray[np.floating]]] = {
    "in a shell": _shell,
    "in a belt": _belt,
    "in eight balls": _balls,
    "on one side": _side,
    "around the molecule": _outside,
    "in the molecule": lambda scene: scene.near**2,
}
STRONG, VIOLENT = (0.2, 0.6), (0.6, 1.2)  # SD, contour levels
PLACES |= {f"strong, {name}": _beside(region, *STRONG) for name, region in REGIONS.items()}
WORST: dict[str, Place] = {
    f"violent, {name}": _beside(region, *VIOLENT) for name, region in REGIONS.items()
}


# --- runs


@dataclass(frozen=True)
class Case:
    """Volumes to look for blocks in.

    Attributes
    ----------
    law, place : of LAWS and PLACES
    number : of the case, for its molecule and seed
    blocks : whether blocks come and go as well
    """

    law: str
    place: str
    number: int
    blocks: bool = False


def found_in(case: Case) -> tuple[Found, Model]:
    """What sketch and expand find, at the level that encloses the particle's mass."""
    rng = np.random.default_rng([SEED, case.number])
    molecule, blocks = MOLECULES[case.number % len(MOLECULES)], BLOCKS if case.blocks else 0
    made = model(molecule, BOX, blocks, fill=float(rng.uniform(0.55, 0.85)), seed=case.number)
    whole = made.densities.sum(axis=0)
    arrays = {**PLACES, **WORST}[case.place](Scene(whole, made.level, rng), scores(case.law, rng))
    if case.blocks:
        states = draw_states(made, VOLUMES, rng)
        arrays = arrays + np.tensordot(states - 1, made.densities, 1).astype(np.float32)
    if case.number % 2:
        arrays = arrays + rng.normal(0, WHITE * made.level, arrays.shape).astype(np.float32)
    grid = Grid((BOX,) * 3, (made.voxel_size,) * 3)
    names = [f"vol_{v:03d}.mrc" for v in range(VOLUMES)]
    ensemble = in_memory(np.asarray(arrays, np.float32), grid, names)
    return METHODS["profile"](ensemble, np.full(VOLUMES, made.level), False), made


def stands(evidence: BlockEvidence) -> bool:
    """Whether a block is taken for a part that comes and goes."""
    return evidence.verdict in (SOLID, GRADED)


def nulls(places: Mapping[str, Place], first: int) -> list[str]:
    """Lines of the table, a line for each place; cases are numbered from ``first``."""
    lines = [
        "| what varies | ensembles | with a block | with one that stands | without `negative` "
        "| blocks | moving |",
        "|---|---|---|---|---|---|---|",
    ]
    every = []
    for row, place in enumerate(places):
        cases = [Case(law, place, first + row * len(LAWS) + k) for k, law in enumerate(LAWS)]
        found = [list(found_in(case)[0].evidence.values()) for case in cases]
        every += found
        moving = sum(e.verdict.startswith(MOVING) for blocks in found for e in blocks)
        lines.append(
            f"| {place} | {len(found)} | {sum(map(bool, found))} | {standing(found)} "
            f"| {standing(found, np.inf)} | {sum(map(len, found))} | {moving} |"
        )
        print(lines[-1], flush=True)
    bad = standing(every)
    return [
        *lines,
        "",
        f"{bad} of {len(every)} have a block that stands; the true share is below "
        f"{upper_bound(bad, len(every)):.1%} (95 %, Clopper-Pearson). With another MAX_NEGATIVE: "
        + ", ".join(f"{standing(every, cut)} at {cut}" for cut in CUTS)
        + ".",
    ]


def standing(found: Sequence[Sequence[BlockEvidence]], cut: float | None = None) -> int:
    """In how many ensembles a block stands; with another MAX_NEGATIVE."""
    kept = constants.MAX_NEGATIVE
    constants.MAX_NEGATIVE = kept if cut is None else cut
    count = sum(any(map(stands, blocks)) for blocks in found)
    constants.MAX_NEGATIVE = kept
    return count


def controls() -> list[str]:
    """Lines of the table of controls, a line for each place."""
    lines = [
        f"| what varies | planted blocks | found, IoU above {MATCHED} | of these stand "
        "| without `negative` | others that stand |",
        "|---|---|---|---|---|---|",
    ]
    for row, (place, law) in enumerate(zip(PLACES, cycle(LAWS), strict=False)):
        planted = hits = stand = otherwise = 0
        found, made = found_in(Case(law, place, 1000 + row, True))
        matched = set()
        for b in range(len(made.plan)):
            iou, which = best_overlap(np.flatnonzero(made.truth == b), list(found.blocks.values()))
            planted += 1
            if iou > MATCHED:
                top = list(found.blocks)[which]
                evidence = found.evidence[top]
                hits += 1
                stand += stands(evidence)
                otherwise += stands(replace(evidence, negative=0.0))
                matched.add(top)
        others = sum(stands(e) for n, e in found.evidence.items() if n not in matched)
        lines.append(f"| {place}; {law} | {planted} | {hits} | {stand} | {otherwise} | {others} |")
        print(lines[-1], flush=True)
    return lines


def main() -> int:
    """Run, print progress, write the page."""
    page = TEXT.format(
        nulls="\n".join(nulls(PLACES, 0)),
        worst="\n".join(nulls(WORST, 500)),
        controls="\n".join(controls()),
        volumes=VOLUMES,
        box=BOX,
        white=WHITE,
        laws=", ".join(LAWS),
        strong=" to ".join(map(str, STRONG)),
        violent=" to ".join(map(str, VIOLENT)),
    )
    TABLE.write_text(page, encoding="utf-8")
    return 0


TEXT = """# Noise of other laws

Made by `python devel/benchmarks/decoders/kernels.py` (`make bench-kernels`). A constant particle of eight molecules in turn, {volumes}
volumes of {box}^3. What varies does so by one of ten laws of one to eight latents ({laws}), each once in each row; every
other ensemble has independent noise of {white} contour levels as well. A block *stands* if its verdict is solid or graded. No cut but MAX_NEGATIVE
was set on such volumes.
*Strong* noise has an SD of {strong} contour levels, in one place alone.

## Nothing comes and goes

{nulls}

*Without `negative`*: how many would have a block that stands if it were not asked for (section 6 of the method page). It was made after
five of 94 ensembles of another program of such noise had blocks that stood, all with noise of 0.6 levels and more in a shell beside the molecule.

## Noise as strong as the molecule

An SD of {violent} contour levels in one place alone. Where such noise lies on density, that density is gone in some volumes and doubled in
others, and nothing tells it from a part that comes and goes by degrees.

{worst}

## Controls: up to five blocks come and go in such noise

{controls}
"""

if __name__ == "__main__":
    sys.exit(main())
