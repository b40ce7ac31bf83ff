"""Pseudo-proteins: self-avoiding walks on a lattice, packed at protein density into domains.

For simulated ensembles. Points are x, y, z in Angstrom.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..common.errors import SirenError
from ..common.progress import Progress

Floats = NDArray[np.floating]

RESIDUE_VOLUME = 134.0  # A^3: 1.21 A^3/Da times 111 Da, the mean residue
STEP = 3.8  # A between CA atoms of successive residues
# A, half the edge of the face-centered cubic cell with STEP between nearest sites
SPACING = STEP / np.sqrt(2.0)
DOMAIN = 150  # residues per domain
# Penalties of crowding (per unit of protein density) and of distance from the domain's center (per
# A), chosen by inspecting slices: lower ones give sponges, a stronger pull overfilled beads.
CROWDING_WEIGHT, CENTER_WEIGHT = 25.0, 1.2


class ResidueLattice:
    """Residues on a face-centered cubic lattice, and their local density.

    ``field`` is the density of residues in a Gaussian window of SD 4.5 A, in units of protein
    density. A chain walks where there is room, close to its domain's center, so it packs like a
    globule, against earlier chains but not into them.

    Parameters
    ----------
    reach : float
        Radius around the box's center that residues may fill, in A.
    total : int
        Number of residues that will be grown, to check the size and report progress.
    rng : numpy.random.Generator
    progress : Progress

    Raises
    ------
    SirenError
        If so many residues do not fit.
    """

    def __init__(self, reach: float, total: int, rng: np.random.Generator, progress: Progress):
        radius = (3 * total * RESIDUE_VOLUME / (4 * np.pi)) ** (1 / 3)
        if reach < 1.25 * radius:
            raise SirenError(
                f"A particle of {total:,} residues, about {2.5 * radius:.0f} A across, does not "
                f"fit a box with {2 * reach:.0f} A of room: give a larger box or voxel size, or "
                "fewer residues."
            )
        self.reach = min(reach, 2.2 * radius + 30)
        self.total, self.grown = total, 0
        self.rng, self.progress = rng, progress
        margin = 5
        self.center = int(self.reach / SPACING) + margin + 1
        self.field = np.zeros((2 * self.center + 1,) * 3, np.float64)
        self.taken = np.zeros(self.field.shape, bool)
        steps = np.indices((3, 3, 3)).reshape(3, -1).T - 1
        # the 12 nearest sites of a face-centered cubic lattice
        self.steps = steps[np.abs(steps).sum(axis=1) == 2]
        window = np.arange(-4, 5) * SPACING
        gauss = np.exp(-(window**2) / (2 * 4.5**2))
        stamp = gauss[:, None, None] * gauss[:, None] * gauss
        self.stamp = stamp * RESIDUE_VOLUME / (stamp.sum() * SPACING**3)

    def grow(
        self, residues: int, near: Floats | None, away: Floats | None = None
    ) -> NDArray[np.float64]:
        """Grow a chain of domains: (residues, 3) x, y, z in A.

        Parameters
        ----------
        residues : int
        near : (3,) or None
            Point to stay close to; the center by default.
        away : (3,), optional
            Point to keep away from.

        Raises
        ------
        Cancelled
            If ``progress`` was asked to stop.
        """
        domains = max(1, round(residues / DOMAIN))
        sizes = np.diff(np.round(np.linspace(0, residues, domains + 1)).astype(int))
        sites: list[NDArray[np.int64]] = []
        for size in sizes:
            start = None if near is None and self.grown == 0 else near
            center = self._domain_center(int(size), np.zeros(3) if start is None else start, away)
            site = sites[-1] if sites else self._free_site(center)
            for _ in range(size):
                site = self._step(site, center)
                sites.append(site)
            near, away = center, None  # the next domain is placed beside this one
        points = (np.array(sites, np.float64).reshape(-1, 3) - self.center) * SPACING
        # off the lattice
        return np.asarray(points + 0.5 * self.rng.standard_normal(points.shape), np.float64)

    def swing(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rotate a chain (n, 3) about its innermost point by 50 to 110 degrees, to most room."""
        hinge = points[np.argmin(np.linalg.norm(points, axis=1))]
        best, least = points, np.inf
        for _ in range(300):
            axis = self.rng.standard_normal(3)
            rotated = (
                _rotated(
                    points - hinge,
                    axis / np.linalg.norm(axis),
                    np.radians(self.rng.uniform(50, 110)),
                )
                + hinge
            )
            if np.linalg.norm(rotated, axis=1).max() > self.reach:
                continue
            crowding = float(self.field[tuple(self._index(rotated).T)].mean())
            if crowding < least:
                best, least = rotated, crowding
        for site in self._index(best):
            self._stamp(site)
        return best

    def _domain_center(self, size: int, near: Floats, away: Floats | None) -> NDArray[np.float64]:
        """Center for a domain of ``size`` residues: uncrowded, near a point, within reach."""
        radius = (3 * size * RESIDUE_VOLUME / (4 * np.pi)) ** (1 / 3)
        if self.grown == 0:
            return np.zeros(3)
        trial = self.rng.standard_normal((1500, 3))
        # uniform in the ball
        distance = self.rng.uniform(0, (self.reach - radius) ** 3, 1500) ** (1 / 3)
        trial *= (distance / np.linalg.norm(trial, axis=1))[:, None]
        probe = _sphere(26) * 0.75 * radius
        crowding = np.mean(
            [self.field[tuple(self._index(trial + d).T)] for d in [np.zeros(3), *probe]], axis=0
        )
        cost = np.linalg.norm(trial - near, axis=1) + 0.4 * np.linalg.norm(trial, axis=1)
        cost += 6 * self.rng.standard_normal(1500)
        cost += 500 * np.maximum(crowding - 0.12, 0)
        if away is not None:
            cost -= 1.2 * np.linalg.norm(trial - away, axis=1)
        return np.asarray(trial[np.argmin(cost)], np.float64)

    def _step(self, site: NDArray[np.int64], center: Floats) -> NDArray[np.int64]:
        """The next residue's site: random, favoring room and the domain's center."""
        if self.grown % 50 == 0:
            self.progress.step("building the particle", self.grown / self.total)
        options = site + self.steps
        x, y, z = options.T
        away = (options - self.center) * SPACING
        inside = np.einsum("ij,ij->i", away, away) < self.reach**2
        away = away - center
        score = -CROWDING_WEIGHT * self.field[x, y, z] - CENTER_WEIGHT * np.sqrt(
            np.einsum("ij,ij->i", away, away)
        )
        score[self.taken[x, y, z] | ~inside] = -np.inf
        # a dead end: continue elsewhere, as after an unresolved loop
        if np.isneginf(score).all():
            chosen = self._free_site(center)
        else:
            weight = np.cumsum(np.exp(score - score.max()))
            chosen = options[np.searchsorted(weight, self.rng.random() * weight[-1])]
        self._stamp(chosen)
        self.grown += 1
        return np.asarray(chosen, np.int64)

    def _free_site(self, center: Floats) -> NDArray[np.int64]:
        """The least crowded lattice site near ``center``."""
        sites = self._index(np.asarray(center) + 10 * self.rng.standard_normal((60, 3)))
        sites[:, 0] += sites.sum(axis=1) % 2  # face-centered cubic: even coordinate sums
        crowding = self.field[tuple(sites.T)] + 1e3 * self.taken[tuple(sites.T)]
        return np.asarray(sites[np.argmin(crowding)], np.int64)

    def _stamp(self, site: NDArray[np.int64]) -> None:
        x, y, z = (int(s) for s in site)
        self.field[x - 4 : x + 5, y - 4 : y + 5, z - 4 : z + 5] += self.stamp
        self.taken[x, y, z] = True

    def _index(self, points: Floats) -> NDArray[np.int64]:
        index = np.round(points / SPACING).astype(np.int64) + self.center
        return np.asarray(np.clip(index, 4, 2 * self.center - 4), np.int64)


def _rotated(points: Floats, axis: Floats, angle: float) -> NDArray[np.float64]:
    """Points (n, 3) rotated about a unit axis through the origin, by an angle in radians."""
    return np.asarray(
        points * np.cos(angle)
        + np.cross(axis, points) * np.sin(angle)
        + np.outer(points @ axis, axis) * (1 - np.cos(angle))
    )


def _sphere(n: int) -> NDArray[np.float64]:
    """(n, 3) evenly distributed directions (Fibonacci sphere)."""
    z = 1 - (2 * np.arange(n) + 1) / n
    phi = np.arange(n) * np.pi * (3 - np.sqrt(5))
    r = np.sqrt(1 - z * z)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)
