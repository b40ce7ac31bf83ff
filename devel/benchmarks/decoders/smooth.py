"""Cheap ensembles without blocks: a constant particle in noise that is a function of few latents.

No particle is simulated, so hundreds cost minutes. Two families of functions of a latent vector:
random Fourier features, whose draws are smooth Gaussian processes, and linear ones. And the
components of an ensemble with their phases redrawn: the same scores and spectra, no structure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .core_api import NOISE_SD, noise_power, spectral_filter

FEATURES = 48  # random Fourier features of a smooth function


def fields(count: int, box: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(n, z, y, x) Gaussian fields of SD 1 with the noise spectrum of real volumes."""
    weight = spectral_filter(box, noise_power)
    white = rng.standard_normal((count, box, box, box), dtype=np.float32)
    turned = np.fft.irfftn(np.fft.rfftn(white, axes=(1, 2, 3)) * weight, (box,) * 3, (1, 2, 3))
    return np.asarray(turned, np.float32)


def features(
    latents: NDArray[np.floating],
    scale: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """(V, FEATURES) random Fourier features of (V, d) latents: smooth over a distance of ``scale``.

    A sum of them with independent normal weights has variance 1 and the correlation
    exp(-distance^2 / (2 scale^2)) (Rahimi & Recht 2007).
    """
    frequency = rng.standard_normal((latents.shape[1], FEATURES)) / scale
    phase = rng.uniform(0, 2 * np.pi, FEATURES)
    return np.asarray(np.sqrt(2 / FEATURES) * np.cos(latents @ frequency + phase), np.float32)


def smooth_scores(
    volumes: int,
    dimensions: int,
    scale: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """(V, K) scores of random functions of normal latents; ``scale`` 0: linear, K = dimensions."""
    latents = rng.standard_normal((volumes, dimensions))
    if scale <= 0:
        return np.asarray(latents / np.sqrt(dimensions), np.float32)
    return features(latents, scale * np.sqrt(dimensions), rng)


def smooth_noise(
    particle: NDArray[np.floating],
    level: float,
    volumes: int,
    dimensions: int,
    scale: float,
    amplitude: float,
    even: bool,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float16], NDArray[np.float32]]:
    """Components and scores of noise over a constant particle.

    Parameters
    ----------
    particle : (z, y, x), for its grid
    level : contour level; the noise has an SD of ``amplitude`` x 0.22 of it in the middle
    dimensions : of the latents
    scale : length over which the functions vary, in units of the latents' typical distance from
        their mean; 0 for linear ones
    even : as strong everywhere (it then crosses the level in empty space where it is strong),
        else falling to 0.15 at the faces of the box, as in real volumes
    """
    box = particle.shape[0]
    scores = smooth_scores(volumes, dimensions, scale, rng)
    squared = ((np.arange(box) - box // 2) / (box / 2)) ** 2
    edge = 1.0 if even else 0.15
    envelope = edge ** (squared[:, None, None] + squared[:, None] + squared)
    components = fields(scores.shape[1], box, rng) * (amplitude * NOISE_SD * level * envelope)
    return components.astype(np.float16), scores


def phase_randomized(
    components: NDArray[np.floating], mask: NDArray[np.floating], rng: np.random.Generator
) -> NDArray[np.float16]:
    """(K, z, y, x) components of the same amplitudes in Fourier space, with the phases of noise.

    Inside of the mask alone, and of the same SD there.
    """
    components = np.asarray(components, np.float32)
    amplitude = np.abs(np.fft.rfftn(components, axes=(1, 2, 3)))
    white = rng.standard_normal(components.shape, dtype=np.float32)
    phases = np.fft.rfftn(white, axes=(1, 2, 3))
    phases /= np.maximum(np.abs(phases), 1e-12)
    drawn = np.fft.irfftn(amplitude * phases, components.shape[1:], (1, 2, 3)) * mask
    inside = mask > 0.5
    drawn *= (components[:, inside].std(axis=1) / drawn[:, inside].std(axis=1))[:, None, None, None]
    return np.asarray(drawn, np.float16)
