"""The heat map of parts by volumes: its cells, its order, and labels that do not overlap."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from chimerax.siren.core.analysis.part_occupancy import Occupancies, measure_occupancies
from chimerax.siren.core.analysis.parts import Part, part_from_array
from chimerax.siren.core.figures.occupancies import write_occupancies
from chimerax.siren.core.figures.states import draw_occupancies, heat_map_size, part_labels
from chimerax.siren.core.figures.theme import Theme
from chimerax.siren.core.maps.ensemble import ensemble_from_arrays


def found(parts: int, volumes: int, blocks: int = 0) -> Occupancies:
    """Masks with long names that differ at their ends, and blocks, in noise."""
    maps = np.random.default_rng(0).normal(0.2, 1, (volumes, parts, 3, 3)).astype(np.float32)
    masks = np.eye(parts, dtype=np.float32)[:, :, None, None] * np.ones((3, 3), np.float32)
    made: list[Part] = []
    for k in range(parts):
        part = part_from_array(f"ribosome_large_subunit_chain_{k:03}", masks[k])
        if k < blocks:
            label = "stalk" if k == 0 else ""
            part = Part(f"block_{k + 1}", part.voxels, part.weights, label=label, number=k + 1)
        made.append(part)
    return measure_occupancies(made, ensemble_from_arrays(maps, 4.0), 0.5)


def drawn(data: Occupancies, measure: str = "share"):
    figure = Figure(figsize=heat_map_size(len(data.parts)), layout="constrained")
    result = draw_occupancies(figure, data, measure, part_labels(data), Theme())
    FigureCanvasAgg(figure).draw()
    return figure, next(a for a in figure.axes if a.images), result


@pytest.mark.parametrize("measure", ["share", "maven"])
def test_a_cell_is_its_part_in_its_volume_by_either_measure(measure: str) -> None:
    data = found(5, 12, 2)
    _, picture, result = drawn(data, measure)
    shown = picture.images[0].get_array()
    for row, column in ((0, 0), (4, 11), (2, 7)):
        part, volume = int(data.order.parts.order[row]), int(data.order.volumes.order[column])
        assert shown[row, column] == data.measures[measure][part, volume]
        pick = result.pick(picture, column + 0.4, row - 0.4)
        assert pick.volume == data.names[volume]
        assert f"{data.names[volume]}, {data.parts[part].name}:" in pick.text
        assert f"{100 * data.share[part, volume]:.0f} %" in pick.text
    assert result.pick(picture, 12, 0) is None


def test_rows_and_columns_have_the_names_of_their_parts_and_volumes() -> None:
    data = found(6, 12, 2)
    _, picture, _ = drawn(data)
    rows = [t.get_text() for t in picture.get_yticklabels()]
    wanted = {0: "1  stalk", 1: "2"}
    for text, part in zip(rows, data.order.parts.order, strict=True):
        assert text == wanted.get(int(part), text)
        assert int(part) in wanted or text.endswith(data.parts[part].name[-6:])
    columns = [t.get_text() for t in picture.get_xticklabels()]
    assert columns == [data.names[v] for v in data.order.volumes.order]


@pytest.mark.parametrize(("parts", "volumes"), [(13, 10), (60, 30), (132, 200)])
def test_labels_do_not_overlap_each_other_and_every_part_has_one(parts: int, volumes: int) -> None:
    data = found(parts, volumes, 3)
    figure, picture, _ = drawn(data)
    renderer = figure.canvas.get_renderer()
    rows = [t for t in picture.get_yticklabels() if t.get_text()]
    assert len(rows) == len({t.get_text() for t in rows}) == parts
    for labels, axis in ((rows, "y"), (picture.get_xticklabels(), "x")):
        boxes = sorted(
            (b.y0, b.y1) if axis == "y" else (b.x0, b.x1)
            for b in (t.get_window_extent(renderer) for t in labels)
        )
        assert all(low[1] <= high[0] + 0.5 for low, high in pairwise(boxes))
    below = [t.get_window_extent(renderer).y0 for t in picture.get_xticklabels()]
    title = picture.xaxis.label.get_window_extent(renderer).y1
    assert all(title <= y + 0.5 for y in below)


def test_the_same_occupancies_give_the_same_bytes_in_every_format(tmp_path: Path) -> None:
    data = found(4, 20, 1)
    for folder in ("one", "two"):
        write_occupancies(tmp_path / folder, data, ("png", "svg", "pdf"))
    names = sorted(p.name for p in (tmp_path / "one").iterdir())
    assert len(names) == 9
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_lines_part_the_groups_of_volumes() -> None:
    data = found(4, 30)
    _, picture, _ = drawn(data)
    groups = data.order.cluster[data.order.volumes.order]
    edges = sorted(line.get_xdata()[0] for line in picture.lines)
    assert edges == [k + 0.5 for k in range(29) if groups[k] != groups[k + 1]]
