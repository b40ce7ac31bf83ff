"""Memory and time: estimated beforehand, refused with a remedy that works, voxels thinned by
default.
"""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from chimerax.siren.core.blocks.communities import label_propagation
from chimerax.siren.core.blocks.parameters import SketchParameters
from chimerax.siren.core.blocks.sketch import sketch
from chimerax.siren.core.common import constants
from chimerax.siren.core.common.errors import SirenError
from chimerax.siren.core.common.progress import Progress
from chimerax.siren.core.compute import resources
from chimerax.siren.core.compute.resources import (
    Requirements,
    format_size,
    format_time,
    reading_requirements,
)
from chimerax.siren.core.maps.ensemble import Ensemble, find_ensemble
from ensembles import LEVEL, write_planted


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return find_ensemble([write_planted(tmp_path_factory.mktemp("resources") / "volumes").folder])


def sketched(ensemble: Ensemble, said: list[str] | None = None, **parameters: object) -> object:
    progress = Progress(say=None if said is None else said.append)
    return sketch(
        ensemble,
        np.full(len(ensemble), LEVEL),
        SketchParameters(resamples=0, **parameters),
        progress,
    )


@pytest.mark.parametrize(
    ("size", "text"), [(31.2e9, "31.2 GB"), (1e9, "1.0 GB"), (6.4e8, "640 MB"), (1000, "10 MB")]
)
def test_sizes_have_sensible_digits(size: float, text: str) -> None:
    assert format_size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.1, "1 s"), (41.2, "42 s"), (89, "89 s"), (150, "3 min")]
)
def test_times_have_sensible_digits(seconds: float, text: str) -> None:
    assert format_time(seconds) == text


def test_what_cannot_be_read_is_refused_before_it_is_read(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "free_memory", lambda: 1e6)
    monkeypatch.setattr("chimerax.siren.core.blocks.pair_counts.binarize", None)
    with pytest.raises(
        SirenError,
        match=r"needs about .* MB of memory and 10 MB are free: use "
        r"\"box 32\", or fewer volumes\.",
    ):
        sketched(ensemble, statistic="exact")


def test_what_cannot_be_compared_is_refused_with_a_subsample_that_can(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "PILOT_VOXELS", 50)
    monkeypatch.setattr(constants, "TILE_BYTES", 0.0)
    monkeypatch.setattr(constants, "BYTES_PER_VOLUME", 0.0)
    monkeypatch.setattr(constants, "BYTES_PER_EDGE", 3000)  # as if there were thirty times as many
    monkeypatch.setattr(resources, "free_memory", lambda: 12e6)
    with pytest.raises(
        SirenError,
        match=r'use "subsample (\d+)" \(about 10 MB of memory and 1 '
        r"s\), or fewer volumes",
    ) as caught:
        sketched(ensemble, statistic="exact", subsample=1)
    remedy = int(str(caught.value).split('"subsample ')[1].split('"')[0])
    assert remedy > 1
    assert sketched(ensemble, statistic="exact", subsample=remedy)


def test_too_many_voxels_are_thinned_with_a_notice_unless_the_user_sets_the_subsample(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    usual = sketched(ensemble, said, statistic="exact")
    assert said == [] and len(usual.sample) == len(usual.union) // 2  # type: ignore[attr-defined]
    monkeypatch.setattr(constants, "MAX_COUNTED_VOXELS", 60)
    thinned = sketched(ensemble, said, statistic="exact")
    assert len(thinned.sample) <= 60  # type: ignore[attr-defined]
    assert len(said) == 1 and f"Comparing {len(thinned.sample)} of" in said[0]
    assert "MB of memory and 1 s" in said[0]
    asked = sketched(ensemble, statistic="exact", subsample=2)
    assert len(asked.sample) == len(usual.sample)  # type: ignore[attr-defined]


def test_too_many_edges_are_thinned_too(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = sketched(ensemble, statistic="exact")
    monkeypatch.setattr(constants, "PILOT_VOXELS", 100)
    monkeypatch.setattr(constants, "MAX_EDGES", len(usual.edges) / 4)  # type: ignore[attr-defined]
    fewer = sketched(ensemble, statistic="exact")
    assert len(fewer.edges) < len(usual.edges) / 2  # type: ignore[attr-defined]


@pytest.mark.slow
def test_an_edge_takes_the_memory_that_is_planned_for_it() -> None:
    rng = np.random.default_rng(0)
    edges = np.unique(np.sort(rng.integers(0, 2000, (400_000, 2)), axis=1), axis=0)
    edges = edges[edges[:, 0] < edges[:, 1]].astype(np.int32)
    tracemalloc.start()
    label_propagation(2000, edges)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.3 * constants.BYTES_PER_EDGE < peak / len(edges) <= constants.BYTES_PER_EDGE


def test_maps_that_are_slow_to_read_are_kept_and_counted_and_plain_files_are_not(
    ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, most = ensemble.resampled(16), constants.CACHE_BYTES
    assert slow.cached(most).cache is not None and ensemble.cached(most).cache is None
    kept, plain = (reading_requirements(e, 3).memory for e in (slow, ensemble))
    monkeypatch.setattr(constants, "CACHE_BYTES", 0)
    assert slow.cached(0).cache is None
    assert kept - reading_requirements(slow, 3).memory == 4 * slow.grid.size * len(slow)
    assert plain == reading_requirements(ensemble, 3).memory
    assert Requirements(2e9, 100).text() == "about 2.0 GB of memory and 2 min"


def test_room_goes_first_to_what_is_near_blocks_and_then_to_the_background() -> None:
    volumes, voxels, varying = 1000, 32**3, 500.0
    near, steady = constants.SURROUNDINGS * varying, 4 * constants.MAX_BACKGROUND_VOXELS
    bits = volumes * voxels / 8 + 8 * voxels
    found = []
    for kept in (near + steady, near + steady - 1, near, near - 1):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(constants, "KEPT_BYTES", bits + 4 * volumes * kept)
            memory = resources.excerpt_memory(volumes, voxels, varying)
            found.append((memory, resources.background_kept(volumes, voxels, varying)))
    both, alone = 4 * volumes * (near + steady), 4 * volumes * near
    assert found == [(both, True), (alone, False), (alone, False), (0, False)]


def test_the_record_says_how_many_were_compared(ensemble: Ensemble, tmp_path: Path) -> None:
    from chimerax.siren.core.runs.steps import run_sketch

    counts = run_sketch(
        ensemble, np.full(len(ensemble), LEVEL), "level", SketchParameters(resamples=0), tmp_path
    ).record.counts
    assert counts["sampled_voxels"] == counts["union_voxels"] // 2
