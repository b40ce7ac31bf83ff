"""The conditions of the benchmark of blocks: one property varied at a time, then hard
combinations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chimerax.siren.core.simulation.example import Simulation, simulate, spectral_filter
from chimerax.siren.core.simulation.parameters import BlockPlan, ExampleParameters
from planted import Case, assembly_ensemble, case_of, ribosome_ensemble

CHAIN = (
    BlockPlan("a", 700, 0.80),
    BlockPlan("b", 600, 0.70, only_with="a"),
    BlockPlan("c", 500, 0.60, only_with="b"),
    BlockPlan("x", 600, 0.40),
    BlockPlan("not x", 600, 0.60, never_with="x"),
    BlockPlan("nearly all", 500, 0.95),
    BlockPlan("nearly none", 500, 0.06),
)
EXCLUSIVE = (
    BlockPlan("left", 700, 0.35),
    BlockPlan("right", 700, 0.60, never_with="left"),
    BlockPlan("neither", 500, 0.70, never_with="left"),
    BlockPlan("90 %", 600, 0.90),
    BlockPlan("two places", 900, 0.50, places=2),
    BlockPlan("10 %", 500, 0.10),
)
LADDER = tuple(BlockPlan(f"{p} %", 500, p / 100) for p in (5, 10, 25, 50, 75, 90, 95))
PLACES = (
    BlockPlan("pair 1", 900, 0.5, places=2),
    BlockPlan("pair 2", 800, 0.25, places=2),
    BlockPlan("pair 3", 900, 0.8, places=2),
    BlockPlan("lone", 500, 0.4),
)
MOVING = (
    BlockPlan("domain", 1000, 1.0, positions=(0.4, 0.35, 0.25)),
    BlockPlan("arm", 500, 0.7, positions=(0.6, 0.4)),
    BlockPlan("fixed 1", 600, 0.5),
    BlockPlan("fixed 2", 500, 0.3),
)
# each is grown beside the one that it needs: all touch
TOUCHING = (
    BlockPlan("a", 700, 0.85),
    BlockPlan("b", 600, 0.65, only_with="a"),
    BlockPlan("c", 600, 0.55, only_with="a"),
    BlockPlan("d", 500, 0.50, only_with="a"),
    BlockPlan("e", 500, 0.55, only_with="b"),
    BlockPlan("f", 500, 0.35, only_with="a"),
)
TWENTY = tuple(BlockPlan(f"b{k}", 260, 0.12 + 0.04 * k) for k in range(20))
SMALL = tuple(BlockPlan(f"s{k}", 110, 0.15 + 0.1 * k) for k in range(8))
LARGE = (BlockPlan("l1", 2600, 0.55), BlockPlan("l2", 2400, 0.35), BlockPlan("small", 250, 0.5))
ASSEMBLIES = ("1wcm", "5c0x", "4yhh", "6fml", "1aon")


@dataclass(frozen=True)
class Condition:
    """A name, and a function that makes the ensemble; it raises :class:`planted.Absent` if data are
    missing.
    """

    name: str
    make: Callable[[], Case]


def conditions() -> list[Condition]:
    """All conditions, in the order of the table."""
    return [*_varied(), *_structured(), *_hard(), *_ribosome(), *_assemblies()]


def _simulated(
    name: str,
    seed: int,
    levels: str = "true",
    masked: bool = False,
    far: float = 1.0,
    white: bool = False,
    cut: tuple[slice, slice, slice] | None = None,
    **changed: Any,
) -> Condition:
    """From the simulator: 200 volumes of 64^3 with noise x1, except for what is changed."""

    def make() -> Case:
        s = simulate(replace(ExampleParameters(volumes=200, seed=seed), **changed))
        return case_of(_white(s) if white else s, levels, masked, cut, far)

    return Condition(name, make)


def _white(s: Simulation) -> Simulation:
    """Replace the noise by uncorrelated noise, equally strong everywhere."""
    return replace(s, noise_filter=spectral_filter(s.parameters.box, np.ones_like))


def _varied() -> list[Condition]:
    """Vary the number of volumes, noise, levels, junk."""
    return [
        *(_simulated(f"plain, structure {s}", 100 + s) for s in (1, 2, 3)),
        *(_simulated(f"{v:,} volumes", 110 + v, volumes=v) for v in (50, 100, 500, 1000)),
        *(_simulated(f"noise x{n:g}", 120, noise=n) for n in (0.5, 2.0, 4.0)),
        *(
            _simulated(f"noise x{n:g}, even over the box", 121, noise=n, noise_edge=1.0)
            for n in (1.0, 2.0, 4.0)
        ),
        _simulated("50 volumes, noise x2", 122, volumes=50, noise=2.0),
        _simulated("one level, scales +-20 %", 130, "one", scale_jitter=0.2),
        _simulated("levels +-20 %", 131, "jitter"),
        _simulated("levels +-20 %, noise x2", 132, "jitter", noise=2.0),
        _simulated("predicted levels", 134, "predicted"),
        _simulated("predicted levels, noise x2, 5 % junk", 135, "predicted", noise=2.0, junk=0.05),
        _simulated("levels 30 % too high", 136, far=1.3),
        _simulated("levels 30 % too low", 137, far=0.7),
        _simulated("offsets of 30 % of the level", 133, offset_jitter=0.3),
        _simulated("5 % junk", 140, junk=0.05),
        _simulated("15 % junk", 141, junk=0.15),
        _simulated("15 % junk, noise x4", 142, junk=0.15, noise=4.0),
        _simulated(
            "500 volumes, noise x2 even, 5 % junk",
            143,
            volumes=500,
            junk=0.05,
            noise=2.0,
            noise_edge=1.0,
        ),
    ]


def _structured() -> list[Condition]:
    """Vary occupancies, dependences, motion and neighborhood of the blocks."""
    return [
        _simulated("occupancies 5 10 25 50 75 90 95 %", 153, blocks=LADDER),
        _simulated("the same, levels +-20 %, noise x2", 154, "jitter", noise=2.0, blocks=LADDER),
        _simulated("chain, 95 % and 6 %", 150, blocks=CHAIN),
        _simulated("chain, noise x2, 100 volumes", 152, blocks=CHAIN, noise=2.0, volumes=100),
        _simulated("mutually exclusive", 151, blocks=EXCLUSIVE),
        _simulated("blocks of two places", 155, blocks=PLACES),
        _simulated("moving domains", 156, blocks=MOVING),
        _simulated(
            "moving domains, noise x2, levels +-20 %", 157, "jitter", blocks=MOVING, noise=2.0
        ),
        _simulated("touching neighbors", 158, blocks=TOUCHING, core_residues=1500),
        _simulated(
            "overlapping neighbors (20 A)",
            159,
            blocks=TOUCHING,
            core_residues=1500,
            resolution=20.0,
        ),
        _simulated("no core", 160, core_residues=0),
        _simulated("no core, levels +-20 %", 161, "jitter", core_residues=0),
        _simulated(
            "no core, one level, scales +-20 %", 162, "one", core_residues=0, scale_jitter=0.2
        ),
    ]


def _hard() -> list[Condition]:
    """Other boxes, block sizes, kinds of noise and kinds of maps."""
    return [
        _simulated("20 blocks", 170, blocks=TWENTY, core_residues=2500, volumes=300),
        _simulated(
            "20 blocks, noise x2, levels +-20 %",
            171,
            "jitter",
            blocks=TWENTY,
            core_residues=2500,
            noise=2.0,
        ),
        _simulated("blocks of some 100 voxels", 172, blocks=SMALL),
        _simulated("blocks of some 100 voxels, noise x2", 173, blocks=SMALL, noise=2.0),
        _simulated("blocks of some 3,000 voxels", 174, blocks=LARGE, voxel_size=4.6),
        _simulated("box 48", 175, box=48, voxel_size=6.6, resolution=17.0),
        _simulated("box 96", 176, box=96, voxel_size=3.4, resolution=9.0, volumes=100),
        _simulated("white noise x2", 177, white=True, noise=2.0, noise_edge=1.0),
        _simulated("white noise x4", 189, white=True, noise=4.0, noise_edge=1.0),
        _simulated(
            "limit: white noise x6, 100 volumes",
            178,
            white=True,
            noise=6.0,
            noise_edge=1.0,
            volumes=100,
        ),
        _simulated("tight mask, outside 0", 179, masked=True),
        _simulated(
            "tight mask, outside 0, noise x2, levels +-20 %", 180, "jitter", masked=True, noise=2.0
        ),
        _simulated(
            "voxels of 5 x 5 x 10 A", 181, cut=(slice(0, 64, 2), slice(0, 64), slice(0, 64))
        ),
        _simulated("box 40 x 64 x 52", 182, cut=(slice(12, 52), slice(0, 64), slice(6, 58))),
        _simulated("60 volumes, levels +-20 %", 183, "jitter", volumes=60),
        _simulated(
            "sub-tomograms: box 32, 10 A, noise x2 even",
            184,
            box=32,
            voxel_size=10.0,
            resolution=25.0,
            noise=2.0,
            noise_edge=1.0,
        ),
        _simulated(
            "limit: box 32, 10 A, noise x4 even",
            184,
            box=32,
            voxel_size=10.0,
            resolution=25.0,
            noise=4.0,
            noise_edge=1.0,
        ),
        _simulated(
            "100 volumes, noise x4, even over the box",
            190,
            noise=4.0,
            noise_edge=1.0,
            volumes=100,
        ),
        _simulated("levels 30 % too high, +-20 %, noise x2", 185, "jitter", far=1.3, noise=2.0),
        _simulated("levels 30 % too low, +-20 %, noise x2", 186, "jitter", far=0.7, noise=2.0),
        _simulated(
            "scales +-30 %, offsets 30 %, one level",
            187,
            "one",
            scale_jitter=0.3,
            offset_jitter=0.3,
        ),
        _simulated(
            "60 volumes, noise x2, 10 % junk, predicted levels",
            188,
            "predicted",
            volumes=60,
            noise=2.0,
            junk=0.1,
        ),
    ]


def _ribosome() -> list[Condition]:
    """The 50S in the noise of its own volumes, each with different groups and states."""

    def real(name: str, seed: int, levels: str = "true", **changed: Any) -> Condition:
        return Condition(
            f"50S, {name}",
            lambda: case_of(ribosome_ensemble(seed, **{"volumes": 200, **changed}), levels),
        )

    return [
        *(real(f"grouping {g}", 200 + g, volumes=300) for g in (1, 2, 3, 4)),
        real("500 volumes", 205, volumes=500),
        real("60 volumes", 244, volumes=60),
        real("60 volumes, blocks in 3 and in 5 of them", 206, volumes=60),
        real("noise x2", 207, noise=2.0),
        real("noise x4", 208, noise=4.0),
        real("levels +-20 %", 209, "jitter"),
        real("predicted levels", 210, "predicted"),
        real("one level, scales +-20 %", 211, "one", scale_jitter=0.2),
        real("15 % junk, noise x2", 212, junk=0.15, noise=2.0),
    ]


def _assemblies() -> list[Condition]:
    """Other complexes, with their chains as blocks."""

    def other(name: str, pdb: str, seed: int, levels: str = "true", **changed: Any) -> Condition:
        return Condition(
            f"{pdb}{name}",
            lambda: case_of(assembly_ensemble(pdb, seed, **{"volumes": 300, **changed}), levels),
        )

    return [
        *(other("", pdb, 220 + k) for k, pdb in enumerate(ASSEMBLIES)),
        *(
            other(", levels +-20 %, noise x2", pdb, 230 + k, "jitter", noise=2.0, volumes=200)
            for k, pdb in enumerate(ASSEMBLIES)
        ),
        other(", 60 volumes", "5c0x", 240, volumes=60),
        other(", box 96", "1wcm", 241, box=96, volumes=100),
        other(", box 48", "4yhh", 242, box=48),
        other(", predicted levels, 5 % junk", "6fml", 243, "predicted", junk=0.05),
    ]
