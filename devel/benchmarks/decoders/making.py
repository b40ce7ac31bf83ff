"""From a recipe to an ensemble: particles of a molecule, a decoder, volumes and their truth."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.cluster.vq import kmeans2
from scipy.spatial import cKDTree

from . import recovar_run
from .core_api import enclosing_level
from .molecules import CORE, Model, draw_states, low_pass, model, split_of
from .particles import Imaging, Particles, simulate_particles
from .smooth import phase_randomized, smooth_noise
from .stored import Stored, from_volumes
from .subspace import fit, sphere

AROUND = 20  # particles nearest to a volume's latent point: of these the true share is taken
KEPT = 0.99  # of the variance of a network's volumes: the rest is spread over 100 components


class Nonlinear(Protocol):
    """A decoder whose volumes are no mean and components."""

    @property
    def latents(self) -> NDArray[np.float32]:
        """(P, K) of the particles."""

    def volumes(self, latents: NDArray[np.floating]) -> NDArray[np.float32]:
        """(V, z, y, x) densities at (V, K) latents."""


@dataclass(frozen=True)
class Recipe:
    """How an ensemble is made; the same recipe gives the same ensemble.

    Attributes
    ----------
    name : unique
    kind : ``one state``, ``moving``, ``blocks``, ``rare``, ``junk``, ``smooth`` (random functions
        over a constant particle), ``phases`` (a subspace's components with their phases redrawn)
    molecule : of :mod:`.molecules`
    decoder : ``subspace``, ``cryodrgn`` (our loop), ``train_vae`` (its own) or ``recovar``; not for
        ``smooth``
    width, epochs : hidden units of a layer of cryoDRGN's network, and passes over the particles
    box : voxels a side
    dimensions : of the latents
    volumes : V
    blocks : about how many come and go
    moving : degrees to either side
    prior, shrunk : of the subspace, see :func:`.subspace.fit`
    masked : whether the subspace's mask is the dilated particle, else a sphere
    imaging : of the particles
    scale, amplitude, even : of ``smooth``, see :func:`.smooth.smooth_noise`
    fill : diameter of the molecule relative to the box
    seed : of everything
    """

    name: str
    kind: str
    molecule: str = "50S"
    decoder: str = "subspace"
    width: int = 128
    epochs: int = 25
    box: int = 48
    dimensions: int = 6
    volumes: int = 400
    blocks: int = 0
    moving: float = 0.0
    prior: float = 0.3
    shrunk: bool = True
    masked: bool = False
    imaging: Imaging = field(default_factory=Imaging)
    scale: float = 0.0
    amplitude: float = 1.0
    even: bool = False
    fill: float = 0.8
    seed: int = 0

    @property
    def null(self) -> bool:
        """Whether no block is true and nothing moves."""
        return self.kind in ("one state", "smooth", "phases")


def make(
    recipe: Recipe, device: str = "cpu", turn: AbstractContextManager[Any] | None = None
) -> Stored:
    """The ensemble of a recipe.

    Parameters
    ----------
    device : where networks are trained: ``cpu`` or ``cuda``
    turn : held while our loop uses the device, for processes side by side

    Raises
    ------
    Absent
        If its molecule, cryoDRGN or RECOVAR is not on this machine.
    """
    made = _model_of(recipe)
    rng = np.random.default_rng([recipe.seed, 50])
    if recipe.kind == "smooth":
        return _smooth(recipe, made, rng)
    particles = simulate_particles(
        made.densities,
        draw_states(made, recipe.imaging.particles, rng),
        made.voxel_size,
        recipe.imaging,
        rng,
    )
    return _decoded(recipe, made, particles, rng, device, turn)


def make_halves(recipe: Recipe) -> tuple[Stored, Stored]:
    """Two ensembles of a recipe: its particles parted at random, a decoder for each half.

    Nothing is shared but the molecule and the poses' errors: each half has its own latent space
    and volumes.

    Raises
    ------
    Absent
        As :func:`make`.
    """
    made = _model_of(recipe)
    rng = np.random.default_rng([recipe.seed, 50])
    states = draw_states(made, recipe.imaging.particles, rng)
    particles = simulate_particles(made.densities, states, made.voxel_size, recipe.imaging, rng)
    order = np.random.default_rng([recipe.seed, 90]).permutation(len(particles))
    first, second = (
        _decoded(
            replace(recipe, name=f"{recipe.name}-half-{h}", seed=recipe.seed + 10_000 * h),
            made,
            particles.some(np.sort(part)),
            np.random.default_rng([recipe.seed, 91, h]),
        )
        for h, part in enumerate(np.array_split(order, 2), 1)
    )
    return first, second


def _model_of(recipe: Recipe) -> Model:
    return model(
        recipe.molecule,
        recipe.box,
        recipe.blocks,
        recipe.moving,
        recipe.kind == "rare",
        recipe.fill,
        1.0 if recipe.kind == "smooth" else recipe.imaging.reach,
        recipe.seed,
    )


def _decoded(
    recipe: Recipe,
    made: Model,
    particles: Particles,
    rng: np.random.Generator,
    device: str = "cpu",
    turn: AbstractContextManager[Any] | None = None,
) -> Stored:
    """What a decoder makes of particles."""
    true_mean = low_pass(
        np.tensordot(particles.states.mean(axis=0), made.densities, 1), recipe.imaging.reach
    )
    mask = _mask(true_mean, made.level) if recipe.masked else sphere(recipe.box)
    if recipe.decoder in ("cryodrgn", "train_vae"):
        from . import cryodrgn_net, train_vae

        how = (particles, recipe.dimensions, recipe.epochs, recipe.seed, recipe.width, device)
        decoder: Nonlinear = (
            train_vae.train(*how)
            if recipe.decoder == "train_vae"
            else cryodrgn_net.train(*how, turn)
        )
        latents = decoder.latents
        chosen = chosen_points(latents, recipe.volumes, recipe.seed)
        mean, components, scores = from_volumes(decoder.volumes(latents[chosen]), KEPT)
    else:
        if recipe.decoder == "recovar":
            found = recovar_run.run(particles, recipe.dimensions, recipe.seed)
        else:
            found = fit(
                particles, recipe.dimensions, mask, recipe.prior, recipe.shrunk, seed=recipe.seed
            )
        chosen = chosen_points(found.latents, recipe.volumes, recipe.seed)
        mean, scores, latents = found.mean, found.latents[chosen], found.latents
        components = found.components.astype(np.float16)
    if recipe.kind == "phases":
        components = phase_randomized(components, mask, rng)
    soft = soft_shares(latents, chosen, particles.states[:, 1:], particles.junk)
    return _stored(recipe, made, mean, components, scores, soft, true_mean)


def chosen_points(latents: NDArray[np.floating], count: int, seed: int) -> NDArray[np.int64]:
    """(V,) the particles nearest to k-means centers of (P, K) latents; no particle twice."""
    centers, _ = kmeans2(
        latents.astype(np.float64),
        count,
        iter=5,
        minit="points",
        seed=np.random.default_rng([seed, 60]),
    )
    return np.unique(cKDTree(latents).query(centers)[1])


def soft_shares(
    latents: NDArray[np.floating],
    chosen: NDArray[np.integer],
    states: NDArray[np.floating],
    junk: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """(V, B) share of the AROUND particles nearest to each chosen one, itself among them, that
    have each block; junk particles have none, and count."""
    there = states * ~junk[:, None]
    near = cKDTree(latents).query(latents[chosen], min(AROUND, len(latents)))[1]
    return np.asarray(there[near].mean(axis=1), np.float32)


def level_by_hand(
    mean: NDArray[np.floating], true_mean: NDArray[np.floating], level: float
) -> float:
    """The level at which a decoder's mean encloses as many voxels as the true mean does at its."""
    return enclosing_level(mean, float((true_mean > level).sum()))


def _mask(density: NDArray[np.floating], level: float) -> NDArray[np.float32]:
    """The particle, dilated by 3 voxels, with a soft edge of 2 more."""
    near = ndimage.distance_transform_edt(density < 0.5 * level)
    return np.asarray(np.clip((5 - near) / 2, 0, 1), np.float32)


def _smooth(recipe: Recipe, made: Model, rng: np.random.Generator) -> Stored:
    mean = made.densities.sum(axis=0)
    components, scores = smooth_noise(
        mean,
        made.level,
        recipe.volumes,
        recipe.dimensions,
        recipe.scale,
        recipe.amplitude,
        recipe.even,
        rng,
    )
    return _stored(
        recipe, made, mean, components, scores, np.empty((len(scores), 0), np.float32), mean
    )


def _stored(
    recipe: Recipe,
    made: Model,
    mean: NDArray[np.floating],
    components: NDArray[np.float16],
    scores: NDArray[np.floating],
    soft: NDArray[np.float32],
    true_mean: NDArray[np.floating],
) -> Stored:
    """With the truth. The angles of a moving domain are no blocks: of these no share is kept."""
    null = recipe.null or bool(recipe.moving)
    how = {
        **asdict(recipe),
        "split": split_of(recipe.molecule),
        "true_level": made.level,
        "occupancies": [] if null else np.round(soft.mean(axis=0), 4).tolist(),
    }
    return Stored(
        np.asarray(mean, np.float32),
        components,
        np.asarray(scores, np.float32),
        level_by_hand(mean, true_mean, made.level),
        made.voxel_size,
        np.where(made.truth >= 0, CORE, made.truth).astype(np.int8) if recipe.null else made.truth,
        soft[:, :0] if null else soft,
        made.parents[:0] if null else made.parents,
        made.densities.astype(np.float16),
        how,
    )
