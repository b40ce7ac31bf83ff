"""The graph as drawn: boxes apart, lines around them, few crossings, and the block under the
pointer.
"""

from __future__ import annotations

from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from scipy.optimize import minimize

from chimerax.siren.core.analysis.block_occupancy import States
from chimerax.siren.core.analysis.dependence import dependence
from chimerax.siren.core.analysis.parameters import RelateParameters
from chimerax.siren.core.analysis.relate import relate
from chimerax.siren.core.analysis.relations import Relations, relations_of_presence
from chimerax.siren.core.common.files import RECORD, read_json
from chimerax.siren.core.figures.graph import GraphPlan, draw_graph, graph_size
from chimerax.siren.core.figures.layers import _apart, in_layers
from chimerax.siren.core.figures.relation_files import write_relations
from chimerax.siren.core.figures.theme import Labels, Theme

NAMES = ("uL2", "a name that is much too long for a single line of a box " * 2, "", "x_$y$ & <z>")


def planted(blocks: int, seed: int) -> Relations:
    rng = np.random.default_rng(seed)
    rows: list[np.ndarray] = []
    for k in range(blocks):
        row = rng.random(900) < rng.uniform(0.6, 0.9)
        for other in rng.choice(k, min(k, int(rng.integers(0, 3))), replace=False):
            row &= rows[other] if rng.random() < 0.85 else ~rows[other]
        rows.append(row)
    return relations_of_presence(tuple(range(1, blocks + 1)), np.array(rows))


def plan_of(blocks: int, seed: int) -> GraphPlan:
    found = planted(blocks, seed)
    names = {n: NAMES[n % 4] for n in found.numbers}
    return GraphPlan(dependence(found), found, Labels(names))


@pytest.mark.parametrize("blocks", [1, 4, 8, 14, 25])
def test_no_box_overlaps_another_and_no_line_runs_through_one(blocks: int) -> None:
    for seed in range(3):
        plan = plan_of(blocks, seed)
        assert len(plan.places) == len(plan.graph.groups)
        boxes = {
            g: (x, y, x + plan.boxes[g].width, y + plan.boxes[g].height)
            for g, (x, y) in plan.places.items()
        }
        width, height = plan.size
        for x, y, right, bottom in boxes.values():
            assert x >= 0 and y >= 0 and right <= width and bottom <= height
        for one, other in combinations(boxes.values(), 2):
            apart = one[2] <= other[0] or other[2] <= one[0]
            assert apart or one[3] <= other[1] or other[3] <= one[1]
        figure = Figure(figsize=(8, 6))
        draw_graph(figure, plan.graph, plan.found, plan.labels, Theme())
        lines = [p for p in figure.axes[0].patches if p.get_zorder() == 2]
        ends = 1e-6 + 0.5
        for line in lines:
            for x, y in np.concatenate(line._path_original.to_polygons(closed_only=False)):
                inside = [
                    b
                    for b in boxes.values()
                    if b[0] + ends < x < b[2] - ends and b[1] + ends < y < b[3] - ends
                ]
                assert not inside


def test_crossings_are_those_counted_for_every_pair_of_lines_and_none_is_needless() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        layers = [[0, 1, 2, 3], [4, 5, 6, 7]]
        edges = [(a, b) for a in layers[0] for b in layers[1] if rng.random() < 0.35]
        found = in_layers(layers, edges)
        left, right = ([i.node for i in layer] for layer in found.layers)

        def crossed(left, right, edges=edges) -> int:
            at = [(left.index(a), right.index(b)) for a, b in edges]
            return sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(at, 2))

        assert found.crossings == crossed(left, right)
        fewest = min(
            crossed(p, q) for p in permutations(layers[0]) for q in permutations(layers[1])
        )
        assert found.crossings <= fewest + 1


def test_a_tree_is_drawn_without_crossings() -> None:
    layers = [[0], [3, 1, 2], [7, 4, 9, 5, 8, 6]]
    edges = [(0, 1), (0, 2), (0, 3), (1, 4), (1, 7), (2, 5), (2, 8), (3, 6), (0, 9)]
    found = in_layers(layers, edges)
    assert found.crossings == 0
    assert len(found.paths[0, 9]) == 3  # it passes the layer between
    assert sum(len(layer) for layer in found.layers) == 11


