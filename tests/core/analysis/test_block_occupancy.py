"""States of blocks: shares and pairs in plain loops, Fisher's test of scipy, the planted example's
dependences.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.cluster.hierarchy import leaves_list, linkage

from chimerax.siren.core.analysis.block_occupancy import (
    States,
    measure_states,
    read_states,
    representatives,
    similar_together,
    states_csv,
)
from chimerax.siren.core.analysis.parameters import StatesParameters
from chimerax.siren.core.analysis.relations import relations, relations_csv
from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.occupancy import Occupancy
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.maps.grid import Grid

GRID = Grid((5, 6, 7), (2.0, 2.0, 2.0))


def made(share: np.ndarray, sizes: list[int] | None = None) -> States:
    blocks, volumes = share.shape
    return States(
        tuple(f"v{v}.mrc" for v in range(volumes)),
        np.linspace(1, 2, volumes),
        tuple(range(1, blocks + 1)),
        np.array(sizes or [100] * blocks),
        share.astype(np.float32),
    )


def present(rows: list[str]) -> States:
    return made(np.array([[float(c) for c in row] for row in rows]))


def test_the_share_of_a_block_is_that_of_its_voxels_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    occupied = rng.random((12, GRID.size)) < 0.4
    occupancy = Occupancy(
        tuple(f"v{v}" for v in range(12)),
        np.ones(12),
        np.packbits(occupied, axis=1),
        GRID,
        np.zeros(GRID.shape, np.float32),
    )
    blocks = BlockSet(
        GRID, {2: np.sort(rng.choice(GRID.size, 30, replace=False)), 5: np.array([7, 8, 209])}
    )
    states = measure_states(blocks, occupancy, StatesParameters(present=0.4))
    assert states.numbers == (2, 5)
    assert states.sizes.tolist() == [30, 3]
    for row, voxels in enumerate(blocks.blocks.values()):
        for v in range(12):
            share = sum(bool(occupied[v, i]) for i in voxels) / len(voxels)
            assert states.share[row, v] == pytest.approx(share)
            assert states.present[row, v] == (share > 0.4)


def test_pairs_are_those_counted_in_loops_and_fishers_test_is_scipys() -> None:
    rng = np.random.default_rng(1)
    states = made(
        (rng.random((5, 60)) < np.array([[0.5], [0.3], [0.9], [0.1], [0.5]])).astype(float)
    )
    found = relations(states)
    here = states.present
    for a, b in product(range(5), repeat=2):
        both, has_a, has_b = (int(sum(x)) for x in (here[a] & here[b], here[a], here[b]))
        assert found.both[a, b] == both
        assert found.phi[a, b] == pytest.approx(np.corrcoef(here[a], here[b])[0, 1])
        assert found.given[a, b] == pytest.approx(both / has_b)
        table = [[both, has_a - both], [has_b - both, 60 - has_a - has_b + both]]
        assert found.more[a, b] == pytest.approx(stats.fisher_exact(table, "greater")[1])
        assert found.less[a, b] == pytest.approx(stats.fisher_exact(table, "less")[1])


def test_blocks_in_all_volumes_or_none_have_no_correlation_and_no_relation() -> None:
    found = relations(present(["1111", "0000", "1010"]))
    assert np.isnan(found.phi[0]).all() and np.isnan(found.phi[1]).all()
    assert np.isnan(found.given[0, 1])
    assert {found.word(a, b) for a in range(3) for b in range(3)} == {"", "undecided"}


def test_dependences_have_their_words() -> None:
    free = np.arange(200) % 2 == 0
    other = np.arange(200) % 4 < 2
    rows = {
        "free": free,
        "needs free": free & other,
        "excludes free": ~free & (np.arange(200) % 8 < 6),
        "twin of free": free,
        "unrelated": other,
    }
    found = relations(made(np.array(list(rows.values()), float)))
    words = {(a, b): found.word(i, j) for i, a in enumerate(rows) for j, b in enumerate(rows)}
    assert words["needs free", "free"] == "only with"
    assert words["free", "needs free"] == "needed by"
    assert words["excludes free", "free"] == words["free", "excludes free"] == "never with"
    assert words["twin of free", "free"] == "together"
    assert words["unrelated", "free"] == "independent"
    assert "block 2 only with block 1" in found.text(1, 0)
    assert (
        "Of 50 volumes with block 2, 50 (100 %) have block 1; of 150 without, 50 (33 %)"
        in found.text(1, 0)
    )


def test_the_order_is_scipys_leaves_and_two_kinds_of_rows_come_out_apart() -> None:
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 2, 40)
    rows = np.where(kind[:, None] == 0, [1.0, 0, 0], [0, 1.0, 0.5]) + rng.normal(0, 0.01, (40, 3))
    tree = similar_together(rows)
    assert (
        tree.order.tolist() == leaves_list(linkage(rows, "average", optimal_ordering=True)).tolist()
    )
    assert (np.diff(kind[tree.order]) != 0).sum() == 1
    assert sorted(similar_together(rng.random((300, 2))).order.tolist()) == list(range(300))
    for few in (0, 1, 2):
        assert sorted(similar_together(rows[:few]).order.tolist()) == list(range(few))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_the_representatives_are_the_best_of_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    states = made(rng.random((4, 40)).round(2), [300, 20, 70, 5])
    for block in states.numbers:
        row = block - 1

        def unexplained(pair: tuple[int, int], row: int = row) -> float:
            with_it, without = pair
            difference = (
                states.share[:, with_it].astype(float) - states.share[:, without]
            ) * states.sizes
            return float(
                states.sizes[row] - difference[row] + np.abs(np.delete(difference, row)).sum()
            )

        pairs = [
            (v, w)
            for v in range(40)
            for w in range(40)
            if states.present[row, v] and not states.present[row, w]
        ]
        assert unexplained(representatives(states, block)) == pytest.approx(
            min(map(unexplained, pairs))
        )


def test_representatives_differ_in_the_block_alone_where_such_volumes_exist() -> None:
    states = present(["110010", "101100", "011001"])
    v, w = representatives(states, 2)
    assert states.present[:, v].tolist() != states.present[:, w].tolist()
    assert states.present[[0, 2], v].tolist() == states.present[[0, 2], w].tolist()


def test_of_equal_pairs_the_first_is_taken() -> None:
    assert representatives(present(["0110", "0000"]), 1) == (1, 0)


def test_without_volumes_on_both_sides_there_is_no_pair() -> None:
    states = present(["1111", "0000"])
    for block, where in ((1, "all"), (2, "none")):
        with pytest.raises(SirenError, match=f"in {where} of the 4 volumes"):
            representatives(states, block)
    with pytest.raises(SirenError, match="no block 3: there are 1, 2"):
        representatives(states, 3)


def test_tables_are_read_by_pandas_and_back(tmp_path: Path) -> None:
    states = made(np.random.default_rng(4).random((3, 7)), [2, 1, 1])
    path = tmp_path / "states.csv"
    path.write_text(states_csv(states), encoding="utf-8")
    table = pd.read_csv(path)
    assert table.columns.tolist() == ["file", "level", "block_1", "block_2", "block_3"]
    assert np.allclose(
        table[["block_1", "block_2", "block_3"]].to_numpy().T, states.share, atol=1e-4
    )
    blocks = BlockSet(GRID, {1: np.array([1, 2]), 2: np.array([3]), 3: np.array([4])})
    again = read_states(path, blocks)
    assert (again.names, again.numbers, again.sizes.tolist()) == (
        states.names,
        states.numbers,
        [2, 1, 1],
    )
    assert np.allclose(again.share, states.share, atol=1e-4) and np.allclose(
        again.levels, states.levels, rtol=1e-5
    )
    (tmp_path / "pairs.csv").write_text(relations_csv(relations(states)), encoding="utf-8")
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert len(pairs) == 3
    assert (pairs[["both", "only_a", "only_b", "neither"]].sum(axis=1) == 7).all()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "a,b\n1,2\n",
        "file,level,block_1\nv,1\n",
        "file,level,block_x\nv,1,0\n",
        "file,level,block_1\nv,1,?\n",
        "file,level,block_9\nv,1,0\n",
    ],
)
def test_a_table_that_is_not_one_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "states.csv").write_text(content)
    with pytest.raises(SirenError, match=r"states\.csv .*(siren states|repair that row)"):
        read_states(tmp_path / "states.csv", BlockSet(GRID, {1: np.array([1])}))


def test_a_block_of_two_that_exclude_each_other_is_said_to_part_no_volumes() -> None:
    rng = np.random.default_rng(0)
    one = rng.random(100) < 0.5
    noise = rng.normal(0, 0.03, (3, 100))
    # one block; merged with the one that is there where it is not; one in every volume
    shares = np.clip(np.array([0.9 * one, np.full(100, 0.5), np.ones(100)]) + noise, 0, 1)
    names = tuple(f"{k}.mrc" for k in range(100))
    found = States(names, np.ones(100), (1, 2, 3), np.full(3, 50), shares.astype(np.float32))
    assert 0 < found.present[1].sum() < 100
    assert found.ungrouped == (2,)
    assert "Block 2 parts the volumes into no two groups" in found.doubt
    given = replace(found, cut=0.5)  # asked for
    assert given.ungrouped == () and given.doubt == ""
