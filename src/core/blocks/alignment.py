"""Volumes of the other hand, or shifted: each like the others, but mirrored or displaced.

They are no junk, since they are like each other; but no block is in the same place in both groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from ..common import constants
from ..common.progress import Progress
from ..maps.grid import Grid
from ..maps.placement import resampled_onto
from .occupancy import Occupancy

MIRRORED, SHIFTED = "mirror image of most others", "shifted against most others"
# programs flip the hand by one axis, or by all three
_MIRRORS: tuple[tuple[int, ...], ...] = ((0,), (1,), (2,), (0, 1, 2))


@dataclass(frozen=True)
class _Fit:
    """How volumes fit a reference.

    Attributes
    ----------
    there : (V,) correlation as they lie
    shifted : (V,) the largest over all shifts
    mirrored : (V,) the same for the mirror image
    shift : V shifts at the largest of the volume itself, coarse voxels z, y, x
    mirror : V axes and shifts at the largest of the mirror image
    """

    there: NDArray[np.float64]
    shifted: NDArray[np.float64]
    mirrored: NDArray[np.float64]
    shift: list[tuple[int, ...]]
    mirror: list[tuple[tuple[int, ...], tuple[int, ...]]]

    def is_mirrored(self, gain: float) -> NDArray[np.bool_]:
        """(V,) whether the mirror image fits better by more than this."""
        fits = self.mirrored > constants.ALIGNED_LIKENESS
        return np.asarray(fits & (self.mirrored > self.shifted + gain))

    def is_shifted(self, gain: float) -> NDArray[np.bool_]:
        """(V,) whether the volume itself fits better elsewhere than where it lies."""
        fits = self.shifted > constants.ALIGNED_LIKENESS
        return np.asarray(fits & (self.shifted > self.there + gain))


def find_misaligned(occupancy: Occupancy, progress: Progress | None = None) -> dict[str, str]:
    """Find the volumes that are mirror images of most others, or shifted against them.

    Volumes are compared on a coarse grid, ALIGNMENT_VOXELS along the longest side, with a typical
    one, by cross-correlation. Some are looked at first, and all only if one of these is misaligned.

    Parameters
    ----------
    occupancy : Occupancy of V volumes, of all voxels
    progress : Progress, optional

    Returns
    -------
    dict of str
        MIRRORED or SHIFTED by name, for the smaller group; in the order of the volumes.

    Raises
    ------
    Cancelled
        If ``progress`` was asked to stop.
    """
    volumes = len(occupancy)
    if volumes < constants.MIN_VOLUMES_FOR_MAJORITY or occupancy.among is not None:
        return {}
    progress = progress or Progress()
    some = np.unique(
        np.linspace(0, volumes - 1, min(volumes, constants.ALIGNMENT_VOLUMES)).astype(int)
    )
    maps = _coarse(occupancy, some)
    reference = maps[_typical(maps)]
    first = _judged(maps, reference, constants.ALIGNMENT_GAIN, progress)
    if not (first[0].any() or first[1].any()):
        return {}
    maps = _coarse(occupancy, np.arange(volumes))
    mirrored, shifted = _judged(maps, reference, 0.0, progress)
    mirrored &= bool(first[0].any())  # a kind that the first had none of is chance
    shifted &= bool(first[1].any()) & ~mirrored
    # which of two groups is right, no one knows: the smaller is called the other
    mirrored, shifted = (~f if 2 * f.sum() > volumes else f for f in (mirrored, shifted))
    return {
        name: MIRRORED if m else SHIFTED
        for name, m, s in zip(occupancy.names, mirrored, shifted, strict=True)
        if m or s
    }


def _judged(
    maps: NDArray[np.float32], reference: NDArray[np.float32], gain: float, progress: Progress
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(V,), (V,) which volumes are mirrored, and which shifted, against a reference.

    A volume with another part than the reference may be like its mirror image, if the molecule
    nearly is. But then it lies within the others as it is; a mirrored volume does not.
    """
    fit = _fit(maps, reference, progress)
    mirrored = fit.is_mirrored(gain)
    shifted = fit.is_shifted(gain) & ~mirrored
    others = maps[~(mirrored | shifted)]
    if not len(others):
        return np.zeros_like(mirrored), np.zeros_like(shifted)
    union = others.mean(axis=0) > constants.ALIGNMENT_UNION
    for n in np.flatnonzero(mirrored | shifted):
        one = maps[n]
        axes, shift = fit.mirror[n] if mirrored[n] else ((), fit.shift[n])
        # the reference's mirror image, shifted, is like the volume: so back, and flipped
        placed = np.flip(np.roll(one, [-s for s in shift], (0, 1, 2)), axes)
        within = float(one[union].sum() / one.sum())
        if float(placed[union].sum() / one.sum()) - within <= gain / 2:
            mirrored[n] = shifted[n] = False
    if not _alike([fit.mirror[n] for n in np.flatnonzero(mirrored)]):
        mirrored[:] = False
    if not _alike([((), fit.shift[n]) for n in np.flatnonzero(shifted)]):
        shifted[:] = False
    return mirrored, shifted


