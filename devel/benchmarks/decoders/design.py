"""The ensembles of the benchmark: recipes, in an order in which any beginning is a fair sample."""

from __future__ import annotations

import numpy as np

from .making import Recipe
from .molecules import TRAINING, VALIDATION
from .particles import Imaging

KINDS = {
    "one state": 200,
    "moving": 12,
    "blocks": 36,
    "rare": 6,
    "junk": 6,
    "phases": 20,
    "smooth": 120,
    "network": 8,
    "train_vae": 4,
    "recovar": 4,
}
# Networks of the size that users train, for a graphics card: made if named
CARD = {"wide": 44, "own": 4, "twin": 4}
WIDE = (
    *("one state", "blocks", "one state", "moving", "one state", "blocks"),
    *("one state", "rare", "one state", "blocks", "one state", "junk"),
)


def recipes(kinds: dict[str, int] | None = None) -> list[Recipe]:
    """Recipes of each kind, so many; kinds take turns, in proportion.

    The first n of a kind are the same whatever the number.
    """
    kinds = KINDS if kinds is None else kinds
    drawn = [((k + 0.5) / count, kind, k) for kind, count in kinds.items() for k in range(count)]
    return [recipe(kind, k) for _, kind, k in sorted(drawn)]


def recipe(kind: str, number: int) -> Recipe:
    """Recipe ``number`` of a kind: every second one of a validation molecule."""
    kinds = list(KINDS | CARD)
    rng = np.random.default_rng([kinds.index(kind), number, 70])
    pool = VALIDATION if number % 2 else TRAINING
    molecule = pool[number // 2 % len(pool)]
    seed = 1000 * kinds.index("own" if kind == "twin" else kind) + number
    name = f"{kind.replace(' ', '-')}-{number:03d}-{molecule}"
    if kind == "smooth":
        return _smooth(name, molecule, seed, number, rng)
    if kind == "network":
        return _network(name, molecule, seed, number)
    if kind in ("train_vae", "recovar"):
        return _package(name, kind, molecule, seed, number)
    if kind == "wide":
        return _wide(name, molecule, seed, number, rng)
    if kind in ("own", "twin"):
        return _twin(name, kind, molecule, seed, number)
    many = kind not in ("one state", "phases")
    box = 48 if many else int(rng.choice([32, 40, 48], p=[0.35, 0.45, 0.2]))
    snr = np.round(np.exp(rng.uniform(np.log(0.08 if many else 0.03), np.log(0.3))), 3)
    imaging = Imaging(
        particles=int(rng.choice([5000, 8000] if many else [3000, 5000, 7000])),
        snr=float(snr),
        reach=float(rng.choice([0.55, 0.65, 0.75, 0.87], p=[0.3, 0.35, 0.25, 0.1])),
        **_flaws(rng),
        junk=0.15 if kind == "junk" else 0.0,
    )
    blocks = {"blocks": int(rng.integers(4, 11)), "rare": 5, "junk": 6, "phases": 6}
    return Recipe(
        name,
        kind,
        molecule,
        box=box,
        dimensions=int(rng.integers(3, 11)),
        volumes=int(rng.choice([200, 300, 400, 500])),
        blocks=blocks.get(kind, 0),
        moving=12.0 if kind == "moving" else 0.0,
        masked=bool(rng.random() < 0.4),
        prior=float(rng.choice([0.02, 0.1, 0.3, 1.0])),
        shrunk=bool(rng.random() < 0.75),
        imaging=imaging,
        seed=seed,
    )


def _flaws(rng: np.random.Generator) -> dict[str, float]:
    """What is drawn of views, poses and particles; in this order, or recipes would change."""
    return {
        "preferred": float(rng.choice([0.0, 0.4, 0.7])),
        "tilt_error": float(rng.choice([1.0, 2.0, 3.0])),
        "shift_error": float(rng.choice([0.15, 0.3])),
        "contrast": float(rng.choice([0.0, 0.15])),
        "blurred": float(rng.choice([0.0, 1 / 3])),
    }


def _smooth(name: str, molecule: str, seed: int, number: int, rng: np.random.Generator) -> Recipe:
    """A third of the functions are linear; every second one is strong and even over the box."""
    strong = number // 2 % 2 == 1
    scale = float(rng.choice([0.0, 0.7, 1.5]))
    amplitude = rng.uniform(2, 5) if strong else rng.uniform(0.7, 1.5)
    return Recipe(
        name,
        "smooth",
        molecule,
        box=int(rng.choice([32, 40])),
        scale=scale,
        dimensions=int(rng.integers(2, 11)),
        volumes=int(rng.choice([200, 300, 500])),
        amplitude=round(float(amplitude), 2),
        even=strong,
        seed=seed,
    )


def _network(name: str, molecule: str, seed: int, number: int) -> Recipe:
    """Of cryoDRGN's network: two of one state, then two of blocks, and so on."""
    blocks = number // 2 % 2 == 1
    imaging = Imaging(particles=5000, snr=0.15, contrast=0.0 if number % 4 == 0 else 0.15)
    return Recipe(
        name,
        "blocks" if blocks else "one state",
        molecule,
        "cryodrgn",
        box=32,
        dimensions=8,
        volumes=300,
        blocks=6 if blocks else 0,
        imaging=imaging,
        seed=seed,
    )


def _package(name: str, decoder: str, molecule: str, seed: int, number: int) -> Recipe:
    """Of a package's own program: one state, blocks, blocks, one state, and so on."""
    blocks = number % 4 in (1, 2)
    own = decoder == "train_vae"
    return Recipe(
        name,
        "blocks" if blocks else "one state",
        molecule,
        decoder,
        box=32,
        dimensions=8 if own else 4,
        volumes=300,
        blocks=6 if blocks else 0,
        imaging=Imaging(particles=4000 if own else 3000, snr=0.3, contrast=0.15),
        seed=seed,
    )


def _wide(name: str, molecule: str, seed: int, number: int, rng: np.random.Generator) -> Recipe:
    """Of cryoDRGN's network, 3 x 256 or 3 x 1024: half of one state, of either split alike."""
    kind = WIDE[number // 2 % len(WIDE)]
    null = kind == "one state"
    low, high = (0.05, 0.5) if null else (0.2, 0.5)
    blocks = {"blocks": int(rng.integers(4, 9)), "rare": 5, "junk": 6}
    return Recipe(
        name,
        kind,
        molecule,
        "cryodrgn",
        width=int(rng.choice([256, 1024])),
        epochs=25 if null else 40,
        box=32 if null else 40,
        dimensions=int(rng.choice([4, 6, 8, 10])),
        volumes=int(rng.choice([300, 400, 500])),
        blocks=blocks.get(kind, 0),
        moving=12.0 if kind == "moving" else 0.0,
        imaging=Imaging(
            particles=20_000 if null else 30_000,
            snr=round(float(np.exp(rng.uniform(np.log(low), np.log(high)))), 3),
            reach=float(rng.choice([0.55, 0.65, 0.75])),
            **_flaws(rng),
            junk=0.15 if kind == "junk" else 0.0,
        ),
        seed=seed,
    )


def _twin(name: str, kind: str, molecule: str, seed: int, number: int) -> Recipe:
    """The same particles for ``cryodrgn train_vae`` as it comes, and for our loop of its network."""
    blocks = number % 4 in (1, 2)
    return Recipe(
        name,
        "blocks" if blocks else "one state",
        molecule,
        "train_vae" if kind == "own" else "cryodrgn",
        width=1024,
        box=32,
        dimensions=8,
        volumes=300,
        blocks=6 if blocks else 0,
        imaging=Imaging(particles=8000, snr=0.4, contrast=0.15),
        seed=seed,
    )
