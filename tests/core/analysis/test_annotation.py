"""Annotation: chains and residues in blocks, against loops over all distances, on a made-up model,
and on the parts of the 50S.
"""

from __future__ import annotations

import gzip
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.analysis.annotation import (
    COLUMNS,
    Atoms,
    annotate,
    default_reach,
    residue_blocks,
    runs_of,
)
from chimerax.siren.core.analysis.parameters import AnnotateParameters
from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.core.simulation.example import enclosing_level
from ensembles import BOXES, CORE, ORIGIN, SHAPE, VOXEL_SIZE
from molecules import snake

GRID = Grid(SHAPE, (VOXEL_SIZE,) * 3, ORIGIN)
NEAR = AnnotateParameters(reach=3.0)
DEVEL = Path(__file__).parents[3] / "devel"


def planted_blocks() -> BlockSet:
    return BlockSet(
        GRID,
        {
            n + 1: np.sort(np.ravel_multi_index(tuple(snake(box).T), SHAPE))
            for n, box in enumerate(BOXES.values())
        },
    )


def places(box) -> np.ndarray:
    return GRID.points(np.ravel_multi_index(tuple(snake(box).T), SHAPE))


def planted_atoms() -> Atoms:
    """Chain A is the left block; chain B goes through the core, 1 to 64, and then the right one."""
    left, core, right = (places(b) for b in (BOXES["left"], CORE, BOXES["right"]))
    chains = ["A"] * len(left) + ["B"] * (len(core) + len(right))
    numbers = [*range(1, len(left) + 1), *range(1, len(core) + len(right) + 1)]
    return Atoms(
        np.concatenate([left, core, right]), np.array(chains), np.array(numbers), {"A": "uL1"}
    )


def test_a_chain_that_is_a_block_and_a_range_of_another_chain_come_back():
    found = annotate(planted_blocks(), planted_atoms(), NEAR)
    ((one,), (two,)) = found.of(1), found.of(2)
    assert (one.chain, one.name, one.spec, one.whole) == ("A", "uL1", "/A", True)
    assert (two.chain, two.spec, two.ranges) == ("B", "/B:65-280", ((65, 280),))
    assert (one.share_of_residues, two.share_of_residues) == (1.0, 216 / 280)
    assert (one.near, one.nearest, two.near, two.nearest) == (1, 1, 1, 1)
    assert found.names() == {1: "uL1", 2: "B:65-280"} and not found.unexplained
    table = found.table()
    assert list(table.columns) == list(COLUMNS)
    assert table["spec"].tolist() == ["/A", "/B:65-280"]


def test_a_block_that_no_chain_explains_is_told_and_has_no_name():
    atoms = planted_atoms()
    kept = atoms.chains == "B"
    found = annotate(
        planted_blocks(),
        Atoms(*(a[kept] for a in (atoms.points, atoms.chains, atoms.residues))),
        NEAR,
    )
    assert found.unexplained == [1] and list(found.names()) == [2]
    row = found.table().iloc[0]
    assert (row["block"], row["chain"], row["explained"]) == (1, "", 0)


