"""Series of volumes: their order, on states made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from chimerax.siren.core.analysis.block_occupancy import States
from chimerax.siren.core.analysis.selection import Selection
from chimerax.siren.core.analysis.series import blocks_text, series_of
from chimerax.siren.core.common.errors import SirenError


def states_of(*share: list[float]) -> States:
    """A row for each block of 10 voxels; present above one half."""
    values = np.array(share, np.float32)
    names = tuple(f"v{k}" for k in range(values.shape[1]))
    numbers = tuple(range(1, len(values) + 1))
    return States(names, np.ones(len(names)), numbers, np.full(len(values), 10), values, cut=0.5)


def test_by_a_block_the_series_goes_from_the_least_of_it_to_the_most():
    rng = np.random.default_rng(0)
    states = states_of(rng.random(40).tolist(), (rng.random(40) < 0.5).astype(float).tolist())
    found = series_of(states, block=1, count=8)
    assert len(set(found.tolist())) == 8
    assert (np.diff(states.share[0][found]) > 0).all()


def test_of_those_about_as_far_the_one_most_like_the_one_before_is_taken():
    first = [0.0, 0.1, 0.2, 0.3, 0.8, 0.9]
    second = [1.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    found = series_of(states_of(first, second), block=1, count=3)
    assert states_of(first, second).share[1][found].tolist() == [1, 1, 1]


def test_by_number_the_series_goes_from_few_blocks_to_many():
    rng = np.random.default_rng(1)
    states = states_of(*(rng.random((6, 60)) < 0.5).astype(float).tolist())
    numbers = states.present.sum(axis=0)[series_of(states, count=10)]
    assert (np.diff(numbers) >= 0).all() and numbers[0] < numbers[-1]


def test_along_a_path_each_step_has_one_block_more():
    states = states_of([0, 1, 1, 0, 1], [0, 0, 1, 1, 1], [1, 1, 1, 1, 0])
    assert series_of(states, path=(1, 2)).tolist() == [0, 1, 2]  # 4 is like 2 but lacks block 3
    assert series_of(states, path=(2, 1)).tolist() == [0, 3, 2]


def test_a_selection_leaves_volumes_out_of_the_series():
    states = states_of([0, 0.2, 0.4, 0.6, 0.8, 1], [1, 0, 1, 0, 1, 0])
    assert series_of(states, block=1, selection=Selection((2,)), count=9).tolist() == [0, 2, 4]
    apart = states_of([0, 0, 0, 1], [1, 1, 1, 0])
    with pytest.raises(SirenError, match=r"^None of the 4 volumes is with 2,1"):
        series_of(apart, path=(1,), selection=Selection((2,)))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"block": 1, "path": (1,)}, "give one of them"),
        ({"path": (1, 1)}, "A block comes once in a path"),
        ({"block": 7}, "There is no block 7"),
        ({"path": (7,)}, "There is no block 7"),
    ],
)
def test_what_cannot_be_ordered_is_said_in_a_sentence(more, said):
    with pytest.raises(SirenError, match=said):
        series_of(states_of([0, 1], [1, 0]), **more)


def test_the_blocks_of_a_volume_in_words():
    states = states_of([0, 1, 1], [0, 0, 1])
    assert [blocks_text(states, v) for v in range(3)] == ["no block", "block 1", "blocks 1, 2"]