def _alike(moves: list[tuple[tuple[int, ...], tuple[int, ...]]]) -> bool:
    """Whether two or more of these moves, and half of them, are the same to a coarse voxel: what
    went wrong with a part of an ensemble is one thing. Other molecules fit anywhere.
    """
    most = max(
        (
            sum(
                other == axes and max(abs(a - b) for a, b in zip(shift, place, strict=True)) <= 1
                for other, place in moves
            )
            for axes, shift in moves
        ),
        default=0,
    )
    return most >= max(2, len(moves) / 2)


@dataclass(frozen=True)
class MapFit:
    """How one map lies against another.

    Attributes
    ----------
    shift : x, y, z in Angstrom, of the middle of the box, that brings the map onto the other
    angle : degrees, of the rotation that does
    before, after : correlation of the two maps as they lie, and once the map is moved
    mirrored : whether its mirror image fits better
    placement : (3, 4) that rotation and shift, from the map's frame to that of the other, x, y, z
    """

    shift: tuple[float, float, float]
    angle: float
    before: float
    after: float
    mirrored: bool
    placement: NDArray[np.float64]

    def is_moved(self, grid: Grid) -> bool:
        """Whether that is more than two trainings on the same particles differ by."""
        shift = float(np.linalg.norm(self.shift)) / max(grid.voxel_size)
        moved = shift > constants.ALIGNED_SHIFT or self.angle > constants.ALIGNED_ANGLE
        return moved and self.after > self.before


