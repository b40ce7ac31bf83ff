"""What particles are made of: densities of known structures, their parts, and how these vary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from scipy.spatial.transform import Rotation

from .core_api import (
    VOLUME_PER_DALTON,
    BlockPlan,
    Grid,
    Part,
    assembly,
    density,
    enclosing_level,
    grouped,
    planned,
    ribosome,
    together,
)

# By the ``split`` column of ../shared/data/structures/metadata.csv; no complex of one list has a
# relative in the other (GroEL and Cascade are for validation alone).
TRAINING = ("50S", "6fml", "4yhh", "1wcm", "5c0x", "6fsz", "4wj3", "5t4o", "7t9k", "3iyd")
VALIDATION = ("1oel", "5cd4", "6o1m", "1bvs", "4nmn", "5iyz", "5h64")
CORE, EMPTY, SWEPT = -2, -1, -3  # marks in the truth, beside the blocks' numbers
LARGEST = 2500  # heavy atoms of a part, some 35 kDa; larger chains are cut
RESOLUTION = 2.4  # voxels
SOFT = 0.15  # of Nyquist, width of the edge of a low-pass filter
POSITIONS = 9  # of a moving domain


def split_of(molecule: str) -> str:
    """``train`` or ``validation``."""
    return "validation" if molecule in VALIDATION else "train"


@dataclass(frozen=True)
class Model:
    """Densities on one grid, and the truth about them.

    Attributes
    ----------
    voxel_size : A
    densities : (U, z, y, x) float32, core first; about 1 inside of protein
    truth : (z, y, x) int8: block (0, 1, ...) of each voxel that is occupied when everything is
        there, CORE, EMPTY; SWEPT where a moving domain is at some angles only. At the resolution
        of the decoder, see :func:`model`
    level : at which the whole, at that resolution, encloses 1.21 A^3/Da
    plan : of the B blocks, densities 1 to B
    angles : of the U - 1 positions of a moving domain, degrees; else empty
    """

    voxel_size: float
    densities: NDArray[np.float32]
    truth: NDArray[np.int8]
    level: float
    plan: tuple[BlockPlan, ...] = ()
    angles: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def parents(self) -> NDArray[np.int64]:
        """(B,) number of the block that each depends on, -1 for none."""
        number = {p.name: k for k, p in enumerate(self.plan)}
        return np.array([number[p.only_with] if p.only_with else -1 for p in self.plan], np.int64)


def parts_of(molecule: str, rng: np.random.Generator) -> tuple[Part, ...]:
    """The parts of a molecule; large chains cut into neighborhoods of atoms."""
    parts: list[Part] = []
    for part in ribosome() if molecule == "50S" else assembly(molecule):
        pieces = -(-len(part.points) // LARGEST)
        if pieces == 1:
            parts.append(part)
            continue
        label = kmeans2(part.points, pieces, minit="++", seed=rng)[1]
        parts += [
            Part(f"{part.name} {k}", part.points[label == k], part.elements[label == k])
            for k in np.unique(label)
        ]
    return tuple(parts)


def placed(parts: Sequence[Part], box: int, fill: float) -> tuple[tuple[Part, ...], Grid]:
    """Parts moved to the middle of a box of which their diameter is the share ``fill``."""
    points = np.concatenate([p.points for p in parts])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    far = np.percentile(np.linalg.norm(points - middle, axis=1), 99.5)
    edge = float(2 * far / (fill * box))
    moved = (replace(p, points=p.points - middle + edge * (box // 2)) for p in parts)
    return tuple(moved), Grid((box,) * 3, (edge,) * 3)


def model(
    molecule: str,
    box: int,
    blocks: int = 0,
    moving: float = 0.0,
    rare: bool = False,
    fill: float = 0.8,
    reach: float = 1.0,
    seed: int = 0,
) -> Model:
    """A molecule as densities.

    Parameters
    ----------
    blocks : about how many come and go; 0 for one state
    moving : degrees to either side by which one domain turns; not together with ``blocks``
    rare : whether the last block is in 3 % of the particles only
    fill : diameter of the molecule relative to the box
    reach : resolution at which truth and level are taken, relative to Nyquist: where the surface of
        a block is depends on it
    """
    rng = np.random.default_rng([seed, 30])
    parts, grid = placed(parts_of(molecule, rng), box, fill)
    groups = round(blocks / 0.7) + 1 if blocks else 9
    core, others = grouped(parts, groups, 0.35, rng)
    others = others[:blocks] if blocks else others
    mass = core.mass + sum(b.mass for b in others)
    if moving:
        whole = _turning(core, others, moving, grid, rng)
        angles = np.linspace(-moving, moving, POSITIONS)
        plan: tuple[BlockPlan, ...] = ()
    elif blocks:
        whole, angles = [_density(p, grid) for p in (core, *others)], np.empty(0)
        plan = tuple(planned(others, rng))
        if rare:
            plan = (*plan[:-1], BlockPlan(plan[-1].name, occupancy=0.03))
    else:
        whole, angles, plan = [_density(together("whole", (core, *others)), grid)], np.empty(0), ()
    densities = np.stack(whole)
    seen = np.stack([low_pass(d, reach) for d in densities])
    total = seen[0] + seen[POSITIONS // 2 + 1] if moving else seen.sum(axis=0)
    level = enclosing_level(total, mass * VOLUME_PER_DALTON / grid.voxel_volume)
    inside = float(total[total > level].mean())
    densities, seen, level = densities / np.float32(inside), seen / inside, level / inside
    truth = truth_of(seen, level, bool(moving))
    return Model(float(grid.voxel_size[0]), densities, truth, level, plan, angles)


def low_pass(density: NDArray[np.floating], reach: float) -> NDArray[np.float32]:
    """(z, y, x) density up to ``reach`` of Nyquist, softly cut; 1: as it is."""
    if reach >= 1:
        return np.asarray(density, np.float32)
    shape = density.shape
    full = [np.fft.fftfreq(n) * 2 for n in shape[:2]] + [np.fft.rfftfreq(shape[2]) * 2]
    far = np.sqrt(full[0][:, None, None] ** 2 + full[1][:, None] ** 2 + full[2] ** 2)
    weight = 0.5 + 0.5 * np.cos(np.pi * np.clip((far - reach) / SOFT + 0.5, 0, 1))
    return np.asarray(np.fft.irfftn(np.fft.rfftn(density) * weight, shape), np.float32)


def truth_of(densities: NDArray[np.floating], level: float, moving: bool) -> NDArray[np.int8]:
    """Marks of :class:`Model`: a voxel above the level goes to the block that gives it most."""
    core = densities[0] > level
    result = np.where(core, CORE, EMPTY).astype(np.int8)
    if moving:
        there = densities[0] + densities[1:] > level
        result[there.all(axis=0)] = CORE
        result[there.any(axis=0) & ~there.all(axis=0)] = SWEPT
    elif len(densities) > 1:
        varies = (densities.sum(axis=0) > level) & ~core
        result[varies] = densities[1:].argmax(axis=0)[varies]
    return result


def _density(part: Part, grid: Grid) -> NDArray[np.float32]:
    return density(part, grid, RESOLUTION * grid.voxel_size[0])


def _turning(
    core: Part, others: Sequence[Part], degrees: float, grid: Grid, rng: np.random.Generator
) -> list[NDArray[np.float32]]:
    """Densities of all that is fixed, and of a domain of 8 to 25 % of the mass at each angle."""
    mass = core.mass + sum(p.mass for p in others)
    fits = [p for p in others if 0.08 < p.mass / mass < 0.25]
    domain = max(fits or others, key=lambda p: float(np.linalg.norm(p.center - core.center)))
    hinge = domain.points[np.linalg.norm(domain.points - core.center, axis=1).argmin()]
    axis = rng.standard_normal(3)
    axis /= np.linalg.norm(axis)
    fixed = together("fixed", [core, *(p for p in others if p is not domain)])
    result = [_density(fixed, grid)]
    for angle in np.linspace(-degrees, degrees, POSITIONS):
        turn = Rotation.from_rotvec(np.radians(angle) * axis)
        turned = replace(domain, points=turn.apply(domain.points - hinge) + hinge)
        result.append(_density(turned, grid))
    return result


def draw_states(made: Model, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(P, U) 0 or 1, which densities each particle has: the core always; of angles exactly one."""
    states = np.zeros((count, len(made.densities)), np.float32)
    states[:, 0] = 1
    if len(made.angles):
        states[np.arange(count), 1 + rng.integers(len(made.angles), size=count)] = 1
    number = {p.name: k for k, p in enumerate(made.plan, 1)}
    for k, plan in enumerate(made.plan, 1):
        there = rng.random(count) < plan.occupancy
        if plan.only_with:
            there &= states[:, number[plan.only_with]] > 0
        if plan.never_with:
            there &= states[:, number[plan.never_with]] == 0
        states[:, k] = there
    return states