def test_places_are_the_nearest_to_those_wanted_that_do_not_overlap() -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        wanted, heights = rng.uniform(0, 60, 5), rng.uniform(5, 20, 5)
        places = _apart(wanted.tolist(), heights.tolist(), 4.0)
        steps = (heights[1:] + heights[:-1]) / 2 + 4
        assert (np.diff(places) >= steps - 1e-9).all()
        best = minimize(
            lambda y, wanted=wanted: ((y - wanted) ** 2).sum(),
            np.cumsum([0, *steps]),
            constraints={"type": "ineq", "fun": lambda y, steps=steps: np.diff(y) - steps},
        )
        np.testing.assert_allclose(places, best.x, atol=1e-3)


@pytest.mark.parametrize("size", [(3.0, 3.0), (9.0, 5.0)])
def test_the_pick_is_the_block_under_the_pointer_in_any_size(size: tuple[float, float]) -> None:
    volume = np.arange(200)
    rows = np.array([volume < 120, volume < 120, volume < 60, volume % 2 == 0])
    found = relations_of_presence((2, 4, 7, 9), rows)
    graph = dependence(found)
    figure = Figure(figsize=size)
    drawn = draw_graph(figure, graph, found, Labels({4: "twin"}), Theme.on("#202020", "#eeeeee"))
    plan, axes = GraphPlan(graph, found, Labels({4: "twin"})), figure.axes[0]
    x, y = plan.places[graph.groups.index((2, 4))]
    picks = [drawn.pick(axes, x + 15, y + depth) for depth in (8, 20)]
    assert [p.block for p in picks] == [2, 4]
    assert picks[1].text == "Block 4 (twin) is in 120 of 200 volumes; together 2; needed by 7."
    x, y = plan.places[graph.groups.index((9,))]
    assert drawn.pick(axes, x + 5, y + 5).block == 9
    assert drawn.pick(axes, -5, -5) is None and drawn.pick(None, x + 5, y + 5) is None
    assert "Blocks 2 and 4 (twin) come and go together." in drawn.caption
    assert "Block 7 only with 2+4 (twin)." in drawn.caption


def test_the_folder_has_all_files_twice_the_same_and_keeps_what_was_edited(tmp_path: Path) -> None:
    found = planted(6, 2)
    present = np.random.default_rng(2).random((6, 60)) < 0.5
    names = tuple(f"v{k}" for k in range(60))
    states = States(names, np.ones(60), found.numbers, np.full(6, 9), present.astype(np.float32))
    related = relate(states, RelateParameters(resamples=5))
    folder = tmp_path / "run_relations"
    written = [write_relations(folder, related, run=tmp_path / "run")]
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert sorted(before) == [
        *("combinations.csv", "graph.graphml", "graph.pdf", "graph.png", "graph.svg", "order.csv"),
        *("relations.csv", "run.json", "support.csv"),
    ]
    written.append(write_relations(folder, related, run=tmp_path / "run"))
    assert before == {p.name: p.read_bytes() for p in folder.iterdir()}
    assert [w.replaced for w in written] == [False, True]
    (folder / "order.csv").write_text("mine\n")
    last = write_relations(folder, related, run=tmp_path / "run")
    assert (last.aside / "order.csv").read_text() == "mine\n"
    assert read_json(folder / RECORD)["run"]["relative"] == "../run"
    with Image.open(folder / "graph.png") as picture:
        size = np.array(graph_size(related.graph, related.relations, Labels())) * 200
        assert (np.abs(np.array(picture.size) - size) < 80).all()


def test_the_areas_of_blocks_are_where_they_are_picked_and_leave_nothing_of_a_box() -> None:
    found = planted(14, 1)
    together = relations_of_presence((3, 8, 9), np.array([*[np.arange(90) < 40] * 2, [True] * 90]))
    for relations in (found, together):
        figure = Figure(figsize=(5, 5))
        drawn = draw_graph(figure, dependence(relations), relations, Labels(), Theme())
        assert set(drawn.areas.boxes) == set(relations.numbers)
        for number, (left, top, right, bottom) in drawn.areas.boxes.items():
            for x in np.linspace(left, right, 5)[1:-1]:
                for y in np.linspace(top, bottom, 7)[1:-1]:
                    assert drawn.pick(drawn.areas.axes, x, y).block == number


@pytest.mark.parametrize(
    "theme", [Theme(), Theme.on("#efefef", "#000000"), Theme.on("#2b2b2b", "#eeeeee")]
)
def test_secondary_writing_can_be_read_on_its_background(theme: Theme) -> None:
    """WCAG's contrast for small text is 4.5."""

    def luminance(color: str) -> float:
        linear = [
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)
        ]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    light, dark = sorted(map(luminance, (theme.muted, theme.background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