def fit_maps(
    array: NDArray[np.floating],
    other: NDArray[np.floating],
    grid: Grid,
    progress: Progress | None = None,
) -> MapFit:
    """Fit a map to another one on the same grid: by shifts first, then by small rotations, too.

    Parameters
    ----------
    array, other : (z, y, x)
    """
    progress = progress or Progress()
    step = coarse_step = -(-max(grid.shape) // constants.ALIGNMENT_VOXELS)
    sigma = max(0.5, step / 2)
    soft, target = (
        ndimage.gaussian_filter(np.asarray(m, np.float32), sigma) for m in (array, other)
    )
    coarse = [m[::step, ::step, ::step] for m in (soft, target)]
    fit = _fit(coarse[0][None], coarse[1], progress.quiet())
    # twice as fine as that where the box allows: a degree is a third of a voxel at the surface
    step = max(1, step // 2)
    size = tuple(step * v for v in grid.voxel_size)
    soft, target = (np.ascontiguousarray(m[::step, ::step, ::step]) for m in (soft, target))
    z, y, x = soft.shape
    fine = Grid((z, y, x), (size[0], size[1], size[2]), grid.origin)
    wanted = _standardized(target)
    middle = (
        np.array(grid.origin) + np.array(grid.voxel_size) * (np.array(grid.shape[::-1]) - 1) / 2
    )
    unit = np.array([1.0, 1.0, 1.0, *size])  # a degree, a fine voxel

    def placement(values: NDArray[np.float64]) -> NDArray[np.float64]:
        turn = Rotation.from_rotvec(np.radians(values[:3])).as_matrix()
        return np.column_stack([turn, middle + values[3:] - turn @ middle])

    def likeness(values: NDArray[np.float64]) -> float:
        progress.step("comparing mean maps")
        moved = resampled_onto(soft, fine, placement(values), fine, order=1)
        return float((_standardized(moved) * wanted).sum())

    back = -coarse_step * np.array(fit.shift[0][::-1]) * np.array(grid.voxel_size)
    start = np.array([0, 0, 0, *back], float)
    before = likeness(np.zeros(6))
    if fit.shifted[0] <= fit.there[0] + constants.ALIGNMENT_GAIN / 2:
        start[:] = 0
    found = minimize(
        lambda v: -likeness(v * unit),
        start / unit,
        method="Powell",
        options={"xtol": 0.02, "ftol": 1e-5, "maxiter": 5},
    )
    values = np.asarray(found.x) * unit
    after = likeness(values)
    shift = values[3:]
    return MapFit(
        (float(shift[0]), float(shift[1]), float(shift[2])),
        float(np.linalg.norm(values[:3])),
        before,
        after,
        bool(fit.is_mirrored(constants.ALIGNMENT_GAIN)[0]),
        placement(values),
    )


def misalignment_note(found: dict[str, str], volumes: int) -> list[str]:
    """What :func:`find_misaligned` found among so many volumes, a sentence for each kind."""
    return [
        f"{len(names):,} of the {volumes:,} volumes look like "
        + (
            f"mirror images of the others ({_some(names)}): flip their hand"
            if kind == MIRRORED
            else f"the others, but shifted ({_some(names)}): align them"
        )
        + ', or leave them out ("exclude"), since no part is in the same place in both.'
        for kind in dict.fromkeys(found.values())
        if (names := [n for n, k in found.items() if k == kind])
    ]


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} ..."


def _coarse(occupancy: Occupancy, volumes: NDArray[np.integer]) -> NDArray[np.float32]:
    """(n, z, y, x) occupancy of some volumes on every second, third ... voxel."""
    shape = occupancy.grid.shape
    step = -(-max(shape) // constants.ALIGNMENT_VOXELS)
    index = np.arange(occupancy.grid.size).reshape(shape)[::step, ::step, ::step]
    byte, place = np.divmod(index.ravel(), 8)
    bits = occupancy.bits[np.asarray(volumes)[:, None], byte[None]] >> (7 - place).astype(np.uint8)
    return (bits & 1).astype(np.float32).reshape(len(volumes), *index.shape)


def _typical(maps: NDArray[np.float32]) -> int:
    """The volume that is most like a quarter of the others."""
    flat = _standardized(maps).reshape(len(maps), -1)
    likeness = flat @ flat.T
    np.fill_diagonal(likeness, -1)
    quarter = max(1, len(maps) // 4)
    return int(np.argmax(np.sort(likeness, axis=1)[:, -quarter:].mean(axis=1)))


def _standardized(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps of mean 0 and norm 1."""
    axes = tuple(range(maps.ndim - 3, maps.ndim))
    centered = maps - maps.mean(axis=axes, keepdims=True)
    norm = np.sqrt((centered**2).sum(axis=axes, keepdims=True))
    return np.asarray(centered / np.maximum(norm, 1e-12), np.float32)


def _fit(maps: NDArray[np.float32], reference: NDArray[np.float32], progress: Progress) -> _Fit:
    shape = reference.shape
    standard = _standardized(reference)
    templates = [standard, *(np.flip(standard, axis) for axis in _MIRRORS)]
    spectra = [np.conj(scipy.fft.rfftn(t)) for t in templates]
    there, plain, mirror = (np.empty(len(maps)) for _ in range(3))
    shifts: list[tuple[int, ...]] = []
    mirrors: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for n, one in enumerate(progress.each(maps, "comparing hands", len(maps))):
        spectrum = scipy.fft.rfftn(_standardized(one))
        best: list[tuple[float, tuple[int, ...]]] = []
        for k, template in enumerate(spectra):
            correlation = scipy.fft.irfftn(spectrum * template, shape)
            if k == 0:
                there[n] = correlation[0, 0, 0]
            place = np.unravel_index(int(np.argmax(correlation)), shape)
            shift = tuple(
                int(p) - (s if 2 * p > s else 0) for p, s in zip(place, shape, strict=True)
            )
            best.append((float(correlation[place]), shift))
        plain[n], shift = best[0]
        which = int(np.argmax([fit for fit, _ in best[1:]]))
        mirror[n], other = best[1 + which]
        shifts.append(shift)
        mirrors.append((_MIRRORS[which], other))
    return _Fit(there, plain, mirror, shifts, mirrors)