def test_a_block_of_many_chains_is_named_by_three_and_the_number_of_the_others():
    atoms = planted_atoms()
    thirds = np.char.add("x", (np.arange(216) // 44).astype(str))
    chains = np.concatenate([atoms.chains[:189], thirds])
    names = annotate(planted_blocks(), Atoms(atoms.points, chains, atoms.residues), NEAR).names()
    assert names == {1: "A", 2: "x0 + x1 + x2 + 2 more"}


def test_shares_are_those_of_loops_over_all_distances():
    rng = np.random.default_rng(3)
    grid = Grid((9, 10, 11), (3.0, 4.0, 5.0), (-7.0, 3.0, 50.0))
    voxels = rng.permutation(grid.size)[:240]
    blocks = BlockSet(grid, {2: np.sort(voxels[:150]), 5: np.sort(voxels[150:])})
    count, reach = 260, 4.5
    points = np.asarray(grid.origin) + rng.uniform(-4, 44, (count, 3))
    chains = rng.choice(["A", "b", "C2"], count)
    residues = rng.integers(-3, 30, count)
    everything = AnnotateParameters(reach=reach, min_share=0.0, gap=0, min_run=1)
    found = annotate(blocks, Atoms(points, chains, residues), everything)
    distance = {n: np.linalg.norm(points[:, None] - grid.points(v), axis=2) for n, v in blocks}
    home = np.zeros(count, int)
    for i in range(count):
        nearest = {n: d[i].min() for n, d in distance.items()}
        best = min(nearest, key=lambda n: nearest[n])
        home[i] = best if nearest[best] <= reach else 0
    assert np.array_equal(found.atom_blocks, home)
    owners = residue_blocks(found, Atoms(points, chains, residues))
    for row, (n, d) in enumerate(distance.items()):
        close = d <= reach
        assert found.explained[row] == pytest.approx(close.any(axis=0).mean())
        told = {c.chain: c for c in found.of(n)}
        for chain in ("A", "b", "C2"):
            own = chains == chain
            c = told[chain]
            assert c.share_of_atoms == pytest.approx((home[own] == n).mean())
            assert c.near == pytest.approx(close[own].any(axis=0).mean())
            first = d.argmin(axis=0)
            assert c.nearest == pytest.approx((own[first] & close.any(axis=0)).mean())
            inside = []
            for r in sorted(set(residues[own])):
                here = home[own & (residues == r)]
                count = {m: int((here == m).sum()) for m in blocks.blocks}
                most = max(count, key=lambda m: (count[m], -m))  # of two as many, the first
                if most == n and 2 * count[n] >= len(here) and count[n]:
                    inside.append(r)
            assert list(c.residues) == inside
            assert {int(r) for r in residues[own & (owners == n)]} == set(inside)
            assert c.share_of_residues == pytest.approx(len(inside) / len(set(residues[own])))


@pytest.mark.parametrize(
    ("residues", "of_chain", "gap", "expected"),
    [
        ([1, 2, 3, 6, 7], range(1, 20), 2, [(1, 7)]),
        ([1, 2, 3, 6, 7], range(1, 20), 1, [(1, 3), (6, 7)]),
        # 4 and 5 are not in the model, as a loop without density: no gap
        ([1, 2, 3, 6, 7], [1, 2, 3, 6, 7, 8], 0, [(1, 7)]),
        ([-4, -3, 5], [-4, -3, 5], 0, [(-4, 5)]),
        ([], [1, 2], 0, []),
    ],
)
def test_ranges_are_joined_over_small_gaps_and_over_what_the_model_lacks(
    residues, of_chain, gap, expected
):
    assert runs_of(np.array(residues, int), np.array(list(of_chain)), gap) == expected


def test_short_ranges_are_told_only_where_there_are_no_longer_ones():
    points = np.concatenate([places(BOXES["left"])[:9], places(CORE)])
    numbers = np.array([1, 2, 30, 31, 32, 33, 34, 50, 51, *range(100, 164)])
    chains = np.array(["A"] * len(numbers))
    for kept, spec in ((slice(0, None), "/A:30-34"), (np.r_[0:2, 7:73], "/A:1-2,50-51")):
        atoms = Atoms(points[kept], chains[kept], numbers[kept])
        parameters = AnnotateParameters(reach=3, min_share=0, gap=0)
        # the model has residues between these, which lie in the core
        between = Atoms(
            np.concatenate([atoms.points, places(CORE)[:3]]),
            np.concatenate([atoms.chains, ["A"] * 3]),
            np.concatenate([atoms.residues, [10, 40, 60]]),
        )
        one = annotate(planted_blocks(), between, parameters).of(1)[0]
        assert one.spec == spec
        assert one.share_of_residues == pytest.approx(len(one.residues) / (len(atoms.points) + 3))


def test_the_reach_suits_the_voxels_and_the_share_of_them_that_was_sampled():
    blocks = planted_blocks()
    assert default_reach(blocks) == VOXEL_SIZE
    half = BlockSet(GRID, {n: v[::4] for n, v in blocks})
    assert default_reach(half) > 1.3 * VOXEL_SIZE
    assert default_reach(half, sampled=False) == VOXEL_SIZE  # thin blocks of an expansion
    fine = BlockSet(Grid(SHAPE, (1.0,) * 3), blocks.blocks)
    assert default_reach(fine) == 3.0


def test_a_model_that_lies_elsewhere_is_refused_with_the_remedy():
    atoms = planted_atoms()
    with pytest.raises(SirenError, match="fitmap"):
        annotate(planted_blocks(), Atoms(atoms.points + 500, atoms.chains, atoms.residues))
    with pytest.raises(SirenError, match="no atoms"):
        annotate(planted_blocks(), Atoms(np.empty((0, 3)), np.empty(0, str), np.empty(0, int)))


# --- the 50S


@pytest.fixture(scope="module")
def ribosomal():
    """Each part of the 50S as a block, where it is the densest of them within a contour level of
    the whole; the parts, the numbers of their residues, and their names.
    """
    paths = [str(DEVEL), str(DEVEL / "benchmarks")]
    sys.path[:0] = paths
    planted, real_parts = map(importlib.import_module, ("planted", "real_parts"))
    for path in paths:
        sys.path.remove(path)
    if planted.SHARED is None:
        pytest.skip("the model of the 50S is in ../shared/data, which is not here")
    grid, parts = Grid((64,) * 3, (6.55,) * 3), planted.ribosome()
    best, owner = np.zeros(grid.shape, np.float32), np.zeros(grid.shape, int)
    total = np.zeros(grid.shape, np.float32)
    for n, part in enumerate(parts, 1):
        own = planted.density(part, grid, 2.4 * 6.55)
        owner[own > best] = n
        np.maximum(best, own, out=best)
        total += own
    mass = sum(p.mass for p in parts)
    owner[total <= enclosing_level(total, mass * 1.21 / grid.voxel_volume)] = 0
    blocks = {n: np.flatnonzero(owner == n) for n in range(1, len(parts) + 1)}
    numbers: dict[str, list[int]] = {}
    for path in sorted((planted.SHARED / "ribosome_50S").glob("*.pdb.gz")):
        with gzip.open(path, "rt") as lines:
            for line in lines:
                if line.startswith("ATOM"):
                    key = f"{path.name[:-7]} {line[21]}"
                    numbers.setdefault(key, []).append(int(line[22:26]))
    filled = BlockSet(grid, {n: v for n, v in blocks.items() if len(v)})
    return filled, parts, numbers, real_parts.part_names()


@pytest.mark.slow
def test_proteins_and_helices_of_the_50s_come_back_by_name(ribosomal):
    blocks, parts, numbers, names = ribosomal
    chains = [name.split()[0] for name in names]  # 23S and 5S RNA are one chain each
    atoms = Atoms(
        np.concatenate([p.points for p in parts]),
        np.concatenate([[c] * len(p.points) for c, p in zip(chains, parts, strict=True)]),
        np.concatenate([numbers[p.name] for p in parts]),
    )
    found = annotate(blocks, atoms)
    large = [n for n, voxels in blocks if len(voxels) > 50]
    proteins = [n for n in blocks.blocks if chains[n - 1] not in ("23S", "5S")]
    assert len(large) > 30 and len(proteins) == 29
    assert np.mean([found.of(n)[0].chain == chains[n - 1] for n in large]) >= 0.95
    assert np.mean([found.names()[n] == chains[n - 1] for n in proteins]) >= 0.95
    shared = []
    for n in set(large) - set(proteins):
        told = {r for a, b in found.of(n)[0].ranges for r in range(a, b + 1)}
        planted = set(numbers[parts[n - 1].name])
        shared.append(len(told & planted) / len(told | planted))
    assert len(shared) >= 15 and np.median(shared) > 0.95 and min(shared) > 0.85
