"""Medians that are asked for again and again are NumPy's, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from chimerax.siren.core.blocks.level_harmonization import ScaleFit
from chimerax.siren.core.blocks.medians import Change, MovingMedians, median
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.progress import Progress


@pytest.mark.parametrize("digits", [0, 7])  # many values are the same, or none
@pytest.mark.parametrize("rows", [1, 2, 5, 64, 301])
def test_medians_are_those_of_numpy_however_far_they_move(
    rows: int, digits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "CACHED_VALUES", 100)  # some values at a time
    rng = np.random.default_rng(rows)
    values = rng.normal(size=(rows, 37)).round(digits).astype(np.float32)
    assert [median(column) for column in values.T] == np.median(values, axis=0).tolist()
    table = MovingMedians.of(values)
    ordered = 0

    def counted(self: MovingMedians, *arguments: object) -> object:
        nonlocal ordered
        ordered += len(arguments[1])
        return plain(self, *arguments)

    plain = MovingMedians._ordered
    monkeypatch.setattr(MovingMedians, "_ordered", counted)
    for change in (0, 1e-4, 1e-3, 0.1, 5, 5, 0, 0):
        divisor, factor = 1 + change * rng.normal(size=(2, rows))
        shift = change * rng.normal(size=37)
        made = (values.astype(np.float64) - factor[:, None] * shift) / divisor[:, None]
        found = table.medians(Change(factor, shift, divisor), Progress(), "")
        np.testing.assert_array_equal(found, np.median(made, axis=0))
    assert ordered > 37  # of some, the median has left its interval
    if rows > 100 and digits:
        assert ordered < 7 * 37  # but not of most, where they move a little
    some = np.arange(rows) % 3 != 1
    part = table.only_rows(np.flatnonzero(some)).only_columns(np.arange(0, 37, 2))
    np.testing.assert_array_equal(
        part.medians(Change(), Progress(), ""), np.median(values[some, ::2], axis=0)
    )


@pytest.mark.parametrize("size", [1e-9, 1, 1e9, 1e-20, 1e20, np.inf])
@pytest.mark.parametrize("near", [1e-2, 1e-9])  # values that single precision cannot tell apart
def test_medians_are_those_of_numpy_where_single_precision_does_not_suffice(
    size: float, near: float
) -> None:
    rng = np.random.default_rng(5)
    values = (1 + near * rng.normal(size=(200, 11))).astype(np.float32)
    rows, columns = 1 + near * rng.normal(size=200), rng.normal(size=11)
    divisor = np.where(np.arange(200) % 3, 1.0, size) * rng.choice([-1, 1], 200)
    table = MovingMedians.of(values)
    for change in (
        Change(),
        Change(rows=rows),
        Change(columns=columns, divisor=divisor),
        Change(rows, columns, divisor),
        Change(rows=rows + near / 100, columns=columns, divisor=divisor),
    ):
        made = values.astype(np.float64)
        if change.rows is not None or change.columns is not None:
            shift = np.ones(200) if change.rows is None else change.rows
            made -= shift[:, None] * (1 if change.columns is None else change.columns)
        if change.divisor is not None:
            made /= change.divisor[:, None]
        np.testing.assert_array_equal(
            table.medians(change, Progress(), ""), np.median(made, axis=0)
        )


def plain_scales(core: np.ndarray, background: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The definition, round by round."""
    scale, offset = np.ones(len(core)), np.zeros(len(core))
    for _ in range(constants.SCALE_ROUNDS):
        reference = np.median((core - offset[:, None]) / scale[:, None], axis=0)
        empty = np.median((background - offset[:, None]) / scale[:, None], axis=0)
        bright = np.abs(reference) > 1e-6 * np.abs(reference).max()
        scale = np.median((core - offset[:, None])[:, bright] / reference[bright], axis=1)
        scale = scale / np.median(scale)
        offset = np.median(background - scale[:, None] * empty, axis=1)
    return scale, offset


@pytest.mark.parametrize(("volumes", "core", "background"), [(41, 60, 50), (20, 33, 7)])
def test_scales_are_the_medians_of_their_definition_for_all_voxels_and_for_halves(
    volumes: int, core: int, background: int
) -> None:
    rng = np.random.default_rng(core)
    scale = rng.uniform(0.5, 2, volumes)[:, None]
    inside = scale * (2 + rng.random(core)) + rng.normal(0, 0.2, (volumes, core))
    inside[:, :3] = 0  # dark voxels, of which no scale follows
    outside = rng.normal(0, 0.1, (volumes, background)).astype(np.float32)
    inside = inside.astype(np.float32)
    fit = ScaleFit.of(inside, outside)
    for voxels in (np.arange(core), *np.array_split(np.arange(core), 2)):
        for found, expected in zip(
            fit.scales(voxels), plain_scales(inside[:, voxels], outside), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
