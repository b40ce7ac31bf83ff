"""Pictures for print: sizes, scale bars, and marks where a block is seen."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.figures.colors import PALETTE, rgb_of
from chimerax.siren.core.figures.picture import (
    Mark,
    _size,
    annotated,
    apart,
    on_color,
    visible_points,
)
from chimerax.siren.core.figures.projections import draw_projections
from chimerax.siren.core.figures.scale_bar import bar_length, length_text
from chimerax.siren.core.figures.theme import Labels, Theme
from chimerax.siren.core.maps.grid import Grid
from ensembles import BOXES, ORIGIN, SHAPE, VOXEL_SIZE

WHITE = np.full((300, 400, 3), 255, np.uint8)
GRAY = (0.7, 0.7, 0.7)


def opened(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize(("width", "dpi"), [(85.0, 300), (180.0, 300), (85.0, 600)])
def test_a_figure_is_as_wide_as_asked_to_the_pixel_and_says_its_resolution(width, dpi) -> None:
    across = round(width / 25.4 * dpi)
    image = np.full((across // 2, across, 3), 255, np.uint8)
    image[:, : across // 2] = (10, 200, 30)
    data = annotated(image, 0.5, [], width, legend=False, show_bar=False)
    found = Image.open(io.BytesIO(data))
    assert found.size == (across, across // 2)
    assert found.info["dpi"][0] == pytest.approx(dpi, rel=0.003)
    assert np.abs(opened(data) - image).max() == 0  # not resampled


@pytest.mark.parametrize(("pixel", "bar", "long"), [(0.5, None, 50.0), (0.5, 80.0, 80.0)])
def test_the_scale_bar_is_as_long_as_it_says(pixel: float, bar: float | None, long: float) -> None:
    found = opened(annotated(WHITE, pixel, [], 60, legend=False, bar=bar))
    dark = (found < 60).all(axis=2)
    row = dark.sum(axis=1).argmax()
    assert dark[row].sum() == pytest.approx(long / pixel, abs=2)


def test_a_scale_bar_is_round_and_no_longer_than_its_share() -> None:
    for width in (3.0, 47.0, 100.0, 199.0, 12345.0):
        length = bar_length(width, 0.25)
        digits = f"{length:e}".split("e")[0].rstrip("0").rstrip(".")
        assert digits in "125" and 0.25 / 2.5 <= length / width <= 0.25 + 1e-9
    assert length_text(50) == "50 Å" and length_text(50, True) == "5 nm"
    assert length_text(5, True) == "0.5 nm"


@pytest.mark.parametrize("suffix", [".pdf", ".svg"])
def test_text_of_vector_figures_is_text_and_bytes_are_the_same(suffix: str) -> None:
    marks = [Mark(100, 100, 7, "7 stalk", GRAY, "7 stalk & co")]
    data = annotated(WHITE, 0.5, marks, 85, suffix)
    assert data == annotated(WHITE, 0.5, marks, 85, suffix)
    if suffix == ".svg":
        assert b"stalk &amp; co" in data and b"50 \xc3\x85" in data


def test_the_legend_is_below_the_picture_which_it_leaves_as_it_is() -> None:
    image = np.full((300, 400, 3), 128, np.uint8)
    marks = [Mark(0, 0, n, "", rgb_of(c), f"{n} a long name") for n, c in enumerate(PALETTE, 1)]
    found = opened(annotated(image, 0.5, marks, 60, show_bar=False))
    assert found.shape[1] == 400 and found.shape[0] > 330
    assert (found[:300] == 128).all()
    for color in PALETTE:  # a swatch of each is in it
        match = np.abs(found[300:] - np.round(255 * np.array(rgb_of(color)))).max(axis=2) <= 1
        assert match.sum() > 50, color


def test_marks_do_not_cover_each_other_and_stay_in_the_picture() -> None:
    rng = np.random.default_rng(0)
    marks = [Mark(*rng.uniform(150, 250, 2), n, str(n), GRAY) for n in range(20)]
    marks += [Mark(-50, 700, 20, "20 a long name", GRAY), Mark(200, 200, 21, "21", GRAY)]
    placed = apart(marks, 100, (600, 600))
    assert [m.number for m in placed] == [m.number for m in marks]
    half = np.array([_size(m.text, 100) for m in placed]) / 2
    place = np.array([(m.x, m.y) for m in placed])
    assert (place >= half - 1e-6).all() and (place <= 600 - half + 1e-6).all()
    for a in range(len(placed)):
        for b in range(a):
            over = half[a] + half[b] - np.abs(place[a] - place[b])
            assert (over <= 0.5).any(), (a, b)
    alone = [Mark(100, 100, 1, "1", GRAY), Mark(400, 300, 2, "2", GRAY)]
    assert apart(alone, 100, (600, 600)) == alone  # nothing to do


def test_writing_on_a_color_of_the_palette_can_be_read() -> None:
    def luminance(color: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    for color in map(rgb_of, PALETTE):
        own = luminance(color)
        other = 1.0 if on_color(color) == "white" else 0.0
        low, high = sorted((own, other))
        assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG AA


def test_a_mark_is_where_its_block_is_seen_and_not_where_another_hides_it() -> None:
    wall = np.argwhere(np.ones((10, 10, 1), bool)).astype(float)  # x, y, z
    behind = np.argwhere(np.ones((14, 10, 1), bool)) - [0.0, 0.0, 5.0]
    found = visible_points({1: wall, 2: behind}, np.eye(3), 1.0)
    assert found[2][0] >= 10 and found[2][2] == -5  # beside the wall
    assert 2 <= found[1][0] <= 7 and found[1][2] == 0
    from_behind = visible_points({1: wall, 2: behind}, np.diag([-1.0, 1.0, -1.0]), 1.0)
    assert 3 <= from_behind[2][0] <= 10 and from_behind[2][2] == -5
    assert from_behind[1].tolist() == wall.mean(axis=0).tolist()  # hidden
    assert visible_points({}, np.eye(3), 1.0) == {}


@pytest.mark.parametrize("number", [1, 2])
def test_the_outline_of_a_block_is_around_its_voxels_in_each_projection(number: int) -> None:
    """Extents in Angstrom, against those of the planted box: sizes differ along each axis."""
    boxes = {1: BOXES["left"], 2: (slice(3, 6), slice(5, 17), slice(8, 23))}
    blocks = {}
    for n, box in boxes.items():
        mask = np.zeros(SHAPE, bool)
        mask[box] = True
        blocks[n] = np.flatnonzero(mask)
    grid = Grid(SHAPE, (VOXEL_SIZE, 3.0, 5.0), ORIGIN)
    figure = Figure()
    mean = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    drawn = draw_projections(
        figure, mean, BlockSet(grid, blocks), Labels({number: "arm"}), Theme(), 0.5, [number]
    )
    assert f"block {number} (arm)" in drawn.caption
    step, origin = grid.voxel_size[::-1], grid.origin[::-1]
    for axes, axis in zip(figure.axes, range(3), strict=True):
        up, right = (k for k in range(3) if k != axis)
        lines = [p.vertices for c in axes.collections for p in c.get_paths() if len(p.vertices)]
        points = np.concatenate(lines)
        for k, place in ((right, 0), (up, 1)):
            low = origin[k] + step[k] * (boxes[number][k].start - 0.5)
            high = origin[k] + step[k] * (boxes[number][k].stop - 0.5)
            assert points[:, place].min() == pytest.approx(low, abs=0.6 * step[k])
            assert points[:, place].max() == pytest.approx(high, abs=0.6 * step[k])


def test_the_numbers_of_blocks_behind_each_other_are_not_on_each_other() -> None:
    """With the extents of the text as it is drawn, in a small figure."""
    blocks = {}
    for n in range(1, 7):
        mask = np.zeros(SHAPE, bool)
        mask[2 * n : 2 * n + 2, 6 : 9 + n, 8:14] = True
        blocks[n] = np.flatnonzero(mask)
    figure = Figure(figsize=(4, 1.6), layout="constrained")
    grid = Grid(SHAPE, (VOXEL_SIZE,) * 3, ORIGIN)
    draw_projections(figure, None, BlockSet(grid, blocks), Labels(), Theme())
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for axes in figure.axes:
        numbers = [t for t in axes.texts if t.get_text() in map(str, blocks)]
        assert len(numbers) == 6
        boxes = [t.get_window_extent(canvas.get_renderer()) for t in numbers]
        for k, one in enumerate(boxes):
            for other in boxes[:k]:
                assert not one.padded(-1).overlaps(other.padded(-1))
