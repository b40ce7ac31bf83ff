"""Medians of nearly sorted rows are NumPy's, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from chimerax.siren.core.blocks.level_harmonization import ScaleFit
from chimerax.siren.core.blocks.medians import SortedRows, median, row_medians
from chimerax.siren.core.common import constants


@pytest.mark.parametrize("columns", [1, 2, 5, 64, 301])
def test_medians_are_those_of_numpy(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "CACHED_VALUES", 100)  # some rows at a time
    rng = np.random.default_rng(columns)
    values = rng.normal(size=(37, columns)).astype(np.float32)
    wide = values.astype(np.float64)
    np.testing.assert_array_equal(row_medians(wide.copy()), np.median(wide, axis=1))
    assert [median(row) for row in values] == np.median(values, axis=1).tolist()
    factor, shift = rng.uniform(0.5, 2, columns), rng.normal(size=37)
    rows = SortedRows.by(values, lambda v, c, r: v * factor[c])

    def other(table: np.ndarray) -> np.ndarray:
        return table / (factor + 0.1) - shift[:, None]

    def formula(v: np.ndarray, c: np.ndarray, r: slice) -> np.ndarray:
        return v / (factor + 0.1)[c] - shift[r, None]

    np.testing.assert_array_equal(rows.medians(formula), np.median(other(wide), axis=1))
    some = np.arange(columns) % 3 != 1
    np.testing.assert_array_equal(
        rows.only_columns(some).medians(formula), np.median(other(wide)[:, some], axis=1)
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
