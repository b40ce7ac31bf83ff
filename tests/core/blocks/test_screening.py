"""Screening: the same blocks as sketches of their own, from one reading; its table and picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chimerax.siren.core.blocks.blockset import BlockSet
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.screening import (
    Screening,
    Setting,
    prepare_screening,
    screen,
    table,
    write_screen,
)
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.common.errors import Cancelled, SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.maps.ensemble import Ensemble, find_ensemble
from chimerax.siren.core.maps.grid import Grid
from ensembles import LEVEL, write_planted

GRID = Grid((10, 10, 10), (1.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return find_ensemble([write_planted(tmp_path_factory.mktemp("screening") / "volumes").folder])


def prepared(ensemble: Ensemble, **loosest: object) -> Screening:
    return prepare_screening(
        ensemble, np.full(len(ensemble), LEVEL), SketchParameters(**loosest), Progress()
    )


@pytest.mark.parametrize("statistic", ["profile", "exact"])
@pytest.mark.slow
def test_a_setting_gives_the_blocks_of_a_sketch_with_it_without_reading_again(
    ensemble: Ensemble, statistic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screening = prepared(ensemble, statistic=statistic, posp=0.2)
    posps = (1e-60, 0.001, 0.2)
    sketches = [
        sketch(
            ensemble,
            np.full(len(ensemble), LEVEL),
            SketchParameters(statistic=statistic, posp=p, resamples=0),
        )
        for p in posps
    ]
    assert len({len(s.edges) for s in sketches}) >= 2  # settings that matter
    monkeypatch.setattr(Ensemble, "read", None)
    settings = screen(screening, posps, (screening.parameters.negp,), Progress())
    for setting, expected in zip(settings, sketches, strict=True):
        assert {n: v.tolist() for n, v in setting.blocks} == {
            n: v.tolist() for n, v in expected.blocks
        }
        assert set(setting.blocks.stability) == set(setting.blocks.blocks)
    assert all(s == 1 for s in settings[-1].blocks.stability.values())


def test_looser_than_counted_is_refused_with_a_remedy(ensemble: Ensemble) -> None:
    screening = prepared(ensemble, posp=0.01)
    with pytest.raises(SirenError, match=r"counted up to posp 0\.01.*looser"):
        screening.at(0.05)


def test_it_stops_when_asked(ensemble: Ensemble) -> None:
    screening = prepared(ensemble)
    progress = Progress()
    progress.cancel()
    with pytest.raises(Cancelled):
        screen(screening, (0.001, 0.01), (0.05,), progress)


def settings_by_hand() -> list[Setting]:
    one, other = np.arange(0, 40), np.arange(100, 130)
    return [
        Setting(SketchParameters(posp=0.001), BlockSet(GRID, {}), (), 0.1),
        Setting(
            SketchParameters(posp=0.01), BlockSet(GRID, {1: one}, stability={1: 0.5}), (1,), 0.1
        ),
        Setting(
            SketchParameters(posp=0.1),
            BlockSet(GRID, {1: np.arange(5, 50), 2: other}, stability={1: 1.0, 2: 0.3}),
            (1, 2),
            0.1,
        ),
    ]


def test_the_table_has_a_row_for_each_block_and_one_where_there_is_none() -> None:
    rows = table(settings_by_hand())
    assert rows["posp"].tolist() == [0.001, 0.01, 0.1, 0.1]
    assert rows["blocks"].tolist() == [0, 1, 2, 2]
    assert rows["voxels"].tolist() == [0, 40, 45, 30]
    assert rows["block"].tolist()[1:] == [1, 1, 2]
    assert rows["stability"].tolist()[1:] == [0.5, 1.0, 0.3]


def test_a_block_keeps_its_number_through_the_settings_whatever_its_size_makes_it() -> None:
    small, large = np.arange(0, 20), np.arange(100, 140)

    class Stub:
        parameters = SketchParameters(posp=0.1)

        def at(self, posp: float, negp: float, stable: bool, progress: Progress) -> object:
            blocks = {
                0.001: [small],
                0.01: [large, small[:15]],
                0.1: [large, np.arange(500, 530), small],
            }[posp]
            return type("Result", (), {"blocks": BlockSet(GRID, dict(enumerate(blocks, 1)))})

    settings = screen(Stub(), (0.1, 0.001, 0.01), (0.05,), Progress())  # type: ignore[arg-type]
    assert [s.parameters.posp for s in settings] == [0.001, 0.01, 0.1]
    assert [s.same_as for s in settings] == [(1,), (2, 1), (2, 3, 1)]


@pytest.mark.slow
def test_table_and_picture_are_written_whole_and_the_same_twice(tmp_path: Path) -> None:
    files = [
        write_screen(tmp_path / name, settings_by_hand(), ("#E69F00", "#56B4E9"))
        for name in ("a", "b")
    ]
    assert pd.read_csv(files[0][0])["voxels"].tolist() == [0, 40, 45, 30]
    assert [p.read_bytes() for p in files[0]] == [p.read_bytes() for p in files[1]]
    assert files[0][1].read_bytes().startswith(b"\x89PNG")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["screen.csv", "screen.png"]
