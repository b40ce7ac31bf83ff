"""What is under the mouse pointer in a figure, and what the figure shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from chimerax.siren.core.analysis.block_occupancy import States
from chimerax.siren.core.figures.draw import Content, draw
from chimerax.siren.core.figures.theme import Labels, Theme


def content() -> Content:
    rng = np.random.default_rng(0)
    share = (rng.random((4, 30)) < 0.5).astype(np.float32)
    share[1] = share[0] * share[2]
    names = tuple(f"v{k}.mrc" for k in range(30))
    return Content.of(
        names,
        np.linspace(1, 2, 30),
        States(names, np.linspace(1, 2, 30), (1, 2, 5, 9), np.full(4, 50), share),
    )


@pytest.mark.parametrize("theme", [Theme(), Theme.on("#2b2b2b", "#eeeeee")])
def test_a_cell_of_the_heat_map_is_its_volume_and_block_in_either_theme(theme: Theme) -> None:
    data = content()
    figure = Figure(layout="constrained")
    drawn = draw(figure, "states", data, Labels({2: "stalk"}), theme)
    picture = next(a for a in figure.axes if a.images)
    for row, column in ((0, 0), (3, 29), (2, 11)):
        block, volume = int(data.blocks.order[row]), int(data.volumes.order[column])
        pick = drawn.pick(picture, column + 0.4, row - 0.4)
        assert (pick.block, pick.volume) == (data.states.numbers[block], data.names[volume])
        assert f"{100 * data.states.share[block, volume]:.0f} %" in pick.text
        assert picture.images[0].get_array()[row, column] == data.states.share[block, volume]
    assert drawn.pick(picture, 99, 0) is None
    assert drawn.pick(figure.axes[-1], 0, 0) is None


@pytest.mark.parametrize("kind", ["correlation", "conditional"])
def test_a_cell_of_the_matrix_is_its_pair_and_shows_a_volume_that_has_both(kind: str) -> None:
    data = content()
    figure = Figure(layout="constrained")
    drawn = draw(figure, kind, data, Labels(), Theme())
    picture, order = figure.axes[0], data.blocks.order
    for row in range(4):
        for column in range(4):
            a, b = int(order[row]), int(order[column])
            pick = drawn.pick(picture, column, row)
            assert pick.text == data.relations.text(a, b)
            shown = data.names.index(pick.volume)
            assert data.states.present[a, shown] and data.states.present[b, shown]
            expected = (data.relations.given if kind == "conditional" else data.relations.phi)[a, b]
            assert picture.images[0].get_array()[row, column] == pytest.approx(expected)


@pytest.mark.parametrize("size", [(7.0, 3.0), (4.0, 2.6), (3.0, 5.0)])
def test_a_matrix_with_its_names_and_colors_stands_in_the_middle(size: tuple[float, float]) -> None:
    figure = Figure(figsize=size, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    draw(figure, "scatter", content(), Labels(), Theme())  # with another layout before
    draw(figure, "correlation", content(), Labels({1: "central protuberance"}), Theme())
    canvas.draw()
    box = figure.get_tightbbox()
    width, height = size
    assert abs(box.x0 - (width - box.x1)) < 0.12
    assert abs(box.y0 - (height - box.y1)) < 0.12


def test_the_histogram_counts_all_volumes_and_a_click_is_the_nearest_threshold() -> None:
    levels = np.append(np.random.default_rng(1).normal(1, 0.1, 80), 9.0)
    names = [f"v{k}" for k in range(81)]
    figure = Figure(layout="constrained")
    drawn = draw(figure, "thresholds", Content(names, levels), Labels(), Theme())
    axes = figure.axes[0]
    bars = [p for c in axes.containers for p in c]
    assert max(b.get_y() + b.get_height() for b in bars) <= 81
    assert sum(b.get_height() for b in bars) == 81
    assert drawn.pick(axes, 8.0, 1).volume == "v80"
    assert "1 outside (v80)" in drawn.caption
    assert "beyond" in drawn.pick(axes, 8.0, 1).text


def test_thresholds_that_are_all_the_same_are_drawn_too() -> None:
    figure = Figure()
    draw(figure, "thresholds", Content(["a", "b"], np.array([0.5, 0.5])), Labels(), Theme())
    figure.canvas.draw()


def test_a_figure_drawn_after_a_graph_in_the_same_canvas_is_as_without_it() -> None:
    data, pictures = content(), []
    for kinds in (["correlation"], ["graph", "correlation"], ["states", "graph", "correlation"]):
        figure = Figure(layout="constrained")
        for kind in kinds:
            draw(figure, kind, data, Labels(), Theme())
            figure.canvas.draw()
        pictures.append(np.array([a.get_position().bounds for a in figure.axes]))
    np.testing.assert_allclose(pictures[0], pictures[1], atol=1e-6)
    np.testing.assert_allclose(pictures[0], pictures[2], atol=1e-6)


def scattered() -> Content:
    """The same, but for shares that are nowhere equal."""
    c = content()
    noise = 0.2 * np.random.default_rng(7).random(c.states.share.shape).astype(np.float32)
    return Content.of(c.names, c.levels, replace(c.states, share=0.8 * c.states.share + noise))


@pytest.mark.parametrize("block", [None, 5])
def test_each_point_of_the_scatter_is_its_volume_in_the_color_of_its_blocks(
    block: int | None,
) -> None:
    data = scattered()
    figure = Figure(layout="constrained")
    color = (1.0, 0.0, 0.0)
    drawn = draw(figure, "scatter", data, Labels({2: "stalk"}, {5: color}), Theme(), block)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for k, (x, y) in enumerate(data.landscape.points):
        pick = drawn.pick(axes, x, y)
        there = [n for n, p in zip((1, 2, 5, 9), data.states.present[:, k], strict=True) if p]
        words = ", ".join("2 (stalk)" if n == 2 else str(n) for n in there)
        assert pick.volume == data.names[k]
        assert pick.text.endswith(
            f"{'no block' if not there else 'block' + 's' * (len(there) > 1) + ' ' + words}."
        )
    span = np.ptp(data.landscape.points, axis=0)
    assert drawn.pick(axes, *(data.landscape.points.max(axis=0) + 0.3 * span)) is None
    assert drawn.pick(figure.axes[1], 0, 0) is None
    points = axes.collections[0]
    values = data.states.present.sum(axis=0) if block is None else data.states.share[2]
    shown = dict(zip(map(tuple, points.get_offsets()), points.get_array(), strict=True))
    for place, value in zip(data.landscape.points, values, strict=True):
        assert shown[tuple(place)] == value
    if block is not None:
        assert points.to_rgba([1.0])[0, :3] == pytest.approx(color)


def test_an_outline_holds_the_points_inside_it() -> None:
    data = scattered()
    figure = Figure(layout="constrained")
    points = draw(figure, "scatter", data, Labels(), Theme()).points
    x, y = data.landscape.points.T
    left, right, low, high = *np.quantile(x, [0.2, 0.8]), *np.quantile(y, [0.1, 0.7])
    box = np.array([[left, low], [right, low], [right, high], [left, high]])
    expected = (x > left) & (x < right) & (y > low) & (y < high)
    assert 0 < expected.sum() < 30
    assert points.inside(box) == [n for n, e in zip(data.names, expected, strict=True) if e]
    assert points.inside(box[:2]) == []


def test_levels_far_from_the_others_have_a_color_of_their_own_that_the_legend_explains() -> None:
    data = content()
    figure = Figure(layout="constrained")
    levels = np.append(np.linspace(1, 1.1, 29), 9.0)
    draw(figure, "thresholds", Content.of(data.names, levels, data.states), Labels(), Theme())
    axes = figure.axes[0]
    texts = [t.get_text() for t in axes.get_legend().get_texts()]
    assert texts == ["within mean ± 2 SD", "outside (1)"]
    colors = [h.get_facecolor() for h in axes.get_legend().legend_handles]
    last = [p for p in axes.patches if p.get_x() + p.get_width() >= 9 and p.get_height() > 0]
    assert colors[1] in [p.get_facecolor() for p in last] and colors[0] != colors[1]


def test_levels_that_are_all_alike_need_no_legend() -> None:
    data = content()
    figure = Figure(layout="constrained")
    draw(figure, "thresholds", data, Labels(), Theme())
    assert figure.axes[0].get_legend() is None


@pytest.mark.parametrize("height", [1.2, 1.5, 2.0, 4.8])
def test_however_low_the_panel_the_names_of_the_axes_of_the_scatter_fit(height: float) -> None:
    figure = Figure(figsize=(5.6, height), layout="constrained")
    draw(figure, "scatter", content(), Labels(), Theme())
    figure.draw_without_rendering()
    name, scale = (axes.yaxis.label for axes in figure.axes)
    words = "component 2 (", "blocks present"
    for label, start in zip((name, scale), words, strict=True):
        place = label.get_window_extent()
        assert label.get_text().replace("\n", " ").startswith(start)
        assert place.y0 >= 0 and place.y1 <= figure.bbox.height
        assert place.x0 >= 0 and place.x1 <= figure.bbox.width
        assert label.get_fontsize() >= 5
    if height == 4.8:
        assert name.get_fontsize() == 9 and "\n" not in name.get_text()
