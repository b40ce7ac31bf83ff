"""Volumes opened as a series of ChimeraX, in windows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chimerax.siren.core.maps.grid import Grid
from chimerax.siren.session import series as module

GRID = Grid((8, 8, 8), (2.0, 2.0, 2.0))


class MapSeriesSlider:
    """ChimeraX's tool of this name, as far as it is looked at."""

    def __init__(self, series: list[Any]):
        self.series = series


@pytest.mark.parametrize("by_itself", [True, False])
def test_a_series_has_one_slider_whether_chimerax_opens_it_or_not(
    session: Any, monkeypatch: pytest.MonkeyPatch, by_itself: bool
) -> None:
    from chimerax.map_series import MapSeries

    typed: list[str] = []

    def tools() -> list[Any]:
        opened = session.models.list(type=MapSeries)
        return [SimpleNamespace(series=opened), *([MapSeriesSlider(opened)] * by_itself)]

    monkeypatch.setattr(module, "run", lambda session, line, log: typed.append(line))
    monkeypatch.setattr(session, "tools", SimpleNamespace(list=tools), raising=False)
    with monkeypatch.context() as windows:
        windows.setattr(session.ui, "is_gui", True)
        steps = [module.Step(f"v{k}", np.ones(GRID.shape, np.float32), 0.5, "") for k in (1, 2)]
        opened = module.open_series(session, steps, GRID, "two", None)
    assert typed == ([] if by_itself else [f"vseries slider #{opened.id_string}"])
    session.models.close([opened])
