"""Blocks with planted dependences, and what they imply, worked out from the plan alone."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray


def planted_presence(
    rng: np.random.Generator, blocks: int, volumes: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Presence (B, V); which block needs which (row needs column, both ways for twins); which never
    are together. All that follows is in there, too.
    """
    present = np.zeros((blocks, volumes), bool)
    needs = np.eye(blocks, dtype=bool)
    never = np.zeros((blocks, blocks), bool)
    for k in range(blocks):
        kind = rng.random()
        other = int(rng.integers(k)) if k else 0
        there = rng.random(volumes) < rng.uniform(0.5, 0.7)
        if k and kind < 0.5:
            present[k] = present[other] & there
            needs[k] |= needs[other]
            never[k], never[:, k] = never[other], never[:, other]
        elif k and kind < 0.65:
            present[k] = present[other]
            needs[k] |= needs[other]
            needs[needs[:, other], k] = True
            needs[other, k] = True
            never[k], never[:, k] = never[other], never[:, other]
        elif k and kind < 0.75:
            present[k] = there & ~present[other]
            never[k, needs[:, other]] = never[needs[:, other], k] = True
        else:
            present[k] = there
    return present, needs, never


def reduced(needs: NDArray[np.bool_]) -> set[tuple[int, int]]:
    """Of a strict order (row needs column), the pairs (needed, needing) with nothing between."""
    many = range(len(needs))
    strict = needs & ~needs.T
    return {
        (b, a)
        for a, b in product(many, many)
        if strict[a, b] and not any(strict[a, c] and strict[c, b] for c in many)
    }
