"""Labels placed apart."""

from __future__ import annotations

import numpy as np
import pytest

from chimerax.siren.core.figures.placing import place_apart


def overlaps(places: np.ndarray, sizes: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rectangles that share an area, by plain loops."""
    found = []
    for a in range(len(places)):
        for b in range(a):
            shared = [
                min(places[a, k] + sizes[a, k] / 2, places[b, k] + sizes[b, k] / 2)
                - max(places[a, k] - sizes[a, k] / 2, places[b, k] - sizes[b, k] / 2)
                for k in (0, 1)
            ]
            if min(shared) > 1e-5:
                found.append((b, a))
    return found


@pytest.mark.parametrize("count", [4, 8, 40])
def test_none_lies_on_another_and_the_first_stays(count: int) -> None:
    rng = np.random.default_rng(count)
    centers = rng.uniform(0, 120, (count, 2))
    sizes = np.column_stack((rng.uniform(15, 90, count), np.full(count, 20.0)))
    assert overlaps(centers, sizes)
    places = place_apart(centers, sizes)
    assert overlaps(places, sizes) == []
    assert places[0].tolist() == centers[0].tolist()
    assert np.array_equal(places, place_apart(centers, sizes))


def test_labels_that_are_apart_stay() -> None:
    centers = [(0, 0), (30, 0), (0, 21), (500, 500)]
    assert place_apart(centers, [(28, 20)] * 4).tolist() == [list(c) for c in centers]


def test_a_label_goes_the_shortest_way() -> None:
    # the second reaches 6 to the side and 18 up or down into the first
    assert place_apart([(0, 0), (24, 2)], [(30, 20)] * 2).tolist() == [[0, 0], [30, 2]]
    assert place_apart([(0, 0), (4, 17)], [(30, 20)] * 2).tolist() == [[0, 0], [4, 20]]


def test_labels_at_one_place_are_on_all_sides_of_it() -> None:
    places = place_apart(np.zeros((5, 2)), [(30, 20)] * 5)
    assert sorted(map(tuple, places.tolist())) == [(-30, 0), (0, -20), (0, 0), (0, 20), (30, 0)]


def test_no_label_leaves_the_picture_while_there_is_room() -> None:
    size, sizes = np.array([100.0, 80.0]), np.full((12, 2), (30.0, 18.0))
    places = place_apart(np.full((12, 2), (99.0, 79.0)), sizes, size)
    assert (places - sizes / 2 >= 0).all() and (places + sizes / 2 <= size).all()
    assert overlaps(places, sizes) == []


def test_where_there_is_no_room_a_label_stays_in_the_picture() -> None:
    places = place_apart([(10, 10)] * 4, [(18, 18)] * 4, (20, 20))
    assert ((places >= 9) & (places <= 11)).all()


def test_no_labels_are_placed_nowhere() -> None:
    assert place_apart([], []).shape == (0, 2)
