"""Labels that would lie on each other, placed apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEAR = 12  # labels near a place, beside which another may be put


def place_apart(
    centers: ArrayLike, sizes: ArrayLike, within: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Places for labels such that none lies on another. The first stays where it is; each of the
    others goes to the nearest place that those before it leave.

    Parameters
    ----------
    centers : (n, 2) where the middle of each label should be
    sizes : (n, 2) width and height of each, in the same unit, with what is to be left around it
    within : (2,) width and height of the picture, from 0, which no label leaves

    Returns
    -------
    (n, 2) where the middle of each label is to be; a label for which there is no room stays
    """
    places = np.array(centers, np.float64).reshape(-1, 2)
    halves = np.asarray(sizes, np.float64).reshape(-1, 2) / 2
    low, high = np.full_like(places, -np.inf), np.full_like(places, np.inf)
    if within is not None:
        low, high = halves, np.maximum(np.asarray(within, np.float64) - halves, halves)
    places = np.clip(places, low, high)
    for k in range(1, len(places)):
        # how far the middles of this label and of each before it have to be apart
        apart = halves[:k] + halves[k]
        if not _on(places[k : k + 1], places[:k], apart)[0]:
            continue
        near = np.argsort(((places[:k] - places[k]) ** 2).sum(axis=1), kind="stable")[:NEAR]
        beside = [places[near, a] + side * apart[near, a] for a in (0, 1) for side in (-1, 1)]
        x, y = (
            np.concatenate(([own], *edges))
            for own, edges in zip(places[k], (beside[:2], beside[2:]), strict=True)
        )
        found = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        found = found[((found >= low[k]) & (found <= high[k])).all(axis=1)]
        free = found[~_on(found, places[:k], apart)]
        if len(free):
            places[k] = free[np.argmin(((free - places[k]) ** 2).sum(axis=1))]
    return places


def _on(
    found: NDArray[np.float64], others: NDArray[np.float64], apart: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether a label at each of (m, 2) places lies on one of the others."""
    close = np.abs(found[:, None] - others) < apart - 1e-6
    on: NDArray[np.bool_] = close.all(axis=2).any(axis=1)
    return on
